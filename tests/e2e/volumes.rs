//! Pods with claims: they go where their volumes are, and where their claims can get some.

use std::collections::BTreeSet;

use plimsoll_apiserver::{Fault, Options, Rule, Server};
use plimsoll_testkit::{PodBuilder, node, pod};
use serde_json::{Value, json};

use crate::rig::{Replica, Rig, cluster_with, condition, single, text};

const BIND_ERRORS: &str = "scheduler_volume_scheduling_stage_error_total{operation=\"bind\"}";
const TIMED_OUT: &str = "running PreBind plugin \"VolumeBinding\": binding volumes: context deadline exceeded";
/// Waits one second for volumes.
const IMPATIENT: &str = "profiles:\n- schedulerName: plimsoll\n  pluginConfig:\n  - name: VolumeBinding\n    \
                         args: {bindTimeoutSeconds: 1}\n";

fn class(name: &str, provisioner: &str, mode: &str) -> Value {
    json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
           "provisioner": provisioner, "volumeBindingMode": mode})
}

/// A class of local volumes, one whose volumes are made, and one that waits for nobody.
pub(crate) fn classes() -> Vec<Value> {
    vec![
        class("local", "kubernetes.io/no-provisioner", "WaitForFirstConsumer"),
        class("made", "csi.example.com", "WaitForFirstConsumer"),
        class("now", "kubernetes.io/no-provisioner", "Immediate"),
    ]
}

pub(crate) fn claim(name: &str, class: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"},
           "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1Gi"}}}})
}

/// A free volume on a node.
pub(crate) fn volume(name: &str, class: &str, node: &str) -> Value {
    let term = json!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]);
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "status": {"phase": "Available"},
           "spec": {"storageClassName": class, "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                    "local": {"path": "/data"}, "nodeAffinity": {"required": {"nodeSelectorTerms": term}}}})
}

pub(crate) fn with(name: &str, claim: &str) -> PodBuilder {
    pod(name).volume(json!({"name": "data", "persistentVolumeClaim": {"claimName": claim}}))
}

/// Two nodes and the classes, with volumes looked after, or not.
async fn cluster(volumes: bool) -> Server {
    let server = cluster_with(Options { volumes, ..Options::default() }).await;
    let mut objects = classes();
    objects.extend(["a", "b"].map(|name| node(name).zone(name).allocatable(&[("cpu", "8"), ("pods", "500")]).build()));
    server.load(objects);
    server
}

async fn start(volumes: bool, config: &str) -> Rig {
    let server = cluster(volumes).await;
    let scheduler = Replica::start(&server.url(), single(config));
    Rig { server, scheduler }
}

/// What the controller of volumes does in the end.
fn complete(server: &Server, claim: &str, volume: &str) {
    let bind = |claim: &mut Value| {
        claim["spec"]["volumeName"] = json!(volume);
        claim["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = json!("yes");
        claim["status"]["phase"] = json!("Bound");
    };
    server.edit("persistentvolumeclaims", "default", claim, bind).unwrap();
}

fn get_claim(server: &Server, name: &str) -> Value {
    server.get("persistentvolumeclaims", "default", name).unwrap()
}

fn selected_node(server: &Server, claim: &str) -> String {
    text(&get_claim(server, claim), "/metadata/annotations/volume.kubernetes.io~1selected-node").to_owned()
}

/// The claim that a volume is kept for.
fn owner(server: &Server, volume: &str) -> String {
    text(&server.get("persistentvolumes", "", volume).unwrap(), "/spec/claimRef/name").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_follow_volumes_that_are_bound_at_once() {
    let rig = start(true, "").await;
    rig.create(with("early", "now"));
    let missing = "persistentvolumeclaim \"now\" not found";
    assert!(rig.refused("early", "Unschedulable").await.contains(missing));
    rig.create(claim("now", "now"));
    rig.create(volume("on-b", "now", "b"));
    assert_eq!(rig.bound("early").await, "b");
    // Its claim was bound before it was decided: nothing was left to be written.
    let patches =
        |resource: &str| rig.server.calls().iter().filter(|c| c.verb == "patch" && c.resource == resource).count();
    assert_eq!((patches("persistentvolumes"), patches("persistentvolumeclaims")), (0, 0));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_waits_gets_the_volume_of_the_node_or_one_made_there() {
    let rig = start(true, "").await;
    for (name, class) in [("local", "local"), ("made", "made"), ("later", "local")] {
        rig.create(claim(name, class));
    }
    rig.create(volume("on-b", "local", "b"));
    rig.create(with("local", "local"));
    assert_eq!(rig.bound("local").await, "b");
    let found = rig.server.get("persistentvolumes", "", "on-b").unwrap();
    assert_eq!(found["spec"]["claimRef"]["uid"], get_claim(&rig.server, "local")["metadata"]["uid"]);
    assert_eq!(found["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"], "yes");

    rig.create(with("made", "made").node_selector("kubernetes.io/hostname", "a"));
    assert_eq!(rig.bound("made").await, "a");
    assert_eq!(selected_node(&rig.server, "made"), "a");
    assert_eq!(get_claim(&rig.server, "made")["status"]["phase"], "Bound");

    // No volume is left for the third, until there is one.
    rig.create(with("later", "later"));
    let message = rig.refused("later", "Unschedulable").await;
    assert!(message.contains("2 node(s) didn't find available persistent volumes to bind"), "{message}");
    rig.create(volume("on-a", "local", "a"));
    assert_eq!(rig.bound("later").await, "a");
    assert_eq!(rig.scheduler.metric(BIND_ERRORS), 0.0);
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pods_for_few_volumes() {
    let rig = start(true, "").await;
    for n in 0..8 {
        rig.create(volume(&format!("v{n}"), "local", if n % 2 == 0 { "a" } else { "b" }));
    }
    for n in 0..24 {
        rig.create(claim(&format!("c{n}"), "local"));
        rig.create(with(&format!("p{n}"), &format!("c{n}")));
    }
    let bound = || rig.pods().into_iter().filter(|pod| !text(pod, "/spec/nodeName").is_empty()).count();
    rig.until("8 pods to be bound", || bound() == 8).await;
    let waiting = || {
        let no_volume = "node(s) didn't find available persistent volumes to bind";
        let told = |pod: &Value| condition(pod).is_some_and(|c| text(&c, "/message").contains(no_volume));
        rig.pods().iter().filter(|pod| told(pod)).count()
    };
    rig.until("16 pods to be told", || waiting() == 16).await;
    assert_eq!(bound(), 8);
    check_volumes(&rig);
    rig.create(volume("another", "local", "a"));
    rig.until("one more to be bound", || bound() == 9).await;
    check_volumes(&rig);
    rig.check_books();
    rig.end().await;
}

/// Every pod on a node has the volume of its claim there, and no two have the same.
fn check_volumes(rig: &Rig) {
    let mut used = BTreeSet::new();
    for pod in rig.pods().iter().filter(|pod| !text(pod, "/spec/nodeName").is_empty()) {
        let claim = get_claim(&rig.server, text(pod, "/spec/volumes/0/persistentVolumeClaim/claimName"));
        let name = text(&claim, "/spec/volumeName").to_owned();
        let volume = rig.server.get("persistentvolumes", "", &name).unwrap();
        let values = "/spec/nodeAffinity/required/nodeSelectorTerms/0/matchExpressions/0/values/0";
        assert_eq!(text(&volume, values), text(pod, "/spec/nodeName"), "{name}");
        assert_eq!(volume["spec"]["claimRef"]["uid"], claim["metadata"]["uid"], "{name}");
        assert!(used.insert(name.clone()), "{name} is used twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_never_gets_its_volume_says_so() {
    let rig = start(false, IMPATIENT).await;
    rig.create(claim("never", "made"));
    rig.create(with("stuck", "never"));
    rig.create(pod("other"));
    rig.bound("other").await;
    assert_eq!(rig.refused("stuck", "SchedulerError").await, TIMED_OUT);
    rig.until("its event", || !rig.events("stuck", "FailedScheduling").is_empty()).await;
    assert!(rig.scheduler.metric(BIND_ERRORS) >= 1.0);
    // It is tried again. The volume may be used on any node, so the one that the claim had named does not matter.
    complete(&rig.server, "never", "none");
    rig.create(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "none"},
                      "spec": {"capacity": {"storage": "1Gi"}, "storageClassName": "made"}}));
    rig.bound("stuck").await;
    rig.check_books();
    rig.end().await;
}

/// More pods wait than there may be bindings under way.
#[tokio::test(flavor = "multi_thread")]
async fn pods_that_wait_for_volumes_hold_up_no_other() {
    let rig = start(false, "").await;
    rig.create(claim("shared", "made"));
    for n in 0..300 {
        rig.create(with(&format!("p{n}"), "shared"));
    }
    rig.until("the claim to name a node", || !selected_node(&rig.server, "shared").is_empty()).await;
    // Behind all of them in the queue.
    rig.create(pod("other"));
    rig.bound("other").await;
    rig.create(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "made"},
                      "spec": {"capacity": {"storage": "1Gi"}, "storageClassName": "made"}}));
    complete(&rig.server, "shared", "made");
    rig.all_bound().await;
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provisioner_that_gives_up_sends_the_pod_elsewhere() {
    let rig = start(false, "").await;
    rig.create(claim("c", "made"));
    rig.create(with("p", "c"));
    let name = || selected_node(&rig.server, "c");
    rig.until("the claim to name a node", || !name().is_empty()).await;
    let first = name();
    rig.server.edit("nodes", "", &first, |node| node["spec"]["unschedulable"] = json!(true)).unwrap();
    // The watch of nodes is to be ahead: only then the other node is certain to be chosen.
    rig.create(pod("probe"));
    let other = rig.bound("probe").await;
    let give_up = |claim: &mut Value| {
        claim["metadata"]["annotations"] = json!({"volume.kubernetes.io/storage-provisioner": "csi.example.com"});
    };
    rig.server.edit("persistentvolumeclaims", "default", "c", give_up).unwrap();
    let message = "running PreBind plugin \"VolumeBinding\": binding volumes: provisioning failed for PVC \"c\"";
    assert_eq!(rig.refused("p", "SchedulerError").await, message);
    rig.until("the claim to name the other node", || name() == other && other != first).await;
    rig.end().await;
}

/// Four pods with claims of both kinds, while patches of this resource go wrong like this, as often as it says.
async fn suffers(resource: &str, rule: Rule, times: u64) {
    let rig = start(true, "").await;
    let rule = rig.server.faults().add(rule.verb("patch").resource(resource).times(times));
    for n in 0..4 {
        let class = if n % 2 == 0 { "local" } else { "made" };
        rig.create(volume(&format!("v{n}"), "local", "a"));
        rig.create(claim(&format!("c{n}"), class));
        rig.create(with(&format!("p{n}"), &format!("c{n}")));
    }
    rig.all_bound().await;
    assert_eq!(rig.server.faults().hits(rule), times);
    for n in 0..4 {
        assert_eq!(get_claim(&rig.server, &format!("c{n}"))["status"]["phase"], "Bound");
    }
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_that_fail_are_tried_again_from_a_fresh_look() {
    suffers("persistentvolumes", Rule::status(409), 2).await;
    suffers("persistentvolumeclaims", Rule::status(500), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_whose_answers_are_lost_are_found_done() {
    suffers("persistentvolumes", Rule::new(Fault::DropAfter), 2).await;
    suffers("persistentvolumeclaims", Rule::new(Fault::DropAfter), 2).await;
}

/// Whatever a scheduler leaves behind, the next one goes on from there.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_scheduler_goes_on_where_the_last_one_stopped() {
    let rig = start(false, "").await;
    rig.server.load(vec![volume("kept", "local", "b"), volume("bound", "local", "a")]);
    for (name, class, node) in [("selected", "made", "b"), ("kept", "local", "b"), ("bound", "local", "a")] {
        rig.create(claim(name, class));
        rig.create(with(name, name).node_selector("kubernetes.io/hostname", node));
    }
    let server = &rig.server;
    rig.until("the claim to name its node", || selected_node(server, "selected") == "b").await;
    rig.until("the volumes to be kept", || owner(server, "kept") == "kept" && owner(server, "bound") == "bound").await;
    let Rig { server, scheduler } = rig;
    scheduler.stop();
    scheduler.end().await.unwrap();
    complete(&server, "bound", "bound");
    server.clear_calls();

    let scheduler = Replica::start(&server.url(), single(""));
    let rig = Rig { server, scheduler };
    assert_eq!(rig.bound("bound").await, "a");
    rig.create(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "made"},
                      "spec": {"capacity": {"storage": "1Gi"}, "storageClassName": "made"}}));
    complete(&rig.server, "selected", "made");
    complete(&rig.server, "kept", "kept");
    assert_eq!(rig.bound("selected").await, "b");
    assert_eq!(rig.bound("kept").await, "b");
    // All of it had been written by the first one.
    let written = |resource: &str| rig.server.calls().into_iter().any(|c| c.resource == resource && c.verb == "patch");
    assert!(!written("persistentvolumes") && !written("persistentvolumeclaims"));
    rig.end().await;
}
