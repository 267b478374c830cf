//! Several plugins at one extension point: who is asked, in which order, and whose word is the last.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test from end to end")]

mod common;

use std::sync::Arc;

use common::build::{node, pod};
use common::cluster::{Cluster, log};
use common::plugins::{self, Log};
use common::profile;
use plimsoll_engine::engine::EngineSettings;
use plimsoll_engine::queue::Place;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::*;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::read::WholePod;
use plimsoll_framework::verdict::{Code, PluginError, Rejection};

/// Does at each point what the pod's label of the point and its name says, and notes that it was asked.
struct Told<const N: u8>(Log);

impl<const N: u8> Told<N> {
    fn wish<'p>(&self, point: &str, pod: &'p PodInfo) -> &'p str {
        self.0.lock().unwrap().push(format!("{point} {N}"));
        pod.labels.get(&format!("{point}-{N}").into()).map_or("", |v| &**v)
    }
}

impl<const N: u8> Plugin for Told<N> {
    const NAME: &'static str = if N == 1 { "One" } else { "Two" };
}

impl<const N: u8> PreFilter for Told<N> {
    type Pod = WholePod;
    type Cluster = ();
    fn pre_filter(&self, pod: &PodInfo, (): ()) -> PreFilterVerdict {
        match self.wish("prefilter", pod) {
            "" => PreFilterVerdict::Run,
            "error" => PreFilterVerdict::Fail(broken()),
            "reject" => PreFilterVerdict::Reject(Rejection::unresolvable("never")),
            names => PreFilterVerdict::Only(names.split('_').map(Istr::new).collect()),
        }
    }
}

impl<const N: u8> PostFilter for Told<N> {
    fn post_filter(&self, pod: &PodInfo, _: &PostFilterContext<'_>) -> Result<PostFilterVerdict, PluginError> {
        let reject = |code| {
            let rejection = Rejection { code, reason: format!("{N} knows no way") };
            Ok(PostFilterVerdict::Reject { rejection, clears_nomination: false })
        };
        match self.wish("postfilter", pod) {
            "" => reject(Code::Unschedulable),
            "unresolvable" => reject(Code::UnschedulableAndUnresolvable),
            "error" => Err(broken()),
            node => Ok(PostFilterVerdict::Nominate { node: Istr::new(node), victims: Vec::new() }),
        }
    }
}

impl<const N: u8> Bind for Told<N> {
    fn bind(&self, pod: &PodInfo, _: &Istr) -> BindVerdict {
        if self.wish("bind", pod) == "skip" { BindVerdict::Skip } else { BindVerdict::Binding }
    }
}

fn broken() -> PluginError {
    PluginError { message: "broken".to_owned() }
}

/// A cluster of two nodes, and what the two plugins were asked.
fn cluster() -> (Cluster, Log) {
    let told = log();
    let plugins = [
        Extensions::of(plugins::Priority).queue_sort().done(),
        Extensions::of(plugins::Fit).enqueue().filter().done(),
        Extensions::of(plugins::MostFree).score().done(),
        Extensions::of(Told::<1>(Arc::clone(&told))).pre_filter().post_filter().bind().done(),
        Extensions::of(Told::<2>(Arc::clone(&told))).pre_filter().post_filter().bind().done(),
    ];
    let nodes = [node("n1"), node("n2").cpu(500)];
    (Cluster::with(vec![profile("plimsoll", &plugins)], log(), EngineSettings::default(), &nodes), told)
}

fn asked(told: &Log, point: &str) -> Vec<String> {
    told.lock().unwrap().iter().filter(|line| line.starts_with(point)).cloned().collect()
}

#[test]
fn pre_filters_narrow_reject_and_fail() {
    // What the two say, where the pod goes or what it is told, and how many of the two are asked.
    let rows = [
        ("", "", "p->n", 2),
        ("n2", "", "p->n2", 2),
        ("n1_n2", "n2", "p->n2", 2),
        ("gone_n2", "", "p->n2", 2),
        ("error", "", "running PreFilter plugin \"One\": broken", 1),
        ("reject", "", "0/2 nodes are available: never.", 1),
        ("", "reject", "0/2 nodes are available: never.", 2),
    ];
    for (one, two, expect, times) in rows {
        let (mut c, told) = cluster();
        let mut p = pod("p");
        for (key, value) in [("prefilter-1", one), ("prefilter-2", two)] {
            if !value.is_empty() {
                p = p.label(key, value);
            }
        }
        c.add([&p]);
        c.decide();
        let got = c.bound().pop().unwrap_or_else(|| c.condition().1.to_owned());
        assert!(got.starts_with(expect), "{one} {two}: {got}");
        let mut who = asked(&told, "prefilter");
        // For PostFilter the pod may be looked at once more.
        who.sort();
        who.dedup();
        assert_eq!(who.len(), times, "{one} {two}");
    }
}

#[test]
fn post_filters_are_asked_until_one_knows_or_ends_it() {
    let rows = [
        ("", "", None, 2),
        ("", "n1", Some("n1"), 2),
        ("n1", "n2", Some("n1"), 1),
        ("unresolvable", "n1", None, 1),
        ("error", "n1", None, 1),
    ];
    for (one, two, nominated, times) in rows {
        let (mut c, told) = cluster();
        let mut p = pod("p").cpu(5_000);
        for (key, value) in [("postfilter-1", one), ("postfilter-2", two)] {
            if !value.is_empty() {
                p = p.label(key, value);
            }
        }
        c.add([&p]);
        c.decide();
        let node = c.statuses.last().unwrap().nominated_node_name.clone().flatten();
        assert_eq!(node, nominated.map(Istr::new), "{one} {two}");
        assert_eq!(asked(&told, "postfilter").len(), times, "{one} {two}");
    }
}

#[test]
fn the_first_binder_that_does_not_skip_binds() {
    for (one, two, binds, times) in [("", "", true, 1), ("skip", "", true, 2), ("skip", "skip", false, 2)] {
        let (mut c, told) = cluster();
        let p = pod("p").label("bind-1", one).label("bind-2", two);
        c.add([&p]);
        c.decide();
        assert_eq!(c.bound().len(), usize::from(binds), "{one} {two}");
        assert_eq!(asked(&told, "bind").len(), times, "{one} {two}");
        if !binds {
            assert_eq!(c.condition(), ("SchedulerError", "every Bind plugin skipped the pod"));
            assert_eq!(c.place(&p), Some(Place::ErrorBackoff));
            assert!(c.engine.view().pods(c.engine.view().rows().next().unwrap()).is_empty(), "its place is free again");
        }
    }
}

/// The last name first.
struct Backwards;
impl Plugin for Backwards {
    const NAME: &'static str = "Backwards";
}
impl QueueSort for Backwards {
    fn less(&self, a: Queued<'_>, b: Queued<'_>) -> bool {
        a.pod.key.name > b.pod.key.name
    }
}

#[test]
fn the_order_of_the_queue_is_the_plugins() {
    let plugins = [
        Extensions::of(Backwards).queue_sort().done(),
        Extensions::of(plugins::Fit).enqueue().filter().done(),
        Extensions::of(plugins::Binder).bind().done(),
    ];
    let mut c = Cluster::with(vec![profile("plimsoll", &plugins)], log(), EngineSettings::default(), &[node("n1")]);
    c.add(&[pod("a").priority(9), pod("c"), pod("b")]);
    c.decide();
    assert_eq!(c.bound(), ["c->n1", "b->n1", "a->n1"]);
}

#[test]
fn a_node_that_shrinks_takes_no_more() {
    let (mut c, _) = cluster();
    c.add(&[pod("a").cpu(400)]);
    c.decide();
    assert_eq!(c.bound(), ["a->n1"]);
    c.tell(node("n1").cpu(600).version(2).seen());
    c.tell(node("n2").cpu(300).version(2).seen());
    c.add(&[pod("b").cpu(400)]);
    c.decide();
    assert_eq!(c.bound(), ["a->n1"], "there is room for a alone");
}
