//! Following the changes of a store. A follower holds a place in the shared history and nothing else, so a slow one
//! costs no memory: when the history has moved past its place, it has ended.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::Store;
use crate::stored::{Change, Stored};

/// Ends of all watches, on order. A follower that began before the newest cut has ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cut {
    count: u64,
    abruptly: bool,
}

impl Cut {
    pub(super) fn next(&mut self, abruptly: bool) {
        self.count += 1;
        self.abruptly = abruptly;
    }
}

/// Why a follower gets no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The changes after its place are forgotten; `oldest` is the oldest version that still can be followed.
    TooOld { oldest: u64 },
    /// All watches were cut.
    Cut { abruptly: bool },
}

/// A place in a store's history.
#[derive(Debug)]
pub(crate) struct Follower {
    store: Arc<Store>,
    /// All changes up to this version have been seen.
    pub(crate) seen: u64,
    cut: u64,
    /// How many signals had been given when it looked last.
    signals: u64,
}

impl Store {
    /// Follows the changes after a version.
    pub(crate) fn follow(self: &Arc<Self>, after: u64) -> Follower {
        let cut = self.lock().cut.count;
        Follower { store: self.clone(), seen: after, cut, signals: 0 }
    }
}

/// What a follower that needs no gapless history is told.
#[derive(Debug)]
pub(crate) enum News {
    /// What changed, oldest first; nothing when there is nothing new.
    Changes(Vec<Arc<Change>>),
    /// All there is: it had fallen behind, or was cut together with the watches.
    Everything(Vec<Arc<Stored>>),
}

impl Follower {
    /// The next changes, at most `limit`. One that gets no further begins anew with all there is.
    pub(crate) fn news(&mut self, limit: usize) -> News {
        match self.take(limit) {
            Ok(changes) => News::Changes(changes),
            Err(Ended::TooOld { .. } | Ended::Cut { .. }) => {
                let (objects, version) = self.store.all();
                *self = self.store.clone().follow(version);
                News::Everything(objects)
            }
        }
    }

    /// The next changes, oldest first, at most `limit`; none when there is nothing new yet.
    pub(crate) fn take(&mut self, limit: usize) -> Result<Vec<Arc<Change>>, Ended> {
        // Noted before looking, so that a change made meanwhile wakes `wait` again.
        self.signals = self.store.signal.count();
        let state = self.store.lock();
        if state.cut.count != self.cut {
            return Err(Ended::Cut { abruptly: state.cut.abruptly });
        }
        if self.seen < state.compacted {
            return Err(Ended::TooOld { oldest: state.compacted });
        }
        let start = state.history.partition_point(|change| change.object.version <= self.seen);
        let changes: Vec<_> = state.history.range(start..).take(limit).cloned().collect();
        let caught_up = start + changes.len() == state.history.len();
        // With the lock held and nothing left in the history, no change of this kind up to the counter is unseen.
        let now = if caught_up { self.store.version.load(Ordering::SeqCst) } else { 0 };
        let last = changes.last().map_or(0, |change| change.object.version);
        self.seen = self.seen.max(now).max(last);
        Ok(changes)
    }

    /// Waits until there may be something to take.
    pub(crate) async fn wait(&mut self) {
        self.store.signal.beyond(self.signals).await;
    }

    /// How long news are to be held back.
    pub(crate) fn delay(&self) -> Duration {
        self.store.lock().delay
    }
}
