//! The cache and the node table against a model, under events that need not make sense together: any version of any
//! object at any time, lists that lag, answers to bindings in any order.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test from end to end")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::build::{Node, Pod, node, pod};
use common::inspect::assert_sums;
use common::plugins::deciding;
use common::{at, profile};
use plimsoll_engine::cache::Standing;
use plimsoll_engine::effect::Effect;
use plimsoll_engine::engine::{Engine, EngineSettings};
use plimsoll_engine::event::{BindResult, Event};
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::Uid;
use plimsoll_framework::resources::Resources;
use plimsoll_framework::table::View;
use plimsoll_framework::toleration::Taint;
use proptest::prelude::*;

/// A pod as the model knows it.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    version: u64,
    /// Where it counts, and whether that is only assumed.
    on: Option<(String, bool)>,
}

struct Test {
    engine: Engine,
    pods: BTreeMap<String, Known>,
    /// Pods that are gone, with the version at which they went.
    gone: BTreeMap<String, u64>,
    nodes: BTreeMap<String, Node>,
    binding: BTreeSet<String>,
    reads: BTreeSet<String>,
    /// The cluster as each pod was decided on it, and as it was after every step since the first of them.
    past: Vec<(Option<Uid>, View)>,
}

/// What is told of nodes: labels and taints, the pods on them, and what those take up.
type Shown = BTreeMap<String, (LabelSet, Box<[Taint]>, BTreeSet<String>, Resources)>;

fn shown(view: &View) -> Shown {
    let nodes = view.rows().map(|row| (view.node(row).unwrap(), row));
    let pods = |row| view.pods(row).iter().map(|pod| pod.key.uid.to_string()).collect();
    let told = |(node, row): (&Arc<NodeInfo>, _)| {
        (node.name.to_string(), (node.labels.clone(), node.taints.clone(), pods(row), view.requested(row)))
    };
    nodes.map(told).collect()
}

const PODS: usize = 16;
const NODES: usize = 5;

impl Test {
    fn new() -> Self {
        let engine = Engine::new(vec![profile("plimsoll", &deciding())], EngineSettings::default());
        let (pods, gone, nodes) = Default::default();
        Self { engine, pods, gone, nodes, binding: BTreeSet::new(), reads: BTreeSet::new(), past: Vec::new() }
    }

    fn step(&mut self, kind: u8, a: usize, b: usize) {
        match kind {
            0..=5 => self.pod_seen(a, b),
            6 => self.pod_deleted(a, b),
            7 => self.pods_listed(a, b),
            8 => self.pod_absent(a),
            9 | 10 => self.node_seen(a, b),
            11 => self.node_deleted(a),
            12 => self.nodes_listed(a),
            13..=15 => self.decide(),
            _ => self.bind_finished(a, b),
        }
        if !self.past.is_empty() {
            self.past.push((None, self.engine.view()));
        }
    }

    /// What was noted leads back to every one of the views.
    fn look_back(&self) {
        let (past, now) = (self.engine.cache().past(), self.engine.view());
        for (decided, view) in &self.past {
            assert_eq!(shown(past.table_at(view.epoch(), &now).view()), shown(view), "at {}", view.epoch());
            if let Some(uid) = decided {
                assert!(past.decision(|pod| pod.key.uid == *uid).is_some_and(|d| d.epoch >= view.epoch()));
            }
        }
    }

    fn tell(&mut self, event: Event) {
        self.engine.handle(at(0), event);
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Bind(_) => panic!("nobody decided"),
                Effect::ReadPod(key) => drop(self.reads.insert(key.uid.to_string())),
                _ => {}
            }
        }
    }

    fn pod_seen(&mut self, a: usize, b: usize) {
        let version = u64::try_from(b % 24).unwrap();
        // A UID does not come back: what is still said of it is old.
        let last = self.gone.get(&format!("uid-p{}", a % PODS)).filter(|at| **at > 0);
        let version = last.map_or(version, |at| version.clamp(1, *at));
        let made = pod(&format!("p{}", a % PODS)).version(version).cpu([0, 100, 300][b / 24 % 3]);
        let made: Pod = made.with(|p| {
            p.port = (b / 72).is_multiple_of(3).then_some(80);
            p.terminating = (a / 32).is_multiple_of(8);
            p.finished = a / 32 % 8 == 1;
            p.scheduler = if a / 32 % 8 == 2 { "other" } else { "plimsoll" };
            // n5 to n7 are nodes that nobody ever tells of.
            p.node = (a / 256).is_multiple_of(3).then(|| format!("n{}", a / 768 % (NODES + 3)));
            p.labels = vec![("apart", ["x", "y"][b / 216 % 2].to_owned())];
        });
        self.tell(made.seen());
        let uid = made.uid.clone();
        let known = self.pods.get(&uid).cloned();
        let old = match &known {
            Some(known) => version != 0 && version <= known.version,
            None => version != 0 && self.gone.get(&uid).is_some_and(|at| *at >= version),
        };
        if old {
            return;
        }
        if made.finished {
            // The version 0 is none that can be compared.
            return self.goes(&uid, version);
        }
        let on = match (made.node, known.and_then(|k| k.on)) {
            (Some(node), _) => Some((node, false)),
            // There is no way back from a node.
            (None, Some((_, false))) => return,
            (None, Some((node, true))) => (!made.terminating).then_some((node, true)),
            (None, None) => None,
        };
        self.pods.insert(uid, Known { version, on });
    }

    fn goes(&mut self, uid: &str, version: u64) {
        let known = self.pods.get(uid).map(|k| k.version);
        if version != 0 && known.is_some_and(|known| version < known) {
            return;
        }
        self.pods.remove(uid);
        let at = self.gone.entry(uid.to_owned()).or_default();
        *at = version.max(known.unwrap_or(0)).max(*at);
    }

    fn pod_deleted(&mut self, a: usize, b: usize) {
        let (uid, version) = (format!("uid-p{}", a % PODS), u64::try_from(b % 24).unwrap());
        self.tell(Event::PodDeleted { uid: Uid::new(&uid), resource_version: version });
        self.goes(&uid, version);
    }

    fn pods_listed(&mut self, a: usize, b: usize) {
        let listed = |i: &usize| a >> (i % 16) & 1 == 1;
        let present: BTreeSet<String> = (0..PODS).filter(listed).map(|i| format!("uid-p{i}")).collect();
        let version = u64::try_from(b % 24).unwrap();
        self.reads.clear();
        let uids = present.iter().map(|uid| Uid::new(uid)).collect();
        self.tell(Event::PodsListed { present: uids, resource_version: version });
        let missing: Vec<(String, Known)> =
            self.pods.iter().filter(|(uid, _)| !present.contains(*uid)).map(|(u, k)| (u.clone(), k.clone())).collect();
        let mut asked = BTreeSet::new();
        for (uid, known) in missing {
            if known.version > version || known.on.is_some_and(|(_, assumed)| assumed) {
                asked.insert(uid);
            } else {
                self.goes(&uid, version);
            }
        }
        assert_eq!(self.reads, asked, "pods that are asked for by name");
    }

    fn pod_absent(&mut self, a: usize) {
        let absent = pod(&format!("p{}", a % PODS));
        self.tell(Event::PodAbsent { key: absent.info().key });
        self.goes(&absent.uid, u64::MAX);
    }

    fn node_seen(&mut self, a: usize, b: usize) {
        let version = u64::try_from(b % 24).unwrap();
        let mut made = node(&format!("n{}", a % NODES)).version(version).zone(["a", "b"][b / 24 % 2]);
        made.taint = (b / 48).is_multiple_of(4).then_some("gpu");
        made.ready = (a / NODES).is_multiple_of(2);
        self.tell(made.seen());
        let newer = |known: &Node| version == 0 || version > known.version;
        if self.nodes.get(&made.name).is_none_or(newer) {
            self.nodes.insert(made.name.clone(), made);
        }
    }

    fn node_deleted(&mut self, a: usize) {
        let name = format!("n{}", a % NODES);
        self.tell(Event::NodeDeleted { name: name.as_str().into() });
        self.nodes.remove(&name);
    }

    fn nodes_listed(&mut self, a: usize) {
        let listed = |i: &usize| a >> i & 1 == 1;
        let present: BTreeSet<String> = (0..NODES).filter(listed).map(|i| format!("n{i}")).collect();
        self.tell(Event::NodesListed { present: present.iter().map(|n| n.as_str().into()).collect() });
        self.nodes.retain(|name, _| present.contains(name));
    }

    fn decide(&mut self) {
        let before = self.engine.view();
        self.engine.decide_next(at(0));
        while let Some(effect) = self.engine.poll_effect() {
            if let Effect::Bind(request) = effect {
                let uid = request.pod.key.uid.to_string();
                let known = self.pods.get_mut(&uid).expect("only what is known is placed");
                assert_eq!(known.on.replace((request.node.to_string(), true)), None, "{uid} was on a node");
                assert!(self.nodes.contains_key(request.node.as_str()), "{} is a node", request.node);
                assert!(self.binding.insert(uid), "{} is being bound already", request.pod.key);
                self.past.push((Some(request.pod.key.uid.clone()), before.clone()));
            }
        }
    }

    fn bind_finished(&mut self, a: usize, b: usize) {
        // Of any pod, whether it is being bound or not.
        let uid = format!("uid-p{}", a % PODS);
        let result = match b % 3 {
            0 => BindResult::Bound,
            1 => BindResult::Failed { message: "no".to_owned() },
            _ => BindResult::Gone,
        };
        let failed = result != BindResult::Bound;
        self.tell(Event::BindFinished { uid: Uid::new(&uid), result });
        if self.binding.remove(&uid)
            && failed
            && let Some(known) = self.pods.get_mut(&uid)
        {
            known.on = known.on.take().filter(|(_, assumed)| !assumed);
        }
    }

    fn check(&self) {
        assert_sums(&self.engine);
        let known = |k: &plimsoll_engine::cache::Known| Known {
            version: k.pod.resource_version,
            on: k.node().map(|node| (node.to_string(), matches!(k.standing, Standing::Assumed(_)))),
        };
        let pods: BTreeMap<String, Known> =
            self.engine.cache().iter().map(|k| (k.pod.key.uid.to_string(), known(k))).collect();
        assert_eq!(pods, self.pods);
        let view = self.engine.view();
        let nodes: BTreeMap<String, _> = view
            .rows()
            .map(|row| view.node(row).unwrap())
            .map(|n| (n.name.to_string(), (n.labels.clone(), n.taints.clone(), n.conditions.clone())))
            .collect();
        let expected: BTreeMap<String, _> = self
            .nodes
            .iter()
            .map(|(name, n)| (name.clone(), n.info()))
            .map(|(name, n)| (name, (n.labels, n.taints, n.conditions)))
            .collect();
        assert_eq!(nodes, expected);
        assert_eq!(self.engine.bindings_under_way(), self.binding.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_cache_is_its_model(ops in prop::collection::vec((0_u8..20, any::<u16>(), any::<u16>()), 1..150)) {
        let mut test = Test::new();
        for (kind, a, b) in ops {
            test.step(kind, a.into(), b.into());
            test.check();
        }
        test.look_back();
    }
}
