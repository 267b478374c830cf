//! Which of several nodes is cleared (reference section 11.5).

use std::cmp::Reverse;
use std::sync::Arc;

use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::Row;

/// A node that could be cleared.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) row: Row,
    /// Who has to go, the most important one first; at least one.
    pub(super) victims: Vec<Arc<PodInfo>>,
    /// How many of them a PodDisruptionBudget protects beyond what it allows.
    pub(super) violations: usize,
}

/// The order of pods by importance, the most important first: greater priority, then longer running. One that has not
/// started yet began later than any other.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Importance(Reverse<i32>, i64);

impl Importance {
    pub(super) fn of(pod: &PodInfo) -> Self {
        Self(Reverse(pod.priority()), start(pod))
    }
}

fn start(pod: &PodInfo) -> i64 {
    pod.start_seconds.unwrap_or(i64::MAX)
}

/// The candidate whose clearing does the least harm; of those that do the same, the first.
pub(super) fn best(candidates: Vec<Candidate>) -> Option<Candidate> {
    // Compared in the order of the steps, which is narrowing by one after the other.
    let harm = |c: &Candidate| {
        let highest = c.victims.first().map_or(i32::MIN, |p| p.priority());
        // Shifted, so that many pods of negative priority are not less harm than few.
        let sum: i64 = c.victims.iter().map(|p| i64::from(p.priority()) + (1 << 31)).sum();
        let earliest = c.victims.iter().filter(|p| p.priority() == highest).map(|p| start(p)).min();
        (c.violations, highest, sum, c.victims.len(), Reverse(earliest))
    };
    candidates.into_iter().min_by_key(harm)
}
