//! What the engine lets be measured, as metrics.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use plimsoll_engine::effect::{self, Observation};
use plimsoll_engine::engine::Engine;
use plimsoll_engine::event::Event;
use plimsoll_engine::profile::Profile;
use plimsoll_engine::queue::Place;
use plimsoll_framework::cluster_event::ClusterEvent;
use plimsoll_framework::time::Time;
use prometheus::IntCounter;
use tokio::time::Instant;

use crate::metrics::{
    AttemptResult, CacheKind, Counters, GangState, Metrics, PluginMetrics, ProfileMetrics, QueueName, RecheckResult,
    Status,
};

use super::fleet::FleetObserver;
use super::shadow::ShadowObserver;
use super::waits;

/// How often gauges are brought up to date.
const GAUGES_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Observer {
    metrics: Arc<Metrics>,
    profiles: Vec<ProfileMetrics>,
    names: Vec<String>,
    incoming: HashMap<effect::QueueReason, Counters<QueueName>>,
    futile: HashMap<ClusterEvent, IntCounter>,
    plugins: HashMap<(&'static str, usize), PluginMetrics>,
    shadow: ShadowObserver,
    fleet: FleetObserver,
    last_gauges: Option<Instant>,
}

impl Observer {
    pub(super) fn new(metrics: Arc<Metrics>, profiles: &[Profile]) -> Self {
        Self {
            profiles: profiles.iter().map(|p| metrics.scheduler.profile(&p.name)).collect(),
            names: profiles.iter().map(|p| p.name.to_string()).collect(),
            metrics,
            incoming: HashMap::new(),
            futile: HashMap::new(),
            plugins: HashMap::new(),
            shadow: ShadowObserver::default(),
            fleet: FleetObserver::default(),
            last_gauges: None,
        }
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) fn event(&mut self, event: &Event) {
        if let Event::Pod(pod) = event
            && let Some(faults) = &pod.faults
        {
            tracing::debug!(pod = %pod.key, %faults, "a pod has fields that cannot be read");
        }
    }

    /// A decision, or some in a row, took this long.
    pub(super) fn decided(&self, count: usize, took: Duration) {
        let each = took.as_secs_f64() / f64::from(u32::try_from(count.max(1)).unwrap_or(u32::MAX));
        for _ in 0..count {
            self.metrics.scheduler.scheduling_algorithm_duration.observe(each);
        }
    }

    pub(super) fn count(&mut self, observations: impl Iterator<Item = Observation>) {
        for observation in observations {
            self.count_one(observation);
        }
    }

    fn count_one(&mut self, observation: Observation) {
        let scheduler = &self.metrics.scheduler;
        match observation {
            Observation::QueueIncoming { queue, event } => {
                let counters = self.incoming.entry(event);
                let counters = counters.or_insert_with_key(|event| scheduler.queue_incoming_pods(&event.to_string()));
                counters.at(queue_name(queue)).inc();
            }
            Observation::Attempt { result, profile, duration } => {
                let Some(profile) = self.profiles.get(profile) else { return };
                let result = attempt_result(result);
                profile.schedule_attempts.at(result).inc();
                profile.scheduling_attempt_duration.at(result).observe(duration.as_secs_f64());
            }
            Observation::Scheduled { attempts, sli, flushed } => {
                scheduler.pod_scheduling_attempts.observe(f64::from(attempts));
                scheduler.pod_scheduling_sli_duration(attempts).observe(sli.as_secs_f64());
                if flushed {
                    scheduler.pod_scheduled_after_flush.inc();
                }
            }
            Observation::GangAttempt { result, profile, duration } => {
                let Some(profile) = self.profiles.get(profile) else { return };
                let result = attempt_result(result);
                profile.podgroup_schedule_attempts.at(result).inc();
                profile.podgroup_scheduling_attempt_duration.at(result).observe(duration.as_secs_f64());
            }
            Observation::Recheck { held } => {
                let result = if held { RecheckResult::Passed } else { RecheckResult::Failed };
                self.metrics.plimsoll.commit_rechecks.at(result).inc();
            }
            Observation::PreemptionAttempt => scheduler.preemption_attempts.inc(),
            Observation::Preemption { victims } => {
                scheduler.preemption_victims.observe(f64::from(u32::try_from(victims).unwrap_or(u32::MAX)));
            }
            Observation::PreemptionHeldOff => self.metrics.plimsoll.preemptions_held_off.inc(),
            Observation::Eviction { result } => self.metrics.plimsoll.evictions(result).inc(),
            Observation::FutileWakeUp { event } => {
                let counter = self.futile.entry(event);
                counter.or_insert_with_key(|event| self.metrics.plimsoll.futile_wakeups(&event.to_string())).inc();
            }
            Observation::RuledOut => self.metrics.plimsoll.wakeups_ruled_out.inc(),
            Observation::StaleScore => self.metrics.plimsoll.stale_scores.inc(),
            Observation::Held { reason } => self.metrics.plimsoll.invalid_pods(reason.as_str()).inc(),
            Observation::Compared(comparison) => self.shadow.compared(&self.metrics, &comparison),
            Observation::RefusedByKubelet { kind } => self.metrics.plimsoll.kubelet_refusals(kind).inc(),
            Observation::PluginFailed { plugin, point } => {
                scheduler.plugin_failed(point, plugin);
            }
            Observation::ObjectsAssumed { plugin, taken_back } => scheduler.objects_assumed(plugin, taken_back),
            Observation::PermitWait { result, duration } => {
                let status = if result == "Success" { Status::Success } else { Status::Unschedulable };
                scheduler.permit_wait_duration.at(status).observe(duration.as_secs_f64());
            }
        }
    }

    /// Sizes, once a second. So many lists are `unread`.
    pub(super) fn gauges(&mut self, engine: &Engine, unread: usize, time: Time, now: Instant) {
        if self.last_gauges.is_some_and(|last| now.duration_since(last) < GAUGES_EVERY) {
            return;
        }
        self.last_gauges = Some(now);
        let scheduler = &self.metrics.scheduler;
        for (queue, length) in engine.queue().lengths() {
            // Popped, but only to be put aside: to whoever looks at the queue they still wait in it.
            let aside = if queue == "active" { engine.waiting_to_ask() } else { 0 };
            scheduler.pending_pods.at(queue_name(queue)).set(signed(length + aside));
        }
        let (pods, assumed) = engine.cache().pod_counts();
        let nodes = engine.cache().table().view().node_count();
        for (kind, size) in [(CacheKind::Pods, pods), (CacheKind::AssumedPods, assumed), (CacheKind::Nodes, nodes)] {
            scheduler.cache_size.at(kind).set(signed(size));
        }
        for (state, count) in engine.gang_counts() {
            let state = GangState::ALL.iter().copied().find(|s| s.as_str() == state).unwrap_or(GangState::Incomplete);
            self.metrics.plimsoll.gangs.at(state).set(signed(count));
        }
        let (popped, events) = engine.queue().in_flight();
        scheduler.inflight_events("PodPopped").set(signed(popped));
        scheduler.inflight_events("ClusterEvent").set(signed(events));
        scheduler.goroutines("binding").set(signed(engine.bindings_under_way() + engine.waiting_to_bind()));
        scheduler.goroutines("preemption").set(signed(engine.preemptions_under_way()));
        self.rejecting_plugins(engine);
        self.shadow.gauges(&self.metrics, engine, time);
        self.metrics.plimsoll.unread_lists.set(signed(unread));
        waits::tell(&self.metrics, engine, time);
        self.fleet.tell(&self.metrics, engine.cache().table().view(), now);
    }

    /// How many waiting pods each plugin turned away last.
    fn rejecting_plugins(&mut self, engine: &Engine) {
        let mut counts: HashMap<(&'static str, usize), usize> = self.plugins.keys().map(|key| (*key, 0)).collect();
        for (info, place) in engine.queue().iter() {
            if place != Place::Active {
                let plugins = info.unschedulable_plugins.iter();
                plugins.for_each(|plugin| *counts.entry((plugin, info.profile)).or_default() += 1);
            }
        }
        for ((plugin, profile), count) in counts {
            let name = self.names.get(profile).map_or("", |n| n);
            let metrics = self.plugins.entry((plugin, profile));
            let metrics = metrics.or_insert_with(|| self.metrics.scheduler.plugin(plugin, name));
            metrics.unschedulable_pods.at(()).set(signed(count));
        }
    }
}

fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn queue_name(queue: &str) -> QueueName {
    QueueName::ALL.iter().copied().find(|name| name.as_str() == queue).unwrap_or(QueueName::Active)
}

fn attempt_result(result: effect::AttemptResult) -> AttemptResult {
    match result {
        effect::AttemptResult::Scheduled => AttemptResult::Scheduled,
        effect::AttemptResult::Unschedulable => AttemptResult::Unschedulable,
        effect::AttemptResult::Error => AttemptResult::Error,
    }
}
