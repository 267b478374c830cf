//! The contract between Plimsoll's engine and its plugins: pods and nodes parsed once, and what a plugin sees and may
//! answer.

pub mod api;
pub mod intern;
pub mod labels;
pub mod node;
pub mod node_selector;
pub mod pod;
pub mod ports;
pub mod quantity;
pub mod resources;
pub mod toleration;
