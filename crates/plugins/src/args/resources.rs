//! Weighted resources and scoring shapes, which several kinds of arguments share.

use serde::{Deserialize, Serialize};

use super::FieldError;

/// The highest score that a shape may give; the scheduler scales it to 100.
const MAX_SHAPE_SCORE: i32 = 10;

/// A resource that is scored, and how much it counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceSpec {
    /// Name of the resource, such as `cpu`.
    #[serde(default)]
    pub name: String,
    /// Weight, 1 to 100; an unset one and 0 are 1.
    #[serde(default = "one", deserialize_with = "weight")]
    pub weight: i64,
}

/// A point of a scoring function from utilization to score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UtilizationShapePoint {
    /// Utilization in percent, 0 to 100.
    pub utilization: i32,
    /// Score at that utilization, 0 to 10.
    pub score: i32,
}

fn one() -> i64 {
    1
}

fn weight<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let weight = i64::deserialize(deserializer)?;
    Ok(if weight == 0 { 1 } else { weight })
}

/// Processor and memory, equally: what is scored unless the user says otherwise.
pub(super) fn default_resources() -> Vec<ResourceSpec> {
    ["cpu", "memory"].map(|name| ResourceSpec { name: name.to_owned(), weight: 1 }).to_vec()
}

/// Decodes a list of resources; an empty one means the default.
pub(super) fn resources_or_default<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<ResourceSpec>, D::Error> {
    let resources: Vec<ResourceSpec> = Vec::deserialize(deserializer)?;
    Ok(if resources.is_empty() { default_resources() } else { resources })
}

/// Checks the points of a scoring function, given the path of the list.
pub(super) fn validate_shape(path: &str, shape: &[UtilizationShapePoint]) -> Vec<FieldError> {
    if shape.is_empty() {
        return vec![FieldError::new(path, "at least one point is required")];
    }
    let mut errors = Vec::new();
    for (index, point) in shape.iter().enumerate() {
        if !(0..=100).contains(&point.utilization) {
            errors.push(FieldError::new(
                format!("{path}[{index}].utilization"),
                format!("must be between 0 and 100, not {}", point.utilization),
            ));
        } else if index > 0 && shape[index - 1].utilization >= point.utilization {
            errors.push(FieldError::new(
                format!("{path}[{index}].utilization"),
                format!(
                    "must be higher than the one before ({}), not {}",
                    shape[index - 1].utilization,
                    point.utilization
                ),
            ));
        }
        if !(0..=MAX_SHAPE_SCORE).contains(&point.score) {
            errors.push(FieldError::new(
                format!("{path}[{index}].score"),
                format!("must be between 0 and {MAX_SHAPE_SCORE}, not {}", point.score),
            ));
        }
    }
    errors
}
