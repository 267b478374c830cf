//! Times of decisions and of what is around them.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::memory;
use crate::commands::bench::shared::as_f64;

/// Times of decisions, and of what is around them.
#[derive(Default)]
pub(super) struct Times {
    decisions_ns: Vec<u64>,
    deciding: Duration,
    /// Arrivals, answers to bindings, deletions.
    around: Duration,
    allocations: usize,
}

/// Percentiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spread {
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) max: u64,
}

/// Something under way of which the time is taken.
pub(super) struct Lap {
    allocations: Option<usize>,
    begun: Instant,
}

impl Lap {
    pub(super) fn start() -> Self {
        Self { allocations: memory::allocations(), begun: Instant::now() }
    }

    pub(super) fn stop(self) -> Ended {
        let took = self.begun.elapsed();
        Ended { took, allocations: memory::allocations().zip(self.allocations).map_or(0, |(now, then)| now - then) }
    }
}

/// What a lap took.
pub(super) struct Ended {
    took: Duration,
    allocations: usize,
}

impl Times {
    /// That was so many decisions; one at least.
    pub(super) fn decided(&mut self, count: usize, ended: &Ended) {
        let count = count.max(1);
        let each = ended.took.as_nanos() / u128::try_from(count).unwrap_or(1);
        self.decisions_ns.extend(std::iter::repeat_n(u64::try_from(each).unwrap_or(u64::MAX), count));
        self.deciding += ended.took;
        self.allocations += ended.allocations;
    }

    /// That was around decisions.
    pub(super) fn around(&mut self, ended: &Ended) {
        self.around += ended.took;
    }

    /// Pods that took several attempts, each of which is here: one decision is all that one pod took, as far as that can
    /// be told.
    pub(super) fn add_attempts(&mut self, attempts: &[Self], pods: usize) {
        let pods = pods.max(1);
        let total: u64 = attempts.iter().flat_map(|attempt| &attempt.decisions_ns).sum();
        let mean = total / u64::try_from(pods).unwrap_or(1);
        let in_step = attempts.iter().all(|attempt| [0, pods].contains(&attempt.decisions_ns.len()));
        let of = |pod: usize| attempts.iter().filter_map(|attempt| attempt.decisions_ns.get(pod)).sum();
        self.decisions_ns.extend((0..pods).map(|pod| if in_step { of(pod) } else { mean }));
        for attempt in attempts {
            self.deciding += attempt.deciding;
            self.around += attempt.around;
            self.allocations += attempt.allocations;
        }
    }

    /// How many decisions.
    pub(super) const fn count(&self) -> usize {
        self.decisions_ns.len()
    }

    pub(super) fn decisions_per_second(&self) -> f64 {
        rate(self.decisions_ns.len(), self.deciding)
    }

    pub(super) fn cycles_per_second(&self) -> f64 {
        rate(self.decisions_ns.len(), self.deciding + self.around)
    }

    /// Of each decision on average; `None` where they are not counted.
    pub(super) fn allocations_per_decision(&self) -> Option<f64> {
        memory::allocations().map(|_| as_f64(self.allocations) / as_f64(self.decisions_ns.len().max(1)))
    }

    pub(super) fn spread(&self) -> Spread {
        let mut sorted = self.decisions_ns.clone();
        sorted.sort_unstable();
        // The least that so many per cent do not exceed.
        let at = |percent: usize| {
            let rank = (percent * sorted.len()).div_ceil(100);
            sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
        };
        Spread { p50: at(50), p99: at(99), max: at(100) }
    }
}

fn rate(count: usize, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { as_f64(count) / time.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(took_ns: &[u64]) -> Times {
        let mut times = Times::default();
        for took in took_ns {
            times.decided(1, &Ended { took: Duration::from_nanos(*took), allocations: 1 });
        }
        times
    }

    #[test]
    fn what_is_decided_together_is_shared() {
        let mut all = times(&[100]);
        all.decided(4, &Ended { took: Duration::from_nanos(80), allocations: 0 });
        all.decided(0, &Ended { took: Duration::from_nanos(5), allocations: 0 });
        assert_eq!(all.decisions_ns, [100, 20, 20, 20, 20, 5]);
        assert_eq!(all.spread(), Spread { p50: 20, p99: 100, max: 100 });
        assert_eq!(times(&(1..=200).collect::<Vec<_>>()).spread(), Spread { p50: 100, p99: 198, max: 200 });
        all.around(&Ended { took: Duration::from_nanos(115), allocations: 0 });
        assert!((all.decisions_per_second() / all.cycles_per_second() - 300.0 / 185.0).abs() < 1e-9);
    }

    #[test]
    fn attempts_of_one_pod_are_one_decision() {
        let mut all = Times::default();
        all.add_attempts(&[Times::default(), times(&[10, 20]), times(&[1, 2])], 2);
        assert_eq!(all.decisions_ns, [11, 22]);
        all.add_attempts(&[times(&[10, 20]), times(&[3])], 2);
        assert_eq!(all.decisions_ns, [11, 22, 16, 16]);
        assert_eq!(all.allocations, 7);
    }

    #[test]
    fn nothing_took_no_time() {
        assert_eq!(Times::default().spread(), Spread::default());
        assert!(Times::default().decisions_per_second().abs() < f64::EPSILON);
    }
}
