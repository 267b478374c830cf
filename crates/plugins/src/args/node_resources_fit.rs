//! `NodeResourcesFitArgs`: which resources count, and how free room is scored.

use serde::{Deserialize, Serialize};

use super::resources::{default_resources, resources_or_default, validate_shape};
use super::{FieldError, ResourceSpec, UtilizationShapePoint, label_name_error};

/// Arguments of `NodeResourcesFit`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeResourcesFitArgs {
    /// Resources that Filter does not look at. Only extended resources can be ignored.
    pub ignored_resources: Vec<String>,
    /// Prefixes (the part before `/`) of resources that Filter does not look at.
    pub ignored_resource_groups: Vec<String>,
    /// How nodes are scored.
    pub scoring_strategy: ScoringStrategy,
}

/// How nodes are scored by their free room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ScoringStrategy {
    /// The strategy; required where a strategy is written at all.
    pub r#type: ScoringStrategyType,
    /// The resources that are scored, with weights from 1 to 100; none means processor and memory.
    #[serde(default = "default_resources", deserialize_with = "resources_or_default")]
    pub resources: Vec<ResourceSpec>,
    /// The scoring function; given with `RequestedToCapacityRatio` and with no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_to_capacity_ratio: Option<RequestedToCapacityRatio>,
}

/// The strategies of scoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScoringStrategyType {
    /// Prefers nodes with more free room.
    LeastAllocated,
    /// Prefers fuller nodes.
    MostAllocated,
    /// Scores by a function of the user's.
    RequestedToCapacityRatio,
}

/// The function of `RequestedToCapacityRatio`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestedToCapacityRatio {
    /// Points of the function, by rising utilization; straight lines between them.
    pub shape: Vec<UtilizationShapePoint>,
}

impl Default for ScoringStrategy {
    fn default() -> Self {
        Self {
            r#type: ScoringStrategyType::LeastAllocated,
            resources: default_resources(),
            requested_to_capacity_ratio: None,
        }
    }
}

impl NodeResourcesFitArgs {
    /// Every rule that the arguments break.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (index, name) in self.ignored_resources.iter().enumerate() {
            if let Some(error) = label_name_error(name) {
                errors.push(FieldError::new(format!("ignoredResources[{index}]"), error));
            }
        }
        for (index, group) in self.ignored_resource_groups.iter().enumerate() {
            let field = format!("ignoredResourceGroups[{index}]");
            if group.contains('/') {
                errors.push(FieldError::new(field, "must be the part before '/' of a resource name, without a '/'"));
            } else if let Some(error) = label_name_error(group) {
                errors.push(FieldError::new(field, error));
            }
        }
        errors.extend(self.scoring_strategy.validate());
        errors
    }
}

impl ScoringStrategy {
    fn validate(&self) -> Vec<FieldError> {
        const RATIO: &str = "scoringStrategy.requestedToCapacityRatio";
        let mut errors = Vec::new();
        for (index, resource) in self.resources.iter().enumerate() {
            if !(1..=100).contains(&resource.weight) {
                errors.push(FieldError::new(
                    format!("scoringStrategy.resources[{index}].weight"),
                    format!("weight of {} must be between 1 and 100, not {}", resource.name, resource.weight),
                ));
            }
        }
        let wanted = self.r#type == ScoringStrategyType::RequestedToCapacityRatio;
        match &self.requested_to_capacity_ratio {
            Some(ratio) => {
                if !wanted {
                    errors.push(FieldError::new(RATIO, "is allowed only with type RequestedToCapacityRatio"));
                }
                errors.extend(validate_shape(&format!("{RATIO}.shape"), &ratio.shape));
            }
            None if wanted => errors.push(FieldError::new(RATIO, "is required with type RequestedToCapacityRatio")),
            None => {}
        }
        errors
    }
}
