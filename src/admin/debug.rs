//! What the scheduler knows, for people: on the secured port only, since names of pods are not for everybody.

use std::str::FromStr;

use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::routes::text;
use crate::inspect::{CachePick, Inspect, InspectError, QueuePick};

/// How many pods or nodes an answer has, unless the question says otherwise, and at most.
const LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

type Options = Vec<(String, String)>;

/// The path whose answers may take longer.
pub(super) const CACHE: &str = "/debug/cache";

/// `/debug/queue` and `/debug/cache`.
pub(crate) fn router(inspect: Inspect) -> Router {
    Router::new().route("/debug/queue", get(queue)).route(CACHE, get(cache)).with_state(inspect)
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
        Ok(value) => {
            let no_store = HeaderValue::from_static("no-cache, no-store, must-revalidate");
            ([(header::CACHE_CONTROL, no_store)], Json(value)).into_response()
        }
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
