//! The tolerations that every pod gets: five minutes on a node that is not ready or cannot be reached.

use serde_json::{Value, json};

use crate::json;

const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

pub(super) fn admit(pod: &mut Value) {
    for taint in TAINTS {
        let tolerations = json::items(pod, &["spec", "tolerations"]);
        let covers = |toleration: &Value| {
            let key = json::text(toleration, &["key"]);
            (key.is_empty() || key == taint) && matches!(json::text(toleration, &["effect"]), "" | "NoExecute")
        };
        if !tolerations.iter().any(covers) {
            json::array_at(pod, &["spec", "tolerations"]).push(json!({
                "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }));
        }
    }
}
