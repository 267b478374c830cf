//! A cluster in one process, and what can be done to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use plimsoll_apiserver::{Options, Server};
use plimsoll_testkit::{Dice, deployment, job, node, pod};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::replica::Replica;
use crate::seen::{Named, Pod, all};

/// When every simulated hour begins.
const EPOCH_SECONDS: u64 = 1_700_000_000;
/// A resource that only pods of others ask for, so that two schedulers never compete for the same.
const FOREIGN: &str = "example.com/foreign";
const DEPLOYMENTS: [&str; 3] = ["web", "api", "batch"];
/// The class of volumes that are made for claims, and that of volumes that are there.
const MADE: &str = "made";
const SHELF: &str = "shelf";
const ZONES: [&str; 3] = ["a", "b", "c"];

/// The cluster, its schedulers, and the chances.
pub(crate) struct World {
    pub(crate) server: Arc<Server>,
    pub(crate) dice: Dice,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) elects: bool,
    pub(crate) trace: Vec<String>,
    seed: u64,
    /// Where schedulers are recorded, if they are.
    record: Option<PathBuf>,
    begun: Instant,
    narrate: bool,
    serial: u64,
    restarts: u64,
}

impl World {
    pub(crate) fn new(seed: u64, narrate: bool, record: Option<PathBuf>) -> Self {
        let mut dice = Dice::new(seed);
        let elects = dice.once_in(8);
        let server = Server::in_memory(Options {
            seed,
            start_time: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH_SECONDS)),
            pod_start_delay: Duration::from_millis(dice.between(500, 3_000)),
            pod_stop_delay: Duration::from_millis(dice.between(50, 3_000)),
            job_duration: Duration::from_secs(dice.between(5, 120)),
            recorded_calls: 10_000_000,
            ..Options::default()
        });
        let mut world = Self {
            server: Arc::new(server.unwrap()),
            dice,
            replicas: Vec::new(),
            elects,
            trace: Vec::new(),
            seed,
            record,
            begun: Instant::now(),
            narrate,
            serial: 0,
            restarts: 0,
        };
        for _ in 0..world.dice.between(3, 8) {
            world.add_node();
        }
        for (name, provisioner) in [(MADE, "csi.example.com"), (SHELF, "kubernetes.io/no-provisioner")] {
            let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
                               "provisioner": provisioner, "volumeBindingMode": "WaitForFirstConsumer"});
            world.server.create(class).unwrap();
        }
        for name in DEPLOYMENTS {
            let template = world.template(name);
            world.server.create(deployment(name, 0, template)).unwrap();
        }
        for _ in 0..if elects { 2 } else { 1 } {
            world.start_scheduler();
        }
        world
    }

    /// Notes what happens, and when.
    pub(crate) fn say(&mut self, what: String) {
        let line = format!("{:>9} ms  {what}", self.begun.elapsed().as_millis());
        if self.narrate {
            println!("{line}");
        }
        self.trace.push(line);
    }

    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH_SECONDS) + self.begun.elapsed()
    }

    fn number(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(crate) fn start_scheduler(&mut self) {
        self.restarts += 1;
        let name = format!("replica-{}_{}", self.restarts, self.seed);
        let (seed, record) = (self.seed + self.restarts, self.record.as_deref());
        let replica = Replica::start(&self.server, &name, self.now(), seed, self.elects, record);
        self.replicas.push(replica);
    }

    pub(crate) fn names(&self, resource: &str) -> Vec<String> {
        all::<Named>(&self.server, resource).into_iter().map(|object| object.metadata.name).collect()
    }

    fn some(&mut self, resource: &str) -> Option<String> {
        let names = self.names(resource);
        (!names.is_empty()).then(|| self.dice.pick(&names).clone())
    }

    pub(crate) fn add_node(&mut self) {
        let name = format!("node-{}", self.number());
        let cpu = (self.dice.between(1, 4) * 2).to_string();
        let room = [("cpu", &*cpu), ("memory", "16Gi"), ("pods", "30"), (FOREIGN, "1000")];
        let zone = *self.dice.pick(&ZONES);
        self.say(format!("add {name}: {cpu} CPUs in zone {zone}"));
        self.server.create(node(&name).capacity(&room).zone(zone)).unwrap();
    }

    fn remove_node(&mut self) {
        if self.names("nodes").len() > 2 {
            let name = self.some("nodes").unwrap();
            self.say(format!("remove {name}"));
            self.server.delete("nodes", "", &name).unwrap();
        }
    }

    /// A change of a node that changes what may run there, but not what it can give.
    fn change_node(&mut self) {
        let name = self.some("nodes").unwrap();
        let (kind, zone, labelled) = (self.dice.below(5), *self.dice.pick(&ZONES), self.dice.once_in(2));
        self.say(format!("change {name}: {kind} {zone}"));
        let change = |node: &mut Value| match kind {
            0 => node["spec"]["unschedulable"] = true.into(),
            1 => node["spec"] = serde_json::json!({}),
            2 => node["spec"]["taints"] = serde_json::json!([{"key": "k", "value": "v", "effect": "NoSchedule"}]),
            3 => node["metadata"]["labels"]["topology.kubernetes.io/zone"] = zone.into(),
            _ => node["metadata"]["labels"]["fast"] = if labelled { "yes".into() } else { "no".into() },
        };
        self.server.edit("nodes", "", &name, change).unwrap();
    }

    /// A pod of ours, of some shape.
    fn template(&mut self, name: &str) -> plimsoll_testkit::PodBuilder {
        let cpu = format!("{}m", self.dice.between(1, 10) * 100);
        let memory = format!("{}Mi", self.dice.between(1, 20) * 64);
        let mut made = pod(name).label("app", name).requests(&[("cpu", &cpu), ("memory", &memory)]);
        let zone = *self.dice.pick(&ZONES);
        match self.dice.below(8) {
            0 => made = made.node_selector("topology.kubernetes.io/zone", zone),
            1 => made = made.node_selector("fast", "yes"),
            2 => made = made.toleration("k", "Exists", "", ""),
            3 | 4 => made = made.priority(i32::try_from(self.dice.below(1_000)).unwrap()),
            5 => made = made.host_port(8_080),
            _ => {}
        }
        made
    }

    fn create_pods(&mut self) {
        for _ in 0..self.dice.between(1, 5) {
            let name = format!("pod-{}", self.number());
            let mut made = self.template(&name);
            if self.dice.once_in(10) {
                made = made.gate("example.com/gate");
            }
            self.say(format!("create {name}"));
            self.server.create(made).unwrap();
        }
    }

    /// A volume that can be reached from one zone.
    fn create_volume(&mut self, zone: &str) {
        let name = format!("volume-{}", self.number());
        let expression = json!({"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]});
        let terms = json!([{"matchExpressions": [expression]}]);
        self.server
            .create(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
                           "spec": {"storageClassName": SHELF, "capacity": {"storage": "1Gi"},
                                    "accessModes": ["ReadWriteOnce"], "local": {"path": "/data"},
                                    "nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}}))
            .unwrap();
    }

    /// A pod with a claim of its own, and now and then another volume for such claims.
    fn create_pod_with_claim(&mut self) {
        let (name, class) = (format!("stateful-{}", self.number()), *self.dice.pick(&[MADE, SHELF]));
        if class == SHELF && self.dice.once_in(2) {
            let zone = *self.dice.pick(&ZONES);
            self.create_volume(zone);
        }
        self.say(format!("create {name} with a claim of class {class}"));
        self.server
            .create(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                           "metadata": {"name": name, "namespace": "default"},
                           "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"],
                                    "resources": {"requests": {"storage": "1Gi"}}}}))
            .unwrap();
        let volume = json!({"name": "data", "persistentVolumeClaim": {"claimName": name}});
        self.server.create(pod(&name).requests(&[("cpu", "200m")]).volume(volume)).unwrap();
    }

    fn create_job(&mut self) {
        let name = format!("job-{}", self.number());
        let (completions, template) = (self.dice.between(1, 6), self.template(&name));
        self.say(format!("create {name}: {completions} pods"));
        self.server.create(job(&name, u32::try_from(completions).unwrap(), template)).unwrap();
    }

    /// Pods of any shapes that are to be placed together, some of which may be missing.
    fn create_gang(&mut self) {
        let gang = format!("gang-{}", self.number());
        let (size, missing) = (self.dice.between(2, 5), u64::from(self.dice.once_in(6)));
        self.say(format!("create {gang}: {} of {size} pods", size - missing));
        for member in missing..size {
            let made = self.template(&format!("{gang}-{member}"));
            let made = made.label("plimsoll/gang", &gang).label("plimsoll/gang-size", &size.to_string());
            self.server.create(made).unwrap();
        }
    }

    fn scale(&mut self) {
        let (name, replicas) = (*self.dice.pick(&DEPLOYMENTS), self.dice.below(10));
        self.say(format!("scale {name} to {replicas}"));
        self.server.edit("deployments", "default", name, |d| d["spec"]["replicas"] = replicas.into()).unwrap();
    }

    fn delete_pod(&mut self) {
        if let Some(name) = self.some("pods") {
            self.say(format!("delete {name}"));
            self.server.delete("pods", "default", &name).unwrap();
        }
    }

    fn relabel_pod(&mut self) {
        if let Some(name) = self.some("pods") {
            let tier = self.dice.below(3).to_string();
            self.say(format!("label {name}"));
            self.server
                .edit("pods", "default", &name, |pod| pod["metadata"]["labels"]["tier"] = (*tier).into())
                .unwrap();
        }
    }

    pub(crate) fn lift_gates(&mut self) {
        for pod in all::<Pod>(&self.server, "pods").iter().filter(|pod| !pod.spec.scheduling_gates.is_empty()) {
            let name = &pod.metadata.name;
            self.say(format!("lift the gate of {name}"));
            let lift = |pod: &mut Value| pod["spec"]["schedulingGates"] = serde_json::json!([]);
            self.server.edit("pods", "default", name, lift).unwrap();
        }
    }

    /// A pod of another scheduler, which binds it.
    fn create_foreign_pod(&mut self) {
        let (name, node) = (format!("foreign-{}", self.number()), self.some("nodes").unwrap());
        self.say(format!("create {name}, bound to {node} by another scheduler"));
        let made = pod(&name).scheduler_name("other").requests(&[(FOREIGN, "1")]);
        self.server.create(made).unwrap();
        self.server.bind("default", &name, &node).unwrap();
    }

    /// Something happens in the cluster, of its own accord.
    pub(crate) fn live(&mut self) {
        match self.dice.below(25) {
            0..4 => self.create_pods(),
            4..8 => self.scale(),
            8..10 => self.create_job(),
            10..13 => self.delete_pod(),
            13 => self.relabel_pod(),
            14 => self.lift_gates(),
            15 => self.create_foreign_pod(),
            16 => self.add_node(),
            17 => self.remove_node(),
            18 | 19 => self.create_gang(),
            20..23 => self.create_pod_with_claim(),
            _ => self.change_node(),
        }
    }

    /// Makes room for everything that waits: all nodes take pods, and there are enough of each sort.
    pub(crate) fn make_room(&mut self) {
        for name in self.names("nodes") {
            let change = |node: &mut Value| {
                node["spec"] = serde_json::json!({});
                node["metadata"]["labels"]["fast"] = "yes".into();
            };
            self.server.edit("nodes", "", &name, change).unwrap();
        }
        for zone in ZONES {
            for _ in 0..self.names("persistentvolumeclaims").len() {
                self.create_volume(zone);
            }
            for _ in 0..20 {
                let name = format!("node-{}", self.number());
                let room = [("cpu", "32"), ("memory", "64Gi"), ("pods", "110")];
                self.server.create(node(&name).capacity(&room).zone(zone).label("fast", "yes")).unwrap();
            }
        }
        self.say("there is room for everything".to_owned());
    }
}
