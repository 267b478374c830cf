//! Objects of further kinds.

use std::sync::Arc;

use plimsoll_framework::cluster::ClusterInfo;
use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, Object, QueueingHint};
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindRef, ObjectKey, ObjectKind};
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{EnqueueExtensions, PreFilterVerdict};
use plimsoll_framework::table::{Row, Table, View};
use plimsoll_framework::verdict::{Code, Rejection};
use serde_json::Value;

use super::{UNRESOLVABLE, pod, table};

/// Makes objects of a further kind known, under their own names.
pub(crate) fn objects<K: ObjectKind>(cluster: &mut ClusterInfo, all: &[Value]) {
    for json in all {
        let text = |field: &str| Istr::new(json["metadata"][field].as_str().unwrap_or_default());
        let key = ObjectKey { namespace: text("namespace"), name: text("name") };
        let kind = KindRef::of::<K>();
        cluster.set_object(kind.id, key, Some((kind.decode)(json).unwrap()));
    }
}

/// A node with pods on it, and objects of further kinds.
pub(crate) struct World {
    table: Table,
    row: Row,
}

impl World {
    pub(crate) fn new(on: &Value, running: &[Value]) -> Self {
        let (table, row) = table(on, running);
        Self { table, row }
    }

    /// Makes objects of a kind known.
    pub(crate) fn with<K: ObjectKind>(mut self, all: &[Value]) -> Self {
        objects::<K>(self.table.cluster_mut(), all);
        self
    }

    /// Another node with pods on it.
    pub(crate) fn and(mut self, name: &str, running: &[Value]) -> Self {
        self.table.set_node(Arc::new(super::node(serde_json::json!({"metadata": {"name": name}}))));
        for (i, running) in running.iter().enumerate() {
            let mut running = running.clone();
            running["metadata"]["uid"] = format!("{name}-{i}").into();
            self.table.add_pod(&name.into(), Arc::new(pod(running)));
        }
        self
    }

    /// What is known beside the nodes.
    pub(crate) fn cluster_mut(&mut self) -> &mut ClusterInfo {
        self.table.cluster_mut()
    }

    /// All of it as plugins see it.
    pub(crate) fn view(&self) -> &View {
        self.table.view()
    }

    /// The first node.
    pub(crate) fn node(&self) -> &NodeInfo {
        self.table.view().node(self.row).unwrap()
    }

    /// What PreFilter says.
    pub(crate) fn pre_filter(&self, plugin: &Extensions, asked: &Value) -> PreFilterVerdict {
        plugin.pre_filter.as_ref().unwrap().pre_filter(&pod(asked.clone()), self.table.view())
    }

    /// What Filter says of the node: `None` when the pod fits.
    pub(crate) fn filter(&self, plugin: &Extensions, asked: &Value) -> Option<(Code, Vec<String>)> {
        self.filter_with(plugin, asked, None)
    }

    /// As [`World::filter`], with a pod imagined onto the node, or those of another node imagined away.
    pub(crate) fn filter_through(
        &self,
        plugin: &Extensions,
        asked: &Value,
        add: Option<&Value>,
        remove_from: Option<&str>,
    ) -> Option<(Code, Vec<String>)> {
        let (view, mut overlay) = (self.table.view(), Overlay::default());
        if let Some(json) = add {
            overlay.add(view, self.row, Arc::new(pod(json.clone())));
        }
        if let Some(row) = remove_from.and_then(|name| self.table.row(&name.into())) {
            view.pods(row).iter().for_each(|pod| overlay.remove(view, row, Arc::clone(pod)));
        }
        self.filter_with(plugin, asked, Some(&overlay))
    }

    fn filter_with(
        &self,
        plugin: &Extensions,
        asked: &Value,
        overlay: Option<&Overlay>,
    ) -> Option<(Code, Vec<String>)> {
        let bound = plugin.filter.as_ref().unwrap().bind(&pod(asked.clone()), self.table.view())?;
        let verdict = bound.one(self.table.view(), overlay, self.row);
        (!verdict.fits()).then(|| (verdict.code(), bound.reasons(verdict.reasons())))
    }
}

/// A rejection that no other node and no preemption could change.
pub(crate) fn rejected(reason: &str) -> PreFilterVerdict {
    PreFilterVerdict::Reject(Rejection::unresolvable(reason))
}

/// A node's answer that preemption could not change.
pub(crate) fn unresolvable(reasons: &[&str]) -> Option<(Code, Vec<String>)> {
    (!reasons.is_empty()).then(|| (UNRESOLVABLE, reasons.iter().map(|reason| (*reason).to_owned()).collect()))
}

/// The hint for an object of a further kind that was added (`old` is `None`), changed or deleted (`new` is `None`).
pub(crate) fn object_hint<K: ObjectKind>(
    plugin: &impl EnqueueExtensions,
    rejected: &Value,
    old: Option<&Value>,
    new: Option<&Value>,
) -> QueueingHint {
    let kind = KindRef::of::<K>();
    let decode = |json: &Value| (kind.decode)(json).unwrap();
    let (old, new) = (old.map(decode), new.map(decode));
    let change = Change { old: old.as_deref().map(Object::Other), new: new.as_deref().map(Object::Other) };
    let event = ClusterEvent::new(EventResource::Other(kind.event_name()), Actions::UPDATE);
    plugin.hint(&pod(rejected.clone()), &event, &change)
}
