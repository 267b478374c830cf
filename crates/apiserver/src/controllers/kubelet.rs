//! Stand-in kubelets: they admit the pods bound to their nodes as kubelets do, run them, end them and let them go.

mod actions;
pub(super) mod affinity;
mod machine;
mod status;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use self::machine::{Demand, Machine};
use crate::{
    cluster::Cluster,
    kinds::Role,
    ops::Target,
    store::{Follower, News},
    stored::{Happened, Stored},
};

/// How many changes or timers are handled before requests get a turn.
const TURN: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Start,
    /// For this reason, which the message explains. It takes as long as a start: a controller that makes another pod at
    /// once would otherwise never rest while its pods are bound to a node that does not take them.
    Refuse(String, String),
    Finish,
    Stop,
}

/// All kubelets of the cluster.
pub(super) struct Kubelets {
    cluster: Arc<Cluster>,
    pods: Follower,
    nodes: Follower,
    machines: BTreeMap<Box<str>, Machine>,
    /// The nodes on which pods have been admitted, by the pods' UIDs.
    admitted: BTreeMap<Box<str>, Box<str>>,
    /// UIDs of the pods that are about to be refused.
    refused: BTreeSet<Box<str>>,
    /// What is to be done when, to which pod: key and UID.
    timers: BTreeMap<(Instant, u64), (Action, String, Box<str>)>,
    sequence: u64,
    /// How many pods have been started: each gets another address.
    started: u64,
}

impl Kubelets {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self {
            pods: cluster.pods().follow(0),
            nodes: cluster.store_of(Role::Node).follow(0),
            cluster,
            machines: BTreeMap::new(),
            admitted: BTreeMap::new(),
            refused: BTreeSet::new(),
            timers: BTreeMap::new(),
            sequence: 0,
            started: 0,
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
                    biased;
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
        match self.nodes.news(TURN) {
            News::Changes(changes) => {
                for change in &changes {
                    match change.happened {
                        Happened::Deleted => self.lose_node(&change.object.name),
                        _ => self.see_node(&change.object),
                    }
                }
                !changes.is_empty()
            }
            News::Everything(nodes) => {
                let store = self.cluster.store_of(Role::Node).clone();
                let gone: Vec<_> = self.machines.keys().filter(|name| store.get(name).is_none()).cloned().collect();
                gone.iter().for_each(|name| self.lose_node(name));
                nodes.iter().for_each(|node| self.see_node(node));
                true
            }
        }
    }

    fn look_at_pods(&mut self) -> bool {
        match self.pods.news(TURN) {
            News::Changes(changes) => {
                changes.iter().for_each(|change| self.see_pod(&change.object, change.happened));
                !changes.is_empty()
            }
            News::Everything(pods) => {
                let known: HashSet<&str> = pods.iter().map(|pod| &*pod.uid).collect();
                let ours = self.admitted.keys().chain(&self.refused);
                let gone: Vec<_> = ours.filter(|uid| !known.contains(&***uid)).cloned().collect();
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
        } else if !pod.pod_finished() && !self.admitted.contains_key(&pod.uid) && !self.refused.contains(&pod.uid) {
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
            self.refused.insert(pod.uid.clone());
            self.at(self.cluster.options.pod_start_delay, Action::Refuse(reason, message), pod);
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
        self.refused.remove(uid);
        if let Some(node) = self.admitted.remove(uid)
            && let Some(machine) = self.machines.get_mut(&node)
        {
            machine.remove(uid);
        }
    }
}
