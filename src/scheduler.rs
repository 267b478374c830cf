//! A whole scheduler: reflectors, driver, writer, election and admin server, from start to a clean end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use plimsoll_engine::decide::TieBreak;
use plimsoll_engine::engine::{Engine, EngineSettings};
use plimsoll_engine::queue::{Backoff, QueueSettings};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::KindRef;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::admin::{Admin, AdminServer, CheckState, Health};
use crate::client::{Clients, RateLimit};
use crate::config::{Config, TieBreak as ConfiguredTieBreak};
use crate::driver::{Clock, Driver, Inbox, inbox};
use crate::lease::{AlwaysLeading, Elector, Fence, Leadership, LeaseSettings, identity};
use crate::logging::LogHandle;
use crate::metrics::Metrics;
use crate::reflector::Reflectors;
use crate::registry::Registry;
use crate::write::{Writer, WriterSettings};

/// More deciding threads than this wait for the one that commits.
const MOST_WORKERS: usize = 4;
/// How long bindings under way are waited for at the end, beyond the time a single one may take.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// A scheduler, ready to run.
pub struct Scheduler {
    config: Config,
    clients: Clients,
    registry: Registry,
    metrics: Arc<Metrics>,
    namespace: String,
    admin: Option<(AdminServer, LogHandle)>,
    max_in_unschedulable: Duration,
}

impl Scheduler {
    /// A scheduler of the in-tree plugins that works through these clients.
    pub fn new(config: Config, clients: Clients, metrics: Arc<Metrics>) -> Self {
        Self {
            config,
            clients,
            registry: Registry::default(),
            metrics,
            namespace: "default".to_owned(),
            admin: None,
            max_in_unschedulable: QueueSettings::default().max_in_unschedulable,
        }
    }

    /// Makes it of other plugins than the in-tree ones alone.
    #[must_use]
    pub fn with_registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// The namespace the process runs in: the Lease's, unless the configuration names one.
    #[must_use]
    pub fn with_namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Serves health, metrics and the rest.
    #[must_use]
    pub fn with_admin(mut self, server: AdminServer, log: LogHandle) -> Self {
        self.admin = Some((server, log));
        self
    }

    /// After how long without an event that might help a pod is tried again all the same (five minutes by default).
    #[must_use]
    pub fn with_max_in_unschedulable(mut self, wait: Duration) -> Self {
        self.max_in_unschedulable = wait;
        self
    }

    /// Runs until `shutdown`; then no more pods are taken, bindings under way end, and the lease is released.
    ///
    /// # Errors
    /// When the configuration cannot be run, the lease is lost, or a part of the scheduler has failed: the process
    /// should end.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let profiles = self.registry.profiles(&self.config)?;
        let left_out = self.registry.left_out(&self.config);
        if !left_out.is_empty() {
            tracing::warn!(
                plugins = left_out.join(", "),
                "not built yet and left out; pods with rules that need them stay pending and say so"
            );
        }
        let mut annotation_keys: Vec<Istr> = profiles.iter().flat_map(|p| p.annotation_keys.iter().cloned()).collect();
        annotation_keys.sort();
        annotation_keys.dedup();
        let mut kinds: Vec<KindRef> = Vec::new();
        for kind in profiles.iter().flat_map(|p| &p.kinds) {
            if !kinds.iter().any(|k| k.id == kind.id) {
                kinds.push(*kind);
            }
        }
        let workers = self.workers();
        let engine = Engine::new(profiles, self.engine_settings(workers));
        Parts::start(self, engine, workers, annotation_keys, kinds)?.run(shutdown).await
    }

    fn workers(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS);
        self.config.plimsoll.workers.map_or_else(cores, usize::from)
    }

    fn engine_settings(&self, workers: usize) -> EngineSettings {
        let seconds = |s: i64| Duration::from_secs(u64::try_from(s).unwrap_or(0));
        let own = &self.config.plimsoll;
        EngineSettings {
            queue: QueueSettings {
                backoff: Backoff {
                    initial: seconds(self.config.pod_initial_backoff_seconds),
                    max: seconds(self.config.pod_max_backoff_seconds),
                },
                max_in_unschedulable: self.max_in_unschedulable,
            },
            line_limit: 64 * workers,
            tie_break: match own.tie_break {
                ConfiguredTieBreak::Random => TieBreak::Random,
                ConfiguredTieBreak::Name => TieBreak::Name,
            },
            seed: own.seed.unwrap_or_else(|| Clock::start().now().as_duration().subsec_nanos().into()),
            admission: self.registry.admission(&self.config),
        }
    }

    fn lease_settings(&self) -> LeaseSettings {
        let election = &self.config.leader_election;
        let namespace = election.resource_namespace.as_deref().unwrap_or(&self.namespace);
        LeaseSettings {
            lease_duration: election.lease_duration,
            renew_deadline: election.renew_deadline,
            retry_period: election.retry_period,
            ..LeaseSettings::new(namespace, &election.resource_name, identity())
        }
    }
}

/// The parts of a running scheduler.
struct Parts {
    inbox: Inbox,
    /// Tasks that go on until they are stopped; if one ends before, so does the scheduler.
    tasks: JoinSet<anyhow::Result<()>>,
    stop_watching: CancellationToken,
    driver: tokio::sync::oneshot::Receiver<()>,
    writer: tokio::task::JoinHandle<()>,
    election: JoinSet<anyhow::Result<()>>,
    stop_election: CancellationToken,
    admin: Option<tokio::task::JoinHandle<()>>,
    stop_admin: CancellationToken,
    drain_limit: Duration,
}

impl Parts {
    fn start(
        scheduler: Scheduler,
        engine: Engine,
        workers: usize,
        annotation_keys: Vec<Istr>,
        kinds: Vec<KindRef>,
    ) -> anyhow::Result<Self> {
        let (health, clock) = (Health::new(), Clock::start());
        let (inbox, incoming) = inbox();
        let (outbox, effects) = mpsc::unbounded_channel();
        let lease = scheduler.lease_settings();
        let bind_timeout = lease.call_allowance().max(Duration::from_secs(1));
        let metrics = Arc::clone(&scheduler.metrics);

        let mut tasks = JoinSet::new();
        let stop_watching = CancellationToken::new();
        let reflectors = Arc::new(Reflectors {
            client: scheduler.clients.watch.clone(),
            inbox: inbox.clone(),
            metrics: Arc::clone(&metrics),
            annotation_keys: annotation_keys.clone(),
        });
        let not_yet = |what: &str| CheckState::Failing(format!("{what} have not been listed yet"));
        let nodes = health.check("nodes-synced", not_yet("nodes"));
        let pods = health.check("pods-synced", not_yet("pods"));
        let (watch, stop) = (Arc::clone(&reflectors), stop_watching.clone());
        tasks.spawn(async move {
            watch.nodes(0, nodes, stop).await;
            Ok(())
        });
        let (watch, stop) = (Arc::clone(&reflectors), stop_watching.clone());
        tasks.spawn(async move {
            watch.pods(1, pods, stop).await;
            Ok(())
        });
        let lists = kinds.len() + 2;
        for (number, kind) in kinds.into_iter().enumerate() {
            let check = health.check("objects-synced", not_yet(kind.plural));
            let (watch, stop) = (Arc::clone(&reflectors), stop_watching.clone());
            tasks.spawn(async move {
                watch.objects(number + 2, kind, check, stop).await;
                Ok(())
            });
        }

        let heartbeat = health.heartbeat("owner");
        let driver =
            Driver::new(engine, workers, lists, (&inbox, incoming), outbox, clock, Arc::clone(&metrics), heartbeat);
        let (ended, driver_ended) = tokio::sync::oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("owner".to_owned())
            .spawn(move || {
                // Dropped when the thread ends, by whatever way.
                let _ended = ended;
                driver.run();
            })
            .context("starting the owner thread")?;

        let (fence, election, stop_election) = elect(&scheduler, lease, &inbox)?;
        let writer = Writer::new(
            WriterSettings {
                clients: scheduler.clients.clone(),
                inbox: inbox.clone(),
                fence,
                bind_timeout,
                clock,
                metrics: Arc::clone(&metrics),
                annotation_keys,
                profiles: scheduler.config.profiles.iter().map(|p| p.scheduler_name.as_str().into()).collect(),
                instance: identity().split('_').next().unwrap_or_default().to_owned(),
                limit: limit(&scheduler.config),
            },
            effects,
        );
        let stop_admin = CancellationToken::new();
        let config = Arc::new(scheduler.config);
        let admin = scheduler.admin.map(|(server, log)| {
            let configz =
                move || serde_json::json!({ "componentconfig": config.to_v1(), "plimsoll": config.to_plimsoll() });
            let admin = Admin { health, metrics, configz: Arc::new(configz), log };
            tokio::spawn(server.serve(admin, stop_admin.clone()))
        });
        Ok(Self {
            inbox,
            tasks,
            stop_watching,
            driver: driver_ended,
            writer: tokio::spawn(writer.run()),
            election,
            stop_election,
            admin,
            stop_admin,
            drain_limit: bind_timeout + DRAIN_GRACE,
        })
    }

    async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let result = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            Some(ended) = self.election.join_next() => Err(failed("leader election", ended)),
            Some(ended) = self.tasks.join_next() => Err(failed("a watch", ended)),
            _ = &mut self.driver => Err(anyhow!("the thread that owns queue and cache has ended")),
            ended = &mut self.writer => Err(failed("the writer", ended.map(Ok))),
        };
        if result.is_ok() {
            self.drain().await;
        }
        self.end().await;
        result
    }

    /// Lets bindings under way end, so that none is left half done.
    async fn drain(&mut self) {
        tracing::info!("shutting down: no more pods are taken, bindings under way end");
        if timeout(self.drain_limit, self.inbox.drain()).await.is_err() {
            tracing::warn!("bindings were still under way after {:?}; not waiting any longer", self.drain_limit);
        }
    }

    /// In this order: who asks for writes, who writes, who may write, who watches.
    async fn end(mut self) {
        self.inbox.stop();
        if !self.writer.is_finished() && timeout(self.drain_limit, &mut self.writer).await.is_err() {
            tracing::warn!("writes were still under way after {:?}; not waiting any longer", self.drain_limit);
            self.writer.abort();
        }
        self.stop_election.cancel();
        while let Some(ended) = self.election.join_next().await {
            if let Ok(Err(error)) = ended {
                tracing::warn!("{error:#}");
            }
        }
        self.stop_watching.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.stop_admin.cancel();
        if let Some(admin) = self.admin {
            drop(admin.await);
        }
        tracing::info!("shut down");
    }
}

fn failed(what: &str, ended: Result<anyhow::Result<()>, tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow!("{what} has ended"),
        Ok(Err(error)) => error,
        Err(error) => anyhow!(error).context(format!("{what} has failed")),
    }
}

fn limit(config: &Config) -> Option<(f64, u32)> {
    let connection = &config.client_connection;
    let qps = connection.qps?;
    // As in client-go, where an unset burst takes its default.
    let burst = connection.burst.unwrap_or(100);
    RateLimit::new(qps, 1)?;
    Some((qps, u32::try_from(burst).unwrap_or(1)))
}

/// Begins the election, or leads at once where there is none. The driver is told who leads.
fn elect(
    scheduler: &Scheduler,
    lease: LeaseSettings,
    inbox: &Inbox,
) -> anyhow::Result<(Fence, JoinSet<anyhow::Result<()>>, CancellationToken)> {
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    if !scheduler.config.leader_election.leader_elect {
        inbox.leading(true);
        return Ok((AlwaysLeading::new().fence(), tasks, stop));
    }
    let name = format!("{}/{}", lease.namespace, lease.name);
    let elector = Elector::new(scheduler.clients.lease.clone(), lease)?.with_metrics(Arc::clone(&scheduler.metrics));
    let (fence, mut state) = (elector.fence(), elector.subscribe());
    let (inbox, ending) = (inbox.clone(), stop.clone());
    tokio::spawn(async move {
        let mut said = None;
        loop {
            let now = state.borrow_and_update().clone();
            let leading = matches!(now, Leadership::Leading { .. });
            if said.as_ref().map(std::mem::discriminant) != Some(std::mem::discriminant(&now)) {
                match &now {
                    // It gives the lease away because it ends; that is no standing by.
                    Leadership::Standby { .. } if ending.is_cancelled() => {}
                    Leadership::Standby { holder } => {
                        let holder = holder.as_deref().unwrap_or("nobody");
                        tracing::info!(lease = %name, holder, "standing by");
                    }
                    Leadership::Leading { transitions, .. } => tracing::info!(lease = %name, transitions, "leading"),
                    Leadership::Lost => tracing::error!(lease = %name, "lost the lease"),
                }
                inbox.leading(leading);
                said = Some(now);
            }
            if state.changed().await.is_err() {
                return;
            }
        }
    });
    let token = stop.clone();
    tasks.spawn(async move { Ok(elector.run(token).await?) });
    Ok((fence, tasks, stop))
}
