//! What the program counts step by step, against an oracle that counts everything anew: random clusters live through
//! random events, and random pods are decided on views taken at different times.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test, a failed step is a failed test")]

mod naive;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naive::clusters::{Story, profile};
use naive::decide::{Question, Rejected, Scores};
use naive::preemption::{Preemption, preempt};
use naive::{Cluster, Delta};
use plimsoll_engine::decide::{Outcome, Worker};
use plimsoll_engine::memo::MemoSettings;
use plimsoll_engine::profile::Profile;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::EvictionPolicy;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::View;

/// What was compared, so that a test that compares nothing is seen.
#[derive(Default, Debug)]
struct Compared {
    rejections: BTreeMap<&'static str, usize>,
    scores: BTreeMap<&'static str, usize>,
    cleared: usize,
    not_cleared: usize,
    chosen: usize,
}

/// A worker with the view it was last given, and what the oracle knew then.
struct Desk {
    worker: Worker,
    /// One that goes by what it knows and never compares.
    quick: Worker,
    /// One that compares and one that does not, where not every pod may be made to go.
    strict: [Worker; 2],
    view: View,
    cluster: Cluster,
}

impl Desk {
    fn new(story: &Story) -> Self {
        let unaudited = MemoSettings { audit_every: 0, ..MemoSettings::default() };
        let policy = EvictionPolicy { schedulers: Some(["plimsoll".into()].into()), strict_budgets: true };
        let strict = |settings| Worker::default().with_policy(policy.clone()).with_memo(settings);
        Self {
            worker: story.engine.new_worker(),
            quick: story.engine.new_worker().with_memo(unaudited),
            strict: [strict(MemoSettings::default()), strict(unaudited)],
            view: story.engine.view(),
            cluster: story.cluster.clone(),
        }
    }

    fn renew(&mut self, story: &Story) {
        self.view = story.engine.view();
        self.cluster = story.cluster.clone();
    }

    /// Asks about every node, and what could be done if none will do.
    fn explain(&mut self, profile: &Profile, pod: &PodInfo, compared: &mut Compared, what: &str) {
        let told = self.worker.explain(profile, &self.view, pod);
        let question = Question::new(&self.cluster, pod, Vec::new());
        let expect = question.nodes();
        let got = told.nodes.into_iter().map(|(node, answer)| {
            let scores = |s: plimsoll_engine::decide::NodeScores| s.plugins.into_iter().collect::<Scores>();
            let rejected = |v: plimsoll_engine::decide::NodeVerdict| Rejected {
                plugin: v.plugin,
                code: v.code,
                reasons: v.reasons.into_iter().collect::<BTreeSet<_>>(),
            };
            (node, answer.map(scores).map_err(rejected))
        });
        let got: BTreeMap<Istr, Result<Scores, Rejected>> = got.collect();
        for (node, expect) in &expect {
            assert_eq!(got.get(node), Some(expect), "{what} {node}\n{pod:?}");
            match expect {
                Ok(scores) => scores.keys().for_each(|plugin| *compared.scores.entry(plugin).or_default() += 1),
                Err(rejected) => *compared.rejections.entry(rejected.plugin).or_default() += 1,
            }
        }
        assert_eq!(got.len(), expect.len(), "{what}");
        let rejected: Option<BTreeMap<Istr, Rejected>> =
            expect.into_iter().map(|(node, answer)| Some((node, answer.err()?))).collect();
        let Some(rejected) = rejected.filter(|r| !r.is_empty()) else { return };
        let done = told.preemption.unwrap();
        let quick = self.quick.explain(profile, &self.view, pod).preemption;
        assert_eq!(quick.as_ref(), Some(&done), "{what}: by what is known, and the long way\n{pod:?}");
        let [long, short] = &mut self.strict;
        let (long, short) = (long.explain(profile, &self.view, pod), short.explain(profile, &self.view, pod));
        assert_eq!(short.preemption, long.preemption, "{what}: not all may go\n{pod:?}");
        match preempt(&question, &rejected) {
            Preemption::Nothing(why) => {
                assert_eq!((done.nominated_node, done.message), (None, why), "{what}\n{pod:?}");
                compared.not_cleared += 1;
            }
            Preemption::Clear(nodes) => {
                let mut victims: Vec<String> = done.victims.iter().map(|p| p.key.to_string()).collect();
                victims.sort();
                let node = done.nominated_node.unwrap_or_else(|| panic!("{what}: {} {nodes:?}", done.message));
                assert_eq!(nodes.get(&node), Some(&victims), "{what} {node}: {nodes:?}\n{pod:?}");
                compared.cleared += 1;
            }
        }
    }

    /// Decides while pods are imagined onto nodes and off them.
    fn decide(&mut self, profile: &Profile, pod: &PodInfo, imagined: Vec<Delta>, compared: &mut Compared, what: &str) {
        let mut overlay = Overlay::default();
        for delta in &imagined {
            let row = self.view.rows().find(|row| self.view.node(*row).is_some_and(|n| n.name == delta.node)).unwrap();
            match delta.sign {
                1 => overlay.add(&self.view, row, Arc::clone(&delta.pod)),
                _ => overlay.remove(&self.view, row, Arc::clone(&delta.pod)),
            }
        }
        // Scores are asked for only with pods put onto nodes; below nothing they mean nothing.
        let scored = imagined.iter().all(|delta| delta.sign > 0);
        let question = Question::new(&self.cluster, pod, imagined);
        self.one_by_one(profile, &question, &overlay, what);
        if scored {
            let answer = self.worker.decide(profile, &self.view, &overlay, pod, 1);
            choose(&question, answer, compared, what);
        }
    }

    /// Asks each filter about each node through the same overlay, without nominated pods.
    fn one_by_one(&self, profile: &Profile, question: &Question<'_>, overlay: &Overlay, what: &str) {
        let bound = profile.filter.iter().filter_map(|f| Some((f.name, f.plugin.bind(question.pod, &self.view)?)));
        let bound = bound.filter(|(_, filter)| filter.takes_part(&self.view, Some(overlay)));
        let filters: Vec<_> = bound.collect();
        for row in self.view.rows() {
            let node = self.view.node(row).unwrap();
            let got = filters.iter().find_map(|(plugin, filter)| {
                let verdict = filter.one(&self.view, Some(overlay), row);
                let reasons = || filter.reasons(verdict.reasons()).into_iter().collect();
                (!verdict.fits()).then(|| Rejected { plugin, code: verdict.code(), reasons: reasons() })
            });
            assert_eq!(got, question.without_nominated(node), "{what} {}\n{:?}", node.name, question.pod);
        }
    }
}

/// The best node is chosen, if there is one.
fn choose(question: &Question<'_>, answer: Outcome, compared: &mut Compared, what: &str) {
    let pod = question.pod;
    let nodes = question.nodes();
    let totals: BTreeMap<&Istr, i64> =
        nodes.iter().filter_map(|(node, a)| Some((node, a.as_ref().ok()?.values().sum()))).collect();
    match answer {
        Outcome::Node { node, score, .. } => {
            let total = totals.get(&node).copied();
            let best = totals.values().max().copied();
            assert_eq!(total, best, "{what} {node} of {totals:?}\n{pod:?}");
            assert!(score.is_none() || score == best, "{what} {node} {score:?} of {totals:?}\n{pod:?}");
            compared.chosen += 1;
        }
        Outcome::Unfit(_) => assert_eq!(totals, BTreeMap::new(), "{what}\n{pod:?}"),
        Outcome::Failed(message) => panic!("{what}: {message}"),
        Outcome::Ask { .. } => panic!("{what}: there are no extenders"),
    }
}

/// A few pods taken off nodes, and others put onto nodes, some of them back again.
fn imagine(story: &mut Story, cluster: &Cluster) -> Vec<Delta> {
    let mut deltas = Vec::new();
    let nodes: Vec<Istr> = cluster.nodes.keys().cloned().collect();
    if nodes.is_empty() {
        return deltas;
    }
    let there: Vec<_> = cluster.pods.values().filter(|(node, _)| cluster.nodes.contains_key(node)).cloned().collect();
    let taken_away = story.dice.once_in(2);
    for (node, pod) in there {
        if taken_away && story.dice.once_in(12) {
            deltas.push(Delta { node: node.clone(), pod: Arc::clone(&pod), sign: -1 });
            if story.dice.once_in(3) {
                deltas.push(Delta { node, pod, sign: 1 });
            }
        }
    }
    for _ in 0..story.dice.below(5) {
        let json = story.pod();
        deltas.push(Delta { node: story.dice.pick(&nodes).clone(), pod: story.parse(&json), sign: 1 });
    }
    deltas
}

/// A pod to be asked about, mostly a more important one than those that run; now and then one with a nominated node.
fn asked(story: &mut Story) -> Arc<PodInfo> {
    let mut json = story.asked();
    // Of few priorities, where it is to be found that what is known of one pod serves the next.
    let priority = if story.plain { *story.dice.pick(&[2, 8]) } else { story.dice.between(0, 8) };
    json["spec"]["priority"] = priority.into();
    if story.dice.once_in(5) {
        let nodes: Vec<Istr> = story.cluster.nodes.keys().cloned().collect();
        if !nodes.is_empty() {
            json["status"]["nominatedNodeName"] = (**story.dice.pick(&nodes)).into();
        }
    }
    story.parse(&json)
}

/// Lives through `rounds` events with this many workers.
fn live(seed: u64, nodes: u64, workers: usize, rounds: usize, compared: &mut Compared) {
    let mut story = Story::new(seed, nodes);
    live_on(&mut story, seed, workers, rounds, compared);
    assert!(story.engine.cache().table().registered() > 0, "seed {seed}: nothing is counted step by step");
}

fn live_on(story: &mut Story, seed: u64, workers: usize, rounds: usize, compared: &mut Compared) {
    let profile = profile();
    let mut desks: Vec<Desk> = (0..workers).map(|_| Desk::new(story)).collect();
    for round in 0..rounds {
        let what = format!("seed {seed} round {round}");
        story.step();
        let at = story.dice.index(desks.len());
        if !story.dice.once_in(4) {
            desks[at].renew(story);
        }
        if story.dice.once_in(3) {
            let Desk { worker, view, .. } = &mut desks[at];
            story.schedule(worker, view);
        }
        let pod = asked(story);
        if story.dice.once_in(3) {
            let imagined = imagine(story, &desks[at].cluster);
            let pod = PodInfo { nominated_node_name: None, ..(*pod).clone() };
            desks[at].decide(&profile, &pod, imagined, compared, &what);
        } else {
            desks[at].explain(&profile, &pod, compared, &what);
        }
    }
}

#[test]
fn decisions_are_those_of_the_oracle() {
    let mut compared = Compared::default();
    for seed in 0..60 {
        let nodes = 4 + seed % 17;
        live(seed, nodes, 1 + usize::try_from(seed % 8).unwrap(), 60, &mut compared);
    }
    for plugin in ["NodePorts", "NodeResourcesFit", "PodTopologySpread", "InterPodAffinity"] {
        assert!(compared.rejections.get(plugin).is_some_and(|n| *n >= 500), "{compared:?}");
    }
    for plugin in ["PodTopologySpread", "InterPodAffinity"] {
        assert!(compared.scores.get(plugin).is_some_and(|n| *n >= 2_000), "{compared:?}");
    }
    assert!(compared.cleared >= 70 && compared.not_cleared >= 100 && compared.chosen >= 100, "{compared:?}");
}

/// Who goes for whom where all that is known of nodes is used: kept from one search to the next, and told from sums.
#[test]
fn victims_are_those_of_the_oracle() {
    let mut compared = Compared::default();
    for seed in 2_000..2_100 {
        live_on(&mut Story::plain(seed, 4 + seed % 13), seed, 1, 120, &mut compared);
    }
    assert!(compared.cleared >= 300 && compared.not_cleared >= 1_000, "{compared:?}");
}

/// A label with more values than fit into one word of bits.
#[test]
fn many_domains_are_counted_as_few_are() {
    let mut compared = Compared::default();
    for seed in 1_000..1_004 {
        live(seed, 90, 2, 25, &mut compared);
    }
    assert!(compared.scores.values().sum::<usize>() >= 300, "{compared:?}");
}
