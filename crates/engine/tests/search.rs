//! How far feasible nodes are looked for (reference section 9.2).

#![allow(clippy::unwrap_used, reason = "a test from end to end")]

mod common;

use std::collections::BTreeSet;

use common::build::{node, pod};
use common::cluster::Cluster;
use common::{plugins, profile};
use plimsoll_engine::decide::{Outcome, Worker};
use plimsoll_engine::engine::EngineSettings;
use plimsoll_engine::profile::Profile;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::pod::PodInfo;

fn with(percentage: u8) -> Profile {
    let mut profile = profile("plimsoll", &plugins::deciding());
    profile.percentage_of_nodes_to_score = percentage;
    profile
}

/// 300 nodes of 1000m, of which the first `full` have no room.
fn cluster(full: usize) -> Cluster {
    let nodes: Vec<_> = (0..300).map(|i| node(&format!("n{i:03}")).cpu(if i < full { 10 } else { 1_000 })).collect();
    Cluster::with(vec![with(100)], Default::default(), EngineSettings::default(), &nodes)
}

fn chosen(cluster: &Cluster, profile: &Profile, pod: &PodInfo, draw: u64) -> Outcome {
    let view = cluster.engine.view();
    Worker::default().decide(profile, &view, &Overlay::default(), pod, draw)
}

#[test]
fn a_share_of_the_nodes_is_enough() {
    // One node is better than all others: it has the most room.
    let mut cluster = cluster(0);
    cluster.tell(node("n299").cpu(8_000).version(9).seen());
    let asked = pod("p").cpu(100).info();
    let found = |profile: &Profile| {
        let is_best = |draw: &u64| match chosen(&cluster, profile, &asked, *draw) {
            Outcome::Node { node, .. } => *node == *"n299",
            other => panic!("{other:?}"),
        };
        (0..200).filter(is_best).count()
    };
    assert_eq!(found(&with(100)), 200, "every node is looked at");
    // A third of the nodes: the best is among them about as often.
    let some = found(&with(34));
    assert!((20..140).contains(&some), "{some} of 200");
    assert_eq!(found(&with(99)), found(&with(99)), "the same draws look at the same nodes");
}

#[test]
fn whoever_fits_somewhere_finds_it() {
    let cluster = cluster(299);
    let profile = with(1);
    let asked = pod("p").cpu(500).info();
    let places: BTreeSet<String> = (0..50)
        .map(|draw| match chosen(&cluster, &profile, &asked, draw) {
            Outcome::Node { node, score, .. } => {
                assert_eq!(score, None, "it is the only one");
                node.to_string()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(places, ["n299".to_owned()].into());
    let nowhere = chosen(&cluster, &profile, &pod("q").cpu(5_000).info(), 0);
    let Outcome::Unfit(diagnosis) = nowhere else { panic!("{nowhere:?}") };
    assert_eq!(diagnosis.reasons.values().sum::<usize>(), 300, "every node was asked: {diagnosis:?}");
}

#[test]
fn a_hundred_nodes_are_always_looked_at() {
    let nodes: Vec<_> = (0..99).map(|i| node(&format!("n{i:02}")).cpu(if i == 98 { 8_000 } else { 1_000 })).collect();
    let cluster = Cluster::with(vec![with(1)], Default::default(), EngineSettings::default(), &nodes);
    for draw in 0..50 {
        let outcome = chosen(&cluster, &with(1), &pod("p").cpu(100).info(), draw);
        assert!(matches!(&outcome, Outcome::Node { node, .. } if **node == *"n98"), "{outcome:?}");
    }
}
