//! Pods that fit nowhere, and extenders that have a say in who goes for them (reference section 11.5).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test from end to end")]

mod common;

use std::sync::Arc;

use common::build::{Node, Pod, node, pod};
use common::cluster::{Cluster, log};
use common::plugins::{self, Evictor};
use common::profile;
use plimsoll_engine::effect::Observation;
use plimsoll_engine::engine::EngineSettings;
use plimsoll_engine::event::{Event, EvictResult};
use plimsoll_engine::extender::{Extenders, NodeAnswer, PreemptAsk, Shrunk};
use plimsoll_engine::queue::Place;
use plimsoll_framework::cluster_event::EventResource;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::Candidate;
use plimsoll_framework::verdict::Code;

/// A cluster whose extenders have a say in the places of pods with the label `asks`, and in who goes for those with the
/// label `spares`.
fn with(nodes: &[Node]) -> Cluster {
    let mut plugins = plugins::deciding();
    plugins.push(Extensions::of(Evictor).enqueue().pre_enqueue().post_filter().done());
    let mut profile = profile("plimsoll", &plugins);
    profile.set_extenders(Extenders {
        interested: Arc::new(|pod| pod.labels.get(&"asks".into()).is_some()),
        preempts: Arc::new(|pod| pod.labels.get(&"spares".into()).is_some()),
        wakes: vec![EventResource::Pod, EventResource::Node],
    });
    Cluster::with(vec![profile], log(), EngineSettings::default(), nodes)
}

fn low(name: &str, node: &str, milli_cpu: i64) -> Pod {
    pod(name).cpu(milli_cpu).on(node)
}

fn high(name: &str) -> Pod {
    pod(name).cpu(600).priority(5).label("spares", "yes")
}

/// Two full nodes and the pod p, about which the extenders have just been asked.
fn asked() -> (Cluster, Pod, PreemptAsk) {
    let mut c = with(&[node("n1"), node("n2")]);
    c.add(&[low("a", "n1", 500), low("b", "n1", 300), low("c", "n2", 900)]);
    let p = high("p");
    c.add([&p]);
    c.decide();
    let ask = take(&mut c);
    (c, p, ask)
}

fn take(c: &mut Cluster) -> PreemptAsk {
    assert_eq!(c.preempt_asks.len(), 1, "one question is open");
    c.preempt_asks.remove(0)
}

/// The nodes of a question and who would have to leave them.
fn shown(candidates: &[Candidate]) -> Vec<String> {
    let names = |c: &Candidate| c.victims.iter().map(|v| v.key.name.to_string()).collect::<Vec<_>>().join(" ");
    candidates.iter().map(|c| format!("{}: {}", c.node, names(c))).collect()
}

/// An answer: these pods are to leave these nodes.
fn left(ask: &PreemptAsk, nodes: &[(&str, &[&str])]) -> Shrunk {
    let victims = |node: &str, names: &[&str]| {
        let there = &ask.pods[&Istr::new(node)];
        there.iter().filter(|p| names.contains(&&*p.key.name)).cloned().collect()
    };
    let candidate = |(node, names): &(&str, &[&str])| Candidate {
        node: (*node).into(),
        victims: victims(node, names),
        pdb_violations: 0,
    };
    Ok(nodes.iter().map(candidate).collect())
}

fn reply(c: &mut Cluster, ask: &PreemptAsk, result: Shrunk) {
    c.tell(Event::PreemptAnswered { uid: ask.pod.key.uid.clone(), number: ask.number, result });
    c.decide();
}

fn counted(c: &mut Cluster) -> (usize, Vec<usize>) {
    let all = c.engine.take_observations();
    let victims = |o: &Observation| if let Observation::Preemption { victims } = o { Some(*victims) } else { None };
    let attempts = all.iter().filter(|o| matches!(o, Observation::PreemptionAttempt)).count();
    (attempts, all.iter().filter_map(victims).collect())
}

#[test]
fn they_are_asked_about_every_candidate_and_nobody_goes_or_waits_meanwhile() {
    let (mut c, p, ask) = asked();
    assert_eq!(shown(&ask.candidates), ["n1: a", "n2: c"]);
    assert_eq!(ask.pods[&Istr::new("n1")].len(), 2, "all that are there: other victims may be named");
    assert!(c.asked_to_go().is_empty() && c.statuses.is_empty());
    assert_eq!((c.engine.asks_under_way(), c.engine.queue().in_flight().0, c.place(&p)), (1, 1, None));
    c.add(&[pod("small").cpu(100)]);
    c.decide();
    assert_eq!(c.bound().len(), 1);
    reply(&mut c, &ask, left(&ask, &[("n2", &["c"])]));
    assert_eq!(c.asked_to_go(), ["c for p"]);
    assert_eq!(c.statuses.last().unwrap().nominated_node_name, Some(Some("n2".into())));
    assert_eq!(c.place(&p), Some(Place::Unschedulable));
    assert_eq!(counted(&mut c), (1, vec![1]), "one attempt, whatever had to be asked");
    c.evicted("c", EvictResult::Going);
    c.tell(low("c", "n2", 900).deleted(9));
    c.decide();
    assert_eq!(c.bound().last().unwrap(), "p->n2");
    assert!(c.preempt_asks.is_empty());
}

#[test]
fn they_may_name_other_victims() {
    for names in [&["a", "b"][..], &["b", "a"]] {
        let (mut c, _, ask) = asked();
        reply(&mut c, &ask, left(&ask, &[("n1", names)]));
        let first = c.asked_to_go();
        assert_eq!(first.len(), 1, "all but the last first");
        let name = first[0].split(' ').next().unwrap().to_owned();
        c.evicted(&name, EvictResult::Going);
        assert_eq!(c.asked_to_go().len(), 1);
    }
}

#[test]
fn a_node_that_would_not_do_without_the_victims_named_is_left_alone() {
    let (mut c, p, ask) = asked();
    reply(&mut c, &ask, left(&ask, &[("n1", &["b"]), ("n2", &["c"])]));
    assert_eq!(c.asked_to_go(), ["c for p"], "without b alone n1 is still too full");
    let (mut c, _, ask) = asked();
    reply(&mut c, &ask, left(&ask, &[("n1", &["b"])]));
    assert!(c.asked_to_go().is_empty());
    assert_eq!(c.place(&p), Some(Place::Unschedulable));
    assert!(c.condition().1.ends_with("2 Insufficient cpu. preemption: none left."), "{}", c.condition().1);
}

#[test]
fn when_nothing_is_left_the_pod_waits() {
    let (mut c, p, ask) = asked();
    reply(&mut c, &ask, Ok(Vec::new()));
    assert!(c.asked_to_go().is_empty());
    assert_eq!(c.condition(), ("Unschedulable", "0/2 nodes are available: 2 Insufficient cpu. preemption: none left."));
    assert_eq!(c.place(&p), Some(Place::Unschedulable));
    assert_eq!((counted(&mut c), c.engine.asks_under_way()), ((1, vec![]), 0));
    // The next attempt asks again.
    c.tell(low("b", "n1", 300).deleted(9));
    c.wait(10);
    c.decide();
    assert_eq!(shown(&take(&mut c).candidates), ["n1: a", "n2: c"]);
}

#[test]
fn an_error_is_said_and_changes_nothing_else() {
    let (mut c, p, ask) = asked();
    reply(&mut c, &ask, Err("failed preempt with extender at URL http://x/preempt, code 500".to_owned()));
    let text = "0/2 nodes are available: 2 Insufficient cpu. preemption: failed preempt with extender at URL \
                http://x/preempt, code 500";
    assert_eq!(c.condition(), ("Unschedulable", text));
    assert!(c.asked_to_go().is_empty());
    assert_eq!(
        (c.place(&p), c.statuses.last().unwrap().nominated_node_name.clone()),
        (Some(Place::Unschedulable), None)
    );
}

#[test]
fn victims_that_have_gone_meanwhile_are_not_asked_to_go() {
    let (mut c, _, ask) = asked();
    c.tell(low("a", "n1", 500).deleted(9));
    reply(&mut c, &ask, left(&ask, &[("n1", &["a"])]));
    assert_eq!((c.bound(), c.asked_to_go()), (vec!["p->n1".to_owned()], vec![]), "there is room by now");

    let mut c = with(&[node("n1")]);
    c.add(&[low("a", "n1", 300), low("b", "n1", 300), low("c", "n1", 300), high("p")]);
    c.decide();
    let ask = take(&mut c);
    c.tell(low("a", "n1", 300).deleted(9));
    reply(&mut c, &ask, left(&ask, &[("n1", &["a", "b"])]));
    assert_eq!(c.asked_to_go(), ["b for p"], "of those named, who is there");
}

#[test]
fn what_does_not_hold_any_more_is_not_done() {
    type Meanwhile = fn(&mut Cluster);
    let changes: [(&str, Meanwhile); 4] = [
        ("a victim is of no lower priority", |c| c.tell(low("c", "n2", 900).priority(5).version(9).seen())),
        ("the room is taken by one that stays", |c| {
            c.tell(low("c", "n2", 900).deleted(9));
            c.tell(low("d", "n2", 900).priority(9).seen());
        }),
        ("the node is closed", |c| c.tell(node("n2").version(9).taint("gone").seen())),
        ("the node is gone", |c| c.tell(node("n2").deleted())),
    ];
    for (what, change) in changes {
        let (mut c, p, ask) = asked();
        change(&mut c);
        reply(&mut c, &ask, left(&ask, &[("n2", &["c"])]));
        assert!(c.asked_to_go().is_empty() && c.bound().is_empty(), "{what}");
        assert!(c.condition().1.ends_with("preemption: none left."), "{what}: {}", c.condition().1);
        // What happened meanwhile may have it tried again at once.
        assert!(c.place(&p).is_some() || c.preempt_asks.len() == 1, "{what}: the pod is not lost");
    }
}

#[test]
fn a_pod_that_goes_while_they_are_asked_makes_room_for_the_next() {
    let (mut c, p, ask) = asked();
    c.add(&[high("q")]);
    c.decide();
    assert_eq!((c.preempt_asks.len(), c.engine.waiting_to_ask()), (0, 1), "one pod at a time");
    c.tell(p.deleted(9));
    c.decide();
    let next = take(&mut c);
    assert_eq!((&*next.pod.key.name, shown(&next.candidates)), ("q", vec!["n1: a".to_owned(), "n2: c".to_owned()]));
    reply(&mut c, &ask, left(&ask, &[("n1", &["a"])]));
    assert!(c.asked_to_go().is_empty(), "the question is closed");
    reply(&mut c, &next, left(&next, &[("n1", &["a"])]));
    reply(&mut c, &next, left(&next, &[("n2", &["c"])]));
    assert_eq!(c.asked_to_go(), ["a for q"]);
    assert_eq!(c.engine.queue().in_flight(), (0, 0));
}

#[test]
fn a_pod_that_changed_is_asked_about_again() {
    let (mut c, p, ask) = asked();
    c.tell(p.label("tier", "gold").version(2).seen());
    reply(&mut c, &ask, left(&ask, &[("n1", &["a"])]));
    assert!(c.asked_to_go().is_empty());
    let again = take(&mut c);
    reply(&mut c, &again, left(&again, &[("n1", &["a"])]));
    assert_eq!(c.asked_to_go(), ["a for p"]);
}

#[test]
fn places_and_victims_are_asked_about_in_one_attempt() {
    let mut c = with(&[node("n1"), node("n2")]);
    c.add(&[low("a", "n1", 900), low("d", "n2", 100), high("p").label("asks", "yes")]);
    c.decide();
    let ask = c.asks.remove(0);
    assert_eq!(ask.nodes, ["n2".into()]);
    let no = NodeAnswer::Failed { code: Code::Unschedulable, reason: "no licence".to_owned() };
    c.tell(Event::Answered {
        uid: ask.pod.key.uid.clone(),
        number: ask.number,
        result: Ok([("n2".into(), no)].into_iter().collect()),
    });
    c.decide();
    let ask = take(&mut c);
    assert_eq!(shown(&ask.candidates), ["n1: a"], "nobody's going changes an extender's mind");
    reply(&mut c, &ask, left(&ask, &[("n1", &["a"])]));
    assert!(c.asks.is_empty(), "what it said of n2 still counts");
    assert_eq!(c.asked_to_go(), ["a for p"]);
    let text = c.condition().1;
    assert_eq!(text, "0/2 nodes are available: 1 Insufficient cpu, 1 no licence.");
}

#[test]
fn pods_no_extender_spares_are_preempted_for_as_ever() {
    let mut c = with(&[node("n1")]);
    c.add(&[low("a", "n1", 900), pod("p").cpu(600).priority(5)]);
    c.decide();
    assert_eq!((c.asked_to_go(), c.preempt_asks.len()), (vec!["a for p".to_owned()], 0));
}
