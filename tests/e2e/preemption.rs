//! Room made for pods of higher priority.

use plimsoll::config::Config;
use plimsoll_testkit::{node, pod, priority_class};
use serde_json::{Value, json};

use crate::rig::{Replica, Rig, config, single, text};

const OWN: &str = "---\napiVersion: config.plimsoll/v1alpha1\nkind: PlimsollConfiguration\n";

fn own(rest: &str) -> Config {
    single(&format!("{OWN}{rest}"))
}

/// A node of 4 CPUs and two classes of priority.
fn world() -> Vec<Value> {
    vec![node("only").build(), priority_class("high", 1_000).build(), priority_class("low", 1).build()]
}

fn low(name: &str) -> plimsoll_testkit::PodBuilder {
    pod(name).priority_class("low").requests(&[("cpu", "2")]).label("app", "low")
}

fn high(name: &str) -> plimsoll_testkit::PodBuilder {
    pod(name).priority_class("high").requests(&[("cpu", "3")])
}

fn budget(disruptions_wanted: u32) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": { "name": "low", "namespace": "default" },
        "spec": { "maxUnavailable": disruptions_wanted, "selector": { "matchLabels": { "app": "low" } } },
    })
}

/// Two pods of low priority fill the node.
async fn full(config: Config, more: Vec<Value>) -> Rig {
    let rig = Rig::start_with([world(), more].concat(), config).await;
    rig.create(low("one"));
    rig.create(low("two"));
    rig.bound("one").await;
    rig.bound("two").await;
    let ready = |name: &str| text(&rig.pod(name), "/status/phase") == "Running";
    rig.until("both to run", || ready("one") && ready("two")).await;
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_lower_priority_go_and_both_sides_are_told() {
    let rig = full(single(""), Vec::new()).await;
    let uid = rig.create(high("urgent"))["metadata"]["uid"].clone();
    assert_eq!(rig.bound("urgent").await, "only");
    let gone = |name: &str| rig.server.get("pods", "default", name).is_err();
    assert!(gone("one") && gone("two"));
    rig.until("the events", || !rig.events("one", "Preempted").is_empty()).await;
    let event = rig.events("one", "Preempted").remove(0);
    assert_eq!(event["note"], format!("Preempted by pod {} on node only", uid.as_str().unwrap()));
    assert_eq!((&event["type"], &event["action"]), (&json!("Normal"), &json!("Preempting")));
    assert_eq!((&event["related"]["name"], &event["related"]["uid"]), (&json!("urgent"), &uid));
    rig.until("the event", || !rig.events("urgent", "Preempting").is_empty()).await;
    let note = rig.events("urgent", "Preempting").remove(0)["note"].clone();
    assert!(note.as_str().unwrap().starts_with("Evicting from node only: default/"), "{note}");
    assert!(rig.scheduler.metric("scheduler_preemption_victims_sum") >= 2.0);
    assert_eq!(rig.scheduler.metric("plimsoll_evictions_total{result=\"going\"}"), 2.0);
    // The condition says why, before the pod is deleted, by its UID.
    let calls = rig.server.calls();
    let of =
        |verb: &str, sub: &str| calls.iter().position(|c| c.name == "one" && c.verb == verb && c.subresource == sub);
    assert!(of("patch", "status") < of("delete", ""), "told before it goes");
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_preempt_waits() {
    let rig = full(single(""), Vec::new()).await;
    rig.create(high("meek").preemption_policy("Never"));
    let message = rig.refused("meek", "Unschedulable").await;
    assert!(message.ends_with("preemption: not eligible due to preemptionPolicy=Never."), "{message}");
    rig.create(pod("equal").priority_class("low").requests(&[("cpu", "3")]));
    rig.refused("equal", "Unschedulable").await;
    assert!(rig.server.calls().iter().all(|call| call.verb != "delete"));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_give_way_where_nothing_else_helps_unless_they_are_strict() {
    let rig = full(single(""), vec![budget(0)]).await;
    rig.create(high("urgent"));
    assert_eq!(rig.bound("urgent").await, "only");
    rig.end().await;

    let rig = full(own("preemption: {podDisruptionBudgets: Strict}\n"), vec![budget(0)]).await;
    rig.create(high("urgent"));
    let message = rig.refused("urgent", "Unschedulable").await;
    let expected = "preemption: 0/1 nodes are available: \
                    1 Pods that would have to go are protected by a PodDisruptionBudget.";
    assert!(message.ends_with(expected), "{message}");
    assert!(rig.server.calls().iter().all(|call| call.verb != "delete" && call.subresource != "eviction"));
    // It is taken back.
    rig.server.delete("poddisruptionbudgets", "default", "low").unwrap();
    assert_eq!(rig.bound("urgent").await, "only");
    let calls = rig.server.calls();
    for name in ["one", "two"] {
        assert!(calls.iter().any(|call| call.subresource == "eviction" && call.name == name && call.code == 201));
    }
    assert!(calls.iter().all(|call| call.verb != "delete"), "what goes, goes by eviction");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_the_scheduler_has_not_seen_yet_ends_the_attempt() {
    let rig = full(own("preemption: {podDisruptionBudgets: Strict}\n"), Vec::new()).await;
    // The watch of budgets says nothing from now on, so only the API server knows.
    rig.server.delay_watches("poddisruptionbudgets", std::time::Duration::from_secs(600)).unwrap();
    rig.create(budget(0));
    let allowed = || rig.server.get("poddisruptionbudgets", "default", "low").unwrap()["status"]["currentHealthy"] == 2;
    rig.until("the budget to be counted", allowed).await;
    rig.create(high("urgent"));
    rig.until("the refusal", || !rig.events("urgent", "PreemptionRefused").is_empty()).await;
    let note = rig.events("urgent", "PreemptionRefused").remove(0)["note"].clone();
    let said = note.as_str().unwrap();
    assert!(said.starts_with("No room on node only: The disruption budget low needs"), "{said}");
    let cleared = || text(&rig.pod("urgent"), "/status/nominatedNodeName").is_empty();
    rig.until("the nomination to be cleared", cleared).await;
    assert_eq!(text(&rig.pod("one"), "/spec/nodeName"), "only");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_other_schedulers_are_left_alone_unless_that_is_switched_on() {
    for (config, goes) in [(single(""), false), (own("preemption: {otherSchedulers: true}\n"), true)] {
        let rig = Rig::start_with(world(), config).await;
        rig.create(low("theirs").scheduler_name("default-scheduler"));
        rig.server.bind("default", "theirs", "only").unwrap();
        rig.create(high("urgent"));
        if goes {
            rig.bound("urgent").await;
        } else {
            let message = rig.refused("urgent", "Unschedulable").await;
            assert!(message.ends_with("1 No preemption victims found for incoming pod."), "{message}");
            assert_eq!(text(&rig.pod("theirs"), "/spec/nodeName"), "only");
        }
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_victim_that_will_not_die_holds_up_nobody_else() {
    let rig = Rig::start_with(
        [world(), vec![node("small").allocatable(&[("cpu", "1"), ("pods", "9")]).build()]].concat(),
        single(""),
    )
    .await;
    rig.create(low("stubborn").set("/metadata/finalizers", json!(["example.com/never"])).requests(&[("cpu", "4")]));
    rig.bound("stubborn").await;
    rig.create(high("urgent"));
    rig.until("it to be asked to go", || !text(&rig.pod("stubborn"), "/metadata/deletionTimestamp").is_empty()).await;
    rig.create(pod("other").requests(&[("cpu", "1")]));
    assert_eq!(rig.bound("other").await, "small");
    let nominated = || text(&rig.pod("urgent"), "/status/nominatedNodeName") == "only";
    rig.until("the nomination", nominated).await;
    rig.server.edit("pods", "default", "stubborn", |pod| pod["metadata"]["finalizers"] = Value::Null).unwrap();
    assert_eq!(rig.bound("urgent").await, "only");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_scheduler_goes_on_where_the_last_one_stopped() {
    let rig = Rig::start_with(world(), config("leaderElection: {leaderElect: false}\n")).await;
    rig.create(low("stubborn").set("/metadata/finalizers", json!(["example.com/never"])).requests(&[("cpu", "4")]));
    rig.bound("stubborn").await;
    rig.create(high("urgent"));
    let nominated = || text(&rig.pod("urgent"), "/status/nominatedNodeName") == "only";
    rig.until("the nomination", nominated).await;
    rig.until("it to be asked to go", || !text(&rig.pod("stubborn"), "/metadata/deletionTimestamp").is_empty()).await;
    let Rig { server, scheduler } = rig;
    scheduler.stop();
    scheduler.end().await.unwrap();
    let scheduler = Replica::start(&server.url(), single(""));
    let rig = Rig { server, scheduler };
    let waits = "preemption: not eligible due to a terminating pod on the nominated node.";
    rig.until("it to wait for the one that goes", || {
        crate::rig::condition(&rig.pod("urgent")).is_some_and(|c| text(&c, "/message").ends_with(waits))
    })
    .await;
    rig.server.edit("pods", "default", "stubborn", |pod| pod["metadata"]["finalizers"] = Value::Null).unwrap();
    assert_eq!(rig.bound("urgent").await, "only");
    let deletes = rig.server.calls().iter().filter(|c| c.verb == "delete" && c.name == "stubborn").count();
    assert_eq!(deletes, 1, "it is not asked again");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evictions_that_fail_are_tried_again() {
    use plimsoll_apiserver::Rule;
    let rig = full(single(""), Vec::new()).await;
    for verb in ["delete", "patch"] {
        let fault = Rule::status(500).verb(verb).resource("pods").times(6);
        rig.server.faults().add(fault);
    }
    rig.create(high("urgent"));
    assert_eq!(rig.bound("urgent").await, "only");
    rig.check_books();
    rig.end().await;
}
