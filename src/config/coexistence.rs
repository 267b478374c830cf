//! `coexistence`: what is done for others that use the same nodes, and about them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_engine::headroom::{Headroom, Pool};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::quantity::{Quantity, RawQuantity};
use plimsoll_framework::resources::{ResourceList, is_qualified_name, is_scalar};
use plimsoll_plugins::args::GoDuration;
use serde::{Deserialize, Deserializer, Serialize};

use super::Config;
use super::check::Check;

/// For how long a node is avoided where nothing else is said.
const REFUSAL_COOLDOWN: Duration = Duration::from_secs(30);
/// Longer than that, a taint says it better.
const LONGEST_COOLDOWN: Duration = Duration::from_secs(3_600);
/// Each pool is looked at for every node that a pod fits on.
const MAX_POOLS: usize = 64;

/// The section as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Coexistence {
    /// For how long a node is avoided whose kubelet has refused a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal_cooldown: Option<GoDuration>,
    /// What is to stay free on nodes where pods find room elsewhere.
    pub headroom: Vec<HeadroomPool>,
}

/// Nodes, and what is to stay free on each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct HeadroomPool {
    /// The labels of its nodes; without any it is all nodes.
    pub node_selector: BTreeMap<String, String>,
    /// How much, by resource.
    pub resources: BTreeMap<String, Amount>,
}

/// A quantity as it is written, be it as a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Amount(pub String);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RawQuantity::deserialize(deserializer).map(|raw| Self(raw.0.into()))
    }
}

/// The section with its defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoexistenceConfig {
    /// For how long a node is avoided whose kubelet has refused a pod; zero: it is not.
    pub refusal_cooldown: Duration,
    /// What is to stay free on nodes where pods find room elsewhere; mostly nothing.
    pub headroom: Vec<HeadroomPool>,
}

impl Coexistence {
    pub(super) fn validate(&self, check: &mut Check<'_>) {
        let longest = GoDuration::from(LONGEST_COOLDOWN);
        if let Some(cooldown) = self.refusal_cooldown
            && !(GoDuration::from_seconds(0)..=longest).contains(&cooldown)
        {
            let message = format!("must be between 0s, which switches it off, and {longest}, not {cooldown}");
            check.fail("coexistence.refusalCooldown", &message);
        }
        if self.headroom.len() > MAX_POOLS {
            let message = format!("must be at most {MAX_POOLS} pools, not {}", self.headroom.len());
            return check.fail("coexistence.headroom", &message);
        }
        for (at, pool) in self.headroom.iter().enumerate() {
            pool.validate(&format!("coexistence.headroom[{at}]"), check);
        }
    }

    pub(super) fn resolve(&self) -> CoexistenceConfig {
        CoexistenceConfig {
            refusal_cooldown: self.refusal_cooldown.map_or(REFUSAL_COOLDOWN, GoDuration::to_std),
            headroom: self.headroom.clone(),
        }
    }
}

impl HeadroomPool {
    fn validate(&self, path: &str, check: &mut Check<'_>) {
        for key in self.node_selector.keys().filter(|key| !is_qualified_name(key)) {
            check.fail(&format!("{path}.nodeSelector.{key}"), "is no label name");
        }
        if self.resources.is_empty() {
            check.fail(&format!("{path}.resources"), "is required: what is to stay free");
        }
        for (name, amount) in &self.resources {
            let field = format!("{path}.resources.{name}");
            if !matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") && !is_scalar(name) {
                check.fail(&field, "is no resource that pods ask for, such as cpu, memory or example.com/gpu");
            }
            match Quantity::parse(&amount.0) {
                Err(error) => check.fail(&field, &error.to_string()),
                Ok(quantity) if quantity < Quantity::ZERO => check.fail(&field, "must not be negative"),
                Ok(_) => {}
            }
        }
    }

    fn to_pool(&self) -> Pool {
        let mut free = ResourceList::default();
        for (name, amount) in &self.resources {
            // What is no quantity was refused when the file was read.
            free.set(&Istr::new(name), Quantity::parse(&amount.0).unwrap_or_default());
        }
        let labels = self.node_selector.iter().map(|(key, value)| (Istr::new(key), Istr::new(value)));
        Pool { node_selector: labels.collect(), free: free.to_resources() }
    }
}

impl CoexistenceConfig {
    /// As it is written.
    pub(super) fn to_section(&self) -> Coexistence {
        Coexistence { refusal_cooldown: Some(self.refusal_cooldown.into()), headroom: self.headroom.clone() }
    }
}

impl Config {
    /// What is to stay free on nodes where pods find room elsewhere.
    pub fn headroom(&self) -> Headroom {
        let pools: Arc<[Pool]> = self.plimsoll.coexistence.headroom.iter().map(HeadroomPool::to_pool).collect();
        Headroom(pools)
    }
}
