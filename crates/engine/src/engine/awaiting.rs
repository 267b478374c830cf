//! The pods that wait for what others do, found by what they wait for: thousands of them may wait at the same time, and
//! objects change a thousand times a second.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use plimsoll_framework::extensions::AnyAwaited;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::{KindId, ObjectKey};
use plimsoll_framework::plugin::Awaited;
use plimsoll_framework::pod::Uid;
use plimsoll_framework::time::Time;

use super::binding::Binding;

/// What one PreBind plugin waits for.
pub(super) struct Wait {
    /// The plugin's place among the PreBind plugins of the profile.
    pub(super) at: usize,
    pub(super) plugin: &'static str,
    pub(super) awaited: Awaited<AnyAwaited>,
}

impl Wait {
    /// The words for what went wrong while it waited.
    pub(super) fn trouble(&self, why: &str) -> String {
        format!("{}: {why}", self.awaited.doing)
    }
}

/// A pod that waits for what others do.
pub(super) struct Awaiting {
    pub(super) binding: Binding,
    /// Each with the time at which it is given up.
    pub(super) waits: Vec<(Wait, Time)>,
    /// The objects without whose change it waits on; `None` where a plugin does not say.
    pub(super) hangs_on: Option<Vec<(KindId, ObjectKey)>>,
}

impl Awaiting {
    /// When the first of its plugins gives up.
    fn deadline(&self) -> Option<Time> {
        self.waits.iter().map(|(_, deadline)| *deadline).min()
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct AwaitingPods {
    pods: BTreeMap<Uid, Awaiting>,
    by_object: HashMap<(KindId, ObjectKey), BTreeSet<Uid>>,
    by_node: HashMap<Istr, BTreeSet<Uid>>,
    /// Those that any object may concern.
    by_any: BTreeSet<Uid>,
    deadlines: BTreeSet<(Time, Uid)>,
    /// Those for which something has changed.
    changed: BTreeSet<Uid>,
    /// Since when that is so of any.
    since: Option<Time>,
}

impl AwaitingPods {
    pub(super) fn len(&self) -> usize {
        self.pods.len()
    }

    pub(super) fn contains(&self, uid: &Uid) -> bool {
        self.pods.contains_key(uid)
    }

    pub(super) fn insert(&mut self, awaiting: Awaiting) {
        let uid = awaiting.binding.info.pod.key.uid.clone();
        self.remove(&uid);
        self.deadlines.extend(awaiting.deadline().map(|deadline| (deadline, uid.clone())));
        self.by_node.entry(awaiting.binding.node.clone()).or_default().insert(uid.clone());
        match &awaiting.hangs_on {
            Some(objects) => {
                for object in objects {
                    self.by_object.entry(object.clone()).or_default().insert(uid.clone());
                }
            }
            None => drop(self.by_any.insert(uid.clone())),
        }
        self.pods.insert(uid, awaiting);
    }

    pub(super) fn remove(&mut self, uid: &Uid) -> Option<Awaiting> {
        let awaiting = self.pods.remove(uid)?;
        if let Some(deadline) = awaiting.deadline() {
            self.deadlines.remove(&(deadline, uid.clone()));
        }
        leave(&mut self.by_node, &awaiting.binding.node, uid);
        awaiting.hangs_on.iter().flatten().for_each(|object| leave(&mut self.by_object, object, uid));
        self.by_any.remove(uid);
        self.changed.remove(uid);
        Some(awaiting)
    }

    /// An object has changed. `matters`: whether it may concern those that do not say what they wait for.
    pub(super) fn object_changed(&mut self, now: Time, kind: KindId, key: ObjectKey, matters: impl FnOnce() -> bool) {
        self.changed.extend(self.by_object.get(&(kind, key)).into_iter().flatten().cloned());
        if !self.by_any.is_empty() && matters() {
            self.changed.extend(self.by_any.iter().cloned());
        }
        self.note(now);
    }

    /// A node has changed.
    pub(super) fn node_changed(&mut self, now: Time, name: &Istr) {
        self.changed.extend(self.by_node.get(name).into_iter().flatten().cloned());
        self.note(now);
    }

    fn note(&mut self, now: Time) {
        if !self.changed.is_empty() {
            self.since.get_or_insert(now);
        }
    }

    /// Those that are to be looked at: something has changed for them, or their time is up.
    pub(super) fn take_due(&mut self, now: Time) -> Vec<Uid> {
        self.since = None;
        let mut due = std::mem::take(&mut self.changed);
        due.extend(self.deadlines.iter().take_while(|(deadline, _)| *deadline <= now).map(|(_, uid)| uid.clone()));
        due.into_iter().collect()
    }

    /// When there are any of those.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(deadline, _)| *deadline).into_iter().chain(self.since).min()
    }
}

fn leave<K: std::hash::Hash + Eq>(index: &mut HashMap<K, BTreeSet<Uid>>, key: &K, uid: &Uid) {
    if let Some(uids) = index.get_mut(key) {
        uids.remove(uid);
        if uids.is_empty() {
            index.remove(key);
        }
    }
}
