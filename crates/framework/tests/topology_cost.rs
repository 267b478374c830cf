//! What counters cost, on 5,000 nodes with 50,000 pods in 500 groups. Not run by default:
//! `cargo test -p plimsoll-framework --release --test topology_cost -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap in a helper fails the test that called it")]
#![allow(dead_code, reason = "of the sketches only one is used here")]
#![allow(clippy::print_stdout, reason = "the numbers are for whoever asked for them")]
#![allow(clippy::disallowed_methods, reason = "time is what is measured, and nothing depends on it")]

mod common;
mod sketches;

use std::sync::Arc;
use std::time::Instant;

use plimsoll_framework::extensions::{BoundFilter, Extensions};
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::{Table, View};
use plimsoll_framework::verdict::Verdict;
use serde_json::json;

use sketches::spread::Spread;

const NODES: usize = 5_000;
const GROUPS: usize = 500;
const PODS: usize = 50_000;

fn pod(uid: &str, group: usize, key: &str) -> Arc<PodInfo> {
    let app = format!("app{group}");
    common::pod(&json!({
        "metadata": {"name": uid, "uid": uid, "namespace": "d", "labels": {"app": app, "tier": "web"}},
        "spec": {
            "topologySpreadConstraints": [{"maxSkew": 5, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": app}}}],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "host", "labelSelector": {"matchLabels": {"app": app}}}]}}}
    }))
}

fn filled() -> Table {
    let mut table = Table::default();
    for n in 0..NODES {
        let labels = json!({"host": format!("n{n}"), "zone": format!("z{}", n % 3)});
        table.set_node(common::node(&json!({"metadata": {"name": format!("n{n}"), "labels": labels}})));
    }
    let kinds: Vec<Arc<PodInfo>> = (0..GROUPS).map(|g| pod("kind", g, "zone")).collect();
    for p in 0..PODS {
        table.add_pod(&format!("n{}", p * 7 % NODES).into(), named(&kinds[p % GROUPS], &format!("p{p}")));
    }
    table
}

fn named(kind: &PodInfo, uid: &str) -> Arc<PodInfo> {
    let mut pod = kind.clone();
    pod.key.uid = plimsoll_framework::pod::Uid::new(uid);
    Arc::new(pod)
}

/// Microseconds for each of `times` calls.
fn micros(times: u32, mut f: impl FnMut(u32)) -> f64 {
    let begun = Instant::now();
    (0..times).for_each(&mut f);
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}

fn pass(bound: &dyn BoundFilter, view: &View) {
    let mut out = [Verdict::FITS; 64];
    view.blocks().for_each(|(first, lanes)| bound.block(view, first, lanes, &mut out));
}

#[test]
#[ignore = "it measures"]
fn costs() {
    let plugin = Extensions::of(Spread).filter().done();
    let filter = plugin.filter.as_ref().unwrap();
    let mut table = filled();
    for key in ["zone", "host"] {
        let pods: Vec<_> = (0..GROUPS).map(|g| pod("new", g, key)).collect();
        let walk = micros(5, |_| drop(filter.bind(&pods[0], table.view())));
        let first = micros(1, |_| drop(table.register(&filter.counters(&pods[0], table.view()))));
        let mut next = 0;
        let cold = micros(499, |_| {
            next += 1;
            table.register(&filter.counters(&pods[next], table.view()));
        });
        let warm = micros(500, |i| drop(table.register(&filter.counters(&pods[i as usize], table.view()))));
        let bind = micros(500, |i| drop(filter.bind(&pods[i as usize], table.view())));
        let bound = filter.bind(&pods[0], table.view()).unwrap();
        let filtering = micros(200, |_| pass(&*bound, table.view()));
        println!(
            "{key}: walk {walk:.0} us; first counter {first:.0} us, cold {cold:.1} us; \
             registered again {warm:.2} us, bound {bind:.2} us, all nodes {filtering:.1} us"
        );
    }
    println!("{} counters", table.registered());
    let kinds: Vec<Arc<PodInfo>> = (0..GROUPS).map(|g| pod("kind", g, "zone")).collect();
    let fresh: Vec<Arc<PodInfo>> = (0..20_000).map(|i| named(&kinds[i % GROUPS], &format!("x{i}"))).collect();
    let names: Vec<_> = (0..NODES).map(|n| format!("n{n}").into()).collect();
    let at = |i: u32| (i as usize, &names[i as usize * 13 % NODES]);
    let add = micros(20_000, |i| _ = table.add_pod(at(i).1, Arc::clone(&fresh[at(i).0])));
    let mut views = Vec::new();
    let viewed = micros(1_000, |i| {
        views.push(table.view().clone());
        table.remove_pod(at(i).1, &fresh[at(i).0].key.uid);
        views.clear();
    });
    let remove = micros(19_000, |i| _ = table.remove_pod(at(i + 1_000).1, &fresh[at(i + 1_000).0].key.uid));
    let relabel = micros(2_000, |i| {
        let (n, labels) = (i as usize % NODES, json!({"host": format!("n{}", i as usize % NODES), "zone": "z9"}));
        let node = common::node(&json!({"metadata": {"name": format!("n{n}"), "labels": labels}}));
        table.set_node(node);
    });
    println!(
        "pod added {add:.2} us, removed {remove:.2} us, with a view taken before {viewed:.2} us; \
         node made and relabelled {relabel:.1} us"
    );
}
