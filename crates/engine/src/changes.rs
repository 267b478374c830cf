//! What the change of an object amounts to (reference section 2.3).

use plimsoll_framework::cluster_event::{Actions, ClusterEvent, EventResource};
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::PodInfo;

/// The events of a pod that changed, in upstream's order; one plain update if nothing in particular changed.
pub(crate) fn of_pod(old: &PodInfo, new: &PodInfo) -> Vec<ClusterEvent> {
    let resource = if new.node_name.is_some() { EventResource::AssignedPod } else { EventResource::UnschedulablePod };
    let (was, is) = (&old.spec, &new.spec);
    let changed = [
        (old.labels != new.labels, Actions::UPDATE_POD_LABEL),
        (was.requests.used.exceeds(&is.requests.used), Actions::UPDATE_POD_SCALE_DOWN),
        (
            !was.scheduling_gates.is_empty() && is.scheduling_gates.is_empty(),
            Actions::UPDATE_POD_SCHEDULING_GATES_ELIMINATED,
        ),
        (was.tolerations.len() != is.tolerations.len(), Actions::UPDATE_POD_TOLERATION),
    ];
    named(resource, &changed, true)
}

/// The events of a node that changed, in upstream's order; none for a heartbeat.
pub(crate) fn of_node(old: &NodeInfo, new: &NodeInfo) -> Vec<ClusterEvent> {
    let changed = [
        (old.unschedulable && !new.unschedulable, Actions::UPDATE_NODE_TAINT),
        (
            old.allocatable != new.allocatable || old.allocatable_pods != new.allocatable_pods,
            Actions::UPDATE_NODE_ALLOCATABLE,
        ),
        (old.labels != new.labels, Actions::UPDATE_NODE_LABEL),
        (old.taints != new.taints, Actions::UPDATE_NODE_TAINT),
        (old.conditions != new.conditions, Actions::UPDATE_NODE_CONDITION),
        (old.annotations != new.annotations, Actions::UPDATE_NODE_ANNOTATION),
        (old.declared_features != new.declared_features, Actions::UPDATE_NODE_DECLARED_FEATURE),
    ];
    named(EventResource::Node, &changed, false)
}

fn named(resource: EventResource, changed: &[(bool, Actions)], or_plain: bool) -> Vec<ClusterEvent> {
    let event = |actions| ClusterEvent::new(resource.clone(), actions);
    let mut events: Vec<_> = changed.iter().filter(|(is, _)| *is).map(|(_, actions)| event(*actions)).collect();
    if events.is_empty() && or_plain {
        events.push(event(Actions::UPDATE));
    }
    events
}
