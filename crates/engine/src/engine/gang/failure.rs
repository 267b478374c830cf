//! An attempt to place a group that failed: everything is given back, everybody is told the same, and all wait for what
//! could help any of them.

use std::sync::Arc;

use plimsoll_framework::pod::Uid;
use plimsoll_framework::time::Time;

use super::commit::Attempt;
use super::preempt::Room;
use crate::cache::Known;
use crate::diagnosis::Diagnosis;
use crate::effect::{AttemptResult, Observation, Reason};
use crate::engine::Engine;
use crate::engine::binding::Binding;
use crate::engine::failure::Failure;
use crate::queue::QueuedPodInfo;

/// Upstream's words for a group that found no place.
const UNFIT: &str = "pod group is unschedulable";

impl Engine {
    /// Undoes what was assumed of a group, after the pod `at` was refused its node.
    pub(super) fn give_gang_back(
        &mut self,
        now: Time,
        attempt: &Attempt,
        seats: Vec<Binding>,
        at: usize,
        failure: Failure,
    ) {
        let mut left: Vec<Known> = Vec::new();
        let mut withdrawn = Vec::new();
        for seat in &seats {
            let uid = &seat.info.pod.key.uid;
            withdrawn.push((uid.clone(), self.unreserve(seat)));
            left.extend(self.cache.take_back(uid));
        }
        let members = seats.into_iter().map(|seat| seat.info).collect();
        match failure {
            Failure::Error(error) => self.gang_failed(now, attempt, members, at, &error),
            Failure::Unfit { diagnosis, .. } | Failure::Refused(diagnosis) | Failure::Group { diagnosis, .. } => {
                self.gang_unfit(now, attempt, members, at, &diagnosis, &Room::None(None));
            }
        }
        // Their own going must not wake them, or they would be tried for ever.
        left.iter().for_each(|left| self.place_left_by_gang(now, left));
        withdrawn.into_iter().for_each(|(uid, withdrawn)| self.tell_withdrawn(now, &uid, withdrawn));
    }

    /// No place for as many as are needed: nobody gets one, and all wait for what could help any of them.
    pub(super) fn gang_unfit(
        &mut self,
        now: Time,
        attempt: &Attempt,
        mut members: Vec<QueuedPodInfo>,
        at: usize,
        diagnosis: &Diagnosis,
        room: &Room,
    ) {
        let Some(first) = members.get(at).map(|info| Arc::clone(&info.pod)) else { return };
        let mut text = format!(
            "{UNFIT}: of {} pods of {}, {} is the first without a place: {}",
            members.len(),
            attempt.key,
            first.key.name,
            diagnosis.message()
        );
        room.words().into_iter().for_each(|words| text.push_str(&format!(" {words}")));
        let mut diagnosis = diagnosis.clone();
        let alike = members.iter().all(|m| Arc::ptr_eq(&m.pod.spec, &first.spec) && m.pod.labels == first.labels);
        if !alike && !diagnosis.unschedulable_plugins.is_empty() {
            // What keeps one of them away may be that another took its place, for reasons of its own.
            let profile = &self.profiles[attempt.profile];
            let plugins = profile.pre_filter.iter().map(|p| p.name).chain(profile.filter.iter().map(|p| p.name));
            plugins.for_each(|name| diagnosis.unschedulable_plugins.insert(name));
        }
        if let Room::Forbidden(by) = room {
            by.iter().for_each(|plugin| diagnosis.unschedulable_plugins.insert(plugin));
        }
        self.observe_gang(now, attempt, AttemptResult::Unschedulable);
        share_backoff(&mut members);
        let places = room.places();
        if places.iter().any(|place| !place.told.is_empty()) {
            places.iter().for_each(|place| self.queue.hold(&place.uid));
        }
        let (diagnosis, told): (_, Arc<str>) = (Arc::new(diagnosis), text.as_str().into());
        for info in members {
            let nominated = room.nomination(&info.pod.key.uid);
            let failure = Failure::Group { diagnosis: Arc::clone(&diagnosis), text: Arc::clone(&told), nominated };
            self.fail(now, attempt.popped, info, failure);
        }
        for place in places.iter().filter(|place| !place.told.is_empty()) {
            if let Some(pod) = self.cache.pending(&place.uid) {
                self.preempt(now, &pod, place.node.clone(), place.told.clone());
            }
        }
        self.write_group_status(&attempt.key, Some((Reason::Unschedulable, text)));
    }

    /// Something failed about the pod `at`.
    pub(super) fn gang_failed(
        &mut self,
        now: Time,
        attempt: &Attempt,
        mut members: Vec<QueuedPodInfo>,
        at: usize,
        error: &str,
    ) {
        let text = format!("failed to schedule other pod from a pod group: {error}");
        self.observe_gang(now, attempt, AttemptResult::Error);
        share_backoff(&mut members);
        for (nth, info) in members.into_iter().enumerate() {
            let own = if nth == at { error.to_owned() } else { text.clone() };
            self.fail(now, attempt.popped, info, Failure::Error(own));
        }
        self.write_group_status(&attempt.key, Some((Reason::SchedulerError, text)));
    }

    /// Extenders could not say where a pod of the group is to go.
    pub(in crate::engine) fn gang_not_answered_for(
        &mut self,
        now: Time,
        popped: Time,
        members: Vec<QueuedPodInfo>,
        uid: &Uid,
        error: &str,
    ) {
        let Some((key, profile)) = members.first().and_then(|info| Some((info.group.clone()?, info.profile))) else {
            return members.into_iter().for_each(|info| self.queue.put_back(now, info));
        };
        let at = members.iter().position(|info| info.pod.key.uid == *uid).unwrap_or(0);
        self.cache.touch(key.clone());
        self.gang_failed(now, &Attempt { key, seq: 0, popped, profile }, members, at, error);
    }

    /// The binding of one pod of a gang has failed. The others stay where they are; this one is tried again at the head
    /// of the queue, its own node first, which is kept for it.
    pub(in crate::engine) fn retry_member(&mut self, now: Time, binding: Binding, message: &str) {
        let withdrawn = self.unreserve(&binding);
        let Binding { mut info, node, popped, .. } = binding;
        let (uid, profile) = (info.pod.key.uid.clone(), info.profile);
        let left = self.cache.take_back(&uid);
        let duration = now.since(popped);
        self.observations.push(Observation::Attempt { result: AttemptResult::Error, profile, duration });
        let Some(pod) = self.cache.pending(&uid) else { return self.queue.done(&uid) };
        let there = self.cache.table().row(&node).is_some();
        let preferred = Some(node.clone()).filter(|_| there);
        self.set_nomination(preferred.clone(), &pod);
        let first = preferred.as_ref().map_or_else(String::new, |node| format!(", on {node} first"));
        let text = match &info.group {
            Some(key) => {
                let placed = self.members(key).placed;
                format!("{message}; {placed} other pods of {key} keep their nodes, and this one is tried again{first}")
            }
            None => message.to_owned(),
        };
        (info.pod, info.preferred) = (Arc::clone(&pod), preferred);
        self.queue.retry_first(now, info);
        // Nothing is kept for it where its node is gone.
        self.report(&pod, Reason::SchedulerError, text.into(), (!there).then_some(None));
        if let Some(left) = left {
            self.place_left_by_gang(now, &left);
        }
        self.tell_withdrawn(now, &uid, withdrawn);
    }

    pub(super) fn observe_gang(&mut self, now: Time, attempt: &Attempt, result: AttemptResult) {
        let duration = now.since(attempt.popped);
        self.observations.push(Observation::GangAttempt { result, profile: attempt.profile, duration });
    }
}

/// The backoff of a group is one: that of the member that has failed most often.
fn share_backoff(members: &mut [QueuedPodInfo]) {
    let most = members.iter().map(|info| info.unschedulable_count).max().unwrap_or(0);
    let errors = members.iter().map(|info| info.consecutive_errors).max().unwrap_or(0);
    for info in members {
        (info.unschedulable_count, info.consecutive_errors) = (most, errors);
    }
}
