//! Lists, whole or page by page. A list to be continued is a snapshot, as in the real server; few are kept.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};

use super::{State, Store};
use crate::{
    selector::{FieldSelector, LabelSelector},
    stored::Stored,
};

/// How many lists may be waiting to be continued in one store; the oldest is dropped beyond that.
const SNAPSHOTS: usize = 32;

/// What a list asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageRequest {
    pub(crate) namespace: Option<String>,
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
    /// At most that many objects; all when zero.
    pub(crate) limit: usize,
    /// Where an earlier page ended.
    pub(crate) continue_token: Option<String>,
}

/// A list or a page of one.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Arc<Stored>>,
    /// The version at which the whole list is consistent, and from which a watch may go on.
    pub(crate) version: u64,
    /// How to get the next page.
    pub(crate) continue_token: Option<String>,
    /// How many objects follow.
    pub(crate) remaining: usize,
}

/// Why a list cannot be continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContinueError {
    /// The token is not one of ours.
    Malformed,
    /// The snapshot is gone.
    Expired,
}

/// Lists of which some pages are still to come.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    next_id: u64,
    lists: VecDeque<Snapshot>,
}

/// A list under way.
#[derive(Debug)]
struct Snapshot {
    id: u64,
    version: u64,
    objects: Arc<[Arc<Stored>]>,
}

impl Snapshots {
    pub(super) fn clear(&mut self) {
        self.lists.clear();
    }

    fn keep(&mut self, version: u64, objects: Arc<[Arc<Stored>]>) -> u64 {
        self.next_id += 1;
        self.lists.push_back(Snapshot { id: self.next_id, version, objects });
        if self.lists.len() > SNAPSHOTS {
            self.lists.pop_front();
        }
        self.next_id
    }
}

impl Store {
    /// All objects that match, consistent at one version.
    pub(crate) fn list(&self, request: &PageRequest) -> Result<Page, ContinueError> {
        if let Some(token) = &request.continue_token {
            return self.next_page(token, request.limit);
        }
        let mut state = self.lock();
        let version = self.version.load(Ordering::SeqCst);
        let matches = |object: &Arc<Stored>| object.matches(None, &request.labels, &request.fields);
        let objects: Vec<Arc<Stored>> = match request.namespace.as_deref().filter(|_| self.kind.namespaced) {
            Some(namespace) => state.in_namespace(namespace).filter(|o| matches(o)).cloned().collect(),
            None => state.objects.values().filter(|o| matches(o)).cloned().collect(),
        };
        if request.limit == 0 || objects.len() <= request.limit {
            return Ok(Page { objects, version, continue_token: None, remaining: 0 });
        }
        let objects: Arc<[_]> = objects.into();
        let id = state.snapshots.keep(version, objects.clone());
        Ok(page(id, version, &objects, 0, request.limit))
    }

    fn next_page(&self, token: &str, limit: usize) -> Result<Page, ContinueError> {
        let (id, start) = parse_token(token).ok_or(ContinueError::Malformed)?;
        let state = self.lock();
        let found = state.snapshots.lists.iter().find(|snapshot| snapshot.id == id);
        let Snapshot { version, objects, .. } = found.ok_or(ContinueError::Expired)?;
        if start > objects.len() {
            return Err(ContinueError::Malformed);
        }
        Ok(page(id, *version, objects, start, if limit == 0 { usize::MAX } else { limit }))
    }

    /// The objects in one namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Arc<Stored>> {
        self.lock().in_namespace(namespace).cloned().collect()
    }

    /// Every object now, and the version as of which that is all.
    pub(crate) fn all(&self) -> (Vec<Arc<Stored>>, u64) {
        let state = self.lock();
        (state.objects.values().cloned().collect(), self.version.load(Ordering::SeqCst))
    }
}

impl State {
    fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<Stored>> {
        let prefix = format!("{namespace}/");
        let range = self.objects.range(prefix.clone()..);
        range.take_while(move |(key, _)| key.starts_with(&prefix)).map(|(_, object)| object)
    }
}

fn page(id: u64, version: u64, objects: &[Arc<Stored>], start: usize, limit: usize) -> Page {
    let end = start.saturating_add(limit).min(objects.len());
    let remaining = objects.len() - end;
    let continue_token = (remaining > 0).then(|| format!("{id}.{end}"));
    Page { objects: objects[start..end].to_vec(), version, continue_token, remaining }
}

fn parse_token(token: &str) -> Option<(u64, usize)> {
    let (id, start) = token.split_once('.')?;
    Some((id.parse().ok()?, start.parse().ok()?))
}
