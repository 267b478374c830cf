//! The constraints that are wishes.

use hashbrown::HashSet;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::plugin::{Extent, MAX_NODE_SCORE, PreScore, ScoreOverFeasible};
use plimsoll_framework::read::{ClusterOf, Labels, Rows, Template, TemplatePod, TopologyDomains};
use plimsoll_framework::topology::{Counted, CounterSpec, Domains, Level, Leveling, NodeFilter, PodMatcher, Topology};
use smallvec::SmallVec;

use super::constraints::Constraint;
use super::default_selector::Owners;
use super::logarithm::ln;
use super::{HOSTNAME, PodTopologySpread};

/// The wishes of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soft {
    constraints: Box<[SoftConstraint]>,
    /// Whether nodes without all of the labels are left out.
    requires_all_labels: bool,
    /// What is counted: by constraint, and then what `anywhere` and `named` speak of.
    counters: Vec<CounterSpec>,
}

/// One constraint that is a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoftConstraint {
    key: Istr,
    max_skew: i32,
    /// The number of the counter of the same pods on nodes with the label or without it; see [`Soft::count`].
    anywhere: Option<usize>,
    /// Where each node is a domain by itself: the number of a counter whose domains are the values of the label.
    named: Option<usize>,
}

impl SoftConstraint {
    /// Whether each node is a domain by itself, even if several nodes go by the same name.
    fn is_by_node(&self) -> bool {
        self.named.is_some()
    }
}

/// Counts nothing, by a label: it tells which nodes have that.
fn named(key: &Istr) -> CounterSpec {
    let nobody = PodMatcher { selector: None, namespaces: Box::default(), namespace_selector: None };
    let topology = Topology::Label(key.clone());
    CounterSpec { counted: Counted::Pods([nobody].into()), topology, nodes: NodeFilter::default(), live_only: false }
}

/// A node in the eyes of one constraint: its domain, and the pods that are counted there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// `None` where the node does not have the label.
    label: Option<Istr>,
    count: i64,
}

/// What a pod counts for, by constraint. It is less where there are few domains.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights(SmallVec<[f64; 2]>);

impl Soft {
    fn new(pod: TemplatePod<'_>, constraints: &[Constraint<'_>], requires_all_labels: bool) -> Self {
        let keys: Box<[Istr]> = constraints.iter().map(|c| c.said.topology_key.clone()).collect();
        let required: &[Istr] = if requires_all_labels { &keys } else { &[] };
        let counter = |c: &Constraint<'_>| match c.by_label() {
            Topology::Label(key) if &*key == HOSTNAME => c.counter(pod, Topology::Node, NodeFilter::default()),
            by_label => c.counter(pod, by_label, c.nodes(pod, required)),
        };
        let mut counters: Vec<CounterSpec> = constraints.iter().map(counter).collect();
        let mut soft = Vec::with_capacity(constraints.len());
        for (nth, c) in constraints.iter().enumerate() {
            let by_label = Some(counters[nth].clone()).filter(|c| !requires_all_labels && c.topology != Topology::Node);
            let mut number = |counter: CounterSpec| {
                counters.push(counter);
                counters.len() - 1
            };
            let anywhere = by_label.map(|by_label| number(CounterSpec { topology: Topology::Node, ..by_label }));
            let key = c.said.topology_key.clone();
            let named = (&*key == HOSTNAME).then(|| number(named(&key)));
            soft.push(SoftConstraint { key, max_skew: c.said.max_skew, anywhere, named });
        }
        Self { constraints: soft.into(), requires_all_labels, counters }
    }

    /// The pods that a constraint counts in the node's domain. Where nodes without the label are not left out, they
    /// are in one domain with those where its value is empty, as upstream.
    fn count(&self, nth: usize, label: Option<&Istr>, domains: Domains<'_>) -> i64 {
        let unlabelled = match (label, self.constraints[nth].anywhere) {
            (Some(label), Some(anywhere)) if label.is_empty() => domains.total(anywhere) - domains.total(nth),
            _ => 0,
        };
        domains.count(nth).unwrap_or(0) + unlabelled
    }

    /// What tells the domain of the nodes of one level apart in the eyes of a constraint. No label is empty there.
    fn label_of(&self, nth: usize, level: &Level<'_>) -> Option<u32> {
        match self.constraints[nth].named {
            Some(named) => level.is_member(named).then_some(0),
            None => level.domain(nth),
        }
    }

    /// Whether the nodes of one level are ignored.
    fn ignores(&self, level: &Level<'_>) -> bool {
        self.requires_all_labels && (0..self.constraints.len()).any(|nth| self.label_of(nth, level).is_none())
    }

    /// How many domains the feasible nodes are in that are not ignored. A missing label counts as an empty one.
    fn size(&self, nth: usize, feasible: &[&[Term]]) -> usize {
        if self.constraints[nth].is_by_node() {
            return feasible.len();
        }
        let labels = feasible.iter().map(|terms| terms[nth].label.as_ref().filter(|label| !label.is_empty()));
        labels.collect::<HashSet<_>>().len()
    }

    /// The same by levels.
    fn size_by_levels(&self, nth: usize, levels: &mut Leveling<'_>) -> usize {
        let (mut count, mut labels) = (0, SmallVec::<[Option<u32>; 64]>::new());
        levels.each(|level, nodes| {
            if !self.ignores(level) {
                count += nodes;
                let label = self.label_of(nth, level);
                if labels.last() != Some(&label) {
                    labels.push(label);
                }
            }
        });
        if self.constraints[nth].is_by_node() {
            return count;
        }
        labels.sort_unstable();
        labels.dedup();
        labels.len()
    }

    /// What follows from how many domains there are.
    fn weights(&self, size: impl FnMut(usize) -> usize) -> Weights {
        Weights((0..self.constraints.len()).map(size).map(|size| ln((size + 2) as f64)).collect())
    }

    /// The score before it is normalised: the more pods, the greater, which is worse. Of each constraint it takes the count
    /// in the node's domain; `None` where the node has none.
    fn raw(&self, weights: &Weights, counts: impl Iterator<Item = Option<i64>>) -> i64 {
        let mut sum = 0.0;
        for ((constraint, weight), count) in self.constraints.iter().zip(&weights.0).zip(counts) {
            if let Some(count) = count {
                sum += count as f64 * weight + (i64::from(constraint.max_skew) - 1) as f64;
            }
        }
        round(sum)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "there is no other way from a float to an integer")]
fn round(x: f64) -> i64 {
    x.round() as i64
}

impl PodTopologySpread {
    fn soft(&self, pod: TemplatePod<'_>, owners: &ClusterOf<'_, Owners>) -> Option<Soft> {
        let constraints = self.constraints(pod, owners, false);
        let requires_all_labels = !pod.spec.spread.is_empty() || !self.defaults.are_systems;
        (!constraints.is_empty()).then(|| Soft::new(pod, &constraints, requires_all_labels))
    }
}

impl PreScore for PodTopologySpread {
    type Pod = Template;
    type Cluster = Owners;

    fn pre_score(&self, pod: TemplatePod<'_>, owners: ClusterOf<'_, Owners>) -> bool {
        self.has_constraints(pod, &owners, false)
    }
}

impl ScoreOverFeasible for PodTopologySpread {
    type Pod = Template;
    type Cluster = Owners;
    type Node = (Labels, TopologyDomains);
    type State = Soft;
    /// By constraint; `None` for a node that is ignored.
    type Terms = Option<Box<[Term]>>;
    type Scalars = Weights;

    fn prepare(&self, pod: TemplatePod<'_>, owners: ClusterOf<'_, Owners>) -> Option<Soft> {
        self.soft(pod, &owners)
    }

    fn counters(&self, soft: &Soft) -> Vec<CounterSpec> {
        soft.counters.clone()
    }

    fn terms(&self, soft: &Soft, (labels, domains): (&LabelSet, Domains<'_>)) -> Option<Box<[Term]>> {
        let term = |(nth, constraint): (usize, &SoftConstraint)| {
            let label = labels.get(&constraint.key);
            let ignored = label.is_none() && soft.requires_all_labels;
            (!ignored).then(|| Term { label: label.cloned(), count: soft.count(nth, label, domains) })
        };
        soft.constraints.iter().enumerate().map(term).collect()
    }

    fn scalars<'t>(&self, soft: &Soft, feasible: impl Iterator<Item = &'t Option<Box<[Term]>>> + Clone) -> Weights {
        let feasible: Vec<&[Term]> = feasible.filter_map(Option::as_deref).collect();
        soft.weights(|nth| soft.size(nth, &feasible))
    }

    fn combine(&self, soft: &Soft, weights: &Weights, terms: &Option<Box<[Term]>>) -> Option<i64> {
        let counts = |terms: &[Term]| soft.raw(weights, terms.iter().map(|t| t.label.as_ref().map(|_| t.count)));
        terms.as_deref().map(counts)
    }

    fn score_rows(&self, soft: &Soft, rows: &Rows<'_, Self::Node>, levels: &mut Leveling<'_>) -> bool {
        let domains = rows.domains();
        let sort = |(nth, constraint): (usize, &SoftConstraint)| match constraint.named {
            Some(named) => levels.by_member(named) && levels.by_count(nth),
            None => !domains.has_unnamed(nth) && levels.by_domain(nth),
        };
        if !soft.constraints.iter().enumerate().all(sort) {
            return false;
        }
        let weights = soft.weights(|nth| soft.size_by_levels(nth, levels));
        levels.score(|level| {
            let count = |nth| soft.label_of(nth, level).map(|_| level.count(nth));
            (!soft.ignores(level)).then(|| soft.raw(&weights, (0..soft.constraints.len()).map(count)))
        });
        true
    }

    fn normalize(&self, raw: i64, over: Extent) -> i64 {
        let max = over.max.max(0);
        if max == 0 { MAX_NODE_SCORE } else { MAX_NODE_SCORE * (max + over.min - raw) / max }
    }
}
