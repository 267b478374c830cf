//! The scheduling queue (reference section 10): pods ready to be tried, pods waiting for their backoff, pods waiting for
//! something to happen, and pods in flight.

mod entry;
mod group;
mod heap;
mod hold;
mod in_flight;
mod moving;
mod slots;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use plimsoll_framework::cluster_event::{Actions, ClusterEvent, EventResource, QueueingHint};
use plimsoll_framework::plugin::Queued;
use plimsoll_framework::pod::{GroupKey, PodInfo, Uid};
use plimsoll_framework::time::Time;

pub use entry::{Backoff, Clearing, PluginSet, QueuedPodInfo};
use group::Group;
pub use group::{GANG, GroupOrder};
use heap::Heap;
use in_flight::{InFlight, Recorded};
use waiting::Waiting;

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
    /// What came of looking for pods that could make room.
    pub clearing: Clearing,
}

/// What an event can do for a pod that some plugin would have woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chance {
    /// It may fit now, or at least is turned away for another reason than before.
    Some,
    /// It is certain that it is turned away everywhere as before.
    None,
}

/// Who knows the cluster, and so can rule out that an event helps.
pub trait Judge {
    /// What the change can do for the pod, as things are now. Asked once for all pods that are alike.
    fn chance(&mut self, info: &QueuedPodInfo, change: &OwnedChange) -> Chance;
}

/// Rules nothing out.
impl Judge for () {
    fn chance(&mut self, _: &QueuedPodInfo, _: &OwnedChange) -> Chance {
        Chance::Some
    }
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
    groups: HashMap<GroupKey, Group>,
    /// The slots of pods that wait for something to happen.
    waiting: Waiting,
    /// Pods for which room is being made.
    held: HashSet<Uid>,
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
            groups: HashMap::new(),
            waiting: Waiting::default(),
            held: HashSet::new(),
            next_flush: None,
            observations: Vec::new(),
        }
    }

    /// Adds a pod that was never in the queue.
    pub fn add(&mut self, now: Time, pod: Arc<PodInfo>, profile: usize) {
        if !self.by_uid.contains_key(&pod.key.uid) && !self.in_flight.contains(&pod.key.uid) {
            let mut info = QueuedPodInfo::new(pod, profile, now);
            self.join(&mut info);
            self.requeue(now, info, Requeue::AfterBackoff, QueueReason::Event(POD_ADD));
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
        self.leave_group(slot);
        let mut regrouped = false;
        if let Some(s) = self.slots[slot as usize].as_mut() {
            let group = new.group_key();
            regrouped = s.info.group != group;
            s.info.pod = Arc::clone(new);
            s.info.profile = profile;
            s.info.group = group;
        }
        self.enter_group(slot);
        self.link(slot, place);
        if regrouped {
            // Another door, which may be open or closed.
            let info = self.take(slot, place);
            return self.activate(now, info, QueueReason::Event(POD_UPDATE));
        }
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

    /// A popped pod has to wait before it is decided. Until [`Self::unpark`] nothing is kept for it: what it will be
    /// decided on is newer.
    pub(crate) fn park(&mut self, uid: &Uid) {
        self.in_flight.park(uid);
    }

    /// A popped pod is decided now.
    pub(crate) fn unpark(&mut self, uid: &Uid) {
        self.in_flight.unpark(uid);
    }

    /// Puts a pod back after an attempt that failed. Events that came while it was in flight count, unless `judge` rules
    /// them out.
    pub fn add_unschedulable(
        &mut self,
        now: Time,
        mut info: QueuedPodInfo,
        rejectors: Rejectors,
        judge: &mut dyn Judge,
    ) {
        let uid = info.pod.key.uid.clone();
        info.unschedulable_plugins = rejectors.unschedulable;
        info.pending_plugins = rejectors.pending;
        info.clearing = rejectors.clearing;
        if info.failed_by_error() {
            info.consecutive_errors += 1;
        } else {
            info.unschedulable_count += 1;
            info.consecutive_errors = 0;
            if let Some(event) = info.woken_by.take() {
                self.observations.push(Observation::FutileWakeUp { event });
            }
        }
        info.timestamp = now;
        info.flushed = false;
        (info.first, info.preferred) = (false, None);
        let missed = self.in_flight.since(&uid);
        let forced = self.in_flight.is_forced(&uid);
        self.in_flight.done(&uid);
        let deserved = if forced || info.failed_by_error() {
            Requeue::AfterBackoff
        } else {
            self.replay(&mut info, &missed, judge)
        };
        self.requeue(now, info, deserved, QueueReason::Own("ScheduleAttemptFailure"));
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

    /// How many pods are in flight, and how many events are kept for them.
    pub fn in_flight(&self) -> (usize, usize) {
        (self.in_flight.len(), self.in_flight.event_count())
    }

    /// The pods that are in flight, in no promised order.
    pub fn in_flight_uids(&self) -> impl Iterator<Item = &Uid> {
        self.in_flight.uids()
    }

    /// When the backoff of a pod that waits is over; `None` where it has none.
    pub fn backoff_expiry(&self, info: &QueuedPodInfo) -> Option<Time> {
        info.backoff_expiry(&self.settings.backoff)
    }

    /// Every pod that waits, in no promised order.
    pub fn iter(&self) -> impl Iterator<Item = (&QueuedPodInfo, Place)> {
        self.slots.iter().flatten().map(|s| (&s.info, s.place))
    }

    /// Adds what happened since the last call, to be counted.
    pub fn drain_observations(&mut self, into: &mut Vec<Observation>) {
        into.append(&mut self.observations);
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
