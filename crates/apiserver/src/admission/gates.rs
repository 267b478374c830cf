//! The condition that says that a pod is held by scheduling gates.

use serde_json::{Value, json};

use crate::json;

/// Marks a gated pod as not yet to be scheduled.
pub(super) fn admit(pod: &mut Value, now: &str) {
    if !json::items(pod, &["spec", "schedulingGates"]).is_empty() {
        let condition = json!({
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "lastProbeTime": null,
            "lastTransitionTime": now, "message": "Scheduling is blocked due to non-empty scheduling gates",
        });
        json::set_condition(pod, condition);
    }
}
