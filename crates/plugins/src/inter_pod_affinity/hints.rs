//! Which changes may bring near what a pod needs, or take away what it must be far from (reference section 5.2.4).
//!
//! Upstream's hints know no labels of namespaces and miss what is selected by them; here such a term may select a pod of
//! any namespace. Other changes that upstream passes over although they may help lead to another attempt, too.

use plimsoll_framework::cluster_event::{Change, QueueingHint};
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::{PodAffinityTerm, PodInfo};

use crate::hints::{changed_self, holds_a_place, queue_if};

pub(super) fn hint(pod: &PodInfo, change: &Change<'_>) -> QueueingHint {
    queue_if(match (change.nodes(), change.pods()) {
        ((None, Some(node)), _) => may_do(pod, node),
        // Any label may be the one that anti-affinity of some running pod speaks of.
        ((Some(_), _), _) | ((None, None), (None, None)) => true,
        ((None, None), (old, new)) => {
            changed_self(pod, change).is_some() || of_pods(pod, old.filter(placed), new.filter(placed))
        }
    })
}

fn placed(pod: &&PodInfo) -> bool {
    holds_a_place(pod)
}

/// Whether a term may select a pod.
fn may_select(term: &PodAffinityTerm, pod: &PodInfo) -> bool {
    let in_namespace = term.namespaces.contains(&pod.key.namespace) || term.namespace_selector.is_some();
    in_namespace && term.selector.as_ref().is_some_and(|s| s.matches(&pod.labels))
}

/// Whether the change of a running pod is of use to the one that was turned away.
fn of_pods(rejected: &PodInfo, old: Option<&PodInfo>, new: Option<&PodInfo>) -> bool {
    let own = &rejected.spec.pod_affinity;
    let wanted = |pod: &PodInfo| !own.required.is_empty() && own.required.iter().all(|term| may_select(term, pod));
    let was_wanted = old.is_some_and(wanted);
    let is_wanted = new.is_some_and(wanted);
    // When the last of those it wants to be near is gone, the pod may be the first of its group.
    let came_or_went = is_wanted && !was_wanted || was_wanted && !is_wanted && wanted(rejected);
    let unwanted = |term: &PodAffinityTerm, pod: Option<&PodInfo>| pod.is_some_and(|pod| may_select(term, pod));
    // One term is enough to turn the pod away, so one less is enough to try again; upstream waits for all of them.
    let no_more_unwanted = own.anti_required.iter().any(|term| unwanted(term, old) && !unwanted(term, new));
    let turned_away = |pod: &PodInfo| pod.spec.pod_affinity.anti_required.iter().any(|term| may_select(term, rejected));
    came_or_went || no_more_unwanted || old.is_some_and(turned_away) && new.is_none()
}

/// Whether a new node may do, or be what makes others do.
fn may_do(pod: &PodInfo, node: &NodeInfo) -> bool {
    let own = &pod.spec.pod_affinity;
    let labelled = |term: &PodAffinityTerm| node.labels.get(&term.topology_key).is_some();
    own.required.is_empty() || !own.anti_required.is_empty() || own.required.iter().any(labelled)
}
