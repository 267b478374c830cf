//! Which node is kept for which pod (reference section 10.8).

use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::PodInfo;
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
        let table = self.cache.table_mut();
        let old = table.view().nominations().node_of(&pod.key.uid).cloned();
        let left = old.clone().filter(|old| Some(old) != node.as_ref());
        match node {
            Some(node) => table.nominations_mut().set(node, Arc::clone(pod)),
            None if old.is_some() => {
                table.nominations_mut().remove(&pod.key.uid);
            }
            None => {}
        }
        left
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
        if left.is_some() || pod.nominated_node_name.is_some() {
            self.effects.push_back(Effect::Status(Box::new(StatusUpdate {
                key: pod.key.clone(),
                generation: pod.generation,
                condition: None,
                transition: false,
                nominated_node_name: Some(None),
            })));
        }
        if let Some(left) = left {
            self.nomination_left(now, &left, pod);
        }
    }
}
