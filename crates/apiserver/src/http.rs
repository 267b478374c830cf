//! The wire: HTTP/1.1 connections, over TLS or not, and the way of one request from its head to its answer.

mod accept;
mod access;
mod body;
mod decode;
mod discovery;
mod list_options;
mod lists;
mod query;
mod read;
mod reviews;
mod route;
mod stats;
mod table;
mod trouble;
mod watch;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use body::Body;

use crate::{
    cluster::Cluster,
    failure::Failure,
    faults::Fault,
    kinds::Role,
    recorder::Call,
    tls::{Peer, Tls},
};
use query::Query;
use route::{Route, Routed};

/// A request that ends without an answer: hyper closes the connection.
#[derive(Debug, thiserror::Error)]
#[error("the connection was dropped on order")]
pub(crate) struct Dropped;

/// Everything a connection needs.
#[derive(Clone, Debug)]
pub(crate) struct Web {
    pub(crate) cluster: Arc<Cluster>,
    /// Ends watches and idle connections when the server stops.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    uptime: Arc<Mutex<Uptime>>,
}

/// Since when, and until when, connections are served.
#[derive(Debug)]
struct Uptime {
    /// Drops all connections of this run of the server.
    connections: CancellationToken,
    /// No connection is served before this.
    up_again: Instant,
}

impl Web {
    pub(crate) fn new(cluster: Cluster) -> Self {
        let uptime = Uptime { connections: CancellationToken::new(), up_again: Instant::now() };
        Self {
            cluster: Arc::new(cluster),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            uptime: Arc::new(Mutex::new(uptime)),
        }
    }

    fn uptime(&self) -> MutexGuard<'_, Uptime> {
        self.uptime.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops all connections, and serves no new ones for that long.
    pub(crate) fn go_down(&self, down_for: Duration) {
        let mut uptime = self.uptime();
        std::mem::take(&mut uptime.connections).cancel();
        uptime.up_again = Instant::now() + down_for;
    }

    /// What drops a connection that begins now; none when none may begin.
    pub(crate) fn admit(&self) -> Option<CancellationToken> {
        let uptime = self.uptime();
        (Instant::now() >= uptime.up_again && !self.stop.is_cancelled()).then(|| uptime.connections.clone())
    }
}

/// Accepts connections until the server stops.
pub(crate) async fn accept_all(web: Web, listener: TcpListener, tls: Option<Arc<Tls>>) {
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = web.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                // Without it small answers wait for the peer's delayed acknowledgement.
                let _ = stream.set_nodelay(true);
                if let Some(down) = web.admit() {
                    web.tasks.spawn(greet(web.clone(), stream, tls.clone(), down));
                }
            }
            // Out of file descriptors, most likely: others will be closed.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Serves one connection over TCP, after the handshake where there is to be one.
async fn greet(web: Web, stream: TcpStream, tls: Option<Arc<Tls>>, down: CancellationToken) {
    let Some(tls) = tls else { return serve(web, stream, None, down).await };
    let handshake = tokio::time::timeout(web.cluster.options.header_timeout, tls.accept(stream));
    let shaken = tokio::select! {
        biased;
        shaken = handshake => shaken,
        () = down.cancelled() => return,
        () = web.stop.cancelled() => return,
    };
    // Whoever does not get through the handshake is told so by it.
    if let Ok(Ok((stream, peer))) = shaken {
        serve(web, stream, peer, down).await;
    }
}

/// Serves one connection of any sort, of the peer that its certificate names, until `down` drops it.
pub(crate) async fn serve(
    web: Web,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Option<Peer>,
    down: CancellationToken,
) {
    let service = service_fn(|mut request: Request<Incoming>| {
        let web = web.clone();
        if let Some(peer) = &peer {
            request.extensions_mut().insert(peer.clone());
        }
        async move { answer(&web, request).await }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(web.cluster.options.header_timeout)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        // A broken connection is its client's affair.
        _ = connection.as_mut() => return,
        () = down.cancelled() => return,
        () = web.stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn answer(web: &Web, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
    let (head, body) = request.into_parts();
    // Before anything else, as a certificate is not left out like a token is.
    if let Err(failure) = access::certified(&web.cluster, &head) {
        return Ok(failed(&failure));
    }
    let query = Query::parse(head.uri.query().unwrap_or_default());
    let route = match route::find(&web.cluster, head.uri.path()) {
        Ok(Routed::Resource(route)) => route,
        Ok(Routed::Other(path)) => {
            let allowed = access::check_path(web, &head, path);
            return Ok(or_failure(allowed.and_then(|()| discovery::answer(web, &head, path))));
        }
        Err(failure) => return Ok(failed(&failure)),
    };
    let Some(verb) = verb(&head.method, &route, &query) else { return Ok(failed(&Failure::wrong_method())) };
    let strike = if web.cluster.faults.any() {
        web.cluster.faults.strike(&call(web, &head, &route, verb, 0))
    } else {
        crate::faults::Strike::default()
    };
    if !strike.delay.is_zero() {
        tokio::time::sleep(strike.delay).await;
    }
    let response = match &strike.fault {
        Some(Fault::DropBefore) => None,
        Some(Fault::Status { code, retry_after_seconds }) => Some(failed(&ordered(*code, *retry_after_seconds))),
        _ => Some(or_failure(handle(web, &head, verb, &route, &query, body).await)),
    };
    let response = match strike.fault {
        Some(Fault::DropAfter) => None,
        Some(Fault::DropWithin) => response.map(|answer| answer.map(trouble::broken_off)),
        Some(Fault::StatusAfter { code }) => Some(failed(&ordered(code, None))),
        _ => response.map(|answer| answer.map(|body| trouble::watch(body, &strike.watch))),
    };
    record(web, &head, &route, verb, response.as_ref().map_or(0, |r| r.status().as_u16()));
    response.ok_or(Dropped)
}

async fn handle(
    web: &Web,
    head: &Parts,
    verb: &'static str,
    route: &Route<'_>,
    query: &Query<'_>,
    body: Incoming,
) -> Result<Response<Body>, Failure> {
    access::check(web, head, verb, route, query)?;
    let view = accept::view(&head.headers)?;
    match verb {
        _ if route.kind.role == Role::Review && verb != "create" => Err(Failure::wrong_method()),
        "get" => read::get(&web.cluster, route, query, view),
        "list" => lists::list(&web.cluster, route, query, view),
        "watch" => watch::watch(web, route, query, view),
        _ => {
            let bytes = body::collect(body, web.cluster.options.max_body_bytes).await?;
            let write = write::Write { cluster: &web.cluster, head, route, query, view, body: bytes };
            write.run(verb)
        }
    }
}

/// The verb in the words of RBAC; none when the path does not know the method.
fn verb(method: &Method, route: &Route<'_>, query: &Query<'_>) -> Option<&'static str> {
    let named = !route.name.is_empty();
    match *method {
        Method::GET if query.flag("watch") => Some("watch"),
        Method::GET | Method::HEAD => Some(if named { "get" } else { "list" }),
        Method::POST if !named || matches!(route.subresource, "binding" | "eviction" | "token") => Some("create"),
        Method::PUT if named => Some("update"),
        Method::PATCH if named => Some("patch"),
        Method::DELETE if route.subresource.is_empty() => Some(if named { "delete" } else { "deletecollection" }),
        _ => None,
    }
}

fn call(web: &Web, head: &Parts, route: &Route<'_>, verb: &'static str, code: u16) -> Call {
    Call {
        verb,
        group: route.kind.group.clone(),
        resource: route.kind.plural.clone(),
        subresource: route.subresource,
        namespace: route.namespace.to_string(),
        name: route.name.to_string(),
        user: access::caller(&web.cluster, head).unwrap_or_default().name,
        code,
        time: web.cluster.clock.now().into(),
    }
}

fn record(web: &Web, head: &Parts, route: &Route<'_>, verb: &'static str, code: u16) {
    let recorder = &web.cluster.recorder;
    recorder.count((verb, route.kind.id, route.subresource, code));
    if recorder.remembers() {
        recorder.remember(call(web, head, route, verb, code));
    }
}

/// A refusal that a fault rule orders.
fn ordered(code: u16, retry_after_seconds: Option<u64>) -> Failure {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "Unknown",
    };
    let mut failure = Failure::new(code, reason, format!("answered with {code} on order"));
    if let Some(seconds) = retry_after_seconds {
        failure.details = serde_json::json!({"retryAfterSeconds": seconds});
    }
    failure
}

fn or_failure(result: Result<Response<Body>, Failure>) -> Response<Body> {
    result.unwrap_or_else(|failure| failed(&failure))
}

/// The answer that a refusal is.
fn failed(failure: &Failure) -> Response<Body> {
    let status = StatusCode::from_u16(failure.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = value(status, &failure.to_status());
    if let Some(seconds) = failure.retry_after_seconds() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// An answer with a JSON body that is written already.
fn json_bytes(status: StatusCode, bytes: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer with a JSON body.
fn value(status: StatusCode, value: &Value) -> Response<Body> {
    json_bytes(status, value.to_string())
}
