//! Plimsoll's in-tree scheduling policies, one file each

pub mod args;
pub mod catalog;
