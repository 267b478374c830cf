//! Leader election: of several replicas, one binds.
//!
//! The rules are client-go's, on one Lease object. Every write carries the resource version it is based on, so that of
//! two claims one fails. Clocks of different machines are never compared: a lease has expired when *we* have not seen
//! it change for its duration. A standby watches the Lease and so takes over at its expiry or release, not at the
//! next poll; when it cannot watch, it polls.
//!
//! Two things keep a former leader from acting on. The [`Fence`] closes by itself when the last renewal is
//! `renew_deadline` old, which is `lease_duration - renew_deadline` before anybody else may take over; a call that
//! was let through must end within that time ([`LeaseSettings::call_allowance`]). And losing the lease ends
//! [`Elector::run`] for good: the process exits and comes back as a standby, with nothing remembered.

mod api;
mod contact;
mod elect;
mod fence;
mod leader;
mod record;
mod settings;
mod standby;
mod troubles;
mod watch;

use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;
use thiserror::Error;
use tokio::sync::watch as channel;
use tokio::time::Instant;

pub use contact::Contact;
pub use fence::Fence;
pub(crate) use settings::random;
pub use settings::{LeaseSettings, identity};

use crate::metrics::Metrics;

/// Who leads, as far as this process knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// Somebody else leads, or nobody.
    Standby {
        /// Who, when it is known.
        holder: Option<String>,
    },
    /// This process leads.
    Leading {
        /// When that ends unless the lease is renewed before.
        fence: Instant,
        /// How often the lease has changed hands; grows with every new leader.
        transitions: u32,
    },
    /// This process led and no longer does. It must end.
    Lost,
}

/// Why an election cannot go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// The settings make no sense.
    #[error("leader election: {0}")]
    Settings(String),
    /// This process led and no longer does.
    #[error("lost the lease {lease}: {reason}")]
    Lost {
        /// Namespace and name.
        lease: String,
        /// How.
        reason: String,
    },
}

type WallClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// One candidate.
pub struct Elector {
    settings: LeaseSettings,
    api: api::LeaseApi,
    fence: Fence,
    state: channel::Sender<Leadership>,
    metrics: Option<Arc<Metrics>>,
    wall_clock: WallClock,
    contacts: contact::Contacts,
}

impl Elector {
    /// A candidate that has not done anything yet. Give it a client of its own: behind the calls of others, a renewal
    /// may come too late.
    ///
    /// # Errors
    /// When the settings make no sense.
    pub fn new(client: Client, settings: LeaseSettings) -> Result<Self, LeaseError> {
        settings.validate()?;
        Ok(Self {
            api: api::LeaseApi::new(client, &settings),
            fence: Fence::closed(),
            state: channel::Sender::new(Leadership::Standby { holder: None }),
            metrics: None,
            wall_clock: Arc::new(Timestamp::now),
            contacts: Arc::new(|| None),
            settings,
        })
    }

    /// Shows leadership and missing permissions as metrics.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        metrics.leader_election_master_status(&self.settings.name).set(0);
        self.metrics = Some(metrics);
        self
    }

    /// Where the times that are written into the Lease come from; they are for people, no decision reads them.
    #[must_use]
    pub fn with_wall_clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.wall_clock = Arc::new(clock);
        self
    }

    /// What the Lease says of where this candidate can be asked, as long as it holds it.
    #[must_use]
    pub fn with_contact(mut self, contact: impl Fn() -> Option<Contact> + Send + Sync + 'static) -> Self {
        self.contacts = Arc::new(contact);
        self
    }

    /// That Lease with us as its holder from now on; without one a new one.
    fn claim_of(&self, lease: Option<&record::Lease>) -> serde_json::Value {
        let now = (self.wall_clock)();
        let mut claim =
            lease.map_or_else(|| record::first(&self.settings, now), |lease| lease.claimed(&self.settings, now));
        Contact::write((self.contacts)(), &mut claim);
        claim
    }

    /// The fence of this candidate. Whoever writes asks it before each write.
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Every change of leadership, and every renewal.
    pub fn subscribe(&self) -> channel::Receiver<Leadership> {
        self.state.subscribe()
    }
}

/// Leadership without an election, for a single replica.
#[derive(Debug)]
pub struct AlwaysLeading {
    // Held so that receivers see a state that does not change, and not the end of an election.
    state: channel::Sender<Leadership>,
}

impl AlwaysLeading {
    /// Leads from now on.
    pub fn new() -> Self {
        // tokio's own notion of "never": thirty years fit into every platform's clock.
        let never = Instant::now() + std::time::Duration::from_secs(30 * 365 * 24 * 3600);
        Self { state: channel::Sender::new(Leadership::Leading { fence: never, transitions: 0 }) }
    }

    /// A fence that is always open.
    pub fn fence(&self) -> Fence {
        Fence::open()
    }

    /// Says `Leading` and never changes.
    pub fn subscribe(&self) -> channel::Receiver<Leadership> {
        self.state.subscribe()
    }
}

impl Default for AlwaysLeading {
    fn default() -> Self {
        Self::new()
    }
}
