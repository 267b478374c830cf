//! The columns of workloads.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Columns, or_none, since};
use crate::json;

pub(super) const DAEMON_SET: Columns = &[
    "Name",
    "Desired",
    "Current",
    "Ready",
    "Up-to-date",
    "Available",
    "Node Selector",
    "Age",
    "+Containers",
    "+Images",
    "+Selector",
];

pub(super) const CRON_JOB: Columns = &[
    "Name",
    "Schedule",
    "Timezone",
    "Suspend",
    "Active",
    "Last Schedule",
    "Age",
    "+Containers",
    "+Images",
    "+Selector",
];

fn number(object: &Value, path: &[&str]) -> i64 {
    json::int(object, path).unwrap_or_default()
}

/// Ready replicas of wanted ones.
pub(super) fn ready(object: &Value) -> String {
    format!("{}/{}", number(object, &["status", "readyReplicas"]), number(object, &["spec", "replicas"]))
}

/// Names and images of the containers of a template, and the selector, as they are shown with `-o wide`.
fn template(object: &Value, path: &[&str]) -> [Value; 3] {
    let containers = json::at(object, path).map_or(&[][..], |template| json::items(template, &["spec", "containers"]));
    let all = |field| containers.iter().map(|c| json::text(c, &[field])).collect::<Vec<_>>().join(",");
    let selector = json::at(object, &["spec", "selector"]);
    // ReplicationControllers select by labels alone.
    let labels = selector.and_then(|s| s.get("matchLabels").or(Some(s))).and_then(Value::as_object);
    [all("name").into(), all("image").into(), or_none(&pairs(labels)).into()]
}

/// Labels as `a=b,c=d`.
pub(super) fn pairs(labels: Option<&Map<String, Value>>) -> String {
    let labels = labels.into_iter().flatten().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    labels.collect::<Vec<_>>().join(",")
}

const TEMPLATE: [&str; 2] = ["spec", "template"];

fn with_template(mut cells: Vec<Value>, object: &Value) -> Vec<Value> {
    cells.extend(template(object, &TEMPLATE));
    cells
}

pub(super) fn deployment(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let status = |field| Value::from(number(object, &["status", field]));
    let cells = vec![name, ready(object).into(), status("updatedReplicas"), status("availableReplicas"), age];
    with_template(cells, object)
}

pub(super) fn replica_set(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let status = |field| Value::from(number(object, &["status", field]));
    let desired = number(object, &["spec", "replicas"]).into();
    with_template(vec![name, desired, status("replicas"), status("readyReplicas"), age], object)
}

pub(super) fn stateful_set(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let [containers, images, _] = template(object, &TEMPLATE);
    vec![name, ready(object).into(), age, containers, images]
}

pub(super) fn daemon_set(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let status = |field| Value::from(number(object, &["status", field]));
    let selector = json::at(object, &["spec", "template", "spec", "nodeSelector"]).and_then(Value::as_object);
    let cells = vec![
        name,
        status("desiredNumberScheduled"),
        status("currentNumberScheduled"),
        status("numberReady"),
        status("updatedNumberScheduled"),
        status("numberAvailable"),
        or_none(&pairs(selector)).into(),
        age,
    ];
    with_template(cells, object)
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
    let succeeded = number(object, &["status", "succeeded"]);
    let completions = match (json::int(object, &["spec", "completions"]), number(object, &["spec", "parallelism"])) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let end = json::text(object, &["status", "completionTime"]).parse().unwrap_or(now);
    let start = json::text(object, &["status", "startTime"]);
    let duration = if start.is_empty() { String::new() } else { since(start, end) };
    with_template(vec![name, state.into(), completions.into(), duration.into(), age], object)
}

pub(super) fn cron_job(object: &Value, name: Value, age: Value, now: Timestamp) -> Vec<Value> {
    let suspend = if json::flag(object, &["spec", "suspend"]) { "True" } else { "False" };
    let last = json::text(object, &["status", "lastScheduleTime"]);
    let last = if last.is_empty() { "<none>".to_owned() } else { since(last, now) };
    let mut cells = vec![
        name,
        json::text(object, &["spec", "schedule"]).into(),
        or_none(json::text(object, &["spec", "timeZone"])).into(),
        suspend.into(),
        json::items(object, &["status", "active"]).len().into(),
        last.into(),
        age,
    ];
    cells.extend(template(object, &["spec", "jobTemplate", "spec", "template"]));
    cells
}
