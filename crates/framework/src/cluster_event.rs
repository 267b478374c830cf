//! Changes in the cluster, as queueing hints see them (reference section 2.3).

use std::any::Any;
use std::fmt;

use crate::intern::Istr;
use crate::node::NodeInfo;
use crate::pod::PodInfo;

/// What changed, or what a plugin wants to hear of.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum EventResource {
    /// In a registration: any pod.
    Pod,
    /// A pod that is on a node.
    AssignedPod,
    /// A pod that is not on a node.
    UnschedulablePod,
    /// A node.
    Node,
    /// An object of a further kind, as `plural.version.group`.
    Other(Istr),
    /// Everything.
    Wildcard,
}

/// How it changed, as a set of bits in upstream's order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Actions(u32);

#[allow(missing_docs, reason = "the names say it: they are upstream's")]
impl Actions {
    pub const ADD: Self = Self(1);
    pub const DELETE: Self = Self(1 << 1);
    pub const UPDATE_NODE_ALLOCATABLE: Self = Self(1 << 2);
    pub const UPDATE_NODE_LABEL: Self = Self(1 << 3);
    /// Taints, or `spec.unschedulable` turned off.
    pub const UPDATE_NODE_TAINT: Self = Self(1 << 4);
    pub const UPDATE_NODE_CONDITION: Self = Self(1 << 5);
    pub const UPDATE_NODE_ANNOTATION: Self = Self(1 << 6);
    pub const UPDATE_NODE_DECLARED_FEATURE: Self = Self(1 << 7);
    pub const UPDATE_POD_LABEL: Self = Self(1 << 8);
    pub const UPDATE_POD_SCALE_DOWN: Self = Self(1 << 9);
    pub const UPDATE_POD_TOLERATION: Self = Self(1 << 10);
    pub const UPDATE_POD_SCHEDULING_GATES_ELIMINATED: Self = Self(1 << 11);
    pub const UPDATE_POD_GENERATED_RESOURCE_CLAIM: Self = Self(1 << 12);
    /// Every update bit, and an update that is none of the special ones.
    pub const UPDATE: Self = Self(((1 << 14) - 1) & !3);
    pub const ALL: Self = Self((1 << 14) - 1);
}

impl Actions {
    /// Both sets together.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Whether some action is in both.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// One change, named.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ClusterEvent {
    /// What changed.
    pub resource: EventResource,
    /// How.
    pub actions: Actions,
    /// The metric label, where it is not made of the two above.
    pub label: Option<&'static str>,
}

impl ClusterEvent {
    /// The event of `resource` and `actions`.
    pub const fn new(resource: EventResource, actions: Actions) -> Self {
        Self { resource, actions, label: None }
    }

    /// An event that concerns every pod, under a label of its own.
    pub const fn wildcard(label: &'static str) -> Self {
        Self { resource: EventResource::Wildcard, actions: Actions::ALL, label: Some(label) }
    }

    /// Whether a registration for `resource` and `actions` hears of this event. A generic update is heard only by those
    /// who asked for updates in general; a special one by both.
    pub fn heard_by(&self, resource: &EventResource, actions: Actions) -> bool {
        if *resource == EventResource::Wildcard && actions == Actions::ALL {
            return true;
        }
        let pod = matches!(self.resource, EventResource::AssignedPod | EventResource::UnschedulablePod);
        let same = *resource == EventResource::Wildcard
            || *resource == self.resource
            || (*resource == EventResource::Pod && pod);
        same && actions.intersects(self.actions) && self.actions <= actions
    }
}

impl fmt::Display for ClusterEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(label) = self.label {
            return f.write_str(label);
        }
        match &self.resource {
            EventResource::Pod => f.write_str("Pod")?,
            EventResource::AssignedPod => f.write_str("AssignedPod")?,
            EventResource::UnschedulablePod => f.write_str("UnschedulablePod")?,
            EventResource::Node => f.write_str("Node")?,
            EventResource::Other(name) => f.write_str(name)?,
            EventResource::Wildcard => f.write_str("*")?,
        }
        f.write_str(match self.actions {
            Actions::ADD => "Add",
            Actions::DELETE => "Delete",
            Actions::UPDATE_NODE_ALLOCATABLE => "UpdateNodeAllocatable",
            Actions::UPDATE_NODE_LABEL => "UpdateNodeLabel",
            Actions::UPDATE_NODE_TAINT => "UpdateNodeTaint",
            Actions::UPDATE_NODE_CONDITION => "UpdateNodeCondition",
            Actions::UPDATE_NODE_ANNOTATION => "UpdateNodeAnnotation",
            Actions::UPDATE_NODE_DECLARED_FEATURE => "UpdateNodeDeclaredFeature",
            Actions::UPDATE_POD_LABEL => "UpdatePodLabel",
            Actions::UPDATE_POD_SCALE_DOWN => "UpdatePodScaleDown",
            Actions::UPDATE_POD_TOLERATION => "UpdatePodToleration",
            Actions::UPDATE_POD_SCHEDULING_GATES_ELIMINATED => "UpdatePodSchedulingGatesEliminated",
            Actions::UPDATE_POD_GENERATED_RESOURCE_CLAIM => "UpdatePodGeneratedResourceClaim",
            Actions::ALL => "All",
            _ => "Update",
        })
    }
}

/// An object before or after a change.
#[derive(Clone, Copy)]
pub enum Object<'a> {
    /// A pod.
    Pod(&'a PodInfo),
    /// A node.
    Node(&'a NodeInfo),
    /// An object of a further kind, as its `decode` made it.
    Other(&'a (dyn Any + Send + Sync)),
}

/// A change, with the object before and after it.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// Before; `None` when it was added.
    pub old: Option<Object<'a>>,
    /// After; `None` when it was deleted.
    pub new: Option<Object<'a>>,
}

impl<'a> Change<'a> {
    /// The pods before and after, where the object is a pod.
    pub fn pods(&self) -> (Option<&'a PodInfo>, Option<&'a PodInfo>) {
        let pod = |o: Option<Object<'a>>| match o {
            Some(Object::Pod(pod)) => Some(pod),
            _ => None,
        };
        (pod(self.old), pod(self.new))
    }

    /// The nodes before and after, where the object is a node.
    pub fn nodes(&self) -> (Option<&'a NodeInfo>, Option<&'a NodeInfo>) {
        let node = |o: Option<Object<'a>>| match o {
            Some(Object::Node(node)) => Some(node),
            _ => None,
        };
        (node(self.old), node(self.new))
    }
}

/// Whether a change is worth another attempt of a pod that was turned away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueueingHint {
    /// It may fit now.
    Queue,
    /// It will not.
    Skip,
}

/// What a plugin wants to hear of for the pods it turned away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    /// Of which objects.
    pub resource: EventResource,
    /// Which changes.
    pub actions: Actions,
    /// Whether the plugin's `hint` is asked; otherwise the pod is always tried again.
    pub ask: bool,
}

impl Registration {
    /// A registration whose changes are put to the plugin's `hint`.
    pub const fn new(resource: EventResource, actions: Actions) -> Self {
        Self { resource, actions, ask: true }
    }
    /// A registration that always leads to another attempt.
    pub const fn always(resource: EventResource, actions: Actions) -> Self {
        Self { resource, actions, ask: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registrations_hear_what_they_asked_for() {
        use EventResource::*;
        let label = ClusterEvent::new(Node, Actions::UPDATE_NODE_LABEL);
        let generic = ClusterEvent::new(UnschedulablePod, Actions::UPDATE);
        let delete = ClusterEvent::new(AssignedPod, Actions::DELETE);
        let rows = [
            (&label, Node, Actions::ADD.or(Actions::UPDATE_NODE_LABEL), true),
            (&label, Node, Actions::ADD.or(Actions::UPDATE_NODE_TAINT), false),
            (&label, Pod, Actions::ALL, false),
            (&label, Wildcard, Actions::ALL, true),
            (&generic, Pod, Actions::UPDATE, true),
            (&generic, Pod, Actions::UPDATE_POD_LABEL, false),
            (&delete, Pod, Actions::DELETE, true),
            (&delete, AssignedPod, Actions::DELETE, true),
            (&delete, UnschedulablePod, Actions::DELETE, false),
        ];
        for (event, resource, actions, expect) in rows {
            assert_eq!(event.heard_by(&resource, actions), expect, "{event} {resource:?}");
        }
        assert_eq!(label.to_string(), "NodeUpdateNodeLabel");
        assert_eq!(ClusterEvent::wildcard("ForceActivate").to_string(), "ForceActivate");
    }
}
