//! Counts of pods by topology domain, as PodTopologySpread and InterPodAffinity need them.
//!
//! A plugin says *what* is to be counted, as [`CounterSpec`]s that follow from its state; the engine does the counting
//! and hands the function for one node a [`Domains`] to ask. The counts are taken from the view and corrected by the
//! overlay, so a pod that is imagined somewhere is counted there.
//!
//! How the counts come about is nothing that a plugin sees. The owner of the table registers the specs of the pods it is
//! about to decide ([`crate::table::Table::register`]); from then on every event moves the few counts that it bears on
//! (`index`), and a view holds them as they were when it was taken (`counts`). A spec that is not registered is counted
//! by walking the pods of the view (`bound`): as right, only slower.

mod bound;
mod column;
mod counts;
mod index;
mod levels;
mod postings;
mod read;
mod rows;
mod slots;
mod terms;

use crate::cluster::ClusterInfo;
use crate::intern::Istr;
use crate::labels::{LabelSelector, LabelSet};
use crate::node::NodeInfo;
use crate::node_selector::NodeAffinity;
use crate::pod::{PodAffinity, PodAffinityTerm, PodInfo};
use crate::toleration::{Toleration, tolerated};

pub use bound::Counters;
pub(crate) use counts::Counts;
pub use index::CounterKey;
pub(crate) use index::{Index, Placed};
pub use levels::{Level, Leveling, Levels};
pub use read::{DomainCols, Domains, ExistingTerms, Totals};
pub use rows::DomainRows;

/// What makes a domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topology {
    /// The nodes with the same value of this label; nodes without it are in none.
    Label(Istr),
    /// Every node by itself, whatever its labels say.
    Node,
}

/// Which pods of which namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodMatcher {
    /// Pods with these labels; `None` matches no pod.
    pub selector: Option<LabelSelector>,
    /// In one of these namespaces ...
    pub namespaces: Box<[Istr]>,
    /// ... or in one selected by its labels. Where this also selects a namespace without labels, it selects every
    /// namespace, known or not (reference section 5.2.1).
    pub namespace_selector: Option<LabelSelector>,
}

impl From<&PodAffinityTerm> for PodMatcher {
    fn from(term: &PodAffinityTerm) -> Self {
        Self {
            selector: term.selector.clone(),
            namespaces: term.namespaces.clone(),
            namespace_selector: term.namespace_selector.clone(),
        }
    }
}

impl PodMatcher {
    /// Whether `pod` is one of them.
    pub fn matches(&self, pod: &PodInfo, cluster: &ClusterInfo) -> bool {
        self.matches_labels(&pod.key.namespace, &pod.labels, cluster)
    }

    pub(crate) fn matches_labels(&self, namespace: &Istr, labels: &LabelSet, cluster: &ClusterInfo) -> bool {
        self.selector.as_ref().is_some_and(|s| s.matches(labels)) && self.selects(namespace, cluster)
    }

    fn selects(&self, namespace: &Istr, cluster: &ClusterInfo) -> bool {
        self.namespaces.contains(namespace)
            || self.namespace_selector.as_ref().is_some_and(|s| {
                s.matches(&LabelSet::default()) || cluster.namespace_labels(namespace).is_some_and(|l| s.matches(l))
            })
    }
}

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Pods that all of these match.
    Pods(Box<[PodMatcher]>),
    /// Pods of the overlay alone that all of these match: in the view none is counted.
    Imagined(Box<[PodMatcher]>),
    /// Pods that carry this term, as often as they carry it.
    Carriers(TermKind, PodAffinityTerm),
}

/// The side on which a pod carries a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TermKind {
    /// Required anti-affinity.
    AntiRequired,
    /// Required affinity.
    Required,
    /// Preferred affinity of this weight; preferred anti-affinity is of the negative weight.
    Preferred(i32),
}

/// The terms a pod carries, with their side.
pub fn terms_of(pod: &PodInfo) -> impl Iterator<Item = (TermKind, &PodAffinityTerm)> {
    terms_in(&pod.spec.pod_affinity)
}

fn terms_in(a: &PodAffinity) -> impl Iterator<Item = (TermKind, &PodAffinityTerm)> {
    let required = a.required.iter().map(|t| (TermKind::Required, t));
    let anti = a.anti_required.iter().map(|t| (TermKind::AntiRequired, t));
    let near = a.preferred.iter().map(|t| (TermKind::Preferred(t.weight), &t.term));
    let far = a.anti_preferred.iter().map(|t| (TermKind::Preferred(t.weight.saturating_neg()), &t.term));
    required.chain(anti).chain(near).chain(far)
}

/// Which nodes are counted on at all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct NodeFilter {
    /// Nodes with all of these labels.
    pub keys: Box<[Istr]>,
    /// Nodes this affinity selects.
    pub affinity: Option<NodeAffinity>,
    /// Nodes whose hard taints these tolerate.
    pub tolerations: Option<Box<[Toleration]>>,
}

impl NodeFilter {
    fn counts(&self, node: &NodeInfo) -> bool {
        self.keys.iter().all(|k| node.labels.get(k).is_some())
            && self.affinity.as_ref().is_none_or(|a| a.matches(&node.name, &node.labels))
            && self
                .tolerations
                .as_ref()
                .is_none_or(|own| node.taints.iter().filter(|t| t.effect.is_hard()).all(|t| tolerated(own, t)))
    }
}

/// One thing to count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CounterSpec {
    /// What.
    pub counted: Counted,
    /// By what.
    pub topology: Topology,
    /// On which nodes.
    pub nodes: NodeFilter,
    /// Whether pods that are being deleted are left out. (An overlay's pods count all the same: what is imagined is
    /// imagined to last.)
    pub live_only: bool,
}

impl CounterSpec {
    /// How often `pod` counts.
    fn weight(&self, pod: &PodInfo, cluster: &ClusterInfo) -> i64 {
        match &self.counted {
            Counted::Pods(matchers) | Counted::Imagined(matchers) => {
                i64::from(matchers.iter().all(|m| m.matches(pod, cluster)))
            }
            Counted::Carriers(kind, term) => {
                let times = terms_of(pod).filter(|(k, t)| k == kind && *t == term).count();
                i64::try_from(times).unwrap_or(i64::MAX)
            }
        }
    }
}

/// Whether an existing pod's term selects a pod. Its namespace selector is matched against the labels of the pod's
/// namespace alone; a namespace that is not known has none (reference section 5.2.1).
fn selects(term: &PodAffinityTerm, namespace: &Istr, labels: &LabelSet, cluster: &ClusterInfo) -> bool {
    let none = LabelSet::default();
    let namespace_labels = cluster.namespace_labels(namespace).map_or(&none, |l| l);
    let in_namespace = term.namespaces.contains(namespace)
        || term.namespace_selector.as_ref().is_some_and(|s| s.matches(namespace_labels));
    in_namespace && term.selector.as_ref().is_some_and(|s| s.matches(labels))
}
