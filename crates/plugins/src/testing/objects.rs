//! Objects of further kinds.

use plimsoll_framework::cluster::ClusterInfo;
use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, Object, QueueingHint};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::{KindRef, ObjectKey, ObjectKind};
use plimsoll_framework::plugin::EnqueueExtensions;
use serde_json::Value;

use super::pod;

/// Makes objects of a further kind known, under their own names.
pub(crate) fn objects<K: ObjectKind>(cluster: &mut ClusterInfo, all: &[Value]) {
    for json in all {
        let text = |field: &str| Istr::new(json["metadata"][field].as_str().unwrap_or_default());
        let key = ObjectKey { namespace: text("namespace"), name: text("name") };
        let kind = KindRef::of::<K>();
        cluster.set_object(kind.id, key, Some((kind.decode)(json).unwrap()));
    }
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
