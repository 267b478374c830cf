//! The fence: whether this process may still act as the leader.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// Says whether a write may be sent. Cheap to clone and to ask: one atomic load.
///
/// It closes by itself with time, also when the task that renews the lease hangs or the process was stopped for a
/// while.
#[derive(Clone, Debug)]
pub struct Fence {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    base: Instant,
    /// Microseconds after `base` until which it is open; 0: closed.
    open_until: AtomicU64,
}

impl Fence {
    fn with(open_until: u64) -> Self {
        Self { shared: Arc::new(Shared { base: Instant::now(), open_until: AtomicU64::new(open_until) }) }
    }

    /// A fence that is closed until somebody opens it, which only an elector can.
    pub fn closed() -> Self {
        Self::with(0)
    }

    /// A fence that is open for ever: for a single replica without leader election, and for tests.
    pub fn open() -> Self {
        Self::with(u64::MAX)
    }

    /// Whether a write may be sent at `now`. Ask right before each write, with the time of that moment.
    pub fn may_bind(&self, now: Instant) -> bool {
        let until = self.shared.open_until.load(Ordering::Acquire);
        until == u64::MAX || self.micros(now).is_some_and(|now| now < until)
    }

    pub(super) fn open_until(&self, deadline: Instant) {
        // Never the value that means "for ever".
        let until = self.micros(deadline).unwrap_or(u64::MAX).min(u64::MAX - 1);
        self.shared.open_until.store(until, Ordering::Release);
    }

    pub(super) fn close(&self) {
        self.shared.open_until.store(0, Ordering::Release);
    }

    fn micros(&self, at: Instant) -> Option<u64> {
        u64::try_from(at.saturating_duration_since(self.shared.base).as_micros()).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn opens_until_the_deadline_and_not_at_it() {
        let fence = Fence::closed();
        let now = Instant::now() + Duration::from_secs(1);
        assert!(!fence.may_bind(now));
        fence.open_until(now + Duration::from_secs(10));
        assert!(fence.may_bind(now));
        assert!(fence.may_bind(now + Duration::from_millis(9_999)));
        assert!(!fence.may_bind(now + Duration::from_secs(10)));
        let other = fence.clone();
        fence.close();
        assert!(!other.may_bind(now));
        assert!(Fence::open().may_bind(now + Duration::from_secs(1 << 30)));
    }
}
