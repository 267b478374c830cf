//! The engine, driven by hand: events in, decisions, effects out, all of which succeed at once.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, bail};
use plimsoll_engine::effect::{AttemptResult, BindRequest, Effect, EvictRequest, Observation, StatusUpdate};
use plimsoll_engine::engine::{Engine, EngineSettings};
use plimsoll_engine::event::{BindResult, Event};
use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::time::Time;

use super::crew::Crew;
use super::times::{Lap, Times};
use crate::config::Config;
use crate::registry::Registry;

/// So much later than the one before each event comes: the queue keeps their order.
const APART: Duration = Duration::from_micros(1);

/// The engine with its clock.
pub(super) struct Stage {
    pub(super) engine: Engine,
    now: Time,
    crew: Option<Crew>,
    /// Pods on nodes, the oldest first.
    placed: VecDeque<Uid>,
    /// How many of them there may be.
    keep: usize,
}

/// What is to be done after decisions.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) bound: Vec<BindRequest>,
    pub(super) evicted: Vec<EvictRequest>,
    pub(super) statuses: Vec<StatusUpdate>,
}

impl Stage {
    /// An empty cluster and the default profile, and `workers` threads that decide if there is more than one; what is kept
    /// is as in `settings`.
    pub(super) fn new(
        registry: &Registry,
        seed: u64,
        workers: usize,
        settings: EngineSettings,
    ) -> anyhow::Result<Self> {
        let config = Config::default();
        let profiles = registry.profiles(&config).context("making the default profile")?;
        let settings = EngineSettings {
            line_limit: super::ROUND * workers,
            seed,
            admission: registry.admission(&config),
            evictions: config.evictions(),
            ..settings
        };
        let engine = Engine::new(profiles, settings);
        let crew = (workers > 1).then(|| Crew::start(workers, &engine)).transpose()?;
        let now = Time::since_epoch(Duration::ZERO);
        Ok(Self { engine, now, crew, placed: VecDeque::new(), keep: usize::MAX })
    }

    /// Decisions for which there were rows, and all decisions.
    pub(super) fn memo_use(&self) -> (u64, u64) {
        let of_crew = self.crew.iter().flat_map(Crew::memos);
        let all = of_crew.chain([self.engine.memo_stats()]);
        all.fold((0, 0), |(hits, all), m| (hits + m.hits, all + m.hits + m.misses + m.passed))
    }

    /// From now on the oldest go when there are more than these on nodes.
    pub(super) const fn keep(&mut self, pods: usize) {
        self.keep = pods;
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.now = self.now.after(APART);
        self.engine.handle(self.now, event);
    }

    pub(super) fn tell_all(&mut self, events: Vec<Event>, times: &mut Times) {
        let lap = Lap::start();
        events.into_iter().for_each(|event| self.tell(event));
        times.around(&lap.stop());
    }

    /// Time goes by.
    pub(super) fn wait(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.engine.tick(self.now);
    }

    /// A pod that is on a node already.
    pub(super) fn found(&mut self, pod: PodInfo) {
        self.placed.push_back(pod.key.uid.clone());
        self.tell(Event::Pod(Box::new(pod)));
    }

    /// Pods arrive, are decided and bound; those that are not go, and so do the oldest. Gives how many were placed.
    pub(super) fn round(&mut self, pods: Vec<PodInfo>, times: &mut Times) -> anyhow::Result<usize> {
        let mut arrived: Vec<Uid> = pods.iter().map(|pod| pod.key.uid.clone()).collect();
        self.tell_all(arrivals(pods), times);
        let outcome = self.decide(usize::MAX, times)?;
        if !outcome.evicted.is_empty() {
            bail!("pods were to go for others of the same priority");
        }
        let placed = outcome.bound.len();
        if placed < arrived.len() {
            let bound: hashbrown::HashSet<&Uid> = outcome.bound.iter().map(|request| &request.pod.key.uid).collect();
            arrived.retain(|uid| !bound.contains(uid));
            self.tell_all(arrived.into_iter().map(gone).collect(), times);
        }
        self.confirm(outcome.bound, times);
        let many = self.placed.len().saturating_sub(self.keep);
        let oldest = self.placed.drain(..many).map(gone).collect();
        self.tell_all(oldest, times);
        Ok(placed)
    }

    /// Bindings have succeeded, and the watch says so.
    pub(super) fn confirm(&mut self, bound: Vec<BindRequest>, times: &mut Times) {
        let mut answers = Vec::with_capacity(2 * bound.len());
        for request in bound {
            let uid = request.pod.key.uid.clone();
            self.placed.push_back(uid.clone());
            let mut pod = PodInfo::clone(&request.pod);
            pod.node_name = Some(request.node.clone());
            pod.resource_version += 1;
            answers.extend([Event::BindFinished { uid, result: BindResult::Bound }, Event::Pod(Box::new(pod))]);
        }
        self.tell_all(answers, times);
        self.sweep();
    }

    /// Decides all that is ready, but not much more than `most`; gives what is to be done.
    pub(super) fn decide(&mut self, most: usize, times: &mut Times) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut decided = 0;
        while decided < most {
            let lap = Lap::start();
            let any = match &mut self.crew {
                Some(crew) => crew.decide(&mut self.engine, self.now)?,
                None => self.engine.decide_next(self.now),
            };
            let ended = lap.stop();
            if !any {
                break;
            }
            let attempts = self.drain(&mut outcome)?.max(1);
            times.decided(attempts, &ended);
            decided += attempts;
        }
        Ok(outcome)
    }

    /// Takes what is to be done; gives on how many pods was decided: those that are to be bound, and those that were turned
    /// away.
    fn drain(&mut self, outcome: &mut Outcome) -> anyhow::Result<usize> {
        let before = outcome.bound.len();
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Bind(request) => outcome.bound.push(request),
                Effect::Evict(request) => outcome.evicted.push(*request),
                Effect::Status(update) => outcome.statuses.push(*update),
                Effect::Record(_) => {}
                other => bail!("nothing of the kind should be asked for here: {other:?}"),
            }
        }
        let turned_away = |seen: &Observation| matches!(seen, Observation::Attempt { result, .. } if *result != AttemptResult::Scheduled);
        let turned_away = self.engine.drain_observations().filter(turned_away).count();
        Ok(outcome.bound.len() - before + turned_away)
    }

    /// Drops what nobody wants to know.
    pub(super) fn sweep(&mut self) {
        while self.engine.poll_effect().is_some() {}
        drop(self.engine.drain_observations());
    }
}

/// Pods arrive.
pub(super) fn arrivals(pods: Vec<PodInfo>) -> Vec<Event> {
    pods.into_iter().map(|pod| Event::Pod(Box::new(pod))).collect()
}

/// A pod is gone.
pub(super) const fn gone(uid: Uid) -> Event {
    Event::PodDeleted { uid, resource_version: 0 }
}
