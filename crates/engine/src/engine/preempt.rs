//! Making room: pods of lower priority go for one that fits nowhere (reference section 11.7).
//!
//! Nobody waits for it. The pods are asked to go, all but one at the same time and the last one when the others have
//! been; meanwhile the pod they go for is kept out of the queue, in the name of DefaultPreemption, and everything else
//! goes on. From the moment of the decision the nomination counts on the node, so that nobody else plans with that room.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::time::Time;

use super::Engine;
use super::brake::Brake;
use super::failure::Failure;
use crate::cache::Known;
use crate::effect::{Effect, EvictRequest, Observation, PodEvent};
use crate::event::EvictResult;

/// How many of the pods that have to go are named in the event.
const NAMED: usize = 5;

/// The preemptions under way, by the pod that room is made for.
#[derive(Debug, Default)]
pub(super) struct Preemptions {
    under_way: BTreeMap<Uid, Preemption>,
    /// Pods that were asked to go and are not seen to be going yet: nobody asks them twice.
    asked: BTreeSet<Uid>,
    pub(super) brake: Brake,
    /// Pods for which nobody is to go for a while, by the end of that.
    held_off: BTreeSet<(Time, Uid)>,
}

#[derive(Debug)]
struct Preemption {
    pod: Arc<PodInfo>,
    node: Istr,
    /// Asked to go, not answered.
    open: BTreeSet<Uid>,
    /// Who is asked when all others have been.
    last: Arc<PodInfo>,
    /// Whether that is done.
    last_asked: bool,
    failed: Option<EvictResult>,
    /// Whether the pod may be tried by now: only the last one is left, and it is going.
    released: bool,
}

impl Preemptions {
    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// When somebody may go again for a pod for which nobody was to.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.held_off.first().map(|(until, _)| *until)
    }
}

impl Engine {
    /// Of these victims those that have to be told to go: they are there, and neither going nor told already.
    pub(super) fn to_be_told(&self, victims: &[Arc<PodInfo>]) -> Vec<Arc<PodInfo>> {
        let stays = |victim: &&Arc<PodInfo>| {
            let known = self.cache.get(&victim.key.uid);
            known.is_some_and(|k| k.node().is_some() && !k.pod.terminating)
                && !self.preemptions.asked.contains(&victim.key.uid)
        };
        victims.iter().filter(stays).cloned().collect()
    }

    /// How much longer nobody is to go for this pod, if so.
    pub(super) fn held_off(&mut self, now: Time, pod: &PodInfo) -> Option<Duration> {
        let wait = self.preemptions.brake.holds(now, pod)?;
        self.preemptions.held_off.insert((now.after(wait), pod.key.uid.clone()));
        self.observations.push(Observation::PreemptionHeldOff);
        Some(wait)
    }

    /// Has pods tried again for which others may go by now.
    pub(super) fn end_holding_off(&mut self, now: Time) {
        while self.preemptions.held_off.first().is_some_and(|(until, _)| *until <= now)
            && let Some((_, uid)) = self.preemptions.held_off.pop_first()
        {
            self.queue.wake_one(now, &uid);
        }
    }

    /// Makes room on a node for a pod that is nominated for it by now and held out of the queue.
    pub(super) fn preempt(&mut self, now: Time, pod: &Arc<PodInfo>, node: Istr, victims: Vec<Arc<PodInfo>>) {
        self.preemptions.brake.clears(now, pod);
        self.clear_lower_nominations(now, pod, &node);
        if !victims.is_empty() {
            let note = format!("Evicting from node {node}: {}", names(&victims));
            self.tell_of(pod, "Preempting", note, None);
        }
        // A pod that waits at Permit's door, or for others before it is bound, is on its node only in our books.
        let in_memory = |uid: &Uid| self.waits_on_permit(uid) || self.awaiting.contains(uid);
        let (waiting, mut victims): (Vec<_>, Vec<_>) =
            victims.into_iter().partition(|victim| in_memory(&victim.key.uid));
        for victim in waiting {
            self.turn_away_waiting(now, &victim, pod, &node);
        }
        let Some(last) = victims.pop() else { return self.let_go(now, &pod.key.uid) };
        let preemption = Preemption {
            pod: Arc::clone(pod),
            node,
            open: victims.iter().map(|victim| victim.key.uid.clone()).collect(),
            last,
            last_asked: false,
            failed: None,
            released: false,
        };
        self.queue.hold(&pod.key.uid);
        self.preemptions.under_way.insert(pod.key.uid.clone(), preemption);
        for victim in victims {
            self.ask_to_go(victim, pod);
        }
        self.go_on(now, &pod.key.uid);
    }

    /// The API server has answered a request that a pod go.
    pub(super) fn evicted(&mut self, now: Time, victim: &Uid, preemptor: &Uid, result: EvictResult) {
        let label = match &result {
            EvictResult::Going => "going",
            EvictResult::Gone => "gone",
            EvictResult::Refused { .. } => "refused",
            EvictResult::Failed { .. } => "failed",
        };
        self.observations.push(Observation::Eviction { result: label });
        let goes = matches!(result, EvictResult::Going | EvictResult::Gone);
        if !goes {
            self.preemptions.asked.remove(victim);
        }
        if result == EvictResult::Going {
            self.tell_victim(victim, preemptor);
        }
        if let Some(preemption) = self.preemptions.under_way.get_mut(preemptor) {
            preemption.open.remove(victim);
            if !goes {
                preemption.failed.get_or_insert(result);
            }
            self.go_on(now, preemptor);
        }
        // Others may have counted on its going, too, and left the asking to this one.
        let stays = self.cache.get(victim).filter(|_| !goes);
        if let Some(node) = stays.and_then(Known::node).cloned() {
            self.wake_nominated(now, &node);
        }
    }

    /// A pod that counted on a node is seen to be going, or is gone.
    pub(super) fn leaves(&mut self, now: Time, pod: &PodInfo, gone: bool) {
        let uid = &pod.key.uid;
        self.preemptions.asked.remove(uid);
        if gone {
            self.preemptions.brake.gone(now, pod, pod.preempted);
        }
        // Whoever waits only for this one may be woken by its going.
        let waits_for = |p: &&Preemption| p.last_asked && p.last.key.uid == *uid && p.failed.is_none();
        let alone = |p: &&Preemption| p.open.iter().all(|open| open == uid);
        let preemptors = self.preemptions.under_way.values().filter(waits_for).filter(alone);
        let preemptors: Vec<Uid> = preemptors.map(|p| p.pod.key.uid.clone()).collect();
        preemptors.iter().for_each(|uid| self.let_go(now, uid));
    }

    /// Room is no longer needed for a pod: it is gone, or has a node.
    pub(super) fn needs_no_room(&mut self, uid: &Uid) {
        self.preemptions.under_way.remove(uid);
        self.queue.forget_hold(uid);
    }

    /// Room that is being made for a pod is for another: who has not been asked to go for it yet is not.
    pub(super) fn stop_making_room(&mut self, now: Time, uid: &Uid) {
        if self.preemptions.under_way.remove(uid).is_some() {
            self.let_go(now, uid);
        }
    }

    /// The next step of a preemption whose open requests may have been answered.
    fn go_on(&mut self, now: Time, preemptor: &Uid) {
        let Some(preemption) = self.preemptions.under_way.get_mut(preemptor) else { return };
        if !preemption.open.is_empty() {
            return;
        }
        if preemption.failed.is_none() && !preemption.last_asked {
            preemption.last_asked = true;
            let (last, pod) = (Arc::clone(&preemption.last), Arc::clone(&preemption.pod));
            if let Some(last) = self.to_be_told(&[last]).pop() {
                let Some(preemption) = self.preemptions.under_way.get_mut(preemptor) else { return };
                preemption.open.insert(last.key.uid.clone());
                return self.ask_to_go(last, &pod);
            }
        }
        let Some(ended) = self.preemptions.under_way.remove(preemptor) else { return };
        self.let_go(now, preemptor);
        match ended.failed {
            // The nomination stays: what is left to go is asked again in the next attempt.
            Some(EvictResult::Failed { message }) => {
                tracing::warn!(pod = %ended.pod.key, node = %ended.node, error = %message, "making room for a pod");
                self.queue.activate_now(now, preemptor);
            }
            Some(EvictResult::Refused { message }) => self.refused(now, &ended.pod, &ended.node, &message),
            _ => {}
        }
    }

    /// A budget stands against it: the node is given up.
    fn refused(&mut self, now: Time, pod: &Arc<PodInfo>, node: &Istr, message: &str) {
        let uid = &pod.key.uid;
        let note = format!("No room on node {node}: {message}");
        self.tell_of(pod, "PreemptionRefused", note, None);
        let Some(pod) = self.cache.pending(uid) else { return };
        self.clear_nomination(now, &pod);
        self.queue.try_after_backoff(now, uid);
    }

    /// Whether pods are being told to leave a node for this one.
    pub(super) fn makes_room_for(&self, uid: &Uid) -> bool {
        self.preemptions.under_way.contains_key(uid)
    }

    /// A pod for which nobody has to be told to go any more may be tried when something wakes it; the pods of a group
    /// when that is so of all of them.
    fn let_go(&mut self, now: Time, uid: &Uid) {
        if let Some(preemption) = self.preemptions.under_way.get_mut(uid) {
            preemption.released = true;
        }
        let Some(key) = self.cache.get(uid).and_then(|known| known.pod.group_key()) else {
            return self.queue.let_go(now, uid);
        };
        let of_group = |p: &&Preemption| p.pod.group_key().as_ref() == Some(&key);
        if self.preemptions.under_way.values().filter(of_group).all(|p| p.released) {
            let members: Vec<Uid> = self.cache.members(&key).map(|known| known.pod.key.uid.clone()).collect();
            members.iter().for_each(|uid| self.queue.let_go(now, uid));
        }
    }

    fn ask_to_go(&mut self, victim: Arc<PodInfo>, preemptor: &Arc<PodInfo>) {
        self.preemptions.asked.insert(victim.key.uid.clone());
        let request =
            EvictRequest { victim, preemptor: Arc::clone(preemptor), strict: self.settings.evictions.strict_budgets };
        self.effects.push_back(Effect::Evict(Box::new(request)));
    }

    fn turn_away_waiting(&mut self, now: Time, victim: &Arc<PodInfo>, preemptor: &Arc<PodInfo>, node: &Istr) {
        let note = format!("Preempted by pod {} on node {node} (in kube-scheduler memory).", preemptor.key.uid);
        self.tell_of(victim, "Preempted", note, Some(Arc::clone(preemptor)));
        let uid = &victim.key.uid;
        self.end_waiting(now, uid, Failure::Error("waiting on permit for pod: preempted".to_owned()));
        self.end_awaiting(now, uid, Failure::Error("preempted by DefaultPreemption".to_owned()));
    }

    fn tell_victim(&mut self, victim: &Uid, preemptor: &Uid) {
        let Some(known) = self.cache.get(victim) else { return };
        let (pod, node) = (Arc::clone(&known.pod), known.node().cloned().unwrap_or_default());
        let note = format!("Preempted by pod {preemptor} on node {node}");
        let related = self.cache.get(preemptor).map(|k| Arc::clone(&k.pod));
        self.tell_of(&pod, "Preempted", note, related);
    }

    fn tell_of(&mut self, pod: &Arc<PodInfo>, reason: &'static str, note: String, related: Option<Arc<PodInfo>>) {
        let warning = reason == "PreemptionRefused";
        let note = note.into();
        let event = PodEvent { pod: Arc::clone(pod), warning, reason, action: "Preempting", note, related };
        self.effects.push_back(Effect::Record(event));
    }
}

/// What a pod's message says while nobody is to go for it.
pub(super) fn held_off(wait: Duration) -> String {
    let seconds = wait.as_secs().max(1);
    format!("preemption: held off for {seconds} s, since pods went for this one, or its like, in vain.")
}

fn names(victims: &[Arc<PodInfo>]) -> String {
    let mut text: Vec<String> = victims.iter().take(NAMED).map(|v| v.key.to_string()).collect();
    if victims.len() > NAMED {
        text.push(format!("{} more", victims.len() - NAMED));
    }
    text.join(", ")
}
