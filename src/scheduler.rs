//! A whole scheduler: reflectors, driver, writer, election and admin server, from start to a clean end.

mod election;
mod generation;
mod parts;
mod plan;
mod reload;
mod watching;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use plimsoll_engine::engine::{Engine, EngineSettings};
use plimsoll_engine::queue::{Backoff, QueueSettings};
use plimsoll_framework::intern::Istr;
use tokio_util::sync::CancellationToken;

use crate::admin::{AdminServer, Secured};
use crate::client::Clients;
use crate::config::Config;
use crate::driver::{Clock, Inbox};
use crate::inspect::Inspect;
use crate::lease::{LeaseSettings, identity};
use crate::logging::LogHandle;
use crate::metrics::Metrics;
use crate::record::{Head, Recorder, Room};
use crate::registry::Registry;
use parts::Parts;
use plan::Plan;
#[cfg(feature = "tools")]
pub(crate) use plan::read_by;
use reload::Reloads;
pub use reload::{Reloaded, Reloader};
pub(crate) use watching::Watching;

/// More deciding threads than this wait for the one that commits.
const MOST_WORKERS: usize = 4;

/// A scheduler, ready to run.
pub struct Scheduler {
    /// What it starts with.
    start: Arc<Config>,
    clients: Clients,
    registry: Registry,
    metrics: Arc<Metrics>,
    namespace: String,
    identity: String,
    admin: Option<(AdminServer, LogHandle)>,
    secured: Option<(Secured, LogHandle)>,
    max_in_unschedulable: Duration,
    simulated: Option<SystemTime>,
    record: Option<Room>,
    inspector: Inspector,
    reloads: Reloads,
}

/// A look at what a scheduler knows while it runs. Cheap to clone.
#[derive(Clone, Default)]
pub struct Inspector(Arc<RwLock<Option<Inbox>>>);

impl Inspector {
    /// Asks something of the engine as it is now. `None` when it does not run, or has ended.
    pub async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&Engine) -> T + Send + 'static) -> Option<T> {
        let inbox = self.0.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        inbox.ask(question).await
    }

    /// From now on it is this engine that is looked at.
    fn look_at(&self, inbox: &Inbox) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(inbox.clone());
    }
}

impl Scheduler {
    /// A scheduler of the in-tree plugins that works through these clients. One that shadows others has only such of them
    /// as cannot write.
    pub fn new(config: Config, clients: Clients, metrics: Arc<Metrics>) -> Self {
        Self {
            clients: if config.is_shadow() { clients.read_only() } else { clients },
            start: Arc::new(config),
            registry: Registry::default(),
            metrics,
            namespace: "default".to_owned(),
            identity: identity(),
            admin: None,
            secured: None,
            max_in_unschedulable: QueueSettings::default().max_in_unschedulable,
            simulated: None,
            record: None,
            inspector: Inspector::default(),
            reloads: Reloads::default(),
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

    /// Serves the same and more on a secured port.
    #[must_use]
    pub fn with_secured(mut self, secured: Secured, log: LogHandle) -> Self {
        self.secured = Some((secured, log));
        self
    }

    /// After how long without an event that might help a pod is tried again all the same (five minutes by default).
    #[must_use]
    pub fn with_max_in_unschedulable(mut self, wait: Duration) -> Self {
        self.max_in_unschedulable = wait;
        self
    }

    /// Who it is among the candidates of a lease; no two may ever have the same. Unique by itself when not set.
    #[must_use]
    pub fn with_identity(mut self, identity: &str) -> Self {
        identity.clone_into(&mut self.identity);
        self
    }

    /// Makes it one task among others, for simulations: it starts no thread, and its wall clock, which says `now` at the
    /// start, goes as tokio's clock does. With one worker, a runtime of one thread and paused time, what it does then
    /// depends on nothing but what it is told.
    #[must_use]
    pub fn simulated(mut self, now: SystemTime) -> Self {
        self.simulated = Some(now);
        self
    }

    /// Records all that reaches the engine. Then one thread decides, whatever the configuration says, so that the same
    /// calls lead to the same effects.
    #[must_use]
    pub fn with_recording(mut self, room: Room) -> Self {
        self.record = Some(room);
        self
    }

    /// A look at what it knows, once it runs.
    pub fn inspector(&self) -> Inspector {
        self.inspector.clone()
    }

    /// A way to give it another configuration, once it runs.
    pub fn reloader(&self) -> Reloader {
        self.reloads.reloader()
    }

    /// A way to look at what it knows, for people.
    pub(crate) fn inspect(&self) -> Inspect {
        Inspect::new(self.inspector(), self.clients.watch.clone(), self.clock())
    }

    /// Runs until `shutdown`; then no more pods are taken, bindings under way end, and the lease is released.
    ///
    /// # Errors
    /// When the configuration cannot be run, the lease is lost, or a part of the scheduler has failed: the process
    /// should end.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        if self.start.is_shadow() {
            self.announce_shadow();
        }
        let plan = Plan::of(&self, Arc::clone(&self.start))?;
        Parts::start(self, plan)?.run(shutdown).await
    }

    /// Begins the recording, if there is to be one.
    fn record(
        &mut self,
        config: &Config,
        settings: &EngineSettings,
        keys: &[Istr],
    ) -> anyhow::Result<Option<Recorder>> {
        let Some(room) = self.record.take() else { return Ok(None) };
        let begun = self.clock().timestamp();
        let head = Head::new(config, begun, settings.seed, self.max_in_unschedulable, keys);
        room.begin(&head, self.simulated.is_some()).map(Some)
    }

    fn announce_shadow(&self) {
        for name in self.start.scheduler_names() {
            let profile = self.start.profile_for(name).map_or("", |profile| profile.scheduler_name.as_str());
            tracing::info!(
                scheduler = name,
                profile,
                "SHADOW MODE: nothing is written to the cluster, and no lease is held or read; pods of this scheduler are \
                 decided for comparison and left to it"
            );
        }
    }

    fn workers(&self, config: &Config) -> usize {
        if self.simulated.is_some() {
            return 1;
        }
        if self.record.is_some() {
            if let Some(workers) = config.plimsoll.workers.filter(|workers| *workers > 1) {
                tracing::warn!(workers, "while recording, one thread decides, whatever the configuration says");
            }
            return 1;
        }
        let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS);
        config.plimsoll.workers.map_or_else(cores, usize::from)
    }

    fn engine_settings(&self, config: &Config, workers: usize) -> EngineSettings {
        engine_settings(config, &self.registry, workers, self.seed(config), self.max_in_unschedulable)
    }

    /// The configured seed, or a chance one.
    fn seed(&self, config: &Config) -> u64 {
        config.plimsoll.seed.unwrap_or_else(|| self.clock().now().as_duration().subsec_nanos().into())
    }

    fn clock(&self) -> Clock {
        self.simulated.map_or_else(Clock::start, Clock::simulated)
    }

    fn lease_settings(&self) -> LeaseSettings {
        let election = &self.start.leader_election;
        let namespace = election.resource_namespace.as_deref().unwrap_or(&self.namespace);
        LeaseSettings {
            lease_duration: election.lease_duration,
            renew_deadline: election.renew_deadline,
            retry_period: election.retry_period,
            ..LeaseSettings::new(namespace, &election.resource_name, self.identity.clone())
        }
    }
}

/// What a configuration means for the engine.
pub(crate) fn engine_settings(
    config: &Config,
    registry: &Registry,
    workers: usize,
    seed: u64,
    max_in_unschedulable: Duration,
) -> EngineSettings {
    let seconds = |s: i64| Duration::from_secs(u64::try_from(s).unwrap_or(0));
    let own = &config.plimsoll;
    EngineSettings {
        queue: QueueSettings {
            backoff: Backoff {
                initial: seconds(config.pod_initial_backoff_seconds),
                max: seconds(config.pod_max_backoff_seconds),
            },
            max_in_unschedulable,
        },
        line_limit: 64 * workers,
        tie_break: own.tie_break.into(),
        seed,
        admission: registry.admission(config),
        memo: own.memo.into(),
        evictions: config.evictions(),
        ask_limit: usize::from(own.extender_parallelism),
        refusal_cooldown: own.coexistence.refusal_cooldown,
        headroom: config.headroom(),
        history_bytes: own.history.bytes(),
        shadow: config.is_shadow().then(|| config.scheduler_names().into_iter().map(Istr::new).collect()),
    }
}
