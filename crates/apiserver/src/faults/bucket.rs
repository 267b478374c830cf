//! A rate: so many requests a second, and no more than a second's worth at once.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

/// A token bucket of one second's worth, full at the beginning.
#[derive(Debug)]
pub(super) struct Bucket {
    every: Duration,
    /// When it was, or will be, empty.
    empty_at: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(per_second: NonZeroU32, now: Instant) -> Self {
        Self { every: Duration::from_secs(1) / per_second.get(), empty_at: full_at(now) }
    }

    /// Takes a token; says whether there was one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let next = self.empty_at.max(full_at(now)) + self.every;
        let there = next <= now;
        if there {
            self.empty_at = next;
        }
        there
    }
}

/// Where a bucket stands that is full now.
fn full_at(now: Instant) -> Instant {
    now.checked_sub(Duration::from_secs(1)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_worth_at_once_and_the_rate_from_then_on() {
        let begun = Instant::now() + Duration::from_secs(10);
        let mut bucket = Bucket::new(NonZeroU32::new(5).unwrap(), begun);
        let mut taken_at = |millis: u64| {
            let now = begun + Duration::from_millis(millis);
            std::iter::from_fn(|| bucket.take(now).then_some(())).take(100).count()
        };
        // Refused requests take nothing, and what is not taken is not kept beyond a second.
        let rows = [(0, 5), (199, 0), (200, 1), (1000, 4), (60_000, 5)];
        for (millis, want) in rows {
            assert_eq!(taken_at(millis), want, "after {millis} ms");
        }
    }
}
