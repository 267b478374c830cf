//! What `run` serves, and kube-scheduler's flags for the secured port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::duration;
use crate::admin::{AdminServer, GuardSettings, OpenPaths, Secured, SecuredSettings};
use crate::client::Cluster;
use crate::metrics::Metrics;
use crate::tls::{MinVersion, Rules};

/// The variable in which the chart gives the address of the pod.
const POD_IP: &str = "POD_IP";

/// The error, and the exit code that it deserves.
type Failed = (anyhow::Error, i32);

/// Flags of the secured port.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SecuredArgs {
    /// The address of the secured port.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    bind_address: IpAddr,
    /// The port that serves health, metrics, configuration and what the scheduler knows, over HTTPS, to those whom the
    /// API server lets; 0 turns it off.
    #[arg(long, value_name = "PORT", default_value_t = 10259)]
    secure_port: u16,
    /// Certificate of the secured port (PEM, with its chain). When it changes, the new one is served. Without it a
    /// self-signed one is made, kept in memory.
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    tls_cert_file: Option<PathBuf>,
    /// The key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    tls_private_key_file: Option<PathBuf>,
    /// Lowest version of TLS: VersionTLS12 or VersionTLS13.
    #[arg(long, value_name = "VERSION", default_value = "VersionTLS12")]
    tls_min_version: MinVersion,
    /// Cipher suites of TLS 1.2, by Go's names; all that there are when none is named.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    tls_cipher_suites: Vec<String>,
    /// How long it is remembered who a bearer token stands for.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    authentication_token_webhook_cache_ttl: Duration,
    /// Paths of the secured port that anybody may ask for, separated by commas; one that ends with * is all that begin so.
    #[arg(long, value_name = "PATHS", default_value = "/healthz,/readyz,/livez")]
    authorization_always_allow_paths: OpenPaths,
    /// How long it is remembered that somebody may do something.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    authorization_webhook_cache_authorized_ttl: Duration,
    /// How long it is remembered that somebody may not.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    authorization_webhook_cache_unauthorized_ttl: Duration,
}

impl SecuredArgs {
    fn settings(&self) -> SecuredSettings {
        SecuredSettings {
            certificate: self.tls_cert_file.clone().zip(self.tls_private_key_file.clone()),
            rules: self.rules(),
            guard: GuardSettings {
                open: self.authorization_always_allow_paths.clone(),
                token_ttl: self.authentication_token_webhook_cache_ttl,
                authorized_ttl: self.authorization_webhook_cache_authorized_ttl,
                unauthorized_ttl: self.authorization_webhook_cache_unauthorized_ttl,
            },
            reached_at: self.reached_at(),
        }
    }

    /// Where others reach this process: the address of its pod, or the only one that it listens on.
    fn reached_at(&self) -> Option<IpAddr> {
        let of_pod = std::env::var(POD_IP).ok().and_then(|text| text.parse().ok());
        of_pod.or_else(|| (!self.bind_address.is_unspecified()).then_some(self.bind_address))
    }

    fn rules(&self) -> Rules {
        Rules { min_version: self.tls_min_version, cipher_suites: self.tls_cipher_suites.clone() }
    }

    /// Says what of the flags cannot be done.
    pub(super) fn warn(&self) {
        let rules = self.rules();
        let unknown = rules.unknown_suites();
        if !unknown.is_empty() {
            tracing::warn!("--tls-cipher-suites: these are not served here: {}", unknown.join(" "));
        }
    }

    /// The secured port, unless it is turned off.
    pub(super) async fn secured(&self, cluster: &Cluster, metrics: &Arc<Metrics>) -> Result<Option<Secured>, Failed> {
        if self.secure_port == 0 {
            return Ok(None);
        }
        let input = |error: anyhow::Error| (error, 2);
        let client = cluster.client().map_err(|error| input(error.into()))?;
        let address = SocketAddr::new(self.bind_address, self.secure_port);
        let server = AdminServer::bind(address).await;
        let server = server.context("the secured port (--secure-port takes another, 0 turns it off)");
        let server = server.map_err(|error| (error, 1))?;
        Secured::new(server, self.settings(), client, Arc::clone(metrics)).map(Some).map_err(input)
    }
}

/// The plain port at an address, unless that is `0`.
pub(super) async fn plain(address: &str) -> Result<Option<AdminServer>, Failed> {
    if address == "0" {
        return Ok(None);
    }
    let address: SocketAddr = address
        .parse()
        .with_context(|| format!("--http-address {address:?}: not an address and port such as 0.0.0.0:10251"))
        .map_err(|error| (error, 2))?;
    AdminServer::bind(address).await.map(Some).map_err(|error| (error, 1))
}
