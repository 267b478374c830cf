//! InterPodAffinity (PreFilter, Filter, PreScore, Score): keeps pods near others, or far from them, within domains that
//! labels of nodes make; what running pods say of the new one counts as what it says of them. Reference section 5.2.

mod hints;
mod score;
mod selected;
#[cfg(test)]
mod tests;

use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::{EnqueueExtensions, Filter, Plugin, PreFilter, PreFilterVerdict};
use plimsoll_framework::pod::{PodAffinityTerm, PodInfo, PodSpecInfo};
use plimsoll_framework::read::{
    Block, ClusterOf, Namespaces, Rows, Spec, Template, TemplatePod, Terms, TopologyDomains,
};
use plimsoll_framework::topology::{Counted, CounterSpec, Domains, NodeFilter, PodMatcher, TermKind, Topology, Totals};
use plimsoll_framework::verdict::Verdict;

use crate::args::InterPodAffinityArgs;
use selected::Selected;

pub use score::Preferred;

const REASON_AFFINITY: &str = "node(s) didn't match pod affinity rules";
const REASON_ANTI_AFFINITY: &str = "node(s) didn't match pod anti-affinity rules";
const REASON_EXISTING_ANTI_AFFINITY: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

const AFFINITY: u32 = 1;
const ANTI_AFFINITY: u32 = 2;
const EXISTING_ANTI_AFFINITY: u32 = 4;

/// Keeps pods near others, or far from them.
#[derive(Clone, Debug, Default)]
pub struct InterPodAffinity {
    args: InterPodAffinityArgs,
}

impl InterPodAffinity {
    /// The plugin with these arguments, which were validated.
    pub fn new(args: InterPodAffinityArgs) -> Self {
        Self { args }
    }
}

/// Counts the pods that all of these match, by the label that `term` speaks of.
fn matched(matchers: Box<[PodMatcher]>, term: &PodAffinityTerm) -> CounterSpec {
    let topology = Topology::Label(term.topology_key.clone());
    CounterSpec { counted: Counted::Pods(matchers), topology, nodes: NodeFilter::default(), live_only: false }
}

impl Plugin for InterPodAffinity {
    const NAME: &'static str = "InterPodAffinity";

    /// Its own rules about namespaces by their labels; that of others' rules about it only those are known then that name
    /// namespaces, or mean all of them, cannot be helped.
    fn waits_for_namespaces(&self, pod: &PodInfo) -> bool {
        let rules = &pod.spec.pod_affinity;
        let by_labels = |term: &PodAffinityTerm| term.namespace_selector.as_ref().is_some_and(|by| !by.is_empty());
        rules.required.iter().chain(&rules.anti_required).any(by_labels)
    }
}

impl EnqueueExtensions for InterPodAffinity {
    fn registrations(&self) -> Vec<Registration> {
        let pod = Actions::ADD.or(Actions::UPDATE_POD_LABEL).or(Actions::DELETE);
        vec![
            Registration::new(EventResource::Pod, pod),
            Registration::new(EventResource::Node, Actions::ADD.or(Actions::UPDATE_NODE_LABEL)),
        ]
    }

    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        hints::hint(pod, change)
    }
}

impl PreFilter for InterPodAffinity {
    type Pod = Spec;
    type Cluster = ();

    /// Whether there is anything to say is known when the pods are counted: see `takes_part`.
    fn pre_filter(&self, _: &PodSpecInfo, (): ()) -> PreFilterVerdict {
        PreFilterVerdict::Run
    }
}

/// The rules for a pod: its own, and those of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Required {
    /// The labels of the affinity terms, each once. The first counters are theirs, of the pods that all terms match.
    keys: Box<[Istr]>,
    /// How many anti-affinity terms there are. The next counters are theirs.
    anti_terms: usize,
    /// Whether the pod matches all of its own affinity terms.
    self_match: bool,
    /// The anti-affinity of others. The last counters are of that.
    existing: Selected,
    counters: Vec<CounterSpec>,
}

impl Required {
    fn anti(&self) -> std::ops::Range<usize> {
        self.keys.len()..self.keys.len() + self.anti_terms
    }

    /// Whether the pods that the pod must be near are in the node's domains.
    fn is_near(&self, domains: Domains<'_>) -> bool {
        let keys = 0..self.keys.len();
        let mut all = true;
        for nth in keys.clone() {
            // A node without one of the labels will never do.
            let Some(count) = domains.count(nth) else { return false };
            all &= count > 0;
        }
        all || self.may_be_first(|nth| domains.total(nth))
    }

    /// The first of a group of pods that want to be near each other may be anywhere.
    fn may_be_first(&self, total: impl Fn(usize) -> i64) -> bool {
        self.self_match && (0..self.keys.len()).all(|nth| total(nth) == 0)
    }

    /// The counters of pods that must not be in the node's domains, with who says so.
    fn repelling(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        let own = self.anti().map(|nth| (nth, ANTI_AFFINITY));
        own.chain(self.existing.counted().map(|(nth, _)| (nth, EXISTING_ANTI_AFFINITY)))
    }
}

fn is_anti(kind: TermKind) -> bool {
    kind == TermKind::AntiRequired
}

impl Filter for InterPodAffinity {
    type Pod = Template;
    type Cluster = (Terms, Namespaces);
    type Node = TopologyDomains;
    type State = Required;

    fn prepare(&self, pod: TemplatePod<'_>, (terms, namespaces): ClusterOf<'_, Self::Cluster>) -> Option<Required> {
        let own = &pod.spec.pod_affinity;
        let all: Box<[PodMatcher]> = own.required.iter().map(PodMatcher::from).collect();
        let (mut keys, mut counters) = (Vec::new(), Vec::new());
        for term in &own.required {
            if !keys.contains(&term.topology_key) {
                keys.push(term.topology_key.clone());
                counters.push(matched(all.clone(), term));
            }
        }
        counters.extend(own.anti_required.iter().map(|term| matched([PodMatcher::from(term)].into(), term)));
        let existing = Selected::new(pod, terms, counters.len(), is_anti);
        counters.extend(existing.counters());
        Some(Required {
            keys: keys.into(),
            anti_terms: own.anti_required.len(),
            self_match: all.iter().all(|matcher| namespaces.matched(pod, matcher)),
            existing,
            counters,
        })
    }

    fn counters(&self, state: &Required) -> Vec<CounterSpec> {
        state.counters.clone()
    }

    fn takes_part(&self, state: &Required, totals: Totals<'_>) -> bool {
        !state.keys.is_empty() || state.anti_terms > 0 || state.existing.is_entered(totals, is_anti)
    }

    fn filter(&self, state: &Required, domains: Domains<'_>) -> Verdict {
        if !state.is_near(domains) {
            return Verdict::unresolvable(AFFINITY);
        }
        if state.anti().any(|nth| domains.count(nth).is_some_and(|n| n > 0)) {
            return Verdict::unschedulable(ANTI_AFFINITY);
        }
        if state.existing.carried(domains, is_anti).map(|(_, n)| n).sum::<i64>() > 0 {
            return Verdict::unschedulable(EXISTING_ANTI_AFFINITY);
        }
        Verdict::FITS
    }

    fn filter_block(&self, state: &Required, block: &Block<'_, TopologyDomains>, out: &mut [Verdict; 64]) {
        let (domains, mut counts) = (block.domains(), [0; 64]);
        out.fill(Verdict::FITS);
        let anywhere = state.may_be_first(|nth| domains.total(nth));
        for nth in 0..state.keys.len() {
            let labelled = domains.counts(nth, &mut counts);
            for (lane, (verdict, count)) in out.iter_mut().zip(&counts).enumerate() {
                if labelled >> lane & 1 == 0 || *count == 0 && !anywhere {
                    *verdict = Verdict::unresolvable(AFFINITY);
                }
            }
        }
        for (nth, who) in state.repelling().filter(|(nth, _)| domains.total(*nth) > 0) {
            domains.counts(nth, &mut counts);
            for (verdict, _) in out.iter_mut().zip(&counts).filter(|(v, count)| v.fits() && **count > 0) {
                *verdict = Verdict::unschedulable(who);
            }
        }
    }

    fn filter_rows(&self, state: &Required, rows: &Rows<'_, TopologyDomains>, fit: &mut [u64]) -> bool {
        let domains = rows.domains();
        let anywhere = state.may_be_first(|nth| domains.total(nth));
        for nth in 0..state.keys.len() {
            domains.keep_members(nth, fit);
            if !anywhere {
                domains.keep_counts(nth, fit, |count| count > 0);
            }
        }
        for (nth, _) in state.repelling().filter(|(nth, _)| domains.total(*nth) > 0) {
            domains.keep_counts(nth, fit, |count| count == 0);
        }
        true
    }

    fn reasons(&self, _: &Required, reasons: u32) -> Vec<String> {
        let text = match reasons {
            AFFINITY => REASON_AFFINITY,
            ANTI_AFFINITY => REASON_ANTI_AFFINITY,
            _ => REASON_EXISTING_ANTI_AFFINITY,
        };
        vec![text.to_owned()]
    }
}
