//! Which volumes fit a claim.

use serde_json::Value;

use crate::{json, quantity, selector::LabelSelector};

/// Whether a volume may be bound to a claim of that UID. One that is meant for it by name needs no more than room.
pub(super) fn fits(volume: &Value, claim: &Value) -> bool {
    let meant = reference(volume, claim);
    let text = |object: &Value, field| json::text(object, &["spec", field]).to_owned();
    let mode = |object: &Value| match json::text(object, &["spec", "volumeMode"]) {
        "" => "Filesystem".to_owned(),
        mode => mode.to_owned(),
    };
    meant != Some(false)
        && json::text(volume, &["metadata", "deletionTimestamp"]).is_empty()
        && size(volume, &["spec", "capacity", "storage"]) >= size(claim, &["spec", "resources", "requests", "storage"])
        && mode(volume) == mode(claim)
        && modes(claim).iter().all(|mode| modes(volume).contains(mode))
        && (meant == Some(true)
            || text(volume, "storageClassName") == text(claim, "storageClassName")
                && text(volume, "volumeAttributesClassName") == text(claim, "volumeAttributesClassName")
                && selected(volume, claim))
}

/// Whether a volume is meant for the claim, or for another one; none when it is free.
pub(super) fn reference(volume: &Value, claim: &Value) -> Option<bool> {
    let reference = json::at(volume, &["spec", "claimRef"]).filter(|reference| reference.is_object())?;
    let same = |field| json::text(reference, &[field]) == json::text(claim, &["metadata", field]);
    let uid = json::text(reference, &["uid"]);
    Some(same("name") && same("namespace") && (uid.is_empty() || same("uid")))
}

/// In thousandths of a byte; what cannot be read is nothing.
pub(super) fn size(object: &Value, path: &[&str]) -> i128 {
    let amount = json::at(object, path).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    amount.and_then(|text| quantity::milli(&text)).unwrap_or(0)
}

fn modes(object: &Value) -> &[Value] {
    json::items(object, &["spec", "accessModes"])
}

fn selected(volume: &Value, claim: &Value) -> bool {
    let Some(selector) = json::at(claim, &["spec", "selector"]).filter(|selector| selector.is_object()) else {
        return true;
    };
    let labels = json::at(volume, &["metadata", "labels"]).and_then(Value::as_object);
    let labels = labels.into_iter().flatten();
    let labels: Vec<_> = labels.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect();
    LabelSelector::from_json(selector).matches(&labels)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    #[test]
    fn a_volume_fits_by_size_class_modes_labels_and_reference() {
        let claim = json!({
            "metadata": {"name": "c", "namespace": "n", "uid": "u"},
            "spec": {
                "resources": {"requests": {"storage": "2Gi"}}, "accessModes": ["ReadWriteOnce"],
                "storageClassName": "fast", "selector": {"matchLabels": {"a": "b"}},
            },
        });
        let volume = |change: &dyn Fn(&mut Value)| {
            let mut volume = json!({
                "metadata": {"labels": {"a": "b"}},
                "spec": {
                    "capacity": {"storage": "3Gi"}, "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
                    "storageClassName": "fast", "volumeMode": "Filesystem",
                },
            });
            change(&mut volume);
            super::fits(&volume, &claim)
        };
        assert!(volume(&|_| {}));
        assert!(!volume(&|v| v["spec"]["capacity"]["storage"] = "1Gi".into()));
        assert!(!volume(&|v| v["spec"]["accessModes"] = json!(["ReadOnlyMany"])));
        assert!(!volume(&|v| v["spec"]["storageClassName"] = "slow".into()));
        assert!(!volume(&|v| v["spec"]["volumeMode"] = "Block".into()));
        assert!(!volume(&|v| v["metadata"]["labels"] = json!({})));
        assert!(!volume(&|v| v["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into()));
        let reference = |uid: &str, name: &str| json!({"name": name, "namespace": "n", "uid": uid});
        assert!(volume(&|v| v["spec"]["claimRef"] = reference("u", "c")));
        assert!(volume(&|v| v["spec"]["claimRef"] = json!({"name": "c", "namespace": "n"})));
        assert!(!volume(&|v| v["spec"]["claimRef"] = reference("u2", "c")));
        assert!(!volume(&|v| v["spec"]["claimRef"] = reference("", "d")));
    }
}
