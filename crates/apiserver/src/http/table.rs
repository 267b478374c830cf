//! Tables, as kubectl prints them: the server chooses the columns.

mod node;
mod pod;
mod storage;
mod workload;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::read::metadata_only;
use crate::{
    json,
    kinds::{Column, Kind, Role},
};

/// Column names; those after a `+` are shown with `-o wide` only.
type Columns = &'static [&'static str];

/// Objects as a table.
pub(super) fn render(kind: &Kind, objects: &[Value], version: u64, now: Timestamp) -> Value {
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells =
                if kind.columns.is_empty() { cells(kind.role, object, now) } else { declared(kind, object, now) };
            json!({"cells": cells, "object": metadata_only(object)})
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": version.to_string()},
        "columnDefinitions": definitions(kind), "rows": rows,
    })
}

fn definitions(kind: &Kind) -> Vec<Value> {
    if kind.columns.is_empty() {
        return columns(kind.role).iter().enumerate().map(|(i, name)| definition(i, name)).collect();
    }
    let declared = kind.columns.iter().map(|column| {
        json!({
            "name": column.name, "type": column.sort, "format": "", "description": column.name,
            "priority": column.priority,
        })
    });
    std::iter::once(definition(0, "Name")).chain(declared).collect()
}

/// The cells of the columns that a custom resource declares.
fn declared(kind: &Kind, object: &Value, now: Timestamp) -> Vec<Value> {
    let cell = |column: &Column| match column.path.find(object).as_slice() {
        [] => Value::Null,
        [value, ..] if column.sort == "date" => since(value.as_str().unwrap_or_default(), now).into(),
        [value] if !value.is_array() && !value.is_object() => (*value).clone(),
        values => Value::from(values.iter().map(|value| shown(Some(value))).collect::<Vec<_>>().join(",")),
    };
    let name = json::at(object, &["metadata", "name"]).cloned().unwrap_or_default();
    std::iter::once(name).chain(kind.columns.iter().map(cell)).collect()
}

fn definition(index: usize, name: &str) -> Value {
    let (name, priority) = name.strip_prefix('+').map_or((name, 0), |name| (name, 1));
    let format = if index == 0 && name == "Name" { "name" } else { "" };
    json!({"name": name, "type": "string", "format": format, "description": name, "priority": priority})
}

fn columns(role: Role) -> Columns {
    match role {
        Role::Pod => pod::COLUMNS,
        Role::Node => node::COLUMNS,
        Role::Event | Role::CoreEvent => &[
            "Last Seen",
            "Type",
            "Reason",
            "Object",
            "+Subobject",
            "+Source",
            "Message",
            "+First Seen",
            "+Count",
            "+Name",
        ],
        Role::Deployment => &["Name", "Ready", "Up-to-date", "Available", "Age", "+Containers", "+Images", "+Selector"],
        Role::ReplicaSet | Role::ReplicationController => {
            &["Name", "Desired", "Current", "Ready", "Age", "+Containers", "+Images", "+Selector"]
        }
        Role::StatefulSet => &["Name", "Ready", "Age", "+Containers", "+Images"],
        Role::DaemonSet => workload::DAEMON_SET,
        Role::Job => &["Name", "Status", "Completions", "Duration", "Age", "+Containers", "+Images", "+Selector"],
        Role::CronJob => workload::CRON_JOB,
        Role::Namespace => &["Name", "Status", "Age"],
        Role::PersistentVolume => storage::VOLUME,
        Role::PersistentVolumeClaim => storage::CLAIM,
        Role::PriorityClass => &["Name", "Value", "Global-Default", "Age", "PreemptionPolicy"],
        Role::PodDisruptionBudget => &["Name", "Min Available", "Max Unavailable", "Allowed Disruptions", "Age"],
        Role::Lease => &["Name", "Holder", "Age"],
        Role::ConfigMap => &["Name", "Data", "Age"],
        Role::Secret => &["Name", "Type", "Data", "Age"],
        Role::Service => &["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"],
        Role::StorageClass => storage::CLASS,
        Role::RuntimeClass => &["Name", "Handler", "Age"],
        Role::Role
        | Role::RoleBinding
        | Role::ClusterRole
        | Role::ClusterRoleBinding
        | Role::ServiceAccount
        | Role::Review
        | Role::Plain => &["Name", "Age"],
    }
}

fn cells(role: Role, object: &Value, now: Timestamp) -> Vec<Value> {
    let name = json::at(object, &["metadata", "name"]).cloned().unwrap_or_default();
    let age = Value::from(since(json::text(object, &["metadata", "creationTimestamp"]), now));
    let text = |path: &[&str]| Value::from(or_none(json::text(object, path)));
    let plain = |path: &[&str]| Value::from(shown(json::at(object, path)));
    match role {
        Role::Pod => pod::cells(object, name, age),
        Role::Node => node::cells(object, name, age),
        Role::Event | Role::CoreEvent => event(object, name, now),
        Role::Deployment => workload::deployment(object, name, age),
        Role::ReplicaSet | Role::ReplicationController => workload::replica_set(object, name, age),
        Role::DaemonSet => workload::daemon_set(object, name, age),
        Role::StatefulSet => workload::stateful_set(object, name, age),
        Role::Job => workload::job(object, name, age, now),
        Role::CronJob => workload::cron_job(object, name, age, now),
        Role::Namespace => vec![name, text(&["status", "phase"]), age],
        Role::PersistentVolume => storage::volume(object, name, age),
        Role::PersistentVolumeClaim => storage::claim(object, name, age),
        Role::PriorityClass => {
            let default = json::flag(object, &["globalDefault"]).to_string();
            vec![name, plain(&["value"]), default.into(), age, text(&["preemptionPolicy"])]
        }
        Role::PodDisruptionBudget => vec![
            name,
            plain(&["spec", "minAvailable"]),
            plain(&["spec", "maxUnavailable"]),
            plain(&["status", "disruptionsAllowed"]),
            age,
        ],
        Role::Lease => vec![name, json::text(object, &["spec", "holderIdentity"]).into(), age],
        Role::ConfigMap => vec![name, data_count(object), age],
        Role::Secret => vec![name, text(&["type"]), data_count(object), age],
        Role::Service => storage::service(object, name, age),
        Role::StorageClass => storage::class(object, &name, age),
        Role::RuntimeClass => vec![name, text(&["handler"]), age],
        Role::Role
        | Role::RoleBinding
        | Role::ClusterRole
        | Role::ClusterRoleBinding
        | Role::ServiceAccount
        | Role::Review
        | Role::Plain => vec![name, age],
    }
}

fn event(object: &Value, name: Value, now: Timestamp) -> Vec<Value> {
    let last = [
        ["series", "lastObservedTime"].as_slice(),
        &["deprecatedLastTimestamp"],
        &["eventTime"],
        &["metadata", "creationTimestamp"],
    ]
    .into_iter()
    .map(|path| json::text(object, path))
    .find(|time| !time.is_empty());
    let first = [["deprecatedFirstTimestamp"].as_slice(), &["eventTime"], &["metadata", "creationTimestamp"]]
        .into_iter()
        .map(|path| json::text(object, path))
        .find(|time| !time.is_empty());
    let regarding = |field| json::text(object, &["regarding", field]);
    let count = json::int(object, &["series", "count"]).or_else(|| json::int(object, &["deprecatedCount"]));
    let source = [json::text(object, &["reportingController"]), json::text(object, &["deprecatedSource", "component"])];
    vec![
        since(last.unwrap_or_default(), now).into(),
        json::text(object, &["type"]).into(),
        json::text(object, &["reason"]).into(),
        format!("{}/{}", regarding("kind").to_lowercase(), regarding("name")).into(),
        regarding("fieldPath").into(),
        source.into_iter().find(|s| !s.is_empty()).unwrap_or_default().into(),
        json::text(object, &["note"]).trim().into(),
        since(first.unwrap_or_default(), now).into(),
        count.unwrap_or(1).into(),
        name,
    ]
}

fn data_count(object: &Value) -> Value {
    let count = |field: &str| object.get(field).and_then(Value::as_object).map_or(0, serde_json::Map::len);
    (count("data") + count("binaryData")).into()
}

/// What kubectl prints for nothing.
fn or_none(text: &str) -> &str {
    if text.is_empty() { "<none>" } else { text }
}

/// A scalar as text; absent values as kubectl prints them.
fn shown(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => "N/A".to_owned(),
        Some(other) => other.to_string(),
    }
}

/// The time since an RFC 3339 time, as kubectl writes ages.
fn since(time: &str, now: Timestamp) -> String {
    let Ok(time) = time.parse::<Timestamp>() else { return "<unknown>".to_owned() };
    age(now.duration_since(time).as_secs().max(0))
}

/// Seconds as kubectl writes ages: the two largest units, fewer the longer it is.
fn age(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let with_rest = |whole: i64, unit: char, rest: i64, rest_unit: char| {
        if rest == 0 { format!("{whole}{unit}") } else { format!("{whole}{unit}{rest}{rest_unit}") }
    };
    match seconds {
        s if s < 120 => format!("{s}s"),
        s if s < 600 => with_rest(minutes, 'm', s % 60, 's'),
        s if s < 10_800 => format!("{minutes}m"),
        s if s < 28_800 => with_rest(hours, 'h', minutes % 60, 'm'),
        s if s < 172_800 => format!("{hours}h"),
        s if s < 691_200 => with_rest(days, 'd', hours % 24, 'h'),
        s if s < 63_072_000 => format!("{days}d"),
        _ => with_rest(days / 365, 'y', days % 365, 'd'),
    }
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn ages_are_written_as_kubectl_writes_them() {
        for (seconds, want) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (600, "10m"),
            (10_800, "3h"),
            (11_000, "3h3m"),
            (30_000, "8h"),
            (180_000, "2d2h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_200_000, "2y1d"),
        ] {
            assert_eq!(age(seconds), want);
        }
    }
}
