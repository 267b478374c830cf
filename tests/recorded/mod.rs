//! Decisions recorded from kube-scheduler (tests/golden/README.md): read, loaded, and compared field by field.

mod compare;
mod replay;

use std::io::Read as _;
use std::sync::Arc;

use plimsoll::config::{Config, Defaults};
use plimsoll::registry::Registry;
use plimsoll_engine::decide::Worker;
use plimsoll_engine::event::Event;
use plimsoll_engine::memo::{DEFAULT_BUDGET_BYTES, MemoSettings};
use plimsoll_engine::profile::Profile;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindRef, ObjectKey};
use plimsoll_framework::pod::{PodInfo, PodParser};
use plimsoll_framework::table::Table;
use serde_json::Value;

pub(crate) use compare::{Expect, Told, told_by};
pub(crate) use replay::replay;

/// One problem with its answer.
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) config: Option<Value>,
    pub(crate) objects: Vec<Value>,
    pub(crate) pod: Value,
    pub(crate) expect: Expect,
}

impl Scenario {
    /// Whether the order in which pods came to their nodes is of no importance to preemption: it decides between pods
    /// that have not started.
    pub(crate) fn victims_are_told_apart(&self) -> bool {
        let on_nodes = self.objects.iter().filter(|o| o["kind"] == "Pod" && !o["spec"]["nodeName"].is_null());
        on_nodes.into_iter().all(|pod| pod["status"]["startTime"].is_string())
    }
}

/// The files of `tests/golden`, by subject.
pub(crate) fn subjects() -> Vec<String> {
    let folder = std::fs::read_dir(format!("{}/tests/golden", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut subjects: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(".jsonl.gz")?.to_owned())).filter(|s| s != "config").collect();
    subjects.sort();
    subjects
}

/// The problems of a subject.
pub(crate) fn scenarios(subject: &str) -> Vec<Scenario> {
    let path = format!("{}/tests/golden/{subject}.jsonl.gz", env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(scenario).collect()
}

fn scenario(line: &str) -> Scenario {
    let mut line: Value = serde_json::from_str(line).unwrap();
    Scenario {
        name: line["name"].as_str().unwrap().to_owned(),
        config: line.get_mut("config").map(Value::take),
        objects: line["objects"].as_array().unwrap().clone(),
        pod: line["pod"].take(),
        expect: serde_json::from_value(line["expect"].take()).unwrap(),
    }
}

/// The profile that a problem is to be solved by; `Err` when its configuration is refused.
pub(crate) fn profile(scenario: &Scenario) -> Result<Profile, String> {
    let config = match &scenario.config {
        None => Config::default(),
        Some(text) => {
            Config::parse("config", &text.to_string(), &Defaults::kube_scheduler()).map_err(|e| e.to_string())?
        }
    };
    Ok(Registry::default().profiles(&config).map_err(|e| format!("{e:#}"))?.remove(0))
}

/// Turns objects into what the engine is told of them.
pub(crate) struct Teller {
    parser: PodParser,
    kinds: Vec<KindRef>,
}

impl Teller {
    pub(crate) fn new(profile: &Profile) -> Self {
        Self { parser: PodParser::new(profile.annotation_keys.clone()), kinds: profile.kinds.clone() }
    }

    pub(crate) fn pod(&mut self, json: &Value) -> PodInfo {
        self.parser.parse(&serde_json::from_value(json.clone()).unwrap())
    }

    /// The news of an object; `None` where nobody reads it.
    pub(crate) fn seen(&mut self, json: &Value) -> Option<Event> {
        let (kind, key) = (json["kind"].as_str().unwrap(), key(json));
        match kind {
            "Pod" => Some(Event::Pod(Box::new(self.pod(json)))),
            "Node" => {
                Some(Event::Node(Box::new(NodeInfo::parse(&serde_json::from_value(json.clone()).unwrap(), &[]).0)))
            }
            "Namespace" => Some(Event::Namespace { name: key.name, labels: Some(Arc::new(labels(json))) }),
            _ => {
                let kind = *self.kinds.iter().find(|k| k.kind == kind)?;
                Some(Event::Object { kind, key, resource_version: 0, object: Some((kind.decode)(json).unwrap()) })
            }
        }
    }

    /// The news that an object is gone.
    pub(crate) fn gone(&self, json: &Value) -> Option<Event> {
        let (kind, key) = (json["kind"].as_str().unwrap(), key(json));
        match kind {
            "Pod" => {
                let uid = plimsoll_framework::pod::Uid::new(json["metadata"]["uid"].as_str().unwrap());
                Some(Event::PodDeleted { uid, resource_version: 0 })
            }
            "Node" => Some(Event::NodeDeleted { name: key.name }),
            "Namespace" => Some(Event::Namespace { name: key.name, labels: None }),
            _ => {
                let kind = *self.kinds.iter().find(|k| k.kind == kind)?;
                Some(Event::Object { kind, key, resource_version: 0, object: None })
            }
        }
    }
}

fn key(json: &Value) -> ObjectKey {
    let text = |field: &str| json["metadata"][field].as_str().unwrap_or_default().into();
    ObjectKey { namespace: text("namespace"), name: text("name") }
}

fn labels(json: &Value) -> LabelSet {
    let labels = json["metadata"]["labels"].as_object();
    labels.into_iter().flatten().map(|(k, v)| (k.as_str(), v.as_str().unwrap())).collect()
}

/// With rows that are audited each time, with rows that are not, and without.
pub(crate) const MEMOS: [MemoSettings; 3] = {
    let kept = MemoSettings { budget_bytes: DEFAULT_BUDGET_BYTES, audit_every: 0 };
    [MemoSettings { audit_every: 1, ..kept }, kept, MemoSettings { budget_bytes: 0, ..kept }]
};

/// What is decided on a table that was told of the objects once, in their order, the second time that it is asked.
pub(crate) fn solve(scenario: &Scenario, memo: MemoSettings) -> Told {
    let profile = match profile(scenario) {
        Ok(profile) => profile,
        Err(error) => return Told::refused(error),
    };
    let (mut teller, mut table) = (Teller::new(&profile), Table::default());
    for json in &scenario.objects {
        match teller.seen(json) {
            Some(Event::Node(node)) => drop(table.set_node(Arc::from(node))),
            Some(Event::Namespace { name, labels }) => table.set_namespace(name, labels),
            Some(Event::Object { kind, key, object, .. }) => drop(table.cluster_mut().set_object(kind.id, key, object)),
            Some(Event::Pod(pod)) => match (pod.node_name.clone(), pod.nominated_node_name.clone()) {
                (Some(node), _) => drop(table.add_pod(&node, Arc::from(pod))),
                (None, Some(node)) => table.nominations_mut().set(node, Arc::from(pod)),
                (None, None) => {}
            },
            _ => {}
        }
    }
    let pod = teller.pod(&scenario.pod);
    let mut worker = Worker::default().with_memo(memo);
    let first = told_by(&worker.explain(&profile, table.view(), &pod));
    let told = told_by(&worker.explain(&profile, table.view(), &pod));
    assert!(told.is_as(&first), "{}: {told:?} is not {first:?}", scenario.name);
    assert_eq!(worker.take_mismatch(), None, "{}", scenario.name);
    told
}
