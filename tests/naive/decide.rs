//! Which node turns a pod away, who says so and why, and how good the others are (reference section 9.2).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::verdict::Code;

use super::{Cluster, Delta, affinity, node, spread};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) plugin: &'static str,
    pub(crate) code: Code,
    pub(crate) reasons: BTreeSet<String>,
}

fn by(plugin: &'static str, code: Code, reason: &str) -> Rejected {
    Rejected { plugin, code, reasons: [reason.to_owned()].into() }
}

/// One question: a pod, and what is imagined before it is asked.
pub(crate) struct Question<'c> {
    pub(crate) cluster: &'c Cluster,
    pub(crate) pod: &'c PodInfo,
    imagined: Vec<Delta>,
    /// Whether affinity has anything to say. If not, it is not asked about further imagined pods either.
    affinity: bool,
}

/// By plugin, weighted.
pub(crate) type Scores = BTreeMap<&'static str, i64>;

impl<'c> Question<'c> {
    pub(crate) fn new(cluster: &'c Cluster, pod: &'c PodInfo, imagined: Vec<Delta>) -> Self {
        let affinity = affinity::has_rules(cluster, &imagined, pod);
        Self { cluster, pod, imagined, affinity }
    }

    /// The first filter that turns the pod away.
    fn filters(&self, deltas: &[Delta], at: &NodeInfo) -> Option<Rejected> {
        let (cluster, pod) = (self.cluster, self.pod);
        if let Some(reason) = node::ports(cluster, deltas, pod, at) {
            return Some(by("NodePorts", Code::Unschedulable, reason));
        }
        if let Some((code, reasons)) = node::fit(cluster, deltas, pod, at) {
            return Some(Rejected { plugin: "NodeResourcesFit", code, reasons });
        }
        if let Some(reason) = spread::filter(cluster, deltas, pod, at) {
            let missing = reason == spread::MISSING_LABEL;
            let code = if missing { Code::UnschedulableAndUnresolvable } else { Code::Unschedulable };
            return Some(by("PodTopologySpread", code, reason));
        }
        if !self.affinity {
            return None;
        }
        let reason = affinity::filter(cluster, deltas, pod, at)?;
        let near = reason == affinity::AFFINITY;
        let code = if near { Code::UnschedulableAndUnresolvable } else { Code::Unschedulable };
        Some(by("InterPodAffinity", code, reason))
    }

    /// The answer of one node, without regard to nominated pods.
    pub(crate) fn without_nominated(&self, at: &NodeInfo) -> Option<Rejected> {
        self.filters(&self.imagined, at)
    }

    /// The same with what more is imagined, with the pods nominated for the node that are as important, and without them.
    pub(crate) fn node(&self, more: &[Delta], at: &NodeInfo) -> Option<Rejected> {
        let mut deltas = self.imagined.clone();
        deltas.extend(more.iter().cloned());
        let nominated = self.cluster.nominated.values().filter(|(node, pod)| {
            *node == at.name
                && pod.key.uid != self.pod.key.uid
                && pod.priority() >= self.pod.priority()
                && !deltas.iter().any(|d| d.sign > 0 && d.pod.key.uid == pod.key.uid)
        });
        let mut with = deltas.clone();
        with.extend(nominated.map(|(node, pod)| Delta { node: node.clone(), pod: pod.clone(), sign: 1 }));
        if with.len() > deltas.len()
            && let Some(rejected) = self.filters(&with, at)
        {
            return Some(rejected);
        }
        self.filters(&deltas, at)
    }

    /// Every node: why not, or how good.
    pub(crate) fn nodes(&self) -> BTreeMap<Istr, Result<Scores, Rejected>> {
        let verdicts = self.cluster.nodes.values().map(|at| (at, self.node(&[], at)));
        let verdicts: Vec<(&Arc<NodeInfo>, Option<Rejected>)> = verdicts.collect();
        let feasible: Vec<&NodeInfo> = verdicts.iter().filter(|(_, r)| r.is_none()).map(|(at, _)| &***at).collect();
        let by_plugin = [
            ("PodTopologySpread", spread::scores(self.cluster, &self.imagined, self.pod, &feasible)),
            ("InterPodAffinity", affinity::scores(self.cluster, &self.imagined, self.pod, &feasible)),
        ];
        let mut scores: BTreeMap<&Istr, Scores> = feasible.iter().map(|at| (&at.name, Scores::new())).collect();
        for (plugin, of) in by_plugin {
            for (at, score) in feasible.iter().zip(of.iter().flatten()) {
                scores.get_mut(&at.name).unwrap().insert(plugin, score * 2);
            }
        }
        let answer = |(at, rejected): &(&Arc<NodeInfo>, Option<Rejected>)| {
            let answer = rejected.clone().map_or_else(|| Ok(scores[&at.name].clone()), Err);
            (at.name.clone(), answer)
        };
        verdicts.iter().map(answer).collect()
    }
}
