//! The parts of a running scheduler, from their start to a clean end.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Scheduler;
use super::election::{Office, elect};
use super::generation::{Generation, failed};
use super::plan::Plan;
use super::reload::{InUse, Reloaded, Reloads, Request};
use crate::admin::{Admin, Health, debug};
use crate::config::Config;
use crate::driver::Clock;

/// The parts of a running scheduler. Dropping them ends them at once, in whatever they are doing.
pub(super) struct Parts {
    scheduler: Scheduler,
    clock: Clock,
    generation: Generation,
    office: Office,
    reloads: Reloads,
    in_use: InUse,
    health: Health,
    /// What is served over HTTP; it ends last, and fails nothing else.
    admin: JoinSet<()>,
    stop_admin: CancellationToken,
}

impl Parts {
    /// Starts everything.
    pub(super) fn start(mut scheduler: Scheduler, plan: Plan) -> anyhow::Result<Self> {
        let (health, clock) = (Health::new(), scheduler.clock());
        let in_use = Arc::new(RwLock::new(Arc::clone(&plan.config)));
        let mut office = elect(&scheduler, scheduler.lease_settings(), clock)?;
        let generation = Generation::start(&mut scheduler, plan, &mut office, clock, &health, true)?;
        let (mut admin, stop_admin) = (JoinSet::new(), CancellationToken::new());
        serve(&mut scheduler, &mut admin, (&health, &in_use), &stop_admin);
        let reloads = std::mem::take(&mut scheduler.reloads);
        let parts = Self { scheduler, clock, generation, office, reloads, in_use, health, admin, stop_admin };
        parts.show();
        Ok(parts)
    }

    /// Runs until `shutdown`, or until something ends that should not.
    pub(super) async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let result = loop {
            let request = tokio::select! {
                biased;
                () = shutdown.cancelled() => break Ok(()),
                Some(ended) = self.office.tasks.join_next() => break Err(failed("leader election", ended)),
                error = self.generation.failed() => break Err(error),
                request = self.reloads.next() => request,
            };
            let Request { config, answer } = request;
            match self.reload(config).await {
                Ok(reloaded) => drop(answer.send(reloaded)),
                Err(error) => break Err(error),
            }
        };
        if result.is_ok() {
            tracing::info!("shutting down: no more pods are taken, bindings under way end");
            self.generation.drain().await;
        }
        self.end().await;
        result
    }

    /// Takes over a configuration, or says why that cannot be. The outer error leaves nothing that works.
    async fn reload(&mut self, mut config: Config) -> anyhow::Result<anyhow::Result<Reloaded>> {
        let kept = config.keep_from_the_start(&self.scheduler.start);
        if !kept.is_empty() {
            tracing::warn!("{} counts from the next start on, and is what it was until then", kept.join(" and "));
        }
        let before = Arc::clone(&self.in_use.read().unwrap_or_else(PoisonError::into_inner));
        let paused = config.plimsoll.paused;
        if config.differs_in_paused_alone(&before) {
            if paused == before.plimsoll.paused {
                self.succeeded(true);
                return Ok(Ok(Reloaded::Unchanged));
            }
            self.generation.inbox.0.paused(paused);
            self.use_from_now(Arc::new(config));
            return Ok(Ok(Reloaded::Paused(paused)));
        }
        let plan = match Plan::of(&self.scheduler, Arc::new(config)) {
            Ok(plan) => plan,
            Err(error) => {
                self.succeeded(false);
                return Ok(Err(error));
            }
        };
        let (config, health) = (Arc::clone(&plan.config), Health::new());
        self.generation.drain().await;
        self.generation.end_writing().await;
        let next = Generation::start(&mut self.scheduler, plan, &mut self.office, self.clock, &health, false)?;
        self.health.become_those_of(&health);
        std::mem::replace(&mut self.generation, next).end_watching().await;
        self.use_from_now(config);
        Ok(Ok(Reloaded::Applied))
    }

    fn use_from_now(&self, config: Arc<Config>) {
        *self.in_use.write().unwrap_or_else(PoisonError::into_inner) = config;
        self.show();
    }

    /// Shows what the configuration says that is in use from now on.
    fn show(&self) {
        self.succeeded(true);
        let metrics = &self.scheduler.metrics.plimsoll;
        let paused = self.in_use.read().unwrap_or_else(PoisonError::into_inner).plimsoll.paused;
        metrics.paused.set(i64::from(paused));
        metrics.config_last_reload_success_timestamp.set(self.clock.timestamp().as_second());
    }

    /// Shows whether the newest configuration is in use.
    fn succeeded(&self, success: bool) {
        self.scheduler.metrics.plimsoll.config_last_reload_success.set(i64::from(success));
    }

    /// In this order: who asks for writes, who writes, who may write, who watches.
    async fn end(mut self) {
        self.generation.end_writing().await;
        self.office.stop.cancel();
        while let Some(ended) = self.office.tasks.join_next().await {
            if let Ok(Err(error)) = ended {
                tracing::warn!("{error:#}");
            }
        }
        self.generation.end_watching().await;
        self.stop_admin.cancel();
        while self.admin.join_next().await.is_some() {}
        tracing::info!("shut down");
    }
}

/// Begins to serve what there is to be served.
fn serve(
    scheduler: &mut Scheduler,
    admin: &mut JoinSet<()>,
    (health, in_use): (&Health, &InUse),
    stop: &CancellationToken,
) {
    let (in_use, inspect) = (Arc::clone(in_use), scheduler.inspect());
    let configz: Arc<dyn Fn() -> serde_json::Value + Send + Sync> = Arc::new(move || {
        let config = Arc::clone(&in_use.read().unwrap_or_else(PoisonError::into_inner));
        serde_json::json!({ "componentconfig": config.to_v1(), "plimsoll": config.to_plimsoll() })
    });
    let metrics = Arc::clone(&scheduler.metrics);
    let shown =
        |log| Admin { health: health.clone(), metrics: Arc::clone(&metrics), configz: Arc::clone(&configz), log };
    if let Some((server, log)) = scheduler.admin.take() {
        admin.spawn(server.serve(shown(log), stop.clone()));
    }
    if let Some((secured, log)) = scheduler.secured.take() {
        admin.spawn(secured.serve(shown(log), debug::router(inspect), stop.clone()));
    }
}
