//! PodTopologySpread and InterPodAffinity by walking pods, as the rules are written (reference sections 5.1 and 5.2).

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::{PodAffinityTerm, PodInfo, SpreadConstraint};
use plimsoll_framework::toleration::tolerated;
use plimsoll_framework::verdict::Verdict;

use super::clusters::Cluster;
use super::whole;

pub(crate) const MISSING_LABEL: u32 = 1;
pub(crate) const SKEW: u32 = 2;
pub(crate) const AFFINITY: u32 = 1;
pub(crate) const ANTI_AFFINITY: u32 = 2;
pub(crate) const EXISTING_ANTI_AFFINITY: u32 = 4;

/// The least count where there is no domain.
pub(crate) const NO_DOMAIN: i64 = i32::MAX as i64;

const HOSTNAME: &str = "kubernetes.io/hostname";

fn value<'n>(node: &'n NodeInfo, key: &str) -> Option<&'n str> {
    node.labels.iter().find(|(k, _)| &***k == key).map(|(_, v)| &**v)
}

// PodTopologySpread.

fn selected(pod: &PodInfo, c: &SpreadConstraint, other: &LabelSet) -> bool {
    let own = |key| pod.labels.get(key).is_none_or(|value| other.get(key) == Some(value));
    c.selector.as_ref().is_some_and(|s| s.matches(other)) && c.match_label_keys.iter().all(own)
}

fn counts(pod: &PodInfo, c: &SpreadConstraint, all: &[&SpreadConstraint], node: &NodeInfo) -> bool {
    let hard_taint =
        |t: &plimsoll_framework::toleration::Taint| t.effect.is_hard() && !tolerated(&pod.spec.tolerations, t);
    all.iter().all(|c| value(node, &c.topology_key).is_some())
        && (!c.honor_node_affinity || pod.spec.node_affinity.matches(&node.name, &node.labels))
        && (!c.honor_node_taints || !node.taints.iter().any(hard_taint))
}

fn matching(pod: &PodInfo, c: &SpreadConstraint, pods: &[std::sync::Arc<PodInfo>]) -> i64 {
    let one = |p: &&std::sync::Arc<PodInfo>| {
        p.key.namespace == pod.key.namespace && !p.terminating && selected(pod, c, &p.labels)
    };
    i64::try_from(pods.iter().filter(one).count()).unwrap()
}

fn domains<'c>(
    cluster: &'c Cluster,
    pod: &PodInfo,
    c: &SpreadConstraint,
    all: &[&SpreadConstraint],
) -> BTreeMap<&'c str, i64> {
    let mut sums = BTreeMap::new();
    for (node, pods) in cluster.nodes.iter().filter(|(node, _)| counts(pod, c, all, node)) {
        *sums.entry(value(node, &c.topology_key).unwrap()).or_default() += matching(pod, c, pods);
    }
    sums
}

pub(crate) fn spread_filter(cluster: &Cluster, pod: &PodInfo, node: &NodeInfo) -> Verdict {
    let hard: Vec<_> = pod.spec.spread.iter().filter(|c| c.hard).collect();
    for c in &hard {
        let Some(domain) = value(node, &c.topology_key) else { return Verdict::unresolvable(MISSING_LABEL) };
        let sums = domains(cluster, pod, c, &hard);
        let enough = i32::try_from(sums.len()).unwrap() >= c.min_domains;
        let least = if enough { sums.values().copied().min().unwrap_or(NO_DOMAIN) } else { 0 };
        let count = sums.get(domain).copied().unwrap_or(0);
        if count + i64::from(selected(pod, c, &pod.labels)) - least > i64::from(c.max_skew) {
            return Verdict::unschedulable(SKEW);
        }
    }
    Verdict::FITS
}

/// Scores of the nodes of these numbers; `None` where the plugin has none.
pub(crate) fn spread_scores(cluster: &Cluster, pod: &PodInfo, feasible: &[usize]) -> Option<Vec<i64>> {
    let soft: Vec<_> = pod.spec.spread.iter().filter(|c| !c.hard).collect();
    if soft.is_empty() {
        return None;
    }
    let at = |node: usize| &cluster.nodes[node];
    let ignored = |node: usize| soft.iter().any(|c| value(&at(node).0, &c.topology_key).is_none());
    let left: Vec<usize> = feasible.iter().copied().filter(|n| !ignored(*n)).collect();
    let raw = |node: usize| {
        let mut sum = 0.0;
        for c in &soft {
            let own = value(&at(node).0, &c.topology_key).unwrap();
            let values: BTreeSet<_> = left.iter().map(|n| value(&at(*n).0, &c.topology_key)).collect();
            let (size, count) = if &*c.topology_key == HOSTNAME {
                (left.len(), matching(pod, c, &at(node).1))
            } else {
                (values.len(), domains(cluster, pod, c, &soft).get(own).copied().unwrap_or(0))
            };
            let weight = f64::from(u32::try_from(size).unwrap() + 2).ln();
            sum += f64::from(i32::try_from(count).unwrap()) * weight + f64::from(c.max_skew - 1);
        }
        whole(sum.round())
    };
    let raws: Vec<i64> = left.iter().map(|n| raw(*n)).collect();
    let (least, greatest) = (raws.iter().copied().min().unwrap_or(i64::MAX), raws.iter().copied().max().unwrap_or(0));
    let score = |node: usize| match (ignored(node), greatest) {
        (true, _) => 0,
        (false, 0) => 100,
        (false, _) => 100 * (greatest + least - raw(node)) / greatest,
    };
    Some(feasible.iter().map(|n| score(*n)).collect())
}

// InterPodAffinity.

fn namespace_labels(cluster: &Cluster, name: &str) -> Option<LabelSet> {
    cluster.namespaces.get(name).map(|labels| labels.iter().collect())
}

/// Whether a term of the pod that is placed selects an existing one (or itself).
fn incoming(cluster: &Cluster, term: &PodAffinityTerm, pod: &PodInfo) -> bool {
    let selector = term.namespace_selector.as_ref();
    let everywhere = selector.is_some_and(|s| s.matches(&LabelSet::default()));
    let there = namespace_labels(cluster, &pod.key.namespace)
        .is_some_and(|labels| selector.is_some_and(|s| s.matches(&labels)));
    (term.namespaces.contains(&pod.key.namespace) || everywhere || there)
        && term.selector.as_ref().is_some_and(|s| s.matches(&pod.labels))
}

/// Whether a term of an existing pod selects the one that is placed.
fn existing(cluster: &Cluster, term: &PodAffinityTerm, pod: &PodInfo) -> bool {
    let labels = namespace_labels(cluster, &pod.key.namespace).unwrap_or_default();
    (term.namespaces.contains(&pod.key.namespace)
        || term.namespace_selector.as_ref().is_some_and(|s| s.matches(&labels)))
        && term.selector.as_ref().is_some_and(|s| s.matches(&pod.labels))
}

type Pairs<'c> = BTreeMap<(&'c str, &'c str), i64>;

/// Adds to the pair of the term's key and the node's value of it.
fn enter<'c>(pairs: &mut Pairs<'c>, term: &'c PodAffinityTerm, node: &'c NodeInfo, n: i64) {
    if let Some(value) = value(node, &term.topology_key) {
        *pairs.entry((&term.topology_key, value)).or_default() += n;
    }
}

fn sum(pairs: &Pairs<'_>, term: &PodAffinityTerm, node: &NodeInfo) -> i64 {
    value(node, &term.topology_key).and_then(|v| pairs.get(&(&*term.topology_key, v))).copied().unwrap_or(0)
}

fn everyone(cluster: &Cluster) -> impl Iterator<Item = (&NodeInfo, &PodInfo)> {
    cluster.nodes.iter().flat_map(|(node, pods)| pods.iter().map(|p| (&**node, &**p)))
}

fn existing_anti<'c>(cluster: &'c Cluster, pod: &PodInfo) -> Pairs<'c> {
    let mut pairs = Pairs::new();
    for (node, other) in everyone(cluster) {
        for term in other.spec.pod_affinity.anti_required.iter().filter(|t| existing(cluster, t, pod)) {
            enter(&mut pairs, term, node, 1);
        }
    }
    pairs
}

/// The answer in `now`, for a pod that was looked at in `before`: what Filter has nothing to say about then, it has
/// nothing to say about through an overlay.
pub(crate) fn affinity_filter(before: &Cluster, now: &Cluster, pod: &PodInfo, node: &NodeInfo) -> Verdict {
    let own = &pod.spec.pod_affinity;
    let forbidden =
        || everyone(before).any(|(_, o)| o.spec.pod_affinity.anti_required.iter().any(|t| existing(before, t, pod)));
    if own.required.is_empty() && own.anti_required.is_empty() && !forbidden() {
        return Verdict::FITS;
    }
    let (mut affinity, mut anti) = (Pairs::new(), Pairs::new());
    for (at, other) in everyone(now) {
        if own.required.iter().all(|t| incoming(now, t, other)) {
            own.required.iter().for_each(|t| enter(&mut affinity, t, at, 1));
        }
        own.anti_required.iter().filter(|t| incoming(now, t, other)).for_each(|t| enter(&mut anti, t, at, 1));
    }
    let labelled = own.required.iter().all(|t| value(node, &t.topology_key).is_some());
    let first = affinity.is_empty() && own.required.iter().all(|t| incoming(now, t, pod));
    if !labelled || !(own.required.iter().all(|t| sum(&affinity, t, node) > 0) || first) {
        return Verdict::unresolvable(AFFINITY);
    }
    if own.anti_required.iter().any(|t| sum(&anti, t, node) > 0) {
        return Verdict::unschedulable(ANTI_AFFINITY);
    }
    let others = existing_anti(now, pod);
    if others.iter().any(|((key, v), n)| *n > 0 && value(node, key) == Some(v)) {
        return Verdict::unschedulable(EXISTING_ANTI_AFFINITY);
    }
    Verdict::FITS
}

fn preferences<'c>(cluster: &'c Cluster, pod: &PodInfo) -> Pairs<'c> {
    let mut pairs = Pairs::new();
    for (node, other) in everyone(cluster) {
        let theirs = &other.spec.pod_affinity;
        for t in theirs.required.iter().filter(|t| existing(cluster, t, pod)) {
            enter(&mut pairs, t, node, 1);
        }
        for (sign, terms) in [(1, &theirs.preferred), (-1, &theirs.anti_preferred)] {
            for t in terms.iter().filter(|t| existing(cluster, &t.term, pod)) {
                enter(&mut pairs, &t.term, node, sign * i64::from(t.weight));
            }
        }
    }
    pairs
}

/// The scores in `now` of the nodes of these numbers, for a pod that was looked at in `before`: all 0 if neither the
/// pod nor others said anything then.
pub(crate) fn affinity_scores(before: &Cluster, now: &Cluster, pod: &PodInfo, feasible: &[usize]) -> Vec<i64> {
    let own = &pod.spec.pod_affinity;
    let said = |c: &Cluster| {
        let mut all = everyone(c).map(|(_, other)| &other.spec.pod_affinity);
        all.any(|a| {
            let wishes = a.preferred.iter().chain(&a.anti_preferred).map(|t| &t.term);
            wishes.chain(&a.required).any(|t| existing(c, t, pod))
        })
    };
    if own.preferred.is_empty() && own.anti_preferred.is_empty() && !said(before) {
        return vec![0; feasible.len()];
    }
    let mut pairs = preferences(now, pod);
    for (node, other) in everyone(now) {
        for (sign, terms) in [(1, &own.preferred), (-1, &own.anti_preferred)] {
            for t in terms.iter().filter(|t| incoming(now, &t.term, other)) {
                enter(&mut pairs, &t.term, node, sign * i64::from(t.weight));
            }
        }
    }
    let raw = |node: &NodeInfo| -> i64 {
        pairs.iter().filter(|((key, v), _)| value(node, key) == Some(v)).map(|(_, n)| n).sum()
    };
    let raws: Vec<i64> = feasible.iter().map(|n| raw(&now.nodes[*n].0)).collect();
    let (least, greatest) = (raws.iter().min().copied().unwrap_or(0), raws.iter().max().copied().unwrap_or(0));
    let part = |n: i64| f64::from(i32::try_from(n - least).unwrap());
    raws.iter().map(|n| if greatest == least { 0 } else { whole(100.0 * (part(*n) / part(greatest))) }).collect()
}
