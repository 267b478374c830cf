//! Stand-in kubelets: they admit the pods bound to their nodes as kubelets do, run them, end them and let them go.

mod affinity;
mod machine;
mod status;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

use self::machine::{Demand, Machine};
use crate::{
    cluster::Cluster,
    json,
    kinds::Role,
    ops::{DeleteOptions, Target},
    store::{Ended, Follower},
    stored::{Happened, Stored},
};

/// How long a pod runs until it ends, in seconds. For pods that do not restart.
const RUN_SECONDS: &str = "plimsoll/run-seconds";
/// How it ends: anything but 0 is a failure.
const EXIT_CODE: &str = "plimsoll/exit-code";

/// How many changes or timers are handled before requests get a turn.
const TURN: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Start,
    Finish,
    Stop,
}

/// All kubelets of the cluster.
pub(super) struct Kubelets {
    cluster: Arc<Cluster>,
    pods: Follower,
    nodes: Follower,
    machines: HashMap<Box<str>, Machine>,
    /// The nodes on which pods have been admitted, by the pods' UIDs.
    admitted: HashMap<Box<str>, Box<str>>,
    /// What is to be done when, to which pod: key and UID.
    timers: BTreeMap<(Instant, u64), (Action, String, Box<str>)>,
    sequence: u64,
}

impl Kubelets {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self {
            pods: cluster.pods().follow(0),
            nodes: cluster.store_of(Role::Node).follow(0),
            cluster,
            machines: HashMap::new(),
            admitted: HashMap::new(),
            timers: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// Runs pods for ever.
    pub(super) async fn run(mut self) {
        loop {
            let idle = !self.look_at_nodes() & !self.look_at_pods() & !self.act();
            if idle {
                let hour = Instant::now() + Duration::from_secs(3600);
                let next = self.timers.first_key_value().map_or(hour, |((at, _), _)| *at);
                tokio::select! {
                    () = self.pods.wait() => {}
                    () = self.nodes.wait() => {}
                    () = tokio::time::sleep_until(next) => {}
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Takes in changed nodes; whether there were any.
    fn look_at_nodes(&mut self) -> bool {
        match self.nodes.take(TURN) {
            Ok(changes) => {
                for change in &changes {
                    match change.happened {
                        Happened::Deleted => self.lose_node(&change.object.name),
                        _ => self.see_node(&change.object),
                    }
                }
                !changes.is_empty()
            }
            Err(Ended::TooOld { .. } | Ended::Cut { .. }) => {
                let store = self.cluster.store_of(Role::Node).clone();
                let (nodes, version) = store.all();
                self.nodes = store.follow(version);
                let gone: Vec<_> = self.machines.keys().filter(|name| store.get(name).is_none()).cloned().collect();
                gone.iter().for_each(|name| self.lose_node(name));
                nodes.iter().for_each(|node| self.see_node(node));
                true
            }
        }
    }

    fn look_at_pods(&mut self) -> bool {
        match self.pods.take(TURN) {
            Ok(changes) => {
                changes.iter().for_each(|change| self.see_pod(&change.object, change.happened));
                !changes.is_empty()
            }
            Err(Ended::TooOld { .. } | Ended::Cut { .. }) => {
                let store = self.cluster.pods().clone();
                let (pods, version) = store.all();
                self.pods = store.follow(version);
                let known: std::collections::HashSet<&str> = pods.iter().map(|pod| &*pod.uid).collect();
                let gone: Vec<_> = self.admitted.keys().filter(|uid| !known.contains(&***uid)).cloned().collect();
                gone.iter().for_each(|uid| self.release(uid));
                pods.iter().for_each(|pod| self.see_pod(pod, Happened::Modified));
                true
            }
        }
    }

    fn see_node(&mut self, node: &Stored) {
        let value = node.value();
        let known = self.machines.contains_key(&node.name);
        self.machines.entry(node.name.clone()).or_default().update(&value);
        if !status::is_reported(&value) {
            let (now, minor) = (self.cluster.clock.stamp(), self.cluster.options.minor);
            // A node that went needs no status.
            let _ = self.cluster.edit(Target::of(self.cluster.kinds.role(Role::Node), node), |node| {
                status::report_node(node, &now, minor);
                Ok(true)
            });
        }
        if !known {
            let (pods, _) = self.cluster.pods().all();
            let here = pods.iter().filter(|pod| pod.pod_node() == &*node.name);
            here.for_each(|pod| self.see_pod(pod, Happened::Modified));
        }
    }

    /// Pods of a node that went are removed, as the cluster's pod garbage collector does.
    fn lose_node(&mut self, name: &str) {
        self.machines.remove(name);
        let (pods, _) = self.cluster.pods().all();
        for pod in pods.iter().filter(|pod| pod.pod_node() == name) {
            self.admitted.remove(&pod.uid);
            self.remove(pod);
        }
    }

    fn see_pod(&mut self, pod: &Stored, happened: Happened) {
        if happened == Happened::Deleted || pod.pod_finished() {
            self.release(&pod.uid);
        }
        if happened == Happened::Deleted || !self.machines.contains_key(pod.pod_node()) {
            return;
        }
        if pod.deleting {
            let delay = self.stop_delay(pod);
            self.at(delay, Action::Stop, pod);
        } else if !pod.pod_finished() && !self.admitted.contains_key(&pod.uid) {
            self.admit(pod);
        }
    }

    fn admit(&mut self, pod: &Stored) {
        let Some(machine) = self.machines.get_mut(pod.pod_node()) else { return };
        let value = pod.value();
        let demand = Demand::of(&value);
        // What runs already has been admitted by whoever ran it.
        let refusal = if pod.pod_phase() == "Running" { None } else { machine.refusal(&value, &demand) };
        if let Some((reason, message)) = refusal {
            let now = self.cluster.clock.stamp();
            self.edit_pod(pod, |pod| status::refuse(pod, &reason, &message, &now));
            return;
        }
        machine.add(pod.uid.clone(), demand);
        self.admitted.insert(pod.uid.clone(), pod.pod_node().into());
        if pod.pod_phase() == "Running" {
            self.plan_finish(pod, &value);
        } else {
            self.at(self.cluster.options.pod_start_delay, Action::Start, pod);
        }
    }

    fn release(&mut self, uid: &str) {
        if let Some(node) = self.admitted.remove(uid)
            && let Some(machine) = self.machines.get_mut(&node)
        {
            machine.remove(uid);
        }
    }

    fn at(&mut self, delay: Duration, action: Action, pod: &Stored) {
        self.sequence += 1;
        let key = self.cluster.kinds.role(Role::Pod).key(&pod.namespace, &pod.name);
        self.timers.insert((Instant::now() + delay, self.sequence), (action, key, pod.uid.clone()));
    }

    /// Does some of what is due; whether anything was.
    fn act(&mut self) -> bool {
        let now = Instant::now();
        for turn in 0..TURN {
            match self.timers.first_entry() {
                Some(entry) if entry.key().0 <= now => {
                    let (action, key, uid) = entry.remove();
                    let pod = self.cluster.pods().get(&key).filter(|pod| pod.uid == uid);
                    if let Some(pod) = pod {
                        self.perform(action, &pod);
                    }
                }
                _ => return turn > 0,
            }
        }
        true
    }

    fn perform(&mut self, action: Action, pod: &Stored) {
        let now = self.cluster.clock.stamp();
        match action {
            Action::Stop => self.remove(pod),
            // On its way out, or ended by someone else.
            _ if !pod.pod_active() => {}
            Action::Start => {
                let address = self.sequence;
                self.edit_pod(pod, |pod| status::run(pod, &now, address));
                self.plan_finish(pod, &pod.value());
            }
            Action::Finish => {
                let value = pod.value();
                let code = json::text(&value, &["metadata", "annotations", EXIT_CODE]);
                let code: i64 = code.parse().unwrap_or(0);
                if code != 0 && json::text(&value, &["spec", "restartPolicy"]) == "OnFailure" {
                    self.edit_pod(pod, status::restart);
                    self.plan_finish(pod, &value);
                } else {
                    self.edit_pod(pod, |pod| status::finish(pod, &now, code));
                }
            }
        }
    }

    fn plan_finish(&mut self, pod: &Stored, value: &Value) {
        if json::text(value, &["spec", "restartPolicy"]) == "Always" {
            return;
        }
        let seconds = json::text(value, &["metadata", "annotations", RUN_SECONDS]).parse::<f64>();
        let asked = seconds.ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        // More than a year is for ever, and would overflow the timer.
        let asked = asked.map(|asked| asked.min(Duration::from_secs(31_536_000)));
        self.at(asked.unwrap_or(self.cluster.options.job_duration), Action::Finish, pod);
    }

    fn stop_delay(&self, pod: &Stored) -> Duration {
        let grace = json::int(&pod.value(), &["metadata", "deletionGracePeriodSeconds"]).unwrap_or_default();
        let grace = Duration::from_secs(u64::try_from(grace).unwrap_or_default());
        self.cluster.options.pod_stop_delay.min(grace)
    }

    fn remove(&self, pod: &Stored) {
        let options =
            DeleteOptions { grace_seconds: Some(0), uid: Some(pod.uid.to_string()), ..DeleteOptions::default() };
        // Already gone is as good.
        let _ = self.cluster.delete(Target::of(self.cluster.kinds.role(Role::Pod), pod), &options);
    }

    /// Changes a pod, unless it went or was replaced by another of its name.
    fn edit_pod(&self, pod: &Stored, mut change: impl FnMut(&mut Value)) {
        let _ = self.cluster.edit(Target::of(self.cluster.kinds.role(Role::Pod), pod), |value| {
            let same = json::text(value, &["metadata", "uid"]) == &*pod.uid;
            if same {
                change(value);
            }
            Ok(same)
        });
    }
}
