//! The pieces of a decision, one by one, on a thousand nodes. `make bench-pieces` runs them; `bench core` measures whole
//! decisions, on clusters of any size.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use plimsoll::config::Config;
use plimsoll::registry::Registry;
use plimsoll_engine::effect::Effect;
use plimsoll_engine::engine::{Engine, EngineSettings};
use plimsoll_engine::event::{BindResult, Event};
use plimsoll_engine::profile::Profile;
use plimsoll_engine::queue::{Queue, QueueSettings};
use plimsoll_framework::api;
use plimsoll_framework::extensions::BoundScoring;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::{PodInfo, PodParser, Uid};
use plimsoll_framework::table::Table;
use plimsoll_framework::time::Time;
use plimsoll_framework::verdict::Verdict;
use plimsoll_testkit::{node, pod};

const NODES: usize = 1_000;
const PODS: usize = 5_000;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    decode(&mut criterion);
    queue(&mut criterion);
    blocks(&mut criterion);
    table_event(&mut criterion);
    decisions(&mut criterion);
    criterion.final_summary();
}

fn parsed(number: usize, memory: usize) -> PodInfo {
    let (uid, memory) = (format!("uid-{number}"), memory.to_string());
    let pod = pod(&format!("pod-{number}")).uid(&uid).requests(&[("cpu", "100m"), ("memory", &memory)]).build();
    PodParser::default().parse(&serde_json::from_value(pod).unwrap())
}

/// A pod like another, under a name of its own.
fn like(model: &PodInfo, number: usize) -> PodInfo {
    let mut pod = model.clone();
    pod.key.name = format!("pod-{number}").into();
    pod.key.uid = Uid::new(&pod.key.name);
    pod
}

fn nodes() -> impl Iterator<Item = NodeInfo> {
    (0..NODES).map(|number| {
        let size = [("cpu", "32"), ("memory", "256Gi"), ("pods", "110")];
        let node = node(&format!("node-{number}")).allocatable(&size).build();
        NodeInfo::parse(&serde_json::from_value(node).unwrap(), &[]).0
    })
}

fn profile() -> Profile {
    Registry::default().profiles(&Config::default()).unwrap().remove(0)
}

/// A table with pods on all nodes.
fn table(model: &PodInfo) -> Table {
    let mut table = Table::default();
    for node in nodes() {
        table.set_node(Arc::new(node));
    }
    for number in 0..PODS {
        table.add_pod(&format!("node-{}", number % NODES).into(), Arc::new(like(model, number)));
    }
    table
}

fn decode(criterion: &mut Criterion) {
    let text =
        pod("web-1").uid("u").label("app", "web").requests(&[("cpu", "100m"), ("memory", "500M")]).build().to_string();
    let mut parser = PodParser::default();
    criterion.bench_function("decode a pod", |bench| {
        bench.iter(|| parser.parse(&serde_json::from_str::<api::Pod>(black_box(&text)).unwrap()));
    });
}

fn queue(criterion: &mut Criterion) {
    let (model, now) = (parsed(0, 500), Time::default());
    let mut queue = Queue::new([profile()].into(), QueueSettings::default());
    (0..1_000).for_each(|number| queue.add(now, Arc::new(like(&model, number)), 0));
    criterion.bench_function("pop one of 1,000 pods and push it again", |bench| {
        bench.iter(|| {
            let info = queue.pop().unwrap();
            queue.done(&info.pod.key.uid);
            queue.add(now, info.pod, 0);
        });
    });
}

fn blocks(criterion: &mut Criterion) {
    let model = parsed(0, 500_000_000);
    let (profile, table) = (profile(), table(&model));
    let (view, asked) = (table.view(), like(&model, PODS));
    let (first, lanes) = view.blocks().next().unwrap();
    let filter = profile.filter.iter().find(|filter| filter.name == "NodeResourcesFit").unwrap();
    let filter = filter.plugin.bind(&asked, view).unwrap();
    criterion.bench_function("filter 64 nodes by NodeResourcesFit", |bench| {
        let mut out = [Verdict::unschedulable(0); 64];
        bench.iter(|| filter.block(black_box(view), first, lanes, &mut out));
    });
    let score = profile.score.iter().find(|score| score.name == "NodeResourcesBalancedAllocation").unwrap();
    let BoundScoring::PerNode(score) = score.plugin.bind(&asked, view) else { unreachable!("it scores each node") };
    criterion.bench_function("score 64 nodes by NodeResourcesBalancedAllocation", |bench| {
        let mut out = [0; 64];
        bench.iter(|| score.block(black_box(view), first, lanes, &mut out));
    });
}

fn table_event(criterion: &mut Criterion) {
    let model = parsed(0, 500_000_000);
    let mut table = table(&model);
    let (node, pod) = ("node-7".into(), Arc::new(like(&model, PODS)));
    criterion.bench_function("a pod comes to a node and goes", |bench| {
        bench.iter(|| {
            table.add_pod(&node, Arc::clone(&pod));
            table.remove_pod(&node, &pod.key.uid)
        });
    });
}

/// An engine with pods on all nodes.
struct World {
    engine: Engine,
    now: Time,
    next: usize,
}

impl World {
    fn new(model: &PodInfo) -> Self {
        let mut engine = Engine::new(vec![profile()], EngineSettings::default());
        let now = Time::default();
        nodes().for_each(|node| engine.handle(now, Event::Node(Box::new(node))));
        for number in 0..PODS {
            let mut pod = like(model, number);
            pod.node_name = Some(format!("node-{}", number % NODES).into());
            engine.handle(now, Event::Pod(Box::new(pod)));
        }
        Self { engine, now, next: PODS }
    }

    /// How long one pod's decision takes; it is bound, and gone again.
    fn decide(&mut self, model: &PodInfo) -> Duration {
        let pod = like(model, self.next);
        let uid = pod.key.uid.clone();
        self.next += 1;
        self.engine.handle(self.now, Event::Pod(Box::new(pod)));
        let begun = Instant::now();
        self.engine.decide_next(self.now);
        let took = begun.elapsed();
        assert!(matches!(self.engine.poll_effect(), Some(Effect::Bind(_))), "every pod fits");
        self.engine.handle(self.now, Event::BindFinished { uid: uid.clone(), result: BindResult::Bound });
        self.engine.handle(self.now, Event::PodDeleted { uid, resource_version: 0 });
        while self.engine.poll_effect().is_some() {}
        drop(self.engine.drain_observations());
        took
    }
}

fn decisions(criterion: &mut Criterion) {
    let model = parsed(0, 500_000_000);
    let mut world = World::new(&model);
    criterion.bench_function("a warm decision on 1,000 nodes", |bench| {
        bench.iter_custom(|times| (0..times).map(|_| world.decide(&model)).sum());
    });
    let mut memory = 600_000_000;
    criterion.bench_function("a cold decision on 1,000 nodes", |bench| {
        bench.iter_custom(|times| {
            let cold = |_| {
                memory += 1;
                world.decide(&parsed(0, memory))
            };
            (0..times).map(cold).sum()
        });
    });
}
