//! Nodes, pods and ReplicaSets of the workloads that are made here, as the API has them.

use serde_json::{Value, json};

use super::workload::Kind;
use crate::commands::bench::shared;

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";
const ZONES: usize = 3;

/// Nodes of 32 CPUs, 256 GiB and 110 pods, in three zones in turn.
pub(super) fn node(number: usize) -> Value {
    shared::node(number, &format!("zone-{}", number % ZONES))
}

/// A pod of a group. With a sample's number: one of a class never seen, with selectors never seen that select the same
/// pods.
pub(super) fn pod(kind: Kind, group: usize, sample: Option<usize>) -> Value {
    let mut pod = match kind {
        Kind::Templates => plain(100 + 10 * group, 500_000_000 + 10_000_000 * group),
        _ => plain(100, 500_000_000),
    };
    pod["metadata"]["labels"] = json!({ "group": label(kind, group) });
    let selector = selector(kind, group, sample);
    let term = |key: &str| json!({ "topologyKey": key, "labelSelector": selector });
    let required = |term: Value| json!({ "requiredDuringSchedulingIgnoredDuringExecution": term });
    let affinity = match kind {
        Kind::Basic | Kind::Templates => json!({}),
        Kind::Spread => {
            pod["spec"]["topologySpreadConstraints"] = json!([{
                "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "topologyKey": ZONE, "labelSelector": selector,
            }]);
            json!({})
        }
        Kind::DefaultSpread => {
            let name = set_name(group, sample);
            pod["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": true, "name": name, "uid": name,
            }]);
            json!({})
        }
        Kind::NodeAffinity => {
            let mut zones = vec!["zone-0".to_owned(), "zone-1".to_owned()];
            zones.extend(sample.map(|sample| format!("zone-of-sample-{sample}")));
            let zones = json!({ "key": ZONE, "operator": "In", "values": zones });
            json!({ "nodeAffinity": required(json!({ "nodeSelectorTerms": [{ "matchExpressions": [zones] }] })) })
        }
        Kind::Affinity => json!({ "podAffinity": required(json!([term(ZONE)])) }),
        Kind::AntiAffinity => json!({ "podAntiAffinity": required(json!([term(HOSTNAME)])) }),
        Kind::Preferred => json!({ "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [
            { "weight": 100, "podAffinityTerm": term(HOSTNAME) },
        ] } }),
    };
    pod["spec"]["affinity"] = affinity;
    if let Some(sample) = sample {
        unlike_all_others(&mut pod, sample);
    }
    pod
}

/// A pod that asks for this and nothing else.
pub(super) fn plain(milli_cpu: usize, memory_bytes: usize) -> Value {
    json!({
        "metadata": { "name": "pod", "namespace": "default" },
        "spec": { "containers": [{ "name": "main", "image": "registry.example/app:1", "resources": { "requests": {
            "cpu": format!("{milli_cpu}m"), "memory": memory_bytes.to_string(),
        } } }] },
    })
}

/// Makes a pod ask for some bytes more than those like it. All sizes made here are multiples of a million bytes, those
/// of traces are of 2^20.
pub(super) fn unlike_all_others(pod: &mut Value, sample: usize) {
    let sidecar = json!({ "name": "sidecar", "image": "registry.example/app:1", "resources": { "requests": {
        "cpu": "0", "memory": (sample + 1).to_string(),
    } } });
    if let Some(containers) = pod["spec"]["containers"].as_array_mut() {
        containers.push(sidecar);
    }
}

/// The label that the pods of a group have.
fn label(kind: Kind, group: usize) -> String {
    format!("{}-{group}", kind.name())
}

fn selector(kind: Kind, group: usize, sample: Option<usize>) -> Value {
    match sample {
        None => json!({ "matchLabels": { "group": label(kind, group) } }),
        Some(sample) => json!({ "matchExpressions": [
            { "key": "group", "operator": "In", "values": [label(kind, group)] },
            { "key": "sample", "operator": "NotIn", "values": [sample.to_string()] },
        ] }),
    }
}

/// The name of the ReplicaSet that a group, or a sample, belongs to.
pub(super) fn set_name(group: usize, sample: Option<usize>) -> String {
    sample.map_or_else(|| label(Kind::DefaultSpread, group), |sample| format!("sample-{sample}"))
}

/// That ReplicaSet.
pub(super) fn replica_set(group: usize, sample: Option<usize>) -> Value {
    json!({ "spec": { "selector": selector(Kind::DefaultSpread, group, sample) } })
}
