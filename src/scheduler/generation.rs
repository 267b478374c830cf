//! What works by one configuration, from its start to a clean end: watches, engine, deciding threads, writer. Another
//! configuration is another generation; who leads, and what is served over HTTP, outlives it.

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
use super::election::Office;
use super::plan::Plan;
use crate::admin::{CheckState, Health};
use crate::config::Config;
use crate::driver::{Clock, Driver, Inbox, recorded_inbox};
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

/// The parts that work by one configuration. Dropping them ends them at once, in whatever they are doing.
pub(super) struct Generation {
    pub(super) inbox: StopOnDrop,
    /// Tasks that go on until they are stopped; if one ends before, so does the scheduler.
    tasks: JoinSet<anyhow::Result<()>>,
    stop_watching: CancellationToken,
    driver: oneshot::Receiver<()>,
    writer: AbortOnDropHandle<()>,
    told_who_leads: AbortOnDropHandle<()>,
    drain_limit: Duration,
}

impl Generation {
    /// Starts everything; nothing is decided before it leads and every list has been read. What is asked by `/livez` and
    /// `/readyz` goes into `health`. The first generation of a process may begin with lists from the API server's cache;
    /// a later one may not, since this very process has bound pods that may be missing there.
    pub(super) fn start(
        scheduler: &mut Scheduler,
        plan: Plan,
        office: &mut Office,
        clock: Clock,
        health: &Health,
        first: bool,
    ) -> anyhow::Result<Self> {
        let workers = scheduler.workers(&plan.config);
        let settings = scheduler.engine_settings(&plan.config, workers);
        let recorder = scheduler.record(&plan.config, &settings, &plan.annotation_keys)?;
        let engine = Engine::new(plan.profiles, settings);
        let recording = recorder.as_ref().map(Recorder::recording).unwrap_or_default();
        let (inbox, incoming) = recorded_inbox(recording);
        inbox.paused(plan.config.plimsoll.paused);
        scheduler.inspector.look_at(&inbox);
        let (outbox, effects) = mpsc::unbounded_channel();
        let bind_timeout = scheduler.lease_settings().call_allowance().max(Duration::from_secs(1));
        let metrics = Arc::clone(&scheduler.metrics);

        let names = plan.config.profiles.iter().map(|profile| Istr::new(&profile.scheduler_name));
        let profiles: Vec<Istr> = names.collect();
        let stop_watching = CancellationToken::new();
        let reflectors = Arc::new(Reflectors {
            client: scheduler.clients.watch.clone(),
            inbox: inbox.clone(),
            metrics: Arc::clone(&metrics),
            annotation_keys: plan.annotation_keys.clone(),
            profiles: profiles.clone(),
            seed: scheduler.seed(&plan.config),
            from_cache: first,
            streams: Streams::default(),
        });
        let (mut tasks, lists, relists) = watch(&reflectors, plan.kinds, health, &stop_watching);
        let names = plan.config.scheduler_names().into_iter().map(str::to_owned).collect();
        watch_refusals(&mut tasks, &reflectors, (lists, names), health, &stop_watching);
        if let Some(extenders) = plan.extenders.clone().filter(|extenders| extenders.nodes().is_some()) {
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
        let told_who_leads = office.tell(&inbox, relists);
        let writer = Writer::new(
            WriterSettings {
                clients: scheduler.clients.clone(),
                inbox: inbox.clone(),
                fence: office.fence.clone(),
                bind_timeout,
                clock,
                metrics,
                annotation_keys: plan.annotation_keys,
                profiles,
                instance: scheduler.identity.split('_').next().unwrap_or_default().to_owned(),
                limit: limit(&plan.config),
                event_policy: plan.config.plimsoll.event_policy,
                extenders: plan.extenders,
                only_reads: scheduler.start.is_shadow(),
            },
            effects,
        );
        Ok(Self {
            inbox: StopOnDrop(inbox),
            tasks,
            stop_watching,
            driver,
            writer: AbortOnDropHandle::new(tokio::spawn(writer.run())),
            told_who_leads,
            drain_limit: bind_timeout + DRAIN_GRACE,
        })
    }

    /// Returns when something has ended that should not have.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        tokio::select! {
            biased;
            Some(ended) = self.tasks.join_next() => failed("a watch", ended),
            _ = &mut self.driver => anyhow!("the thread that owns queue and cache has ended"),
            ended = &mut self.writer => failed("the writer", ended.map(Ok)),
        }
    }

    /// Lets bindings under way end, so that none is left half done.
    pub(super) async fn drain(&mut self) {
        if timeout(self.drain_limit, self.inbox.0.drain()).await.is_err() {
            tracing::warn!("bindings were still under way after {:?}; not waiting any longer", self.drain_limit);
        }
    }

    /// Ends who asks for writes, and then who writes.
    pub(super) async fn end_writing(&mut self) {
        self.inbox.0.stop();
        if !self.writer.is_finished() && timeout(self.drain_limit, &mut self.writer).await.is_err() {
            tracing::warn!("writes were still under way after {:?}; not waiting any longer", self.drain_limit);
            self.writer.abort();
        }
    }

    /// Ends who watches.
    pub(super) async fn end_watching(self) {
        let Self { stop_watching, mut tasks, told_who_leads, .. } = self;
        // Who leads is another's to be told from here on.
        drop(told_who_leads);
        stop_watching.cancel();
        while tasks.join_next().await.is_some() {}
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
    (first, names): (usize, Vec<String>),
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
