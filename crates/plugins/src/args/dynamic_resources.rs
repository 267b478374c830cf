//! `DynamicResourcesArgs`: how long allocating and binding devices may take.

use serde::{Deserialize, Serialize};

use super::{FieldError, GoDuration};

/// Arguments of `DynamicResources`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct DynamicResourcesArgs {
    /// Longest time of Filter for one node; 0 means no limit.
    pub filter_timeout: GoDuration,
    /// Longest wait for a device's binding conditions; 1 s or more.
    pub binding_timeout: GoDuration,
}

impl Default for DynamicResourcesArgs {
    fn default() -> Self {
        Self { filter_timeout: GoDuration::from_seconds(10), binding_timeout: GoDuration::from_seconds(600) }
    }
}

impl DynamicResourcesArgs {
    /// Every rule that the arguments break.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.filter_timeout < GoDuration::default() {
            errors.push(FieldError::new("filterTimeout", format!("must be 0s or longer, not {}", self.filter_timeout)));
        }
        if self.binding_timeout < GoDuration::from_seconds(1) {
            errors
                .push(FieldError::new("bindingTimeout", format!("must be 1s or longer, not {}", self.binding_timeout)));
        }
        errors
    }
}
