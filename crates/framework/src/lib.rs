//! The contract between Plimsoll's engine and its plugins: pods and nodes parsed once, and what a plugin sees and may
//! answer.
//!
//! A plugin author needs [`plugin`] (the traits), [`read`] (what can be read) and [`extensions`] (the registry line).
//! The law behind the contract: **every answer is a function of a pod, a view and an overlay**, and of nothing else. No
//! clock, no randomness, no client, no I/O; what has to be written is returned as data.

mod chunk;

pub mod api;
pub mod assume;
pub mod cluster;
pub mod cluster_event;
pub mod extensions;
pub mod intern;
pub mod labels;
pub mod node;
pub mod node_selector;
pub mod object;
pub mod overlay;
pub mod plugin;
pub mod pod;
pub mod point;
pub mod ports;
pub mod preemption;
pub mod quantity;
pub mod read;
pub mod resources;
pub mod table;
pub mod taken;
pub mod time;
pub mod toleration;
pub mod topology;
pub mod verdict;
