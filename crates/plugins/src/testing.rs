//! What the plugins' tests have in common: objects from JSON, and a plugin asked about one pod and one node.

mod objects;

use std::sync::Arc;

use plimsoll_framework::api;
use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, Object, QueueingHint};
use plimsoll_framework::extensions::{BoundScoring, Extensions, Normalize};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::ObjectKey;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{EnqueueExtensions, Extent};
use plimsoll_framework::pod::{PodInfo, PodParser};
use plimsoll_framework::table::{Row, Table};
use plimsoll_framework::topology::Levels;
use plimsoll_framework::verdict::Code;
use serde_json::Value;

pub(crate) use objects::{World, object_hint, objects, rejected, unresolvable};

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

/// The raw scores of these nodes as the plugin gives them by levels; `None` where it cannot.
pub(crate) fn by_levels(bound: &BoundScoring, nodes: &[Row]) -> Option<Vec<Option<i64>>> {
    let (mut among, mut levels) =
        (vec![0; nodes.iter().max().map_or(0, |row| *row as usize / 64 + 1)], Levels::default());
    nodes.iter().for_each(|row| among[*row as usize / 64] |= 1 << (row % 64));
    let done = match bound {
        BoundScoring::PerNode(bound) => bound.rows(&among, &mut levels),
        BoundScoring::OverFeasible(bound) => bound.rows(&among, &mut levels),
        _ => false,
    };
    let level = |row: &Row| usize::from(levels.blocks()[*row as usize / 64][*row as usize % 64]);
    let raw = |row: &Row| levels.raws().iter().find(|(at, _)| *at == level(row)).unwrap().1;
    done.then(|| nodes.iter().map(raw).collect())
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

/// A table of these nodes, pods (where they say they are), namespaces, and objects of kinds that the plugin reads.
pub(crate) fn cluster(plugin: &Extensions, objects: &[Value]) -> Table {
    let mut table = Table::default();
    for object in objects {
        let text = |value: &Value| Istr::new(value.as_str().unwrap_or_default());
        match object["kind"].as_str() {
            Some("Node") => {
                table.set_node(Arc::new(node(object.clone())));
            }
            Some("Pod") => {
                let pod = Arc::new(pod(object.clone()));
                table.add_pod(&pod.node_name.clone().unwrap(), pod);
            }
            Some("Namespace") => {
                let meta: api::ObjectMeta = serde_json::from_value(object["metadata"].clone()).unwrap();
                table.set_namespace(meta.name.clone(), Some(Arc::new(LabelSet::from(&meta.labels))));
            }
            Some(kind) => {
                let kind = plugin.kinds.iter().find(|k| k.kind == kind).unwrap();
                let meta = &object["metadata"];
                let key = ObjectKey { namespace: text(&meta["namespace"]), name: text(&meta["name"]) };
                table.cluster_mut().set_object(kind.id, key, Some((kind.decode)(object).unwrap()));
            }
            None => panic!("{object} is of no kind"),
        }
    }
    table
}

/// What Filter says of every node, in the order in which they were made: the reason, or nothing where the pod fits.
/// `None` when the plugin has nothing to say of the pod.
pub(crate) fn filter_all(
    plugin: &Extensions,
    table: &Table,
    asked: &PodInfo,
    overlay: Option<&Overlay>,
) -> Option<Vec<String>> {
    let view = table.view();
    let bound = plugin.filter.as_ref().unwrap().bind(asked, view)?;
    let reason = |row: Row| {
        let verdict = bound.one(view, overlay, row);
        if verdict.fits() { String::new() } else { bound.reasons(verdict.reasons()).concat() }
    };
    bound.takes_part(view, None).then(|| view.rows().map(reason).collect())
}

/// The scores of every node, before and after they are normalised, if all of them are feasible; raw scores of ignored
/// nodes are absent. `None` when the plugin has no score for the pod.
pub(crate) fn score_all(
    plugin: &Extensions,
    table: &Table,
    asked: &PodInfo,
    overlay: Option<&Overlay>,
) -> Option<(Vec<Option<i64>>, Vec<i64>)> {
    let view = table.view();
    if !plugin.pre_score.as_ref().unwrap().pre_score(asked, view) {
        return None;
    }
    let rows: Vec<Row> = view.rows().collect();
    let (raw, normalize): (Vec<Option<i64>>, Box<dyn Normalize>) =
        match plugin.score.as_ref().unwrap().bind(asked, view) {
            BoundScoring::PerNode(bound) if bound.takes_part(view, overlay) => {
                (rows.iter().map(|row| Some(bound.one(view, overlay, *row))).collect(), bound)
            }
            BoundScoring::OverFeasible(bound) => (bound.all(view, overlay, &rows), bound),
            _ => return None,
        };
    if overlay.is_none() {
        let by_levels = by_levels(&plugin.score.as_ref().unwrap().bind(asked, view), &rows);
        assert!(by_levels.is_none_or(|by_levels| by_levels == raw), "by levels it is the same");
    }
    let over = Extent::of(raw.iter().flatten().copied());
    let normalized = raw.iter().map(|raw| raw.zip(over).map_or(0, |(raw, over)| normalize.normalize(raw, over)));
    Some((raw.clone(), normalized.collect()))
}
