//! PodTopologySpread (reference section 5.1).

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_framework::labels::{LabelSelector, LabelSet};
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::{PodInfo, SpreadConstraint};

use super::{Cluster, Delta, tolerates, value};

pub(crate) const MISSING_LABEL: &str = "node(s) didn't match pod topology spread constraints (missing required label)";
pub(crate) const SKEW: &str = "node(s) didn't match pod topology spread constraints";

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

/// Which pods a constraint is about.
enum About {
    Nobody,
    Everybody,
    /// Those whom all of these select.
    Selected(Vec<LabelSelector>),
}

struct Constraint {
    key: String,
    max_skew: i64,
    min_domains: usize,
    about: About,
    honor_affinity: bool,
    honor_taints: bool,
}

impl Constraint {
    fn matches(&self, labels: &LabelSet) -> bool {
        match &self.about {
            About::Nobody => false,
            About::Everybody => true,
            About::Selected(selectors) => selectors.iter().all(|s| s.matches(labels)),
        }
    }

    /// Counting, as opposed to matching, knows no selector for everybody.
    fn counts(&self, pod: &PodInfo, other: &PodInfo) -> bool {
        let live = !other.terminating && other.key.namespace == pod.key.namespace;
        live && !matches!(self.about, About::Everybody) && self.matches(&other.labels)
    }

    fn lets_in(&self, pod: &PodInfo, node: &NodeInfo) -> bool {
        (!self.honor_affinity || pod.spec.node_affinity.matches(&node.name, &node.labels))
            && (!self.honor_taints || tolerates(&pod.spec.tolerations, node))
    }
}

fn own(pod: &PodInfo, c: &SpreadConstraint) -> Constraint {
    let keys = c.match_label_keys.iter().filter_map(|key| Some((key, pod.labels.get(key)?)));
    let keys: LabelSet = keys.map(|(k, v)| (&**k, &**v)).collect();
    let mut about = match &c.selector {
        None => About::Nobody,
        Some(selector) if selector.is_empty() => About::Everybody,
        Some(selector) => About::Selected(vec![selector.clone()]),
    };
    if !keys.is_empty() {
        let json = serde_json::json!({"matchLabels": keys.iter().map(|(k, v)| (k.to_string(), v.to_string()))
            .collect::<BTreeMap<_, _>>()});
        let same = LabelSelector::compile(&serde_json::from_value(json).unwrap()).unwrap();
        about = match about {
            About::Selected(mut selectors) => {
                selectors.push(same);
                About::Selected(selectors)
            }
            _ => About::Selected(vec![same]),
        };
    }
    Constraint {
        key: c.topology_key.to_string(),
        max_skew: c.max_skew.into(),
        min_domains: usize::try_from(c.min_domains).unwrap(),
        about,
        honor_affinity: c.honor_node_affinity,
        honor_taints: c.honor_node_taints,
    }
}

/// The selectors of the Services that select the pod, and that of its ReplicaSet.
fn belonging(cluster: &Cluster, pod: &PodInfo) -> Vec<LabelSelector> {
    let mut selectors = Vec::new();
    for ((namespace, _), selector) in &cluster.services {
        let Some(selector) = selector else { continue };
        let json = serde_json::json!({ "matchLabels": selector });
        let selector = LabelSelector::compile(&serde_json::from_value(json).unwrap()).unwrap();
        if *namespace == pod.key.namespace && selector.matches(&pod.labels) {
            selectors.push(selector);
        }
    }
    if let Some(owner) = pod.owner.as_ref().filter(|o| &*o.kind == "ReplicaSet" && &*o.api_version == "apps/v1") {
        selectors.extend(cluster.replica_sets.get(&(pod.key.namespace.clone(), owner.name.clone())).cloned());
    }
    selectors.retain(|s| !s.is_empty());
    selectors
}

/// The soft ones of Kubernetes' own defaults.
fn defaults(cluster: &Cluster, pod: &PodInfo) -> Vec<Constraint> {
    let selectors = belonging(cluster, pod);
    if selectors.is_empty() {
        return Vec::new();
    }
    let made = |(key, max_skew): (&str, i64)| Constraint {
        key: key.to_owned(),
        max_skew,
        min_domains: 1,
        about: About::Selected(selectors.clone()),
        honor_affinity: true,
        honor_taints: false,
    };
    [(HOSTNAME, 3), (ZONE, 5)].map(made).into()
}

fn has_all(node: &NodeInfo, all: &[Constraint]) -> bool {
    all.iter().all(|c| value(node, &c.key).is_some())
}

/// What an imagined pod adds to a domain.
fn imagined(c: &Constraint, pod: &PodInfo, delta: &Delta) -> i64 {
    let about = delta.pod.key.namespace == pod.key.namespace && c.matches(&delta.pod.labels);
    i64::from(about) * delta.sign
}

fn count_on(cluster: &Cluster, pod: &PodInfo, c: &Constraint, node: &NodeInfo) -> i64 {
    cluster.on(node).map(|other| i64::from(c.counts(pod, other))).sum()
}

/// The counts of the domains, of nodes that `counted` lets pass. A node without the label is in the domain of "".
fn sums<'c>(
    cluster: &'c Cluster,
    deltas: &[Delta],
    pod: &PodInfo,
    c: &Constraint,
    counted: impl Fn(&NodeInfo) -> bool,
) -> BTreeMap<&'c str, i64> {
    let mut sums = BTreeMap::new();
    for node in cluster.nodes.values().filter(|node| counted(node) && c.lets_in(pod, node)) {
        let sum = sums.entry(value(node, &c.key).unwrap_or("")).or_default();
        *sum += count_on(cluster, pod, c, node);
        *sum += deltas.iter().filter(|d| d.node == node.name).map(|d| imagined(c, pod, d)).sum::<i64>();
    }
    sums
}

pub(crate) fn filter(cluster: &Cluster, deltas: &[Delta], pod: &PodInfo, node: &NodeInfo) -> Option<&'static str> {
    let hard: Vec<Constraint> = pod.spec.spread.iter().filter(|c| c.hard).map(|c| own(pod, c)).collect();
    for c in &hard {
        let Some(domain) = value(node, &c.key) else { return Some(MISSING_LABEL) };
        let sums = sums(cluster, deltas, pod, c, |node| has_all(node, &hard));
        let mut least = sums.values().copied().min().unwrap_or_else(|| i32::MAX.into());
        if sums.len() < c.min_domains {
            least = 0;
        }
        let own = i64::from(c.matches(&pod.labels));
        if sums.get(domain).copied().unwrap_or(0) + own - least > c.max_skew {
            return Some(SKEW);
        }
    }
    None
}

/// The scores of these nodes; `None` where the plugin has none.
pub(crate) fn scores(cluster: &Cluster, deltas: &[Delta], pod: &PodInfo, feasible: &[&NodeInfo]) -> Option<Vec<i64>> {
    let explicit = !pod.spec.spread.is_empty();
    let soft: Vec<Constraint> = if explicit {
        pod.spec.spread.iter().filter(|c| !c.hard).map(|c| own(pod, c)).collect()
    } else {
        defaults(cluster, pod)
    };
    if soft.is_empty() {
        return None;
    }
    let ignored = |node: &NodeInfo| explicit && !has_all(node, &soft);
    let left: Vec<&NodeInfo> = feasible.iter().copied().filter(|n| !ignored(n)).collect();
    let weight = |c: &Constraint| {
        let values: BTreeSet<&str> = left.iter().map(|n| value(n, &c.key).unwrap_or("")).collect();
        let size = if c.key == HOSTNAME { left.len() } else { values.len() };
        f64::from(u32::try_from(size).unwrap() + 2).ln()
    };
    let weights: Vec<f64> = soft.iter().map(weight).collect();
    let counts = |c: &Constraint| sums(cluster, deltas, pod, c, |node| !explicit || has_all(node, &soft));
    let domains: Vec<BTreeMap<&str, i64>> = soft.iter().map(counts).collect();
    let raw = |node: &NodeInfo| {
        let mut sum = 0.0;
        for ((c, weight), domains) in soft.iter().zip(&weights).zip(&domains) {
            let Some(domain) = value(node, &c.key) else { continue };
            let count = if c.key == HOSTNAME {
                let here = deltas.iter().filter(|d| d.node == node.name);
                count_on(cluster, pod, c, node) + here.map(|d| imagined(c, pod, d)).sum::<i64>()
            } else {
                domains.get(domain).copied().unwrap_or(0)
            };
            sum += count as f64 * weight + (c.max_skew - 1) as f64;
        }
        whole(sum.round())
    };
    let raws: Vec<i64> = left.iter().map(|n| raw(n)).collect();
    let (least, greatest) = (raws.iter().copied().min().unwrap_or(i64::MAX), raws.iter().copied().max().unwrap_or(0));
    let greatest = greatest.max(0);
    let score = |node: &&NodeInfo| match (ignored(node), greatest) {
        (true, _) => 0,
        (false, 0) => 100,
        (false, _) => 100 * (greatest + least - raw(node)) / greatest,
    };
    Some(feasible.iter().map(score).collect())
}

#[expect(clippy::cast_possible_truncation, reason = "there is no other way from a float to an integer")]
pub(crate) fn whole(x: f64) -> i64 {
    x as i64
}
