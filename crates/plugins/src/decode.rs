//! From the configuration's arguments to plugins. What is left out takes its default; whether the values are sensible
//! is checked where configurations are read.

use std::time::Duration;

use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::SelectorError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::args::{
    DynamicResourcesArgs, FieldError, InterPodAffinityArgs, NodeAffinityArgs, NodeResourcesBalancedAllocationArgs,
    NodeResourcesFitArgs, PodTopologySpreadArgs, ScoringStrategyType, TierDedicationArgs, UtilizationShapePoint,
    VolumeBindingArgs,
};
use crate::default_preemption::DefaultPreemption;
use crate::dynamic_resources::DynamicResources;
use crate::inter_pod_affinity::InterPodAffinity;
use crate::node_affinity::NodeAffinity;
use crate::node_resources_balanced_allocation::NodeResourcesBalancedAllocation;
use crate::node_resources_fit::{FitSettings, NodeResourcesFit, Shape, ShapePoint, Strategy};
use crate::pod_topology_spread::PodTopologySpread;
use crate::tier_dedication::TierDedication;
use crate::volume_binding::VolumeBinding;

/// The arguments of a plugin as the configuration has them; `None` where it has none.
pub type RawArgs<'a> = Option<&'a Value>;

/// Why a plugin cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ArgsError {
    /// The arguments are not of the shape they should have.
    #[error("reading the arguments of {plugin}")]
    Decode {
        /// The plugin.
        plugin: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A selector in the arguments is none.
    #[error("reading {field} of {plugin}")]
    Selector {
        /// The plugin.
        plugin: &'static str,
        /// The field.
        field: &'static str,
        /// What is wrong.
        source: SelectorError,
    },
    /// A value is not allowed.
    #[error("reading {} of {plugin}: {}", error.field, error.message)]
    Value {
        /// The plugin.
        plugin: &'static str,
        /// What is not allowed, and where it stands.
        error: FieldError,
    },
}

impl ArgsError {
    /// The field that it is about, empty for the arguments as a whole, and what is wrong.
    pub fn to_field_error(&self) -> FieldError {
        match self {
            Self::Decode { source, .. } => FieldError::new("", source.to_string()),
            Self::Selector { field, source, .. } => FieldError::new(*field, source.to_string()),
            Self::Value { error, .. } => error.clone(),
        }
    }
}

/// Reads the arguments of a plugin; those that are left out take their defaults. `apiVersion` and `kind` may be there, as
/// they may in a configuration.
///
/// # Errors
/// When they have not the shape of `T`.
pub fn decode<T: DeserializeOwned + Default>(plugin: &'static str, raw: RawArgs<'_>) -> Result<T, ArgsError> {
    let Some(value) = raw else { return Ok(T::default()) };
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    T::deserialize(value).map_err(|source| ArgsError::Decode { plugin, source })
}

pub(crate) fn default_preemption(raw: RawArgs<'_>) -> Result<DefaultPreemption, ArgsError> {
    Ok(DefaultPreemption::new(decode("DefaultPreemption", raw)?))
}

pub(crate) fn node_affinity(raw: RawArgs<'_>) -> Result<NodeAffinity, ArgsError> {
    let plugin = "NodeAffinity";
    let args: NodeAffinityArgs = decode(plugin, raw)?;
    // As a pod would say it: the same words, compiled by the same rules.
    let added = args.added_affinity.map(|added| serde_json::to_value(added).and_then(api::NodeAffinity::deserialize));
    let added = added.transpose().map_err(|source| ArgsError::Decode { plugin, source })?;
    NodeAffinity::new(added.as_ref()).map_err(|source| ArgsError::Selector { plugin, field: "addedAffinity", source })
}

pub(crate) fn node_resources_fit(raw: RawArgs<'_>) -> Result<NodeResourcesFit, ArgsError> {
    let args: NodeResourcesFitArgs = decode("NodeResourcesFit", raw)?;
    let names = |list: Vec<String>| list.into_iter().map(Istr::from).collect();
    let scoring = args.scoring_strategy;
    let shape = scoring.requested_to_capacity_ratio.map_or_else(Vec::new, |ratio| ratio.shape);
    let point = |p: &UtilizationShapePoint| ShapePoint { utilization: p.utilization.into(), score: p.score.into() };
    Ok(NodeResourcesFit::new(FitSettings {
        strategy: match scoring.r#type {
            ScoringStrategyType::LeastAllocated => Strategy::LeastAllocated,
            ScoringStrategyType::MostAllocated => Strategy::MostAllocated,
            ScoringStrategyType::RequestedToCapacityRatio => {
                Strategy::RequestedToCapacityRatio(Shape::new(&shape.iter().map(point).collect::<Vec<_>>()))
            }
        },
        resources: scoring.resources.into_iter().map(|r| (r.name.into(), r.weight)).collect(),
        ignored_resources: names(args.ignored_resources),
        ignored_resource_groups: names(args.ignored_resource_groups),
    }))
}

pub(crate) fn balanced_allocation(raw: RawArgs<'_>) -> Result<NodeResourcesBalancedAllocation, ArgsError> {
    let args: NodeResourcesBalancedAllocationArgs = decode("NodeResourcesBalancedAllocation", raw)?;
    Ok(NodeResourcesBalancedAllocation::new(args.resources.into_iter().map(|r| r.name.into()).collect()))
}

pub(crate) fn volume_binding(raw: RawArgs<'_>) -> Result<VolumeBinding, ArgsError> {
    let args: VolumeBindingArgs = decode("VolumeBinding", raw)?;
    // Less than nothing is refused where configurations are read.
    let seconds = u64::try_from(args.bind_timeout_seconds).unwrap_or_default();
    Ok(VolumeBinding::new(Duration::from_secs(seconds)))
}

/// What the arguments say, how long the allocation of devices may take, bears on nothing while no devices are allocated.
pub(crate) fn dynamic_resources(raw: RawArgs<'_>) -> Result<DynamicResources, ArgsError> {
    decode::<DynamicResourcesArgs>("DynamicResources", raw).map(|_| DynamicResources)
}

pub(crate) fn tier_dedication(raw: RawArgs<'_>) -> Result<TierDedication, ArgsError> {
    Ok(TierDedication::new(&decode::<TierDedicationArgs>("TierDedication", raw)?))
}

pub(crate) fn pod_topology_spread(raw: RawArgs<'_>) -> Result<PodTopologySpread, ArgsError> {
    Ok(PodTopologySpread::new(&decode::<PodTopologySpreadArgs>("PodTopologySpread", raw)?))
}

pub(crate) fn inter_pod_affinity(raw: RawArgs<'_>) -> Result<InterPodAffinity, ArgsError> {
    Ok(InterPodAffinity::new(decode::<InterPodAffinityArgs>("InterPodAffinity", raw)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_read_is_named() {
        let rows = [
            (json!({"scoringStrategy": {"type": "Fancy"}}), "reading the arguments of NodeResourcesFit"),
            (json!({"ignoredResources": 1}), "reading the arguments of NodeResourcesFit"),
        ];
        for (args, expect) in rows {
            assert_eq!(node_resources_fit(Some(&args)).unwrap_err().to_string(), expect, "{args}");
        }
        let term = json!({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["many"]}]});
        let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}});
        let error = node_affinity(Some(&json!({"addedAffinity": required}))).unwrap_err();
        assert_eq!(error.to_string(), "reading addedAffinity of NodeAffinity");
        assert!(std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("many")));
    }
}
