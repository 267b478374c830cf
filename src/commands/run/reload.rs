//! The configuration file while the scheduler runs: when it changes, what it says is checked as at the start, and taken
//! over.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ring::digest::{Digest, SHA256, digest};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::{Args, configuration};
use crate::config::MAX_FILE_BYTES;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::scheduler::{Reloaded, Reloader};

/// How often it is looked at. A ConfigMap takes a minute to reach its files, so that this is no part of the wait.
const LOOK: Duration = Duration::from_secs(5);

/// Follows the file that `args` names, if it names one, until the process ends. At SIGHUP it is looked at once; without a
/// file the signal means nothing, and does not end the process.
pub(super) fn follow(
    args: &Args,
    registry: &Registry,
    reloader: Reloader,
    metrics: Arc<Metrics>,
) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
    let (args, registry) = (args.clone(), registry.clone());
    tokio::spawn(async move {
        let Some(path) = args.config.clone() else {
            while hangup.recv().await.is_some() {
                tracing::info!("SIGHUP: there is no configuration file to be read again (--config)");
            }
            return;
        };
        let mut follower = Follower { seen: content(&path).await, args, registry, reloader, metrics };
        let mut turn = interval(LOOK);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = turn.tick() => false,
                _ = hangup.recv() => true,
            };
            follower.look(&path, asked).await;
        }
    });
    Ok(())
}

/// What the file holds; `None` where it cannot be read.
async fn content(path: &Path) -> Option<Digest> {
    let path = path.to_owned();
    let read = move || -> std::io::Result<Digest> {
        let mut bytes = Vec::new();
        // Of one that is longer nothing is read at all, whatever is behind that.
        let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
        Ok(digest(&SHA256, &bytes))
    };
    tokio::task::spawn_blocking(read).await.ok()?.ok()
}

struct Follower {
    args: Args,
    registry: Registry,
    reloader: Reloader,
    metrics: Arc<Metrics>,
    /// What was looked at last, whatever came of it.
    seen: Option<Digest>,
}

impl Follower {
    /// Takes over what the file says if it says something else than when it was last looked at.
    async fn look(&mut self, path: &Path, asked: bool) {
        let now = content(path).await;
        if !asked && now.as_ref().map(Digest::as_ref) == self.seen.as_ref().map(Digest::as_ref) {
            return;
        }
        self.seen = now;
        let file = path.display();
        // Reading and checking a large file takes a while; the async threads carry bindings.
        let (args, registry) = (self.args.clone(), self.registry.clone());
        let read = tokio::task::spawn_blocking(move || configuration(&args, &registry)).await;
        let config = match read.context("reading the configuration").flatten() {
            Ok(config) => config,
            Err(error) => {
                self.metrics.plimsoll.config_last_reload_success.set(0);
                return tracing::error!(
                    "{file} has changed and cannot be used; the former configuration is kept: {error:#}"
                );
            }
        };
        config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let paused = config.plimsoll.paused;
        match self.reloader.reload(config).await {
            Ok(Reloaded::Unchanged) => tracing::info!("{file}: says what is in use already"),
            Ok(Reloaded::Paused(true)) => tracing::warn!("{file}: paused; no pods are taken until it says otherwise"),
            Ok(Reloaded::Paused(false)) => tracing::info!("{file}: no longer paused"),
            Ok(Reloaded::Applied) if paused => {
                tracing::warn!("{file}: the new configuration is in use; paused, no pods are taken")
            }
            Ok(Reloaded::Applied) => tracing::info!("{file}: the new configuration is in use"),
            Err(error) => {
                tracing::error!("{file} has changed and cannot be used; the former configuration is kept: {error:#}");
            }
        }
    }
}
