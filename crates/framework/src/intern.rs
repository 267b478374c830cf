//! Interned strings: every label key, value, namespace, node name, taint key, image and resource name is kept once.
//!
//! An [`Istr`] is a counted reference into one process-wide pool, so two of them are equal exactly when they point to
//! the same allocation: filters compare pointers, never bytes. Nothing is reused while any view, row or selector still
//! holds it, because holding it is what keeps it in the pool; strings that nobody holds any more are given back when
//! their shard has doubled, so names that come and go (pod-template hashes, job ids) never pile up.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use hashbrown::{DefaultHashBuilder, HashTable};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A power of two, so that a shard is picked by masking. More shards than cores keep decoding threads apart.
const SHARDS: usize = 64;
/// A shard smaller than this is never swept: walking it often would cost more than it could give back.
const SMALLEST_SWEEP: usize = 256;

struct Shard {
    strings: HashTable<Arc<str>>,
    /// The size at which unused strings are looked for: twice what was in use after the last sweep.
    sweep_at: usize,
}

struct Pool {
    hasher: DefaultHashBuilder,
    shards: [Mutex<Shard>; SHARDS],
}

static POOL: LazyLock<Pool> = LazyLock::new(|| Pool {
    hasher: DefaultHashBuilder::default(),
    shards: std::array::from_fn(|_| Mutex::new(Shard { strings: HashTable::new(), sweep_at: SMALLEST_SWEEP })),
});

impl Pool {
    fn intern(&self, text: &str) -> Arc<str> {
        let hash = self.hasher.hash_one(text);
        let at = usize::try_from(hash >> 48).unwrap_or(0) & (SHARDS - 1);
        // A poisoned shard is still whole: no operation below leaves it half changed.
        let mut shard = self.shards[at].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = shard.strings.find(hash, |s| &**s == text) {
            return Arc::clone(found);
        }
        if shard.strings.len() >= shard.sweep_at {
            shard.sweep();
        }
        let made: Arc<str> = Arc::from(text);
        shard.strings.insert_unique(hash, Arc::clone(&made), |s| self.hasher.hash_one(&**s));
        made
    }
}

impl Shard {
    /// Drops the strings that only the pool holds. Nobody can gain a reference meanwhile: clones come from holders,
    /// and there are none; new ones come through this shard's lock.
    fn sweep(&mut self) {
        self.strings.retain(|s| Arc::strong_count(s) > 1);
        self.sweep_at = (self.strings.len() * 2).max(SMALLEST_SWEEP);
    }
}

/// An interned, immutable string. Cloning is a reference count, equality and hashing are by address, ordering is by
/// text (so that sorted sets are the same in every run).
#[derive(Clone)]
pub struct Istr(Arc<str>);

impl Istr {
    /// The one copy of `text`.
    pub fn new(text: &str) -> Self {
        Self(POOL.intern(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many different strings the pool holds at the moment, for the memory metrics.
    pub fn pool_len() -> usize {
        POOL.shards.iter().map(|s| s.lock().unwrap_or_else(PoisonError::into_inner).strings.len()).sum()
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.0).cast::<u8>().addr()
    }
}

impl PartialEq for Istr {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
impl Eq for Istr {}

impl Hash for Istr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address().hash(state);
    }
}

impl PartialOrd for Istr {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Istr {
    fn cmp(&self, other: &Self) -> Ordering {
        if self == other { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl Deref for Istr {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}
/// By text: for ordered collections only, since hashing is by address.
impl Borrow<str> for Istr {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl From<&str> for Istr {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}
impl From<String> for Istr {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}
impl fmt::Display for Istr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Istr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}
impl Serialize for Istr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
impl<'de> Deserialize<'de> for Istr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Istr;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Istr, E> {
                Ok(Istr::new(text))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_the_same_string() {
        let (a, b, c) = (Istr::new("zone"), Istr::from("zone".to_owned()), Istr::new("rack"));
        assert_eq!(a, b);
        assert_ne!(a, c);
        assert!(c < a, "order is by text");
        assert_eq!(&*a, "zone");
    }

    #[test]
    fn names_that_come_and_go_do_not_pile_up() {
        let kept: Vec<Istr> = (0..1_000).map(|i| Istr::new(&format!("kept-{i}"))).collect();
        for i in 0..200_000 {
            Istr::new(&format!("job-{i}"));
        }
        assert!(Istr::pool_len() < 64 * SMALLEST_SWEEP * 2, "{} strings are held", Istr::pool_len());
        for (i, s) in kept.iter().enumerate() {
            assert_eq!(*s, Istr::new(&format!("kept-{i}")), "a string in use was given away");
        }
    }

    #[test]
    fn threads_agree() {
        let made: Vec<Vec<Istr>> = std::thread::scope(|s| {
            let threads: Vec<_> =
                (0..4).map(|_| s.spawn(|| (0..2_000).map(|i| Istr::new(&format!("t-{i}"))).collect())).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(made.windows(2).all(|w| w[0] == w[1]));
    }
}
