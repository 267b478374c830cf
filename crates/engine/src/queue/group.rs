//! Groups of pods that are tried together: one door, one order, one way out.
//!
//! Each member has a slot of its own, as any pod. What they share is kept here, and set by the engine, which knows when a
//! group is complete: whether its members may enter the active queue at all, and where in it they stand.

use std::collections::BTreeSet;

use super::*;

/// What keeps the members of a group that may not be tried out of the active queue: the name of kube-scheduler's plugin
/// for it, in metrics and in inspection.
pub const GANG: &str = "GangScheduling";

/// Where the members of a group stand in the active queue, all of them.
#[derive(Clone, Debug)]
pub struct GroupOrder {
    /// The pod by which they are sorted.
    pub pod: Arc<PodInfo>,
    /// Since when the group can be tried.
    pub since: Time,
}

impl PartialEq for GroupOrder {
    fn eq(&self, other: &Self) -> bool {
        self.since == other.since
            && self.pod.key == other.pod.key
            && self.pod.priority() == other.pod.priority()
            && self.pod.labels == other.pod.labels
    }
}

/// A group that members in the queue name.
#[derive(Default)]
pub(super) struct Group {
    slots: BTreeSet<u32>,
    /// Whether members may be tried. A group that nothing is known of yet is closed.
    open: bool,
    order: Option<GroupOrder>,
}

impl Queue {
    /// Opens or closes a group, and says where its members stand; without an order each stands for itself.
    pub fn set_group(&mut self, now: Time, key: &GroupKey, open: bool, order: Option<GroupOrder>) {
        let group = self.groups.entry(key.clone()).or_default();
        group.open = open;
        let slots: Vec<u32> = group.slots.iter().copied().collect();
        if group.order != order {
            let places: Vec<(u32, Place)> = slots.iter().filter_map(|s| Some((*s, self.place_of(*s)?))).collect();
            places.iter().for_each(|(slot, place)| self.unlink(*slot, *place));
            if let Some(group) = self.groups.get_mut(key) {
                group.order = order;
            }
            places.iter().for_each(|(slot, place)| self.link(*slot, *place));
        }
        for slot in slots {
            let Some(place) = self.place_of(slot) else { continue };
            let by_us = self.info(slot).is_some_and(|info| info.gating_plugin == Some(GANG));
            if open && place == Place::Gated && by_us {
                let info = self.take(slot, place);
                self.requeue(now, info, Requeue::AfterBackoff, QueueReason::Own("GangReady"));
            } else if !open && place != Place::Gated {
                let mut info = self.take(slot, place);
                self.passes_pre_enqueue(&mut info);
                self.insert(info, Place::Gated, QueueReason::Own("GangNotReady"));
            }
        }
    }

    /// A group is in need of less than when it was turned away: its members are tried again.
    pub fn wake_group(&mut self, now: Time, key: &GroupKey) {
        let slots: Vec<u32> = self.groups.get(key).into_iter().flat_map(|group| group.slots.iter().copied()).collect();
        for slot in slots {
            if self.place_of(slot) == Some(Place::Unschedulable) {
                let info = self.take(slot, Place::Unschedulable);
                self.requeue(now, info, Requeue::AfterBackoff, QueueReason::Own("GangReady"));
            }
        }
    }

    /// Forgets a group that has no member any more.
    pub fn forget_group(&mut self, key: &GroupKey) {
        if self.groups.get(key).is_some_and(|group| group.slots.is_empty()) {
            self.groups.remove(key);
        }
    }

    /// Takes out every member of a group that may be tried, after one was popped.
    pub fn pop_rest(&mut self, key: &GroupKey) -> Vec<QueuedPodInfo> {
        let slots: Vec<u32> = self.groups.get(key).into_iter().flat_map(|group| group.slots.iter().copied()).collect();
        let mut rest = Vec::new();
        for slot in slots {
            let Some(place) = self.place_of(slot).filter(|place| *place != Place::Gated) else { continue };
            let mut info = self.take(slot, place);
            info.attempts += 1;
            self.in_flight.pop(&info.pod.key.uid);
            rest.push(info);
        }
        rest
    }

    /// Puts a popped pod back whose attempt did not come about.
    pub fn put_back(&mut self, now: Time, info: QueuedPodInfo) {
        self.in_flight.done(&info.pod.key.uid);
        self.requeue(now, info, Requeue::AfterBackoff, QueueReason::Own("GangNotReady"));
    }

    /// Has a pod tried again that was out of the queue because it had a place.
    pub(crate) fn end_rest(&mut self, now: Time, mut info: QueuedPodInfo) {
        info.timestamp = now;
        self.requeue(now, info, Requeue::Immediately, QueueReason::Own("ShadowRestEnds"));
    }

    /// Puts a pod to the head of the queue whose place was given up by no fault of its own; at once for the first time,
    /// after a backoff from then on.
    pub fn retry_first(&mut self, now: Time, mut info: QueuedPodInfo) {
        self.in_flight.done(&info.pod.key.uid);
        info.unschedulable_plugins = PluginSet::default();
        info.pending_plugins = PluginSet::default();
        info.consecutive_errors += 1;
        info.timestamp = now;
        info.first = true;
        let deserved = if info.consecutive_errors == 1 { Requeue::Immediately } else { Requeue::AfterBackoff };
        self.requeue(now, info, deserved, QueueReason::Own("ScheduleAttemptFailure"));
    }

    /// Whether a pod is popped and not decided yet.
    pub fn is_in_flight(&self, uid: &Uid) -> bool {
        self.in_flight.contains(uid)
    }

    /// Whether the group of a pod keeps it out.
    pub(super) fn group_is_closed(&self, info: &QueuedPodInfo) -> bool {
        info.group.as_ref().is_some_and(|key| self.groups.get(key).is_none_or(|group| !group.open))
    }

    /// A new member waits out the backoff of those that failed before it came, instead of hurrying them.
    pub(super) fn join(&self, info: &mut QueuedPodInfo) {
        let siblings = info.group.as_ref().and_then(|key| self.groups.get(key));
        let tried = |slot: &u32| self.info(*slot).filter(|sibling| sibling.unschedulable_count > 0);
        if let Some(sibling) = siblings.and_then(|group| group.slots.iter().find_map(tried)) {
            info.unschedulable_count = sibling.unschedulable_count;
            info.timestamp = sibling.timestamp;
            info.unschedulable_plugins = sibling.unschedulable_plugins.clone();
        }
    }

    /// As QueueSort sees a pod: a member of a group stands where the group stands.
    pub(super) fn sorted_as<'a>(&'a self, info: &'a QueuedPodInfo) -> Queued<'a> {
        let order = info.group.as_ref().and_then(|key| self.groups.get(key)?.order.as_ref());
        match order {
            Some(GroupOrder { pod, since }) => Queued { pod, timestamp: *since, initial_attempt: Some(*since) },
            None => info.queued(),
        }
    }

    pub(super) fn enter_group(&mut self, slot: u32) {
        if let Some(key) = self.info(slot).and_then(|info| info.group.clone()) {
            self.groups.entry(key).or_default().slots.insert(slot);
        }
    }

    pub(super) fn leave_group(&mut self, slot: u32) {
        if let Some(key) = self.info(slot).and_then(|info| info.group.clone())
            && let Some(group) = self.groups.get_mut(&key)
        {
            group.slots.remove(&slot);
        }
    }
}
