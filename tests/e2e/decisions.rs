//! Who goes where, and who waits.

use plimsoll_testkit::{node, pod};
use serde_json::json;

use crate::rig::{Rig, condition, single};

const CPU_1: &[(&str, &str)] = &[("cpu", "1")];
const CPU_3: &[(&str, &str)] = &[("cpu", "3")];

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_fits_nowhere_says_why_and_takes_a_node_that_comes() {
    let rig = Rig::start(vec![
        node("small").build(),
        node("tainted")
            .capacity(&[("cpu", "64"), ("memory", "64Gi"), ("pods", "9")])
            .taint("a", "b", "NoSchedule")
            .build(),
        node("cordoned").unschedulable().build(),
    ])
    .await;
    rig.create(pod("large").requests(&[("cpu", "5"), ("memory", "17Gi")]));
    let message = rig.refused("large", "Unschedulable").await;
    let expected = "0/3 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 node(s) had untolerated taint(s), \
                    1 node(s) were unschedulable. \
                    no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.";
    assert_eq!(message, expected);
    rig.create(node("fits").capacity(&[("cpu", "8"), ("memory", "32Gi"), ("pods", "9")]));
    assert_eq!(rig.bound("large").await, "fits");
    assert_eq!(condition(&rig.pod("large")).unwrap()["status"], "True");
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_nodes_pods_wait_for_the_first() {
    let rig = Rig::start(Vec::new()).await;
    rig.create(pod("early"));
    assert_eq!(rig.refused("early", "Unschedulable").await, "no nodes available to schedule pods");
    rig.create(node("first"));
    assert_eq!(rig.bound("early").await, "first");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn room_that_is_given_back_is_used_again() {
    let rig = Rig::start(vec![node("only").build()]).await;
    rig.create(pod("one").requests(CPU_3));
    rig.bound("one").await;
    rig.create(pod("two").requests(CPU_3));
    assert_eq!(
        rig.refused("two", "Unschedulable").await,
        "0/1 nodes are available: 1 Insufficient cpu. \
         no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    );
    rig.server.delete("pods", "default", "one").unwrap();
    assert_eq!(rig.bound("two").await, "only");
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gated_pods_wait_for_their_gates_alone() {
    let rig = Rig::start(vec![node("only").build()]).await;
    rig.create(pod("gated").gate("example.com/hold"));
    rig.create(pod("free"));
    rig.bound("free").await;
    let gated = rig.pod("gated");
    assert_eq!(condition(&gated).unwrap()["reason"], "SchedulingGated");
    assert!(gated["spec"]["nodeName"].is_null());
    assert!(rig.events("gated", "FailedScheduling").is_empty(), "nothing failed");
    let mut open = gated;
    open["spec"]["schedulingGates"] = json!([]);
    rig.server.update(open).unwrap();
    rig.bound("gated").await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_room_is_short_the_urgent_go_first() {
    // All are there before the only node is, so all wait for it together.
    let rig = Rig::start(Vec::new()).await;
    for (name, priority) in [("low", 1), ("high", 1_000), ("middle", 10)] {
        rig.create(pod(name).requests(CPU_3).priority_class(&class(&rig, priority)));
    }
    for name in ["low", "high", "middle"] {
        rig.refused(name, "Unschedulable").await;
    }
    rig.create(node("only"));
    rig.bound("high").await;
    for name in ["low", "middle"] {
        let pod = rig.pod(name);
        assert!(pod["spec"]["nodeName"].is_null(), "{name}");
    }
    rig.server.delete("pods", "default", "high").unwrap();
    rig.bound("middle").await;
    rig.check_books();
    rig.end().await;
}

/// A priority class of that value, by its name.
fn class(rig: &Rig, value: i32) -> String {
    let name = format!("priority-{value}");
    rig.create(plimsoll_testkit::priority_class(&name, value));
    name
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_about_nodes_are_kept() {
    let rig = Rig::start(vec![
        node("plain").zone("a").build(),
        node("tainted").zone("b").taint("dedicated", "batch", "NoSchedule").build(),
        node("other").zone("c").build(),
    ])
    .await;
    rig.create(pod("selects").node_selector("topology.kubernetes.io/zone", "c"));
    rig.create(
        pod("tolerates")
            .toleration("dedicated", "Equal", "batch", "NoSchedule")
            .node_selector("kubernetes.io/hostname", "tainted"),
    );
    rig.create(pod("affine").affinity(json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [
            {"key": "topology.kubernetes.io/zone", "operator": "NotIn", "values": ["b", "c"]}]}]}}})));
    rig.create(pod("lost").node_selector("kubernetes.io/hostname", "tainted"));
    assert_eq!(rig.bound("selects").await, "other");
    assert_eq!(rig.bound("tolerates").await, "tainted");
    assert_eq!(rig.bound("affine").await, "plain");
    let message = rig.refused("lost", "Unschedulable").await;
    let expected = "0/3 nodes are available: 1 node(s) had untolerated taint(s), \
                    2 node(s) didn't match Pod's node affinity/selector. \
                    no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.";
    assert_eq!(message, expected);
    // The taint goes: the pod is woken by that alone.
    rig.server.edit("nodes", "", "tainted", |node| node["spec"]["taints"] = json!([])).unwrap();
    assert_eq!(rig.bound("lost").await, "tainted");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_port_is_given_once_per_node() {
    let rig = Rig::start(vec![node("a").build(), node("b").build()]).await;
    for name in ["one", "two"] {
        rig.create(pod(name).host_port(8080));
    }
    assert_ne!(rig.bound("one").await, rig.bound("two").await);
    rig.create(pod("three").host_port(8080));
    let message = rig.refused("three", "Unschedulable").await;
    assert_eq!(
        message,
        "0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports. \
         no new claims to deallocate, preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."
    );
    rig.server.delete("pods", "default", "two").unwrap();
    rig.bound("three").await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_profile_serves_its_own_pods_by_its_own_rules() {
    let profiles = "profiles:\n- schedulerName: spread\n- schedulerName: pack\n  pluginConfig:\n  - name: NodeResourcesFit\n    \
                    args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 1}]}}\n";
    let nodes = vec![node("a").build(), node("b").build()];
    let rig = Rig::start_with(nodes, single(profiles)).await;
    for n in 0..4 {
        rig.create(pod(&format!("pack-{n}")).scheduler_name("pack").requests(CPU_1));
        rig.bound(&format!("pack-{n}")).await;
    }
    let packed: Vec<String> = rig.pods().iter().map(|p| p["spec"]["nodeName"].to_string()).collect();
    assert!(packed.iter().all(|node| *node == packed[0]), "{packed:?}");
    for n in 0..4 {
        rig.server.delete("pods", "default", &format!("pack-{n}")).unwrap();
    }
    rig.until("the packed pods to go", || rig.pods().is_empty()).await;
    for n in 0..2 {
        rig.create(pod(&format!("spread-{n}")).scheduler_name("spread").requests(CPU_1));
        rig.bound(&format!("spread-{n}")).await;
    }
    assert_ne!(rig.bound("spread-0").await, rig.bound("spread-1").await);
    // Somebody else's.
    rig.create(pod("foreign").scheduler_name("default-scheduler"));
    rig.create(pod("last").scheduler_name("spread"));
    rig.bound("last").await;
    let foreign = rig.pod("foreign");
    assert!(foreign["spec"]["nodeName"].is_null() && condition(&foreign).is_none(), "{foreign}");
    rig.until("the event", || !rig.events("last", "Scheduled").is_empty()).await;
    assert_eq!(rig.events("last", "Scheduled")[0]["reportingController"], "spread");
    rig.end().await;
}
