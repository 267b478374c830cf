//! The commit of a group: all of those that are needed are assumed in one go, or nobody is.

use std::sync::Arc;

use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::pod::{GroupKey, PodInfo};
use plimsoll_framework::time::Time;

use super::Stage;
use crate::decide::{Group, Outcome, PreFiltered, Prepared, Proposal, Ticket, count_placed, count_seated};
use crate::diagnosis::Diagnosis;
use crate::effect::{AttemptResult, Observation};
use crate::engine::Engine;
use crate::engine::ask::Question;
use crate::engine::binding::Binding;
use crate::engine::commit::refused_by;
use crate::engine::failure::Failure;
use crate::extender::Answers;
use crate::queue::QueuedPodInfo;

/// An attempt to place a group.
pub(super) struct Attempt {
    pub(super) key: GroupKey,
    pub(super) seq: u64,
    pub(super) popped: Time,
    pub(super) profile: usize,
}

impl Engine {
    /// The pods that are tried with popped ones of one group, in their order (reference section 8.4), and how many are
    /// needed. Nobody where the group is none any more, or may not be tried.
    pub(in crate::engine) fn with_its_gang(
        &mut self,
        now: Time,
        mut members: Vec<QueuedPodInfo>,
    ) -> (Vec<QueuedPodInfo>, Option<usize>) {
        let needed = members.first().and_then(|info| self.needed_with(info));
        let key = members.first().and_then(|info| info.group.clone());
        if let Some(key) = key.filter(|_| needed.is_some()) {
            members.extend(self.queue.pop_rest(&key));
            members.sort_by(|a, b| {
                let order = |m: &QueuedPodInfo| (std::cmp::Reverse(m.pod.priority()), m.initial_attempt);
                order(a).cmp(&order(b)).then_with(|| a.pod.key.cmp(&b.pod.key))
            });
        } else if members.len() > 1 {
            members.drain(..).for_each(|info| self.queue.put_back(now, info));
        }
        (members, needed)
    }

    /// Commits the proposal for a group.
    pub(in crate::engine) fn commit_gang(
        &mut self,
        now: Time,
        (ticket, info, others): (Ticket, QueuedPodInfo, Vec<QueuedPodInfo>),
        proposal: Proposal,
        first: u64,
    ) {
        let Some(key) = info.group.clone() else { return self.queue.done(&info.pod.key.uid) };
        self.cache.touch(key.clone());
        let popped: Vec<QueuedPodInfo> = std::iter::once(info).chain(others).collect();
        self.asking.leave_all(&popped);
        let (mut same, mut answers) = (true, ticket.answers.clone());
        let count = popped.len();
        let members: Vec<QueuedPodInfo> = popped
            .into_iter()
            .filter_map(|info| self.still_to_place(now, &key, info, (&mut same, &mut answers)))
            .collect();
        same &= members.len() == count;
        let there = self.members(&key);
        let group = self.pod_group(&key);
        let (rule, _) = self.rule(&key, group.as_ref(), &there);
        let Stage::Open { needed } = self.stage_of(&key, &rule, &there) else {
            // It is incomplete again, or no gang any more.
            self.last_miss = ticket.seq;
            return members.into_iter().for_each(|info| self.queue.put_back(now, info));
        };
        let Some(profile) = members.first().map(|info| info.profile) else {
            self.last_miss = ticket.seq;
            return;
        };
        let attempt = Attempt { key, seq: ticket.seq, popped: ticket.popped, profile };
        same &= ticket.gang.as_ref().is_some_and(|gang| gang.needed == needed);
        let epoch = proposal.epoch;
        let mut outcomes: Vec<Outcome> = std::iter::once(proposal.outcome).chain(proposal.others).collect();
        let unfit = outcomes.len() < members.len() || count_placed(&outcomes) < outcomes.len();
        let stands = same
            && (to_be_asked(&outcomes, needed)
                || (!unfit || self.last_miss < first) && self.gang_still_fits(&members, &outcomes, epoch));
        if !stands {
            self.last_miss = ticket.seq;
            outcomes = self.decide_gang_anew(&members, needed, &answers, ticket.seq);
        }
        if to_be_asked(&outcomes, needed) {
            return self.ask_about_gang(&attempt, members, answers, outcomes);
        }
        self.settle_attempt(now, &attempt, members, outcomes, (needed, &answers));
    }

    /// A popped member, as it is now; `None` when it is not to be placed with this group any more.
    fn still_to_place(
        &mut self,
        now: Time,
        key: &GroupKey,
        mut info: QueuedPodInfo,
        (same, answers): (&mut bool, &mut Answers),
    ) -> Option<QueuedPodInfo> {
        let Some(pod) = self.cache.pending(&info.pod.key.uid) else {
            self.queue.done(&info.pod.key.uid);
            return None;
        };
        if !Arc::ptr_eq(&pod.spec, &info.pod.spec) || pod.labels != info.pod.labels {
            *same = false;
            answers.remove(&pod.key.uid);
        }
        info.pod = Arc::clone(&pod);
        info.group = pod.group_key();
        if info.group.as_ref() != Some(key) || pod.terminating {
            self.queue.put_back(now, info);
            return None;
        }
        (!self.hold_at_commit(&pod, info.profile)).then_some(info)
    }

    /// Whether every pod that was given a node may be there as things are now, all of them together.
    fn gang_still_fits(&mut self, members: &[QueuedPodInfo], outcomes: &[Outcome], epoch: u64) -> bool {
        if self.cache.table().view().epoch() == epoch {
            return true;
        }
        members.iter().for_each(|info| self.count_for(info.profile, &info.pod));
        let (table, mut overlay) = (self.cache.table(), Overlay::default());
        let view = table.view();
        let mut held = true;
        for (info, outcome) in members.iter().zip(outcomes) {
            let Outcome::Node { row, node, .. } = outcome else { continue };
            let fits = table.row(node) == Some(*row)
                && view.node(*row).is_some()
                && match Prepared::for_pod(&self.profiles[info.profile], view, &overlay, &info.pod) {
                    PreFiltered::Reject(_) | PreFiltered::Fail(_) => false,
                    PreFiltered::Run(prepared) => {
                        prepared.leaves(node)
                            && self.worker.scratch.rejection(&prepared, view, &overlay, &info.pod, *row).is_none()
                    }
                };
            if !fits {
                held = false;
                break;
            }
            overlay.add(view, *row, Arc::clone(&info.pod));
        }
        self.observations.push(Observation::Recheck { held });
        held
    }

    /// Decides a group once more, on the live state.
    fn decide_gang_anew(
        &mut self,
        members: &[QueuedPodInfo],
        needed: usize,
        answers: &Answers,
        draw: u64,
    ) -> Vec<Outcome> {
        members.iter().for_each(|info| self.count_for(info.profile, &info.pod));
        let pods: Vec<Arc<PodInfo>> = members.iter().map(QueuedPodInfo::to_decide).collect();
        let Some(profile) = members.first().and_then(|info| self.profiles.get(info.profile)) else { return Vec::new() };
        let view = self.cache.table().view();
        let pods: Vec<&Arc<PodInfo>> = pods.iter().collect();
        let group = Group { pods: &pods, answers, needed };
        self.worker.decide_gang(profile, view, &mut Overlay::default(), &group, draw)
    }

    /// Has extenders asked about those pods of a group that need it.
    fn ask_about_gang(
        &mut self,
        attempt: &Attempt,
        members: Vec<QueuedPodInfo>,
        answers: Answers,
        outcomes: Vec<Outcome>,
    ) {
        tracing::debug!(group = %attempt.key, pods = members.len(), "extenders are asked");
        let question = |(info, outcome): (&QueuedPodInfo, Outcome)| match outcome {
            Outcome::Ask { nodes, nominated } => Some(Question { pod: Arc::clone(&info.pod), nodes, nominated }),
            _ => None,
        };
        let questions = members.iter().zip(outcomes).filter_map(question).collect();
        self.ask_in_turn(attempt.popped, members, answers, questions);
    }

    /// Does what was decided.
    fn settle_attempt(
        &mut self,
        now: Time,
        attempt: &Attempt,
        members: Vec<QueuedPodInfo>,
        outcomes: Vec<Outcome>,
        (needed, answers): (usize, &Answers),
    ) {
        tracing::debug!(group = %attempt.key, pods = members.len(), needed, ?outcomes, "decided");
        let failed = outcomes.iter().position(|outcome| matches!(outcome, Outcome::Failed(_)));
        if let Some((at, Outcome::Failed(error))) = failed.and_then(|at| Some((at, outcomes.get(at)?))) {
            return self.gang_failed(now, attempt, members, at, error);
        }
        if count_placed(&outcomes) < needed {
            let first = outcomes.into_iter().enumerate().find_map(|(at, outcome)| match outcome {
                Outcome::Unfit(diagnosis) => Some((at, diagnosis)),
                _ => None,
            });
            let (at, diagnosis) = first.unwrap_or_else(|| (0, Arc::new(Diagnosis::no_nodes())));
            let room = self.room_for_gang(now, attempt, &members, (needed, answers));
            return self.gang_unfit(now, attempt, members, at, &diagnosis, &room);
        }
        let (mut seats, mut rest) = (Vec::new(), Vec::new());
        for (info, outcome) in members.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Node { node, score, .. } => {
                    seats.push(Binding { info, node, score, popped: attempt.popped, assumed: Vec::new() });
                }
                Outcome::Unfit(diagnosis) => rest.push((info, diagnosis)),
                Outcome::Failed(_) | Outcome::Ask { .. } => {}
            }
        }
        if self.shadows() {
            self.observe_gang(now, attempt, AttemptResult::Scheduled);
            seats.into_iter().for_each(|seat| self.rest(now, attempt.popped, seat.info, seat.node));
        } else if !seats.is_empty() {
            self.assume_gang(now, attempt, seats);
        }
        // Beyond those that are needed each goes by itself, but makes room for itself at nobody's cost.
        for (info, diagnosis) in rest {
            self.fail(now, attempt.popped, info, Failure::Refused(diagnosis));
        }
    }

    /// Counts every pod on its node, reserves what else they need, and asks Permit.
    fn assume_gang(&mut self, now: Time, attempt: &Attempt, mut seats: Vec<Binding>) {
        for seat in &seats {
            // Those before it were there already when it was decided, if only in the mind.
            self.count_on(now, self.cache.table().view().epoch(), seat);
        }
        let mut each = seats.iter_mut().enumerate();
        let refused =
            each.find_map(|(at, seat)| self.reserve(seat).err().map(|(plugin, refusal)| (at, plugin, refusal)));
        match refused {
            Some((at, plugin, refusal)) => {
                self.give_gang_back(now, attempt, seats, at, refused_by("Reserve", plugin, refusal));
            }
            None => self.permit_gang(now, attempt, seats),
        }
    }

    /// It is sure now that the group is placed.
    pub(super) fn gang_placed(&mut self, now: Time, attempt: &Attempt) {
        self.observe_gang(now, attempt, AttemptResult::Scheduled);
        self.write_group_status(&attempt.key, None);
    }
}

/// Whether extenders have to be asked before a group can be placed, which it could be as far as plugins are concerned.
fn to_be_asked(outcomes: &[Outcome], needed: usize) -> bool {
    let failed = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(_)));
    !failed && count_seated(outcomes) >= needed && count_placed(outcomes) < count_seated(outcomes)
}
