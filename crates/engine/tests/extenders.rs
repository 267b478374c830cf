//! Pods that extenders have a say in: question, answer, and what may happen in between.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test from end to end")]

mod common;

use std::sync::Arc;

use common::build::{Node, Pod, node, pod};
use common::cluster::{Cluster, log};
use common::{plugins, profile};
use plimsoll_engine::engine::EngineSettings;
use plimsoll_engine::event::{BindResult, Event};
use plimsoll_engine::extender::{Answer, Ask, Extenders, NodeAnswer};
use plimsoll_engine::queue::Place;
use plimsoll_framework::cluster_event::EventResource;
use plimsoll_framework::verdict::Code;

/// A cluster whose extenders have a say in pods with the label `asks`, for so many pods at once.
fn cluster(at_once: usize, nodes: &[Node]) -> Cluster {
    let log = log();
    let mut profile = profile("plimsoll", &plugins::all(&log));
    profile.set_extenders(Extenders {
        interested: Arc::new(|pod| pod.labels.get(&"asks".into()).is_some()),
        preempts: Arc::new(|_| false),
        wakes: vec![EventResource::Pod, EventResource::Node],
    });
    let settings = EngineSettings { ask_limit: at_once, ..EngineSettings::default() };
    Cluster::with(vec![profile], log, settings, nodes)
}

fn asking(name: &str) -> Pod {
    pod(name).cpu(100).label("asks", "yes")
}

/// The open question about a pod.
fn take(c: &mut Cluster, pod: &str) -> Ask {
    let at = c.asks.iter().position(|ask| &*ask.pod.key.name == pod);
    c.asks.remove(at.unwrap_or_else(|| panic!("nothing is asked about {pod}")))
}

fn reply(c: &mut Cluster, ask: &Ask, result: Result<Answer, String>) {
    c.tell(Event::Answered { uid: ask.pod.key.uid.clone(), number: ask.number, result });
}

fn passed(nodes: &[(&str, i64)]) -> Result<Answer, String> {
    Ok(nodes.iter().map(|(name, score)| ((*name).into(), NodeAnswer::Passed(*score))).collect())
}

/// Answers the question about a pod: these nodes pass with these scores, of the others nothing is said.
fn answer(c: &mut Cluster, pod: &str, nodes: &[(&str, i64)]) {
    let ask = take(c, pod);
    let said = |name| nodes.iter().find(|(n, _)| *n == name).map_or(NodeAnswer::LeftOut, |n| NodeAnswer::Passed(n.1));
    let answer = ask.nodes.iter().map(|name| (name.clone(), said(&**name))).collect();
    reply(c, &ask, Ok(answer));
}

fn asked(c: &Cluster) -> Vec<String> {
    let line = |ask: &Ask| {
        let mut nodes: Vec<&str> = ask.nodes.iter().map(|n| &**n).collect();
        nodes.sort_unstable();
        format!("{}: {}", ask.pod.key.name, nodes.join(" "))
    };
    c.asks.iter().map(line).collect()
}

#[test]
fn extenders_are_asked_about_the_nodes_that_fit() {
    let mut c = cluster(1, &[node("n1"), node("n2").taint("gpu"), node("n3").cpu(50), node("n4")]);
    c.add(&[asking("p"), pod("q").cpu(100)]);
    c.decide();
    assert_eq!(asked(&c), ["p: n1 n4"]);
    assert_eq!(c.bound().len(), 1, "only the pod that no extender cares for");
    assert!(c.bound()[0].starts_with("q->"));
    assert_eq!((c.engine.asks_under_way(), c.engine.queue().in_flight().0), (1, 1));
    answer(&mut c, "p", &[("n4", 0)]);
    c.decide();
    assert_eq!(c.bound()[1], "p->n4");
    assert_eq!(c.binds[1].score, None, "the only node that is left is not scored");
    assert_eq!((c.engine.asks_under_way(), c.engine.queue().in_flight()), (0, (0, 0)));
}

#[test]
fn a_worker_goes_by_the_answer_too() {
    let mut c = cluster(1, &[node("n1"), node("n2")]);
    c.add(&[asking("p")]);
    let mut worker = c.engine.new_worker();
    let mut decide = |c: &mut Cluster| {
        let tickets = c.engine.take_work(c.now, 16);
        let proposals = worker.decide_batch(&c.engine.profiles(), &c.engine.view(), &tickets);
        c.engine.propose(c.now, proposals);
        c.decide();
    };
    decide(&mut c);
    answer(&mut c, "p", &[("n2", 0)]);
    decide(&mut c);
    assert_eq!((asked(&c), c.bound()), (vec![], vec!["p->n2".to_owned()]));
}

#[test]
fn extenders_scores_join_the_plugins() {
    // By MostFree alone n2 is better: 97 against 90.
    let mut c = cluster(1, &[node("n1"), node("n2").cpu(4_000)]);
    c.add(&[asking("p")]);
    c.decide();
    answer(&mut c, "p", &[("n1", 50), ("n2", 0)]);
    c.decide();
    assert_eq!((c.bound(), c.binds[0].score), (vec!["p->n1".to_owned()], Some(140)));
}

#[test]
fn an_answered_pod_is_next_whatever_waits() {
    let mut c = cluster(1, &[node("n1").with(|n| n.pods = 1), node("n2").with(|n| n.pods = 0)]);
    c.add(&[asking("p")]);
    c.decide();
    c.add(&[pod("urgent").priority(9)]);
    answer(&mut c, "p", &[("n1", 0)]);
    c.decide();
    assert_eq!(c.bound(), ["p->n1"], "it was popped first");
    assert_eq!(c.place(&pod("urgent")), Some(Place::Unschedulable));
}

#[test]
fn the_answer_is_a_mask_over_what_fits_by_then() {
    let mut c = cluster(1, &[node("n1"), node("n2")]);
    c.add(&[asking("p")]);
    c.decide();
    // n1 fills up while the question is open.
    c.tell(pod("other").cpu(1_000).on("n1").seen());
    answer(&mut c, "p", &[("n1", 100), ("n2", 0)]);
    c.decide();
    assert_eq!(c.bound(), ["p->n2"]);
}

#[test]
fn nodes_nobody_was_asked_about_are_asked_about() {
    let mut c = cluster(1, &[node("n1"), node("n2").cpu(10)]);
    c.add(&[asking("p")]);
    c.decide();
    assert_eq!(asked(&c), ["p: n1"]);
    c.tell(pod("other").cpu(1_000).on("n1").seen());
    c.tell(node("n2").version(2).seen());
    answer(&mut c, "p", &[("n1", 0)]);
    c.decide();
    assert_eq!(asked(&c), ["p: n2"]);
    answer(&mut c, "p", &[("n2", 0)]);
    c.decide();
    assert_eq!(c.bound(), ["p->n2"]);
    assert_eq!(c.binds[0].attempts, 1, "all in one attempt");
}

#[test]
fn a_pod_that_chases_room_gives_up_for_a_while() {
    let mut c = cluster(1, &[]);
    c.tell(node("n1").seen());
    c.add(&[asking("p")]);
    for round in 1..=3 {
        c.decide();
        let here = format!("n{round}");
        assert_eq!(asked(&c), [format!("p: {here}")]);
        c.tell(pod(&format!("other{round}")).cpu(1_000).on(&here).seen());
        c.tell(node(&format!("n{}", round + 1)).seen());
        answer(&mut c, "p", &[(&here, 0)]);
    }
    c.decide();
    assert!(c.asks.is_empty());
    let expect = "the nodes with room for the pod changed 3 times while extenders were asked";
    assert_eq!(c.condition(), ("SchedulerError", expect));
    assert_eq!(c.place(&asking("p")), Some(Place::ErrorBackoff));
}

#[test]
fn refusals_of_extenders_are_reasons_like_any_other() {
    let mut c = cluster(1, &[node("n1"), node("n2"), node("n3"), node("n4").cpu(50), node("n5")]);
    let p = asking("p");
    c.add([&p]);
    c.decide();
    let ask = take(&mut c, "p");
    let failed = |code, reason: &str| NodeAnswer::Failed { code, reason: reason.to_owned() };
    let said = [
        ("n1", failed(Code::Unschedulable, "no licence")),
        ("n2", failed(Code::UnschedulableAndUnresolvable, "too old")),
        ("n3", failed(Code::Unschedulable, "no licence")),
        ("n5", NodeAnswer::LeftOut),
    ];
    reply(&mut c, &ask, Ok(said.into_iter().map(|(name, said)| (name.into(), said)).collect()));
    c.decide();
    let text = "0/5 nodes are available: 1 Insufficient cpu, 1 too old, 2 no licence. preemption: no victims.";
    assert_eq!(c.condition(), ("Unschedulable", text));
    assert_eq!(c.place(&p), Some(Place::Unschedulable));
    assert!(c.engine.queue().get(&p.uid()).unwrap().0.unschedulable_plugins.contains("Extender"));
    // Nobody knows what an extender reads: anything may have changed its mind.
    c.tell(node("n5").version(2).with(|n| n.zone = "b".to_owned()).seen());
    assert_eq!(c.place(&p), Some(Place::Backoff));
}

#[test]
fn what_happened_while_the_question_was_open_wakes_the_pod() {
    let mut c = cluster(1, &[node("n1")]);
    let p = asking("p");
    c.add([&p]);
    c.decide();
    c.tell(node("n1").version(2).with(|n| n.ready = false).seen());
    answer(&mut c, "p", &[]);
    c.decide();
    // Turned away, and at once in line again for what came meanwhile.
    assert_eq!(asked(&c), ["p: n1"]);
    answer(&mut c, "p", &[("n1", 0)]);
    c.decide();
    assert_eq!((c.bound(), c.binds[0].attempts), (vec!["p->n1".to_owned()], 2));
}

#[test]
fn an_error_ends_the_attempt() {
    let mut c = cluster(1, &[node("n1")]);
    let p = asking("p");
    c.add([&p]);
    c.decide();
    let ask = take(&mut c, "p");
    reply(&mut c, &ask, Err("failed filter with extender at URL http://x/filter, code 500".to_owned()));
    c.decide();
    assert_eq!(c.condition(), ("SchedulerError", "failed filter with extender at URL http://x/filter, code 500"));
    assert_eq!(c.place(&p), Some(Place::ErrorBackoff));
    c.wait(2);
    c.decide();
    answer(&mut c, "p", &[("n1", 0)]);
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
}

#[test]
fn an_answer_to_another_question_is_dropped() {
    let mut c = cluster(1, &[node("n1"), node("n2")]);
    c.add(&[asking("p")]);
    c.decide();
    let first = take(&mut c, "p");
    reply(&mut c, &first, Err("broken".to_owned()));
    c.wait(2);
    c.decide();
    let second = take(&mut c, "p");
    assert_ne!(first.number, second.number);
    reply(&mut c, &first, passed(&[("n1", 0)]));
    c.decide();
    assert!(c.bound().is_empty(), "the first question is closed");
    reply(&mut c, &second, passed(&[("n2", 0)]));
    reply(&mut c, &second, passed(&[("n1", 0)]));
    c.decide();
    assert_eq!(c.bound(), ["p->n2"], "and so is one that was answered");
}

#[test]
fn a_pod_that_goes_while_it_is_asked_about_frees_its_place() {
    type Going = fn(&Pod) -> Event;
    let gone: [(&str, Going); 3] = [
        ("deleted", |p| p.deleted(2)),
        ("bound by somebody else", |p| p.clone().version(2).on("n2").seen()),
        ("finished", |p| p.clone().version(2).with(|p| p.finished = true).seen()),
    ];
    for (how, event) in gone {
        let mut c = cluster(1, &[node("n1"), node("n2")]);
        let p = asking("p");
        c.add([&p]);
        c.wait(1);
        c.add(&[asking("q")]);
        c.decide();
        assert_eq!((c.asks.len(), c.engine.waiting_to_ask()), (1, 1));
        let ask = take(&mut c, "p");
        c.tell(event(&p));
        c.decide();
        assert_eq!(asked(&c), ["q: n1 n2"], "{how}: the place is free at once");
        reply(&mut c, &ask, passed(&[("n1", 0)]));
        c.decide();
        assert!(c.bound().is_empty(), "{how}");
        assert_eq!(c.engine.queue().in_flight().0, 1, "{how}: only q");
    }
}

#[test]
fn a_pod_that_begins_to_go_while_it_is_asked_about_is_let_go() {
    let mut c = cluster(1, &[node("n1")]);
    let p = asking("p");
    c.add([&p]);
    c.decide();
    c.tell(p.clone().version(2).with(|p| p.terminating = true).seen());
    answer(&mut c, "p", &[("n1", 0)]);
    c.decide();
    assert!(c.bound().is_empty());
    assert_eq!(c.said(), ["p FailedScheduling: skip schedule deleting pod: default/p"]);
    assert_eq!(c.engine.queue().in_flight(), (0, 0));
}

#[test]
fn a_pod_that_changed_is_asked_about_again() {
    let mut c = cluster(1, &[node("n1"), node("n2")]);
    let p = asking("p");
    c.add([&p]);
    c.decide();
    c.tell(p.clone().version(2).label("tier", "gold").seen());
    answer(&mut c, "p", &[("n1", 0)]);
    c.decide();
    assert_eq!(asked(&c), ["p: n1 n2"], "the answer was about another pod");
    assert!(c.asks[0].pod.labels.get(&"tier".into()).is_some());
    answer(&mut c, "p", &[("n2", 0)]);
    c.decide();
    assert_eq!(c.bound(), ["p->n2"]);
}

#[test]
fn pods_wait_for_a_place_in_the_order_of_the_queue_and_hold_nobody_up() {
    let mut c = cluster(2, &[node("n1").with(|n| n.pods = 100)]);
    for name in ["a", "b", "c", "d"] {
        c.add(&[asking(name)]);
        c.wait(1);
    }
    c.add(&[pod("plain")]);
    c.decide();
    assert_eq!(asked(&c), ["a: n1", "b: n1"]);
    assert_eq!(c.bound(), ["plain->n1"]);
    assert_eq!(c.engine.waiting_to_ask(), 2);
    c.add(&[asking("urgent").priority(9)]);
    c.decide();
    answer(&mut c, "a", &[("n1", 0)]);
    c.decide();
    assert_eq!(asked(&c), ["b: n1", "urgent: n1"], "the more urgent one is asked about first");
    c.tell(asking("c").deleted(2));
    answer(&mut c, "b", &[("n1", 0)]);
    c.decide();
    assert_eq!(asked(&c), ["urgent: n1", "d: n1"]);
    answer(&mut c, "urgent", &[("n1", 0)]);
    answer(&mut c, "d", &[("n1", 0)]);
    c.decide();
    assert_eq!(c.bound(), ["plain->n1", "a->n1", "b->n1", "urgent->n1", "d->n1"]);
    assert_eq!((c.engine.waiting_to_ask(), c.engine.queue().in_flight()), (0, (0, 0)));
}

#[test]
fn nothing_is_kept_for_pods_that_wait_for_a_place() {
    let mut c = cluster(1, &[node("n1")]);
    c.add(&[asking("a")]);
    c.wait(1);
    c.add(&[asking("b")]);
    c.decide();
    c.tell(asking("a").deleted(2));
    // Only b is in flight now, and it is not asked about before this event.
    c.tell(node("n1").version(2).with(|n| n.zone = "b".to_owned()).seen());
    assert_eq!(c.engine.queue().in_flight(), (1, 0));
    c.decide();
    c.tell(node("n1").version(3).seen());
    assert_eq!(c.engine.queue().in_flight(), (1, 1));
}

#[test]
fn a_nominated_node_is_asked_about_and_wins_if_it_passes() {
    for (says, expect) in [(&["n1", "n2"][..], "p->n1"), (&["n2"], "p->n2")] {
        let mut c = cluster(1, &[node("n1"), node("n2").cpu(8_000)]);
        c.add(&[asking("p").nominated("n1")]);
        c.decide();
        assert_eq!(asked(&c), ["p: n1 n2"]);
        assert_eq!(c.asks[0].nominated.as_deref(), Some("n1"));
        let nodes: Vec<(&str, i64)> = says.iter().map(|n| (*n, 0)).collect();
        answer(&mut c, "p", &nodes);
        c.decide();
        assert_eq!(c.bound(), [expect]);
    }
}

#[test]
fn a_search_that_stops_early_asks_about_what_it_found_and_then_about_the_rest() {
    let mut profile = profile("plimsoll", &plugins::deciding());
    profile.percentage_of_nodes_to_score = 34;
    profile.set_extenders(Extenders {
        interested: Arc::new(|_| true),
        preempts: Arc::new(|_| false),
        wakes: Vec::new(),
    });
    let nodes: Vec<Node> = (0..300).map(|i| node(&format!("n{i:03}"))).collect();
    let mut c = Cluster::with(vec![profile], log(), EngineSettings::default(), &nodes);
    c.add(&[pod("p").cpu(100)]);
    c.decide();
    assert_eq!(c.asks[0].nodes.len(), 102);
    answer(&mut c, "p", &[]);
    c.decide();
    assert_eq!(c.asks[0].nodes.len(), 198);
    let some = c.asks[0].nodes[7].to_string();
    answer(&mut c, "p", &[(&some, 0)]);
    c.decide();
    assert_eq!(c.bound(), [format!("p->{some}")]);
}

#[test]
fn a_binding_that_fails_asks_again() {
    let mut c = cluster(1, &[node("n1")]);
    c.add(&[asking("p")]);
    c.decide();
    answer(&mut c, "p", &[("n1", 0)]);
    c.decide();
    c.answer("p", BindResult::Failed { message: "no".to_owned() });
    c.wait(2);
    c.decide();
    assert_eq!(asked(&c), ["p: n1"], "what was said belongs to the attempt that failed");
}
