//! The objects of one kind with the history of their changes. One lock a kind; versions come from one counter that all
//! kinds share, and are taken under the kind's lock, so the changes of a kind are strictly ordered by version.

mod follow;
mod list;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::sync::Notify;

pub(crate) use follow::{Ended, Follower, News};
pub(crate) use list::{ContinueError, Page, PageRequest};

use crate::{
    kinds::{Kind, Role},
    stored::{Change, Happened, Stored},
};

/// The object is not what the writer took it for: it changed, went away or exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stale;

/// One of many objects: its position among them, its key, itself.
pub(crate) type Numbered = (usize, String, Value);

/// How much history of a kind is kept at most, whatever the number of changes.
const HISTORY_BYTES: usize = 256 * 1024 * 1024;

/// The store of one kind.
#[derive(Debug)]
pub(crate) struct Store {
    kind: Kind,
    /// The version of the newest change in the whole server.
    version: Arc<AtomicU64>,
    /// How many changes are kept for watches.
    history_limit: usize,
    /// How many objects are kept; beyond it the oldest go. Unbounded when none.
    object_limit: Option<usize>,
    state: Mutex<State>,
    signal: Signal,
}

/// Tells those who follow that there is news. They wake in the order in which they began to wait, which a channel of
/// tokio's kind `watch` does not promise: it draws lots.
#[derive(Debug, Default)]
struct Signal {
    given: AtomicU64,
    waiting: Notify,
}

impl Signal {
    fn give(&self) {
        self.given.fetch_add(1, Ordering::SeqCst);
        self.waiting.notify_waiters();
    }

    fn count(&self) -> u64 {
        self.given.load(Ordering::SeqCst)
    }

    /// Waits until it has been given more often than that.
    async fn beyond(&self, count: u64) {
        let mut notified = std::pin::pin!(self.waiting.notified());
        loop {
            // Waiting begins before looking, so that no signal is missed in between.
            notified.as_mut().enable();
            if self.count() > count {
                return;
            }
            notified.as_mut().await;
            notified.set(self.waiting.notified());
        }
    }
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Arc<Stored>>,
    /// Keys of the objects that name an owner, by the owner's UID.
    owned: HashMap<Box<str>, BTreeSet<String>>,
    history: VecDeque<Arc<Change>>,
    /// Size of the lines in the history.
    history_bytes: usize,
    /// Changes up to this version are forgotten.
    compacted: u64,
    /// Keys in order of creation, kept only where there is an object limit.
    creation_order: VecDeque<String>,
    snapshots: list::Snapshots,
    cut: follow::Cut,
    delay: Duration,
}

impl Store {
    pub(crate) fn new(kind: &Kind, version: Arc<AtomicU64>, history_limit: usize, event_limit: usize) -> Self {
        Self {
            kind: kind.clone(),
            version,
            history_limit: history_limit.max(1),
            object_limit: (kind.role == Role::Event).then_some(event_limit.max(1)),
            state: Mutex::default(),
            signal: Signal::default(),
        }
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// A panic while the lock was held has been reported already; the state itself is changed in single steps.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: &str) -> Option<Arc<Stored>> {
        self.lock().objects.get(key).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().objects.len()
    }

    /// A version such that all changes of this kind up to it have been made, and none after it.
    pub(crate) fn version(&self) -> u64 {
        let _state = self.lock();
        self.version.load(Ordering::SeqCst)
    }

    /// The objects that name this UID as an owner.
    pub(crate) fn owned_by(&self, uid: &str) -> Vec<Arc<Stored>> {
        let state = self.lock();
        let keys = state.owned.get(uid).into_iter().flatten();
        keys.filter_map(|key| state.objects.get(key).cloned()).collect()
    }

    /// Stores a new object.
    pub(crate) fn insert(&self, key: String, value: Value) -> Result<Arc<Stored>, Stale> {
        let mut state = self.lock();
        if state.objects.contains_key(&key) {
            return Err(Stale);
        }
        let stored = self.apply(&mut state, key, Happened::Added, value, None);
        self.drop_oldest(&mut state);
        Ok(stored)
    }

    /// Stores many new objects under one lock. Those whose key exists are left out, and returned.
    pub(crate) fn insert_all(&self, values: Vec<Numbered>) -> Vec<(usize, String)> {
        let mut state = self.lock();
        let mut taken = Vec::new();
        for (number, key, value) in values {
            if state.objects.contains_key(&key) {
                taken.push((number, key));
            } else {
                self.apply(&mut state, key, Happened::Added, value, None);
            }
        }
        taken
    }

    /// Replaces exactly that version of an object.
    pub(crate) fn replace(&self, old: &Arc<Stored>, value: Value) -> Result<Arc<Stored>, Stale> {
        let key = self.kind.key(&old.namespace, &old.name);
        let mut state = self.lock();
        if state.objects.get(&key).is_none_or(|now| now.version != old.version) {
            return Err(Stale);
        }
        Ok(self.apply(&mut state, key, Happened::Modified, value, Some(old.clone())))
    }

    /// Removes exactly that version of an object; `value` is its last content.
    pub(crate) fn remove(&self, old: &Arc<Stored>, value: Value) -> Result<Arc<Stored>, Stale> {
        let key = self.kind.key(&old.namespace, &old.name);
        let mut state = self.lock();
        if state.objects.get(&key).is_none_or(|now| now.version != old.version) {
            return Err(Stale);
        }
        Ok(self.apply(&mut state, key, Happened::Deleted, value, Some(old.clone())))
    }

    fn apply(
        &self,
        state: &mut State,
        key: String,
        happened: Happened,
        value: Value,
        previous: Option<Arc<Stored>>,
    ) -> Arc<Stored> {
        let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        for owner in previous.iter().flat_map(|p| p.owners.iter()) {
            if let Some(keys) = state.owned.get_mut(owner) {
                keys.remove(&key);
                if keys.is_empty() {
                    state.owned.remove(owner);
                }
            }
        }
        let change = Arc::new(Change::seal(&self.kind, version, happened, value, previous));
        let object = change.object.clone();
        if happened == Happened::Deleted {
            state.objects.remove(&key);
        } else {
            for owner in &object.owners {
                state.owned.entry(owner.clone()).or_default().insert(key.clone());
            }
            if happened == Happened::Added && self.object_limit.is_some() {
                state.creation_order.push_back(key.clone());
            }
            state.objects.insert(key, object.clone());
        }
        state.remember(change, self.history_limit);
        self.signal.give();
        object
    }

    fn drop_oldest(&self, state: &mut State) {
        let Some(limit) = self.object_limit else { return };
        while state.objects.len() > limit {
            let Some(key) = state.creation_order.pop_front() else { return };
            if let Some(old) = state.objects.get(&key).cloned() {
                self.apply(state, key, Happened::Deleted, old.value(), Some(old));
            }
        }
    }

    /// Forgets all history: watches from an older version and lists to be continued are answered with 410.
    pub(crate) fn compact(&self) {
        let mut state = self.lock();
        state.compacted = self.version.load(Ordering::SeqCst);
        state.history.clear();
        state.history_bytes = 0;
        state.snapshots.clear();
    }

    /// Ends all watches; `abruptly` without the proper end of the response.
    pub(crate) fn cut(&self, abruptly: bool) {
        let mut state = self.lock();
        state.cut.next(abruptly);
        self.signal.give();
    }

    /// Holds back what watches are told by that much from now on.
    pub(crate) fn delay_watches(&self, delay: Duration) {
        self.lock().delay = delay;
    }
}

impl State {
    fn remember(&mut self, change: Arc<Change>, limit: usize) {
        self.history_bytes += change.line.len();
        self.history.push_back(change);
        // The newest change always stays: a watch that keeps up must see it.
        while self.history.len() > limit || (self.history_bytes > HISTORY_BYTES && self.history.len() > 1) {
            let Some(gone) = self.history.pop_front() else { return };
            self.history_bytes -= gone.line.len();
            self.compacted = gone.object.version;
        }
    }
}
