//! What was found out and may be asked for again, kept as long as it is: what nobody asks for any more is forgotten, since
//! templates of pods come and go for ever.

use std::hash::Hash;

use hashbrown::HashMap;

/// So few are not worth looking through.
const LEAST: usize = 64;

/// Values by key. Whenever there are twice as many as were in use, those go that nobody has asked for since the last time.
pub(crate) struct Recent<K, V> {
    known: HashMap<K, Kept<V>>,
    most: usize,
    tidy_at: usize,
}

struct Kept<V> {
    value: V,
    /// Whether it has come or was asked for since it was last tidied up.
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

    /// Keeps something, in place of what was kept of the key. If all that is there is in use, and there is no room, all of
    /// it goes. Says whether anything has gone but what was kept of the key.
    pub(crate) fn set(&mut self, key: K, value: V) -> bool {
        let full = self.known.len() >= self.tidy_at;
        if full {
            self.tidy();
        }
        self.known.insert(key, Kept { value, used: true });
        full
    }

    fn tidy(&mut self) {
        self.known.retain(|_, kept| std::mem::take(&mut kept.used));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let mut recent = Recent::new(1_000);
        for number in 0..100_000 {
            recent.set(number, number);
            for asked in 0..10_u32.min(number + 1) {
                assert_eq!(recent.get(&asked), Some(&mut asked.clone()), "after {number}");
            }
            assert!(recent.len() <= 4 * LEAST, "{} after {number}", recent.len());
        }
        recent.clear();
        assert_eq!((recent.len(), recent.values().count()), (0, 0));
    }

    #[test]
    fn as_many_as_are_in_use_stay_up_to_the_most() {
        let mut recent = Recent::new(1_000);
        for number in (0..5).flat_map(|_| 0..900) {
            if recent.get(&number).is_none() {
                recent.set(number, number);
            }
        }
        assert_eq!(recent.len(), 900);
        for number in 0..2_500 {
            recent.set(number, number);
            (0..=number).for_each(|asked| drop(recent.get(&asked)));
            assert!(recent.len() <= 1_000);
        }
    }
}
