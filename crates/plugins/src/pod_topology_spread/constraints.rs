//! From what a pod, or the configuration, says of spreading to what is counted.

use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::{LabelSelector, LabelSet, Operator, Requirement};
use plimsoll_framework::node_selector::NodeAffinity;
use plimsoll_framework::pod::SpreadConstraint;
use plimsoll_framework::read::TemplatePod;
use plimsoll_framework::topology::{Counted, CounterSpec, NodeFilter, PodMatcher, Topology};

use super::HOSTNAME;
use crate::args::{self, DefaultingType, NodeInclusionPolicy, PodTopologySpreadArgs, WhenUnsatisfiable};

/// The constraints of pods that have none themselves. Their selector is found for each pod.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    pub(super) constraints: Box<[SpreadConstraint]>,
    /// Whether they are Kubernetes' own, which do not ask that a node has all of the labels.
    pub(super) are_systems: bool,
}

impl From<&PodTopologySpreadArgs> for Defaults {
    fn from(args: &PodTopologySpreadArgs) -> Self {
        let system = |(key, skew)| constraint(key, skew, false);
        match args.defaulting_type {
            DefaultingType::System => Self {
                constraints: [(HOSTNAME, 3), ("topology.kubernetes.io/zone", 5)].map(system).into(),
                are_systems: true,
            },
            DefaultingType::List => {
                Self { constraints: args.default_constraints.iter().map(listed).collect(), are_systems: false }
            }
        }
    }
}

fn constraint(key: &str, max_skew: i32, hard: bool) -> SpreadConstraint {
    SpreadConstraint {
        max_skew,
        topology_key: key.into(),
        hard,
        selector: None,
        min_domains: 1,
        honor_node_affinity: true,
        honor_node_taints: false,
        match_label_keys: Box::default(),
    }
}

/// `matchLabelKeys` are left out, as upstream: the selector that is found for the pod replaces all of it.
fn listed(c: &args::SpreadConstraint) -> SpreadConstraint {
    SpreadConstraint {
        min_domains: c.min_domains.unwrap_or(1),
        honor_node_affinity: c.node_affinity_policy != Some(NodeInclusionPolicy::Ignore),
        honor_node_taints: c.node_taints_policy == Some(NodeInclusionPolicy::Honor),
        ..constraint(&c.topology_key, c.max_skew, c.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule)
    }
}

/// A constraint with the selector it has for one pod.
#[derive(Clone, Debug)]
pub(super) struct Constraint<'a> {
    pub(super) said: &'a SpreadConstraint,
    /// `None` selects nothing.
    pub(super) selector: Option<LabelSelector>,
}

impl<'a> Constraint<'a> {
    /// One of the pod's own constraints.
    pub(super) fn own(pod: TemplatePod<'_>, said: &'a SpreadConstraint) -> Self {
        let same_as_own = |key: &Istr| {
            let value = pod.labels.get(key)?.clone();
            Some(Requirement { key: key.clone(), operator: Operator::In([value].into()) })
        };
        let mut requirements: Vec<Requirement> = said.match_label_keys.iter().filter_map(same_as_own).collect();
        // The keys also make a selector where none is written. The API server lets no such pod through.
        let selector = match &said.selector {
            None if requirements.is_empty() => None,
            written => {
                requirements.splice(0..0, written.iter().flat_map(LabelSelector::requirements).cloned());
                Some(LabelSelector::from_requirements(requirements))
            }
        };
        Self { said, selector }
    }

    /// Whether it is about pods with the labels of this one, whatever the namespace.
    pub(super) fn selects(&self, labels: &LabelSet) -> bool {
        self.selector.as_ref().is_some_and(|s| s.matches(labels))
    }

    /// What it counts: pods of the namespace that are not being deleted. A selector without requirements counts none
    /// of those there are, although it selects the pod itself, and pods that are imagined (reference section 5.1.1).
    pub(super) fn counter(&self, pod: TemplatePod<'_>, topology: Topology, nodes: NodeFilter) -> CounterSpec {
        let all = self.selector.as_ref().is_some_and(LabelSelector::is_empty);
        let matcher = PodMatcher {
            selector: self.selector.clone(),
            namespaces: [pod.namespace.clone()].into(),
            namespace_selector: None,
        };
        let counted = if all { Counted::Imagined([matcher].into()) } else { Counted::Pods([matcher].into()) };
        CounterSpec { counted, topology, nodes, live_only: true }
    }

    /// The nodes it counts on: those with all of these labels that its policies let in.
    pub(super) fn nodes(&self, pod: TemplatePod<'_>, keys: &[Istr]) -> NodeFilter {
        let honor_affinity = self.said.honor_node_affinity;
        NodeFilter {
            keys: keys.into(),
            affinity: required(&pod.spec.node_affinity).filter(|_| honor_affinity),
            tolerations: self.said.honor_node_taints.then(|| pod.spec.tolerations.clone()),
        }
    }

    /// The label it spreads over.
    pub(super) fn by_label(&self) -> Topology {
        Topology::Label(self.said.topology_key.clone())
    }
}

/// What a pod requires of nodes, if it does. What it merely prefers is left out, so that pods that differ in that alone
/// are counted for together.
fn required(affinity: &NodeAffinity) -> Option<NodeAffinity> {
    let node_selector = affinity.node_selector.clone().filter(|s| !s.is_empty());
    let restricted = node_selector.is_some() || affinity.required.is_some();
    restricted.then(|| NodeAffinity { node_selector, required: affinity.required.clone(), ..NodeAffinity::default() })
}
