//! The threads that decide beside the owner.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use plimsoll_engine::decide::{Ticket, Worker};
use plimsoll_engine::engine::Engine;
use plimsoll_framework::table::View;
use tokio::time::Instant;

use super::Inbox;
use super::memo::MemoObserver;
use super::stopwatch::Stopwatch;
use crate::metrics::Metrics;

/// A pod to be decided on a view. One at a time: what is decided faster than it is handed over is not handed over.
struct Job {
    view: View,
    ticket: Ticket,
}

/// How many pods a thread has at once: with the next one at hand it need not wait for the owner, which decides a pod itself
/// when all threads have theirs.
pub(crate) const JOBS: usize = 2;

struct Thread {
    jobs: Sender<Job>,
    /// How many it has.
    busy: usize,
}

/// The deciding threads. They end when this is dropped.
pub(super) struct Workers {
    threads: Vec<Thread>,
}

impl Workers {
    /// So many threads that the owner, which decides as well when all of them are busy, is one of `workers`.
    pub(super) fn start(workers: usize, engine: &Engine, inbox: &Inbox, metrics: &Arc<Metrics>) -> Self {
        let start = |number: usize| {
            let (jobs, incoming) = channel();
            let (inbox, profiles, mut worker) = (inbox.clone(), engine.profiles(), engine.new_worker());
            worker.set_probe(Box::new(Stopwatch::new(Arc::clone(metrics), &profiles)));
            let metrics = Arc::clone(metrics);
            let decide = move || decide(number, worker, &profiles, &incoming, &inbox, &metrics);
            let thread = std::thread::Builder::new().name(format!("decide-{number}"));
            // Without threads there is no process to speak of; the operating system's refusal is as fatal as any.
            if let Err(error) = thread.spawn(decide) {
                tracing::error!(%error, "starting a deciding thread");
            }
            Thread { jobs, busy: 0 }
        };
        Self { threads: (1..workers).map(|worker| start(worker - 1)).collect() }
    }

    /// A thread has answered.
    pub(super) fn has_answered(&mut self, worker: usize) {
        if let Some(thread) = self.threads.get_mut(worker) {
            thread.busy = thread.busy.saturating_sub(1);
        }
    }

    /// The thread that has least to do, if it can take one pod more.
    pub(super) fn free(&self) -> Option<usize> {
        let least = self.threads.iter().enumerate().min_by_key(|(_, thread)| thread.busy)?;
        (least.1.busy < JOBS).then_some(least.0)
    }

    /// Gives a thread a pod to decide.
    pub(super) fn give(&mut self, worker: usize, view: View, ticket: Ticket) {
        if let Some(thread) = self.threads.get_mut(worker)
            && thread.jobs.send(Job { view, ticket }).is_ok()
        {
            thread.busy += 1;
        }
    }
}

fn decide(
    number: usize,
    mut worker: Worker,
    profiles: &Arc<[plimsoll_engine::profile::Profile]>,
    jobs: &Receiver<Job>,
    inbox: &Inbox,
    metrics: &Metrics,
) {
    let mut memo = MemoObserver::default();
    while let Ok(Job { view, ticket }) = jobs.recv() {
        let begun = Instant::now();
        let proposals = worker.decide_batch(profiles, &view, std::slice::from_ref(&ticket));
        // The owner writes in place where no view holds on to what it writes.
        drop(view);
        memo.tell(metrics, worker.memo_stats(), worker.take_mismatch());
        inbox.proposed(number, proposals, begun.elapsed());
    }
}
