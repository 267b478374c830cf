//! Others on the same nodes: kubelets that refuse, schedulers that nominate, pods that are resized.

use plimsoll_testkit::{node, pod};
use serde_json::{Value, json};

use crate::rig::{Rig, single, text};

/// A scheduler that does not look at what nodes have room for, so that kubelets have to; and one that avoids their nodes
/// for longer than any test takes. Of nodes that are as good it takes the first by name.
const CARELESS: &str = "profiles:
- schedulerName: plimsoll
  plugins: {multiPoint: {disabled: [{name: NodeResourcesFit}, {name: NodeResourcesBalancedAllocation}]}}
---
apiVersion: config.plimsoll/v1alpha1
kind: PlimsollConfiguration
tieBreak: name
coexistence: {refusalCooldown: 1h}
";
const REFUSALS: &str = "plimsoll_kubelet_refusals_total{reason=\"OutOfcpu\"}";

/// A pod that a kubelet has refused before anybody looked.
fn refused_long_ago() -> Value {
    let refused = pod("old").node_name("node-0").phase("Failed");
    refused.set("/status/reason", "OutOfcpu").set("/status/message", "Pod was rejected: no room").build()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_kubelet_refuses_a_pod_is_avoided_unless_it_is_the_only_one() {
    let objects = vec![node("node-0").build(), node("node-1").build(), refused_long_ago()];
    let rig = Rig::start_with(objects, single(CARELESS)).await;
    let listed = || rig.scheduler.metric("plimsoll_watch_events_total{kind=\"FailedPod\",type=\"listed\"}");
    rig.until("the failed pods to be listed", || listed() == 1.0).await;
    rig.create(pod("theirs").scheduler_name("default-scheduler").requests(&[("cpu", "4")]));
    rig.server.bind("default", "theirs", "node-0").unwrap();
    rig.until("their pod to run", || text(&rig.pod("theirs"), "/status/phase") == "Running").await;
    rig.create(pod("first").requests(&[("cpu", "1")]));
    assert_eq!(rig.bound("first").await, "node-0");
    let refusals = || rig.scheduler.metric(REFUSALS);
    rig.until("the refusal to be counted", || refusals() > 0.0).await;
    rig.create(pod("second").requests(&[("cpu", "1")]));
    assert_eq!(rig.bound("second").await, "node-1");
    assert_eq!(refusals(), 1.0, "the old one is no news");
    // A change of the refused pod is not another refusal.
    rig.server.edit("pods", "default", "first", |pod| pod["metadata"]["labels"] = json!({"a": "b"})).unwrap();
    rig.create(pod("third").requests(&[("cpu", "1")]).node_selector("kubernetes.io/hostname", "node-0"));
    assert_eq!(rig.bound("third").await, "node-0");
    rig.until("the next refusal to be counted", || refusals() > 1.0).await;
    assert_eq!(refusals(), 2.0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_the_watch_has_missed_is_found_in_the_next_list() {
    let objects = vec![node("node-0").build(), node("node-1").build(), refused_long_ago()];
    let rig = Rig::start_with(objects, single(CARELESS)).await;
    let listed = || rig.scheduler.metric("plimsoll_watch_events_total{kind=\"FailedPod\",type=\"listed\"}");
    rig.until("the failed pods to be listed", || listed() == 1.0).await;
    // What comes between the end of the watch and the next one is not to be had any more: list again.
    rig.server.cut_watches("pods", true).unwrap();
    assert_eq!(rig.server.load(vec![refused_while_away()]), 1);
    rig.server.compact("pods").unwrap();
    rig.until("the refusal to be counted", || rig.scheduler.metric(REFUSALS) > 0.0).await;
    rig.create(pod("p"));
    assert_eq!(rig.bound("p").await, "node-1");
    assert_eq!(rig.scheduler.metric(REFUSALS), 1.0);
    rig.end().await;
}

fn refused_while_away() -> Value {
    let mut refused = refused_long_ago();
    refused["metadata"]["name"] = json!("while-away");
    refused["metadata"].as_object_mut().unwrap().remove("uid");
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn headroom_is_left_until_there_is_no_other_room() {
    let own = "---\napiVersion: config.plimsoll/v1alpha1\nkind: PlimsollConfiguration\ncoexistence:\n  headroom:\n  \
               - {nodeSelector: {pool: batch}, resources: {cpu: 2, memory: 1Gi}}\n";
    let batch = node("batch").label("pool", "batch").allocatable(&[("cpu", "4"), ("memory", "8Gi"), ("pods", "9")]);
    let other = node("other").allocatable(&[("cpu", "4"), ("memory", "8Gi"), ("pods", "9")]);
    let rig = Rig::start_with(vec![batch.build(), other.build()], single(own)).await;
    let mut on_batch = Vec::new();
    for n in 0..8 {
        let name = format!("p{n}");
        rig.create(pod(&name).requests(&[("cpu", "1")]));
        on_batch.push(rig.bound(&name).await == "batch");
    }
    assert_eq!(on_batch.iter().filter(|on| **on).count(), 4, "both are full in the end");
    assert_eq!(on_batch[..6].iter().filter(|on| **on).count(), 2, "{on_batch:?}");
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_resized_in_place_counts_what_its_node_has_given_it() {
    let rig = Rig::start(vec![node("only").build()]).await;
    rig.create(pod("theirs").scheduler_name("default-scheduler").requests(&[("cpu", "1")]));
    rig.server.bind("default", "theirs", "only").unwrap();
    rig.until("their pod to run", || text(&rig.pod("theirs"), "/status/phase") == "Running").await;
    let resize = |asked: &str, given: &str| {
        let change = |pod: &mut Value| {
            pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!(asked);
            pod["status"]["containerStatuses"][0]["allocatedResources"] = json!({"cpu": given});
            pod["status"]["containerStatuses"][0]["resources"] = json!({"requests": {"cpu": given}});
        };
        rig.server.edit("pods", "default", "theirs", change).unwrap();
    };
    // The events of one watch come in their order, so that what is made after a resize is decided after it.
    let waits = "0/1 nodes are available: 1 Insufficient cpu. \
                 no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";
    // More is asked for than was given so far, which the node will have to give.
    resize("3", "1");
    rig.create(pod("ours").requests(&[("cpu", "2")]));
    rig.says("ours", waits).await;
    // Less is asked for, and what was given is not given back yet; then it is.
    resize("1", "3");
    rig.create(pod("later").requests(&[("cpu", "3")]));
    rig.says("later", waits).await;
    assert!(text(&rig.pod("ours"), "/spec/nodeName").is_empty());
    rig.server.delete("pods", "default", "later").unwrap();
    resize("1", "1");
    assert_eq!(rig.bound("ours").await, "only");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_that_another_scheduler_has_nominated_is_kept_for_its_pod() {
    let rig = Rig::start(vec![node("only").build()]).await;
    rig.create(pod("theirs").scheduler_name("default-scheduler").requests(&[("cpu", "3")]));
    rig.server.edit("pods", "default", "theirs", |pod| pod["status"]["nominatedNodeName"] = json!("only")).unwrap();
    rig.create(pod("ours").requests(&[("cpu", "3")]));
    rig.refused("ours", "Unschedulable").await;
    rig.create(pod("small").requests(&[("cpu", "1")]));
    assert_eq!(rig.bound("small").await, "only");
    rig.server.delete("pods", "default", "theirs").unwrap();
    assert_eq!(rig.bound("ours").await, "only");
    rig.check_books();
    rig.end().await;
}
