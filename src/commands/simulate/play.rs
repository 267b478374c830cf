//! The engine, driven by hand.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use hashbrown::HashMap;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use plimsoll_engine::effect::{BindRequest, Effect, StatusUpdate};
use plimsoll_engine::engine::{Engine, EngineSettings};
use plimsoll_engine::event::{BindResult, Event};
use plimsoll_engine::profile::Profile;
use plimsoll_engine::queue::Place;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::time::Time;

use super::input::Input;
use super::record::{Amounts, Node, Pod, Record, Summary};
use crate::config::Config;
use crate::registry::Registry;

/// Pods that fail by an error are tried again this often while nothing else changes.
const VAIN_ROUNDS: u32 = 3;
/// So much later than the one before each pod arrives: the queue keeps their order.
const APART: Duration = Duration::from_micros(1);

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
        ..EngineSettings::default()
    };
    let mut stage = Stage {
        engine: Engine::new(profiles, settings),
        now: Time::since_epoch(Duration::ZERO),
        fates: HashMap::new(),
        bindings: 0,
        progress: ProgressBar::hidden(),
    };
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
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Bind(request) => self.bind(&request),
                Effect::Status(update) => self.note(*update),
                Effect::Record(_) => {}
                // Asked only where an answer was lost, and none is lost here.
                Effect::ReadPod(key) => self.tell(Event::PodAbsent { key }),
                // Its profiles know no extenders.
                Effect::Ask(_) => {}
            }
        }
        // Nobody counts them.
        drop(self.engine.take_observations());
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

    fn note(&mut self, update: StatusUpdate) {
        if let (Some(fate), Some((reason, message))) = (self.fates.get_mut(&update.key.uid), update.condition) {
            fate.said = Some((reason.as_str().to_owned(), message));
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
        let nodes: Vec<Node> = nodes
            .into_iter()
            .map(|(name, (allocatable, before, after))| Node { name: name.to_string(), allocatable, before, after })
            .collect();
        summary.nodes_used_before = nodes.iter().filter(|node| node.before.pods > 0).count();
        summary.nodes_used_after = nodes.iter().filter(|node| node.after.pods > 0).count();
        Record { summary, pods, nodes }
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
