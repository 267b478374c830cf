//! What pods on nodes say of a pod that is not on any yet.

use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::pod::PodAffinityTerm;
use plimsoll_framework::read::TemplatePod;
use plimsoll_framework::topology::{
    Counted, CounterSpec, Domains, ExistingTerms, NodeFilter, TermKind, Topology, Totals,
};

/// A pod that others may speak of, and the terms of pods on nodes that select it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selected {
    namespace: Istr,
    labels: Arc<LabelSet>,
    known: Vec<(TermKind, PodAffinityTerm)>,
    /// The number of the first term's counter; the others follow.
    first: usize,
}

impl Selected {
    /// Terms of the kinds that are `wanted`, with counters from the number `first` on.
    pub(super) fn new(
        pod: TemplatePod<'_>,
        terms: ExistingTerms<'_>,
        first: usize,
        wanted: impl Fn(TermKind) -> bool,
    ) -> Self {
        let mut known = terms.selecting(pod);
        known.retain(|(kind, _)| wanted(*kind));
        Self { namespace: pod.namespace.clone(), labels: Arc::clone(pod.labels), known, first }
    }

    /// Counts the pods that carry each term.
    pub(super) fn counters(&self) -> impl Iterator<Item = CounterSpec> {
        self.known.iter().map(|(kind, term)| CounterSpec {
            counted: Counted::Carriers(*kind, term.clone()),
            topology: Topology::Label(term.topology_key.clone()),
            nodes: NodeFilter::default(),
            live_only: false,
        })
    }

    /// The numbers of the counters, and the kinds of the terms whose carriers they count.
    pub(super) fn counted(&self) -> impl Iterator<Item = (usize, TermKind)> {
        (self.first..).zip(self.known.iter().map(|(kind, _)| *kind))
    }

    /// Whether there is a term at all that speaks of some domain, `imagined` ones of the kinds that are `wanted`
    /// included.
    pub(super) fn is_entered(&self, totals: Totals<'_>, wanted: impl Fn(TermKind) -> bool) -> bool {
        let known = self.first..self.first + self.known.len();
        known.into_iter().any(|nth| totals.total(nth) > 0) || totals.imagines(&self.namespace, &self.labels, wanted)
    }

    /// How often terms are carried in the domain of the node that they speak of. Those that only imagined pods carry
    /// come by themselves, once for each pod, and less than 0 for one that is taken away.
    pub(super) fn carried<'a>(
        &'a self,
        domains: Domains<'a>,
        wanted: impl Fn(TermKind) -> bool + 'a,
    ) -> impl Iterator<Item = (TermKind, i64)> + 'a {
        let known = self.known.iter().zip(self.first..);
        let known = known.map(move |((kind, _), nth)| (*kind, domains.count(nth).unwrap_or(0)));
        let imagined = domains.imagined_terms(&self.namespace, &self.labels, &self.known);
        known.chain(imagined.filter(move |(kind, _)| wanted(*kind)))
    }
}
