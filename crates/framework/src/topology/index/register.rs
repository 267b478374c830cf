//! Counters come into being, and go when nobody asks for them any more.

use std::sync::Arc;

use super::super::counts::{Adder, Counter, Counts, Sums};
use super::super::postings::Place;
use super::super::{CounterSpec, PodMatcher, terms_in};
use super::keys::keys_of;
use super::{Counted, Group, Index, Move, Placed};
use crate::cluster::ClusterInfo;

/// A counter is dropped when it was not asked for in so many registrations, which are about as many decisions: less
/// often, counting anew is cheaper than keeping up. This bounds how many there are.
const IDLE: u64 = 8_192;
/// A key is forgotten when no selector that names it was asked for in so many registrations, or in as many as there are
/// pods, if they are more. To group pods by it once more takes a look at each of them, so in the long run it is one look
/// for a registration, however often keys come and go.
const IDLE_KEY: u64 = 2 * IDLE;
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
    pub(crate) fn register(
        &mut self,
        counts: &mut Arc<Counts>,
        cluster: &ClusterInfo,
        placed: &impl Placed,
        specs: &[CounterSpec],
    ) -> Box<[CounterKey]> {
        self.registrations += 1;
        let mut keys = Vec::with_capacity(specs.len());
        for spec in specs {
            let id = match counts.by_spec.get(spec) {
                Some(id) => *id,
                None => self.add_counter(Arc::make_mut(counts), cluster, placed, spec),
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
            // One at a time: it takes a while where there are many groups.
            let before = self.registrations.saturating_sub(self.pods.max(IDLE_KEY));
            if let Some(key) = self.groups.keys.unused(before) {
                self.join_over(&key);
            }
        }
    }

    fn add_counter(
        &mut self,
        counts: &mut Counts,
        cluster: &ClusterInfo,
        placed: &impl Placed,
        spec: &CounterSpec,
    ) -> usize {
        let (topology, dimension) = self.layout.claim(counts, placed, &spec.topology, &spec.nodes);
        if let Counted::Pods(matchers) = &spec.counted {
            self.name_keys(placed, matchers);
        }
        let spec = Arc::new(spec.clone());
        let place = match &spec.counted {
            Counted::Pods(matchers) => self.matchers.place(matchers.iter().map(|m| m.selector.as_ref())),
            Counted::Imagined(_) | Counted::Carriers(..) => Place::Nowhere,
        };
        let (made, last) = (self.registrations, self.registrations);
        let asked = Asked { spec: Arc::clone(&spec), dimension, place: place.clone(), made, last };
        let moved = self.moved_by(&asked, cluster);
        let id = self.asked.insert(asked);
        let sums = self.sum_up(counts, dimension, &moved, spec.live_only);
        for (group, times) in moved {
            if let Some(group) = self.groups.get_mut(group) {
                group.counters.push(Move { counter: id, times, live_only: spec.live_only });
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

    /// Has pods told apart by what the selectors of a counter name.
    fn name_keys(&mut self, placed: &impl Placed, matchers: &[PodMatcher]) {
        for key in keys_of(matchers) {
            if !self.groups.keys.are_named(key) {
                self.part_by(placed, key);
            }
        }
        self.groups.keys.claim(matchers);
    }

    /// What the cells of these groups add up to.
    fn sum_up(&self, counts: &Counts, dimension: usize, groups: &[(usize, i64)], live_only: bool) -> Sums {
        let mut adder = Adder::new(self.layout.limit(counts, dimension));
        for (group, times) in groups {
            let Some(group) = self.groups.get(*group) else { continue };
            let m = Move { counter: 0, times: *times, live_only };
            self.layout.each_domain(counts, dimension, &group.cells, |domain, cell| adder.add(domain, m.by(cell)));
        }
        adder.done()
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
                self.groups.keys.release(matchers, asked.last);
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
