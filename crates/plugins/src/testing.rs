//! What the plugins' tests have in common: objects from JSON, and a plugin asked about one pod and one node.

mod objects;

use std::sync::Arc;

use plimsoll_framework::api;
use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, Object, QueueingHint};
use plimsoll_framework::extensions::{BoundScoring, Extensions};
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::plugin::EnqueueExtensions;
use plimsoll_framework::pod::{PodInfo, PodParser};
use plimsoll_framework::table::{Row, Table};
use plimsoll_framework::verdict::Code;
use serde_json::Value;

pub(crate) use objects::{object_hint, objects};

pub(crate) const UNRESOLVABLE: Code = Code::UnschedulableAndUnresolvable;

pub(crate) fn pod(json: Value) -> PodInfo {
    let pod = PodParser::default().parse(&serde_json::from_value::<api::Pod>(json).unwrap());
    assert_eq!(pod.faults, None);
    pod
}

pub(crate) fn node(json: Value) -> NodeInfo {
    let (node, faults) = NodeInfo::parse(&serde_json::from_value::<api::Node>(json).unwrap(), &[]);
    assert!(faults.is_empty(), "{faults}");
    node
}

/// A table with one node, and pods on it.
pub(crate) fn table(on: &Value, running: &[Value]) -> (Table, Row) {
    let mut table = Table::default();
    let on = Arc::new(node(on.clone()));
    let (row, _) = table.set_node(Arc::clone(&on));
    for (i, running) in running.iter().enumerate() {
        let mut running = running.clone();
        running["metadata"]["uid"] = format!("running-{i}").into();
        table.add_pod(&on.name, Arc::new(pod(running)));
    }
    (table, row)
}

/// What Filter says of a node: `None` when the pod fits.
pub(crate) fn filter_one(
    plugin: &Extensions,
    asked: &Value,
    on: &Value,
    running: &[Value],
) -> Option<(Code, Vec<String>)> {
    let (table, row) = table(on, running);
    let bound = plugin.filter.as_ref().unwrap().bind(&pod(asked.clone()), table.view())?;
    let verdict = bound.one(table.view(), None, row);
    (!verdict.fits()).then(|| (verdict.code(), bound.reasons(verdict.reasons())))
}

/// The raw score of a node: `None` when the plugin has nothing to say of the pod.
pub(crate) fn score_one(plugin: &Extensions, asked: &Value, on: &Value, running: &[Value]) -> Option<i64> {
    let (table, row) = table(on, running);
    match plugin.score.as_ref().unwrap().bind(&pod(asked.clone()), table.view()) {
        BoundScoring::PerNode(bound) => Some(bound.one(table.view(), None, row)),
        _ => None,
    }
}

/// The hint for a pod that was added (`old` is `None`), changed or deleted (`new` is `None`).
pub(crate) fn pod_hint(
    plugin: &impl EnqueueExtensions,
    rejected: &Value,
    old: Option<&Value>,
    new: Option<&Value>,
) -> QueueingHint {
    let (old, new) = (old.map(|p| pod(p.clone())), new.map(|p| pod(p.clone())));
    let change = Change { old: old.as_ref().map(Object::Pod), new: new.as_ref().map(Object::Pod) };
    let event = ClusterEvent::new(EventResource::AssignedPod, Actions::UPDATE);
    plugin.hint(&pod(rejected.clone()), &event, &change)
}

/// The hint for a node that was added (`old` is `None`) or changed.
pub(crate) fn node_hint(
    plugin: &impl EnqueueExtensions,
    rejected: &Value,
    old: Option<&Value>,
    new: &Value,
) -> QueueingHint {
    let (old, new) = (old.map(|n| node(n.clone())), node(new.clone()));
    let change = Change { old: old.as_ref().map(Object::Node), new: Some(Object::Node(&new)) };
    plugin.hint(&pod(rejected.clone()), &ClusterEvent::new(EventResource::Node, Actions::UPDATE), &change)
}
