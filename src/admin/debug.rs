//! What the scheduler knows, for people: on the secured port only, since names of pods are not for everybody.

use std::str::FromStr;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::routes::text;
use crate::inspect::{CachePick, ExplainPick, Form, Inspect, InspectError, QueuePick};

/// How many pods or nodes an answer has, unless the question says otherwise, and at most.
const LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

const NO_STORE: HeaderValue = HeaderValue::from_static("no-cache, no-store, must-revalidate");

type Options = Vec<(String, String)>;

/// The path whose answers may take longer.
pub(super) const CACHE: &str = "/debug/cache";

/// The path below which the answers about single pods are: `/debug/explain/NAMESPACE/NAME`.
const EXPLAIN: &str = "/debug/explain/";

/// The pod that a path asks about, by namespace and name; only where that cannot be read in two ways.
pub(super) fn explained(path: &str) -> Option<(&str, &str)> {
    let (namespace, name) = path.strip_prefix(EXPLAIN)?.split_once('/')?;
    let plain = |text: &str| {
        let mut bytes = text.bytes();
        !text.is_empty() && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
    };
    (plain(namespace) && plain(name)).then_some((namespace, name))
}

/// `/debug/queue`, `/debug/cache` and `/debug/explain`.
pub(crate) fn router(inspect: Inspect) -> Router {
    Router::new()
        .route("/debug/queue", get(queue))
        .route(CACHE, get(cache))
        .route("/debug/explain/{namespace}/{name}", get(explain))
        .with_state(inspect)
}

async fn explain(
    State(inspect): State<Inspect>,
    Path((namespace, name)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> Response {
    let read = || -> Result<Form, String> {
        let (mut output, mut colours) = ("table", false);
        for (option, value) in &options {
            match option.as_str() {
                "output" => output = value,
                "colours" => colours = parse(option, value)?,
                _ => return Err(unknown(option, "output and colours")),
            }
        }
        match output {
            "table" | "wide" => Ok(Form::Text { wide: output == "wide", colours }),
            "json" => Ok(Form::Json),
            _ => Err("output: must be table, wide or json".to_owned()),
        }
    };
    let form = match read() {
        Ok(form) => form,
        Err(problem) => return bad(&problem),
    };
    let kind = if matches!(form, Form::Json) { "application/json" } else { "text/plain; charset=utf-8" };
    match inspect.explain(ExplainPick { namespace: namespace.clone(), name: name.clone(), form }).await {
        Ok(Some(told)) => {
            let headers = [(header::CACHE_CONTROL, NO_STORE), (header::CONTENT_TYPE, HeaderValue::from_static(kind))];
            (headers, told).into_response()
        }
        Ok(None) => {
            let text_of = format!(
                "no pod {namespace}/{name} is known here: pods that have finished are not, nor those that other schedulers have yet to place\n"
            );
            text(StatusCode::NOT_FOUND, text_of).into_response()
        }
        Err(error) => answer(Err::<(), _>(error)),
    }
}

async fn queue(State(inspect): State<Inspect>, Query(options): Query<Options>) -> Response {
    let read = || -> Result<QueuePick, String> {
        let mut pick = QueuePick { limit: LIMIT, after: None, part: None };
        for (option, value) in &options {
            match option.as_str() {
                "limit" => pick.limit = limit(value)?,
                "continue" => pick.after = Some(parse(option, value)?),
                "part" => pick.part = Some(parse(option, value)?),
                _ => return Err(unknown(option, "limit, continue and part")),
            }
        }
        Ok(pick)
    };
    match read() {
        Ok(pick) => answer(inspect.queue(pick).await),
        Err(problem) => bad(&problem),
    }
}

async fn cache(State(inspect): State<Inspect>, Query(options): Query<Options>) -> Response {
    let read = || -> Result<(CachePick, bool), String> {
        let mut pick = CachePick { limit: LIMIT, after: None, node: None };
        let mut compare = false;
        for (option, value) in &options {
            match option.as_str() {
                "limit" => pick.limit = limit(value)?,
                "continue" => pick.after = Some(value.clone()),
                "node" => pick.node = Some(value.clone()),
                "compare" => compare = parse(option, value)?,
                _ => return Err(unknown(option, "limit, continue, node and compare")),
            }
        }
        Ok((pick, compare))
    };
    match read() {
        Ok((_, true)) => answer(inspect.compare().await),
        Ok((pick, false)) => answer(inspect.cache(pick).await),
        Err(problem) => bad(&problem),
    }
}

fn limit(value: &str) -> Result<usize, String> {
    let read = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    read.ok_or_else(|| format!("limit: must be a number from 1 to {MAX_LIMIT}"))
}

fn parse<T: FromStr>(option: &str, value: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    value.parse().map_err(|problem| format!("{option}: {problem}"))
}

fn unknown(option: &str, known: &str) -> String {
    format!("there is no option {option:?}, only {known}")
}

fn bad(problem: &str) -> Response {
    text(StatusCode::BAD_REQUEST, format!("{problem}\n")).into_response()
}

fn answer(result: Result<impl Serialize, InspectError>) -> Response {
    match result {
        Ok(value) => ([(header::CACHE_CONTROL, NO_STORE)], Json(value)).into_response(),
        Err(error) => {
            let status = match error {
                InspectError::Busy => StatusCode::TOO_MANY_REQUESTS,
                InspectError::NotRunning => StatusCode::SERVICE_UNAVAILABLE,
                InspectError::Listing(_) => StatusCode::BAD_GATEWAY,
            };
            text(status, format!("{error}\n")).into_response()
        }
    }
}
