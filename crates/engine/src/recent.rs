//! What was found out and may be asked for again, kept as long as it is: what nobody asks for any more is forgotten, since
//! templates of pods come and go for ever.

use std::hash::Hash;
use std::sync::Arc;

use hashbrown::HashMap;

/// So few are not worth looking through.
const LEAST: usize = 64;
/// As many may hold the labels of a template that has no pods any more: whoever parses, and what is remembered by the owner
/// and the deciding threads. With more threads than usual some stay that could go.
const REMEMBERING: usize = 8;

/// Values by key. Whenever there are twice as many as were in use, those go that nobody has asked for since the last time,
/// unless they are of something that is still there.
pub(crate) struct Recent<K, V> {
    known: HashMap<K, Kept<V>>,
    most: usize,
    tidy_at: usize,
}

struct Kept<V> {
    value: V,
    /// Whether it was asked for since it was last tidied up.
    used: bool,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// Room for so many at the most.
    pub(crate) fn new(most: usize) -> Self {
        Self { known: HashMap::new(), most, tidy_at: LEAST.min(most) }
    }

    /// What is kept of a key.
    pub(crate) fn get(&mut self, key: &K) -> Option<&mut V> {
        let kept = self.known.get_mut(key)?;
        kept.used = true;
        Some(&mut kept.value)
    }

    /// Keeps something, in place of what was kept of the key; `is_there` says of what is kept whether it is of something
    /// that is still there. If all is in use, and there is no room, all of it goes. Says whether anything has gone but what
    /// was kept of the key.
    pub(crate) fn set(&mut self, key: K, value: V, is_there: impl Fn(&V) -> bool) -> bool {
        let full = self.known.len() >= self.tidy_at;
        if full {
            self.tidy(is_there);
        }
        self.known.insert(key, Kept { value, used: false });
        full
    }

    fn tidy(&mut self, is_there: impl Fn(&V) -> bool) {
        self.known.retain(|_, kept| std::mem::take(&mut kept.used) || is_there(&kept.value));
        if self.known.len() >= self.most {
            self.known.clear();
        }
        self.tidy_at = (self.known.len() * 2).max(LEAST).min(self.most);
        // Give back what a crowd has left behind.
        self.known.shrink_to(self.tidy_at);
    }

    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.tidy_at = LEAST.min(self.most);
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.known.values().map(|kept| &kept.value)
    }
}

/// Whether more hold a label set than remember templates by it: then there are pods of them.
pub(crate) fn has_pods<T>(labels: &Arc<T>) -> bool {
    Arc::strong_count(labels) > REMEMBERING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let mut recent = Recent::new(1_000);
        for number in 0..10_000 {
            recent.set(number, number, |_| false);
            for asked in 0..10_u32.min(number + 1) {
                assert_eq!(recent.get(&asked), Some(&mut asked.clone()), "after {number}");
            }
            assert!(recent.len() <= LEAST, "{} after {number}", recent.len());
        }
        recent.clear();
        assert_eq!((recent.len(), recent.values().count()), (0, 0));
    }

    #[test]
    fn what_is_there_stays_however_rarely_it_is_asked_for() {
        let mut recent = Recent::new(1_000);
        for number in (0..3).flat_map(|_| 0..900) {
            if recent.get(&number).is_none() {
                recent.set(number, number, |_| true);
            }
        }
        assert_eq!(recent.len(), 900);
        // It ends, and others come.
        for number in 1_000..3_000 {
            recent.set(number, number, |of| *of > number - 30);
        }
        assert!(recent.len() <= LEAST);
    }

    #[test]
    fn there_are_never_too_many() {
        let mut recent = Recent::new(100);
        for number in 0..10_000 {
            recent.set(number, number, |_| true);
            assert!(recent.get(&number).is_some() && recent.len() <= 100);
        }
    }
}
