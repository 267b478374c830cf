//! What was answered a moment ago.

use std::time::Duration;

use hashbrown::HashMap;
use tokio::time::Instant;

/// What an answer is found by: a digest of what was asked.
pub(super) type Digest = [u8; 32];

/// Answers that are good for a while. Where there are too many, those go first whose time is up first.
pub(super) struct Cache<V> {
    limit: usize,
    entries: HashMap<Digest, (Instant, V)>,
}

impl<V: Clone> Cache<V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, entries: HashMap::new() }
    }

    /// What was answered, if that is still good.
    pub(super) fn get(&self, key: &Digest, now: Instant) -> Option<V> {
        self.entries.get(key).filter(|(until, _)| *until > now).map(|(_, value)| value.clone())
    }

    /// Keeps an answer for so long.
    pub(super) fn put(&mut self, key: Digest, value: V, good_for: Duration, now: Instant) {
        // Longer than any process lives is as good as for ever.
        let until = now.checked_add(good_for).unwrap_or_else(|| now + Duration::from_secs(1 << 30));
        if until <= now {
            return;
        }
        if self.entries.len() >= self.limit && !self.entries.contains_key(&key) {
            self.entries.retain(|_, (until, _)| *until > now);
        }
        while self.entries.len() >= self.limit && !self.entries.contains_key(&key) {
            let first = self.entries.iter().min_by_key(|(_, (until, _))| *until).map(|(key, _)| *key);
            let Some(first) = first else { return };
            self.entries.remove(&first);
        }
        self.entries.insert(key, (until, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_good_for_their_time_and_make_room_for_later_ones() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let key = |n: u8| [n; 32];
        let mut cache = Cache::new(3);
        cache.put(key(0), 'z', Duration::ZERO, start);
        assert_eq!(cache.get(&key(0), start), None, "no time is no time");
        cache.put(key(1), 'a', 3 * second, start);
        cache.put(key(2), 'b', second, start);
        cache.put(key(3), 'c', Duration::MAX, start);
        // (seconds since the start, key, what is there)
        for (at, n, expect) in [
            (0, 1, Some('a')),
            (0, 2, Some('b')),
            (1, 2, None),
            (2, 1, Some('a')),
            (3, 1, None),
            (1 << 20, 3, Some('c')),
        ] {
            assert_eq!(cache.get(&key(n), start + at * second), expect, "{n} after {at} s");
        }
        cache.put(key(1), 'A', 3 * second, start);
        assert_eq!(cache.entries.len(), 3, "a new answer to the same question takes no further place");
        cache.put(key(4), 'd', second, start + second);
        assert_eq!(cache.get(&key(2), start), None, "what is over made room");
        cache.put(key(5), 'e', 5 * second, start + second);
        let left = [1, 3, 4, 5].map(|n| cache.get(&key(n), start + second));
        assert_eq!(left, [Some('A'), Some('c'), None, Some('e')], "then what ends first");
        assert_eq!(cache.entries.len(), 3);
    }
}
