//! The four calls an election makes.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use kube::Client;
use serde_json::Value;
use thiserror::Error;
use tokio::time::Instant;

use super::LeaseSettings;
use super::record::Lease;
use super::watch::LeaseWatch;
use crate::client::{CallError, RawRequest, RawResponse, describe, send, within};

/// The server is asked to end a watch after this long; a new one follows.
const WATCH_SECONDS: u32 = 300;

/// Why a call did not do what it should.
#[derive(Debug, Error)]
pub(super) enum ApiError {
    /// Somebody else was faster.
    #[error("it was changed by somebody else at the same time")]
    Conflict,
    #[error("there is no such lease")]
    NotFound,
    #[error("not allowed to {verb} it: {message}")]
    Forbidden { verb: &'static str, message: String },
    #[error("the api server answered {status}: {message}")]
    Refused { status: StatusCode, message: String },
    #[error("the api server's answer is no lease")]
    NoLease,
    // An election's errors are shown in one line, in which the cause must not be missing.
    #[error("{}", describe(error))]
    Call { error: CallError },
}

impl From<CallError> for ApiError {
    fn from(error: CallError) -> Self {
        Self::Call { error }
    }
}

pub(super) struct LeaseApi {
    client: Client,
    collection: String,
    name: String,
}

impl LeaseApi {
    pub(super) fn new(client: Client, settings: &LeaseSettings) -> Self {
        let collection = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", settings.namespace);
        Self { client, collection, name: settings.name.clone() }
    }

    pub(super) async fn get(&self, limit: Duration) -> Result<Lease, ApiError> {
        self.call("get", Method::GET, &self.object(), Bytes::new(), limit).await
    }

    pub(super) async fn create(&self, lease: &Value, limit: Duration) -> Result<Lease, ApiError> {
        self.call("create", Method::POST, &self.collection, lease.to_string().into(), limit).await
    }

    /// Writes `lease` over the one whose resource version it carries.
    pub(super) async fn replace(&self, lease: &Value, limit: Duration) -> Result<Lease, ApiError> {
        self.call("update", Method::PUT, &self.object(), lease.to_string().into(), limit).await
    }

    /// What happens to the lease after `version`. `deadline` is for the beginning of the stream only.
    pub(super) async fn watch(&self, version: &str, deadline: Instant) -> Result<LeaseWatch, ApiError> {
        let uri = format!(
            "{}?watch=1&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&fieldSelector=metadata.name%3D{}&resourceVersion={}",
            self.collection,
            self.name,
            escaped(version),
        );
        let request = http::Request::get(uri).body(kube::client::Body::empty()).map_err(kube::Error::HttpError);
        let request = request.map_err(CallError::from)?;
        let limit = deadline.saturating_duration_since(Instant::now());
        let (head, body) = within(limit, self.client.send(request)).await?.into_parts();
        if head.status.is_success() {
            return Ok(LeaseWatch::new(body));
        }
        Err(refusal("watch", head.status, String::new()))
    }

    fn object(&self) -> String {
        format!("{}/{}", self.collection, self.name)
    }

    async fn call(
        &self,
        verb: &'static str,
        method: Method,
        path: &str,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Lease, ApiError> {
        let request = RawRequest { method, path, content_type: "application/json", body, timeout };
        let RawResponse { status, body, .. } = send(&self.client, request).await?;
        if !status.is_success() {
            return Err(refusal(verb, status, message(&body)));
        }
        serde_json::from_slice(&body).ok().and_then(Lease::new).ok_or(ApiError::NoLease)
    }
}

fn refusal(verb: &'static str, status: StatusCode, message: String) -> ApiError {
    match status {
        StatusCode::CONFLICT => ApiError::Conflict,
        // For a creation it is the namespace that was not found, and the message says so.
        StatusCode::NOT_FOUND if verb != "create" => ApiError::NotFound,
        StatusCode::FORBIDDEN => ApiError::Forbidden { verb, message },
        status => ApiError::Refused { status, message },
    }
}

/// The message of a `Status`, as far as it makes one line.
fn message(body: &[u8]) -> String {
    crate::client::message(body).unwrap_or_else(|| "no reason given".to_owned())
}

/// Resource versions are opaque: only what cannot be misread in a query goes through unchanged.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
