//! Pods that extenders have a say in: they leave the line with a question, and rejoin it at its head with the answer.
//!
//! ```text
//!  queue --> place free? --> line --> Ask --> open --> answered --> line (masked) --> commit
//!                 | no                          | error
//!                 v                             v
//!              parked                        fail, backoff
//! ```
//!
//! A pod holds a place from when it is first given out to be decided until its decision is committed. Where there is
//! one place, extenders see one pod after the other, as from kube-scheduler. Pods without a place are put aside, in flight, so
//! that those behind them that no extender cares for go on.
//!
//! A pod that fits nowhere goes the same way when nodes could be cleared for it and extenders have a say in that: with
//! the answer it is decided anew, and only if it still fits nowhere do pods go for it.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::Candidate;
use plimsoll_framework::pod::Uid;
use plimsoll_framework::time::Time;

use super::Engine;
use super::failure::Failure;
use crate::cache::Standing;
use crate::effect::{Effect, Observation};
use crate::extender::{Answer, Ask, PreemptAsk, Shrunk};
use crate::queue::QueuedPodInfo;

/// A pod to be decided next.
pub(super) struct Next {
    pub(super) info: QueuedPodInfo,
    /// When it was popped.
    pub(super) popped: Time,
    pub(super) answer: Option<Arc<Answer>>,
}

/// A question that is not answered yet.
struct Open {
    number: u64,
    info: QueuedPodInfo,
    popped: Time,
    /// What earlier questions of this attempt brought.
    known: Option<Arc<Answer>>,
    /// The PostFilter plugin whose candidates it is about; `None` where it is about the pod's own place.
    candidates_of: Option<&'static str>,
}

/// The pods that extenders have a say in, popped and not committed.
#[derive(Default)]
pub(super) struct Asking {
    /// Those that hold a place.
    places: HashSet<Uid>,
    open: HashMap<Uid, Open>,
    answered: VecDeque<Next>,
    /// Those that wait for a place, in the order in which they were popped.
    parked: Vec<QueuedPodInfo>,
    last_number: u64,
}

impl Asking {
    /// The pod is decided, or gone: its place is free.
    pub(super) fn leave(&mut self, uid: &Uid) {
        self.places.remove(uid);
    }

    /// Notes a question, whose number it gives. The pod holds a place.
    fn open(&mut self, open: Open) -> u64 {
        self.last_number += 1;
        let (number, uid) = (self.last_number, open.info.pod.key.uid.clone());
        self.places.insert(uid.clone());
        self.open.insert(uid, Open { number, ..open });
        number
    }

    /// Takes the question of this number, if it is open.
    fn close(&mut self, uid: &Uid, number: u64) -> Option<Open> {
        self.open.get(uid).filter(|open| open.number == number)?;
        self.open.remove(uid)
    }

    /// How many questions are open.
    pub(super) fn under_way(&self) -> usize {
        self.open.len()
    }

    /// How many pods wait for a place.
    pub(super) fn parked(&self) -> usize {
        self.parked.len()
    }
}

impl Engine {
    /// Whether a pod can be decided that is popped already.
    pub(super) fn has_answers(&self) -> bool {
        !self.asking.answered.is_empty() || !self.asking.parked.is_empty() && self.has_place()
    }

    fn has_place(&self) -> bool {
        self.asking.places.len() < self.settings.ask_limit
    }

    /// The next pod to be decided: one that was answered for, one that waited for a place, or the first of the queue.
    pub(super) fn next_pod(&mut self, now: Time) -> Option<Next> {
        while let Some(next) = self.asking.answered.pop_front() {
            if let Some(next) = self.rejoin(next) {
                return Some(next);
            }
        }
        while self.has_place()
            && let Some(first) = self.first_parked()
        {
            let info = self.asking.parked.remove(first);
            self.queue.unpark(&info.pod.key.uid);
            if let Some(next) = self.rejoin(Next { info, popped: now, answer: None }) {
                self.asking.places.insert(next.info.pod.key.uid.clone());
                return Some(next);
            }
        }
        loop {
            let info = self.pop()?;
            if self.profiles[info.profile].asks_about(&info.pod) {
                if !self.has_place() {
                    self.queue.park(&info.pod.key.uid);
                    self.asking.parked.push(info);
                    continue;
                }
                self.asking.places.insert(info.pod.key.uid.clone());
            }
            return Some(Next { info, popped: now, answer: None });
        }
    }

    /// The parked pod whose turn it is: by the order of the queue, then by the order in which they came.
    fn first_parked(&self) -> Option<usize> {
        let parked = &self.asking.parked;
        let less =
            |a: &QueuedPodInfo, b: &QueuedPodInfo| self.profiles[a.profile].queue_sort.less(a.queued(), b.queued());
        (0..parked.len()).reduce(|first, at| if less(&parked[at], &parked[first]) { at } else { first })
    }

    /// A popped pod as it is now, if it still is to be placed. What was said of it counts only if it is the same.
    fn rejoin(&mut self, mut next: Next) -> Option<Next> {
        let asked = Arc::clone(&next.info.pod);
        let uid = &asked.key.uid;
        let pending = self.cache.get(uid).filter(|k| k.standing == Standing::Pending).map(|k| Arc::clone(&k.pod));
        let Some(pod) = pending else {
            self.asking.leave(uid);
            self.queue.done(uid);
            return None;
        };
        if self.skip_terminating(&pod) {
            self.asking.leave(uid);
            return None;
        }
        if !Arc::ptr_eq(&pod.spec, &asked.spec) || pod.labels != asked.labels {
            next.answer = None;
        }
        if let Some(profile) = self.by_name.get(&pod.scheduler_name) {
            next.info.profile = *profile;
        }
        next.info.pod = pod;
        Some(next)
    }

    /// Asks the extenders about a pod, which stays in flight.
    pub(super) fn ask(
        &mut self,
        popped: Time,
        info: QueuedPodInfo,
        known: Option<Arc<Answer>>,
        (nodes, nominated): (Vec<Istr>, Option<Istr>),
    ) {
        let pod = Arc::clone(&info.pod);
        let number = self.asking.open(Open { number: 0, info, popped, known, candidates_of: None });
        self.effects.push_back(Effect::Ask(Box::new(Ask { number, pod, nodes, nominated })));
    }

    /// Asks the extenders which of these nodes may be cleared for a pod that fits nowhere, and which stays in flight.
    pub(super) fn ask_who_goes(
        &mut self,
        popped: Time,
        info: QueuedPodInfo,
        known: Option<Arc<Answer>>,
        (plugin, candidates): (&'static str, Vec<Candidate>),
    ) {
        let pod = Arc::clone(&info.pod);
        if !self.has_place() {
            // Where there is one it is decided anew.
            self.queue.park(&pod.key.uid);
            self.asking.parked.push(info);
            return;
        }
        if known.as_ref().is_none_or(|known| !known.is_about_preemption()) {
            self.observations.push(Observation::PreemptionAttempt);
        }
        let table = self.cache.table();
        let on = |c: &Candidate| Some((c.node.clone(), table.view().pods(table.row(&c.node)?).to_vec()));
        let pods = candidates.iter().filter_map(on).collect();
        let number = self.asking.open(Open { number: 0, info, popped, known, candidates_of: Some(plugin) });
        self.effects.push_back(Effect::AskPreempt(Box::new(PreemptAsk { number, pod, candidates, pods })));
    }

    /// Takes in an answer; one to a question that is not open any more is dropped.
    pub(super) fn answered(&mut self, now: Time, uid: &Uid, number: u64, result: Result<Answer, String>) {
        let Some(Open { info, popped, known, .. }) = self.asking.close(uid, number) else { return };
        match result {
            Ok(later) => {
                let mut answer = known.map_or_else(Answer::default, |known| Answer::clone(&known));
                answer.extend(later);
                answer.rounds += 1;
                self.asking.answered.push_back(Next { info, popped, answer: Some(Arc::new(answer)) });
            }
            Err(message) => {
                self.asking.leave(uid);
                self.fail(now, popped, info, Failure::Error(message));
            }
        }
    }

    /// The same for an answer about who is to go. That there is none is for the plugin to say, too.
    pub(super) fn preempt_answered(&mut self, uid: &Uid, number: u64, result: Shrunk) {
        let Some(Open { info, popped, known, candidates_of, .. }) = self.asking.close(uid, number) else { return };
        let mut answer = known.map_or_else(Answer::default, |known| Answer::clone(&known));
        if let Some(plugin) = candidates_of {
            answer.add_shrunk(plugin, result);
        }
        self.asking.answered.push_back(Next { info, popped, answer: Some(Arc::new(answer)) });
    }

    /// A pod that extenders are being asked about is gone, or on a node.
    pub(super) fn forget_ask(&mut self, uid: &Uid) {
        if self.asking.open.remove(uid).is_some() {
            self.asking.leave(uid);
            self.queue.done(uid);
        }
    }
}
