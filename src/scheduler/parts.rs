//! The parts of a running scheduler, from their start to a clean end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use plimsoll_engine::engine::Engine;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::KindRef;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Scheduler;
use super::election::elect;
use crate::admin::{Admin, CheckState, Health, debug};
use crate::config::Config;
use crate::driver::{Driver, Inbox, recorded_inbox};
use crate::extender::Extenders;
use crate::record::Recorder;
use crate::reflector::{Reflectors, Relist, Streams, relist};
use crate::write::{Writer, WriterSettings};

/// How long bindings under way are waited for at the end, beyond the time a single one may take.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// Ends the owner when it is dropped. It would otherwise live as long as anything holds an inbox, such as its own
/// deciding threads.
pub(super) struct StopOnDrop(pub(super) Inbox);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The parts of a running scheduler. Dropping them ends them at once, in whatever they are doing.
pub(super) struct Parts {
    inbox: StopOnDrop,
    /// Tasks that go on until they are stopped; if one ends before, so does the scheduler.
    tasks: JoinSet<anyhow::Result<()>>,
    stop_watching: CancellationToken,
    driver: oneshot::Receiver<()>,
    writer: AbortOnDropHandle<()>,
    election: JoinSet<anyhow::Result<()>>,
    stop_election: CancellationToken,
    /// What is served over HTTP; it ends last, and fails nothing else.
    admin: JoinSet<()>,
    stop_admin: CancellationToken,
    drain_limit: Duration,
}

impl Parts {
    /// Starts everything; nothing is decided before it leads and every list has been read.
    pub(super) fn start(
        scheduler: Scheduler,
        engine: Engine,
        workers: usize,
        annotation_keys: Vec<Istr>,
        kinds: Vec<KindRef>,
        extenders: Option<Arc<Extenders>>,
        recorder: Option<Recorder>,
    ) -> anyhow::Result<Self> {
        let (health, clock) = (Health::new(), scheduler.clock());
        let recording = recorder.as_ref().map(Recorder::recording).unwrap_or_default();
        let (inbox, incoming) = recorded_inbox(recording);
        // Fails only for a second run, and a scheduler is used up by its first.
        let _ = scheduler.inspector.0.set(inbox.clone());
        let (outbox, effects) = mpsc::unbounded_channel();
        let lease = scheduler.lease_settings();
        let bind_timeout = lease.call_allowance().max(Duration::from_secs(1));
        let metrics = Arc::clone(&scheduler.metrics);

        let stop_watching = CancellationToken::new();
        let reflectors = Arc::new(Reflectors {
            client: scheduler.clients.watch.clone(),
            inbox: inbox.clone(),
            metrics: Arc::clone(&metrics),
            annotation_keys: annotation_keys.clone(),
            seed: scheduler.seed(),
            streams: Streams::default(),
        });
        let (mut tasks, lists, relists) = watch(&reflectors, kinds, &health, &stop_watching);
        let names = scheduler.config.profiles.iter().map(|profile| profile.scheduler_name.clone());
        watch_refusals(&mut tasks, &reflectors, (lists, names), &health, &stop_watching);
        if let Some(extenders) = extenders.clone().filter(|extenders| extenders.nodes().is_some()) {
            let (client, stop) = (scheduler.clients.watch.clone(), stop_watching.clone());
            tasks.spawn(async move {
                if let Some(nodes) = extenders.nodes() {
                    nodes.run(client, stop).await;
                }
                Ok(())
            });
        }
        let heartbeat = health.heartbeat("owner");
        let (end_of_inbox, counted) = ((&inbox, incoming), Arc::clone(&metrics));
        let driver = Driver::new(engine, workers, lists, end_of_inbox, outbox, clock, counted, heartbeat, recorder);
        let driver = own(driver, scheduler.simulated.is_some())?;

        let (fence, election, stop_election) = elect(&scheduler, lease, clock, &inbox, relists)?;
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
                instance: scheduler.identity.split('_').next().unwrap_or_default().to_owned(),
                limit: limit(&scheduler.config),
                event_policy: scheduler.config.plimsoll.event_policy,
                extenders,
            },
            effects,
        );
        let (stop_admin, inspect) = (CancellationToken::new(), scheduler.inspect());
        let config = Arc::new(scheduler.config);
        let configz: Arc<dyn Fn() -> serde_json::Value + Send + Sync> = Arc::new(
            move || serde_json::json!({ "componentconfig": config.to_v1(), "plimsoll": config.to_plimsoll() }),
        );
        let shown =
            |log| Admin { health: health.clone(), metrics: Arc::clone(&metrics), configz: Arc::clone(&configz), log };
        let mut admin = JoinSet::new();
        if let Some((server, log)) = scheduler.admin {
            admin.spawn(server.serve(shown(log), stop_admin.clone()));
        }
        if let Some((secured, log)) = scheduler.secured {
            admin.spawn(secured.serve(shown(log), debug::router(inspect), stop_admin.clone()));
        }
        Ok(Self {
            inbox: StopOnDrop(inbox),
            tasks,
            stop_watching,
            driver,
            writer: AbortOnDropHandle::new(tokio::spawn(writer.run())),
            election,
            stop_election,
            admin,
            stop_admin,
            drain_limit: bind_timeout + DRAIN_GRACE,
        })
    }

    /// Runs until `shutdown`, or until something ends that should not.
    pub(super) async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let result = tokio::select! {
            biased;
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
        if timeout(self.drain_limit, self.inbox.0.drain()).await.is_err() {
            tracing::warn!("bindings were still under way after {:?}; not waiting any longer", self.drain_limit);
        }
    }

    /// In this order: who asks for writes, who writes, who may write, who watches.
    async fn end(mut self) {
        self.inbox.0.stop();
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
        while self.admin.join_next().await.is_some() {}
        tracing::info!("shut down");
    }
}

/// Gives the driver a thread of its own, or makes it a task. The answer ends when the driver has, by whatever way.
pub(super) fn own(driver: Driver, as_task: bool) -> anyhow::Result<oneshot::Receiver<()>> {
    let (ending, ended) = oneshot::channel::<()>();
    let run = async move {
        let _ending = ending;
        driver.run().await;
    };
    if as_task {
        tokio::spawn(run);
        return Ok(ended);
    }
    let runtime = tokio::runtime::Handle::current();
    let thread = std::thread::Builder::new().name("owner".to_owned());
    thread.spawn(move || runtime.block_on(run)).context("starting the owner thread")?;
    Ok(ended)
}

/// Begins the watches. Gives their tasks, how many lists have to be read before anything can be decided, and what has
/// those read anew that say what is taken.
pub(super) fn watch(
    reflectors: &Arc<Reflectors>,
    kinds: Vec<KindRef>,
    health: &Health,
    stop: &CancellationToken,
) -> (JoinSet<anyhow::Result<()>>, usize, [Relist; 2]) {
    let mut tasks = JoinSet::new();
    let not_yet = |what: &str| CheckState::Failing(format!("{what} have not been listed yet"));
    let lists = kinds.len() + 3;
    let ((relist_nodes, orders_of_nodes), (relist_pods, orders_of_pods)) = (relist(), relist());
    let (reflector, check, end) =
        (Arc::clone(reflectors), health.check("nodes-synced", not_yet("nodes")), stop.clone());
    tasks.spawn(async move {
        reflector.nodes(0, check, end, orders_of_nodes).await;
        Ok(())
    });
    let (reflector, check, end) = (Arc::clone(reflectors), health.check("pods-synced", not_yet("pods")), stop.clone());
    tasks.spawn(async move {
        reflector.pods(1, check, end, orders_of_pods).await;
        Ok(())
    });
    let (reflector, check, end) =
        (Arc::clone(reflectors), health.check("namespaces-synced", not_yet("namespaces")), stop.clone());
    tasks.spawn(async move {
        reflector.namespaces(2, check, end).await;
        Ok(())
    });
    for (number, kind) in (3..).zip(kinds) {
        let check = health.check("objects-synced", not_yet(kind.plural));
        let (reflector, end) = (Arc::clone(reflectors), stop.clone());
        tasks.spawn(async move {
            reflector.objects(number, kind, check, end).await;
            Ok(())
        });
    }
    (tasks, lists, [relist_nodes, relist_pods])
}

/// Begins the watches of pods that kubelets refuse, whose lists are numbered from `first` and awaited by nobody.
fn watch_refusals(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    reflectors: &Arc<Reflectors>,
    (first, names): (usize, impl Iterator<Item = String>),
    health: &Health,
    stop: &CancellationToken,
) {
    for (number, name) in (first..).zip(names) {
        let not_yet = CheckState::Failing("failed pods have not been listed yet".to_owned());
        let (reflector, check, end) = (Arc::clone(reflectors), health.check("refusals-synced", not_yet), stop.clone());
        tasks.spawn(async move {
            reflector.refusals(number, name, check, end).await;
            Ok(())
        });
    }
}

pub(super) fn failed(what: &str, ended: Result<anyhow::Result<()>, tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow!("{what} has ended"),
        Ok(Err(error)) => error,
        Err(error) => anyhow!(error).context(format!("{what} has failed")),
    }
}

/// `clientConnection.qps` and `burst`, where they are set.
fn limit(config: &Config) -> Option<(f64, u32)> {
    let connection = &config.client_connection;
    let qps = connection.qps?;
    // As in client-go, where an unset burst takes its default.
    let burst = connection.burst.unwrap_or(100);
    Some((qps, u32::try_from(burst).unwrap_or(1)))
}
