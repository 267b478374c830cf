//! How a server is set up.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, SystemTime},
};

use crate::{auth::User, kinds::Kind, tls::TlsOptions};

/// How a server behaves. The default serves Kubernetes 1.36 on a free port of 127.0.0.1 with controllers and kubelets.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The Kubernetes minor to present, 31 to 37: the version told and the kinds served depend on it.
    pub minor: u32,
    /// Seed of UIDs, name suffixes and the chances of faults.
    pub seed: u64,
    /// The wall time at the start; the system's when none. It moves on with tokio's clock.
    pub start_time: Option<SystemTime>,
    /// Whether workloads of all kinds, disruption budgets and taints are looked after.
    pub controllers: bool,
    /// Whether claims are bound to volumes, and volumes are made for claims of classes that name a provisioner. Only
    /// together with `controllers`.
    pub volumes: bool,
    /// Whether every node has a kubelet that runs the pods bound to it.
    pub kubelets: bool,
    /// How long a bound pod takes to run.
    pub pod_start_delay: Duration,
    /// How long a deleted pod takes to go, unless its grace period is shorter.
    pub pod_stop_delay: Duration,
    /// How long a pod that does not restart runs until it succeeds, unless its annotation `plimsoll/run-seconds` says
    /// otherwise.
    pub job_duration: Duration,
    /// How many times as fast time runs for CronJobs: with 60 a minute of schedule takes a second.
    pub cron_speedup: u32,
    /// How many changes of each kind a watch can look back on.
    pub history_limit: usize,
    /// How many Events are kept; the oldest go first.
    pub event_limit: usize,
    /// How often a watch that asked for bookmarks gets one.
    pub bookmark_interval: Duration,
    /// How long a watch lasts that names no timeout.
    pub watch_timeout: Duration,
    /// How long a client may take to send the head of a request, counted from the end of the last answer: an idle
    /// connection is closed after that, so it should be longer than clients keep idle connections (90 seconds commonly).
    pub header_timeout: Duration,
    /// The largest request body accepted.
    pub max_body_bytes: usize,
    /// The users that bearer tokens stand for, by token.
    pub tokens: BTreeMap<String, User>,
    /// Certificates of the server's own making to serve HTTPS with; plain HTTP without. In memory there is no TLS.
    pub tls: Option<TlsOptions>,
    /// Whether requests are refused that no role in the store allows. The caller is the holder of the bearer token or of the client certificate;
    /// without either nobody in particular, and with an unknown one refused.
    pub rbac: bool,
    /// How many calls [`crate::Server::calls`] remembers. Calls are counted in any case.
    pub recorded_calls: usize,
    /// Further kinds to serve, such as those of custom resources.
    pub extra_kinds: Vec<Kind>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            minor: 36,
            seed: 1,
            start_time: None,
            controllers: true,
            volumes: true,
            kubelets: true,
            pod_start_delay: Duration::from_millis(50),
            pod_stop_delay: Duration::from_millis(50),
            job_duration: Duration::from_secs(5),
            cron_speedup: 1,
            history_limit: 20_000,
            event_limit: 10_000,
            bookmark_interval: Duration::from_secs(10),
            watch_timeout: Duration::from_secs(1800),
            header_timeout: Duration::from_secs(120),
            max_body_bytes: 3 * 1024 * 1024,
            tokens: BTreeMap::new(),
            tls: None,
            rbac: false,
            recorded_calls: 0,
            extra_kinds: Vec::new(),
        }
    }
}
