//! What holds where a file says nothing.

use std::time::Duration;

use plimsoll_plugins::catalog::Catalog;

/// The defaults in which Plimsoll and kube-scheduler differ, and the plugins that a file may name.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Name of the one profile when it has none.
    pub scheduler_name: String,
    /// Name of the Lease.
    pub lease_name: String,
    /// Namespace of the Lease; `None` is the namespace that the process runs in.
    pub lease_namespace: Option<String>,
    /// Requests a second; `None` adapts to what the API server bears.
    pub qps: Option<f64>,
    /// Requests that may come at once; `None` adapts.
    pub burst: Option<i32>,
    /// Whether profiles of the process are served.
    pub enable_profiling: bool,
    /// Content type of requests.
    pub content_type: String,
    /// The plugins that exist.
    pub catalog: Catalog,
}

impl Defaults {
    /// Plimsoll's own: it lives beside another scheduler, so it takes neither its name nor its lease.
    pub fn plimsoll() -> Self {
        Self {
            scheduler_name: "plimsoll".to_owned(),
            lease_name: "plimsoll".to_owned(),
            lease_namespace: None,
            qps: None,
            burst: None,
            enable_profiling: false,
            content_type: "application/json".to_owned(),
            catalog: Catalog::in_tree(),
        }
    }

    /// Those of kube-scheduler.
    pub fn kube_scheduler() -> Self {
        Self {
            scheduler_name: "default-scheduler".to_owned(),
            lease_name: "kube-scheduler".to_owned(),
            lease_namespace: Some("kube-system".to_owned()),
            qps: Some(50.0),
            burst: Some(100),
            enable_profiling: true,
            content_type: "application/vnd.kubernetes.protobuf".to_owned(),
            catalog: Catalog::in_tree(),
        }
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Self::plimsoll()
    }
}

pub(super) const PARALLELISM: i32 = 16;
pub(super) const POD_INITIAL_BACKOFF_SECONDS: i64 = 1;
pub(super) const POD_MAX_BACKOFF_SECONDS: i64 = 10;
pub(super) const LEASE_DURATION: Duration = Duration::from_secs(15);
pub(super) const RENEW_DEADLINE: Duration = Duration::from_secs(10);
pub(super) const RETRY_PERIOD: Duration = Duration::from_secs(2);
pub(super) const RESOURCE_LOCK: &str = "leases";
pub(super) const EXTENDER_TIMEOUT: Duration = Duration::from_secs(5);
