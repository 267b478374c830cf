//! A decision by the whole default profile allocates nothing, whatever the pods say of each other, when their like was
//! decided before: from the pop to what is asked for.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test, a failed step is a failed test")]

use std::alloc::System;
use std::time::Duration;

use plimsoll::config::Config;
use plimsoll::registry::Registry;
use plimsoll_engine::effect::Effect;
use plimsoll_engine::engine::{Engine, EngineSettings};
use plimsoll_engine::event::{BindResult, Event};
use plimsoll_engine::memo::MemoSettings;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindRef, ObjectKey};
use plimsoll_framework::pod::{PodInfo, PodKey, PodParser, Uid};
use plimsoll_framework::time::Time;
use plimsoll_plugins::kinds::owners::ReplicaSet;
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Lists that are kept grow now and then: this many decisions for each allocation, at least.
const DECISIONS_EACH: usize = 10;
const GROUPS: usize = 4;
const NODES: usize = 120;
/// In each round. All pods of a group find nodes of their own.
const PODS: usize = 200;
/// In all but the last one lists may grow: a node has had as many pods before as it gets.
const ROUNDS: usize = 12;
const NOW: Time = Time::since_epoch(Duration::ZERO);

fn allocations() -> usize {
    let stats = INSTRUMENTED_SYSTEM.stats();
    stats.allocations + stats.reallocations
}

fn cluster() -> Engine {
    let profiles = Registry::default().profiles(&Config::default()).unwrap();
    // An audit makes decisions from nothing.
    let memo = MemoSettings { audit_every: 0, ..MemoSettings::default() };
    let mut engine = Engine::new(profiles, EngineSettings { memo, ..EngineSettings::default() });
    for n in 0..NODES {
        let labels =
            json!({"kubernetes.io/hostname": format!("n{n}"), "topology.kubernetes.io/zone": format!("z{}", n % 3)});
        let node = json!({"metadata": {"name": format!("n{n}"), "resourceVersion": "1", "labels": labels},
                          "status": {"allocatable": {"cpu": "32", "memory": "256Gi", "pods": "110"}}});
        let (node, faults) = NodeInfo::parse(&serde_json::from_value(node).unwrap(), &[]);
        assert!(faults.is_empty(), "{faults}");
        engine.handle(NOW, Event::Node(Box::new(node)));
    }
    for group in 0..GROUPS {
        let set = json!({"metadata": {"name": format!("set-{group}")},
                         "spec": {"selector": {"matchLabels": {"group": group.to_string()}}}});
        let kind = KindRef::of::<ReplicaSet>();
        let object = Some((kind.decode)(&set).unwrap());
        let key = ObjectKey { namespace: "default".into(), name: format!("set-{group}").into() };
        engine.handle(NOW, Event::Object { kind, key, resource_version: 1, object });
    }
    engine
}

/// From the selector of a group to the metadata and the spec of its pods.
type Said = fn(Value) -> (Value, Value);

/// What a pod of a group is like, as the rows below say it.
fn model(parser: &mut PodParser, group: usize, said: Said) -> PodInfo {
    let selector = json!({"matchLabels": {"group": group.to_string()}});
    let (metadata, mut spec) = said(selector);
    spec["schedulerName"] = "plimsoll".into();
    spec["containers"] = json!([{"name": "c", "resources": {"requests": {"cpu": "100m", "memory": "500M"}}}]);
    let mut pod = json!({"metadata": metadata, "spec": spec});
    pod["metadata"]["namespace"] = "default".into();
    pod["metadata"]["labels"] = json!({"group": group.to_string()});
    if let Some(owner) = pod["metadata"].pointer_mut("/ownerReferences/0") {
        owner["name"] = format!("set-{group}").into();
    }
    let pod = parser.parse(&serde_json::from_value(pod).unwrap());
    assert!(pod.faults.is_none());
    pod
}

fn named(model: &PodInfo, name: &str) -> PodInfo {
    let key = PodKey { namespace: model.key.namespace.clone(), name: name.into(), uid: Uid::new(name) };
    PodInfo { key, ..model.clone() }
}

/// Pods of all groups in turn arrive, are decided and bound, and those of the round before go; gives what the decisions allocated.
fn round(engine: &mut Engine, models: &[PodInfo], names: std::ops::Range<usize>) -> usize {
    for n in names.clone() {
        engine.handle(NOW, Event::Pod(Box::new(named(&models[n % models.len()], &format!("p{n}")))));
    }
    let (mut allocated, mut bound) = (0, Vec::with_capacity(names.len()));
    loop {
        let before = allocations();
        let any = engine.decide_next(NOW);
        allocated += allocations() - before;
        if !any {
            break;
        }
        while let Some(effect) = engine.poll_effect() {
            let Effect::Bind(request) = effect else { panic!("{effect:?}") };
            bound.push(request);
        }
        engine.drain_observations().for_each(drop);
    }
    assert_eq!(bound.len(), names.len());
    for request in bound {
        let mut pod = PodInfo::clone(&request.pod);
        pod.node_name = Some(request.node.clone());
        pod.resource_version += 1;
        let uid = pod.key.uid.clone();
        engine.handle(NOW, Event::BindFinished { uid, result: BindResult::Bound });
        engine.handle(NOW, Event::Pod(Box::new(pod)));
        // That they are bound is recorded.
        while engine.poll_effect().is_some() {}
    }
    for n in names.start.saturating_sub(names.len())..names.start {
        engine.handle(NOW, Event::PodDeleted { uid: Uid::new(&format!("p{n}")), resource_version: 0 });
    }
    allocated
}

// One test: what others allocate at the same time would count.
#[test]
fn whatever_pods_say_of_each_other_nothing_is_allocated() {
    const HOSTNAME: &str = "kubernetes.io/hostname";
    const ZONE: &str = "topology.kubernetes.io/zone";
    let rows: [(&str, Said); 7] = [
        ("nothing", |_| (json!({}), json!({}))),
        ("rules of spreading", |selector| {
            let rule = json!({"maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector});
            (json!({}), json!({"topologySpreadConstraints": [rule]}))
        }),
        ("the default constraints", |_| {
            let owner =
                json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "", "uid": "u", "controller": true});
            (json!({"ownerReferences": [owner]}), json!({}))
        }),
        ("affinity", |selector| {
            let term = json!({"topologyKey": ZONE, "labelSelector": selector});
            (
                json!({}),
                json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}),
            )
        }),
        ("anti-affinity", |selector| {
            let term = json!({"topologyKey": HOSTNAME, "labelSelector": selector});
            (
                json!({}),
                json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}),
            )
        }),
        ("preferences", |selector| {
            let term = json!({"weight": 7, "podAffinityTerm": {"topologyKey": HOSTNAME, "labelSelector": selector}});
            (
                json!({}),
                json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}}),
            )
        }),
        ("node affinity", |_| {
            let zones = json!({"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["z0", "z1"]}]});
            let required = json!({"nodeSelectorTerms": [zones]});
            (
                json!({}),
                json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}),
            )
        }),
    ];
    for (what, said) in rows {
        let (mut engine, mut parser) = (cluster(), PodParser::default());
        let models: Vec<PodInfo> = (0..GROUPS).map(|group| model(&mut parser, group, said)).collect();
        let rounds = (0..ROUNDS).map(|n| round(&mut engine, &models, n * PODS..(n + 1) * PODS));
        let allocated = rounds.last().unwrap_or(0);
        assert!(allocated * DECISIONS_EACH < PODS, "{what}: {allocated} allocations in {PODS} decisions");
    }
}
