//! Counters that are kept up to date against counting anew, after every event of a random sequence.
//!
//! The oracle (`World`) walks lists of nodes and pods. It is asked for every spec, with and without an overlay, what the
//! counters of the table say, what a table on which nothing is registered says, and what views say that were taken
//! earlier and are held while the table goes on.

#![allow(clippy::unwrap_used, reason = "a failed unwrap in a helper fails the test that called it")]
#![allow(dead_code, reason = "of the sketches only the pods are used here")]

mod common;
mod sketches;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex};

use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{Filter, Plugin};
use plimsoll_framework::pod::{PodAffinityTerm, PodInfo, Uid};
use plimsoll_framework::read::{Block, ClusterOf, Terms, TopologyDomains, WholePod};
use plimsoll_framework::table::{Table, View};
use plimsoll_framework::toleration::tolerated;
use plimsoll_framework::topology::{
    Counted, CounterSpec, Domains, NodeFilter, PodMatcher, TermKind, Topology, Totals, terms_of,
};
use plimsoll_framework::verdict::Verdict;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

use sketches::clusters::{self, PodForm};

/// Count, least count, number of domains and total of every spec.
type Answers = Vec<(Option<i64>, Option<i64>, usize, i64)>;

type Seen = (Answers, BTreeSet<String>);

/// Asks for all specs on one node, and for the terms that select the pod.
#[derive(Clone, Default)]
struct Probe {
    specs: Vec<CounterSpec>,
    selecting: Arc<Mutex<Vec<String>>>,
    totals: Arc<Mutex<Vec<i64>>>,
    answers: Arc<Mutex<Answers>>,
}

impl Plugin for Probe {
    const NAME: &'static str = "Probe";
}

fn text((kind, term): &(TermKind, PodAffinityTerm)) -> String {
    format!("{kind:?} {term:?}")
}

impl Filter for Probe {
    type Pod = WholePod;
    type Cluster = Terms;
    type Node = TopologyDomains;
    type State = ();

    fn prepare(&self, pod: &PodInfo, terms: ClusterOf<'_, Terms>) -> Option<()> {
        *self.selecting.lock().unwrap() = terms.selecting(pod.into()).iter().map(text).collect();
        Some(())
    }
    fn counters(&self, (): &()) -> Vec<CounterSpec> {
        self.specs.clone()
    }
    fn takes_part(&self, (): &(), totals: Totals<'_>) -> bool {
        *self.totals.lock().unwrap() = (0..self.specs.len()).map(|nth| totals.total(nth)).collect();
        true
    }
    fn filter(&self, (): &(), domains: Domains<'_>) -> Verdict {
        let all = (0..self.specs.len())
            .map(|nth| (domains.count(nth), domains.least(nth), domains.domains(nth), domains.total(nth)));
        *self.answers.lock().unwrap() = all.collect();
        Verdict::FITS
    }
    fn filter_block(&self, (): &(), block: &Block<'_, TopologyDomains>, out: &mut [Verdict; 64]) {
        let cols = block.domains();
        for nth in 0..self.specs.len() {
            let mut counts = [0; 64];
            let lanes = cols.counts(nth, &mut counts);
            block.each(|lane, domains| {
                let count = (lanes >> lane & 1 == 1).then_some(counts[lane]);
                let of_node = (domains.count(nth), domains.least(nth), domains.domains(nth), domains.total(nth));
                assert_eq!((count, cols.least(nth), cols.domains(nth), cols.total(nth)), of_node);
                assert!(count.is_some() || counts[lane] == 0);
                out[lane] = Verdict::FITS;
            });
        }
    }
    fn reasons(&self, (): &(), _: u32) -> Vec<String> {
        Vec::new()
    }
}

/// A pod more or less on a node.
type Delta = (Istr, Arc<PodInfo>, i64);

/// The cluster as lists.
#[derive(Clone, Default)]
struct World {
    nodes: BTreeMap<Istr, Arc<NodeInfo>>,
    pods: BTreeMap<Uid, (Istr, Arc<PodInfo>)>,
    namespaces: BTreeMap<Istr, Arc<LabelSet>>,
}

impl World {
    fn counted_on(filter: &NodeFilter, node: &NodeInfo) -> bool {
        filter.keys.iter().all(|k| node.labels.get(k).is_some())
            && filter.affinity.as_ref().is_none_or(|a| a.matches(&node.name, &node.labels))
            && filter
                .tolerations
                .as_ref()
                .is_none_or(|own| node.taints.iter().all(|t| !t.effect.is_hard() || tolerated(own, t)))
    }

    fn selects(&self, m: &PodMatcher, pod: &PodInfo) -> bool {
        let by_labels = |s: &plimsoll_framework::labels::LabelSelector| {
            s.matches(&LabelSet::default()) || self.namespaces.get(&pod.key.namespace).is_some_and(|l| s.matches(l))
        };
        m.selector.as_ref().is_some_and(|s| s.matches(&pod.labels))
            && (m.namespaces.contains(&pod.key.namespace) || m.namespace_selector.as_ref().is_some_and(by_labels))
    }

    fn weight(&self, counted: &Counted, pod: &PodInfo) -> i64 {
        match counted {
            Counted::Pods(all) | Counted::Imagined(all) => i64::from(all.iter().all(|m| self.selects(m, pod))),
            Counted::Carriers(kind, term) => {
                i64::try_from(terms_of(pod).filter(|(k, t)| k == kind && *t == term).count()).unwrap()
            }
        }
    }

    fn domain<'n>(spec: &CounterSpec, node: &'n NodeInfo) -> Option<&'n Istr> {
        match &spec.topology {
            Topology::Node => Some(&node.name),
            Topology::Label(key) => node.labels.get(key),
        }
    }

    fn sums(&self, spec: &CounterSpec, deltas: &[Delta]) -> BTreeMap<Istr, i64> {
        let mut sums = BTreeMap::new();
        for (name, node) in &self.nodes {
            let Some(domain) = Self::domain(spec, node).filter(|_| Self::counted_on(&spec.nodes, node)) else {
                continue;
            };
            let sum = sums.entry(domain.clone()).or_default();
            for (_, pod) in self.pods.values().filter(|(on, _)| on == name) {
                if !(spec.live_only && pod.terminating || matches!(spec.counted, Counted::Imagined(_))) {
                    *sum += self.weight(&spec.counted, pod);
                }
            }
            for (_, pod, sign) in deltas.iter().filter(|(on, ..)| on == name) {
                *sum += sign * self.weight(&spec.counted, pod);
            }
        }
        sums
    }

    fn selecting(&self, pod: &PodInfo) -> BTreeSet<String> {
        let none = Arc::default();
        let labels = self.namespaces.get(&pod.key.namespace).unwrap_or(&none);
        let carriers = self.pods.values().filter(|(on, _)| self.nodes.contains_key(on));
        let carried = carriers.flat_map(|(_, p)| terms_of(p));
        let selecting = carried.filter(|(_, t)| {
            t.selector.as_ref().is_some_and(|s| s.matches(&pod.labels))
                && (t.namespaces.contains(&pod.key.namespace)
                    || t.namespace_selector.as_ref().is_some_and(|s| s.matches(labels)))
        });
        selecting.map(|(kind, term)| text(&(kind, term.clone()))).collect()
    }

    fn answers(&self, specs: &[CounterSpec], deltas: &[Delta]) -> BTreeMap<Istr, Answers> {
        let sums: Vec<_> = specs.iter().map(|s| self.sums(s, deltas)).collect();
        let of = |node: &NodeInfo| {
            let answer = |(spec, sums): (&CounterSpec, &BTreeMap<Istr, i64>)| {
                let count = Self::domain(spec, node).map(|d| sums.get(d).copied().unwrap_or(0));
                (count, sums.values().min().copied(), sums.len(), sums.values().sum())
            };
            specs.iter().zip(&sums).map(answer).collect()
        };
        self.nodes.iter().map(|(name, node)| (name.clone(), of(node))).collect()
    }

    /// The same as a table, on which nothing is registered.
    fn table(&self) -> Table {
        let pods = self.pods.values().map(|(on, pod)| (on.as_str(), pod));
        let mut table = common::table(self.nodes.values(), pods);
        for (name, labels) in &self.namespaces {
            table.set_namespace(name.clone(), Some(Arc::clone(labels)));
        }
        table
    }

    fn check(&self, view: &View, specs: &[CounterSpec], asker: &PodInfo, deltas: &[Delta], what: &str) {
        let probe = Probe { specs: specs.to_vec(), ..Probe::default() };
        let bound = common::filter(&Extensions::of(probe.clone()).filter().done(), asker, view).unwrap();
        let listed: Vec<String> = probe.selecting.lock().unwrap().clone();
        let selecting: BTreeSet<String> = listed.iter().cloned().collect();
        assert_eq!(selecting.len(), listed.len(), "{what}: a term is listed twice");
        assert_eq!(selecting, self.selecting(asker), "{what}: terms that select the pod");
        let rows: BTreeMap<Istr, u32> = view.rows().map(|r| (view.node(r).unwrap().name.clone(), r)).collect();
        assert!(rows.keys().eq(self.nodes.keys()));
        for (first, lanes) in view.blocks() {
            bound.block(view, first, lanes, &mut [Verdict::FITS; 64]);
        }
        let mut overlay = Overlay::default();
        // None; the first that is asked about; another one.
        for part in [0, deltas.len(), deltas.len() / 2] {
            overlay.clear();
            for (on, pod, sign) in &deltas[..part] {
                if *sign > 0 {
                    overlay.add(view, rows[on], Arc::clone(pod));
                } else {
                    overlay.remove(view, rows[on], Arc::clone(pod));
                }
            }
            bound.takes_part(view, Some(&overlay));
            let expect = self.answers(specs, &deltas[..part]);
            for (name, row) in &rows {
                bound.one(view, Some(&overlay), *row);
                assert_eq!(*probe.answers.lock().unwrap(), expect[name], "{what}: {name}, {part} imagined: {specs:#?}");
            }
            if let Some(any) = expect.values().next() {
                let totals: Vec<i64> = any.iter().map(|(.., total)| *total).collect();
                assert_eq!(*probe.totals.lock().unwrap(), totals, "{what}: totals");
            }
        }
    }
}

/// What a pod's plugins would have counted.
fn specs_of(pod: &PodInfo) -> Vec<CounterSpec> {
    let mut specs = Vec::new();
    let own = &pod.spec.pod_affinity;
    let label = |key: &Istr| Topology::Label(key.clone());
    let near = |matchers: Box<[PodMatcher]>, key: &Istr| CounterSpec {
        counted: Counted::Pods(matchers),
        topology: label(key),
        nodes: NodeFilter::default(),
        live_only: false,
    };
    let all: Box<[PodMatcher]> = own.required.iter().map(PodMatcher::from).collect();
    specs.extend(own.required.iter().map(|t| near(all.clone(), &t.topology_key)));
    for term in own.anti_required.iter().chain(own.preferred.iter().map(|t| &t.term)) {
        specs.push(near([PodMatcher::from(term)].into(), &term.topology_key));
    }
    let hard: Box<[Istr]> = pod.spec.spread.iter().filter(|c| c.hard).map(|c| c.topology_key.clone()).collect();
    for c in &pod.spec.spread {
        let namespaces = [pod.key.namespace.clone()].into();
        let matcher = PodMatcher { selector: c.selector.clone(), namespaces, namespace_selector: None };
        let counted = [matcher].into();
        let by_node = !c.hard && &*c.topology_key == "kubernetes.io/hostname";
        let nodes = NodeFilter {
            keys: if c.hard { hard.clone() } else { Box::default() },
            affinity: c.honor_node_affinity.then(|| pod.spec.node_affinity.clone()),
            tolerations: c.honor_node_taints.then(|| pod.spec.tolerations.clone()),
        };
        specs.push(CounterSpec {
            counted: if c.max_skew == 2 && c.hard { Counted::Imagined(counted) } else { Counted::Pods(counted) },
            topology: if by_node { Topology::Node } else { label(&c.topology_key) },
            nodes: if by_node { NodeFilter::default() } else { nodes },
            live_only: true,
        });
    }
    specs.extend(terms_of(pod).map(|(kind, term)| CounterSpec {
        counted: Counted::Carriers(kind, term.clone()),
        topology: label(&term.topology_key),
        nodes: NodeFilter::default(),
        live_only: false,
    }));
    specs
}

#[derive(Clone, Debug)]
struct NodeForm {
    zone: Option<&'static str>,
    rack: Option<&'static str>,
    host: Option<u8>,
    ssd: bool,
    tainted: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Node(Index, NodeForm),
    NoNode(Index),
    Pod(Index, PodForm),
    Terminate(Index),
    Relabel(Index, [Option<&'static str>; 3]),
    NoPod(Index),
    Namespace(&'static str, Option<&'static str>),
    NoNamespace(&'static str),
    /// The specs of this asker are registered.
    Register(Index),
    /// Those of this asker are registered so often that all others are forgotten, and the keys that only they name.
    Outlive(Index),
    Hold,
}

fn node_form() -> impl Strategy<Value = NodeForm> {
    let label = |values: &'static [&'static str]| prop::option::weighted(0.85, prop::sample::select(values));
    (label(&["a", "b", "c"]), label(&["r1", "r2"]), prop::option::weighted(0.9, 0_u8..90), any::<bool>(), any::<bool>())
        .prop_map(|(zone, rack, host, ssd, tainted)| NodeForm { zone, rack, host, ssd, tainted })
}

fn step() -> impl Strategy<Value = Step> {
    let i = any::<Index>;
    let namespace = || prop::sample::select(vec!["x", "y", "z"]);
    let one_of = |values: &'static [&'static str]| prop::option::of(prop::sample::select(values));
    let labels = (one_of(&["web", "db"]), one_of(&["j1", "j2"]), one_of(&["p1", "p2", "p9"]));
    prop_oneof![
        3 => (i(), node_form()).prop_map(|(n, form)| Step::Node(n, form)),
        1 => i().prop_map(Step::NoNode),
        6 => (i(), clusters::pod()).prop_map(|(n, form)| Step::Pod(n, form)),
        1 => i().prop_map(Step::Terminate),
        2 => (i(), labels).prop_map(|(p, (app, job, name))| Step::Relabel(p, [app, job, name])),
        2 => i().prop_map(Step::NoPod),
        1 => (namespace(), prop::sample::select(vec![None, Some("red")])).prop_map(|(n, team)| Step::Namespace(n, team)),
        1 => namespace().prop_map(Step::NoNamespace),
        2 => i().prop_map(Step::Register),
        1 => i().prop_map(Step::Outlive),
        1 => Just(Step::Hold),
    ]
}

struct Run {
    table: Table,
    world: World,
    held: Vec<(View, World)>,
    askers: Vec<Arc<PodInfo>>,
    /// Of all askers.
    specs: Vec<CounterSpec>,
    nodes: usize,
    made: usize,
}

impl Run {
    fn new(nodes: usize, askers: &[PodForm]) -> Self {
        let askers: Vec<_> = askers.iter().enumerate().map(|(i, form)| form.build(&format!("asker{i}"))).collect();
        let table = Table::default();
        let specs = askers.iter().flat_map(|a| specs_of(a)).collect();
        Self { table, world: World::default(), held: Vec::new(), askers, specs, nodes, made: 0 }
    }

    fn name(&self, index: Index) -> Istr {
        Istr::from(format!("n{}", index.index(self.nodes)))
    }

    fn some_pod(&self, index: Index) -> Option<(Istr, Arc<PodInfo>)> {
        let pods: Vec<_> = self.world.pods.values().collect();
        (!pods.is_empty()).then(|| index.get(&pods)).map(|p| (p.0.clone(), Arc::clone(&p.1)))
    }

    fn put(&mut self, on: Istr, pod: Arc<PodInfo>) {
        self.take(&pod.key.uid);
        self.table.add_pod(&on, Arc::clone(&pod));
        self.world.pods.insert(pod.key.uid.clone(), (on, pod));
    }

    fn take(&mut self, uid: &Uid) {
        if let Some((on, _)) = self.world.pods.remove(uid) {
            assert!(self.table.remove_pod(&on, uid));
        }
    }

    fn set_node(&mut self, name: Istr, form: &NodeForm) {
        let mut labels = json!({});
        let host = form.host.map(|h| format!("h{h}"));
        let pairs = [("zone", form.zone), ("rack", form.rack), ("kubernetes.io/hostname", host.as_deref())];
        for (key, value) in pairs.into_iter().chain([("disk", form.ssd.then_some("ssd"))]) {
            if let Some(value) = value {
                labels[key] = json!(value);
            }
        }
        let taints = if form.tainted { json!([{"key": "t", "effect": "NoSchedule"}]) } else { json!([]) };
        let metadata = json!({"name": name.as_str(), "labels": labels});
        let node = common::node(&json!({"metadata": metadata, "spec": {"taints": taints}}));
        self.table.set_node(Arc::clone(&node));
        self.world.nodes.insert(name, node);
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Node(n, form) => self.set_node(self.name(*n), form),
            Step::NoNode(n) => {
                let name = self.name(*n);
                self.table.remove_node(&name);
                self.world.nodes.remove(&name);
            }
            Step::Pod(n, form) => {
                self.made += 1;
                self.put(self.name(*n), form.build(&format!("p{}", self.made)));
            }
            Step::Terminate(p) => {
                if let Some((on, pod)) = self.some_pod(*p) {
                    self.put(on, Arc::new(PodInfo { terminating: true, ..PodInfo::clone(&pod) }));
                }
            }
            Step::Relabel(p, [app, job, name]) => {
                if let Some((on, pod)) = self.some_pod(*p) {
                    let labels = Arc::new(clusters::labels(*app, *job, *name));
                    self.put(on, Arc::new(PodInfo { labels, ..PodInfo::clone(&pod) }));
                }
            }
            Step::NoPod(p) => {
                if let Some((_, pod)) = self.some_pod(*p) {
                    self.take(&pod.key.uid);
                }
            }
            Step::Namespace(name, team) => {
                let labels: Arc<LabelSet> = Arc::new(team.iter().map(|team| ("team", team)).collect());
                self.table.set_namespace((*name).into(), Some(Arc::clone(&labels)));
                self.world.namespaces.insert((*name).into(), labels);
            }
            Step::NoNamespace(name) => {
                self.table.set_namespace((*name).into(), None);
                self.world.namespaces.remove(&Istr::from(*name));
            }
            Step::Register(asker) => {
                let specs = specs_of(&self.askers[asker.index(self.askers.len())]);
                let before = self.table.registered();
                let keys = self.table.register(&specs);
                assert!(self.table.registered() <= before + specs.len());
                assert!(self.table.renew(&keys));
            }
            Step::Outlive(asker) => {
                let specs = specs_of(&self.askers[asker.index(self.askers.len())]);
                let keys = self.table.register(&specs);
                (0..20_000).for_each(|_| assert!(self.table.renew(&keys)));
                let different: HashSet<&CounterSpec> = specs.iter().collect();
                assert_eq!(self.table.registered(), different.len(), "what nobody asks for is dropped");
            }
            Step::Hold => self.held.push((self.table.view().clone(), self.world.clone())),
        }
    }

    /// Some pods more and less on known nodes.
    fn deltas(&self, forms: &[(Index, PodForm)], away: &[Index]) -> Vec<Delta> {
        let names: Vec<&Istr> = self.world.nodes.keys().collect();
        if names.is_empty() {
            return Vec::new();
        }
        let added = forms.iter().enumerate().map(|(i, (on, form))| {
            let on = (*on.get(&names)).clone();
            (on, form.build(&format!("imagined{i}")), 1)
        });
        let mut deltas: Vec<Delta> = added.collect();
        let here: Vec<_> = self.world.pods.values().filter(|(on, _)| self.world.nodes.contains_key(on)).collect();
        if !here.is_empty() {
            let mut gone = BTreeSet::new();
            for (on, pod) in away.iter().map(|i| i.get(&here)) {
                if gone.insert(pod.key.uid.clone()) {
                    deltas.insert(deltas.len() / 2, (on.clone(), Arc::clone(pod), -1));
                }
            }
        }
        deltas
    }

    fn check(&self, deltas: &[Delta], nth: usize) {
        let asker = &self.askers[nth % self.askers.len()];
        self.world.check(self.table.view(), &self.specs, asker, deltas, "kept up to date");
        self.world.check(self.world.table().view(), &self.specs, asker, deltas, "counted when asked");
        for (view, world) in self.held.iter().rev().take(2) {
            world.check(view, &self.specs, asker, &[], "held");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counters_kept_up_to_date_equal_counting_anew(
        steps in vec(step(), 1..40),
        askers in vec(clusters::pod(), 1..5),
        imagined in vec((any::<Index>(), clusters::pod()), 0..4),
        away in vec(any::<Index>(), 0..4),
    ) {
        let mut run = Run::new(7, &askers);
        for (nth, step) in steps.iter().enumerate() {
            run.apply(step);
            run.check(&run.deltas(&imagined, &away), nth);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn many_domains_are_counted_like_few(
        nodes in vec(node_form(), 80..100),
        steps in vec(step(), 20..60),
        askers in vec(clusters::pod(), 1..5),
        imagined in vec((any::<Index>(), clusters::pod()), 1..4),
    ) {
        let mut run = Run::new(nodes.len(), &askers);
        for (nth, form) in nodes.iter().enumerate() {
            run.set_node(Istr::from(format!("n{nth}")), form);
        }
        for (nth, step) in steps.iter().enumerate() {
            run.apply(step);
            if nth % 8 == 7 {
                run.check(&run.deltas(&imagined, &[]), nth);
            }
        }
    }
}
