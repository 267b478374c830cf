//! From the configuration's arguments to plugins. What is left out takes its default; whether the values are sensible
//! is checked where configurations are read.

use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::SelectorError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::node_affinity::NodeAffinity;
use crate::node_resources_balanced_allocation::NodeResourcesBalancedAllocation;
use crate::node_resources_fit::{FitSettings, NodeResourcesFit, Shape, ShapePoint, Strategy};

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
    /// A value that is not one of those there are.
    #[error("{field} of {plugin} cannot be {value:?}")]
    Value {
        /// The plugin.
        plugin: &'static str,
        /// The field.
        field: &'static str,
        /// What it is.
        value: String,
    },
}

fn decode<T: DeserializeOwned + Default>(plugin: &'static str, raw: RawArgs<'_>) -> Result<T, ArgsError> {
    let Some(value) = raw else { return Ok(T::default()) };
    T::deserialize(value).map_err(|source| ArgsError::Decode { plugin, source })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeAffinityArgs {
    added_affinity: Option<api::NodeAffinity>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FitArgs {
    ignored_resources: Vec<Istr>,
    ignored_resource_groups: Vec<Istr>,
    scoring_strategy: Option<ScoringStrategy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScoringStrategy {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    resources: Vec<Resource>,
    requested_to_capacity_ratio: Option<Ratio>,
}

#[derive(Deserialize)]
struct Ratio {
    shape: Vec<Point>,
}

#[derive(Deserialize)]
struct Point {
    utilization: i64,
    score: i64,
}

#[derive(Deserialize)]
struct Resource {
    name: Istr,
    #[serde(default)]
    weight: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BalancedArgs {
    resources: Vec<Resource>,
}

pub(crate) fn node_affinity(raw: RawArgs<'_>) -> Result<NodeAffinity, ArgsError> {
    let plugin = "NodeAffinity";
    let args: NodeAffinityArgs = decode(plugin, raw)?;
    NodeAffinity::new(args.added_affinity.as_ref()).map_err(|source| ArgsError::Selector {
        plugin,
        field: "addedAffinity",
        source,
    })
}

pub(crate) fn node_resources_fit(raw: RawArgs<'_>) -> Result<NodeResourcesFit, ArgsError> {
    let plugin = "NodeResourcesFit";
    let args: FitArgs = decode(plugin, raw)?;
    let mut settings = FitSettings {
        ignored_resources: args.ignored_resources,
        ignored_resource_groups: args.ignored_resource_groups,
        ..FitSettings::default()
    };
    if let Some(scoring) = args.scoring_strategy {
        if !scoring.resources.is_empty() {
            settings.resources = scoring.resources.into_iter().map(|r| (r.name, r.weight)).collect();
        }
        let shape = scoring.requested_to_capacity_ratio.map_or_else(Vec::new, |ratio| ratio.shape);
        let points = shape.into_iter().map(|p| ShapePoint { utilization: p.utilization, score: p.score });
        settings.strategy = match &*scoring.kind {
            "LeastAllocated" => Strategy::LeastAllocated,
            "MostAllocated" => Strategy::MostAllocated,
            "RequestedToCapacityRatio" => Strategy::RequestedToCapacityRatio(Shape::new(&points.collect::<Vec<_>>())),
            _ => return Err(ArgsError::Value { plugin, field: "scoringStrategy.type", value: scoring.kind }),
        };
    }
    Ok(NodeResourcesFit::new(settings))
}

pub(crate) fn balanced_allocation(raw: RawArgs<'_>) -> Result<NodeResourcesBalancedAllocation, ArgsError> {
    let args: BalancedArgs = decode("NodeResourcesBalancedAllocation", raw)?;
    if args.resources.is_empty() {
        return Ok(NodeResourcesBalancedAllocation::default());
    }
    Ok(NodeResourcesBalancedAllocation::new(args.resources.into_iter().map(|r| r.name).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_read_is_named() {
        let rows = [
            (
                json!({"scoringStrategy": {"type": "Fancy"}}),
                "scoringStrategy.type of NodeResourcesFit cannot be \"Fancy\"",
            ),
            (json!({"ignoredResources": 1}), "reading the arguments of NodeResourcesFit"),
        ];
        for (args, expect) in rows {
            assert_eq!(node_resources_fit(Some(&args)).unwrap_err().to_string(), expect, "{args}");
        }
        let term = json!({"matchExpressions": [{"key": "a", "operator": "Near"}]});
        let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}});
        let error = node_affinity(Some(&json!({"addedAffinity": required}))).unwrap_err();
        assert_eq!(error.to_string(), "reading addedAffinity of NodeAffinity");
        assert!(std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("Near")));
    }
}
