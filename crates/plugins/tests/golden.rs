//! Decisions recorded from kube-scheduler itself, against the plugins there are: `tests/golden/README.md` tells the
//! format. What later plugins say of a node is not looked at; that ours let it pass is.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test from end to end")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;
use plimsoll_framework::extensions::{BoundScoring, Extensions, Normalize};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindRef, ObjectKey};
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{Extent, PreFilterVerdict};
use plimsoll_framework::pod::{PodInfo, PodParser};
use plimsoll_framework::table::{Row, Table, View};
use plimsoll_plugins::catalog::Catalog;
use plimsoll_plugins::{IN_TREE, lookup};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Scenario {
    name: String,
    config: Option<Value>,
    objects: Vec<Value>,
    pod: Value,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expect {
    config_error: Option<String>,
    error: Option<String>,
    pre_filter: Option<Rejected>,
    pre_filter_nodes: Option<BTreeSet<String>>,
    #[serde(default)]
    nodes: BTreeMap<String, Answer>,
}

#[derive(Deserialize, PartialEq, Debug)]
struct Rejected {
    code: String,
    plugin: String,
    reasons: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Answer {
    code: String,
    plugin: Option<String>,
    #[serde(default)]
    reasons: BTreeSet<String>,
    #[serde(default)]
    scores: BTreeMap<String, i64>,
}

/// How much was compared.
#[derive(Default, Debug)]
struct Compared {
    scenarios: usize,
    with_args: usize,
    with_plugin_sets: usize,
    skipped_elsewhere: usize,
    narrowed: usize,
    passed: usize,
    rejections: BTreeMap<String, usize>,
    scores: BTreeMap<String, usize>,
    nodes_with_nominated_pods: usize,
}

/// One scenario, ready to be decided.
struct World {
    table: Table,
    pod: PodInfo,
    plugins: Vec<(Extensions, i64)>,
}

fn profile(scenario: &Scenario) -> &Value {
    scenario.config.as_ref().map_or(&Value::Null, |config| &config["profiles"][0])
}

/// Whether plugins are switched off or weighed otherwise. The ways that occur are the two that `World::new` knows.
fn has_plugin_sets(scenario: &Scenario) -> bool {
    let known = |(point, set): (&String, &Value)| match point.as_str() {
        "score" => set["enabled"].is_null(),
        "multiPoint" => set["disabled"].is_null(),
        _ => false,
    };
    profile(scenario)["plugins"].as_object().is_some_and(|sets| {
        assert!(sets.iter().all(known), "{}: {sets:?}", scenario.name);
        !sets.is_empty()
    })
}

impl World {
    fn new(scenario: &Scenario) -> Self {
        let mut parser = PodParser::default();
        let mut parse = |json: &Value| Arc::new(parser.parse(&serde_json::from_value(json.clone()).unwrap()));
        let mut table = Table::default();
        for object in &scenario.objects {
            match object["kind"].as_str() {
                Some("Node") => {
                    let (node, faults) = NodeInfo::parse(&serde_json::from_value(object.clone()).unwrap(), &[]);
                    assert!(faults.is_empty(), "{}: {faults}", scenario.name);
                    table.set_node(Arc::new(node));
                }
                Some("Pod") => {
                    let pod = parse(object);
                    assert_eq!(pod.faults, None, "{}", scenario.name);
                    match (&pod.node_name, &pod.nominated_node_name) {
                        (Some(node), _) => drop(table.add_pod(&node.clone(), pod)),
                        (None, Some(node)) => table.nominations_mut().set(node.clone(), pod),
                        (None, None) => {}
                    }
                }
                Some("Namespace") => {
                    let labels: BTreeMap<Istr, Istr> =
                        serde_json::from_value(object["metadata"]["labels"].clone()).unwrap_or_default();
                    let name = object["metadata"]["name"].as_str().unwrap().into();
                    table.set_namespace(name, Some(Arc::new(LabelSet::from(&labels))));
                }
                _ => {}
            }
        }
        let args = |plugin: &str| {
            let all = profile(scenario)["pluginConfig"].as_array();
            all.and_then(|all| all.iter().find(|c| c["name"] == plugin)).map(|c| &c["args"])
        };
        let sets = &profile(scenario)["plugins"];
        let named = |set: &Value, name: &str| set.as_array()?.iter().find(|e| e["name"] == name).cloned();
        let catalog = Catalog::in_tree();
        let default = IN_TREE.iter().filter(|entry| catalog.get(entry.name).is_some_and(|info| info.default_enabled));
        let plugins = default.map(|entry| {
            let mut plugin = (entry.build)(args(entry.name)).unwrap();
            if named(&sets["score"]["disabled"], entry.name).is_some() {
                plugin.score = None;
            }
            let weight = named(&sets["multiPoint"]["enabled"], entry.name).and_then(|e| e["weight"].as_i64());
            (plugin, weight.unwrap_or(entry.default_weight))
        });
        let plugins: Vec<(Extensions, i64)> = plugins.collect();
        let kinds: Vec<KindRef> = plugins.iter().flat_map(|(plugin, _)| plugin.kinds.clone()).collect();
        for object in &scenario.objects {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (group_version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
            let (group, version) = group_version.rsplit_once('/').unwrap_or(("", &group_version));
            let declared = kinds.iter().find(|k| (k.group, k.version, k.kind) == (group, version, &*kind));
            let Some(declared) = declared else { continue };
            let meta = &object["metadata"];
            let key = ObjectKey { namespace: text(&meta["namespace"]).into(), name: text(&meta["name"]).into() };
            let object = (declared.decode)(object).unwrap();
            table.cluster_mut().set_object(declared.id, key, Some(object));
        }
        Self { table, pod: Arc::unwrap_or_clone(parse(&scenario.pod)), plugins }
    }

    fn view(&self) -> &View {
        self.table.view()
    }

    /// What PreFilter says: a rejection, or the plugins that skip (or find nothing to say) and the nodes that are left.
    fn pre_filter(&self) -> Result<(Vec<&'static str>, Option<BTreeSet<String>>), Rejected> {
        let (mut skipped, mut left) = (Vec::new(), None);
        for (plugin, _) in &self.plugins {
            let Some(pre_filter) = &plugin.pre_filter else { continue };
            match pre_filter.pre_filter(&self.pod, self.view()) {
                PreFilterVerdict::Run => {}
                PreFilterVerdict::Skip => skipped.push(plugin.name),
                PreFilterVerdict::Only(names) => {
                    assert_eq!(left, None, "only one of these plugins narrows");
                    left = Some(names.iter().map(|n| n.to_string()).collect());
                }
                PreFilterVerdict::Fail(error) => panic!("{} failed: {error}", plugin.name),
                PreFilterVerdict::Reject(rejection) => {
                    return Err(Rejected {
                        code: rejection.code.to_string(),
                        plugin: plugin.name.to_owned(),
                        reasons: [rejection.reason].into(),
                    });
                }
            }
        }
        for (plugin, _) in &self.plugins {
            let bound = plugin.filter.as_ref().and_then(|filter| filter.bind(&self.pod, self.view()));
            if bound.is_some_and(|bound| !bound.takes_part(self.view(), None)) {
                skipped.push(plugin.name);
            }
        }
        Ok((skipped, left))
    }

    /// The nominated pods that count on a node.
    fn nominated(&self, row: Row) -> Option<Overlay> {
        let name = &self.view().node(row).unwrap().name;
        let pods = self.view().nominations().pods(name).iter();
        let mut overlay = Overlay::default();
        for pod in pods.filter(|p| p.priority() >= self.pod.priority() && p.key.uid != self.pod.key.uid) {
            overlay.add(self.view(), row, Arc::clone(pod));
        }
        (!overlay.is_empty()).then_some(overlay)
    }

    /// The first of our plugins that rejects a node, if any does.
    fn filter(&self, row: Row, overlay: Option<&Overlay>, skipped: &[&str]) -> Option<Rejected> {
        let mut filters = self.plugins.iter().filter(|(plugin, _)| !skipped.contains(&plugin.name));
        filters.find_map(|(plugin, _)| {
            let bound = plugin.filter.as_ref()?.bind(&self.pod, self.view())?;
            let verdict = bound.one(self.view(), overlay, row);
            (!verdict.fits()).then(|| Rejected {
                code: verdict.code().to_string(),
                plugin: plugin.name.to_owned(),
                reasons: bound.reasons(verdict.reasons()).into_iter().collect(),
            })
        })
    }

    /// The weighted, normalised scores of the feasible nodes by plugin; without those that skip.
    fn scores(&self, feasible: &[Row]) -> BTreeMap<&'static str, Vec<i64>> {
        let scoring = self.plugins.iter().filter(|(plugin, _)| {
            let takes_part = plugin.pre_score.as_ref().is_none_or(|p| p.pre_score(&self.pod, self.view()));
            plugin.score.is_some() && takes_part
        });
        let scores = scoring.filter_map(|(plugin, weight)| {
            let (raw, normalize): (Vec<Option<i64>>, Box<dyn Normalize>) =
                match plugin.score.as_ref().unwrap().bind(&self.pod, self.view()) {
                    BoundScoring::Skip => return None,
                    BoundScoring::Zero(normalize) => (vec![Some(0); feasible.len()], normalize),
                    BoundScoring::PerNode(bound) => {
                        if !bound.takes_part(self.view(), None) {
                            return None;
                        }
                        (feasible.iter().map(|row| Some(bound.one(self.view(), None, *row))).collect(), bound)
                    }
                    BoundScoring::OverFeasible(bound) => (bound.all(self.view(), None, feasible), bound),
                };
            let over = Extent::of(raw.iter().flatten().copied());
            let score = |raw: i64| match over {
                Some(over) if normalize.is_normalized() => normalize.normalize(raw, over),
                _ => raw,
            };
            let last = |raw: &Option<i64>| raw.map_or(0, score) * weight;
            Some((plugin.name, raw.iter().map(last).collect()))
        });
        scores.collect()
    }
}

fn compare(scenario: &Scenario, compared: &mut Compared) {
    let name = &scenario.name;
    let expect = &scenario.expect;
    if expect.config_error.is_some() || expect.error.is_some() {
        compared.skipped_elsewhere += 1;
        return;
    }
    let world = World::new(scenario);
    compared.scenarios += 1;
    compared.with_args += usize::from(profile(scenario)["pluginConfig"].is_array());
    compared.with_plugin_sets += usize::from(has_plugin_sets(scenario));

    let (skipped, left) = match (world.pre_filter(), &expect.pre_filter) {
        (Ok(answer), None) => answer,
        (Err(got), Some(expect)) => {
            assert_eq!(got, *expect, "{name}");
            *compared.rejections.entry(format!("{} (PreFilter)", got.plugin)).or_default() += 1;
            return;
        }
        (Ok(_), Some(expect)) => {
            assert!(lookup(&expect.plugin).is_none(), "{name}: {expect:?} is missing");
            compared.skipped_elsewhere += 1;
            return;
        }
        (Err(got), None) => panic!("{name}: {got:?} is too much"),
    };
    if let Some(left) = &left {
        let nodes = expect.pre_filter_nodes.as_ref().unwrap_or_else(|| panic!("{name}: nothing narrows"));
        assert!(nodes.is_subset(left), "{name}: {nodes:?} of {left:?}");
        compared.narrowed += 1;
    }

    let mut feasible = Vec::new();
    for (node, answer) in &expect.nodes {
        let row = world.table.row(&node.as_str().into()).unwrap();
        if left.as_ref().is_some_and(|left| !left.contains(node)) {
            assert_eq!(answer.plugin, None, "{name} {node}");
            continue;
        }
        let overlay = world.nominated(row);
        compared.nodes_with_nominated_pods += usize::from(overlay.is_some());
        let with = overlay.as_ref().and_then(|overlay| world.filter(row, Some(overlay), &skipped));
        let got = with.or_else(|| world.filter(row, None, &skipped));
        let ours = answer.plugin.as_ref().filter(|plugin| lookup(plugin).is_some());
        let wanted = ours.map(|plugin| Rejected {
            code: answer.code.clone(),
            plugin: plugin.clone(),
            reasons: answer.reasons.clone(),
        });
        assert_eq!(got, wanted, "{name} {node}");
        match ours {
            Some(plugin) => *compared.rejections.entry(plugin.clone()).or_default() += 1,
            None => compared.passed += 1,
        }
        if answer.code == "Success" {
            feasible.push((row, node, answer));
        }
    }
    if feasible.is_empty() {
        return;
    }
    let rows: Vec<Row> = feasible.iter().map(|(row, _, _)| *row).collect();
    let scores = world.scores(&rows);
    for (at, (_, node, answer)) in feasible.iter().enumerate() {
        let got: BTreeMap<&str, i64> = scores.iter().map(|(plugin, scores)| (*plugin, scores[at])).collect();
        let ours = answer.scores.iter().filter(|(plugin, _)| lookup(plugin).is_some());
        let wanted: BTreeMap<&str, i64> = ours.map(|(plugin, score)| (plugin.as_str(), *score)).collect();
        assert_eq!(got, wanted, "{name} {node}");
        for plugin in got.keys() {
            *compared.scores.entry((*plugin).to_owned()).or_default() += 1;
        }
    }
}

fn scenarios(file: &Path) -> Vec<Scenario> {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_plugins_decide_as_kube_scheduler_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let mut compared = Compared::default();
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".jsonl.gz") && name != "config.jsonl.gz" {
            for scenario in scenarios(&file) {
                compare(&scenario, &mut compared);
            }
        }
    }
    println!("{compared:#?}");
    // What is compared now, less a little: a test that skips everything would pass.
    assert!(
        compared.scenarios >= 1_500 && compared.with_args >= 400 && compared.with_plugin_sets >= 130,
        "{compared:?}"
    );
    assert!(
        compared.passed >= 3_800 && compared.narrowed >= 5 && compared.nodes_with_nominated_pods >= 150,
        "{compared:?}"
    );
    let rejections = [
        ("NodeUnschedulable", 200),
        ("TaintToleration", 500),
        ("NodeAffinity", 1_500),
        ("NodePorts", 140),
        ("NodeResourcesFit", 4_000),
        ("PodTopologySpread", 130),
        ("InterPodAffinity", 600),
        ("VolumeRestrictions", 45),
        ("NodeVolumeLimits", 18),
        ("VolumeBinding", 260),
        ("VolumeBinding (PreFilter)", 35),
        ("VolumeZone", 2),
    ];
    let scores = [
        ("TaintToleration", 3_500),
        ("NodeAffinity", 200),
        ("NodeResourcesFit", 3_500),
        ("NodeResourcesBalancedAllocation", 3_400),
        ("ImageLocality", 3_500),
        ("PodTopologySpread", 950),
        ("InterPodAffinity", 600),
        ("DynamicResources", 3_800),
    ];
    for (map, least) in [(&compared.rejections, &rejections[..]), (&compared.scores, &scores)] {
        for &(plugin, least) in least {
            assert!(map.get(plugin).is_some_and(|count| *count >= least), "{plugin}: {compared:?}");
        }
    }
}
