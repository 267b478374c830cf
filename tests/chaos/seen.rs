//! What these tests read of objects.

use std::collections::BTreeMap;

use plimsoll_apiserver::Server;
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
pub(crate) struct Meta {
    pub(crate) name: String,
    pub(crate) uid: String,
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(crate) struct Named {
    pub(crate) metadata: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodSpec {
    pub(crate) node_name: String,
    pub(crate) scheduling_gates: Vec<serde::de::IgnoredAny>,
    containers: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    resources: Resources,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resources {
    requests: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct PodStatus {
    phase: String,
    pub(crate) reason: String,
}

#[derive(Deserialize)]
pub(crate) struct Pod {
    pub(crate) metadata: Meta,
    pub(crate) spec: PodSpec,
    #[serde(default)]
    pub(crate) status: PodStatus,
}

#[derive(Deserialize)]
pub(crate) struct Node {
    pub(crate) metadata: Meta,
    pub(crate) status: NodeStatus,
}

#[derive(Deserialize)]
pub(crate) struct NodeStatus {
    pub(crate) allocatable: BTreeMap<String, String>,
}

impl Pod {
    /// Whether it has run to its end.
    pub(crate) fn is_over(&self) -> bool {
        matches!(&*self.status.phase, "Succeeded" | "Failed")
    }

    /// The gang it is one of, and how many that has.
    pub(crate) fn gang(&self) -> Option<(&str, usize)> {
        let label = |key| self.metadata.labels.get(key);
        Some((label("plimsoll/gang")?, label("plimsoll/gang-size")?.parse().unwrap()))
    }

    pub(crate) fn milli_cpu(&self) -> u64 {
        self.spec.containers.iter().map(|c| milli_cpu(&c.resources.requests)).sum()
    }
}

/// Thousandths of a CPU, as these worlds write them: `2` or `500m`.
pub(crate) fn milli_cpu(amounts: &BTreeMap<String, String>) -> u64 {
    let Some(quantity) = amounts.get("cpu") else { return 0 };
    match quantity.strip_suffix('m') {
        Some(milli) => milli.parse().unwrap(),
        None => quantity.parse::<u64>().unwrap() * 1_000,
    }
}

/// All objects of a resource.
pub(crate) fn all<T: DeserializeOwned>(server: &Server, resource: &str) -> Vec<T> {
    server.list_as(resource, None).unwrap()
}
