//! A cluster, replicas of the scheduler, another scheduler, and what can be done to them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use plimsoll_apiserver::{Options, Server, TlsOptions, User};
use plimsoll_testkit::{Dice, node, pod};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::process::{End, Process};

const CONFIG: &str = "apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaseDuration: 3s, renewDeadline: 2s, retryPeriod: 500ms, resourceNamespace: kube-system}
podInitialBackoffSeconds: 1
podMaxBackoffSeconds: 1
---
apiVersion: config.plimsoll/v1alpha1
kind: PlimsollConfiguration
workers: 2
";
/// The name of the other scheduler, and of its pods' `schedulerName`.
pub(crate) const OTHER: &str = "other";
/// How many processes a trial may start.
const USERS: usize = 200;

/// What became of a pod, as far as the test has done or seen it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    pub(crate) milli_cpu: u64,
    /// Where the other scheduler has put it, and when.
    pub(crate) other: Option<(String, SystemTime)>,
    /// When it was told to go, and the node that it was on then.
    pub(crate) gone: Option<(SystemTime, String)>,
}

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) dice: Dice,
    pub(crate) replicas: Vec<Process>,
    /// Stopped replicas, by the time at which they go on.
    pub(crate) stopped: Vec<(Instant, String)>,
    /// When replicas that are missing are started.
    due: Vec<Instant>,
    pub(crate) lives: BTreeMap<String, Life>,
    /// Thousandths of a CPU that each node can give, gone ones included.
    pub(crate) nodes: BTreeMap<String, u64>,
    /// When the watches of pods were cut.
    pub(crate) cuts: Vec<SystemTime>,
    pub(crate) counts: BTreeMap<String, u64>,
    folder: TempDir,
    runtime: Option<Runtime>,
    narrate: bool,
    begun: Instant,
    started: usize,
    serial: u64,
}

pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn options(seed: u64) -> Options {
    let user = |n: usize| (format!("token-replica-{n}"), User::administrator(&format!("replica-{n}")));
    let tokens = (0..USERS).map(user).collect();
    Options { seed, tokens, tls: Some(TlsOptions::default()), recorded_calls: 1_000_000, ..Options::default() }
}

impl World {
    pub(crate) fn new(seed: u64, narrate: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server = runtime.block_on(Server::start(options(seed))).unwrap();
        let mut world = Self {
            server,
            dice: Dice::new(seed),
            replicas: Vec::new(),
            stopped: Vec::new(),
            due: Vec::new(),
            lives: BTreeMap::new(),
            nodes: BTreeMap::new(),
            cuts: Vec::new(),
            counts: BTreeMap::new(),
            folder: tempfile::tempdir().unwrap(),
            runtime: Some(runtime),
            narrate,
            begun: Instant::now(),
            started: 0,
            serial: 0,
        };
        (0..8).for_each(|_| world.add_node(8));
        (0..2).for_each(|_| world.start_replica());
        world
    }

    pub(crate) fn say(&self, what: &str) {
        if self.narrate {
            println!("{:>6} ms  {what}", self.begun.elapsed().as_millis());
        }
    }

    pub(crate) fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    fn number(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(crate) fn start_replica(&mut self) {
        let user = format!("replica-{}", self.started);
        self.started += 1;
        self.say(&format!("start {user}"));
        let kubeconfig = self.server.kubeconfig_of(&format!("token-{user}"));
        self.replicas.push(Process::start(self.folder.path(), &user, &kubeconfig, CONFIG));
    }

    /// Starts another in the place of one that has ended, after a while.
    pub(crate) fn start_later(&mut self, after: Duration) {
        self.due.push(Instant::now() + after);
    }

    /// Looks after the replicas: those that have ended by themselves must have had a reason; whose time has come goes on.
    pub(crate) fn mind(&mut self) {
        let now = Instant::now();
        let (on, still) = std::mem::take(&mut self.stopped).into_iter().partition(|(at, _)| *at <= now);
        self.stopped = still;
        let on: Vec<(Instant, String)> = on;
        for (_, user) in on {
            self.say(&format!("{user} goes on"));
            self.replicas.iter().filter(|replica| replica.user == user).for_each(|replica| replica.signal("CONT"));
        }
        for mut replica in std::mem::take(&mut self.replicas) {
            match replica.ended() {
                None => self.replicas.push(replica),
                Some(end) => {
                    self.check_end(&replica, &end);
                    self.start_later(Duration::ZERO);
                }
            }
        }
        let due = self.due.iter().filter(|at| **at <= now).count();
        self.due.retain(|at| *at > now);
        (0..due).for_each(|_| self.start_replica());
    }

    fn check_end(&mut self, replica: &Process, end: &End) {
        let (user, log) = (&replica.user, replica.log());
        self.say(&format!("{user} has ended: {end:?}"));
        match end {
            End::Code(0) if replica.told_to_end => {}
            // Before it listens to signals.
            End::Killed if replica.told_to_end && !log.contains("starting version") => {}
            // It may lose the lease while it ends in good order, if it is stopped meanwhile.
            End::Code(1) if log.contains("lost the lease") => self.count("replicas that lost the lease"),
            _ => panic!("{user} has ended by itself, {end:?}: {log}"),
        }
    }

    /// Whether no replica is missing, none is stopped, and none is about to end.
    pub(crate) fn is_complete(&self) -> bool {
        let stay = self.replicas.iter().filter(|replica| !replica.told_to_end).count();
        self.due.is_empty() && self.stopped.is_empty() && stay == 2
    }

    pub(crate) fn add_node(&mut self, cpus: u64) {
        let name = format!("node-{}", self.number());
        self.say(&format!("add {name}"));
        let room = [("cpu", &*cpus.to_string()), ("memory", "64Gi"), ("pods", "110")];
        self.server.create(node(&name).capacity(&room)).unwrap();
        self.nodes.insert(name, cpus * 1_000);
    }

    pub(crate) fn remove_node(&mut self) {
        let nodes = self.server.list("nodes", None).unwrap();
        if nodes.len() > 4 {
            let name = text(self.dice.pick(&nodes), "/metadata/name").to_owned();
            self.say(&format!("remove {name}"));
            self.server.delete("nodes", "", &name).unwrap();
        }
    }

    pub(crate) fn create_pods(&mut self, scheduler: &str) {
        for _ in 0..self.dice.between(1, 3) {
            let name = format!("{scheduler}-{}", self.number());
            let milli_cpu = self.dice.between(2, 20) * 100;
            self.say(&format!("create {name}: {milli_cpu}m"));
            let made = pod(&name).scheduler_name(scheduler).requests(&[("cpu", &format!("{milli_cpu}m"))]);
            self.server.create(made).unwrap();
            self.lives.insert(name, Life { milli_cpu, ..Life::default() });
        }
    }

    pub(crate) fn delete_pod(&mut self) {
        let pods = self.server.list("pods", None).unwrap();
        let there: Vec<&Value> =
            pods.iter().filter(|pod| text(pod, "/metadata/deletionTimestamp").is_empty()).collect();
        if there.is_empty() {
            return;
        }
        let (name, node) = {
            let pod = self.dice.pick(&there);
            (text(pod, "/metadata/name").to_owned(), text(pod, "/spec/nodeName").to_owned())
        };
        self.say(&format!("delete {name}"));
        if let Some(life) = self.lives.get_mut(&name) {
            life.gone = Some((SystemTime::now(), node));
        }
        // It may have gone with its node.
        drop(self.server.delete("pods", "default", &name));
    }

    /// The other scheduler takes its pods up, one by one, each on a node that has room for it at that moment.
    pub(crate) fn other_schedules(&mut self) {
        for pod in self.server.list("pods", None).unwrap() {
            if text(&pod, "/spec/schedulerName") != OTHER || !text(&pod, "/spec/nodeName").is_empty() {
                continue;
            }
            let name = text(&pod, "/metadata/name");
            let fitting = self.nodes_with_room(self.lives[name].milli_cpu);
            if fitting.is_empty() {
                continue;
            }
            let node = self.dice.pick(&fitting).clone();
            if self.server.bind("default", name, &node).is_ok() {
                self.say(&format!("{name} is put on {node}"));
                self.count("bindings of the other scheduler");
                if let Some(life) = self.lives.get_mut(name) {
                    life.other = Some((node, SystemTime::now()));
                }
            }
        }
    }

    fn nodes_with_room(&self, milli_cpu: u64) -> Vec<String> {
        let mut used: BTreeMap<String, u64> = BTreeMap::new();
        for pod in self.server.list("pods", None).unwrap() {
            let life = self.lives.get(text(&pod, "/metadata/name"));
            if text(&pod, "/status/phase") != "Failed" {
                *used.entry(text(&pod, "/spec/nodeName").to_owned()).or_default() += life.map_or(0, |l| l.milli_cpu);
            }
        }
        let nodes = self.server.list("nodes", None).unwrap();
        let names = nodes.iter().map(|node| text(node, "/metadata/name").to_owned());
        names.filter(|name| used.get(name).unwrap_or(&0) + milli_cpu <= self.nodes[name]).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
