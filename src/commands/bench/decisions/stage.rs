//! The engine, driven by hand.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use plimsoll_engine::effect::{BindRequest, Effect};
use plimsoll_engine::engine::{Engine, EngineSettings};
use plimsoll_engine::event::{BindResult, Event};
use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::time::Time;

use super::report::Times;
use crate::config::Config;
use crate::registry::Registry;

/// So much later than the one before each event comes: the queue keeps their order.
const APART: Duration = Duration::from_micros(1);

/// The engine with its clock.
pub(super) struct Stage {
    pub(super) engine: Engine,
    now: Time,
    /// Pods on nodes, the oldest first.
    placed: VecDeque<Uid>,
}

impl Stage {
    /// An empty cluster and the default profile.
    pub(super) fn new(registry: &Registry, seed: u64) -> anyhow::Result<Self> {
        let config = Config::default();
        let profiles = registry.profiles(&config).context("making the default profile")?;
        let settings = EngineSettings {
            seed,
            admission: registry.admission(&config),
            evictions: config.evictions(),
            ..EngineSettings::default()
        };
        let now = Time::since_epoch(Duration::ZERO);
        Ok(Self { engine: Engine::new(profiles, settings), now, placed: VecDeque::new() })
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.now = self.now.after(APART);
        self.engine.handle(self.now, event);
    }

    /// A pod that is on a node already.
    pub(super) fn found(&mut self, pod: PodInfo) {
        self.placed.push_back(pod.key.uid.clone());
        self.tell(Event::Pod(Box::new(pod)));
    }

    /// Pods arrive, are decided, are bound, and as many of the oldest go. Gives how many were placed.
    pub(super) fn round(&mut self, pods: Vec<PodInfo>, times: &mut Times) -> anyhow::Result<usize> {
        let arrivals: Vec<Event> = pods.into_iter().map(|pod| Event::Pod(Box::new(pod))).collect();
        self.tell_all(arrivals, times);
        let bound = self.decide(times)?;
        let placed = bound.len();
        let answers = bound.into_iter().flat_map(|request| self.answers(&request)).collect();
        self.tell_all(answers, times);
        let oldest = self.placed.drain(..placed.min(self.placed.len()));
        let gone = oldest.map(|uid| Event::PodDeleted { uid, resource_version: 0 }).collect();
        self.tell_all(gone, times);
        while self.engine.poll_effect().is_some() {}
        drop(self.engine.take_observations());
        Ok(placed)
    }

    fn tell_all(&mut self, events: Vec<Event>, times: &mut Times) {
        let begun = Instant::now();
        events.into_iter().for_each(|event| self.tell(event));
        times.around += begun.elapsed();
    }

    /// Decides all that is ready; gives what is to be bound.
    fn decide(&mut self, times: &mut Times) -> anyhow::Result<Vec<Box<BindRequest>>> {
        let mut bound = Vec::new();
        loop {
            let begun = Instant::now();
            let decided = self.engine.decide_next(self.now);
            let took = begun.elapsed();
            if !decided {
                return Ok(bound);
            }
            let before = bound.len();
            while let Some(effect) = self.engine.poll_effect() {
                match effect {
                    Effect::Bind(request) => bound.push(request),
                    // Pods that fit nowhere are counted by what is not bound.
                    Effect::Status(_) | Effect::Record(_) => {}
                    other => bail!("nothing else was to be done: {other:?}"),
                }
            }
            times.decided(bound.len().saturating_sub(before).max(1), took);
        }
    }

    /// The binding has succeeded, and the watch says so.
    fn answers(&mut self, request: &BindRequest) -> [Event; 2] {
        let uid = request.pod.key.uid.clone();
        self.placed.push_back(uid.clone());
        let mut pod = PodInfo::clone(&request.pod);
        pod.node_name = Some(request.node.clone());
        pod.resource_version += 1;
        [Event::BindFinished { uid, result: BindResult::Bound }, Event::Pod(Box::new(pod))]
    }
}
