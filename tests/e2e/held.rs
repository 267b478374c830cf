//! Pods that cannot be scheduled as they are: they say so, and hold up nobody.

use plimsoll_apiserver::Options;
use plimsoll_testkit::{node, pod};
use serde_json::json;

use crate::rig::{Replica, Rig, cluster_with, single};

const INVALID: &str = "plimsoll_invalid_pods_total{reason=\"InvalidPodSpec\"}";

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_cannot_be_read_is_named() {
    let rig = Rig::start(vec![node("only").build()]).await;
    rig.create(pod("quantity").requests(&[("cpu", "1x")]));
    rig.create(pod("operator").affinity(json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "Foo", "values": ["a"]}]}]}}})));
    rig.create(pod("good"));
    let message = rig.refused("quantity", "InvalidPodSpec").await;
    assert!(message.contains("spec.containers[0].resources.requests") && message.contains("1x"), "{message}");
    let message = rig.refused("operator", "InvalidPodSpec").await;
    assert!(message.contains("spec.affinity.nodeAffinity") && message.contains("Foo"), "{message}");
    rig.bound("good").await;
    for name in ["quantity", "operator"] {
        rig.until("its event", || !rig.events(name, "FailedScheduling").is_empty()).await;
    }
    // The condition comes back through the watch, which must not count as yet another invalid pod, and a label that
    // somebody sets must not make it be said again.
    rig.server.edit("pods", "default", "quantity", |pod| pod["metadata"]["labels"] = json!({"a": "b"})).unwrap();
    rig.create(pod("later"));
    rig.bound("later").await;
    assert_eq!(rig.events("quantity", "FailedScheduling").len(), 1);
    assert_eq!(rig.scheduler.metric(INVALID), 2.0);
    // Mended, which the API lets nobody do with requests; but an upgrade of a cluster might.
    rig.server
        .edit("pods", "default", "quantity", |pod| {
            pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("1");
        })
        .unwrap();
    rig.bound("quantity").await;
    rig.server.delete("pods", "default", "operator").unwrap();
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_the_wrong_type_keeps_nobody_from_being_read() {
    // One is there before the scheduler is, so it is in the first list; one comes later, by the watch.
    let broken = |name: &str| pod(name).set("/spec/containers", "none").build();
    let rig = Rig::start(vec![node("only").build(), broken("listed"), pod("first").build()]).await;
    let message = rig.refused("listed", "InvalidPodSpec").await;
    assert!(message.starts_with("the pod cannot be scheduled: pod: invalid type: string \"none\""), "{message}");
    rig.bound("first").await;
    rig.create(pod("watched"));
    rig.bound("watched").await;
    rig.server.load(vec![broken("late"), pod("last").build()]);
    rig.refused("late", "InvalidPodSpec").await;
    rig.bound("last").await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_that_cannot_be_read_may_come_by_a_watch() {
    let rig = Rig::start(vec![node("only").build(), pod("first").build()]).await;
    rig.bound("first").await;
    rig.server.load(vec![pod("late").set("/spec/containers", "none").build(), pod("last").build()]);
    rig.refused("late", "InvalidPodSpec").await;
    rig.bound("last").await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_be_read_takes_no_pods_and_hides_no_others() {
    let broken = node("broken").set("/status/allocatable", "much").build();
    let rig = Rig::start(vec![broken, node("good").build()]).await;
    for n in 0..4 {
        rig.create(pod(&format!("p{n}")).requests(&[("cpu", "1")]));
    }
    rig.all_bound().await;
    assert!(rig.pods().iter().all(|pod| pod["spec"]["nodeName"] == "good"));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_done_holds_a_pod_and_is_said() {
    let rig = Rig::start(vec![node("only").build()]).await;
    rig.create(pod("devices").set("/spec/resourceClaims", json!([{"name": "gpu", "resourceClaimName": "gpu"}])));
    rig.create(pod("resource").requests(&[("example.com/gpu", "1")]));
    for when in ["DoNotSchedule", "ScheduleAnyway"] {
        let name = when.to_lowercase();
        rig.create(pod(&name).label("app", &name).spread(json!({
            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": when,
            "labelSelector": {"matchLabels": {"app": name}}})));
        rig.bound(&name).await;
    }
    let message = rig.refused("devices", "UnsupportedByPlimsoll").await;
    let needs = |place: &str| {
        format!(
            "the pod cannot be scheduled: it needs DynamicResources ({place}), which this version does not support yet"
        )
    };
    assert_eq!(message, needs("spec.resourceClaims"));
    // An extended resource like any other, until a class of devices stands behind it.
    rig.refused("resource", "Unschedulable").await;
    rig.create(json!({"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "gpu"},
                      "spec": {"extendedResourceName": "example.com/gpu"}}));
    // The two come by watches of their own, in any order; here the class first.
    const CLASSES: &str = "plimsoll_watch_events_total{kind=\"deviceclasses\",type=\"applied\"}";
    rig.until("the class to be seen", || rig.scheduler.metric(CLASSES) >= 1.0).await;
    rig.create(pod("late").requests(&[("example.com/gpu", "1")]));
    let message = rig.refused("late", "UnsupportedByPlimsoll").await;
    assert_eq!(message, needs("resource example.com/gpu, which a DeviceClass provides"));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lacks_a_kind_holds_up_nobody() {
    let server = cluster_with(Options { minor: 31, ..Options::default() }).await;
    server.load(vec![node("only").build()]);
    let scheduler = Replica::start(&server.url(), single(""));
    let rig = Rig { server, scheduler };
    rig.create(pod("p"));
    rig.bound("p").await;
    rig.end().await;
}
