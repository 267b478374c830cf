//! Counts of pods by topology domain, as PodTopologySpread and InterPodAffinity need them.
//!
//! A plugin says *what* is to be counted, as [`CounterSpec`]s that follow from its state; the engine does the counting
//! and hands the function for one node a [`Domains`] to ask. The counts are taken from the view and corrected by the
//! overlay, so a pod that is imagined somewhere is counted there. How the counts come about is the engine's business:
//! here they are taken by walking the pods of the view once for each prepared pod; the same interface serves counters
//! that are kept up to date from one decision to the next.

use hashbrown::HashMap;

use crate::cluster::ClusterInfo;
use crate::intern::Istr;
use crate::labels::{LabelSelector, LabelSet};
use crate::node::NodeInfo;
use crate::node_selector::NodeAffinity;
use crate::overlay::Overlay;
use crate::pod::{PodAffinityTerm, PodInfo};
use crate::read::At;
use crate::table::{Row, View};
use crate::toleration::{Toleration, tolerated};

/// What makes a domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topology {
    /// The nodes with the same value of this label; nodes without it are in none.
    Label(Istr),
    /// Every node by itself, whatever its labels say.
    Node,
}

/// A domain: a label's value, or a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Domain {
    Value(Istr),
    Node(Row),
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
        self.selector.as_ref().is_some_and(|s| s.matches(&pod.labels)) && self.selects(&pod.key.namespace, cluster)
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
    let a = &pod.spec.pod_affinity;
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
    fn domain(&self, row: Row, node: &NodeInfo) -> Option<Domain> {
        match &self.topology {
            Topology::Label(key) => node.labels.get(key).cloned().map(Domain::Value),
            Topology::Node => Some(Domain::Node(row)),
        }
    }

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

/// One counter: the sum in every domain that exists, zero or not.
#[derive(Debug)]
struct Counter {
    spec: CounterSpec,
    sums: HashMap<Domain, i64>,
}

/// The counters of one prepared plugin, in the order of its specs.
#[derive(Debug, Default)]
pub struct Counters(Vec<Counter>);

impl Counters {
    /// Counts on a view.
    pub(crate) fn count(view: &View, specs: Vec<CounterSpec>) -> Self {
        let mut counters: Vec<Counter> = specs.into_iter().map(|spec| Counter { spec, sums: HashMap::new() }).collect();
        for row in if counters.is_empty() { 0..0 } else { 0..view.row_limit() } {
            let row = Row::try_from(row).unwrap_or(Row::MAX);
            let Some(node) = view.node(row) else { continue };
            for counter in &mut counters {
                let spec = &counter.spec;
                let Some(domain) = spec.domain(row, node).filter(|_| spec.nodes.counts(node)) else { continue };
                let pods = view.pods(row).iter().filter(|p| !(spec.live_only && p.terminating));
                let imagined = matches!(spec.counted, Counted::Imagined(_));
                let sum: i64 = if imagined { 0 } else { pods.map(|p| spec.weight(p, &view.cluster)).sum() };
                *counter.sums.entry(domain).or_default() += sum;
            }
        }
        Self(counters)
    }
}

/// The counts as the function for one node sees them, through the overlay.
#[derive(Clone, Copy)]
pub struct Domains<'a> {
    at: At<'a>,
}

impl<'a> Domains<'a> {
    pub(crate) fn new(at: At<'a>) -> Self {
        Self { at }
    }

    fn counter(&self, spec: usize) -> Option<&'a Counter> {
        self.at.counters.0.get(spec)
    }

    /// The count of the spec of this number in the node's own domain; `None` when the node is in no domain of it.
    pub fn count(&self, spec: usize) -> Option<i64> {
        let counter = self.counter(spec)?;
        let domain = counter.spec.domain(self.at.row, self.at.node()?)?;
        let stored = counter.sums.get(&domain).copied().unwrap_or(0);
        let added: i64 = self.deltas(counter).filter(|(d, _)| *d == domain).map(|(_, n)| n).sum();
        Some(stored + added)
    }

    /// The least count of all domains; `None` when there is no domain.
    pub fn least(&self, spec: usize) -> Option<i64> {
        let counter = self.counter(spec)?;
        let mut changed: HashMap<Domain, i64> = HashMap::new();
        for (domain, n) in self.deltas(counter) {
            *changed.entry(domain).or_default() += n;
        }
        counter.sums.iter().map(|(domain, n)| n + changed.get(domain).copied().unwrap_or(0)).min()
    }

    /// How many domains there are, those without any counted pod included.
    pub fn domains(&self, spec: usize) -> usize {
        self.counter(spec).map_or(0, |c| c.sums.len())
    }

    /// The sum over all domains.
    pub fn total(&self, spec: usize) -> i64 {
        let Some(counter) = self.counter(spec) else { return 0 };
        counter.sums.values().sum::<i64>() + self.deltas(counter).map(|(_, n)| n).sum::<i64>()
    }

    /// What pods of the overlay alone say of the pod in `namespace` with `labels`: their terms that select it and are
    /// not among `known` (those of the cluster, which have counters), each with how often it is carried in the domain
    /// of this node that the term speaks of. Less than 0 for a pod that is taken away.
    pub fn imagined_terms<'s>(
        &self,
        namespace: &'s Istr,
        labels: &'s LabelSet,
        known: &'s [(TermKind, PodAffinityTerm)],
    ) -> impl Iterator<Item = (TermKind, i64)> + use<'a, 's> {
        let (view, here) = (self.at.view, self.at.node());
        let deltas = self.at.overlay.map_or(&[][..], |o| o.deltas());
        let carried = deltas.iter().flat_map(|d| terms_of(&d.pod).map(move |(kind, term)| (d, kind, term)));
        carried.filter_map(move |(delta, kind, term)| {
            let domain = here?.labels.get(&term.topology_key)?;
            let shared = view.node(delta.row)?.labels.get(&term.topology_key)? == domain;
            let unknown = !known.iter().any(|(k, t)| *k == kind && t == term);
            (shared && unknown && selects(term, namespace, labels, &view.cluster)).then_some((kind, delta.sign))
        })
    }

    fn deltas(&self, counter: &'a Counter) -> impl Iterator<Item = (Domain, i64)> + 'a {
        deltas(self.at.view, self.at.overlay, counter)
    }
}

/// What the overlay adds, by domain.
fn deltas<'a>(
    view: &'a View,
    overlay: Option<&'a Overlay>,
    counter: &'a Counter,
) -> impl Iterator<Item = (Domain, i64)> + 'a {
    overlay.map_or(&[][..], Overlay::deltas).iter().filter_map(move |delta| {
        let node = view.node(delta.row)?;
        let domain = counter.spec.domain(delta.row, node).filter(|_| counter.spec.nodes.counts(node))?;
        let weight = counter.spec.weight(&delta.pod, &view.cluster);
        (weight != 0).then_some((domain, weight * delta.sign))
    })
}

/// The counts of a prepared plugin as a whole, through the overlay.
#[derive(Clone, Copy)]
pub struct Totals<'a> {
    view: &'a View,
    overlay: Option<&'a Overlay>,
    counters: &'a Counters,
}

impl<'a> Totals<'a> {
    pub(crate) fn new(view: &'a View, overlay: Option<&'a Overlay>, counters: &'a Counters) -> Self {
        Self { view, overlay, counters }
    }

    /// The sum over all domains of the spec of this number.
    pub fn total(&self, spec: usize) -> i64 {
        let Some(counter) = self.counters.0.get(spec) else { return 0 };
        counter.sums.values().sum::<i64>() + deltas(self.view, self.overlay, counter).map(|(_, n)| n).sum::<i64>()
    }

    /// Whether a pod of the overlay carries a term of a kind that `wanted` names, on a node with the term's label, that
    /// selects the pod in `namespace` with `labels`.
    pub fn imagines(&self, namespace: &Istr, labels: &LabelSet, wanted: impl Fn(TermKind) -> bool) -> bool {
        self.overlay.map_or(&[][..], Overlay::deltas).iter().filter(|d| d.sign > 0).any(|delta| {
            let Some(node) = self.view.node(delta.row) else { return false };
            terms_of(&delta.pod).any(|(kind, term)| {
                wanted(kind)
                    && node.labels.get(&term.topology_key).is_some()
                    && selects(term, namespace, labels, &self.view.cluster)
            })
        })
    }
}

/// The terms that pods of the cluster carry: what existing pods say of the one to be placed.
#[derive(Clone, Copy)]
pub struct ExistingTerms<'a> {
    view: &'a View,
}

impl<'a> ExistingTerms<'a> {
    pub(crate) fn new(view: &'a View) -> Self {
        Self { view }
    }

    /// The different terms of pods on nodes that select `pod`.
    pub fn selecting(&self, pod: &PodInfo) -> Vec<(TermKind, PodAffinityTerm)> {
        let mut found: Vec<(TermKind, PodAffinityTerm)> = Vec::new();
        for (kind, term) in self.view.rows().flat_map(|row| self.view.pods(row)).flat_map(|p| terms_of(p)) {
            if selects(term, &pod.key.namespace, &pod.labels, &self.view.cluster)
                && !found.iter().any(|(k, t)| *k == kind && t == term)
            {
                found.push((kind, term.clone()));
            }
        }
        found
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
