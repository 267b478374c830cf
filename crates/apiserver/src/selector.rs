//! Label and field selectors.

mod field;
mod label;

pub(crate) use field::{Field, FieldSelector, built_in as built_in_fields, extract};
pub(crate) use label::LabelSelector;
