//! Who moves where, and why (reference sections 10.2 and 10.6).

use super::*;

impl Queue {
    pub(super) fn activate(&mut self, now: Time, mut info: QueuedPodInfo, reason: QueueReason) {
        if !self.passes_pre_enqueue(&mut info) {
            self.next_flush.get_or_insert_with(|| now.after(FLUSH_INTERVAL));
            return self.insert(info, Place::Gated, reason);
        }
        info.initial_attempt.get_or_insert(now);
        self.insert(info, Place::Active, reason);
    }

    pub(super) fn passes_pre_enqueue(&self, info: &mut QueuedPodInfo) -> bool {
        let plugins = &self.profiles[info.profile].pre_enqueue;
        // The one that gated it last is the likeliest to gate it again.
        let last = plugins.iter().filter(|p| Some(p.name) == info.gating_plugin);
        let others = plugins.iter().filter(|p| Some(p.name) != info.gating_plugin);
        let shut = || last.chain(others).find(|p| p.plugin.pre_enqueue(&info.pod).is_err()).map(|p| p.name);
        let gate = if self.is_held(&info.pod.key.uid) { Some(hold::HOLDER) } else { shut() };
        // The other members are asked for last: what keeps this one out of itself is said first.
        let gate = gate.or_else(|| self.group_is_closed(info).then_some(GANG));
        info.gating_plugin = gate;
        if let Some(name) = gate {
            info.unschedulable_plugins.insert(name);
        }
        gate.is_none()
    }

    pub(super) fn requeue(&mut self, now: Time, mut info: QueuedPodInfo, deserved: Requeue, reason: QueueReason) {
        let backing_off = info.is_backing_off(&self.settings.backoff, now);
        match deserved {
            Requeue::Skip => {
                self.next_flush.get_or_insert_with(|| now.after(FLUSH_INTERVAL));
                let place = if info.gating_plugin.is_some() { Place::Gated } else { Place::Unschedulable };
                self.insert(info, place, reason);
            }
            Requeue::AfterBackoff if backing_off => {
                // Pods may be popped from backoff directly, so they must be ready for it.
                if !self.passes_pre_enqueue(&mut info) {
                    return self.insert(info, Place::Gated, reason);
                }
                info.initial_attempt.get_or_insert(now);
                let place = if info.failed_by_error() { Place::ErrorBackoff } else { Place::Backoff };
                self.insert(info, place, reason);
            }
            Requeue::AfterBackoff | Requeue::Immediately => self.activate(now, info, reason),
        }
    }

    /// Something happened: whoever it might help is moved on. `only` limits whom; `judge` rules out what cannot be.
    pub fn move_all(
        &mut self,
        now: Time,
        event: &ClusterEvent,
        change: OwnedChange,
        only: impl Fn(&PodInfo) -> bool,
        judge: &mut dyn Judge,
    ) {
        if !self.profiles.iter().any(|p| p.hears(event)) {
            return;
        }
        for group in self.waiting.groups() {
            let Some(info) = self.waiting.one_of(group).and_then(|slot| self.info(slot)) else { continue };
            let deserved = self.deserved(info, event, &change);
            if deserved == Requeue::Skip {
                continue;
            }
            // Who is gated has not been turned away by any node.
            if info.gating_plugin.is_none() && judge.chance(info, &change) == Chance::None {
                continue;
            }
            let members = self.waiting.members(group).into_iter();
            for slot in members.filter(|slot| self.info(*slot).is_some_and(|info| only(&info.pod))).collect::<Vec<_>>()
            {
                self.wake(now, slot, event, deserved);
            }
        }
        self.in_flight.record(event.clone(), change);
    }

    /// Looks at one waiting pod again in the light of an event; whether it moved.
    pub(super) fn reconsider(&mut self, now: Time, slot: u32, event: &ClusterEvent, change: &OwnedChange) -> bool {
        let deserved = self.info(slot).map_or(Requeue::Skip, |info| self.deserved(info, event, change));
        if deserved != Requeue::Skip {
            self.wake(now, slot, event, deserved);
        }
        deserved != Requeue::Skip
    }

    /// What an event is to a waiting pod; who is gated hears only of what the gate registered for.
    fn deserved(&self, info: &QueuedPodInfo, event: &ClusterEvent, change: &OwnedChange) -> Requeue {
        if let Some(gate) = info.gating_plugin {
            let listens = |l: &crate::profile::Listener| {
                l.plugin == gate && event.heard_by(&l.registration.resource, l.registration.actions)
            };
            if !self.profiles[info.profile].listeners.iter().any(listens) {
                return Requeue::Skip;
            }
        }
        self.worth_requeuing(info, event, change)
    }

    fn wake(&mut self, now: Time, slot: u32, event: &ClusterEvent, deserved: Requeue) {
        let Some(place) = self.place_of(slot) else { return };
        let mut info = self.take(slot, place);
        tracing::debug!(pod = %info.pod.key, %event, "the pod is tried again");
        info.woken_by = Some(event.clone());
        self.requeue(now, info, deserved, QueueReason::Event(event.clone()));
    }

    /// What a pod that comes back deserves for what it missed.
    pub(super) fn replay(&self, info: &mut QueuedPodInfo, missed: &[Arc<Recorded>], judge: &mut dyn Judge) -> Requeue {
        let mut best = Requeue::Skip;
        for recorded in missed {
            let deserved = self.worth_requeuing(info, &recorded.event, &recorded.change);
            if deserved <= best {
                continue;
            }
            if judge.chance(info, &recorded.change) == Chance::Some {
                best = deserved;
                info.woken_by = Some(recorded.event.clone());
            }
        }
        best
    }

    /// Reference section 10.6.
    pub(super) fn worth_requeuing(&self, info: &QueuedPodInfo, event: &ClusterEvent, change: &OwnedChange) -> Requeue {
        if info.failed_by_error() {
            return Requeue::AfterBackoff;
        }
        if event.resource == EventResource::Wildcard {
            let own = match change {
                OwnedChange::Pod(_, Some(pod)) => pod.key.uid == info.pod.key.uid,
                _ => true,
            };
            return if own { Requeue::AfterBackoff } else { Requeue::Skip };
        }
        let mut best = Requeue::Skip;
        for listener in &self.profiles[info.profile].listeners {
            let pending = info.pending_plugins.contains(listener.plugin);
            let rejector = pending || info.unschedulable_plugins.contains(listener.plugin);
            if !rejector || !event.heard_by(&listener.registration.resource, listener.registration.actions) {
                continue;
            }
            let hint =
                listener.ask.as_ref().map_or(QueueingHint::Queue, |p| p.hint(&info.pod, event, &change.as_change()));
            if hint == QueueingHint::Queue {
                best = best.max(if pending { Requeue::Immediately } else { Requeue::AfterBackoff });
                if best == Requeue::Immediately || info.pending_plugins.is_empty() {
                    return best;
                }
            }
        }
        best
    }

    /// Pods nothing happened to for too long: perhaps an event was missed, perhaps the world outside changed.
    pub(super) fn flush_leftovers(&mut self, now: Time) {
        let event = ClusterEvent::wildcard("UnschedulableTimeout");
        for slot in self.waiting.slots() {
            let Some(info) = self.info(slot) else { continue };
            if now.since(info.timestamp) > self.settings.max_in_unschedulable && info.gating_plugin.is_none() {
                if let Some(s) = self.slots[slot as usize].as_mut() {
                    s.info.flushed = true;
                }
                self.reconsider(now, slot, &event, &OwnedChange::None);
            }
        }
        self.next_flush = (!self.waiting.is_empty()).then(|| now.after(FLUSH_INTERVAL));
    }
}
