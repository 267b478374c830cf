//! What a plugin declares beyond pods and nodes reaches it, and nothing else does: annotations of both by key, and
//! objects of a further kind. (What cannot be read at all does not compile; see the examples in the documentation of
//! `read` and `extensions`.)

#![allow(clippy::unwrap_used, reason = "a failed unwrap in a helper fails the test that called it")]

mod common;

use std::sync::Arc;

use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::{KindId, KindRef, ObjectKey, ObjectKind};
use plimsoll_framework::plugin::{Filter, Plugin};
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::read::{Annotation, AnnotationKey, ClusterOf, Labels, ObjectsOf, Of, Read, ReadPod, WholePod};
use plimsoll_framework::table::Table;
use plimsoll_framework::verdict::Verdict;
use serde_json::{Value, json};

/// A reservation of nodes for a team.
struct Reservations;

#[derive(Debug, PartialEq)]
struct Reservation {
    team: String,
}

impl ObjectKind for Reservations {
    const GROUP: &'static str = "example.com";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "reservations";
    const KIND: &'static str = "Reservation";
    type Object = Reservation;
    fn decode(json: &Value) -> Result<Reservation, String> {
        let team = json.pointer("/spec/team").and_then(Value::as_str).ok_or("spec.team is missing")?;
        Ok(Reservation { team: team.to_owned() })
    }
}

/// A kind that nobody declared.
struct Others;

impl ObjectKind for Others {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "others";
    const KIND: &'static str = "Other";
    type Object = u8;
    fn decode(_: &Value) -> Result<u8, String> {
        Ok(0)
    }
}

struct ReservedBy;
impl AnnotationKey for ReservedBy {
    const KEY: &'static str = "example.com/reserved-by";
}

const TEAM: &str = "example.com/team";

/// A node that carries the name of a reservation is for the pods of that team.
struct Reserved;

impl Plugin for Reserved {
    const NAME: &'static str = "Reserved";
    fn annotation_keys(&self) -> Vec<Istr> {
        vec![TEAM.into()]
    }
    fn kinds(&self) -> Vec<KindRef> {
        vec![KindRef::of::<Reservations>()]
    }
}

impl Filter for Reserved {
    type Pod = WholePod;
    type Cluster = (ObjectsOf<Reservations>, ObjectsOf<Others>);
    type Node = Annotation<ReservedBy>;
    /// The reservations of the pod's team that exist.
    type State = Option<String>;

    fn prepare(&self, pod: &PodInfo, (all, others): ClusterOf<'_, Self::Cluster>) -> Option<Option<String>> {
        assert!(others.is_empty());
        let key = ObjectKey { namespace: "".into(), name: "r".into() };
        let own = all.get(&key.namespace, &key.name).filter(|r| Some(&*r.team) == pod.annotation(TEAM));
        (!all.is_empty()).then(|| own.map(|_| key.name.to_string()))
    }
    fn filter(&self, own: &Self::State, reserved_by: Of<'_, Self::Node>) -> Verdict {
        let open = reserved_by.is_none_or(|name| own.as_deref() == Some(name));
        if open { Verdict::FITS } else { Verdict::unresolvable(1) }
    }
    fn reasons(&self, _: &Self::State, reasons: u32) -> Vec<String> {
        assert_eq!(reasons, 1);
        vec!["node(s) were reserved".into()]
    }
}

fn key() -> ObjectKey {
    ObjectKey { namespace: "".into(), name: "r".into() }
}

fn set(table: &mut Table, kind: &KindRef, json: &Value) {
    let object = (kind.decode)(json).unwrap();
    table.cluster_mut().set_object(kind.id, key(), Some(object));
}

#[test]
fn what_is_declared_reaches_the_plugin() {
    let line = Extensions::of(Reserved).filter().done();
    let keys = line.annotation_keys.clone();
    let annotated = |name: &str, key: &str, value: &str| json!({"metadata": {"name": name, "uid": name, "annotations": {key: value, "other": "x"}}});
    let nodes = [
        common::node_with(&annotated("reserved", ReservedBy::KEY, "r"), &keys),
        common::node_with(&annotated("free", "other/key", "r"), &keys),
    ];
    let (ours, theirs) = (annotated("ours", TEAM, "blue"), annotated("theirs", TEAM, "red"));
    let pods = [ours, theirs].map(|json| common::pod_with(&json, keys.clone()));
    let mut table = common::table(&nodes, []);
    let fits = |table: &Table, pod: &Arc<PodInfo>| {
        let bound = common::filter(&line, pod, table.view());
        bound.map(|b| ["reserved", "free"].map(|n| b.one(table.view(), None, table.row(&n.into()).unwrap()).fits()))
    };

    assert_eq!(fits(&table, &pods[0]), None, "no reservation, nothing to say");
    let before = table.view().clone();
    set(&mut table, &line.kinds[0], &json!({"spec": {"team": "blue"}}));
    assert!(table.view().epoch() > before.epoch());
    assert_eq!(fits(&table, &pods[0]), Some([true, true]));
    assert_eq!(fits(&table, &pods[1]), Some([false, true]));
    assert!(common::filter(&line, &pods[0], &before).is_none(), "a view taken earlier never changes");
    set(&mut table, &line.kinds[0], &json!({"spec": {"team": "red"}}));
    assert_eq!(fits(&table, &pods[0]), Some([false, true]));

    let keys: Vec<_> = table.view().cluster().object_keys(KindId::of::<Reservations>()).collect();
    assert_eq!(keys, [key()]);
    let gone = table.cluster_mut().set_object(KindId::of::<Reservations>(), key(), None).unwrap();
    assert_eq!(gone.downcast_ref(), Some(&Reservation { team: "red".into() }));
    assert_eq!(fits(&table, &pods[0]), None);
}

#[test]
fn what_is_not_declared_is_dropped() {
    let json = json!({"metadata": {"name": "n", "annotations": {"other": "x", ReservedBy::KEY: "r"}}});
    let (node, pod) = (common::node_with(&json, &["other".into()]), common::pod(&json));
    assert_eq!((node.annotation("other"), node.annotation(ReservedBy::KEY)), (Some("x"), None));
    assert_eq!((pod.annotation("other"), pod.annotation(ReservedBy::KEY)), (None, None));
}

/// An annotation of a node that changes is a change of the object, and of that alone.
#[test]
fn a_declared_annotation_is_followed() {
    let node = |value: &str| {
        let json = json!({"metadata": {"name": "n", "annotations": {ReservedBy::KEY: value}}});
        common::node_with(&json, &[ReservedBy::KEY.into()])
    };
    let mut table = common::table(&[node("a")], []);
    let epoch = table.view().epoch();
    assert!(!table.set_node(node("a")).1);
    assert!(!table.changed_since(0, Annotation::<ReservedBy>::GROUPS, epoch));
    assert!(table.set_node(node("b")).1);
    assert!(table.changed_since(0, Annotation::<ReservedBy>::GROUPS, epoch));
    assert_eq!(Annotation::<ReservedBy>::GROUPS, Labels::GROUPS);
}

#[test]
fn a_registry_line_says_what_the_plugin_declared() {
    let line = Extensions::of(Reserved).filter().done();
    assert_eq!(line.annotation_keys, [Istr::from(TEAM), ReservedBy::KEY.into()]);
    assert_eq!(
        line.kinds.iter().map(|k| k.event_name().to_string()).collect::<Vec<_>>(),
        ["reservations.v1.example.com"]
    );
    let bad = (line.kinds[0].decode)(&json!({"spec": {}}));
    assert_eq!(bad.err().as_deref(), Some("spec.team is missing"));
    let filter = line.filter.unwrap();
    assert!(!filter.spec_only() && !WholePod::SPEC_ONLY);
    assert!(filter.groups().reads_object() && !filter.groups().reads_usage() && !filter.groups().reads_other_rows());
}
