//! Plimsoll's shell: the only code that knows a cluster, a clock, a socket, a process.

pub mod admin;
pub mod client;
pub mod commands;
pub mod config;
pub mod driver;
mod explain;
pub mod extender;
mod inspect;
#[cfg(any(test, feature = "fuzz"))]
pub mod laws;
pub mod lease;
pub mod logging;
pub mod manifest;
pub mod metrics;
pub mod record;
pub mod reflector;
pub mod registry;
pub mod scheduler;
mod table;
pub mod tls;
pub mod write;

use std::sync::Arc;

/// Runs a scheduler of the in-tree plugins through one client, until the returned future is dropped or the scheduler
/// cannot go on. [`scheduler::Scheduler`] has more to set: further plugins, an admin server, a clean end.
///
/// # Errors
/// When the configuration cannot be run, the lease is lost, or a part of the scheduler has failed.
pub async fn run(config: config::Config, client: kube::Client) -> anyhow::Result<()> {
    let metrics = Arc::new(metrics::Metrics::new()?);
    let clients = client::Clients::from_one(client);
    scheduler::Scheduler::new(config, clients, metrics).run(tokio_util::sync::CancellationToken::new()).await
}
