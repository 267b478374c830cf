//! DefaultPreemption: which pods of lower priority would have to go for a pod that fits nowhere (reference section 11).
//!
//! The search is a dry run: on each node that pods leaving it could open, all pods of lower priority are imagined away,
//! then back again one by one, the most important first, for as long as the pod still fits.

mod choice;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::{KindRef, Objects};
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{
    Candidate, EnqueueExtensions, ExtendersSay, Plugin, PostFilter, PostFilterContext, PostFilterVerdict, PreEnqueue,
};
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::Row;
use plimsoll_framework::verdict::{Code, PluginError, Rejection};

use crate::args::DefaultPreemptionArgs;
use crate::hints::{event_of, objects, queue_if};
use crate::kinds::policy::{PodDisruptionBudget, PodDisruptionBudgets};

const NO_VICTIMS: &str = "No preemption victims found for incoming pod";
/// Where budgets are strict; kube-scheduler has no such mode, and no words for it.
const PROTECTED: &str = "Pods that would have to go are protected by a PodDisruptionBudget";
const NONE_LEFT: &str = "no candidate node for preemption";
const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";

/// The plugin.
#[derive(Debug, Default)]
pub struct DefaultPreemption {
    args: DefaultPreemptionArgs,
}

impl DefaultPreemption {
    /// With these arguments.
    pub fn new(args: DefaultPreemptionArgs) -> Self {
        Self { args }
    }
}

impl Plugin for DefaultPreemption {
    const NAME: &'static str = "DefaultPreemption";

    fn kinds(&self) -> Vec<KindRef> {
        vec![KindRef::of::<PodDisruptionBudgets>()]
    }
}

impl EnqueueExtensions for DefaultPreemption {
    /// Pods that go, so that a pod held back here is looked at again; what its going means to the pod, other plugins say.
    /// And what may take away the protection by a budget, for pods that it stands against where budgets are strict.
    fn registrations(&self) -> Vec<Registration> {
        vec![
            Registration::new(EventResource::AssignedPod, Actions::DELETE.or(Actions::UPDATE_POD_LABEL)),
            Registration::new(event_of::<PodDisruptionBudgets>(), Actions::UPDATE.or(Actions::DELETE)),
        ]
    }

    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        if let (Some(old), new) = objects::<PodDisruptionBudget>(change) {
            return queue_if(new.is_none_or(|new| is_relaxed(old, new)));
        }
        let freed = |old: &PodInfo, new: &PodInfo| new.priority() < pod.priority() && old.labels != new.labels;
        queue_if(matches!(change.pods(), (Some(old), Some(new)) if freed(old, new)))
    }
}

/// Whether a budget may protect fewer pods than before.
fn is_relaxed(old: &PodDisruptionBudget, new: &PodDisruptionBudget) -> bool {
    new.disruptions_allowed > old.disruptions_allowed
        || new.selector != old.selector
        || new.disrupted_pods.iter().any(|pod| !old.disrupted_pods.contains(pod))
}

impl PreEnqueue for DefaultPreemption {
    /// Holds no pod back: whose victims are on their way out, the engine knows and holds in this plugin's name.
    fn pre_enqueue(&self, _: &PodInfo) -> Result<(), Rejection> {
        Ok(())
    }
}

impl PostFilter for DefaultPreemption {
    fn post_filter(&self, pod: &PodInfo, context: &PostFilterContext<'_>) -> Result<PostFilterVerdict, PluginError> {
        if let Some(why) = ineligible(pod, context) {
            let rejection = Rejection::unschedulable(format!("preemption: {why}"));
            return Ok(PostFilterVerdict::Reject { rejection, clears_nomination: false });
        }
        match context.extenders {
            ExtendersSay::Left(left) => return Ok(choose_among(left, context)),
            ExtendersSay::Failed(message) => return Err(PluginError { message: format!("preemption: {message}") }),
            ExtendersSay::Nothing | ExtendersSay::NotAsked => {}
        }
        let mut search = Search {
            pod,
            context,
            budgets: context.view.cluster().objects(),
            overlay: Overlay::default(),
            without: BTreeMap::new(),
            tried: 0,
            error: None,
        };
        let candidates = search.candidates(&self.args);
        if matches!(context.extenders, ExtendersSay::NotAsked) && !candidates.is_empty() {
            return Ok(PostFilterVerdict::Ask(candidates));
        }
        if let Some(Candidate { node, victims, .. }) = choice::best(candidates) {
            return Ok(PostFilterVerdict::Nominate { node, victims });
        }
        if let Some(message) = search.error {
            return Err(PluginError { message: format!("preemption: {message}") });
        }
        let rejection = Rejection::unschedulable(format!("preemption: {}", search.message()));
        if search.without.contains_key(PROTECTED) {
            return Ok(PostFilterVerdict::Forbid(rejection));
        }
        Ok(PostFilterVerdict::Reject { rejection, clears_nomination: true })
    }

    fn only_preempts(&self) -> bool {
        true
    }
}

/// Takes the best of what extenders left (reference section 11.5).
fn choose_among(left: &[Candidate], context: &PostFilterContext<'_>) -> PostFilterVerdict {
    let allowed = |c: &&Candidate| c.pdb_violations == 0 || !context.policy.strict_budgets;
    let mut candidates: Vec<Candidate> = left.iter().filter(allowed).cloned().collect();
    // The order in which an extender names them means nothing.
    candidates.iter_mut().for_each(|c| choice::by_importance(&mut c.victims));
    match choice::best(candidates) {
        Some(Candidate { node, victims, .. }) => PostFilterVerdict::Nominate { node, victims },
        None => {
            let rejection = Rejection::unschedulable(format!("preemption: {NONE_LEFT}"));
            PostFilterVerdict::Reject { rejection, clears_nomination: false }
        }
    }
}

/// Why the pod may not even look for victims (reference section 11.2).
fn ineligible(pod: &PodInfo, context: &PostFilterContext<'_>) -> Option<&'static str> {
    if pod.spec.never_preempts {
        return Some("not eligible due to preemptionPolicy=Never.");
    }
    let nominated = pod.nominated_node_name.as_ref()?;
    let row = context.view.row(nominated)?;
    if (context.code)(row) == Some(Code::UnschedulableAndUnresolvable) {
        return None;
    }
    let making_room = |p: &Arc<PodInfo>| p.priority() < pod.priority() && p.terminating && p.preempted;
    let waits = context.view.pods(row).iter().any(making_room);
    waits.then_some("not eligible due to a terminating pod on the nominated node.")
}

/// One search for candidates.
struct Search<'a> {
    pod: &'a PodInfo,
    context: &'a PostFilterContext<'a>,
    budgets: Objects<PodDisruptionBudgets>,
    overlay: Overlay,
    /// How many nodes would turn the pod away all the same, by reason.
    without: BTreeMap<String, usize>,
    /// How many nodes were tried.
    tried: usize,
    /// The first node's question that could not be answered.
    error: Option<String>,
}

impl Search<'_> {
    /// The nodes that could be cleared, those that break no budget first (reference section 11.3).
    fn candidates(&mut self, args: &DefaultPreemptionArgs) -> Vec<Candidate> {
        let view = self.context.view;
        let potential: Vec<Row> =
            view.rows().filter(|row| (self.context.code)(*row) == Some(Code::Unschedulable)).collect();
        let wanted = wanted(args, potential.len());
        let (mut clean, mut violating) = (Vec::new(), Vec::new());
        // From somewhere else each time, so that it is not always the same nodes that are cleared.
        let offset = u64::try_from(potential.len()).ok().and_then(|n| self.context.draw.checked_rem(n));
        let offset = offset.and_then(|o| usize::try_from(o).ok()).unwrap_or(0);
        for row in potential[offset..].iter().chain(&potential[..offset]) {
            if !clean.is_empty() && clean.len() + violating.len() >= wanted {
                break;
            }
            self.tried += 1;
            match self.clear(*row) {
                Ok(candidate) if candidate.pdb_violations == 0 => clean.push(candidate),
                Ok(candidate) => violating.push(candidate),
                Err(Why::Reasons(reasons)) => {
                    reasons.into_iter().for_each(|reason| *self.without.entry(reason).or_default() += 1);
                }
                Err(Why::Error(error)) => self.error = self.error.take().or(Some(error)),
            }
        }
        clean.truncate(wanted);
        violating.truncate(wanted);
        clean.append(&mut violating);
        clean
    }

    /// Clears one node in the mind (reference section 11.4).
    fn clear(&mut self, row: Row) -> Result<Candidate, Why> {
        let view = self.context.view;
        let name = || view.node(row).map(|n| n.name.clone()).unwrap_or_default();
        let nobody = || Why::Error(format!("expected at least one victim pod on node {:?}", name().as_str()));
        let may_go = |p: &&Arc<PodInfo>| p.priority() < self.pod.priority() && self.context.policy.allows(p);
        let mut lower: Vec<Arc<PodInfo>> = view.pods(row).iter().filter(may_go).cloned().collect();
        if lower.is_empty() {
            return Err(Why::Reasons(vec![NO_VICTIMS.to_owned()]));
        }
        if (self.context.passes)(row) {
            // All of them would be put back.
            return Err(nobody());
        }
        self.overlay.clear();
        for pod in &lower {
            self.overlay.remove(view, row, Arc::clone(pod));
        }
        (self.context.fits)(row, &self.overlay).map_err(|rejected| match rejected.code {
            Code::Error => Why::Error(rejected.reasons.join(", ")),
            _ => Why::Reasons(rejected.reasons),
        })?;
        choice::by_importance(&mut lower);
        let (breaking, free) = self.split(lower);
        let (mut victims, mut violations) = (Vec::new(), 0);
        for (pod, breaks) in breaking.into_iter().map(|p| (p, true)).chain(free.into_iter().map(|p| (p, false))) {
            self.overlay.add(view, row, Arc::clone(&pod));
            if (self.context.fits)(row, &self.overlay).is_err() {
                self.overlay.remove(view, row, Arc::clone(&pod));
                violations += usize::from(breaks);
                victims.push(pod);
            }
        }
        if victims.is_empty() {
            return Err(nobody());
        }
        if violations > 0 && self.context.policy.strict_budgets {
            return Err(Why::Reasons(vec![PROTECTED.to_owned()]));
        }
        choice::by_importance(&mut victims);
        Ok(Candidate { node: name(), victims, pdb_violations: violations })
    }

    /// Those whose going would break a budget, and the others. Each takes from the budgets that protect it, in order.
    fn split(&self, pods: Vec<Arc<PodInfo>>) -> (Vec<Arc<PodInfo>>, Vec<Arc<PodInfo>>) {
        let mut left: BTreeMap<(Istr, Istr), i64> = BTreeMap::new();
        pods.into_iter().partition(|pod| {
            let mut breaks = false;
            let namespace = &pod.key.namespace;
            let protecting = self.budgets.in_namespace(namespace).filter(|(_, budget)| protects(budget, pod));
            for (name, budget) in protecting {
                let key = (namespace.clone(), name.clone());
                let allowed = left.entry(key).or_insert(budget.disruptions_allowed);
                *allowed -= 1;
                breaks |= *allowed < 0;
            }
            breaks
        })
    }

    /// What is said when no node could be cleared (reference section 11.6).
    fn message(&self) -> String {
        let nodes = self.context.view.node_count();
        let mut reasons = self.without.clone();
        let others = nodes.saturating_sub(self.tried);
        if others > 0 {
            *reasons.entry(NOT_HELPFUL.to_owned()).or_default() += others;
        }
        let mut parts: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        parts.sort();
        format!("0/{nodes} nodes are available: {}.", parts.join(", "))
    }
}

/// Why a node is no candidate.
enum Why {
    /// It would turn the pod away all the same.
    Reasons(Vec<String>),
    /// The question could not be answered.
    Error(String),
}

/// How many candidates are enough.
fn wanted(args: &DefaultPreemptionArgs, nodes: usize) -> usize {
    let percentage = usize::try_from(args.min_candidate_nodes_percentage).unwrap_or(0);
    let absolute = usize::try_from(args.min_candidate_nodes_absolute).unwrap_or(0);
    (nodes * percentage / 100).max(absolute).min(nodes)
}

/// Whether a budget counts a pod: pods without labels, and budgets that select everything or nothing, never meet.
fn protects(budget: &PodDisruptionBudget, pod: &PodInfo) -> bool {
    let selects = |s: &plimsoll_framework::labels::LabelSelector| !s.is_empty() && s.matches(&pod.labels);
    !pod.labels.is_empty()
        && budget.selector.as_ref().is_some_and(selects)
        && !budget.disrupted_pods.iter().any(|name| **name == *pod.key.name)
}
