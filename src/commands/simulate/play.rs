//! The engine, driven by hand.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use plimsoll_engine::effect::{BindRequest, Effect, EvictRequest, StatusUpdate, WriteRequest};
use plimsoll_engine::engine::{Engine, EngineSettings};
use plimsoll_engine::event::{BindResult, Event, EvictResult};
use plimsoll_engine::gang;
use plimsoll_engine::profile::Profile;
use plimsoll_engine::queue::Place;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::{PodInfo, PodKey, Uid};
use plimsoll_framework::time::Time;

use super::input::Input;
use super::record::{Amounts, Evicted, Node, Pod, Record, Summary};
use super::volumes;
use crate::config::Config;
use crate::registry::Registry;

/// Pods that fail by an error are tried again this often while nothing else changes.
const VAIN_ROUNDS: u32 = 3;
/// So much later than the one before each pod arrives: the queue keeps their order.
const APART: Duration = Duration::from_micros(1);
/// After which incomplete groups say what they wait for.
const A_MOMENT: Duration = Duration::from_secs(3);

/// A pod that had no node, and what is known of its fate.
struct Fate {
    pod: PodInfo,
    taken: bool,
    node: Option<(Istr, Option<i64>)>,
    said: Option<(String, String)>,
}

/// Places all pods.
pub(super) fn play(
    input: Input,
    profiles: Vec<Profile>,
    config: &Config,
    registry: &Registry,
    seed: u64,
) -> anyhow::Result<Record> {
    let names: Vec<Istr> = profiles.iter().map(|profile| profile.name.clone()).collect();
    let settings = EngineSettings {
        tie_break: config.plimsoll.tie_break.into(),
        seed,
        admission: registry.admission(config),
        memo: config.plimsoll.memo.into(),
        evictions: config.evictions(),
        headroom: config.headroom(),
        ..EngineSettings::default()
    };
    let mut stage = Stage {
        engine: Engine::new(profiles, settings),
        now: Time::since_epoch(Duration::ZERO),
        fates: HashMap::new(),
        bindings: 0,
        evicted: Vec::new(),
        progress: ProgressBar::hidden(),
    };
    // A kind of PodGroups is served where there is one; otherwise a label that would name one is just a label.
    for kind in gang::kinds() {
        let is_one = |event: &Event| matches!(event, Event::Object { kind: of, .. } if of.id == kind.id);
        if input.others.iter().any(is_one) {
            stage.tell(Event::KindServed { kind, version: Some(kind.version.into()) });
        }
    }
    input.others.into_iter().for_each(|event| stage.tell(event));
    let mut nodes = BTreeMap::new();
    for node in input.nodes {
        let allocatable = Amounts::new(node.allocatable_pods, &node.allocatable);
        nodes.insert(node.name.clone(), (allocatable, Amounts::default(), Amounts::default()));
        stage.tell(Event::Node(Box::new(node)));
    }
    let mut summary =
        Summary { finished: input.finished, unused: input.unused, nodes: nodes.len(), ..Summary::default() };
    for pod in input.pods {
        if let Some(node) = &pod.node_name {
            summary.bound += 1;
            match nodes.get_mut(node) {
                Some((_, before, _)) => before.add(1, &pod.spec.requests.filter),
                None => summary.on_unknown_nodes += 1,
            }
        } else {
            let taken = names.contains(&pod.scheduler_name);
            stage.fates.insert(pod.key.uid.clone(), Fate { pod: pod.clone(), taken, node: None, said: None });
        }
        stage.tell(Event::Pod(Box::new(pod)));
    }
    for (_, before, after) in nodes.values_mut() {
        after.clone_from(before);
    }
    stage.run();
    Ok(stage.record(summary, nodes))
}

struct Stage {
    engine: Engine,
    now: Time,
    fates: HashMap<Uid, Fate>,
    bindings: u64,
    /// Pods that went for others, with the node they were on.
    evicted: Vec<(Arc<PodInfo>, Istr, PodKey)>,
    progress: ProgressBar,
}

impl Stage {
    fn tell(&mut self, event: Event) {
        self.now = self.now.after(APART);
        self.engine.handle(self.now, event);
    }

    /// Decides until nothing can change any more.
    fn run(&mut self) {
        self.show_progress();
        let mut vain = 0;
        loop {
            let before = self.bindings;
            self.drain();
            while self.engine.has_work() {
                self.engine.decide_next(self.now);
                self.drain();
            }
            vain = if self.bindings == before { vain + 1 } else { 0 };
            // What waits for its backoff gets its turn. A pod that failed by an error comes back for ever: not here.
            let waiting = [Place::Backoff, Place::ErrorBackoff].into_iter();
            let waiting = waiting.flat_map(|place| self.engine.queue().in_place(place)).next().is_some();
            let Some(deadline) = self.engine.next_deadline().filter(|_| waiting && vain <= VAIN_ROUNDS) else { break };
            self.now = self.now.max(deadline);
            self.engine.tick(self.now);
        }
        // Those that wait for the rest of their group say so a moment later.
        if self.engine.queue().in_place(Place::Gated).any(|info| info.group.is_some()) {
            self.now = self.now.after(A_MOMENT);
            self.engine.tick(self.now);
            self.drain();
        }
        self.progress.finish_and_clear();
    }

    fn show_progress(&mut self) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        let taken = self.fates.values().filter(|fate| fate.taken).count();
        let style = ProgressStyle::with_template("placing {pos} of {len} pods {wide_bar} {eta}");
        self.progress = ProgressBar::new(u64::try_from(taken).unwrap_or(u64::MAX));
        self.progress.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        self.progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    }

    /// Does what is asked for: all of it succeeds at once.
    fn drain(&mut self) {
        self.do_effects();
        // Claims of the input may be on the way to a volume already.
        if self.engine.waiting_to_bind() > 0 {
            volumes::settle(&self.engine.view()).into_iter().for_each(|event| self.tell(event));
            self.engine.tick(self.now);
            self.do_effects();
        }
        // Nobody counts them.
        drop(self.engine.drain_observations());
    }

    fn do_effects(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Write(request) => self.write(&request),
                Effect::Bind(request) => self.bind(&request),
                Effect::Status(update) => self.note(*update),
                Effect::Evict(request) => self.evict(&request),
                Effect::Record(_) | Effect::PodGroupStatus(_) => {}
                // Asked only where an answer was lost, and none is lost here.
                Effect::ReadPod(key) => self.tell(Event::PodAbsent { key }),
                // Its profiles know no extenders.
                Effect::Ask(_) | Effect::AskPreempt(_) => {}
            }
        }
    }

    /// What is written is there at once, and volumes are bound and made at once.
    fn write(&mut self, request: &WriteRequest) {
        volumes::written(&self.engine.view(), request).into_iter().for_each(|event| self.tell(event));
        self.tell(Event::WritesFinished { uid: request.pod.key.uid.clone(), result: Ok(()) });
    }

    fn bind(&mut self, request: &BindRequest) {
        self.bindings += 1;
        self.progress.inc(1);
        let uid = request.pod.key.uid.clone();
        let mut bound = PodInfo::clone(&request.pod);
        bound.node_name = Some(request.node.clone());
        bound.nominated_node_name = None;
        bound.resource_version = bound.resource_version.saturating_add(1);
        if let Some(fate) = self.fates.get_mut(&uid) {
            fate.node = Some((request.node.clone(), request.score));
        }
        self.tell(Event::BindFinished { uid, result: BindResult::Bound });
        self.tell(Event::Pod(Box::new(bound)));
    }

    /// The pod is gone at once; nobody makes it again.
    fn evict(&mut self, request: &EvictRequest) {
        let (victim, preemptor) = (&request.victim.key.uid, &request.preemptor.key);
        let node = self.engine.cache().get(victim).and_then(|known| known.node().cloned()).unwrap_or_default();
        if let Some(fate) = self.fates.get_mut(victim) {
            fate.node = None;
            fate.said = Some(("Evicted".to_owned(), format!("it had {node} and was evicted for {preemptor}")));
        }
        self.evicted.push((Arc::clone(&request.victim), node, preemptor.clone()));
        self.bindings += 1;
        let (victim, preemptor) = (victim.clone(), preemptor.uid.clone());
        self.tell(Event::PodDeleted { uid: victim.clone(), resource_version: 0 });
        self.tell(Event::Evicted { victim, preemptor, result: EvictResult::Going });
    }

    fn note(&mut self, update: StatusUpdate) {
        if let (Some(fate), Some((reason, message))) = (self.fates.get_mut(&update.key.uid), update.condition) {
            fate.said = Some((reason.as_str().to_owned(), message.as_ref().to_owned()));
        }
    }

    fn record(self, mut summary: Summary, mut nodes: BTreeMap<Istr, (Amounts, Amounts, Amounts)>) -> Record {
        let engine = &self.engine;
        let mut pods = Vec::with_capacity(self.fates.len());
        for (uid, fate) in self.fates {
            if let Some((node, _)) = &fate.node {
                summary.placed += 1;
                if let Some((_, _, after)) = nodes.get_mut(node) {
                    after.add(1, &fate.pod.spec.requests.filter);
                }
            } else if fate.taken {
                summary.pending += 1;
            } else {
                summary.not_taken += 1;
                continue;
            }
            let gated = engine.queue().get(&uid).is_some_and(|(_, place)| place == Place::Gated);
            pods.push(fate.record(gated));
        }
        pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let mut evicted = Vec::with_capacity(self.evicted.len());
        for (pod, node, preemptor) in self.evicted {
            // What was placed here and evicted again was not counted above.
            if pod.node_name.is_some()
                && let Some((_, _, after)) = nodes.get_mut(&node)
            {
                after.subtract(1, &pod.spec.requests.filter);
            }
            evicted.push(Evicted {
                namespace: pod.key.namespace.to_string(),
                name: pod.key.name.to_string(),
                node: node.to_string(),
                evicted_for: preemptor.to_string(),
            });
        }
        summary.evicted = evicted.len();
        let nodes: Vec<Node> = nodes
            .into_iter()
            .map(|(name, (allocatable, before, after))| Node { name: name.to_string(), allocatable, before, after })
            .collect();
        summary.nodes_used_before = nodes.iter().filter(|node| node.before.pods > 0).count();
        summary.nodes_used_after = nodes.iter().filter(|node| node.after.pods > 0).count();
        Record { summary, pods, evicted, nodes }
    }
}

impl Fate {
    fn record(self, gated: bool) -> Pod {
        let key = &self.pod.key;
        let (node, score) = self.node.map_or((None, None), |(node, score)| (Some(node.to_string()), score));
        let said = match self.said {
            _ if node.is_some() => None,
            Some(said) => Some(said),
            None if gated => {
                Some(("SchedulingGated".to_owned(), "it waits until its scheduling gates are lifted".to_owned()))
            }
            None if self.pod.terminating => Some(("Deleting".to_owned(), "it is being deleted".to_owned())),
            None => None,
        };
        let (reason, message) = said.unzip();
        Pod {
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            uid: key.uid.as_str().to_owned(),
            node,
            score,
            reason,
            message,
        }
    }
}
