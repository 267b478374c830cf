//! The pods that wait for something to happen, by what decides which events wake them.
//!
//! Thousands of pods of one Job that fit nowhere are alike to every event, so an event is looked at once for all of
//! them.

use std::collections::{BTreeMap, BTreeSet};
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
    members: BTreeSet<u32>,
}

/// The waiting pods. Everything is in a fixed order, so that every run goes the same way.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    groups: BTreeMap<u64, Group>,
    by_alike: HashMap<Alike, u64>,
    group_of: BTreeMap<u32, u64>,
    next: u64,
}

impl Waiting {
    /// The pod in this slot waits.
    pub(super) fn insert(&mut self, slot: u32, info: &QueuedPodInfo, profile: &Profile) {
        self.remove(slot);
        let alike = Alike::of(info, profile);
        let next = self.next;
        let id = *self.by_alike.entry(alike.clone()).or_insert(next);
        self.next += u64::from(id == next);
        self.groups.entry(id).or_insert_with(|| Group { alike, members: BTreeSet::new() }).members.insert(slot);
        self.group_of.insert(slot, id);
    }

    /// The pod in this slot does not wait any more, if it did.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(id) = self.group_of.remove(&slot) else { return };
        let Some(group) = self.groups.get_mut(&id) else { return };
        group.members.remove(&slot);
        if group.members.is_empty() {
            self.by_alike.remove(&group.alike);
            self.groups.remove(&id);
        }
    }

    /// The slots of all that wait.
    pub(super) fn slots(&self) -> Vec<u32> {
        self.group_of.keys().copied().collect()
    }

    /// The groups there are.
    pub(super) fn groups(&self) -> Vec<u64> {
        self.groups.keys().copied().collect()
    }

    /// The members of a group.
    pub(super) fn members(&self, group: u64) -> Vec<u32> {
        self.groups.get(&group).map(|g| g.members.iter().copied().collect()).unwrap_or_default()
    }

    /// One of them, to stand for all.
    pub(super) fn one_of(&self, group: u64) -> Option<u32> {
        self.groups.get(&group)?.members.first().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.group_of.is_empty()
    }
}
