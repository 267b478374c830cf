//! What is told: events, conditions, and series of events.

use plimsoll_testkit::{node, pod};
use serde_json::json;

use crate::rig::{Rig, condition, single, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_is_told_as_kube_scheduler_tells_it() {
    let rig = Rig::start(vec![node("only").build()]).await;
    let uid = rig.create(pod("web"))["metadata"]["uid"].clone();
    rig.bound("web").await;
    rig.until("the event", || !rig.events("web", "Scheduled").is_empty()).await;
    let event = rig.events("web", "Scheduled").remove(0);
    assert_eq!(event["note"], "Successfully assigned default/web to only");
    assert_eq!(event["type"], "Normal");
    assert_eq!(event["action"], "Binding");
    assert_eq!(event["reportingController"], "plimsoll");
    assert!(text(&event, "/reportingInstance").starts_with("plimsoll-"), "{event}");
    assert_eq!(event["regarding"]["kind"], "Pod");
    assert_eq!(event["regarding"]["uid"], uid);
    assert_eq!(event["regarding"]["namespace"], "default");
    assert!(text(&event, "/eventTime").ends_with('Z'), "{event}");
    assert!(text(&event, "/metadata/name").starts_with("web."), "{event}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_find_a_place_need_not_be_told_of() {
    let own = "---\napiVersion: config.plimsoll/v1alpha1\nkind: PlimsollConfiguration\neventPolicy: FailuresOnly";
    let rig = Rig::start_with(vec![node("only").build()], single(own)).await;
    rig.create(pod("web"));
    rig.bound("web").await;
    rig.create(pod("large").requests(&[("cpu", "5")]));
    rig.until("the event", || !rig.events("large", "FailedScheduling").is_empty()).await;
    assert!(rig.events("web", "Scheduled").is_empty());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_as_kube_scheduler_tells_it() {
    let rig = Rig::start(vec![node("only").build()]).await;
    rig.create(pod("web").requests(&[("cpu", "5")]));
    let message = rig.refused("web", "Unschedulable").await;
    assert_eq!(
        message,
        "0/1 nodes are available: 1 Insufficient cpu. \
         no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    );
    let condition = condition(&rig.pod("web")).unwrap();
    assert_eq!(condition["observedGeneration"], 1);
    assert!(text(&condition, "/lastTransitionTime").ends_with('Z'), "{condition}");
    rig.until("the event", || !rig.events("web", "FailedScheduling").is_empty()).await;
    let event = rig.events("web", "FailedScheduling").remove(0);
    assert_eq!(event["note"], message);
    assert_eq!((&event["type"], &event["action"]), (&json!("Warning"), &json!("Scheduling")));
    assert_eq!(event["reportingController"], "plimsoll");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_failure_again_is_one_series() {
    let rig = Rig::start(vec![node("small").build()]).await;
    for n in 0..6 {
        rig.create(pod(&format!("filler{n}")).label("app", "filler"));
    }
    rig.all_bound().await;
    rig.create(pod("web").affinity(json!({ "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [{
            "labelSelector": { "matchLabels": { "app": "filler" } }, "topologyKey": "kubernetes.io/hostname",
        }],
    } })));
    let message = rig.refused("web", "Unschedulable").await;
    let attempts =
        || rig.scheduler.metric("scheduler_schedule_attempts_total{profile=\"plimsoll\",result=\"unschedulable\"}");
    for n in 0..5 {
        let before = attempts();
        // A pod that goes is a reason to look again, in vain: others of its kind are left.
        rig.server.delete("pods", "default", &format!("filler{n}")).unwrap();
        rig.until("another attempt", || attempts() > before).await;
    }
    let series = || -> Vec<_> {
        let events = rig.events("web", "FailedScheduling").into_iter();
        events.filter(|event| event["series"]["count"].as_i64().is_some_and(|count| count >= 2)).collect()
    };
    rig.until("a series", || !series().is_empty()).await;
    assert_eq!(series().len(), 1);
    assert_eq!(series()[0]["note"], message.as_str());
    // Another pod's event comes after all that were on their way.
    rig.create(pod("last"));
    rig.until("the last event", || !rig.events("last", "Scheduled").is_empty()).await;
    // The first failure changes the pod (its condition), so what follows is about another version of it.
    assert!(rig.events("web", "FailedScheduling").len() <= 2, "{:?}", rig.events("web", "FailedScheduling"));
    let status_writes = rig.server.call_counts().into_iter().filter(|c| c.subresource == "status");
    assert_eq!(status_writes.map(|c| c.count).sum::<u64>(), 1, "the condition said it already");
    rig.end().await;
}
