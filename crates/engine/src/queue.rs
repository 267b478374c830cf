//! The scheduling queue (reference section 10): pods ready to be tried, pods waiting for their backoff, pods waiting for
//! something to happen, and pods in flight.

mod entry;
mod heap;
mod in_flight;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use plimsoll_framework::cluster_event::{Actions, ClusterEvent, EventResource, QueueingHint};
use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::time::Time;

pub use entry::{Backoff, PluginSet, QueuedPodInfo};
use heap::Heap;
use in_flight::{InFlight, Recorded};

use crate::effect::{Observation, QueueReason};
use crate::event::OwnedChange;
use crate::profile::Profile;

/// How often pods that waited too long are looked for.
const FLUSH_INTERVAL: Duration = Duration::from_secs(30);

/// The event of a pod that was added to the queue for the first time.
const POD_ADD: ClusterEvent = ClusterEvent::new(EventResource::UnschedulablePod, Actions::ADD);
const POD_UPDATE: ClusterEvent = ClusterEvent::new(EventResource::UnschedulablePod, Actions::UPDATE);

/// Settings of the queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueSettings {
    /// The wait after failed attempts.
    pub backoff: Backoff,
    /// After this long without any event that might help, a pod is tried again all the same.
    pub max_in_unschedulable: Duration,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { backoff: Backoff::default(), max_in_unschedulable: Duration::from_secs(300) }
    }
}

/// The part of the queue a pod is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Place {
    /// Ready to be tried.
    Active,
    /// Turned away; waits for its backoff, or for the active queue to be empty.
    Backoff,
    /// Failed by an error; waits for its backoff.
    ErrorBackoff,
    /// Turned away; waits for something to happen.
    Unschedulable,
    /// Not allowed into the queue by a PreEnqueue plugin.
    Gated,
}

impl Place {
    /// As the metric label `queue` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Backoff | Self::ErrorBackoff => "backoff",
            Self::Unschedulable => "unschedulable",
            Self::Gated => "gated",
        }
    }
}

/// What a requeued pod deserves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Requeue {
    /// The event does not help.
    Skip,
    /// Another attempt, once its backoff is over.
    AfterBackoff,
    /// Another attempt at once.
    Immediately,
}

/// How an attempt failed, for [`Queue::add_unschedulable`].
#[derive(Clone, Debug, Default)]
pub struct Rejectors {
    /// The plugins that turned the pod away; none for an error.
    pub unschedulable: PluginSet,
    /// Those of them that wait for something particular.
    pub pending: PluginSet,
}

struct Slot {
    info: QueuedPodInfo,
    place: Place,
}

/// The queue. Keyed by UID: a pod made again under its old name is another pod.
pub struct Queue {
    profiles: Arc<[Profile]>,
    settings: QueueSettings,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    by_uid: HashMap<Uid, u32>,
    active: Heap,
    backoff: Heap,
    error_backoff: Heap,
    in_flight: InFlight,
    /// The slots of pods that wait for something to happen, in a fixed order so that every run goes the same way.
    waiting: BTreeSet<u32>,
    /// When the pods that waited too long are next looked for.
    next_flush: Option<Time>,
    observations: Vec<Observation>,
}

impl Queue {
    /// An empty queue for these profiles, of which there is at least one.
    pub fn new(profiles: Arc<[Profile]>, settings: QueueSettings) -> Self {
        Self {
            profiles,
            settings,
            slots: Vec::new(),
            free: Vec::new(),
            by_uid: HashMap::new(),
            active: Heap::default(),
            backoff: Heap::default(),
            error_backoff: Heap::default(),
            in_flight: InFlight::default(),
            waiting: BTreeSet::new(),
            next_flush: None,
            observations: Vec::new(),
        }
    }

    /// Adds a pod that was never in the queue.
    pub fn add(&mut self, now: Time, pod: Arc<PodInfo>, profile: usize) {
        if !self.by_uid.contains_key(&pod.key.uid) && !self.in_flight.contains(&pod.key.uid) {
            self.activate(now, QueuedPodInfo::new(pod, profile, now), QueueReason::Event(POD_ADD));
        }
    }

    /// A pod that waits in the queue, or is in flight, has changed. `events` are what its change amounts to.
    pub fn update(
        &mut self,
        now: Time,
        old: &Arc<PodInfo>,
        new: &Arc<PodInfo>,
        profile: usize,
        events: &[ClusterEvent],
    ) {
        let uid = &new.key.uid;
        let change = OwnedChange::Pod(Some(Arc::clone(old)), Some(Arc::clone(new)));
        if self.in_flight.contains(uid) {
            for event in events {
                self.in_flight.record(event.clone(), change.clone());
            }
            return;
        }
        let Some(slot) = self.by_uid.get(uid).copied() else {
            return self.activate(
                now,
                QueuedPodInfo::new(Arc::clone(new), profile, now),
                QueueReason::Event(POD_UPDATE),
            );
        };
        let Some(place) = self.place_of(slot) else { return };
        // Its order may hang on what changed: out of its heap, and in again.
        self.unlink(slot, place);
        if let Some(s) = self.slots[slot as usize].as_mut() {
            s.info.pod = Arc::clone(new);
            s.info.profile = profile;
        }
        self.link(slot, place);
        if matches!(place, Place::Unschedulable | Place::Gated) {
            for event in events {
                if self.reconsider(now, slot, event, &change) {
                    break;
                }
            }
        }
    }

    /// Forgets a pod. Gives it back if it was waiting; a pod in flight is let go when its decision comes.
    pub fn delete(&mut self, uid: &Uid) -> Option<QueuedPodInfo> {
        let slot = self.by_uid.get(uid).copied()?;
        let place = self.place_of(slot)?;
        Some(self.take(slot, place))
    }

    /// Takes the next pod to be tried: the first of the active queue or, when that is empty, the first of those that
    /// wait for their backoff after a rejection.
    pub fn pop(&mut self) -> Option<QueuedPodInfo> {
        let (slot, place) = match (self.active.peek(), self.backoff.peek()) {
            (Some(slot), _) => (slot, Place::Active),
            (None, Some(slot)) => (slot, Place::Backoff),
            (None, None) => return None,
        };
        let mut info = self.take(slot, place);
        if place == Place::Backoff {
            self.observe(Place::Active, QueueReason::Own("PopFromBackoffQ"));
        }
        info.attempts += 1;
        self.in_flight.pop(&info.pod.key.uid);
        Some(info)
    }

    /// A decision on a popped pod stands; what happens from now on is not its concern.
    pub fn done(&mut self, uid: &Uid) {
        self.in_flight.done(uid);
    }

    /// Puts a pod back after an attempt that failed. Events that came while it was in flight count.
    pub fn add_unschedulable(&mut self, now: Time, mut info: QueuedPodInfo, rejectors: Rejectors) {
        let uid = info.pod.key.uid.clone();
        info.unschedulable_plugins = rejectors.unschedulable;
        info.pending_plugins = rejectors.pending;
        if info.failed_by_error() {
            info.consecutive_errors += 1;
        } else {
            info.unschedulable_count += 1;
            info.consecutive_errors = 0;
        }
        info.timestamp = now;
        info.flushed = false;
        let missed = self.in_flight.since(&uid);
        self.in_flight.done(&uid);
        let deserved = if info.failed_by_error() { Requeue::AfterBackoff } else { self.replay(&info, &missed) };
        self.requeue(now, info, deserved, QueueReason::Own("ScheduleAttemptFailure"));
    }

    /// Something happened: whoever it might help is moved on. `only` limits whom.
    pub fn move_all(&mut self, now: Time, event: &ClusterEvent, change: OwnedChange, only: impl Fn(&PodInfo) -> bool) {
        if !self.profiles.iter().any(|p| p.hears(event)) {
            return;
        }
        for slot in self.waiting() {
            if self.info(slot).is_some_and(|info| only(&info.pod)) {
                self.reconsider(now, slot, event, &change);
            }
        }
        self.in_flight.record(event.clone(), change);
    }

    /// Does what is due: ends backoffs that are over, and tries pods again that waited too long.
    pub fn flush(&mut self, now: Time) {
        for place in [Place::Backoff, Place::ErrorBackoff] {
            while let Some(slot) = self.heap(place).peek() {
                if self.info(slot).is_none_or(|info| info.is_backing_off(&self.settings.backoff, now)) {
                    break;
                }
                let info = self.take(slot, place);
                self.insert(info, Place::Active, QueueReason::Own("BackoffComplete"));
            }
        }
        if self.next_flush.is_some_and(|at| at <= now) {
            self.flush_leftovers(now);
        }
    }

    /// When [`Self::flush`] next has something to do.
    pub fn next_deadline(&self) -> Option<Time> {
        let backoff = [&self.backoff, &self.error_backoff].into_iter().filter_map(|heap| {
            let expiry = self.info(heap.peek()?)?.backoff_expiry(&self.settings.backoff)?;
            Some(expiry.after(Duration::from_secs(1)))
        });
        backoff.chain(self.next_flush).min()
    }

    /// Whether [`Self::pop`] would give a pod.
    pub fn is_ready(&self) -> bool {
        !self.active.is_empty() || !self.backoff.is_empty()
    }

    /// The pod of this UID, if it waits in the queue, and where.
    pub fn get(&self, uid: &Uid) -> Option<(&QueuedPodInfo, Place)> {
        let slot = self.slots[*self.by_uid.get(uid)? as usize].as_ref()?;
        Some((&slot.info, slot.place))
    }

    /// Whether the pod of this UID was popped and is not decided yet.
    pub fn is_in_flight(&self, uid: &Uid) -> bool {
        self.in_flight.contains(uid)
    }

    /// How many pods are in flight, and how many events are kept for them.
    pub fn in_flight(&self) -> (usize, usize) {
        (self.in_flight.len(), self.in_flight.event_count())
    }

    /// Every pod that waits, in no promised order.
    pub fn iter(&self) -> impl Iterator<Item = (&QueuedPodInfo, Place)> {
        self.slots.iter().flatten().map(|s| (&s.info, s.place))
    }

    /// What happened since the last call, to be counted.
    pub fn take_observations(&mut self) -> Vec<Observation> {
        std::mem::take(&mut self.observations)
    }

    // --- moving pods about ---

    fn activate(&mut self, now: Time, mut info: QueuedPodInfo, reason: QueueReason) {
        if !self.passes_pre_enqueue(&mut info) {
            self.next_flush.get_or_insert_with(|| now.after(FLUSH_INTERVAL));
            return self.insert(info, Place::Gated, reason);
        }
        info.initial_attempt.get_or_insert(now);
        self.insert(info, Place::Active, reason);
    }

    fn passes_pre_enqueue(&self, info: &mut QueuedPodInfo) -> bool {
        let plugins = &self.profiles[info.profile].pre_enqueue;
        // The one that gated it last is the likeliest to gate it again.
        let last = plugins.iter().filter(|p| Some(p.name) == info.gating_plugin);
        let others = plugins.iter().filter(|p| Some(p.name) != info.gating_plugin);
        let gate = last.chain(others).find(|p| p.plugin.pre_enqueue(&info.pod).is_err()).map(|p| p.name);
        info.gating_plugin = gate;
        if let Some(name) = gate {
            info.unschedulable_plugins.insert(name);
        }
        gate.is_none()
    }

    fn requeue(&mut self, now: Time, mut info: QueuedPodInfo, deserved: Requeue, reason: QueueReason) {
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

    /// Looks at one waiting pod again in the light of an event; whether it moved.
    fn reconsider(&mut self, now: Time, slot: u32, event: &ClusterEvent, change: &OwnedChange) -> bool {
        let Some(Slot { info, place }) = self.slots[slot as usize].as_ref() else { return false };
        if let Some(gate) = info.gating_plugin {
            let listens = |l: &crate::profile::Listener| {
                l.plugin == gate && event.heard_by(&l.registration.resource, l.registration.actions)
            };
            if !self.profiles[info.profile].listeners.iter().any(listens) {
                return false;
            }
        }
        let deserved = self.worth_requeuing(info, event, change);
        if deserved == Requeue::Skip {
            return false;
        }
        let place = *place;
        let info = self.take(slot, place);
        tracing::debug!(pod = %info.pod.key, %event, "the pod is tried again");
        self.requeue(now, info, deserved, QueueReason::Event(event.clone()));
        true
    }

    fn replay(&self, info: &QueuedPodInfo, missed: &[Arc<Recorded>]) -> Requeue {
        missed.iter().map(|r| self.worth_requeuing(info, &r.event, &r.change)).max().unwrap_or(Requeue::Skip)
    }

    /// Reference section 10.6.
    fn worth_requeuing(&self, info: &QueuedPodInfo, event: &ClusterEvent, change: &OwnedChange) -> Requeue {
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
    fn flush_leftovers(&mut self, now: Time) {
        let event = ClusterEvent::wildcard("UnschedulableTimeout");
        for slot in self.waiting() {
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

    // --- slots and heaps ---

    fn waiting(&self) -> Vec<u32> {
        self.waiting.iter().copied().collect()
    }

    fn info(&self, slot: u32) -> Option<&QueuedPodInfo> {
        self.slots.get(slot as usize)?.as_ref().map(|s| &s.info)
    }

    fn place_of(&self, slot: u32) -> Option<Place> {
        self.slots.get(slot as usize)?.as_ref().map(|s| s.place)
    }

    fn insert(&mut self, info: QueuedPodInfo, place: Place, reason: QueueReason) {
        let uid = info.pod.key.uid.clone();
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        self.slots[slot as usize] = Some(Slot { info, place });
        self.by_uid.insert(uid, slot);
        self.link(slot, place);
        self.observe(place, reason);
    }

    fn take(&mut self, slot: u32, place: Place) -> QueuedPodInfo {
        self.unlink(slot, place);
        let Some(Slot { info, .. }) = self.slots[slot as usize].take() else {
            unreachable!("only occupied slots are taken")
        };
        self.by_uid.remove(&info.pod.key.uid);
        self.free.push(slot);
        info
    }

    fn observe(&mut self, place: Place, event: QueueReason) {
        self.observations.push(Observation::QueueIncoming { queue: place.as_str(), event });
    }

    fn heap(&self, place: Place) -> &Heap {
        match place {
            Place::Backoff => &self.backoff,
            Place::ErrorBackoff => &self.error_backoff,
            _ => &self.active,
        }
    }

    fn link(&mut self, slot: u32, place: Place) {
        if matches!(place, Place::Unschedulable | Place::Gated) {
            self.waiting.insert(slot);
        }
        self.with_heap(place, |heap, less| heap.push(slot, less));
    }

    fn unlink(&mut self, slot: u32, place: Place) {
        self.waiting.remove(&slot);
        self.with_heap(place, |heap, less| {
            heap.remove(slot, less);
        });
    }

    /// Lends the heap of a place, if it is kept in one, together with its order.
    fn with_heap(&mut self, place: Place, f: impl FnOnce(&mut Heap, &dyn Fn(u32, u32) -> bool)) {
        let mut heap = match place {
            Place::Active => std::mem::take(&mut self.active),
            Place::Backoff => std::mem::take(&mut self.backoff),
            Place::ErrorBackoff => std::mem::take(&mut self.error_backoff),
            Place::Unschedulable | Place::Gated => return,
        };
        f(&mut heap, &|a, b| self.less(place, a, b));
        match place {
            Place::Active => self.active = heap,
            Place::Backoff => self.backoff = heap,
            _ => self.error_backoff = heap,
        }
    }

    fn less(&self, place: Place, a: u32, b: u32) -> bool {
        let (Some(a), Some(b)) = (self.info(a), self.info(b)) else { return false };
        let sort = || self.profiles[0].queue_sort.less(a.queued(), b.queued());
        let expiry = |info: &QueuedPodInfo| info.backoff_expiry(&self.settings.backoff);
        match place {
            Place::Backoff => expiry(a) < expiry(b) || (expiry(a) == expiry(b) && sort()),
            Place::ErrorBackoff => expiry(a) < expiry(b),
            _ => sort(),
        }
    }

    /// The pods of one part of the queue, in no promised order, for inspection.
    pub fn in_place(&self, place: Place) -> impl Iterator<Item = &QueuedPodInfo> {
        self.iter().filter(move |(_, p)| *p == place).map(|(info, _)| info)
    }

    /// How many pods each part holds: active, backoff, unschedulable, gated.
    pub fn lengths(&self) -> [(&'static str, usize); 4] {
        let (mut unschedulable, mut gated) = (0, 0);
        for (_, place) in self.iter() {
            unschedulable += usize::from(place == Place::Unschedulable);
            gated += usize::from(place == Place::Gated);
        }
        [
            ("active", self.active.len()),
            ("backoff", self.backoff.len() + self.error_backoff.len()),
            ("unschedulable", unschedulable),
            ("gated", gated),
        ]
    }
}
