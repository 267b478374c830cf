//! Deciding for comparison alone: see [`crate::shadow`].
//!
//! A pod that was found a place is not counted there, since another scheduler may put it elsewhere. It rests outside the
//! queue until that has happened, or the pod changes. If it rests for long and anything at all has changed meanwhile, it is
//! decided again, so that what is told of it stays true; nobody hears of the change by itself, since nothing depends on
//! where such a pod is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::time::Time;

use super::Engine;
use crate::cache::{Known, counts_alike};
use crate::effect::{AttemptResult, Observation};
use crate::queue::QueuedPodInfo;
use crate::shadow::{Compared, Comparison};

/// For how long a pod rests before it is decided again.
const REST: Duration = Duration::from_secs(10);

/// Pods that were found a place.
#[derive(Debug, Default)]
pub(super) struct Resting {
    pods: HashMap<Uid, Found>,
    ends: BTreeSet<(Time, Uid)>,
    /// How many bindings were compared.
    compared: u64,
}

/// The place of a pod.
#[derive(Debug)]
struct Found {
    /// What the queue knows of it; `None` while it is decided again.
    info: Option<QueuedPodInfo>,
    node: Istr,
    /// Since when it has had a place, this one or another.
    since: Time,
    /// The state of the cluster that it was decided on.
    epoch: u64,
    until: Time,
}

impl Resting {
    /// When the next pod has rested.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// It is not to be placed any more, or not known to have a place.
    pub(super) fn forget(&mut self, uid: &Uid) -> Option<QueuedPodInfo> {
        let found = self.pods.remove(uid)?;
        self.ends.remove(&(found.until, uid.clone()));
        found.info
    }

    /// A pod with those of its group that are at rest, too: they are decided together. In a fixed order.
    fn group_of(&self, uid: &Uid) -> BTreeSet<Uid> {
        let key = |found: &Found| found.info.as_ref().and_then(|info| info.group.clone());
        let group = self.pods.get(uid).and_then(key);
        let others = self.pods.iter().filter(|(_, found)| group.is_some() && key(found) == group);
        others.map(|(uid, _)| uid.clone()).chain([uid.clone()]).collect()
    }

    fn put(&mut self, uid: Uid, mut found: Found) {
        if let Some(before) = self.pods.get(&uid) {
            found.since = before.since;
            self.ends.remove(&(before.until, uid.clone()));
        }
        self.ends.insert((found.until, uid.clone()));
        self.pods.insert(uid, found);
    }
}

impl Engine {
    /// Whether pods are decided here for the sake of comparison alone.
    pub(super) fn shadows(&self) -> bool {
        self.settings.shadow.is_some()
    }

    /// Another scheduler has placed a pod that was known without a node: says what is to be said of that. Nothing of the
    /// event has been taken in yet.
    pub(super) fn compare(&mut self, known: &Known, pod: &PodInfo) {
        let Some(theirs) = pod.node_name.clone().filter(|_| self.shadows() && known.node().is_none()) else { return };
        let Some(profile) = self.by_name.get(&known.pod.scheduler_name).copied() else { return };
        self.resting.compared += 1;
        let compared = match self.refusal(&known.pod, profile) {
            Some((_, message)) => Compared::Undecided(message),
            None => {
                self.count_for(profile, &known.pod);
                let (profile, view) = (&self.profiles[profile], self.cache.table().view());
                self.worker.compare(profile, view, &known.pod, self.resting.compared, &theirs)
            }
        };
        let (pod, scheduler) = (pod.key.clone(), known.pod.scheduler_name.clone());
        let comparison = Comparison { pod, scheduler, node: theirs, compared };
        self.observations.push(Observation::Compared(Box::new(comparison)));
    }

    /// A popped pod was found a place. It is for another scheduler to put it there.
    pub(super) fn rest(&mut self, now: Time, popped: Time, mut info: QueuedPodInfo, node: Istr) {
        let uid = info.pod.key.uid.clone();
        let (result, profile) = (AttemptResult::Scheduled, info.profile);
        self.observations.push(Observation::Attempt { result, profile, duration: now.since(popped) });
        self.queue.done(&uid);
        info.unschedulable_plugins = Default::default();
        info.pending_plugins = Default::default();
        (info.unschedulable_count, info.consecutive_errors) = (0, 0);
        let epoch = self.cache.table().view().epoch();
        let found = Found { info: Some(info), node, since: now, epoch, until: now.after(REST) };
        self.resting.put(uid, found);
    }

    /// Pods that have rested are decided again, if anything has changed meanwhile.
    pub(super) fn end_resting(&mut self, now: Time) {
        let epoch = self.cache.table().view().epoch();
        while let Some((at, uid)) = self.resting.ends.first().cloned()
            && at <= now
        {
            self.resting.ends.remove(&(at, uid.clone()));
            let Some(found) = self.resting.pods.get_mut(&uid) else { continue };
            if found.epoch == epoch {
                found.until = now.after(REST);
                self.resting.ends.insert((found.until, uid));
                continue;
            }
            for uid in self.resting.group_of(&uid) {
                if let Some(info) = self.resting.pods.get_mut(&uid).and_then(|found| found.info.take()) {
                    self.queue.end_rest(now, info);
                }
            }
        }
    }

    /// A pod has changed: whether it is at rest and stays so. Otherwise it is in the queue by now, if it was at rest.
    pub(super) fn stays_at_rest(&mut self, now: Time, old: &PodInfo, new: &Arc<PodInfo>) -> bool {
        let Some(found) = self.resting.pods.get_mut(&new.key.uid) else { return false };
        if counts_alike(old, new) && old.nominated_node_name == new.nominated_node_name {
            let at_rest = found.info.as_mut().map(|info| info.pod = Arc::clone(new));
            return at_rest.is_some();
        }
        for uid in self.resting.group_of(&new.key.uid) {
            if let Some(info) = self.resting.forget(&uid) {
                self.queue.end_rest(now, info);
            }
        }
        false
    }

    /// Pods that have a place and are left waiting by the scheduler that is to put them there, each with that place.
    pub fn resting(&self) -> impl Iterator<Item = (&QueuedPodInfo, &Istr)> {
        self.resting.pods.values().filter_map(|found| Some((found.info.as_ref()?, &found.node)))
    }

    /// How many of them have had a place for as long as it takes to be decided again, or longer; by the scheduler.
    pub fn left_waiting(&self, now: Time) -> BTreeMap<Istr, usize> {
        let names = self.settings.shadow.iter().flat_map(|names| names.iter());
        let mut counts: BTreeMap<Istr, usize> = names.map(|name| (name.clone(), 0)).collect();
        for found in self.resting.pods.values().filter(|found| now.since(found.since) >= REST) {
            if let Some(count) = found.info.as_ref().and_then(|info| counts.get_mut(&info.pod.scheduler_name)) {
                *count += 1;
            }
        }
        counts
    }
}
