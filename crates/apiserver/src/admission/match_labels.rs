//! `matchLabelKeys` and `mismatchLabelKeys`: the pod's own values of those labels, merged into the label selectors of
//! its spread constraints (from Kubernetes 1.34 on) and of its affinity terms.

use serde_json::{Map, Value, json};

use crate::json;

pub(super) fn admit(minor: u32, pod: &mut Value) {
    let labels = json::at(pod, &["metadata", "labels"]).and_then(Value::as_object).cloned().unwrap_or_default();
    if minor >= 34 {
        for constraint in json::array_at_if_any(pod, &["spec", "topologySpreadConstraints"]) {
            merge(constraint, "matchLabelKeys", "In", &labels);
        }
    }
    for affinity in ["podAffinity", "podAntiAffinity"] {
        let required = ["spec", "affinity", affinity, "requiredDuringSchedulingIgnoredDuringExecution"];
        for term in json::array_at_if_any(pod, &required) {
            merge_both(term, &labels);
        }
        let preferred = ["spec", "affinity", affinity, "preferredDuringSchedulingIgnoredDuringExecution"];
        for weighted in json::array_at_if_any(pod, &preferred) {
            if let Some(term) = weighted.get_mut("podAffinityTerm") {
                merge_both(term, &labels);
            }
        }
    }
}

fn merge_both(term: &mut Value, labels: &Map<String, Value>) {
    merge(term, "matchLabelKeys", "In", labels);
    merge(term, "mismatchLabelKeys", "NotIn", labels);
}

/// Adds one requirement for each listed key that the pod has. A term without a selector selects nothing and keeps
/// doing so.
fn merge(term: &mut Value, keys_field: &str, operator: &str, labels: &Map<String, Value>) {
    if !term.get("labelSelector").is_some_and(Value::is_object) {
        return;
    }
    let keys: Vec<Value> = json::items(term, &[keys_field]).to_vec();
    for key in keys.iter().filter_map(Value::as_str) {
        if let Some(value) = labels.get(key) {
            let expressions = json::array_at(term, &["labelSelector", "matchExpressions"]);
            expressions.push(json!({"key": key, "operator": operator, "values": [value]}));
        }
    }
}
