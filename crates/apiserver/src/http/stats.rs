//! What the server has stored and answered, for people and benchmarks.

use serde_json::{Map, Value, json};

use crate::cluster::Cluster;

pub(super) fn stats(cluster: &Cluster) -> Value {
    let objects: Map<String, Value> = cluster
        .stores()
        .map(|store| (store.kind().qualified(), Value::from(store.len())))
        .filter(|(_, count)| *count != 0)
        .collect();
    let calls: Vec<Value> = cluster
        .call_counts()
        .into_iter()
        .map(|call| {
            json!({
                "verb": call.verb, "group": call.group, "resource": call.resource,
                "subresource": call.subresource, "code": call.code, "count": call.count,
            })
        })
        .collect();
    let faults = cluster.faults.injected().into_iter().filter(|(_, count)| *count > 0);
    let faults: Map<String, Value> = faults.map(|(what, count)| (what.to_owned(), Value::from(count))).collect();
    json!({"objects": objects, "calls": calls, "faults": faults})
}
