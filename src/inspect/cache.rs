//! Nodes with their pods and sums, and pods that are only assumed to be there.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use plimsoll_engine::cache::Standing;
use plimsoll_engine::engine::Engine;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::Uid;
use plimsoll_framework::resources::Resources;
use plimsoll_framework::table::{Row, View};
use serde::Serialize;

use super::PodName;

/// So many pods are named of one node; nodes rarely take more.
const PODS_OF_A_NODE: usize = 250;

/// Which nodes are wanted.
#[derive(Clone, Debug)]
pub(crate) struct CachePick {
    /// At most so many.
    pub(crate) limit: usize,
    /// Those whose name comes after this.
    pub(crate) after: Option<String>,
    /// This one alone.
    pub(crate) node: Option<String>,
}

/// What the owner gives.
pub(super) struct Taken {
    view: View,
    /// The assumed pods, each with whether the API server has accepted its binding.
    assumed: HashMap<Uid, bool>,
    pods: usize,
}

/// Asked of the owner. Looks at every pod once, as its gauges do every second.
pub(super) fn take(engine: &Engine) -> Taken {
    let mut taken = Taken { view: engine.view(), assumed: HashMap::new(), pods: 0 };
    for known in engine.cache().iter() {
        match &known.standing {
            Standing::Assumed(assumed) => {
                taken.pods += 1;
                taken.assumed.insert(known.pod.key.uid.clone(), assumed.bound);
            }
            Standing::Assigned => taken.pods += 1,
            Standing::Pending | Standing::Held | Standing::Foreign => {}
        }
    }
    taken
}

/// A page of the cache, as it is shown.
#[derive(Debug, Default, Serialize)]
pub(crate) struct CachePage {
    pub(super) counts: Counts,
    pub(super) nodes: Vec<Node>,
    /// Behind which node the next page begins, if there is one.
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    pub(super) nodes: usize,
    /// Pods that count on nodes, the assumed ones included.
    pub(super) pods: usize,
    pub(super) assumed_pods: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Node {
    pub(super) name: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unschedulable: bool,
    allocatable: BTreeMap<String, i64>,
    /// What its pods take up together, as it is kept count of.
    pub(super) requested: BTreeMap<String, i64>,
    pub(super) pod_count: usize,
    pub(super) pods: Vec<Pod>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nominated_pods: Vec<PodName>,
}

#[derive(Debug, Serialize)]
pub(super) struct Pod {
    #[serde(flatten)]
    pub(super) pod: PodName,
    /// Of an assumed pod how far its binding is: `binding`, or `bound` when only the watch has not told it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    assumed: Option<&'static str>,
}

impl Taken {
    pub(super) fn page(&self, pick: &CachePick) -> CachePage {
        let wanted = |node: &NodeInfo| {
            pick.node.as_deref().is_none_or(|name| name == &*node.name)
                && pick.after.as_deref().is_none_or(|after| &*node.name > after)
        };
        let rows = self.view.rows().filter_map(|row| Some((&self.view.node(row)?.name, row)));
        let mut rows: Vec<(&Istr, Row)> =
            rows.filter(|(_, row)| self.view.node(*row).is_some_and(|node| wanted(node))).collect();
        rows.sort_unstable();
        let more = rows.len() > pick.limit;
        rows.truncate(pick.limit);
        CachePage {
            counts: Counts { nodes: self.view.node_count(), pods: self.pods, assumed_pods: self.assumed.len() },
            nodes: rows.iter().filter_map(|(_, row)| self.node(*row)).collect(),
            after: rows.last().filter(|_| more).map(|(name, _)| name.to_string()),
        }
    }

    fn node(&self, row: Row) -> Option<Node> {
        let node = self.view.node(row)?;
        let on_it = self.view.pods(row);
        let mut allocatable = amounts(&node.allocatable);
        allocatable.insert("pods".to_owned(), node.allocatable_pods);
        let mut pods: Vec<Pod> = on_it
            .iter()
            .map(|pod| {
                let bound = self.assumed.get(&pod.key.uid);
                let assumed = bound.map(|bound| if *bound { "bound" } else { "binding" });
                Pod { pod: PodName::of(&pod.key), assumed }
            })
            .collect();
        pods.sort_unstable_by(|a, b| a.pod.cmp(&b.pod));
        pods.truncate(PODS_OF_A_NODE);
        let nominated = self.view.nominations().pods(&node.name);
        Some(Node {
            name: node.name.to_string(),
            unschedulable: node.unschedulable,
            allocatable,
            requested: amounts(&self.view.requested(row)),
            pod_count: on_it.len(),
            pods,
            nominated_pods: nominated.iter().take(PODS_OF_A_NODE).map(|pod| PodName::of(&pod.key)).collect(),
        })
    }
}

/// Amounts by name, in the units of scheduling: thousandths of a CPU, bytes, whole ones.
fn amounts(resources: &Resources) -> BTreeMap<String, i64> {
    let mut amounts: BTreeMap<String, i64> =
        resources.scalars.iter().map(|(name, amount)| (name.to_string(), *amount)).collect();
    for (name, amount) in [
        ("milliCPU", resources.milli_cpu),
        ("memoryBytes", resources.memory_bytes),
        ("ephemeralStorageBytes", resources.ephemeral_storage_bytes),
    ] {
        amounts.insert(name.to_owned(), amount);
    }
    amounts
}
