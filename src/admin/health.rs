//! What is well and what is not, and why.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// `/livez` fails when a heartbeat is older.
pub const LIVENESS_LIMIT: Duration = Duration::from_secs(30);

/// The checks of one process. Cheap to clone; all clones share the checks.
#[derive(Clone, Default)]
pub struct Health {
    parts: Arc<Mutex<Vec<Part>>>,
}

/// How a check stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckState {
    /// All is well.
    Passing,
    /// Something is missing; the text says what, for people: "connecting to https://10.0.0.1: refused; again in 4 s".
    Failing(String),
}

/// The handle of one check: whoever knows how it stands says so here.
#[derive(Clone, Debug)]
pub struct Check {
    state: Arc<Mutex<CheckState>>,
}

/// The sign of life of a thread or task that turns in a loop. Cheap to clone and to give.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    base: Instant,
    /// Milliseconds after `base`.
    last: Arc<AtomicU64>,
}

enum Part {
    Check { name: &'static str, check: Check },
    Heartbeat { name: &'static str, heartbeat: Heartbeat },
}

/// Which question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// Would a restart help? Heartbeats only: a missing API server is no reason to restart.
    Live,
    /// Is everything there? Heartbeats and checks.
    Ready,
}

/// One line of an answer: a check's name, and the reason if it fails.
pub(super) struct Finding {
    pub(super) name: &'static str,
    pub(super) failure: Option<String>,
}

impl Health {
    /// Nothing to check yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A check that `/readyz` asks for, such as `nodes-synced`. Names are lower case words joined by `-`.
    pub fn check(&self, name: &'static str, state: CheckState) -> Check {
        let check = Check { state: Arc::new(Mutex::new(state)) };
        lock(&self.parts).push(Part::Check { name, check: check.clone() });
        check
    }

    /// A sign of life that `/livez` and `/readyz` ask for. The first counts as given.
    pub fn heartbeat(&self, name: &'static str) -> Heartbeat {
        let heartbeat = Heartbeat { base: Instant::now(), last: Arc::new(AtomicU64::new(0)) };
        lock(&self.parts).push(Part::Heartbeat { name, heartbeat: heartbeat.clone() });
        heartbeat
    }

    /// From now on these are the checks of `other`, and none but them.
    pub(crate) fn become_those_of(&self, other: &Self) {
        let theirs = std::mem::take(&mut *lock(&other.parts));
        *lock(&self.parts) = theirs;
    }

    /// What is missing first, if anything is.
    pub(crate) fn not_ready(&self) -> Option<String> {
        self.findings(Probe::Ready).into_iter().find_map(|finding| finding.failure)
    }

    /// How everything stands that `probe` asks for.
    pub(super) fn findings(&self, probe: Probe) -> Vec<Finding> {
        let mut findings = vec![Finding { name: "ping", failure: None }];
        findings.extend(lock(&self.parts).iter().filter_map(|part| match part {
            Part::Check { name, check } => (probe == Probe::Ready).then(|| Finding { name, failure: check.failure() }),
            Part::Heartbeat { name, heartbeat } => Some(Finding { name, failure: heartbeat.failure() }),
        }));
        findings
    }
}

impl Check {
    /// From now on it stands like this.
    pub fn set(&self, state: CheckState) {
        *lock(&self.state) = state;
    }

    /// All is well from now on.
    pub fn pass(&self) {
        self.set(CheckState::Passing);
    }

    /// Something is missing from now on, namely `reason`.
    pub fn fail(&self, reason: impl Into<String>) {
        self.set(CheckState::Failing(reason.into()));
    }

    /// Something is missing, unless all was well already: what has been reached once stays reached.
    pub fn fail_unless_passing(&self, reason: impl Into<String>) {
        let mut state = lock(&self.state);
        if *state != CheckState::Passing {
            *state = CheckState::Failing(reason.into());
        }
    }

    fn failure(&self) -> Option<String> {
        match &*lock(&self.state) {
            CheckState::Passing => None,
            CheckState::Failing(reason) => Some(reason.split_whitespace().collect::<Vec<_>>().join(" ")),
        }
    }
}

impl Heartbeat {
    /// Still turning.
    pub fn beat(&self) {
        self.last.store(self.now(), Ordering::Relaxed);
    }

    /// How long ago the last sign of life was.
    pub fn age(&self) -> Duration {
        Duration::from_millis(self.now().saturating_sub(self.last.load(Ordering::Relaxed)))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn failure(&self) -> Option<String> {
        let age = self.age();
        let limit = LIVENESS_LIMIT.as_secs();
        (age > LIVENESS_LIMIT).then(|| format!("no sign of life for {} s (limit {limit} s)", age.as_secs()))
    }
}

/// A panic while a state was being replaced leaves a whole state behind, the old or the new: nothing to be afraid of.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
