//! Pods that were popped and are not decided yet, and what happened meanwhile.
//!
//! A pod turned away by a decision that had begun before a helpful event must not sleep through it. So while any pod is
//! in flight every event is kept, and a pod that comes back is shown those that came after it left.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use plimsoll_framework::cluster_event::ClusterEvent;
use plimsoll_framework::pod::Uid;

use crate::event::OwnedChange;

/// One thing that happened.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) event: ClusterEvent,
    pub(super) change: OwnedChange,
}

#[derive(Debug, Default)]
pub(super) struct InFlight {
    next: u64,
    popped: HashMap<Uid, u64>,
    /// The same, by time: the first entry says which events can be dropped.
    order: BTreeMap<u64, Uid>,
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
        self.order.insert(at, uid.clone());
        true
    }

    pub(super) fn contains(&self, uid: &Uid) -> bool {
        self.popped.contains_key(uid)
    }

    pub(super) fn len(&self) -> usize {
        self.popped.len()
    }

    /// The number of events kept.
    pub(super) fn event_count(&self) -> usize {
        self.events.len()
    }

    /// Keeps an event for the pods in flight; it is lost on nobody when there are none to keep it for.
    pub(super) fn record(&mut self, event: ClusterEvent, change: OwnedChange) {
        if !self.order.is_empty() {
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
        self.order.remove(&was);
        self.drop_unneeded();
    }

    /// Keeps what happens from now on for a pod, and nothing of what came before.
    pub(super) fn unpark(&mut self, uid: &Uid) {
        let now = self.tick();
        let Some(at) = self.popped.get_mut(uid) else { return };
        let was = std::mem::replace(at, now);
        self.order.remove(&was);
        self.order.insert(now, uid.clone());
    }

    /// The pod is decided, or gone.
    pub(super) fn done(&mut self, uid: &Uid) {
        self.forced.remove(uid);
        if let Some(at) = self.popped.remove(uid) {
            self.order.remove(&at);
            self.drop_unneeded();
        }
    }

    /// Drops the events that came before any pod left for which they are kept.
    fn drop_unneeded(&mut self) {
        let needed = self.order.keys().next().copied().unwrap_or(u64::MAX);
        while self.events.front().is_some_and(|(at, _)| *at < needed) {
            self.events.pop_front();
        }
    }

    fn tick(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
