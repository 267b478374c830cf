//! Pods that are kept out of the queue while room is being made for them (reference sections 10.9 and 11.7).

use super::*;

/// In whose name they are kept out: upstream has this in its preemption plugin, and hears what that one registers for.
pub(super) const HOLDER: &str = "DefaultPreemption";

impl Queue {
    /// Keeps a pod out of the active and the backoff queue until [`Self::let_go`].
    pub fn hold(&mut self, uid: &Uid) {
        self.held.insert(uid.clone());
    }

    pub(super) fn is_held(&self, uid: &Uid) -> bool {
        self.held.contains(uid)
    }

    /// Forgets that a pod was held: it does not come back.
    pub fn forget_hold(&mut self, uid: &Uid) {
        self.held.remove(uid);
    }

    /// Holds a pod no longer. If something has woken it meanwhile, it goes where that would have brought it.
    pub fn let_go(&mut self, now: Time, uid: &Uid) {
        self.held.remove(uid);
        if let Some(slot) = self.by_uid.get(uid).copied()
            && self.info(slot).is_some_and(|info| info.gating_plugin == Some(HOLDER))
        {
            self.move_to(now, slot, Requeue::AfterBackoff);
        }
    }

    /// Has a pod tried again at once, wherever it waits (reference section 10.7, Activate).
    pub fn activate_now(&mut self, now: Time, uid: &Uid) {
        self.try_again(now, uid, Requeue::Immediately);
    }

    /// Has a pod tried again when its backoff is over, if it waits for something to happen.
    pub fn try_after_backoff(&mut self, now: Time, uid: &Uid) {
        self.held.remove(uid);
        self.try_again(now, uid, Requeue::AfterBackoff);
    }

    /// Has a pod tried again that waits for something to happen, as if that had happened: if it is held, it waits behind
    /// the door.
    pub fn wake_one(&mut self, now: Time, uid: &Uid) {
        self.try_again(now, uid, Requeue::AfterBackoff);
    }

    fn try_again(&mut self, now: Time, uid: &Uid, deserved: Requeue) {
        let Some(slot) = self.by_uid.get(uid).copied() else {
            if self.in_flight.contains(uid) {
                self.in_flight.force(uid);
            }
            return;
        };
        let waits = matches!(self.place_of(slot), Some(Place::Unschedulable | Place::Gated));
        let backs_off = matches!(self.place_of(slot), Some(Place::Backoff | Place::ErrorBackoff));
        if waits || (backs_off && deserved == Requeue::Immediately) {
            self.move_to(now, slot, deserved);
        }
    }

    fn move_to(&mut self, now: Time, slot: u32, deserved: Requeue) {
        if let Some(place) = self.place_of(slot) {
            let info = self.take(slot, place);
            self.requeue(now, info, deserved, QueueReason::Own("ForceActivate"));
        }
    }
}
