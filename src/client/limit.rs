//! A limit on calls: `clientConnection.qps` and `burst`.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The slowest limit: one call a day. What is slower would be no scheduler, and far enough off to be beyond the clock.
const SLOWEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A token bucket. Calls beyond the burst are spread out evenly, in the order in which they came.
#[derive(Debug)]
pub struct RateLimit {
    every: Duration,
    burst: u32,
    /// When the bucket was, or will be, empty.
    next: Mutex<Instant>,
}

impl RateLimit {
    /// At most `qps` calls a second on average, `burst` at once (at least 1). `None` when `qps` is no limit: zero,
    /// negative, or beyond measure.
    pub fn new(qps: f64, burst: u32) -> Option<Self> {
        let every = Duration::try_from_secs_f64(1.0 / qps).ok().filter(|d| !d.is_zero())?.min(SLOWEST);
        let burst = burst.max(1);
        Some(Self { every, burst, next: Mutex::new(full_at(Instant::now(), every, burst)) })
    }

    /// Waits until a call may be made.
    pub async fn wait(&self) {
        let now = Instant::now();
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next = (*next).max(full_at(now, self.every, self.burst)) + self.every;
            *next
        };
        if at > now {
            sleep_until(at).await;
        }
    }
}

/// Where a bucket stands that is full now.
fn full_at(now: Instant, every: Duration, burst: u32) -> Instant {
    now.checked_sub(every.saturating_mul(burst)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_beyond_the_burst_are_spread_out() {
        let limit = RateLimit::new(10.0, 3).unwrap();
        let start = Instant::now();
        let mut at = Vec::new();
        for _ in 0..6 {
            limit.wait().await;
            at.push(start.elapsed().as_millis() / 100);
        }
        assert_eq!(at, [0, 0, 0, 1, 2, 3]);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let start = Instant::now();
        for _ in 0..3 {
            limit.wait().await;
        }
        assert_eq!(start.elapsed().as_millis(), 0, "the bucket fills up again");
    }

    #[tokio::test(start_paused = true)]
    async fn the_slowest_limit_is_one() {
        let limit = RateLimit::new(1e-15, u32::MAX).unwrap();
        limit.wait().await;
    }

    #[test]
    fn no_limit_is_no_bucket() {
        assert!(RateLimit::new(-1.0, 1).is_none());
        assert!(RateLimit::new(0.0, 1).is_none());
    }
}
