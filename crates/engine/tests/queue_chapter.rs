//! The reference's chapter on the queue, section by section: events in, the exact order of pops, effects out, by a
//! hand-set clock. (`queue_model.rs` compares the queue with a model of it in random orders; `waking.rs` has who is woken.)

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test from end to end")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::build::{Pod, node, pod};
use common::cluster::{Cluster, log};
use common::plugins::{Binder, Fit, Log, Priority};
use common::{at, profile};
use plimsoll_engine::effect::{Observation, QueueReason};
use plimsoll_engine::engine::EngineSettings;
use plimsoll_engine::event::BindResult;
use plimsoll_engine::queue::{Backoff, Place, QueueSettings};
use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::{EnqueueExtensions, Permit, PermitAnswer, PermitVerdict, Plugin, PreEnqueue, Refusal};
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::verdict::{Code, Rejection};

/// Two doors: each keeps pods with its label out, and says when it was asked.
struct Outer(Log);
struct Inner(Log);
/// Turns every pod away at Permit until a pod of the name it waits for is gone; then at once, not after a backoff.
struct Patient;

macro_rules! door {
    ($($plugin:ident),*) => {$(
        impl Plugin for $plugin {
            const NAME: &'static str = stringify!($plugin);
        }
        impl PreEnqueue for $plugin {
            fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), Rejection> {
                self.0.lock().unwrap().push(format!("{} {}", Self::NAME, pod.key.name));
                let shut = pod.labels.get(&Self::NAME.into()).is_some();
                if shut { Err(Rejection::unresolvable("shut")) } else { Ok(()) }
            }
        }
        impl EnqueueExtensions for $plugin {
            fn registrations(&self) -> Vec<Registration> {
                vec![Registration::new(EventResource::UnschedulablePod, Actions::UPDATE_POD_LABEL)]
            }
            fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
                let own = change.pods().1.is_some_and(|new| new.key.uid == pod.key.uid);
                if own { QueueingHint::Queue } else { QueueingHint::Skip }
            }
        }
    )*};
}
door!(Outer, Inner);

impl Plugin for Patient {
    const NAME: &'static str = "Patient";
}
impl Permit for Patient {
    fn permit(&self, pod: &PodInfo, _: &Istr, _: &[&PodInfo]) -> PermitAnswer {
        let waits = pod.labels.get(&"patient".into()).is_some();
        let rejection = Rejection { code: Code::Pending, reason: "not yet".to_owned() };
        let refuse = || PermitVerdict::Refuse(Refusal::Rejected(rejection));
        PermitAnswer::only(if waits { refuse() } else { PermitVerdict::Allow })
    }
}
impl EnqueueExtensions for Patient {
    fn registrations(&self) -> Vec<Registration> {
        vec![Registration::always(EventResource::AssignedPod, Actions::DELETE)]
    }
}

fn settings(queue: QueueSettings) -> EngineSettings {
    EngineSettings { queue, ..EngineSettings::default() }
}

/// One node of 1,000m, the doors, and whatever was asked of them in the log.
fn doors() -> (Cluster, Log) {
    let asked: Log = Arc::new(Mutex::new(Vec::new()));
    let plugins = [
        Extensions::of(Priority).queue_sort().done(),
        Extensions::of(Outer(Arc::clone(&asked))).enqueue().pre_enqueue().done(),
        Extensions::of(Inner(Arc::clone(&asked))).enqueue().pre_enqueue().done(),
        Extensions::of(Fit).enqueue().filter().done(),
        Extensions::of(Patient).enqueue().permit().done(),
        Extensions::of(Binder).bind().done(),
    ];
    let profiles = vec![profile("plimsoll", &plugins)];
    (Cluster::with(profiles, log(), settings(QueueSettings::default()), &[node("n1").cpu(1_000)]), asked)
}

fn take(asked: &Log) -> Vec<String> {
    std::mem::take(&mut asked.lock().unwrap())
}

/// The pods in the order in which they are popped from now on.
fn pops(c: &mut Cluster) -> Vec<String> {
    let tickets = c.engine.take_work(c.now, 100);
    tickets.iter().map(|t| t.pod.key.name.to_string()).collect()
}

/// What entered which part of the queue since the last call, and why.
fn incoming(c: &mut Cluster) -> Vec<(&'static str, String)> {
    let entered = |o: Observation| match o {
        Observation::QueueIncoming { queue, event: QueueReason::Event(event) } => Some((queue, event.to_string())),
        Observation::QueueIncoming { queue, event: QueueReason::Own(label) } => Some((queue, label.to_owned())),
        _ => None,
    };
    c.engine.take_observations().into_iter().filter_map(entered).collect()
}

// --- 10.1, 10.3: what is popped first ---

#[test]
fn the_active_queue_goes_by_priority_then_by_time() {
    let mut c = Cluster::new(&[node("n1")]);
    for (name, priority, millis) in [("a", 0, 0), ("b", 5, 1), ("c", 0, 1), ("d", 5, 0), ("e", -1, 0)] {
        c.now = at(millis);
        c.add(&[pod(name).priority(priority)]);
    }
    assert_eq!(pops(&mut c), ["d", "b", "a", "c", "e"]);
}

#[test]
fn a_pod_in_backoff_is_popped_when_nothing_is_active_but_not_after_an_error() {
    let mut c = Cluster::new(&[node("n1").cpu(1_000)]);
    let (rejected, failed) = (pod("rejected").cpu(2_000), pod("failed").cpu(100));
    c.add([&rejected, &failed]);
    c.decide();
    c.fail("failed");
    c.tell(node("n2").cpu(2_000).seen());
    assert_eq!((c.place(&rejected), c.place(&failed)), (Some(Place::Backoff), Some(Place::ErrorBackoff)));
    c.add(&[pod("new").cpu(100)]);
    incoming(&mut c);
    assert_eq!(pops(&mut c), ["new", "rejected"]);
    assert_eq!(incoming(&mut c), [("active", "PopFromBackoffQ".to_owned())]);
    c.now = at(999);
    c.engine.tick(c.now);
    assert!(pops(&mut c).is_empty(), "the error waits for the second after its backoff");
    c.now = at(2_000);
    c.engine.tick(c.now);
    assert_eq!(pops(&mut c), ["failed"]);
}

#[test]
fn the_backoff_queue_goes_by_the_end_of_the_backoff_then_as_the_active_one() {
    let mut c = Cluster::new(&[node("n1").cpu(1_000)]);
    let pods = [("late", 9, 1_500), ("low", 0, 200), ("high", 5, 700)];
    for (name, priority, millis) in pods {
        c.now = at(millis);
        c.add(&[pod(name).cpu(2_000).priority(priority)]);
        c.decide();
    }
    c.tell(node("n2").cpu(9_000).seen());
    // The backoffs of `low` and `high` end within the same second, that of `late` in the next.
    assert_eq!(pops(&mut c), ["high", "low", "late"]);
}

#[test]
fn attempts_and_the_first_attempt_are_counted_from_the_queue() {
    let mut c = Cluster::new(&[node("n1").cpu(1_000)]);
    let p = pod("p").cpu(2_000);
    c.add([&p]);
    c.decide();
    c.now = at(500);
    c.tell(node("n2").cpu(2_000).seen());
    c.decide();
    assert_eq!(c.binds[0].attempts, 2);
    c.engine.take_observations();
    c.now = at(800);
    c.answer("p", BindResult::Bound);
    let done = c.engine.take_observations().into_iter().find_map(|o| match o {
        Observation::Scheduled { attempts, sli, flushed } => Some((attempts, sli, flushed)),
        _ => None,
    });
    assert_eq!(done, Some((2, Duration::from_millis(800), false)), "from its first entry, not its last");
}

// --- 10.2: PreEnqueue ---

#[test]
fn the_first_door_that_is_shut_ends_the_asking_and_is_asked_first_the_next_time() {
    let (mut c, asked) = doors();
    let p = pod("p").label("Inner", "");
    c.add([&p]);
    assert_eq!(take(&asked), ["Outer p", "Inner p"]);
    assert_eq!(c.place(&p), Some(Place::Gated));
    assert_eq!(incoming(&mut c), [("gated", "UnschedulablePodAdd".to_owned())]);
    c.tell(pod("p").label("Inner", "").label("more", "").version(2).seen());
    assert_eq!((take(&asked), c.place(&p)), (vec!["Inner p".to_owned()], Some(Place::Gated)));
    c.now = at(300);
    c.tell(pod("p").version(3).seen());
    assert_eq!((take(&asked), c.place(&p)), (vec!["Inner p".to_owned(), "Outer p".to_owned()], Some(Place::Active)));
    c.decide();
    c.engine.take_observations();
    c.now = at(400);
    c.answer("p", BindResult::Bound);
    let waited = c.engine.take_observations().into_iter().find_map(|o| match o {
        Observation::Scheduled { sli, .. } => Some(sli),
        _ => None,
    });
    assert_eq!(waited, Some(Duration::from_millis(100)), "the time behind a door does not count");
}

#[test]
fn a_gated_pod_hears_only_what_its_gate_registered_for() {
    let (mut c, asked) = doors();
    let p = pod("p").cpu(100).label("Outer", "");
    c.add([&p]);
    take(&asked);
    c.tell(node("n2").cpu(9_000).seen());
    c.tell(pod("gone").on("n1").seen());
    c.tell(pod("gone").on("n1").deleted(9));
    assert!(take(&asked).is_empty(), "no event of nodes or other pods makes anybody ask the door again");
    assert_eq!(c.place(&p), Some(Place::Gated));
    for _ in 0..20 {
        c.wait(60);
    }
    assert_eq!(c.place(&p), Some(Place::Gated), "nor does time");
}

#[test]
fn the_doors_are_asked_before_backoff_too() {
    let (mut c, asked) = doors();
    let p = pod("p").cpu(2_000);
    c.add([&p]);
    c.decide();
    assert_eq!(c.place(&p), Some(Place::Unschedulable));
    c.tell(pod("p").cpu(2_000).label("Outer", "").version(2).seen());
    take(&asked);
    c.tell(node("n2").cpu(2_000).seen());
    assert_eq!((take(&asked), c.place(&p)), (vec!["Outer p".to_owned()], Some(Place::Gated)));
}

// --- 10.4, 10.6: back into the queue ---

#[test]
fn what_a_pod_deserves_for_what_it_missed() {
    let grows = node("n1").cpu(2_000).version(9).seen();
    let rows = [("nothing", vec![], Place::Unschedulable), ("room", vec![grows], Place::Backoff)];
    for (what, missed, place) in rows {
        let mut c = Cluster::new(&[node("n1").cpu(1_000)]);
        let p = pod("p").cpu(1_500);
        c.add([&p]);
        let tickets = c.engine.take_work(c.now, 1);
        let proposals = c.engine.new_worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &tickets);
        missed.into_iter().for_each(|event| c.tell(event));
        incoming(&mut c);
        c.engine.propose(c.now, proposals);
        assert_eq!(c.place(&p), Some(place), "{what}");
        assert_eq!(incoming(&mut c), [(place.as_str(), "ScheduleAttemptFailure".to_owned())], "{what}");
        assert_eq!(c.engine.queue().in_flight(), (0, 0), "and the event is kept no longer");
    }
}

#[test]
fn who_waits_for_something_particular_is_active_at_once() {
    let (mut c, _) = doors();
    let (p, other) = (pod("p").cpu(100).label("patient", ""), pod("other").on("n1"));
    c.add([&other, &p]);
    c.decide();
    assert_eq!(c.place(&p), Some(Place::Unschedulable));
    c.tell(other.deleted(9));
    assert_eq!(c.place(&p), Some(Place::Active), "no backoff for a plugin that said Pending");
}

#[test]
fn an_error_comes_back_whatever_happened() {
    let mut c = Cluster::new(&[node("n1")]);
    let p = pod("p").cpu(100);
    c.add([&p]);
    c.decide();
    c.fail("p");
    assert_eq!(c.place(&p), Some(Place::ErrorBackoff));
    c.tell(node("n2").seen());
    assert_eq!(c.place(&p), Some(Place::ErrorBackoff), "events do not touch who is in backoff");
}

#[test]
fn an_event_nobody_registered_for_is_not_even_kept() {
    let (mut c, _) = doors();
    c.add(&[pod("p").cpu(100)]);
    c.engine.take_work(c.now, 1);
    c.tell(pod("q").on("n1").seen());
    assert_eq!(c.engine.queue().in_flight(), (1, 0), "Fit and Patient want no pods that come");
    c.tell(pod("q").on("n1").deleted(9));
    assert_eq!(c.engine.queue().in_flight(), (1, 1));
}

// --- 10.5: backoff ---

#[test]
fn backoff_doubles_and_ends_with_the_second_after_it() {
    for (max, expect) in [(10, vec![1_u64, 2, 4, 8, 10, 10]), (3, vec![1, 2, 3, 3]), (0, vec![0, 0])] {
        let backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(max) };
        let profiles = vec![profile("plimsoll", &common::plugins::all(&log()))];
        let queue = QueueSettings { backoff, ..QueueSettings::default() };
        let mut c = Cluster::with(profiles, log(), settings(queue), &[node("n1")]);
        let p = pod("p").cpu(100);
        c.now = at(300);
        c.add([&p]);
        for seconds in expect {
            c.decide();
            c.fail("p");
            if seconds == 0 {
                assert_eq!(c.place(&p), Some(Place::Active), "no maximum, no backoff");
                continue;
            }
            let began = c.now;
            // Truncated to the second in which it ends, and then the next one.
            let ends = began.after(Duration::from_secs(seconds)).whole_second().as_duration().as_secs() + 1;
            c.now = at((ends - 1_000) * 1_000 - 1);
            c.engine.tick(c.now);
            assert_eq!(c.place(&p), Some(Place::ErrorBackoff), "{seconds} s are not over");
            c.now = at((ends - 1_000) * 1_000);
            assert_eq!(c.engine.next_deadline().map(|d| d <= c.now), Some(true));
            c.engine.tick(c.now);
            assert_eq!(c.place(&p), Some(Place::Active), "{seconds} s are over");
        }
    }
}

#[test]
fn a_rejection_ends_a_row_of_errors() {
    let mut c = Cluster::new(&[node("n1").cpu(1_000)]);
    let p = pod("p").cpu(100);
    c.add([&p]);
    for _ in 0..3 {
        c.decide();
        c.fail("p");
        c.wait(12);
    }
    let counts = |c: &Cluster| {
        let (info, _) = c.engine.queue().get(&p.uid()).unwrap();
        (info.consecutive_errors, info.unschedulable_count)
    };
    assert_eq!(counts(&c), (3, 0));
    c.tell(node("n1").cpu(50).version(9).seen());
    c.decide();
    assert_eq!(counts(&c), (0, 1));
}

// --- 10.7: other operations ---

#[test]
fn a_pod_that_changes_keeps_its_place_and_is_what_it_is_now() {
    let mut c = Cluster::new(&[node("n1").cpu(1_000)]);
    c.add(&[pod("a").priority(1), pod("b").priority(2)]);
    c.tell(pod("a").priority(3).version(2).seen());
    assert_eq!(pops(&mut c), ["a", "b"], "in the active queue it is moved to where it belongs");
    // In flight: what changed is kept for it.
    let mut c = Cluster::new(&[node("n1").cpu(1_000)]);
    let p = pod("p").cpu(2_000);
    c.add([&p]);
    let tickets = c.engine.take_work(c.now, 1);
    let proposals = c.engine.new_worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &tickets);
    c.tell(p.clone().cpu(500).version(2).seen());
    c.engine.propose(c.now, proposals);
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
    // Asleep: its own change wakes it if it could help.
    let mut c = Cluster::new(&[node("n1").cpu(1_000)]);
    c.add([&p]);
    c.decide();
    c.tell(p.clone().label("a", "b").version(2).seen());
    assert_eq!(c.place(&p), Some(Place::Unschedulable));
    incoming(&mut c);
    c.tell(p.clone().cpu(500).version(3).seen());
    assert_eq!(incoming(&mut c), [("backoff", "UnschedulablePodUpdatePodScaleDown".to_owned())]);
}

#[test]
fn a_pod_that_goes_leaves_whatever_part_it_is_in() {
    let gone = |c: &mut Cluster, p: &Pod, what: &str| {
        c.tell(p.deleted(99));
        assert_eq!(c.engine.queue().iter().count(), 0, "{what}");
        assert!(pops(c).is_empty(), "{what}");
        assert_eq!(c.engine.queue().in_flight(), (0, 0), "{what}");
    };
    let (mut c, _) = doors();
    let p = pod("p").cpu(100);
    c.add([&p]);
    gone(&mut c, &p, "active");
    let (mut c, _) = doors();
    c.add(&[p.clone().label("Outer", "")]);
    gone(&mut c, &p, "gated");
    let (mut c, _) = doors();
    c.add(&[p.clone().cpu(2_000)]);
    c.decide();
    gone(&mut c, &p, "unschedulable");
    let (mut c, _) = doors();
    c.add([&p]);
    c.decide();
    c.fail("p");
    gone(&mut c, &p, "in backoff");
    let (mut c, _) = doors();
    c.add([&p]);
    let tickets = c.engine.take_work(c.now, 1);
    c.tell(p.deleted(99));
    let proposals = c.engine.new_worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &tickets);
    c.engine.propose(c.now, proposals);
    assert!(c.bound().is_empty());
    gone(&mut c, &p, "in flight");
}

#[test]
fn whoever_waited_five_minutes_is_tried_again_at_the_next_half_minute() {
    let mut c = Cluster::new(&[node("n1").cpu(1_000)]);
    let p = pod("p").cpu(2_000);
    c.add([&p]);
    c.decide();
    for _ in 0..10 {
        c.wait(30);
    }
    assert_eq!(c.place(&p), Some(Place::Unschedulable), "not longer than five minutes yet");
    incoming(&mut c);
    c.wait(30);
    assert_eq!(incoming(&mut c), [("active", "UnschedulableTimeout".to_owned())]);
}
