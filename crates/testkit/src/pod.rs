//! Pods.

use serde_json::{Value, json};

use crate::{meta::metadata_setters, push, string_map};

/// Builds a Pod; made by [`pod`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PodBuilder {
    value: Value,
}

/// A pending pod in namespace `default` for the scheduler `plimsoll`, with one container `main` that requests nothing.
pub fn pod(name: &str) -> PodBuilder {
    PodBuilder {
        value: json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "schedulerName": "plimsoll",
                "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}],
            },
            "status": {"phase": "Pending"},
        }),
    }
}

metadata_setters!(PodBuilder);

impl PodBuilder {
    /// Sets the namespace.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.value["metadata"]["namespace"] = namespace.into();
        self
    }

    /// Sets `spec.schedulerName`.
    pub fn scheduler_name(self, name: &str) -> Self {
        self.spec("schedulerName", name)
    }

    /// Sets the requests of the first container.
    pub fn requests(mut self, requests: &[(&str, &str)]) -> Self {
        self.value["spec"]["containers"][0]["resources"]["requests"] = string_map(requests);
        self
    }

    /// Sets the limits of the first container.
    pub fn limits(mut self, limits: &[(&str, &str)]) -> Self {
        self.value["spec"]["containers"][0]["resources"]["limits"] = string_map(limits);
        self
    }

    /// Sets the image of the first container.
    pub fn image(mut self, image: &str) -> Self {
        self.value["spec"]["containers"][0]["image"] = image.into();
        self
    }

    /// Adds a container after the first one.
    pub fn container(mut self, name: &str, image: &str, requests: &[(&str, &str)]) -> Self {
        push(&mut self.value["spec"]["containers"], container(name, image, requests));
        self
    }

    /// Adds an init container.
    pub fn init_container(mut self, name: &str, image: &str, requests: &[(&str, &str)]) -> Self {
        push(&mut self.value["spec"]["initContainers"], container(name, image, requests));
        self
    }

    /// Adds a sidecar: an init container with `restartPolicy: Always`.
    pub fn sidecar(mut self, name: &str, image: &str, requests: &[(&str, &str)]) -> Self {
        let mut sidecar = container(name, image, requests);
        sidecar["restartPolicy"] = "Always".into();
        push(&mut self.value["spec"]["initContainers"], sidecar);
        self
    }

    /// Sets `spec.overhead`.
    pub fn overhead(self, overhead: &[(&str, &str)]) -> Self {
        self.spec("overhead", string_map(overhead))
    }

    /// Adds one label to `spec.nodeSelector`.
    pub fn node_selector(mut self, key: &str, value: &str) -> Self {
        self.value["spec"]["nodeSelector"][key] = value.into();
        self
    }

    /// Adds a toleration. An empty `key` with operator `Exists` tolerates all taints; an empty `value` or `effect` is
    /// left out.
    pub fn toleration(mut self, key: &str, operator: &str, value: &str, effect: &str) -> Self {
        let mut toleration = json!({"operator": operator});
        for (field, text) in [("key", key), ("value", value), ("effect", effect)] {
            if !text.is_empty() {
                toleration[field] = text.into();
            }
        }
        push(&mut self.value["spec"]["tolerations"], toleration);
        self
    }

    /// Sets `spec.affinity`.
    pub fn affinity(self, affinity: Value) -> Self {
        self.spec("affinity", affinity)
    }

    /// Adds a topology spread constraint.
    pub fn spread(mut self, constraint: Value) -> Self {
        push(&mut self.value["spec"]["topologySpreadConstraints"], constraint);
        self
    }

    /// Adds a TCP host port to the first container.
    pub fn host_port(self, port: u16) -> Self {
        self.host_port_at("", "TCP", port)
    }

    /// Adds a host port on an address (empty: all addresses) and protocol to the first container.
    pub fn host_port_at(mut self, host_ip: &str, protocol: &str, port: u16) -> Self {
        let mut entry = json!({"containerPort": port, "hostPort": port, "protocol": protocol});
        if !host_ip.is_empty() {
            entry["hostIP"] = host_ip.into();
        }
        push(&mut self.value["spec"]["containers"][0]["ports"], entry);
        self
    }

    /// Sets `spec.priority`.
    pub fn priority(self, priority: i32) -> Self {
        self.spec("priority", priority)
    }

    /// Sets `spec.priorityClassName`.
    pub fn priority_class(self, name: &str) -> Self {
        self.spec("priorityClassName", name)
    }

    /// Sets `spec.preemptionPolicy`.
    pub fn preemption_policy(self, policy: &str) -> Self {
        self.spec("preemptionPolicy", policy)
    }

    /// Adds a scheduling gate.
    pub fn gate(mut self, name: &str) -> Self {
        push(&mut self.value["spec"]["schedulingGates"], json!({"name": name}));
        self
    }

    /// Adds a volume.
    pub fn volume(mut self, volume: Value) -> Self {
        push(&mut self.value["spec"]["volumes"], volume);
        self
    }

    /// Puts the pod on a node: sets `spec.nodeName`.
    pub fn node_name(self, node: &str) -> Self {
        self.spec("nodeName", node)
    }

    /// Sets `status.nominatedNodeName`.
    pub fn nominated(mut self, node: &str) -> Self {
        self.value["status"]["nominatedNodeName"] = node.into();
        self
    }

    /// Sets `status.phase`.
    pub fn phase(mut self, phase: &str) -> Self {
        self.value["status"]["phase"] = phase.into();
        self
    }

    /// Marks the pod as terminating: sets `metadata.deletionTimestamp`.
    pub fn deleting(mut self) -> Self {
        self.value["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        self.value["metadata"]["deletionGracePeriodSeconds"] = 30.into();
        self
    }

    /// Adds the controlling owner.
    pub fn owner(mut self, api_version: &str, kind: &str, name: &str, uid: &str) -> Self {
        let owner = json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": true});
        push(&mut self.value["metadata"]["ownerReferences"], owner);
        self
    }

    fn spec(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.value["spec"][field] = value.into();
        self
    }
}

fn container(name: &str, image: &str, requests: &[(&str, &str)]) -> Value {
    json!({"name": name, "image": image, "resources": {"requests": string_map(requests)}})
}
