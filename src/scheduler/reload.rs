//! Another configuration while the scheduler runs.
//!
//! `paused` is taken over in place. Anything else is taken over as by a restart, but within the process and under the
//! same lease: bindings under way end, and watches, engine and writer begin anew from lists that are newer than
//! whatever was bound before. What the new configuration comes to is made before anything is stopped, so that one which
//! cannot be run changes nothing.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::config::Config;

/// What has come of a new configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// It says what is in use already.
    Unchanged,
    /// Only `paused` differs, and is so from now on.
    Paused(bool),
    /// The scheduler works by it.
    Applied,
}

/// A new configuration, and where the answer goes.
pub(super) struct Request {
    pub(super) config: Config,
    pub(super) answer: oneshot::Sender<anyhow::Result<Reloaded>>,
}

/// Gives a running scheduler new configurations. Cheap to clone.
#[derive(Clone)]
pub struct Reloader(mpsc::Sender<Request>);

impl Reloader {
    /// Has a checked configuration taken over. What counts at the start only keeps what it was (see
    /// [`Config::keep_from_the_start`]).
    ///
    /// # Errors
    /// When it cannot be run, and the former one is kept; or when the scheduler has ended.
    pub async fn reload(&self, config: Config) -> anyhow::Result<Reloaded> {
        let ended = || anyhow::anyhow!("the scheduler has ended");
        let (answer, wait) = oneshot::channel();
        self.0.send(Request { config, answer }).await.map_err(|_| ended())?;
        wait.await.map_err(|_| ended())?
    }
}

/// Where new configurations come in.
pub(super) struct Reloads {
    /// Kept so that it does not end when nobody else can send.
    sender: mpsc::Sender<Request>,
    requests: mpsc::Receiver<Request>,
}

impl Default for Reloads {
    fn default() -> Self {
        let (sender, requests) = mpsc::channel(1);
        Self { sender, requests }
    }
}

impl Reloads {
    pub(super) fn reloader(&self) -> Reloader {
        Reloader(self.sender.clone())
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Request {
        match self.requests.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}

impl Config {
    /// Takes from `start` what counts only when a process starts: the mode, the leader election and the connection to the
    /// API server. Gives the names of the sections in which this configuration says otherwise.
    #[must_use]
    pub fn keep_from_the_start(&mut self, start: &Self) -> Vec<&'static str> {
        let mut kept = Vec::new();
        if self.leader_election != start.leader_election {
            self.leader_election = start.leader_election.clone();
            kept.push("leaderElection");
        }
        let connection = &mut self.client_connection;
        let (qps, burst) = (connection.qps, connection.burst);
        if (&connection.kubeconfig, &connection.content_type, &connection.accept_content_types)
            != (
                &start.client_connection.kubeconfig,
                &start.client_connection.content_type,
                &start.client_connection.accept_content_types,
            )
        {
            *connection = start.client_connection.clone();
            (connection.qps, connection.burst) = (qps, burst);
            kept.push("clientConnection");
        }
        if self.plimsoll.mode != start.plimsoll.mode {
            self.plimsoll.mode = start.plimsoll.mode;
            kept.push("mode");
        }
        kept
    }

    /// Whether it says the same as `other`, but for `paused`.
    pub(super) fn differs_in_paused_alone(&self, other: &Self) -> bool {
        let mut own = self.plimsoll.clone();
        own.paused = other.plimsoll.paused;
        // Extenders are shown without their secrets, which may be what has changed.
        own == other.plimsoll && self.to_v1() == other.to_v1() && self.extenders == other.extenders
    }
}

/// The configuration in use, for whoever shows it.
pub(super) type InUse = Arc<std::sync::RwLock<Arc<Config>>>;
