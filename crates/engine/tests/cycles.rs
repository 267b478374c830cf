//! Whole cycles, from the event to the effect, with a hand-set clock: one short story each.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test from end to end")]

mod common;

use std::sync::Arc;

use common::build::{node, pod};
use common::cluster::{Cluster, log};
use common::inspect::assert_sums;
use common::{plugins, profile};
use plimsoll_engine::cache::Standing;
use plimsoll_engine::decide::{TieBreak, Worker};
use plimsoll_engine::effect::Observation;
use plimsoll_engine::engine::{EngineSettings, HandOut};
use plimsoll_engine::event::{BindResult, Event};
use plimsoll_engine::memo::MemoSettings;
use plimsoll_engine::queue::Place;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::object::KindRef;

fn standing(c: &Cluster, pod: &common::build::Pod) -> Option<Standing> {
    c.engine.cache().get(&pod.uid()).map(|k| k.standing.clone())
}

// --- the way to a node ---

#[test]
fn a_pod_that_fits_is_bound_and_said_to_be() {
    let mut c = Cluster::new(&[node("n1")]);
    c.add(&[pod("p").cpu(600)]);
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
    assert_eq!((c.binds[0].attempts, c.binds[0].score), (1, None), "the only node that fits is not scored");
    assert!(c.said().is_empty(), "nothing is said before the API server has the binding");
    c.answer("p", BindResult::Bound);
    assert_eq!(c.said(), ["p Scheduled: Successfully assigned default/p to n1"]);
    assert_eq!(c.asked(), ["reserve First p", "reserve Second p", "postbind First p", "postbind Second p"]);
    c.tell(pod("p").cpu(600).on("n1").version(2).seen());
    assert_eq!(standing(&c, &pod("p")), Some(Standing::Assigned));
    assert_eq!((c.engine.bindings_under_way(), c.engine.queue().in_flight()), (0, (0, 0)));
    assert_sums(&c.engine);
}

#[test]
fn the_best_node_wins() {
    let mut c = Cluster::new(&[node("n1"), node("n2").cpu(4_000), node("n3")]);
    c.add(&[pod("p").cpu(500)]);
    c.decide();
    assert_eq!((c.bound()[0].as_str(), c.binds[0].score), ("p->n2", Some(87)));
}

#[test]
fn higher_priority_is_first_then_whoever_came_first() {
    let mut c = Cluster::new(&[node("n1").with(|n| n.pods = 2)]);
    c.add(&[pod("early"), pod("urgent").priority(5)]);
    c.wait(1);
    c.add(&[pod("late")]);
    c.decide();
    assert_eq!(c.bound(), ["urgent->n1", "early->n1"]);
    assert_eq!(c.place(&pod("late")), Some(Place::Unschedulable));
}

#[test]
fn ties_are_broken_by_name_where_that_is_wanted() {
    let settings = EngineSettings { tie_break: TieBreak::Name, ..EngineSettings::default() };
    let profiles = vec![profile("plimsoll", &plugins::deciding())];
    let mut c = Cluster::with(profiles, log(), settings, &[node("n2"), node("n3"), node("n1")]);
    c.add(&[pod("p").cpu(1)]);
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
}

#[test]
fn the_room_of_a_pod_that_somebody_bound_elsewhere_is_room_for_others() {
    let mut c = Cluster::new(&[node("n1")]);
    let (p, waits) = (pod("p").cpu(900), pod("waits").cpu(900));
    c.add([&p]);
    c.decide();
    c.add([&waits]);
    c.decide();
    assert_eq!(c.place(&waits), Some(Place::Unschedulable));
    c.tell(p.clone().version(2).on("elsewhere").seen());
    c.decide();
    assert_eq!(c.bound(), ["p->n1", "waits->n1"]);
    assert_sums(&c.engine);
}

// --- nowhere to go ---

#[test]
fn a_pod_that_fits_nowhere_is_told_why_and_woken_by_what_could_help() {
    let mut c = Cluster::new(&[node("n1"), node("n2").taint("gpu"), node("n3")]);
    let p = pod("p").cpu(2_000);
    c.add([&p]);
    c.decide();
    let text =
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. preemption: no victims.";
    assert_eq!(c.condition(), ("Unschedulable", text));
    assert_eq!(c.said(), [format!("p FailedScheduling: {text}")]);
    assert_eq!(c.place(&p), Some(Place::Unschedulable));

    c.tell(node("n4").cpu(1_500).taint("gpu").seen());
    assert_eq!(c.place(&p), Some(Place::Unschedulable), "a node that is too small and tainted does not wake it");
    c.tell(node("n5").cpu(2_000).seen());
    assert_eq!(c.place(&p), Some(Place::Backoff));
    c.decide();
    assert_eq!(c.bound(), ["p->n5"]);
    assert_eq!(c.binds[0].attempts, 2);
}

#[test]
fn without_nodes_a_pod_comes_back_by_itself() {
    let mut c = Cluster::new(&[]);
    let p = pod("p");
    c.add([&p]);
    c.decide();
    assert_eq!(c.condition(), ("Unschedulable", "no nodes available to schedule pods"));
    assert_eq!(c.place(&p), Some(Place::ErrorBackoff));
    assert!(c.asked().is_empty(), "PostFilter has nothing to look at");
    c.tell(node("n1").seen());
    c.wait(1);
    c.decide();
    assert!(c.bound().is_empty(), "its backoff is not over");
    c.wait(1);
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
}

#[test]
fn the_same_condition_is_written_once() {
    let mut c = Cluster::new(&[node("n1")]);
    let p = pod("p").cpu(2_000);
    c.add([&p]);
    c.decide();
    let (reason, message) = c.condition();
    let condition = Some((reason.to_owned(), message.to_owned()));
    c.statuses.clear();
    c.tell(p.clone().version(2).with(|p| p.condition = condition).seen());
    assert_eq!(c.place(&p), Some(Place::Unschedulable), "its own condition does not wake it");
    c.wait(400);
    c.decide();
    assert!(c.statuses.is_empty());
    assert_eq!(c.said().len(), 2, "each attempt is an event");
}

#[test]
fn a_pod_waits_five_minutes_at_most() {
    let mut c = Cluster::new(&[node("n1")]);
    let p = pod("p").cpu(2_000);
    c.add([&p]);
    c.decide();
    c.wait(300);
    assert_eq!(c.place(&p), Some(Place::Unschedulable));
    c.wait(30);
    assert_eq!(c.place(&p), Some(Place::Active));
}

#[test]
fn gates_keep_a_pod_out_until_they_are_gone() {
    let mut c = Cluster::new(&[node("n1")]);
    let p = pod("p").with(|p| p.gated = true);
    c.add([&p]);
    c.decide();
    assert_eq!((c.place(&p), c.bound().len()), (Some(Place::Gated), 0));
    c.tell(node("n2").seen());
    c.tell(p.clone().version(2).label("a", "b").seen());
    assert_eq!(c.place(&p), Some(Place::Gated));
    c.tell(pod("p").version(3).label("a", "b").seen());
    assert_eq!(c.place(&p), Some(Place::Active));
}

#[test]
fn a_pod_that_cannot_be_read_is_held_told_once_and_let_in_when_mended() {
    let mut c = Cluster::new(&[node("n1")]);
    let broken = pod("p").with(|p| p.fault = Some("not a quantity"));
    c.add([&broken]);
    c.decide();
    let text = "the pod cannot be scheduled: spec: not a quantity";
    assert_eq!(c.condition(), ("InvalidPodSpec", text));
    assert_eq!(c.said(), [format!("p FailedScheduling: {text}")]);
    assert_eq!((standing(&c, &broken), c.place(&broken)), (Some(Standing::Held), None));
    let condition = Some(("InvalidPodSpec".to_owned(), text.to_owned()));
    c.tell(broken.clone().version(2).with(|p| p.condition = condition).seen());
    assert!(c.said().is_empty());
    c.tell(pod("p").version(3).seen());
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
}

#[test]
fn a_pod_that_asks_for_what_is_not_done_is_held() {
    let admission: plimsoll_engine::engine::Admission =
        Arc::new(|pod, _, _| (pod.priority() == 7).then(|| "asks for luck".to_owned()));
    let settings = EngineSettings { admission, ..EngineSettings::default() };
    let mut c = Cluster::with(vec![profile("plimsoll", &plugins::deciding())], log(), settings, &[node("n1")]);
    c.add(&[pod("p").priority(7), pod("q")]);
    c.decide();
    assert_eq!(c.bound(), ["q->n1"]);
    assert_eq!(c.condition(), ("UnsupportedByPlimsoll", "the pod cannot be scheduled: it asks for luck"));
}

/// Lets pods in while there is a licence, and a cluster in which that holds.
fn licensed() -> Cluster {
    let admission: plimsoll_engine::engine::Admission = Arc::new(|_, _, cluster| {
        let key = plugins::licence();
        let licensed = cluster.objects::<plugins::Licence>().get(&key.namespace, &key.name).is_some();
        (!licensed).then(|| "needs a licence".to_owned())
    });
    let settings = EngineSettings { admission, ..EngineSettings::default() };
    Cluster::with(vec![profile("plimsoll", &plugins::deciding())], log(), settings, &[node("n1")])
}

fn licence(node: Option<&str>) -> Event {
    Event::Object {
        kind: KindRef::of::<plugins::Licence>(),
        key: plugins::licence(),
        resource_version: 0,
        object: node.map(|n| Arc::new(n.to_owned()) as plimsoll_engine::event::AnyObject),
    }
}

#[test]
fn who_does_not_lead_says_nothing_until_it_does() {
    let mut c = licensed();
    c.engine.lead(false);
    let (p, told) = (pod("p"), pod("told"));
    let message = "the pod cannot be scheduled: it needs a licence".to_owned();
    c.add([&p, &told.clone().with(|p| p.condition = Some(("UnsupportedByPlimsoll".to_owned(), message.clone())))]);
    assert!(c.statuses.is_empty() && c.said().is_empty());
    c.engine.lead(true);
    c.wait(0);
    assert_eq!(
        c.statuses.iter().map(|s| &*s.key.name).collect::<Vec<_>>(),
        ["p"],
        "the other was told by somebody else"
    );
    assert_eq!(c.said(), [format!("p FailedScheduling: {message}")]);
    c.engine.lead(true);
    c.wait(0);
    assert_eq!(c.statuses.len(), 1);
}

fn times_held(c: &mut Cluster) -> usize {
    let held = |o: &Observation| matches!(o, Observation::Held { .. });
    c.engine.take_observations().iter().filter(|o| held(o)).count()
}

#[test]
fn held_pods_are_looked_at_again_when_objects_change() {
    let mut c = licensed();
    let dying = pod("dying").with(|p| p.terminating = true);
    c.add([&pod("p"), &dying]);
    c.decide();
    assert_eq!((c.bound().len(), times_held(&mut c)), (0, 2));
    assert_eq!(c.condition(), ("UnsupportedByPlimsoll", "the pod cannot be scheduled: it needs a licence"));
    // Nothing is said again while nothing is different.
    let said = c.statuses.len();
    c.tell(licence(None));
    assert_eq!((c.statuses.len(), times_held(&mut c)), (said, 0));
    c.tell(licence(Some("n1")));
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
    assert_eq!(standing(&c, &dying), Some(Standing::Held));
    assert_sums(&c.engine);
}

#[test]
fn what_cannot_be_done_any_more_is_noticed_before_a_pod_is_bound() {
    let mut c = licensed();
    c.tell(licence(Some("n1")));
    c.add(&[pod("p")]);
    let batch = c.engine.take_work(c.now, 1);
    let proposals = worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &batch);
    c.tell(licence(None));
    c.engine.propose(c.now, proposals);
    c.decide();
    assert_eq!((c.bound().len(), times_held(&mut c), c.engine.queue().in_flight()), (0, 1, (0, 0)));
    assert_eq!((standing(&c, &pod("p")), c.place(&pod("p"))), (Some(Standing::Held), None));
    assert_sums(&c.engine);
    c.tell(licence(Some("n1")));
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
    assert_sums(&c.engine);
}

#[test]
fn a_pod_that_is_being_deleted_is_not_placed() {
    let mut c = Cluster::new(&[node("n1")]);
    c.add(&[pod("p").with(|p| p.terminating = true)]);
    c.decide();
    assert!(c.bound().is_empty());
    assert_eq!(c.said(), ["p FailedScheduling: skip schedule deleting pod: default/p"]);
    assert_eq!(c.engine.queue().in_flight(), (0, 0));
}

#[test]
fn pods_of_others_are_left_alone_but_count() {
    let mut c = Cluster::new(&[node("n1")]);
    c.add(&[pod("theirs").of("other").cpu(600), pod("ours").cpu(600)]);
    c.tell(pod("theirs").of("other").cpu(600).on("n1").version(2).seen());
    c.decide();
    assert!(c.bound().is_empty());
    c.tell(pod("theirs").deleted(3));
    c.decide();
    assert_eq!(c.bound(), ["ours->n1"]);
}

// --- bindings ---

#[test]
fn a_failed_binding_gives_the_place_back_and_is_tried_again() {
    let mut c = Cluster::new(&[node("n1")]);
    let (p, q) = (pod("p").cpu(600).priority(1), pod("q").cpu(600));
    c.add(&[p.clone(), q.clone()]);
    c.decide();
    assert_eq!((c.bound(), c.place(&q)), (vec!["p->n1".to_owned()], Some(Place::Unschedulable)));
    c.asked();
    c.said();
    c.fail("p");
    assert_eq!(c.asked(), ["unreserve Second p", "unreserve First p"]);
    assert_eq!(c.condition(), ("SchedulerError", "binding default/p to n1: etcd is on fire"));
    assert_eq!(c.said(), ["p FailedScheduling: binding default/p to n1: etcd is on fire"]);
    assert_eq!((c.place(&p), c.place(&q)), (Some(Place::ErrorBackoff), Some(Place::Backoff)), "room for q");
    assert_sums(&c.engine);
    c.tell(pod("q").deleted(9));
    c.decide();
    assert!(c.bound().is_empty(), "an error waits for its backoff");
    c.wait(2);
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
}

#[test]
fn the_watch_is_believed_more_than_a_failure() {
    let mut c = Cluster::new(&[node("n1")]);
    c.add(&[pod("p")]);
    c.decide();
    c.tell(pod("p").on("n1").version(2).seen());
    c.fail("p");
    assert_eq!(c.said(), ["p Scheduled: Successfully assigned default/p to n1"]);
    assert_eq!(standing(&c, &pod("p")), Some(Standing::Assigned));
}

#[test]
fn a_pod_that_somebody_else_put_elsewhere_moves() {
    let mut c = Cluster::new(&[node("n1").cpu(2_000), node("n2")]);
    c.add(&[pod("p").cpu(600)]);
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
    c.tell(pod("p").cpu(600).on("n2").version(2).seen());
    c.answer("p", BindResult::Gone);
    assert_eq!(c.engine.cache().get(&pod("p").uid()).unwrap().node().unwrap().as_str(), "n2");
    assert_sums(&c.engine);
}

#[test]
fn the_place_of_a_pod_that_somebody_else_put_elsewhere_is_free() {
    let mut c = Cluster::new(&[node("n1")]);
    let (p, q) = (pod("p").cpu(600).priority(1), pod("q").cpu(600));
    c.add(&[p.clone(), q.clone()]);
    c.decide();
    assert_eq!((c.bound(), c.place(&q)), (vec!["p->n1".to_owned()], Some(Place::Unschedulable)));
    c.tell(p.on("n2").version(2).seen());
    c.decide();
    assert_eq!(c.bound(), ["p->n1", "q->n1"], "whoever waited for it hears of it");
}

#[test]
fn deleted_while_its_binding_is_under_way() {
    let mut c = Cluster::new(&[node("n1")]);
    let (p, q) = (pod("p").cpu(600).priority(1), pod("q").cpu(600));
    c.add(&[p.clone(), q.clone()]);
    c.decide();
    c.tell(p.deleted(2));
    assert_eq!((standing(&c, &p), c.place(&q)), (None, Some(Place::Backoff)), "its place is free at once");
    c.answer("p", BindResult::Gone);
    c.decide();
    assert_eq!(c.bound(), ["q->n1"]);
    assert_sums(&c.engine);
}

#[test]
fn being_deleted_while_its_binding_is_under_way() {
    let mut c = Cluster::new(&[node("n1")]);
    let (p, q) = (pod("p").cpu(600).priority(1), pod("q").cpu(600));
    c.add(&[p.clone(), q.clone()]);
    c.decide();
    c.tell(p.clone().version(2).with(|p| p.terminating = true).seen());
    assert_eq!((standing(&c, &p), c.place(&q)), (Some(Standing::Held), Some(Place::Backoff)));
    c.tell(p.clone().version(3).label("a", "b").with(|p| p.terminating = true).seen());
    c.fail("p");
    c.decide();
    assert_eq!(c.bound(), ["q->n1"]);
    assert_eq!(c.place(&p), None);
    assert_eq!(c.engine.queue().iter().count(), 0);
}

#[test]
fn a_node_goes_with_assumed_pods_on_it() {
    let mut c = Cluster::new(&[node("n1")]);
    c.add(&[pod("p").cpu(600)]);
    c.decide();
    c.tell(node("n1").deleted());
    assert_sums(&c.engine);
    assert_eq!(c.engine.view().node_count(), 0);
    assert!(matches!(standing(&c, &pod("p")), Some(Standing::Assumed(_))), "only its own end ends it");
    c.tell(node("n1").version(9).seen());
    c.add(&[pod("q").cpu(600)]);
    c.decide();
    assert_eq!(c.bound(), ["p->n1"], "the node that comes back is not empty");
    assert_sums(&c.engine);
}

#[test]
fn a_list_does_not_take_an_assumed_pod_away_unasked() {
    let mut c = Cluster::new(&[node("n1")]);
    let (p, q) = (pod("p").cpu(600), pod("q"));
    c.add([&p]);
    c.decide();
    c.add([&q]);
    c.tell(Event::PodsListed { present: [].into_iter().collect(), resource_version: 10 });
    assert_eq!((standing(&c, &q), c.place(&q)), (None, None));
    assert!(matches!(standing(&c, &p), Some(Standing::Assumed(_))));
    assert_eq!(c.reads, ["p"]);
    c.tell(Event::PodAbsent { key: p.info().key });
    assert_eq!(standing(&c, &p), None);
    assert_sums(&c.engine);
}

#[test]
fn what_comes_late_does_not_bring_a_pod_back() {
    let mut c = Cluster::new(&[node("n1")]);
    let p = pod("p").version(3);
    c.add([&p]);
    c.tell(p.deleted(5));
    c.tell(p.clone().version(4).seen());
    assert_eq!(standing(&c, &p), None, "a read that was answered before the deletion");
    c.tell(p.clone().on("n1").version(4).seen());
    assert_eq!(standing(&c, &p), None);
    assert_sums(&c.engine);
}

// --- Reserve and Permit ---

#[test]
fn a_refusal_at_reserve_gives_back_in_reverse() {
    let mut c = Cluster::new(&[node("n1")]);
    let p = pod("p").label("reserve-Second", "refuse");
    c.add([&p]);
    c.decide();
    assert_eq!(c.asked(), ["reserve First p", "reserve Second p", "unreserve Second p", "unreserve First p"]);
    assert_eq!(c.condition(), ("Unschedulable", "0/1 nodes are available: 1 nothing left."));
    assert_eq!(c.place(&p), Some(Place::Unschedulable), "its own leaving does not wake it");
    assert_sums(&c.engine);
}

#[test]
fn a_fault_at_reserve_is_an_error() {
    let mut c = Cluster::new(&[node("n1")]);
    let p = pod("p").label("reserve-First", "error");
    c.add([&p]);
    c.decide();
    assert_eq!(c.condition(), ("SchedulerError", "running Reserve plugin \"First\": broken"));
    assert_eq!(c.place(&p), Some(Place::ErrorBackoff));
}

#[test]
fn a_refusal_after_the_decision_is_no_case_for_preemption() {
    let mut c = Cluster::new(&[node("n1")]);
    let p = pod("p").label("permit-Second", "refuse").label("nominate", "n1");
    c.add([&p]);
    c.decide();
    assert!(!c.asked().contains(&"postfilter p".to_owned()));
    assert_eq!(c.condition(), ("Unschedulable", "0/1 nodes are available: 1 not now."));
    assert!(c.engine.view().nominations().is_empty());
    assert_eq!(c.place(&p), Some(Place::Unschedulable));
    assert_eq!(c.engine.queue().in_flight(), (0, 0));
}

#[test]
fn permit_holds_until_somebody_lets_go() {
    let mut c = Cluster::new(&[node("n1").with(|n| n.pods = 2)]);
    let p = pod("p").label("permit-First", "wait").label("permit-Second", "wait");
    c.add([&p]);
    c.decide();
    assert_eq!((c.bound().len(), c.engine.waiting_on_permit()), (0, 1));
    assert_sums(&c.engine);
    c.add(&[pod("q").label("permit-First", "release")]);
    c.decide();
    assert_eq!(c.bound(), ["q->n1"], "Second still holds it");
    c.tell(pod("q").deleted(2));
    c.add(&[pod("r").label("permit-Second", "release")]);
    c.decide();
    assert_eq!(c.bound(), ["q->n1", "r->n1", "p->n1"]);
    assert_eq!(c.engine.waiting_on_permit(), 0);
}

#[test]
fn what_a_plugin_said_of_others_holds_even_if_the_pod_is_then_refused() {
    let mut c = Cluster::new(&[node("n1")]);
    c.add(&[pod("p").label("permit-First", "wait")]);
    c.decide();
    c.add(&[pod("q").label("permit-First", "release").label("permit-Second", "refuse")]);
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
}

#[test]
fn permit_can_turn_a_held_pod_away() {
    let mut c = Cluster::new(&[node("n1")]);
    let p = pod("p").label("permit-First", "wait");
    c.add([&p]);
    c.decide();
    c.add(&[pod("q").label("permit-Second", "turn-away")]);
    c.decide();
    assert_eq!(c.bound(), ["q->n1"]);
    assert_eq!(c.condition(), ("Unschedulable", "0/1 nodes are available: 1 turned away."));
    assert_eq!(c.place(&p), Some(Place::Unschedulable));
    assert_sums(&c.engine);
}

#[test]
fn permit_runs_out() {
    let mut c = Cluster::new(&[node("n1")]);
    let p = pod("p").cpu(600).label("permit-First", "wait");
    let q = pod("q").cpu(600);
    c.add(&[p.clone(), q.clone()]);
    c.decide();
    assert_eq!(c.place(&q), Some(Place::Unschedulable), "the place is taken while it waits");
    assert_eq!(c.engine.next_deadline(), Some(c.now.after(std::time::Duration::from_secs(30))), "the next flush");
    c.wait(89);
    assert_eq!(c.engine.waiting_on_permit(), 1);
    c.wait(1);
    let text = "0/1 nodes are available: 1 rejected due to timeout after waiting 1m30s at plugin First.";
    assert_eq!(c.condition(), ("Unschedulable", text));
    assert_eq!((c.place(&p), c.place(&q)), (Some(Place::Unschedulable), Some(Place::Active)));
}

#[test]
fn deleted_while_permit_holds_it() {
    let mut c = Cluster::new(&[node("n1")]);
    let p = pod("p").label("permit-First", "wait");
    c.add([&p]);
    c.decide();
    c.asked();
    c.tell(p.deleted(2));
    assert_eq!(c.asked(), ["unreserve Second p", "unreserve First p"]);
    assert_eq!((c.engine.waiting_on_permit(), c.engine.queue().in_flight()), (0, (0, 0)));
    assert_sums(&c.engine);
}

#[test]
fn bound_by_somebody_else_while_permit_holds_it() {
    let mut c = Cluster::new(&[node("n1")]);
    let p = pod("p").label("permit-First", "wait");
    c.add([&p]);
    c.decide();
    c.tell(p.clone().on("n1").version(2).seen());
    assert_eq!((c.engine.waiting_on_permit(), c.engine.queue().in_flight()), (0, (0, 0)));
    c.wait(100);
    c.decide();
    assert!(c.bound().is_empty());
    assert_eq!(standing(&c, &p), Some(Standing::Assigned));
    assert_sums(&c.engine);
}

#[test]
fn a_fault_at_prebind_is_an_error() {
    let mut c = Cluster::new(&[node("n1")]);
    let p = pod("p").label("prebind-Second", "error");
    c.add([&p]);
    c.decide();
    assert!(c.bound().is_empty());
    assert_eq!(c.condition(), ("SchedulerError", "running PreBind plugin \"Second\": broken"));
    assert_eq!(c.place(&p), Some(Place::ErrorBackoff));
    assert_eq!((c.engine.bindings_under_way(), c.engine.queue().in_flight()), (0, (0, 0)));
    assert_sums(&c.engine);
}

// --- nominations ---

#[test]
fn post_filter_nominates_and_the_pod_goes_there() {
    let mut c = Cluster::new(&[node("n1"), node("n2").cpu(1_500)]);
    let victim = pod("victim").cpu(1_000).on("n1");
    c.add(&[victim.clone(), pod("other").cpu(1_500).on("n2"), pod("p").cpu(800).priority(5).label("nominate", "n1")]);
    c.decide();
    let status = c.statuses.last().unwrap();
    assert_eq!(status.nominated_node_name, Some(Some("n1".into())));
    assert_eq!(c.condition().1, "0/2 nodes are available: 2 Insufficient cpu.");
    let low = pod("low").cpu(800);
    c.add([&low]);
    c.tell(victim.deleted(5));
    c.tell(pod("other").deleted(6));
    c.decide();
    assert_eq!(c.bound(), ["low->n2", "p->n1"], "n1 is kept for p, though low, without a backoff, is tried first");
    assert!(c.engine.view().nominations().is_empty());
}

#[test]
fn nominated_pods_of_no_lower_priority_are_respected() {
    for (priority, expect) in [(4, vec![]), (5, vec![]), (6, vec!["p->n1"])] {
        let mut c = Cluster::new(&[node("n1")]);
        c.add(&[pod("theirs").of("other").cpu(800).priority(5).nominated("n1"), pod("p").cpu(800).priority(priority)]);
        c.decide();
        assert_eq!(c.bound(), expect, "priority {priority}");
    }
}

#[test]
fn room_that_was_kept_for_a_nominated_pod_is_told_of_when_it_is_free() {
    let theirs = pod("theirs").of("other").cpu(800).priority(5).nominated("n1");
    let endings = [
        ("deleted", theirs.deleted(9)),
        ("nominated no more", pod("theirs").of("other").cpu(800).priority(5).version(9).seen()),
        ("put elsewhere", theirs.clone().on("n9").version(9).seen()),
    ];
    for (what, ending) in endings {
        let mut c = Cluster::new(&[node("n1")]);
        let p = pod("p").cpu(800);
        c.add(&[theirs.clone(), p.clone()]);
        c.decide();
        assert_eq!(c.place(&p), Some(Place::Unschedulable));
        c.tell(ending);
        c.decide();
        assert_eq!(c.bound(), ["p->n1"], "{what}");
    }
}

#[test]
fn a_nominated_pod_that_goes_elsewhere_leaves_its_room() {
    let mut c = Cluster::new(&[node("n1").taint("soon")]);
    let p = pod("p").cpu(800).priority(5).nominated("n1");
    let q = pod("q").cpu(800).with(|p| p.tolerates = Some("soon"));
    c.add(&[p.clone(), q.clone()]);
    c.decide();
    assert_eq!((c.place(&p), c.place(&q)), (Some(Place::Unschedulable), Some(Place::Unschedulable)));
    c.tell(node("n2").with(|n| n.memory_bytes = 0).seen());
    c.decide();
    assert_eq!(c.bound(), ["p->n2", "q->n1"]);
}

#[test]
fn a_pod_goes_to_its_nominated_node_whatever_the_scores() {
    let mut c = Cluster::new(&[node("n1"), node("n2").cpu(9_000)]);
    c.add(&[pod("p").cpu(100).nominated("n1")]);
    c.decide();
    assert_eq!((c.bound()[0].as_str(), c.binds[0].score), ("p->n1", None));
}

#[test]
fn an_assumed_pod_is_not_nominated_as_well() {
    let mut c = Cluster::new(&[node("n1").cpu(1_600)]);
    let p = pod("p").cpu(800).nominated("n1");
    c.add([&p]);
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
    c.tell(p.clone().version(2).label("a", "b").seen());
    assert!(c.engine.view().nominations().is_empty());
    c.add(&[pod("q").cpu(800)]);
    c.decide();
    assert_eq!(c.bound(), ["p->n1", "q->n1"]);
    c.tell(p.clone().on("n1").version(3).seen());
    c.tell(p.clone().version(4).seen());
    assert!(c.engine.view().nominations().is_empty(), "nor is one that is on its node");
}

// --- profiles ---

#[test]
fn each_profile_places_its_own_pods() {
    let log = log();
    let plain = profile("plimsoll", &plugins::deciding());
    let careless: Vec<Extensions> =
        plugins::deciding().into_iter().filter(|p| !matches!(p.name, "Tainted" | "Fit")).collect();
    let profiles = vec![plain, profile("careless", &careless)];
    let mut c = Cluster::with(profiles, log, EngineSettings::default(), &[node("n1").taint("gpu")]);
    c.add(&[pod("p").cpu(1), pod("q").of("careless").cpu(9_000)]);
    c.decide();
    assert_eq!(c.bound(), ["q->n1"]);
    assert_eq!(c.place(&pod("p")), Some(Place::Unschedulable));
    c.tell(node("n1").version(2).seen());
    c.decide();
    assert_eq!(c.bound(), ["q->n1"], "n1 is full of careless pods, which count for everybody");
}

// --- deciding beside each other ---

fn worker() -> Worker {
    Worker::new(TieBreak::Name, 0)
}

#[test]
fn a_batch_sees_its_own_members() {
    let mut c = Cluster::new(&[node("n1"), node("n2")]);
    c.add(&[pod("p").cpu(600), pod("q").cpu(600)]);
    let batch = c.engine.take_work(c.now, 2);
    let proposals = worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &batch);
    c.engine.propose(c.now, proposals);
    let missed = |o: &Observation| matches!(o, Observation::Recheck { held: false });
    assert!(!c.engine.take_observations().iter().any(missed), "both were where they could stay");
    c.decide();
    assert_eq!(c.bound().len(), 2);
}

#[test]
fn a_nomination_that_came_meanwhile_is_respected() {
    let plugins: Vec<Extensions> =
        plugins::deciding().into_iter().filter(|p| !matches!(p.name, "Apart" | "Crowd")).collect();
    let profiles = vec![profile("plimsoll", &plugins)];
    let mut c = Cluster::with(profiles, log(), EngineSettings::default(), &[node("n1")]);
    c.add(&[pod("p").cpu(600)]);
    let batch = c.engine.take_work(c.now, 1);
    let proposals = worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &batch);
    c.add(&[pod("theirs").of("other").cpu(600).nominated("n1")]);
    c.engine.propose(c.now, proposals);
    c.decide();
    assert!(c.bound().is_empty());
}

#[test]
fn what_is_at_hand_is_decided_by_the_owner_when_it_is_its_turn() {
    let mut c = Cluster::new(&[node("n1")]);
    // Where a node is being cleared for a pod, nothing is kept of it.
    c.add(&[pod("first").priority(9).cpu(600).nominated("n1"), pod("p").cpu(600), pod("q")]);
    let HandOut::Worker(ticket) = c.engine.hand_out(c.now) else { panic!("the first is for a worker") };
    assert_eq!(&*ticket.pod.key.name, "first");
    assert!(matches!(c.engine.hand_out(c.now), HandOut::AtHand { .. }));
    assert!(c.engine.poll_effect().is_none(), "nobody is committed before those popped earlier");
    let proposals = worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &[ticket]);
    c.engine.propose(c.now, proposals);
    assert_eq!(c.engine.line_length(), 0, "its turn has come");
    assert!(matches!(c.engine.hand_out(c.now), HandOut::AtHand { .. }), "nobody is before this one");
    c.decide();
    assert_eq!(c.bound(), ["first->n1", "q->n1"]);
    assert_eq!(c.said(), ["p FailedScheduling: 0/1 nodes are available: 1 Insufficient cpu. preemption: no victims."]);
}

#[test]
fn without_a_memo_everything_is_for_workers() {
    let memo = MemoSettings { budget_bytes: 0, ..MemoSettings::default() };
    let settings = EngineSettings { memo, ..EngineSettings::default() };
    let mut c = Cluster::with(vec![profile("plimsoll", &plugins::deciding())], log(), settings, &[node("n1")]);
    c.add(&[pod("p").cpu(600), pod("q").cpu(600)]);
    let HandOut::Worker(first) = c.engine.hand_out(c.now) else { panic!("nothing is at hand") };
    let HandOut::Worker(second) = c.engine.hand_out(c.now) else { panic!("nothing is at hand") };
    assert!(matches!(c.engine.hand_out(c.now), HandOut::Nothing));
    // All are busy, so that the owner decides this one; its turn comes after the other.
    c.engine.decide_handed_out(c.now, &second);
    assert!(c.engine.poll_effect().is_none() && c.engine.line_length() == 2);
    let proposals = worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &[first]);
    c.engine.propose(c.now, proposals);
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
    assert_eq!(c.said(), ["q FailedScheduling: 0/1 nodes are available: 1 Insufficient cpu."]);
}

#[test]
fn two_workers_want_the_same_place() {
    let mut c = Cluster::new(&[node("n1")]);
    c.add(&[pod("p").cpu(600), pod("q").cpu(600)]);
    let (first, second) = (c.engine.take_work(c.now, 1), c.engine.take_work(c.now, 1));
    let (view, profiles) = (c.engine.view(), c.engine.profiles());
    let late = worker().decide_batch(&profiles, &view, &second);
    let early = worker().decide_batch(&profiles, &view, &first);
    c.engine.propose(c.now, late);
    assert!(c.engine.poll_effect().is_none(), "nobody is committed before those popped earlier");
    c.engine.propose(c.now, early);
    c.decide();
    assert_eq!(c.bound(), [format!("{}->n1", first[0].pod.key.name)]);
    let text = "0/1 nodes are available: 1 Insufficient cpu. preemption: no victims.";
    assert_eq!(c.condition(), ("Unschedulable", text));
}

#[test]
fn unfit_behind_a_member_that_was_not_committed_is_decided_again() {
    let mut c = Cluster::new(&[node("n1")]);
    let (p, q) = (pod("p").cpu(600).priority(1), pod("q").cpu(600));
    c.add(&[p.clone(), q.clone()]);
    let batch = c.engine.take_work(c.now, 2);
    let proposals = worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &batch);
    c.tell(p.deleted(2));
    c.engine.propose(c.now, proposals);
    c.decide();
    assert_eq!(c.bound(), ["q->n1"]);
}

#[test]
fn a_nominated_member_of_a_batch_counts_once() {
    let mut c = Cluster::new(&[node("n1").cpu(1_600)]);
    c.add(&[pod("p").cpu(800).priority(1).nominated("n1"), pod("q").cpu(800)]);
    let batch = c.engine.take_work(c.now, 2);
    let proposals = worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &batch);
    c.engine.propose(c.now, proposals);
    c.decide();
    assert_eq!(c.bound(), ["p->n1", "q->n1"]);
}

#[test]
fn a_pod_changed_while_it_is_decided_is_decided_again() {
    let mut c = Cluster::new(&[node("n1"), node("n2").cpu(4_000).taint("gpu")]);
    let p = pod("p").cpu(600);
    c.add([&p]);
    let batch = c.engine.take_work(c.now, 1);
    let proposals = worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &batch);
    c.tell(p.clone().version(2).with(|p| p.tolerates = Some("gpu")).seen());
    c.engine.propose(c.now, proposals);
    c.decide();
    assert_eq!(c.bound(), ["p->n2"]);
}

#[test]
fn a_node_made_again_under_its_name_is_looked_at_again() {
    let mut c = Cluster::new(&[node("n1")]);
    c.add(&[pod("p").cpu(600)]);
    let batch = c.engine.take_work(c.now, 1);
    let proposals = worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &batch);
    c.tell(node("n1").deleted());
    c.tell(node("n1").version(5).cpu(100).seen());
    c.engine.propose(c.now, proposals);
    c.decide();
    assert!(c.bound().is_empty());
}

#[test]
fn what_happens_while_a_pod_is_decided_is_not_lost_on_it() {
    let mut c = Cluster::new(&[node("n1").cpu(100)]);
    let p = pod("p").cpu(600);
    c.add([&p]);
    let batch = c.engine.take_work(c.now, 1);
    let proposals = worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &batch);
    c.tell(node("n2").seen());
    c.engine.propose(c.now, proposals);
    assert_eq!(c.place(&p), Some(Place::Backoff));
    assert_eq!(c.engine.queue().in_flight(), (0, 0));
    c.decide();
    assert_eq!(c.bound(), ["p->n2"]);
}

#[test]
fn what_came_while_a_binding_was_under_way_is_kept_when_it_fails() {
    let mut c = Cluster::new(&[node("n1")]);
    let p = pod("p");
    c.add([&p]);
    c.decide();
    c.tell(p.clone().version(2).label("a", "b").seen());
    c.fail("p");
    assert_eq!(c.engine.cache().get(&p.uid()).unwrap().pod.resource_version, 2);
}

#[test]
fn what_a_filter_read_of_the_cluster_is_looked_at_again() {
    let filter = Extensions::of(plugins::Licensed).filter().done();
    let pre_filter = Extensions::of(plugins::Pinned).pre_filter().done();
    for (plugin, later, expect) in [(filter, None, vec![]), (pre_filter, Some("n2"), vec!["p->n2"])] {
        let mut plugins = plugins::deciding();
        plugins.push(plugin);
        let profiles = vec![profile("plimsoll", &plugins)];
        let settings = EngineSettings { tie_break: TieBreak::Name, ..EngineSettings::default() };
        let mut c = Cluster::with(profiles, log(), settings, &[node("n1"), node("n2")]);
        c.tell(licence(Some("n1")));
        c.add(&[pod("p")]);
        let batch = c.engine.take_work(c.now, 1);
        let proposals = worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &batch);
        c.tell(licence(later));
        c.engine.propose(c.now, proposals);
        c.decide();
        assert_eq!(c.bound(), expect);
    }
}

#[test]
fn permit_has_other_pods_tried_at_once() {
    for refused in [false, true] {
        let mut c = Cluster::new(&[node("n1")]);
        let (waits, backs_off) = (pod("waits").cpu(5_000), pod("backs-off").label("reserve-First", "error"));
        c.add([&waits, &backs_off]);
        c.decide();
        assert_eq!((c.place(&waits), c.place(&backs_off)), (Some(Place::Unschedulable), Some(Place::ErrorBackoff)));
        let second = if refused { "refuse" } else { "activate-backs-off" };
        let key = pod("key").label("permit-First", "activate-waits").label("permit-Second", second);
        c.add([&key]);
        assert!(c.engine.decide_next(c.now));
        let tried = |place, before| Some(if refused { before } else { place });
        assert_eq!(c.place(&waits), tried(Place::Active, Place::Unschedulable));
        assert_eq!(c.place(&backs_off), tried(Place::Active, Place::ErrorBackoff));
    }
}
