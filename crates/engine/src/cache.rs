//! The cache: every pod that is known and where it stands, and the node table its pods are counted in.
//!
//! ```text
//!            decided, committed              watch: assigned
//!  Pending ---------------------> Assumed ---------------------> Assigned
//!     ^                              |  binding failed              |  deleted or finished
//!     +------------------------------+  (forget)                    v  gone
//! ```
//!
//! An assumed pod counts on its node like any other. It never leaves because time has passed: only a watch event, the
//! certain failure of its binding, or a read of that very pod takes it away.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use hashbrown::HashMap;
use plimsoll_framework::assume::Assumption;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindId, ObjectKey};
use plimsoll_framework::pod::{GroupKey, PodInfo, Uid};
use plimsoll_framework::table::Table;

use crate::event::AnyObject;
use crate::history::{Decision, History, Past};

/// Where a pod stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Ours to place: in the queue, in flight, or waiting at Permit's door after its node was given back.
    Pending,
    /// Ours, but cannot be scheduled as it is; reported, not queued.
    Held,
    /// Another scheduler's to place. Known for the node it may be nominated for.
    Foreign,
    /// A node was chosen and counted; the API server has not confirmed it yet.
    Assumed(Assumed),
    /// On a node, by the API server's word.
    Assigned,
}

/// A pod whose node was chosen here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumed {
    /// The node.
    pub node: Istr,
    /// Whether the API server has accepted the binding; the watch will tell it again.
    pub bound: bool,
}

/// A pod that is known.
#[derive(Clone, Debug)]
pub struct Known {
    /// As the API server had it last.
    pub pod: Arc<PodInfo>,
    /// Where it stands.
    pub standing: Standing,
}

impl Known {
    /// The pod as it is counted: an assumed one with the node chosen for it, which the API server's object has not yet.
    pub fn placed(&self) -> Arc<PodInfo> {
        match &self.standing {
            Standing::Assumed(assumed) => {
                Arc::new(PodInfo { node_name: Some(assumed.node.clone()), ..PodInfo::clone(&self.pod) })
            }
            _ => Arc::clone(&self.pod),
        }
    }

    /// The node it counts on.
    pub fn node(&self) -> Option<&Istr> {
        match &self.standing {
            Standing::Assumed(assumed) => Some(&assumed.node),
            Standing::Assigned => self.pod.node_name.as_ref(),
            _ => None,
        }
    }
}

/// How many pods that are gone are remembered. What still speaks of one was under way when it went, so that those of
/// the last seconds are enough.
const GONE_KEPT: usize = 8_192;

/// Pods that are gone, with the version at which they went: what arrives late must not bring them back.
#[derive(Debug, Default)]
struct Gone {
    versions: HashMap<Uid, u64>,
    order: VecDeque<Uid>,
}

impl Gone {
    fn note(&mut self, uid: &Uid, version: u64) {
        let known = self.versions.entry(uid.clone()).or_insert_with(|| {
            self.order.push_back(uid.clone());
            version
        });
        *known = version.max(*known);
        while self.order.len() > GONE_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.versions.remove(&oldest);
        }
    }
}

/// The cache. It has one owner.
#[derive(Debug, Default)]
pub struct Cache {
    pods: HashMap<Uid, Known>,
    gone: Gone,
    /// Those that are [`Standing::Held`].
    held: BTreeSet<Uid>,
    table: Table,
    /// The version at which each node was last heard of: a heartbeat leaves the table, and the version in it, alone.
    node_versions: HashMap<Istr, u64>,
    /// The version at which each object of a further kind was last heard of.
    object_versions: HashMap<(KindId, ObjectKey), u64>,
    assumed: usize,
    /// How many of the pods that count on nodes have each priority.
    priorities: BTreeMap<i32, usize>,
    /// The pods of every group, wherever they stand.
    groups: HashMap<GroupKey, BTreeSet<Uid>>,
    /// Groups that something happened to since the engine last looked.
    touched: BTreeSet<GroupKey>,
    history: History,
}

impl Cache {
    /// An empty cache that remembers the latest changes in about so many bytes.
    pub(crate) fn with_history(budget_bytes: usize) -> Self {
        Self { history: History::of(budget_bytes), ..Self::default() }
    }

    /// The latest decisions, and what has changed since.
    pub fn past(&self) -> Past {
        self.history.past()
    }

    /// The node table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The node table, to be told what to count and which rows to avoid. What the table shows of the cluster is changed
    /// by the cache, which remembers what was there before.
    pub fn table_mut(&mut self) -> &mut Table {
        &mut self.table
    }

    /// A pod that is known.
    pub fn get(&self, uid: &Uid) -> Option<&Known> {
        self.pods.get(uid)
    }

    /// A pod that is there to be scheduled: [`Standing::Pending`].
    pub fn pending(&self, uid: &Uid) -> Option<Arc<PodInfo>> {
        self.pods.get(uid).filter(|known| known.standing == Standing::Pending).map(|known| Arc::clone(&known.pod))
    }

    /// Takes an assumed pod off its node: it is [`Standing::Pending`] again. Gives what was known before, if it was assumed.
    pub fn take_back(&mut self, uid: &Uid) -> Option<Known> {
        let assumed = self.pods.get(uid).filter(|known| matches!(known.standing, Standing::Assumed(_)));
        let pod = assumed.map(|known| Arc::clone(&known.pod))?;
        self.set(pod, Standing::Pending)
    }

    /// The pods that are held back, in a fixed order.
    pub fn held(&self) -> impl Iterator<Item = &Known> {
        self.held.iter().filter_map(|uid| self.pods.get(uid))
    }

    /// Every pod that is known, in no promised order.
    pub fn iter(&self) -> impl Iterator<Item = &Known> {
        self.pods.values()
    }

    /// How many pods count on nodes, and how many of those are only assumed.
    pub fn pod_counts(&self) -> (usize, usize) {
        let on_nodes = self.pods.values().filter(|k| k.node().is_some()).count();
        (on_nodes, self.assumed)
    }

    /// The lowest priority of a pod that counts on a node.
    pub fn lowest_priority(&self) -> Option<i32> {
        self.priorities.keys().next().copied()
    }

    /// Puts a pod where it stands now, moving what it takes up accordingly. Gives what was known before.
    pub fn set(&mut self, pod: Arc<PodInfo>, standing: Standing) -> Option<Known> {
        self.set_as(pod, standing, None)
    }

    /// Counts a pod on the node that was chosen for it.
    pub(crate) fn assume(&mut self, decision: Decision) {
        let standing = Standing::Assumed(Assumed { node: decision.node.clone(), bound: false });
        self.set_as(Arc::clone(&decision.pod), standing, Some(decision));
    }

    fn set_as(&mut self, pod: Arc<PodInfo>, standing: Standing, decision: Option<Decision>) -> Option<Known> {
        let known = Known { pod: Arc::clone(&pod), standing };
        let uid = pod.key.uid.clone();
        let old = self.pods.get(&uid).cloned();
        // A change that takes up nothing else on the same node (a status, say) leaves the table alone.
        let same = old.as_ref().is_some_and(|old| old.node() == known.node() && counts_alike(&old.pod, &pod));
        if !same {
            if let Some(old) = &old {
                self.take_off(old);
            }
            if let Some(node) = known.node() {
                self.table.add_pod(node, pod);
                self.history.added(&self.table, node, &uid, decision);
            }
        }
        self.count(old.as_ref(), Some(&known));
        self.count_group(old.as_ref(), Some(&known));
        if known.standing == Standing::Held {
            self.held.insert(uid.clone());
        } else {
            self.held.remove(&uid);
        }
        self.pods.insert(uid, known);
        old
    }

    /// Forgets a pod for good, with what it takes up.
    pub fn remove(&mut self, uid: &Uid) -> Option<Known> {
        let old = self.pods.remove(uid)?;
        self.held.remove(uid);
        self.take_off(&old);
        self.count(Some(&old), None);
        self.count_group(Some(&old), None);
        Some(old)
    }

    /// Notes that a node was heard of at this version; `false` where a later one is known. 0 is later than any.
    pub fn note_node_version(&mut self, name: &Istr, version: u64) -> bool {
        let newer = version == 0 || self.node_versions.get(name).is_none_or(|known| version > *known);
        if newer {
            self.node_versions.insert(name.clone(), version);
        }
        newer
    }

    /// Notes that an object of a further kind was heard of at this version, or that it is gone; `false` where this
    /// version or a later one is known already. 0 is later than any.
    pub fn note_object_version(&mut self, kind: KindId, key: &ObjectKey, version: Option<u64>) -> bool {
        let at = (kind, key.clone());
        match version {
            None => {
                self.object_versions.remove(&at);
                true
            }
            Some(version) => {
                let newer = version == 0 || self.object_versions.get(&at).is_none_or(|known| version > *known);
                if newer {
                    self.object_versions.insert(at, version);
                }
                newer
            }
        }
    }

    fn take_off(&mut self, known: &Known) {
        let Some(node) = known.node() else { return };
        self.table.remove_pod(node, &known.pod.key.uid);
        self.history.removed(&self.table, node, &known.pod);
    }

    /// Puts a node into the table, or replaces it. Gives the one before.
    pub fn set_node(&mut self, node: Arc<NodeInfo>) -> Option<Arc<NodeInfo>> {
        let before = self.table.row(&node.name).and_then(|row| self.table.view().node(row).cloned());
        if self.table.set_node(Arc::clone(&node)).1 {
            self.history.node(&self.table, &node.name, before.clone());
        }
        before
    }

    /// Takes a node away from the table.
    pub fn remove_node(&mut self, name: &Istr) -> Option<Arc<NodeInfo>> {
        self.node_versions.remove(name);
        let before = self.table.remove_node(name)?;
        self.history.node(&self.table, name, Some(Arc::clone(&before)));
        Some(before)
    }

    /// Sets or forgets a namespace's labels.
    pub fn set_namespace(&mut self, name: Istr, labels: Option<Arc<LabelSet>>) {
        let before = self.table.view().cluster().namespace_labels(&name).cloned();
        self.table.set_namespace(name.clone(), labels);
        self.history.namespace(&self.table, &name, before);
    }

    /// Sets or forgets an object of a further kind. Gives what was known, or assumed, before.
    pub fn set_object(&mut self, kind: KindId, key: &ObjectKey, object: Option<AnyObject>) -> Option<AnyObject> {
        let before = self.table.cluster_mut().set_object(kind, key.clone(), object);
        self.history.object(&self.table, kind, key, before.clone());
        before
    }

    /// From now on an object is read as it will be.
    pub(crate) fn assume_object(&mut self, uid: &Uid, assumption: Assumption) {
        let (kind, key) = (assumption.kind.id, assumption.key.clone());
        if let Some(before) = self.table.cluster_mut().assume_object(uid, assumption) {
            self.history.object(&self.table, kind, &key, Some(before));
        }
    }

    /// Takes back what was assumed of an object for a pod. Gives the object as it was read and as it is read now, where
    /// that makes a difference.
    pub(crate) fn withdraw_object(
        &mut self,
        uid: &Uid,
        kind: KindId,
        key: &ObjectKey,
    ) -> Option<(AnyObject, AnyObject)> {
        let (before, now) = self.table.cluster_mut().withdraw_object(uid, kind, key)?;
        self.history.object(&self.table, kind, key, Some(Arc::clone(&before)));
        Some((before, now))
    }

    /// Notes for which node a pod is nominated, if for any. Gives the node before.
    pub(crate) fn nominate(&mut self, node: Option<Istr>, pod: &Arc<PodInfo>) -> Option<Istr> {
        let nominations = self.table.view().nominations();
        let old = nominations.node_of(&pod.key.uid).cloned();
        if old.is_none() && node.is_none() {
            return None;
        }
        let before = old.clone().and_then(|node| {
            let known = nominations.pods(&node).iter().find(|known| known.key.uid == pod.key.uid).cloned();
            Some((node, known?))
        });
        match node {
            Some(node) => self.table.nominations_mut().set(node, Arc::clone(pod)),
            None => drop(self.table.nominations_mut().remove(&pod.key.uid)),
        }
        self.history.nominated(&self.table, &pod.key.uid, before);
        old
    }

    /// Remembers that a pod went at this version.
    pub fn bury(&mut self, uid: &Uid, version: u64) {
        self.gone.note(uid, version);
    }

    /// Whether the pod went at this version of it or a later one, as far as is remembered.
    pub fn is_buried(&self, pod: &PodInfo) -> bool {
        pod.resource_version != 0 && self.gone.versions.get(&pod.key.uid).is_some_and(|at| *at >= pod.resource_version)
    }

    /// Notes that the API server accepted the binding of an assumed pod.
    pub fn mark_bound(&mut self, uid: &Uid) {
        if let Some(Known { standing: Standing::Assumed(assumed), .. }) = self.pods.get_mut(uid) {
            assumed.bound = true;
        }
    }

    /// The pods of a group, in a fixed order, each with where it stands.
    pub fn members(&self, group: &GroupKey) -> impl Iterator<Item = &Known> {
        self.groups.get(group).into_iter().flatten().filter_map(|uid| self.pods.get(uid))
    }

    /// The groups that pods name, in no promised order.
    pub fn groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups.keys()
    }

    /// Notes that something happened to a group.
    pub fn touch(&mut self, group: GroupKey) {
        self.touched.insert(group);
    }

    /// Whether something happened to any group.
    pub fn has_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// A group that something happened to since it was last given here.
    pub fn next_touched(&mut self) -> Option<GroupKey> {
        self.touched.pop_first()
    }

    fn count_group(&mut self, old: Option<&Known>, new: Option<&Known>) {
        let in_group = |k: Option<&Known>| k.is_some_and(|k| k.pod.group.is_some());
        if !in_group(old) && !in_group(new) {
            return;
        }
        let (was, is) = (old.and_then(|k| k.pod.group_key()), new.and_then(|k| k.pod.group_key()));
        if let (Some(key), Some(old)) = (&was, old)
            && was != is
            && let Some(members) = self.groups.get_mut(key)
        {
            members.remove(&old.pod.key.uid);
            if members.is_empty() {
                self.groups.remove(key);
            }
        }
        if let (Some(key), Some(new)) = (&is, new)
            && was != is
        {
            self.groups.entry(key.clone()).or_default().insert(new.pod.key.uid.clone());
        }
        self.touched.extend([was, is].into_iter().flatten());
    }

    fn count(&mut self, old: Option<&Known>, new: Option<&Known>) {
        let is = |k: Option<&Known>| usize::from(k.is_some_and(|k| matches!(k.standing, Standing::Assumed(_))));
        self.assumed = self.assumed + is(new) - is(old);
        let priority = |k: Option<&Known>| k.filter(|k| k.node().is_some()).map(|k| k.pod.priority());
        let (was, is) = (priority(old), priority(new));
        if was == is {
            return;
        }
        if let Some(is) = is {
            *self.priorities.entry(is).or_default() += 1;
        }
        if let Some(was) = was
            && let Some(count) = self.priorities.get_mut(&was)
        {
            *count -= 1;
            if *count == 0 {
                self.priorities.remove(&was);
            }
        }
    }
}

/// Whether two versions of a pod are the same to everybody who looks at the pods of a node.
pub(crate) fn counts_alike(old: &PodInfo, new: &PodInfo) -> bool {
    Arc::ptr_eq(&old.spec, &new.spec)
        && Arc::ptr_eq(&old.labels, &new.labels)
        && old.terminating == new.terminating
        && old.preempted == new.preempted
        && old.start_seconds == new.start_seconds
        && old.annotations == new.annotations
}
