//! Who decides a popped pod. What the memo has at hand takes less time than handing it over, so that the owner decides it
//! itself, on the live table and in the order of the line; the rest is for workers, side by side.

use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::time::Time;

use super::ask::Popped;
use super::{Engine, InLine, InLineAnswer};
use crate::decide::{self, Proposal, Ticket};
use crate::queue::QueuedPodInfo;

/// What became of the next pod.
#[derive(Debug)]
pub enum HandOut {
    /// There is none, or the line is full.
    Nothing,
    /// The owner has decided it, or will when everything before it is committed.
    AtHand {
        /// Its place in the line.
        seq: u64,
    },
    /// A worker is to decide it, and its answer to come back by [`Engine::propose`]; or, where all are busy,
    /// [`Engine::decide_handed_out`] is to be called.
    Worker(Ticket),
}

impl Engine {
    /// Pops one pod to be decided by whoever does it best.
    pub fn hand_out(&mut self, now: Time) -> HandOut {
        self.settle(now);
        if !self.next_in_line(now) {
            return HandOut::Nothing;
        }
        let Some(slot) = self.line.back_mut() else { return HandOut::Nothing };
        let (ticket, view) = (&slot.ticket, self.cache.table().view());
        let alone = ticket.gang.is_none() && ticket.answers.is_empty();
        if !alone || !self.worker.has_at_hand(&self.profiles[ticket.profile], view, &ticket.pod) {
            return HandOut::Worker(ticket.clone());
        }
        let seq = ticket.seq;
        slot.answer = InLineAnswer::AtHand;
        self.advance(now);
        HandOut::AtHand { seq }
    }

    /// Decides a pod that was handed out, as a worker would that is free, and takes in the answer.
    pub fn decide_handed_out(&mut self, now: Time, ticket: &Ticket) {
        let proposal = self.decide_here(ticket);
        self.propose(now, vec![proposal]);
    }

    /// Pops the next pod, or group, to the end of the line; whether there was one, and room.
    pub(super) fn next_in_line(&mut self, now: Time) -> bool {
        if self.line.len() >= self.settings.line_limit {
            return false;
        }
        let Some(Popped { info, others, needed, popped, answers }) = self.next_pod(now) else { return false };
        let gang =
            needed.map(|needed| decide::Gang { others: others.iter().map(QueuedPodInfo::to_decide).collect(), needed });
        let pod = if info.preferred.is_some() { info.to_decide() } else { self.as_nominated(&info.pod) };
        let ticket = Ticket { seq: self.next_seq, pod, profile: info.profile, popped, answers, gang };
        self.next_seq += 1;
        self.count_for(ticket.profile, &ticket.pod);
        others.iter().for_each(|other| self.count_for(ticket.profile, &other.pod));
        self.line.push_back(InLine { ticket, info, others, answer: InLineAnswer::Awaited });
        true
    }

    /// Commits what has its turn.
    pub(super) fn advance(&mut self, now: Time) {
        while let Some(slot) = self.line.pop_front_if(|slot| !matches!(slot.answer, InLineAnswer::Awaited)) {
            let InLine { ticket, info, others, answer } = slot;
            let (proposal, first) = match answer {
                InLineAnswer::Proposed(proposal, first) => (proposal, first),
                InLineAnswer::AtHand | InLineAnswer::Awaited => (self.decide_here(&ticket), ticket.seq),
            };
            if ticket.gang.is_some() {
                self.commit_gang(now, (ticket, info, others), proposal, first);
            } else {
                self.commit(now, &ticket, info, proposal, first);
            }
        }
        self.look_at_doubtful_gangs(now);
    }

    /// Decides on the live table.
    fn decide_here(&mut self, ticket: &Ticket) -> Proposal {
        let (view, mut overlay) = (self.cache.table().view(), Overlay::default());
        if ticket.gang.is_some() {
            return self.worker.decide_ticket(&self.profiles, view, &mut overlay, ticket);
        }
        self.worker.decide_alone(&self.profiles[ticket.profile], view, &overlay, ticket)
    }
}
