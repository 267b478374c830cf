//! `NodeAffinityArgs`: node affinity that holds for every pod of the profile.

use serde::{Deserialize, Serialize};

use super::{FieldError, label_name_error, label_value_error};

/// Arguments of `NodeAffinity`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeAffinityArgs {
    /// Affinity that every pod of the profile has beside its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_affinity: Option<NodeAffinity>,
}

/// Required and preferred nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeAffinity {
    /// Nodes that do not match are refused.
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution", skip_serializing_if = "Option::is_none")]
    pub required: Option<NodeSelector>,
    /// Nodes that match score higher.
    #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution", skip_serializing_if = "Vec::is_empty")]
    pub preferred: Vec<PreferredSchedulingTerm>,
}

/// Matches a node that one of the terms matches; without terms, none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeSelector {
    /// The terms, of which one must match.
    pub node_selector_terms: Vec<NodeSelectorTerm>,
}

/// Requirements that must all hold; an empty term matches no node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeSelectorTerm {
    /// Requirements on labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<NodeSelectorRequirement>,
    /// Requirements on fields of the node, such as `metadata.name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_fields: Vec<NodeSelectorRequirement>,
}

/// One requirement on a label or field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSelectorRequirement {
    /// The label or field.
    #[serde(default)]
    pub key: String,
    /// How it is compared.
    pub operator: NodeSelectorOperator,
    /// What it is compared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// The comparisons of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeSelectorOperator {
    /// Has one of the values.
    In,
    /// Has none of the values, or is absent.
    NotIn,
    /// Is present.
    Exists,
    /// Is absent.
    DoesNotExist,
    /// Is a number above the one value.
    Gt,
    /// Is a number below the one value.
    Lt,
}

/// A term and what it is worth.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PreferredSchedulingTerm {
    /// Weight, 1 to 100; 0 switches the term off.
    pub weight: i32,
    /// The term.
    pub preference: NodeSelectorTerm,
}

impl NodeAffinityArgs {
    /// Every rule that the arguments break.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let Some(affinity) = &self.added_affinity else { return errors };
        if let Some(required) = &affinity.required {
            for (index, term) in required.node_selector_terms.iter().enumerate() {
                let path =
                    format!("addedAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[{index}]");
                term.validate(&path, &mut errors);
            }
        }
        for (index, term) in affinity.preferred.iter().enumerate().filter(|(_, term)| term.weight != 0) {
            let path = format!("addedAffinity.preferredDuringSchedulingIgnoredDuringExecution[{index}].preference");
            term.preference.validate(&path, &mut errors);
        }
        errors
    }
}

impl NodeSelectorTerm {
    fn validate(&self, path: &str, errors: &mut Vec<FieldError>) {
        for (index, requirement) in self.match_expressions.iter().enumerate() {
            requirement.validate_label(&format!("{path}.matchExpressions[{index}]"), errors);
        }
        for (index, requirement) in self.match_fields.iter().enumerate() {
            requirement.validate_field(&format!("{path}.matchFields[{index}]"), errors);
        }
    }
}

impl NodeSelectorRequirement {
    fn validate_label(&self, path: &str, errors: &mut Vec<FieldError>) {
        use NodeSelectorOperator::{DoesNotExist, Exists, Gt, In, Lt, NotIn};
        if let Some(error) = label_name_error(&self.key) {
            errors.push(FieldError::new(format!("{path}.key"), error));
        }
        let count = self.values.len();
        let wrong = match self.operator {
            In | NotIn => (count == 0).then_some("at least one value is required"),
            Exists | DoesNotExist => (count > 0).then_some("must be empty"),
            Gt | Lt => {
                let number = count == 1 && self.values[0].parse::<i64>().is_ok();
                (!number).then_some("must be one whole number")
            }
        };
        if let Some(wrong) = wrong {
            errors
                .push(FieldError::new(format!("{path}.values"), format!("{wrong} with operator {:?}", self.operator)));
        }
        for (index, value) in self.values.iter().enumerate() {
            if let Some(error) = label_value_error(value) {
                errors.push(FieldError::new(format!("{path}.values[{index}]"), error));
            }
        }
    }

    fn validate_field(&self, path: &str, errors: &mut Vec<FieldError>) {
        if !matches!(self.operator, NodeSelectorOperator::In | NodeSelectorOperator::NotIn) {
            let message = format!("must be In or NotIn on a field, not {:?}", self.operator);
            errors.push(FieldError::new(format!("{path}.operator"), message));
        } else if self.values.len() != 1 {
            errors.push(FieldError::new(format!("{path}.values"), "must be exactly one value on a field"));
        }
    }
}
