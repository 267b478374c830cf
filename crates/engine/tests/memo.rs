//! What is kept from one decision to the next. That kept answers are right is shown by every other test, too: in builds
//! with debug assertions each decision is made again from nothing.

#![allow(clippy::unwrap_used, reason = "a test from end to end")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::build::{node, pod};
use common::cluster::Cluster;
use common::{plugins, profile};
use plimsoll_engine::decide::{Outcome, TieBreak, Worker};
use plimsoll_engine::engine::EngineSettings;
use plimsoll_engine::memo::MemoSettings;
use plimsoll_engine::profile::Profile;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{Filter, Plugin};
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::read::{Of, Spec};
use plimsoll_framework::verdict::Verdict;

fn deciding() -> Profile {
    profile("plimsoll", &plugins::deciding())
}

fn cluster(nodes: usize) -> Cluster {
    let nodes: Vec<_> = (0..nodes).map(|i| node(&format!("n{i:03}")).cpu(1_000)).collect();
    Cluster::with(vec![deciding()], Default::default(), EngineSettings::default(), &nodes)
}

fn worker(memo: MemoSettings) -> Worker {
    Worker::new(TieBreak::Random, 1).with_memo(memo)
}

fn decide(worker: &mut Worker, cluster: &Cluster, profile: &Profile, pod: &PodInfo) -> Outcome {
    worker.decide(profile, &cluster.engine.view(), &Overlay::default(), pod, 7)
}

#[test]
fn pods_that_are_alike_are_one_class() {
    let (cluster, profile, mut worker) = (cluster(300), deciding(), worker(MemoSettings::default()));
    let first = pod("a").cpu(100).info();
    let like_it = PodInfo { spec: Arc::clone(&first.spec), ..pod("b").info() };
    let other = pod("c").cpu(200).info();
    for pod in [&first, &like_it, &other, &first] {
        decide(&mut worker, &cluster, &profile, pod);
    }
    let stats = worker.memo_stats();
    assert_eq!((stats.hits, stats.misses, stats.passed, stats.classes), (2, 2, 0, 2));
}

#[test]
fn what_is_kept_follows_the_cluster() {
    let (mut cluster, profile, mut worker) = (cluster(3), deciding(), worker(MemoSettings::default()));
    let asked = pod("p").cpu(900).info();
    let places = |outcome: Outcome| match outcome {
        Outcome::Node { node, .. } => node.to_string(),
        Outcome::Unfit(diagnosis) => diagnosis.message(),
        other => panic!("{other:?}"),
    };
    for full in ["n000", "n001", "n002"] {
        cluster.tell(pod(&format!("on-{full}")).cpu(500).on(full).seen());
    }
    assert!(places(decide(&mut worker, &cluster, &profile, &asked)).starts_with("0/3 nodes are available"));
    // From nothing to one, and to several: with the same scores as if there had been some all the time.
    cluster.tell(pod("on-n001").cpu(500).on("n001").deleted(9));
    assert_eq!(places(decide(&mut worker, &cluster, &profile, &asked)), "n001");
    cluster.tell(node("n003").cpu(2_000).seen());
    assert_eq!(places(decide(&mut worker, &cluster, &profile, &asked)), "n003");
    cluster.tell(node("n003").cpu(2_000).deleted());
    cluster.tell(node("n004").cpu(1_000).taint("kept-away").seen());
    assert_eq!(places(decide(&mut worker, &cluster, &profile, &asked)), "n001");
    assert_eq!(worker.memo_stats().misses, 1);
}

#[test]
fn pods_that_are_alike_share_what_is_said_of_them() {
    let (mut cluster, profile, mut worker) = (cluster(3), deciding(), worker(MemoSettings::default()));
    let first = pod("a").cpu(2_000).info();
    let like_it = PodInfo { spec: Arc::clone(&first.spec), ..pod("b").info() };
    let unfit = |worker: &mut Worker, cluster: &Cluster, pod: &PodInfo| match decide(worker, cluster, &profile, pod) {
        Outcome::Unfit(diagnosis) => diagnosis,
        other => panic!("{other:?}"),
    };
    let said = unfit(&mut worker, &cluster, &first);
    assert!(Arc::ptr_eq(&said, &unfit(&mut worker, &cluster, &like_it)));
    // A node more that turns them away in the same way is told; so is one that does so in another.
    cluster.tell(node("n003").cpu(1_000).seen());
    assert_eq!(unfit(&mut worker, &cluster, &like_it).message(), "0/4 nodes are available: 4 Insufficient cpu.");
    cluster.tell(node("n003").cpu(1_000).taint("kept-away").version(2).seen());
    let otherwise = unfit(&mut worker, &cluster, &first);
    let message = "0/4 nodes are available: 1 node(s) had untolerated taint(s), 3 Insufficient cpu.";
    assert_eq!(otherwise.message(), message);
    assert!(Arc::ptr_eq(&otherwise, &unfit(&mut worker, &cluster, &like_it)));
    cluster.tell(node("n003").cpu(1_000).deleted());
    assert_eq!(unfit(&mut worker, &cluster, &first), said);
}

#[test]
fn the_classes_used_least_recently_make_room() {
    let (cluster, profile) = (cluster(300), deciding());
    let mut all = worker(MemoSettings::default());
    let pods: Vec<PodInfo> = (1..6).map(|i| pod(&format!("p{i}")).cpu(100 * i).info()).collect();
    // What is learnt in a decision shows in the next one.
    decide(&mut all, &cluster, &profile, &pods[0]);
    decide(&mut all, &cluster, &profile, &pods[0]);
    let budget_bytes = all.memo_stats().bytes * 5 / 2;
    let mut two = worker(MemoSettings { budget_bytes, ..MemoSettings::default() });
    for at in [0, 1, 2, 1, 3, 1, 4, 1] {
        assert_eq!(
            decide(&mut two, &cluster, &profile, &pods[at]),
            decide(&mut all, &cluster, &profile, &pods[at]),
            "{at}"
        );
    }
    let stats = two.memo_stats();
    assert_eq!((stats.misses, stats.evicted, stats.hits), (5, 3, 3), "the one in use stays: {stats:?}");
    assert!(stats.bytes <= budget_bytes && !stats.too_small, "{stats:?}");
}

#[test]
fn with_too_small_a_budget_decisions_are_made_without() {
    let (cluster, profile) = (cluster(300), deciding());
    let mut small = worker(MemoSettings { budget_bytes: 100, ..MemoSettings::default() });
    let mut none = worker(MemoSettings { budget_bytes: 0, ..MemoSettings::default() });
    let mut some = worker(MemoSettings::default());
    let asked = pod("p").cpu(100).info();
    let expected = decide(&mut some, &cluster, &profile, &asked);
    assert_eq!(decide(&mut small, &cluster, &profile, &asked), expected);
    assert_eq!(decide(&mut none, &cluster, &profile, &asked), expected);
    assert!(small.memo_stats().too_small && !none.memo_stats().too_small);
    assert_eq!(none.memo_stats().passed, 1);
}

#[test]
fn one_worker_may_look_at_different_clusters() {
    let (small, large, profile) = (cluster(2), cluster(700), deciding());
    let mut worker = worker(MemoSettings::default());
    let asked = pod("p").cpu(100).info();
    for cluster in [&small, &large, &small] {
        assert!(matches!(decide(&mut worker, cluster, &profile, &asked), Outcome::Node { .. }));
    }
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "a decision by the memo is wrong"))]
fn the_audit_finds_a_diagnosis_that_is_out_of_date() {
    let (cluster, profile, mood) = moody(Swings::Words);
    let mut worker = worker(MemoSettings { audit_every: 2, ..MemoSettings::default() });
    let asked = pod("p").info();
    let said = |worker: &mut Worker| match decide(worker, &cluster, &profile, &asked) {
        Outcome::Unfit(diagnosis) => diagnosis.message(),
        other => panic!("{other:?}"),
    };
    assert_eq!(said(&mut worker), "0/3 nodes are available: 3 not today.");
    mood.store(false, Ordering::Relaxed);
    assert_eq!(said(&mut worker), "0/3 nodes are available: 3 never.");
    assert_eq!(worker.memo_stats().mismatches, 1);
}

/// Says what it was told behind the engine's back.
struct Moody(Arc<AtomicBool>, Swings);

/// What of it changes.
#[derive(Clone, Copy, PartialEq)]
enum Swings {
    /// Whether pods are turned away.
    Verdict,
    /// In which words all of them are.
    Words,
}

impl Plugin for Moody {
    const NAME: &'static str = "Moody";
}
impl Filter for Moody {
    type Pod = Spec;
    type Cluster = ();
    type Node = ();
    type State = ();
    fn prepare(&self, _: &PodSpecInfo, (): ()) -> Option<()> {
        Some(())
    }
    fn filter(&self, (): &(), (): Of<'_, ()>) -> Verdict {
        let passes = self.1 == Swings::Verdict && self.0.load(Ordering::Relaxed);
        if passes { Verdict::FITS } else { Verdict::unschedulable(1) }
    }
    fn reasons(&self, (): &(), _: u32) -> Vec<String> {
        let never = self.1 == Swings::Words && !self.0.load(Ordering::Relaxed);
        vec![if never { "never" } else { "not today" }.to_owned()]
    }
}

/// A cluster, a profile with a plugin that breaks the contract, and its hidden input.
fn moody(swings: Swings) -> (Cluster, Profile, Arc<AtomicBool>) {
    let mood = Arc::new(AtomicBool::new(true));
    let mut all = plugins::deciding();
    all.push(Extensions::of(Moody(Arc::clone(&mood), swings)).filter().done());
    (cluster(3), profile("plimsoll", &all), mood)
}

#[test]
fn without_an_audit_hidden_input_goes_unnoticed() {
    let (cluster, profile, mood) = moody(Swings::Verdict);
    let mut worker = worker(MemoSettings { audit_every: 0, ..MemoSettings::default() });
    let asked = pod("p").cpu(100).info();
    decide(&mut worker, &cluster, &profile, &asked);
    mood.store(false, Ordering::Relaxed);
    assert!(matches!(decide(&mut worker, &cluster, &profile, &asked), Outcome::Node { .. }));
    assert_eq!(worker.memo_stats().audits, 0);
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "a decision by the memo is wrong"))]
fn the_audit_finds_a_plugin_with_hidden_input() {
    let (cluster, profile, mood) = moody(Swings::Verdict);
    let mut worker = worker(MemoSettings { audit_every: 2, ..MemoSettings::default() });
    let asked = pod("p").cpu(100).info();
    decide(&mut worker, &cluster, &profile, &asked);
    mood.store(false, Ordering::Relaxed);
    // What is right counts, and from now on nothing is kept.
    for _ in 0..2 {
        assert!(matches!(decide(&mut worker, &cluster, &profile, &asked), Outcome::Unfit(_)));
    }
    let stats = worker.memo_stats();
    assert_eq!((stats.audits, stats.mismatches, stats.passed, stats.classes), (1, 1, 1, 0));
    let found = worker.take_mismatch().unwrap();
    assert!(found.kept.contains("Node") && found.fresh.contains("not today"), "{found:?}");
    assert_eq!(worker.take_mismatch(), None);
}
