//! Tries of the contract, not plugins: can PodTopologySpread and InterPodAffinity be written against it, and do their
//! answers hold through an overlay? The real ones come elsewhere. Each (`sketches/spread.rs`, `sketches/affinity.rs`) is
//! compared with a second implementation (`sketches/naive.rs`) that walks the pods of a small random cluster and reads
//! the rules as they are written (reference sections 5.1 and 5.2). Left out: default constraints, the arguments, hints,
//! and empty selectors of spread constraints, which upstream counts through an overlay alone.

#![allow(clippy::unwrap_used, reason = "a failed unwrap in a helper fails the test that called it")]

mod common;
mod sketches;

use std::sync::Arc;

use plimsoll_framework::extensions::{BoundScoring, Extensions};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::{LabelSelector, Operator, Requirement};
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{Extent, Filter, Plugin};
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::read::{TopologyDomains, WholePod};
use plimsoll_framework::table::{Row, Table};
use plimsoll_framework::topology::{
    Counted, CounterSpec, Domains, NodeFilter, PodMatcher, TermKind, Topology, terms_of,
};
use plimsoll_framework::verdict::Verdict;
use proptest::prelude::*;
use serde_json::json;

use sketches::affinity::Affinity;
use sketches::clusters::{self, Change, Cluster, PodForm};
use sketches::naive;
use sketches::spread::Spread;

// The comparison.

/// The cluster with the changes really made, and the same changes as an overlay of its table.
fn imagine(cluster: &Cluster, table: &Table, changes: &[Change]) -> (Cluster, Overlay) {
    let (mut changed, mut overlay) = (cluster.clone(), Overlay::default());
    let row = |node: usize| table.row(&cluster.nodes[node].0.name).unwrap();
    for (nth, change) in changes.iter().enumerate() {
        match change {
            Change::Add(on, form) => {
                let (on, pod) = (on.index(cluster.nodes.len()), form.build(&format!("imagined{nth}")));
                overlay.add(table.view(), row(on), Arc::clone(&pod));
                changed.nodes[on].1.push(pod);
            }
            Change::Remove(on, which) => {
                let on = on.index(cluster.nodes.len());
                let pods = &mut changed.nodes[on].1;
                let alive: Vec<usize> = (0..pods.len()).filter(|p| !pods[*p].terminating).collect();
                if !alive.is_empty() {
                    overlay.remove(table.view(), row(on), pods.remove(*which.get(&alive)));
                }
            }
        }
    }
    (changed, overlay)
}

fn filters(plugin: &Extensions, pod: &PodInfo, table: &Table, overlay: &Overlay, rows: &[Row]) -> Vec<Verdict> {
    let bound = common::filter(plugin, pod, table.view());
    rows.iter().map(|r| bound.as_ref().map_or(Verdict::FITS, |b| b.one(table.view(), Some(overlay), *r))).collect()
}

fn scores(plugin: &Extensions, pod: &PodInfo, table: &Table, overlay: &Overlay, rows: &[Row]) -> Option<Vec<i64>> {
    let (view, overlay) = (table.view(), Some(overlay));
    let normalized = |raws: Vec<i64>, normalize: &dyn plimsoll_framework::extensions::Normalize| {
        let Some(extent) = Extent::of(raws.iter().copied()) else { return Vec::new() };
        raws.into_iter().map(|raw| normalize.normalize(raw, extent)).collect()
    };
    match plugin.score.as_ref().unwrap().bind(pod, view) {
        BoundScoring::Skip => None,
        BoundScoring::Zero(n) => Some(normalized(vec![0; rows.len()], &*n)),
        BoundScoring::PerNode(b) => Some(normalized(rows.iter().map(|r| b.one(view, overlay, *r)).collect(), &*b)),
        BoundScoring::OverFeasible(b) => {
            Some(normalized(b.all(view, overlay, rows).into_iter().flatten().collect(), &*b))
        }
    }
}

fn compare(cluster: &Cluster, form: &PodForm, changes: &[Change], feasible: u8) {
    let (table, pod) = (cluster.table(), form.build("incoming"));
    let (changed, overlay) = imagine(cluster, &table, changes);
    let nodes: Vec<usize> = (0..cluster.nodes.len()).collect();
    let row = |node: &usize| table.row(&cluster.nodes[*node].0.name).unwrap();
    let all: Vec<Row> = nodes.iter().map(row).collect();
    let node = |n: &usize| &*cluster.nodes[*n].0;

    let spread = Extensions::of(Spread).filter().score_over_feasible().done();
    let expect: Vec<Verdict> = nodes.iter().map(|n| naive::spread_filter(&changed, &pod, node(n))).collect();
    assert_eq!(filters(&spread, &pod, &table, &overlay, &all), expect, "spread, Filter");
    let affinity = Extensions::of(Affinity).filter().score().done();
    let expect: Vec<Verdict> = nodes.iter().map(|n| naive::affinity_filter(cluster, &changed, &pod, node(n))).collect();
    assert_eq!(filters(&affinity, &pod, &table, &overlay, &all), expect, "affinity, Filter");

    let left: Vec<usize> = nodes.iter().copied().filter(|n| feasible & (1 << n) != 0).collect();
    let rows: Vec<Row> = left.iter().map(row).collect();
    let expect = naive::spread_scores(&changed, &pod, &left);
    assert_eq!(scores(&spread, &pod, &table, &overlay, &rows), expect, "spread, Score");
    let expect = naive::affinity_scores(cluster, &changed, &pod, &left);
    assert_eq!(scores(&affinity, &pod, &table, &overlay, &rows), Some(expect), "affinity, Score");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_answer_as_the_rules_are_written(cluster in clusters::cluster(), pod in clusters::pod(), feasible: u8) {
        compare(&cluster, &pod, &[], feasible);
    }

    #[test]
    fn both_answer_through_an_overlay_as_if_it_had_happened(
        cluster in clusters::cluster(),
        pod in clusters::pod(),
        changes in clusters::changes(),
        feasible: u8,
    ) {
        compare(&cluster, &pod, &changes, feasible);
    }
}

// A topology plugin of one's own.

/// At most so many pods of the pod's own app in a zone.
struct AtMost(i64);

impl Plugin for AtMost {
    const NAME: &'static str = "AtMost";
}

impl Filter for AtMost {
    type Pod = WholePod;
    type Cluster = ();
    type Node = TopologyDomains;
    type State = CounterSpec;

    fn prepare(&self, pod: &PodInfo, (): ()) -> Option<CounterSpec> {
        let key = Istr::new("app");
        let app = pod.labels.get(&key)?.clone();
        let own_app = Requirement { key, operator: Operator::In([app].into()) };
        let matcher = PodMatcher {
            selector: Some(LabelSelector::from_requirements([own_app])),
            namespaces: [pod.key.namespace.clone()].into(),
            namespace_selector: None,
        };
        Some(CounterSpec {
            counted: Counted::Pods([matcher].into()),
            topology: Topology::Label("zone".into()),
            nodes: NodeFilter::default(),
            live_only: false,
        })
    }
    fn counters(&self, state: &CounterSpec) -> Vec<CounterSpec> {
        vec![state.clone()]
    }
    fn filter(&self, _: &CounterSpec, domains: Domains<'_>) -> Verdict {
        if domains.count(0).is_some_and(|n| n >= self.0) { Verdict::unschedulable(1) } else { Verdict::FITS }
    }
    fn reasons(&self, _: &CounterSpec, _: u32) -> Vec<String> {
        vec!["zone(s) had enough pods of this app".into()]
    }
}

#[test]
fn at_most_two_of_an_app_in_a_zone() {
    let pod = |uid: &str, app: &str| {
        common::pod(&json!({"metadata": {"name": uid, "uid": uid, "namespace": "d", "labels": {"app": app}}}))
    };
    let (web1, web2, db) = (pod("1", "web"), pod("2", "web"), pod("3", "db"));
    let bare = common::node(&json!({"metadata": {"name": "bare"}}));
    let nodes = [zoned("a1", "a"), zoned("a2", "a"), zoned("b1", "b"), bare];
    let table = common::table(&nodes, [("a1", &web1), ("a2", &db), ("b1", &web2)]);
    let row = |name: &str| table.row(&name.into()).unwrap();
    let plugin = Extensions::of(AtMost(2)).filter().done();
    let bound = common::filter(&plugin, &pod("new", "web"), table.view()).unwrap();
    let imagined = pod("4", "web");
    // Each: what is imagined, then where the pod fits: a1, a2, b1, bare.
    type Imagined<'a> = &'a [(i64, &'a str, &'a Arc<PodInfo>)];
    let rows: [(Imagined<'_>, [bool; 4]); 7] = [
        (&[], [true, true, true, true]),
        (&[(1, "a2", &imagined)], [false, false, true, true]),
        (&[(1, "b1", &imagined)], [true, true, false, true]),
        (&[(1, "a2", &imagined), (-1, "a1", &web1)], [true, true, true, true]),
        (&[(1, "a2", &imagined), (-1, "a2", &db)], [false, false, true, true]),
        (&[(1, "a2", &imagined), (-1, "a2", &imagined)], [true, true, true, true]),
        (&[(1, "bare", &imagined), (1, "bare", &web1)], [true, true, true, true]),
    ];
    let mut overlay = Overlay::default();
    for (nth, (changes, expect)) in rows.iter().enumerate() {
        overlay.clear();
        for (sign, on, pod) in *changes {
            let apply = if *sign > 0 { Overlay::add } else { Overlay::remove };
            apply(&mut overlay, table.view(), row(on), Arc::clone(pod));
        }
        let fits = ["a1", "a2", "b1", "bare"].map(|n| bound.one(table.view(), Some(&overlay), row(n)).fits());
        assert_eq!(fits, *expect, "row {nth}");
    }
    assert_eq!(bound.reasons(1), ["zone(s) had enough pods of this app"]);
}

// One row for each fault that the sketches have found.

fn zoned(name: &str, zone: &str) -> Arc<NodeInfo> {
    common::node(&json!({"metadata": {"name": name, "labels": {"zone": zone}}}))
}

fn carrier(uid: &str, kind: &str, weight: Option<i64>) -> Arc<PodInfo> {
    let term = json!({"labelSelector": {}, "topologyKey": "zone"});
    let side = match weight {
        None => json!({"requiredDuringSchedulingIgnoredDuringExecution": [term]}),
        Some(w) => json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": w, "podAffinityTerm": term}]}),
    };
    common::pod(&json!({
        "metadata": {"name": uid, "uid": uid, "namespace": "d", "labels": {"app": uid}}, "spec": {"affinity": {kind: side}}
    }))
}

/// Nobody in the cluster carries the term of the imagined pod, so no counter knows it.
#[test]
fn an_imagined_pod_brings_terms_of_its_own() {
    let table = common::table(&[zoned("n", "a")], []);
    let placed = common::pod(&json!({
        "metadata": {"name": "p", "uid": "p", "namespace": "d"},
        "spec": {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            [{"labelSelector": {"matchLabels": {"app": "nobody"}}, "topologyKey": "zone"}]}}}
    }));
    let bound = common::filter(&Extensions::of(Affinity).filter().done(), &placed, table.view()).unwrap();
    let mut overlay = Overlay::default();
    assert!(bound.one(table.view(), Some(&overlay), 0).fits());
    overlay.add(table.view(), 0, carrier("c", "podAntiAffinity", None));
    let verdict = bound.one(table.view(), Some(&overlay), 0);
    assert_eq!(verdict, Verdict::unschedulable(naive::EXISTING_ANTI_AFFINITY));
}

#[test]
fn a_weight_beyond_all_bounds_is_no_panic() {
    let far = carrier("c", "podAntiAffinity", Some(i64::from(i32::MIN)));
    assert_eq!(terms_of(&far).next().map(|(kind, _)| kind), Some(TermKind::Preferred(i32::MAX)));
}

fn web(uid: &str, min_domains: i32, deleted: Option<&str>) -> Arc<PodInfo> {
    common::pod(&json!({
        "metadata": {"name": uid, "uid": uid, "namespace": "d", "labels": {"app": "web"}, "deletionTimestamp": deleted},
        "spec": {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "minDomains": min_domains,
            "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}}]}
    }))
}

/// Upstream's quirk: a terminating pod is not counted, but taking it away in a dry run is.
#[test]
fn taking_a_terminating_pod_away_takes_one_from_the_count() {
    let (live, dying) = (web("live", 2, None), web("dying", 2, Some("2026-01-01T00:00:00Z")));
    let table = common::table(&[zoned("n", "a")], [("n", &live), ("n", &dying)]);
    let bound = common::filter(&Extensions::of(Spread).filter().done(), &web("p", 2, None), table.view()).unwrap();
    let mut overlay = Overlay::default();
    assert!(!bound.one(table.view(), Some(&overlay), 0).fits(), "one live pod and itself, where one is allowed");
    overlay.remove(table.view(), 0, dying);
    assert!(bound.one(table.view(), Some(&overlay), 0).fits());
}

#[test]
fn an_imagined_pod_moves_the_least_count() {
    let (first, second) = (web("first", 1, None), web("second", 1, None));
    let table = common::table(&[zoned("n", "a"), zoned("m", "b")], [("n", &first)]);
    let bound = common::filter(&Extensions::of(Spread).filter().done(), &web("p", 1, None), table.view()).unwrap();
    let mut overlay = Overlay::default();
    let fits = |overlay: &Overlay| [0, 1].map(|row| bound.one(table.view(), Some(overlay), row).fits());
    assert_eq!(fits(&overlay), [false, true]);
    overlay.add(table.view(), 1, Arc::clone(&second));
    assert_eq!(fits(&overlay), [true, true]);
    overlay.remove(table.view(), 0, first);
    assert_eq!(fits(&overlay), [true, false]);
}
