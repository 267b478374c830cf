//! Commit: a proposal becomes a fact, in the order in which the pods were popped.
//!
//! What is checked again is whether the pod still *may* be on the node, never whether the node is still the *best*. So
//! whatever the workers saw, no node is over-committed and no rule broken; a score may be one view old.

use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::Refusal;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::Row;
use plimsoll_framework::time::Time;

use super::Engine;
use crate::cache::{Assumed, Standing};
use crate::decide::{Outcome, PreFiltered, Prepared, Proposal, Ticket};
use crate::diagnosis::Diagnosis;
use crate::effect::Observation;
use crate::engine::binding::Binding;
use crate::engine::failure::Failure;
use crate::queue::QueuedPodInfo;

impl Engine {
    /// Commits one proposal. `first` is the first ticket of the batch it was decided in.
    pub(super) fn commit(
        &mut self,
        now: Time,
        ticket: &Ticket,
        mut info: QueuedPodInfo,
        proposal: Proposal,
        first: u64,
    ) {
        let uid = &ticket.pod.key.uid;
        self.asking.leave(uid);
        let Some(pod) = self.cache.get(uid).filter(|k| k.standing == Standing::Pending).map(|k| Arc::clone(&k.pod))
        else {
            // Deleted, or put on a node by somebody else, while it was being decided.
            self.last_miss = ticket.seq;
            return self.queue.done(uid);
        };
        let same = Arc::ptr_eq(&pod.spec, &ticket.pod.spec) && pod.labels == ticket.pod.labels;
        if let Some(profile) = self.by_name.get(&pod.scheduler_name) {
            info.profile = *profile;
        }
        info.pod = Arc::clone(&pod);
        let stands = same
            && match &proposal.outcome {
                Outcome::Node { row, node, .. } => self.still_fits(&info, *row, node, proposal.epoch),
                // Turned away for lack of room that an earlier pod of the batch then did not take: nothing would tell.
                Outcome::Unfit(_) | Outcome::Failed(_) => self.last_miss < first,
                // What fits is looked for again with the answer.
                Outcome::Ask { .. } => true,
            };
        let outcome = if stands {
            proposal.outcome
        } else {
            self.last_miss = ticket.seq;
            self.count_for(info.profile, &pod);
            let view = self.cache.table().view();
            let answer = ticket.answer.as_deref().filter(|_| same);
            self.worker.decide_by(&self.profiles[info.profile], view, &Overlay::default(), &pod, ticket.seq, answer)
        };
        tracing::debug!(pod = %pod.key, stands, ?outcome, "decided");
        match outcome {
            // The worker asked what fits; what may be bound is decided here, on what is known now.
            Outcome::Node { .. } if self.hold_at_commit(&pod, info.profile) => self.last_miss = ticket.seq,
            Outcome::Node { node, score, .. } => self.assume(now, ticket.popped, info, node, score),
            Outcome::Unfit(diagnosis) => self.fail(now, ticket.popped, info, Failure::Unfit(diagnosis)),
            Outcome::Failed(message) => self.fail(now, ticket.popped, info, Failure::Error(message)),
            Outcome::Ask { nodes, nominated } => {
                let known = ticket.answer.clone().filter(|_| same);
                self.ask(ticket.popped, info, known, (nodes, nominated));
            }
        }
    }

    /// Whether the pod may be on the node as things are now.
    fn still_fits(&mut self, info: &QueuedPodInfo, row: Row, node: &Istr, epoch: u64) -> bool {
        let table = self.cache.table();
        let view = table.view();
        if view.epoch() == epoch {
            return true;
        }
        if table.row(node) != Some(row) || view.node(row).is_none() {
            self.observations.push(Observation::Recheck { held: false });
            return false;
        }
        let profile = &self.profiles[info.profile];
        let changed = table.changed_since(row, profile.filter_groups, epoch);
        if changed {
            self.observations.push(Observation::StaleScore);
        }
        if !changed && view.nominations().pods(node).is_empty() {
            return true;
        }
        // The pods committed since the view may have brought terms that select this one.
        self.count_for(info.profile, &info.pod);
        let (profile, view) = (&self.profiles[info.profile], self.cache.table().view());
        let held = match Prepared::for_pod(profile, view, &Overlay::default(), &info.pod) {
            PreFiltered::Reject(_) | PreFiltered::Fail(_) => false,
            PreFiltered::Run(prepared) => {
                // The way to a nominated node leads past what PreFilter leaves of the nodes.
                (prepared.leaves(node) || info.pod.nominated_node_name.as_ref() == Some(node))
                    && self.worker.scratch.rejection(&prepared, view, &Overlay::default(), &info.pod, row).is_none()
            }
        };
        self.observations.push(Observation::Recheck { held });
        held
    }

    /// Counts the pod on its node, reserves what else it needs, and asks Permit.
    fn assume(&mut self, now: Time, popped: Time, info: QueuedPodInfo, node: Istr, score: Option<i64>) {
        let pod = Arc::clone(&info.pod);
        let left = self.set_nomination(None, &pod).filter(|left| *left != node);
        self.cache.set(Arc::clone(&pod), Standing::Assumed(Assumed { node: node.clone(), bound: false }));
        if let Some(left) = left {
            self.nomination_left(now, &left, &pod);
        }
        let binding = Binding { info, node, score, popped };
        let refused = self.profiles[binding.info.profile]
            .reserve
            .iter()
            .find_map(|p| p.plugin.reserve(&pod, &binding.node).err().map(|refusal| (p.name, refusal)));
        match refused {
            Some((plugin, refusal)) => self.give_back(now, binding, refused_by("Reserve", plugin, refusal)),
            None => self.permit(now, binding),
        }
    }

    /// Undoes an assumed pod whose binding will not come about, and puts it back into the queue.
    pub(super) fn give_back(&mut self, now: Time, binding: Binding, failure: Failure) {
        self.unreserve(&binding.info, &binding.node);
        let pod = self.cache.get(&binding.info.pod.key.uid).map(|k| Arc::clone(&k.pod));
        let left = pod.filter(|p| self.is_assumed(p)).and_then(|pod| self.cache.set(pod, Standing::Pending));
        self.fail(now, binding.popped, binding.info, failure);
        // Only now: while the pod is in flight its own leaving would be kept for it, and wake it for ever.
        if let Some(left) = left {
            self.place_left(now, &left);
        }
    }

    /// Every Reserve plugin gives back what it took, in reverse order, whether it had taken anything or not.
    pub(super) fn unreserve(&self, info: &QueuedPodInfo, node: &Istr) {
        for point in self.profiles[info.profile].reserve.iter().rev() {
            point.plugin.unreserve(&info.pod, node);
        }
    }

    pub(super) fn is_assumed(&self, pod: &PodInfo) -> bool {
        self.cache.get(&pod.key.uid).is_some_and(|k| matches!(k.standing, Standing::Assumed(_)))
    }
}

/// What a refusal at Reserve or Permit means for the pod.
pub(super) fn refused_by(point: &str, plugin: &'static str, refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Rejected(r) => Failure::Refused(Box::new(Diagnosis::rejected_at_node(plugin, r.code, r.reason))),
        Refusal::Failed(e) => Failure::Error(format!("running {point} plugin \"{plugin}\": {e}")),
    }
}
