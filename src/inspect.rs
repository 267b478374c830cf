//! What a running scheduler knows, for whoever looks for a fault: the queue, the cache, and how the cache compares with
//! the API server.
//!
//! The owner of the engine is asked for what is needed and no more: a page of the queue, or a view. Sorting and writing
//! out is done elsewhere.

mod cache;
mod compare;
mod dump;
mod explain;
mod listing;
mod queue;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

pub(crate) use cache::{CachePage, CachePick};
pub(crate) use compare::Comparison;
pub(crate) use explain::{ExplainPick, Form};
pub(crate) use queue::{QueuePage, QueuePick};

use crate::driver::Clock;
use crate::scheduler::Inspector;

/// Listing a large cluster may take this long.
pub(crate) const COMPARE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a watch is given to tell what a list has shown, before the two are compared once more.
const SETTLE: Duration = Duration::from_millis(500);

/// Looks into a scheduler. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Inspect {
    inspector: Inspector,
    client: Client,
    clock: Clock,
    /// A list of everything is heavy: one at a time.
    comparing: Arc<Semaphore>,
    /// So is a table made anew; whoever asks for the next one waits.
    explaining: Arc<Semaphore>,
}

/// Why there is nothing to see.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InspectError {
    /// The engine does not run.
    #[error("the scheduler has not started yet, or has ended")]
    NotRunning,
    /// Another comparison is under way.
    #[error("a comparison is under way; there is one at a time")]
    Busy,
    /// The API server did not give its lists.
    #[error("{0}")]
    Listing(String),
}

impl Inspect {
    pub(crate) fn new(inspector: Inspector, client: Client, clock: Clock) -> Self {
        Self {
            inspector,
            client,
            clock,
            comparing: Arc::new(Semaphore::new(1)),
            explaining: Arc::new(Semaphore::new(1)),
        }
    }

    /// A page of the queue.
    pub(crate) async fn queue(&self, pick: QueuePick) -> Result<QueuePage, InspectError> {
        let taken = self.inspector.ask(move |engine| queue::take(engine, &pick)).await;
        Ok(taken.ok_or(InspectError::NotRunning)?.page(self.clock.now()))
    }

    /// A page of the cache.
    pub(crate) async fn cache(&self, pick: CachePick) -> Result<CachePage, InspectError> {
        let taken = self.inspector.ask(cache::take).await.ok_or(InspectError::NotRunning)?;
        Ok(elsewhere(move || taken.page(&pick)).await)
    }

    /// Why a pod is where it is, or waits; `None` where no such pod is known.
    pub(crate) async fn explain(&self, pick: ExplainPick) -> Result<Option<String>, InspectError> {
        let _place = self.explaining.acquire().await;
        let of = pick.clone();
        let taken = self.inspector.ask(move |engine| explain::take(engine, &of)).await;
        let (taken, now) = (taken.ok_or(InspectError::NotRunning)?, self.clock.now());
        Ok(elsewhere(move || taken.tell(&pick, now)).await)
    }

    /// How the cache compares with the API server. What differs only because a watch is a moment behind is left out: it
    /// has to differ twice.
    pub(crate) async fn compare(&self) -> Result<Comparison, InspectError> {
        let _place = self.comparing.try_acquire().map_err(|_| InspectError::Busy)?;
        let twice = async {
            let first = self.compare_once().await?;
            if first.is_empty() {
                return Ok(first);
            }
            sleep(SETTLE).await;
            Ok(first.and(self.compare_once().await?))
        };
        let late = || InspectError::Listing(format!("listing pods and nodes took longer than {COMPARE_TIMEOUT:?}"));
        timeout(COMPARE_TIMEOUT, twice).await.unwrap_or_else(|_| Err(late()))
    }

    async fn compare_once(&self) -> Result<Comparison, InspectError> {
        let listed = listing::list(&self.client).await.map_err(InspectError::Listing)?;
        let known = self.inspector.ask(compare::take).await.ok_or(InspectError::NotRunning)?;
        Ok(elsewhere(move || compare::compare(&listed, &known)).await)
    }
}

/// Does work that takes a while where it holds nobody up.
async fn elsewhere<T: Default + Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // It fails only when the runtime ends, and then nobody waits for the answer.
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}

/// A pod, to be found again.
#[derive(Clone, Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodName {
    namespace: String,
    name: String,
    uid: String,
}

impl PodName {
    fn of(key: &plimsoll_framework::pod::PodKey) -> Self {
        Self { namespace: key.namespace.to_string(), name: key.name.to_string(), uid: key.uid.as_str().to_owned() }
    }
}

/// A text of at most so many bytes, with a mark where it was cut.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}...", &text[..text.floor_char_boundary(most)])
}

#[cfg(test)]
mod tests;
