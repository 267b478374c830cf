//! Defaults of pods, and what an update may change of one.

use serde_json::{Value, json};

use crate::{failure::Failure, json, kinds::Kind};

/// Sets what a pod's spec leaves open.
pub(super) fn defaults(pod: &mut Value) {
    for (field, value) in [
        ("schedulerName", "default-scheduler"),
        ("restartPolicy", "Always"),
        ("dnsPolicy", "ClusterFirst"),
        ("serviceAccountName", "default"),
    ] {
        json::set_default(pod, &["spec", field], value);
    }
    json::set_default(pod, &["spec", "terminationGracePeriodSeconds"], 30);
    json::set_default(pod, &["spec", "enableServiceLinks"], true);
    json::set_default(pod, &["spec", "securityContext"], json!({}));
    let host_network = json::flag(pod, &["spec", "hostNetwork"]);
    for list in ["containers", "initContainers"] {
        for container in json::array_at_if_any(pod, &["spec", list]).iter_mut().filter(|c| c.is_object()) {
            container_defaults(container, host_network);
        }
    }
    if json::at(pod, &["spec", "resources"]).is_some_and(Value::is_object) {
        requests_from_limits(json::slot(json::slot(pod, "spec"), "resources"));
    }
}

fn container_defaults(container: &mut Value, host_network: bool) {
    json::set_default(container, &["resources"], json!({}));
    json::set_default(container, &["imagePullPolicy"], "IfNotPresent");
    requests_from_limits(json::slot(container, "resources"));
    for port in json::array_at_if_any(container, &["ports"]).iter_mut().filter(|p| p.is_object()) {
        json::set_default(port, &["protocol"], "TCP");
        if let Some(number) = port.get("containerPort").filter(|_| host_network).cloned() {
            json::set_default(port, &["hostPort"], number);
        }
    }
}

/// What is limited but not requested is requested as it is limited.
fn requests_from_limits(resources: &mut Value) {
    let Some(limits) = resources.get("limits").and_then(Value::as_object).filter(|l| !l.is_empty()).cloned() else {
        return;
    };
    let requests = json::object_at(resources, &["requests"]);
    for (name, quantity) in limits {
        requests.entry(name).or_insert(quantity);
    }
}

/// The status of a pod that nobody has looked at yet.
pub(super) fn initial_status(pod: &mut Value) {
    json::set_default(pod, &["status", "phase"], "Pending");
    let class = qos_class(pod);
    json::set_default(pod, &["status", "qosClass"], class);
}

/// Sets what follows from changed resources.
pub(crate) fn after_resize(pod: &mut Value) {
    defaults(pod);
}

/// Guaranteed when every container limits CPU and memory to what it requests, best effort when none says anything.
fn qos_class(pod: &Value) -> &'static str {
    let lists = ["containers", "initContainers"];
    let containers: Vec<_> = lists.iter().flat_map(|list| json::items(pod, &["spec", list])).collect();
    let amount = |c: &Value, part: &str, name: &str| json::at(c, &["resources", part, name]).cloned();
    let guaranteed = |c: &Value| {
        ["cpu", "memory"]
            .iter()
            .all(|name| amount(c, "limits", name).is_some() && amount(c, "limits", name) == amount(c, "requests", name))
    };
    let silent = |c: &Value| {
        ["limits", "requests"].iter().all(|part| {
            json::at(c, &["resources", part]).and_then(Value::as_object).is_none_or(serde_json::Map::is_empty)
        })
    };
    if containers.iter().all(|c| silent(c)) {
        "BestEffort"
    } else if containers.iter().all(|c| guaranteed(c)) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Fields of a pod's spec that any update may change.
const MUTABLE: [&str; 5] =
    ["activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "schedulingGates", "ephemeralContainers"];

/// Refuses an update that changes what is fixed in a pod: nearly all of its spec.
pub(super) fn check_update(kind: &Kind, before: &Value, after: &Value) -> Result<(), Failure> {
    let (Some(old), Some(new)) = (before.get("spec"), after.get("spec")) else { return Ok(()) };
    if old == new {
        return Ok(());
    }
    let name = json::text(before, &["metadata", "name"]);
    let gates = |spec: &Value| json::items(spec, &["schedulingGates"]).to_vec();
    let (old_gates, new_gates) = (gates(old), gates(new));
    if let Some(added) = new_gates.iter().find(|gate| !old_gates.contains(gate)) {
        let why = format!(
            "Forbidden: only deletion is allowed, but found new scheduling gate '{}'",
            json::text(added, &["name"])
        );
        return Err(Failure::invalid(kind, name, "spec.schedulingGates", &why));
    }
    if fixed_part(old, !old_gates.is_empty()) != fixed_part(new, !old_gates.is_empty()) {
        let why = "Forbidden: pod updates may not change fields other than `spec.containers[*].image`, \
                   `spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` (only additions to \
                   existing tolerations), `spec.terminationGracePeriodSeconds`";
        return Err(Failure::invalid(kind, name, "spec", why));
    }
    Ok(())
}

/// A spec without what may change. While a pod is gated, where it may go is open too.
fn fixed_part(spec: &Value, gated: bool) -> Value {
    let mut spec = spec.clone();
    let gated_only: &[&str] = if gated { &["nodeSelector", "affinity"] } else { &[] };
    for field in MUTABLE.iter().chain(gated_only) {
        json::remove(&mut spec, &[field]);
    }
    for list in ["containers", "initContainers"] {
        for container in json::array_at_if_any(&mut spec, &[list]) {
            json::remove(container, &["image"]);
        }
    }
    spec
}
