//! `InterPodAffinityArgs`: how affinity of pods that already run counts.

use serde::{Deserialize, Serialize};

use super::FieldError;

/// Arguments of `InterPodAffinity`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct InterPodAffinityArgs {
    /// Weight, 0 to 100, of existing pods' required affinity terms that the new pod matches.
    pub hard_pod_affinity_weight: i32,
    /// Whether preferred terms of existing pods are left out when the new pod has no preferred terms itself.
    pub ignore_preferred_terms_of_existing_pods: bool,
}

impl Default for InterPodAffinityArgs {
    fn default() -> Self {
        Self { hard_pod_affinity_weight: 1, ignore_preferred_terms_of_existing_pods: false }
    }
}

impl InterPodAffinityArgs {
    /// Every rule that the arguments break.
    pub fn validate(&self) -> Vec<FieldError> {
        if (0..=100).contains(&self.hard_pod_affinity_weight) {
            return Vec::new();
        }
        let message = format!("must be between 0 and 100, not {}", self.hard_pod_affinity_weight);
        vec![FieldError::new("hardPodAffinityWeight", message)]
    }
}
