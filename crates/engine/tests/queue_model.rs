//! The queue against a model of it that is too simple to be wrong (reference section 10).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test from end to end")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use common::build::{Pod, node, pod};
use common::plugins::{Binder, Gates, Priority};
use common::{at, profile};
use plimsoll_engine::event::OwnedChange;
use plimsoll_engine::profile::Profile;
use plimsoll_engine::queue::{Place, PluginSet, Queue, QueueSettings, QueuedPodInfo, Rejectors};
use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::plugin::{EnqueueExtensions, Plugin, PreFilter, PreFilterVerdict};
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::read::Spec;
use plimsoll_framework::time::Time;
use proptest::prelude::*;

/// Waits for the node that the pod's label `want` names.
struct Wants;
/// Waits for any pod to go.
struct Room;
/// Waits for a node's labels to change.
struct Labelled;

impl Plugin for Wants {
    const NAME: &'static str = "Wants";
}
impl Plugin for Room {
    const NAME: &'static str = "Room";
}
impl Plugin for Labelled {
    const NAME: &'static str = "Labelled";
}

impl EnqueueExtensions for Wants {
    fn registrations(&self) -> Vec<Registration> {
        vec![Registration::new(EventResource::Node, Actions::ADD.or(Actions::UPDATE_NODE_TAINT))]
    }
    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        let wanted = change.nodes().1.is_some_and(|n| pod.labels.get(&"want".into()) == Some(&n.name));
        if wanted { QueueingHint::Queue } else { QueueingHint::Skip }
    }
}
impl EnqueueExtensions for Room {
    fn registrations(&self) -> Vec<Registration> {
        vec![Registration::always(EventResource::Pod, Actions::DELETE)]
    }
}
impl EnqueueExtensions for Labelled {
    fn registrations(&self) -> Vec<Registration> {
        vec![Registration::always(EventResource::Node, Actions::UPDATE_NODE_LABEL)]
    }
}

macro_rules! rejecting {
    ($($plugin:ident),*) => {$(
        impl PreFilter for $plugin {
            type Pod = Spec;
            type Cluster = ();
            fn pre_filter(&self, _: &plimsoll_framework::pod::PodSpecInfo, (): ()) -> PreFilterVerdict {
                PreFilterVerdict::Run
            }
        }
    )*};
}
rejecting!(Wants, Room, Labelled);

fn profiles() -> Arc<[Profile]> {
    let plugins = [
        Extensions::of(Priority).queue_sort().done(),
        Extensions::of(Gates).enqueue().pre_enqueue().done(),
        Extensions::of(Wants).enqueue().pre_filter().done(),
        Extensions::of(Room).enqueue().pre_filter().done(),
        Extensions::of(Labelled).enqueue().pre_filter().done(),
        Extensions::of(Binder).bind().done(),
    ];
    [profile("plimsoll", &plugins)].into()
}

const REJECTORS: [&str; 3] = ["Wants", "Room", "Labelled"];

/// Something that happens in the cluster.
#[derive(Clone, Debug, PartialEq)]
enum Happens {
    NodeAdd(String),
    NodeTaint(String),
    NodeLabel,
    PodGone,
    /// Nobody registered for it.
    PodThere,
    /// The gates of the pod of this UID are gone.
    Opened(String),
    /// The pod of this UID changed in no way that anybody registered for.
    Changed(String),
}

impl Happens {
    fn event(&self) -> ClusterEvent {
        let (resource, actions) = match self {
            Self::NodeAdd(_) => (EventResource::Node, Actions::ADD),
            Self::NodeTaint(_) => (EventResource::Node, Actions::UPDATE_NODE_TAINT),
            Self::NodeLabel => (EventResource::Node, Actions::UPDATE_NODE_LABEL),
            Self::PodGone => (EventResource::AssignedPod, Actions::DELETE),
            Self::PodThere => (EventResource::AssignedPod, Actions::ADD),
            Self::Opened(_) => (EventResource::UnschedulablePod, Actions::UPDATE_POD_SCHEDULING_GATES_ELIMINATED),
            Self::Changed(_) => (EventResource::UnschedulablePod, Actions::UPDATE),
        };
        ClusterEvent::new(resource, actions)
    }

    fn change(&self) -> OwnedChange {
        match self {
            Self::NodeAdd(name) | Self::NodeTaint(name) => OwnedChange::Node(None, Some(Arc::new(node(name).info()))),
            Self::PodGone => OwnedChange::Pod(Some(pod("gone").shared()), None),
            _ => OwnedChange::None,
        }
    }
}

/// What a pod that happens upon something deserves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Deserves {
    Nothing,
    Backoff,
    Immediately,
}

/// A pod as the model has it. `place`: `None` while it is in flight or decided.
#[derive(Clone, Debug)]
struct Model {
    pod: Pod,
    place: Option<Place>,
    timestamp: Time,
    rejected: u32,
    errors: u32,
    rejectors: BTreeSet<&'static str>,
    pending: BTreeSet<&'static str>,
    /// Events seen since it was popped.
    missed: Option<Vec<Happens>>,
    attempts: u32,
}

impl Model {
    fn worth(&self, what: &Happens) -> Deserves {
        if self.rejectors.is_empty() && self.pending.is_empty() {
            return Deserves::Backoff;
        }
        let want = self.pod.labels.first().map(|(_, name)| name.clone());
        let helps = |plugin: &&str| match (*plugin, what) {
            ("Wants", Happens::NodeAdd(name) | Happens::NodeTaint(name)) => want.as_ref() == Some(name),
            ("Room", Happens::PodGone) | ("Labelled", Happens::NodeLabel) => true,
            ("Gates", Happens::Opened(uid)) => *uid == self.pod.uid,
            _ => false,
        };
        if self.pending.iter().any(helps) {
            Deserves::Immediately
        } else if self.rejectors.iter().any(helps) {
            Deserves::Backoff
        } else {
            Deserves::Nothing
        }
    }

    /// Seconds since the epoch at whose end the backoff is over.
    fn expiry(&self) -> Option<u64> {
        let count = if self.errors > 0 { self.errors } else { self.rejected };
        let seconds = *[0, 1, 2, 4, 8, 10].get(count as usize).unwrap_or(&10);
        (seconds > 0).then(|| (self.timestamp.as_duration() + Duration::from_secs(seconds)).as_secs())
    }

    fn requeue(&mut self, now: Time, deserves: Deserves) {
        let backing_off = self.expiry().is_some_and(|expiry| expiry >= now.as_duration().as_secs());
        let gated_before = self.place == Some(Place::Gated);
        if deserves != Deserves::Nothing && self.pod.gated {
            self.rejectors.insert("Gates");
        }
        self.place = Some(match deserves {
            Deserves::Nothing if gated_before => Place::Gated,
            Deserves::Nothing => Place::Unschedulable,
            _ if self.pod.gated => Place::Gated,
            Deserves::Backoff if backing_off && self.rejectors.is_empty() && self.pending.is_empty() => {
                Place::ErrorBackoff
            }
            Deserves::Backoff if backing_off => Place::Backoff,
            _ => Place::Active,
        });
    }

    fn happens(&mut self, now: Time, what: &Happens) {
        if let Some(missed) = &mut self.missed {
            missed.push(what.clone());
        }
        let waits = matches!(self.place, Some(Place::Unschedulable | Place::Gated));
        // Who is gated hears of nothing but what the gate registered for.
        let deaf = self.place == Some(Place::Gated) && !matches!(what, Happens::Opened(_));
        let deserves = self.worth(what);
        if waits && !deaf && deserves != Deserves::Nothing {
            self.requeue(now, deserves);
        }
    }

    /// The order of the active queue.
    fn order(&self) -> (i32, Time) {
        (-self.pod.priority, self.timestamp)
    }
}

struct Test {
    queue: Queue,
    now: Time,
    pods: BTreeMap<String, Model>,
    /// Popped, in flight or decided.
    popped: BTreeMap<String, QueuedPodInfo>,
    made: usize,
}

impl Test {
    fn nth(&self, a: usize) -> Option<String> {
        self.pods.keys().nth(a % self.pods.len().max(1)).cloned()
    }

    fn nth_popped(&self, a: usize) -> Option<String> {
        self.popped.keys().nth(a % self.popped.len().max(1)).cloned()
    }

    fn step(&mut self, kind: u8, a: usize, b: usize) {
        match kind {
            0..=2 => self.add(a, b),
            3 => self.update(a, b),
            4 => self.delete(a),
            5..=8 => self.pop(),
            9 => self.done(a),
            10..=13 => self.fail(a, b),
            14..=16 => self.happens(a, b),
            _ => self.wait(a, b),
        }
    }

    fn add(&mut self, a: usize, b: usize) {
        if b.is_multiple_of(8) {
            // Added again: nothing comes of it.
            let Some(uid) = self.nth(a).filter(|uid| !self.is_decided(uid)) else { return };
            return self.queue.add(self.now, self.pods[&uid].pod.shared(), 0);
        }
        self.made += 1;
        let mut made = pod(&format!("p{:03}", self.made)).priority(i32::try_from(a % 3).unwrap());
        made = made.label("want", ["n1", "n2"][a / 3 % 2]);
        made.gated = b % 4 == 1;
        self.queue.add(self.now, made.shared(), 0);
        self.activate(made);
    }

    fn activate(&mut self, made: Pod) {
        let place = if made.gated { Place::Gated } else { Place::Active };
        let rejectors = if made.gated { BTreeSet::from(["Gates"]) } else { BTreeSet::new() };
        let model = Model {
            pod: made.clone(),
            place: Some(place),
            timestamp: self.now,
            rejected: 0,
            errors: 0,
            rejectors,
            pending: BTreeSet::new(),
            missed: None,
            attempts: 0,
        };
        self.pods.insert(made.uid, model);
    }

    /// Decided and not put back: nobody asks the queue about it.
    fn is_decided(&self, uid: &str) -> bool {
        self.pods[uid].place.is_none() && self.pods[uid].missed.is_none()
    }

    fn update(&mut self, a: usize, b: usize) {
        let Some(uid) = self.nth(a).filter(|uid| !self.is_decided(uid)) else { return };
        let old = self.pods[&uid].pod.clone();
        let mut new = old.clone().version(old.version + 1);
        let what = match b % 3 {
            0 if old.gated => {
                new.gated = false;
                Happens::Opened(uid.clone())
            }
            1 => {
                new.priority = i32::try_from(b / 3 % 3).unwrap();
                Happens::Changed(uid.clone())
            }
            _ => {
                new.labels = vec![("want", ["n1", "n2"][b / 3 % 2].to_owned())];
                Happens::Changed(uid.clone())
            }
        };
        self.queue.update(self.now, &old.shared(), &new.shared(), 0, &[what.event()]);
        let model = self.pods.get_mut(&uid).unwrap();
        model.pod = new;
        let in_flight = model.missed.is_some();
        if in_flight {
            // Kept for everybody in flight, with whom it was about.
            self.pods
                .values_mut()
                .filter(|m| m.missed.is_some())
                .for_each(|m| m.missed.as_mut().unwrap().push(what.clone()));
        } else {
            model.happens(self.now, &what);
        }
    }

    fn delete(&mut self, a: usize) {
        let Some(uid) = self.nth(a) else { return };
        let waits = self.pods[&uid].place.is_some();
        assert_eq!(self.queue.delete(&self.pods[&uid].pod.uid()).is_some(), waits, "{uid}");
        if waits {
            self.pods.remove(&uid);
        }
    }

    fn pop(&mut self) {
        let in_place = |place| self.pods.values().filter(move |m| m.place == Some(place));
        let first_active = in_place(Place::Active).map(Model::order).min();
        let first_backoff = in_place(Place::Backoff).map(|m| (m.expiry(), m.order())).min();
        let ready = first_active.is_some() || first_backoff.is_some();
        assert_eq!(self.queue.is_ready(), ready, "is ready");
        let Some(info) = self.queue.pop() else { return assert!(!ready, "nobody was popped") };
        let model = self.pods.get_mut(info.pod.key.uid.as_str()).expect("it was in the queue");
        match first_active {
            Some(first) => assert_eq!((model.place, model.order()), (Some(Place::Active), first), "{}", info.pod.key),
            None => {
                let is = (model.place, Some((model.expiry(), model.order())));
                assert_eq!(is, (Some(Place::Backoff), first_backoff), "{}", info.pod.key);
            }
        }
        model.attempts += 1;
        assert_eq!(info.attempts, model.attempts, "attempts of {}", info.pod.key);
        assert_eq!(info.pod.resource_version, model.pod.version, "version of {}", info.pod.key);
        (model.place, model.missed) = (None, Some(Vec::new()));
        self.popped.insert(info.pod.key.uid.to_string(), info);
    }

    fn done(&mut self, a: usize) {
        let Some(uid) = self.nth_popped(a) else { return };
        self.queue.done(&self.popped[&uid].pod.key.uid);
        self.pods.get_mut(&uid).unwrap().missed = None;
    }

    fn fail(&mut self, a: usize, b: usize) {
        let Some(uid) = self.nth_popped(a) else { return };
        let model = self.pods.get_mut(&uid).unwrap();
        // After the decision stood only an error can bring it back.
        let mask = if model.missed.is_some() { b % 8 } else { 0 };
        let chosen = |mask: usize| (0..3).filter(move |i| mask >> i & 1 == 1).map(|i| REJECTORS[i]);
        let pending = mask & (b / 8);
        let info = QueuedPodInfo { pod: model.pod.shared(), ..self.popped.remove(&uid).unwrap() };
        let rejectors = Rejectors {
            unschedulable: chosen(mask).collect::<PluginSet>(),
            pending: chosen(pending).collect(),
            ..Rejectors::default()
        };
        self.queue.add_unschedulable(self.now, info, rejectors, &mut ());
        (model.rejectors, model.pending) = (chosen(mask).collect(), chosen(pending).collect());
        if mask == 0 {
            model.errors += 1
        } else {
            (model.rejected, model.errors) = (model.rejected + 1, 0)
        }
        model.timestamp = self.now;
        let missed = model.missed.take().unwrap_or_default();
        let most = missed.iter().map(|what| model.worth(what)).max().unwrap_or(Deserves::Nothing);
        model.requeue(self.now, if mask == 0 { Deserves::Backoff } else { most });
    }

    fn happens(&mut self, a: usize, b: usize) {
        let name = ["n1", "n2", "n3"][a / 8 % 3].to_owned();
        let what = match a % 8 {
            0..=2 => Happens::NodeAdd(name),
            3 => Happens::NodeTaint(name),
            4 => Happens::NodeLabel,
            5 | 6 => Happens::PodGone,
            _ => Happens::PodThere,
        };
        let limit = if b.is_multiple_of(2) { i32::MAX } else { i32::try_from(b / 2 % 3).unwrap() };
        self.queue.move_all(self.now, &what.event(), what.change(), |p| p.priority() <= limit, &mut ());
        if what == Happens::PodThere {
            return;
        }
        for model in self.pods.values_mut().filter(|m| m.pod.priority <= limit || m.missed.is_some()) {
            model.happens(self.now, &what);
        }
    }

    /// Time passes, with a flush whenever one is due.
    fn wait(&mut self, a: usize, b: usize) {
        let long = [700, 1_000, 3_000, 12_000, 100_000];
        let until = self.now.after(Duration::from_millis(u64::try_from(long[a % 5] + b % 500).unwrap()));
        while let Some(due) = self.queue.next_deadline().filter(|due| *due <= until) {
            let due = due.max(self.now);
            self.flush(due);
            assert!(self.queue.next_deadline().is_none_or(|next| next > due), "what was due is done");
        }
        self.flush(until);
    }

    fn flush(&mut self, now: Time) {
        self.now = now;
        self.queue.flush(now);
        for model in self.pods.values_mut() {
            let over = model.expiry().is_none_or(|expiry| expiry < now.as_duration().as_secs());
            if matches!(model.place, Some(Place::Backoff | Place::ErrorBackoff)) && over {
                model.place = Some(Place::Active);
            }
            if model.place != Some(Place::Unschedulable) {
                continue;
            }
            let waited = now.since(model.timestamp);
            let (info, place) = self.queue.get(&model.pod.uid()).expect("it waits");
            if place != Place::Unschedulable {
                assert!(waited > Duration::from_secs(300) && (info.flushed || place == Place::Gated), "too early");
                model.requeue(now, Deserves::Backoff);
            } else {
                assert!(waited <= Duration::from_secs(331), "{} was forgotten", model.pod.uid);
            }
        }
    }

    fn check(&self) {
        let places: BTreeMap<String, Place> =
            self.queue.iter().map(|(info, place)| (info.pod.key.uid.to_string(), place)).collect();
        let expected: BTreeMap<String, Place> =
            self.pods.iter().filter_map(|(uid, m)| Some((uid.clone(), m.place?))).collect();
        assert_eq!(places, expected);
        let in_flight = self.pods.values().filter(|m| m.missed.is_some()).count();
        assert_eq!(self.queue.in_flight().0, in_flight, "in flight");
        assert!(in_flight > 0 || self.queue.in_flight().1 == 0, "events are kept for nobody");
        let lengths: usize = self.queue.lengths().iter().map(|(_, n)| n).sum();
        assert_eq!(lengths, expected.len(), "lengths");
        for place in [Place::Active, Place::Backoff, Place::ErrorBackoff, Place::Unschedulable, Place::Gated] {
            let count = expected.values().filter(|p| **p == place).count();
            assert_eq!(self.queue.in_place(place).count(), count, "{place:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_queue_is_its_model(ops in prop::collection::vec((0_u8..20, any::<u16>(), any::<u16>()), 1..250)) {
        let queue = Queue::new(profiles(), QueueSettings::default());
        let mut test = Test { queue, now: at(0), pods: BTreeMap::new(), popped: BTreeMap::new(), made: 0 };
        for (kind, a, b) in ops {
            test.step(kind, a.into(), b.into());
            test.check();
        }
    }
}
