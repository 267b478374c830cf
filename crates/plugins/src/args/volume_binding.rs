//! `VolumeBindingArgs`: how long binding of volumes may take.

use serde::{Deserialize, Serialize};

use super::{FieldError, UtilizationShapePoint};

/// Arguments of `VolumeBinding`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct VolumeBindingArgs {
    /// Longest wait for volumes to be bound, in seconds; 0 or more.
    pub bind_timeout_seconds: i64,
    /// Scoring function by storage capacity. Allowed only with the feature gate `StorageCapacityScoring`, which is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Vec<UtilizationShapePoint>>,
}

impl Default for VolumeBindingArgs {
    fn default() -> Self {
        Self { bind_timeout_seconds: 600, shape: None }
    }
}

impl VolumeBindingArgs {
    /// Every rule that the arguments break.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.bind_timeout_seconds < 0 {
            let message = format!("must be 0 or more, not {}", self.bind_timeout_seconds);
            errors.push(FieldError::new("bindTimeoutSeconds", message));
        }
        if self.shape.is_some() {
            errors.push(FieldError::new(
                "shape",
                "needs the feature gate StorageCapacityScoring, which is off: remove it",
            ));
        }
        errors
    }
}
