//! Permissions to list and watch that are missing: said once each, shown by a metric while they are, and what follows.
//!
//! Without nodes and pods nothing can be decided. Other kinds are needed by some pods only: where they cannot be seen, the
//! engine is told so, keeps those pods back, and goes on with the others.

use std::time::Duration;

use kube::runtime::watcher;
use plimsoll_engine::event::Event;
use plimsoll_framework::object::KindRef;
use tokio::time::Instant;

use super::{Reflectors, kube_error, resource, status_code, words};
use crate::admin::Check;

/// A list was read; if the watch behind it is refused, that is known after so long.
const PROBATION: Duration = Duration::from_secs(2);

/// What follows when objects of a kind cannot be seen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unseen {
    /// Nothing can be decided.
    Stops,
    /// Pods wait that need them: objects of a further kind, or with `None` namespaces.
    Hides(Option<KindRef>),
    /// Something is noticed later, or not at all. Another watch needs the same permission, and says so.
    SaidElsewhere,
}

/// What is missing for one kind.
pub(super) struct Sight {
    pub(super) kind: String,
    unseen: Unseen,
    list: bool,
    watch: bool,
    /// When it is certain that nothing is missing any more.
    pub(super) certain_at: Option<Instant>,
    /// Whether the server does not even serve the kind.
    pub(super) unserved: bool,
}

impl Sight {
    pub(super) fn new(kind: &str, unseen: Unseen) -> Self {
        Self { kind: kind.to_owned(), unseen, list: false, watch: false, certain_at: None, unserved: false }
    }

    fn is_missing(&self) -> bool {
        self.list || self.watch
    }
}

impl Reflectors {
    /// The server refused to have objects of a kind listed or watched.
    pub(super) fn permission_lost(&self, sight: &mut Sight, error: &watcher::Error, (list, synced): (usize, &Check)) {
        let (verb, text) = (verb(error), words(error));
        let resource = resource(&sight.kind);
        let (was_missing, known) =
            (sight.is_missing(), if verb == "list" { &mut sight.list } else { &mut sight.watch });
        if !std::mem::replace(known, true) {
            if sight.unseen.is_said_here() {
                tracing::error!(kind = sight.kind, error = %text, "not permitted to {verb} {resource}: the role lacks the verbs list and watch on {resource}{}", sight.unseen.consequence());
            }
            self.metrics.plimsoll.missing_permission(verb, resource).set(1);
        }
        sight.certain_at = None;
        let waits = format!("not permitted to {verb} {resource}: {text}; trying again");
        match sight.unseen {
            Unseen::Stops => {
                synced.fail(waits);
                self.inbox.unlisted(list);
            }
            Unseen::Hides(kind) => {
                if !was_missing {
                    self.inbox.event(Event::Hidden { kind, hidden: true });
                    // Those wait that need it, and nobody else.
                    self.inbox.synced(list, synced.clone());
                }
            }
            Unseen::SaidElsewhere => synced.fail_unless_passing(waits),
        }
    }

    /// A list was read, by a watch that goes on with the changes or by itself.
    pub(super) fn permission_used(&self, sight: &mut Sight, by_watch: bool) {
        if !sight.is_missing() {
            return;
        }
        if by_watch || !sight.watch {
            self.permission_regained(sight);
        } else {
            sight.certain_at = Some(Instant::now() + PROBATION);
        }
    }

    /// Objects of a kind are seen again.
    pub(super) fn permission_regained(&self, sight: &mut Sight) {
        sight.certain_at = None;
        if !sight.is_missing() {
            return;
        }
        let resource = resource(&sight.kind);
        for (verb, missing) in [("list", &mut sight.list), ("watch", &mut sight.watch)] {
            if std::mem::take(missing) {
                self.metrics.plimsoll.missing_permission(verb, resource).set(0);
            }
        }
        if sight.unseen.is_said_here() {
            tracing::info!(kind = sight.kind, "permitted to list and watch {resource} again");
        }
        if let Unseen::Hides(kind) = sight.unseen {
            self.inbox.event(Event::Hidden { kind, hidden: false });
        }
    }
}

impl Unseen {
    const fn is_said_here(self) -> bool {
        !matches!(self, Self::SaidElsewhere)
    }

    const fn consequence(self) -> &'static str {
        match self {
            Self::Stops => "; nothing is decided without them",
            Self::Hides(_) => "; pods that need them wait, others do not",
            Self::SaidElsewhere => "",
        }
    }
}

/// What was refused.
fn verb(error: &watcher::Error) -> &'static str {
    if matches!(error, watcher::Error::InitialListFailed(_)) { "list" } else { "watch" }
}

/// Whether the server would not have its list streamed: it does not know how to, or that is switched off.
pub(super) fn refuses_to_stream(error: &watcher::Error) -> bool {
    let Some(kube::Error::Api(status)) = kube_error(error) else { return false };
    match status_code(error) {
        400 | 422 => true,
        403 => status.message.contains("sendInitialEvents"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn refused(code: u16, message: &str) -> watcher::Error {
        let status = Status { code, message: message.to_owned(), ..Status::default() };
        watcher::Error::WatchStartFailed(kube::Error::Api(status.boxed()))
    }

    #[test]
    fn a_refusal_to_stream_is_told_from_others() {
        let words = "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
        for (code, message, expect) in [
            (422, words, true),
            (400, "unknown parameter", true),
            (403, words, true),
            (403, "pods is forbidden: User \"s\" cannot watch resource \"pods\"", false),
            (404, "the server could not find the requested resource", false),
            (410, "too old resource version", false),
            (500, words, false),
        ] {
            assert_eq!(refuses_to_stream(&refused(code, message)), expect, "{code} {message}");
        }
        assert!(!refuses_to_stream(&watcher::Error::NoResourceVersion));
    }
}
