//! The columns of workloads.

use jiff::Timestamp;
use serde_json::Value;

use super::since;
use crate::{json, kinds::Role};

fn number(object: &Value, path: &[&str]) -> i64 {
    json::int(object, path).unwrap_or_default()
}

/// Ready replicas of wanted ones.
pub(super) fn ready(object: &Value) -> String {
    format!("{}/{}", number(object, &["status", "readyReplicas"]), number(object, &["spec", "replicas"]))
}

pub(super) fn deployment(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let status = |field| Value::from(number(object, &["status", field]));
    vec![name, ready(object).into(), status("updatedReplicas"), status("availableReplicas"), age]
}

pub(super) fn replica_set(role: Role, object: &Value, name: Value, age: Value) -> Vec<Value> {
    let status = |field| number(object, &["status", field]);
    let (desired, current, ready) = if role == Role::DaemonSet {
        (status("desiredNumberScheduled"), status("currentNumberScheduled"), status("numberReady"))
    } else {
        (number(object, &["spec", "replicas"]), status("replicas"), status("readyReplicas"))
    };
    vec![name, desired.into(), current.into(), ready.into(), age]
}

pub(super) fn job(object: &Value, name: Value, age: Value, now: Timestamp) -> Vec<Value> {
    let conditions = json::items(object, &["status", "conditions"]);
    let holds =
        |kind| conditions.iter().any(|c| json::text(c, &["type"]) == kind && json::text(c, &["status"]) == "True");
    let state = if holds("Complete") {
        "Complete"
    } else if holds("Failed") {
        "Failed"
    } else if json::flag(object, &["spec", "suspend"]) {
        "Suspended"
    } else {
        "Running"
    };
    let wanted = json::int(object, &["spec", "completions"]).unwrap_or(1);
    let completions = format!("{}/{wanted}", number(object, &["status", "succeeded"]));
    let end = json::text(object, &["status", "completionTime"]).parse().unwrap_or(now);
    let start = json::text(object, &["status", "startTime"]);
    let duration = if start.is_empty() { String::new() } else { since(start, end) };
    vec![name, state.into(), completions.into(), duration.into(), age]
}

pub(super) fn cron_job(object: &Value, name: Value, age: Value, now: Timestamp) -> Vec<Value> {
    let suspend = if json::flag(object, &["spec", "suspend"]) { "True" } else { "False" };
    let last = json::text(object, &["status", "lastScheduleTime"]);
    let last = if last.is_empty() { "<none>".to_owned() } else { since(last, now) };
    vec![
        name,
        json::text(object, &["spec", "schedule"]).into(),
        suspend.into(),
        json::items(object, &["status", "active"]).len().into(),
        last.into(),
        age,
    ]
}
