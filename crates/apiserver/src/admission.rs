//! Defaults and admission, as far as scheduling depends on them. Values are not validated: tests feed rubbish through
//! on purpose, as a real cluster may after an upgrade.

mod gates;
mod match_labels;
mod pod;
mod priority;
mod runtime_class;
mod storage_class;
mod tolerations;

use serde_json::Value;

use crate::{
    cluster::Cluster,
    failure::Failure,
    json,
    kinds::{Kind, Role},
};

pub(crate) use pod::after_resize;

/// Completes a new object, or refuses it.
pub(crate) fn on_create(cluster: &Cluster, kind: &Kind, value: &mut Value) -> Result<(), Failure> {
    defaults(kind, value);
    if kind.role == Role::PersistentVolumeClaim {
        storage_class::admit(cluster, value);
    }
    if kind.role == Role::Pod {
        runtime_class::admit(cluster, value)?;
        priority::admit(cluster, value)?;
        tolerations::admit(value);
        match_labels::admit(cluster.options.minor, value);
        gates::admit(value, &cluster.clock.stamp());
        pod::initial_status(value);
    }
    Ok(())
}

/// Completes a changed object, or refuses the change.
pub(crate) fn on_update(kind: &Kind, before: &Value, after: &mut Value) -> Result<(), Failure> {
    defaults(kind, after);
    if kind.role == Role::Pod { pod::check_update(kind, before, after) } else { Ok(()) }
}

/// Sets what an object leaves open.
fn defaults(kind: &Kind, value: &mut Value) {
    match kind.role {
        Role::Pod => pod::defaults(value),
        Role::Node => node(value),
        Role::Namespace => {
            json::set_default(value, &["status", "phase"], "Active");
            json::set_default(value, &["spec", "finalizers"], serde_json::json!(["kubernetes"]));
            let name = json::text(value, &["metadata", "name"]).to_owned();
            json::set(value, &["metadata", "labels", "kubernetes.io/metadata.name"], name);
        }
        Role::Deployment => {
            json::set_default(value, &["spec", "replicas"], 1);
            json::set_default(value, &["spec", "strategy", "type"], "RollingUpdate");
        }
        Role::ReplicaSet | Role::StatefulSet => json::set_default(value, &["spec", "replicas"], 1),
        Role::ReplicationController => {
            json::set_default(value, &["spec", "replicas"], 1);
            let labels = json::at(value, &["spec", "template", "metadata", "labels"]).cloned();
            if let Some(labels) = labels {
                json::set_default(value, &["spec", "selector"], labels);
            }
        }
        Role::Job => job(value),
        Role::CronJob => json::set_default(value, &["spec", "concurrencyPolicy"], "Allow"),
        Role::PriorityClass => json::set_default(value, &["preemptionPolicy"], "PreemptLowerPriority"),
        Role::StorageClass => {
            json::set_default(value, &["volumeBindingMode"], "Immediate");
            json::set_default(value, &["reclaimPolicy"], "Delete");
        }
        Role::PersistentVolume => {
            json::set_default(value, &["spec", "volumeMode"], "Filesystem");
            json::set_default(value, &["spec", "persistentVolumeReclaimPolicy"], "Retain");
            json::set_default(value, &["status", "phase"], "Pending");
        }
        Role::PersistentVolumeClaim => {
            json::set_default(value, &["spec", "volumeMode"], "Filesystem");
            json::set_default(value, &["status", "phase"], "Pending");
        }
        _ => {}
    }
}

fn node(value: &mut Value) {
    if let Some(capacity) = json::at(value, &["status", "capacity"]).cloned() {
        json::set_default(value, &["status", "allocatable"], capacity);
    }
}

fn job(value: &mut Value) {
    json::set_default(value, &["spec", "parallelism"], 1);
    if json::int(value, &["spec", "completions"]).is_none() && json::int(value, &["spec", "parallelism"]) == Some(1) {
        json::set(value, &["spec", "completions"], 1);
    }
    json::set_default(value, &["spec", "backoffLimit"], 6);
    json::set_default(value, &["spec", "completionMode"], "NonIndexed");
}
