//! What was decided of late, and the cluster as it was then. That pods and nodes are taken back exactly is in
//! `cache_model`; here is the rest.

#![allow(clippy::unwrap_used, reason = "a test from end to end")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::build::{node, pod};
use common::cluster::{Cluster, log};
use common::plugins::{self, Licence};
use common::profile;
use plimsoll_engine::engine::EngineSettings;
use plimsoll_engine::event::{AnyObject, Event};
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::object::KindRef;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::View;

fn cluster(history_bytes: usize) -> Cluster {
    let log = log();
    let settings = EngineSettings { history_bytes, ..EngineSettings::default() };
    let nodes: Vec<_> = (0..4).map(|n| node(&format!("n{n}")).cpu(1_000_000)).collect();
    Cluster::with(vec![profile("plimsoll", &plugins::deciding())], log, settings, &nodes)
}

fn namespace(value: &str) -> Event {
    let labels = BTreeMap::from([("team".into(), value.into())]);
    Event::Namespace { name: "default".into(), labels: Some(Arc::new(LabelSet::from(&labels))) }
}

fn licence(version: u64) -> Event {
    let object = Some(Arc::new(version.to_string()) as AnyObject);
    Event::Object { kind: KindRef::of::<Licence>(), key: plugins::licence(), resource_version: version, object }
}

fn is(name: &str) -> impl Fn(&PodInfo) -> bool {
    move |pod| *pod.key.name == *name
}

/// The label of the namespace, the text of the object, and who is nominated for n1.
fn told(view: &View) -> (Option<String>, Option<String>, Vec<String>) {
    let labels = view.cluster().namespace_labels(&"default".into());
    let (licences, key) = (view.cluster().objects::<Licence>(), plugins::licence());
    let text = licences.get(&key.namespace, &key.name).cloned();
    let nominated = view.nominations().pods(&"n1".into()).iter().map(|pod| pod.key.name.to_string()).collect();
    (labels.and_then(|labels| labels.get(&"team".into()).map(ToString::to_string)), text, nominated)
}

#[test]
fn namespaces_objects_and_nominations_are_as_they_were() {
    let mut c = cluster(1 << 20);
    let other = pod("other").of("other").nominated("n1");
    c.tell(namespace("red"));
    c.tell(licence(1));
    c.tell(other.seen());
    c.add([&pod("first").cpu(100)]);
    c.decide();
    let as_it_was = told(&c.engine.view());
    assert_eq!(as_it_was, (Some("red".to_owned()), Some("1".to_owned()), vec!["other".to_owned()]));
    c.tell(namespace("blue"));
    c.tell(licence(2));
    c.tell(other.deleted(9));
    let (now, past) = (c.engine.view(), c.engine.cache().past());
    assert_eq!(told(&now), (Some("blue".to_owned()), Some("2".to_owned()), vec![]));
    let decision = past.decision(is("first")).unwrap();
    assert_eq!((&*decision.pod.key.name, decision.attempts, decision.at), ("first", 1, c.now));
    let then = past.table_at(decision.epoch, &now);
    assert_eq!(told(then.view()), as_it_was);
    assert!(then.view().rows().all(|row| then.view().pods(row).is_empty()), "it is not there yet");
}

#[test]
fn the_oldest_go_when_the_budget_is_used_up() {
    let mut c = cluster(256 << 10);
    for n in 0..20_000 {
        let p = pod(&format!("p{n}")).cpu(1);
        c.add([&p]);
        c.decide();
        c.tell(p.deleted(2));
    }
    let past = c.engine.cache().past();
    assert!(past.decision(is("p0")).is_none() && past.decision(is("p19999")).is_some());
    assert!(past.bytes() < 2 << 20, "{} bytes", past.bytes());
    let mut c = cluster(0);
    c.add([&pod("p").cpu(1)]);
    c.decide();
    assert_eq!((c.engine.cache().past().decision(is("p")).is_none(), c.engine.cache().past().bytes()), (true, 0));
}
