//! Label and field selectors.

mod field;
mod label;

pub(crate) use field::{FieldSelector, extract};
pub(crate) use label::LabelSelector;
