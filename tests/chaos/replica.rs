//! A scheduler as a task, connected to the stand-in through memory.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use plimsoll::client::Cluster;
use plimsoll::config::{Config, Defaults};
use plimsoll::metrics::Metrics;
use plimsoll::record::Room;
use plimsoll::scheduler::{Inspector, Reloader, Scheduler};
use plimsoll_apiserver::Server;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// One scheduler at work. Dropping it is its crash.
pub(crate) struct Replica {
    pub(crate) inspector: Inspector,
    reloader: Reloader,
    config: String,
    stop: CancellationToken,
    task: AbortOnDropHandle<anyhow::Result<()>>,
}

impl Replica {
    /// Starts one that has this name among the candidates and this time on its clock, and that may be recorded.
    pub(crate) fn start(
        server: &Arc<Server>,
        name: &str,
        now: SystemTime,
        seed: u64,
        elects: bool,
        record: Option<&Path>,
    ) -> Self {
        let text = format!(
            "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nleaderElection: \
             {{leaderElect: {elects}}}\n---\napiVersion: config.plimsoll/v1alpha1\nkind: PlimsollConfiguration\nseed: \
             {seed}\n"
        );
        let config = read(&text);
        let metrics = Arc::new(Metrics::new().unwrap());
        let dialed = Arc::downgrade(server);
        let dial = move || dialed.upgrade().ok_or(io::ErrorKind::ConnectionRefused)?.connect();
        let cluster = Cluster::in_memory(dial).unwrap();
        let mut scheduler = Scheduler::new(config, cluster.clients().unwrap(), metrics)
            .with_namespace("kube-system")
            .with_identity(name)
            .simulated(now);
        if let Some(dir) = record {
            scheduler = scheduler.with_recording(Room::new(&dir.join(name), 1_024).unwrap());
        }
        let (inspector, reloader, stop) = (scheduler.inspector(), scheduler.reloader(), CancellationToken::new());
        let task = AbortOnDropHandle::new(tokio::spawn(scheduler.run(stop.clone())));
        Self { inspector, reloader, config: text, stop, task }
    }

    /// Gives it another configuration: the one that it began with and these lines. What comes of it nobody waits for: it
    /// may crash before.
    pub(crate) fn reload(&self, lines: &str) {
        let (reloader, config) = (self.reloader.clone(), read(&format!("{}{lines}", self.config)));
        tokio::spawn(async move { reloader.reload(config).await });
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Ends it in good order.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(120), self.task).await.expect("a scheduler ends when it is told to")?
    }

    /// What it ended with; it must have.
    pub(crate) async fn outcome(self) -> anyhow::Result<()> {
        self.task.await?
    }
}

fn read(text: &str) -> Config {
    Config::parse("chaos.yaml", text, &Defaults::plimsoll()).unwrap()
}
