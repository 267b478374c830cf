//! Deciding for comparison alone, with a hand-set clock: what is said of another scheduler's nodes, what is known of the
//! pods that it leaves waiting, and that nothing is asked for.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test from end to end")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::build::{Node, Pod, node, pod};
use common::cluster::{Cluster, log};
use common::inspect::assert_sums;
use common::plugins::{self, Evictor};
use common::{at, profile};
use plimsoll_engine::cache::Standing;
use plimsoll_engine::decide::TieBreak;
use plimsoll_engine::effect::{AttemptResult, Observation};
use plimsoll_engine::engine::EngineSettings;
use plimsoll_engine::event::{BindResult, Event};
use plimsoll_engine::queue::Place;
use plimsoll_engine::shadow::{Compared, Comparison, Scores};
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::pod::{KubeletRefusal, RefusalKind};
use plimsoll_testkit::Dice;

const THEIRS: &str = "default-scheduler";

fn settings() -> EngineSettings {
    EngineSettings {
        tie_break: TieBreak::Name,
        refusal_cooldown: std::time::Duration::from_secs(30),
        shadow: Some([THEIRS.into()].into()),
        admission: Arc::new(|pod, _, _| pod.labels.get(&"odd".into()).map(|_| "needs what is not built".to_owned())),
        ..EngineSettings::default()
    }
}

/// An engine that shadows, and these nodes.
fn shadow(nodes: &[Node]) -> Cluster {
    let profiles = vec![profile("plimsoll", &plugins::deciding()), profile("other", &plugins::deciding())];
    Cluster::with(profiles, log(), settings(), nodes)
}

fn theirs(name: &str) -> Pod {
    pod(name).of(THEIRS)
}

/// The other scheduler puts a pod on a node.
fn bind(c: &mut Cluster, pod: &Pod, node: &str) {
    c.tell(pod.clone().version(pod.version + 1).on(node).seen());
}

/// What was said of bindings since the last call.
fn compared(c: &mut Cluster) -> Vec<Comparison> {
    let observations = c.engine.take_observations().into_iter();
    let compared = observations.filter_map(|observation| match observation {
        Observation::Compared(comparison) => Some(*comparison),
        _ => None,
    });
    compared.collect()
}

/// What is said of the node that the other puts a pod on.
fn said_of(c: &mut Cluster, pod: &Pod, node: &str) -> Compared {
    c.add([pod]);
    bind(c, pod, node);
    let mut said = compared(c);
    assert_eq!(said.len(), 1, "{said:?}");
    let said = said.remove(0);
    assert_eq!((&*said.pod.name, said.scheduler.as_str(), said.node.as_str()), (&*pod.name, THEIRS, node));
    said.compared
}

/// The pods at rest, with their nodes.
fn resting(c: &Cluster) -> BTreeMap<String, String> {
    c.engine.resting().map(|(info, node)| (info.pod.key.name.to_string(), node.to_string())).collect()
}

fn attempts(c: &mut Cluster) -> Vec<AttemptResult> {
    let observations = c.engine.take_observations().into_iter();
    let attempts = observations.filter_map(|observation| match observation {
        Observation::Attempt { result, .. } => Some(result),
        _ => None,
    });
    attempts.collect()
}

/// Nothing is on its way to the API server, and nothing is kept that it does not know of.
fn assert_harmless(c: &Cluster) {
    assert!(c.binds.is_empty() && c.writes.is_empty() && c.evictions.is_empty() && c.asks.is_empty());
    assert!(c.statuses.iter().all(|status| status.nominated_node_name.is_none()), "{:?}", c.statuses);
    assert!(c.engine.cache().iter().all(|known| !matches!(known.standing, Standing::Assumed(_))));
    assert_eq!((c.engine.bindings_under_way(), c.engine.waiting_on_permit()), (0, 0));
}

// --- comparisons ---

fn scores(ours: &str, our_score: i64, their_score: i64) -> Scores {
    let differences = vec![("MostFree", our_score, their_score)];
    Scores { ours: ours.into(), our_score, their_score, differences }
}

#[test]
fn every_result() {
    let nodes = [node("best").cpu(9_000), node("n2"), node("n3"), node("tainted").taint("gpu")];
    let (all, without_best) = (&nodes[..], &nodes[1..]);
    let asks = |name: &str| theirs(name).cpu(100);
    for (nodes, pod, node, expect) in [
        (all, asks("a"), "best", "same"),
        (without_best, asks("b"), "n2", "same"),
        (without_best, asks("c"), "n3", "equal_score"),
        (all, asks("d").nominated("n3"), "best", "better"),
        (all, asks("e"), "n2", "worse"),
        (all, asks("f"), "tainted", "infeasible"),
        (all, asks("g").cpu(20_000), "n2", "infeasible"),
        (&[], asks("h"), "n2", "undecided"),
        (all, asks("i"), "elsewhere", "undecided"),
        (all, asks("j").with(|p| p.fault = Some("cpu is no number")), "n2", "undecided"),
        (all, asks("k").label("odd", ""), "n2", "undecided"),
    ] {
        let mut c = shadow(nodes);
        let said = said_of(&mut c, &pod, node);
        assert_eq!(said.as_str(), expect, "{}: {said:?}", pod.name);
        assert_harmless(&c);
    }
}

#[test]
fn scores_come_with_the_plugins_that_make_the_difference() {
    let nodes = [node("best").cpu(9_000), node("n2"), node("n3")];
    let small = || theirs("p").cpu(100);
    assert_eq!(said_of(&mut shadow(&nodes), &small(), "n2"), Compared::Worse(scores("best", 98, 90)));
    // Without the best, two are alike.
    let equal = Compared::EqualScore { ours: "n2".into() };
    assert_eq!(said_of(&mut shadow(&nodes[1..]), &small(), "n3"), equal);
    // It is avoided here, and they do not know why.
    let mut c = shadow(&nodes);
    c.tell(Event::RefusedByKubelet(Box::new(KubeletRefusal {
        key: pod("refused").info().key,
        node: "best".into(),
        kind: RefusalKind::of("OutOfcpu"),
        message: "OutOfcpu: Pod was rejected".into(),
    })));
    assert_eq!(said_of(&mut c, &small(), "best"), Compared::Better(scores("n2", 90, 98)));
    // Kept for the pod by the other, which then thinks better of it.
    let kept = small().nominated("n3");
    assert_eq!(said_of(&mut shadow(&nodes), &kept, "best"), Compared::Better(scores("n3", 90, 98)));
    assert_eq!(said_of(&mut shadow(&nodes), &kept, "n3"), Compared::Same);
}

#[test]
fn an_infeasible_node_comes_with_who_turned_the_pod_away_and_why() {
    let nodes = [node("n1"), node("tainted").taint("gpu").cpu(9_000)];
    let by = |compared: Compared| match compared {
        Compared::Infeasible { ours, by } => (ours.map(|node| node.to_string()), by.plugin, by.reasons.join(", ")),
        other => panic!("{other:?}"),
    };
    let small = by(said_of(&mut shadow(&nodes), &theirs("p").cpu(100), "tainted"));
    assert_eq!((small.0.as_deref(), small.1), (Some("n1"), "Tainted"));
    let large = by(said_of(&mut shadow(&nodes), &theirs("p").cpu(5_000), "n1"));
    assert_eq!(large, (None, "Fit", "Insufficient cpu".to_owned()));
}

#[test]
fn a_binding_is_compared_on_the_state_just_before_it() {
    let mut c = shadow(&[node("n1"), node("n2")]);
    // It fills its node, and is not in its own way.
    assert_eq!(said_of(&mut c, &theirs("a").cpu(1_000), "n1"), Compared::Same);
    // For the next one it is.
    let said = said_of(&mut c, &theirs("b").cpu(500), "n1");
    assert!(matches!(said, Compared::Infeasible { ours: Some(ref node), .. } if node.as_str() == "n2"), "{said:?}");
    // Nobody's drift: the table counts what the other has done, whatever was said of it.
    assert_eq!(c.engine.cache().pod_counts(), (2, 0));
    assert_sums(&c.engine);
}

#[test]
fn only_bindings_of_those_who_are_shadowed_are_compared_and_each_once() {
    let mut c = shadow(&[node("n1")]);
    let (ours, other) = (pod("ours"), pod("other").of("other"));
    c.add([&ours, &other]);
    bind(&mut c, &ours, "n1");
    bind(&mut c, &other, "n1");
    // Never seen without its node: nobody has decided about it here.
    c.tell(theirs("static").on("n1").seen());
    assert_eq!(compared(&mut c), []);
    let p = theirs("p");
    assert_eq!(said_of(&mut c, &p, "n1"), Compared::Same);
    c.tell(p.version(3).on("n1").label("changed", "").seen());
    assert_eq!(compared(&mut c), []);
}

#[test]
fn each_shadowed_scheduler_is_decided_by_the_profile_of_its_name_or_by_the_first() {
    let careless: Vec<_> = plugins::deciding().into_iter().filter(|plugin| plugin.name != "Fit").collect();
    let profiles = vec![profile("plimsoll", &plugins::deciding()), profile("careless", &careless)];
    let shadow = Some([THEIRS.into(), "careless".into()].into());
    let mut c = Cluster::with(profiles, log(), EngineSettings { shadow, ..settings() }, &[node("n1")]);
    let large = theirs("a").cpu(5_000);
    assert_eq!(said_of(&mut c, &large, "n1").as_str(), "infeasible");
    let large = pod("b").cpu(5_000).of("careless");
    c.add([&large]);
    bind(&mut c, &large, "n1");
    assert_eq!(compared(&mut c)[0].compared, Compared::Same);
    // Its own pods are nobody's: the profile lends its rules and nothing else.
    c.add([&pod("own")]);
    c.decide();
    assert_eq!(c.place(&pod("own")), None);
    assert_harmless(&c);
}

// --- pods that wait ---

#[test]
fn a_pod_with_a_place_rests_until_it_is_bound() {
    let mut c = shadow(&[node("n1")]);
    let (a, b) = (theirs("a").cpu(700), theirs("b").cpu(700));
    c.add([&a, &b]);
    c.decide();
    // Neither counts on the node, so that both have a place there.
    assert_eq!(resting(&c), [("a".to_owned(), "n1".to_owned()), ("b".to_owned(), "n1".to_owned())].into());
    assert_eq!(attempts(&mut c), [AttemptResult::Scheduled; 2]);
    assert_eq!((c.place(&a), c.engine.cache().pod_counts()), (None, (0, 0)));
    assert!(c.said().is_empty() && c.statuses.is_empty(), "there is nothing to be said of them");
    bind(&mut c, &a, "n1");
    assert_eq!(compared(&mut c)[0].compared, Compared::Same);
    assert_eq!(resting(&c).into_keys().collect::<Vec<_>>(), ["b"]);
    // The room is gone. That is found out when it has rested, and is said of it then.
    c.wait(9);
    c.decide();
    assert_eq!(resting(&c).len(), 1);
    c.wait(1);
    c.decide();
    assert_eq!((resting(&c).len(), c.place(&b)), (0, Some(Place::Unschedulable)));
    assert_eq!(c.condition(), ("Unschedulable", "0/1 nodes are available: 1 Insufficient cpu."));
    // From here on it waits as any other.
    c.tell(a.version(9).on("n1").deleted(9));
    c.wait(2);
    c.decide();
    assert_eq!(resting(&c).len(), 1);
    c.tell(b.deleted(9));
    assert_eq!((resting(&c).len(), c.engine.next_deadline().is_some_and(|at| at < common::at(20_000))), (0, false));
    assert_harmless(&c);
}

#[test]
fn a_pod_at_rest_is_decided_again_only_if_something_has_changed() {
    let mut c = shadow(&[node("n1")]);
    c.add([&theirs("a").cpu(100)]);
    c.decide();
    assert_eq!(attempts(&mut c).len(), 1);
    assert_eq!(c.engine.next_deadline(), Some(at(10_000)));
    c.wait(10);
    c.decide();
    assert_eq!(attempts(&mut c).len(), 0);
    assert_eq!(c.engine.next_deadline(), Some(at(20_000)));
    c.tell(node("n2").cpu(9_000).seen());
    c.wait(10);
    c.decide();
    assert_eq!(attempts(&mut c).len(), 1);
    assert_eq!(resting(&c)["a"], "n2");
}

#[test]
fn who_is_left_waiting_is_counted_after_a_while() {
    let mut c = shadow(&[node("n1")]);
    let left = |c: &Cluster| c.engine.left_waiting(c.now).into_values().collect::<Vec<_>>();
    let a = theirs("a").cpu(100);
    c.add([&a, &theirs("fits-nowhere").cpu(5_000), &theirs("gated").with(|p| p.gated = true)]);
    c.decide();
    assert_eq!(left(&c), [0], "it has just come");
    c.wait(5);
    c.add([&theirs("b")]);
    c.decide();
    c.wait(5);
    c.decide();
    assert_eq!(left(&c), [1]);
    // Found another place: it has had one all the time.
    c.tell(node("n2").cpu(4_000).seen());
    c.wait(10);
    c.decide();
    assert_eq!((left(&c), &*resting(&c)["a"]), (vec![2], "n2"));
    // Another pod by now, of which nothing is known from before.
    c.tell(a.version(2).label("new", "").seen());
    c.decide();
    assert_eq!((left(&c), resting(&c).len()), (vec![1], 2));
}

#[test]
fn a_pod_at_rest_that_changes_is_decided_again_unless_it_is_its_condition() {
    let mut c = shadow(&[node("n1"), node("n2")]);
    let a = theirs("a");
    c.add([&a]);
    c.decide();
    attempts(&mut c);
    let condition = Some(("Unschedulable".to_owned(), "the other says so".to_owned()));
    c.tell(a.clone().version(2).with(|p| p.condition = condition).seen());
    c.decide();
    assert_eq!((attempts(&mut c).len(), resting(&c).len()), (0, 1));
    c.tell(a.clone().version(3).nominated("n2").seen());
    c.decide();
    assert_eq!((attempts(&mut c).len(), &*resting(&c)["a"]), (1, "n2"));
    c.tell(a.clone().version(4).with(|p| p.terminating = true).seen());
    c.decide();
    assert_eq!((attempts(&mut c).len(), resting(&c).len()), (0, 0));
    c.tell(a.clone().deleted(5));
    assert_eq!(c.engine.cache().iter().count(), 0);
    assert_harmless(&c);
}

#[test]
fn nobody_is_asked_to_go() {
    let evictor = Extensions::of(Evictor).enqueue().pre_enqueue().post_filter().done();
    let plugins: Vec<_> = plugins::deciding().into_iter().chain([evictor]).collect();
    let mut c = Cluster::with(vec![profile("plimsoll", &plugins)], log(), settings(), &[node("n1")]);
    let small = theirs("small").cpu(900).on("n1");
    let urgent = theirs("urgent").cpu(900).priority(5);
    c.add([&small, &urgent]);
    c.decide();
    assert_eq!(c.place(&urgent), Some(Place::Unschedulable), "not held for the sake of anybody");
    assert!(c.engine.view().nominations().is_empty());
    assert_eq!(c.engine.preemptions_under_way(), 0);
    // The other has it done, says so, and is believed.
    c.tell(urgent.clone().version(2).nominated("n1").seen());
    c.tell(small.deleted(3));
    c.wait(2);
    c.decide();
    assert_eq!(resting(&c)["urgent"], "n1");
    bind(&mut c, &urgent.clone().version(3).nominated("n1"), "n1");
    assert_eq!(compared(&mut c)[0].compared, Compared::Same);
    assert_harmless(&c);
}

#[test]
fn a_gang_has_a_place_as_a_whole_or_none_and_is_decided_again_as_a_whole() {
    let member = |gang: &str, n: usize| {
        let made = theirs(&format!("{gang}-{n}")).cpu(400);
        made.label("plimsoll/gang", gang).label("plimsoll/gang-size", "3")
    };
    let small: Vec<Pod> = (0..3).map(|n| member("g", n)).collect();
    let mut c = shadow(&[node("n1"), node("n2")]);
    c.add(&small);
    c.decide();
    assert_eq!(resting(&c).len(), 3);
    assert_eq!(attempts(&mut c), [AttemptResult::Scheduled; 3]);
    // One of them is decided again: all are.
    c.tell(small[0].clone().version(2).label("new", "").seen());
    c.decide();
    assert_eq!((resting(&c).len(), attempts(&mut c).len()), (3, 3));
    c.tell(theirs("in-the-way").cpu(700).on("n1").seen());
    c.wait(10);
    c.decide();
    assert_eq!(resting(&c).len(), 0);
    let (reason, text) = c.condition();
    assert_eq!(reason, "Unschedulable");
    assert!(text.starts_with("pod group is unschedulable: of 3 pods of default/g"), "{text}");
    // The other places two of them. The last may go alone.
    for (pod, node) in [(&small[1], "n2"), (&small[2], "n2")] {
        bind(&mut c, pod, node);
    }
    assert!(compared(&mut c).iter().all(|c| matches!(c.compared, Compared::Same)));
    c.tell(node("n3").seen());
    c.wait(10);
    c.decide();
    assert_eq!(resting(&c).into_iter().collect::<Vec<_>>(), [("g-0".to_owned(), "n3".to_owned())]);
    assert_harmless(&c);
}

// --- another scheduler of the same rules ---

/// A scheduler and one that shadows it, told the same.
struct Pair {
    other: Cluster,
    shadow: Cluster,
    version: u64,
    pods: BTreeMap<String, Pod>,
}

impl Pair {
    fn tell(&mut self, event: impl Fn() -> Event) {
        self.other.tell(event());
        self.shadow.tell(event());
    }

    fn write(&mut self, mut pod: Pod) {
        self.version += 1;
        pod.version = self.version;
        self.pods.insert(pod.name.clone(), pod.clone());
        self.tell(|| pod.seen());
    }

    /// The scheduler places one pod, and is done with it before it looks at the next.
    fn place_one(&mut self) -> bool {
        if !self.other.engine.decide_next(self.other.now) {
            return false;
        }
        self.other.gather();
        if let Some(request) = self.other.binds.first() {
            let (name, node) = (request.pod.key.name.to_string(), request.node.to_string());
            self.other.answer(&name, BindResult::Bound);
            let bound = self.pods[&name].clone().on(&node);
            self.write(bound);
        }
        true
    }
}

#[test]
fn the_same_rules_one_pod_at_a_time_come_to_the_same_or_as_good() {
    let mut placed = 0;
    for seed in 0..40 {
        let dice = &mut Dice::new(seed);
        let profiles = || vec![profile(THEIRS, &plugins::deciding())];
        let rules = |shadow, seed| EngineSettings { shadow, seed, ..EngineSettings::default() };
        let other = Cluster::with(profiles(), log(), rules(None, seed), &[]);
        let shadow = Cluster::with(profiles(), log(), rules(Some([THEIRS.into()].into()), !seed), &[]);
        let mut pair = Pair { other, shadow, version: 1, pods: BTreeMap::new() };
        for n in 0..8 {
            let taint = dice.once_in(4);
            let made = node(&format!("n{n}")).cpu(i64::try_from(dice.between(1, 3)).unwrap() * 500);
            let made = if taint { made.taint("gpu") } else { made }.zone(["a", "b", "c"][dice.index(3)]);
            pair.tell(|| made.seen());
        }
        for step in 0..150 {
            match dice.below(8) {
                0..3 => {
                    let mut made = theirs(&format!("p{step}")).cpu(i64::try_from(dice.below(5)).unwrap() * 100);
                    made.port = dice.once_in(6).then_some(80);
                    made.tolerates = dice.once_in(3).then_some("gpu");
                    for (label, value) in [("apart", "x"), ("crowd", "")] {
                        if dice.once_in(4) {
                            made = made.label(label, value);
                        }
                    }
                    pair.write(made);
                }
                3 if !pair.pods.is_empty() => {
                    let gone = pair.pods.keys().nth(dice.index(pair.pods.len())).unwrap().clone();
                    let gone = pair.pods.remove(&gone).unwrap();
                    pair.version += 1;
                    let version = pair.version;
                    pair.tell(|| gone.deleted(version));
                }
                4 => {
                    pair.other.wait(1);
                    pair.shadow.wait(1);
                }
                // The one that shadows is not in step with the other.
                5 => pair.shadow.decide(),
                _ => drop(pair.place_one()),
            }
        }
        while pair.place_one() {}
        let bound = pair.other.engine.take_observations();
        let bound = bound.iter().filter(|o| matches!(o, Observation::Scheduled { .. })).count();
        let said = compared(&mut pair.shadow);
        assert_eq!(said.len(), bound, "seed {seed}");
        placed += bound;
        for comparison in said {
            assert!(
                matches!(comparison.compared, Compared::Same | Compared::EqualScore { .. }),
                "{seed}: {comparison:?}"
            );
        }
        assert_harmless(&pair.shadow);
        assert_sums(&pair.shadow.engine);
    }
    assert!(placed > 500, "{placed}");
}
