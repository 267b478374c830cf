//! A cluster with schedulers, and what the tests ask of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use plimsoll::client::Cluster;
use plimsoll::config::{Config, Defaults};
use plimsoll::metrics::Metrics;
use plimsoll::record::Room;
use plimsoll::scheduler::{Reloader, Scheduler};
use plimsoll_apiserver::{Options, Server};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How long anything is waited for. Only a test that fails waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The head of every configuration.
const HEAD: &str = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";

/// A cluster and one scheduler.
pub(crate) struct Rig {
    pub(crate) server: Server,
    pub(crate) scheduler: Replica,
}

/// A scheduler at work.
pub(crate) struct Replica {
    pub(crate) metrics: Arc<Metrics>,
    reloader: Reloader,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

/// A configuration without leader election.
pub(crate) fn single(rest: &str) -> Config {
    config(&format!("leaderElection: {{leaderElect: false}}\n{rest}"))
}

/// A configuration of these lines.
pub(crate) fn config(rest: &str) -> Config {
    Config::parse("test.yaml", &format!("{HEAD}{rest}"), &Defaults::plimsoll()).unwrap()
}

/// A cluster that remembers all calls, and lets the scheduler do what the chart's roles grant.
pub(crate) async fn cluster() -> Server {
    cluster_with(Options::default()).await
}

/// The same with other options.
pub(crate) async fn cluster_with(options: Options) -> Server {
    let server = Server::start(Options { rbac: true, recorded_calls: 100_000, ..options }).await.unwrap();
    let roles = roles();
    let count = roles.len();
    assert_eq!(server.load(roles), count, "all roles are loaded");
    server
}

/// The roles that the chart renders (tests/chart/roles_file.py), bound to whoever shows no credentials, as the schedulers of these
/// tests do. What every account may do besides, discovery, they may, too.
pub(crate) fn roles() -> Vec<Value> {
    let everybody =
        json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:unauthenticated"}]);
    let mut objects: Vec<Value> = serde_json::from_str(include_str!("roles.json")).unwrap();
    for object in &mut objects {
        if object.get("subjects").is_some() {
            object["subjects"] = everybody.clone();
        }
    }
    objects.push(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "discovery"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:discovery"},
        "subjects": everybody,
    }));
    objects
}

/// What was refused as not permitted and never granted later, as `verb resource`: what the roles lack.
fn lacking(server: &Server) -> BTreeSet<String> {
    let mut lacking = BTreeSet::new();
    for call in server.calls() {
        let what = format!("{} {}.{}/{}", call.verb, call.resource, call.group, call.subresource);
        match call.code {
            403 => drop(lacking.insert(what)),
            200..300 => drop(lacking.remove(&what)),
            _ => {}
        }
    }
    lacking
}

impl Replica {
    /// Starts one on the current runtime.
    pub(crate) fn start(url: &str, config: Config) -> Self {
        Self::start_as(url, config, |scheduler| scheduler)
    }

    /// Starts one that is recorded in this folder.
    pub(crate) fn recorded(url: &str, config: Config, dir: &Path) -> Self {
        let room = Room::new(dir, 64).unwrap();
        Self::start_as(url, config, |scheduler| scheduler.with_recording(room))
    }

    /// Starts one on the current runtime, as whoever the cluster is told that it is.
    pub(crate) fn of(cluster: Cluster, config: Config) -> Self {
        Self::start_on(cluster, config, |scheduler| scheduler)
    }

    fn start_as(url: &str, config: Config, set: impl FnOnce(Scheduler) -> Scheduler) -> Self {
        Self::start_on(Cluster::at(url).unwrap(), config, set)
    }

    fn start_on(cluster: Cluster, config: Config, set: impl FnOnce(Scheduler) -> Scheduler) -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        let cluster = cluster.with_metrics(&metrics);
        let scheduler = Scheduler::new(config, cluster.clients().unwrap(), Arc::clone(&metrics));
        let (reloader, stop) = (scheduler.reloader(), CancellationToken::new());
        let task = tokio::spawn(set(scheduler.with_namespace("kube-system")).run(stop.clone()));
        Self { metrics, reloader, stop, task }
    }

    /// A way to give it another configuration.
    pub(crate) fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Begins to stop it.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether it has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits for its end.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap()
    }

    /// The value of a series, such as `plimsoll_stale_scores_total`; 0 where there is none.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.metrics.render().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }
}

impl Rig {
    /// A cluster of these objects, and a scheduler without leader election.
    pub(crate) async fn start(objects: Vec<Value>) -> Self {
        Self::start_with(objects, single("")).await
    }

    /// A cluster of these objects, and a scheduler of this configuration.
    pub(crate) async fn start_with(objects: Vec<Value>, config: Config) -> Self {
        let server = cluster().await;
        let count = objects.len();
        assert_eq!(server.load(objects), count, "all objects are loaded");
        let scheduler = Replica::start(&server.url(), config);
        Self { server, scheduler }
    }

    /// Waits until `done`; `what` is waited for.
    pub(crate) async fn until(&self, what: &str, done: impl FnMut() -> bool) {
        let running = || !self.scheduler.is_finished();
        until_while(what, done, running).await;
    }

    pub(crate) fn create(&self, object: impl Into<Value>) -> Value {
        self.server.create(object).unwrap()
    }

    pub(crate) fn pod(&self, name: &str) -> Value {
        self.server.get("pods", "default", name).unwrap()
    }

    /// Waits until a pod is on a node, and gives the node's name.
    pub(crate) async fn bound(&self, name: &str) -> String {
        let node = || text(&self.pod(name), "/spec/nodeName").to_owned();
        self.until(&format!("{name} to be bound"), || !node().is_empty()).await;
        node()
    }

    /// Waits until all pods of the cluster are on a node.
    pub(crate) async fn all_bound(&self) {
        let pending = || self.pods().into_iter().filter(|pod| text(pod, "/spec/nodeName").is_empty()).count();
        self.until("all pods to be bound", || pending() == 0).await;
    }

    /// Waits until a pod's condition `PodScheduled` is false for this reason, and gives its message.
    pub(crate) async fn refused(&self, name: &str, reason: &str) -> String {
        let said = || condition(&self.pod(name)).filter(|c| c["status"] == "False" && c["reason"] == reason);
        self.until(&format!("{name} to be {reason}"), || said().is_some()).await;
        text(&said().unwrap(), "/message").to_owned()
    }

    /// Waits until that is a pod's message, however many others come before: nodes and pods are told by two watches,
    /// of which either may be ahead.
    pub(crate) async fn says(&self, name: &str, message: &str) {
        let said = || condition(&self.pod(name)).is_some_and(|c| c["message"] == message);
        self.until(&format!("{name} to say {message:?}"), said).await;
    }

    pub(crate) fn pods(&self) -> Vec<Value> {
        self.server.list("pods", None).unwrap()
    }

    /// The events about a pod with that reason.
    pub(crate) fn events(&self, pod: &str, reason: &str) -> Vec<Value> {
        let mut events = self.server.list("events.events.k8s.io", None).unwrap();
        events.retain(|event| event["regarding"]["name"] == pod && event["reason"] == reason);
        events
    }

    /// How many bindings the server was asked for, by pod.
    pub(crate) fn binding_calls(&self) -> BTreeMap<String, usize> {
        let mut calls = BTreeMap::new();
        for call in self.server.calls().into_iter().filter(|c| c.resource == "pods" && c.subresource == "binding") {
            *calls.entry(call.name).or_default() += 1;
        }
        calls
    }

    /// What must hold after every run: each pod's binding was accepted once and no more, no node holds more than it
    /// can give, and no kubelet has refused a pod.
    pub(crate) fn check_books(&self) {
        let mut accepted: BTreeMap<String, usize> = BTreeMap::new();
        let calls = self.server.calls().into_iter();
        for call in calls.filter(|c| c.subresource == "binding" && (200..300).contains(&c.code)) {
            *accepted.entry(call.name).or_default() += 1;
        }
        assert!(accepted.values().all(|times| *times == 1), "bound more than once: {accepted:?}");
        let mut used: BTreeMap<String, u64> = BTreeMap::new();
        for pod in self.pods() {
            assert_ne!(pod["status"]["phase"], "Failed", "a kubelet refused {pod}");
            let node = text(&pod, "/spec/nodeName").to_owned();
            if !node.is_empty() {
                *used.entry(node).or_default() += milli_cpu(text(&pod, "/spec/containers/0/resources/requests/cpu"));
            }
        }
        for node in self.server.list("nodes", None).unwrap() {
            let allocatable = milli_cpu(text(&node, "/status/allocatable/cpu"));
            let taken = used.remove(text(&node, "/metadata/name")).unwrap_or(0);
            assert!(taken <= allocatable, "{taken} of {allocatable} on {}", node["metadata"]["name"]);
        }
    }

    /// Stops both; the scheduler has to end well, and not to have asked for what the chart's roles do not grant.
    pub(crate) async fn end(self) {
        self.scheduler.stop();
        self.scheduler.end().await.unwrap();
        assert_eq!(lacking(&self.server), BTreeSet::new(), "asked for, and not granted by the chart");
        self.server.shutdown().await;
    }
}

/// Waits until `done`, as long as the world is `well`.
pub(crate) async fn until_while(what: &str, mut done: impl FnMut() -> bool, well: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(well(), "the scheduler has ended while waiting for {what}");
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// A text in an object, by its JSON pointer; empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A pod's condition `PodScheduled`.
pub(crate) fn condition(pod: &Value) -> Option<Value> {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array)?;
    conditions.iter().find(|c| c["type"] == "PodScheduled").cloned()
}

/// Thousandths of a CPU, as these tests write them: `2` or `500m`.
fn milli_cpu(quantity: &str) -> u64 {
    match quantity.strip_suffix('m') {
        Some(milli) => milli.parse().unwrap(),
        None if quantity.is_empty() => 0,
        None => quantity.parse::<u64>().unwrap() * 1_000,
    }
}
