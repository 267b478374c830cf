//! Whole decisions against those recorded from kube-scheduler: the configuration is read, profiles are made of it, and a
//! worker decides. Of every node that kube-scheduler found feasible, the scores of the plugins that are built are
//! compared; of every node that a built plugin turned away, the verdict. What `decide` chooses must be what `explain`
//! shows to be best: the two sum up in different ways.

#![expect(clippy::unwrap_used, reason = "in a test, a failed step is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::Arc;

use plimsoll::config::{Config, Defaults};
use plimsoll::registry::Registry;
use plimsoll_engine::decide::{Explanation, Outcome, Worker};
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::{PodInfo, PodParser};
use plimsoll_framework::table::Table;
use serde_json::Value;

/// The subjects whose pods ask for nothing that only plugins not built yet would see to, or few of them.
const SUBJECTS: [&str; 6] = ["resources", "taints", "nodeaffinity", "ports", "capacity", "nominated"];

fn scenarios(subject: &str) -> Vec<Value> {
    let path = format!("{}/tests/golden/{subject}.jsonl.gz", env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn world(scenario: &Value) -> (Table, Arc<PodInfo>) {
    let (mut parser, mut table) = (PodParser::default(), Table::default());
    let mut parse = |json: &Value| Arc::new(parser.parse(&serde_json::from_value(json.clone()).unwrap()));
    for object in scenario["objects"].as_array().unwrap() {
        match object["kind"].as_str() {
            Some("Node") => {
                let node = NodeInfo::parse(&serde_json::from_value(object.clone()).unwrap(), &[]).0;
                table.set_node(Arc::new(node));
            }
            Some("Pod") => {
                let pod = parse(object);
                match (pod.node_name.clone(), pod.nominated_node_name.clone()) {
                    (Some(node), _) => drop(table.add_pod(&node, pod)),
                    (None, Some(node)) => table.nominations_mut().set(node, pod),
                    (None, None) => {}
                }
            }
            _ => {}
        }
    }
    let pod = parse(&scenario["pod"]);
    (table, pod)
}

#[derive(Default)]
struct Compared {
    scores: usize,
    rejections: usize,
    choices: usize,
}

/// Compares what every node says.
fn compare_nodes(scenario: &Value, ours: &Explanation, compared: &mut Compared) {
    let name = &scenario["name"];
    for (node, ours) in &ours.nodes {
        let theirs = &scenario["expect"]["nodes"][node.as_str()];
        let plugin = theirs["plugin"].as_str().unwrap_or_default();
        match ours {
            Ok(scores) => {
                for (plugin, score) in &scores.plugins {
                    assert_eq!(Some(*score), theirs["scores"][plugin].as_i64(), "{name} {node} {plugin}");
                    compared.scores += 1;
                }
            }
            Err(verdict) => {
                let theirs: (&str, &str, BTreeSet<&str>) = (
                    plugin,
                    theirs["code"].as_str().unwrap(),
                    theirs["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
                );
                let reasons = verdict.reasons.iter().map(String::as_str).collect();
                assert_eq!((verdict.plugin, verdict.code.as_str(), reasons), theirs, "{name} {node}");
                compared.rejections += 1;
            }
        }
    }
}

/// Whether the same nodes are feasible. Where a plugin that is not built turned nodes away they are not, and then other
/// nodes' scores are normalised differently, too.
fn same_feasible_nodes(scenario: &Value, ours: &Explanation) -> bool {
    let theirs = scenario["expect"]["nodes"].as_object().unwrap();
    ours.nodes
        .iter()
        .all(|(node, verdict)| theirs.get(node.as_str()).is_some_and(|t| (t["code"] == "Success") == verdict.is_ok()))
}

#[test]
fn decisions_are_kube_schedulers() {
    let mut compared = Compared::default();
    for scenario in SUBJECTS.iter().flat_map(|subject| scenarios(subject)) {
        let expect = &scenario["expect"];
        if expect["nodes"].is_null() || !expect["error"].is_null() || !expect["preFilter"].is_null() {
            continue;
        }
        let config = match &scenario["config"] {
            Value::Null => Config::default(),
            text => Config::parse("config", &text.to_string(), &Defaults::kube_scheduler()).unwrap(),
        };
        let profile = Registry::default().profiles(&config).unwrap().remove(0);
        let (table, pod) = world(&scenario);
        let ours = Worker::default().explain(&profile, table.view(), &pod);
        if !same_feasible_nodes(&scenario, &ours) {
            continue;
        }
        compare_nodes(&scenario, &ours, &mut compared);
        let totals: BTreeMap<&str, i64> =
            ours.nodes.iter().filter_map(|(node, v)| Some((node.as_str(), v.as_ref().ok()?.total))).collect();
        if let Outcome::Node { node, score: Some(score), .. } = &ours.outcome {
            let best = totals.values().max().unwrap();
            assert_eq!((totals[node.as_str()], score), (*best, best), "{}", scenario["name"]);
            compared.choices += 1;
        }
    }
    println!("{} scores, {} rejections, {} choices", compared.scores, compared.rejections, compared.choices);
    assert!(
        compared.scores > 5_000 && compared.rejections > 1_000 && compared.choices > 250,
        "too little was compared"
    );
}
