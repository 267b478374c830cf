//! Gangs: all of them or none, whoever says that they are one.

use plimsoll_apiserver::{Fault, Kind, Options, Rule};
use plimsoll_testkit::{node, pod};
use serde_json::{Value, json};

use crate::rig::{Replica, Rig, cluster, cluster_with, single, text};

const CPU_2: &[(&str, &str)] = &[("cpu", "2")];

/// PodGroups as the resource definition of the scheduler plugins makes them.
fn pod_groups() -> Vec<Kind> {
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "podgroups.scheduling.x-k8s.io"},
        "spec": {
            "group": "scheduling.x-k8s.io", "scope": "Namespaced",
            "names": {"plural": "podgroups", "singular": "podgroup", "kind": "PodGroup"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true, "subresources": {"status": {}}}],
        },
    });
    Kind::from_crd(&crd).unwrap()
}

async fn rig(objects: Vec<Value>, kinds: Vec<Kind>) -> Rig {
    let server = cluster_with(Options { extra_kinds: kinds, ..Options::default() }).await;
    let count = objects.len();
    assert_eq!(server.load(objects), count, "all objects are loaded");
    let scheduler = Replica::start(&server.url(), single(""));
    Rig { server, scheduler }
}

fn placed(rig: &Rig, gang: &str) -> usize {
    let of = |pod: &&Value| text(pod, "/metadata/name").starts_with(gang);
    rig.pods().iter().filter(of).filter(|pod| !text(pod, "/spec/nodeName").is_empty()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gang_of_a_custom_pod_group_waits_for_its_pods_and_for_its_group() {
    let rig = rig(vec![node("only").build()], pod_groups()).await;
    for n in 0..2 {
        rig.create(pod(&format!("g-{n}")).label("pod-group.scheduling.sigs.k8s.io", "g"));
    }
    rig.says("g-0", "waiting for pods's pod group \"g\" to appear in scheduling queue").await;
    rig.create(json!({
        "apiVersion": "scheduling.x-k8s.io/v1alpha1", "kind": "PodGroup",
        "metadata": {"name": "g", "namespace": "default"}, "spec": {"minMember": 3, "scheduleTimeoutSeconds": 600},
    }));
    let text =
        "waiting for minCount pods from a gang to appear in scheduling queue: 2 of 3 pods of default/g are there";
    rig.says("g-1", text).await;
    assert_eq!(rig.refused("g-0", "GangIncomplete").await, text);
    rig.create(pod("other"));
    rig.bound("other").await;
    assert_eq!(placed(&rig, "g-"), 0);
    rig.create(pod("g-2").label("scheduling.x-k8s.io/pod-group", "g"));
    rig.all_bound().await;
    assert_eq!(
        rig.scheduler.metric("scheduler_podgroup_schedule_attempts_total{profile=\"plimsoll\",result=\"scheduled\"}"),
        1.0
    );
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_goes_between_discovery_and_list_is_discovered_again() {
    let server = cluster().await;
    let gone = Rule::new(Fault::Status { code: 404, retry_after_seconds: None }).resource("podgroups");
    let gone = server.faults().add(gone.times(1));
    server.load(vec![node("only").build()]);
    let scheduler = Replica::start(&server.url(), single(""));
    let rig = Rig { server, scheduler };
    rig.create(pod("g-0").set("/spec/schedulingGroup", json!({"podGroupName": "g"})));
    rig.says("g-0", "waiting for pods's pod group \"g\" to appear in scheduling queue").await;
    assert_eq!(rig.server.faults().hits(gone), 1);
    rig.create(json!({
        "apiVersion": "scheduling.k8s.io/v1alpha2", "kind": "PodGroup",
        "metadata": {"name": "g", "namespace": "default"},
        "spec": {"schedulingPolicy": {"gang": {"minCount": 1}}},
    }));
    rig.bound("g-0").await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gangs_by_labels_alone_take_turns() {
    // Room for one gang of three.
    let rig =
        rig(vec![node("a").capacity(&[("cpu", "6"), ("memory", "8Gi"), ("pods", "9")]).build()], Vec::new()).await;
    for n in 0..3 {
        for gang in ["one", "two"] {
            let made = pod(&format!("{gang}-{n}")).requests(CPU_2);
            rig.create(made.label("plimsoll/gang", gang).label("plimsoll/gang-size", "3"));
        }
    }
    rig.until("one gang to be placed", || placed(&rig, "one") + placed(&rig, "two") == 3).await;
    let (first, second) = if placed(&rig, "one") == 3 { ("one", "two") } else { ("two", "one") };
    assert_eq!((placed(&rig, first), placed(&rig, second)), (3, 0));
    let message = rig.refused(&format!("{second}-2"), "Unschedulable").await;
    assert!(message.starts_with(&format!("pod group is unschedulable: of 3 pods of default/{second}, ")), "{message}");
    rig.until("the gangs to be counted", || {
        rig.scheduler.metric("plimsoll_gangs{state=\"placed\"}") == 1.0
            && rig.scheduler.metric("plimsoll_gangs{state=\"waiting\"}") == 1.0
    })
    .await;
    for n in 0..3 {
        rig.server.delete("pods", "default", &format!("{first}-{n}")).unwrap();
    }
    rig.all_bound().await;
    assert_eq!(placed(&rig, second), 3);
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_pod_group_is_told_what_became_of_it() {
    let rig =
        rig(vec![node("a").capacity(&[("cpu", "3"), ("memory", "8Gi"), ("pods", "9")]).build()], Vec::new()).await;
    rig.create(json!({
        "apiVersion": "scheduling.k8s.io/v1alpha2", "kind": "PodGroup",
        "metadata": {"name": "g", "namespace": "default"},
        "spec": {"schedulingPolicy": {"gang": {"minCount": 2}}},
    }));
    for n in 0..2 {
        let made = pod(&format!("g-{n}")).requests(CPU_2);
        rig.create(made.set("/spec/schedulingGroup", json!({"podGroupName": "g"})));
    }
    let condition = || {
        let group = rig.server.get("podgroups.scheduling.k8s.io", "default", "g").unwrap();
        group.pointer("/status/conditions/0").cloned().unwrap_or_default()
    };
    rig.until("the group to be unschedulable", || condition()["reason"] == "Unschedulable").await;
    assert_eq!(
        (condition()["type"].clone(), condition()["status"].clone()),
        (json!("PodGroupScheduled"), json!("False"))
    );
    rig.create(node("b"));
    rig.all_bound().await;
    rig.until("the group to be scheduled", || condition()["reason"] == "Scheduled").await;
    assert_eq!(condition()["status"], "True");
    rig.check_books();
    rig.end().await;
}
