//! Tries of the contract, not plugins: can PodTopologySpread and InterPodAffinity be written against it, and do their
//! answers hold through an overlay? The real ones come elsewhere. Each is compared with a second implementation below
//! that walks the pods of a small random cluster and reads the rules as they are written (reference sections 5.1 and
//! 5.2). Left out: default constraints, the arguments, hints.

#![allow(clippy::unwrap_used, reason = "a failed unwrap in a helper fails the test that called it")]

mod common;
mod sketches;

use std::collections::BTreeSet;
use std::sync::Arc;

use plimsoll_framework::extensions::{BoundScoring, Extensions};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::{LabelSelector, LabelSet, Operator, Requirement};
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{Extent, Filter, Plugin, Score, ScoreOverFeasible};
use plimsoll_framework::pod::{PodAffinityTerm, PodInfo, SpreadConstraint};
use plimsoll_framework::read::{ClusterOf, Labels, Namespaces, Of, Terms, TopologyDomains, WholePod};
use plimsoll_framework::table::{Row, Table};
use plimsoll_framework::topology::{
    Counted, CounterSpec, Domains, NodeFilter, PodMatcher, TermKind, Topology, terms_of,
};
use plimsoll_framework::verdict::Verdict;
use proptest::prelude::*;
use serde_json::json;

use sketches::clusters::{self, Change, Cluster, PodForm};
use sketches::naive;

const HOSTNAME: &str = "kubernetes.io/hostname";

/// Cut to the whole number: scores are small.
#[expect(clippy::cast_possible_truncation, reason = "there is no other way from a float to an integer")]
fn whole(x: f64) -> i64 {
    x as i64
}

fn float(n: i64) -> f64 {
    f64::from(i32::try_from(n).expect("counts in these tests are small"))
}

// PodTopologySpread.

struct Spread;

impl Plugin for Spread {
    const NAME: &'static str = "PodTopologySpread";
}

/// The constraint's selector with the pod's own values of `matchLabelKeys`.
fn selector(pod: &PodInfo, c: &SpreadConstraint) -> Option<LabelSelector> {
    let own = c.match_label_keys.iter().filter_map(|key| {
        let value = pod.labels.get(key)?.clone();
        Some(Requirement { key: key.clone(), operator: Operator::In([value].into()) })
    });
    let written = c.selector.as_ref()?.requirements().iter().cloned();
    Some(LabelSelector::from_requirements(written.chain(own)))
}

/// What one constraint counts. A selector without requirements counts nothing, although it selects the pod itself.
fn counter(pod: &PodInfo, c: &SpreadConstraint, keys: &[Istr]) -> CounterSpec {
    let selector = selector(pod, c).filter(|s| !s.is_empty());
    let namespaces = [pod.key.namespace.clone()].into();
    let by_node = !c.hard && &*c.topology_key == HOSTNAME;
    let nodes = NodeFilter {
        keys: keys.into(),
        affinity: c.honor_node_affinity.then(|| pod.spec.node_affinity.clone()),
        tolerations: c.honor_node_taints.then(|| pod.spec.tolerations.clone()),
    };
    CounterSpec {
        counted: Counted::Pods([PodMatcher { selector, namespaces, namespace_selector: None }].into()),
        topology: if by_node { Topology::Node } else { Topology::Label(c.topology_key.clone()) },
        nodes: if by_node { NodeFilter::default() } else { nodes },
        live_only: true,
    }
}

fn counters(pod: &PodInfo, hard: bool) -> Vec<CounterSpec> {
    let of_kind = || pod.spec.spread.iter().filter(|c| c.hard == hard);
    let keys: Vec<Istr> = of_kind().map(|c| c.topology_key.clone()).collect();
    of_kind().map(|c| counter(pod, c, &keys)).collect()
}

#[derive(PartialEq)]
struct Rule {
    max_skew: i64,
    min_domains: usize,
    self_match: i64,
}

impl Filter for Spread {
    type Pod = WholePod;
    type Cluster = ();
    type Node = TopologyDomains;
    type State = (Vec<Rule>, Vec<CounterSpec>);

    fn prepare(&self, pod: &PodInfo, (): ()) -> Option<Self::State> {
        let rules = pod.spec.spread.iter().filter(|c| c.hard).map(|c| Rule {
            max_skew: c.max_skew.into(),
            min_domains: usize::try_from(c.min_domains).unwrap_or(0),
            self_match: selector(pod, c).is_some_and(|s| s.matches(&pod.labels)).into(),
        });
        let rules: Vec<Rule> = rules.collect();
        (!rules.is_empty()).then(|| (rules, counters(pod, true)))
    }

    fn counters(&self, state: &Self::State) -> Vec<CounterSpec> {
        state.1.clone()
    }

    fn filter(&self, (rules, _): &Self::State, domains: Domains<'_>) -> Verdict {
        for (nth, rule) in rules.iter().enumerate() {
            let Some(count) = domains.count(nth) else { return Verdict::unresolvable(naive::MISSING_LABEL) };
            let too_few = domains.domains(nth) < rule.min_domains;
            let least = if too_few { 0 } else { domains.least(nth).unwrap_or(naive::NO_DOMAIN) };
            if count + rule.self_match - least > rule.max_skew {
                return Verdict::unschedulable(naive::SKEW);
            }
        }
        Verdict::FITS
    }

    fn reasons(&self, _: &Self::State, _: u32) -> Vec<String> {
        Vec::new()
    }
}

/// Key and maximal skew of each soft constraint.
type Soft = Vec<(Istr, i64)>;

/// Weights, and least and greatest raw score of the nodes that are not ignored.
struct OverFeasible {
    weights: Vec<f64>,
    extent: Option<Extent>,
}

fn raw(soft: &Soft, weights: &[f64], terms: &[(Istr, i64)]) -> i64 {
    let each = soft.iter().zip(weights).zip(terms).map(|(((_, skew), w), (_, n))| float(*n) * w + float(skew - 1));
    whole(each.sum::<f64>().round())
}

impl ScoreOverFeasible for Spread {
    type Pod = WholePod;
    type Cluster = ();
    type Node = (Labels, TopologyDomains);
    type State = (Soft, Vec<CounterSpec>);
    /// By constraint the node's label and the count; `None` for a node without all of the labels, which is ignored.
    type Terms = Option<Vec<(Istr, i64)>>;
    type Scalars = OverFeasible;

    fn prepare(&self, pod: &PodInfo, (): ()) -> Option<Self::State> {
        let soft = pod.spec.spread.iter().filter(|c| !c.hard);
        let soft: Soft = soft.map(|c| (c.topology_key.clone(), c.max_skew.into())).collect();
        (!soft.is_empty()).then(|| (soft, counters(pod, false)))
    }

    fn counters(&self, state: &Self::State) -> Vec<CounterSpec> {
        state.1.clone()
    }

    fn terms(&self, (soft, _): &Self::State, (labels, domains): Of<'_, Self::Node>) -> Self::Terms {
        let term = |(nth, (key, _)): (usize, &(Istr, i64))| Some((labels.get(key)?.clone(), domains.count(nth)?));
        soft.iter().enumerate().map(term).collect()
    }

    fn scalars<'t>(
        &self,
        (soft, _): &Self::State,
        feasible: impl Iterator<Item = &'t Self::Terms> + Clone,
    ) -> OverFeasible {
        let feasible = feasible.flatten();
        let size = |(nth, (key, _)): (usize, &(Istr, i64))| match &**key {
            HOSTNAME => feasible.clone().count(),
            _ => feasible.clone().map(|terms| &terms[nth].0).collect::<BTreeSet<_>>().len(),
        };
        let weight = |size: usize| float(i64::try_from(size + 2).unwrap()).ln();
        let weights: Vec<f64> = soft.iter().enumerate().map(size).map(weight).collect();
        let extent = Extent::of(feasible.map(|terms| raw(soft, &weights, terms)));
        OverFeasible { weights, extent }
    }

    /// The score itself: `normalize` is not told which nodes are ignored, and they must not move the extent.
    fn combine(&self, (soft, _): &Self::State, over: &OverFeasible, terms: &Self::Terms) -> i64 {
        let (Some(terms), Some(Extent { min, max })) = (terms, over.extent) else { return 0 };
        if max == 0 { 100 } else { 100 * (max + min - raw(soft, &over.weights, terms)) / max }
    }

    fn normalize(&self, raw: i64, _: Extent) -> i64 {
        raw
    }
}

// InterPodAffinity.

struct Affinity;

impl Plugin for Affinity {
    const NAME: &'static str = "InterPodAffinity";
}

fn near(matchers: Box<[PodMatcher]>, term: &PodAffinityTerm) -> CounterSpec {
    let topology = Topology::Label(term.topology_key.clone());
    CounterSpec { counted: Counted::Pods(matchers), topology, nodes: NodeFilter::default(), live_only: false }
}

fn carriers(kind: TermKind, term: &PodAffinityTerm) -> CounterSpec {
    CounterSpec { counted: Counted::Carriers(kind, term.clone()), ..near([].into(), term) }
}

/// Whom existing pods' terms are matched against, and those terms of pods on nodes that select it.
#[derive(PartialEq)]
struct Selected {
    namespace: Istr,
    labels: Arc<LabelSet>,
    known: Vec<(TermKind, PodAffinityTerm)>,
}

impl Selected {
    fn new(pod: &PodInfo, terms: ClusterOf<'_, Terms>, kinds: impl Fn(TermKind) -> bool) -> Self {
        let mut known = terms.selecting(pod);
        known.retain(|(kind, _)| kinds(*kind));
        Self { namespace: pod.key.namespace.clone(), labels: Arc::clone(&pod.labels), known }
    }
    fn counters(&self) -> impl Iterator<Item = CounterSpec> {
        self.known.iter().map(|(kind, term)| carriers(*kind, term))
    }
    /// The terms that are known as counters from `first` on, then those of imagined pods.
    fn terms<'a>(&'a self, domains: Domains<'a>, first: usize) -> impl Iterator<Item = (TermKind, i64)> + 'a {
        let known = self.known.iter().enumerate();
        let known = known.map(move |(nth, (kind, _))| (*kind, domains.count(first + nth).unwrap_or(0)));
        known.chain(domains.imagined_terms(&self.namespace, &self.labels, &self.known))
    }
}

#[derive(PartialEq)]
struct Required {
    /// The first counters are of the required terms, the next ones of the anti-affinity terms, then of `existing`.
    terms: usize,
    anti_terms: usize,
    existing: Selected,
    self_match: bool,
    specs: Vec<CounterSpec>,
}

impl Filter for Affinity {
    type Pod = WholePod;
    type Cluster = (Terms, Namespaces);
    type Node = TopologyDomains;
    type State = Required;

    fn prepare(&self, pod: &PodInfo, (terms, namespaces): ClusterOf<'_, Self::Cluster>) -> Option<Required> {
        let own = &pod.spec.pod_affinity;
        let existing = Selected::new(pod, terms, |kind| kind == TermKind::AntiRequired);
        if own.required.is_empty() && own.anti_required.is_empty() && existing.known.is_empty() {
            return None;
        }
        let all: Box<[PodMatcher]> = own.required.iter().map(PodMatcher::from).collect();
        let specs = own.required.iter().map(|t| near(all.clone(), t));
        let specs = specs.chain(own.anti_required.iter().map(|t| near([PodMatcher::from(t)].into(), t)));
        let self_match = all.iter().all(|m| namespaces.matched(pod, m));
        Some(Required {
            terms: own.required.len(),
            anti_terms: own.anti_required.len(),
            specs: specs.chain(existing.counters()).collect(),
            existing,
            self_match,
        })
    }

    fn counters(&self, state: &Required) -> Vec<CounterSpec> {
        state.specs.clone()
    }

    fn filter(&self, state: &Required, domains: Domains<'_>) -> Verdict {
        let anti = state.terms..state.terms + state.anti_terms;
        let counts: Option<Vec<i64>> = (0..state.terms).map(|nth| domains.count(nth)).collect();
        // The first of a group of pods that want to be together may be anywhere.
        let first = || state.self_match && (0..state.terms).all(|nth| domains.total(nth) == 0);
        if !counts.is_some_and(|counts| counts.iter().all(|n| *n > 0) || first()) {
            return Verdict::unresolvable(naive::AFFINITY);
        }
        if anti.clone().any(|nth| domains.count(nth).is_some_and(|n| n > 0)) {
            return Verdict::unschedulable(naive::ANTI_AFFINITY);
        }
        let existing = state.existing.terms(domains, anti.end).filter(|(kind, _)| *kind == TermKind::AntiRequired);
        if existing.map(|(_, n)| n).sum::<i64>() > 0 {
            return Verdict::unschedulable(naive::EXISTING_ANTI_AFFINITY);
        }
        Verdict::FITS
    }

    fn reasons(&self, _: &Required, _: u32) -> Vec<String> {
        Vec::new()
    }
}

/// Weights of the pod's own preferred terms, then what others say of it.
type Preferred = (Vec<i64>, Selected, Vec<CounterSpec>);

fn weight(kind: TermKind) -> i64 {
    match kind {
        TermKind::Required => 1,
        TermKind::Preferred(weight) => weight.into(),
        TermKind::AntiRequired => 0,
    }
}

impl Score for Affinity {
    const NORMALIZED: bool = true;
    type Pod = WholePod;
    type Cluster = Terms;
    type Node = TopologyDomains;
    type State = Preferred;

    fn prepare(&self, pod: &PodInfo, terms: ClusterOf<'_, Terms>) -> Option<Preferred> {
        let own = &pod.spec.pod_affinity;
        let signed = own.preferred.iter().map(|t| (1, t)).chain(own.anti_preferred.iter().map(|t| (-1, t)));
        let existing = Selected::new(pod, terms, |kind| weight(kind) != 0);
        let weights: Vec<i64> = signed.clone().map(|(sign, t)| sign * i64::from(t.weight)).collect();
        let specs = signed.map(|(_, t)| near([PodMatcher::from(&t.term)].into(), &t.term));
        let specs: Vec<_> = specs.chain(existing.counters()).collect();
        (!specs.is_empty()).then_some((weights, existing, specs))
    }

    fn counters(&self, state: &Preferred) -> Vec<CounterSpec> {
        state.2.clone()
    }

    fn score(&self, (weights, existing, _): &Preferred, domains: Domains<'_>) -> i64 {
        let own = weights.iter().enumerate().map(|(nth, weight)| weight * domains.count(nth).unwrap_or(0));
        let others = existing.terms(domains, weights.len()).map(|(kind, n)| weight(kind) * n);
        own.chain(others).sum()
    }

    fn normalize(&self, raw: i64, Extent { min, max }: Extent) -> i64 {
        if max == min { 0 } else { whole(100.0 * (float(raw - min) / float(max - min))) }
    }
}

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
        raws.into_iter().map(|raw| normalize.normalize(raw, extent).unwrap()).collect()
    };
    match plugin.score.as_ref().unwrap().bind(pod, view) {
        BoundScoring::Skip => None,
        BoundScoring::Zero(n) => Some(normalized(vec![0; rows.len()], &*n)),
        BoundScoring::PerNode(b) => Some(normalized(rows.iter().map(|r| b.one(view, overlay, *r)).collect(), &*b)),
        BoundScoring::OverFeasible(b) => Some(normalized(b.all(view, overlay, rows), &*b)),
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
