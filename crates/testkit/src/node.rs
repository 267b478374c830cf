//! Nodes.

use serde_json::{Value, json};

use crate::{meta::metadata_setters, push, string_map};

/// Builds a Node; made by [`node`].
#[derive(Clone, Debug)]
#[must_use]
pub struct NodeBuilder {
    value: Value,
}

/// A ready node with 4 CPUs, 16Gi of memory, room for 110 pods and its hostname label.
pub fn node(name: &str) -> NodeBuilder {
    let resources = string_map(&[("cpu", "4"), ("memory", "16Gi"), ("pods", "110")]);
    NodeBuilder {
        value: json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "spec": {},
            "status": {
                "capacity": resources, "allocatable": resources,
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            },
        }),
    }
}

metadata_setters!(NodeBuilder);

impl NodeBuilder {
    /// Replaces capacity and allocatable.
    pub fn capacity(mut self, resources: &[(&str, &str)]) -> Self {
        self.value["status"]["capacity"] = string_map(resources);
        self.allocatable(resources)
    }

    /// Replaces allocatable alone.
    pub fn allocatable(mut self, resources: &[(&str, &str)]) -> Self {
        self.value["status"]["allocatable"] = string_map(resources);
        self
    }

    /// Adds a taint. An empty `value` is left out.
    pub fn taint(mut self, key: &str, value: &str, effect: &str) -> Self {
        let mut taint = json!({"key": key, "effect": effect});
        if !value.is_empty() {
            taint["value"] = value.into();
        }
        push(&mut self.value["spec"]["taints"], taint);
        self
    }

    /// Cordons the node.
    pub fn unschedulable(mut self) -> Self {
        self.value["spec"]["unschedulable"] = true.into();
        self
    }

    /// Adds an image that the node has, with its size in bytes.
    pub fn image(mut self, name: &str, size_bytes: u64) -> Self {
        push(&mut self.value["status"]["images"], json!({"names": [name], "sizeBytes": size_bytes}));
        self
    }

    /// Sets the zone label.
    pub fn zone(self, zone: &str) -> Self {
        self.label("topology.kubernetes.io/zone", zone)
    }
}
