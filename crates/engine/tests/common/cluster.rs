//! An engine with a hand-set clock, and everything it asked for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll_engine::effect::{BindRequest, Effect, PodGroupStatus, StatusUpdate, WriteRequest};
use plimsoll_engine::engine::{Engine, EngineSettings};
use plimsoll_engine::event::{BindResult, Event, EvictResult};
use plimsoll_engine::extender::{Ask, PreemptAsk};
use plimsoll_engine::profile::Profile;
use plimsoll_engine::queue::Place;
use plimsoll_framework::time::Time;

use super::build::{Node, Pod};
use super::plugins::{self, Log};
use super::{at, profile};

/// An engine, its clock, and what it asked for.
pub(crate) struct Cluster {
    pub(crate) engine: Engine,
    pub(crate) now: Time,
    pub(crate) log: Log,
    /// Writes before bindings, not answered yet.
    pub(crate) writes: Vec<WriteRequest>,
    /// Bindings not answered yet.
    pub(crate) binds: Vec<BindRequest>,
    pub(crate) statuses: Vec<StatusUpdate>,
    /// Conditions of PodGroups.
    pub(crate) groups: Vec<PodGroupStatus>,
    /// Events about pods, as `pod reason: note`.
    pub(crate) notes: Vec<String>,
    /// Pods that were asked to go and are not answered for, by name, with the one they go for.
    pub(crate) evictions: Vec<(String, String)>,
    /// Reads of pods that were asked for, by name.
    pub(crate) reads: Vec<String>,
    /// Questions to extenders that were asked, in their order.
    pub(crate) asks: Vec<Ask>,
    /// Questions to extenders about nodes that could be cleared.
    pub(crate) preempt_asks: Vec<PreemptAsk>,
}

impl Cluster {
    /// A cluster of these nodes, with every plugin of [`plugins::all`].
    pub(crate) fn new(nodes: &[Node]) -> Self {
        let log = Log::default();
        let profiles = vec![profile("plimsoll", &plugins::all(&log))];
        Self::with(profiles, log, EngineSettings::default(), nodes)
    }

    pub(crate) fn with(profiles: Vec<Profile>, log: Log, settings: EngineSettings, nodes: &[Node]) -> Self {
        let engine = Engine::new(profiles, settings);
        let (writes, binds, statuses, groups, notes, evictions, reads) = Default::default();
        let (asks, preempt_asks) = Default::default();
        let now = at(0);
        let mut cluster =
            Self { engine, now, log, writes, binds, statuses, groups, notes, evictions, reads, asks, preempt_asks };
        for node in nodes {
            cluster.tell(node.seen());
        }
        cluster
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.engine.handle(self.now, event);
        // So that a test sees at once where pods of groups are.
        self.engine.settle(self.now);
        self.gather();
    }

    /// The pods come, all at this moment.
    pub(crate) fn add<'p>(&mut self, pods: impl IntoIterator<Item = &'p Pod>) {
        for pod in pods {
            self.tell(pod.seen());
        }
    }

    /// Decides everything that can be decided now.
    pub(crate) fn decide(&mut self) {
        let mut decisions = 0;
        while self.engine.decide_next(self.now) {
            self.gather();
            decisions += 1;
            assert!(decisions < 1_000, "some pod wakes itself: {:?}", self.notes.last());
        }
        self.gather();
    }

    /// Time passes; what is due is done.
    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
        self.engine.tick(self.now);
        self.gather();
    }

    /// Answers the binding of this pod.
    pub(crate) fn answer(&mut self, pod: &str, result: BindResult) {
        let at = self.binds.iter().position(|b| &*b.pod.key.name == pod).expect("the pod is being bound");
        let request = self.binds.remove(at);
        self.tell(Event::BindFinished { uid: request.pod.key.uid.clone(), result });
    }

    /// Answers the request that this pod go.
    pub(crate) fn evicted(&mut self, victim: &str, result: EvictResult) {
        let at = self.evictions.iter().position(|(name, _)| name == victim).expect("the pod was asked to go");
        let (victim, preemptor) = self.evictions.remove(at);
        let uid = |name: &str| super::build::pod(name).uid();
        self.tell(Event::Evicted { victim: uid(&victim), preemptor: uid(&preemptor), result });
    }

    /// The pods that were asked to go and are not answered for, as `victim for preemptor`.
    pub(crate) fn asked_to_go(&self) -> Vec<String> {
        self.evictions.iter().map(|(victim, preemptor)| format!("{victim} for {preemptor}")).collect()
    }

    pub(crate) fn fail(&mut self, pod: &str) {
        self.answer(pod, BindResult::Failed { message: "etcd is on fire".to_owned() });
    }

    /// Takes in what the engine asked for.
    pub(crate) fn gather(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            self.take(effect);
        }
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::Write(request) => self.writes.push(*request),
            Effect::Bind(request) => self.binds.push(request),
            Effect::PodGroupStatus(status) => self.groups.push(*status),
            Effect::Status(status) => self.statuses.push(*status),
            Effect::Record(e) => self.notes.push(format!("{} {}: {}", e.pod.key.name, e.reason, e.note)),
            Effect::Evict(e) => {
                self.evictions.push((e.victim.key.name.to_string(), e.preemptor.key.name.to_string()));
            }
            Effect::ReadPod(key) => self.reads.push(key.name.to_string()),
            Effect::Ask(ask) => self.asks.push(*ask),
            Effect::AskPreempt(ask) => self.preempt_asks.push(*ask),
        }
    }

    /// The bindings that were asked for and not answered, as `pod->node`.
    pub(crate) fn bound(&self) -> Vec<String> {
        self.binds.iter().map(|b| format!("{}->{}", b.pod.key.name, b.node)).collect()
    }

    /// Where in the queue the pod is.
    pub(crate) fn place(&self, pod: &Pod) -> Option<Place> {
        self.engine.queue().get(&pod.uid()).map(|(_, place)| place)
    }

    /// What was said since the last call.
    pub(crate) fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// What the plugins were asked since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().expect("no test panics with the log"))
    }

    /// The text of the last condition that was written, with its reason.
    pub(crate) fn condition(&self) -> (&'static str, &str) {
        let last = self.statuses.iter().rev().find_map(|s| s.condition.as_ref());
        last.map(|(reason, message)| (reason.as_str(), &**message)).expect("a condition was written")
    }
}

/// A fresh log, for tests that make their own profiles.
pub(crate) fn log() -> Log {
    Arc::new(Mutex::new(Vec::new()))
}
