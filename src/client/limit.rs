//! A limit on calls: `clientConnection.qps` and `burst`.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

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
        let every = Duration::try_from_secs_f64(1.0 / qps).ok().filter(|d| !d.is_zero())?;
        let burst = burst.max(1);
        Some(Self { every, burst, next: Mutex::new(Instant::now() - every.saturating_mul(burst)) })
    }

    /// Waits until a call may be made.
    pub async fn wait(&self) {
        let now = Instant::now();
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let full = now.checked_sub(self.every.saturating_mul(self.burst)).unwrap_or(now);
            *next = (*next).max(full) + self.every;
            *next
        };
        if at > now {
            sleep_until(at).await;
        }
    }
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

    #[test]
    fn no_limit_is_no_bucket() {
        assert!(RateLimit::new(-1.0, 1).is_none());
        assert!(RateLimit::new(0.0, 1).is_none());
    }
}
