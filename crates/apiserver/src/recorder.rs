//! A record of the API calls: counted always, remembered one by one where that is wanted.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// One API call on a resource. Discovery and health checks are not recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// In the words of RBAC: get, list, watch, create, update, patch, delete, deletecollection.
    pub verb: &'static str,
    /// API group; empty for the core group.
    pub group: String,
    /// Plural name of the kind.
    pub resource: String,
    /// Subresource, or empty.
    pub subresource: &'static str,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name of the object, or empty.
    pub name: String,
    /// Who called: `system:anonymous` for whoever says nothing of themselves, empty where nobody is known by their token.
    pub user: String,
    /// HTTP status of the answer; 0 where none was sent.
    pub code: u16,
    /// When it was answered.
    pub time: SystemTime,
}

/// How often something was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallCount {
    /// In the words of RBAC.
    pub verb: &'static str,
    /// API group; empty for the core group.
    pub group: String,
    /// Plural name of the kind.
    pub resource: String,
    /// Subresource, or empty.
    pub subresource: &'static str,
    /// HTTP status of the answers; 0 where none was sent.
    pub code: u16,
    /// Number of calls.
    pub count: u64,
}

/// Verb, kind, subresource, code.
pub(crate) type CountKey = (&'static str, usize, &'static str, u16);

#[derive(Debug)]
pub(crate) struct Recorder {
    counts: Mutex<BTreeMap<CountKey, u64>>,
    calls: Mutex<VecDeque<Call>>,
    limit: usize,
}

impl Recorder {
    /// A recorder that remembers the newest `limit` calls.
    pub(crate) fn new(limit: usize) -> Self {
        Self { counts: Mutex::default(), calls: Mutex::default(), limit }
    }

    /// Whether calls are remembered one by one.
    pub(crate) fn remembers(&self) -> bool {
        self.limit > 0
    }

    fn lock_calls(&self) -> MutexGuard<'_, VecDeque<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self, key: CountKey) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
    }

    pub(crate) fn remember(&self, call: Call) {
        let mut calls = self.lock_calls();
        if calls.len() >= self.limit {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.lock_calls().iter().cloned().collect()
    }

    pub(crate) fn counts(&self) -> BTreeMap<CountKey, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn clear(&self) {
        self.lock_calls().clear();
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
