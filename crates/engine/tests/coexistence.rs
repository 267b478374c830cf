//! Others on the same nodes: pods that kubelets refuse, nodes that are avoided, and pods that others place, nominate or
//! resize. With a hand-set clock.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test from end to end")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use common::build::{Node, Pod, node, pod};
use common::cluster::{Cluster, log};
use common::inspect::assert_sums;
use common::plugins::{self, Evictor};
use common::{at, profile};
use plimsoll_engine::decide::{Outcome, TieBreak, Worker};
use plimsoll_engine::effect::Observation;
use plimsoll_engine::engine::{EngineSettings, HandOut};
use plimsoll_engine::event::{BindResult, Event};
use plimsoll_engine::headroom::{Headroom, Pool};
use plimsoll_engine::memo::MemoSettings;
use plimsoll_engine::profile::Profile;
use plimsoll_engine::queue::Place;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{Extent, Filter, Plugin, Score};
use plimsoll_framework::pod::{KubeletRefusal, PodSpecInfo, RefusalKind};
use plimsoll_framework::read::{Allocatable, Name, Of, Spec};
use plimsoll_framework::resources::Resources;
use plimsoll_framework::verdict::Verdict;
use plimsoll_testkit::Dice;

const COOLDOWN: Duration = Duration::from_secs(30);

fn settings() -> EngineSettings {
    EngineSettings { tie_break: TieBreak::Name, refusal_cooldown: COOLDOWN, ..EngineSettings::default() }
}

fn cluster(settings: EngineSettings, nodes: &[Node]) -> Cluster {
    Cluster::with(vec![profile("plimsoll", &plugins::deciding())], log(), settings, nodes)
}

fn refused(name: &str, node: &str) -> Event {
    Event::RefusedByKubelet(Box::new(KubeletRefusal {
        key: pod(name).info().key,
        node: node.into(),
        kind: RefusalKind::of("OutOfcpu"),
        message: "OutOfcpu: Pod was rejected".into(),
    }))
}

fn pool(zone: Option<&str>, milli_cpu: i64, memory_bytes: i64) -> Pool {
    let free = Resources { milli_cpu, memory_bytes, ..Resources::default() };
    Pool { node_selector: zone.iter().map(|zone| (Istr::new("zone"), Istr::new(zone))).collect(), free }
}

/// Where a new pod goes.
fn goes(c: &mut Cluster, pod: Pod) -> String {
    let before = c.binds.len();
    c.add([&pod]);
    c.decide();
    c.binds[before..].first().map_or_else(|| "nowhere".to_owned(), |bind| bind.node.to_string())
}

// --- pods that kubelets refuse ---

#[test]
fn the_node_of_a_refused_pod_is_avoided_until_its_time_is_over() {
    let mut c = cluster(settings(), &[node("n1").cpu(9_000), node("n2")]);
    assert_eq!(goes(&mut c, pod("a").cpu(10)), "n1", "it has most room");
    c.tell(refused("a", "n1"));
    let counted = |o: &Observation| matches!(o, Observation::RefusedByKubelet { kind: "OutOfcpu" });
    assert_eq!(c.engine.take_observations().iter().filter(|o| counted(o)).count(), 1);
    assert_eq!(goes(&mut c, pod("b").cpu(10)), "n2");
    assert_eq!(c.engine.next_deadline(), Some(at(30_000)));
    c.wait(29);
    assert_eq!(goes(&mut c, pod("c").cpu(10)), "n2");
    c.wait(1);
    assert_eq!(goes(&mut c, pod("d").cpu(10)), "n1");
    assert!(c.engine.view().avoided().is_empty());
    assert_eq!(c.engine.next_deadline(), None);
}

#[test]
fn another_refusal_begins_the_time_anew() {
    let mut c = cluster(settings(), &[node("n1").cpu(9_000), node("n2")]);
    c.tell(refused("a", "n1"));
    c.wait(20);
    c.tell(refused("b", "n1"));
    c.wait(29);
    assert_eq!(goes(&mut c, pod("c").cpu(10)), "n2");
    c.wait(1);
    assert_eq!(goes(&mut c, pod("d").cpu(10)), "n1");
}

#[test]
fn what_fits_nowhere_else_is_placed_there_all_the_same() {
    let mut c = cluster(settings(), &[node("n1").cpu(9_000), node("n2")]);
    c.tell(refused("a", "n1"));
    assert_eq!(goes(&mut c, pod("large").cpu(2_000)), "n1");
    assert_eq!(goes(&mut c, pod("fills").cpu(900)), "n2");
    assert_eq!(goes(&mut c, pod("late").cpu(200)), "n1", "the other is full by now");
    c.tell(refused("b", "n2"));
    assert_eq!(goes(&mut c, pod("any").cpu(10)), "n1", "where all are avoided, none is");
    assert_sums(&c.engine);
}

#[test]
fn a_score_is_that_among_the_nodes_that_are_left() {
    let mut c = cluster(settings(), &[node("n1").cpu(9_000), node("n2"), node("n3").cpu(2_000)]);
    c.tell(refused("a", "n1"));
    assert_eq!(goes(&mut c, pod("p").cpu(100)), "n3");
    assert_eq!(c.binds[0].score, Some(95));
    c.tell(refused("b", "n3"));
    assert_eq!(goes(&mut c, pod("q").cpu(100)), "n2");
    assert_eq!(c.binds[1].score, None, "it is the only one that is left");
}

#[test]
fn nothing_is_avoided_where_that_is_switched_off_or_nobody_knows_the_node() {
    let off = EngineSettings { refusal_cooldown: Duration::ZERO, ..settings() };
    for (settings, name) in [(off, "n1"), (settings(), "elsewhere")] {
        let mut c = cluster(settings, &[node("n1").cpu(9_000), node("n2")]);
        c.tell(refused("a", name));
        assert_eq!(c.engine.take_observations().len(), 1, "it is counted");
        assert_eq!((goes(&mut c, pod("b").cpu(10)), c.engine.next_deadline()), ("n1".to_owned(), None));
    }
}

#[test]
fn a_node_that_comes_back_is_another_one() {
    let mut c = cluster(settings(), &[node("n1").cpu(9_000), node("n2")]);
    c.tell(refused("a", "n1"));
    c.tell(node("n1").deleted());
    assert_eq!(c.engine.next_deadline(), None);
    // It may take over the row.
    c.tell(node("n3").cpu(8_000).seen());
    assert_eq!(goes(&mut c, pod("b").cpu(100)), "n3");
    c.tell(node("n1").cpu(9_000).version(2).seen());
    assert_eq!(goes(&mut c, pod("c").cpu(100)), "n1");
}

#[test]
fn a_change_of_the_node_does_not_end_it() {
    let mut c = cluster(settings(), &[node("n1").cpu(9_000), node("n2")]);
    c.tell(refused("a", "n1"));
    c.tell(node("n1").cpu(9_500).version(2).seen());
    assert_eq!(goes(&mut c, pod("b").cpu(10)), "n2");
}

#[test]
fn a_pod_goes_to_the_node_that_is_cleared_for_it() {
    let mut c = cluster(settings(), &[node("n1").cpu(9_000), node("n2")]);
    c.tell(refused("a", "n1"));
    assert_eq!(goes(&mut c, pod("p").cpu(10).nominated("n1")), "n1");
}

#[test]
fn pods_go_for_others_on_avoided_nodes_as_well() {
    let mut plugins = plugins::deciding();
    plugins.push(Extensions::of(Evictor).enqueue().pre_enqueue().post_filter().done());
    let mut c = Cluster::with(vec![profile("plimsoll", &plugins)], log(), settings(), &[node("n1"), node("n2")]);
    c.add(&[pod("low").cpu(900).on("n1"), pod("high").cpu(900).priority(9).on("n2")]);
    c.tell(refused("a", "n1"));
    assert_eq!(goes(&mut c, pod("p").cpu(500).priority(5)), "nowhere");
    assert_eq!(c.asked_to_go(), ["low for p"]);
    c.tell(pod("low").cpu(900).on("n1").deleted(9));
    c.wait(5);
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
}

#[test]
fn workers_avoid_what_their_view_shows() {
    let mut c = cluster(settings(), &[node("n1").cpu(9_000), node("n2")]);
    c.tell(refused("a", "n1"));
    c.add(&[pod("p").cpu(10), pod("q").cpu(900)]);
    let batch = c.engine.take_work(c.now, 2);
    let proposals = c.engine.new_worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &batch);
    c.engine.propose(c.now, proposals);
    c.gather();
    assert_eq!(c.bound(), ["p->n2", "q->n2"], "the view is as old as the refusal");
    let mut c = cluster(settings(), &[node("n1").cpu(9_000), node("n2")]);
    c.add(&[pod("p").cpu(10)]);
    let (batch, view) = (c.engine.take_work(c.now, 1), c.engine.view());
    c.tell(refused("a", "n1"));
    let proposals = c.engine.new_worker().decide_batch(&c.engine.profiles(), &view, &batch);
    c.engine.propose(c.now, proposals);
    c.gather();
    assert_eq!(c.bound(), ["p->n1"], "what is only preferred is not checked again");
    // Its owner decides what is at hand by what it knows itself.
    c.add(&[pod("q").cpu(10)]);
    assert!(matches!(c.engine.hand_out(c.now), HandOut::AtHand { .. }));
    c.gather();
    assert_eq!(c.bound(), ["p->n1", "q->n2"]);
}

#[test]
fn all_nodes_are_looked_at_while_some_are_avoided() {
    let mut deciding = profile("plimsoll", &plugins::deciding());
    deciding.percentage_of_nodes_to_score = 1;
    let nodes: Vec<Node> = (0..300).map(|i| node(&format!("n{i:03}"))).collect();
    let mut c = Cluster::with(vec![deciding], log(), settings(), &nodes);
    for i in 0..299 {
        c.tell(refused("a", &format!("n{i:03}")));
    }
    for i in 0..9 {
        assert_eq!(goes(&mut c, pod(&format!("p{i}")).cpu(10)), "n299");
    }
}

/// One of a gang of two pods.
fn member(name: &str) -> Pod {
    pod(name).cpu(600).label("plimsoll/gang", "g").label("plimsoll/gang-size", "2")
}

#[test]
fn a_gang_that_has_no_room_elsewhere_takes_what_is_avoided() {
    // The first would leave the node that is avoided to the second, which may not go there.
    let first = member("first").priority(1).with(|p| p.tolerates = Some("gpu"));
    let mut c = cluster(settings(), &[node("n1").taint("gpu"), node("n2")]);
    c.tell(refused("a", "n1"));
    c.add(&[first, member("second")]);
    c.decide();
    assert_eq!(c.bound(), ["first->n1", "second->n2"]);
    // Where there is room without, it is avoided by gangs as well.
    let mut c = cluster(settings(), &[node("n1"), node("n2"), node("n3")]);
    c.tell(refused("a", "n1"));
    c.add(&[member("first"), member("second")]);
    c.decide();
    assert_eq!(c.bound(), ["first->n2", "second->n3"]);
}

// --- what is to stay free ---

fn with_headroom(pools: &[Pool], nodes: &[Node]) -> Cluster {
    cluster(EngineSettings { headroom: Headroom(pools.into()), ..settings() }, nodes)
}

#[test]
fn what_is_to_stay_free_stays_free_while_there_is_room_elsewhere() {
    let nodes = [node("n1").cpu(10_000), node("n2").zone("b").cpu(1_200)];
    let mut c = with_headroom(&[pool(Some("a"), 2_000, 0)], &nodes);
    assert_eq!(goes(&mut c, pod("p").cpu(6_900)), "n1");
    assert_eq!(goes(&mut c, pod("q").cpu(1_100)), "n1", "20 % are left there, just as much as is to be left");
    c.add(&[pod("theirs").of("other").cpu(1_000).on("n2")]);
    assert_eq!(goes(&mut c, pod("r").cpu(100)), "n2", "8 % are left there, but nothing has to be");
    assert_eq!(goes(&mut c, pod("s").cpu(200)), "n1", "it is the only place that is left");
    c.tell(pod("q").cpu(1_100).on("n1").deleted(9));
    assert_eq!(goes(&mut c, pod("t").cpu(100)), "n1", "there is more than that again");
    assert_sums(&c.engine);
}

#[test]
fn a_pod_takes_nothing_of_what_it_does_not_ask_for() {
    let nodes = [node("n1").cpu(400), node("n2").zone("b").cpu(300)];
    let mut c = with_headroom(&[pool(Some("a"), 500, 0)], &nodes);
    assert_eq!(goes(&mut c, pod("p").cpu(10)), "n2");
    let memory = |name: &str| pod(name).with(|p| p.memory_bytes = 10);
    assert_eq!(goes(&mut c, memory("q")), "n1");
    // Several pools: each counts on its nodes.
    let mut c = with_headroom(&[pool(None, 100, 0), pool(Some("a"), 0, 995)], &nodes);
    assert_eq!(goes(&mut c, pod("p").cpu(10)), "n1");
    assert_eq!(goes(&mut c, memory("q")), "n2");
    assert_eq!(goes(&mut c, pod("r").cpu(250)), "n1", "it leaves 140 there, and would leave 50 here");
}

#[test]
fn pods_of_one_gang_leave_room_together() {
    let nodes = [node("n1").cpu(4_000), node("n2").zone("b").cpu(1_300)];
    for (free, second) in [(2_800, "second->n1"), (2_801, "second->n2")] {
        let mut c = with_headroom(&[pool(Some("a"), free, 0)], &nodes);
        c.add(&[member("first"), member("second")]);
        c.decide();
        assert_eq!(c.bound(), ["first->n1", second]);
    }
}

// --- any set of avoided nodes, against a model ---

/// Turns pods away from nodes of these names.
struct Excluding(BTreeSet<Istr>);
impl Plugin for Excluding {
    const NAME: &'static str = "Excluding";
}
impl Filter for Excluding {
    type Pod = Spec;
    type Cluster = ();
    type Node = Name;
    type State = ();
    fn prepare(&self, _: &PodSpecInfo, (): ()) -> Option<()> {
        Some(())
    }
    fn filter(&self, (): &(), name: Of<'_, Name>) -> Verdict {
        if self.0.contains(name) { Verdict::unschedulable(1) } else { Verdict::FITS }
    }
    fn reasons(&self, (): &(), _: u32) -> Vec<String> {
        vec!["excluded".to_owned()]
    }
}

/// Prefers nodes with much memory, compared with the other feasible ones.
struct Roomiest;
impl Plugin for Roomiest {
    const NAME: &'static str = "Roomiest";
}
impl Score for Roomiest {
    const NORMALIZED: bool = true;
    type Pod = Spec;
    type Cluster = ();
    type Node = Allocatable;
    type State = ();
    fn prepare(&self, _: &PodSpecInfo, (): ()) -> Option<()> {
        Some(())
    }
    fn score(&self, (): &(), has: Of<'_, Allocatable>) -> i64 {
        has.memory_bytes
    }
    fn normalize(&self, raw: i64, over: Extent) -> i64 {
        if over.max == over.min { 0 } else { (raw - over.min) * 100 / (over.max - over.min) }
    }
}

/// The profile of the model, without some nodes.
fn excluding(names: BTreeSet<Istr>) -> Profile {
    let mut plugins = vec![Extensions::of(Excluding(names)).filter().done(), Extensions::of(Roomiest).score().done()];
    plugins.extend(plugins::deciding());
    profile("plimsoll", &plugins)
}

struct Story {
    dice: Dice,
    /// The same cluster twice: with what is to be avoided, and without.
    avoiding: Cluster,
    plain: Cluster,
    nodes: Vec<Node>,
    pods: Vec<Pod>,
    pools: Vec<Pool>,
    cooling: BTreeSet<Istr>,
}

impl Story {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let nodes: Vec<Node> = (0..dice.between(1, 90))
            .map(|i| {
                let made =
                    node(&format!("n{i:02}")).zone(dice.pick::<&str>(&["a", "b", "c"])).cpu(*dice.pick(&[500, 1_000]));
                let made = if dice.once_in(4) { made.taint("gpu") } else { made };
                made.with(|n| n.memory_bytes = *dice.pick(&[800, 1_000, 1_200]))
            })
            .collect();
        let pools = (0..dice.below(3))
            .map(|_| {
                let zone = (!dice.once_in(3)).then(|| *dice.pick(&["a", "b"]));
                pool(zone, *dice.pick(&[0, 200, 500]), *dice.pick(&[0, 300]))
            })
            .collect::<Vec<Pool>>();
        let made = |pools: &[Pool]| {
            let mut plugins = vec![Extensions::of(Roomiest).score().done()];
            plugins.extend(plugins::deciding());
            let settings = EngineSettings { headroom: Headroom(pools.into()), seed, ..settings() };
            let settings = EngineSettings { tie_break: TieBreak::Random, ..settings };
            Cluster::with(vec![profile("plimsoll", &plugins)], log(), settings, &nodes)
        };
        let (avoiding, plain) = (made(&pools), made(&[]));
        Self { dice, avoiding, plain, nodes, pods: Vec::new(), pools, cooling: BTreeSet::new() }
    }

    fn pod(&mut self, name: &str) -> Pod {
        let dice = &mut self.dice;
        let made = pod(name).cpu(*dice.pick(&[0, 100, 300])).with(|p| p.memory_bytes = *dice.pick(&[0, 100, 400]));
        let made = made.with(|p| p.tolerates = dice.once_in(2).then_some("gpu"));
        let made = if dice.once_in(4) { made.label("apart", dice.pick::<&str>(&["x", "y"])) } else { made };
        if dice.once_in(4) { made.label("crowd", "") } else { made }
    }

    /// Something happens.
    fn step(&mut self, nth: usize) {
        let at = self.dice.index(self.nodes.len());
        let name = self.nodes[at].name.clone();
        if self.dice.once_in(3) {
            self.avoiding.tell(refused("some", &name));
            self.cooling.insert(name.as_str().into());
            return;
        }
        let there = self.pod(&format!("there-{nth}")).on(&name);
        self.avoiding.tell(there.seen());
        self.plain.tell(there.seen());
        self.pods.push(there);
    }

    /// The nodes to be avoided for a pod, found by a walk over all pods.
    fn avoided(&self, asked: &Pod, imagined: &[Pod]) -> BTreeSet<Istr> {
        let left = |node: &Node, of: fn(&Pod) -> i64, has: i64| {
            let there = self.pods.iter().chain(imagined).filter(|p| p.node.as_ref() == Some(&node.name));
            has - there.map(of).sum::<i64>() - of(asked)
        };
        let short = |node: &&Node| {
            self.pools.iter().any(|pool| {
                pool.node_selector.iter().all(|(_, zone)| *node.zone == **zone)
                    && (asked.milli_cpu > 0
                        && pool.free.milli_cpu > 0
                        && left(node, |p| p.milli_cpu, node.milli_cpu) < pool.free.milli_cpu
                        || asked.memory_bytes > 0
                            && pool.free.memory_bytes > 0
                            && left(node, |p| p.memory_bytes, node.memory_bytes) < pool.free.memory_bytes)
            })
        };
        let short = self.nodes.iter().filter(short).map(|node| Istr::new(&node.name));
        short.chain(self.cooling.iter().cloned()).collect()
    }

    /// Some pods on nodes that no view shows yet.
    fn imagine(&mut self) -> (Vec<Pod>, Overlay) {
        let mut overlay = Overlay::default();
        let count = if self.dice.once_in(2) { 0 } else { self.dice.below(4) };
        let mut imagined = Vec::new();
        for i in 0..count {
            let at = self.dice.index(self.nodes.len());
            let made = self.pod(&format!("imagined-{i}")).on(&self.nodes[at].name.clone());
            let view = self.avoiding.engine.view();
            let row = view.row(&self.nodes[at].name.as_str().into()).unwrap();
            overlay.add(&view, row, made.shared());
            imagined.push(made);
        }
        (imagined, overlay)
    }
}

#[test]
fn a_decision_is_the_best_of_what_need_not_be_avoided_or_of_all() {
    let (mut elsewhere, mut all_the_same) = (0, 0);
    for seed in 0..120 {
        let mut story = Story::new(seed);
        let mut kept = story.avoiding.engine.new_worker();
        let no_memo = MemoSettings { budget_bytes: 0, ..MemoSettings::default() };
        let mut fresh = story.avoiding.engine.new_worker().with_memo(no_memo);
        let profiles = [story.avoiding.engine.profiles(), story.plain.engine.profiles()];
        let asked: Vec<Pod> = (0..4).map(|i| story.pod(&format!("p{i}"))).collect();
        for nth in 0..40 {
            story.step(nth);
            let (asked, (imagined, overlay)) = (&asked[nth % asked.len()], story.imagine());
            let (info, draw) = (asked.shared(), nth as u64);
            let avoided = story.avoided(asked, &imagined);
            let (view, plain) = (story.avoiding.engine.view(), story.plain.engine.view());
            let model = |profile: &Profile| {
                // Overlays are of one table; the two have the same rows.
                let mut same = Overlay::default();
                overlay.deltas().iter().for_each(|delta| same.add(&plain, delta.row, Arc::clone(&delta.pod)));
                Worker::new(TieBreak::Random, seed).decide(profile, &plain, &same, &info, draw)
            };
            let all = model(&profiles[1][0]);
            let expected = match model(&excluding(avoided)) {
                Outcome::Unfit(_) => all.clone(),
                some => some,
            };
            elsewhere += usize::from(expected != all);
            all_the_same += usize::from(expected == all && matches!(&all, Outcome::Node { .. }));
            for worker in [&mut kept, &mut fresh] {
                let outcome = worker.decide(&profiles[0][0], &view, &overlay, &info, draw);
                assert_eq!(outcome, expected, "seed {seed}, step {nth}");
            }
        }
        assert_eq!(kept.memo_stats().mismatches, 0);
    }
    assert!(elsewhere > 500 && all_the_same > 500, "{elsewhere} went elsewhere, {all_the_same} did not");
}

// --- what others do with pods counts at once ---

#[test]
fn a_pod_that_another_scheduler_binds_takes_up_its_room_at_once() {
    let mut c = cluster(settings(), &[node("n1")]);
    let theirs = pod("theirs").of("other").cpu(800);
    c.add([&theirs]);
    c.add(&[pod("p").cpu(600)]);
    let batch = c.engine.take_work(c.now, 1);
    let proposals = c.engine.new_worker().decide_batch(&c.engine.profiles(), &c.engine.view(), &batch);
    // Between the decision and its commit.
    c.tell(theirs.clone().on("n1").version(2).seen());
    c.engine.propose(c.now, proposals);
    c.decide();
    assert_eq!((c.bound().len(), c.place(&pod("p"))), (0, Some(Place::Unschedulable)));
    c.tell(theirs.clone().on("n1").with(|p| p.finished = true).version(3).seen());
    c.decide();
    assert_eq!(c.bound(), ["p->n1"]);
    assert_sums(&c.engine);
}

#[test]
fn a_pod_that_is_resized_in_place_counts_as_it_is_now() {
    let mut c = cluster(settings(), &[node("n1")]);
    // Theirs, and ours while its binding is not answered yet.
    c.add(&[pod("theirs").of("other").cpu(200).on("n1"), pod("ours").cpu(200)]);
    c.decide();
    c.tell(pod("theirs").of("other").cpu(500).on("n1").version(2).seen());
    assert_eq!(goes(&mut c, pod("waits").cpu(400)), "nowhere");
    c.answer("ours", BindResult::Bound);
    c.tell(pod("ours").cpu(100).on("n1").version(3).seen());
    c.wait(10);
    c.decide();
    assert_eq!(c.bound(), ["waits->n1"]);
    assert_sums(&c.engine);
}

#[test]
fn a_nomination_by_another_scheduler_keeps_its_room() {
    let theirs = || pod("theirs").of("other").cpu(800).priority(5).nominated("n1");
    let mut c = cluster(settings(), &[node("n1"), node("n2").cpu(900)]);
    c.add([&theirs()]);
    assert_eq!(goes(&mut c, pod("p").cpu(500)), "n2");
    assert_eq!(goes(&mut c, pod("q").cpu(500)), "nowhere");
    // It goes elsewhere after all.
    c.tell(theirs().on("n9").version(2).seen());
    c.wait(10);
    c.decide();
    assert_eq!(c.bound(), ["p->n2", "q->n1"]);
}
