//! Standing by: look, watch, claim.

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::api::ApiError;
use super::elect::{Held, sleep_or};
use super::record::Lease;
use super::troubles::Troubles;
use super::watch::{LeaseEvent, LeaseWatch};
use super::{Elector, Leadership};

/// The Lease as last seen, and when it was first seen like that.
struct Seen {
    lease: Lease,
    since: Instant,
}

/// What a standby remembers from one round to the next.
struct Standby {
    seen: Option<Seen>,
    /// `seen` came from the watch just now: it needs no reading again.
    fresh: bool,
    /// Not watched before this: it was refused.
    watch_again: Instant,
    /// A claim was sent and not answered: the lease may be ours.
    unheard: bool,
    troubles: Troubles,
}

/// How an attempt to become the leader ended.
enum Attempt {
    Won(Held),
    /// Somebody else holds it.
    Taken,
    /// Somebody else changed it while we tried.
    Outrun,
    Failed(ApiError),
}

impl Elector {
    /// Waits until the lease is ours. None at shutdown.
    pub(super) async fn stand_by(&self, shutdown: &CancellationToken) -> Option<Held> {
        let mut standby = Standby {
            seen: None,
            fresh: false,
            watch_again: Instant::now(),
            unheard: false,
            troubles: Troubles::default(),
        };
        let held = self.compete(&mut standby, shutdown).await;
        if held.is_none() && standby.unheard {
            self.disown().await;
        }
        held
    }

    async fn compete(&self, standby: &mut Standby, shutdown: &CancellationToken) -> Option<Held> {
        let mut outrun_before = false;
        loop {
            let attempt = self.attempt(standby, shutdown).await?;
            let outrun = matches!(attempt, Attempt::Outrun);
            match attempt {
                Attempt::Won(held) => {
                    self.works(&mut standby.troubles, &["create", "update"]);
                    return Some(held);
                }
                Attempt::Taken => self.watch_until_free(standby, shutdown).await,
                // Look who it was; but not in a tight loop, should somebody write without pause.
                Attempt::Outrun if !outrun_before => {}
                Attempt::Outrun => sleep_or(Instant::now() + self.settings.retry_period, shutdown).await,
                Attempt::Failed(error) => {
                    let pause = self.trouble(&mut standby.troubles, &error);
                    sleep_or(Instant::now() + pause, shutdown).await;
                }
            }
            outrun_before = outrun;
            if shutdown.is_cancelled() {
                return None;
            }
        }
    }

    /// Reads the lease, unless the watch did so just now, and claims it if it is free. None at shutdown.
    async fn attempt(&self, standby: &mut Standby, shutdown: &CancellationToken) -> Option<Attempt> {
        if !std::mem::take(&mut standby.fresh) {
            let read = tokio::select! {
                biased;
                () = shutdown.cancelled() => return None,
                read = self.api.get(self.settings.call_timeout()) => read,
            };
            match read {
                Ok(lease) => self.note(standby, lease),
                Err(ApiError::NotFound) => standby.seen = None,
                Err(error) => return Some(Attempt::Failed(error)),
            }
            self.works(&mut standby.troubles, &["get"]);
        }
        if standby.seen.as_ref().is_some_and(|seen| self.free_at(seen) > Instant::now()) {
            return Some(Attempt::Taken);
        }
        let attempt = self.claim(standby.seen.as_ref()).await;
        standby.unheard = matches!(attempt, Attempt::Failed(ApiError::Call { .. } | ApiError::NoLease));
        Some(attempt)
    }

    /// Writes ourselves into the lease. Not broken off at shutdown: we would not know whether we hold the lease, and
    /// could not release it.
    async fn claim(&self, seen: Option<&Seen>) -> Attempt {
        let limit = self.settings.call_timeout();
        let sent = Instant::now();
        let written = match seen {
            Some(seen) => self.api.replace(&self.claim_of(Some(&seen.lease)), limit).await,
            None => self.api.create(&self.claim_of(None), limit).await,
        };
        match written {
            Ok(lease) => Attempt::Won(Held { lease, renewed: sent }),
            Err(ApiError::Conflict | ApiError::NotFound) => Attempt::Outrun,
            Err(error) => Attempt::Failed(error),
        }
    }

    /// Returns when the lease may be free: it was released or deleted, or has expired. Also returns, after a while,
    /// when it cannot be watched: then the next attempt looks.
    async fn watch_until_free(&self, standby: &mut Standby, shutdown: &CancellationToken) {
        let Some(seen) = &standby.seen else { return };
        let next_poll = Instant::now() + self.settings.retry_period;
        if Instant::now() < standby.watch_again {
            return sleep_or(next_poll.min(self.free_at(seen)), shutdown).await;
        }
        let begin_by = Instant::now() + self.settings.call_timeout();
        let version = seen.lease.resource_version().to_owned();
        let begun = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            begun = self.api.watch(&version, begin_by.min(self.free_at(seen))) => begun,
        };
        match begun {
            Ok(watch) => {
                self.works(&mut standby.troubles, &["watch"]);
                if self.follow(watch, standby, shutdown).await {
                    return;
                }
            }
            // Polled meanwhile, at the usual pace.
            Err(error) => standby.watch_again = Instant::now() + self.trouble(&mut standby.troubles, &error),
        }
        // A server that ends every watch at once is not asked more often than when polling.
        let free_at = standby.seen.as_ref().map_or(next_poll, |seen| self.free_at(seen));
        sleep_or(next_poll.min(free_at), shutdown).await;
    }

    /// Follows the watch until the lease is free (true) or the watch ends (false).
    async fn follow(&self, mut watch: LeaseWatch, standby: &mut Standby, shutdown: &CancellationToken) -> bool {
        while let Some(seen) = &standby.seen {
            let event = tokio::select! {
                biased;
                () = shutdown.cancelled() => return true,
                event = watch.next() => event,
                // Nothing was heard for the lease's duration: perhaps because the watch is dead, so it is read again.
                () = sleep_until(self.free_at(seen)) => return true,
            };
            match event {
                Some(LeaseEvent::Present(lease)) => {
                    self.note(standby, lease);
                    standby.fresh = standby.seen.as_ref().is_some_and(|seen| self.free_at(seen) <= Instant::now());
                    if standby.fresh {
                        return true;
                    }
                }
                Some(LeaseEvent::Deleted) => standby.seen = None,
                Some(LeaseEvent::Other) => {}
                None => return false,
            }
        }
        true
    }

    /// Takes note of what the lease is now.
    fn note(&self, standby: &mut Standby, lease: Lease) {
        let since = match &standby.seen {
            Some(seen) if seen.lease.same_term(&lease) => seen.since,
            _ => Instant::now(),
        };
        self.publish(Leadership::Standby { holder: lease.holder().map(str::to_owned) });
        standby.seen = Some(Seen { lease, since });
    }

    /// When the lease may be taken, unless it is renewed before.
    fn free_at(&self, seen: &Seen) -> Instant {
        match seen.lease.holder() {
            // Ours: a claim of which we never heard that it succeeded.
            Some(holder) if holder != self.settings.identity => {
                seen.since + seen.lease.duration(self.settings.lease_duration)
            }
            _ => seen.since,
        }
    }
}
