//! Connections to the API server.
//!
//! [`Cluster::load`] reads who we are and where the server is, from a file that was named or from the pod's own
//! account, and never from `KUBECONFIG` or `~/.kube/config`: nothing is ever bound in somebody's current cluster by
//! accident. [`Cluster::clients`] then gives one client per purpose, each with its own connections, so that a slow or
//! stormy class of calls cannot hold up another.

mod config;
mod limit;
mod memory;
mod observe;
mod raw;
mod read_only;
mod transport;

use std::path::Path;
use std::{fmt, io};

use anyhow::{Context as _, anyhow};
use kube::Client;
use tokio::io::DuplexStream;

pub use config::{ClientError, Source};
pub use limit::RateLimit;
pub(crate) use raw::send_for;
pub use raw::{CallError, MAX_RESPONSE_BYTES, RawRequest, RawResponse, describe, send, within};
pub(crate) use raw::{message, one_line};
pub(crate) use read_only::only_asking;
pub(crate) use transport::{install_crypto_provider, tcp_connector};

use crate::metrics::RestClientMetrics;

/// What we call ourselves towards the API server.
pub const USER_AGENT: &str = concat!("plimsoll/", env!("CARGO_PKG_VERSION"));

/// A cluster to connect to: its address, and who we are to it.
///
/// `Debug` shows the address only; credentials are never printed.
pub struct Cluster {
    config: kube::Config,
    metrics: Option<RestClientMetrics>,
    dialer: Option<memory::Dialer>,
}

/// One client per purpose. Cloning a client shares its connections; two purposes never share one.
#[derive(Clone)]
pub struct Clients {
    /// Lists and watches, and reads of single objects.
    pub watch: Client,
    /// `pods/binding`.
    pub bind: Client,
    /// Everything else that is written about pods: status, evictions.
    pub status: Client,
    /// What is written before a pod can be bound: volumes and claims.
    pub objects: Client,
    /// Events.
    pub events: Client,
    /// The leader election's Lease: must get through whatever the others do.
    pub lease: Client,
}

impl Clients {
    /// The same client for every purpose: simple, but one purpose can hold up another.
    pub fn from_one(client: Client) -> Self {
        Self {
            watch: client.clone(),
            bind: client.clone(),
            status: client.clone(),
            objects: client.clone(),
            events: client.clone(),
            lease: client,
        }
    }
}

/// How the certificate of a server is known that is not the API server's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KnownBy<'a> {
    /// By its SHA-256, in hexadecimal digits.
    Fingerprint(&'a str),
    /// By the authorities, or the certificate itself, in this PEM text.
    Authority(&'a [u8]),
}

impl Cluster {
    /// Reads the connection settings of `source` and everything they refer to (certificates, keys).
    ///
    /// # Errors
    /// When the source is missing or cannot be used; the message names the file, or the flag that would help.
    /// Nothing is connected yet, so an unreachable server is no error here.
    pub async fn load(source: &Source) -> Result<Self, ClientError> {
        transport::install_crypto_provider();
        let mut config = config::load(source).await?;
        // kube would repeat any refused call up to 15 times inside one await, bindings too: a call could then
        // outlive our leadership. Whoever calls decides what may be repeated.
        config.default_retry = false;
        config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(USER_AGENT)));
        transport::connector(&config).map_err(|problem| ClientError::unusable(source, &problem))?;
        Ok(Self { config, metrics: None, dialer: None })
    }

    /// The cluster at an address that asks for no credentials: a stand-in on this machine.
    ///
    /// # Errors
    /// When the address is none.
    pub fn at(url: &str) -> Result<Self, ClientError> {
        transport::install_crypto_provider();
        let uri = url.parse().map_err(|problem: http::uri::InvalidUri| ClientError::Credentials {
            address: url.to_owned(),
            problem: problem.to_string(),
        })?;
        let mut config = kube::Config::new(uri);
        config.default_retry = false;
        Ok(Self { config, metrics: None, dialer: None })
    }

    /// A cluster in this process, reached through connections that `dial` makes, without a socket.
    ///
    /// # Errors
    /// As [`Cluster::at`]; not in practice.
    pub fn in_memory(dial: impl Fn() -> io::Result<DuplexStream> + Send + Sync + 'static) -> Result<Self, ClientError> {
        let cluster = Self::at("http://in-memory.invalid")?;
        Ok(Self { dialer: Some(memory::Dialer::new(dial)), ..cluster })
    }

    /// Counts and times all calls of the clients that are made from now on.
    #[must_use]
    pub fn with_metrics(mut self, metrics: &crate::metrics::Metrics) -> Self {
        self.metrics = Some(metrics.rest_client(&self.host()));
        self
    }

    /// Scheme, host and port of the API server, for messages. Never contains credentials.
    pub fn address(&self) -> String {
        format!("{}://{}", self.config.cluster_url.scheme_str().unwrap_or("http"), self.host())
    }

    /// The namespace of our account or of the kubeconfig's context.
    pub fn default_namespace(&self) -> &str {
        &self.config.default_namespace
    }

    /// A new client with connections of its own. Needs a running tokio runtime.
    ///
    /// # Errors
    /// When the credentials cannot be used (a token file that is not there, an exec plugin that fails).
    pub fn client(&self) -> Result<Client, ClientError> {
        let metrics = self.metrics.clone();
        let client = match &self.dialer {
            Some(dialer) => transport::client_over(dialer.clone(), &self.config, metrics),
            None => transport::client(&self.config, metrics),
        };
        client.map_err(|problem| ClientError::Credentials { address: self.address(), problem: problem.to_string() })
    }

    /// One client per purpose.
    ///
    /// # Errors
    /// As [`Cluster::client`].
    pub fn clients(&self) -> Result<Clients, ClientError> {
        Ok(Clients {
            watch: self.client()?,
            bind: self.client()?,
            status: self.client()?,
            objects: self.client()?,
            events: self.client()?,
            lease: self.client()?,
        })
    }

    /// A client for somebody else, as whom we are to the API server: for the secured port of a scheduler at `url`, whose
    /// certificate is known by its SHA-256, or else by an authority in this PEM text.
    ///
    /// # Errors
    /// When the address, the authority or the credentials cannot be used.
    pub(crate) fn client_for(&self, url: &str, known_by: KnownBy<'_>) -> anyhow::Result<Client> {
        let mut config = self.config.clone();
        config.cluster_url =
            url.parse().with_context(|| format!("{url:?} is no address such as https://127.0.0.1:10259"))?;
        let tls = match known_by {
            KnownBy::Fingerprint(sha256) => transport::pinned(sha256),
            KnownBy::Authority(pem) => transport::trusting(pem),
        };
        let client = transport::client_over(transport::over(tls?), &config, None);
        client.map_err(|problem| anyhow!("preparing credentials for {url}: {problem}"))
    }

    /// As whom the API server knows us is read from this file.
    pub(crate) fn with_token_file(mut self, file: &Path) -> Self {
        self.config.auth_info = kube::config::AuthInfo::default();
        self.config.auth_info.token_file = Some(file.display().to_string());
        self
    }

    fn host(&self) -> String {
        let url = &self.config.cluster_url;
        match (url.host(), url.port_u16()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => "unknown".to_owned(),
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("address", &self.address()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
