//! A scheduler that only watches: it knows what one that works knows, decides nothing and writes nothing.

use std::sync::Arc;

use anyhow::anyhow;
use plimsoll_engine::engine::Engine;
use plimsoll_engine::profile::Profile;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::table::View;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Scheduler;
use super::generation::{StopOnDrop, failed, own, watch};
use super::plan::read_by;
use crate::admin::Health;
use crate::driver::{Driver, Inbox, inbox};
use crate::reflector::{Reflectors, Streams};

/// What a scheduler knows that only watches. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Watching {
    inbox: Inbox,
    /// Its profiles.
    pub(crate) profiles: Arc<[Profile]>,
    /// Annotations that their plugins read.
    pub(crate) annotation_keys: Arc<[Istr]>,
    /// Passes once every list has been read.
    pub(crate) health: Health,
}

/// The parts of it. Dropping them ends them.
pub(crate) struct WatchingParts {
    _inbox: StopOnDrop,
    tasks: JoinSet<anyhow::Result<()>>,
    driver: oneshot::Receiver<()>,
}

impl Scheduler {
    /// Starts to watch.
    ///
    /// # Errors
    /// When a plugin refuses its arguments.
    pub(crate) fn watching(self, stop: &CancellationToken) -> anyhow::Result<(Watching, WatchingParts)> {
        let profiles = self.registry.profiles(&self.start)?;
        let (annotation_keys, kinds) = read_by(&profiles);
        let engine = Engine::new(profiles, self.engine_settings(&self.start, 1));
        let (profiles, health) = (engine.profiles(), Health::new());
        let (inbox, incoming) = inbox();
        let reflectors = Arc::new(Reflectors {
            client: self.clients.watch.clone(),
            inbox: inbox.clone(),
            metrics: Arc::clone(&self.metrics),
            annotation_keys: annotation_keys.clone(),
            profiles: Vec::new(),
            seed: self.seed(&self.start),
            from_cache: true,
            streams: Streams::default(),
        });
        let (tasks, lists, _) = watch(&reflectors, kinds, &health, stop);
        // It never leads, so all that it asks for are conditions of pods, which are for others to write.
        let (outbox, _) = mpsc::unbounded_channel();
        let heartbeat = health.heartbeat("owner");
        let metrics = Arc::clone(&self.metrics);
        let driver = Driver::new(engine, 1, lists, (&inbox, incoming), outbox, self.clock(), metrics, heartbeat, None);
        let driver = own(driver, false)?;
        let watching = Watching { inbox: inbox.clone(), profiles, annotation_keys: annotation_keys.into(), health };
        Ok((watching, WatchingParts { _inbox: StopOnDrop(inbox), tasks, driver }))
    }
}

impl WatchingParts {
    /// Runs until `shutdown`, or until something ends that should not.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(()),
            Some(ended) = self.tasks.join_next() => Err(failed("a watch", ended)),
            _ = &mut self.driver => Err(anyhow!("the thread that owns queue and cache has ended")),
        }
    }
}

impl Watching {
    /// The cluster as it is now; `None` at the end.
    pub(crate) async fn view(&self) -> Option<View> {
        self.inbox.ask(Engine::view).await
    }
}
