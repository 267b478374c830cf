//! Threads that decide, as the program has them with more than one worker.

use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::Context as _;
use plimsoll_engine::decide::{Proposal, Ticket};
use plimsoll_engine::engine::{Engine, HandOut};
use plimsoll_engine::memo::MemoStats;
use plimsoll_framework::table::View;
use plimsoll_framework::time::Time;

use crate::driver::JOBS;

struct Job {
    view: View,
    ticket: Ticket,
}

/// The threads. They end when this is dropped.
pub(super) struct Crew {
    threads: Vec<Sender<Job>>,
    /// By thread: how many pods it has.
    busy: Vec<usize>,
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
                while let Ok(Job { view, ticket }) = incoming.recv() {
                    let proposals = worker.decide_batch(&profiles, &view, std::slice::from_ref(&ticket));
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
        Ok(Self { threads, busy: vec![0; count], answers, memos: vec![MemoStats::default(); count] })
    }

    /// What the memos have been good for.
    pub(super) fn memos(&self) -> impl Iterator<Item = MemoStats> + '_ {
        self.memos.iter().copied()
    }

    /// The thread that has least to do, if it can take one pod more.
    fn free(&self) -> Option<usize> {
        let (thread, busy) = self.busy.iter().enumerate().min_by_key(|(_, busy)| **busy)?;
        (*busy < JOBS).then_some(thread)
    }

    /// Decides until something is committed; whether there was anything to decide.
    pub(super) fn decide(&mut self, engine: &mut Engine, now: Time) -> anyhow::Result<bool> {
        loop {
            while let Some(thread) = self.free() {
                match engine.hand_out(now) {
                    HandOut::Nothing => break,
                    HandOut::AtHand { .. } if engine.line_length() == 0 => return Ok(true),
                    HandOut::AtHand { .. } => {}
                    HandOut::Worker(ticket) => {
                        self.busy[thread] += 1;
                        let job = Job { view: engine.view(), ticket };
                        self.threads[thread].send(job).ok().context("a deciding thread has ended")?;
                    }
                }
            }
            if self.busy.iter().all(|busy| *busy == 0) {
                return Ok(false);
            }
            let (thread, proposals, memo) = self.answers.recv().context("the deciding threads have ended")?;
            self.memos[thread] = memo;
            self.busy[thread] -= 1;
            let before = engine.line_length();
            engine.propose(now, proposals);
            if engine.line_length() < before {
                return Ok(true);
            }
        }
    }
}
