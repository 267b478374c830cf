//! The admin server: health, metrics, configuration and log level, over plain HTTP on a port of its own, and all of that
//! and more over TLS on another, the secured one.
//!
//! | path | |
//! |---|---|
//! | `/livez`, `/healthz` | fails when a part of the process has stopped turning: restart it |
//! | `/readyz` | fails while anything is missing, and says what |
//! | `/metrics` | Prometheus' text format |
//! | `/configz` | the effective configuration |
//! | `/log-level` | GET: the filter in use; PUT: a new one, such as `info,plimsoll=debug` |
//! | `/debug/flags/v` | PUT: a verbosity, as in kube-scheduler |
//!
//! Health paths take `?verbose`, `?exclude=CHECK` and `/CHECK`. On the plain port everything can be read by whoever
//! reaches it; only what comes from the host itself (or by `kubectl port-forward`) may change the log level. On the
//! secured port the API server says who may do what (`admin::guard`), and there is more (`admin::debug`):
//!
//! | path | |
//! |---|---|
//! | `/debug/queue` | which pods wait where, for what and for how long |
//! | `/debug/explain/NAMESPACE/NAME` | why that pod is where it is, or waits; for whoever may get the pod |
//! | `/debug/cache` | nodes with their pods and sums; `?compare=true`: how that compares with the API server |

pub(crate) mod debug;
mod guard;
mod health;
mod routes;
mod secured;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

pub use guard::{GuardSettings, OpenPaths};
pub use health::{Check, CheckState, Health, Heartbeat, LIVENESS_LIMIT};
pub use secured::{Secured, SecuredSettings};

use crate::inspect::COMPARE_TIMEOUT;
use crate::logging::LogHandle;
use crate::metrics::Metrics;
use crate::tls::Tls;

/// Where the server listens unless told otherwise: beside kube-scheduler's 10259 and its former 10251.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 10251);

/// A request's head must be there within this.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// A request's body must be there, and answered, within this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The same where everything is compared with the API server: once that has its own time, and who asks is known.
const CACHE_TIMEOUT: Duration = COMPARE_TIMEOUT.saturating_add(REQUEST_TIMEOUT);
/// No connection lives longer, so that idle ones and slow readers do not use up the places.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(600);
/// How long open requests are waited for at shutdown.
const GRACE: Duration = Duration::from_secs(2);
/// Further connections wait until one ends.
const MAX_CONNECTIONS: usize = 256;
const MAX_HEAD_BYTES: usize = 16 << 10;

/// What is served.
#[derive(Clone)]
pub struct Admin {
    /// What `/livez` and `/readyz` report.
    pub health: Health,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// Gives what `/configz` shows: an object with `componentconfig` and `plimsoll`. No secrets: anybody may read it.
    pub configz: Arc<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// What a new log level is given to.
    pub log: LogHandle,
}

/// The server, listening but not yet serving: whoever connects waits.
#[derive(Debug)]
pub struct AdminServer {
    listener: TcpListener,
    address: SocketAddr,
}

/// Who is at the other end of the connection.
#[derive(Clone, Copy)]
struct Peer(SocketAddr);

impl AdminServer {
    /// Listens on `address`; port 0 takes any free one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let act = || format!("listening on {address} for the admin server");
        let listener = TcpListener::bind(address).await.with_context(act)?;
        let address = listener.local_addr().with_context(act)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, then waits a moment for the requests that are open.
    pub async fn serve(self, admin: Admin, shutdown: CancellationToken) {
        self.serve_with(admin, Router::new(), None, shutdown).await;
    }

    /// The same with further paths, and over TLS where that is given.
    pub(crate) async fn serve_with(self, admin: Admin, further: Router, tls: Option<Tls>, shutdown: CancellationToken) {
        self.serve_router(further.merge(routes::router(admin)), tls, shutdown).await;
    }

    async fn serve_router(self, router: Router, tls: Option<Tls>, shutdown: CancellationToken) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = self.accept(&places) => accepted,
            };
            let Some((stream, peer, place)) = accepted else { continue };
            let (router, shutdown) = (router.clone(), shutdown.clone());
            let Some(tls) = tls.clone() else {
                connections.spawn(connection(stream, peer, router, shutdown, place));
                continue;
            };
            connections.spawn(async move {
                match timeout(HEADER_TIMEOUT, tls.accept(stream)).await {
                    Ok(Ok(stream)) => connection(stream, peer, router, shutdown, place).await,
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
                }
            });
        }
        connections.close();
        // A connection that does not end within its grace is dropped with its task.
        drop(timeout(GRACE * 2, connections.wait()).await);
    }

    async fn accept(&self, places: &Arc<Semaphore>) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((stream, peer)) => Some((stream, peer, place)),
            Err(error) => {
                // Mostly: no file descriptors left. Trying again at once would only burn the processor.
                tracing::warn!(%error, "admin server: accepting a connection");
                sleep(Duration::from_millis(100)).await;
                None
            }
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    router: Router,
    shutdown: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        let limit = if request.uri().path() == debug::CACHE { CACHE_TIMEOUT } else { REQUEST_TIMEOUT };
        request.extensions_mut().insert(Peer(peer));
        let answer = router.clone().oneshot(request);
        async move {
            timeout(limit, answer).await.unwrap_or_else(|_| {
                let mut late = Response::new(Body::from("request timed out\n"));
                *late.status_mut() = StatusCode::REQUEST_TIMEOUT;
                Ok(late)
            })
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // Errors are the peer's: it went away, or sent what is no HTTP. Nobody here could do anything about them.
    tokio::select! {
        _ended = connection.as_mut() => return,
        () = shutdown.cancelled() => {}
        () = sleep(CONNECTION_LIFETIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(timeout(GRACE, connection).await);
}

#[cfg(test)]
mod tests;
