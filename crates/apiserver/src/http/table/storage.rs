//! The columns of volumes, claims and their classes, and of services.

use serde_json::Value;

use super::{Columns, or_none, shown, workload::pairs};
use crate::json;

pub(super) const VOLUME: Columns = &[
    "Name",
    "Capacity",
    "Access Modes",
    "Reclaim Policy",
    "Status",
    "Claim",
    "StorageClass",
    "VolumeAttributesClass",
    "Reason",
    "Age",
    "+VolumeMode",
];

pub(super) const CLAIM: Columns = &[
    "Name",
    "Status",
    "Volume",
    "Capacity",
    "Access Modes",
    "StorageClass",
    "VolumeAttributesClass",
    "Age",
    "+VolumeMode",
];

pub(super) const CLASS: Columns =
    &["Name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"];

/// Access modes in their short form.
fn modes(object: &Value, path: &[&str]) -> String {
    let short = json::items(object, path).iter().map(|mode| match mode.as_str().unwrap_or_default() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        other => other,
    });
    short.collect::<Vec<_>>().join(",")
}

fn text(object: &Value, path: &[&str]) -> Value {
    json::text(object, path).into()
}

/// A phase, or that the object is about to go.
fn phase(object: &Value) -> Value {
    match json::text(object, &["metadata", "deletionTimestamp"]) {
        "" => text(object, &["status", "phase"]),
        _ => "Terminating".into(),
    }
}

pub(super) fn volume(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let claim = |field| json::text(object, &["spec", "claimRef", field]);
    let claim =
        if claim("name").is_empty() { String::new() } else { format!("{}/{}", claim("namespace"), claim("name")) };
    vec![
        name,
        text(object, &["spec", "capacity", "storage"]),
        modes(object, &["spec", "accessModes"]).into(),
        text(object, &["spec", "persistentVolumeReclaimPolicy"]),
        phase(object),
        claim.into(),
        text(object, &["spec", "storageClassName"]),
        or_unset(json::text(object, &["spec", "volumeAttributesClassName"])),
        text(object, &["status", "reason"]),
        age,
        or_unset(json::text(object, &["spec", "volumeMode"])),
    ]
}

pub(super) fn claim(object: &Value, name: Value, age: Value) -> Vec<Value> {
    vec![
        name,
        phase(object),
        text(object, &["spec", "volumeName"]),
        text(object, &["status", "capacity", "storage"]),
        modes(object, &["status", "accessModes"]).into(),
        text(object, &["spec", "storageClassName"]),
        or_unset(json::text(object, &["spec", "volumeAttributesClassName"])),
        age,
        or_unset(json::text(object, &["spec", "volumeMode"])),
    ]
}

fn or_unset(text: &str) -> Value {
    if text.is_empty() { "<unset>".into() } else { text.into() }
}

pub(super) fn class(object: &Value, name: &Value, age: Value) -> Vec<Value> {
    let mark = "storageclass.kubernetes.io/is-default-class";
    let default = json::text(object, &["metadata", "annotations", mark]) == "true";
    let name = format!("{}{}", name.as_str().unwrap_or_default(), if default { " (default)" } else { "" });
    vec![
        name.into(),
        text(object, &["provisioner"]),
        text(object, &["reclaimPolicy"]),
        text(object, &["volumeBindingMode"]),
        json::flag(object, &["allowVolumeExpansion"]).to_string().into(),
        age,
    ]
}

pub(super) fn service(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let ports: Vec<String> = json::items(object, &["spec", "ports"])
        .iter()
        .map(|port| {
            let node = json::int(port, &["nodePort"]).map(|node| format!(":{node}")).unwrap_or_default();
            let protocol = Some(json::text(port, &["protocol"])).filter(|p| !p.is_empty()).unwrap_or("TCP");
            format!("{}{node}/{protocol}", shown(port.get("port")))
        })
        .collect();
    let selector = json::at(object, &["spec", "selector"]).and_then(Value::as_object);
    vec![
        name,
        or_none(json::text(object, &["spec", "type"])).into(),
        or_none(json::text(object, &["spec", "clusterIP"])).into(),
        "<none>".into(),
        or_none(&ports.join(",")).into(),
        age,
        or_none(&pairs(selector)).into(),
    ]
}
