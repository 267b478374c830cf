//! Changing objects: replacement, patches and scaling, with the rules on what a change may touch.

use std::sync::Arc;

use serde_json::Value;

use super::{Target, create::check_shape};
use crate::{
    admission,
    cluster::Cluster,
    failure::Failure,
    json,
    kinds::{Kind, Role},
    stored::Stored,
};

/// Which part of an object a write is addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All but the status.
    Main,
    /// The status alone.
    Status,
    /// A pod's container resources alone.
    Resize,
}

impl Cluster {
    /// Replaces an object's part.
    pub(crate) fn update(
        &self,
        target: Target<'_>,
        part: Part,
        value: Value,
        dry_run: bool,
    ) -> Result<Arc<Stored>, Failure> {
        let version = json::text(&value, &["metadata", "resourceVersion"]);
        if version.is_empty() && matches!(target.kind.role, Role::Lease | Role::PodDisruptionBudget) {
            let why = "Invalid value: 0: must be specified for an update";
            return Err(Failure::invalid(target.kind, target.name, "metadata.resourceVersion", why));
        }
        self.change(target, part, dry_run, |_| Ok(value.clone()))
    }

    /// Changes an object's part: `change` makes the wanted object of the present one, and is asked again when another
    /// writer came first.
    pub(crate) fn change(
        &self,
        target: Target<'_>,
        part: Part,
        dry_run: bool,
        mut change: impl FnMut(Value) -> Result<Value, Failure>,
    ) -> Result<Arc<Stored>, Failure> {
        loop {
            let old = self.get(target)?;
            let before = old.value();
            let after = change(before.clone())?;
            let after = settle(target, part, &before, after)?;
            if after == before || dry_run {
                return Ok(if dry_run { Arc::new(Stored::unsaved(target.kind, old.version, &after)) } else { old });
            }
            let finished = is_finalized(&before, &after);
            let store = self.store(target.kind);
            let stored = if finished { store.remove(&old, after) } else { store.replace(&old, after) };
            let Ok(stored) = stored else { continue };
            if finished {
                self.collect_dependents(target.kind, &stored.uid);
            }
            return Ok(stored);
        }
    }

    /// Changes an object in place on behalf of the server itself. `change` returns whether anything is to be stored.
    pub(crate) fn edit(
        &self,
        target: Target<'_>,
        mut change: impl FnMut(&mut Value) -> Result<bool, Failure>,
    ) -> Result<Arc<Stored>, Failure> {
        loop {
            let old = self.get(target)?;
            let mut value = old.value();
            if !change(&mut value)? {
                return Ok(old);
            }
            if let Ok(stored) = self.store(target.kind).replace(&old, value) {
                return Ok(stored);
            }
        }
    }
}

/// Whether this change took away the last finalizer that kept a deleted object.
fn is_finalized(before: &Value, after: &Value) -> bool {
    !json::text(after, &["metadata", "deletionTimestamp"]).is_empty()
        && json::int(after, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0) == 0
        && !json::items(before, &["metadata", "finalizers"]).is_empty()
        && json::items(after, &["metadata", "finalizers"]).is_empty()
}

/// Metadata that no writer changes.
const KEPT: [&str; 7] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// Checks the preconditions that the wanted object carries and confines the change to the part.
fn settle(target: Target<'_>, part: Part, before: &Value, mut after: Value) -> Result<Value, Failure> {
    let kind = target.kind;
    check_shape(kind, &after)?;
    check_preconditions(target, before, &after)?;
    if part != Part::Main {
        return Ok(confined(kind, part, before, &after));
    }
    for field in KEPT {
        match json::at(before, &["metadata", field]) {
            Some(value) => json::set(&mut after, &["metadata", field], value.clone()),
            None => drop(json::remove(&mut after, &["metadata", field])),
        }
    }
    for field in ["managedFields", "selfLink"] {
        json::remove(&mut after, &["metadata", field]);
    }
    json::set(&mut after, &["apiVersion"], kind.api_version());
    json::set(&mut after, &["kind"], kind.kind.as_str());
    if kind.status {
        match before.get("status") {
            Some(status) => json::set(&mut after, &["status"], status.clone()),
            None => drop(json::remove(&mut after, &["status"])),
        }
    }
    admission::on_update(kind, before, &mut after)?;
    let generation = json::at(before, &["metadata", "generation"]).cloned();
    match generation.as_ref().and_then(Value::as_i64) {
        Some(number) if before.get("spec") != after.get("spec") => {
            json::set(&mut after, &["metadata", "generation"], number.saturating_add(1));
        }
        Some(number) => json::set(&mut after, &["metadata", "generation"], number),
        None => drop(json::remove(&mut after, &["metadata", "generation"])),
    }
    Ok(after)
}

fn check_preconditions(target: Target<'_>, before: &Value, after: &Value) -> Result<(), Failure> {
    let (old, new) = (|f| json::text(before, &["metadata", f]), |f| json::text(after, &["metadata", f]));
    let name = new("name");
    if !name.is_empty() && name != target.name {
        let message = format!("the name of the object ({name}) does not match the name on the URL ({})", target.name);
        return Err(Failure::bad_request(message));
    }
    if target.kind.namespaced && !new("namespace").is_empty() && new("namespace") != target.namespace {
        let message = "the namespace of the object does not match the namespace on the request";
        return Err(Failure::bad_request(message));
    }
    if !new("uid").is_empty() && new("uid") != old("uid") {
        return Err(Failure::precondition(target.kind, target.name, "UID", new("uid"), old("uid")));
    }
    let version = new("resourceVersion");
    if !version.is_empty() && version.parse::<u64>().is_err() {
        let message = format!("Invalid value: \"{version}\": strconv.ParseUint: parsing \"{version}\": invalid syntax");
        return Err(Failure::bad_request(message));
    }
    if !matches!(version, "" | "0") && new("resourceVersion") != old("resourceVersion") {
        return Err(Failure::modified(target.kind, target.name));
    }
    Ok(())
}

/// The old object with nothing but the part taken from the new one.
fn confined(kind: &Kind, part: Part, before: &Value, after: &Value) -> Value {
    let mut result = before.clone();
    if part == Part::Resize {
        for list in ["containers", "initContainers"] {
            for (index, container) in json::array_at_if_any(&mut result, &["spec", list]).iter_mut().enumerate() {
                let new = json::items(after, &["spec", list]).get(index).and_then(|c| c.get("resources"));
                if let Some(resources) = new {
                    json::set(container, &["resources"], resources.clone());
                }
            }
        }
        admission::after_resize(&mut result);
        return result;
    }
    match after.get("status") {
        Some(status) => json::set(&mut result, &["status"], status.clone()),
        None => drop(json::remove(&mut result, &["status"])),
    }
    // Kubelets and controllers set labels and annotations of pods and nodes together with the status.
    if matches!(kind.role, Role::Pod | Role::Node) {
        for field in ["labels", "annotations"] {
            match json::at(after, &["metadata", field]) {
                Some(value) => json::set(&mut result, &["metadata", field], value.clone()),
                None => drop(json::remove(&mut result, &["metadata", field])),
            }
        }
    }
    result
}
