//! Pods that are alike to every counter, and where they are.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};

use super::super::PodMatcher;
use super::super::postings::{Label, LabelRef, shortest};
use super::super::slots::Slots;
use crate::intern::Istr;
use crate::labels::{LabelSet, Requirement};
use crate::pod::{PodInfo, PodSpecInfo};
use crate::table::Row;

/// How many pods of one group are on one node.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cell {
    pub(super) live: i64,
    pub(super) terminating: i64,
}

impl Cell {
    pub(super) fn one(pod: &PodInfo, sign: i64) -> Self {
        if pod.terminating { Self { live: 0, terminating: sign } } else { Self { live: sign, terminating: 0 } }
    }

    pub(super) fn times(self, sign: i64) -> Self {
        Self { live: self.live * sign, terminating: self.terminating * sign }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.live += other.live;
        self.terminating += other.terminating;
        debug_assert!(self.live >= 0 && self.terminating >= 0, "more pods left a node than were on it");
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub(super) fn pods(self) -> i64 {
        self.live + self.terminating
    }
}

/// A counter that the pods of a group move.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    pub(super) counter: usize,
    /// By how much one pod does.
    pub(super) times: i64,
    pub(super) live_only: bool,
}

impl Move {
    pub(super) fn by(&self, cell: Cell) -> i64 {
        self.times * if self.live_only { cell.live } else { cell.pods() }
    }
}

/// The pods of one namespace with the same labels that carry the same terms.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) namespace: Istr,
    pub(super) labels: Arc<LabelSet>,
    /// Of the first of them; its affinity is that of all.
    pub(super) spec: Arc<PodSpecInfo>,
    /// By row, also for nodes that are not known (any more).
    pub(super) cells: HashMap<Row, Cell>,
    pub(super) counters: Vec<Move>,
    /// The numbers of the different terms they carry.
    pub(super) terms: Vec<usize>,
}

impl Group {
    fn is_of(&self, pod: &PodInfo) -> bool {
        self.namespace == pod.key.namespace
            && (Arc::ptr_eq(&self.labels, &pod.labels) || self.labels == pod.labels)
            && (Arc::ptr_eq(&self.spec, &pod.spec) || self.spec.pod_affinity == pod.spec.pod_affinity)
    }
}

#[derive(Debug, Default)]
pub(super) struct Groups {
    slots: Slots<Group>,
    hasher: DefaultHashBuilder,
    by_pod: HashTable<usize>,
    /// By where labels and spec of its first pod are in memory: most pods of a group share those.
    by_place: HashMap<(Istr, usize, usize), usize>,
    by_namespace: HashMap<Istr, HashSet<usize>>,
    by_label: HashMap<Label, HashSet<usize>>,
}

impl Groups {
    pub(super) fn find(&self, pod: &PodInfo) -> Option<usize> {
        if let Some(id) = self.by_place.get(&place(&pod.key.namespace, &pod.labels, &pod.spec)) {
            return Some(*id);
        }
        let is_of = |id: &usize| self.slots.get(*id).is_some_and(|g| g.is_of(pod));
        self.by_pod.find(self.hash(&pod.key.namespace, &pod.labels, &pod.spec), is_of).copied()
    }

    /// Makes the group of a pod that has none.
    pub(super) fn insert(&mut self, pod: &PodInfo) -> usize {
        let (namespace, labels, spec) = (pod.key.namespace.clone(), Arc::clone(&pod.labels), Arc::clone(&pod.spec));
        let hash = self.hash(&namespace, &labels, &spec);
        let place = place(&namespace, &labels, &spec);
        let (cells, counters, terms) = (HashMap::new(), Vec::new(), Vec::new());
        let id = self.slots.insert(Group { namespace, labels, spec, cells, counters, terms });
        let (slots, hasher) = (&self.slots, &self.hasher);
        let rehash = |id: &usize| slots.get(*id).map_or(0, |g| hash_of(hasher, &g.namespace, &g.labels, &g.spec));
        self.by_pod.insert_unique(hash, id, rehash);
        self.by_place.insert(place, id);
        self.by_namespace.entry_ref(&pod.key.namespace).or_default().insert(id);
        for (key, value) in pod.labels.iter() {
            self.by_label.entry((key.clone(), value.clone())).or_default().insert(id);
        }
        id
    }

    pub(super) fn remove(&mut self, id: usize) -> Option<Group> {
        let group = self.slots.remove(id)?;
        self.by_place.remove(&place(&group.namespace, &group.labels, &group.spec));
        if let Ok(found) =
            self.by_pod.find_entry(self.hash(&group.namespace, &group.labels, &group.spec), |other| *other == id)
        {
            found.remove();
        }
        take_out(&mut self.by_namespace, &group.namespace, id);
        for (key, value) in group.labels.iter() {
            take_out(&mut self.by_label, &(key.clone(), value.clone()), id);
        }
        Some(group)
    }

    pub(super) fn get(&self, id: usize) -> Option<&Group> {
        self.slots.get(id)
    }

    pub(super) fn get_mut(&mut self, id: usize) -> Option<&mut Group> {
        self.slots.get_mut(id)
    }

    pub(super) fn in_namespace(&self, name: &Istr) -> impl Iterator<Item = usize> + use<'_> {
        self.by_namespace.get(name).into_iter().flatten().copied()
    }

    /// The groups that may be matched by all of these: by the shortest of the lists that hold them all.
    pub(super) fn candidates(&self, matchers: &[PodMatcher]) -> Vec<usize> {
        if matchers.iter().any(|m| m.selector.is_none()) {
            return Vec::new();
        }
        let selectors = matchers.iter().filter_map(|m| m.selector.as_ref());
        let requirements: Vec<&Requirement> = selectors.flat_map(|s| s.requirements()).collect();
        let with = |key: &Istr, value: &Istr| self.by_label.get(&LabelRef(key, value));
        let entries = |key: &Istr, value: &Istr| with(key, value).map_or(0, HashSet::len);
        let bounded = matchers.iter().filter(|m| m.namespace_selector.is_none());
        let size = |m: &&PodMatcher| -> usize {
            m.namespaces.iter().filter_map(|n| self.by_namespace.get(n)).map(HashSet::len).sum()
        };
        let namespaces = bounded.min_by_key(size);
        let mut found: Vec<usize> = match (shortest(&requirements, entries), namespaces) {
            (Some((key, values)), _) => values.iter().filter_map(|v| with(key, v)).flatten().copied().collect(),
            (None, Some(matcher)) => matcher.namespaces.iter().flat_map(|n| self.in_namespace(n)).collect(),
            (None, None) => self.slots.iter().map(|(id, _)| id).collect(),
        };
        // A selector may name a value twice.
        found.sort_unstable();
        found.dedup();
        found
    }

    fn hash(&self, namespace: &Istr, labels: &LabelSet, spec: &PodSpecInfo) -> u64 {
        hash_of(&self.hasher, namespace, labels, spec)
    }
}

/// Where what all pods of a group have in common is in memory. The group holds it, so it is not used again for another.
fn place(namespace: &Istr, labels: &Arc<LabelSet>, spec: &Arc<PodSpecInfo>) -> (Istr, usize, usize) {
    (namespace.clone(), Arc::as_ptr(labels).addr(), Arc::as_ptr(spec).addr())
}

fn hash_of(hasher: &DefaultHashBuilder, namespace: &Istr, labels: &LabelSet, spec: &PodSpecInfo) -> u64 {
    hasher.hash_one((namespace, labels, &spec.pod_affinity))
}

fn take_out<K: Hash + Eq>(lists: &mut HashMap<K, HashSet<usize>>, key: &K, id: usize) {
    if let Some(list) = lists.get_mut(key) {
        list.remove(&id);
        if list.is_empty() {
            lists.remove(key);
        }
    }
}
