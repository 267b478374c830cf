//! An attempt that failed: PostFilter, the way back into the queue, and what is said about it (reference sections 9.3
//! and 9.5).

use std::sync::Arc;
use std::time::Duration;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::Candidate;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::time::Time;
use plimsoll_framework::verdict::Code;

use super::Engine;
use crate::decide::PostFiltered;
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
        diagnosis: Arc<Diagnosis>,
        /// What extenders said in this attempt.
        known: Option<Arc<Answer>>,
    },
    /// Turned away from the node chosen for it; pods leaving the nodes would not help.
    Refused(Arc<Diagnosis>),
    /// Its group found no place as a whole. Nobody is asked to make room for one of a group alone.
    Group {
        /// Why the first of them found none.
        diagnosis: Arc<Diagnosis>,
        /// What is said of all of them.
        text: Arc<str>,
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
    /// What is to be added to what the nodes said.
    said: Said,
}

/// What there is to say of PostFilter.
pub(super) enum Said {
    Nothing,
    /// This much longer nobody is to go for the pod.
    HeldOff(Duration),
    Asked(Arc<PostFiltered>),
}

impl Engine {
    /// Puts the pod back, if it still is there to be scheduled, and says why it was not.
    pub(super) fn fail(&mut self, now: Time, popped: Time, info: QueuedPodInfo, failure: Failure) {
        let profile = info.profile;
        let rejected = |(message, rejectors), nominated| {
            (AttemptResult::Unschedulable, Reason::Unschedulable, message, rejectors, nominated)
        };
        let (mut told, mut clearing) = (None, Clearing::Unknown);
        let (result, reason, message, rejectors, nominated) = match failure {
            Failure::Unfit { diagnosis, known } => {
                let done = match self.post_filter(now, &info, &diagnosis, known.as_deref()) {
                    Remedy::Done(done) => done,
                    Remedy::Ask(plugin, candidates) => {
                        return self.ask_who_goes(popped, info, known, (plugin, candidates));
                    }
                };
                told = done.told;
                clearing = done.clearing;
                rejected(self.telling.of(&diagnosis, done.said), done.nominated)
            }
            Failure::Refused(diagnosis) => rejected(self.telling.of(&diagnosis, Said::Nothing), Some(None)),
            Failure::Group { diagnosis, text, nominated } => rejected((text, diagnosis.rejectors()), nominated),
            Failure::Error(message) => {
                (AttemptResult::Error, Reason::SchedulerError, message.into(), Rejectors::default(), Some(None))
            }
        };
        self.observations.push(Observation::Attempt { result, profile, duration: now.since(popped) });
        let uid = info.pod.key.uid.clone();
        self.resting.forget(&uid);
        // Another scheduler says which node is kept for its pod.
        let nominated = nominated.filter(|_| !self.shadows());
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

    /// Asks PostFilter about a pod that fits nowhere.
    fn post_filter(
        &mut self,
        now: Time,
        info: &QueuedPodInfo,
        diagnosis: &Diagnosis,
        known: Option<&Answer>,
    ) -> Remedy {
        let with = |nominated, clearing, said| Remedy::Done(Nomination { nominated, told: None, clearing, said });
        if diagnosis.node_count == 0 {
            return with(Some(None), Clearing::Unknown, Said::Nothing);
        }
        if let Some(wait) = self.held_off(now, &info.pod) {
            return with(None, Clearing::HeldOff, Said::HeldOff(wait));
        }
        let pod = self.as_nominated(&info.pod);
        let (profile, view) = (&self.profiles[info.profile], self.cache.table().view());
        let (draw, lowest) = (u64::from(info.attempts), self.cache.lowest_priority());
        let done = match self.worker.post_filter(profile, view, &pod, draw, known, lowest) {
            Some(Ok(done)) => done,
            Some(Err((plugin, candidates))) => return Remedy::Ask(plugin, candidates),
            None => return with(Some(None), Clearing::Unknown, Said::Nothing),
        };
        if known.is_none_or(|known| !known.is_about_preemption()) {
            self.observations.push(Observation::PreemptionAttempt);
        }
        let Some(node) = done.nominated_node.clone() else {
            let kept = || view.nominations().node_of(&info.pod.key.uid).cloned();
            let clearing = match kept().filter(|_| !done.clears_nomination) {
                None if pod.nominated_node_name.is_some() && !done.clears_nomination => Clearing::Unknown,
                _ if done.code == Code::Error => Clearing::Unknown,
                // It waits for those who are on their way off its node.
                Some(node) => Clearing::Node(node),
                None => Clearing::Nowhere,
            };
            return with(done.clears_nomination.then_some(None), clearing, Said::Asked(done));
        };
        if self.shadows() {
            tracing::debug!(pod = %pod.key, %node, victims = done.victims.len(), "pods would have to go for it");
            return with(None, Clearing::Unknown, Said::Nothing);
        }
        let told = done.victims.iter().any(|victim| !victim.terminating).then(|| self.to_be_told(&done.victims));
        if told.is_some() {
            self.observations.push(Observation::Preemption { victims: done.victims.len() });
        }
        let (clearing, nominated) = (Clearing::Node(node.clone()), Some(Some(node)));
        Remedy::Done(Nomination { nominated, told, clearing, said: Said::Asked(done) })
    }

    /// Writes the condition and the new nomination, if any, and records the event, each only if it says something new.
    pub(super) fn report(
        &mut self,
        pod: &Arc<PodInfo>,
        reason: Reason,
        message: Arc<str>,
        nominated: Option<Option<Istr>>,
    ) {
        let attempt = matches!(reason, Reason::Unschedulable | Reason::SchedulerError);
        let told = pod
            .scheduled
            .as_ref()
            .is_some_and(|c| &*c.status == "False" && &*c.reason == reason.as_str() && *c.message == *message);
        // A failed attempt is an event each time; a pod that is only held says so once.
        if attempt || !told {
            self.record(pod, true, "FailedScheduling", "Scheduling", Arc::clone(&message));
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
        note: Arc<str>,
    ) {
        let event = PodEvent { pod: Arc::clone(pod), warning, reason, action, note, related: None };
        self.effects.push_back(Effect::Record(event));
    }
}
