//! Calls without decoding: bytes out, status and bytes back.
//!
//! A binding's answer is a `Status` nobody reads and an event's answer is the event itself: for these, decoding into
//! typed objects would cost more than the call.

use std::error::Error;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use thiserror::Error;
use tokio::time::timeout;

/// The longest answer that is read, in bytes. Objects in the API are at most 1.5 MiB or so; no list goes this way.
pub const MAX_RESPONSE_BYTES: usize = 4 << 20;

/// The longest description of an error, in characters.
const LONGEST_LINE: usize = 2_048;

/// The longest message of a server that is repeated, in characters.
const LONGEST_MESSAGE: usize = 300;

/// One call.
#[derive(Clone, Debug)]
pub struct RawRequest<'a> {
    /// `GET`, `POST`, ...
    pub method: Method,
    /// Path and query from the server's root, such as `/api/v1/namespaces/default/pods/web-1/binding`.
    pub path: &'a str,
    /// What `body` is, such as `application/json`; not sent when the body is empty.
    pub content_type: &'static str,
    /// What is sent. Cloning `Bytes` is cheap.
    pub body: Bytes,
    /// How long the whole call may take, the answer's body included.
    pub timeout: Duration,
}

/// The server's answer, whatever its status.
#[derive(Clone, Debug)]
pub struct RawResponse {
    /// A refusal is an answer too: look here before at `body`.
    pub status: StatusCode,
    /// How long the server asks us to stay away (429 and 503 say so; only the form in seconds is understood).
    pub retry_after: Option<Duration>,
    /// At most [`MAX_RESPONSE_BYTES`].
    pub body: Bytes,
}

/// There was no answer that could be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// Nothing came in time. The call may have been carried out all the same.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The connection failed, or the request could not be made.
    #[error("calling the api server")]
    Transport(#[source] Box<kube::Error>),
    /// The answer was longer than this many bytes, which is more than is read.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

impl CallError {
    /// Whether the server may have done what was asked. False only when it surely never saw the request.
    pub fn outcome_unknown(&self) -> bool {
        let Self::Transport(error) = self else { return true };
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(hyper) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
                return !hyper.is_connect();
            }
            cause = error.source();
        }
        true
    }
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        Self::Transport(Box::new(error))
    }
}

/// Sends one request and reads the whole answer, within the request's timeout. Nothing is repeated.
///
/// # Errors
/// When there is no complete answer. A status that refuses is no error.
pub async fn send(client: &Client, request: RawRequest<'_>) -> Result<RawResponse, CallError> {
    send_for(client, request, MAX_RESPONSE_BYTES).await
}

/// The same for an answer of at most so many bytes.
pub(crate) async fn send_for(
    client: &Client,
    request: RawRequest<'_>,
    max_bytes: usize,
) -> Result<RawResponse, CallError> {
    let RawRequest { method, path, content_type, body, timeout: limit } = request;
    let mut builder = Request::builder().method(method).uri(path);
    if let Some(headers) = builder.headers_mut() {
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
    }
    let request = builder.body(Body::from(body)).map_err(kube::Error::HttpError)?;
    within(limit, async {
        let (head, body) = client.send(request).await?.into_parts();
        Ok::<_, CallError>(RawResponse {
            status: head.status,
            retry_after: retry_after(&head.headers),
            body: read(body, max_bytes).await?,
        })
    })
    .await
}

/// Waits for `call`, but no longer than `limit`. Dropping the call closes its connection; the server may still act.
///
/// # Errors
/// The call's own, or [`CallError::Timeout`].
pub async fn within<T, E: Into<CallError>>(
    limit: Duration,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, CallError> {
    match timeout(limit, call).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(CallError::Timeout(limit)),
    }
}

/// An error and its causes in one line, for messages about connections: "calling the api server: ...: connection
/// refused". A cause whose text the line has already is left out, as some libraries repeat theirs. What is longer than
/// any message is cut: it quotes what somebody sent.
pub fn describe(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    if let Some((end, _)) = line.char_indices().nth(LONGEST_LINE) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// The message of a `Status` in one line; `None` where the body is none, or has none.
pub(crate) fn message(body: &[u8]) -> Option<String> {
    let status: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(one_line(status.get("message")?.as_str()?))
}

/// A text of somebody else as a line that can be shown: its beginning, with spaces for ends of lines and for whatever a
/// terminal could take for an order.
pub(crate) fn one_line(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    let kept: String = text.trim().chars().map(shown).take(LONGEST_MESSAGE).collect();
    kept.trim_end().to_owned()
}

async fn read(mut body: Body, max_bytes: usize) -> Result<Bytes, CallError> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > max_bytes {
            return Err(CallError::TooLong(max_bytes));
        }
        // Nearly every answer is one frame: that one is passed on without a copy.
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
