//! Binding claims to volumes.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{fit, provision};
use crate::{cluster::Cluster, json, kinds::Role, ops::Target, stored::Stored};

/// The annotations by which the binder tells what it did.
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";

/// Does for a claim what can be done now; whether that was all.
pub(super) fn settle(cluster: &Cluster, stored: &Arc<Stored>) -> bool {
    let claim = stored.value();
    if stored.deleting {
        return true;
    }
    let wanted = json::text(&claim, &["spec", "volumeName"]);
    if !wanted.is_empty() {
        return finish(cluster, stored, &claim, wanted);
    }
    let waits = waits_for_consumer(cluster, &claim);
    let (volumes, _) = cluster.store_of(Role::PersistentVolume).all();
    let mut fitting: Vec<(Value, Arc<Stored>)> = volumes
        .into_iter()
        .map(|volume| (volume.value(), volume))
        .filter(|(volume, _)| fit::fits(volume, &claim))
        // Which free volume it gets is the scheduler's choice where the class waits for that.
        .filter(|(volume, _)| !waits || fit::reference(volume, &claim) == Some(true))
        .collect();
    fitting.sort_by_key(|(volume, _)| {
        (fit::reference(volume, &claim).is_none(), fit::size(volume, &["spec", "capacity", "storage"]))
    });
    match fitting.first() {
        Some((_, volume)) => bind(cluster, stored, volume),
        None => provision::provision(cluster, stored, &claim, waits),
    }
}

/// Whether the claim's class leaves the choice to the scheduler.
fn waits_for_consumer(cluster: &Cluster, claim: &Value) -> bool {
    let class = cluster.store_of(Role::StorageClass).get(json::text(claim, &["spec", "storageClassName"]));
    class.is_some_and(|class| json::text(&class.value(), &["volumeBindingMode"]) == "WaitForFirstConsumer")
}

/// A claim that names its volume is bound to it, if that is free and has room.
fn finish(cluster: &Cluster, stored: &Arc<Stored>, claim: &Value, name: &str) -> bool {
    let Some(volume) = cluster.store_of(Role::PersistentVolume).get(name) else {
        if json::text(claim, &["status", "phase"]) == "Bound" {
            set_phase(cluster, stored, "Lost");
        }
        return false;
    };
    let bound = json::text(claim, &["metadata", "annotations", BIND_COMPLETED]) == "yes"
        && json::text(claim, &["status", "phase"]) == "Bound";
    let value = volume.value();
    let own = fit::reference(&value, claim) == Some(true);
    if bound && own && !json::text(&value, &["spec", "claimRef", "uid"]).is_empty() {
        return true;
    }
    let fits = own || fit::reference(&value, claim).is_none();
    fits && bind(cluster, stored, &volume)
}

/// Writes both sides; whether both are written.
pub(super) fn bind(cluster: &Cluster, claim: &Stored, volume: &Stored) -> bool {
    let (volumes, claims) =
        (cluster.kinds.role(Role::PersistentVolume), cluster.kinds.role(Role::PersistentVolumeClaim));
    let value = claim.value();
    let taken = cluster.edit(Target::of(volumes, volume), |volume| {
        if fit::reference(volume, &value) == Some(false) {
            return Err(crate::failure::Failure::modified(volumes, json::text(volume, &["metadata", "name"])));
        }
        let before = volume.clone();
        if fit::reference(volume, &value).is_none() {
            json::set(volume, &["metadata", "annotations", BOUND_BY_CONTROLLER], "yes");
        }
        json::set(volume, &["spec", "claimRef"], claim_reference(&value));
        json::set(volume, &["status", "phase"], "Bound");
        Ok(*volume != before)
    });
    let Ok(volume) = taken else { return false };
    let volume = volume.value();
    let bound = cluster.edit(Target::of(claims, claim), |claim| {
        let before = claim.clone();
        if json::text(claim, &["spec", "volumeName"]).is_empty() {
            json::set(claim, &["metadata", "annotations", BOUND_BY_CONTROLLER], "yes");
        }
        json::set(claim, &["metadata", "annotations", BIND_COMPLETED], "yes");
        json::set(claim, &["spec", "volumeName"], json::text(&volume, &["metadata", "name"]));
        json::set(claim, &["status", "phase"], "Bound");
        for field in ["accessModes", "capacity"] {
            json::set(claim, &["status", field], json::at(&volume, &["spec", field]).cloned().unwrap_or_default());
        }
        Ok(*claim != before)
    });
    bound.is_ok()
}

/// How a volume names its claim.
pub(super) fn claim_reference(claim: &Value) -> Value {
    let meta = |field| json::at(claim, &["metadata", field]).cloned().unwrap_or_default();
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": meta("name"), "namespace": meta("namespace"),
        "uid": meta("uid"), "resourceVersion": meta("resourceVersion"),
    })
}

fn set_phase(cluster: &Cluster, claim: &Stored, phase: &str) {
    // A claim that went needs no phase.
    let _ = cluster.edit(Target::of(cluster.kinds.role(Role::PersistentVolumeClaim), claim), |claim| {
        json::set(claim, &["status", "phase"], phase);
        Ok(true)
    });
}
