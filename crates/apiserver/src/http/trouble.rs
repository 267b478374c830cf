//! What goes wrong with an answer's body on order.

use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use tokio::time::{Duration, Instant, sleep, sleep_until};

use super::{Body, Dropped};
use crate::{failure::Failure, faults::WatchFault, stored::SUFFIX};

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, Dropped>> + Send>>;

/// A body that breaks off: in the middle, or after the first piece of one that comes in pieces.
pub(super) fn broken_off(body: Body) -> Body {
    // Hyper drops what it has not yet written when a body fails, and writes when a body has nothing ready.
    let broken = stream::once(async {
        tokio::task::yield_now().await;
        Err(Dropped)
    });
    Body::Stream(match body {
        Body::Full(bytes) => {
            let whole = bytes.unwrap_or_default();
            Box::pin(stream::once(async move { Ok(whole.slice(..whole.len() / 2)) }).chain(broken))
        }
        Body::Stream(pieces) => Box::pin(pieces.take(1).chain(broken)),
    })
}

/// How the stream of a watch goes wrong.
struct Troubled {
    pieces: Pieces,
    lag: Duration,
    /// The first thing to go wrong for good.
    then: Option<(Instant, WatchFault)>,
    /// Nothing more comes.
    over: bool,
}

/// The body of a watch that these faults have struck.
pub(super) fn watch(body: Body, faults: &[WatchFault]) -> Body {
    let Body::Stream(pieces) = body else { return body };
    let mut troubled = Troubled { pieces, lag: Duration::ZERO, then: None, over: false };
    let now = Instant::now();
    for fault in faults {
        match fault {
            WatchFault::Lag(by) => troubled.lag += *by,
            WatchFault::End(after) | WatchFault::Cut(after) | WatchFault::Expire(after) | WatchFault::Stall(after) => {
                let at = now + *after;
                if troubled.then.as_ref().is_none_or(|(earlier, _)| at < *earlier) {
                    troubled.then = Some((at, fault.clone()));
                }
            }
        }
    }
    Body::Stream(Box::pin(stream::unfold(troubled, async |mut troubled| Some((troubled.next().await?, troubled)))))
}

impl Troubled {
    async fn next(&mut self) -> Option<Result<Bytes, Dropped>> {
        if self.over {
            return None;
        }
        let Some((at, _)) = self.then else { return self.next_piece().await };
        tokio::select! {
            biased;
            () = sleep_until(at) => {}
            piece = self.next_piece() => return piece,
        }
        self.over = true;
        match self.then.take()?.1 {
            WatchFault::Cut(_) => Some(Err(Dropped)),
            WatchFault::Expire(_) => {
                let status = Failure::expired("too old resource version: ended on order").to_status();
                Some(Ok(format!(r#"{{"type":"ERROR","object":{status}{SUFFIX}"#).into()))
            }
            WatchFault::Stall(_) => std::future::pending().await,
            WatchFault::End(_) | WatchFault::Lag(_) => None,
        }
    }

    async fn next_piece(&mut self) -> Option<Result<Bytes, Dropped>> {
        let piece = self.pieces.next().await?;
        if !self.lag.is_zero() {
            sleep(self.lag).await;
        }
        Some(piece)
    }
}
