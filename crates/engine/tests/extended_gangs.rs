//! Groups of pods that extenders have a say in: asked about pod by pod, placed as a whole or not at all.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test from end to end")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::build::{Node, Pod, node, pod};
use common::cluster::{Cluster, log};
use common::plugins::{self, Evictor};
use common::profile;
use plimsoll_engine::engine::EngineSettings;
use plimsoll_engine::event::{Event, EvictResult};
use plimsoll_engine::extender::{Answer, Ask, Extenders, NodeAnswer};
use plimsoll_engine::gang::ExtendedPodGroups;
use plimsoll_engine::queue::Place;
use plimsoll_framework::cluster_event::EventResource;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::object::{KindRef, ObjectKey};
use plimsoll_framework::verdict::Code;
use serde_json::json;

/// A cluster whose extenders have a say in pods with the label `asks`, one at a time.
fn with(nodes: &[Node]) -> Cluster {
    let mut plugins = plugins::deciding();
    plugins.push(Extensions::of(Evictor).enqueue().pre_enqueue().post_filter().done());
    let mut profile = profile("plimsoll", &plugins);
    profile.set_extenders(Extenders {
        interested: Arc::new(|pod| pod.labels.get(&"asks".into()).is_some()),
        preempts: Arc::new(|_| true),
        wakes: vec![EventResource::Pod, EventResource::Node],
    });
    Cluster::with(vec![profile], log(), EngineSettings::default(), nodes)
}

/// A pod of the gang g of so many, which takes up more than half of a node.
fn member(number: usize, size: &str) -> Pod {
    pod(&format!("g-{number}")).cpu(600).label("plimsoll/gang", "g").label("plimsoll/gang-size", size)
}

fn asking(number: usize, size: &str) -> Pod {
    member(number, size).label("asks", "yes")
}

/// Two nodes of which the second is the better one.
fn two() -> [Node; 2] {
    [node("n1"), node("n2").cpu(1_100)]
}

/// The open question, of which there is one at most.
fn asked(c: &Cluster) -> String {
    assert!(c.asks.len() <= 1, "one pod at a time");
    let line = |ask: &Ask| {
        let mut nodes: Vec<&str> = ask.nodes.iter().map(|n| &**n).collect();
        nodes.sort_unstable();
        format!("{}: {}", ask.pod.key.name, nodes.join(" "))
    };
    c.asks.first().map(line).unwrap_or_default()
}

fn reply(c: &mut Cluster, ask: &Ask, result: Result<Answer, String>) {
    c.tell(Event::Answered { uid: ask.pod.key.uid.clone(), number: ask.number, result });
    c.decide();
}

/// Lets the pod that is asked about pass on these of the nodes.
fn pass(c: &mut Cluster, nodes: &[&str]) {
    let ask = c.asks.remove(0);
    let no = || NodeAnswer::Failed { code: Code::Unschedulable, reason: "no licence".to_owned() };
    let said = |name: &str| if nodes.contains(&name) { NodeAnswer::Passed(0) } else { no() };
    let answer = ask.nodes.iter().map(|name| (name.clone(), said(name))).collect();
    reply(c, &ask, Ok(answer));
}

fn bound(c: &Cluster) -> String {
    let mut bound = c.bound();
    bound.sort();
    bound.join(" ")
}

/// The condition that was written last for each pod.
fn conditions(c: &Cluster) -> BTreeMap<String, (&'static str, String)> {
    let written = c.statuses.iter().filter_map(|s| {
        let (reason, text) = s.condition.as_ref()?;
        Some((s.key.name.to_string(), (reason.as_str(), text.as_ref().to_owned())))
    });
    written.collect()
}

#[test]
fn pod_by_pod_each_on_what_those_before_it_leave() {
    let mut c = with(&two());
    c.add(&[asking(0, "2"), asking(1, "2")]);
    c.decide();
    assert_eq!(asked(&c), "g-0: n1 n2");
    assert_eq!((c.engine.queue().in_flight().0, c.engine.asks_under_way()), (2, 1), "both wait");
    c.add(&[pod("plain").cpu(10)]);
    c.decide();
    assert_eq!(c.bound().len(), 1, "and nobody else does");
    pass(&mut c, &["n1", "n2"]);
    assert_eq!((asked(&c), c.bound().len()), ("g-1: n1".to_owned(), 1), "g-0 would take n2");
    pass(&mut c, &["n1"]);
    assert!(bound(&c).starts_with("g-0->n2 g-1->n1"), "{}", bound(&c));
    assert_eq!((asked(&c), c.engine.queue().in_flight()), (String::new(), (0, 0)));
}

#[test]
fn a_worker_goes_by_the_answers_too() {
    let mut c = with(&two());
    c.add(&[asking(0, "2"), asking(1, "2"), pod("plain").cpu(600)]);
    let mut worker = c.engine.new_worker();
    let mut decide = |c: &mut Cluster| {
        let tickets = c.engine.take_work(c.now, 16);
        let proposals = worker.decide_batch(&c.engine.profiles(), &c.engine.view(), &tickets);
        c.engine.propose(c.now, proposals);
        c.gather();
    };
    decide(&mut c);
    assert_eq!((asked(&c), bound(&c)), ("g-0: n1 n2".to_owned(), "plain->n2".to_owned()), "it keeps no room meanwhile");
    c.tell(pod("plain").cpu(600).on("n2").version(9).deleted(10));
    for nodes in [&["n1"][..], &["n1"]] {
        let ask = c.asks.remove(0);
        let answer = nodes.iter().map(|n| ((*n).into(), NodeAnswer::Passed(0))).collect();
        c.tell(Event::Answered { uid: ask.pod.key.uid.clone(), number: ask.number, result: Ok(answer) });
    }
    decide(&mut c);
    assert_eq!(asked(&c), "g-1: n2", "what it was not asked about it is asked about");
    let ask = c.asks.remove(0);
    let answer = [("n2".into(), NodeAnswer::Passed(0))].into_iter().collect();
    c.tell(Event::Answered { uid: ask.pod.key.uid.clone(), number: ask.number, result: Ok(answer) });
    decide(&mut c);
    assert!(bound(&c).starts_with("g-0->n1 g-1->n2"), "{}", bound(&c));
}

#[test]
fn where_room_turns_out_otherwise_they_are_asked_again() {
    let mut c = with(&two());
    c.add(&[asking(0, "2"), asking(1, "2")]);
    c.decide();
    pass(&mut c, &["n1"]);
    assert_eq!(asked(&c), "g-1: n1", "what was planned before the first answer");
    pass(&mut c, &["n1"]);
    assert_eq!(asked(&c), "g-1: n2");
    pass(&mut c, &["n2"]);
    assert_eq!(bound(&c), "g-0->n1 g-1->n2");
}

#[test]
fn a_group_that_chases_room_gives_up_for_a_while() {
    let mut c = with(&[node("n1")]);
    c.add(&[asking(0, "1")]);
    for round in 1..=3 {
        c.decide();
        let here = format!("n{round}");
        assert_eq!(asked(&c), format!("g-0: {here}"));
        c.tell(pod(&format!("other{round}")).cpu(1_000).on(&here).seen());
        c.tell(node(&format!("n{}", round + 1)).seen());
        pass(&mut c, &[&here]);
    }
    assert_eq!(asked(&c), "");
    let expect = "the nodes with room for the pod changed 3 times while extenders were asked";
    assert_eq!(c.condition(), ("SchedulerError", expect));
}

#[test]
fn a_pod_that_is_let_nowhere_keeps_all_from_going() {
    let mut c = with(&two());
    c.add(&[asking(0, "2"), asking(1, "2")]);
    c.decide();
    pass(&mut c, &["n2"]);
    pass(&mut c, &[]);
    assert_eq!((asked(&c), bound(&c)), (String::new(), String::new()));
    let text = "pod group is unschedulable: of 2 pods of default/g, g-1 is the first without a place: 0/2 nodes are \
                available: 1 Insufficient cpu, 1 no licence.";
    for name in ["g-0", "g-1"] {
        assert_eq!(conditions(&c)[name], ("Unschedulable", text.to_owned()));
    }
    assert!(c.engine.queue().get(&asking(1, "2").uid()).unwrap().0.unschedulable_plugins.contains("Extender"));
    // Anything may have changed its mind.
    c.tell(node("n1").version(2).with(|n| n.zone = "b".to_owned()).seen());
    c.wait(10);
    c.decide();
    assert_eq!(asked(&c), "g-0: n1 n2");
}

#[test]
fn an_error_ends_the_attempt_of_all() {
    let mut c = with(&two());
    c.add(&[asking(0, "2"), asking(1, "2")]);
    c.decide();
    pass(&mut c, &["n1", "n2"]);
    let ask = c.asks.remove(0);
    reply(&mut c, &ask, Err("failed filter with extender at URL http://x/filter, code 500".to_owned()));
    let error = "failed filter with extender at URL http://x/filter, code 500";
    let said = conditions(&c);
    assert_eq!(said["g-1"], ("SchedulerError", error.to_owned()));
    assert_eq!(said["g-0"], ("SchedulerError", format!("failed to schedule other pod from a pod group: {error}")));
    assert_eq!(c.place(&asking(0, "2")), Some(Place::ErrorBackoff));
    assert_eq!(c.engine.queue().in_flight(), (0, 0));
    c.wait(10);
    c.decide();
    assert_eq!(asked(&c), "g-0: n1 n2", "the place is free, and it is tried again");
}

#[test]
fn a_group_that_cannot_fit_is_not_asked_about() {
    let mut c = with(&[node("n1")]);
    c.add(&[asking(0, "2"), asking(1, "2")]);
    c.decide();
    assert_eq!(asked(&c), "");
    assert_eq!(conditions(&c)["g-0"].0, "Unschedulable");
}

#[test]
fn only_those_it_cares_for_are_asked_about() {
    let mut c = with(&two());
    c.add(&[member(0, "2"), asking(1, "2")]);
    c.decide();
    assert_eq!(asked(&c), "g-1: n1");
    pass(&mut c, &["n1"]);
    assert_eq!(bound(&c), "g-0->n2 g-1->n1");
}

#[test]
fn a_pod_that_goes_while_the_group_is_asked_about() {
    let nodes = [node("n1"), node("n2").cpu(1_100), node("n3").cpu(1_150)];
    // Enough are left: the first, which is asked about and holds the place, or one whose turn has not come.
    for gone in [0, 1, 2] {
        let mut c = with(&nodes);
        c.add(&[asking(0, "2"), asking(1, "2"), asking(2, "2")]);
        c.decide();
        c.add(&[pod("next").cpu(100).label("asks", "yes")]);
        c.decide();
        let late = (gone == 0).then(|| c.asks.remove(0));
        c.tell(asking(gone, "2").deleted(9));
        c.decide();
        if let Some(late) = late {
            reply(&mut c, &late, Err("too late".to_owned()));
        }
        assert_eq!(c.engine.waiting_to_ask(), 1, "the group still holds the place");
        while !asked(&c).is_empty() && !asked(&c).starts_with("next") {
            pass(&mut c, &["n1", "n2", "n3"]);
        }
        assert_eq!(c.bound().len(), 2, "{gone}: {}", bound(&c));
        assert_eq!(asked(&c), "next: n1 n2 n3");
        assert_eq!(c.engine.queue().in_flight().0, 1);
    }
    // Not enough are left.
    let mut c = with(&nodes);
    c.add(&[asking(0, "2"), asking(1, "2")]);
    c.decide();
    c.tell(asking(1, "2").deleted(9));
    pass(&mut c, &["n1", "n2", "n3"]);
    assert_eq!((asked(&c), bound(&c)), (String::new(), String::new()));
    assert_eq!(c.place(&asking(0, "2")), Some(Place::Gated), "it waits for another");
    assert_eq!(c.engine.queue().in_flight(), (0, 0));
    // Nobody is left.
    let mut c = with(&nodes);
    c.add(&[asking(0, "1")]);
    c.decide();
    c.tell(asking(0, "1").deleted(9));
    c.decide();
    assert_eq!((c.engine.asks_under_way(), c.engine.queue().in_flight()), (0, (0, 0)));
}

#[test]
fn a_pod_that_changes_while_the_group_is_asked_about_is_asked_about_again() {
    let mut c = with(&two());
    c.add(&[asking(0, "2"), asking(1, "2")]);
    c.decide();
    pass(&mut c, &["n2"]);
    c.tell(asking(0, "2").label("tier", "gold").version(9).seen());
    pass(&mut c, &["n1"]);
    assert_eq!(asked(&c), "g-0: n1 n2", "what was said of it was about another pod");
    pass(&mut c, &["n2"]);
    assert_eq!(bound(&c), "g-0->n2 g-1->n1");
}

#[test]
fn a_pod_that_comes_while_the_group_is_asked_about_joins_it() {
    let mut c = with(&[node("n1"), node("n2").cpu(1_100), node("n3").cpu(1_150)]);
    c.add(&[asking(0, "2"), asking(1, "2")]);
    c.decide();
    c.add(&[asking(2, "2")]);
    c.decide();
    assert_eq!(c.engine.asks_under_way(), 1);
    pass(&mut c, &["n1", "n2", "n3"]);
    pass(&mut c, &["n1", "n2", "n3"]);
    assert_eq!((asked(&c), bound(&c)), ("g-2: n1".to_owned(), String::new()));
    pass(&mut c, &["n1"]);
    assert_eq!(bound(&c), "g-0->n3 g-1->n2 g-2->n1");
}

#[test]
fn a_pod_that_becomes_one_of_a_group_while_it_is_asked_about_takes_nobody_with_it() {
    let kind = KindRef::of::<ExtendedPodGroups>();
    let named = |name: &str| pod(name).cpu(100).label("asks", "yes").label("scheduling.x-k8s.io/pod-group", "g");
    for deleted in [false, true] {
        let mut c = with(&two());
        c.add(&[named("g-0")]);
        c.decide();
        assert_eq!(asked(&c), "g-0: n1 n2", "so far the group's name is just a label");
        c.tell(Event::KindServed { kind, version: Some(kind.version.into()) });
        let json = json!({"metadata": {"name": "g", "namespace": "default", "uid": "g"}, "spec": {"minMember": 2}});
        let key = ObjectKey { namespace: "default".into(), name: "g".into() };
        c.tell(Event::Object { kind, key, resource_version: 0, object: Some((kind.decode)(&json).unwrap()) });
        c.add(&[named("g-1")]);
        c.decide();
        if deleted {
            c.asks.clear();
            c.tell(named("g-0").deleted(9));
            c.decide();
            assert_eq!(c.place(&named("g-1")), Some(Place::Gated), "the other waits for one more");
        } else {
            while !asked(&c).is_empty() {
                pass(&mut c, &["n1", "n2"]);
            }
            assert_eq!(c.bound().len(), 2, "{}", bound(&c));
        }
        assert_eq!((c.engine.asks_under_way(), c.engine.queue().in_flight()), (0, (0, 0)));
    }
}

#[test]
fn a_group_waits_for_its_place_as_a_whole() {
    let mut c = with(&two());
    c.add(&[pod("first").cpu(100).label("asks", "yes")]);
    c.decide();
    c.add(&[member(0, "2"), asking(1, "2")]);
    c.decide();
    assert_eq!((asked(&c), c.engine.waiting_to_ask()), ("first: n1 n2".to_owned(), 2));
    pass(&mut c, &["n1"]);
    assert_eq!((asked(&c), c.engine.waiting_to_ask()), ("g-1: n1".to_owned(), 0));
    pass(&mut c, &["n1"]);
    assert_eq!(bound(&c), "first->n1 g-0->n2 g-1->n1");
}

#[test]
fn nothing_is_kept_for_a_pod_that_joins_a_group_that_waits_for_its_place() {
    let mut c = with(&[node("n1"), node("n2").cpu(1_100), node("n3").cpu(1_150)]);
    c.add(&[pod("first").cpu(100).label("asks", "yes")]);
    c.decide();
    c.add(&[asking(0, "2"), asking(1, "2")]);
    c.decide();
    c.add(&[asking(2, "2")]);
    c.decide();
    assert_eq!(c.engine.waiting_to_ask(), 3);
    while !asked(&c).is_empty() {
        pass(&mut c, &["n1", "n2", "n3"]);
    }
    assert_eq!(c.bound().len(), 4, "{}", bound(&c));
    c.tell(node("n1").version(9).with(|n| n.zone = "b".to_owned()).seen());
    assert_eq!(c.engine.queue().in_flight(), (0, 0));
}

#[test]
fn room_is_made_for_a_group_before_extenders_are_asked() {
    let mut c = with(&two());
    c.add(&[pod("low").cpu(900).on("n1")]);
    let high = |number| asking(number, "2").priority(5);
    c.add(&[high(0), high(1)]);
    c.decide();
    assert_eq!((asked(&c), c.asked_to_go(), c.preempt_asks.len()), (String::new(), vec!["low for g-1".to_owned()], 0));
    c.evicted("low", EvictResult::Going);
    c.tell(pod("low").cpu(900).on("n1").deleted(9));
    c.wait(10);
    c.decide();
    while !asked(&c).is_empty() {
        pass(&mut c, &["n1", "n2"]);
    }
    assert_eq!(bound(&c), "g-0->n2 g-1->n1");
}
