//! kube-scheduler's rules a second time, slowly: written down as they are told, by walking all pods of the cluster for
//! every question, with nothing kept from one to the next. It shares parsed pods and nodes with the program, and no code
//! that counts, compares or chooses.

pub(crate) mod affinity;
pub(crate) mod clusters;
pub(crate) mod decide;
pub(crate) mod node;
pub(crate) mod preemption;
pub(crate) mod spread;

use std::collections::BTreeMap;
use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSelector;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::toleration::Toleration;

/// A PodDisruptionBudget.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    pub(crate) selector: Option<LabelSelector>,
    pub(crate) allowed: i64,
    pub(crate) disrupted: Vec<String>,
}

/// Where a pod is, or is nominated for.
pub(crate) type Placed = (Istr, Arc<PodInfo>);

/// The labels that a Service selects by.
pub(crate) type ServiceSelector = Option<BTreeMap<Istr, Istr>>;

/// All that is known, as plain lists. Objects of a namespace go by it and their name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<Istr, Arc<NodeInfo>>,
    /// Those on nodes, known or not.
    pub(crate) pods: BTreeMap<Uid, Placed>,
    pub(crate) nominated: BTreeMap<Uid, Placed>,
    pub(crate) namespaces: BTreeMap<Istr, LabelSet>,
    pub(crate) services: BTreeMap<(Istr, Istr), ServiceSelector>,
    pub(crate) replica_sets: BTreeMap<(Istr, Istr), LabelSelector>,
    pub(crate) budgets: BTreeMap<(Istr, Istr), Budget>,
}

/// A pod more (1) or less (-1) on a node.
#[derive(Clone, Debug)]
pub(crate) struct Delta {
    pub(crate) node: Istr,
    pub(crate) pod: Arc<PodInfo>,
    pub(crate) sign: i64,
}

pub(crate) fn value<'n>(node: &'n NodeInfo, key: &str) -> Option<&'n str> {
    node.labels.iter().find(|(k, _)| &***k == key).map(|(_, v)| &**v)
}

impl Cluster {
    fn on<'c>(&'c self, node: &'c NodeInfo) -> impl Iterator<Item = &'c Arc<PodInfo>> + 'c {
        self.pods.values().filter(|(name, _)| *name == node.name).map(|(_, pod)| pod)
    }

    /// The pods on a node through what is imagined: a pod is there as often as it was added and not taken away.
    fn on_through<'c>(&'c self, deltas: &'c [Delta], node: &'c NodeInfo) -> Vec<&'c Arc<PodInfo>> {
        let mut there: Vec<&Arc<PodInfo>> = self.on(node).collect();
        for delta in deltas.iter().filter(|d| d.node == node.name) {
            if delta.sign > 0 {
                there.push(&delta.pod);
            } else {
                there.retain(|pod| pod.key.uid != delta.pod.key.uid);
            }
        }
        there
    }
}

/// Whether no hard taint of the node is left untolerated.
fn tolerates(tolerations: &[Toleration], node: &NodeInfo) -> bool {
    let tolerated = |taint| tolerations.iter().any(|t| t.tolerates(taint));
    node.taints.iter().all(|taint| !taint.effect.is_hard() || tolerated(taint))
}
