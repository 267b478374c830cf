//! Counters come into being, and go when nobody asks for them any more.

use std::sync::Arc;

use super::super::counts::{Counter, Counts, Sums};
use super::super::postings::Place;
use super::super::{CounterSpec, terms_in};
use super::{Counted, Group, Index, Move};
use crate::cluster::ClusterInfo;
use crate::node::NodeInfo;
use crate::table::Row;

/// A counter is dropped when it was not asked for in so many registrations, which are about as many decisions: less
/// often, counting anew is cheaper than keeping up. This bounds how many there are.
const IDLE: u64 = 8_192;
/// Idle counters are looked for once in so many registrations.
const SWEEP: u64 = 1_024;

/// A counter that was registered.
#[derive(Clone, Copy, Debug)]
pub struct CounterKey {
    id: usize,
    /// Numbers are used again.
    made: u64,
}

/// A counter as its keeper knows it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) spec: Arc<CounterSpec>,
    dimension: usize,
    /// Where its selectors are found.
    place: Place,
    /// The registrations that first and last named it.
    made: u64,
    last: u64,
}

impl Asked {
    /// Whether it counts the pods of a group, by their labels.
    pub(super) fn matches(&self, group: &Group, cluster: &ClusterInfo) -> bool {
        let Counted::Pods(matchers) = &self.spec.counted else { return false };
        matchers.iter().all(|m| m.matches_labels(&group.namespace, &group.labels, cluster))
    }

    /// How often each pod of a group carries the term that it counts.
    pub(super) fn times_carried(&self, group: &Group) -> i64 {
        let Counted::Carriers(kind, term) = &self.spec.counted else { return 0 };
        let carried = terms_in(&group.spec.pod_affinity).filter(|(k, t)| k == kind && *t == term);
        i64::try_from(carried.count()).unwrap_or(i64::MAX)
    }
}

impl Index {
    /// Keeps counters for these specs from now on.
    pub(crate) fn register<'n, N: Iterator<Item = (Row, &'n NodeInfo)>>(
        &mut self,
        counts: &mut Arc<Counts>,
        cluster: &ClusterInfo,
        nodes: impl Fn() -> N,
        specs: &[CounterSpec],
    ) -> Box<[CounterKey]> {
        self.registrations += 1;
        let mut keys = Vec::with_capacity(specs.len());
        for spec in specs {
            let id = match counts.by_spec.get(spec) {
                Some(id) => *id,
                None => self.add_counter(Arc::make_mut(counts), cluster, &nodes, spec),
            };
            if let Some(asked) = self.asked.get_mut(id) {
                asked.last = self.registrations;
                keys.push(CounterKey { id, made: asked.made });
            }
        }
        self.sweep(counts);
        keys.into()
    }

    /// The same for counters that are there; `false` where some are not any more.
    pub(crate) fn renew(&mut self, counts: &mut Arc<Counts>, keys: &[CounterKey]) -> bool {
        self.registrations += 1;
        for key in keys {
            let Some(asked) = self.asked.get_mut(key.id).filter(|asked| asked.made == key.made) else { return false };
            asked.last = self.registrations;
        }
        self.sweep(counts);
        true
    }

    fn sweep(&mut self, counts: &mut Arc<Counts>) {
        if self.registrations.is_multiple_of(SWEEP) {
            self.drop_idle(counts);
        }
    }

    fn add_counter<'n, N: Iterator<Item = (Row, &'n NodeInfo)>>(
        &mut self,
        counts: &mut Counts,
        cluster: &ClusterInfo,
        nodes: impl Fn() -> N,
        spec: &CounterSpec,
    ) -> usize {
        let (topology, dimension) = self.layout.claim(counts, nodes, &spec.topology, &spec.nodes);
        let spec = Arc::new(spec.clone());
        let place = match &spec.counted {
            Counted::Pods(matchers) => self.matchers.place(matchers.iter().map(|m| m.selector.as_ref())),
            Counted::Imagined(_) | Counted::Carriers(..) => Place::Nowhere,
        };
        let (made, last) = (self.registrations, self.registrations);
        let asked = Asked { spec: Arc::clone(&spec), dimension, place: place.clone(), made, last };
        let mut sums = Sums::default();
        let moved = self.moved_by(&asked, cluster);
        let id = self.asked.insert(asked);
        for (group, times) in moved {
            let Some(group) = self.groups.get_mut(group) else { continue };
            let m = Move { counter: id, times, live_only: spec.live_only };
            group.counters.push(m);
            for (row, cell) in &group.cells {
                let by = m.by(*cell);
                if let Some(domain) = self.layout.domain(counts, dimension, *row).filter(|_| by != 0) {
                    sums.add(domain, by);
                }
            }
        }
        match &spec.counted {
            Counted::Pods(matchers) => {
                self.matchers.insert(&place, &id);
                if matchers.iter().any(|m| m.namespace_selector.is_some()) {
                    self.by_namespace_labels.insert(id);
                }
            }
            Counted::Carriers(kind, term) => {
                let term = self.terms.claim(&(*kind, term.clone()));
                if let Some(entry) = self.terms.get_mut(term) {
                    entry.counters.push(id);
                }
            }
            Counted::Imagined(_) => {}
        }
        counts.set_counter(id, Some(Counter { topology, dimension, sums }));
        Arc::make_mut(&mut counts.by_spec).insert(spec, id);
        id
    }

    /// The groups that move a counter, with how much each of their pods does.
    fn moved_by(&self, asked: &Asked, cluster: &ClusterInfo) -> Vec<(usize, i64)> {
        match &asked.spec.counted {
            Counted::Imagined(_) => Vec::new(),
            Counted::Pods(matchers) => {
                let candidates = self.groups.candidates(matchers).into_iter();
                let matched = |id: &usize| self.groups.get(*id).is_some_and(|g| asked.matches(g, cluster));
                candidates.filter(matched).map(|id| (id, 1)).collect()
            }
            Counted::Carriers(kind, term) => {
                let entry = self.terms.number(&(*kind, term.clone())).and_then(|id| self.terms.get(id));
                let groups = entry.into_iter().flat_map(|e| &e.groups);
                groups.filter_map(|id| Some((*id, asked.times_carried(self.groups.get(*id)?)))).collect()
            }
        }
    }

    fn drop_idle(&mut self, counts: &mut Arc<Counts>) {
        let before = self.registrations.saturating_sub(IDLE);
        let idle: Vec<usize> = self.asked.iter().filter(|(_, a)| a.last < before).map(|(id, _)| id).collect();
        for id in idle {
            self.drop_counter(Arc::make_mut(counts), id);
        }
    }

    fn drop_counter(&mut self, counts: &mut Counts, id: usize) {
        let Some(asked) = self.asked.remove(id) else { return };
        let groups = match &asked.spec.counted {
            Counted::Imagined(_) => Vec::new(),
            Counted::Pods(matchers) => {
                self.matchers.remove(&asked.place, &id);
                self.by_namespace_labels.remove(&id);
                self.groups.candidates(matchers)
            }
            Counted::Carriers(kind, term) => {
                let term = self.terms.claim(&(*kind, term.clone()));
                let groups = self.terms.get_mut(term).map(|entry| {
                    entry.counters.retain(|counter| *counter != id);
                    entry.groups.iter().copied().collect()
                });
                self.terms.release(term);
                groups.unwrap_or_default()
            }
        };
        for group in groups {
            if let Some(group) = self.groups.get_mut(group) {
                group.counters.retain(|m| m.counter != id);
            }
        }
        self.layout.release(counts, asked.dimension);
        counts.set_counter(id, None);
        Arc::make_mut(&mut counts.by_spec).remove(&asked.spec);
    }
}
