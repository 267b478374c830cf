//! What PodTopologySpread and InterPodAffinity say of all nodes at once is what they say of each.

#![allow(clippy::unwrap_used, reason = "a test from end to end")]

use std::sync::Arc;

use plimsoll_framework::extensions::{BoundScoring, Extensions};
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindId, KindRef, ObjectKey};
use plimsoll_framework::plugin::Extent;
use plimsoll_framework::pod::{PodInfo, PodParser};
use plimsoll_framework::table::{Row, Table, View, bits};
use plimsoll_framework::topology::Levels;
use plimsoll_framework::verdict::Verdict;
use plimsoll_plugins::kinds::owners::Service;
use plimsoll_plugins::lookup;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const KEYS: [&str; 4] = ["topology.kubernetes.io/zone", "rack", "host", "kubernetes.io/hostname"];

/// Some nodes have no zone, or an empty one; racks are many; two nodes may go by one name.
fn node() -> impl Strategy<Value = Value> {
    let zone = prop_oneof![1 => Just(None), 12 => select(vec!["a", "b", "c"]).prop_map(Some)];
    (zone, 0..120_u32, prop_oneof![30 => Just(None), 1 => (0..9_u32).prop_map(Some)], any::<bool>()).prop_map(
        |(zone, rack, name, tainted)| {
            let mut labels = json!({"rack": format!("r{rack}")});
            if let Some(zone) = zone {
                labels[KEYS[0]] = zone.into();
            }
            let taints = if tainted { json!([{"key": "t", "effect": "NoSchedule"}]) } else { json!([]) };
            json!({"metadata": {"labels": labels}, "spec": {"taints": taints}, "name": name})
        },
    )
}

fn selector() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => select(vec!["x", "y"]).prop_map(|app| json!({"matchLabels": {"app": app}})),
        1 => Just(json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]})),
        1 => Just(json!({})),
    ]
}

fn term() -> impl Strategy<Value = Value> {
    (selector(), select(KEYS.to_vec()))
        .prop_map(|(selector, key)| json!({"topologyKey": key, "labelSelector": selector}))
}

fn side(most: usize) -> impl Strategy<Value = Value> {
    let wish = (1..100_i64, term()).prop_map(|(weight, term)| json!({"weight": weight, "podAffinityTerm": term}));
    (vec(term(), 0..=most), vec(wish, 0..3)).prop_map(|(required, preferred)| {
        json!({"requiredDuringSchedulingIgnoredDuringExecution": required,
               "preferredDuringSchedulingIgnoredDuringExecution": preferred})
    })
}

fn constraint() -> impl Strategy<Value = Value> {
    (selector(), select(KEYS.to_vec()), 1..3, any::<bool>(), proptest::option::of(1..5_i64)).prop_map(
        |(selector, key, skew, hard, min_domains)| {
            let mut constraint = json!({"labelSelector": selector, "topologyKey": key, "maxSkew": skew,
                "whenUnsatisfiable": if hard { "DoNotSchedule" } else { "ScheduleAnyway" }, "nodeTaintsPolicy": "Honor"});
            if let Some(min_domains) = min_domains.filter(|_| hard) {
                constraint["minDomains"] = min_domains.into();
            }
            constraint
        },
    )
}

fn pod(most: usize) -> impl Strategy<Value = Value> {
    let spread = prop_oneof![1 => Just(Vec::new()), 1 => vec(constraint(), 1..4)];
    (select(vec!["x", "y", "z"]), side(most), side(most), spread).prop_map(|(app, near, far, spread)| {
        json!({"metadata": {"namespace": "d", "labels": {"app": app}},
               "spec": {"affinity": {"podAffinity": near, "podAntiAffinity": far}, "topologySpreadConstraints": spread}})
    })
}

#[derive(Clone, Debug)]
struct World {
    nodes: Vec<Value>,
    running: Vec<(usize, Value)>,
    asked: Value,
    registered: bool,
    /// A node whose zone is empty, and one that has no name among its labels.
    odd: [Option<usize>; 2],
    feasible: Vec<u64>,
}

fn world() -> impl Strategy<Value = World> {
    let few = prop_oneof![1 => 0..20_usize, 1 => 0..150_usize];
    let running = few.prop_flat_map(|most| vec((any::<usize>(), pod(1)), 0..=most));
    let odd = [proptest::option::weighted(0.1, 0..200_usize), proptest::option::weighted(0.3, 0..200_usize)];
    let feasible = prop_oneof![1 => Just(vec![u64::MAX; 4]), 1 => vec(any::<u64>(), 4)];
    (vec(node(), 1..200), running, pod(1), any::<bool>(), odd, feasible).prop_map(
        |(nodes, running, asked, registered, odd, feasible)| World { nodes, running, asked, registered, odd, feasible },
    )
}

impl World {
    fn table(&self, plugins: &[Extensions]) -> (Table, PodInfo) {
        let mut parser = PodParser::default();
        let mut parse = |json: Value| parser.parse(&serde_json::from_value(json).unwrap());
        let mut table = Table::default();
        let kind = KindRef::of::<Service>();
        let service = (kind.decode)(&json!({"spec": {"selector": {"app": "z"}}})).unwrap();
        let key = ObjectKey { namespace: "d".into(), name: "z".into() };
        table.cluster_mut().set_object(KindId::of::<Service>(), key, Some(service));
        let asked = parse(self.asked.clone());
        for (at, node) in self.nodes.iter().enumerate() {
            // From half way on, what is counted is kept up to date.
            if self.registered && at == self.nodes.len() / 2 {
                register(&mut table, plugins, &asked);
            }
            self.set_node(&mut table, at, node);
        }
        for (at, (on, pod)) in self.running.iter().enumerate() {
            let mut pod = pod.clone();
            pod["metadata"]["uid"] = format!("running-{at}").into();
            table.add_pod(&format!("node-{}", on % self.nodes.len()).into(), Arc::new(parse(pod)));
        }
        for at in (0..self.nodes.len()).filter(|at| at % 7 == 3) {
            table.remove_node(&format!("node-{at}").into());
        }
        if self.registered {
            register(&mut table, plugins, &asked);
        }
        (table, asked)
    }

    fn set_node(&self, table: &mut Table, at: usize, node: &Value) {
        let mut node = node.clone();
        let name = format!("node-{at}");
        let labels = &mut node["metadata"]["labels"];
        labels["host"] = name.as_str().into();
        labels[KEYS[3]] = name.as_str().into();
        if self.odd[0] == Some(at) {
            labels[KEYS[0]] = "".into();
        }
        if self.odd[1] == Some(at) {
            labels.as_object_mut().unwrap().remove(KEYS[3]);
        }
        if let Some(shared) = node["name"].as_u64() {
            node["metadata"]["labels"]["host"] = format!("shared-{shared}").into();
        }
        node["metadata"]["name"] = name.into();
        table.set_node(Arc::new(NodeInfo::parse(&serde_json::from_value(node).unwrap(), &[]).0));
    }
}

fn register(table: &mut Table, plugins: &[Extensions], pod: &PodInfo) {
    let mut specs = Vec::new();
    for plugin in plugins {
        specs.extend(plugin.filter.iter().flat_map(|f| f.counters(pod, table.view())));
        specs.extend(plugin.score.iter().flat_map(|s| s.counters(pod, table.view())));
    }
    table.register(&specs);
}

fn rows(words: &[u64]) -> impl Iterator<Item = Row> + '_ {
    (0..).step_by(64).zip(words).flat_map(|(first, word)| bits(*word).map(move |lane| first + lane))
}

fn check_filter(plugin: &Extensions, view: &View, pod: &PodInfo, among: &[u64]) {
    let Some(bound) = plugin.filter.as_ref().unwrap().bind(pod, view) else { return };
    let mut fit = among.to_vec();
    assert!(bound.rows(&mut fit));
    let left = |row: &Row| bound.one(view, None, *row).fits();
    assert_eq!(rows(&fit).collect::<Vec<_>>(), rows(among).filter(left).collect::<Vec<_>>(), "{plugin:?}");
    for (first, lanes) in view.blocks() {
        let mut out = [Verdict::unschedulable(1 << (Verdict::REASONS - 1)); 64];
        bound.block(view, first, lanes, &mut out);
        for lane in bits(lanes) {
            assert_eq!(out[lane as usize], bound.one(view, None, first + lane), "{plugin:?} row {}", first + lane);
        }
    }
}

/// By levels, the raw scores of these rows.
fn by_levels(levels: &Levels, among: &[u64]) -> Vec<Option<i64>> {
    let raw = |row: Row| {
        let level = usize::from(levels.blocks()[row as usize / 64][row as usize % 64]);
        levels.raws().iter().find(|(at, _)| *at == level).unwrap().1
    };
    rows(among).map(raw).collect()
}

/// Whether the plugin sorted the nodes.
fn check_score(plugin: &Extensions, view: &View, pod: &PodInfo, among: &[u64], levels: &mut Levels) -> bool {
    let listed: Vec<Row> = rows(among).collect();
    let (sorted, expect) = match plugin.score.as_ref().unwrap().bind(pod, view) {
        BoundScoring::PerNode(bound) => {
            let one = |row: &Row| Some(bound.one(view, None, *row));
            for (first, lanes) in view.blocks() {
                let mut out = [-1; 64];
                bound.block(view, first, lanes, &mut out);
                bits(lanes).for_each(|lane| assert_eq!(Some(out[lane as usize]), one(&(first + lane))));
            }
            (bound.rows(among, levels), listed.iter().map(one).collect())
        }
        BoundScoring::OverFeasible(bound) => (bound.rows(among, levels), bound.all(view, None, &listed)),
        _ => return true,
    };
    if sorted {
        assert_eq!(by_levels(levels, among), expect, "{plugin:?}");
        let raws = levels.raws().iter().filter_map(|(_, raw)| *raw);
        assert_eq!(Extent::of(raws), Extent::of(expect.into_iter().flatten()), "no level is there without a node");
    }
    sorted
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn all_nodes_at_once_answer_as_each_does(world in world()) {
        let plugins = ["InterPodAffinity", "PodTopologySpread"].map(|name| (lookup(name).unwrap().build)(None).unwrap());
        let (table, pod) = world.table(&plugins);
        let view = table.view();
        let among: Vec<u64> = view.blocks().zip(&world.feasible).map(|((_, lanes), feasible)| lanes & feasible).collect();
        let mut levels = Levels::default();
        for plugin in &plugins {
            check_filter(plugin, view, &pod, &among);
            // Twice: what was there before must not be seen any more.
            for among in [&among, &vec![0; among.len()], &among] {
                check_score(plugin, view, &pod, among, &mut levels);
            }
        }
    }
}

/// Zone and node, as by default; a group whose pods keep apart: all that is asked for every day is sorted.
#[test]
fn what_is_usual_is_sorted() {
    let plugins = ["InterPodAffinity", "PodTopologySpread"].map(|name| (lookup(name).unwrap().build)(None).unwrap());
    let term = |key: &str| json!({"topologyKey": key, "labelSelector": {"matchLabels": {"app": "z"}}});
    let wish = |key: &str| json!([{"weight": 100, "podAffinityTerm": term(key)}]);
    let asked = json!({"metadata": {"namespace": "d", "labels": {"app": "z"}}, "spec": {"affinity": {
        "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": wish(KEYS[0])},
        "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": wish(KEYS[3])}}}});
    let zone = |at: usize| ["a", "b", "c"][at % 3];
    let world = World {
        nodes: (0..200).map(|at| json!({"metadata": {"labels": {KEYS[0]: zone(at)}}})).collect(),
        running: (0..90).map(|at| (at * at, asked.clone())).collect(),
        asked,
        registered: true,
        odd: [None, None],
        feasible: Vec::new(),
    };
    let (table, pod) = world.table(&plugins);
    let among: Vec<u64> = table.view().blocks().map(|(_, lanes)| lanes).collect();
    for plugin in &plugins {
        let mut levels = Levels::default();
        assert!(check_score(plugin, table.view(), &pod, &among, &mut levels));
        assert!(levels.raws().len() > 3, "{plugin:?}: {:?}", levels.raws());
    }
}
