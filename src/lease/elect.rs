//! The election from its beginning to its end.

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::record::Lease;
use super::{Elector, Leadership, LeaseError};

/// The Lease while we hold it.
pub(super) struct Held {
    pub(super) lease: Lease,
    /// When the last successful renewal was *sent*: others saw it later, so they count from later.
    pub(super) renewed: Instant,
}

impl Elector {
    /// Takes part in the election until `shutdown`. A leader then releases the lease, so that a standby takes over at
    /// once: end all writes before you cancel `shutdown`, as the fence is closed first and the lease given away next.
    ///
    /// # Errors
    /// [`LeaseError::Lost`] when this process led and no longer does. The process must end then: what it knows may be
    /// based on a leadership that is over.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), LeaseError> {
        let Some(held) = self.stand_by(&shutdown).await else { return Ok(()) };
        let ended = self.lead(held, &shutdown).await;
        self.fence.close();
        self.show_leading(false);
        match ended {
            Ok(held) => {
                self.release(held).await;
                self.publish(Leadership::Standby { holder: None });
                Ok(())
            }
            Err(reason) => {
                self.publish(Leadership::Lost);
                Err(LeaseError::Lost { lease: self.settings.lease(), reason })
            }
        }
    }

    pub(super) fn publish(&self, leadership: Leadership) {
        self.state.send_if_modified(|state| {
            let changed = *state != leadership;
            *state = leadership;
            changed
        });
    }

    pub(super) fn show_leading(&self, leading: bool) {
        if let Some(metrics) = &self.metrics {
            metrics.leader_election_master_status(&self.settings.name).set(i64::from(leading));
        }
    }
}

/// Sleeps until the time has come or `shutdown` is cancelled.
pub(super) async fn sleep_or(until: Instant, shutdown: &CancellationToken) {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = sleep_until(until) => {}
    }
}
