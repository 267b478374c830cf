//! PodTopologySpread (PreFilter, Filter, PreScore, Score): spreads pods that belong together evenly over nodes, zones or
//! any other domains that labels of nodes make. Reference section 5.1.

mod constraints;
mod default_selector;
mod hints;
mod logarithm;
mod score;
#[cfg(test)]
mod tests;

use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::KindRef;
use plimsoll_framework::plugin::{EnqueueExtensions, Filter, Plugin, PreFilter, PreFilterVerdict};
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::read::{Block, ClusterOf, Rows, Template, TemplatePod, TopologyDomains};
use plimsoll_framework::topology::{CounterSpec, Domains};
use plimsoll_framework::verdict::Verdict;

use crate::args::PodTopologySpreadArgs;
use crate::kinds::owners::{ReplicaSet, ReplicationController, Service, StatefulSet};
use constraints::{Constraint, Defaults};
use default_selector::{Owners, default_selector};

pub use score::{Soft, SoftConstraint, Term, Weights};

const REASON_SKEW: &str = "node(s) didn't match pod topology spread constraints";
const REASON_MISSING_LABEL: &str = "node(s) didn't match pod topology spread constraints (missing required label)";

const SKEW: u32 = 1;
const MISSING_LABEL: u32 = 2;

/// The label that tells nodes apart.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// The least count where there is no domain: no skew is too great then.
const NO_DOMAIN: i64 = i32::MAX as i64;

/// Spreads pods over domains.
#[derive(Clone, Debug)]
pub struct PodTopologySpread {
    defaults: Defaults,
}

impl Default for PodTopologySpread {
    fn default() -> Self {
        Self::new(&PodTopologySpreadArgs::default())
    }
}

impl PodTopologySpread {
    /// The plugin with these arguments, which were validated.
    pub fn new(args: &PodTopologySpreadArgs) -> Self {
        Self { defaults: Defaults::from(args) }
    }

    /// The constraints of a pod that are rules (or that are wishes): its own, or else the defaults, if it is known to
    /// which pods it belongs.
    fn constraints<'a>(
        &'a self,
        pod: TemplatePod<'a>,
        owners: &ClusterOf<'_, Owners>,
        hard: bool,
    ) -> Vec<Constraint<'a>> {
        if !pod.spec.spread.is_empty() {
            return pod.spec.spread.iter().filter(|c| c.hard == hard).map(|c| Constraint::own(pod, c)).collect();
        }
        let mut defaults = self.defaults.constraints.iter().filter(|c| c.hard == hard).peekable();
        if defaults.peek().is_none() {
            return Vec::new();
        }
        let Some(selector) = default_selector(pod, owners) else { return Vec::new() };
        defaults.map(|said| Constraint { said, selector: Some(selector.clone()) }).collect()
    }

    /// Whether there is one.
    fn has_constraints(&self, pod: TemplatePod<'_>, owners: &ClusterOf<'_, Owners>, hard: bool) -> bool {
        if !pod.spec.spread.is_empty() {
            return pod.spec.spread.iter().any(|c| c.hard == hard);
        }
        self.defaults.constraints.iter().any(|c| c.hard == hard) && default_selector(pod, owners).is_some()
    }
}

impl Plugin for PodTopologySpread {
    const NAME: &'static str = "PodTopologySpread";

    fn kinds(&self) -> Vec<KindRef> {
        if self.defaults.constraints.is_empty() {
            return Vec::new();
        }
        vec![
            KindRef::of::<Service>(),
            KindRef::of::<ReplicationController>(),
            KindRef::of::<ReplicaSet>(),
            KindRef::of::<StatefulSet>(),
        ]
    }

    /// What selects the pods that are counted by default may be hidden; where it only scores, a place is less good then.
    fn waits_for_kinds(&self, pod: &PodInfo) -> bool {
        pod.spec.spread.is_empty() && self.defaults.constraints.iter().any(|constraint| constraint.hard)
    }
}

impl EnqueueExtensions for PodTopologySpread {
    fn registrations(&self) -> Vec<Registration> {
        let pod = Actions::ADD.or(Actions::UPDATE_POD_LABEL).or(Actions::UPDATE_POD_TOLERATION).or(Actions::DELETE);
        let node = Actions::ADD.or(Actions::DELETE).or(Actions::UPDATE_NODE_LABEL).or(Actions::UPDATE_NODE_TAINT);
        vec![Registration::new(EventResource::Pod, pod), Registration::new(EventResource::Node, node)]
    }

    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        hints::hint(&self.defaults, pod, change)
    }
}

impl PreFilter for PodTopologySpread {
    type Pod = Template;
    type Cluster = Owners;

    fn pre_filter(&self, pod: TemplatePod<'_>, owners: ClusterOf<'_, Owners>) -> PreFilterVerdict {
        if self.has_constraints(pod, &owners, true) { PreFilterVerdict::Run } else { PreFilterVerdict::Skip }
    }
}

/// The rules of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hard {
    rules: Box<[Rule]>,
    /// What is counted, by rule.
    counters: Vec<CounterSpec>,
}

/// One constraint that is a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    max_skew: i64,
    min_domains: usize,
    /// 1 where the pod is one of those that are counted, else 0.
    self_match: i64,
}

impl Rule {
    /// The greatest count that a domain may have for the pod to be let in, of so many domains with this least count.
    fn most(&self, domains: usize, least: impl FnOnce() -> Option<i64>) -> i64 {
        let least = if domains < self.min_domains { 0 } else { least().unwrap_or(NO_DOMAIN) };
        self.max_skew - self.self_match + least
    }
}

impl Filter for PodTopologySpread {
    type Pod = Template;
    type Cluster = Owners;
    type Node = TopologyDomains;
    type State = Hard;

    fn prepare(&self, pod: TemplatePod<'_>, owners: ClusterOf<'_, Owners>) -> Option<Hard> {
        let constraints = self.constraints(pod, &owners, true);
        let keys: Box<[Istr]> = constraints.iter().map(|c| c.said.topology_key.clone()).collect();
        let rules = constraints.iter().map(|c| Rule {
            max_skew: c.said.max_skew.into(),
            min_domains: usize::try_from(c.said.min_domains).unwrap_or(0),
            self_match: c.selects(pod.labels).into(),
        });
        let counters = constraints.iter().map(|c| c.counter(pod, c.by_label(), c.nodes(pod, &keys)));
        (!constraints.is_empty()).then(|| Hard { rules: rules.collect(), counters: counters.collect() })
    }

    fn counters(&self, hard: &Hard) -> Vec<CounterSpec> {
        hard.counters.clone()
    }

    fn filter(&self, hard: &Hard, domains: Domains<'_>) -> Verdict {
        for (nth, rule) in hard.rules.iter().enumerate() {
            let Some(count) = domains.count(nth) else { return Verdict::unresolvable(MISSING_LABEL) };
            if count > rule.most(domains.domains(nth), || domains.least(nth)) {
                return Verdict::unschedulable(SKEW);
            }
        }
        Verdict::FITS
    }

    fn filter_block(&self, hard: &Hard, block: &Block<'_, TopologyDomains>, out: &mut [Verdict; 64]) {
        let domains = block.domains();
        let mut counts = [0; 64];
        out.fill(Verdict::FITS);
        for (nth, rule) in hard.rules.iter().enumerate() {
            let labelled = domains.counts(nth, &mut counts);
            let most = rule.most(domains.domains(nth), || domains.least(nth));
            for (lane, (verdict, count)) in out.iter_mut().zip(counts).enumerate().filter(|(_, (v, _))| v.fits()) {
                if labelled >> lane & 1 == 0 {
                    *verdict = Verdict::unresolvable(MISSING_LABEL);
                } else if count > most {
                    *verdict = Verdict::unschedulable(SKEW);
                }
            }
        }
    }

    fn filter_rows(&self, hard: &Hard, rows: &Rows<'_, TopologyDomains>, fit: &mut [u64]) -> bool {
        let domains = rows.domains();
        for (nth, rule) in hard.rules.iter().enumerate() {
            let most = rule.most(domains.domains(nth), || domains.least(nth));
            domains.keep_members(nth, fit);
            domains.keep_counts(nth, fit, |count| count <= most);
        }
        true
    }

    fn reasons(&self, _: &Hard, reasons: u32) -> Vec<String> {
        let text = if reasons & MISSING_LABEL != 0 { REASON_MISSING_LABEL } else { REASON_SKEW };
        vec![text.to_owned()]
    }
}
