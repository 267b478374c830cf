//! `DefaultPreemptionArgs`: how many nodes preemption tries.

use serde::{Deserialize, Serialize};

use super::FieldError;

/// Arguments of `DefaultPreemption`. The larger of the two bounds holds; both cannot be 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct DefaultPreemptionArgs {
    /// Share of the nodes, in percent (0 to 100), that are tried at least.
    pub min_candidate_nodes_percentage: i32,
    /// Number of nodes that are tried at least; 0 or more.
    pub min_candidate_nodes_absolute: i32,
}

impl Default for DefaultPreemptionArgs {
    fn default() -> Self {
        Self { min_candidate_nodes_percentage: 10, min_candidate_nodes_absolute: 100 }
    }
}

impl DefaultPreemptionArgs {
    /// Every rule that the arguments break.
    pub fn validate(&self) -> Vec<FieldError> {
        const PERCENTAGE: &str = "minCandidateNodesPercentage";
        const ABSOLUTE: &str = "minCandidateNodesAbsolute";
        let (percentage, absolute) = (self.min_candidate_nodes_percentage, self.min_candidate_nodes_absolute);
        let mut errors = Vec::new();
        if !(0..=100).contains(&percentage) {
            errors.push(FieldError::new(PERCENTAGE, format!("must be between 0 and 100, not {percentage}")));
        }
        if absolute < 0 {
            errors.push(FieldError::new(ABSOLUTE, format!("must be 0 or more, not {absolute}")));
        }
        if percentage == 0 && absolute == 0 {
            errors.push(FieldError::new(PERCENTAGE, format!("cannot be 0 while {ABSOLUTE} is 0")));
            errors.push(FieldError::new(ABSOLUTE, format!("cannot be 0 while {PERCENTAGE} is 0")));
        }
        errors
    }
}
