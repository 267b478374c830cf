//! Threads that decide, as the program has them with more than one worker.

use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::Context as _;
use plimsoll_engine::decide::{Proposal, Ticket};
use plimsoll_engine::engine::Engine;
use plimsoll_engine::memo::MemoStats;
use plimsoll_framework::table::View;
use plimsoll_framework::time::Time;

/// How many pods are handed out at once, as in the program.
const BATCH: usize = 16;

struct Job {
    view: View,
    tickets: Vec<Ticket>,
}

/// The threads. They end when this is dropped.
pub(super) struct Crew {
    threads: Vec<Sender<Job>>,
    idle: Vec<usize>,
    answers: Receiver<(usize, Vec<Proposal>, MemoStats)>,
    /// By thread: what its memo has been good for.
    memos: Vec<MemoStats>,
}

impl Crew {
    pub(super) fn start(count: usize, engine: &Engine) -> anyhow::Result<Self> {
        let (answer, answers) = channel();
        let start = |number: usize| {
            let (jobs, incoming) = channel::<Job>();
            let (profiles, mut worker, answer) = (engine.profiles(), engine.new_worker(), answer.clone());
            let decide = move || {
                while let Ok(Job { view, tickets }) = incoming.recv() {
                    let proposals = worker.decide_batch(&profiles, &view, &tickets);
                    // The owner writes in place where no view holds on to what it writes.
                    drop(view);
                    if answer.send((number, proposals, worker.memo_stats())).is_err() {
                        return;
                    }
                }
            };
            let thread = std::thread::Builder::new().name(format!("decide-{number}")).spawn(decide);
            thread.context("starting a deciding thread").map(|_| jobs)
        };
        let threads = (0..count).map(start).collect::<anyhow::Result<_>>()?;
        Ok(Self { threads, idle: (0..count).collect(), answers, memos: vec![MemoStats::default(); count] })
    }

    /// What the memos have been good for.
    pub(super) fn memos(&self) -> impl Iterator<Item = MemoStats> + '_ {
        self.memos.iter().copied()
    }

    /// Decides all that is ready; gives how many pods that were.
    pub(super) fn decide(&mut self, engine: &mut Engine, now: Time) -> anyhow::Result<usize> {
        let mut decided = 0;
        loop {
            while let Some(thread) = self.idle.last().copied() {
                let tickets = engine.take_work(now, BATCH);
                if tickets.is_empty() {
                    break;
                }
                self.idle.pop();
                let job = Job { view: engine.view(), tickets };
                self.threads[thread].send(job).ok().context("a deciding thread has ended")?;
            }
            if self.idle.len() == self.threads.len() {
                return Ok(decided);
            }
            let (thread, proposals, memo) = self.answers.recv().context("the deciding threads have ended")?;
            self.memos[thread] = memo;
            decided += proposals.len();
            self.idle.push(thread);
            engine.propose(now, proposals);
        }
    }
}
