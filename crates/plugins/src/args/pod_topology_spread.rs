//! `PodTopologySpreadArgs`: how pods are spread that do not say so themselves.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{FieldError, label_name_error};

/// Arguments of `PodTopologySpread`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PodTopologySpreadArgs {
    /// Constraints of pods that have none; allowed only with `defaultingType: List`.
    pub default_constraints: Vec<SpreadConstraint>,
    /// Where the constraints of such pods come from.
    pub defaulting_type: DefaultingType,
}

/// Where default constraints come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DefaultingType {
    /// Kubernetes' own: over hosts with skew 3, over zones with skew 5, both as preferences.
    #[default]
    #[serde(alias = "")]
    System,
    /// The list in the arguments.
    List,
}

/// A spread constraint without a selector: that one is deduced for each pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SpreadConstraint {
    /// Largest difference in the number of pods between domains; 1 or more.
    #[serde(default)]
    pub max_skew: i32,
    /// The node label whose values are the domains.
    #[serde(default)]
    pub topology_key: String,
    /// What happens to pods that would break the constraint.
    pub when_unsatisfiable: WhenUnsatisfiable,
    /// Not allowed here; kept so that it is refused with a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<serde_json::Value>,
    /// Smallest number of domains, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_domains: Option<i32>,
    /// Whether nodes outside the pod's node affinity count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_affinity_policy: Option<NodeInclusionPolicy>,
    /// Whether nodes with taints that the pod does not tolerate count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_taints_policy: Option<NodeInclusionPolicy>,
    /// Pod label keys whose values narrow the pods that count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_label_keys: Vec<String>,
}

/// What a broken spread constraint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WhenUnsatisfiable {
    /// The node is refused.
    DoNotSchedule,
    /// The node gets a lower score.
    ScheduleAnyway,
}

/// Whether a node property decides over counting a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeInclusionPolicy {
    /// Nodes that the property rules out do not count.
    Honor,
    /// All nodes count.
    Ignore,
}

impl PodTopologySpreadArgs {
    /// Every rule that the arguments break.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.defaulting_type == DefaultingType::System && !self.default_constraints.is_empty() {
            errors.push(FieldError::new("defaultingType", "must be List where defaultConstraints are given"));
        }
        let mut seen = HashSet::new();
        for (index, constraint) in self.default_constraints.iter().enumerate() {
            let path = format!("defaultConstraints[{index}]");
            constraint.validate(&path, &mut errors);
            if !seen.insert((&constraint.topology_key, constraint.when_unsatisfiable)) {
                let message = format!(
                    "a constraint for {} with {:?} is listed already",
                    constraint.topology_key, constraint.when_unsatisfiable
                );
                errors.push(FieldError::new(path, message));
            }
        }
        errors
    }
}

impl SpreadConstraint {
    fn validate(&self, path: &str, errors: &mut Vec<FieldError>) {
        if self.max_skew <= 0 {
            errors
                .push(FieldError::new(format!("{path}.maxSkew"), format!("must be 1 or more, not {}", self.max_skew)));
        }
        if self.topology_key.is_empty() {
            errors.push(FieldError::new(format!("{path}.topologyKey"), "is required"));
        } else if let Some(error) = label_name_error(&self.topology_key) {
            errors.push(FieldError::new(format!("{path}.topologyKey"), error));
        }
        if self.label_selector.is_some() {
            errors.push(FieldError::new(
                format!("{path}.labelSelector"),
                "is not allowed in a default constraint: the selector is deduced for each pod",
            ));
        }
    }
}
