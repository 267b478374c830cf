//! The counts as a plugin reads them.

use super::bound::Counters;
use super::counts::NOWHERE;
use super::{TermKind, selects, terms_of};
use crate::intern::Istr;
use crate::labels::LabelSet;
use crate::overlay::Overlay;
use crate::pod::PodAffinityTerm;
use crate::read::{At, TemplatePod};
use crate::table::{Row, View};

/// The counts as the function for one node sees them, through the overlay.
#[derive(Clone, Copy)]
pub struct Domains<'a> {
    at: At<'a>,
}

impl<'a> Domains<'a> {
    pub(crate) fn new(at: At<'a>) -> Self {
        Self { at }
    }

    fn totals(&self) -> Totals<'a> {
        Totals::new(self.at.view, self.at.overlay, self.at.counters)
    }

    /// The count of the spec of this number in the node's own domain; `None` when the node is in no domain of it.
    pub fn count(&self, spec: usize) -> Option<i64> {
        let counter = self.at.counters.get(spec)?;
        let domain = counter.column().domain(self.at.row)?;
        let added = self.at.counters.with_changes(spec, self.at.view, self.at.overlay, |changes| {
            changes.iter().find(|(d, _)| *d == domain).map_or(0, |(_, by)| *by)
        });
        Some(i64::from(counter.sums().get(domain)) + added)
    }

    /// The least count of all domains; `None` when there is no domain.
    pub fn least(&self, spec: usize) -> Option<i64> {
        let counter = self.at.counters.get(spec)?;
        let counters = self.at.counters;
        counters.with_changes(spec, self.at.view, self.at.overlay, |changed| counter.least(changed))
    }

    /// How many domains there are, those without any counted pod included.
    pub fn domains(&self, spec: usize) -> usize {
        self.at.counters.get(spec).map_or(0, |c| c.domains as usize)
    }

    /// The sum over all domains.
    pub fn total(&self, spec: usize) -> i64 {
        self.totals().total(spec)
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
}

/// The counts for 64 nodes, without an overlay.
#[derive(Clone, Copy)]
pub struct DomainCols<'a> {
    counters: &'a Counters,
    first: Row,
}

impl<'a> DomainCols<'a> {
    pub(crate) fn new(counters: &'a Counters, first: Row) -> Self {
        Self { counters, first }
    }

    /// Writes the count of the spec of this number in each node's own domain; gives the lanes whose nodes are in a
    /// domain of it. The others get 0.
    pub fn counts(&self, spec: usize, out: &mut [i64; 64]) -> u64 {
        *out = [0; 64];
        let Some(counter) = self.counters.get(spec) else { return 0 };
        let column = counter.column().domains().get(self.first as usize..).unwrap_or(&[]);
        let mut lanes = 0;
        for (lane, (domain, count)) in column.iter().zip(out).enumerate() {
            if *domain != NOWHERE {
                lanes |= 1 << lane;
                *count = counter.sums().get(*domain).into();
            }
        }
        lanes
    }

    /// The least count of all domains; `None` when there is no domain.
    pub fn least(&self, spec: usize) -> Option<i64> {
        self.counters.get(spec)?.least(&[])
    }

    /// How many domains there are, those without any counted pod included.
    pub fn domains(&self, spec: usize) -> usize {
        self.counters.get(spec).map_or(0, |c| c.domains as usize)
    }

    /// The sum over all domains.
    pub fn total(&self, spec: usize) -> i64 {
        self.counters.get(spec).map_or(0, |c| c.sums().total())
    }
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
        let Some(counter) = self.counters.get(spec) else { return 0 };
        let added = |changes: &[(u32, i64)]| changes.iter().map(|(_, by)| by).sum::<i64>();
        counter.sums().total() + self.counters.with_changes(spec, self.view, self.overlay, added)
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

    /// The different terms of pods on nodes that select `pod`, in no promised order.
    pub fn selecting(&self, pod: TemplatePod<'_>) -> Vec<(TermKind, PodAffinityTerm)> {
        let cluster = &self.view.cluster;
        let candidates = self.view.topology.terms.candidates(pod.labels);
        let selecting = candidates.filter(|carried| selects(&carried.1, pod.namespace, pod.labels, cluster));
        selecting.map(|carried| (**carried).clone()).collect()
    }
}
