//! A decision on a pod whose like was decided before allocates nothing, from the pop to what is asked for.

mod common;

use std::alloc::System;
use std::ops::Range;
use std::sync::Arc;

use common::build::{node, pod};
use common::cluster::Cluster;
use common::{plugins, profile};
use plimsoll_engine::effect::Effect;
use plimsoll_engine::engine::EngineSettings;
use plimsoll_engine::event::Event;
use plimsoll_engine::memo::MemoSettings;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::pod::{PodInfo, ScheduledCondition};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Lists that are kept grow now and then: this many decisions for each allocation, at least.
const DECISIONS_EACH: usize = 10;

fn allocations() -> usize {
    let stats = INSTRUMENTED_SYSTEM.stats();
    stats.allocations + stats.reallocations
}

fn cluster() -> Cluster {
    let plugins = [
        Extensions::of(plugins::Priority).queue_sort().done(),
        Extensions::of(plugins::Fit).enqueue().filter().done(),
        Extensions::of(plugins::MostFree).score().done(),
        Extensions::of(plugins::Binder).bind().done(),
    ];
    // An audit makes decisions from nothing.
    let memo = MemoSettings { audit_every: 0, ..MemoSettings::default() };
    let settings = EngineSettings { memo, ..EngineSettings::default() };
    let nodes: Vec<_> = (0..50).map(|i| node(&format!("n{i:02}")).with(|n| n.pods = 100)).collect();
    Cluster::with(vec![profile("plimsoll", &plugins)], Default::default(), settings, &nodes)
}

/// Pods of these numbers that are alike.
fn arrive(cluster: &mut Cluster, numbers: Range<usize>, model: &PodInfo) -> Vec<PodInfo> {
    let like = |n: usize| {
        let (spec, labels) = (Arc::clone(&model.spec), Arc::clone(&model.labels));
        PodInfo { spec, labels, ..pod(&format!("p{n}")).info() }
    };
    let pods: Vec<PodInfo> = numbers.map(like).collect();
    pods.iter().for_each(|pod| cluster.tell(Event::Pod(Box::new(pod.clone()))));
    pods
}

/// Decides everything that is ready; gives how many decisions that were, what they allocated, and what is to be done.
fn decide(cluster: &mut Cluster) -> (usize, usize, Vec<Effect>) {
    let (mut decisions, mut allocated, mut effects) = (0, 0, Vec::new());
    loop {
        let before = allocations();
        let any = cluster.engine.decide_next(cluster.now);
        allocated += allocations() - before;
        if !any {
            return (decisions, allocated, effects);
        }
        decisions += 1;
        effects.extend(std::iter::from_fn(|| cluster.engine.poll_effect()));
        cluster.engine.drain_observations().for_each(drop);
    }
}

// One test: what others allocate at the same time would count.
#[test]
fn what_is_decided_over_and_over_allocates_nothing() {
    let mut cluster = cluster();
    let model = pod("model").cpu(10).info();
    arrive(&mut cluster, 0..1_000, &model);
    decide(&mut cluster);
    arrive(&mut cluster, 1_000..2_000, &model);
    let (decisions, allocated, effects) = decide(&mut cluster);
    assert!(effects.iter().all(|effect| matches!(effect, Effect::Bind(_))) && effects.len() == 1_000);
    assert!(allocated * DECISIONS_EACH < decisions, "{allocated} allocations in {decisions} decisions that bind");

    let mut cluster = self::cluster();
    for n in 0..50 {
        cluster.tell(pod(&format!("on-n{n:02}")).cpu(500).on(&format!("n{n:02}")).seen());
    }
    let mut pods = arrive(&mut cluster, 0..1_000, &pod("model").cpu(600).info());
    let message = "0/50 nodes are available: 50 Insufficient cpu.";
    let said = |effect: &Effect| matches!(effect, Effect::Record(event) if &*event.note == message);
    assert_eq!(decide(&mut cluster).2.iter().filter(|effect| said(effect)).count(), pods.len());
    for pod in &mut pods {
        let (status, reason, message) = ("False".into(), "Unschedulable".into(), message.into());
        pod.scheduled = Some(Box::new(ScheduledCondition { status, reason, message }));
        pod.resource_version += 1;
        cluster.tell(Event::Pod(Box::new(pod.clone())));
    }
    cluster.tell(node("n00").with(|n| n.pods = 101).version(2).seen());
    let (decisions, allocated, effects) = decide(&mut cluster);
    assert!(effects.iter().all(said), "nothing else is new");
    assert_eq!((decisions, effects.len()), (pods.len(), pods.len()));
    assert!(allocated * DECISIONS_EACH < decisions, "{allocated} allocations in {decisions} decisions that do not");
}
