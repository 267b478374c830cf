//! The stage: a stand-in API server and a scheduler that works on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use plimsoll_apiserver::{Options, Server};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::client::Cluster;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::scheduler::Scheduler;

/// A cluster with a scheduler.
pub(super) struct Stage {
    pub(super) server: Server,
    scheduler: tokio::task::JoinHandle<anyhow::Result<()>>,
    stop: CancellationToken,
}

impl Stage {
    /// Starts both.
    pub(super) async fn start(options: Options) -> anyhow::Result<Self> {
        let server = Server::start(options).await?;
        let metrics = Arc::new(Metrics::new().context("making the metrics")?);
        let cluster = Cluster::at(&server.url())?.with_metrics(&metrics);
        let scheduler = Scheduler::new(Config::default(), cluster.clients()?, metrics).with_namespace("kube-system");
        let stop = CancellationToken::new();
        let scheduler = tokio::spawn(scheduler.run(stop.clone()));
        Ok(Self { server, scheduler, stop })
    }

    /// Waits until `done` says so; `what` is waited for.
    pub(super) async fn until(
        &self,
        what: &str,
        mut done: impl FnMut(&Server) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !done(&self.server)? {
            ensure!(!self.scheduler.is_finished(), "the scheduler has ended while waiting for {what}");
            ensure!(begun.elapsed() < Duration::from_secs(60), "waited 60 s for {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Ends both, in good order.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.scheduler.await.context("waiting for the scheduler")??;
        self.server.shutdown().await;
        Ok(())
    }
}

/// A text in an object, by its JSON pointer; empty where there is none.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
