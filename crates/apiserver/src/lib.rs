//! A stand-in Kubernetes API server, in memory and over real HTTP, for demo, development and tests.
//!
//! It is true to the wire where schedulers, controllers and kubectl look: lists and watches with all their rules,
//! bindings and their conflicts, patches, graceful deletion, admission that scheduling depends on. Small controllers make
//! pods of workloads, and stand-in kubelets run them. With RBAC on
//! order, it asks what the caller may. What it does not have: validation of values, persistence.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use plimsoll_apiserver::{Options, Server};
//!
//! let server = Server::start(Options::default()).await?;
//! server.load(vec![serde_json::json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})]);
//! std::fs::write("kubeconfig", server.kubeconfig())?;
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod admission;
mod auth;
mod clock;
mod cluster;
mod controllers;
mod events;
mod failure;
mod faults;
mod http;
mod json;
mod kinds;
mod offline;
mod ops;
mod options;
mod patch;
mod quantity;
mod recorder;
mod selector;
mod server;
mod store;
mod stored;
mod tls;
mod tokens;

pub use auth::User;
pub use failure::Failure;
pub use faults::{Fault, Faults, Rule, RuleError, WatchFault};
pub use kinds::{CrdError, Kind};
pub use offline::{Offline, Settled};
pub use options::Options;
pub use recorder::{Call, CallCount};
pub use server::{Server, StartError};
pub use tls::TlsOptions;
