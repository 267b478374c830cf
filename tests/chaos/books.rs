//! What must hold, whatever happens.

use std::collections::BTreeMap;

use plimsoll_apiserver::Call;
use plimsoll_engine::cache::Standing;
use plimsoll_engine::engine::Engine;
use serde_json::Value;

use crate::seen::{Named, Node, Pod, all, milli_cpu};
use crate::world::World;

/// No node holds more than it can give, and no kubelet has turned away a pod for want of room.
pub(crate) fn check_nodes(world: &World) {
    let mut used: BTreeMap<String, u64> = BTreeMap::new();
    for pod in all::<Pod>(&world.server, "pods") {
        let (name, reason) = (&pod.metadata.name, &pod.status.reason);
        assert!(!reason.starts_with("OutOf"), "a kubelet refused {name}: {reason}");
        if !pod.is_over() {
            *used.entry(pod.spec.node_name.clone()).or_default() += pod.milli_cpu();
        }
    }
    for node in all::<Node>(&world.server, "nodes") {
        let name = &node.metadata.name;
        let (taken, room) = (used.remove(name).unwrap_or(0), milli_cpu(&node.status.allocatable));
        assert!(taken <= room, "{taken} of {room} thousandths of a CPU are given away on {name}");
    }
}

/// How many bindings were accepted, as far as the answer told.
pub(crate) fn bindings(calls: &[Call]) -> u64 {
    let accepted = |call: &&Call| call.subresource == "binding" && (200..300).contains(&call.code);
    u64::try_from(calls.iter().filter(accepted).count()).unwrap()
}

/// How many pods had to make room for others, as far as the answer told.
pub(crate) fn evictions(calls: &[Call]) -> u64 {
    let deleted = |call: &&Call| call.verb == "delete" && call.resource == "pods" && (200..300).contains(&call.code);
    u64::try_from(calls.iter().filter(deleted).count()).unwrap()
}

/// No pod was bound twice. Every pod has a name of its own here.
pub(crate) fn check_bindings(world: &World) {
    let mut accepted: BTreeMap<String, u64> = BTreeMap::new();
    for call in world.server.calls() {
        // What was done without an answer shows in the pod alone, and in that its next binding is refused.
        if call.subresource == "binding" && (200..300).contains(&call.code) {
            *accepted.entry(call.name).or_default() += 1;
        }
    }
    let twice: Vec<_> = accepted.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "bound twice: {twice:?}");
}

/// Every pod has a node; but for those of gangs that have lost some of their pods.
pub(crate) fn check_pods(world: &World) {
    let pods: Vec<Pod> = all::<Pod>(&world.server, "pods").into_iter().filter(|pod| !pod.is_over()).collect();
    for pod in &pods {
        let complete = pod.gang().is_none_or(|(gang, size)| {
            pods.iter().filter(|other| other.gang().is_some_and(|(of, _)| of == gang)).count() >= size
        });
        assert!(!complete || !pod.spec.node_name.is_empty(), "{} was lost", pod.metadata.name);
    }
}

/// Every claim of a pod on a node has a volume of its own.
pub(crate) fn check_volumes(world: &World) {
    let text = |object: &Value, at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut volumes: BTreeMap<String, String> = BTreeMap::new();
    for pod in world.server.list("pods", None).unwrap() {
        let name = text(&pod, "/spec/volumes/0/persistentVolumeClaim/claimName");
        if name.is_empty() || text(&pod, "/spec/nodeName").is_empty() {
            continue;
        }
        let claim = world.server.get("persistentvolumeclaims", "default", &name).unwrap();
        assert_eq!(text(&claim, "/status/phase"), "Bound", "the claim of {name}");
        let volume = text(&claim, "/spec/volumeName");
        let owner = text(&world.server.get("persistentvolumes", "", &volume).unwrap(), "/spec/claimRef/uid");
        assert_eq!(owner, text(&claim, "/metadata/uid"), "the owner of {volume}");
        if let Some(other) = volumes.insert(volume.clone(), name.clone()) {
            panic!("{volume} is that of {name} and of {other}");
        }
    }
}

/// What a scheduler believes: pods by UID with their nodes, and nodes by name with their pods.
type Belief = (BTreeMap<String, String>, BTreeMap<String, Vec<String>>);

fn belief(engine: &Engine) -> Belief {
    assert_eq!((engine.bindings_under_way(), engine.waiting_to_bind()), (0, 0), "pods on the way to their nodes");
    let cache = engine.cache();
    let pods = cache.iter().map(|known| {
        assert!(!matches!(known.standing, Standing::Assumed(_)), "still assumed: {known:?}");
        (known.pod.key.uid.as_str().to_owned(), known.node().map_or_else(String::new, |n| n.to_string()))
    });
    let view = cache.table().view();
    let nodes = view.rows().filter_map(|row| {
        let mut uids: Vec<_> = view.pods(row).iter().map(|pod| pod.key.uid.as_str().to_owned()).collect();
        uids.sort();
        Some((view.node(row)?.name.to_string(), uids))
    });
    (pods.collect(), nodes.collect())
}

fn truth(world: &World) -> Belief {
    let nodes = all::<Named>(&world.server, "nodes").into_iter();
    let mut nodes: BTreeMap<_, Vec<_>> = nodes.map(|node| (node.metadata.name, Vec::new())).collect();
    let mut pods = BTreeMap::new();
    for pod in all::<Pod>(&world.server, "pods").into_iter().filter(|pod| !pod.is_over()) {
        if let Some(on_node) = nodes.get_mut(&pod.spec.node_name) {
            on_node.push(pod.metadata.uid.clone());
        }
        pods.insert(pod.metadata.uid, pod.spec.node_name);
    }
    nodes.values_mut().for_each(|uids| uids.sort());
    (pods, nodes)
}

/// Every scheduler knows exactly what is there.
pub(crate) async fn check_caches(world: &World) {
    let (pods, nodes) = truth(world);
    for replica in &world.replicas {
        let (known_pods, known_nodes) = replica.inspector.ask(belief).await.expect("the scheduler runs");
        assert_eq!(known_pods, pods, "pods in the cache are those in the store");
        assert_eq!(known_nodes, nodes, "nodes in the cache are those in the store");
    }
}
