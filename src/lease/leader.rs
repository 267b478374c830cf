//! Leading: renew in time, or stop; and let go.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::api::ApiError;
use super::elect::Held;
use super::troubles::Troubles;
use super::{Elector, Leadership};

/// How a renewal failed.
enum Renewal {
    /// For good.
    Lost(String),
    /// It may be tried again.
    Failed(ApiError),
}

impl From<ApiError> for Renewal {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

impl Elector {
    /// Renews until shutdown. The error says how the lease was lost.
    pub(super) async fn lead(&self, mut held: Held, shutdown: &CancellationToken) -> Result<Held, String> {
        if shutdown.is_cancelled() {
            return Ok(held);
        }
        let settings = &self.settings;
        tracing::info!(lease = settings.lease(), identity = settings.identity, "became leader");
        self.show_leading(true);
        let mut troubles = Troubles::default();
        let mut next = self.renewed(&held);
        let mut last_error = "no time for an attempt".to_owned();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(held),
                () = sleep_until(next) => {}
            }
            let now = Instant::now();
            let deadline = held.renewed + settings.renew_deadline;
            if now >= deadline {
                return Err(format!("not renewed for {} s: {last_error}", settings.renew_deadline.as_secs_f64()));
            }
            match timeout_at(deadline, self.renew(&mut held, settings.call_timeout())).await {
                Ok(Ok(())) => {
                    self.works(&mut troubles, &["get", "update", "create"]);
                    next = self.renewed(&held);
                }
                Ok(Err(Renewal::Lost(reason))) => return Err(reason),
                Err(_) => "no answer in time".clone_into(&mut last_error),
                Ok(Err(Renewal::Failed(error))) => {
                    // However it is refused, the deadline is near: the usual pace.
                    self.trouble(&mut troubles, &error);
                    last_error = error.to_string();
                    next = (Instant::now() + settings.retry_period).min(deadline);
                }
            }
        }
    }

    /// Renews once. On success `held` is what the server now has.
    async fn renew(&self, held: &mut Held, limit: Duration) -> Result<(), Renewal> {
        let sent = Instant::now();
        let wanted = self.claim_of(Some(&held.lease));
        let lease = match self.api.replace(&wanted, limit).await {
            Ok(lease) => lease,
            Err(ApiError::Conflict | ApiError::NotFound) => match self.api.get(limit).await {
                Ok(lease) if lease.holder() == Some(&self.settings.identity) => {
                    // Labels were changed, or an answer of ours was lost. Still ours: renew on top of it.
                    held.lease = lease;
                    let wanted = self.claim_of(Some(&held.lease));
                    self.api.replace(&wanted, limit).await?
                }
                Ok(lease) => {
                    let reason = lease.holder().map(|holder| format!("it is now held by {holder}"));
                    return Err(Renewal::Lost(reason.unwrap_or_else(|| "somebody released it".to_owned())));
                }
                Err(ApiError::NotFound) => self.api.create(&self.claim_of(None), limit).await?,
                Err(error) => return Err(error.into()),
            },
            Err(error) => return Err(error.into()),
        };
        *held = Held { lease, renewed: sent };
        Ok(())
    }

    /// Opens the fence for another while; returns when to renew next.
    fn renewed(&self, held: &Held) -> Instant {
        let fence = held.renewed + self.settings.renew_deadline;
        self.fence.open_until(fence);
        self.publish(Leadership::Leading { fence, transitions: held.lease.transitions() });
        held.renewed + self.settings.retry_period
    }

    /// Gives the lease back if it is ours after all: a claim of which we never heard may have succeeded.
    pub(super) async fn disown(&self) {
        if let Ok(lease) = self.api.get(self.settings.call_timeout()).await
            && lease.holder() == Some(&self.settings.identity)
        {
            self.release(Held { lease, renewed: Instant::now() }).await;
        }
    }

    /// Gives the lease back. When that fails, it expires by itself.
    pub(super) async fn release(&self, held: Held) {
        let limit = self.settings.call_timeout();
        let mut lease = held.lease;
        for _ in 0..2 {
            match self.api.replace(&lease.released((self.wall_clock)()), limit).await {
                Ok(_) => return tracing::info!(lease = self.settings.lease(), "released the lease"),
                Err(ApiError::Conflict) => match self.api.get(limit).await {
                    Ok(now) if now.holder() == Some(&self.settings.identity) => lease = now,
                    _ => return,
                },
                Err(error) => {
                    let lease = self.settings.lease();
                    return tracing::warn!(lease, %error, "could not release the lease; it expires by itself");
                }
            }
        }
    }
}
