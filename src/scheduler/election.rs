//! Who leads, told to the driver.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Scheduler;
use crate::driver::{Clock, Inbox};
use crate::lease::{AlwaysLeading, Elector, Fence, Leadership, LeaseSettings};
use crate::reflector::Relist;

/// Begins the election, or leads at once where there is none. Who only shadows others leads at once, too, as far as the
/// driver is concerned, and may write nothing all the same. The driver is told who leads. Whoever takes over from another
/// has the lists read anew first, on which it is going to decide.
pub(super) fn elect(
    scheduler: &Scheduler,
    lease: LeaseSettings,
    clock: Clock,
    inbox: &Inbox,
    relists: [Relist; 2],
) -> anyhow::Result<(Fence, JoinSet<anyhow::Result<()>>, CancellationToken)> {
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    if scheduler.config.is_shadow() {
        inbox.leading(true);
        return Ok((Fence::closed(), tasks, stop));
    }
    if !scheduler.config.leader_election.leader_elect {
        inbox.leading(true);
        return Ok((AlwaysLeading::new().fence(), tasks, stop));
    }
    let name = format!("{}/{}", lease.namespace, lease.name);
    let elector = Elector::new(scheduler.clients.lease.clone(), lease)?
        .with_metrics(Arc::clone(&scheduler.metrics))
        .with_wall_clock(move || clock.timestamp());
    let (fence, mut state) = (elector.fence(), elector.subscribe());
    let (inbox, ending) = (inbox.clone(), stop.clone());
    tokio::spawn(async move {
        let (mut said, mut another_led) = (None, false);
        loop {
            let now = state.borrow_and_update().clone();
            let leading = matches!(now, Leadership::Leading { .. });
            another_led |= matches!(&now, Leadership::Standby { holder: Some(_) });
            if said.as_ref().map(std::mem::discriminant) != Some(std::mem::discriminant(&now)) {
                match &now {
                    // It gives the lease away because it ends; that is no standing by.
                    Leadership::Standby { .. } if ending.is_cancelled() => {}
                    Leadership::Standby { holder } => {
                        let holder = holder.as_deref().unwrap_or("nobody");
                        tracing::info!(lease = %name, holder, "standing by");
                    }
                    Leadership::Leading { transitions, .. } => tracing::info!(lease = %name, transitions, "leading"),
                    Leadership::Lost => tracing::error!(lease = %name, "lost the lease"),
                }
                if leading && another_led {
                    for relist in &relists {
                        relist.begin().await;
                    }
                }
                inbox.leading(leading);
                said = Some(now);
            }
            if state.changed().await.is_err() {
                return;
            }
        }
    });
    let token = stop.clone();
    tasks.spawn(async move { Ok(elector.run(token).await?) });
    Ok((fence, tasks, stop))
}
