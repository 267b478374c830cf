//! Which of several nodes is cleared (reference section 11.5).

use std::cmp::Reverse;
use std::sync::Arc;

use plimsoll_framework::plugin::Candidate;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::preemption::Clearing;

/// Sorts pods by importance, the most important first: greater priority, then longer running. One that has not started
/// yet began later than any other. Of several such pods the last one comes first: kube-scheduler takes the time anew
/// whenever it compares one of them, so that whichever it names first is the older.
pub(super) fn by_importance(pods: &mut [Arc<PodInfo>]) {
    // Turned round first, so that a stable sort leaves those without a start in that order, and then back within runs
    // of pods that started at the same time, which keep theirs.
    pods.reverse();
    let key = |pod: &Arc<PodInfo>| (Reverse(pod.priority()), start(pod));
    pods.sort_by_key(key);
    for alike in pods.chunk_by_mut(|a, b| key(a) == key(b)) {
        if alike.first().is_some_and(|pod| pod.start_seconds.is_some()) {
            alike.reverse();
        }
    }
}

fn start(pod: &PodInfo) -> i64 {
    pod.start_seconds.unwrap_or(i64::MAX)
}

/// A candidate with the harm that clearing it does, number by number in the order of the steps: comparing them is
/// narrowing by one step after the other.
pub(super) fn weighed(candidate: Candidate) -> Clearing {
    let victims = &candidate.victims;
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let highest = victims.first().map_or(i32::MIN, |p| p.priority());
    // Shifted, so that many pods of negative priority are not less harm than few.
    let sum = victims.iter().map(|p| i64::from(p.priority()) + (1 << 31)).sum();
    let earliest = victims.iter().filter(|p| p.priority() == highest).map(|p| start(p)).min().unwrap_or(i64::MIN);
    // Turned round bit by bit: the later it is, the less.
    let harm = [count(candidate.pdb_violations), highest.into(), sum, count(victims.len()), !earliest];
    Clearing::Candidate { candidate, harm }
}

/// The candidate whose clearing does the least harm; of those that do the same, the first.
pub(super) fn best(candidates: &[Arc<Clearing>]) -> Option<Candidate> {
    let candidates = candidates.iter().filter_map(|clearing| match &**clearing {
        Clearing::Candidate { candidate, harm } => Some((candidate, harm)),
        _ => None,
    });
    candidates.min_by_key(|(_, harm)| *harm).map(|(candidate, _)| candidate.clone())
}
