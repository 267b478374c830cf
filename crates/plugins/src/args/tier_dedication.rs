//! `TierDedicationArgs`: which tiers of nodes are closed, and which are dedicated.

use serde::{Deserialize, Serialize};

use super::{FieldError, label_name_error, label_value_error};

/// Arguments of `TierDedication`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TierDedicationArgs {
    /// The label of nodes whose value is their tier.
    pub label_key: String,
    /// Tiers that take no pods.
    pub closed: Vec<String>,
    /// Tiers that take only pods that select them, and whose pods go nowhere else.
    pub dedicated: Vec<String>,
}

impl Default for TierDedicationArgs {
    fn default() -> Self {
        let one = |tier: &str| vec![tier.to_owned()];
        Self { label_key: "tier".to_owned(), closed: one("control"), dedicated: one("cronjob") }
    }
}

impl TierDedicationArgs {
    /// Every rule that the arguments break.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.label_key.is_empty() {
            errors.push(FieldError::new("labelKey", "is required: the label of nodes whose value is their tier"));
        } else if let Some(message) = label_name_error(&self.label_key) {
            errors.push(FieldError::new("labelKey", message));
        }
        let mut seen: Vec<(&str, String)> = Vec::new();
        for (list, tiers) in [("closed", &self.closed), ("dedicated", &self.dedicated)] {
            for (index, tier) in tiers.iter().enumerate() {
                let field = format!("{list}[{index}]");
                if let Some(message) = label_value_error(tier) {
                    errors.push(FieldError::new(&field, message));
                }
                match seen.iter().find(|(known, _)| known == tier) {
                    Some((_, first)) => {
                        errors.push(FieldError::new(&field, format!("{tier:?} is listed twice: it is {first} too")));
                    }
                    None => seen.push((tier, field)),
                }
            }
        }
        errors
    }
}
