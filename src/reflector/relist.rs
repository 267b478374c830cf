//! Reading a list anew on order. A standby that takes over does so: its watches may have fallen silent without anybody
//! noticing, and what it does not know to be taken it would give away a second time.

use tokio::sync::{mpsc, oneshot};

/// Orders a reflector to begin anew.
pub(crate) struct Relist(mpsc::UnboundedSender<oneshot::Sender<()>>);

impl Relist {
    /// Has the list read anew. Returns when it has been given up, so that nothing counts as listed any more that was read
    /// before this was called.
    pub(crate) async fn begin(&self) {
        let (begun, wait) = oneshot::channel();
        // The reflector has ended only when the process ends.
        drop(self.0.send(begun));
        drop(wait.await);
    }
}

/// Where a reflector gets its orders.
pub struct Orders(mpsc::UnboundedReceiver<oneshot::Sender<()>>);

impl Orders {
    /// The next order; never, where nobody can give any.
    pub(super) async fn next(&mut self) -> oneshot::Sender<()> {
        match self.0.recv().await {
            Some(order) => order,
            None => std::future::pending().await,
        }
    }

    /// No orders, ever.
    pub(super) fn none() -> Self {
        relist().1
    }
}

/// Both ends.
pub(crate) fn relist() -> (Relist, Orders) {
    let (send, receive) = mpsc::unbounded_channel();
    (Relist(send), Orders(receive))
}
