//! Pods that are alike to every counter, and where they are.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};

use super::super::PodMatcher;
use super::super::postings::{Label, LabelRef, shortest};
use super::super::slots::Slots;
use super::keys::Keys;
use crate::intern::Istr;
use crate::labels::{LabelSet, Requirement};
use crate::pod::{PodInfo, PodSpecInfo};
use crate::table::Row;

/// How many pods of one group are on one node. There is one for most pods, so it is small.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cell {
    live: i32,
    terminating: i32,
}

impl Cell {
    pub(super) fn one(pod: &PodInfo, sign: i32) -> Self {
        if pod.terminating { Self { live: 0, terminating: sign } } else { Self { live: sign, terminating: 0 } }
    }

    pub(super) fn times(self, sign: i32) -> Self {
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
        i64::from(self.live) + i64::from(self.terminating)
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
        self.times * if self.live_only { i64::from(cell.live) } else { cell.pods() }
    }
}

/// The pods of one namespace that carry the same terms, with labels that no selector tells apart ([`Keys`]).
#[derive(Debug)]
pub(super) struct Group {
    pub(super) namespace: Istr,
    /// Of the first of them; they speak for all as far as the keys are named.
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
    /// That of a pod, without any pod and not yet moving anything.
    pub(super) fn of(pod: &PodInfo) -> Self {
        let (namespace, labels, spec) = (pod.key.namespace.clone(), Arc::clone(&pod.labels), Arc::clone(&pod.spec));
        Self { namespace, labels, spec, cells: HashMap::new(), counters: Vec::new(), terms: Vec::new() }
    }

    fn is_of(&self, keys: &Keys, namespace: &Istr, labels: &Arc<LabelSet>, spec: &Arc<PodSpecInfo>) -> bool {
        self.namespace == *namespace
            && (Arc::ptr_eq(&self.labels, labels) || keys.alike(&self.labels, labels))
            && (Arc::ptr_eq(&self.spec, spec) || self.spec.pod_affinity == spec.pod_affinity)
    }
}

/// Where in memory namespace, labels and spec are.
type Place = (usize, usize, usize);

#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) keys: Keys,
    slots: Slots<Group>,
    hasher: DefaultHashBuilder,
    by_pod: HashTable<usize>,
    /// By where namespace, labels and spec of its first pod are in memory: most pods of a group share those.
    by_place: HashMap<Place, usize>,
    by_namespace: HashMap<Istr, HashSet<usize>>,
    /// By those of their labels whose keys are named.
    by_label: HashMap<Label, HashSet<usize>>,
    /// By the other keys.
    by_unnamed: HashMap<Istr, HashSet<usize>>,
}

impl Groups {
    /// None at all, to be told apart by the same keys.
    pub(super) fn with_same_keys(&self) -> Self {
        Self { keys: self.keys.clone(), ..Self::default() }
    }

    pub(super) fn find(&self, pod: &PodInfo) -> Option<usize> {
        self.find_alike(&pod.key.namespace, &pod.labels, &pod.spec)
    }

    /// The group of pods like this.
    pub(super) fn find_alike(
        &self,
        namespace: &Istr,
        labels: &Arc<LabelSet>,
        spec: &Arc<PodSpecInfo>,
    ) -> Option<usize> {
        if let Some(id) = self.by_place.get(&place(namespace, labels, spec)) {
            return Some(*id);
        }
        let is_of = |id: &usize| self.slots.get(*id).is_some_and(|g| g.is_of(&self.keys, namespace, labels, spec));
        self.by_pod.find(hash_of(&self.hasher, &self.keys, namespace, labels, spec), is_of).copied()
    }

    /// Puts in a group of pods that have none.
    pub(super) fn insert(&mut self, group: Group) -> usize {
        let Group { namespace, labels, spec, .. } = &group;
        let hash = hash_of(&self.hasher, &self.keys, namespace, labels, spec);
        let (namespace, labels, place) = (namespace.clone(), Arc::clone(labels), place(namespace, labels, spec));
        let id = self.slots.insert(group);
        let (slots, hasher, keys) = (&self.slots, &self.hasher, &self.keys);
        let rehash = |id: &usize| slots.get(*id).map_or(0, |g| hash_of(hasher, keys, &g.namespace, &g.labels, &g.spec));
        self.by_pod.insert_unique(hash, id, rehash);
        self.by_place.insert(place, id);
        self.by_namespace.entry(namespace).or_default().insert(id);
        for (key, value) in labels.iter() {
            if self.keys.are_named(key) {
                self.by_label.entry((key.clone(), value.clone())).or_default().insert(id);
            } else {
                self.by_unnamed.entry_ref(key).or_default().insert(id);
            }
        }
        id
    }

    pub(super) fn remove(&mut self, id: usize) -> Option<Group> {
        let group = self.slots.remove(id)?;
        self.by_place.remove(&place(&group.namespace, &group.labels, &group.spec));
        let hash = hash_of(&self.hasher, &self.keys, &group.namespace, &group.labels, &group.spec);
        if let Ok(found) = self.by_pod.find_entry(hash, |other| *other == id) {
            found.remove();
        }
        take_out(&mut self.by_namespace, &group.namespace, id);
        for (key, value) in group.labels.iter() {
            if self.keys.are_named(key) {
                take_out(&mut self.by_label, &(key.clone(), value.clone()), id);
            } else {
                take_out(&mut self.by_unnamed, key, id);
            }
        }
        Some(group)
    }

    pub(super) fn get(&self, id: usize) -> Option<&Group> {
        self.slots.get(id)
    }

    pub(super) fn get_mut(&mut self, id: usize) -> Option<&mut Group> {
        self.slots.get_mut(id)
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.slots.iter().map(|(_, group)| group)
    }

    pub(super) fn in_namespace(&self, name: &Istr) -> impl Iterator<Item = usize> + use<'_> {
        self.by_namespace.get(name).into_iter().flatten().copied()
    }

    /// The groups whose pods have a label of this key, which is not named.
    pub(super) fn with_unnamed(&self, key: &Istr) -> Vec<usize> {
        self.by_unnamed.get(key).into_iter().flatten().copied().collect()
    }

    /// The groups whose pods have a label of this key.
    pub(super) fn with(&self, key: &Istr) -> impl Iterator<Item = usize> {
        self.slots.iter().filter(|(_, group)| group.labels.get(key).is_some()).map(|(id, _)| id)
    }

    /// The groups that may be matched by all of these: by the shortest of the lists that hold them all. The keys
    /// are named.
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
}

/// Where what most pods of a group have in common is in memory. The group holds it, so it is not used again for another.
fn place(namespace: &Istr, labels: &Arc<LabelSet>, spec: &Arc<PodSpecInfo>) -> Place {
    (namespace.as_str().as_ptr().addr(), Arc::as_ptr(labels).addr(), Arc::as_ptr(spec).addr())
}

fn hash_of(hasher: &DefaultHashBuilder, keys: &Keys, namespace: &Istr, labels: &LabelSet, spec: &PodSpecInfo) -> u64 {
    let mut state = hasher.build_hasher();
    namespace.hash(&mut state);
    keys.hash(labels, &mut state);
    spec.pod_affinity.hash(&mut state);
    state.finish()
}

fn take_out<K: Hash + Eq>(lists: &mut HashMap<K, HashSet<usize>>, key: &K, id: usize) {
    if let Some(list) = lists.get_mut(key) {
        list.remove(&id);
        if list.is_empty() {
            lists.remove(key);
        }
    }
}
