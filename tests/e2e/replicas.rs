//! Several replicas, of which one binds.

use std::time::Duration;

use plimsoll_apiserver::{Fault, Rule, Server, WatchFault};
use plimsoll_testkit::{node, pod};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::rig::{Replica, cluster, config, text, until_while};

/// Soon over when its holder dies.
const SHORT: &str = "leaderElection: {leaseDuration: 3s, renewDeadline: 2s, retryPeriod: 500ms}\n";
/// Longer than any test waits.
const LONG: &str = "leaderElection: {leaseDuration: 300s, renewDeadline: 200s, retryPeriod: 500ms}\n";
const SEEN: &str = "plimsoll_watch_events_total{kind=\"Node\",type=\"listed\"}";
const LEADING: &str = "leader_election_master_status{name=\"plimsoll\"}";

/// A replica with threads and connections of its own, so that it can die like a process.
struct Process {
    runtime: Runtime,
    replica: Replica,
}

impl Process {
    fn start(url: &str, election: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let replica = runtime.block_on(async { Replica::start(url, config(election)) });
        Self { runtime, replica }
    }

    fn leads(&self) -> bool {
        self.replica.metric(LEADING) > 0.0
    }

    /// How many pods it has bound.
    fn bound(&self) -> f64 {
        self.replica.metric("plimsoll_binding_results_total{result=\"bound\"}")
    }

    /// Ends at once: nothing is finished, nothing is released.
    fn kill(self) {
        self.runtime.shutdown_background();
    }

    /// Ends in good order.
    fn stop(self) -> anyhow::Result<()> {
        self.replica.stop();
        self.runtime.block_on(self.replica.end())
    }
}

struct Stage {
    server: Server,
    /// The test's own runtime, on which the server runs.
    runtime: Runtime,
}

impl Stage {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server = runtime.block_on(cluster());
        server.load(vec![node("only").capacity(&[("cpu", "64"), ("pods", "110")]).build()]);
        Self { server, runtime }
    }

    fn until(&self, what: &str, done: impl FnMut() -> bool) {
        self.runtime.block_on(until_while(what, done, || true));
    }

    fn lease(&self) -> Value {
        self.server.get("leases.coordination.k8s.io", "kube-system", "plimsoll").unwrap()
    }

    /// Makes ten pods and waits until they are bound.
    fn place(&self, round: &str) {
        for n in 0..10 {
            self.server.create(pod(&format!("{round}{n}")).requests(&[("cpu", "1")])).unwrap();
        }
        let pending = || {
            let pods = self.server.list("pods", None).unwrap();
            pods.iter().filter(|pod| text(pod, "/spec/nodeName").is_empty()).count()
        };
        self.until("all pods to be bound", || pending() == 0);
    }
}

#[test]
fn only_the_leader_binds_and_another_takes_over_when_it_dies() {
    let stage = Stage::start();
    let first = Process::start(&stage.server.url(), SHORT);
    stage.until("the first to lead", || first.leads());
    let second = Process::start(&stage.server.url(), SHORT);
    // The standby is warm: it has read everything, and waits.
    stage.until("the second to have seen the node", || second.replica.metric(SEEN) > 0.0);
    stage.place("a");
    // It counts a binding when it has read the answer.
    stage.until("the first to have counted them", || first.bound() >= 10.0);
    assert_eq!((first.bound(), second.bound()), (10.0, 0.0));
    assert!(first.leads() && !second.leads());
    let holder = stage.lease()["spec"]["holderIdentity"].clone();
    first.kill();
    // Made while nobody leads.
    stage.place("b");
    assert!(second.leads());
    stage.until("the second to have counted them", || second.bound() >= 10.0);
    let lease = stage.lease();
    assert_ne!(lease["spec"]["holderIdentity"], holder);
    assert_eq!(lease["spec"]["leaseTransitions"], 1);
    second.stop().unwrap();
    assert_eq!(text(&stage.lease(), "/spec/holderIdentity"), "", "released");
}

#[test]
fn a_leader_that_stops_hands_over_at_once() {
    let stage = Stage::start();
    let first = Process::start(&stage.server.url(), LONG);
    stage.until("the first to lead", || first.leads());
    let second = Process::start(&stage.server.url(), LONG);
    stage.place("a");
    stage.until("the second to stand by", || second.replica.metric(SEEN) > 0.0);
    first.stop().unwrap();
    // The lease has long to go. Whoever did not notice that it was given back would wait for its end.
    stage.place("b");
    stage.until("the second to have counted them", || second.bound() >= 10.0);
    assert_eq!(stage.lease()["spec"]["leaseTransitions"], 1);
    second.stop().unwrap();
}

#[test]
fn a_leader_whose_lease_is_taken_ends() {
    let stage = Stage::start();
    let first = Process::start(&stage.server.url(), SHORT);
    stage.until("the first to lead", || first.leads());
    let steal = |lease: &mut Value| lease["spec"]["holderIdentity"] = "thief".into();
    stage.server.edit("leases.coordination.k8s.io", "kube-system", "plimsoll", steal).unwrap();
    stage.until("the first to end", || first.replica.is_finished());
    let error = first.runtime.block_on(first.replica.end()).unwrap_err();
    assert!(error.to_string().contains("lost the lease kube-system/plimsoll"), "{error:#}");
    assert_eq!(text(&stage.lease(), "/spec/holderIdentity"), "thief");
}

#[test]
fn whoever_takes_over_reads_anew_what_its_watches_kept_from_it() {
    let stage = Stage::start();
    let cordon = |on: bool| {
        stage.server.edit("nodes", "", "only", |node| node["spec"]["unschedulable"] = on.into()).unwrap();
    };
    cordon(true);
    let first = Process::start(&stage.server.url(), LONG);
    stage.until("the first to lead", || first.leads());
    let second = Process::start(&stage.server.url(), LONG);
    let waits = pod("waits").requests(&[("cpu", "40")]).build();
    stage.server.create(waits).unwrap();
    let seen =
        |replica: &Process| replica.replica.metric("plimsoll_watch_events_total{kind=\"Pod\",type=\"applied\"}") > 0.0;
    // Whoever lists it first sees it change.
    let mut changes = 0;
    stage.until("both to have seen the pod", || {
        changes += 1;
        stage
            .server
            .edit("pods", "default", "waits", |pod| pod["metadata"]["labels"]["n"] = changes.to_string().into())
            .unwrap();
        seen(&first) && seen(&second)
    });
    // From now on no watch of pods says anything, and somebody else takes the room.
    let silent = Rule::new(Fault::Watch(WatchFault::Stall(Duration::ZERO))).verb("watch").resource("pods");
    let silent = stage.server.faults().add(silent);
    stage.server.cut_watches("pods", false).unwrap();
    stage.until("both to watch anew", || stage.server.faults().hits(silent) >= 2);
    stage.server.create(pod("foreign").scheduler_name("default-scheduler").requests(&[("cpu", "40")])).unwrap();
    stage.server.bind("default", "foreign", "only").unwrap();
    first.stop().unwrap();
    stage.until("the second to lead", || second.leads());
    cordon(false);
    let message =
        || text(&stage.server.get("pods", "default", "waits").unwrap(), "/status/conditions/0/message").to_owned();
    stage.until("the pod to find no room", || message().contains("1 Insufficient cpu"));
    assert_eq!(text(&stage.server.get("pods", "default", "waits").unwrap(), "/spec/nodeName"), "");
    second.stop().unwrap();
}

#[test]
fn a_standby_writes_nothing() {
    let stage = Stage::start();
    let first = Process::start(&stage.server.url(), LONG);
    stage.until("the first to lead", || first.leads());
    // The lease has long to go, and nobody leads.
    first.kill();
    let second = Process::start(&stage.server.url(), LONG);
    stage.until("the second to stand by", || second.replica.metric(SEEN) > 0.0);
    let before = stage.server.calls().len();
    stage.server.create(pod("odd").requests(&[("cpu", "1x")])).unwrap();
    let invalid = "plimsoll_invalid_pods_total{reason=\"InvalidPodSpec\"}";
    stage.until("the second to have seen the pod", || second.replica.metric(invalid) > 0.0);
    // The lease is given back.
    let free = |lease: &mut Value| lease["spec"]["holderIdentity"] = "".into();
    stage.server.edit("leases.coordination.k8s.io", "kube-system", "plimsoll", free).unwrap();
    let reason =
        || text(&stage.server.get("pods", "default", "odd").unwrap(), "/status/conditions/0/reason").to_owned();
    stage.until("it to be said", || reason() == "InvalidPodSpec");
    let calls = stage.server.calls().split_off(before);
    let mut writes = calls.iter().filter(|call| !matches!(call.verb, "get" | "list" | "watch"));
    assert_eq!(writes.next().map(|call| &*call.resource), Some("leases"), "nothing is written before it leads");
    second.stop().unwrap();
}
