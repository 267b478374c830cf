//! The nodes and the pods of a workload.

use std::sync::Arc;

use anyhow::Context as _;
use hashbrown::HashMap;
use plimsoll_engine::event::Event;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindRef, ObjectKey};
use plimsoll_framework::pod::{PodInfo, PodKey, PodParser, Uid};
use plimsoll_plugins::kinds::owners::ReplicaSet;
use serde_json::{Value, json};

use super::ROUND;

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";
const ZONES: usize = 3;
/// Different requests among the pods of `templates`.
const TEMPLATES: usize = 20;

/// What the pods ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
#[value(rename_all = "lowercase")]
pub(super) enum Workload {
    /// 100m CPU and 500 MB, nothing else.
    Basic,
    /// Twenty different requests, in turn.
    Templates,
    /// Nodes of two of the three zones.
    NodeAffinity,
    /// Groups of at most a tenth of the nodes, each spread over the zones (hard).
    Spread,
    /// The same groups as ReplicaSets, spread by the system's default constraints (soft, by node and zone).
    DefaultSpread,
    /// The same groups, each pod in a zone where one of its group is.
    Affinity,
    /// The same groups, each pod rather not on a node where one of its group is.
    Preferred,
    /// The same groups, each pod on a node where none of its group is.
    AntiAffinity,
    /// All of the above in turn.
    Mixed,
}

impl Workload {
    fn kinds(self) -> Vec<Self> {
        match self {
            Self::Mixed => vec![
                Self::Basic,
                Self::Templates,
                Self::NodeAffinity,
                Self::Spread,
                Self::DefaultSpread,
                Self::Affinity,
                Self::Preferred,
                Self::AntiAffinity,
            ],
            one => vec![one],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Templates => "templates",
            Self::NodeAffinity => "nodeaffinity",
            Self::Spread => "spread",
            Self::DefaultSpread => "defaultspread",
            Self::Affinity => "affinity",
            Self::Preferred => "preferred",
            Self::AntiAffinity => "antiaffinity",
            Self::Mixed => "mixed",
        }
    }
}

impl std::fmt::Display for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Makes nodes and pods.
pub(super) struct Load {
    kinds: Vec<Workload>,
    nodes: usize,
    /// Groups of each kind.
    groups: usize,
    /// Pods of each group that are there from the beginning.
    members: usize,
    unique_labels: bool,
    parser: PodParser,
    /// The pods that others are like, by kind and group.
    models: HashMap<(Workload, usize), PodInfo>,
}

impl Load {
    pub(super) fn new(workload: Workload, nodes: usize, existing: usize, unique_labels: bool) -> anyhow::Result<Self> {
        let kinds = workload.kinds();
        let groups = (existing + ROUND).div_ceil(kinds.len()).div_ceil((nodes / 10).max(1));
        let mut load = Self {
            members: existing.div_ceil(groups * kinds.len()),
            nodes,
            groups,
            unique_labels,
            parser: PodParser::default(),
            models: HashMap::new(),
            kinds,
        };
        for kind in load.kinds.clone() {
            for group in 0..load.group_count(kind) {
                let model = load.parse(&pod(kind, group, None))?;
                load.models.insert((kind, group), model);
            }
        }
        Ok(load)
    }

    fn group_count(&self, kind: Workload) -> usize {
        match kind {
            Workload::Basic | Workload::NodeAffinity => 1,
            Workload::Templates => TEMPLATES,
            _ => self.groups,
        }
    }

    fn parse(&mut self, pod: &Value) -> anyhow::Result<PodInfo> {
        let pod = serde_json::from_value(pod.clone()).context("reading a pod made here")?;
        Ok(self.parser.parse(&pod))
    }

    /// How many different pods there are.
    pub(super) fn classes(&self) -> usize {
        self.models.len()
    }

    pub(super) fn nodes(&self) -> anyhow::Result<Vec<NodeInfo>> {
        let parse = |number| {
            let node = serde_json::from_value(node(number)).context("reading a node made here")?;
            Ok(NodeInfo::parse(&node, &[]).0)
        };
        (0..self.nodes).map(parse).collect()
    }

    /// What has to be there before the pods.
    pub(super) fn objects(&self) -> anyhow::Result<Vec<Event>> {
        if !self.kinds.contains(&Workload::DefaultSpread) {
            return Ok(Vec::new());
        }
        (0..self.groups).map(|group| replica_set(group, None)).collect()
    }

    fn kind_and_group(&self, number: usize) -> (Workload, usize) {
        let kind = self.kinds[number % self.kinds.len()];
        (kind, (number / self.kinds.len()) % self.group_count(kind))
    }

    /// The pod of this number.
    pub(super) fn pod(&self, number: usize) -> Option<PodInfo> {
        let model = self.models.get(&self.kind_and_group(number))?;
        Some(self.like(model, number))
    }

    /// The same as it is on a node from the beginning: members of a group on different nodes, as many on each.
    pub(super) fn existing(&self, number: usize) -> Option<PodInfo> {
        let all_groups = self.groups * self.kinds.len();
        let node = (number % all_groups) * self.members + number / all_groups;
        let mut pod = self.pod(number)?;
        pod.node_name = Some(format!("node-{}", node % self.nodes).into());
        Some(pod)
    }

    /// A pod of a class never seen, with selectors never seen that select what those of the others select, and what has to
    /// be there before it.
    pub(super) fn cold(&mut self, number: usize, sample: usize) -> anyhow::Result<(Option<Event>, PodInfo)> {
        let (kind, group) = self.kind_and_group(number);
        let object = (kind == Workload::DefaultSpread).then(|| replica_set(group, Some(sample))).transpose()?;
        let model = self.parse(&pod(kind, group, Some(sample)))?;
        Ok((object, self.like(&model, number)))
    }

    fn like(&self, model: &PodInfo, number: usize) -> PodInfo {
        let mut pod = model.clone();
        let name: Arc<str> = format!("pod-{number}").into();
        pod.key = PodKey { namespace: model.key.namespace.clone(), uid: Uid::new(&name), name };
        if self.unique_labels {
            let own = [("pod", &*pod.key.name)];
            let labels: LabelSet = model.labels.iter().map(|(k, v)| (&**k, &**v)).chain(own).collect();
            pod.labels = Arc::new(labels);
        }
        pod
    }
}

fn node(number: usize) -> Value {
    super::super::shared::node(number, &format!("zone-{}", number % ZONES))
}

/// The label that the pods of a group have.
fn label(kind: Workload, group: usize) -> String {
    format!("{kind}-{group}")
}

/// What selects a group. With a sample's number: the same pods, in words never seen.
fn selector(kind: Workload, group: usize, sample: Option<usize>) -> Value {
    match sample {
        None => json!({ "matchLabels": { "group": label(kind, group) } }),
        Some(sample) => json!({ "matchExpressions": [
            { "key": "group", "operator": "In", "values": [label(kind, group)] },
            { "key": "sample", "operator": "NotIn", "values": [format!("{sample}")] },
        ] }),
    }
}

fn pod(kind: Workload, group: usize, sample: Option<usize>) -> Value {
    let (milli_cpu, memory) = match kind {
        Workload::Templates => (100 + 10 * group, 500_000_000 + 10_000_000 * group),
        _ => (100, 500_000_000),
    };
    let memory = memory + sample.map_or(0, |sample| sample + 1);
    let mut pod = json!({
        "metadata": {
            "name": "pod", "uid": "pod", "resourceVersion": "1", "namespace": "default",
            "labels": { "group": label(kind, group) },
        },
        "spec": {
            "schedulerName": "plimsoll",
            "containers": [{ "name": "main", "image": "registry.example/app:1", "resources": { "requests": {
                "cpu": format!("{milli_cpu}m"), "memory": format!("{memory}"),
            } } }],
        },
    });
    let selector = selector(kind, group, sample);
    let term = |key: &str| json!({ "topologyKey": key, "labelSelector": selector });
    let required = |term: Value| json!({ "requiredDuringSchedulingIgnoredDuringExecution": term });
    let spec = &mut pod["spec"];
    match kind {
        Workload::Basic | Workload::Templates | Workload::Mixed => {}
        Workload::NodeAffinity => {
            let zones = json!({ "key": ZONE, "operator": "In", "values": ["zone-0", "zone-1", format!("zone-{}", 3 + sample.map_or(0, |s| s + 1))] });
            spec["affinity"]["nodeAffinity"] =
                required(json!({ "nodeSelectorTerms": [{ "matchExpressions": [zones] }] }));
        }
        Workload::Spread => {
            spec["topologySpreadConstraints"] = json!([{
                "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "topologyKey": ZONE, "labelSelector": selector,
            }]);
        }
        Workload::DefaultSpread => {
            pod["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": true,
                "name": set_name(group, sample), "uid": set_name(group, sample),
            }]);
        }
        Workload::Affinity => spec["affinity"]["podAffinity"] = required(json!([term(ZONE)])),
        Workload::AntiAffinity => spec["affinity"]["podAntiAffinity"] = required(json!([term(HOSTNAME)])),
        Workload::Preferred => {
            spec["affinity"]["podAntiAffinity"] = json!({ "preferredDuringSchedulingIgnoredDuringExecution": [
                { "weight": 100, "podAffinityTerm": term(HOSTNAME) },
            ] });
        }
    }
    pod
}

fn set_name(group: usize, sample: Option<usize>) -> String {
    let kind = Workload::DefaultSpread;
    sample.map_or_else(|| label(kind, group), |sample| format!("sample-{sample}"))
}

fn replica_set(group: usize, sample: Option<usize>) -> anyhow::Result<Event> {
    let kind = KindRef::of::<ReplicaSet>();
    let object = json!({ "spec": { "selector": selector(Workload::DefaultSpread, group, sample) } });
    let object = (kind.decode)(&object).map_err(anyhow::Error::msg).context("reading a ReplicaSet made here")?;
    let key = ObjectKey { namespace: "default".into(), name: set_name(group, sample).into() };
    Ok(Event::Object { kind, key, resource_version: 1, object: Some(object) })
}
