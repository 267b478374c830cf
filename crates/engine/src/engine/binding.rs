//! From the chosen node to the bound pod: Permit, Bind, PostBind (reference section 9.4). What comes between Permit and
//! Bind is in [`super::pre_binding`].

use std::sync::Arc;
use std::time::Duration;

use plimsoll_framework::assume::Assumption;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::{BindVerdict, PermitAnswer, PermitVerdict};
use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::time::Time;
use plimsoll_framework::verdict::Rejection;

use super::commit::refused_by;
use super::failure::Failure;
use super::{Engine, MAX_PERMIT_WAIT};
use crate::cache::Standing;
use crate::diagnosis::Diagnosis;
use crate::effect::{AttemptResult, BindRequest, Effect, Observation};
use crate::event::BindResult;
use crate::queue::QueuedPodInfo;

/// A pod on its way to its node.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) info: QueuedPodInfo,
    pub(super) node: Istr,
    pub(super) score: Option<i64>,
    pub(super) popped: Time,
    /// What the Reserve plugins assume for it, by plugin.
    pub(super) assumed: Vec<(&'static str, Vec<Assumption>)>,
}

/// A pod that Permit plugins hold.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) binding: Binding,
    pub(super) since: Time,
    /// The ticket of the group it was placed with: they go together.
    pub(super) gang: Option<u64>,
    /// Who holds it, until when, and for how long that was meant to be.
    pub(super) plugins: Vec<(&'static str, Time, Duration)>,
}

/// What came of asking Permit.
pub(super) enum Permitted {
    /// Who holds the pod; nobody, if it may be bound at once.
    Held(Vec<(&'static str, Time, Duration)>),
    /// It may not be bound.
    Refused(Failure),
}

impl Engine {
    /// Asks Permit and, unless somebody holds the pod, begins to bind it.
    pub(super) fn permit(&mut self, now: Time, binding: Binding) {
        let mut answers: Vec<(&'static str, PermitAnswer)> = Vec::new();
        match self.ask_permit(now, &binding, &mut answers) {
            Permitted::Refused(failure) => {
                answers.iter_mut().for_each(|(_, answer)| answer.activate.clear());
                self.give_back(now, binding, failure);
            }
            Permitted::Held(plugins) if plugins.is_empty() => self.start_binding(now, binding),
            Permitted::Held(plugins) => self.start_waiting(Waiting { binding, since: now, gang: None, plugins }),
        }
        // What the plugins said of others holds, whatever became of this pod.
        for (plugin, answer) in answers {
            self.release(now, plugin, answer);
        }
    }

    /// Asks every Permit plugin until one refuses. What they say of other pods is added to `answers`.
    pub(super) fn ask_permit(
        &self,
        now: Time,
        binding: &Binding,
        answers: &mut Vec<(&'static str, PermitAnswer)>,
    ) -> Permitted {
        let (mut holders, mut refused) = (Vec::new(), None);
        for point in &self.profiles[binding.info.profile].permit {
            let held: Vec<&PodInfo> = self.waiting.iter().map(|w| &*w.binding.info.pod).collect();
            let mut answer = point.plugin.permit(&binding.info.pod, &binding.node, &held);
            match std::mem::replace(&mut answer.verdict, PermitVerdict::Allow) {
                PermitVerdict::Allow => {}
                PermitVerdict::Wait(time) => {
                    let time = time.min(MAX_PERMIT_WAIT);
                    holders.push((point.name, now.after(time), time));
                }
                PermitVerdict::Refuse(refusal) => refused = Some((point.name, refusal)),
            }
            answers.push((point.name, answer));
            if refused.is_some() {
                break;
            }
        }
        match refused {
            Some((plugin, refusal)) => Permitted::Refused(refused_by("Permit", plugin, refusal)),
            None => Permitted::Held(holders),
        }
    }

    /// Lets go, or turns away, pods that a plugin holds.
    pub(super) fn release(&mut self, now: Time, plugin: &'static str, answer: PermitAnswer) {
        for uid in answer.allow {
            let Some(at) = self.waiting_index(&uid) else { continue };
            self.waiting[at].plugins.retain(|(name, ..)| *name != plugin);
            if let Some(seq) = self.waiting[at].gang {
                self.look_at_waiting_gang(now, seq);
            } else if self.waiting[at].plugins.is_empty() {
                let waiting = self.stop_waiting(now, at, "Success");
                self.start_binding(now, waiting.binding);
            }
        }
        for uid in answer.activate {
            self.queue.activate_now(now, &uid);
        }
        for (uid, reason) in answer.reject {
            if let Some(at) = self.waiting_index(&uid) {
                self.reject_waiting(now, at, plugin, reason);
            }
        }
    }

    pub(super) fn expire_permits(&mut self, now: Time) {
        while let Some(at) = self.waiting.iter().position(|w| w.plugins.iter().any(|(_, deadline, _)| *deadline <= now))
        {
            let first = self.waiting[at].plugins.iter().min_by_key(|(_, deadline, _)| *deadline).copied();
            let Some((plugin, _, time)) = first else { return };
            let reason = format!("rejected due to timeout after waiting {} at plugin {plugin}", in_words(time));
            self.reject_waiting(now, at, plugin, reason);
        }
    }

    fn reject_waiting(&mut self, now: Time, at: usize, plugin: &'static str, reason: String) {
        let rejection = Rejection::unschedulable(reason);
        let diagnosis = Diagnosis::rejected_at_node(plugin, rejection.code, rejection.reason);
        if let Some(seq) = self.waiting[at].gang {
            return self.reject_waiting_gang(now, seq, at, diagnosis);
        }
        let waiting = self.stop_waiting(now, at, "Unschedulable");
        self.give_back(now, waiting.binding, Failure::Refused(Arc::new(diagnosis)));
    }

    pub(super) fn start_waiting(&mut self, waiting: Waiting) {
        self.write_nomination(&waiting.binding.info.pod, Some(waiting.binding.node.clone()));
        self.waiting.push(waiting);
    }

    pub(super) fn stop_waiting(&mut self, now: Time, at: usize, result: &'static str) -> Waiting {
        let waiting = self.waiting.remove(at);
        self.observations.push(Observation::PermitWait { result, duration: now.since(waiting.since) });
        waiting
    }

    fn waiting_index(&self, uid: &Uid) -> Option<usize> {
        self.waiting.iter().position(|w| w.binding.info.pod.key.uid == *uid)
    }

    /// Whether Permit plugins hold the pod.
    pub(super) fn waits_on_permit(&self, uid: &Uid) -> bool {
        self.waiting_index(uid).is_some()
    }

    /// A pod that waits for Permit loses its node.
    pub(super) fn end_waiting(&mut self, now: Time, uid: &Uid, failure: Failure) {
        if let Some(at) = self.waiting_index(uid) {
            let waiting = self.stop_waiting(now, at, "Error");
            self.give_back(now, waiting.binding, failure);
        }
    }

    /// A pod that waits for Permit is gone, or will be.
    pub(super) fn leave_permit(&mut self, now: Time, uid: &Uid) {
        if let Some(at) = self.waiting_index(uid) {
            let waiting = self.stop_waiting(now, at, "Unschedulable");
            self.queue.done(uid);
            self.gangs_in_doubt.extend(waiting.gang);
            let withdrawn = self.unreserve(&waiting.binding);
            self.tell_withdrawn(now, uid, withdrawn);
        }
    }

    /// A pod that is held on its way is on its node already, by somebody else's hand: there is nothing left to be done.
    pub(super) fn bound_by_another(&mut self, now: Time, uid: &Uid) {
        self.leave_awaiting(now, uid);
        if let Some(at) = self.waiting_index(uid) {
            let waiting = self.stop_waiting(now, at, "Success");
            self.queue.done(uid);
            self.gangs_in_doubt.extend(waiting.gang);
            let withdrawn = self.withdraw(&waiting.binding);
            self.tell_withdrawn(now, uid, withdrawn);
        }
    }

    /// Sends the binding of a pod for which everything else is done.
    pub(super) fn bind(&mut self, now: Time, binding: Binding) {
        let pod = Arc::clone(&binding.info.pod);
        let profile = &self.profiles[binding.info.profile];
        let verdicts = profile.bind.iter().map(|p| p.plugin.bind(&pod, &binding.node));
        let by = verdicts.into_iter().find(|v| *v != BindVerdict::Skip);
        let Some(by) = by else {
            let message = "every Bind plugin skipped the pod".to_owned();
            return self.give_back(now, binding, Failure::Error(message));
        };
        self.effects.push_back(Effect::Bind(BindRequest {
            pod: Arc::clone(&pod),
            node: binding.node.clone(),
            by,
            score: binding.score,
            attempts: binding.info.attempts,
            popped: binding.popped,
        }));
        self.binding.insert(pod.key.uid.clone(), binding);
    }

    /// Whether something about the pod is under way to the API server that has to be answered first.
    pub(super) fn is_under_way(&self, uid: &Uid) -> bool {
        self.binding.contains_key(uid) || self.writing.contains_key(uid)
    }

    /// A binding is settled.
    pub(super) fn bind_finished(&mut self, now: Time, uid: &Uid, result: BindResult) {
        let Some(binding) = self.binding.remove(uid) else { return };
        let standing = self.cache.get(uid).map(|k| (k.standing.clone(), k.pod.node_name.clone()));
        let confirmed = matches!(&standing, Some((Standing::Assigned, Some(node))) if *node == binding.node);
        match result {
            BindResult::Bound => self.bound(now, &binding),
            // The watch knows better: it saw the pod on the node.
            BindResult::Failed { .. } | BindResult::Gone if confirmed => self.bound(now, &binding),
            BindResult::Failed { message } => {
                let failure =
                    Failure::Error(format!("binding {} to {}: {message}", binding.info.pod.key, binding.node));
                self.give_back(now, binding, failure);
            }
            BindResult::Gone => {
                let withdrawn = self.unreserve(&binding);
                self.tell_withdrawn(now, uid, withdrawn);
                let duration = now.since(binding.popped);
                let profile = binding.info.profile;
                self.observations.push(Observation::Attempt { result: AttemptResult::Error, profile, duration });
                let known = self.cache.get(uid).filter(|k| matches!(k.standing, Standing::Assumed(_)));
                // The watch will say what became of it; until then it takes up nothing here.
                let left = known.map(|k| Arc::clone(&k.pod)).and_then(|pod| self.cache.set(pod, Standing::Held));
                if let Some(left) = left {
                    self.place_left(now, &left);
                }
            }
        }
    }

    fn bound(&mut self, now: Time, binding: &Binding) {
        let (pod, info) = (&binding.info.pod, &binding.info);
        self.cache.mark_bound(&pod.key.uid);
        self.preemptions.brake.placed(pod);
        for point in &self.profiles[info.profile].post_bind {
            point.plugin.post_bind(pod, &binding.node);
        }
        let note = format!("Successfully assigned {} to {}", pod.key, binding.node);
        self.record(pod, false, "Scheduled", "Binding", note.into());
        let result = AttemptResult::Scheduled;
        let duration = now.since(binding.popped);
        self.observations.push(Observation::Attempt { result, profile: info.profile, duration });
        self.observations.push(Observation::Scheduled {
            attempts: info.attempts,
            sli: now.since(info.initial_attempt.unwrap_or(info.timestamp)),
            flushed: info.flushed,
        });
    }
}

/// A duration as kube-scheduler's messages write it: `1h0m5s`, `1m30s`, `1.5s`, `250ms`.
pub(super) fn in_words(time: Duration) -> String {
    let fraction = |nanos: u32, digits: usize| {
        let text = format!("{nanos:0digits$}");
        let text = text.trim_end_matches('0');
        if text.is_empty() { String::new() } else { format!(".{text}") }
    };
    let (seconds, nanos) = (time.as_secs(), time.subsec_nanos());
    match (seconds, nanos) {
        (0, 0) => "0s".to_owned(),
        (0, 1..1_000) => format!("{nanos}ns"),
        (0, 1_000..1_000_000) => format!("{}{}µs", nanos / 1_000, fraction(nanos % 1_000, 3)),
        (0, _) => format!("{}{}ms", nanos / 1_000_000, fraction(nanos % 1_000_000, 6)),
        _ => {
            let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
            let longest = if hours > 0 { format!("{hours}h{minutes}m") } else { format!("{minutes}m") };
            let longest = if seconds < 60 { String::new() } else { longest };
            format!("{longest}{}{}s", seconds % 60, fraction(nanos, 9))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_go() {
        let rows = [
            (0, "0s"),
            (900, "900ns"),
            (1_500, "1.5µs"),
            (250_000_000, "250ms"),
            (1_500_000_000, "1.5s"),
            (15_000_000_000, "15s"),
            (90_000_000_000, "1m30s"),
            (900_000_000_000, "15m0s"),
            (3_605_000_000_000, "1h0m5s"),
        ];
        for (nanos, expect) in rows {
            assert_eq!(in_words(Duration::from_nanos(nanos)), expect);
        }
    }
}
