//! What came out, as `-o json` prints it. The order of fields and entries is part of the form; docs/simulate.md
//! describes it.

use std::collections::BTreeMap;

use plimsoll_framework::resources::Resources;
use serde::Serialize;

/// The whole result.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub(super) summary: Summary,
    /// The pods that had no node, in the order of their namespaces and names.
    pub(super) pods: Vec<Pod>,
    /// The pods that had to go for others, in the order in which they went.
    pub(super) evicted: Vec<Evicted>,
    /// All nodes, in the order of their names.
    pub(super) nodes: Vec<Node>,
}

/// Numbers of things.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    /// Pods that got a node.
    pub(super) placed: usize,
    /// Pods that were tried and got none.
    pub(super) pending: usize,
    /// Pods that had to go for others.
    pub(super) evicted: usize,
    /// Pods without a node that were not to be placed.
    pub(super) not_taken: usize,
    /// Pods that had a node.
    pub(super) bound: usize,
    /// Pods whose node is not in the input; they take up room nowhere.
    pub(super) on_unknown_nodes: usize,
    /// Pods that have run to their end; they take up nothing.
    pub(super) finished: usize,
    /// Nodes.
    pub(super) nodes: usize,
    /// Nodes with a pod before.
    pub(super) nodes_used_before: usize,
    /// Nodes with a pod after.
    pub(super) nodes_used_after: usize,
    /// Objects that were not looked at, by kind.
    pub(super) unused: BTreeMap<String, usize>,
}

/// A pod that had no node.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    /// The node it got.
    pub(super) node: Option<String>,
    /// The total score of that node; none where it was the only one that fitted.
    pub(super) score: Option<i64>,
    /// Why it got none: the reason of the condition `PodScheduled`.
    pub(super) reason: Option<String>,
    /// The message of that condition.
    pub(super) message: Option<String>,
}

/// A pod that had to go for another.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Evicted {
    pub(super) namespace: String,
    pub(super) name: String,
    /// The node it was on.
    pub(super) node: String,
    /// The pod it went for, as `namespace/name`.
    pub(super) evicted_for: String,
}

/// A node.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Node {
    pub(super) name: String,
    /// What it can give.
    pub(super) allocatable: Amounts,
    /// What its pods asked for before.
    pub(super) before: Amounts,
    /// What its pods ask for now.
    pub(super) after: Amounts,
}

/// Pods, and what they ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Amounts {
    pub(super) pods: i64,
    pub(super) milli_cpu: i64,
    pub(super) memory_bytes: i64,
    pub(super) ephemeral_storage_bytes: i64,
    /// Extended resources, huge pages and the like, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) others: BTreeMap<String, i64>,
}

impl Amounts {
    pub(super) fn new(pods: i64, resources: &Resources) -> Self {
        let mut amounts = Self::default();
        amounts.add(pods, resources);
        amounts
    }

    pub(super) fn subtract(&mut self, pods: i64, resources: &Resources) {
        let mut less = Resources { scalars: resources.scalars.clone(), ..Resources::default() };
        less.milli_cpu = resources.milli_cpu.saturating_neg();
        less.memory_bytes = resources.memory_bytes.saturating_neg();
        less.ephemeral_storage_bytes = resources.ephemeral_storage_bytes.saturating_neg();
        less.scalars.iter_mut().for_each(|(_, amount)| *amount = amount.saturating_neg());
        self.add(-pods, &less);
    }

    pub(super) fn add(&mut self, pods: i64, resources: &Resources) {
        self.pods = self.pods.saturating_add(pods);
        self.milli_cpu = self.milli_cpu.saturating_add(resources.milli_cpu);
        self.memory_bytes = self.memory_bytes.saturating_add(resources.memory_bytes);
        self.ephemeral_storage_bytes = self.ephemeral_storage_bytes.saturating_add(resources.ephemeral_storage_bytes);
        for (name, amount) in &resources.scalars {
            let sum = self.others.entry(name.to_string()).or_default();
            *sum = sum.saturating_add(*amount);
        }
    }
}
