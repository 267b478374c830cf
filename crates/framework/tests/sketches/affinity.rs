//! A sketch of InterPodAffinity (reference section 5.2).

use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::plugin::{Extent, Filter, Plugin, Score};
use plimsoll_framework::pod::{PodAffinityTerm, PodInfo};
use plimsoll_framework::read::{ClusterOf, Namespaces, Terms, TopologyDomains, WholePod};
use plimsoll_framework::topology::{Counted, CounterSpec, Domains, NodeFilter, PodMatcher, TermKind, Topology};
use plimsoll_framework::verdict::Verdict;

use super::{float, naive, whole};

pub(crate) struct Affinity;

impl Plugin for Affinity {
    const NAME: &'static str = "InterPodAffinity";
}

fn near(matchers: Box<[PodMatcher]>, term: &PodAffinityTerm) -> CounterSpec {
    let topology = Topology::Label(term.topology_key.clone());
    CounterSpec { counted: Counted::Pods(matchers), topology, nodes: NodeFilter::default(), live_only: false }
}

fn carriers(kind: TermKind, term: &PodAffinityTerm) -> CounterSpec {
    CounterSpec { counted: Counted::Carriers(kind, term.clone()), ..near([].into(), term) }
}

/// Whom existing pods' terms are matched against, and those terms of pods on nodes that select it.
#[derive(PartialEq)]
pub(crate) struct Selected {
    namespace: Istr,
    labels: Arc<LabelSet>,
    known: Vec<(TermKind, PodAffinityTerm)>,
}

impl Selected {
    fn new(pod: &PodInfo, terms: ClusterOf<'_, Terms>, kinds: impl Fn(TermKind) -> bool) -> Self {
        let mut known = terms.selecting(pod.into());
        known.retain(|(kind, _)| kinds(*kind));
        Self { namespace: pod.key.namespace.clone(), labels: Arc::clone(&pod.labels), known }
    }
    fn counters(&self) -> impl Iterator<Item = CounterSpec> {
        self.known.iter().map(|(kind, term)| carriers(*kind, term))
    }
    /// The terms that are known as counters from `first` on, then those of imagined pods.
    fn terms<'a>(&'a self, domains: Domains<'a>, first: usize) -> impl Iterator<Item = (TermKind, i64)> + 'a {
        let known = self.known.iter().enumerate();
        let known = known.map(move |(nth, (kind, _))| (*kind, domains.count(first + nth).unwrap_or(0)));
        known.chain(domains.imagined_terms(&self.namespace, &self.labels, &self.known))
    }
}

#[derive(PartialEq)]
pub(crate) struct Required {
    /// The first counters are of the required terms, the next ones of the anti-affinity terms, then of `existing`.
    terms: usize,
    anti_terms: usize,
    existing: Selected,
    self_match: bool,
    specs: Vec<CounterSpec>,
}

impl Filter for Affinity {
    type Pod = WholePod;
    type Cluster = (Terms, Namespaces);
    type Node = TopologyDomains;
    type State = Required;

    fn prepare(&self, pod: &PodInfo, (terms, namespaces): ClusterOf<'_, Self::Cluster>) -> Option<Required> {
        let own = &pod.spec.pod_affinity;
        let existing = Selected::new(pod, terms, |kind| kind == TermKind::AntiRequired);
        if own.required.is_empty() && own.anti_required.is_empty() && existing.known.is_empty() {
            return None;
        }
        let all: Box<[PodMatcher]> = own.required.iter().map(PodMatcher::from).collect();
        let specs = own.required.iter().map(|t| near(all.clone(), t));
        let specs = specs.chain(own.anti_required.iter().map(|t| near([PodMatcher::from(t)].into(), t)));
        let self_match = all.iter().all(|m| namespaces.matched(pod.into(), m));
        Some(Required {
            terms: own.required.len(),
            anti_terms: own.anti_required.len(),
            specs: specs.chain(existing.counters()).collect(),
            existing,
            self_match,
        })
    }

    fn counters(&self, state: &Required) -> Vec<CounterSpec> {
        state.specs.clone()
    }

    fn filter(&self, state: &Required, domains: Domains<'_>) -> Verdict {
        let anti = state.terms..state.terms + state.anti_terms;
        let counts: Option<Vec<i64>> = (0..state.terms).map(|nth| domains.count(nth)).collect();
        // The first of a group of pods that want to be together may be anywhere.
        let first = || state.self_match && (0..state.terms).all(|nth| domains.total(nth) == 0);
        if !counts.is_some_and(|counts| counts.iter().all(|n| *n > 0) || first()) {
            return Verdict::unresolvable(naive::AFFINITY);
        }
        if anti.clone().any(|nth| domains.count(nth).is_some_and(|n| n > 0)) {
            return Verdict::unschedulable(naive::ANTI_AFFINITY);
        }
        let existing = state.existing.terms(domains, anti.end).filter(|(kind, _)| *kind == TermKind::AntiRequired);
        if existing.map(|(_, n)| n).sum::<i64>() > 0 {
            return Verdict::unschedulable(naive::EXISTING_ANTI_AFFINITY);
        }
        Verdict::FITS
    }

    fn reasons(&self, _: &Required, _: u32) -> Vec<String> {
        Vec::new()
    }
}

/// Weights of the pod's own preferred terms, then what others say of it.
pub(crate) type Preferred = (Vec<i64>, Selected, Vec<CounterSpec>);

fn weight(kind: TermKind) -> i64 {
    match kind {
        TermKind::Required => 1,
        TermKind::Preferred(weight) => weight.into(),
        TermKind::AntiRequired => 0,
    }
}

impl Score for Affinity {
    const NORMALIZED: bool = true;
    type Pod = WholePod;
    type Cluster = Terms;
    type Node = TopologyDomains;
    type State = Preferred;

    fn prepare(&self, pod: &PodInfo, terms: ClusterOf<'_, Terms>) -> Option<Preferred> {
        let own = &pod.spec.pod_affinity;
        let signed = own.preferred.iter().map(|t| (1, t)).chain(own.anti_preferred.iter().map(|t| (-1, t)));
        let existing = Selected::new(pod, terms, |kind| weight(kind) != 0);
        let weights: Vec<i64> = signed.clone().map(|(sign, t)| sign * i64::from(t.weight)).collect();
        let specs = signed.map(|(_, t)| near([PodMatcher::from(&t.term)].into(), &t.term));
        let specs: Vec<_> = specs.chain(existing.counters()).collect();
        (!specs.is_empty()).then_some((weights, existing, specs))
    }

    fn counters(&self, state: &Preferred) -> Vec<CounterSpec> {
        state.2.clone()
    }

    fn score(&self, (weights, existing, _): &Preferred, domains: Domains<'_>) -> i64 {
        let own = weights.iter().enumerate().map(|(nth, weight)| weight * domains.count(nth).unwrap_or(0));
        let others = existing.terms(domains, weights.len()).map(|(kind, n)| weight(kind) * n);
        own.chain(others).sum()
    }

    fn normalize(&self, raw: i64, Extent { min, max }: Extent) -> i64 {
        if max == min { 0 } else { whole(100.0 * (float(raw - min) / float(max - min))) }
    }
}
