//! What is assumed of objects, written before a binding, and waited for: with a plugin that gives out seats.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::build::{Pod, node, pod};
use common::cluster::{Cluster, log};
use common::plugins::{self, Evictor, First, Log};
use common::profile;
use plimsoll_engine::effect::{AttemptResult, Observation};
use plimsoll_engine::engine::EngineSettings;
use plimsoll_engine::event::{BindResult, Event, WriteFailure};
use plimsoll_engine::queue::Place;
use plimsoll_framework::assume::Assumption;
use plimsoll_framework::cluster_event::{Actions, EventResource, Registration};
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindId, KindRef, ObjectKey, ObjectKind, Objects};
use plimsoll_framework::plugin::*;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::read::{ObjectsOf, WholePod};
use plimsoll_framework::verdict::{PluginError, Verdict};
use serde_json::json;

/// How long a seat may take to be confirmed.
const PATIENCE: Duration = Duration::from_secs(600);

/// A seat: whose it is, and whether that is confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seat {
    owner: Option<String>,
    confirmed: bool,
}

enum SeatKind {}
impl ObjectKind for SeatKind {
    const GROUP: &'static str = "test";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "seats";
    const KIND: &'static str = "Seat";
    type Object = Seat;
    fn decode(_: &serde_json::Value) -> Result<Seat, String> {
        Err("these tests need none".to_owned())
    }
}

/// Gives each pod that has the label `seat` a seat: the one that is its own, or the first free one by name. Notes whom it
/// looks at again.
struct Seats(Log);

impl Plugin for Seats {
    const NAME: &'static str = "Seats";
    fn kinds(&self) -> Vec<KindRef> {
        vec![KindRef::of::<SeatKind>()]
    }
}

impl EnqueueExtensions for Seats {
    fn registrations(&self) -> Vec<Registration> {
        let resource = EventResource::Other(KindRef::of::<SeatKind>().event_name());
        vec![Registration::always(resource, Actions::ADD.or(Actions::UPDATE))]
    }
}

fn seat_for(pod: &PodInfo, seats: &Objects<SeatKind>) -> Option<(Istr, Seat)> {
    let mut all: Vec<(&Istr, &Seat)> = seats.iter().map(|(_, name, seat)| (name, seat)).collect();
    all.sort_by_key(|(name, _)| *name);
    let own = all.iter().find(|(_, seat)| seat.owner.as_deref() == Some(&*pod.key.name));
    own.or_else(|| all.iter().find(|(_, seat)| seat.owner.is_none()))
        .map(|(name, seat)| ((*name).clone(), (*seat).clone()))
}

fn wants_seat(pod: &PodInfo) -> bool {
    pod.labels.get(&"seat".into()).is_some()
}

impl Filter for Seats {
    type Pod = WholePod;
    type Cluster = ObjectsOf<SeatKind>;
    type Node = ();
    type State = bool;
    fn prepare(&self, pod: &PodInfo, seats: Objects<SeatKind>) -> Option<bool> {
        wants_seat(pod).then(|| seat_for(pod, &seats).is_some())
    }
    fn filter(&self, has_seat: &bool, (): ()) -> Verdict {
        if *has_seat { Verdict::FITS } else { Verdict::unresolvable(1) }
    }
    fn reasons(&self, _: &bool, _: u32) -> Vec<String> {
        vec!["no seat is free".to_owned()]
    }
}

impl Reserve for Seats {
    type Cluster = ObjectsOf<SeatKind>;
    fn reserve(&self, pod: &PodInfo, node: &NodeInfo, seats: Objects<SeatKind>) -> Result<Vec<Assumption>, Refusal> {
        assert!(node.labels.get(&"zone".into()).is_some(), "it is the node's own object");
        let Some((name, seat)) = seat_for(pod, &seats).filter(|_| wants_seat(pod)) else { return Ok(Vec::new()) };
        let owner = Some(pod.key.name.to_string());
        let taken = Seat { owner, ..seat.clone() };
        let key = ObjectKey { namespace: Istr::default(), name };
        Ok((taken != seat).then(|| Assumption::of::<SeatKind>(key, taken)).into_iter().collect())
    }
}

impl PreBind for Seats {
    type Cluster = ObjectsOf<SeatKind>;
    type Awaited = (Istr, String);
    fn pre_bind(
        &self,
        pod: &PodInfo,
        _: &NodeInfo,
        assumed: &[Assumption],
        seats: Objects<SeatKind>,
    ) -> Result<PreBindAnswer<(Istr, String)>, PluginError> {
        let Some((name, seat)) = seat_for(pod, &seats).filter(|(_, seat)| wants_seat(pod) && !seat.confirmed) else {
            return Ok(PreBindAnswer::nothing());
        };
        assert!(assumed.iter().all(|a| a.object::<SeatKind>() == Some(&seat)), "what Reserve assumed is read");
        let write = |assumption: &Assumption| Write {
            group: "test".to_owned(),
            version: "v1".to_owned(),
            plural: "seats".to_owned(),
            namespace: String::new(),
            name: assumption.key.name.to_string(),
            subresource: None,
            merge_patch: json!({"owner": &*pod.key.name}),
        };
        let awaited = Awaited { state: (name, pod.key.name.to_string()), at_most: PATIENCE, doing: "taking seats" };
        Ok(PreBindAnswer { writes: assumed.iter().map(write).collect(), wait: Some(awaited) })
    }
    fn progress(&self, (name, owner): &(Istr, String), _: &NodeInfo, seats: Objects<SeatKind>) -> Progress {
        self.0.lock().expect("no test panics with the log").push(format!("look {owner}"));
        let none = Istr::default();
        match seats.written(&none, name) {
            _ if seats.is_assumed(&none, name) => Progress::Wait,
            Some(seat) if seat.owner.as_ref() != Some(owner) => {
                Progress::Failed(PluginError { message: format!("seat {name} was given away") })
            }
            Some(seat) if seat.confirmed => Progress::Ready,
            Some(_) => Progress::Wait,
            None => Progress::Failed(PluginError { message: format!("seat {name} is gone") }),
        }
    }
    fn hangs_on(
        &self,
        (name, owner): &(Istr, String),
        _: &NodeInfo,
        _: Objects<SeatKind>,
    ) -> Option<Vec<(KindId, ObjectKey)>> {
        (!owner.starts_with("vague")).then(|| vec![(KindId::of::<SeatKind>(), key(name))])
    }
}

/// A seat as the API server has it at this version.
fn seat(name: &str, version: u64, owner: Option<&str>, confirmed: bool) -> Event {
    let seat = Seat { owner: owner.map(str::to_owned), confirmed };
    let object: plimsoll_engine::event::AnyObject = Arc::new(seat);
    Event::Object { kind: KindRef::of::<SeatKind>(), key: key(name), resource_version: version, object: Some(object) }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: Istr::default(), name: name.into() }
}

fn gone(name: &str) -> Event {
    Event::Object { kind: KindRef::of::<SeatKind>(), key: key(name), resource_version: 0, object: None }
}

fn sitting(name: &str) -> Pod {
    pod(name).label("seat", "")
}

/// A node, and so many free seats: `s1`, `s2`, ...
fn with_seats(seats: usize) -> Cluster {
    made(seats, false)
}

/// The same; with `evicting`, pods go for others of higher priority.
fn made(seats: usize, evicting: bool) -> Cluster {
    let log = log();
    let mut plugins = plugins::deciding();
    plugins.push(Extensions::of(Seats(Arc::clone(&log))).enqueue().filter().reserve().pre_bind().done());
    plugins.push(Extensions::of(First(Arc::clone(&log))).reserve().permit().pre_bind().post_bind().done());
    if evicting {
        plugins.push(Extensions::of(Evictor).enqueue().pre_enqueue().post_filter().done());
    }
    let settings = EngineSettings::default();
    let mut c = Cluster::with(vec![profile("plimsoll", &plugins)], log, settings, &[node("n1")]);
    for n in 1..=seats {
        c.tell(seat(&format!("s{n}"), 10, None, false));
    }
    c
}

/// Answers the writes of this pod.
fn answer(c: &mut Cluster, pod: &Pod, failure: Option<&str>) {
    let at = c.writes.iter().position(|w| w.pod.key.uid == pod.uid()).expect("something is being written");
    let request = c.writes.remove(at);
    assert!(request.writes.iter().all(|(plugin, _)| *plugin == "Seats"));
    let failure = failure.map(|message| WriteFailure { plugin: "Seats", message: message.to_owned() });
    c.tell(Event::WritesFinished { uid: pod.uid(), result: failure.map_or(Ok(()), Err) });
}

/// What is due now is done.
fn tick(c: &mut Cluster) {
    c.wait(0);
}

/// The seats that are being written, as `pod:seat`.
fn written(c: &Cluster) -> Vec<String> {
    let name = |w: &plimsoll_engine::effect::WriteRequest| {
        let seats: Vec<&str> = w.writes.iter().map(|(_, write)| &*write.name).collect();
        format!("{}:{}", w.pod.key.name, seats.join(","))
    };
    c.writes.iter().map(name).collect()
}

/// Whose the seat is, as everybody reads it.
fn owner(c: &Cluster, name: &str) -> Option<String> {
    let view = c.engine.view();
    let seats: Objects<SeatKind> = view.cluster().objects();
    seats.get(&Istr::default(), &name.into()).expect("there is such a seat").owner.clone()
}

fn under_way(c: &Cluster) -> (usize, usize) {
    (c.engine.bindings_under_way(), c.engine.waiting_to_bind())
}

#[test]
fn a_pod_is_bound_when_what_it_waits_for_has_happened() {
    let mut c = with_seats(1);
    let p = sitting("p");
    c.add([&p]);
    c.decide();
    assert_eq!((written(&c), c.bound()), (vec!["p:s1".to_owned()], vec![]));
    assert_eq!((owner(&c, "s1").as_deref(), under_way(&c)), (Some("p"), (1, 0)));
    answer(&mut c, &p, None);
    // Others have their turn now; it is none of ours any more.
    assert_eq!((c.bound(), under_way(&c)), (vec![], (0, 1)));
    c.tell(seat("s1", 11, Some("p"), false));
    tick(&mut c);
    assert_eq!((c.bound(), under_way(&c)), (vec![], (0, 1)));
    c.tell(seat("s1", 12, Some("p"), true));
    tick(&mut c);
    assert_eq!((c.bound(), under_way(&c)), (vec!["p->n1".to_owned()], (1, 0)));
    c.answer("p", BindResult::Bound);
    assert_eq!(c.said(), ["p Scheduled: Successfully assigned default/p to n1"]);
    assert_eq!((owner(&c, "s1").as_deref(), under_way(&c)), (Some("p"), (0, 0)));
}

#[test]
fn what_happened_before_the_answer_came_counts() {
    let mut c = with_seats(1);
    let p = sitting("p");
    c.add([&p]);
    c.decide();
    c.tell(seat("s1", 12, Some("p"), true));
    assert_eq!(c.bound(), [""; 0]);
    answer(&mut c, &p, None);
    assert_eq!(c.bound(), ["p->n1"]);
}

#[test]
fn a_pod_that_needs_nothing_is_bound_at_once() {
    let mut c = with_seats(1);
    c.tell(seat("s1", 11, Some("sits"), true));
    c.add([&pod("stands"), &sitting("sits")]);
    c.decide();
    assert_eq!(c.bound(), ["stands->n1", "sits->n1"]);
    assert!(c.writes.is_empty());
}

#[test]
fn two_pods_never_take_the_same_object() {
    let mut c = with_seats(2);
    let pods = [("p", 2), ("q", 1), ("r", 0)].map(|(name, priority)| sitting(name).priority(priority));
    c.add(&pods);
    c.decide();
    assert_eq!(written(&c), ["p:s1", "q:s2"]);
    assert_eq!(c.place(&pods[2]), Some(Place::Unschedulable));
    assert_eq!(c.condition(), ("Unschedulable", "0/1 nodes are available: 1 no seat is free."));
    // Nor does it wait for those who wait.
    c.add([&pod("other")]);
    c.decide();
    assert_eq!(c.bound(), ["other->n1"]);
}

#[test]
fn workers_that_decide_at_the_same_time_do_not_take_the_same_object() {
    let mut c = with_seats(1);
    let pods = ["p", "q"].map(sitting);
    c.add(&pods);
    let tickets = c.engine.take_work(c.now, 2);
    let (view, profiles) = (c.engine.view(), c.engine.profiles());
    let proposals: Vec<_> = tickets
        .iter()
        .flat_map(|ticket| c.engine.new_worker().decide_batch(&profiles, &view, std::slice::from_ref(ticket)))
        .collect();
    for proposal in proposals {
        c.engine.propose(c.now, vec![proposal]);
    }
    tick(&mut c);
    assert_eq!(written(&c), ["p:s1"]);
    assert_eq!(c.place(&pods[1]), Some(Place::Unschedulable));
}

#[test]
fn time_that_is_up_ends_the_attempt_and_gives_the_object_to_another() {
    let mut c = with_seats(1);
    let (p, q) = (sitting("p"), sitting("q"));
    c.add([&p, &q]);
    c.decide();
    answer(&mut c, &p, None);
    assert_eq!(c.engine.next_deadline(), Some(c.now.after(Duration::from_secs(30))), "the queue's own");
    c.wait(599);
    assert_eq!((under_way(&c), c.engine.next_deadline()), ((0, 1), Some(c.now.after(Duration::from_secs(1)))));
    c.said();
    // The write had no effect that anybody saw.
    c.wait(1);
    let message = "running PreBind plugin \"Seats\": taking seats: context deadline exceeded";
    assert_eq!(c.condition(), ("SchedulerError", message));
    assert_eq!(c.said(), [format!("p FailedScheduling: {message}")]);
    assert_eq!((c.place(&p), under_way(&c)), (Some(Place::ErrorBackoff), (0, 0)));
    // It is the API server's seat again, and who was turned away for want of one is woken.
    assert_eq!(owner(&c, "s1"), None);
    c.decide();
    assert_eq!(written(&c), ["q:s1"]);
    let failed = |o: &Observation| matches!(o, Observation::PluginFailed { plugin: "Seats", .. });
    assert_eq!(c.engine.take_observations().iter().filter(|o| failed(o)).count(), 1);
}

#[test]
fn time_runs_from_when_everything_is_written() {
    let mut c = with_seats(1);
    let p = sitting("p");
    c.add([&p]);
    c.decide();
    c.wait(500);
    answer(&mut c, &p, None);
    c.wait(599);
    assert_eq!(under_way(&c), (0, 1));
    c.wait(1);
    assert_eq!(under_way(&c), (0, 0));
}

#[test]
fn a_write_that_fails_ends_the_attempt() {
    let mut c = with_seats(1);
    let p = sitting("p");
    c.add([&p]);
    c.decide();
    answer(&mut c, &p, Some("the object has been modified (409)"));
    let message = "running PreBind plugin \"Seats\": the object has been modified (409)";
    assert_eq!(c.condition(), ("SchedulerError", message));
    assert_eq!((c.place(&p), owner(&c, "s1"), under_way(&c)), (Some(Place::ErrorBackoff), None, (0, 0)));
    assert_eq!(c.asked(), ["reserve First p", "unreserve First p"]);
    // The next attempt looks at what is there by then.
    c.tell(seat("s1", 11, Some("somebody"), true));
    c.tell(seat("s2", 12, None, false));
    c.wait(3);
    c.decide();
    assert_eq!(written(&c), ["p:s2"]);
}

#[test]
fn what_changes_under_a_pod_that_waits_ends_the_attempt() {
    type Change = fn(&mut Cluster);
    let rows: [(&str, Change, &str); 3] = [
        ("given away", |c| c.tell(seat("s1", 11, Some("q"), false)), "seat s1 was given away"),
        ("gone", |c| c.tell(gone("s1")), "seat s1 is gone"),
        ("node gone", |c| c.tell(node("n1").deleted()), "failed to get node \"n1\": node \"n1\" not found"),
    ];
    for (what, change, why) in rows {
        let mut c = with_seats(1);
        let p = sitting("p");
        c.add([&p]);
        c.decide();
        answer(&mut c, &p, None);
        change(&mut c);
        tick(&mut c);
        let message = format!("running PreBind plugin \"Seats\": taking seats: {why}");
        assert_eq!(c.condition(), ("SchedulerError", &*message), "{what}");
        assert_eq!((c.place(&p), under_way(&c)), (Some(Place::ErrorBackoff), (0, 0)), "{what}");
    }
}

#[test]
fn a_pod_that_leaves_while_it_waits_gives_back_what_it_had() {
    type Leave = fn(&mut Cluster, &Pod);
    let rows: [(&str, Leave); 4] = [
        ("deleted", |c, p| c.tell(p.deleted(20))),
        ("being deleted", |c, p| c.tell(p.clone().version(20).with(|p| p.terminating = true).seen())),
        ("elsewhere", |c, p| c.tell(p.clone().version(20).on("n2").seen())),
        ("there already", |c, p| c.tell(p.clone().version(20).on("n1").seen())),
    ];
    for (what, leave) in rows {
        for waits in [false, true] {
            let mut c = with_seats(1);
            let (p, q) = (sitting("p"), sitting("q"));
            c.add([&p, &q]);
            c.decide();
            if waits {
                answer(&mut c, &p, None);
            }
            leave(&mut c, &p);
            if !waits {
                // What is on its way to the API server is waited for.
                assert_eq!((owner(&c, "s1").as_deref(), under_way(&c)), (Some("p"), (1, 0)), "{what}");
                answer(&mut c, &p, None);
            }
            assert_eq!((owner(&c, "s1"), under_way(&c)), (None, (0, 0)), "{what}");
            c.decide();
            assert_eq!((written(&c), c.bound()), (vec!["q:s1".to_owned()], vec![]), "{what}");
            assert_eq!(c.engine.queue().in_flight(), (0, 0), "{what}");
            let ended = |o: &Observation| matches!(o, Observation::Attempt { result: AttemptResult::Error, .. });
            assert_eq!(c.engine.take_observations().iter().filter(|o| ended(o)).count(), 1, "{what}");
        }
    }
}

#[test]
fn what_permit_holds_is_assumed_and_given_back() {
    let mut c = with_seats(1);
    let (p, q) = (sitting("p").label("permit-First", "wait"), sitting("q"));
    c.add([&p, &q]);
    c.decide();
    assert_eq!((owner(&c, "s1").as_deref(), written(&c)), (Some("p"), vec![]));
    c.wait(90);
    assert_eq!((owner(&c, "s1"), c.place(&p)), (None, Some(Place::Unschedulable)));
    c.decide();
    assert_eq!(written(&c), ["q:s1"]);
}

#[test]
fn a_refusal_after_an_assumption_takes_it_back() {
    let mut c = with_seats(1);
    let (p, q) = (sitting("p").label("reserve-First", "refuse"), sitting("q"));
    c.add([&p]);
    c.decide();
    assert_eq!((owner(&c, "s1"), c.place(&p)), (None, Some(Place::Unschedulable)), "it does not wake itself");
    c.add([&q]);
    c.decide();
    assert_eq!(written(&c), ["q:s1"]);
}

#[test]
fn a_list_that_tells_nothing_new_leaves_what_is_assumed() {
    let mut c = with_seats(2);
    let p = sitting("p");
    c.add([&p]);
    c.decide();
    let listed = |names: &[&str]| Event::ObjectsListed {
        kind: KindRef::of::<SeatKind>(),
        present: names.iter().map(|name| key(name)).collect(),
    };
    // The same versions again, and an older one.
    c.tell(seat("s1", 10, None, false));
    c.tell(seat("s2", 9, Some("stale"), false));
    c.tell(listed(&["s1", "s2"]));
    assert_eq!((owner(&c, "s1").as_deref(), owner(&c, "s2")), (Some("p"), None));
    // A newer one goes before what is assumed of an older one, whatever becomes of the write.
    c.tell(seat("s1", 11, Some("somebody"), false));
    assert_eq!(owner(&c, "s1").as_deref(), Some("somebody"));
    answer(&mut c, &p, Some("the object has been modified (409)"));
    assert_eq!(owner(&c, "s1").as_deref(), Some("somebody"));
    // One that is not listed is gone, with what was assumed of it.
    c.wait(3);
    c.decide();
    assert_eq!((written(&c), owner(&c, "s2").as_deref()), (vec!["p:s2".to_owned()], Some("p")));
    c.tell(listed(&["s1"]));
    answer(&mut c, &p, None);
    assert_eq!(c.condition().1, "running PreBind plugin \"Seats\": taking seats: seat s2 is gone");
    // It may come again, at whatever version.
    c.tell(seat("s2", 3, None, false));
    assert_eq!(owner(&c, "s2"), None);
}

#[test]
fn an_engine_that_starts_in_the_middle_goes_on() {
    // Written, and not confirmed: nothing is assumed, nothing is written, it is only waited for.
    let mut c = with_seats(0);
    c.tell(seat("s1", 11, Some("p"), false));
    c.add([&sitting("p")]);
    c.decide();
    assert_eq!((written(&c), c.bound(), under_way(&c)), (vec![], vec![], (0, 1)));
    c.tell(seat("s1", 12, Some("p"), true));
    tick(&mut c);
    assert_eq!(c.bound(), ["p->n1"]);
}

#[test]
fn what_is_bound_is_the_pod_as_it_is_by_then() {
    let mut c = with_seats(1);
    let p = sitting("p");
    c.add([&p]);
    c.decide();
    answer(&mut c, &p, None);
    c.tell(p.clone().version(7).label("late", "yes").seen());
    c.tell(seat("s1", 12, Some("p"), true));
    tick(&mut c);
    assert_eq!(c.binds[0].pod.resource_version, 7);
}

/// The nominations that were asked to be written of a pod since the last call.
fn nominations(c: &mut Cluster, pod: &Pod) -> Vec<Option<String>> {
    let statuses = std::mem::take(&mut c.statuses).into_iter().filter(|s| s.key.uid == pod.uid());
    statuses.filter_map(|s| s.nominated_node_name).map(|node| node.map(|n| n.to_string())).collect()
}

#[test]
fn the_node_is_in_the_status_before_anything_is_waited_for() {
    let n1 = || Some("n1".to_owned());
    let mut c = with_seats(1);
    let (p, stands) = (sitting("p").label("permit-First", "wait"), pod("stands"));
    c.add([&p, &stands]);
    c.decide();
    assert_eq!((nominations(&mut c, &stands), c.bound()), (vec![], vec!["stands->n1".to_owned()]));
    let mut c = with_seats(1);
    c.add([&p]);
    c.decide();
    assert_eq!((nominations(&mut c, &p), written(&c)), (vec![n1()], vec![]), "while Permit holds it");
    c.tell(p.clone().nominated("n1").version(2).seen());
    c.add([&pod("key").label("permit-First", "release")]);
    c.decide();
    assert_eq!((nominations(&mut c, &p), written(&c)), (vec![], vec!["p:s1".to_owned()]), "it is there already");
    answer(&mut c, &p, Some("the object has been modified (409)"));
    assert_eq!(nominations(&mut c, &p), [None], "and goes with the attempt");
    c.wait(3);
    c.decide();
    assert_eq!(nominations(&mut c, &p), [n1()]);
    c.wait(90);
    assert_eq!(nominations(&mut c, &p), [None]);
    // Before something is written; the binding itself ends the nomination.
    let (mut c, p) = (with_seats(1), sitting("p"));
    c.add([&p]);
    c.decide();
    assert_eq!((nominations(&mut c, &p), written(&c)), (vec![n1()], vec!["p:s1".to_owned()]));
    c.tell(seat("s1", 12, Some("p"), true));
    answer(&mut c, &p, None);
    c.answer("p", BindResult::Bound);
    c.tell(p.clone().on("n1").version(9).seen());
    assert_eq!(nominations(&mut c, &p), []);
}

#[test]
fn a_victim_that_waits_is_turned_away_in_memory() {
    for (written, asked) in [(true, vec![]), (false, vec!["low for high".to_owned()])] {
        let mut c = made(1, true);
        let (low, high) = (sitting("low").cpu(900), pod("high").cpu(900).priority(5));
        c.add([&low]);
        c.decide();
        if written {
            answer(&mut c, &low, None);
        }
        c.said();
        c.add([&high]);
        c.decide();
        // What is on its way to the API server cannot be called back.
        assert_eq!(c.asked_to_go(), asked);
        if !written {
            continue;
        }
        let said = c.said();
        let preempted = "low Preempted: Preempted by pod uid-high on node n1 (in kube-scheduler memory).".to_owned();
        assert!(said.contains(&preempted), "{said:?}");
        assert!(said.contains(&"low FailedScheduling: preempted by DefaultPreemption".to_owned()), "{said:?}");
        assert_eq!((under_way(&c), owner(&c, "s1"), c.bound()), ((1, 0), None, vec!["high->n1".to_owned()]));
        assert_eq!(c.place(&low), Some(Place::ErrorBackoff));
    }
}

#[test]
fn a_change_is_looked_at_for_those_alone_that_wait_for_it() {
    let mut c = with_seats(3);
    c.tell(node("n2").seen());
    let pods = [("p", 2), ("q", 1), ("vague", 0)].map(|(name, priority)| sitting(name).priority(priority));
    c.add(&pods);
    c.decide();
    pods.iter().for_each(|pod| answer(&mut c, pod, None));
    assert_eq!(under_way(&c), (0, 3));
    let mut looked_at = |event: Event| {
        c.asked();
        c.tell(event);
        assert!(c.asked().iter().all(|what| !what.starts_with("look")), "not before everything is taken in");
        tick(&mut c);
        let mut looked_at: Vec<String> = c.asked().into_iter().filter(|what| what.starts_with("look")).collect();
        looked_at.sort();
        looked_at
    };
    assert_eq!(
        looked_at(seat("s1", 11, Some("p"), false)),
        ["look p", "look vague"],
        "who does not say is always asked"
    );
    assert_eq!(looked_at(seat("s2", 11, Some("q"), false)), ["look q", "look vague"]);
    assert_eq!(looked_at(seat("s9", 11, None, false)), ["look vague"]);
    let mut on_nodes = looked_at(node("n1").cpu(2_000).version(2).seen());
    on_nodes.extend(looked_at(node("n2").cpu(2_000).version(2).seen()));
    on_nodes.sort();
    assert_eq!(on_nodes, ["look p", "look q", "look vague"], "each with its own node");
    assert_eq!(looked_at(seat("s1", 12, Some("p"), true)), ["look p", "look vague"]);
    assert_eq!(looked_at(seat("s1", 13, Some("p"), true)), ["look vague"], "p is on its way");
}
