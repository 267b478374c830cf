//! The pods that wait for something to happen, by what decides which events wake them.
//!
//! Thousands of pods of one Job that fit nowhere are alike to every event, so an event is looked at once for all of
//! them.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::HashMap;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::pod::{Owner, PodInfo, PodSpecInfo, Uid, VolumeUse};

use super::{Clearing, PluginSet, QueuedPodInfo};
use crate::profile::Profile;

/// What the hints of a waiting pod's plugins may read, and which plugins those are. Pods for which all of it is the same
/// are woken by the same events.
#[derive(Clone, Debug)]
struct Alike {
    profile: usize,
    spec: Arc<PodSpecInfo>,
    nominated_node: Option<Istr>,
    unschedulable: PluginSet,
    pending: PluginSet,
    gate: Option<&'static str>,
    clearing: Clearing,
    /// What is not in the spec; `None` where all those plugins look at the spec alone.
    beyond: Option<Beyond>,
}

/// What pods of the same spec differ in.
#[derive(Clone, Debug)]
struct Beyond {
    labels: Arc<LabelSet>,
    namespace: Istr,
    owner: Option<Arc<Owner>>,
    annotations: Box<[(Istr, Box<str>)]>,
    /// Where the name matters: the claims of ephemeral volumes are called by it.
    only: Option<Uid>,
}

impl Alike {
    fn of(info: &QueuedPodInfo, profile: &Profile) -> Self {
        let pod = &*info.pod;
        let mut plugins = info.unschedulable_plugins.iter().chain(info.pending_plugins.iter());
        // Whom others could make room for is turned away by more than those plugins: by what PostFilter found, too.
        let by_spec = info.gating_plugin.is_none()
            && !profile.may_clear_nodes_for(pod)
            && plugins.all(|plugin| profile.looks_at_spec(plugin));
        Self {
            profile: info.profile,
            spec: Arc::clone(&pod.spec),
            nominated_node: pod.nominated_node_name.clone(),
            unschedulable: info.unschedulable_plugins.clone(),
            pending: info.pending_plugins.clone(),
            gate: info.gating_plugin,
            clearing: info.clearing.clone(),
            beyond: (!by_spec).then(|| Beyond::of(pod)),
        }
    }

    /// Whether this is what [`Self::of`] would give. Whether only the spec counts follows from what is compared first.
    fn is_of(&self, info: &QueuedPodInfo) -> bool {
        let pod = &*info.pod;
        self.profile == info.profile
            && Arc::ptr_eq(&self.spec, &pod.spec)
            && self.unschedulable == info.unschedulable_plugins
            && self.pending == info.pending_plugins
            && self.gate == info.gating_plugin
            && self.nominated_node == pod.nominated_node_name
            && self.clearing == info.clearing
            && self.beyond.as_ref().is_none_or(|beyond| beyond.is_of(pod))
    }

    fn plugins(&self) -> (usize, &PluginSet, &PluginSet, Option<&'static str>) {
        (self.profile, &self.unschedulable, &self.pending, self.gate)
    }
}

impl Beyond {
    fn of(pod: &PodInfo) -> Self {
        let names_claims = pod.spec.volumes.iter().any(|v| matches!(v, VolumeUse::Ephemeral(_)));
        Self {
            labels: Arc::clone(&pod.labels),
            namespace: pod.key.namespace.clone(),
            owner: pod.owner.clone(),
            annotations: pod.annotations.clone(),
            only: names_claims.then(|| pod.key.uid.clone()),
        }
    }

    /// Whether this is what [`Self::of`] would give of a pod with the same spec.
    fn is_of(&self, pod: &PodInfo) -> bool {
        Arc::ptr_eq(&self.labels, &pod.labels)
            && self.namespace == pod.key.namespace
            && self.owner == pod.owner
            && self.annotations == pod.annotations
            && self.only.as_ref().is_none_or(|only| *only == pod.key.uid)
    }
}

// Specs and label sets are shared by pods that are alike: the same pointer is the same content. Two of the same content
// that are not shared are two groups, which is no more than work done twice.

impl PartialEq for Alike {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.spec, &other.spec)
            && self.plugins() == other.plugins()
            && self.nominated_node == other.nominated_node
            && self.clearing == other.clearing
            && self.beyond == other.beyond
    }
}
impl Eq for Alike {}

impl Hash for Alike {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let beyond = self.beyond.as_ref().map(|b| (Arc::as_ptr(&b.labels), &b.namespace, &b.only));
        (Arc::as_ptr(&self.spec), beyond).hash(state);
    }
}

impl PartialEq for Beyond {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.labels, &other.labels)
            && self.namespace == other.namespace
            && self.owner == other.owner
            && self.annotations == other.annotations
            && self.only == other.only
    }
}

/// The pods of one kind.
#[derive(Debug)]
struct Group {
    alike: Alike,
    /// Their slots.
    members: Vec<u32>,
}

/// Where a slot is.
#[derive(Clone, Copy, Debug)]
struct Spot {
    group: u64,
    /// Among the members.
    at: usize,
}

/// The waiting pods. Everything is in an order that follows from what happened, so that every run goes the same way.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    groups: BTreeMap<u64, Group>,
    by_alike: HashMap<Alike, u64>,
    /// By slot.
    spots: Vec<Option<Spot>>,
    count: usize,
    next: u64,
    /// The group that was joined last: pods of one kind mostly come one after the other.
    last: u64,
}

impl Waiting {
    /// The pod in this slot waits.
    pub(super) fn insert(&mut self, slot: u32, info: &QueuedPodInfo, profile: &Profile) {
        self.remove(slot);
        let id = self.group_of(info, profile);
        let Some(group) = self.groups.get_mut(&id) else { return };
        let spot = Spot { group: id, at: group.members.len() };
        group.members.push(slot);
        if self.spots.len() <= slot as usize {
            self.spots.resize(slot as usize + 1, None);
        }
        self.spots[slot as usize] = Some(spot);
        self.count += 1;
        self.last = id;
    }

    /// The group of a pod, which is made where there is none.
    fn group_of(&mut self, info: &QueuedPodInfo, profile: &Profile) -> u64 {
        if self.groups.get(&self.last).is_some_and(|group| group.alike.is_of(info)) {
            return self.last;
        }
        let alike = Alike::of(info, profile);
        if let Some(id) = self.by_alike.get(&alike) {
            return *id;
        }
        let id = self.next;
        self.next += 1;
        self.by_alike.insert(alike.clone(), id);
        self.groups.insert(id, Group { alike, members: Vec::new() });
        id
    }

    /// The pod in this slot does not wait any more, if it did.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(Spot { group: id, at }) = self.spots.get_mut(slot as usize).and_then(Option::take) else { return };
        self.count -= 1;
        let Some(group) = self.groups.get_mut(&id) else { return };
        group.members.swap_remove(at);
        match group.members.get(at) {
            Some(moved) => self.spots[*moved as usize] = Some(Spot { group: id, at }),
            None if group.members.is_empty() => {
                self.by_alike.remove(&group.alike);
                self.groups.remove(&id);
            }
            None => {}
        }
    }

    /// The slots of all that wait.
    pub(super) fn slots(&self) -> Vec<u32> {
        (0..).zip(&self.spots).filter(|(_, spot)| spot.is_some()).map(|(slot, _)| slot).collect()
    }

    /// The groups there are.
    pub(super) fn groups(&self) -> Vec<u64> {
        self.groups.keys().copied().collect()
    }

    /// The members of a group, in the order of their slots.
    pub(super) fn members(&self, group: u64) -> Vec<u32> {
        let mut members = self.groups.get(&group).map(|g| g.members.clone()).unwrap_or_default();
        members.sort_unstable();
        members
    }

    /// One of them, to stand for all.
    pub(super) fn one_of(&self, group: u64) -> Option<u32> {
        self.groups.get(&group)?.members.first().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}
