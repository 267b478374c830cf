//! Plimsoll's shell: the only code that knows a cluster, a clock, a socket, a process.

pub mod admin;
pub mod client;
pub mod commands;
pub mod config;
pub mod driver;
pub mod lease;
pub mod logging;
pub mod metrics;
pub mod reflector;
pub mod registry;
pub mod scheduler;
pub mod write;
