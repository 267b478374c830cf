//! `scheduler_*`: upstream's names, labels and buckets.

use plimsoll_framework::point::Point;
use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, exponential_buckets,
};

use super::family::Maker;
use super::{
    AttemptResult, CacheKind, CacheOperation, Counters, ExtensionPoint, Family, Gauges, Histograms, LabelSet,
    QueueName, Status, VolumeStage,
};

/// Metrics that kube-scheduler has too. All durations are observed in seconds.
pub struct SchedulerMetrics {
    /// Time of the scheduling algorithm, PostFilter included.
    pub scheduling_algorithm_duration: Histogram,
    /// Time of deciding a group of pods.
    pub podgroup_scheduling_algorithm_duration: Histogram,
    /// Pods waiting, by part of the queue.
    pub pending_pods: Gauges<QueueName>,
    /// Attempts that it took to schedule a pod.
    pub pod_scheduling_attempts: Histogram,
    /// Pods scheduled right after the five-minute flush, that is, whose wake-up was missed by the hints.
    pub pod_scheduled_after_flush: IntCounter,
    /// Times room was looked for by making other pods go.
    pub preemption_attempts: IntCounter,
    /// Pods chosen to go for one pod.
    pub preemption_victims: Histogram,
    /// Time between Permit's "wait" and its end, by the status it ended with.
    pub permit_wait_duration: Histograms<Status>,
    /// Objects in the cache.
    pub cache_size: Gauges<CacheKind>,
    volume_scheduling_stage_error: Counters<VolumeStage>,
    volume_binder_cache_requests: Counters<CacheOperation>,
    pod_scheduling_sli_duration: Histograms<Attempts>,
    schedule_attempts: IntCounterVec,
    scheduling_attempt_duration: HistogramVec,
    podgroup_schedule_attempts: IntCounterVec,
    podgroup_scheduling_attempt_duration: HistogramVec,
    extension_point_duration: HistogramVec,
    plugin_evaluation: IntCounterVec,
    unschedulable_pods: IntGaugeVec,
    queue_incoming_pods: IntCounterVec,
    inflight_events: IntGaugeVec,
    goroutines: IntGaugeVec,
}

/// The children of one profile.
pub struct ProfileMetrics {
    /// Finished attempts; `Scheduled` counts after the binding.
    pub schedule_attempts: Counters<AttemptResult>,
    /// Time from pop until bound or handled as a failure.
    pub scheduling_attempt_duration: Histograms<AttemptResult>,
    /// Finished attempts to place a group of pods.
    pub podgroup_schedule_attempts: Counters<AttemptResult>,
    /// Time from pop until a group of pods is committed or given up.
    pub podgroup_scheduling_attempt_duration: Histograms<AttemptResult>,
    /// Time of a whole extension point (Filter: of one pass over the nodes).
    pub extension_point_duration: Histograms<(ExtensionPoint, Status)>,
}

/// The children of one plugin within one profile.
pub struct PluginMetrics {
    /// Calls that were not skipped: PreFilter, Filter, PreScore, Score.
    pub evaluations: Counters<ExtensionPoint>,
    /// Pods in the queue that this plugin rejected last.
    pub unschedulable_pods: Gauges<()>,
}

/// Which attempt a pod was scheduled with: 1 to 14, then all above.
#[derive(Clone, Copy)]
struct Attempts(u32);

impl LabelSet for Attempts {
    const COUNT: usize = ATTEMPTS.len();
    fn index(self) -> usize {
        usize::try_from(self.0.max(1) - 1).map_or(Self::COUNT - 1, |at| at.min(Self::COUNT - 1))
    }
    fn values(self) -> impl Iterator<Item = &'static str> {
        std::iter::once(ATTEMPTS[self.index()])
    }
}

/// The plugin that has metrics of its own.
const VOLUME_BINDING: &str = "VolumeBinding";

const ATTEMPTS: [&str; 15] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15+"];

impl SchedulerMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let make = Maker { registry, prefix: "scheduler_" };
        let attempt = || exponential_buckets(0.001, 2.0, 15);
        let point = || exponential_buckets(0.0001, 2.0, 12);
        let life = || exponential_buckets(0.01, 2.0, 20);
        let pending = make.gauges("pending_pods", &["queue"], "Pods waiting, by the part of the queue they are in.")?;
        let permit = make.histograms(
            "permit_wait_duration_seconds",
            &["result"],
            attempt()?,
            "Time pods were held by Permit plugins.",
        )?;
        let cache = make.gauges("cache_size", &["type"], "Nodes, pods and assumed pods in the cache.")?;
        let sli = make.histograms(
            "pod_scheduling_sli_duration_seconds",
            &["attempts"],
            life()?,
            "Time from a pod's first entry into the queue, ungated, until it was bound.",
        )?;
        let requests = make.counters(
            "volume_binder_cache_requests_total",
            &["operation"],
            "Pods for which something was assumed of volumes and claims, and taken back.",
        )?;
        let stages = make.counters(
            "volume_scheduling_stage_error_total",
            &["operation"],
            "Failures in finding, assuming and binding volumes of pods.",
        )?;
        Ok(Self {
            volume_scheduling_stage_error: Family::new(&stages, &[]),
            volume_binder_cache_requests: Family::new(&requests, &[]),
            scheduling_algorithm_duration: make.histogram(
                "scheduling_algorithm_duration_seconds",
                attempt()?,
                "Time of the scheduling algorithm.",
            )?,
            podgroup_scheduling_algorithm_duration: make.histogram(
                "podgroup_scheduling_algorithm_duration_seconds",
                attempt()?,
                "Time of deciding a group of pods.",
            )?,
            podgroup_schedule_attempts: make.counters(
                "podgroup_schedule_attempts_total",
                &["result", "profile"],
                "Attempts to schedule a group of pods, by how they ended.",
            )?,
            podgroup_scheduling_attempt_duration: make.histograms(
                "podgroup_scheduling_attempt_duration_seconds",
                &["result", "profile"],
                attempt()?,
                "Time of an attempt to schedule a group of pods, from the queue until committed or given up.",
            )?,
            pending_pods: Family::new(&pending, &[]),
            pod_scheduling_attempts: make.histogram(
                "pod_scheduling_attempts",
                exponential_buckets(1.0, 2.0, 5)?,
                "Attempts it took to schedule a pod.",
            )?,
            preemption_attempts: make
                .counter("preemption_attempts_total", "Times room was looked for by making other pods go.")?,
            preemption_victims: make.histogram(
                "preemption_victims",
                exponential_buckets(1.0, 2.0, 7)?,
                "Pods chosen to go for one pod.",
            )?,
            pod_scheduled_after_flush: make.counter(
                "pod_scheduled_after_flush_total",
                "Pods scheduled right after they were flushed from the unschedulable pods by time.",
            )?,
            permit_wait_duration: Family::new(&permit, &[]),
            cache_size: Family::new(&cache, &[]),
            pod_scheduling_sli_duration: Family::new(&sli, &[]),
            schedule_attempts: make.counters(
                "schedule_attempts_total",
                &["result", "profile"],
                "Attempts to schedule a pod, by how they ended.",
            )?,
            scheduling_attempt_duration: make.histograms(
                "scheduling_attempt_duration_seconds",
                &["result", "profile"],
                attempt()?,
                "Time of an attempt, from the queue until bound or given up.",
            )?,
            extension_point_duration: make.histograms(
                "framework_extension_point_duration_seconds",
                &["extension_point", "status", "profile"],
                point()?,
                "Time to run all plugins of an extension point.",
            )?,
            plugin_evaluation: make.counters(
                "plugin_evaluation_total",
                &["extension_point", "plugin", "profile"],
                "Calls of plugins that were not skipped.",
            )?,
            unschedulable_pods: make.gauges(
                "unschedulable_pods",
                &["plugin", "profile"],
                "Pods in the queue that a plugin rejected, by that plugin.",
            )?,
            queue_incoming_pods: make.counters(
                "queue_incoming_pods_total",
                &["queue", "event"],
                "Pods put into a part of the queue, by the event that put them there.",
            )?,
            inflight_events: make.gauges(
                "inflight_events",
                &["event"],
                "Events kept for the pods that are being scheduled now.",
            )?,
            goroutines: make.gauges("goroutines", &["operation"], "Tasks running now, by what they do.")?,
        })
    }

    /// The children of a profile; resolve once and keep.
    pub fn profile(&self, profile: &str) -> ProfileMetrics {
        ProfileMetrics {
            schedule_attempts: Family::new(&self.schedule_attempts, &[profile]),
            scheduling_attempt_duration: Family::new(&self.scheduling_attempt_duration, &[profile]),
            podgroup_schedule_attempts: Family::new(&self.podgroup_schedule_attempts, &[profile]),
            podgroup_scheduling_attempt_duration: Family::new(&self.podgroup_scheduling_attempt_duration, &[profile]),
            extension_point_duration: Family::new(&self.extension_point_duration, &[profile]),
        }
    }

    /// The children of a plugin within a profile; resolve once and keep.
    pub fn plugin(&self, plugin: &str, profile: &str) -> PluginMetrics {
        PluginMetrics {
            evaluations: Family::new(&self.plugin_evaluation, &[plugin, profile]),
            unschedulable_pods: Family::new(&self.unschedulable_pods, &[plugin, profile]),
        }
    }

    /// A plugin failed at a point; kube-scheduler counts that for VolumeBinding.
    pub fn plugin_failed(&self, point: Point, plugin: &str) {
        let stage = match point {
            Point::Filter => VolumeStage::Predicate,
            Point::Reserve => VolumeStage::Assume,
            Point::PreBind => VolumeStage::Bind,
            _ => return,
        };
        if plugin == VOLUME_BINDING {
            self.volume_scheduling_stage_error.at(stage).inc();
        }
    }

    /// A plugin assumed something of objects for a pod, or that was taken back; kube-scheduler counts that for
    /// VolumeBinding.
    pub fn objects_assumed(&self, plugin: &str, taken_back: bool) {
        if plugin == VOLUME_BINDING {
            let operation = if taken_back { CacheOperation::Delete } else { CacheOperation::Add };
            self.volume_binder_cache_requests.at(operation).inc();
        }
    }

    /// Time from first queued until bound, by the number of attempts (from 1).
    pub fn pod_scheduling_sli_duration(&self, attempts: u32) -> &Histogram {
        self.pod_scheduling_sli_duration.at(Attempts(attempts))
    }

    /// Pods that `event` put into a part of the queue, by part; resolve once and keep.
    pub fn queue_incoming_pods(&self, event: &str) -> Counters<QueueName> {
        Family::new(&self.queue_incoming_pods, &[event])
    }

    /// Entries of one label in the list of in-flight events; resolve once and keep.
    pub fn inflight_events(&self, event: &str) -> IntGauge {
        self.inflight_events.with_label_values(&[event])
    }

    /// Tasks that carry out one operation (`binding`, `Filter`, ...); resolve once and keep.
    pub fn goroutines(&self, operation: &str) -> IntGauge {
        self.goroutines.with_label_values(&[operation])
    }
}
