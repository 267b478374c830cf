//! The terms that are wishes, of the pod and of those that run.

use plimsoll_framework::plugin::{Extent, MAX_NODE_SCORE, PreScore, Score};
use plimsoll_framework::pod::{PodSpecInfo, WeightedPodAffinityTerm};
use plimsoll_framework::read::{Block, ClusterOf, Rows, Spec, Template, TemplatePod, Terms, TopologyDomains};
use plimsoll_framework::topology::{CounterSpec, Domains, Leveling, PodMatcher, TermKind, Totals};

use super::selected::Selected;
use super::{InterPodAffinity, matched};

/// The wishes for a pod: its own, and those of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferred {
    /// The weights of the pod's own terms, less than 0 for anti-affinity. The first counters are theirs.
    weights: Box<[i64]>,
    /// What others say. The next counters are of that.
    existing: Selected,
    counters: Vec<CounterSpec>,
}

impl InterPodAffinity {
    /// What a term of a running pod adds to the score; `None` for those that are left out.
    fn weight(&self, kind: TermKind) -> Option<i64> {
        match kind {
            TermKind::Required => Some(self.args.hard_pod_affinity_weight.into()).filter(|weight| *weight > 0),
            TermKind::Preferred(weight) => Some(weight.into()),
            TermKind::AntiRequired => None,
        }
    }

    fn counts(&self) -> impl Fn(TermKind) -> bool {
        |kind| self.weight(kind).is_some()
    }

    /// What there is to add up where nothing is imagined: the numbers of the counters, with their weights.
    fn weighted<'s>(&'s self, state: &'s Preferred) -> impl Iterator<Item = (usize, i64)> + 's {
        let own = state.weights.iter().copied().enumerate();
        own.chain(state.existing.counted().map(|(nth, kind)| (nth, self.weight(kind).unwrap_or(0))))
    }
}

fn has_wishes(pod: &PodSpecInfo) -> bool {
    !pod.pod_affinity.preferred.is_empty() || !pod.pod_affinity.anti_preferred.is_empty()
}

impl PreScore for InterPodAffinity {
    type Pod = Spec;
    type Cluster = ();

    /// Where the pod has wishes, those of others count in any case, as upstream.
    fn pre_score(&self, pod: &PodSpecInfo, (): ()) -> bool {
        !self.args.ignore_preferred_terms_of_existing_pods || has_wishes(pod)
    }
}

impl Score for InterPodAffinity {
    const NORMALIZED: bool = true;
    type Pod = Template;
    type Cluster = Terms;
    type Node = TopologyDomains;
    type State = Preferred;

    fn prepare(&self, pod: TemplatePod<'_>, terms: ClusterOf<'_, Terms>) -> Option<Preferred> {
        let own = &pod.spec.pod_affinity;
        let counter = |t: &WeightedPodAffinityTerm| matched([PodMatcher::from(&t.term)].into(), &t.term);
        let weight = |t: &WeightedPodAffinityTerm| i64::from(t.weight);
        let near = own.preferred.iter().map(weight);
        let far = own.anti_preferred.iter().map(|t| -weight(t));
        let mut counters: Vec<CounterSpec> = own.preferred.iter().chain(&own.anti_preferred).map(counter).collect();
        let existing = Selected::new(pod, terms, counters.len(), self.counts());
        counters.extend(existing.counters());
        Some(Preferred { weights: near.chain(far).collect(), existing, counters })
    }

    fn counters(&self, state: &Preferred) -> Vec<CounterSpec> {
        state.counters.clone()
    }

    /// Whether there is anything to add up. That it may come to 0 everywhere is another matter.
    fn takes_part(&self, state: &Preferred, totals: Totals<'_>) -> bool {
        (0..state.weights.len()).any(|nth| totals.total(nth) > 0) || state.existing.is_entered(totals, self.counts())
    }

    fn score(&self, state: &Preferred, domains: Domains<'_>) -> i64 {
        let own = state.weights.iter().enumerate().map(|(nth, weight)| weight * domains.count(nth).unwrap_or(0));
        let others = state.existing.carried(domains, self.counts());
        own.chain(others.map(|(kind, n)| self.weight(kind).unwrap_or(0) * n)).sum()
    }

    fn score_block(&self, state: &Preferred, block: &Block<'_, TopologyDomains>, out: &mut [i64; 64]) {
        let (domains, mut counts) = (block.domains(), [0; 64]);
        *out = [0; 64];
        for (nth, weight) in self.weighted(state).filter(|(nth, _)| domains.total(*nth) > 0) {
            domains.counts(nth, &mut counts);
            out.iter_mut().zip(&counts).for_each(|(sum, count)| *sum += weight * count);
        }
    }

    fn score_rows(&self, state: &Preferred, rows: &Rows<'_, TopologyDomains>, levels: &mut Leveling<'_>) -> bool {
        let domains = rows.domains();
        let counted = || self.weighted(state).filter(|(nth, _)| domains.total(*nth) > 0);
        if counted().all(|(nth, _)| levels.by(nth)) {
            levels.score(|level| Some(counted().map(|(nth, weight)| weight * level.count(nth)).sum()));
        } else if levels.by_sum(counted()) {
            levels.score(|level| level.sum());
        } else {
            return false;
        }
        true
    }

    fn normalize(&self, raw: i64, over: Extent) -> i64 {
        if over.max == over.min { 0 } else { cut(MAX_NODE_SCORE as f64 * share(raw - over.min, over.max - over.min)) }
    }
}

fn share(part: i64, whole: i64) -> f64 {
    part as f64 / whole as f64
}

#[expect(clippy::cast_possible_truncation, reason = "the part behind the point is what is to be cut off")]
fn cut(x: f64) -> i64 {
    x as i64
}
