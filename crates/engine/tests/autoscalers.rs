//! What the condition `PodScheduled` says of a pod that has no node, by the cause. Cluster autoscalers add nodes for pods of
//! which it says `Unschedulable`, so it is said where another node could help, and nowhere else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test from end to end")]

mod common;

use std::sync::Arc;

use common::build::{Node, Pod, node, pod};
use common::cluster::{Cluster, log};
use common::plugins::{self, Evictor, First};
use common::profile;
use plimsoll_engine::engine::EngineSettings;
use plimsoll_engine::event::Event;
use plimsoll_engine::extender::{Extenders, NodeAnswer};
use plimsoll_engine::gang::ExtendedPodGroups;
use plimsoll_framework::cluster_event::EventResource;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::object::{KindRef, ObjectKey};
use plimsoll_framework::verdict::Code;
use serde_json::{Value, json};

/// A cluster of plugins that answer as the pods' labels say, with extenders for pods with the label `asks`. Pods of
/// priority 7 ask for what is not done.
fn cluster(nodes: &[Node]) -> Cluster {
    let log = log();
    let mut plugins = plugins::deciding();
    plugins.push(Extensions::of(Evictor).enqueue().pre_enqueue().post_filter().done());
    plugins.push(Extensions::of(First(Arc::clone(&log))).reserve().permit().pre_bind().post_bind().done());
    let mut profile = profile("plimsoll", &plugins);
    profile.set_extenders(Extenders {
        interested: Arc::new(|pod| pod.labels.get(&"asks".into()).is_some()),
        preempts: Arc::new(|_| false),
        wakes: vec![EventResource::Pod, EventResource::Node],
    });
    let admission: plimsoll_engine::engine::Admission =
        Arc::new(|pod, _, _| (pod.priority() == 7).then(|| "needs luck".to_owned()));
    let settings = EngineSettings { admission, ..EngineSettings::default() };
    Cluster::with(vec![profile], log, settings, nodes)
}

fn small() -> Cluster {
    cluster(&[node("n1")])
}

/// A pod of a gang of so many.
fn member(name: &str, size: &str) -> Pod {
    pod(name).label("plimsoll/gang", "g").label("plimsoll/gang-size", size)
}

/// A pod that names a PodGroup.
fn grouped(name: &str) -> Pod {
    pod(name).label("pod-group.scheduling.sigs.k8s.io", "g")
}

fn group(c: &mut Cluster, spec: Option<Value>) {
    let kind = KindRef::of::<ExtendedPodGroups>();
    c.tell(Event::KindServed { kind, version: Some(kind.version.into()) });
    if let Some(spec) = spec {
        let json =
            json!({"metadata": {"name": "g", "namespace": "default", "uid": "g", "generation": 1}, "spec": spec});
        let key = ObjectKey { namespace: "default".into(), name: "g".into() };
        c.tell(Event::Object { kind, key, resource_version: 1, object: Some((kind.decode)(&json).unwrap()) });
    }
}

/// The pod `p` comes, with others; and so much time passes that everything is said.
fn come(mut c: Cluster, pods: &[Pod]) -> Cluster {
    c.add(pods);
    c.decide();
    c.wait(3);
    c.decide();
    c
}

fn answered(mut c: Cluster, answer: Result<NodeAnswer, String>) -> Cluster {
    let ask = c.asks.remove(0);
    let result = answer.map(|said| ask.nodes.iter().map(|name| (name.clone(), said.clone())).collect());
    c.tell(Event::Answered { uid: ask.pod.key.uid.clone(), number: ask.number, result });
    c.decide();
    c
}

/// What is said of the pod `p` last; nothing where nothing was written.
fn said(c: &Cluster) -> Option<&'static str> {
    let of_p = c.statuses.iter().rev().filter(|status| &*status.key.name == "p");
    of_p.filter_map(|status| status.condition.as_ref()).map(|(reason, _)| reason.as_str()).next()
}

#[test]
fn unschedulable_is_said_where_another_node_could_help_and_nowhere_else() {
    let large = || pod("p").cpu(5_000);
    let asking = || pod("p").label("asks", "yes");
    let failing = |point: &'static str| pod("p").label(point, "error");
    let timed = json!({"minMember": 2, "scheduleTimeoutSeconds": 10});
    let rows: Vec<(&str, Option<&str>, Cluster)> = vec![
        // Another node could help.
        ("no node has room", Some("Unschedulable"), come(small(), &[large()])),
        ("no node is tolerated", Some("Unschedulable"), come(cluster(&[node("n1").taint("gpu")]), &[pod("p")])),
        ("there are no nodes", Some("Unschedulable"), come(cluster(&[]), &[pod("p")])),
        (
            "a node is being cleared for it",
            Some("Unschedulable"),
            come(small(), &[pod("low").cpu(900).on("n1"), pod("p").cpu(900).priority(5)]),
        ),
        (
            "the room is kept for another pod",
            Some("Unschedulable"),
            come(small(), &[pod("theirs").of("other").cpu(900).priority(5).nominated("n1"), pod("p").cpu(900)]),
        ),
        ("its gang has no room", Some("Unschedulable"), {
            come(small(), &[member("p", "2").cpu(600), member("q", "2").cpu(600)])
        }),
        ("extenders let no node pass", Some("Unschedulable"), {
            let no = NodeAnswer::Failed { code: Code::Unschedulable, reason: "no licence".to_owned() };
            answered(come(small(), &[asking()]), Ok(no))
        }),
        (
            "the node it was given cannot take it after all",
            Some("Unschedulable"),
            come(small(), &[pod("p").label("reserve-First", "refuse")]),
        ),
        // No node could.
        ("it cannot be read", Some("InvalidPodSpec"), {
            come(small(), &[pod("p").with(|p| p.fault = Some("not a quantity"))])
        }),
        ("it needs what is not done", Some("UnsupportedByPlimsoll"), come(small(), &[pod("p").priority(7)])),
        ("its gang is incomplete", Some("GangIncomplete"), come(small(), &[member("p", "3"), member("q", "3")])),
        ("its gang has no object yet", Some("GangIncomplete"), {
            let mut c = small();
            group(&mut c, None);
            come(c, &[grouped("p")])
        }),
        ("its gang contradicts itself", Some("InvalidGang"), come(small(), &[member("p", "2"), member("q", "3")])),
        ("its gang steps back for others", Some("GangTimedOut"), {
            let mut c = small();
            group(&mut c, Some(timed));
            let mut c = come(c, &[grouped("p").cpu(600), grouped("q").cpu(600)]);
            c.wait(20);
            c.wait(3);
            c
        }),
        ("its gang has lost a pod since it was tried", Some("GangIncomplete"), {
            let mut c = come(small(), &[member("p", "2").cpu(600), member("q", "2").cpu(600)]);
            assert_eq!(said(&c), Some("Unschedulable"));
            c.tell(member("q", "2").cpu(600).deleted(9));
            c.wait(3);
            c
        }),
        ("extenders could not be asked", Some("SchedulerError"), {
            answered(come(small(), &[asking()]), Err("connection refused".to_owned()))
        }),
        ("a plugin fails at Reserve", Some("SchedulerError"), come(small(), &[failing("reserve-First")])),
        ("a plugin fails at Permit", Some("SchedulerError"), come(small(), &[failing("permit-First")])),
        ("a plugin fails at PreBind", Some("SchedulerError"), come(small(), &[failing("prebind-First")])),
        ("its binding fails", Some("SchedulerError"), {
            let mut c = come(small(), &[pod("p")]);
            c.fail("p");
            c
        }),
        // The API server has said SchedulingGated when it was made, and that stays.
        ("its gates are closed", None, come(small(), &[pod("p").cpu(5_000).with(|p| p.gated = true)])),
        ("its gates are closed, and its gang is incomplete", None, {
            come(small(), &[member("p", "2").with(|p| p.gated = true)])
        }),
        // Nothing keeps it from its node.
        ("it is being bound", None, come(small(), &[pod("p")])),
        ("it waits at Permit", None, come(small(), &[pod("p").label("permit-First", "wait")])),
        ("extenders are being asked", None, come(small(), &[asking()])),
        ("it is another scheduler's", None, come(small(), &[large().of("other")])),
        ("it is being deleted", None, come(small(), &[large().with(|p| p.terminating = true)])),
    ];
    for (cause, expected, c) in rows {
        assert_eq!(said(&c), expected, "{cause}");
    }
}
