//! What the queueing hints of several plugins have in common.

use plimsoll_framework::cluster_event::{Change, EventResource, Object, QueueingHint};
use plimsoll_framework::object::{KindRef, ObjectKind};
use plimsoll_framework::pod::PodInfo;

/// The hint for a change that is worth another attempt, or not.
pub(crate) fn queue_if(worth_it: bool) -> QueueingHint {
    if worth_it { QueueingHint::Queue } else { QueueingHint::Skip }
}

/// Whether the two are one pod at different times.
pub(crate) fn is_same(a: &PodInfo, b: &PodInfo) -> bool {
    a.key.uid == b.key.uid
}

/// The pod after the change, where it is the rejected pod itself that changed.
pub(crate) fn changed_self<'a>(rejected: &PodInfo, change: &Change<'a>) -> Option<&'a PodInfo> {
    change.pods().1.filter(|now| is_same(now, rejected))
}

/// Whether the pod takes up, or is about to take up, something on some node.
pub(crate) fn holds_a_place(pod: &PodInfo) -> bool {
    pod.node_name.is_some() || pod.nominated_node_name.is_some()
}

/// The objects of a further kind before and after the change, where it is one of this type.
pub(crate) fn objects<'a, T: 'static>(change: &Change<'a>) -> (Option<&'a T>, Option<&'a T>) {
    let object = |side: Option<Object<'a>>| match side {
        Some(Object::Other(object)) => object.downcast_ref::<T>(),
        _ => None,
    };
    (object(change.old), object(change.new))
}

/// The changes of a further kind, as registrations name them.
pub(crate) fn event_of<K: ObjectKind>() -> EventResource {
    EventResource::Other(KindRef::of::<K>().event_name())
}
