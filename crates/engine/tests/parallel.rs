//! Whatever the order in which things happen and workers decide: nothing is over-committed, lost, doubled or overtaken.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test from end to end")]

mod common;

use std::sync::Arc;

use common::build::{Node, Pod, node, pod};
use common::inspect::Plain;
use common::plugins::{self, free_percent};
use common::profile;
use common::world::{Mode, Op, World};
use plimsoll_engine::decide::TieBreak;
use plimsoll_engine::engine::EngineSettings;
use proptest::prelude::*;

fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec((0_u8..32, any::<u16>(), any::<u16>()), 1..most)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_things_is_safe(workers in 1_usize..=8, local in any::<bool>(), ops in ops(200)) {
        let mut world = World::new(Mode::Workers, workers, local);
        world.run(&ops);
        world.drain();
    }

    #[test]
    fn gangs_are_whole_in_any_order_of_things(workers in 1_usize..=4, ops in ops(200)) {
        let mut world = World::of_gangs(workers);
        world.run(&ops);
        world.drain();
    }

    #[test]
    fn pods_that_extenders_care_for_are_safe_too(
        workers in 1_usize..=4,
        gangs in any::<bool>(),
        at_once in 1_usize..=2,
        ops in ops(200),
    ) {
        let mut world = World::asking(workers, gangs, at_once);
        world.run(&ops);
        world.drain();
    }

    #[test]
    fn one_worker_decides_as_the_engine_itself(ops in ops(120)) {
        let trace = |mode| {
            let mut world = World::new(mode, 1, false);
            world.run(&ops);
            world.drain();
            world.trace
        };
        prop_assert_eq!(trace(Mode::Direct), trace(Mode::HandedOver));
    }

    #[test]
    fn decisions_in_sequence_are_those_of_a_plain_loop(
        nodes in prop::collection::vec((0_usize..3, 0_usize..3, 1_i64..4, any::<bool>()), 1..20),
        pods in prop::collection::vec((0_usize..4, 0_i32..3, 0_usize..8, 0_usize..4), 1..30),
    ) {
        let nodes: Vec<Node> = nodes.iter().enumerate().map(|(i, (cpu, zone, pods, tainted))| {
            let made = node(&format!("n{i:02}")).cpu([500, 1_000, 2_000][*cpu]).zone(["a", "b", "c"][*zone]);
            made.with(|n| (n.pods, n.taint) = (*pods, tainted.then_some("gpu")))
        }).collect();
        let pods: Vec<Pod> = pods.iter().enumerate().map(|(i, (cpu, priority, label, flags))| {
            let made = pod(&format!("p{i:02}")).cpu([0, 100, 300, 600][*cpu]).priority(*priority);
            let made = match label { 0 => made.label("apart", "x"), 1 => made.label("crowd", ""), _ => made };
            made.with(|p| (p.port, p.tolerates) = ((flags & 1 == 1).then_some(80), (flags & 2 == 2).then_some("gpu")))
        }).collect();

        let settings = EngineSettings { tie_break: TieBreak::Name, ..EngineSettings::default() };
        let profiles = vec![profile("plimsoll", &plugins::deciding())];
        let mut c = common::cluster::Cluster::with(profiles, Default::default(), settings, &nodes);
        for pod in &pods {
            // One after the other, so that their order is given.
            c.add([pod]);
            c.now = c.now.after(std::time::Duration::from_millis(1));
        }
        c.decide();
        prop_assert_eq!(c.bound(), plainly(&nodes, &pods));
    }
}

/// The same, as one would write it without a thought for speed.
fn plainly(nodes: &[Node], pods: &[Pod]) -> Vec<String> {
    let mut plain = Plain::default();
    plain.nodes.extend(nodes.iter().map(|n| (n.name.clone(), Arc::new(n.info()))));
    let mut queue: Vec<&Pod> = pods.iter().collect();
    queue.sort_by_key(|p| -p.priority);
    let mut bound = Vec::new();
    for pod in queue {
        let info = pod.shared();
        let score = |name: &String| {
            let used: i64 =
                plain.pods.values().filter(|(n, _)| n == name).map(|(_, p)| p.spec.requests.used.milli_cpu).sum();
            free_percent(plain.nodes[name].allocatable.milli_cpu, used + pod.milli_cpu)
        };
        let fits = plain.nodes.keys().filter(|name| plain.objection(&info, name).is_none());
        // The first of the best, in the order of the names.
        let best = fits.rev().max_by_key(|name| score(name)).cloned();
        if let Some(name) = best {
            bound.push(format!("{}->{name}", pod.name));
            plain.place(info, &name);
        }
    }
    bound
}
