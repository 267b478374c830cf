//! `plimsoll_*`: what kube-scheduler has no metric for.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::extender::{ExtenderMetrics, ExtenderVectors};
use super::family::Maker;
use super::fleet::FleetMetrics;
use super::memo::MemoMetrics;
use super::shadow::ShadowMetrics;
use super::unknown::UnknownFieldCounters;
use super::waits::WaitMetrics;
use super::{
    BindingResult, Counters, Family, GangState, Gauges, LaneName, RecheckResult, RestartReason, WatchEventType,
};

/// What kubelets refuse pods for where others take the room first. The other reasons have a series when they occur.
pub(super) const REFUSALS: [&str; 8] = [
    "OutOfcpu",
    "OutOfmemory",
    "OutOfephemeral-storage",
    "OutOfpods",
    "OutOf-other",
    "NodeAffinity",
    "NodePorts",
    "other",
];
const EVICTIONS: [&str; 4] = ["going", "gone", "refused", "failed"];

/// Plimsoll's own metrics.
pub struct PlimsollMetrics {
    /// Checks of a decision against the live state, when it is committed.
    pub commit_rechecks: Counters<RecheckResult>,
    /// What is kept from one decision to the next.
    pub memo: MemoMetrics,
    /// Decisions whose scores were one view old when they were committed.
    pub stale_scores: IntCounter,
    /// Times an event that a hint would have woken pods for was ruled out: it was certain that they fit nowhere.
    pub wakeups_ruled_out: IntCounter,
    /// Times nobody was made to go because that had been in vain before.
    pub preemptions_held_off: IntCounter,
    /// Bindings sent, by what came of them.
    pub binding_results: Counters<BindingResult>,
    /// Gangs, by how they stand.
    pub gangs: Gauges<GangState>,
    /// How the decisions of other schedulers compare with those made here.
    pub shadow: ShadowMetrics,
    /// How full the fleet is.
    pub fleet: FleetMetrics,
    /// What pods wait for, and for how long.
    pub waits: WaitMetrics,
    /// Kinds of objects that have not been listed yet.
    pub unread_lists: IntGauge,
    /// Events that were not sent because too many were waiting.
    pub events_dropped: IntCounter,
    /// Fields of pods that are neither used nor known to be irrelevant.
    pub unknown_fields: UnknownFieldCounters,
    /// 1 while the configuration in use is the newest there is, 0 while a newer one was refused.
    pub config_last_reload_success: IntGauge,
    /// When the configuration in use was taken over.
    pub config_last_reload_success_timestamp: IntGauge,
    /// 1 while binding is paused by the configuration.
    pub paused: IntGauge,
    evictions: IntCounterVec,
    futile_wakeups: IntCounterVec,
    invalid_pods: IntCounterVec,
    kubelet_refusals: IntCounterVec,
    watch_events: IntCounterVec,
    watch_restarts: IntCounterVec,
    missing_permissions: IntGaugeVec,
    lane_window: IntGaugeVec,
    lane_throttled: IntCounterVec,
    extenders: ExtenderVectors,
}

/// The children of one watched kind.
pub struct WatchMetrics {
    /// Events received.
    pub events: Counters<WatchEventType>,
    /// Times the watch was begun again.
    pub restarts: Counters<RestartReason>,
}

impl PlimsollMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let make = Maker { registry, prefix: "plimsoll_" };
        let rechecks = make.counters(
            "commit_rechecks_total",
            &["result"],
            "Decisions checked against the live state when they were committed.",
        )?;
        let bindings = make.counters("binding_results_total", &["result"], "Bindings sent, by what came of them.")?;
        let evictions = make.counters("evictions_total", &["result"], "Pods asked to go, by what came of it.")?;
        let kubelet_refusals = make.counters(
            "kubelet_refusals_total",
            &["reason"],
            "Pods of ours that a kubelet refused after they had been bound to its node.",
        )?;
        // There from the start, so that the first increase is seen as one.
        for (vector, values) in [(&evictions, &EVICTIONS[..]), (&kubelet_refusals, &REFUSALS[..])] {
            values.iter().for_each(|value| _ = vector.with_label_values(&[value]));
        }
        Ok(Self {
            commit_rechecks: Family::new(&rechecks, &[]).complete(RecheckResult::ALL.iter().copied()),
            memo: MemoMetrics::new(&make)?,
            stale_scores: make
                .counter("stale_scores_total", "Decisions whose scores were one view old when they were committed.")?,
            wakeups_ruled_out: make.counter(
                "wakeups_ruled_out_total",
                "Times an event that a hint would have woken pods for was ruled out, once for all pods that are alike.",
            )?,
            preemptions_held_off: make.counter(
                "preemptions_held_off_total",
                "Times no pod was made to go for another because those that went before had gone in vain.",
            )?,
            config_last_reload_success: make.gauge(
                "config_last_reload_success",
                "1 while the newest configuration is in use; 0 while it was refused and the last good one is kept.",
            )?,
            config_last_reload_success_timestamp: make.gauge(
                "config_last_reload_success_timestamp_seconds",
                "When the configuration in use was taken over, in seconds since 1970.",
            )?,
            paused: make.gauge("paused", "1 while the configuration says that no pods are taken (paused: true).")?,
            evictions,
            futile_wakeups: make.counters(
                "futile_wakeups_total",
                &["event"],
                "Pods that an event had woken and that were turned away again.",
            )?,
            binding_results: Family::new(&bindings, &[]).complete(BindingResult::ALL.iter().copied()),
            gangs: Family::new(
                &make.gauges("gangs", &["state"], "Groups of pods that are placed as a whole, by how they stand.")?,
                &[],
            ),
            shadow: ShadowMetrics::new(&make)?,
            fleet: FleetMetrics::new(&make)?,
            waits: WaitMetrics::new(&make)?,
            unread_lists: make.gauge(
                "unread_lists",
                "Kinds of objects that could not be listed yet, or not any more; until it is 0 nothing is decided.",
            )?,
            events_dropped: make
                .counter("events_dropped_total", "Events that were not sent because too many were waiting.")?,
            unknown_fields: UnknownFieldCounters::new(make.counters(
                "unknown_scheduling_fields_total",
                &["field"],
                "Versions of pods with a field that is neither used nor known to be irrelevant for scheduling.",
            )?),
            invalid_pods: make.counters(
                "invalid_pods_total",
                &["reason"],
                "Pods with a field that could not be read, by what was wrong.",
            )?,
            kubelet_refusals,
            watch_events: make.counters("watch_events_total", &["type", "kind"], "Watch events received.")?,
            watch_restarts: make.counters(
                "watch_restarts_total",
                &["reason", "kind"],
                "Times a watch was begun again, by why.",
            )?,
            missing_permissions: make.gauges(
                "missing_permissions",
                &["verb", "resource"],
                "1 while the API server refuses us a verb on a resource that we need.",
            )?,
            lane_window: make.gauges(
                "lane_window",
                &["lane"],
                "How many calls of a lane may be under way at once; it shrinks while the API server is busy.",
            )?,
            lane_throttled: make.counters(
                "lane_throttled_total",
                &["lane"],
                "Calls that the API server refused because it was busy (429).",
            )?,
            extenders: ExtenderVectors::new(&make)?,
        })
    }

    /// The children of a watched kind (`Pod`, `Node`, ...); resolve once and keep.
    pub fn watch(&self, kind: &str) -> WatchMetrics {
        WatchMetrics {
            events: Family::new(&self.watch_events, &[kind]),
            restarts: Family::new(&self.watch_restarts, &[kind]).complete(RestartReason::ALL.iter().copied()),
        }
    }

    /// How many calls of a lane may be under way at once.
    pub fn lane_window(&self, lane: LaneName) -> IntGauge {
        self.lane_window.with_label_values(&[lane.as_str()])
    }

    /// Calls of a lane that the API server was too busy for.
    pub fn lane_throttled(&self, lane: LaneName) -> IntCounter {
        self.lane_throttled.with_label_values(&[lane.as_str()])
    }

    /// Pods asked to go: `going`, `gone`, `refused` or `failed`.
    pub fn evictions(&self, result: &'static str) -> IntCounter {
        self.evictions.with_label_values(&[result])
    }

    /// Pods that `event` had woken and that were turned away again; resolve once and keep.
    pub fn futile_wakeups(&self, event: &str) -> IntCounter {
        self.futile_wakeups.with_label_values(&[event])
    }

    /// Pods that could not be read for `reason`, which comes from a fixed list and never from the pod.
    pub fn invalid_pods(&self, reason: &'static str) -> IntCounter {
        self.invalid_pods.with_label_values(&[reason])
    }

    /// Pods that a kubelet refused for `reason`, which comes from a fixed list.
    pub fn kubelet_refusals(&self, reason: &'static str) -> IntCounter {
        self.kubelet_refusals.with_label_values(&[reason])
    }

    /// The series of an extender, by its address without credentials.
    pub fn extender(&self, extender: &str) -> ExtenderMetrics {
        self.extenders.of(extender)
    }

    /// 1 while `verb` on `resource` is refused to us, 0 once it was allowed again.
    pub fn missing_permission(&self, verb: &str, resource: &str) -> IntGauge {
        self.missing_permissions.with_label_values(&[verb, resource])
    }
}
