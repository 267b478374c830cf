//! The changes that are tried, by the plugin that says no.

use std::sync::Arc;

use plimsoll_framework::api;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::node_selector::NodeAffinity;
use plimsoll_framework::plugin::RejectedBy;
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::resources::Resources;
use plimsoll_framework::table::Row;
use plimsoll_framework::toleration::{Taint, TaintEffect, Toleration, tolerated};

use super::super::Subject;
use super::amount;

/// Stands for the node in a change, so that the same change of several nodes is seen to be the same.
pub(super) const NODE: &str = "{node}";
/// The taint that a cordoned node has besides.
const CORDONED: &str = "node.kubernetes.io/unschedulable";
const TOO_MANY_PODS: &str = "Too many pods";
const INSUFFICIENT: &str = "Insufficient ";

/// A pod and a node that are not quite as they are.
pub(super) struct Trial {
    pub(super) pod: PodInfo,
    pub(super) node: NodeInfo,
    pub(super) changes: Vec<String>,
    /// By which parts what the pod asks for shrinks, summed up.
    pub(super) amount: f64,
    /// The plugins that have had their change: a second one would be of no use.
    changed_for: Vec<&'static str>,
}

impl Trial {
    pub(super) fn new(pod: PodInfo, node: NodeInfo) -> Self {
        Self { pod, node, changes: Vec::new(), amount: 0.0, changed_for: Vec::new() }
    }

    /// With what the plugin that says no wants; `None` where nothing is known to help.
    pub(super) fn change(mut self, subject: &Subject, row: Row, by: &RejectedBy) -> Option<Self> {
        if self.changed_for.contains(&by.plugin) {
            return None;
        }
        self.changed_for.push(by.plugin);
        let before = self.changes.len();
        match by.plugin {
            "NodeResourcesFit" => self.ask_for_less(subject, row, &by.reasons),
            "TaintToleration" => self.tolerate(),
            "NodeUnschedulable" => self.uncordon(),
            "NodeAffinity" | "" => self.go_anywhere(),
            "NodePorts" => self.free_ports(subject, row),
            "InterPodAffinity" => self.care_less(&by.reasons),
            _ => {}
        }
        (self.changes.len() > before).then_some(self)
    }

    fn spec(&mut self) -> &mut PodSpecInfo {
        Arc::make_mut(&mut self.pod.spec)
    }

    fn ask_for_less(&mut self, subject: &Subject, row: Row, reasons: &[String]) {
        for shortage in shortages(subject, row, &self.pod, &self.node, reasons) {
            let Shortage { resource, wanted, less } = shortage;
            if resource == TOO_MANY_PODS {
                self.node.allocatable_pods = self.node.allocatable_pods.saturating_add(less);
                let pods = if less == 1 { "1 pod".to_owned() } else { format!("{less} pods") };
                self.changes.push(format!("{NODE} could hold {pods} more"));
                continue;
            }
            reduce(&mut self.spec().requests.filter, &resource, less);
            self.amount += part(less, wanted);
            let text =
                if less == wanted { "no".to_owned() } else { format!("{} less", amount::write(&resource, less)) };
            self.changes.push(format!("it asked for {text} {resource}"));
        }
    }

    fn tolerate(&mut self) {
        let repels = |taint: &&Taint| taint.effect.is_hard() && !tolerated(&self.pod.spec.tolerations, taint);
        let repelling: Vec<Taint> = self.node.taints.iter().filter(repels).cloned().collect();
        for taint in repelling {
            let effect = match taint.effect {
                TaintEffect::NoExecute => "NoExecute",
                _ => "NoSchedule",
            };
            let toleration = api::Toleration {
                key: taint.key.clone(),
                value: taint.value.clone(),
                effect: effect.into(),
                ..api::Toleration::default()
            };
            let spec = self.spec();
            let all = spec.tolerations.iter().cloned().chain([Toleration::from(&toleration)]);
            spec.tolerations = all.collect();
            let value = if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
            self.changes.push(format!("it tolerated taint {}{value}:{effect}", taint.key));
        }
    }

    fn uncordon(&mut self) {
        self.node.unschedulable = false;
        self.node.taints = self.node.taints.iter().filter(|t| t.key.as_str() != CORDONED).cloned().collect();
        self.changes.push(format!("{NODE} were not cordoned"));
    }

    /// Drops of nodeSelector and required node affinity what does not select the node.
    fn go_anywhere(&mut self) {
        let node = self.node.clone();
        let affinity: NodeAffinity = self.pod.spec.node_affinity.clone();
        if affinity.node_selector.as_ref().is_some_and(|s| !s.matches(&node.labels)) {
            self.spec().node_affinity.node_selector = None;
            self.changes.push("it had no nodeSelector".to_owned());
        }
        if affinity.required.as_ref().is_some_and(|r| !r.matches(&node.name, &node.labels)) {
            self.spec().node_affinity.required = None;
            self.changes.push("it had no required node affinity".to_owned());
        }
    }

    fn free_ports(&mut self, subject: &Subject, row: Row) {
        let others = counted(subject, row, &self.pod);
        let taken: Vec<_> = others.iter().flat_map(|pod| pod.spec.host_ports.iter()).collect();
        let (mine, kept): (Vec<_>, Vec<_>) =
            self.pod.spec.host_ports.iter().cloned().partition(|port| taken.iter().any(|t| t.conflicts(port)));
        self.spec().host_ports = kept.into();
        self.changes.extend(mine.iter().map(|p| format!("it did without host port {}/{}", p.port, p.protocol)));
    }

    /// Drops the rules about other pods that are not met. Rules that other pods have stay.
    fn care_less(&mut self, reasons: &[String]) {
        let said = |what: &str| reasons.iter().any(|reason| reason.contains(what));
        let (near, far) = (said("match pod affinity rules"), said("match pod anti-affinity rules"));
        let affinity = &mut self.spec().pod_affinity;
        if near && !affinity.required.is_empty() {
            affinity.required = Box::default();
            self.changes.push("it did not require other pods near it".to_owned());
        } else if far && !affinity.anti_required.is_empty() {
            affinity.anti_required = Box::default();
            self.changes.push("it did not require other pods away from it".to_owned());
        }
    }

    /// Without the one spread constraint that is in the way, or else without all of them.
    pub(super) fn without_spread(mut self, ask: &mut dyn FnMut(&PodInfo) -> Result<(), &'static str>) -> Option<Self> {
        const PLUGIN: &str = "PodTopologySpread";
        if self.changed_for.contains(&PLUGIN) {
            return None;
        }
        self.changed_for.push(PLUGIN);
        let all = self.pod.spec.spread.clone();
        let without = |left_out: &dyn Fn(usize) -> bool| {
            let mut pod = self.pod.clone();
            let kept = all.iter().enumerate().filter(|(at, _)| !left_out(*at)).map(|(_, c)| c.clone());
            Arc::make_mut(&mut pod.spec).spread = kept.collect();
            pod
        };
        let hard = || all.iter().enumerate().filter(|(_, c)| c.hard).map(|(at, _)| at);
        let one = hard().find(|at| ask(&without(&|other| other == *at)) != Err(PLUGIN));
        let dropped: Vec<usize> = one.map_or_else(|| hard().collect(), |at| vec![at]);
        self.pod = without(&|at| dropped.contains(&at));
        self.changes.extend(dropped.iter().map(|at| format!("it need not be spread over {}", all[*at].topology_key)));
        (!dropped.is_empty()).then_some(self)
    }
}

/// A resource of which the node has too little.
struct Shortage {
    /// Its name; [`TOO_MANY_PODS`] for pods.
    resource: String,
    /// What the pod asks for.
    wanted: i64,
    /// How much less it would have to ask for.
    less: i64,
}

/// What these reasons say that the node has too little of.
fn shortages(subject: &Subject, row: Row, pod: &PodInfo, node: &NodeInfo, reasons: &[String]) -> Vec<Shortage> {
    let others = counted(subject, row, pod);
    let shortage = |reason: &String| {
        if reason == TOO_MANY_PODS {
            let pods = i64::try_from(others.len()).unwrap_or(i64::MAX).saturating_add(1);
            return Some(Shortage {
                resource: reason.clone(),
                wanted: 1,
                less: pods.saturating_sub(node.allocatable_pods),
            });
        }
        let resource = reason.strip_prefix(INSUFFICIENT)?.to_owned();
        let used = others.iter().fold(0_i64, |sum, pod| sum.saturating_add(pod.spec.requests.used.get(&resource)));
        let free = node.allocatable.get(&resource).saturating_sub(used).max(0);
        let wanted = pod.spec.requests.filter.get(&resource);
        let less = wanted.saturating_sub(free);
        let less = if amount::is_bytes(&resource) { amount::rounded_up(less).min(wanted) } else { less };
        Some(Shortage { resource, wanted, less })
    };
    let mut all: Vec<Shortage> = reasons.iter().filter_map(shortage).filter(|s| s.less > 0).collect();
    all.sort_by(|a, b| a.resource.cmp(&b.resource));
    all
}

/// By which parts a pod would have to ask for less on a node, summed up.
pub(super) fn short_by(subject: &Subject, row: Row, reasons: &[String]) -> f64 {
    let Some(node) = subject.view().node(row) else { return f64::INFINITY };
    let all = shortages(subject, row, &subject.pod, node, reasons);
    all.iter().map(|s| part(s.less, s.wanted)).sum()
}

/// The pods that count on a node for this one: those on it, and those it is being cleared for that are as important.
fn counted(subject: &Subject, row: Row, pod: &PodInfo) -> Vec<Arc<PodInfo>> {
    let view = subject.view();
    let nominated = view.node(row).map_or(&[][..], |node| view.nominations().pods(&node.name));
    let nominated = nominated.iter().filter(|p| p.key.uid != pod.key.uid && p.priority() >= pod.priority());
    view.pods(row).iter().chain(nominated).cloned().collect()
}

#[expect(clippy::cast_precision_loss, reason = "only compared, to tell near from far")]
fn part(less: i64, wanted: i64) -> f64 {
    less as f64 / wanted.max(1) as f64
}

fn reduce(requests: &mut Resources, resource: &str, less: i64) {
    match resource {
        "cpu" => requests.milli_cpu -= less,
        "memory" => requests.memory_bytes -= less,
        "ephemeral-storage" => requests.ephemeral_storage_bytes -= less,
        _ => {
            let scalar = requests.scalars.iter_mut().find(|(name, _)| name.as_str() == resource);
            scalar.into_iter().for_each(|(_, amount)| *amount -= less);
        }
    }
}
