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
//! The pods of a group leave the line together and hold one place. They are asked about one after the other, each on the
//! nodes that would do for it as the plugins alone would place those before it; when all are answered for, the group is
//! decided anew.
//!
//! A pod that fits nowhere goes the same way when nodes could be cleared for it and extenders have a say in that: with
//! the answer it is decided anew, and only if it still fits nowhere do pods go for it.

mod turn;

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::Candidate;
use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::time::Time;

use super::Engine;
use super::failure::Failure;
use crate::effect::{Effect, Observation};
use crate::extender::{Answer, Answers, Ask, PreemptAsk, Shrunk};
use crate::queue::QueuedPodInfo;

/// A pod to be decided next, or the first of a group.
pub(super) struct Popped {
    pub(super) info: QueuedPodInfo,
    /// The rest of its group.
    pub(super) others: Vec<QueuedPodInfo>,
    /// How many of a group are needed; `None` for a pod by itself.
    pub(super) needed: Option<usize>,
    pub(super) popped: Time,
    pub(super) answers: Answers,
}

/// The same while it waits for answers.
pub(super) struct Next {
    pub(super) members: Vec<QueuedPodInfo>,
    /// How many of a group are needed; `None` for a pod by itself.
    pub(super) needed: Option<usize>,
    /// When it was popped.
    pub(super) popped: Time,
    pub(super) answers: Answers,
}

impl Next {
    fn new(members: Vec<QueuedPodInfo>, popped: Time, answers: Answers) -> Self {
        Self { members, needed: None, popped, answers }
    }

    /// The first apart from the others, if there is one.
    fn split(self) -> Option<Popped> {
        let Self { members, needed, popped, answers } = self;
        let mut members = members.into_iter();
        let info = members.next()?;
        Some(Popped { info, others: members.collect(), needed, popped, answers })
    }
}

/// A question about where a pod is to go.
pub(super) struct Question {
    pub(super) pod: Arc<PodInfo>,
    pub(super) nodes: Vec<Istr>,
    /// The one of them that is being cleared for it.
    pub(super) nominated: Option<Istr>,
}

/// A question that is not answered yet.
struct Open {
    number: u64,
    /// The pod that it is about, or all of its group.
    members: Vec<QueuedPodInfo>,
    popped: Time,
    /// What earlier questions of this attempt brought.
    answers: Answers,
    about: About,
}

/// What is asked.
enum About {
    /// Where the pod is to go.
    Place,
    /// The same for a pod of a group, and what is to be asked then about the others.
    Places(VecDeque<Question>),
    /// Who is to go for it; the candidates are this plugin's.
    Candidates(&'static str),
}

/// The pods that extenders have a say in, popped and not committed.
#[derive(Default)]
pub(super) struct Asking {
    /// Those that hold a place; one for a group.
    places: HashSet<Uid>,
    /// By the pod that is asked about.
    open: HashMap<Uid, Open>,
    answered: VecDeque<Next>,
    /// Those that wait for a place, in the order in which they were popped.
    parked: Vec<Vec<QueuedPodInfo>>,
    last_number: u64,
}

impl Asking {
    /// The pod is decided, or gone: its place is free.
    pub(super) fn leave(&mut self, uid: &Uid) {
        self.places.remove(uid);
    }

    /// The same for all of a group; whether one of them held a place.
    pub(super) fn leave_all(&mut self, members: &[QueuedPodInfo]) -> bool {
        let before = self.places.len();
        members.iter().for_each(|info| self.leave(&info.pod.key.uid));
        self.places.len() < before
    }

    /// Notes a question about a pod, whose number it gives. It, or its group, holds a place.
    fn open(&mut self, uid: &Uid, open: Open) -> u64 {
        self.last_number += 1;
        let number = self.last_number;
        self.places.extend(open.members.first().map(|first| first.pod.key.uid.clone()));
        self.open.insert(uid.clone(), Open { number, ..open });
        number
    }

    /// Takes the question of this number, if it is open.
    fn close(&mut self, uid: &Uid, number: u64) -> Option<Open> {
        self.open.get(uid).filter(|open| open.number == number)?;
        self.open.remove(uid)
    }

    /// Gives the pods back, or puts them to those of their group that are popped and not decided.
    fn join(&mut self, members: Vec<QueuedPodInfo>) -> Option<Vec<QueuedPodInfo>> {
        let key = members.first().and_then(|first| first.group.clone());
        let asked = self.open.values_mut().map(|open| &mut open.members);
        let mut groups = asked.chain(self.answered.iter_mut().map(|next| &mut next.members)).chain(&mut self.parked);
        match groups.find(|group| key.is_some() && group.first().is_some_and(|first| first.group == key)) {
            Some(group) => group.extend(members),
            None => return Some(members),
        }
        None
    }

    /// How many questions are open.
    pub(super) fn under_way(&self) -> usize {
        self.open.len()
    }

    /// How many pods wait for a place.
    pub(super) fn parked(&self) -> usize {
        self.parked.iter().map(Vec::len).sum()
    }
}

impl Engine {
    /// Asks the extenders about a pod, which stays in flight.
    pub(super) fn ask(&mut self, popped: Time, info: QueuedPodInfo, known: Option<Arc<Answer>>, question: Question) {
        let answers = known.into_iter().map(|known| (info.pod.key.uid.clone(), known)).collect();
        let about = About::Place;
        self.open(Open { number: 0, members: vec![info], popped, answers, about }, question);
    }

    /// Asks the extenders about the pods of a group, one after the other; all of the group stays in flight.
    pub(super) fn ask_in_turn(
        &mut self,
        popped: Time,
        members: Vec<QueuedPodInfo>,
        answers: Answers,
        mut questions: VecDeque<Question>,
    ) {
        while let Some(question) = questions.pop_front() {
            if self.cache.pending(&question.pod.key.uid).is_some() {
                let about = About::Places(questions);
                return self.open(Open { number: 0, members, popped, answers, about }, question);
            }
        }
        self.all_answered(Next::new(members, popped, answers));
    }

    fn open(&mut self, open: Open, question: Question) {
        let Question { pod, nodes, nominated } = question;
        let number = self.asking.open(&pod.key.uid, open);
        self.effects.push_back(Effect::Ask(Box::new(Ask { number, pod, nodes, nominated })));
    }

    /// Pods that were answered for are next. They count as asked equally often, all of a group.
    fn all_answered(&mut self, mut next: Next) {
        let rounds = 1 + next.answers.values().map(|answer| answer.rounds).max().unwrap_or(0);
        for info in next.members.iter().filter(|info| self.profiles[info.profile].asks_about(&info.pod)) {
            let answer = next.answers.entry(info.pod.key.uid.clone()).or_default();
            Arc::make_mut(answer).rounds = rounds;
        }
        self.asking.answered.push_back(next);
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
            self.asking.parked.push(vec![info]);
            return;
        }
        if known.as_ref().is_none_or(|known| !known.is_about_preemption()) {
            self.observations.push(Observation::PreemptionAttempt);
        }
        let table = self.cache.table();
        let on = |c: &Candidate| Some((c.node.clone(), table.view().pods(table.row(&c.node)?).to_vec()));
        let pods = candidates.iter().filter_map(on).collect();
        let answers = known.into_iter().map(|known| (pod.key.uid.clone(), known)).collect();
        let open = Open { number: 0, members: vec![info], popped, answers, about: About::Candidates(plugin) };
        let number = self.asking.open(&pod.key.uid, open);
        self.effects.push_back(Effect::AskPreempt(Box::new(PreemptAsk { number, pod, candidates, pods })));
    }

    /// Takes in an answer; one to a question that is not open any more is dropped.
    pub(super) fn answered(&mut self, now: Time, uid: &Uid, number: u64, result: Result<Answer, String>) {
        let Some(Open { members, popped, mut answers, about, .. }) = self.asking.close(uid, number) else { return };
        match (result, about) {
            (Ok(later), about) => {
                Arc::make_mut(answers.entry(uid.clone()).or_default()).extend(later);
                match about {
                    About::Places(questions) => self.ask_in_turn(popped, members, answers, questions),
                    _ => self.all_answered(Next::new(members, popped, answers)),
                }
            }
            (Err(message), About::Places(_)) => {
                self.asking.leave_all(&members);
                self.gang_not_answered_for(now, popped, members, uid, &message);
            }
            (Err(message), _) => {
                self.asking.leave(uid);
                for info in members {
                    self.fail(now, popped, info, Failure::Error(message.clone()));
                }
            }
        }
    }

    /// The same for an answer about who is to go. That there is none is for the plugin to say, too.
    pub(super) fn preempt_answered(&mut self, uid: &Uid, number: u64, result: Shrunk) {
        let Some(Open { members, popped, mut answers, about, .. }) = self.asking.close(uid, number) else { return };
        if let About::Candidates(plugin) = about {
            Arc::make_mut(answers.entry(uid.clone()).or_default()).add_shrunk(plugin, result);
        }
        self.asking.answered.push_back(Next::new(members, popped, answers));
    }

    /// A pod that extenders are being asked about is gone, or on a node. Of a group the others are asked about.
    pub(super) fn forget_ask(&mut self, uid: &Uid) {
        let Some(Open { mut members, popped, answers, about, .. }) = self.asking.open.remove(uid) else { return };
        self.queue.done(uid);
        let held = self.asking.leave_all(&members);
        members.retain(|info| info.pod.key.uid != *uid);
        let Some(first) = members.first() else { return };
        if held {
            self.asking.places.insert(first.pod.key.uid.clone());
        }
        let questions = if let About::Places(questions) = about { questions } else { VecDeque::new() };
        self.ask_in_turn(popped, members, answers, questions);
    }
}
