//! Whom an event wakes, and whom it leaves asleep because it is certain that it would not help.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test from end to end")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::build::{Pod, node, pod};
use common::cluster::{Cluster, log};
use common::{plugins, profile};
use plimsoll_engine::decide::Worker;
use plimsoll_engine::effect::Observation;
use plimsoll_engine::engine::EngineSettings;
use plimsoll_engine::event::Event;
use plimsoll_engine::queue::Place;
use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::plugin::{EnqueueExtensions, Filter, Plugin};
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::read::{Allocatable, Amounts, Spec};
use plimsoll_framework::verdict::Verdict;

fn ruled_out(c: &mut Cluster) -> usize {
    c.engine.take_observations().iter().filter(|o| matches!(o, Observation::RuledOut)).count()
}

/// A node of 1,000m with these pods, and `waits`, which has just been turned away.
fn cluster(there: &[Pod], waits: &Pod) -> Cluster {
    let mut c = Cluster::new(&[node("n1").cpu(1_000), node("n2").cpu(100)]);
    c.add(there);
    c.add([waits]);
    c.decide();
    assert_eq!(c.place(waits), Some(Place::Unschedulable));
    c.engine.take_observations();
    c
}

#[test]
fn a_pod_is_woken_by_what_could_make_it_fit_there() {
    let (a, b) = (pod("a").cpu(500).on("n1"), pod("b").cpu(400).on("n1").with(|p| p.port = Some(80)));
    let waits = |cpu: i64| pod("waits").cpu(cpu);
    let rows: [(&str, Pod, Event, bool); 7] = [
        ("room enough", waits(600), a.deleted(9), true),
        ("too little room", waits(700), a.deleted(9), false),
        ("more than the node has", waits(1_100), a.deleted(9), false),
        ("a pod that shrinks far enough", waits(300), a.clone().cpu(250).version(9).seen(), true),
        ("a pod that shrinks too little", waits(300), a.clone().cpu(350).version(9).seen(), false),
        ("a greater node", waits(300), node("n1").cpu(1_200).version(9).seen(), true),
        ("a new node", waits(600), node("n3").cpu(600).seen(), true),
    ];
    for (what, p, event, wakes) in rows {
        let mut c = cluster(&[a.clone(), b.clone()], &p);
        c.tell(event);
        let expect = if wakes { Place::Backoff } else { Place::Unschedulable };
        assert_eq!(c.place(&p), Some(expect), "{what}");
        c.decide();
        assert_eq!(c.bound().len(), usize::from(wakes), "{what}");
    }
}

#[test]
fn what_was_ruled_out_is_counted() {
    let a = pod("a").cpu(500).on("n1");
    let mut c = cluster(std::slice::from_ref(&a), &pod("waits").cpu(5_000));
    c.tell(a.deleted(9));
    assert_eq!(ruled_out(&mut c), 1);
}

#[test]
fn a_pod_that_shrinks_before_its_binding_is_confirmed_leaves_room() {
    let (p, q) = (pod("p").cpu(600).priority(1), pod("q").cpu(600));
    let smaller = p.clone().cpu(300).version(2);
    for seen in [smaller.clone(), smaller.on("n1")] {
        let mut c = Cluster::new(&[node("n1").cpu(1_000)]);
        c.add([&p, &q]);
        c.decide();
        assert_eq!((c.bound(), c.place(&q)), (vec!["p->n1".to_owned()], Some(Place::Unschedulable)));
        c.tell(seen.seen());
        c.decide();
        assert_eq!(c.bound(), ["p->n1", "q->n1"]);
    }
}

#[test]
fn a_place_that_could_be_cleared_wakes_whoever_may_clear_it() {
    let (high, low) = (pod("high").cpu(500).priority(9).on("n1"), pod("low").cpu(500).on("n1"));
    for (priority, cpu, wakes) in [(3, 800, true), (0, 800, false), (3, 1_100, false)] {
        let p = pod("p").cpu(cpu).priority(priority);
        let mut c = cluster(&[high.clone(), low.clone()], &p);
        c.tell(high.deleted(9));
        assert_eq!(c.place(&p) == Some(Place::Backoff), wakes, "priority {priority}, {cpu}m");
    }
}

#[test]
fn a_plugin_that_counts_over_nodes_is_always_believed() {
    let there = pod("there").label("apart", "x").on("n1");
    let mut c = Cluster::new(&[node("n1").zone("a").cpu(100), node("n2").zone("a").cpu(100)]);
    let p = pod("p").label("apart", "x");
    c.add([&there, &p]);
    c.decide();
    assert_eq!(c.place(&p), Some(Place::Unschedulable));
    c.tell(pod("other").on("n2").deleted(9));
    assert_eq!(c.place(&p), Some(Place::Unschedulable), "nobody knew the pod that is gone");
    c.tell(there.deleted(9));
    c.decide();
    assert_eq!(c.bound().len(), 1, "what goes on one node opens another");
}

#[test]
fn another_reason_than_before_is_told_by_an_attempt() {
    let port = |p: Pod| p.with(|p| p.port = Some(80));
    let x = port(pod("x").cpu(100).on("n1"));
    let p = port(pod("p").cpu(600));
    let mut c = Cluster::new(&[node("n1").cpu(1_000)]);
    c.add([&x, &p]);
    c.decide();
    assert!(c.condition().1.starts_with("0/1 nodes are available: 1 node(s) didn't have free ports"));
    c.add([&pod("y").cpu(500).on("n1")]);
    c.tell(x.deleted(9));
    c.decide();
    assert!(c.condition().1.starts_with("0/1 nodes are available: 1 Insufficient cpu."), "{}", c.condition().1);
    c.tell(node("n1").cpu(1_100).version(9).seen());
    c.decide();
    assert_eq!(c.bound(), ["p->n1"], "HostPorts does not care how great the node is, Fit does");
}

#[test]
fn what_came_while_it_was_decided_is_judged_as_well() {
    let a = pod("a").cpu(500).on("n1");
    for (cpu, place) in [(900, Place::Backoff), (1_500, Place::Unschedulable)] {
        let mut c = Cluster::new(&[node("n1").cpu(1_000)]);
        let p = pod("p").cpu(cpu);
        c.add([&a, &p]);
        let batch = c.engine.take_work(c.now, 1);
        let worker = &mut Worker::new(plimsoll_engine::decide::TieBreak::Name, 0);
        let proposals = worker.decide_batch(&c.engine.profiles(), &c.engine.view(), &batch);
        c.tell(a.deleted(9));
        c.engine.propose(c.now, proposals);
        assert_eq!(c.place(&p), Some(place), "{cpu}m");
    }
}

#[test]
fn woken_for_nothing_is_counted_by_event() {
    let a = pod("a").cpu(500).on("n1");
    let p = pod("p").cpu(600);
    let mut c = cluster(std::slice::from_ref(&a), &p);
    c.tell(a.deleted(9));
    // Somebody more urgent is there first.
    c.add([&pod("urgent").cpu(600).priority(1)]);
    c.decide();
    assert_eq!((c.bound(), c.place(&p)), (vec!["urgent->n1".to_owned()], Some(Place::Unschedulable)));
    let futile = |o: &Observation| match o {
        Observation::FutileWakeUp { event } => Some(event.to_string()),
        _ => None,
    };
    let counted: Vec<String> = c.engine.take_observations().iter().filter_map(futile).collect();
    assert_eq!(counted, ["AssignedPodDelete"]);
}

/// Turns everybody away, and counts how often it is asked whether an event helps.
struct Sullen(Arc<AtomicUsize>);
impl Plugin for Sullen {
    const NAME: &'static str = "Sullen";
}
impl Filter for Sullen {
    type Pod = Spec;
    type Cluster = ();
    type Node = Allocatable;
    type State = ();
    fn prepare(&self, _: &PodSpecInfo, (): ()) -> Option<()> {
        Some(())
    }
    fn filter(&self, (): &(), _: Amounts<'_>) -> Verdict {
        Verdict::unschedulable(1)
    }
    fn reasons(&self, (): &(), _: u32) -> Vec<String> {
        vec!["no".to_owned()]
    }
}
impl EnqueueExtensions for Sullen {
    fn registrations(&self) -> Vec<Registration> {
        vec![Registration::new(EventResource::Node, Actions::ALL)]
    }
    fn hint(&self, _: &PodInfo, _: &ClusterEvent, _: &Change<'_>) -> QueueingHint {
        self.0.fetch_add(1, Ordering::Relaxed);
        QueueingHint::Skip
    }
}

#[test]
fn a_hint_is_asked_once_for_all_pods_that_are_alike() {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut plugins = plugins::deciding();
    plugins.push(Extensions::of(Sullen(Arc::clone(&asked))).enqueue().filter().done());
    let profiles = vec![profile("plimsoll", &plugins)];
    let mut c = Cluster::with(profiles, log(), EngineSettings::default(), &[node("n1")]);
    let pods: Vec<Pod> = (0..100).map(|i| pod(&format!("p{i}")).cpu(10)).collect();
    c.add(&pods);
    c.add(&[pod("asks-more").cpu(20), pod("labelled").cpu(10).label("a", "b")]);
    c.decide();
    assert_eq!(c.engine.queue().in_place(Place::Unschedulable).count(), 102);
    c.tell(node("n2").seen());
    assert_eq!(asked.load(Ordering::Relaxed), 2, "labels are nothing to a plugin that looks at the spec");
    // One of a hundred goes its own way.
    c.tell(pods[7].clone().version(2).cpu(30).seen());
    asked.store(0, Ordering::Relaxed);
    c.tell(pods[8].deleted(2));
    c.tell(node("n3").seen());
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}
