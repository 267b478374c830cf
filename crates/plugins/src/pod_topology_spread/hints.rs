//! Which changes may even out what was too uneven for a pod (reference section 5.1.4).

use plimsoll_framework::cluster_event::{Change, QueueingHint};
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::{PodInfo, SpreadConstraint};

use super::constraints::{Constraint, Defaults};
use crate::hints::{holds_a_place, is_same, queue_if};

pub(super) fn hint(defaults: &Defaults, pod: &PodInfo, change: &Change<'_>) -> QueueingHint {
    let own = !pod.spec.spread.is_empty();
    let all = if own { &pod.spec.spread } else { &defaults.constraints };
    let rules: Vec<&SpreadConstraint> = all.iter().filter(|c| c.hard).collect();
    queue_if(match (change.nodes(), change.pods()) {
        _ if rules.is_empty() => false,
        ((None, None), (None, None)) => true,
        ((None, None), (old, new)) => of_pods(pod, &rules, own, old, new),
        ((old, new), _) => of_nodes(pod, &rules, old, new),
    })
}

/// Whether a pod that came, went or changed is counted otherwise than before.
fn of_pods(
    rejected: &PodInfo,
    rules: &[&SpreadConstraint],
    own: bool,
    old: Option<&PodInfo>,
    new: Option<&PodInfo>,
) -> bool {
    let is_self = |pod: &PodInfo| is_same(pod, rejected);
    // A pod that stops being involved is no longer counted: upstream passes over that, and it may be what is waited for.
    let involved = |pod: &&PodInfo| is_self(pod) || (holds_a_place(pod) && pod.key.namespace == rejected.key.namespace);
    let (old, new) = (old.filter(involved), new.filter(involved));
    if old.is_none() && new.is_none() {
        return false;
    }
    if !own {
        // The selector of the defaults follows from objects that are not at hand here: any pod may be one of its.
        return true;
    }
    if let (Some(old), Some(new)) = (old, new)
        && is_self(new)
    {
        let tolerates_other = new.spec.tolerations != old.spec.tolerations && rules.iter().any(|c| c.honor_node_taints);
        // Other labels make other selectors, which upstream passes over.
        let selects_other = new.labels != old.labels && rules.iter().any(|c| !c.match_label_keys.is_empty());
        if tolerates_other || selects_other {
            return true;
        }
    }
    rules.iter().any(|said| {
        let constraint = Constraint::own(rejected.into(), said);
        let counts = |pod: Option<&PodInfo>| pod.is_some_and(|pod| constraint.selects(&pod.labels));
        counts(old) != counts(new)
    })
}

/// Whether a node that came, went or changed makes for other domains.
fn of_nodes(rejected: &PodInfo, rules: &[&SpreadConstraint], old: Option<&NodeInfo>, new: Option<&NodeInfo>) -> bool {
    let label = |c: &&SpreadConstraint, node: &NodeInfo| node.labels.get(&c.topology_key).cloned();
    let counts = |node: &&NodeInfo| rules.iter().all(|c| label(c, node).is_some());
    // Upstream does not look whether the node affinity lets the node in, which may change with its labels, too.
    let let_in = |node: &NodeInfo| rejected.spec.node_affinity.matches(&node.name, &node.labels);
    match (old.filter(counts), new.filter(counts)) {
        (None, None) => false,
        (Some(old), Some(new)) => {
            rules.iter().any(|c| label(c, old) != label(c, new))
                || old.taints != new.taints
                || let_in(old) != let_in(new)
        }
        _ => true,
    }
}
