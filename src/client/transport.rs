//! The way of a request to the wire: headers, credentials, metrics, pool, TLS, TCP.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::{Client, Config};
use rustls::{ClientConfig, RootCertStore};
use tower::{BoxError, ServiceBuilder};

use super::observe::ObserveLayer;
use crate::metrics::RestClientMetrics;
use crate::tls::{Trust, certificates};

/// A server that does not even accept within this is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle connections are probed after this long, then every [`KEEPALIVE_INTERVAL`]. Some load balancers forget idle
/// connections without a word; a watch over such a connection would stay silent for ever.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 3;
/// Data that was sent and not acknowledged for this long ends the connection.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(30);
/// Below the idle timeouts of the API server and of common load balancers, so that we close first.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections that are kept for the next storm; beyond them, a connection is closed when its call is done.
const POOL_MAX_IDLE: usize = 128;

/// Makes `ring` the process's cryptography. Without one installed, rustls panics as soon as any dependency brings in a
/// second provider. Does nothing when one is installed already.
pub(crate) fn install_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only when another thread was faster, and then one is installed.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}

/// The one connector: TCP as a scheduler needs it, TLS as the config says.
pub(super) fn connector(config: &Config) -> kube::Result<HttpsConnector<HttpConnector>> {
    if config.cluster_url.scheme_str() == Some("http") && config.root_cert.is_none() {
        // kube would read this machine's authorities and fail where there are none, as in an image of one file. Over plain HTTP
        // no certificate is looked at.
        let tls = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        return Ok(builder.enable_http1().wrap_connector(tcp_connector()));
    }
    config.rustls_https_connector_with_connector(tcp_connector())
}

/// TLS towards the server whose certificate has this SHA-256.
pub(super) fn pinned(sha256: &str) -> anyhow::Result<ClientConfig> {
    let builder = ClientConfig::builder();
    let trust = Trust::in_one(sha256, Arc::clone(builder.crypto_provider()));
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(trust)).with_no_client_auth())
}

/// TLS towards servers that the authorities in a PEM text vouch for.
pub(super) fn trusting(pem: &[u8]) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("the certificate authority", pem)? {
        roots.add(certificate).context("the certificate authority")?;
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// A connector that does TLS so.
pub(super) fn over(tls: ClientConfig) -> HttpsConnector<HttpConnector> {
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
    builder.https_only().enable_http1().wrap_connector(tcp_connector())
}

/// TCP as a scheduler needs it, to whatever server.
pub(crate) fn tcp_connector() -> HttpConnector {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    // Requests are small and answers awaited: Nagle's delay would add up to 40 ms to a binding.
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.set_keepalive(Some(KEEPALIVE_AFTER));
    http.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    http.set_keepalive_retries(Some(KEEPALIVE_PROBES));
    #[cfg(target_os = "linux")]
    http.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIMEOUT));
    http
}

/// A client with a connection pool of its own.
pub(super) fn client(config: &Config, metrics: Option<RestClientMetrics>) -> kube::Result<Client> {
    client_over(connector(config)?, config, metrics)
}

/// A client with a pool of connections that `connector` makes.
pub(super) fn client_over(
    connector: impl Connect + Clone + Send + Sync + 'static,
    config: &Config,
    metrics: Option<RestClientMetrics>,
) -> kube::Result<Client> {
    let hyper = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(POOL_MAX_IDLE)
        .build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .option_layer(metrics.map(ObserveLayer::new))
        .service(hyper);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}
