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
    RejectedBy,
};
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::preemption::{Clearing, Without};
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

    /// Budgets that cannot be seen count for nothing; where they are strict, the API server keeps them.
    fn waits_for_kinds(&self, _: &PodInfo) -> bool {
        false
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
        let mut search =
            Search { pod, context, budgets: context.view.cluster().objects(), overlay: Overlay::default() };
        let found = search.candidates(&self.args);
        if matches!(context.extenders, ExtendersSay::NotAsked) && !found.candidates.is_empty() {
            return Ok(PostFilterVerdict::Ask(found.candidates()));
        }
        if let Some(Candidate { node, victims, .. }) = choice::best(&found.candidates) {
            return Ok(PostFilterVerdict::Nominate { node, victims });
        }
        let refused = search.why_not(&found);
        if let Some(message) = refused.error {
            return Err(PluginError { message: format!("preemption: {message}") });
        }
        let rejection = Rejection::unschedulable(format!("preemption: {}", refused.message(context.view.node_count())));
        if refused.reasons.contains_key(PROTECTED) {
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
    // The order in which an extender names them means nothing.
    let in_order = |candidate: &Candidate| {
        let mut candidate = candidate.clone();
        choice::by_importance(&mut candidate.victims);
        Arc::new(choice::weighed(candidate))
    };
    let candidates: Vec<Arc<Clearing>> = left.iter().filter(allowed).map(in_order).collect();
    match choice::best(&candidates) {
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
}

/// What a search has found.
#[derive(Default)]
struct Found {
    /// The nodes that could be cleared, those that break no budget first.
    candidates: Vec<Arc<Clearing>>,
    /// The nodes that were tried, in their order, and what came of it.
    tried: Vec<(Row, Arc<Clearing>)>,
}

impl Found {
    fn candidates(&self) -> Vec<Candidate> {
        let candidate = |clearing: &Arc<Clearing>| match &**clearing {
            Clearing::Candidate { candidate, .. } => Some(candidate.clone()),
            _ => None,
        };
        self.candidates.iter().filter_map(candidate).collect()
    }
}

impl Search<'_> {
    /// The nodes that could be cleared (reference section 11.3).
    fn candidates(&mut self, args: &DefaultPreemptionArgs) -> Found {
        let (context, nobody) = (self.context, Arc::new(Clearing::Nobody));
        let asked = || context.view.rows().filter(|row| (context.code)(*row) == Some(Code::Unschedulable)).collect();
        let potential: Vec<Row> = context.shortcuts.resolvable().unwrap_or_else(asked);
        let wanted = wanted(args, potential.len());
        let (mut clean, mut violating, mut tried) = (Vec::new(), Vec::new(), Vec::new());
        // From somewhere else each time, so that it is not always the same nodes that are cleared.
        let offset = u64::try_from(potential.len()).ok().and_then(|n| context.draw.checked_rem(n));
        let offset = offset.and_then(|o| usize::try_from(o).ok()).unwrap_or(0);
        for row in potential[offset..].iter().chain(&potential[..offset]) {
            if !clean.is_empty() && clean.len() + violating.len() >= wanted {
                break;
            }
            let clearing = self.clear(*row, &nobody);
            match &*clearing {
                Clearing::Candidate { candidate, .. } if candidate.pdb_violations == 0 => clean.push(clearing),
                Clearing::Candidate { .. } => violating.push(clearing),
                _ => tried.push((*row, clearing)),
            }
        }
        clean.truncate(wanted);
        violating.truncate(wanted);
        clean.append(&mut violating);
        Found { candidates: clean, tried }
    }

    /// Clears one node in the mind, unless it is known what comes of it.
    fn clear(&mut self, row: Row, nobody: &Arc<Clearing>) -> Arc<Clearing> {
        let shortcuts = self.context.shortcuts;
        if let Some(kept) = shortcuts.kept(row) {
            return kept;
        }
        let passes = || (self.context.passes)(row);
        let clearing = match shortcuts.without_lower(row) {
            Without::Nobody => Arc::clone(nobody),
            Without::Rejected(by) if !passes() => Arc::new(rejected(by)),
            Without::RejectedBySome if !passes() => Arc::new(Clearing::RuledOut),
            _ => Arc::new(self.dry_run(row)),
        };
        shortcuts.keep(row, &clearing);
        clearing
    }

    /// Clears one node in the mind (reference section 11.4).
    fn dry_run(&mut self, row: Row) -> Clearing {
        let view = self.context.view;
        let name = || view.node(row).map(|n| n.name.clone()).unwrap_or_default();
        let nobody = || Clearing::Failed(format!("expected at least one victim pod on node {:?}", name().as_str()));
        let may_go = |p: &&Arc<PodInfo>| p.priority() < self.pod.priority() && self.context.policy.allows(p);
        let mut lower: Vec<Arc<PodInfo>> = view.pods(row).iter().filter(may_go).cloned().collect();
        if lower.is_empty() {
            return Clearing::Nobody;
        }
        if (self.context.passes)(row) {
            // All of them would be put back.
            return nobody();
        }
        self.overlay.clear();
        for pod in &lower {
            self.overlay.remove(view, row, Arc::clone(pod));
        }
        if let Err(by) = (self.context.fits)(row, &self.overlay) {
            return rejected(by);
        }
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
            return nobody();
        }
        if violations > 0 && self.context.policy.strict_budgets {
            return Clearing::Protected;
        }
        choice::by_importance(&mut victims);
        choice::weighed(Candidate { node: name(), victims, pdb_violations: violations })
    }

    /// Why none of the nodes could be cleared. Where a node was ruled out it is asked for its reasons now.
    fn why_not(&mut self, found: &Found) -> Refused {
        let mut refused = Refused { reasons: BTreeMap::new(), tried: found.tried.len(), error: None };
        for (row, clearing) in &found.tried {
            match &**clearing {
                Clearing::RuledOut => {
                    let told = Arc::new(self.dry_run(*row));
                    refused.count(&told);
                    self.context.shortcuts.keep(*row, &told);
                }
                told => refused.count(told),
            }
        }
        refused
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
}

/// Why no node could be cleared.
struct Refused {
    /// How many nodes would turn the pod away all the same, by reason.
    reasons: BTreeMap<String, usize>,
    /// How many nodes were tried.
    tried: usize,
    /// The first node's question that could not be answered.
    error: Option<String>,
}

impl Refused {
    fn count(&mut self, clearing: &Clearing) {
        match clearing {
            Clearing::Nobody => self.count_reason(NO_VICTIMS),
            Clearing::Protected => self.count_reason(PROTECTED),
            Clearing::Rejected(reasons) => reasons.iter().for_each(|reason| self.count_reason(reason)),
            Clearing::Failed(error) => drop(self.error.get_or_insert_with(|| error.clone())),
            Clearing::RuledOut | Clearing::Candidate { .. } => {}
        }
    }

    fn count_reason(&mut self, reason: &str) {
        match self.reasons.get_mut(reason) {
            Some(count) => *count += 1,
            None => drop(self.reasons.insert(reason.to_owned(), 1)),
        }
    }

    /// What is said (reference section 11.6).
    fn message(&self, nodes: usize) -> String {
        let others = nodes.saturating_sub(self.tried);
        let others = (others > 0).then_some((NOT_HELPFUL, others));
        let reasons = self.reasons.iter().map(|(reason, count)| (&**reason, *count));
        let mut parts: Vec<String> = reasons.chain(others).map(|(reason, count)| format!("{count} {reason}")).collect();
        parts.sort();
        format!("0/{nodes} nodes are available: {}.", parts.join(", "))
    }
}

/// What is said of a node that turns the pod away even without those that may go.
fn rejected(by: RejectedBy) -> Clearing {
    match by.code {
        Code::Error => Clearing::Failed(by.reasons.join(", ")),
        _ => Clearing::Rejected(by.reasons),
    }
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
