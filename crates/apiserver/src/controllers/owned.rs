//! What controllers share: pods made of templates, and statuses that are written only when they change.

use std::sync::Arc;

use serde_json::{Value, json};

use super::garbage::exists;
use crate::{
    clock::safe_encode,
    cluster::Cluster,
    failure::Failure,
    json,
    kinds::{Kind, Role},
    ops::Target,
    stored::Stored,
};

/// How many objects one reconciliation makes; what it made brings it back for the rest.
pub(super) const AT_ONCE: usize = 500;

/// The reference by which a dependent names its controller.
pub(super) fn owner_reference(owner: &Value) -> Value {
    let meta = |field| json::at(owner, &["metadata", field]).cloned().unwrap_or_default();
    json!({
        "apiVersion": owner.get("apiVersion").cloned().unwrap_or_default(),
        "kind": owner.get("kind").cloned().unwrap_or_default(),
        "name": meta("name"), "uid": meta("uid"), "controller": true, "blockOwnerDeletion": true,
    })
}

/// A pod made of the template in an owner's spec, still without a name.
pub(super) fn pod_of(owner: &Value, template: &Value) -> Value {
    let meta = |field| json::at(template, &["metadata", field]).filter(|v| v.is_object()).cloned();
    let mut metadata = json!({
        "namespace": json::text(owner, &["metadata", "namespace"]),
        "ownerReferences": [owner_reference(owner)],
    });
    for field in ["labels", "annotations"] {
        if let Some(map) = meta(field) {
            metadata[field] = map;
        }
    }
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": template.get("spec").cloned().unwrap_or_default(),
    })
}

/// Creates a dependent. An owner that went meanwhile has it collected at once; a refusal is told by an Event on the
/// owner, as controllers do.
pub(super) fn create(cluster: &Cluster, owner: &Value, kind: &Kind, value: Value) -> Result<Arc<Stored>, Failure> {
    let namespace = json::text(owner, &["metadata", "namespace"]);
    let created = cluster.create(kind, namespace, value, false);
    match &created {
        Ok(_) if exists(cluster, namespace, &owner_reference(owner)) => {}
        Ok(_) => cluster.garbage.push_owner(json::text(owner, &["metadata", "uid"])),
        Err(failure) if failure.reason == "AlreadyExists" => {}
        Err(failure) => warn(cluster, owner, "FailedCreate", &format!("Error creating: {}", failure.message)),
    }
    created
}

/// Warns the user of something about an object by an Event.
pub(super) fn warn(cluster: &Cluster, object: &Value, reason: &str, note: &str) {
    tell(cluster, object, "Warning", reason, note);
}

/// Tells the user something about an object by an Event of that type.
pub(super) fn tell(cluster: &Cluster, object: &Value, event_type: &str, reason: &str, note: &str) {
    let meta = |field| json::text(object, &["metadata", field]);
    let event = json!({
        "metadata": {"name": format!("{}.{:016x}", meta("name"), cluster.ids.next()), "namespace": meta("namespace")},
        "eventTime": cluster.clock.now().to_string(), "reportingController": "plimsoll-apiserver",
        "reportingInstance": "plimsoll-apiserver", "action": reason, "reason": reason, "type": event_type, "note": note,
        "regarding": {
            "apiVersion": object.get("apiVersion"), "kind": object.get("kind"), "name": meta("name"),
            "namespace": meta("namespace"), "uid": meta("uid"),
        },
    });
    // The only refusal there can be is a namespace about to go, and with it whoever would read this.
    let _ = cluster.create(cluster.kinds.role(Role::Event), meta("namespace"), event, false);
}

/// Sets fields of an object's status; nothing is stored when all of them are so already.
pub(super) fn set_status(cluster: &Cluster, kind: &Kind, object: &Stored, fields: &Value) {
    // Gone by now: nobody needs its status.
    let _ = cluster.edit(Target::of(kind, object), |value| {
        let status = json::object_at(value, &["status"]);
        let mut changed = false;
        for (key, field) in fields.as_object().into_iter().flatten() {
            if status.get(key) != Some(field) {
                status.insert(key.clone(), field.clone());
                changed = true;
            }
        }
        Ok(changed)
    });
}

/// A name part that stands for a pod template: equal templates have equal ones.
pub(super) fn template_hash(template: &Value) -> String {
    // FNV-1a: stable from run to run, unlike the standard library's hasher.
    let hash = template
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    safe_encode(hash, 10)
}

/// A number or a percentage of `whole`.
pub(super) fn scaled(value: Option<&Value>, default: &str, whole: i64, round_up: bool) -> i64 {
    let default = Value::from(default);
    match value.filter(|v| !v.is_null()).unwrap_or(&default) {
        Value::Number(number) => number.as_i64().unwrap_or_default(),
        other => {
            let percent: i64 = other.as_str().and_then(|t| t.strip_suffix('%')?.parse().ok()).unwrap_or_default();
            let product = percent.saturating_mul(whole);
            if round_up { product.saturating_add(99) / 100 } else { product / 100 }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{scaled, template_hash};

    #[test]
    fn percentages_round_as_they_are_meant() {
        assert_eq!(scaled(None, "25%", 10, true), 3);
        assert_eq!(scaled(None, "25%", 10, false), 2);
        assert_eq!(scaled(Some(&json!(4)), "25%", 10, false), 4);
        assert_eq!(scaled(Some(&json!("rubbish")), "25%", 10, false), 0);
    }

    #[test]
    fn equal_templates_have_equal_hashes() {
        assert_eq!(template_hash(&json!({"a": 1, "b": 2})), template_hash(&json!({"b": 2, "a": 1})));
        assert_ne!(template_hash(&json!({"a": 1})), template_hash(&json!({"a": 2})));
        assert_eq!(template_hash(&json!({})).len(), 10);
    }
}
