//! A sketch of PodTopologySpread (reference section 5.1).

use std::collections::BTreeSet;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::{LabelSelector, Operator, Requirement};
use plimsoll_framework::plugin::{Extent, Filter, Plugin, ScoreOverFeasible};
use plimsoll_framework::pod::{PodInfo, SpreadConstraint};
use plimsoll_framework::read::{Labels, Of, TopologyDomains, WholePod};
use plimsoll_framework::topology::{Counted, CounterSpec, Domains, NodeFilter, PodMatcher, Topology};
use plimsoll_framework::verdict::Verdict;

use super::{float, naive, whole};

const HOSTNAME: &str = "kubernetes.io/hostname";

pub(crate) struct Spread;

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
pub(crate) struct Rule {
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
pub(crate) type Soft = Vec<(Istr, i64)>;

/// Weights, and least and greatest raw score of the nodes that are not ignored.
pub(crate) struct OverFeasible {
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
    fn combine(&self, (soft, _): &Self::State, over: &OverFeasible, terms: &Self::Terms) -> Option<i64> {
        let (Some(terms), Some(Extent { min, max })) = (terms, over.extent) else { return Some(0) };
        Some(if max == 0 { 100 } else { 100 * (max + min - raw(soft, &over.weights, terms)) / max })
    }

    fn normalize(&self, raw: i64, _: Extent) -> i64 {
        raw
    }
}
