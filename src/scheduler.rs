//! A whole scheduler: reflectors, driver, writer, election and admin server, from start to a clean end.

mod election;
mod parts;
mod watching;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use plimsoll_engine::engine::{Engine, EngineSettings};
use plimsoll_engine::gang;
use plimsoll_engine::profile::Profile;
use plimsoll_engine::queue::{Backoff, QueueSettings};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::KindRef;
use tokio_util::sync::CancellationToken;

use crate::admin::{AdminServer, Secured};
use crate::client::Clients;
use crate::config::Config;
use crate::driver::{Clock, Inbox};
use crate::extender::Extenders;
use crate::inspect::Inspect;
use crate::lease::{LeaseSettings, identity};
use crate::logging::LogHandle;
use crate::metrics::Metrics;
use crate::record::{Head, Recorder, Room};
use crate::registry::Registry;
use parts::Parts;
pub(crate) use watching::Watching;

/// More deciding threads than this wait for the one that commits.
const MOST_WORKERS: usize = 4;

/// A scheduler, ready to run.
pub struct Scheduler {
    config: Config,
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
}

/// A look at what a scheduler knows while it runs. Cheap to clone.
#[derive(Clone, Default)]
pub struct Inspector(Arc<OnceLock<Inbox>>);

impl Inspector {
    /// Asks something of the engine as it is now. `None` when it does not run, or has ended.
    pub async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&Engine) -> T + Send + 'static) -> Option<T> {
        self.0.get()?.ask(question).await
    }
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
            identity: identity(),
            admin: None,
            secured: None,
            max_in_unschedulable: QueueSettings::default().max_in_unschedulable,
            simulated: None,
            record: None,
            inspector: Inspector::default(),
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

    /// A way to look at what it knows, for people.
    pub(crate) fn inspect(&self) -> Inspect {
        Inspect::new(self.inspector(), self.clients.watch.clone(), self.clock())
    }

    /// Runs until `shutdown`; then no more pods are taken, bindings under way end, and the lease is released.
    ///
    /// # Errors
    /// When the configuration cannot be run, the lease is lost, or a part of the scheduler has failed: the process
    /// should end.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut profiles = self.registry.profiles(&self.config)?;
        let extenders = Extenders::new(&self.config, self.clients.watch.clone(), &self.metrics)?.map(Arc::new);
        if let Some(extenders) = &extenders {
            profiles.iter_mut().for_each(|profile| profile.set_extenders(extenders.interest()));
        }
        let left_out = self.registry.left_out(&self.config);
        if !left_out.is_empty() {
            tracing::warn!(
                plugins = left_out.join(", "),
                "not built yet and left out; pods with rules that need them stay pending and say so"
            );
        }
        let (annotation_keys, kinds) = read_by(&profiles);
        let workers = self.workers();
        let settings = self.engine_settings(workers);
        let recorder = self.record.take().map(|room| self.record(room, &settings, &annotation_keys)).transpose()?;
        let engine = Engine::new(profiles, settings);
        Parts::start(self, engine, workers, annotation_keys, kinds, extenders, recorder)?.run(shutdown).await
    }

    fn record(&self, room: Room, settings: &EngineSettings, annotation_keys: &[Istr]) -> anyhow::Result<Recorder> {
        let begun = self.clock().timestamp();
        let head = Head::new(&self.config, begun, settings.seed, self.max_in_unschedulable, annotation_keys);
        room.begin(&head, self.simulated.is_some())
    }

    fn workers(&self) -> usize {
        if self.simulated.is_some() {
            return 1;
        }
        if self.record.is_some() {
            if let Some(workers) = self.config.plimsoll.workers.filter(|workers| *workers > 1) {
                tracing::warn!(workers, "while recording, one thread decides, whatever the configuration says");
            }
            return 1;
        }
        let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS);
        self.config.plimsoll.workers.map_or_else(cores, usize::from)
    }

    fn engine_settings(&self, workers: usize) -> EngineSettings {
        engine_settings(&self.config, &self.registry, workers, self.seed(), self.max_in_unschedulable)
    }

    /// The configured seed, or a chance one.
    fn seed(&self) -> u64 {
        self.config.plimsoll.seed.unwrap_or_else(|| self.clock().now().as_duration().subsec_nanos().into())
    }

    fn clock(&self) -> Clock {
        self.simulated.map_or_else(Clock::start, Clock::simulated)
    }

    fn lease_settings(&self) -> LeaseSettings {
        let election = &self.config.leader_election;
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
    }
}

/// The annotations and further kinds that the plugins of these profiles read, each once.
pub(crate) fn read_by(profiles: &[Profile]) -> (Vec<Istr>, Vec<KindRef>) {
    let mut annotation_keys: Vec<Istr> = profiles.iter().flat_map(|p| p.annotation_keys.iter().cloned()).collect();
    annotation_keys.sort();
    annotation_keys.dedup();
    let mut kinds: Vec<KindRef> = Vec::new();
    for kind in profiles.iter().flat_map(|p| p.kinds.iter().copied()).chain(gang::kinds()) {
        if !kinds.iter().any(|k| k.id == kind.id) {
            kinds.push(kind);
        }
    }
    (annotation_keys, kinds)
}
