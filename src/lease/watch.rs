//! The stream of one Lease's changes.

use bytes::BytesMut;
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::Value;

use super::record::Lease;

/// A longer line is no Lease, and the stream is given up.
const MAX_LINE_BYTES: usize = 1 << 20;

/// What happened to the Lease.
pub(super) enum LeaseEvent {
    /// It was created or changed, and now reads so.
    Present(Lease),
    Deleted,
    /// Nothing that matters here.
    Other,
}

/// A running watch.
pub(super) struct LeaseWatch {
    body: Body,
    received: BytesMut,
}

impl LeaseWatch {
    pub(super) fn new(body: Body) -> Self {
        Self { body, received: BytesMut::new() }
    }

    /// The next event; none when the stream has ended, in whatever way. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<LeaseEvent> {
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                let line = self.received.split_to(end + 1);
                return parse(&line);
            }
            if self.received.len() > MAX_LINE_BYTES {
                return None;
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                self.received.extend_from_slice(&data);
            }
        }
    }
}

/// None for an event of type ERROR, after which nothing more comes, and for what is no event.
fn parse(line: &[u8]) -> Option<LeaseEvent> {
    let mut event: Value = serde_json::from_slice(line).ok()?;
    let object = event.get_mut("object").map(Value::take);
    match event.get("type")?.as_str()? {
        "ADDED" | "MODIFIED" => Lease::new(object?).map(LeaseEvent::Present),
        "DELETED" => Some(LeaseEvent::Deleted),
        "ERROR" => None,
        _ => Some(LeaseEvent::Other),
    }
}
