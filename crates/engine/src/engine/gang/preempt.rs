//! Room for a whole group at the cost of pods of lower priority (reference section 8.10): only if all that are needed then
//! find a place. One pod of a group alone never drives anybody away.

use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::{PodInfo, PodSpecInfo, Uid};
use plimsoll_framework::time::Time;

use super::commit::Attempt;
use crate::decide::{GangPlan, Group, Seat};
use crate::effect::Observation;
use crate::engine::Engine;
use crate::engine::preempt::held_off;
use crate::extender::Answers;
use crate::queue::{PluginSet, QueuedPodInfo};

/// What can be done for a group that found no place.
#[derive(Debug, PartialEq)]
pub(super) enum Room {
    /// Nothing; or it is not done, and this is said.
    None(Option<String>),
    /// Nothing, since these plugins forbid pods to go.
    Forbidden(PluginSet),
    /// The pods in the way are leaving, or told to: their nodes are kept.
    Coming(Vec<Place>),
    /// As before: it waits for room that was made for it.
    Awaited,
}

/// A node that is kept for one pod of a group, and who has to be told to leave it.
#[derive(Debug, PartialEq)]
pub(super) struct Place {
    pub(super) uid: Uid,
    pub(super) node: Istr,
    pub(super) told: Vec<Arc<PodInfo>>,
}

impl Room {
    /// The nodes that are kept.
    pub(super) fn places(&self) -> &[Place] {
        match self {
            Self::Coming(places) => places,
            Self::None(_) | Self::Forbidden(_) | Self::Awaited => &[],
        }
    }

    /// What the message of the group's pods says of it.
    pub(super) fn words(&self) -> Option<String> {
        match self {
            Self::None(words) => words.clone(),
            Self::Forbidden(_) => None,
            Self::Coming(_) | Self::Awaited => Some("pod group is waiting for preemption to complete.".to_owned()),
        }
    }

    /// The nomination of one of its pods.
    pub(super) fn nomination(&self, uid: &Uid) -> Option<Option<Istr>> {
        match self {
            Self::None(_) | Self::Forbidden(_) => Some(None),
            Self::Coming(places) => Some(places.iter().find(|p| p.uid == *uid).map(|p| p.node.clone())),
            Self::Awaited => None,
        }
    }
}

impl Engine {
    /// Looks for room for a group that does not fit.
    pub(super) fn room_for_gang(
        &mut self,
        now: Time,
        attempt: &Attempt,
        members: &[QueuedPodInfo],
        (needed, answers): (usize, &Answers),
    ) -> Room {
        if self.shadows()
            || self.profiles[attempt.profile].post_filter.is_empty()
            || members.iter().any(|info| info.pod.spec.never_preempts)
        {
            return Room::None(None);
        }
        if self.cache.members(&attempt.key).any(|known| self.awaits_room(&known.pod)) {
            return Room::Awaited;
        }
        if let Some(wait) = members.first().and_then(|info| self.held_off(now, &info.pod)) {
            return Room::None(Some(held_off(wait)));
        }
        self.observations.push(Observation::PreemptionAttempt);
        let priority = self.pod_group(&attempt.key).and_then(|group| group.priority);
        let pods: Vec<Arc<PodInfo>> = members.iter().map(|info| as_preemptor(&info.pod, priority)).collect();
        let pods: Vec<&Arc<PodInfo>> = pods.iter().collect();
        let group = Group { pods: &pods, answers, needed };
        let view = self.cache.table().view();
        let plan = self.worker.plan_gang(&self.profiles[attempt.profile], view, &group, attempt.seq);
        match plan {
            Ok(plan) => self.make_room_for_gang(attempt, members, &plan),
            Err(by) => Room::Forbidden(by),
        }
    }

    /// What the plan takes: the nodes to be kept, and who has to be told to leave them.
    fn make_room_for_gang(&mut self, attempt: &Attempt, members: &[QueuedPodInfo], plan: &GangPlan) -> Room {
        let own = |pod: &PodInfo| pod.group_key().as_ref() == Some(&attempt.key);
        if plan.victims().next().is_none() || plan.victims().any(|victim| own(victim)) {
            return Room::None(None);
        }
        if plan.victims().any(|victim| !victim.terminating) {
            self.observations.push(Observation::Preemption { victims: plan.victims().count() });
        }
        let place = |seat: &Seat| {
            let uid = members.get(seat.pod)?.pod.key.uid.clone();
            Some(Place { uid, node: seat.node.clone(), told: self.to_be_told(&seat.victims) })
        };
        Room::Coming(plan.seats.iter().filter_map(place).collect())
    }

    /// Whether pods of lower priority are on their way off the node that is kept for a pod, or told to leave it.
    fn awaits_room(&self, pod: &PodInfo) -> bool {
        if self.makes_room_for(&pod.key.uid) {
            return true;
        }
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
