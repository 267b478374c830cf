//! `NodeResourcesBalancedAllocationArgs`: which resources are to be used evenly.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::resources::{default_resources, resources_or_default};
use super::{FieldError, ResourceSpec};

/// Arguments of `NodeResourcesBalancedAllocation`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeResourcesBalancedAllocationArgs {
    /// The resources whose use is compared, each with weight 1; none means processor and memory.
    #[serde(deserialize_with = "resources_or_default")]
    pub resources: Vec<ResourceSpec>,
}

impl Default for NodeResourcesBalancedAllocationArgs {
    fn default() -> Self {
        Self { resources: default_resources() }
    }
}

impl NodeResourcesBalancedAllocationArgs {
    /// Every rule that the arguments break.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut seen = HashSet::new();
        let mut errors = Vec::new();
        for (index, resource) in self.resources.iter().enumerate() {
            if !seen.insert(&resource.name) {
                errors.push(FieldError::new(
                    format!("resources[{index}].name"),
                    format!("resource {:?} is listed twice", resource.name),
                ));
            }
            if resource.weight != 1 {
                errors.push(FieldError::new(
                    format!("resources[{index}].weight"),
                    format!("must be 1, not {}: balance has no weights", resource.weight),
                ));
            }
        }
        errors
    }
}
