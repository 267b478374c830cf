//! Nodes and pods from JSON, and what several of these tests ask a plugin.

#![allow(dead_code, reason = "every test file uses a part of this")]

use std::sync::Arc;

use plimsoll_framework::extensions::{BoundFilter, Extensions};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::{PodInfo, PodParser};
use plimsoll_framework::table::{Table, View};
use serde_json::Value;

/// A node as the API server would send it; whatever cannot be read fails the test.
pub(crate) fn node(json: &Value) -> Arc<NodeInfo> {
    node_with(json, &[])
}

/// As [`node`], with the values of these annotations.
pub(crate) fn node_with(json: &Value, annotations: &[Istr]) -> Arc<NodeInfo> {
    let (node, faults) = NodeInfo::parse(&serde_json::from_str(&json.to_string()).unwrap(), annotations);
    assert!(faults.is_empty(), "{faults}");
    Arc::new(node)
}

/// A pod as the API server would send it; whatever cannot be read fails the test.
pub(crate) fn pod(json: &Value) -> Arc<PodInfo> {
    pod_with(json, Vec::new())
}

/// As [`pod`], with the values of these annotations.
pub(crate) fn pod_with(json: &Value, annotations: Vec<Istr>) -> Arc<PodInfo> {
    let pod = PodParser::new(annotations).parse(&serde_json::from_str(&json.to_string()).unwrap());
    assert!(pod.faults.is_none(), "{:?}", pod.faults);
    Arc::new(pod)
}

/// A table of these nodes, with these pods on them.
pub(crate) fn table<'a>(
    nodes: impl IntoIterator<Item = &'a Arc<NodeInfo>>,
    pods: impl IntoIterator<Item = (&'a str, &'a Arc<PodInfo>)>,
) -> Table {
    let mut table = Table::default();
    for node in nodes {
        table.set_node(Arc::clone(node));
    }
    for (on, pod) in pods {
        table.add_pod(&on.into(), Arc::clone(pod));
    }
    table
}

/// The Filter of a registry line, prepared for a pod; `None` when it has nothing to say.
pub(crate) fn filter(plugin: &Extensions, pod: &PodInfo, view: &View) -> Option<Box<dyn BoundFilter>> {
    plugin.filter.as_ref().unwrap().bind(pod, view)
}
