//! The typed result: a configuration with nothing left open.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_plugins::args::{GoDuration, PluginArgs};

use super::defaults;
use super::expand::EnabledPlugins;
use super::v1;

/// How the active scheduler is chosen among its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderElectionConfig {
    /// Whether there is an election; without one every replica schedules.
    pub leader_elect: bool,
    /// How long a lease is valid after it was renewed; longer than `renew_deadline`.
    pub lease_duration: Duration,
    /// How long the leader tries to renew before it gives up.
    pub renew_deadline: Duration,
    /// Wait between tries.
    pub retry_period: Duration,
    /// Kind of the lock object: `leases`.
    pub resource_lock: String,
    /// Name of the Lease.
    pub resource_name: String,
    /// Namespace of the Lease; `None` is the namespace that the process runs in.
    pub resource_namespace: Option<String>,
}

impl LeaderElectionConfig {
    /// The rules that an election breaks, with their fields; flags may have changed what the file said.
    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if !self.leader_elect {
            return problems;
        }
        for (field, duration) in [
            ("leaderElection.leaseDuration", self.lease_duration),
            ("leaderElection.renewDeadline", self.renew_deadline),
            ("leaderElection.retryPeriod", self.retry_period),
        ] {
            if duration.is_zero() {
                problems.push((field, "must be longer than 0s".to_owned()));
            }
        }
        if self.lease_duration <= self.renew_deadline {
            let (deadline, lease) = (GoDuration::from(self.renew_deadline), GoDuration::from(self.lease_duration));
            let message = format!("must be longer than renewDeadline ({deadline}), not {lease}");
            problems.push(("leaderElection.leaseDuration", message));
        }
        if self.resource_lock != defaults::RESOURCE_LOCK {
            problems.push(("leaderElection.resourceLock", format!("must be \"leases\", not {:?}", self.resource_lock)));
        }
        problems
    }
}

/// How the API server is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientConnectionConfig {
    /// Path of a kubeconfig; `None` is the in-cluster account.
    pub kubeconfig: Option<String>,
    /// Content types that are asked for, as written; empty when not set.
    pub accept_content_types: String,
    /// Content type as written or defaulted. It is shown; requests are JSON.
    pub content_type: String,
    /// Requests a second; `None` adapts to what the API server bears. Negative is no limit.
    pub qps: Option<f64>,
    /// Requests that may come at once, 0 or more; `None` adapts.
    pub burst: Option<i32>,
}

/// A profile: the plugins that schedule the pods with its name.
#[derive(Clone, Debug)]
pub struct ProfileConfig {
    /// The `schedulerName` of the pods that it is for; unique.
    pub scheduler_name: String,
    /// How many of the nodes are looked at, in percent (0 to 100); `None` takes the global value.
    pub percentage_of_nodes_to_score: Option<i32>,
    /// The plugins that run, by point and in order.
    pub plugins: EnabledPlugins,
    /// Arguments by plugin name: those written, and the defaults of every other enabled plugin that takes some.
    pub args: BTreeMap<String, PluginArgs>,
    /// The sets as written, `multiPoint` merged with the default set: what the profile is written out as.
    pub(super) sets: v1::Plugins,
}
