//! What the pods of a benchmark ask for, and whether they got it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::shared::{pod, zone_of};

/// Groups that pods belong to by their label, one template each.
pub(super) const GROUPS: usize = 20;

/// What the pods ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Workload {
    /// CPU and memory.
    Basic,
    /// Their group spread over the zones.
    Spread,
    /// A zone where one of their group is.
    Affinity,
    /// A node where none of their group is.
    Antiaffinity,
}

impl Workload {
    pub(super) const ALL: [Self; 4] = [Self::Basic, Self::Spread, Self::Affinity, Self::Antiaffinity];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Spread => "spread",
            Self::Affinity => "affinity",
            Self::Antiaffinity => "antiaffinity",
        }
    }

    /// The pod of this number.
    pub(super) fn pod(self, number: usize) -> Value {
        let mut pod = pod(number, number % GROUPS);
        let selector = json!({ "matchLabels": pod["metadata"]["labels"] });
        let term = |key: &str| json!([{ "labelSelector": selector, "topologyKey": key }]);
        match self {
            Self::Basic => {}
            Self::Spread => {
                pod["spec"]["topologySpreadConstraints"] = json!([{
                    "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": selector,
                }]);
            }
            Self::Affinity => {
                let terms = term("topology.kubernetes.io/zone");
                pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = terms;
            }
            Self::Antiaffinity => {
                let terms = term("kubernetes.io/hostname");
                pod["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = terms;
            }
        }
        pod
    }

    /// Whether the pods are where they may be: no node beyond what it can give, and each group as it asked for.
    pub(super) fn check(self, pods: &[Value]) -> anyhow::Result<()> {
        let mut used: BTreeMap<&str, (i64, i64, usize)> = BTreeMap::new();
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for pod in pods {
            let text = |path: &str| pod.pointer(path).and_then(Value::as_str);
            let node = text("/spec/nodeName").with_context(|| format!("{:?} is not bound", text("/metadata/name")))?;
            let request = |name: &str, suffix: &str| {
                text(&format!("/spec/containers/0/resources/requests/{name}"))
                    .and_then(|q| q.strip_suffix(suffix)?.parse::<i64>().ok())
                    .context("reading a request")
            };
            let (cpu, memory, count) = used.entry(node).or_default();
            (*cpu, *memory, *count) = (*cpu + request("cpu", "m")?, *memory + request("memory", "Mi")?, *count + 1);
            groups.entry(text("/metadata/labels/app").unwrap_or_default()).or_default().push(node);
        }
        for (node, (cpu, memory, count)) in used {
            ensure!(cpu <= 32_000 && memory <= 256 * 1024 && count <= 110, "{node} is over its allocatable");
        }
        groups.iter().try_for_each(|(group, nodes)| self.check_group(group, nodes))
    }

    fn check_group(self, group: &str, nodes: &[&str]) -> anyhow::Result<()> {
        let mut zones = [0_usize; 3];
        for node in nodes {
            let number =
                node.strip_prefix("node-").and_then(|n| n.parse::<usize>().ok()).context("reading a node's name")?;
            zones[zone_of(number)] += 1;
        }
        let used: Vec<usize> = zones.into_iter().filter(|count| *count > 0).collect();
        let (least, most) = (zones.iter().min().unwrap_or(&0), zones.iter().max().unwrap_or(&0));
        match self {
            Self::Basic => {}
            Self::Spread => ensure!(most - least <= 1, "{group} is spread over the zones as {zones:?}"),
            Self::Affinity => ensure!(used.len() == 1, "{group} is spread over the zones as {zones:?}"),
            Self::Antiaffinity => {
                let different: BTreeSet<&&str> = nodes.iter().collect();
                ensure!(different.len() == nodes.len(), "two pods of {group} are on one node");
            }
        }
        Ok(())
    }
}
