//! Binding pods to nodes.

use serde_json::{Value, json};

use super::Target;
use crate::{
    cluster::Cluster,
    failure::Failure,
    json,
    kinds::{Kind, Role},
};

/// The labels that a pod takes over from its node when it is bound, from Kubernetes 1.35 on.
const TOPOLOGY_LABELS: [&str; 2] = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];

impl Cluster {
    /// Binds the pod that a `Binding` names, under the conditions that the real server sets: the UID and the version
    /// fit where they are given, the pod is not being deleted, not gated and not bound.
    pub(crate) fn bind(&self, namespace: &str, name: &str, binding: &Value) -> Result<(), Failure> {
        let pods = self.kinds.role(Role::Pod);
        let target = Target::new(pods, namespace, name);
        let own = json::text(binding, &["metadata", "name"]);
        if own != name {
            return Err(Failure::bad_request("name in URL does not match name in Binding object"));
        }
        let node = json::text(binding, &["target", "name"]);
        check_target(pods, name, binding)?;
        let labels = self.topology_labels(node);
        let now = self.clock.stamp();
        self.edit(target, |pod| {
            check_preconditions(target, binding, pod)?;
            check_bindable(target, pod)?;
            assign(pod, node, &now, binding, &labels);
            Ok(true)
        })?;
        Ok(())
    }

    fn topology_labels(&self, node: &str) -> Vec<(String, String)> {
        if self.options.minor < 35 {
            return Vec::new();
        }
        let node = self.store_of(Role::Node).get(node);
        let labels = node.iter().flat_map(|node| node.labels.iter());
        labels.filter(|(key, _)| TOPOLOGY_LABELS.contains(&key.as_str())).cloned().collect()
    }
}

fn check_target(pods: &Kind, name: &str, binding: &Value) -> Result<(), Failure> {
    let kind = json::text(binding, &["target", "kind"]);
    if !matches!(kind, "" | "Node") {
        let why = format!("Unsupported value: \"{kind}\": supported values: \"Node\", \"\"");
        return Err(Failure::invalid(pods, name, "target.kind", &why));
    }
    if json::text(binding, &["target", "name"]).is_empty() {
        return Err(Failure::invalid(pods, name, "target.name", "Required value"));
    }
    Ok(())
}

fn check_preconditions(target: Target<'_>, binding: &Value, pod: &Value) -> Result<(), Failure> {
    for (field, label) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
        let (wanted, found) = (json::text(binding, &["metadata", field]), json::text(pod, &["metadata", field]));
        if !wanted.is_empty() && wanted != found {
            return Err(Failure::precondition(target.kind, target.name, label, wanted, found));
        }
    }
    Ok(())
}

fn check_bindable(target: Target<'_>, pod: &Value) -> Result<(), Failure> {
    let name = target.name;
    let bound = json::text(pod, &["spec", "nodeName"]);
    let why = if !json::text(pod, &["metadata", "deletionTimestamp"]).is_empty() {
        format!("pod {name} is being deleted, cannot be assigned to a host")
    } else if !bound.is_empty() {
        format!("pod {name} is already assigned to node \"{bound}\"")
    } else if !json::items(pod, &["spec", "schedulingGates"]).is_empty() {
        format!("pod {name} has non-empty .spec.schedulingGates")
    } else {
        return Ok(());
    };
    Err(Failure::conflict(target.kind, "pods/binding", name, &why))
}

fn assign(pod: &mut Value, node: &str, now: &str, binding: &Value, labels: &[(String, String)]) {
    json::set(pod, &["spec", "nodeName"], node);
    json::remove(pod, &["status", "nominatedNodeName"]);
    let annotations = json::at(binding, &["metadata", "annotations"]).and_then(Value::as_object);
    for (key, value) in annotations.into_iter().flatten() {
        json::set(pod, &["metadata", "annotations", key], value.clone());
    }
    for (key, value) in labels {
        json::set_default(pod, &["metadata", "labels", key], value.as_str());
    }
    let condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now});
    json::set_condition(pod, condition);
}
