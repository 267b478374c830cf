//! What pods wait for, and for how long.

use std::collections::BTreeMap;

use plimsoll_engine::effect::Reason;
use plimsoll_engine::engine::Engine;
use plimsoll_engine::queue::QueuedPodInfo;
use plimsoll_framework::time::Time;

use crate::metrics::Metrics;

/// It waits for its turn, or for its first attempt to be over.
const QUEUE: &str = "queue";
/// Its last attempt ended with an error.
const ERROR: &str = "error";
/// Why pods are held back, as their condition says.
const HELD: [Reason; 3] = [Reason::Invalid, Reason::Unsupported, Reason::MissingPermission];
/// Their condition does not say it (yet).
const UNTOLD: &str = "untold";

/// Tells of the pods in the queue and of those that are held back.
pub(super) fn tell(metrics: &Metrics, engine: &Engine, now: Time) {
    let mut longest: BTreeMap<&'static str, i64> = BTreeMap::new();
    for (info, _) in engine.queue().iter() {
        // By whole seconds: what is of interest are minutes.
        let waited = now.since(info.initial_attempt.unwrap_or(info.timestamp)).as_secs();
        let waited = i64::try_from(waited).unwrap_or(i64::MAX);
        for_each_reason(info, |reason| {
            let longest = longest.entry(reason).or_default();
            *longest = waited.max(*longest);
        });
    }
    metrics.plimsoll.waits.set_longest(&longest);
    let mut held: BTreeMap<&'static str, i64> = BTreeMap::new();
    for known in engine.cache().held() {
        let told = known.pod.scheduled.as_deref().map_or("", |condition| &*condition.reason);
        let reason = HELD.iter().map(|reason| reason.as_str()).find(|reason| *reason == told).unwrap_or(UNTOLD);
        *held.entry(reason).or_default() += 1;
    }
    metrics.plimsoll.waits.set_held(&held);
}

fn for_each_reason(info: &QueuedPodInfo, mut f: impl FnMut(&'static str)) {
    if let Some(gate) = info.gating_plugin {
        f(gate);
    } else if info.consecutive_errors > 0 {
        f(ERROR);
    } else if info.unschedulable_plugins.is_empty() && info.pending_plugins.is_empty() {
        f(QUEUE);
    } else {
        info.unschedulable_plugins.iter().chain(info.pending_plugins.iter()).for_each(f);
    }
}
