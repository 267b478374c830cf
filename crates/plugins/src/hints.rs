//! What the queueing hints of several plugins have in common.

use plimsoll_framework::cluster_event::{Change, QueueingHint};
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
