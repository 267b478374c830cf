//! Pods that were popped and are not decided yet, and what happened meanwhile.
//!
//! A pod turned away by a decision that had begun before a helpful event must not sleep through it. So while any pod is
//! in flight every event is kept, and a pod that comes back is shown those that came after it left.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use plimsoll_framework::cluster_event::ClusterEvent;
use plimsoll_framework::pod::Uid;

use crate::event::OwnedChange;

/// So many pods that are back may be in the list of those that left, at least.
const MOST_BACK: usize = 64;

/// One thing that happened.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) event: ClusterEvent,
    pub(super) change: OwnedChange,
}

/// A pod that left.
#[derive(Debug)]
struct Left {
    at: u64,
    is_back: bool,
}

#[derive(Debug, Default)]
pub(super) struct InFlight {
    next: u64,
    /// When each was popped; `u64::MAX` for those for which nothing is kept.
    popped: HashMap<Uid, u64>,
    /// When those left for which events are kept, in that order. The first is not back yet, and says which events can be
    /// dropped.
    left: VecDeque<Left>,
    /// How many of those are not back yet.
    out: usize,
    events: VecDeque<(u64, Arc<Recorded>)>,
    forced: HashSet<Uid>,
}

impl InFlight {
    /// A pod leaves the queue. `false` if it had left already.
    pub(super) fn pop(&mut self, uid: &Uid) -> bool {
        let at = self.tick();
        if self.popped.contains_key(uid) {
            return false;
        }
        self.popped.insert(uid.clone(), at);
        self.leaves(at);
        true
    }

    pub(super) fn contains(&self, uid: &Uid) -> bool {
        self.popped.contains_key(uid)
    }

    pub(super) fn len(&self) -> usize {
        self.popped.len()
    }

    pub(super) fn uids(&self) -> impl Iterator<Item = &Uid> {
        self.popped.keys()
    }

    /// The number of events kept.
    pub(super) fn event_count(&self) -> usize {
        self.events.len()
    }

    /// Keeps an event for the pods in flight; it is lost on nobody when there are none to keep it for.
    pub(super) fn record(&mut self, event: ClusterEvent, change: OwnedChange) {
        if self.out > 0 {
            let at = self.tick();
            self.events.push_back((at, Arc::new(Recorded { event, change })));
        }
    }

    /// Has a pod tried again when it comes back, whatever happened.
    pub(super) fn force(&mut self, uid: &Uid) {
        self.forced.insert(uid.clone());
    }

    /// Whether a pod that comes back is to be tried again whatever happened.
    pub(super) fn is_forced(&mut self, uid: &Uid) -> bool {
        self.forced.remove(uid)
    }

    /// What happened since the pod left.
    pub(super) fn since(&self, uid: &Uid) -> Vec<Arc<Recorded>> {
        let Some(popped) = self.popped.get(uid) else { return Vec::new() };
        self.events.iter().filter(|(at, _)| at > popped).map(|(_, event)| Arc::clone(event)).collect()
    }

    /// Keeps nothing for a pod any more, which stays in flight.
    pub(super) fn park(&mut self, uid: &Uid) {
        let Some(at) = self.popped.get_mut(uid) else { return };
        let was = std::mem::replace(at, u64::MAX);
        self.comes_back(was);
    }

    /// Keeps what happens from now on for a pod, and nothing of what came before.
    pub(super) fn unpark(&mut self, uid: &Uid) {
        let now = self.tick();
        let Some(at) = self.popped.get_mut(uid) else { return };
        let was = std::mem::replace(at, now);
        self.leaves(now);
        self.comes_back(was);
    }

    /// The pod is decided, or gone.
    pub(super) fn done(&mut self, uid: &Uid) {
        self.forced.remove(uid);
        if let Some(at) = self.popped.remove(uid) {
            self.comes_back(at);
        }
    }

    fn leaves(&mut self, at: u64) {
        self.left.push_back(Left { at, is_back: false });
        self.out += 1;
    }

    /// Nothing has to be kept any more for the pod that left at this time, if anything was.
    fn comes_back(&mut self, at: u64) {
        let Ok(found) = self.left.binary_search_by_key(&at, |left| left.at) else { return };
        self.left[found].is_back = true;
        self.out -= 1;
        while self.left.front().is_some_and(|left| left.is_back) {
            self.left.pop_front();
        }
        // One that stays away for long is not to hold up all that left after it.
        if self.left.len() > 2 * self.out + MOST_BACK {
            self.left.retain(|left| !left.is_back);
        }
        self.drop_unneeded();
    }

    /// Drops the events that came before any pod left for which they are kept.
    fn drop_unneeded(&mut self) {
        let needed = self.left.front().map_or(u64::MAX, |left| left.at);
        while self.events.front().is_some_and(|(at, _)| *at < needed) {
            self.events.pop_front();
        }
    }

    fn tick(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_stays_away_has_everything_kept_and_holds_up_nothing() {
        let mut in_flight = InFlight::default();
        let (away, parked) = (Uid::new("away"), Uid::new("parked"));
        for uid in [&away, &parked] {
            assert!(in_flight.pop(uid) && !in_flight.pop(uid));
        }
        in_flight.park(&parked);
        for n in 0..1_000 {
            let uid = Uid::new(&n.to_string());
            in_flight.pop(&uid);
            in_flight.record(ClusterEvent::wildcard("Something"), OwnedChange::None);
            assert_eq!(in_flight.since(&uid).len(), 1);
            in_flight.done(&uid);
        }
        assert_eq!((in_flight.since(&away).len(), in_flight.since(&parked).len()), (1_000, 0));
        assert!(in_flight.left.len() <= 2 + MOST_BACK, "{}", in_flight.left.len());
        in_flight.unpark(&parked);
        in_flight.record(ClusterEvent::wildcard("Something"), OwnedChange::None);
        in_flight.done(&away);
        assert_eq!((in_flight.event_count(), in_flight.since(&parked).len()), (1, 1), "only for the one still out");
        in_flight.done(&parked);
        assert_eq!((in_flight.event_count(), in_flight.len(), in_flight.left.len(), in_flight.out), (0, 0, 0, 0));
    }
}
