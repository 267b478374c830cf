//! Threads that decide beside the owner, as the program has them with more than one worker.

use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::Context as _;
use plimsoll_engine::decide::{Proposal, Ticket};
use plimsoll_engine::engine::{Engine, HandOut};
use plimsoll_engine::memo::MemoStats;
use plimsoll_framework::table::View;
use plimsoll_framework::time::Time;

use crate::driver::JOBS;

/// What a thread has decided, its number before and what its memo has been good for behind.
type Answer = (usize, Vec<Proposal>, MemoStats);

struct Job {
    view: View,
    ticket: Ticket,
}

/// The threads. They end when this is dropped.
pub(super) struct Crew {
    threads: Vec<Sender<Job>>,
    /// By thread: how many pods it has.
    busy: Vec<usize>,
    answers: Receiver<Answer>,
    /// By thread: what its memo has been good for.
    memos: Vec<MemoStats>,
}

impl Crew {
    /// So many threads that the owner, which decides as well when all of them are busy, is one of `workers`.
    pub(super) fn start(workers: usize, engine: &Engine) -> anyhow::Result<Self> {
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
        let threads = (1..workers).map(|worker| start(worker - 1)).collect::<anyhow::Result<Vec<_>>>()?;
        let count = threads.len();
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
            let mut in_line = engine.line_length();
            let handed_out = engine.hand_out(now);
            in_line += usize::from(!matches!(handed_out, HandOut::Nothing));
            match handed_out {
                HandOut::Nothing if self.busy.iter().all(|busy| *busy == 0) => return Ok(false),
                HandOut::Nothing => {
                    let answer = self.answers.recv().context("the deciding threads have ended")?;
                    self.take_in(engine, now, answer);
                }
                HandOut::AtHand { .. } => {}
                HandOut::Worker(ticket) => match self.free() {
                    Some(thread) => {
                        self.busy[thread] += 1;
                        let job = Job { view: engine.view(), ticket };
                        self.threads[thread].send(job).ok().context("a deciding thread has ended")?;
                    }
                    None => engine.decide_handed_out(now, &ticket),
                },
            }
            while let Ok(answer) = self.answers.try_recv() {
                self.take_in(engine, now, answer);
            }
            if engine.line_length() < in_line {
                return Ok(true);
            }
        }
    }

    fn take_in(&mut self, engine: &mut Engine, now: Time, (thread, proposals, memo): Answer) {
        self.memos[thread] = memo;
        self.busy[thread] -= 1;
        engine.propose(now, proposals);
    }
}
