//! The columns of nodes.

use serde_json::Value;

use super::{Columns, or_none};
use crate::json;

pub(super) const COLUMNS: Columns = &[
    "Name",
    "Status",
    "Roles",
    "Age",
    "Version",
    "+Internal-IP",
    "+External-IP",
    "+OS-Image",
    "+Kernel-Version",
    "+Container-Runtime",
];

pub(super) fn cells(node: &Value, name: Value, age: Value) -> Vec<Value> {
    let labels = json::at(node, &["metadata", "labels"]).and_then(Value::as_object);
    let roles = labels.into_iter().flatten().filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"));
    let roles = roles.collect::<Vec<_>>().join(",");
    let address = |sort: &str| {
        let mut addresses = json::items(node, &["status", "addresses"]).iter();
        let found = addresses.find(|address| json::text(address, &["type"]) == sort);
        Value::from(or_none(found.map_or("", |address| json::text(address, &["address"]))))
    };
    let info = |field| match json::text(node, &["status", "nodeInfo", field]) {
        "" => Value::from("<unknown>"),
        text => text.into(),
    };
    vec![
        name,
        status(node).into(),
        or_none(&roles).into(),
        age,
        json::text(node, &["status", "nodeInfo", "kubeletVersion"]).into(),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

fn status(node: &Value) -> String {
    let mut conditions = json::items(node, &["status", "conditions"]).iter();
    let ready = conditions.find(|condition| json::text(condition, &["type"]) == "Ready");
    let status = match ready.map(|condition| json::text(condition, &["status"])) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    let cordoned = if json::flag(node, &["spec", "unschedulable"]) { ",SchedulingDisabled" } else { "" };
    format!("{status}{cordoned}")
}
