//! A plugin's answer for 64 nodes at once is its answer for each of them.

#![allow(clippy::unwrap_used, reason = "a test from end to end")]

use std::sync::Arc;

use plimsoll_framework::extensions::{BoundScoring, Extensions};
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::{PodInfo, PodParser};
use plimsoll_framework::table::{Table, View, bits};
use plimsoll_framework::verdict::Verdict;
use plimsoll_plugins::{IN_TREE, lookup};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Amounts around every edge: nothing, alike, and if `huge`, beyond what floating point holds exactly and beyond 64 bits.
fn amount(huge: bool) -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => (0..12_i64).prop_map(|n| n.to_string()),
        3 => (0..8_000_i64).prop_map(|n| format!("{n}m")),
        2 => (0..100_i64).prop_map(|n| format!("{n}Gi")),
        u32::from(huge) => (60..70_i64).prop_map(|n| format!("{n}Ti")),
        u32::from(huge) => Just("8Ei".to_owned()),
    ]
    .prop_map(Value::from)
}

fn amounts(huge: bool) -> impl Strategy<Value = Value> {
    let names = ["cpu", "memory", "ephemeral-storage", "example.com/gpu", "example.com/fpga", "hugepages-2Mi"];
    vec(proptest::option::weighted(0.7, amount(huge)), names.len()).prop_map(move |amounts| {
        names.iter().zip(amounts).filter_map(|(name, amount)| Some(((*name).to_owned(), amount?))).collect()
    })
}

fn some_of(values: &'static [Value]) -> impl Strategy<Value = Vec<Value>> {
    proptest::sample::subsequence(values, 0..=values.len())
}

fn leaked(values: Value) -> &'static [Value] {
    Vec::leak(values.as_array().unwrap().clone())
}

fn node(huge: bool) -> impl Strategy<Value = Value> {
    let taints = leaked(json!([
        {"key": "a", "effect": "NoSchedule"}, {"key": "b", "value": "1", "effect": "PreferNoSchedule"},
        {"key": "c", "effect": "NoExecute"}, {"key": "d", "effect": "PreferNoSchedule"},
        {"key": "a", "effect": "Unheard"},
    ]));
    let images = leaked(json!([
        {"names": ["x:1"], "sizeBytes": 30_000_000}, {"names": ["y:latest", "y:2"], "sizeBytes": 900_000_000},
        {"names": ["z:1"], "sizeBytes": 4_000_000_000_i64},
    ]));
    let rare = |strategy| prop_oneof![3 => Just(Vec::new()), 2 => strategy];
    let labels = proptest::sample::select(vec![
        json!({"zone": "a"}),
        json!({"zone": "b"}),
        json!({"zone": "a", "tier": "cronjob"}),
        json!({"zone": "a", "tier": "web"}),
        json!({"zone": "b", "tier": "control"}),
    ]);
    (amounts(huge), 0..5_i64, rare(some_of(taints)), some_of(images), proptest::bool::weighted(0.2), labels).prop_map(
        |(mut allocatable, pods, taints, images, unschedulable, labels)| {
            allocatable["pods"] = pods.to_string().into();
            json!({"metadata": {"labels": labels}, "spec": {"taints": taints, "unschedulable": unschedulable},
                   "status": {"allocatable": allocatable, "images": images}})
        },
    )
}

fn pod(huge: bool) -> impl Strategy<Value = Value> {
    let tolerations = leaked(json!([
        {"key": "a", "operator": "Exists"}, {"key": "b", "value": "1"}, {"key": "c", "effect": "NoExecute"},
        {"operator": "Exists"}, {"key": "d", "operator": "Exists", "effect": "NoSchedule"},
    ]));
    let image = proptest::sample::select(vec!["x:1", "y", "z:1", "none"]);
    let port = proptest::option::weighted(0.3, 80..83_i32);
    let selector = proptest::sample::select(vec![json!({"zone": "a"}), json!({"tier": "cronjob"})]);
    let affinity = json!({"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 3, "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}}]});
    (vec((amounts(huge), image, port), 1..3), some_of(tolerations), proptest::option::of(selector), any::<bool>())
        .prop_map(move |(containers, tolerations, selector, prefers)| {
            let container = |(requests, image, port): (Value, &str, Option<i32>)| {
                let ports: Vec<Value> = port.iter().map(|p| json!({"hostPort": p})).collect();
                json!({"image": image, "resources": {"requests": requests}, "ports": ports})
            };
            let containers: Vec<Value> = containers.into_iter().map(container).collect();
            let mut spec = json!({"containers": containers, "tolerations": tolerations});
            if let Some(selector) = selector {
                spec["nodeSelector"] = selector;
            }
            if prefers {
                spec["affinity"] = json!({"nodeAffinity": affinity});
            }
            json!({"spec": spec})
        })
}

/// The plugins as they are by default, and those with arguments in the shapes that are computed otherwise.
fn plugins() -> Vec<Extensions> {
    let resources = json!([{"name": "cpu", "weight": 3}, {"name": "memory", "weight": 1},
                           {"name": "ephemeral-storage", "weight": 1}, {"name": "example.com/gpu", "weight": 100}]);
    let shape = json!({"shape": [{"utilization": 0, "score": 3}, {"utilization": 40, "score": 10},
                                 {"utilization": 90, "score": 0}]});
    let fit = |kind: &str| {
        json!({"scoringStrategy": {"type": kind, "resources": resources,
                                                      "requestedToCapacityRatio": shape}})
    };
    let balance = json!({"resources": resources});
    let with = |name: &str, args: &Value| (lookup(name).unwrap().build)(Some(args)).unwrap();
    let mut plugins: Vec<_> = IN_TREE.iter().map(|entry| (entry.build)(None).unwrap()).collect();
    plugins.push(with("NodeResourcesBalancedAllocation", &balance));
    for kind in ["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"] {
        plugins.push(with("NodeResourcesFit", &fit(kind)));
    }
    plugins
}

/// A table of these nodes, with pods (given with where they are) on them; and the pod to place.
fn world(nodes: &[Value], running: &[(usize, Value)], asked: &Value) -> (Table, PodInfo) {
    let mut parser = PodParser::default();
    let mut parse = |json: Value| parser.parse(&serde_json::from_value(json).unwrap());
    let mut table = Table::default();
    let name = |at: usize| format!("node-{at}");
    let mut set = |at: usize, node: &Value| {
        let mut node = node.clone();
        node["metadata"]["name"] = name(at).into();
        table.set_node(Arc::new(NodeInfo::parse(&serde_json::from_value(node).unwrap(), &[]).0));
    };
    for (at, node) in nodes.iter().enumerate() {
        set(at, node);
    }
    // Some change: what they had before must not be seen any more.
    for at in (0..nodes.len()).filter(|at| at % 5 == 1) {
        set(at, &nodes[at / 2]);
    }
    for (at, (on, pod)) in running.iter().enumerate() {
        let mut pod = pod.clone();
        pod["metadata"]["uid"] = format!("running-{at}").into();
        table.add_pod(&name(on % nodes.len()).into(), Arc::new(parse(pod)));
    }
    // Free rows in the midst of others.
    for at in (0..nodes.len()).filter(|at| at % 7 == 3) {
        table.remove_node(&name(at).into());
    }
    (table, parse(asked.clone()))
}

fn check_filter(plugin: &Extensions, view: &View, pod: &PodInfo) {
    let Some(bound) = plugin.filter.as_ref().and_then(|filter| filter.bind(pod, view)) else { return };
    for (first, lanes) in view.blocks() {
        let mut out = [Verdict::unschedulable(1 << (Verdict::REASONS - 1)); 64];
        bound.block(view, first, lanes, &mut out);
        for lane in bits(lanes) {
            assert_eq!(out[lane as usize], bound.one(view, None, first + lane), "{plugin:?} row {}", first + lane);
        }
    }
}

fn check_score(plugin: &Extensions, view: &View, pod: &PodInfo) {
    let Some(score) = &plugin.score else { return };
    let BoundScoring::PerNode(bound) = score.bind(pod, view) else { return };
    for (first, lanes) in view.blocks() {
        let mut out = [-1; 64];
        bound.block(view, first, lanes, &mut out);
        for lane in bits(lanes) {
            assert_eq!(out[lane as usize], bound.one(view, None, first + lane), "{plugin:?} row {}", first + lane);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_block_answers_as_its_nodes_do(
        (nodes, running, asked) in any::<bool>().prop_flat_map(|huge| {
            (vec(node(huge), 1..90), vec((any::<usize>(), pod(huge)), 0..60), pod(huge))
        }),
    ) {
        let (table, pod) = world(&nodes, &running, &asked);
        for plugin in plugins() {
            check_filter(&plugin, table.view(), &pod);
            check_score(&plugin, table.view(), &pod);
        }
    }
}
