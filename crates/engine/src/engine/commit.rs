//! Commit: a proposal becomes a fact, in the order in which the pods were popped.
//!
//! What is checked again is whether the pod still *may* be on the node, never whether the node is still the *best*. So
//! whatever the workers saw, no node is over-committed and no rule broken; a score may be one view old.

use std::sync::Arc;

use plimsoll_framework::assume::Assumption;
use plimsoll_framework::cluster_event::{Actions, ClusterEvent, EventResource};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindRef, ObjectKey};
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::Refusal;
use plimsoll_framework::pod::Uid;
use plimsoll_framework::point::Point;
use plimsoll_framework::table::Row;
use plimsoll_framework::time::Time;
use plimsoll_framework::verdict::PluginError;

use super::Engine;
use crate::decide::{Outcome, PreFiltered, Prepared, Proposal, Ticket};
use crate::diagnosis::Diagnosis;
use crate::effect::Observation;
use crate::engine::ask::Question;
use crate::engine::binding::Binding;
use crate::engine::failure::Failure;
use crate::event::{AnyObject, OwnedChange};
use crate::history::Decision;
use crate::queue::QueuedPodInfo;

/// An object of which nothing is assumed any more.
pub(super) struct Withdrawn {
    kind: KindRef,
    key: ObjectKey,
    before: AnyObject,
    now: AnyObject,
}

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
        let Some(pod) = self.cache.pending(uid) else {
            // Deleted, or put on a node by somebody else, while it was being decided.
            self.last_miss = ticket.seq;
            return self.queue.done(uid);
        };
        let same = Arc::ptr_eq(&pod.spec, &ticket.pod.spec) && pod.labels == ticket.pod.labels;
        if let Some(profile) = self.by_name.get(&pod.scheduler_name) {
            info.profile = *profile;
        }
        info.pod = Arc::clone(&pod);
        info.group = pod.group_key();
        if self.is_in_gang(&info) {
            // It was popped by itself, and has become one of a gang meanwhile.
            self.last_miss = ticket.seq;
            return self.queue.put_back(now, info);
        }
        let stands = same
            && match &proposal.outcome {
                Outcome::Node { row, node, .. } => self.still_fits(&info, *row, node, proposal.epoch),
                // Turned away for lack of room that an earlier pod of the batch then did not take: nothing would tell.
                Outcome::Unfit(_) | Outcome::Failed(_) => self.last_miss < first,
                // What fits is looked for again with the answer.
                Outcome::Ask { .. } => true,
            };
        let epoch = if stands { proposal.epoch } else { self.cache.table().view().epoch() };
        let outcome = if stands {
            proposal.outcome
        } else {
            self.last_miss = ticket.seq;
            self.count_for(info.profile, &pod);
            let (pod, view) = (self.as_nominated(&pod), self.cache.table().view());
            let answer = ticket.answer(&pod).filter(|_| same);
            self.worker.decide_by(&self.profiles[info.profile], view, &Overlay::default(), &pod, ticket.seq, answer)
        };
        tracing::debug!(pod = %pod.key, stands, ?outcome, "decided");
        let known = ticket.answers.get(uid).filter(|_| same).cloned();
        match outcome {
            // The worker asked what fits; what may be bound is decided here, on what is known now.
            Outcome::Node { .. } if self.hold_at_commit(&pod, info.profile) => self.last_miss = ticket.seq,
            Outcome::Node { node, .. } if self.shadows() => self.rest(now, ticket.popped, info, node),
            Outcome::Node { node, score, .. } => {
                self.assume(now, epoch, Binding { info, node, score, popped: ticket.popped, assumed: Vec::new() });
            }
            Outcome::Unfit(diagnosis) => self.fail(now, ticket.popped, info, Failure::Unfit { diagnosis, known }),
            Outcome::Failed(message) => self.fail(now, ticket.popped, info, Failure::Error(message)),
            Outcome::Ask { nodes, nominated } => {
                self.ask(ticket.popped, info, known, Question { pod, nodes, nominated });
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
                (prepared.leaves(node) || view.nominations().node_of(&info.pod.key.uid) == Some(node))
                    && self.worker.scratch.rejection(&prepared, view, &Overlay::default(), &info.pod, row).is_none()
            }
        };
        self.observations.push(Observation::Recheck { held });
        held
    }

    /// Counts the pod on its node, reserves what else it needs, and asks Permit.
    fn assume(&mut self, now: Time, epoch: u64, mut binding: Binding) {
        self.count_on(now, epoch, &binding);
        match self.reserve(&mut binding) {
            Err((plugin, refusal)) => {
                if matches!(refusal, Refusal::Failed(_)) {
                    self.observations.push(Observation::PluginFailed { plugin, point: Point::Reserve });
                }
                self.give_back(now, binding, refused_by("Reserve", plugin, refusal));
            }
            Ok(()) => self.permit(now, binding),
        }
    }

    /// Counts a pod from now on on the node for which it was decided, at this epoch. Nothing else is kept for it, and nobody
    /// has to make room.
    pub(super) fn count_on(&mut self, now: Time, epoch: u64, binding: &Binding) {
        let Binding { info: QueuedPodInfo { pod, attempts, .. }, node, score, .. } = binding;
        let left = self.set_nomination(None, pod).filter(|left| left != node);
        self.needs_no_room(&pod.key.uid);
        let (pod_of, node_of) = (Arc::clone(pod), node.clone());
        self.cache.assume(Decision { pod: pod_of, node: node_of, score: *score, at: now, attempts: *attempts, epoch });
        if let Some(left) = left {
            self.nomination_left(now, &left, pod);
        }
    }

    /// Asks every Reserve plugin; each sees what those before it assume.
    pub(super) fn reserve(&mut self, binding: &mut Binding) -> Result<(), (&'static str, Refusal)> {
        let profiles = Arc::clone(&self.profiles);
        let pod = &binding.info.pod;
        let points = profiles[binding.info.profile].reserve.iter();
        for point in points.filter(|point| point.plugin.concerns(&pod.spec)) {
            let Some(node) = self.node(&binding.node) else {
                let message = format!("node {:?} not found", binding.node.as_str());
                return Err((point.name, Refusal::Failed(PluginError { message })));
            };
            let view = self.cache.table().view();
            let assumed = point.plugin.reserve(pod, node, view).map_err(|refusal| (point.name, refusal))?;
            if assumed.is_empty() {
                continue;
            }
            for assumption in &assumed {
                self.cache.assume_object(&pod.key.uid, assumption.clone());
            }
            self.observations.push(Observation::ObjectsAssumed { plugin: point.name, taken_back: false });
            binding.assumed.push((point.name, assumed));
        }
        Ok(())
    }

    /// Undoes an assumed pod whose binding will not come about, and puts it back into the queue.
    pub(super) fn give_back(&mut self, now: Time, binding: Binding, failure: Failure) {
        let failure = match failure {
            Failure::Error(message) if self.is_in_gang(&binding.info) => {
                return self.retry_member(now, binding, &message);
            }
            failure => failure,
        };
        let uid = binding.info.pod.key.uid.clone();
        let withdrawn = self.unreserve(&binding);
        let left = self.cache.take_back(&uid);
        self.fail(now, binding.popped, binding.info, failure);
        // Only now: while the pod is in flight its own leaving would be kept for it, and wake it for ever.
        if let Some(left) = left {
            self.place_left(now, &left);
        }
        self.tell_withdrawn(now, &uid, withdrawn);
    }

    /// Every Reserve plugin gives back what it took, in reverse order, whether it had taken anything or not. Gives the
    /// objects that are read otherwise now, as in [`Self::withdraw`].
    pub(super) fn unreserve(&mut self, binding: &Binding) -> Vec<Withdrawn> {
        for point in self.profiles[binding.info.profile].reserve.iter().rev() {
            point.plugin.unreserve(&binding.info.pod, &binding.node);
        }
        self.withdraw(binding)
    }

    /// Takes back what was assumed of objects for a pod. Gives those that are read otherwise now, of which others are to
    /// be told.
    pub(super) fn withdraw(&mut self, binding: &Binding) -> Vec<Withdrawn> {
        let assumed = binding.assumed.iter().rev().flat_map(|(_, assumed)| assumed.iter().rev());
        let taken_back = binding.assumed.iter().map(|(plugin, _)| *plugin);
        self.observations.extend(taken_back.map(|plugin| Observation::ObjectsAssumed { plugin, taken_back: true }));
        let mut withdrawn = Vec::new();
        for Assumption { kind, key, .. } in assumed {
            if let Some((before, now)) = self.cache.withdraw_object(&binding.info.pod.key.uid, kind.id, key) {
                withdrawn.push(Withdrawn { kind: *kind, key: key.clone(), before, now });
            }
        }
        withdrawn
    }

    /// What was kept for a pod may be for others now; not for the pod itself, which had it.
    pub(super) fn tell_withdrawn(&mut self, now: Time, uid: &Uid, withdrawn: Vec<Withdrawn>) {
        for Withdrawn { kind, key, before, now: after } in withdrawn {
            let event = ClusterEvent::new(EventResource::Other(kind.event_name()), Actions::UPDATE);
            let change = OwnedChange::Other(Some(before), Some(after));
            self.wake(now, &event, change, |p| p.key.uid != *uid);
            self.object_changed(now, kind.id, key);
        }
    }

    /// A node as it is now.
    pub(super) fn node(&self, name: &Istr) -> Option<&NodeInfo> {
        let table = self.cache.table();
        table.row(name).and_then(|row| table.view().node(row)).map(|node| &**node)
    }
}

/// What a refusal at Reserve or Permit means for the pod.
pub(super) fn refused_by(point: &str, plugin: &'static str, refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Rejected(r) => Failure::Refused(Arc::new(Diagnosis::rejected_at_node(plugin, r.code, r.reason))),
        Refusal::Failed(e) => Failure::Error(format!("running {point} plugin \"{plugin}\": {e}")),
    }
}
