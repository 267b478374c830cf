//! Permit for a group: its pods are bound when all of them may be, and given back when one may not.

use std::sync::Arc;

use plimsoll_framework::plugin::PermitAnswer;
use plimsoll_framework::pod::GroupKey;
use plimsoll_framework::time::Time;

use super::commit::Attempt;
use crate::diagnosis::Diagnosis;
use crate::engine::Engine;
use crate::engine::binding::{Binding, Permitted, Waiting};
use crate::engine::failure::Failure;

impl Engine {
    /// Asks Permit about every pod of a group and, unless somebody holds one of them, begins to bind them all.
    pub(super) fn permit_gang(&mut self, now: Time, attempt: &Attempt, seats: Vec<Binding>) {
        let mut answers: Vec<(&'static str, PermitAnswer)> = Vec::new();
        let (mut holders, mut refused) = (Vec::new(), None);
        for (at, seat) in seats.iter().enumerate() {
            match self.ask_permit(now, seat, &mut answers) {
                Permitted::Held(plugins) => holders.push(plugins),
                Permitted::Refused(failure) => {
                    refused = Some((at, failure));
                    break;
                }
            }
        }
        if let Some((at, failure)) = refused {
            answers.iter_mut().for_each(|(_, answer)| answer.activate.clear());
            self.give_gang_back(now, attempt, seats, at, failure);
        } else if holders.iter().all(Vec::is_empty) {
            self.gang_placed(now, attempt);
            seats.into_iter().for_each(|seat| self.start_binding(now, seat));
        } else {
            for (binding, plugins) in seats.into_iter().zip(holders) {
                self.start_waiting(Waiting { binding, since: now, plugins, gang: Some(attempt.seq) });
            }
        }
        for (plugin, answer) in answers {
            self.release(now, plugin, answer);
        }
    }

    /// Something has changed about the pods of a group that wait for Permit: they go when nobody holds any of them, and
    /// are given back when too few are left.
    pub(in crate::engine) fn look_at_waiting_gang(&mut self, now: Time, seq: u64) {
        let of_gang = |w: &&Waiting| w.gang == Some(seq);
        let Some(key) = self.waiting.iter().find(of_gang).and_then(|w| w.binding.info.group.clone()) else { return };
        if !self.has_enough(&key) {
            let failure = Failure::Error("a pod of the group is gone".to_owned());
            return self.refuse_waiting_gang(now, seq, 0, failure);
        }
        if self.waiting.iter().filter(of_gang).all(|w| w.plugins.is_empty()) {
            let (seats, attempt) = self.stop_waiting_gang(now, seq, "Success");
            if let Some(attempt) = attempt {
                self.gang_placed(now, &attempt);
            }
            seats.into_iter().for_each(|seat| self.start_binding(now, seat));
        }
    }

    /// A plugin that held the pod `at` among all that wait turns it away, and with it its group.
    pub(in crate::engine) fn reject_waiting_gang(&mut self, now: Time, seq: u64, at: usize, diagnosis: Diagnosis) {
        let before = self.waiting.iter().take(at).filter(|w| w.gang == Some(seq)).count();
        self.refuse_waiting_gang(now, seq, before, Failure::Refused(Arc::new(diagnosis)));
    }

    fn refuse_waiting_gang(&mut self, now: Time, seq: u64, at: usize, failure: Failure) {
        let (seats, attempt) = self.stop_waiting_gang(now, seq, "Unschedulable");
        if let Some(attempt) = attempt {
            self.give_gang_back(now, &attempt, seats, at, failure);
        }
    }

    fn stop_waiting_gang(&mut self, now: Time, seq: u64, result: &'static str) -> (Vec<Binding>, Option<Attempt>) {
        let mut seats = Vec::new();
        while let Some(at) = self.waiting.iter().position(|w| w.gang == Some(seq)) {
            seats.push(self.stop_waiting(now, at, result).binding);
        }
        let attempt = seats.first().and_then(|seat| {
            let (key, profile) = (seat.info.group.clone()?, seat.info.profile);
            Some(Attempt { key, seq, popped: seat.popped, profile })
        });
        (seats, attempt)
    }

    /// Whether those of a group that have a node, or wait to go to one, are as many as it needs.
    fn has_enough(&self, key: &GroupKey) -> bool {
        let (members, group) = (self.members(key), self.pod_group(key));
        match self.rule(key, group.as_ref(), &members).0 {
            super::Rule::Min(min) => members.placed >= min,
            _ => true,
        }
    }
}
