//! Who leads, told to the driver.

use std::mem::discriminant;
use std::sync::Arc;

use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Scheduler;
use crate::driver::{Clock, Inbox};
use crate::lease::{AlwaysLeading, Elector, Fence, Leadership, LeaseSettings};
use crate::reflector::Relist;

/// The office of the leader, for which this replica stands, or which it simply holds.
pub(super) struct Office {
    pub(super) fence: Fence,
    /// The election; if it ends before it is stopped, so does the scheduler.
    pub(super) tasks: JoinSet<anyhow::Result<()>>,
    pub(super) stop: CancellationToken,
    /// The lease and who holds it; `None` where there is no election.
    election: Option<(String, Receiver<Leadership>)>,
    /// Whether it was said how things stand.
    told: bool,
}

/// Begins the election, or leads at once where there is none. Who only shadows others leads at once, too, as far as the
/// driver is concerned, and may write nothing all the same.
pub(super) fn elect(scheduler: &Scheduler, lease: LeaseSettings, clock: Clock) -> anyhow::Result<Office> {
    let contact = scheduler.secured.as_ref().and_then(|(secured, _)| secured.contact());
    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    if scheduler.start.is_shadow() {
        return Ok(Office { fence: Fence::closed(), tasks, stop, election: None, told: false });
    }
    if !scheduler.start.leader_election.leader_elect {
        return Ok(Office { fence: AlwaysLeading::new().fence(), tasks, stop, election: None, told: false });
    }
    let name = format!("{}/{}", lease.namespace, lease.name);
    let elector = Elector::new(scheduler.clients.lease.clone(), lease)?
        .with_metrics(Arc::clone(&scheduler.metrics))
        .with_wall_clock(move || clock.timestamp())
        .with_contact(move || contact.as_ref().map(|contact| contact()));
    let (fence, state, token) = (elector.fence(), elector.subscribe(), stop.clone());
    tasks.spawn(async move { Ok(elector.run(token).await?) });
    Ok(Office { fence, tasks, stop, election: Some((name, state)), told: false })
}

impl Office {
    /// Tells a driver who leads until the answer is dropped. Whoever takes over from another has the lists read anew
    /// first, on which it is going to decide.
    pub(super) fn tell(&mut self, inbox: &Inbox, relists: [Relist; 2]) -> AbortOnDropHandle<()> {
        let inbox = inbox.clone();
        let Some((name, state)) = self.election.clone() else {
            inbox.leading(true);
            return AbortOnDropHandle::new(tokio::spawn(std::future::pending()));
        };
        // Where a driver before this one was told the same, it is no news.
        let known = std::mem::replace(&mut self.told, true).then(|| discriminant(&*state.borrow()));
        AbortOnDropHandle::new(tokio::spawn(tell(name, state, known, inbox, relists, self.stop.clone())))
    }
}

async fn tell(
    lease: String,
    mut state: Receiver<Leadership>,
    mut known: Option<std::mem::Discriminant<Leadership>>,
    inbox: Inbox,
    relists: [Relist; 2],
    ending: CancellationToken,
) {
    let (mut said, mut another_led) = (None, false);
    loop {
        let now = state.borrow_and_update().clone();
        let leading = matches!(now, Leadership::Leading { .. });
        another_led |= matches!(&now, Leadership::Standby { holder: Some(_) });
        if said != Some(discriminant(&now)) {
            if known.take() != Some(discriminant(&now)) {
                log(&lease, &now, &ending);
            }
            if leading && another_led {
                for relist in &relists {
                    relist.begin().await;
                }
            }
            inbox.leading(leading);
            said = Some(discriminant(&now));
        }
        if state.changed().await.is_err() {
            return;
        }
    }
}

fn log(lease: &str, now: &Leadership, ending: &CancellationToken) {
    match now {
        // It gives the lease away because it ends; that is no standing by.
        Leadership::Standby { .. } if ending.is_cancelled() => {}
        Leadership::Standby { holder } => {
            let holder = holder.as_deref().unwrap_or("nobody");
            tracing::info!(lease, holder, "standing by");
        }
        Leadership::Leading { transitions, .. } => tracing::info!(lease, transitions, "leading"),
        Leadership::Lost => tracing::error!(lease, "lost the lease"),
    }
}
