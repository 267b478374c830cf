//! Preemption against a model of the API server: writes that are done late, lost or done all the same, a watch that lags,
//! victims that go late or never, places that others take. When everything has come to rest nobody sleeps for whom there
//! is room, or could be, and what is written of nominations is what the engine goes by.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use common::build::{Node, Pod, node, pod};
use common::inspect::Plain;
use common::plugins::{self, Evictor};
use common::{at, profile};
use plimsoll_engine::effect::{Effect, EvictRequest, StatusUpdate};
use plimsoll_engine::engine::{Engine, EngineSettings};
use plimsoll_engine::event::{BindResult, Event, EvictResult};
use plimsoll_engine::queue::{Place, QueueSettings};
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::time::Time;
use proptest::prelude::*;

/// One thing that happens: which, and two numbers for its details.
type Op = (u8, u16, u16);

/// The label of pods that never go, once asked to.
const STUBBORN: &str = "stubborn";

struct Model {
    engine: Engine,
    now: Time,
    version: u64,
    /// As the API server has them.
    pods: BTreeMap<String, Pod>,
    nodes: Vec<Node>,
    /// What the watch tells: a pod, or the name of one that is gone.
    log: Vec<(u64, Result<Pod, String>)>,
    told: usize,
    /// Asked for, not done; those of one pod in their order.
    statuses: Vec<StatusUpdate>,
    binds: Vec<(String, String)>,
    evictions: Vec<(String, String)>,
    /// Done, not answered.
    answers: Vec<Event>,
    /// Asked to go, and going as far as the API server is concerned.
    going: BTreeSet<String>,
    /// Pods whose last nomination was not written.
    lost: BTreeSet<String>,
    trace: Vec<String>,
}

impl Model {
    fn new() -> Self {
        let mut plugins = plugins::deciding();
        plugins.push(Extensions::of(Evictor).enqueue().pre_enqueue().post_filter().done());
        // Nobody is tried again for having waited long.
        let queue = QueueSettings { max_in_unschedulable: Duration::from_secs(1_000_000), ..QueueSettings::default() };
        let settings = EngineSettings { queue, ..EngineSettings::default() };
        let mut model = Self {
            engine: Engine::new(vec![profile("plimsoll", &plugins)], settings),
            now: at(0),
            version: 1,
            pods: BTreeMap::new(),
            nodes: ["n0", "n1", "n2"].iter().map(|name| node(name)).collect(),
            log: Vec::new(),
            told: 0,
            statuses: Vec::new(),
            binds: Vec::new(),
            evictions: Vec::new(),
            answers: Vec::new(),
            going: BTreeSet::new(),
            lost: BTreeSet::new(),
            trace: Vec::new(),
        };
        model.nodes.clone().iter().for_each(|node| model.tell(node.seen()));
        model
    }

    fn step(&mut self, (kind, a, b): Op) {
        let (a, b) = (usize::from(a), usize::from(b));
        match kind {
            0..=3 => self.create(a, b),
            4 => drop(self.end(a, |_| true)),
            5 | 6 => drop(self.end(a, may_leave)),
            7..=11 => drop(self.deliver()),
            12..=16 => drop(self.decide()),
            17 | 18 => self.write_status(a, b % 5),
            19 | 20 => self.bind(a, b % 4),
            21..=23 => self.answer(a),
            24 | 25 => self.evict(a, b % 7),
            26 => self.pass(Duration::from_millis(a as u64 % 2_500)),
            _ => self.resize(a, b),
        }
    }

    // --- what happens ---

    fn write(&mut self, uid: &str, change: impl FnOnce(&mut Pod)) -> u64 {
        if let Some(pod) = self.pods.get_mut(uid) {
            let before = pod.clone();
            change(pod);
            // A write that changes nothing is none.
            if *pod != before {
                self.version += 1;
                pod.version = self.version;
                self.log.push((self.version, Ok(pod.clone())));
            }
            return pod.version;
        }
        0
    }

    /// A pod that is to be placed, or one that others have put on a node, room or not.
    fn create(&mut self, a: usize, b: usize) {
        self.version += 1;
        let mut made = pod(&format!("p{}", self.version)).cpu([300, 500, 900][a % 3]).priority([0, 0, 1, 2][a / 3 % 4]);
        if b.is_multiple_of(4) {
            made = made.of("other").on(["n0", "n1", "n2"][b / 4 % 3]);
        }
        if (b / 12).is_multiple_of(6) {
            made = made.label(STUBBORN, "");
        }
        let made = made.version(self.version);
        self.log.push((self.version, Ok(made.clone())));
        self.pods.insert(made.uid.clone(), made);
    }

    /// The nth of the pods of which this holds is gone.
    fn end(&mut self, a: usize, which: impl Fn(&Pod) -> bool) -> bool {
        let uids: Vec<String> = self.pods.values().filter(|pod| which(pod)).map(|pod| pod.uid.clone()).collect();
        let Some(uid) = uids.get(a % uids.len().max(1)) else { return false };
        self.version += 1;
        self.pods.remove(uid);
        self.log.push((self.version, Err(uid.clone())));
        true
    }

    fn resize(&mut self, a: usize, b: usize) {
        self.version += 1;
        let count = self.nodes.len();
        let node = &mut self.nodes[a % count];
        *node = node.clone().cpu([500, 1_000, 1_500][b % 3]).version(self.version);
        let seen = node.seen();
        self.tell(seen);
    }

    fn deliver(&mut self) -> bool {
        let Some((version, news)) = self.log.get(self.told).cloned() else { return false };
        self.told += 1;
        self.tell(match news {
            Ok(pod) => pod.seen(),
            Err(uid) => Event::PodDeleted { uid: Uid::new(&uid), resource_version: version },
        });
        true
    }

    fn tell(&mut self, event: Event) {
        self.trace.push(match &event {
            Event::Pod(p) => format!(
                "{} is on {:?}, for {:?}, leaves: {}",
                p.key.uid, p.node_name, p.nominated_node_name, p.terminating
            ),
            event => format!("{event:?}"),
        });
        self.engine.handle(self.now, event);
        self.gather();
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.engine.tick(self.now);
        self.gather();
    }

    fn decide(&mut self) -> bool {
        let decided = self.engine.decide_next(self.now);
        self.gather();
        decided
    }

    // --- what was asked for ---

    fn gather(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Status(status) => {
                    self.trace
                        .push(format!("{}: {:?} {:?}", status.key.uid, status.nominated_node_name, status.condition));
                    self.statuses.push(*status);
                }
                Effect::Bind(bind) => self.binds.push((bind.pod.key.uid.to_string(), bind.node.to_string())),
                Effect::Evict(request) => self.asked_to_go(&request),
                Effect::Record(_) => {}
                other => unreachable!("{other:?}"),
            }
        }
    }

    fn asked_to_go(&mut self, EvictRequest { victim, preemptor, .. }: &EvictRequest) {
        assert!(victim.priority() < preemptor.priority(), "{} goes for {}", victim.key, preemptor.key);
        let uid = victim.key.uid.to_string();
        let twice = self.going.contains(&uid) || self.evictions.iter().any(|(asked, _)| *asked == uid);
        assert!(!twice, "{uid} is asked to go twice");
        self.trace.push(format!("{uid} is to go for {}", preemptor.key.uid));
        self.evictions.push((uid, preemptor.key.uid.to_string()));
    }

    /// The first status of some pod is written, or not, or nobody knows.
    fn write_status(&mut self, a: usize, how: usize) {
        let Some(uid) = self.statuses.get(a % self.statuses.len().max(1)).map(|s| s.key.uid.clone()) else { return };
        let Some(at) = self.statuses.iter().position(|s| s.key.uid == uid) else { return };
        let StatusUpdate { number, nominated_node_name, .. } = self.statuses.remove(at);
        let Some(node) = nominated_node_name else { return };
        let written = (how != 0).then(|| {
            self.write(uid.as_str(), |pod| pod.nominated = node.filter(|_| pod.node.is_none()).map(|n| n.to_string()))
        });
        let known = if how == 1 { None } else { written };
        match known {
            Some(_) => self.lost.remove(uid.as_str()),
            None => self.lost.insert(uid.to_string()),
        };
        self.answers.push(Event::NominationWritten { uid, number, version: known });
    }

    fn bind(&mut self, a: usize, how: usize) {
        if self.binds.is_empty() {
            return;
        }
        let (uid, node) = self.binds.swap_remove(a % self.binds.len());
        // A status that waits when the binding comes is given up.
        while let Some(at) = self.statuses.iter().position(|s| s.key.uid.as_str() == uid) {
            let StatusUpdate { number, nominated_node_name, .. } = self.statuses.remove(at);
            if nominated_node_name.is_some() {
                self.lost.insert(uid.clone());
                self.answers.push(Event::NominationWritten { uid: Uid::new(&uid), number, version: None });
            }
        }
        let result = match self.pods.get(&uid) {
            None => BindResult::Gone,
            Some(pod) if pod.node.is_some() => BindResult::Gone,
            Some(pod) if pod.terminating || how == 0 => BindResult::Failed { message: "not now".to_owned() },
            Some(_) => {
                self.write(&uid, |pod| (pod.node, pod.nominated) = (Some(node), None));
                BindResult::Bound
            }
        };
        self.answers.push(Event::BindFinished { uid: Uid::new(&uid), result });
    }

    fn evict(&mut self, a: usize, how: usize) {
        if self.evictions.is_empty() {
            return;
        }
        let (victim, preemptor) = self.evictions.swap_remove(a % self.evictions.len());
        let result = match self.pods.get(&victim) {
            None => EvictResult::Gone,
            Some(_) if how == 0 => EvictResult::Failed { message: "timed out".to_owned() },
            Some(_) if how == 1 => EvictResult::Refused { message: "a budget".to_owned() },
            Some(pod) if how == 2 && !is_stubborn(pod) => {
                self.end(0, |pod| pod.uid == victim);
                EvictResult::Going
            }
            Some(_) => {
                self.write(&victim, |pod| pod.terminating = true);
                EvictResult::Going
            }
        };
        if result == EvictResult::Going {
            self.going.insert(victim.clone());
        }
        self.answers.push(Event::Evicted { victim: Uid::new(&victim), preemptor: Uid::new(&preemptor), result });
    }

    fn answer(&mut self, a: usize) {
        if !self.answers.is_empty() {
            let event = self.answers.swap_remove(a % self.answers.len());
            self.tell(event);
        }
    }

    // --- rest ---

    /// Everything is told, done and answered, and whoever is on the way out leaves, unless it never does.
    fn settle(&mut self) {
        // Longer than anybody has to wait who was made room for in vain.
        let (mut idle, mut rounds) = (0, 0);
        while idle < 70 {
            rounds += 1;
            assert!(rounds < 5_000, "it never comes to rest");
            let mut busy = false;
            while self.deliver() || self.end(0, may_leave) || self.decide() {
                busy = true;
            }
            while !(self.statuses.is_empty() && self.binds.is_empty() && self.evictions.is_empty()) {
                self.write_status(0, 2);
                self.bind(0, 1);
                self.evict(0, 3);
                busy = true;
            }
            while !self.answers.is_empty() {
                self.answer(0);
                busy = true;
            }
            idle = if busy { 0 } else { idle + 1 };
            self.pass(Duration::from_secs(5));
        }
        self.check_rest();
    }

    fn check_rest(&self) {
        let (engine, plain) = (&self.engine, Plain::of(&self.engine));
        assert_eq!((engine.preemptions_under_way(), engine.bindings_under_way(), engine.line_length()), (0, 0, 0));
        for (info, place) in engine.queue().iter() {
            let (pod, uid) = (&info.pod, &info.pod.key.uid);
            assert_eq!(place, Place::Unschedulable, "{uid}");
            for node in plain.nodes.keys() {
                assert!(plain.objection(pod, node).is_some(), "{uid} could be on {node} and sleeps");
            }
            let could_clear = plain.nodes.keys().find(|node| could_clear(&plain, pod, node));
            if let Some(node) = could_clear {
                assert!(
                    self.waits_for_one_that_stays(pod),
                    "{uid} could be on {node} if others went, and sleeps: {:#?}",
                    self.trace
                );
            }
        }
        let waits = |pod: &&Pod| pod.node.is_none() && !pod.terminating && !self.lost.contains(&pod.uid);
        for pod in self.pods.values().filter(waits) {
            let kept = engine.view().nominations().node_of(&pod.uid()).map(|node| node.to_string());
            assert_eq!(pod.nominated, kept, "the nomination of {}: {:#?}", pod.uid, self.trace);
        }
    }

    /// Whether a pod of lower priority is on its way out of the node that is kept for this one, and stays on it.
    fn waits_for_one_that_stays(&self, pod: &PodInfo) -> bool {
        let view = self.engine.view();
        let Some(node) = view.nominations().node_of(&pod.key.uid) else { return false };
        let stays = |p: &Pod| p.node.as_deref() == Some(node.as_str()) && p.terminating && p.priority < pod.priority();
        self.pods.values().any(|p| stays(p) && is_stubborn(p))
    }
}

fn is_stubborn(pod: &Pod) -> bool {
    pod.labels.iter().any(|(key, _)| *key == STUBBORN)
}

fn may_leave(pod: &Pod) -> bool {
    pod.terminating && !is_stubborn(pod)
}

/// Whether a pod would fit on a node that all pods of lower priority have left.
fn could_clear(plain: &Plain, pod: &PodInfo, node: &str) -> bool {
    let mut without = plain.clone();
    let goes = |(on, other): &(String, Arc<PodInfo>)| on == node && other.priority() < pod.priority();
    let before = without.pods.len();
    without.pods.retain(|_, placed| !goes(placed));
    without.pods.len() < before && without.objection(pod, node).is_none()
}

proptest! {
    // What it is to find takes many steps to come about, each of which is cheap.
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(8_000),
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nobody_sleeps_for_whom_there_could_be_room(
        ops in prop::collection::vec((0_u8..29, any::<u16>(), any::<u16>()), 1..160),
    ) {
        let mut model = Model::new();
        ops.iter().for_each(|op| model.step(*op));
        model.settle();
    }
}
