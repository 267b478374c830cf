//! An attempt that failed: PostFilter, the way back into the queue, and what is said about it (reference sections 9.3
//! and 9.5).

use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::Candidate;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::time::Time;
use plimsoll_framework::verdict::Code;

use super::Engine;
use super::preempt::held_off;
use crate::diagnosis::Diagnosis;
use crate::effect::{AttemptResult, Effect, Observation, PodEvent, Reason, StatusUpdate};
use crate::extender::Answer;
use crate::queue::{Clearing, QueuedPodInfo, Rejectors};

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// No node will do.
    Unfit {
        /// Why.
        diagnosis: Box<Diagnosis>,
        /// What extenders said in this attempt.
        known: Option<Arc<Answer>>,
    },
    /// Turned away from the node chosen for it; pods leaving the nodes would not help.
    Refused(Box<Diagnosis>),
    /// Its group found no place as a whole. Nobody is asked to make room for one of a group alone.
    Group {
        /// Why the first of them found none.
        diagnosis: Box<Diagnosis>,
        /// What is said of all of them.
        text: String,
        /// The new nomination: `None` leaves it as it is, `Some(None)` clears it.
        nominated: Option<Option<Istr>>,
    },
    /// Something went wrong.
    Error(String),
}

/// What PostFilter comes to.
enum Remedy {
    /// This.
    Done(Nomination),
    /// Extenders have to be asked about the candidates of this plugin.
    Ask(&'static str, Vec<Candidate>),
}

/// Whether and how room is made.
struct Nomination {
    /// The new nomination: `None` leaves it as it is, `Some(None)` clears it.
    nominated: Option<Option<Istr>>,
    /// Who has to be told to go, unless all victims are going already.
    told: Option<Vec<Arc<PodInfo>>>,
    /// What would lead to something else.
    clearing: Clearing,
}

impl Engine {
    /// Puts the pod back, if it still is there to be scheduled, and says why it was not.
    pub(super) fn fail(&mut self, now: Time, popped: Time, info: QueuedPodInfo, failure: Failure) {
        let profile = info.profile;
        let rejected = |diagnosis: Box<Diagnosis>, nominated| {
            let rejectors = diagnosis.rejectors();
            (AttemptResult::Unschedulable, Reason::Unschedulable, diagnosis.message(), rejectors, nominated)
        };
        let (mut told, mut clearing) = (None, Clearing::Unknown);
        let (result, reason, message, rejectors, nominated) = match failure {
            Failure::Unfit { mut diagnosis, known } => {
                let done = match self.post_filter(now, &info, &mut diagnosis, known.as_deref()) {
                    Remedy::Done(done) => done,
                    Remedy::Ask(plugin, candidates) => {
                        return self.ask_who_goes(popped, info, known, (plugin, candidates));
                    }
                };
                told = done.told;
                clearing = done.clearing;
                rejected(diagnosis, done.nominated)
            }
            Failure::Refused(diagnosis) => rejected(diagnosis, Some(None)),
            Failure::Group { diagnosis, text, nominated } => {
                let rejectors = diagnosis.rejectors();
                (AttemptResult::Unschedulable, Reason::Unschedulable, text, rejectors, nominated)
            }
            Failure::Error(message) => {
                (AttemptResult::Error, Reason::SchedulerError, message, Rejectors::default(), Some(None))
            }
        };
        self.observations.push(Observation::Attempt { result, profile, duration: now.since(popped) });
        let uid = info.pod.key.uid.clone();
        let Some(pod) = self.cache.pending(&uid) else { return self.queue.done(&uid) };
        let left = nominated.as_ref().and_then(|node| self.set_nomination(node.clone(), &pod));
        if told.as_ref().is_some_and(|told| !told.is_empty()) {
            self.queue.hold(&uid);
        }
        self.put_back(now, QueuedPodInfo { pod: Arc::clone(&pod), ..info }, Rejectors { clearing, ..rejectors });
        if let Some(left) = left {
            self.nomination_left(now, &left, &pod);
        }
        self.report(&pod, reason, message, nominated.clone());
        if let (Some(node), Some(told)) = (nominated.flatten(), told) {
            self.preempt(now, &pod, node, told);
        }
    }

    /// Asks PostFilter, whose message goes into the diagnosis.
    fn post_filter(
        &mut self,
        now: Time,
        info: &QueuedPodInfo,
        diagnosis: &mut Diagnosis,
        known: Option<&Answer>,
    ) -> Remedy {
        let with = |nominated, clearing| Remedy::Done(Nomination { nominated, told: None, clearing });
        if diagnosis.node_count == 0 {
            return with(Some(None), Clearing::Unknown);
        }
        if let Some(wait) = self.held_off(now, &info.pod) {
            diagnosis.post_filter_message = held_off(wait);
            return with(None, Clearing::HeldOff);
        }
        let pod = self.as_nominated(&info.pod);
        let (profile, view) = (&self.profiles[info.profile], self.cache.table().view());
        let (draw, lowest) = (u64::from(info.attempts), self.cache.lowest_priority());
        let done = match self.worker.post_filter(profile, view, &pod, draw, known, lowest) {
            Some(Ok(done)) => done,
            Some(Err((plugin, candidates))) => return Remedy::Ask(plugin, candidates),
            None => return with(Some(None), Clearing::Unknown),
        };
        if known.is_none_or(|known| !known.is_about_preemption()) {
            self.observations.push(Observation::PreemptionAttempt);
        }
        diagnosis.post_filter_message = done.message;
        done.forbidden_by.into_iter().for_each(|plugin| diagnosis.unschedulable_plugins.insert(plugin));
        let Some(node) = done.nominated_node else {
            let kept = || view.nominations().node_of(&info.pod.key.uid).cloned();
            let clearing = match kept().filter(|_| !done.clears_nomination) {
                None if pod.nominated_node_name.is_some() && !done.clears_nomination => Clearing::Unknown,
                _ if done.code == Code::Error => Clearing::Unknown,
                // It waits for those who are on their way off its node.
                Some(node) => Clearing::Node(node),
                None => Clearing::Nowhere,
            };
            return with(done.clears_nomination.then_some(None), clearing);
        };
        let told = done.victims.iter().any(|victim| !victim.terminating).then(|| self.to_be_told(&done.victims));
        if told.is_some() {
            self.observations.push(Observation::Preemption { victims: done.victims.len() });
        }
        Remedy::Done(Nomination { clearing: Clearing::Node(node.clone()), nominated: Some(Some(node)), told })
    }

    /// Writes the condition and the new nomination, if any, and records the event, each only if it says something new.
    pub(super) fn report(
        &mut self,
        pod: &Arc<PodInfo>,
        reason: Reason,
        message: String,
        nominated: Option<Option<Istr>>,
    ) {
        let attempt = matches!(reason, Reason::Unschedulable | Reason::SchedulerError);
        let told = pod
            .scheduled
            .as_ref()
            .is_some_and(|c| &*c.status == "False" && &*c.reason == reason.as_str() && *c.message == *message);
        // A failed attempt is an event each time; a pod that is only held says so once.
        if attempt || !told {
            self.record(pod, true, "FailedScheduling", "Scheduling", message.clone());
        }
        let number = nominated.as_ref().and_then(|node| self.nominations.ask(pod, node));
        if !told || number.is_some() {
            self.effects.push_back(Effect::Status(Box::new(StatusUpdate {
                key: pod.key.clone(),
                generation: pod.generation,
                condition: (!told).then_some((reason, message)),
                transition: pod.scheduled.as_ref().is_none_or(|c| &*c.status != "False"),
                nominated_node_name: nominated.filter(|_| number.is_some()),
                number: number.unwrap_or(0),
            })));
        }
    }

    pub(super) fn record(
        &mut self,
        pod: &Arc<PodInfo>,
        warning: bool,
        reason: &'static str,
        action: &'static str,
        note: String,
    ) {
        let event = PodEvent { pod: Arc::clone(pod), warning, reason, action, note, related: None };
        self.effects.push_back(Effect::Record(Box::new(event)));
    }
}
