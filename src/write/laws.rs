//! What holds of every answer by which the API server refuses something.

use bytes::Bytes;
use http::StatusCode;

use super::{evict, refusal};
use crate::client::{RawResponse, message};
use crate::metrics::Metrics;

/// The first byte makes the code, the rest the body: what is said of it is one line of bounded length.
pub(crate) fn errors(data: &[u8]) {
    let Some((code, body)) = data.split_first() else { return };
    let Ok(status) = StatusCode::from_u16(400 + u16::from(*code) % 200) else { return };
    let answer = RawResponse { status, retry_after: None, body: Bytes::copy_from_slice(body) };
    let line = |text: &str| {
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(text.chars().count() <= 310, "{text:?}");
    };
    let said = refusal(&answer);
    line(&said);
    assert!(said.ends_with(&format!("({})", status.as_u16())), "{said:?}");
    line(&evict::why_not(&answer));
    assert!(!evict::stands_against(&answer) || status == StatusCode::TOO_MANY_REQUESTS);
    if let Some(message) = message(body) {
        line(&message);
        assert!(said.starts_with(&message), "{said:?}");
    }
    if let Ok(metrics) = Metrics::new() {
        super::permission(&metrics, "create", "events", &answer);
        let missing = metrics.plimsoll.missing_permission("create", "events").get();
        assert!(missing == 0 || status == StatusCode::FORBIDDEN);
    }
}
