//! What kubelets write into the statuses of nodes and pods.

use serde_json::{Value, json};

use crate::json;

/// Whether a node's kubelet has reported.
pub(super) fn is_reported(node: &Value) -> bool {
    let conditions = json::items(node, &["status", "conditions"]);
    conditions.iter().any(|condition| json::text(condition, &["type"]) == "Ready")
}

/// Reports a node as ready.
pub(super) fn report_node(node: &mut Value, now: &str, minor: u32) {
    json::set_default(node, &["status", "nodeInfo", "kubeletVersion"], format!("v1.{minor}.0"));
    json::set_condition(
        node,
        json!({
            "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status",
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        }),
    );
}

/// Refuses a pod for good.
pub(super) fn refuse(pod: &mut Value, reason: &str, message: &str, now: &str) {
    json::set(pod, &["status", "phase"], "Failed");
    json::set(pod, &["status", "reason"], reason);
    json::set(pod, &["status", "message"], format!("Pod was rejected: {message}"));
    json::set(pod, &["status", "startTime"], now);
}

/// Runs all containers of a pod. `number` gives it an address.
pub(super) fn run(pod: &mut Value, now: &str, number: u64) {
    let address = format!("10.{}.{}.{}", 64 + (number >> 16 & 0x3f), number >> 8 & 0xff, number & 0xff);
    json::set(pod, &["status", "phase"], "Running");
    json::set(pod, &["status", "startTime"], now);
    json::set(pod, &["status", "podIP"], address.as_str());
    json::set(pod, &["status", "podIPs"], json!([{"ip": address}]));
    set_conditions(pod, "True", "", now);
    set_containers(pod, &json!({"running": {"startedAt": now}}), true);
}

/// Ends all containers of a pod with an exit code.
pub(super) fn finish(pod: &mut Value, now: &str, code: i64) {
    let (phase, reason) = if code == 0 { ("Succeeded", "Completed") } else { ("Failed", "Error") };
    json::set(pod, &["status", "phase"], phase);
    set_conditions(pod, "False", if code == 0 { "PodCompleted" } else { "PodFailed" }, now);
    let state = json!({"terminated": {"exitCode": code, "reason": reason, "finishedAt": now}});
    set_containers(pod, &state, false);
}

/// Starts the containers of a pod again.
pub(super) fn restart(pod: &mut Value) {
    for status in json::array_at_if_any(pod, &["status", "containerStatuses"]) {
        let count = json::int(status, &["restartCount"]).unwrap_or_default();
        json::set(status, &["restartCount"], count.saturating_add(1));
    }
}

fn set_conditions(pod: &mut Value, ready: &str, reason: &str, now: &str) {
    for (kind, status) in
        [("PodReadyToStartContainers", ready), ("Initialized", "True"), ("Ready", ready), ("ContainersReady", ready)]
    {
        let mut condition = json!({"type": kind, "status": status, "lastProbeTime": null, "lastTransitionTime": now});
        if !reason.is_empty() {
            condition["reason"] = reason.into();
        }
        json::set_condition(pod, condition);
    }
}

fn set_containers(pod: &mut Value, state: &Value, ready: bool) {
    let statuses: Vec<Value> = json::items(pod, &["spec", "containers"])
        .iter()
        .map(|container| {
            json!({
                "name": json::text(container, &["name"]), "image": json::text(container, &["image"]), "imageID": "",
                "ready": ready, "started": ready, "restartCount": 0, "state": state,
            })
        })
        .collect();
    json::set(pod, &["status", "containerStatuses"], statuses);
}
