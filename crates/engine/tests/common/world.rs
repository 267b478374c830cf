//! An API server of lists and logs, an engine, and workers run by hand: every order of things that can happen to them.
//!
//! What happens is a list of [`Op`]s, each a number and two more that say the details, so that a failing list shrinks
//! well. After every step the world checks what must always hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_engine::cache::Standing;
use plimsoll_engine::decide::{Proposal, Ticket, TieBreak, Worker};
use plimsoll_engine::effect::{Effect, EvictRequest, StatusUpdate};
use plimsoll_engine::engine::{Engine, EngineSettings, HandOut};
use plimsoll_engine::event::{BindResult, Event, EvictResult};
use plimsoll_engine::extender::{Ask, Extenders, NodeAnswer, PreemptAsk};
use plimsoll_engine::queue::{Place, QueueSettings};
use plimsoll_framework::cluster_event::EventResource;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::pod::{PodInfo, PodKey, Uid};
use plimsoll_framework::table::View;
use plimsoll_framework::time::Time;

use super::build::{Node, Pod, node, pod};
use super::inspect::{Plain, assert_sums};
use super::plugins::{self, Evictor, Log, Nominator};
use super::{at, profile};

/// One thing that happens: which, and two numbers for its details.
pub(crate) type Op = (u8, u16, u16);

/// What a log says of one object.
#[derive(Clone)]
enum News<T> {
    Seen(T),
    Gone(String),
}

/// The changes of one kind of objects in order, and how far the watch has told of them.
struct Watched<T> {
    log: Vec<(u64, News<T>)>,
    told: usize,
}

impl<T> Default for Watched<T> {
    fn default() -> Self {
        Self { log: Vec::new(), told: 0 }
    }
}

/// What a worker has in hand.
#[derive(Default)]
struct Job {
    tickets: Vec<Ticket>,
    view: Option<View>,
    proposals: Option<Vec<Proposal>>,
}

/// How decisions are made where the order is to be exactly sequential.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By workers, in any order.
    Workers,
    /// By the engine itself.
    Direct,
    /// By one worker that is handed one pod at a time.
    HandedOver,
}

pub(crate) struct World {
    pub(crate) engine: Engine,
    now: Time,
    mode: Mode,
    local: bool,
    /// Whether pods come in gangs.
    gangs: bool,
    version: u64,
    pods: BTreeMap<String, Pod>,
    nodes: BTreeMap<String, Node>,
    pod_log: Watched<Pod>,
    node_log: Watched<Node>,
    workers: Vec<(Worker, Job)>,
    /// Every ticket taken, in order.
    tickets: Vec<(u64, Uid)>,
    last_bound: u64,
    /// Asked for, not executed.
    binds: Vec<(String, String)>,
    /// Executed, not answered.
    answers: Vec<Event>,
    /// Pods whose binding was asked for and not answered.
    under_way: BTreeSet<String>,
    /// Pods whose binding was answered and not seen by the watch.
    settled: BTreeSet<String>,
    reads: Vec<PodKey>,
    /// Asked to go, not answered, with the pod they go for.
    going: Vec<(String, String)>,
    preempting: bool,
    /// Whether extenders have a say; and what they were asked.
    asking: bool,
    asks: Vec<Ask>,
    preempt_asks: Vec<PreemptAsk>,
    /// Pods the engine was ever told of.
    met: BTreeSet<String>,
    /// The version of the last list of pods.
    listed: u64,
    pub(crate) trace: Vec<String>,
}

impl World {
    /// With `local`, every rule reads its own node alone: then most commits rest on what did not change since the view.
    pub(crate) fn new(mode: Mode, workers: usize, local: bool) -> Self {
        Self::made(mode, workers, local, (false, None))
    }

    /// The same where pods of lower priority go for those that fit nowhere.
    pub(crate) fn preempting(workers: usize, local: bool) -> Self {
        Self::made(Mode::Workers, workers, local, (true, None))
    }

    /// The same where extenders have a say in the places of pods that ask for memory, and in who goes for whom; with
    /// `gangs` most pods come in gangs, too.
    pub(crate) fn asking(workers: usize, gangs: bool, at_once: usize) -> Self {
        let made = Self::made(Mode::Workers, workers, true, (!gangs, Some(at_once)));
        Self { gangs, asking: true, ..made }
    }

    fn made(mode: Mode, workers: usize, local: bool, (preempting, at_once): (bool, Option<usize>)) -> Self {
        let mut plugins = plugins::deciding();
        plugins.retain(|p| !local || !matches!(p.name, "Apart" | "Crowd"));
        plugins.push(if preempting {
            Extensions::of(Evictor).enqueue().pre_enqueue().post_filter().done()
        } else {
            Extensions::of(Nominator(Log::default())).post_filter().done()
        });
        // Nobody is tried again for having waited long: whoever could go somewhere has to be woken.
        let queue = QueueSettings { max_in_unschedulable: Duration::from_secs(1_000_000), ..QueueSettings::default() };
        let ask_limit = at_once.unwrap_or(1);
        let settings = EngineSettings { queue, line_limit: 8 * workers, ask_limit, ..EngineSettings::default() };
        let mut profile = profile("plimsoll", &plugins);
        if at_once.is_some() {
            profile.set_extenders(Extenders {
                interested: Arc::new(|pod| pod.spec.requests.filter.memory_bytes > 0),
                preempts: Arc::new(|pod| pod.priority() < 2),
                wakes: vec![EventResource::Pod, EventResource::Node],
            });
        }
        let worker = |i| (Worker::new(TieBreak::Random, i), Job::default());
        Self {
            engine: Engine::new(vec![profile], settings),
            now: at(0),
            mode,
            local,
            gangs: false,
            version: 1,
            pods: BTreeMap::new(),
            nodes: BTreeMap::new(),
            pod_log: Watched::default(),
            node_log: Watched::default(),
            workers: (0..workers as u64).map(worker).collect(),
            tickets: Vec::new(),
            last_bound: 0,
            binds: Vec::new(),
            answers: Vec::new(),
            under_way: BTreeSet::new(),
            settled: BTreeSet::new(),
            reads: Vec::new(),
            going: Vec::new(),
            preempting,
            asking: false,
            asks: Vec::new(),
            preempt_asks: Vec::new(),
            met: BTreeSet::new(),
            listed: 0,
            trace: Vec::new(),
        }
    }

    /// Most pods come in gangs, the pods of each alike; every rule reads its own node alone, so that it does not matter
    /// in which order the pods of one are placed.
    pub(crate) fn of_gangs(workers: usize) -> Self {
        Self { gangs: true, ..Self::new(Mode::Workers, workers, true) }
    }

    pub(crate) fn run(&mut self, ops: &[Op]) {
        for op in ops {
            self.step(*op);
            self.check();
        }
    }

    fn step(&mut self, (kind, a, b): Op) {
        let (a, b) = (usize::from(a), usize::from(b));
        match kind {
            0..=3 => self.create_pod(a, b),
            4 => self.change_pod(a, b),
            5 => self.end_pod(a, b),
            6 => self.bind_by_others(a, b),
            7 | 8 => self.create_node(a, b),
            9 => self.change_node(a, b),
            10 => self.delete_node(a),
            11..=14 => self.deliver(a % 4 + 1, b % 3),
            15 => self.tell_again(a),
            16 => self.relist(a, b),
            17 => {
                self.now = self.now.after(Duration::from_millis(a as u64 % 2_500));
                self.engine.tick(self.now);
                self.gather(None);
            }
            18 | 19 => self.execute_bind(a, b),
            20 | 21 => self.answer(a),
            22 if self.preempting => self.evict(a, b),
            22 => self.read(a),
            23 | 24 if self.asking => self.extend(a, b),
            _ if self.mode == Mode::Workers => self.work(a, b),
            _ => self.decide_one(),
        }
    }

    // --- the API server ---

    fn write_pod(&mut self, uid: &str, change: impl FnOnce(&mut Pod)) {
        self.version += 1;
        if let Some(pod) = self.pods.get_mut(uid) {
            change(pod);
            pod.version = self.version;
            let pod = pod.clone();
            if pod.finished {
                self.pods.remove(uid);
            }
            self.pod_log.log.push((self.version, News::Seen(pod)));
        }
    }

    fn create_pod(&mut self, a: usize, b: usize) {
        self.version += 1;
        let name = format!("p{}", self.version);
        let mut made = pod(&name).cpu([0, 200, 400, 700][a % 4]).priority([0, 0, 1, 2][a / 4 % 4]);
        made.memory_bytes = [0, 300, 600][a / 16 % 3];
        made.port = b.is_multiple_of(4).then_some(80 + i32::from((b / 4).is_multiple_of(2)));
        made.tolerates = (b / 8).is_multiple_of(4).then_some("gpu");
        made.gated = (b / 32).is_multiple_of(8);
        if (b / 256).is_multiple_of(3) && !self.local {
            made = made.label("apart", ["x", "y"][b / 768 % 2]);
        }
        if (b / 1_536).is_multiple_of(3) && !self.local {
            made = made.label("crowd", "");
        }
        made.scheduler = if (a / 48).is_multiple_of(8) { "other" } else { "plimsoll" };
        made.nominated = (a / 384).is_multiple_of(8).then(|| format!("n{}", a / 3_072 % 6));
        if a / 384 % 8 == 1 {
            made = made.label("nominate", &format!("n{}", a / 3_072 % 6));
        }
        if self.gangs && !a.is_multiple_of(8) {
            made = in_gang(made, (b / 2) % GANGS);
        }
        made.version = self.version;
        self.pods.insert(made.uid.clone(), made.clone());
        self.pod_log.log.push((self.version, News::Seen(made)));
    }

    fn nth_pod(&self, a: usize) -> Option<Pod> {
        self.pods.values().nth(a % self.pods.len().max(1)).cloned()
    }

    fn change_pod(&mut self, a: usize, b: usize) {
        let Some(pod) = self.nth_pod(a) else { return };
        // A nominated pod that asks for less tells nobody (upstream's hints do not look at it either).
        let local = self.local;
        let nominated = pod.nominated.is_some() || pod.labels.iter().any(|(key, _)| *key == "nominate");
        if self.gangs && gang_of(&pod).is_some() && b % 6 > 2 {
            // They stay alike.
            return;
        }
        self.write_pod(&pod.uid, |p| match b % 6 {
            0 => p.gated = false,
            1 => p.nominated = p.nominated.take().xor((p.node.is_none()).then(|| format!("n{}", b / 6 % 6))),
            2 => p.terminating = true,
            3 if !nominated => p.milli_cpu /= 2,
            4 if !nominated && !local => p.labels = vec![("apart", "z".to_owned())],
            _ => p.tolerates = Some("gpu"),
        });
    }

    fn end_pod(&mut self, a: usize, b: usize) {
        let Some(pod) = self.nth_pod(a) else { return };
        if b.is_multiple_of(3) && pod.node.is_some() {
            return self.write_pod(&pod.uid, |p| p.finished = true);
        }
        self.version += 1;
        self.pods.remove(&pod.uid);
        self.pod_log.log.push((self.version, News::Gone(pod.uid)));
    }

    fn bind_by_others(&mut self, a: usize, b: usize) {
        let Some(pod) = self.nth_pod(a).filter(|p| p.node.is_none() && !p.terminating) else { return };
        self.write_pod(&pod.uid, |p| p.node = Some(format!("n{}", b % 20)));
    }

    fn write_node(&mut self, made: Node) {
        self.version += 1;
        let made = made.version(self.version);
        self.nodes.insert(made.name.clone(), made.clone());
        self.node_log.log.push((self.version, News::Seen(made)));
    }

    fn create_node(&mut self, a: usize, b: usize) {
        let mut made = node(&format!("n{}", a % 20)).zone(["a", "b", "c"][b % 3]);
        made.milli_cpu = [500, 1_000, 1_500][b / 3 % 3];
        made.memory_bytes = [600, 1_200][b / 9 % 2];
        made.pods = [1, 2, 5][b / 18 % 3];
        made.taint = (b / 54).is_multiple_of(4).then_some("gpu");
        if !self.nodes.contains_key(&made.name) {
            self.write_node(made);
        }
    }

    fn nth_node(&self, a: usize) -> Option<Node> {
        self.nodes.values().nth(a % self.nodes.len().max(1)).cloned()
    }

    fn change_node(&mut self, a: usize, b: usize) {
        let Some(mut changed) = self.nth_node(a) else { return };
        match b % 6 {
            0 => changed.milli_cpu += 300,
            1 => changed.milli_cpu -= 300,
            2 => changed.taint = changed.taint.xor(Some("gpu")),
            3 => changed.zone = ["a", "b", "c"][b / 6 % 3].to_owned(),
            4 => changed.pods += 1,
            _ => changed.ready = !changed.ready,
        }
        self.write_node(changed);
    }

    fn delete_node(&mut self, a: usize) {
        let Some(gone) = self.nth_node(a) else { return };
        self.version += 1;
        self.nodes.remove(&gone.name);
        self.node_log.log.push((self.version, News::Gone(gone.name)));
    }

    // --- watches ---

    fn deliver(&mut self, count: usize, which: usize) {
        for _ in 0..count {
            if which == 0 {
                self.deliver_node()
            } else {
                self.deliver_pod()
            };
        }
    }

    fn deliver_pod(&mut self) -> bool {
        let Some((version, news)) = self.pod_log.log.get(self.pod_log.told).cloned() else { return false };
        self.pod_log.told += 1;
        let event = match news {
            News::Seen(pod) => pod.seen(),
            News::Gone(uid) => Event::PodDeleted { uid: Uid::new(&uid), resource_version: version },
        };
        self.tell(event);
        true
    }

    fn deliver_node(&mut self) -> bool {
        let Some((_, news)) = self.node_log.log.get(self.node_log.told).cloned() else { return false };
        self.node_log.told += 1;
        self.tell(match news {
            News::Seen(node) => node.seen(),
            News::Gone(name) => Event::NodeDeleted { name: name.as_str().into() },
        });
        true
    }

    /// Some version of some pod, told already or not, comes by another way.
    fn tell_again(&mut self, a: usize) {
        let news = self.pod_log.log.get(a % self.pod_log.log.len().max(1)).map(|(_, news)| news.clone());
        if let Some(News::Seen(pod)) = news {
            // What a list left out and the engine never knew is asked for by nobody.
            if self.met.contains(&pod.uid) || pod.version > self.listed {
                self.tell(pod.seen());
            }
        }
    }

    /// A watch begins anew with a list, which may be older than what is known.
    fn relist(&mut self, a: usize, b: usize) {
        if b.is_multiple_of(2) {
            let upto = self.pod_log.log.len() - a % 4 % (self.pod_log.log.len() + 1);
            let mut listed: BTreeMap<String, Pod> = BTreeMap::new();
            for (_, news) in &self.pod_log.log[..upto] {
                match news {
                    News::Seen(pod) if !pod.finished => drop(listed.insert(pod.uid.clone(), pod.clone())),
                    News::Seen(Pod { uid, .. }) | News::Gone(uid) => drop(listed.remove(uid)),
                }
            }
            self.pod_log.told = upto;
            let resource_version = upto.checked_sub(1).map_or(1, |last| self.pod_log.log[last].0);
            listed.values().for_each(|pod| self.tell(pod.seen()));
            let present = listed.values().map(Pod::uid).collect();
            self.listed = resource_version;
            self.tell(Event::PodsListed { present, resource_version });
        } else {
            let upto = self.node_log.log.len() - a % 4 % (self.node_log.log.len() + 1);
            let mut listed: BTreeMap<String, Node> = BTreeMap::new();
            for (_, news) in &self.node_log.log[..upto] {
                match news {
                    News::Seen(node) => drop(listed.insert(node.name.clone(), node.clone())),
                    News::Gone(name) => drop(listed.remove(name)),
                }
            }
            self.node_log.told = upto;
            listed.values().for_each(|node| self.tell(node.seen()));
            let present = listed.keys().map(|name| name.as_str().into()).collect();
            self.tell(Event::NodesListed { present });
        }
    }

    // --- what the engine asked for ---

    fn execute_bind(&mut self, a: usize, b: usize) {
        if self.binds.is_empty() {
            return;
        }
        let (uid, node) = self.binds.swap_remove(a % self.binds.len());
        let failed = |message: &str| BindResult::Failed { message: message.to_owned() };
        let result = match self.pods.get(&uid) {
            None => BindResult::Gone,
            Some(pod) if pod.node.as_ref() == Some(&node) => BindResult::Bound,
            Some(pod) if pod.node.is_some() => BindResult::Gone,
            Some(pod) if pod.terminating => failed("pod is being deleted"),
            Some(_) if b.is_multiple_of(4) => failed("timed out and was not done"),
            Some(_) => {
                self.write_pod(&uid, |p| (p.node, p.nominated) = (Some(node), None));
                BindResult::Bound
            }
        };
        self.answers.push(Event::BindFinished { uid: Uid::new(&uid), result });
    }

    fn answer(&mut self, a: usize) {
        if self.answers.is_empty() {
            return;
        }
        let event = self.answers.swap_remove(a % self.answers.len());
        if let Event::BindFinished { uid, result } = &event {
            self.under_way.remove(uid.as_str());
            if *result == BindResult::Bound {
                self.settled.insert(uid.to_string());
            }
        }
        self.tell(event);
    }

    /// Extenders answer some question.
    fn extend(&mut self, a: usize, b: usize) {
        let lost = || "lost".to_owned();
        if !self.asks.is_empty() {
            let Ask { number, pod, nodes, .. } = self.asks.swap_remove(a % self.asks.len());
            let passes = |nth: usize| b % 8 != 1 && (b % 8 != 2 || nth.is_multiple_of(2));
            let said = |(nth, node)| (node, if passes(nth) { NodeAnswer::Passed(3) } else { NodeAnswer::LeftOut });
            let answer = nodes.into_iter().enumerate().map(said).collect();
            let result = if b.is_multiple_of(8) { Err(lost()) } else { Ok(answer) };
            self.tell(Event::Answered { uid: pod.key.uid.clone(), number, result });
        } else if !self.preempt_asks.is_empty() {
            let PreemptAsk { number, pod, mut candidates, .. } =
                self.preempt_asks.swap_remove(a % self.preempt_asks.len());
            candidates.truncate([0, 1, usize::MAX][b % 3]);
            let result = if b.is_multiple_of(8) { Err(lost()) } else { Ok(candidates) };
            self.tell(Event::PreemptAnswered { uid: pod.key.uid.clone(), number, result });
        }
    }

    fn read(&mut self, a: usize) {
        if self.reads.is_empty() {
            return;
        }
        let key = self.reads.swap_remove(a % self.reads.len());
        let found = self.pods.get(key.uid.as_str()).map(Pod::seen);
        self.answers.push(found.unwrap_or(Event::PodAbsent { key }));
    }

    fn tell(&mut self, event: Event) {
        if let Event::Pod(pod) = &event {
            self.met.insert(pod.key.uid.to_string());
        }
        self.engine.handle(self.now, event);
        self.gather(None);
    }

    /// Takes in what the engine asked for. `before` is how things stood when the decisions at hand were committed.
    fn gather(&mut self, mut before: Option<Plain>) {
        let mut placed: BTreeSet<String> = BTreeSet::new();
        // A nomination may end between two commits of one call; those that are left held for all of them.
        let nominations = self.engine.cache().table().view().nominations();
        for (node, pods) in before.iter_mut().flat_map(|plain| &mut plain.nominated) {
            pods.retain(|p| nominations.node_of(&p.key.uid).is_some_and(|n| n.as_str() == node));
        }
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Bind(request) => {
                    let (uid, node) = (request.pod.key.uid.to_string(), request.node.to_string());
                    self.trace.push(format!("{uid}->{node} {:?}", request.score));
                    let plain = before.as_mut().expect("only a decision leads to a binding");
                    assert!(!plain.pods.contains_key(&uid), "{uid} counted on a node and was placed once more");
                    assert_eq!(plain.objection(&request.pod, &node), None, "{uid} on {node}");
                    plain.place(Arc::clone(&request.pod), &node);
                    placed.extend(request.pod.group.as_ref().map(|group| group.name.to_string()));
                    let ticket = self.tickets.iter().rev().find(|(_, of)| *of == request.pod.key.uid);
                    let seq = ticket.expect("it was popped").0;
                    let together = request.pod.group.is_some() && seq == self.last_bound;
                    assert!(seq > self.last_bound || together, "{uid} was overtaken");
                    self.last_bound = seq;
                    assert!(self.under_way.insert(uid.clone()), "{uid} is being bound already");
                    self.binds.push((uid, node));
                }
                Effect::PodGroupStatus(_) => {}
                Effect::Write(_) => unreachable!("no plugin writes"),
                Effect::Status(status) => self.write_status(*status),
                Effect::Evict(request) => self.asked_to_go(&request),
                Effect::ReadPod(key) => self.reads.push(key),
                Effect::Ask(ask) => self.asks.push(*ask),
                Effect::AskPreempt(ask) => self.preempt_asks.push(*ask),
                Effect::Record(event) => self.trace.push(format!("{} {}", event.pod.key.uid, event.note)),
            }
        }
        placed.iter().for_each(|gang| self.check_whole(gang));
    }

    /// Whoever of a gang was just given a node is one of enough, on nodes or on their way.
    fn check_whole(&self, gang: &str) {
        let members = self.engine.cache().iter().filter(|k| {
            !k.pod.terminating && k.node().is_some() && k.pod.group.as_ref().is_some_and(|g| *g.name == *gang)
        });
        assert!(members.count() >= size_of(gang), "{gang} is partly assumed");
    }

    fn asked_to_go(&mut self, request: &EvictRequest) {
        let (victim, preemptor) = (&request.victim, &request.preemptor);
        assert!(victim.priority() < preemptor.priority(), "{} goes for {}", victim.key, preemptor.key);
        let uid = victim.key.uid.to_string();
        self.trace.push(format!("{uid} goes for {}", preemptor.key.uid));
        assert!(self.going.iter().all(|(going, _)| *going != uid), "{uid} is asked to go twice");
        self.going.push((uid, preemptor.key.uid.to_string()));
    }

    /// Some pod that was asked to go goes, or not.
    fn evict(&mut self, a: usize, b: usize) {
        if self.going.is_empty() {
            return;
        }
        let (victim, preemptor) = self.going.swap_remove(a % self.going.len());
        let result = match self.pods.get(&victim) {
            None => EvictResult::Gone,
            Some(_) if b.is_multiple_of(5) => EvictResult::Failed { message: "timed out".to_owned() },
            Some(_) if b % 5 == 1 => EvictResult::Refused { message: "a budget".to_owned() },
            // Some go at once, some take their time.
            Some(_) if b.is_multiple_of(2) => {
                self.version += 1;
                self.pods.remove(&victim);
                self.pod_log.log.push((self.version, News::Gone(victim.clone())));
                EvictResult::Going
            }
            Some(_) => {
                self.write_pod(&victim, |p| p.terminating = true);
                EvictResult::Going
            }
        };
        self.answers.push(Event::Evicted { victim: Uid::new(&victim), preemptor: Uid::new(&preemptor), result });
    }

    /// Whoever is on the way out leaves.
    fn end_terminating(&mut self) -> bool {
        let Some(uid) = self.pods.values().find(|p| p.terminating && p.node.is_some()).map(|p| p.uid.clone()) else {
            return false;
        };
        self.version += 1;
        self.pods.remove(&uid);
        self.pod_log.log.push((self.version, News::Gone(uid)));
        true
    }

    fn write_status(&mut self, status: StatusUpdate) {
        let node = status.nominated_node_name;
        self.write_pod(status.key.uid.as_str(), |p| {
            if let Some((reason, message)) = status.condition {
                p.condition = Some((reason.as_str().to_owned(), message.as_ref().to_owned()));
            }
            if let Some(node) = node.filter(|_| p.node.is_none()) {
                p.nominated = node.map(|n| n.to_string());
            }
        });
    }

    // --- deciding ---

    fn work(&mut self, a: usize, b: usize) {
        let index = a % self.workers.len();
        let (worker, job) = &mut self.workers[index];
        // Which pod is at hand is told by the queue alone, where nobody is asked about pods that have left it.
        if job.tickets.is_empty() && b.is_multiple_of(2) && !self.asking {
            let (before, ready) = (Plain::of(&self.engine), self.ready());
            match self.engine.hand_out(self.now) {
                HandOut::Nothing => {}
                HandOut::AtHand { seq } => {
                    // Either it waits in line, or it is decided; others may have ceased to be ready, too.
                    let (queue, left) = (self.engine.queue(), self.ready());
                    let waits = ready.iter().find(|uid| queue.is_in_flight(uid)).cloned();
                    let gone = ready.into_iter().filter(|uid| waits.is_none() && !left.contains(uid));
                    self.tickets.extend(gone.chain(waits.clone()).map(|uid| (seq, uid)));
                }
                HandOut::Worker(ticket) => {
                    self.tickets.extend(pods_of(&ticket));
                    if b.is_multiple_of(4) {
                        self.engine.decide_handed_out(self.now, &ticket);
                    } else {
                        self.workers[index].1.tickets.push(ticket);
                    }
                }
            }
            return self.gather(Some(before));
        }
        if job.tickets.is_empty() {
            job.tickets = self.engine.take_work(self.now, b % 5 + 1);
            self.tickets.extend(job.tickets.iter().flat_map(pods_of));
            return self.gather(None);
        }
        if job.view.is_none() {
            job.view = Some(self.engine.view());
        } else if job.proposals.is_none() {
            let view = job.view.as_ref().expect("taken above");
            job.proposals = Some(worker.decide_batch(&self.engine.profiles(), view, &job.tickets));
        } else {
            let done = std::mem::take(job);
            let before = Plain::of(&self.engine);
            self.engine.propose(self.now, done.proposals.expect("decided above"));
            self.gather(Some(before));
        }
    }

    /// The pods that may be popped: where none is active, one that backs off is.
    fn ready(&self) -> BTreeSet<Uid> {
        let places = [Place::Active, Place::Backoff].into_iter();
        places.flat_map(|place| self.engine.queue().in_place(place)).map(|info| info.pod.key.uid.clone()).collect()
    }

    fn decide_one(&mut self) {
        let before = Plain::of(&self.engine);
        if self.mode == Mode::Direct {
            // Numbered as tickets are: one for each pod that is decided.
            let first = self.engine.queue().iter().map(|(info, _)| info.pod.key.uid.clone()).collect::<Vec<_>>();
            if self.engine.decide_next(self.now) {
                let seq = self.tickets.last().map_or(1, |(seq, _)| seq + 1);
                self.tickets.extend(first.into_iter().map(|uid| (seq, uid)));
            }
        } else {
            let tickets = self.engine.take_work(self.now, 1);
            self.tickets.extend(tickets.iter().flat_map(pods_of));
            let (view, profiles) = (self.engine.view(), self.engine.profiles());
            let proposals = self.workers[0].0.decide_batch(&profiles, &view, &tickets);
            self.engine.propose(self.now, proposals);
        }
        self.gather(Some(before));
    }

    /// Whether something was done.
    fn work_off(&mut self) -> bool {
        let before = self.tickets.len();
        if self.mode == Mode::Workers {
            let mut busy = true;
            while busy {
                busy = false;
                for index in 0..self.workers.len() {
                    if !self.workers[index].1.tickets.is_empty() || self.engine.has_work() {
                        self.work(index, 3);
                        // Who waited for a place may have one by now.
                        let waits = self.engine.waiting_to_ask() > 0 && self.engine.has_work();
                        busy |= waits || !self.workers[index].1.tickets.is_empty();
                    }
                }
            }
        } else if self.engine.has_work() {
            self.decide_one();
        }
        self.tickets.len() > before
    }

    // --- what must hold ---

    fn check(&self) {
        assert_sums(&self.engine);
        let (engine, queue) = (&self.engine, self.engine.queue());
        let line = u64::try_from(engine.line_length()).expect("few");
        let last = self.tickets.last().map_or(0, |(seq, _)| *seq);
        let in_line: BTreeSet<&Uid> =
            self.tickets.iter().rev().take_while(|(seq, _)| seq + line > last).map(|(_, uid)| uid).collect();
        if !self.gangs && !self.asking {
            assert_eq!(queue.in_flight().0, engine.line_length(), "in flight is what is in line");
        }
        for known in engine.cache().iter() {
            let uid = &known.pod.key.uid;
            let queued = queue.get(uid).is_some();
            match &known.standing {
                Standing::Pending => {
                    // Extenders are asked about pods that are in no line.
                    let popped = if self.asking { queue.is_in_flight(uid) } else { in_line.contains(uid) };
                    let somewhere = usize::from(queued) + usize::from(popped);
                    assert!(
                        somewhere == 1 || (known.pod.terminating && somewhere == 0),
                        "{uid} is lost, or twice there"
                    );
                }
                Standing::Assumed(_) => {
                    assert!(!queued, "{uid} is assumed and in the queue");
                    let known_to = [&self.under_way, &self.settled].iter().any(|set| set.contains(uid.as_str()));
                    assert!(known_to, "{uid} is assumed and nobody binds it");
                }
                _ => assert!(!queued, "{uid} is {:?} and in the queue", known.standing),
            }
            let nominated = engine.cache().table().view().nominations().node_of(uid).is_some();
            assert!(!nominated || known.node().is_none(), "{uid} counts on a node and is nominated");
        }
        for (info, _) in queue.iter() {
            let standing = engine.cache().get(&info.pod.key.uid).map(|k| &k.standing);
            assert_eq!(standing, Some(&Standing::Pending), "{} is in the queue", info.pod.key.uid);
        }
        let bindings = engine.bindings_under_way();
        assert_eq!(bindings, self.under_way.len(), "bindings under way");
    }

    /// Everything is told, done and answered, until nothing happens any more.
    pub(crate) fn drain(&mut self) {
        let (mut idle, mut rounds) = (0, 0);
        // Whoever extenders have turned away is asked about once more.
        if let Some(mut changed) = self.nth_node(0).filter(|_| self.asking) {
            changed.zone = "z".to_owned();
            self.write_node(changed);
        }
        while idle < 15 {
            rounds += 1;
            assert!(rounds < 2_000, "it never comes to rest: {:?}", self.trace.last());
            let mut busy = false;
            while self.deliver_node() || self.deliver_pod() {
                busy = true;
            }
            while self.end_terminating() {
                busy = true;
            }
            while !self.reads.is_empty() || !self.binds.is_empty() || !self.going.is_empty() || !self.answers.is_empty()
            {
                self.read(0);
                self.evict(0, 2);
                self.execute_bind(0, 1);
                self.answer(0);
                busy = true;
            }
            busy |= self.work_off();
            while !self.asks.is_empty() || !self.preempt_asks.is_empty() {
                self.extend(0, 5);
                busy = true;
            }
            self.check();
            if busy && !self.nodes.is_empty() {
                idle = 0;
            } else {
                idle += 1;
                self.now = self.now.after(Duration::from_secs(1));
                self.engine.tick(self.now);
            }
        }
        self.check_rest();
    }

    /// At rest the cache is the API server's, and whoever could be somewhere is.
    fn check_rest(&self) {
        let (engine, plain) = (&self.engine, Plain::of(&self.engine));
        assert_eq!((engine.cache().pod_counts().1, engine.line_length()), (0, 0), "assumed, in line");
        assert_eq!(engine.queue().in_flight(), (0, 0), "in flight, with the events kept");
        assert_eq!(engine.preemptions_under_way(), 0, "preemptions");
        let known: BTreeMap<String, Option<String>> =
            engine.cache().iter().map(|k| (k.pod.key.uid.to_string(), k.node().map(|n| n.to_string()))).collect();
        let real: BTreeMap<String, Option<String>> =
            self.pods.iter().map(|(uid, p)| (uid.clone(), p.node.clone())).collect();
        assert_eq!(known, real, "pods and their nodes");
        let nodes: BTreeMap<&String, _> = plain.nodes.iter().map(|(name, n)| (name, (&n.labels, &n.taints))).collect();
        let real: Vec<_> = self.nodes.values().map(Node::info).collect();
        let real: BTreeMap<&String, _> = self.nodes.keys().zip(real.iter().map(|n| (&n.labels, &n.taints))).collect();
        assert_eq!(nodes, real, "nodes");
        for (info, place) in engine.queue().iter().filter(|_| !plain.nodes.is_empty()) {
            let uid = &info.pod.key.uid;
            if let Some(gang) = info.pod.group.as_ref().map(|group| group.name.to_string()) {
                self.check_gang_at_rest(&gang, place, &info.pod, &plain);
                continue;
            }
            if place == Place::Gated {
                assert!(!info.pod.spec.scheduling_gates.is_empty(), "{uid} is gated by nothing");
                continue;
            }
            assert_eq!(place, Place::Unschedulable, "{uid}");
            for node in plain.nodes.keys() {
                assert!(plain.objection(&info.pod, node).is_some(), "{uid} could be on {node} and sleeps");
            }
        }
    }

    /// A pod of a gang waits for pods that are not there, or for room that is not there for all of them.
    fn check_gang_at_rest(&self, gang: &str, place: Place, pod: &PodInfo, plain: &Plain) {
        let uid = &pod.key.uid;
        let key = pod.group_key().expect("it is one of a gang");
        let members = || self.engine.cache().members(&key).filter(|k| !k.pod.terminating);
        let placed = members().filter(|k| k.node().is_some()).count();
        let ready: Vec<Arc<PodInfo>> = members()
            .filter(|k| k.standing == Standing::Pending && k.pod.spec.scheduling_gates.is_empty())
            .map(|k| Arc::clone(&k.pod))
            .collect();
        let complete = placed + ready.len() >= size_of(gang);
        let gated = !complete || !pod.spec.scheduling_gates.is_empty();
        assert_eq!(place, if gated { Place::Gated } else { Place::Unschedulable }, "{uid} of {gang}");
        let needed = size_of(gang).saturating_sub(placed).max(1);
        let mut plain = plain.clone();
        let mut fit = 0;
        for pod in ready.iter().filter(|_| complete) {
            let names: Vec<String> = plain.nodes.keys().cloned().collect();
            if let Some(node) = names.iter().find(|name| plain.objection(pod, name).is_none()) {
                plain.place(Arc::clone(pod), node);
                fit += 1;
            }
        }
        assert!(fit < needed, "{fit} pods of {gang} could go, {needed} have to, and they sleep");
    }
}

/// How many gangs there are.
const GANGS: usize = 6;

/// How many pods a gang has.
fn size_of(gang: &str) -> usize {
    2 + gang.bytes().map(usize::from).sum::<usize>() % 3
}

fn in_gang(pod: Pod, number: usize) -> Pod {
    let gang = format!("g{number}");
    let size = size_of(&gang).to_string();
    let pod = pod.cpu([200, 400, 700][number % 3]).priority([0, 0, 1][number / 2 % 3]);
    pod.with(|p| {
        (p.memory_bytes, p.scheduler, p.nominated) = ([0, 300][number % 2], "plimsoll", None);
        p.port = number.is_multiple_of(4).then_some(80);
        p.tolerates = (number == 3).then_some("gpu");
        p.labels = vec![("plimsoll/gang", gang), ("plimsoll/gang-size", size)];
    })
}

fn gang_of(pod: &Pod) -> Option<&str> {
    pod.labels.iter().find(|(key, _)| *key == "plimsoll/gang").map(|(_, name)| name.as_str())
}

fn pods_of(ticket: &Ticket) -> Vec<(u64, Uid)> {
    let others = ticket.gang.iter().flat_map(|gang| &gang.others);
    std::iter::once(&ticket.pod).chain(others).map(|pod| (ticket.seq, pod.key.uid.clone())).collect()
}
