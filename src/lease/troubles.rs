//! What goes wrong is said once, not at every attempt.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Elector;
use super::api::ApiError;

/// How long a refused call is not made again. Somebody has to grant the permission first.
const FORBIDDEN_RETRY: Duration = Duration::from_secs(30);
/// Messages may differ in a detail every time: then they are said again after this many.
const MAX_REMEMBERED: usize = 16;
const RESOURCE: &str = "leases.coordination.k8s.io";

/// What was said already, and what is refused to us at present.
#[derive(Default)]
pub(super) struct Troubles {
    said: BTreeSet<String>,
    refused: BTreeSet<&'static str>,
}

impl Elector {
    /// Says what went wrong, once for each new thing; returns how long to leave it.
    pub(super) fn trouble(&self, troubles: &mut Troubles, error: &ApiError) -> Duration {
        let lease = self.settings.lease();
        if troubles.said.len() >= MAX_REMEMBERED {
            troubles.said.clear();
        }
        let new = troubles.said.insert(error.to_string());
        let ApiError::Forbidden { verb, .. } = error else {
            if new {
                tracing::warn!(lease, %error, "leader election: a call failed and is tried again");
            }
            return self.settings.retry_period;
        };
        if new {
            tracing::error!(
                lease,
                %error,
                "leader election: missing permission; needed are get, update and watch of this lease, and create of \
                 leases.coordination.k8s.io in its namespace"
            );
        }
        troubles.refused.insert(verb);
        self.show_refused(verb, true);
        FORBIDDEN_RETRY
    }

    /// Calls with these verbs work (again).
    pub(super) fn works(&self, troubles: &mut Troubles, verbs: &[&'static str]) {
        for verb in verbs {
            if troubles.refused.remove(verb) {
                self.show_refused(verb, false);
                troubles.said.clear();
            }
        }
    }

    fn show_refused(&self, verb: &str, refused: bool) {
        if let Some(metrics) = &self.metrics {
            metrics.plimsoll.missing_permission(verb, RESOURCE).set(i64::from(refused));
        }
    }
}
