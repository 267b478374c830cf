//! The columns of pods.

use serde_json::Value;

use super::{Columns, or_none};
use crate::json;

pub(super) const COLUMNS: Columns =
    &["Name", "Ready", "Status", "Restarts", "Age", "+IP", "+Node", "+Nominated Node", "+Readiness Gates"];

pub(super) fn cells(pod: &Value, name: Value, age: Value) -> Vec<Value> {
    let containers = json::items(pod, &["spec", "containers"]).len();
    let statuses = json::items(pod, &["status", "containerStatuses"]);
    let ready = statuses.iter().filter(|status| json::flag(status, &["ready"])).count();
    let restarts: i64 = statuses.iter().filter_map(|status| json::int(status, &["restartCount"])).sum();
    let text = |path: &[&str]| Value::from(or_none(json::text(pod, path)));
    vec![
        name,
        format!("{ready}/{containers}").into(),
        status(pod).into(),
        restarts.into(),
        age,
        text(&["status", "podIP"]),
        text(&["spec", "nodeName"]),
        text(&["status", "nominatedNodeName"]),
        "<none>".into(),
    ]
}

/// One word on how the pod is.
fn status(pod: &Value) -> String {
    if !json::text(pod, &["metadata", "deletionTimestamp"]).is_empty() {
        return "Terminating".to_owned();
    }
    let reason = json::text(pod, &["status", "reason"]);
    let phase = json::text(pod, &["status", "phase"]);
    if !reason.is_empty() {
        return reason.to_owned();
    }
    match phase {
        "Succeeded" => "Completed".to_owned(),
        "Failed" => "Error".to_owned(),
        "Pending" if !json::items(pod, &["spec", "schedulingGates"]).is_empty() => "SchedulingGated".to_owned(),
        "Pending" if !json::text(pod, &["spec", "nodeName"]).is_empty() => "ContainerCreating".to_owned(),
        other => other.to_owned(),
    }
}
