//! Time and names: the only sources of both, so that a run with paused time and a fixed seed repeats itself.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

/// Wall time that moves with tokio's clock, and so stands still in tests that pause it.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Timestamp,
    started: Instant,
}

impl Clock {
    pub(crate) fn new(start: Timestamp) -> Self {
        Self { start, started: Instant::now() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let elapsed = jiff::SignedDuration::try_from(self.started.elapsed()).unwrap_or(jiff::SignedDuration::MAX);
        self.start.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// Wall time that runs `speedup` times as fast.
    pub(crate) fn now_at_speed(&self, speedup: u32) -> Timestamp {
        let elapsed = self.started.elapsed().saturating_mul(speedup);
        let elapsed = jiff::SignedDuration::try_from(elapsed).unwrap_or(jiff::SignedDuration::MAX);
        self.start.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// Now as `metav1.Time` is written: whole seconds.
    pub(crate) fn stamp(&self) -> String {
        stamp(self.now())
    }
}

/// A time as `metav1.Time` is written: whole seconds, UTC.
pub(crate) fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A seeded source of UIDs, name suffixes and chances.
#[derive(Debug)]
pub(crate) struct Ids {
    state: AtomicU64,
}

/// What Kubernetes builds generated names from: no vowels, no look-alikes.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    /// SplitMix64: every call takes the next element of one sequence.
    pub(crate) fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A UID in the form of a random UUID.
    pub(crate) fn uid(&self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            0x8000 | (b >> 48) & 0x3fff,
            b & 0xffff_ffff_ffff
        )
    }

    /// The five characters that `generateName` appends.
    pub(crate) fn suffix(&self) -> String {
        safe_encode(self.next(), 5)
    }

    /// A time from zero up to this, in whole milliseconds.
    pub(crate) fn duration_below(&self, most: Duration) -> Duration {
        let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.next() % millis.saturating_add(1).max(1))
    }

    /// True with that probability.
    pub(crate) fn chance(&self, probability: f64) -> bool {
        let thirty_two_bits = u32::try_from(self.next() >> 32).unwrap_or(u32::MAX);
        f64::from(thirty_two_bits) < probability * (f64::from(u32::MAX) + 1.0)
    }
}

/// A number as `length` characters of Kubernetes' alphabet for names.
pub(crate) fn safe_encode(mut number: u64, length: usize) -> String {
    let mut text = String::with_capacity(length);
    for _ in 0..length {
        let digit = usize::try_from(number % 27).unwrap_or_default();
        text.push(char::from(ALPHABET[digit]));
        number /= 27;
    }
    text
}
