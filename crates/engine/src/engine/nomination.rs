//! Which node is kept for which pod (reference section 10.8).

use std::sync::Arc;

use hashbrown::HashMap;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::time::Time;

use super::Engine;
use super::ingest::ASSIGNED_DELETE;
use crate::effect::{Effect, StatusUpdate};
use crate::event::OwnedChange;

impl Engine {
    /// Notes for which node a pod is nominated, if any; those who had to respect a nomination that is no more may try.
    pub(super) fn nominate(&mut self, now: Time, node: Option<Istr>, pod: &Arc<PodInfo>) {
        if let Some(left) = self.set_nomination(node, pod).filter(|left| pod.node_name.as_ref() != Some(left)) {
            self.nomination_left(now, &left, pod);
        }
    }

    /// Room that was kept on a node for a nominated pod is free.
    pub(super) fn nomination_left(&mut self, now: Time, node: &Istr, pod: &PodInfo) {
        let left = PodInfo { node_name: None, nominated_node_name: Some(node.clone()), ..pod.clone() };
        let change = OwnedChange::Pod(Some(Arc::new(left)), None);
        // Not the pod itself: its own nomination was never in its way.
        let respected = |p: &PodInfo| p.priority() <= pod.priority() && p.key.uid != pod.key.uid;
        self.wake(now, &ASSIGNED_DELETE, change, respected);
    }

    /// Notes for which node a pod is nominated, if any. Gives the node it was nominated for and is no more.
    pub(super) fn set_nomination(&mut self, node: Option<Istr>, pod: &Arc<PodInfo>) -> Option<Istr> {
        self.cache.nominate(node.clone(), pod).filter(|old| Some(old) != node.as_ref())
    }

    /// Something happened to a node: whoever it is kept for has to see whether it still is what it was kept as.
    pub(super) fn wake_nominated(&mut self, now: Time, node: &Istr) {
        let nominated = self.cache.table().view().nominations().pods(node).iter();
        let nominated: Vec<Arc<PodInfo>> = nominated.filter_map(|p| self.cache.pending(&p.key.uid)).collect();
        nominated.iter().for_each(|pod| self.queue.wake_one(now, &pod.key.uid));
    }

    /// Pods of lower priority that are nominated for the node have to look for another. Nobody has to go for them here
    /// any more.
    pub(super) fn clear_lower_nominations(&mut self, now: Time, pod: &PodInfo, node: &Istr) {
        let nominated = self.cache.table().view().nominations().pods(node).iter();
        let group = pod.group_key();
        // Pods of one group are placed together, whatever their priorities.
        let apart = |p: &PodInfo| group.is_none() || p.group_key() != group;
        let lower = nominated.filter(|p| p.priority() < pod.priority() && apart(p));
        let lower: Vec<Arc<PodInfo>> = lower.filter_map(|p| self.cache.pending(&p.key.uid)).collect();
        for pod in lower {
            self.stop_making_room(now, &pod.key.uid);
            self.clear_nomination(now, &pod);
            self.queue.wake_one(now, &pod.key.uid);
        }
    }

    /// Nothing is kept on a node for a pod any more; its status says so if it said otherwise, or was to.
    pub(super) fn clear_nomination(&mut self, now: Time, pod: &Arc<PodInfo>) {
        let left = self.set_nomination(None, pod);
        self.write_nomination(pod, None);
        if let Some(left) = left {
            self.nomination_left(now, &left, pod);
        }
    }

    /// Has the status of a pod name this node, or none, unless it does. A pod that has to wait on its way to a node names
    /// it, for whoever else makes plans, and for the next scheduler should this one end (reference section 9.4).
    pub(super) fn write_nomination(&mut self, pod: &Arc<PodInfo>, node: Option<Istr>) {
        let pod = self.cache.get(&pod.key.uid).map_or(pod, |known| &known.pod);
        if let Some(number) = self.nominations.ask(pod, &node) {
            self.effects.push_back(Effect::Status(Box::new(StatusUpdate {
                key: pod.key.clone(),
                generation: pod.generation,
                condition: None,
                transition: false,
                nominated_node_name: Some(node),
                number,
            })));
        }
    }

    /// What a pod that is to be placed is nominated for, by what the watch shows of it. What was asked for and is not
    /// shown yet goes before that; and a nomination that the API server was never told of stays as it is.
    pub(super) fn nomination_shown(&self, old: &PodInfo, pod: &PodInfo) -> Option<Istr> {
        let told = old.nominated_node_name.is_some() || pod.nominated_node_name.is_some();
        if told && !self.nominations.is_ahead(&pod.key.uid) {
            return pod.nominated_node_name.clone();
        }
        self.cache.table().view().nominations().node_of(&pod.key.uid).cloned()
    }

    /// A pod as decisions are to see it: nominated for what is kept for it, whatever the watch has shown of that yet.
    pub(super) fn as_nominated(&self, pod: &Arc<PodInfo>) -> Arc<PodInfo> {
        if !self.nominations.asked.contains_key(&pod.key.uid) {
            return Arc::clone(pod);
        }
        let node = self.cache.table().view().nominations().node_of(&pod.key.uid);
        if node == pod.nominated_node_name.as_ref() {
            return Arc::clone(pod);
        }
        Arc::new(PodInfo { nominated_node_name: node.cloned(), ..PodInfo::clone(pod) })
    }

    /// The answer to a write.
    pub(super) fn nomination_written(&mut self, uid: &Uid, number: u64, version: Option<u64>) {
        self.nominations.answered(uid, number, version);
        if let Some(known) = self.cache.get(uid) {
            self.nominations.seen(uid, known.pod.resource_version);
        }
    }
}

/// What the API server was asked to have as the nominated nodes of pods, as far as the watch has not shown it. Writes and
/// what the watch shows of them may come in any order; the writes of one pod are done in theirs.
#[derive(Debug, Default)]
pub(super) struct Nominations {
    asked: HashMap<Uid, Asked>,
    last_number: u64,
}

/// What was asked last of a pod.
#[derive(Debug)]
struct Asked {
    number: u64,
    node: Option<Istr>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// It is under way.
    Open,
    /// This version has it.
    Written(u64),
    /// Nobody knows whether it was written.
    Unknown,
}

impl Nominations {
    /// The number of the write that is needed for the pod's status to name this node, or none, in the end.
    pub(super) fn ask(&mut self, pod: &PodInfo, node: &Option<Istr>) -> Option<u64> {
        let is = match self.asked.get(&pod.key.uid) {
            Some(Asked { state: State::Unknown, .. }) => None,
            Some(asked) => Some(&asked.node),
            None => Some(&pod.nominated_node_name),
        };
        if is == Some(node) {
            return None;
        }
        self.last_number += 1;
        let asked = Asked { number: self.last_number, node: node.clone(), state: State::Open };
        self.asked.insert(pod.key.uid.clone(), asked);
        Some(self.last_number)
    }

    fn answered(&mut self, uid: &Uid, number: u64, version: Option<u64>) {
        if let Some(asked) = self.asked.get_mut(uid).filter(|asked| asked.number == number) {
            asked.state = version.map_or(State::Unknown, State::Written);
        }
    }

    /// The pod is seen at this version; 0 is later than any.
    pub(super) fn seen(&mut self, uid: &Uid, version: u64) {
        let shown = |written: u64| version == 0 || version >= written;
        if self.asked.get(uid).is_some_and(|asked| matches!(asked.state, State::Written(at) if shown(at))) {
            self.asked.remove(uid);
        }
    }

    /// The pod is gone, or on a node, which ends its nomination.
    pub(super) fn forget(&mut self, uid: &Uid) {
        self.asked.remove(uid);
    }

    /// Whether more was asked for than the watch has shown.
    fn is_ahead(&self, uid: &Uid) -> bool {
        self.asked.get(uid).is_some_and(|asked| !matches!(asked.state, State::Unknown))
    }
}
