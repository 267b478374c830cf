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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use plimsoll_engine::engine::EngineSettings;
    use plimsoll_engine::event::Event;
    use plimsoll_framework::api;
    use plimsoll_framework::node::NodeInfo;
    use plimsoll_framework::pod::PodParser;
    use plimsoll_testkit::{node, pod};
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Config;
    use crate::registry::Registry;

    fn at(seconds: u64) -> Time {
        Time::since_epoch(Duration::from_secs(1_000 + seconds))
    }

    fn add(engine: &mut Engine, seconds: u64, pod: Value) {
        let pod: api::Pod = serde_json::from_value(pod).unwrap();
        engine.handle(at(seconds), Event::Pod(Box::new(PodParser::default().parse(&pod))));
    }

    #[test]
    fn each_pod_counts_for_what_it_waits_for() {
        let (config, registry) = (Config::default(), Registry::default());
        let settings = EngineSettings { admission: registry.admission(&config), ..EngineSettings::default() };
        let mut engine = Engine::new(registry.profiles(&config).unwrap(), settings);
        engine.lead(true);
        let small = node("small").allocatable(&[("cpu", "2"), ("memory", "4Gi"), ("pods", "10")]).build();
        let small: api::Node = serde_json::from_value(small).unwrap();
        engine.handle(at(0), Event::Node(Box::new(NodeInfo::parse(&small, &[]).0)));
        let large = |name| pod(name).uid(name).resource_version(5).requests(&[("cpu", "8")]).build();
        add(&mut engine, 0, large("older"));
        add(&mut engine, 30, large("newer"));
        add(&mut engine, 40, pod("gated").uid("gated").resource_version(5).gate("wait").build());
        let mut claims = pod("claims").uid("claims").resource_version(5).build();
        claims["spec"]["resourceClaims"] = json!([{"name": "gpu", "resourceClaimName": "gpu"}]);
        add(&mut engine, 40, claims.clone());
        while engine.decide_next(at(40)) {}

        let metrics = Metrics::new().unwrap();
        let shown = |engine: &Engine, seconds| {
            tell(&metrics, engine, at(seconds));
            metrics.render().unwrap()
        };
        let text = shown(&engine, 100);
        for line in [
            "plimsoll_longest_pending_seconds{reason=\"NodeResourcesFit\"} 100",
            "plimsoll_longest_pending_seconds{reason=\"SchedulingGates\"} 60",
            "plimsoll_held_pods{reason=\"untold\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        // Its condition has been written, and seen.
        claims["metadata"]["resourceVersion"] = json!("6");
        let told =
            json!({"type": "PodScheduled", "status": "False", "reason": "UnsupportedByPlimsoll", "message": "x"});
        claims["status"]["conditions"] = json!([told]);
        add(&mut engine, 50, claims);
        let text = shown(&engine, 100);
        assert!(text.contains("plimsoll_held_pods{reason=\"UnsupportedByPlimsoll\"} 1"), "{text}");
        assert!(text.contains("plimsoll_held_pods{reason=\"untold\"} 0"), "{text}");
    }
}
