//! InterPodAffinity (reference section 5.2).

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::{PodAffinityTerm, PodInfo};

use super::spread::whole;
use super::{Cluster, Delta, value};

pub(crate) const AFFINITY: &str = "node(s) didn't match pod affinity rules";
pub(crate) const ANTI_AFFINITY: &str = "node(s) didn't match pod anti-affinity rules";
pub(crate) const EXISTING_ANTI_AFFINITY: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

fn selects(term: &PodAffinityTerm, pod: &PodInfo) -> bool {
    term.selector.as_ref().is_some_and(|s| s.matches(&pod.labels))
}

/// Whether a term of the pod that is placed selects an existing one (or itself): its namespace selector is resolved into
/// names, and asked once more about no labels at all.
fn incoming(cluster: &Cluster, term: &PodAffinityTerm, other: &PodInfo) -> bool {
    let mut names: BTreeSet<&str> = term.namespaces.iter().map(|n| &**n).collect();
    if let Some(selector) = &term.namespace_selector {
        names.extend(cluster.namespaces.iter().filter(|(_, labels)| selector.matches(labels)).map(|(name, _)| &**name));
        if selector.matches(&LabelSet::default()) {
            return selects(term, other);
        }
    }
    names.contains(&*other.key.namespace) && selects(term, other)
}

/// Whether a term of an existing pod selects the one that is placed.
fn existing(cluster: &Cluster, term: &PodAffinityTerm, pod: &PodInfo) -> bool {
    let labels = cluster.namespaces.get(&pod.key.namespace).cloned().unwrap_or_default();
    let selected = term.namespace_selector.as_ref().is_some_and(|s| s.matches(&labels));
    (term.namespaces.contains(&pod.key.namespace) || selected) && selects(term, pod)
}

/// Counts by label and value. What comes to nothing is not there.
#[derive(Default)]
struct Pairs<'c>(BTreeMap<(&'c str, &'c str), i64>);

impl<'c> Pairs<'c> {
    fn enter(&mut self, term: &'c PodAffinityTerm, node: &'c NodeInfo, n: i64) {
        if let Some(value) = value(node, &term.topology_key) {
            let pair = (&*term.topology_key, value);
            *self.0.entry(pair).or_default() += n;
            if self.0[&pair] == 0 {
                self.0.remove(&pair);
            }
        }
    }

    fn of(&self, term: &PodAffinityTerm, node: &NodeInfo) -> i64 {
        let pair = value(node, &term.topology_key).map(|v| (&*term.topology_key, v));
        pair.and_then(|pair| self.0.get(&pair)).copied().unwrap_or(0)
    }
}

/// Every pod with its node, those of the deltas after the others.
fn everyone<'c>(
    cluster: &'c Cluster,
    deltas: &'c [Delta],
) -> impl Iterator<Item = (&'c NodeInfo, &'c PodInfo, i64)> + 'c {
    let there = cluster.pods.values().map(|(node, pod)| (node, &**pod, 1));
    let all = there.chain(deltas.iter().map(|d| (&d.node, &*d.pod, d.sign)));
    all.filter_map(|(node, pod, sign)| Some((&**cluster.nodes.get(node)?, pod, sign)))
}

fn existing_anti<'c>(cluster: &'c Cluster, deltas: &'c [Delta], pod: &PodInfo) -> Pairs<'c> {
    let mut pairs = Pairs::default();
    for (node, other, sign) in everyone(cluster, deltas) {
        for term in other.spec.pod_affinity.anti_required.iter().filter(|t| existing(cluster, t, pod)) {
            pairs.enter(term, node, sign);
        }
    }
    pairs
}

/// Whether the plugin has anything to say. Deltas that are still to come do not matter.
pub(crate) fn has_rules(cluster: &Cluster, deltas: &[Delta], pod: &PodInfo) -> bool {
    let own = &pod.spec.pod_affinity;
    !own.required.is_empty() || !own.anti_required.is_empty() || !existing_anti(cluster, deltas, pod).0.is_empty()
}

pub(crate) fn filter(cluster: &Cluster, deltas: &[Delta], pod: &PodInfo, node: &NodeInfo) -> Option<&'static str> {
    let own = &pod.spec.pod_affinity;
    let (mut affinity, mut anti) = (Pairs::default(), Pairs::default());
    for (at, other, sign) in everyone(cluster, deltas) {
        if !own.required.is_empty() && own.required.iter().all(|t| incoming(cluster, t, other)) {
            own.required.iter().for_each(|t| affinity.enter(t, at, sign));
        }
        for term in own.anti_required.iter().filter(|t| incoming(cluster, t, other)) {
            anti.enter(term, at, sign);
        }
    }
    if own.required.iter().any(|t| value(node, &t.topology_key).is_none()) {
        return Some(AFFINITY);
    }
    let near = own.required.iter().all(|t| affinity.of(t, node) > 0);
    let first = affinity.0.is_empty() && own.required.iter().all(|t| incoming(cluster, t, pod));
    if !near && !first {
        return Some(AFFINITY);
    }
    if own.anti_required.iter().any(|t| anti.of(t, node) > 0) {
        return Some(ANTI_AFFINITY);
    }
    let others = existing_anti(cluster, deltas, pod);
    if others.0.iter().any(|((key, v), n)| *n > 0 && value(node, key) == Some(v)) {
        return Some(EXISTING_ANTI_AFFINITY);
    }
    None
}

/// The scores of these nodes; `None` where the plugin has none.
pub(crate) fn scores(cluster: &Cluster, deltas: &[Delta], pod: &PodInfo, feasible: &[&NodeInfo]) -> Option<Vec<i64>> {
    let own = &pod.spec.pod_affinity;
    let mut sums: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    let mut enter = |term: &'_ PodAffinityTerm, node, n: i64| {
        if let Some((key, value)) = pair(term, node, cluster) {
            *sums.entry((key, value)).or_default() += n;
        }
    };
    for (node, other, sign) in everyone(cluster, deltas) {
        for (side, terms) in [(1, &own.preferred), (-1, &own.anti_preferred)] {
            for t in terms.iter().filter(|t| incoming(cluster, &t.term, other)) {
                enter(&t.term, node, sign * side * i64::from(t.weight));
            }
        }
        let theirs = &other.spec.pod_affinity;
        for t in theirs.required.iter().filter(|t| existing(cluster, t, pod)) {
            enter(t, node, sign);
        }
        for (side, terms) in [(1, &theirs.preferred), (-1, &theirs.anti_preferred)] {
            for t in terms.iter().filter(|t| existing(cluster, &t.term, pod)) {
                enter(&t.term, node, sign * side * i64::from(t.weight));
            }
        }
    }
    if sums.is_empty() {
        return None;
    }
    let raw = |node: &&NodeInfo| -> i64 {
        sums.iter().filter(|((key, v), _)| value(node, key) == Some(v)).map(|(_, n)| n).sum()
    };
    let raws: Vec<i64> = feasible.iter().map(raw).collect();
    let (least, greatest) = (raws.iter().min().copied().unwrap_or(0), raws.iter().max().copied().unwrap_or(0));
    let part = |n: i64| (n - least) as f64;
    let score = |n: &i64| if greatest == least { 0 } else { whole(100.0 * (part(*n) / part(greatest))) };
    Some(raws.iter().map(score).collect())
}

/// The term's label and the node's value of it, as long as the cluster lives.
fn pair<'c>(term: &PodAffinityTerm, node: &'c NodeInfo, _: &'c Cluster) -> Option<(&'c str, &'c str)> {
    node.labels.iter().find(|(key, _)| **key == term.topology_key).map(|(key, value)| (&**key, &**value))
}
