//! The paths and their answers.

use axum::extract::{DefaultBodyLimit, Extension, Path, Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};

use super::guard::Authorized;
use super::health::{Finding, Probe};
use super::{Admin, Peer};
use crate::logging::LogLevel;
use crate::metrics::TEXT_FORMAT;

/// A log filter is at most 1 KiB.
const MAX_BODY_BYTES: usize = 2048;

type Options = Vec<(String, String)>;
/// Who wants to change something: where from, and whether that was found to be allowed.
type Who = (Extension<Peer>, Option<Extension<Authorized>>);
pub(super) type Text = (StatusCode, [(HeaderName, HeaderValue); 2], String);

pub(super) fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/livez/{check}", get(livez_check))
        .route("/healthz", get(healthz))
        .route("/healthz/{check}", get(healthz_check))
        .route("/readyz", get(readyz))
        .route("/readyz/{check}", get(readyz_check))
        .route("/metrics", get(metrics))
        .route("/configz", get(configz))
        .route("/log-level", get(log_level).put(set_log_level))
        .route("/debug/flags/v", put(set_verbosity))
        .fallback(|| async { text(StatusCode::NOT_FOUND, "404 page not found\n") })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(admin)
}

async fn livez(State(admin): State<Admin>, Query(options): Query<Options>) -> Text {
    report("livez", admin.health.findings(Probe::Live), &options)
}

async fn healthz(State(admin): State<Admin>, Query(options): Query<Options>) -> Text {
    report("healthz", admin.health.findings(Probe::Live), &options)
}

async fn readyz(State(admin): State<Admin>, Query(options): Query<Options>) -> Text {
    report("readyz", admin.health.findings(Probe::Ready), &options)
}

async fn livez_check(State(admin): State<Admin>, Path(check): Path<String>) -> Text {
    single(admin.health.findings(Probe::Live), &check)
}

async fn healthz_check(State(admin): State<Admin>, Path(check): Path<String>) -> Text {
    single(admin.health.findings(Probe::Live), &check)
}

async fn readyz_check(State(admin): State<Admin>, Path(check): Path<String>) -> Text {
    single(admin.health.findings(Probe::Ready), &check)
}

async fn metrics(State(admin): State<Admin>) -> Response {
    // Many series take a while to write out; the async threads carry bindings.
    let rendered = tokio::task::spawn_blocking(move || admin.metrics.render()).await;
    match rendered {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Ok(Err(error)) => failed("writing metrics", &error),
        Err(error) => failed("writing metrics", &error),
    }
}

async fn configz(State(admin): State<Admin>) -> Response {
    Json((admin.configz)()).into_response()
}

async fn log_level(State(admin): State<Admin>) -> Response {
    match admin.log.current() {
        Ok(filter) => text(StatusCode::OK, format!("{filter}\n")).into_response(),
        Err(error) => failed("reading the log level", &error),
    }
}

async fn set_log_level(State(admin): State<Admin>, who: Who, body: String) -> Text {
    change(&admin, who, &LogLevel::Filter(body.trim().to_owned()), || "successfully set the log level\n".to_owned())
}

async fn set_verbosity(State(admin): State<Admin>, who: Who, body: String) -> Text {
    match body.trim().parse::<u8>() {
        Ok(verbosity) => change(&admin, who, &LogLevel::Verbosity(verbosity), || {
            format!("successfully set the verbosity to {verbosity}\n")
        }),
        Err(_) => text(StatusCode::BAD_REQUEST, "the verbosity is a number from 0 to 255\n"),
    }
}

/// Changes the log level, for peers on this host and for those who were asked who they are.
fn change(admin: &Admin, who: Who, level: &LogLevel, done: impl Fn() -> String) -> Text {
    let (Extension(Peer(peer)), authorized) = who;
    // The plain port has no authentication, and at a high level a log can fill a disk.
    if authorized.is_none() && !peer.ip().to_canonical().is_loopback() {
        let hint = "the log level is changed from the pod itself only: kubectl port-forward, then curl 127.0.0.1\n";
        return text(StatusCode::FORBIDDEN, hint);
    }
    match admin.log.set(level) {
        Ok(()) => {
            tracing::info!(?level, "log level changed");
            text(StatusCode::OK, done())
        }
        Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

/// All findings, less those excluded: `ok` when all pass and nobody asked for more.
fn report(probe: &str, mut findings: Vec<Finding>, options: &Options) -> Text {
    let mut unknown = Vec::new();
    for (_, excluded) in options.iter().filter(|(option, _)| option == "exclude") {
        let before = findings.len();
        findings.retain(|finding| finding.name != excluded);
        if findings.len() == before {
            unknown.push(format!("{excluded:?}"));
        }
    }
    let failed = findings.iter().any(|finding| finding.failure.is_some());
    if !failed && !options.iter().any(|(option, _)| option == "verbose") {
        return text(StatusCode::OK, "ok");
    }
    let mut body: String = findings.iter().map(line).collect();
    if !unknown.is_empty() {
        body.push_str(&format!("warn: nothing to exclude by the name {}\n", unknown.join(", ")));
    }
    let (status, end) = if failed { (StatusCode::INTERNAL_SERVER_ERROR, "failed") } else { (StatusCode::OK, "passed") };
    body.push_str(&format!("{probe} check {end}\n"));
    text(status, body)
}

fn single(findings: Vec<Finding>, name: &str) -> Text {
    match findings.iter().find(|finding| finding.name == name) {
        Some(finding) if finding.failure.is_some() => text(StatusCode::INTERNAL_SERVER_ERROR, line(finding)),
        Some(_) => text(StatusCode::OK, "ok"),
        None => text(StatusCode::NOT_FOUND, "404 no such check\n"),
    }
}

fn line(finding: &Finding) -> String {
    match &finding.failure {
        None => format!("[+]{} ok\n", finding.name),
        Some(reason) => format!("[-]{}: {reason}\n", finding.name),
    }
}

fn failed(act: &str, error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "admin server: {act}");
    text(StatusCode::INTERNAL_SERVER_ERROR, format!("{act}: {error}\n")).into_response()
}

/// Plain text that nothing on the way keeps or takes for something else.
pub(super) fn text(status: StatusCode, body: impl Into<String>) -> Text {
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, headers, body.into())
}
