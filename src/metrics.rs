//! What Prometheus scrapes: kube-scheduler's metrics by their names, labels and buckets, those of the process and of
//! the client, and Plimsoll's own.
//!
//! One [`Metrics`] for the process, handed around in an `Arc`; there is no global registry, so tests and simulations
//! each have their own. Where a label takes few values, its children are found by index ([`Family`]): observing costs
//! a few atomic additions, no hash and no lock. For labels with open values (an event, a plugin, a kind) ask once and
//! keep the child. As upstream, a series appears with its first observation.
//!
//! Metrics of features that are not built are not registered.

mod extender;
mod family;
mod fleet;
mod labels;
mod memo;
mod plimsoll;
mod process;
mod rest_client;
mod scheduler;
mod shadow;
mod unknown;
mod waits;

use prometheus::{IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

pub use extender::ExtenderMetrics;
pub use family::{Counters, Family, Gauges, Histograms, LabelSet, Vector};
pub use fleet::{FleetAmounts, FleetMetrics};
pub use labels::{
    AttemptResult, BindingResult, CacheKind, CacheOperation, ExtensionPoint, GangState, LaneName, QueueName,
    RecheckResult, RestartReason, ShadowResult, Status, VolumeStage, WatchEventType,
};
pub use memo::MemoMetrics;
pub use plimsoll::{PlimsollMetrics, WatchMetrics};
pub use rest_client::RestClientMetrics;
pub use scheduler::{PluginMetrics, ProfileMetrics, SchedulerMetrics};
pub use shadow::ShadowMetrics;
pub use unknown::UnknownFieldCounters;
pub use waits::WaitMetrics;

/// The content type of [`Metrics::render`].
pub const TEXT_FORMAT: &str = prometheus::TEXT_FORMAT;

/// The Kubernetes minor whose kube-scheduler we follow.
const KUBERNETES: &str = "1.36";

/// All metrics of one scheduler.
pub struct Metrics {
    registry: Registry,
    /// `scheduler_*`: upstream's.
    pub scheduler: SchedulerMetrics,
    /// `plimsoll_*`: our own.
    pub plimsoll: PlimsollMetrics,
    rest_client: rest_client::Vectors,
    leader: IntGaugeVec,
}

impl Metrics {
    /// A fresh set, all at zero.
    ///
    /// # Errors
    /// When two metrics share a name: never, as every name is a constant; a test registers them all.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let leader = IntGaugeVec::new(
            Opts::new(
                "leader_election_master_status",
                "Whether this process holds the lease (1) or stands by (0), by the lease's name.",
            ),
            &["name"],
        )?;
        registry.register(Box::new(leader.clone()))?;
        registry.register(Box::new(process::ProcessCollector::new()?))?;
        build_info(&registry)?;
        Ok(Self {
            scheduler: SchedulerMetrics::new(&registry)?,
            plimsoll: PlimsollMetrics::new(&registry)?,
            rest_client: rest_client::Vectors::new(&registry)?,
            leader,
            registry,
        })
    }

    /// The metrics of a client of the API server at `host` (host and port, without credentials).
    pub fn rest_client(&self, host: &str) -> RestClientMetrics {
        self.rest_client.for_host(host)
    }

    /// 1 while this process leads by the lease `name`.
    pub fn leader_election_master_status(&self, name: &str) -> IntGauge {
        self.leader.with_label_values(&[name])
    }

    /// Everything in Prometheus' text format ([`TEXT_FORMAT`]). Takes a millisecond or so: not for the owner's thread.
    ///
    /// # Errors
    /// When a series breaks the format: it would take a label value that is not text.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn build_info(registry: &Registry) -> Result<(), prometheus::Error> {
    let opts = Opts::new("plimsoll_build_info", "Always 1; the labels tell what was built.");
    let info = IntGaugeVec::new(opts, &["version", "kubernetes", "os", "arch"])?;
    info.with_label_values(&[env!("CARGO_PKG_VERSION"), KUBERNETES, std::env::consts::OS, std::env::consts::ARCH])
        .set(1);
    registry.register(Box::new(info))
}

#[cfg(test)]
mod tests;
