//! ReplicaSets and ReplicationControllers: as many active pods as wanted.

use std::{cmp::Reverse, sync::Arc};

use serde_json::{Value, json};

use super::owned;
use crate::{
    cluster::Cluster,
    json,
    kinds::Role,
    ops::{DeleteOptions, Target},
    stored::Stored,
};

/// Looks after an object of either role.
pub(super) fn reconcile(cluster: &Cluster, role: Role, stored: &Stored) {
    let set = stored.value();
    let wanted = usize::try_from(json::int(&set, &["spec", "replicas"]).unwrap_or(1)).unwrap_or_default();
    let mut active = cluster.pods().owned_by(&stored.uid);
    active.retain(|pod| pod.pod_active());
    if active.len() < wanted {
        grow(cluster, &set, wanted - active.len());
    } else if active.len() > wanted {
        let surplus = active.len() - wanted;
        shrink(cluster, &mut active, surplus);
    }
    report(cluster, role, stored, &set);
}

fn grow(cluster: &Cluster, set: &Value, missing: usize) {
    let template = json::at(set, &["spec", "template"]).cloned().unwrap_or_default();
    let prefix = format!("{}-", json::text(set, &["metadata", "name"]));
    for _ in 0..missing.min(owned::AT_ONCE) {
        let mut pod = owned::pod_of(set, &template);
        json::set(&mut pod, &["metadata", "generateName"], prefix.as_str());
        match owned::create(cluster, set, cluster.kinds.role(Role::Pod), pod) {
            Err(failure) if failure.reason != "AlreadyExists" => return,
            _ => {}
        }
    }
}

/// Deletes the least useful pods first: unbound, then not ready, then the newest.
fn shrink(cluster: &Cluster, active: &mut [Arc<Stored>], surplus: usize) {
    active.sort_by_key(|pod| (!pod.pod_node().is_empty(), pod.ready, Reverse(pod.version)));
    for pod in active.iter().take(surplus) {
        // Already gone is as good.
        let _ = cluster.delete(Target::of(cluster.kinds.role(Role::Pod), pod), &DeleteOptions::default());
    }
}

fn report(cluster: &Cluster, role: Role, stored: &Stored, set: &Value) {
    let pods = cluster.pods().owned_by(&stored.uid);
    let active = pods.iter().filter(|pod| pod.pod_active()).count();
    let ready = pods.iter().filter(|pod| pod.pod_active() && pod.ready).count();
    let status = json!({
        "replicas": active, "fullyLabeledReplicas": active, "readyReplicas": ready, "availableReplicas": ready,
        "observedGeneration": json::int(set, &["metadata", "generation"]),
    });
    owned::set_status(cluster, cluster.kinds.role(role), stored, &status);
}
