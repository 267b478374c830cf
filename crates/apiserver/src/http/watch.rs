//! Watches: an optional initial list, then the changes as they come, in lines of JSON.

mod start;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Body, Dropped, Web, accept::View, json_bytes, query::Query, read::render, route::Route};
use crate::{
    failure::Failure,
    kinds::Kind,
    store::{Ended, Follower, PageRequest},
    stored::{Change, Happened, SUFFIX, Stored},
};

/// Changes looked at before what they amount to is sent.
const BATCH: usize = 256;
/// Initial objects are sent in pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;

/// One watch.
struct Watch {
    web: Web,
    kind: Kind,
    view: View,
    selection: PageRequest,
    follower: Follower,
    /// Objects of the initial list still to be sent, last first.
    initial: Vec<Arc<Stored>>,
    /// Whether the end of the initial list is still to be announced.
    announce: bool,
    /// Whether anything was sent. A watch that cannot even start says why; one under way just ends.
    started: bool,
    bookmarks: bool,
    last_told: u64,
    next_bookmark: Instant,
    deadline: Instant,
    ended: bool,
}

pub(super) fn watch(web: &Web, route: &Route<'_>, query: &Query<'_>, view: View) -> Result<Response<Body>, Failure> {
    let watch = Watch::new(web, route, query, view)?;
    let stream = futures::stream::unfold(watch, async |mut watch| {
        let item = watch.next().await?;
        watch.ended |= item.is_err();
        Some((item, watch))
    });
    let mut response = json_bytes(StatusCode::OK, Bytes::new());
    *response.body_mut() = Body::Stream(Box::pin(stream));
    Ok(response)
}

impl Watch {
    /// The next piece to send; none at the end.
    async fn next(&mut self) -> Option<Result<Bytes, Dropped>> {
        if self.ended {
            return None;
        }
        if !self.initial.is_empty() || self.announce {
            self.started = true;
            return Some(Ok(self.initial_piece()));
        }
        loop {
            match self.follower.take(BATCH) {
                Ok(changes) if changes.is_empty() => {
                    if let Some(bookmark) = self.due_bookmark() {
                        return Some(Ok(bookmark));
                    }
                    if self.ended || !self.wait().await {
                        return None;
                    }
                }
                Ok(changes) => {
                    let piece = self.piece(&changes);
                    if !piece.is_empty() {
                        self.started = true;
                        return Some(Ok(piece));
                    }
                }
                Err(Ended::Cut { abruptly }) => return abruptly.then_some(Err(Dropped)),
                Err(Ended::TooOld { .. }) if self.started => return None,
                Err(Ended::TooOld { oldest }) => {
                    self.ended = true;
                    return Some(Ok(self.too_old(oldest)));
                }
            }
        }
    }

    /// Waits for news, or for the time of the next bookmark or the end; false when the server stops.
    async fn wait(&mut self) -> bool {
        let until = if self.bookmarks { self.next_bookmark.min(self.deadline) } else { self.deadline };
        tokio::select! {
            biased;
            () = self.follower.wait() => {
                // Requests that are already waiting go first: what they change is sent in the same piece.
                tokio::task::yield_now().await;
                let delay = self.follower.delay();
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                true
            }
            () = tokio::time::sleep_until(until) => true,
            () = self.web.stop.cancelled() => false,
        }
    }

    /// The bookmark to be sent now, if any. At the deadline the watch ends with one.
    fn due_bookmark(&mut self) -> Option<Bytes> {
        let now = Instant::now();
        self.ended = now >= self.deadline;
        if !self.bookmarks || (now < self.next_bookmark && !self.ended) {
            return None;
        }
        self.next_bookmark = now + self.web.cluster.options.bookmark_interval;
        if self.follower.seen == self.last_told {
            return None;
        }
        Some(self.bookmark(&Value::Null))
    }

    fn bookmark(&mut self, annotations: &Value) -> Bytes {
        self.last_told = self.follower.seen;
        let mut metadata = json!({"resourceVersion": self.last_told.to_string(), "creationTimestamp": null});
        if !annotations.is_null() {
            metadata["annotations"] = annotations.clone();
        }
        let object = json!({"kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": metadata});
        format!(r#"{{"type":"BOOKMARK","object":{object}{SUFFIX}"#).into()
    }

    fn too_old(&self, oldest: u64) -> Bytes {
        let message = format!("too old resource version: {} ({oldest})", self.follower.seen);
        let status = Failure::expired(message).to_status();
        format!(r#"{{"type":"ERROR","object":{status}{SUFFIX}"#).into()
    }

    fn initial_piece(&mut self) -> Bytes {
        let mut out = BytesMut::new();
        while out.len() < PIECE_BYTES
            && let Some(object) = self.initial.pop()
        {
            self.write(&mut out, Happened::Added, &object);
        }
        if self.initial.is_empty() && self.announce {
            self.announce = false;
            out.extend_from_slice(&self.bookmark(&json!({"k8s.io/initial-events-end": "true"})));
        }
        out.freeze()
    }

    /// What changes mean to this watch.
    fn piece(&self, changes: &[Arc<Change>]) -> Bytes {
        let mut out = BytesMut::new();
        for change in changes {
            self.tell(&mut out, change);
        }
        out.freeze()
    }

    fn selects(&self, object: &Stored) -> bool {
        let selection = &self.selection;
        object.matches(selection.namespace.as_deref(), &selection.labels, &selection.fields)
    }

    fn tell(&self, out: &mut BytesMut, change: &Change) {
        let selected = change.previous.as_ref().is_some_and(|previous| self.selects(previous));
        let plain = self.view == View::Object && !self.kind.is_view();
        let happened = match change.happened {
            Happened::Added if self.selects(&change.object) => Happened::Added,
            Happened::Deleted if selected => Happened::Deleted,
            Happened::Modified => match (selected, self.selects(&change.object)) {
                (true, true) => Happened::Modified,
                (false, true) => Happened::Added,
                (true, false) => return self.tell_left(out, change),
                (false, false) => return,
            },
            _ => return,
        };
        if plain && happened == change.happened {
            out.extend_from_slice(&change.line);
        } else {
            self.write(out, happened, &change.object);
        }
    }

    /// An object that the selector no longer selects arrives as deleted, as it was when it was last selected, under the
    /// version of the change that took it out.
    fn tell_left(&self, out: &mut BytesMut, change: &Change) {
        if let Some(previous) = &change.previous {
            let stored_as = self.web.cluster.store(&self.kind).kind();
            let last = Change::seal(stored_as, change.object.version, Happened::Deleted, previous.value(), None);
            self.write(out, Happened::Deleted, &last.object);
        }
    }

    fn write(&self, out: &mut BytesMut, happened: Happened, object: &Stored) {
        out.extend_from_slice(happened.prefix().as_bytes());
        out.extend_from_slice(&render(&self.web.cluster, &self.kind, self.view, object));
        out.extend_from_slice(SUFFIX.as_bytes());
    }
}
