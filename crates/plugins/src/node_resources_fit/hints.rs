//! Which changes may make room for a pod that was turned away.

use plimsoll_framework::cluster_event::{Change, QueueingHint};
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::resources::Resources;

use crate::hints::{holds_a_place, is_same, queue_if};

pub(super) fn hint(pod: &PodInfo, change: &Change<'_>) -> QueueingHint {
    match (change.nodes(), change.pods()) {
        ((old, Some(new)), _) => queue_if(would_fit_if_empty(pod, new) && old.is_none_or(|old| grew(pod, old, new))),
        (_, (Some(gone), None)) => queue_if(holds_a_place(gone)),
        (_, (Some(old), Some(new))) => {
            queue_if(is_same(new, pod) || (new.node_name.is_some() && shrank(pod, old, new)))
        }
        _ => QueueingHint::Queue,
    }
}

/// Whether some resource that is asked for is less in `than` than in `of`.
fn any_less(asked: &Resources, of: &Resources, than: &Resources) -> bool {
    let own = [
        (asked.milli_cpu, of.milli_cpu, than.milli_cpu),
        (asked.memory_bytes, of.memory_bytes, than.memory_bytes),
        (asked.ephemeral_storage_bytes, of.ephemeral_storage_bytes, than.ephemeral_storage_bytes),
    ];
    let scalars = asked.scalars.iter().map(|(name, amount)| (*amount, of.get(name), than.get(name)));
    own.into_iter().chain(scalars).any(|(asked, of, than)| asked != 0 && than < of)
}

/// Whether the other pod gave up something that this one asks for.
fn shrank(pod: &PodInfo, old: &PodInfo, new: &PodInfo) -> bool {
    any_less(&pod.spec.requests.used, &old.spec.requests.used, &new.spec.requests.used)
}

/// Whether the node gives more than before of something the pod asks for, or places for more pods.
fn grew(pod: &PodInfo, old: &NodeInfo, new: &NodeInfo) -> bool {
    new.allocatable_pods > old.allocatable_pods
        || any_less(&pod.spec.requests.filter, &new.allocatable, &old.allocatable)
}

/// Whether the node would do if nothing ran on it. What Filter is told to ignore is not ignored here, as upstream.
fn would_fit_if_empty(pod: &PodInfo, node: &NodeInfo) -> bool {
    node.allocatable_pods >= 1 && !pod.spec.requests.filter.exceeds(&node.allocatable)
}
