//! The pace at which a failed watch is tried again.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use tokio::time::Instant;

/// The first wait; doubled at each failure in a row.
const FIRST: Duration = Duration::from_millis(800);
const LONGEST: Duration = Duration::from_secs(30);
/// A watch that has not failed for this long begins with the first wait again. An event is no sign of health: a server
/// may well send one and fail.
const HEALTHY_AFTER: Duration = Duration::from_secs(120);

/// Waits that grow from failure to failure, and then as much again at most, by chance: clients that were thrown out
/// together do not come back together.
pub(super) struct Pace {
    next: Duration,
    last: Option<Instant>,
    /// The state of the generator of chances (xorshift); never zero.
    chance: u64,
}

impl Pace {
    pub(super) fn new(seed: u64) -> Self {
        Self { next: FIRST, last: None, chance: seed | 1 }
    }

    fn draw(&mut self, most: Duration) -> Duration {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let thousandths = u32::try_from((self.chance >> 32) % 1_001).unwrap_or(0);
        most * thousandths / 1_000
    }
}

impl Iterator for Pace {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) > HEALTHY_AFTER) {
            self.next = FIRST;
        }
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        self.last = Some(now);
        Some(wait + self.draw(wait))
    }
}

impl Backoff for Pace {
    /// Called at every event. See [`HEALTHY_AFTER`].
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_grow_until_the_watch_has_been_well_for_a_while() {
        let mut pace = Pace::new(1);
        let mut least = FIRST;
        for _ in 0..10 {
            let wait = pace.next().unwrap();
            assert!(wait >= least && wait <= least * 2, "{wait:?}");
            pace.reset();
            least = (least * 2).min(LONGEST);
        }
        tokio::time::advance(HEALTHY_AFTER + Duration::from_secs(1)).await;
        assert!(pace.next().unwrap() <= FIRST * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn chances_differ_by_seed() {
        let waits = |seed| Pace::new(seed).take(8).collect::<Vec<_>>();
        assert_ne!(waits(3), waits(5));
        assert_eq!(waits(3), waits(3));
    }
}
