//! Clusters that live: random events that the engine and the oracle are told alike.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_engine::decide::Worker;
use plimsoll_engine::effect::Effect;
use plimsoll_engine::engine::{Engine, EngineSettings};
use plimsoll_engine::event::{BindResult, Event};
use plimsoll_engine::profile::{Profile, ProfileBuilder};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::{LabelSelector, LabelSet};
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindRef, ObjectKey, ObjectKind};
use plimsoll_framework::pod::{PodInfo, PodParser, Uid};
use plimsoll_framework::point::Point;
use plimsoll_framework::table::View;
use plimsoll_framework::time::Time;
use plimsoll_plugins::kinds::owners::{ReplicaSet, Service};
use plimsoll_plugins::kinds::policy::PodDisruptionBudgets;
use plimsoll_plugins::lookup;
use plimsoll_testkit::Dice;
use serde_json::{Map, Value, json};

use super::{Budget, Cluster, Placed};

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";
/// An extended resource.
pub(crate) const DEVICE: &str = "example.com/device";
/// What nodes are labelled with: few values, some of them shared by nodes that should have one each, and many.
const KEYS: [&str; 4] = [ZONE, HOSTNAME, "rack", "disk"];
const NAMESPACES: [&str; 4] = ["blue", "red", "bare", "unknown"];

/// The plugins that the oracle knows, in a profile; only those of topology score.
pub(crate) fn profile() -> Profile {
    let names =
        ["PrioritySort", "NodePorts", "NodeResourcesFit", "PodTopologySpread", "InterPodAffinity", "DefaultPreemption"];
    let mut builder = ProfileBuilder::new("plimsoll".into());
    for name in names.into_iter().chain(["DefaultBinder"]) {
        let entry = lookup(name).unwrap();
        let plugin = (entry.build)(None).unwrap();
        for point in plugin.points() {
            let scores = matches!(point, Point::PreScore | Point::Score);
            if !scores || matches!(name, "PodTopologySpread" | "InterPodAffinity") {
                builder.enable(point, &plugin, entry.default_weight).unwrap();
            }
        }
    }
    builder.build().unwrap()
}

/// An engine, and what the oracle knows of the same cluster.
pub(crate) struct Story {
    pub(crate) dice: Dice,
    pub(crate) engine: Engine,
    pub(crate) cluster: Cluster,
    /// Pods of which more and more come: what is counted for them is kept from one decision to the next.
    recurring: Vec<Value>,
    /// Whether pods say nothing of other pods: then the answers of nodes are kept.
    pub(crate) plain: bool,
    parser: PodParser,
    racks: u64,
    made: u64,
    version: u64,
}

impl Story {
    /// A cluster of this many nodes, and about three times as many pods.
    pub(crate) fn new(seed: u64, nodes: u64) -> Self {
        Self::begin(seed, nodes, false)
    }

    /// The same with pods that say nothing of each other.
    pub(crate) fn plain(seed: u64, nodes: u64) -> Self {
        Self::begin(seed, nodes, true)
    }

    fn begin(seed: u64, nodes: u64, plain: bool) -> Self {
        let engine = Engine::new(vec![profile()], EngineSettings { seed, ..EngineSettings::default() });
        let (dice, parser, cluster) = (Dice::new(seed), PodParser::default(), Cluster::default());
        let mut story =
            Self { dice, engine, cluster, recurring: Vec::new(), plain, parser, racks: nodes, made: 0, version: 0 };
        story.recurring = (0..8).map(|_| story.pod()).collect();
        for name in ["blue", "red", "bare"] {
            story.namespace(name);
        }
        for _ in 0..nodes {
            story.add_node();
        }
        for _ in 0..nodes * 3 {
            story.step();
        }
        story
    }

    fn now(&self) -> Time {
        Time::since_epoch(Duration::from_secs(self.version))
    }

    fn handle(&mut self, event: Event) {
        self.engine.handle(self.now(), event);
        // What the engine wants written is nobody's business here.
        while self.engine.poll_effect().is_some() {}
    }

    fn version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// Something happens.
    pub(crate) fn step(&mut self) {
        match self.dice.below(24) {
            0..=9 => self.add_pod(),
            10..=12 => self.change_pod(),
            13..=15 => self.delete_pod(),
            16 => self.nominate(),
            17 => self.denominate(),
            18 => self.relabel_or_taint_node(),
            19 => self.add_node(),
            20 => self.remove_node(),
            21 => {
                let name = *self.dice.pick(&["blue", "red", "bare"]);
                self.namespace(name);
            }
            22 => self.owner(),
            _ => self.budget(),
        }
    }

    // Nodes.

    fn add_node(&mut self) {
        self.made += 1;
        let name = format!("n{}", self.made);
        self.node(&name);
    }

    /// A node of this name, as it is from now on.
    fn node(&mut self, name: &str) {
        let dice = &mut self.dice;
        let mut labels = Map::new();
        for key in KEYS {
            if dice.once_in(6) {
                continue;
            }
            let value = match key {
                HOSTNAME if !dice.once_in(5) => name.to_owned(),
                HOSTNAME => "twin".to_owned(),
                "rack" => format!("r{}", dice.below(self.racks)),
                ZONE if dice.once_in(8) => String::new(),
                _ => (*dice.pick(&["a", "b", "c"])).to_owned(),
            };
            labels.insert(key.to_owned(), value.into());
        }
        let mut taints = Vec::new();
        if dice.once_in(4) {
            taints.push(json!({"key": "k", "effect": *dice.pick(&["NoSchedule", "NoExecute", "PreferNoSchedule"])}));
        }
        let version = self.version();
        let cpu = self.dice.between(1, 4).to_string();
        let devices = version % 5;
        let node = json!({
            "metadata": {"name": name, "uid": name, "labels": labels, "resourceVersion": version.to_string()},
            "spec": {"taints": taints},
            "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "9", DEVICE: devices}},
        });
        let (node, faults) = NodeInfo::parse(&serde_json::from_value(node).unwrap(), &[]);
        assert!(faults.is_empty(), "{faults}");
        self.cluster.nodes.insert(node.name.clone(), Arc::new(node.clone()));
        self.handle(Event::Node(Box::new(node)));
    }

    fn some_node(&mut self) -> Option<Istr> {
        let names: Vec<&Istr> = self.cluster.nodes.keys().collect();
        (!names.is_empty()).then(|| (*self.dice.pick(&names)).clone())
    }

    fn relabel_or_taint_node(&mut self) {
        if let Some(name) = self.some_node() {
            self.node(&name);
        }
    }

    /// Its pods stay where they are, and may see it come back.
    fn remove_node(&mut self) {
        let Some(name) = self.some_node() else { return };
        self.cluster.nodes.remove(&name);
        self.handle(Event::NodeDeleted { name: name.clone() });
        if self.dice.once_in(2) {
            self.node(&name);
        }
    }

    // Namespaces and objects.

    fn namespace(&mut self, name: &'static str) {
        let dice = &mut self.dice;
        let labels: Option<LabelSet> = match dice.below(4) {
            0 => None,
            1 => Some(LabelSet::default()),
            _ => Some([("team", *dice.pick(&["x", "y"]))].into_iter().collect()),
        };
        match &labels {
            Some(labels) => drop(self.cluster.namespaces.insert(name.into(), labels.clone())),
            None => drop(self.cluster.namespaces.remove(name)),
        }
        self.handle(Event::Namespace { name: name.into(), labels: labels.map(Arc::new) });
    }

    fn some_key(&mut self) -> (Istr, Istr) {
        let namespace: &str = self.dice.pick::<&str>(&NAMESPACES);
        let name: &str = self.dice.pick::<&str>(&["one", "two"]);
        (Istr::new(namespace), Istr::new(name))
    }

    fn object<K: ObjectKind>(&mut self, key: &(Istr, Istr), json: &Value) {
        let kind = KindRef::of::<K>();
        let key = ObjectKey { namespace: key.0.clone(), name: key.1.clone() };
        self.handle(Event::Object { kind, key, resource_version: 0, object: Some((kind.decode)(json).unwrap()) });
    }

    fn owner(&mut self) {
        let key = self.some_key();
        if self.dice.once_in(2) {
            let labels = pod_labels(&mut self.dice);
            self.object::<Service>(&key, &json!({"spec": {"selector": labels}}));
            self.cluster.services.insert(key, serde_json::from_value(labels).unwrap());
        } else {
            let selector = label_selector(&mut self.dice);
            self.object::<ReplicaSet>(&key, &json!({"spec": {"selector": selector}}));
            let selector = LabelSelector::compile(&serde_json::from_value(selector).unwrap()).unwrap();
            self.cluster.replica_sets.insert(key, selector);
        }
    }

    fn budget(&mut self) {
        let key = self.some_key();
        let selector = (!self.dice.once_in(6)).then(|| label_selector(&mut self.dice));
        let allowed = self.dice.below(3);
        let disrupted: Vec<String> =
            self.cluster.pods.values().filter(|_| self.dice.once_in(9)).map(|(_, p)| p.key.name.to_string()).collect();
        let since: Map<String, Value> = disrupted.iter().map(|n| (n.clone(), "2026-01-01T00:00:00Z".into())).collect();
        let json = json!({"spec": {"selector": selector},
                          "status": {"disruptionsAllowed": allowed, "disruptedPods": since}});
        self.object::<PodDisruptionBudgets>(&key, &json);
        let selector = selector.map(|s| LabelSelector::compile(&serde_json::from_value(s).unwrap()).unwrap());
        let allowed = i64::try_from(allowed).unwrap();
        self.cluster.budgets.insert(key, Budget { selector, allowed, disrupted });
    }

    // Pods.

    /// A pod without a node, of any kind.
    pub(crate) fn pod(&mut self) -> Value {
        self.made += 1;
        let version = self.version();
        let mut json = pod(&mut self.dice, self.made, version);
        if self.made.is_multiple_of(5) {
            json["spec"]["containers"][0]["resources"]["requests"][DEVICE] = (1 + self.made / 5 % 2).into();
        }
        if self.plain {
            json["spec"]["affinity"] = json!({});
            json["spec"]["topologySpreadConstraints"] = json!([]);
        }
        json
    }

    /// A pod without a node, mostly one that is like others.
    pub(crate) fn asked(&mut self) -> Value {
        let mut json = self.pod();
        if !self.dice.once_in(4) {
            let like = self.dice.pick(&self.recurring).clone();
            json["spec"] = like["spec"].clone();
            json["metadata"]["namespace"] = like["metadata"]["namespace"].clone();
            if !self.dice.once_in(4) {
                json["metadata"]["labels"] = like["metadata"]["labels"].clone();
            }
        }
        json
    }

    /// Such a pod comes, or a few at once; they are decided by `worker` on a view that may be old by then, and bound where
    /// they may be.
    pub(crate) fn schedule(&mut self, worker: &mut Worker, view: &View) {
        let many = if self.dice.once_in(3) { 4 } else { 1 };
        let mut pods: BTreeMap<Uid, Arc<PodInfo>> = BTreeMap::new();
        for _ in 0..many {
            let json = self.asked();
            let pod = self.parse(&json);
            self.tell(&pod);
            pods.insert(pod.key.uid.clone(), pod);
        }
        let tickets = self.engine.take_work(self.now(), many);
        let proposals = worker.decide_batch(&self.engine.profiles(), view, &tickets);
        self.engine.propose(self.now(), proposals);
        let mut bound = Vec::new();
        while let Some(effect) = self.engine.poll_effect() {
            if let Effect::Bind(request) = effect {
                bound.push((request.pod.key.uid.clone(), request.node.clone()));
            }
        }
        for (uid, node) in bound {
            let Some(pod) = pods.remove(&uid) else { continue };
            let resource_version = self.version();
            let pod = Arc::new(PodInfo { resource_version, node_name: Some(node.clone()), ..(*pod).clone() });
            self.cluster.pods.insert(uid.clone(), (node, Arc::clone(&pod)));
            self.handle(Event::BindFinished { uid, result: BindResult::Bound });
            self.tell(&pod);
        }
        for uid in pods.into_keys() {
            let resource_version = self.version();
            self.handle(Event::PodDeleted { uid, resource_version });
        }
    }

    pub(crate) fn parse(&mut self, json: &Value) -> Arc<PodInfo> {
        let pod = self.parser.parse(&serde_json::from_value(json.clone()).unwrap());
        assert_eq!(pod.faults, None, "{json}");
        Arc::new(pod)
    }

    /// A node, mostly a known one.
    fn place(&mut self) -> Istr {
        if self.dice.once_in(15) { "nowhere".into() } else { self.some_node().unwrap_or_else(|| "nowhere".into()) }
    }

    fn tell(&mut self, pod: &Arc<PodInfo>) {
        self.handle(Event::Pod(Box::new((**pod).clone())));
    }

    fn add_pod(&mut self) {
        let mut json = self.pod();
        let node = self.place();
        json["spec"]["nodeName"] = (*node).into();
        let pod = self.parse(&json);
        self.cluster.pods.insert(pod.key.uid.clone(), (node, Arc::clone(&pod)));
        self.tell(&pod);
    }

    fn some_pod(&mut self) -> Option<(Uid, Placed)> {
        let all: Vec<_> = self.cluster.pods.iter().collect();
        (!all.is_empty()).then(|| self.dice.pick(&all)).map(|(uid, placed)| ((*uid).clone(), (*placed).clone()))
    }

    /// It gets other labels, or is being deleted, perhaps for the sake of another.
    fn change_pod(&mut self) {
        let Some((uid, (node, pod))) = self.some_pod() else { return };
        let mut changed = PodInfo { resource_version: self.version(), ..(*pod).clone() };
        if self.dice.once_in(2) {
            let labels: std::collections::BTreeMap<Istr, Istr> =
                serde_json::from_value(pod_labels(&mut self.dice)).unwrap();
            changed.labels = Arc::new(LabelSet::from(&labels));
        } else {
            changed.terminating = true;
            changed.preempted = self.dice.once_in(2);
        }
        let changed = Arc::new(changed);
        self.cluster.pods.insert(uid, (node, Arc::clone(&changed)));
        self.tell(&changed);
    }

    fn delete_pod(&mut self) {
        let Some((uid, _)) = self.some_pod() else { return };
        self.cluster.pods.remove(&uid);
        let resource_version = self.version();
        self.handle(Event::PodDeleted { uid, resource_version });
    }

    /// A pod waits for a node that is being cleared for it. It belongs to another scheduler, so that nothing becomes of it.
    fn nominate(&mut self) {
        let mut json = self.pod();
        let node = self.place();
        json["spec"]["schedulerName"] = "other".into();
        json["status"]["nominatedNodeName"] = (*node).into();
        let pod = self.parse(&json);
        self.cluster.nominated.insert(pod.key.uid.clone(), (node, Arc::clone(&pod)));
        self.tell(&pod);
    }

    /// It gets its node, or gives up.
    fn denominate(&mut self) {
        let all: Vec<Placed> = self.cluster.nominated.values().cloned().collect();
        if all.is_empty() {
            return;
        }
        let (node, pod) = self.dice.pick(&all).clone();
        let mut changed = PodInfo { resource_version: self.version(), nominated_node_name: None, ..(*pod).clone() };
        self.cluster.nominated.remove(&pod.key.uid);
        if self.dice.once_in(2) {
            changed.node_name = Some(node.clone());
            self.cluster.pods.insert(pod.key.uid.clone(), (node, Arc::new(changed.clone())));
        }
        self.tell(&Arc::new(changed));
    }
}

fn pod_labels(dice: &mut Dice) -> Value {
    let mut labels = Map::new();
    if !dice.once_in(8) {
        labels.insert("app".to_owned(), (*dice.pick(&["web", "db"])).into());
    }
    if dice.once_in(3) {
        labels.insert("tier".to_owned(), (*dice.pick(&["1", "2"])).into());
    }
    Value::Object(labels)
}

fn label_selector(dice: &mut Dice) -> Value {
    match dice.below(10) {
        0 => json!({}),
        1 => json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}),
        2 => json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["1"]}]}),
        3 => json!({"matchLabels": {"app": "web", "tier": "1"}}),
        _ => json!({"matchLabels": {"app": *dice.pick(&["web", "db"])}}),
    }
}

fn term(dice: &mut Dice) -> Value {
    let mut term = json!({"topologyKey": *dice.pick(&KEYS), "labelSelector": label_selector(dice)});
    if dice.once_in(15) {
        term["labelSelector"] = Value::Null;
    }
    if dice.once_in(4) {
        term["namespaces"] = json!([*dice.pick(&NAMESPACES)]);
    }
    if dice.once_in(3) {
        let requirement = |operator: &str, values: Value| json!({"matchExpressions": [{"key": "team", "operator": operator, "values": values}]});
        term["namespaceSelector"] = match dice.below(5) {
            0 => json!({}),
            1 => requirement("NotIn", json!(["x"])),
            2 => requirement("DoesNotExist", json!([])),
            3 => requirement("Exists", json!([])),
            _ => requirement("In", json!(["x"])),
        };
    }
    term
}

fn terms(dice: &mut Dice, weighted: bool) -> Vec<Value> {
    let one = |dice: &mut Dice| {
        let term = term(dice);
        if weighted { json!({"weight": *dice.pick(&[1, 50, 100]), "podAffinityTerm": term}) } else { term }
    };
    let mut terms: Vec<Value> = (0..dice.between(1, 2)).map(|_| one(dice)).collect();
    // The same again counts again.
    if dice.once_in(8) {
        terms.push(terms[0].clone());
    }
    terms
}

fn constraint(dice: &mut Dice) -> Value {
    let mut constraint = json!({
        "maxSkew": dice.between(1, 3), "topologyKey": *dice.pick(&KEYS), "labelSelector": label_selector(dice),
        "whenUnsatisfiable": *dice.pick(&["DoNotSchedule", "ScheduleAnyway"]),
    });
    if dice.once_in(12) {
        constraint["labelSelector"] = Value::Null;
    }
    if dice.once_in(5) {
        constraint["minDomains"] = dice.between(1, 4).into();
    }
    for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
        if dice.once_in(3) {
            constraint[policy] = (*dice.pick(&["Honor", "Ignore"])).into();
        }
    }
    if dice.once_in(6) {
        constraint["matchLabelKeys"] = json!(["tier"]);
    }
    constraint
}

fn pod(dice: &mut Dice, number: u64, version: u64) -> Value {
    let mut affinity = json!({});
    for side in ["podAffinity", "podAntiAffinity"] {
        if dice.once_in(4) {
            affinity[side]["requiredDuringSchedulingIgnoredDuringExecution"] = terms(dice, false).into();
        }
        if dice.once_in(4) {
            affinity[side]["preferredDuringSchedulingIgnoredDuringExecution"] = terms(dice, true).into();
        }
    }
    let spread: Vec<Value> =
        if dice.once_in(2) { (0..dice.between(1, 3)).map(|_| constraint(dice)).collect() } else { Vec::new() };
    let cpu = format!("{}m", dice.pick(&[0, 100, 700, 1_500, 5_000]));
    let mut container = json!({"resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}});
    if dice.once_in(5) {
        container["ports"] = json!([{"hostPort": dice.between(80, 81), "hostIP": *dice.pick(&["", "10.0.0.1"])}]);
    }
    let mut spec = json!({
        "schedulerName": "plimsoll", "priority": dice.below(4), "containers": [container], "affinity": affinity,
        "topologySpreadConstraints": spread,
    });
    if dice.once_in(4) {
        spec["nodeSelector"] = json!({"disk": *dice.pick(&["a", "b"])});
    }
    if dice.once_in(4) {
        spec["tolerations"] = json!([{"key": "k", "operator": "Exists"}]);
    }
    if dice.once_in(9) {
        spec["preemptionPolicy"] = "Never".into();
    }
    let mut metadata = json!({
        "name": format!("p{number}"), "uid": format!("u{number}"), "namespace": *dice.pick(&NAMESPACES),
        "labels": pod_labels(dice), "resourceVersion": version.to_string(),
    });
    if dice.once_in(3) {
        let (version, name) = (*dice.pick(&["apps/v1", "apps/v1beta1"]), *dice.pick(&["one", "two"]));
        metadata["ownerReferences"] =
            json!([{"apiVersion": version, "kind": "ReplicaSet", "name": name, "uid": "o", "controller": true}]);
    }
    // No two start at the same time: which of them is the more important one would be open.
    let start = format!("2026-01-01T{:02}:{:02}:{:02}Z", number / 3600 % 24, number / 60 % 60, number % 60);
    json!({"metadata": metadata, "spec": spec, "status": {"startTime": start}})
}
