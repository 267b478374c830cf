//! Room for a whole group at the cost of pods of lower priority (reference section 8.10): only if all that are needed then
//! find a place. One pod of a group alone never drives anybody away.

use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::{PodInfo, PodSpecInfo, Uid};

use super::commit::Attempt;
use crate::decide::{GangPlan, Seat};
use crate::engine::Engine;
use crate::queue::QueuedPodInfo;

/// What can be done for a group that found no place.
#[derive(Debug, PartialEq)]
pub(super) enum Room {
    /// Nothing; or it is not done, and this is said.
    None(Option<String>),
    /// The pods in the way are leaving: their nodes are kept.
    Coming(Vec<(Uid, Istr)>),
    /// As before: it waits for room that was made for it.
    Awaited,
}

impl Room {
    /// What the message of the group's pods says of it.
    pub(super) fn words(&self) -> Option<String> {
        match self {
            Self::None(words) => words.clone(),
            Self::Coming(_) | Self::Awaited => Some("pod group is waiting for preemption to complete.".to_owned()),
        }
    }

    /// The nomination of one of its pods.
    pub(super) fn nomination(&self, uid: &Uid) -> Option<Option<Istr>> {
        match self {
            Self::None(_) => Some(None),
            Self::Coming(seats) => Some(seats.iter().find(|(of, _)| of == uid).map(|(_, node)| node.clone())),
            Self::Awaited => None,
        }
    }
}

impl Engine {
    /// Looks for room for a group that does not fit.
    pub(super) fn room_for_gang(&mut self, attempt: &Attempt, members: &[QueuedPodInfo], needed: usize) -> Room {
        if self.profiles[attempt.profile].post_filter.is_empty()
            || members.iter().any(|info| info.pod.spec.never_preempts)
        {
            return Room::None(None);
        }
        if members.iter().any(|info| self.awaits_room(&info.pod)) {
            return Room::Awaited;
        }
        let priority = self.pod_group(&attempt.key).and_then(|group| group.priority);
        let pods: Vec<Arc<PodInfo>> = members.iter().map(|info| as_preemptor(&info.pod, priority)).collect();
        let view = self.cache.table().view();
        let plan = self.worker.plan_gang(&self.profiles[attempt.profile], view, &pods, needed, attempt.seq);
        match plan {
            Some(plan) => self.make_room_for_gang(attempt, members, &plan),
            None => Room::None(None),
        }
    }

    /// Does what the plan takes: the one place where the pods in the way of a group are driven away. Nobody is evicted
    /// yet, so room comes only where all of them are leaving by themselves.
    fn make_room_for_gang(&self, attempt: &Attempt, members: &[QueuedPodInfo], plan: &GangPlan) -> Room {
        let own = |pod: &PodInfo| pod.group_key().as_ref() == Some(&attempt.key);
        if plan.victims().next().is_none() || plan.victims().any(|victim| own(victim)) {
            return Room::None(None);
        }
        let staying = plan.victims().filter(|victim| !victim.terminating).count();
        if staying > 0 {
            return Room::None(Some(format!(
                "preemption: it would fit without {staying} pod(s) of lower priority; evicting for a group is not supported yet."
            )));
        }
        let seat = |seat: &Seat| Some((members.get(seat.pod)?.pod.key.uid.clone(), seat.node.clone()));
        Room::Coming(plan.seats.iter().filter_map(seat).collect())
    }

    /// Whether pods of lower priority are on their way off the node that is kept for a pod.
    fn awaits_room(&self, pod: &PodInfo) -> bool {
        let table = self.cache.table();
        let view = table.view();
        let row = view.nominations().node_of(&pod.key.uid).and_then(|node| table.row(node));
        let leaves = |other: &Arc<PodInfo>| other.terminating && other.priority() < pod.priority();
        row.is_some_and(|row| view.pods(row).iter().any(leaves))
    }
}

/// A pod as it looks for victims: with the priority of its group, and not for a node it was nominated for before.
fn as_preemptor(pod: &Arc<PodInfo>, priority: Option<i32>) -> Arc<PodInfo> {
    let priority = priority.unwrap_or_else(|| pod.priority());
    if priority == pod.priority() && pod.nominated_node_name.is_none() {
        return Arc::clone(pod);
    }
    let spec = Arc::new(PodSpecInfo { priority, ..PodSpecInfo::clone(&pod.spec) });
    Arc::new(PodInfo { spec, nominated_node_name: None, ..PodInfo::clone(pod) })
}
