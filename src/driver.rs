//! The driver: the one thread that owns the engine, and the threads that decide for it.
//!
//! Everything comes in through one inbox and goes out through one outbox. With one worker, deciding and committing are
//! done by the owner itself, without hand-over. The inbox has no bound: events are taken in much faster than they can
//! be decoded. Nor has the outbox: what is bounded is the number of bindings under way, by not popping more pods.
//!
//! The owner is a future. A scheduler that works gives it a thread of its own; a simulated one makes it a task among
//! others, so that a whole cluster lives on one thread and on one clock, which need not be the real one.

mod fleet;
mod inbox;
mod memo;
mod observe;
mod recorded;
mod shadow;
mod stopwatch;
mod waits;
mod workers;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hashbrown::HashSet;
use jiff::Timestamp;
use plimsoll_engine::effect::Effect;
use plimsoll_engine::engine::{Engine, HandOut};
use plimsoll_framework::time::Time;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::admin::Heartbeat;
use crate::metrics::Metrics;
use crate::record::{Recorder, Told};
use inbox::Message;
pub(crate) use inbox::recorded_inbox;
pub use inbox::{Inbox, Incoming, inbox};
use memo::MemoObserver;
use observe::Observer;
use recorded::Recorded;
use stopwatch::Stopwatch;
#[cfg(feature = "tools")]
pub(crate) use workers::JOBS;
use workers::Workers;

/// No more pods are popped while this many bindings, or writes before them, are under way: the API server is the bottleneck then, and a pod
/// that is more urgent must not wait behind thousands.
const MAX_BINDINGS: usize = 256;
/// How many pods are decided before the inbox is looked at again.
const TURN: usize = 16;
/// The longest the owner sleeps, so that its heartbeat and the gauges go on.
const IDLE: Duration = Duration::from_secs(1);

/// The time, as the engine counts it: since the Unix epoch, by a clock that never goes back.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    at_start: Duration,
    simulated: bool,
}

impl Clock {
    /// A clock that agrees with the wall clock now.
    pub fn start() -> Self {
        Self { simulated: false, ..Self::simulated(SystemTime::now()) }
    }

    /// A clock that says `now` now and goes on as tokio's does, whatever the wall clock says. Times before 1970 count as
    /// that.
    pub fn simulated(now: SystemTime) -> Self {
        let at_start = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), at_start, simulated: true }
    }

    /// The time now.
    pub fn now(&self) -> Time {
        self.at(Instant::now())
    }

    /// The time at that moment.
    fn at(&self, moment: Instant) -> Time {
        Time::since_epoch(self.at_start + moment.saturating_duration_since(self.start))
    }

    /// The time that is written into objects: the wall clock's, which may be set while we run.
    pub fn timestamp(&self) -> Timestamp {
        if self.simulated { timestamp(self.now()) } else { Timestamp::now() }
    }
}

/// A time as it is written into objects; what is beyond the years that can be written is the last of them.
pub fn timestamp(time: Time) -> Timestamp {
    let since = jiff::SignedDuration::try_from(time.as_duration()).unwrap_or(jiff::SignedDuration::MAX);
    Timestamp::from_duration(since).unwrap_or(Timestamp::MAX)
}

/// Who decides a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decider {
    Worker,
    Owner,
    /// The owner, since all workers were busy; they may have answered meanwhile.
    OwnerMeanwhile,
}

/// The owner of the engine.
pub struct Driver {
    engine: Recorded,
    incoming: Incoming,
    outbox: mpsc::UnboundedSender<Effect>,
    clock: Clock,
    observer: Observer,
    memo: MemoObserver,
    heartbeat: Heartbeat,
    workers: Option<Workers>,
    leading: bool,
    paused: bool,
    /// The lists that have not been read yet. Before all are, nothing is decided: what is not known to be there
    /// would be given away.
    unlisted: HashSet<usize>,
    draining: Option<oneshot::Sender<()>>,
    stopping: bool,
}

impl Driver {
    /// A driver with so many `workers`, of which the owner is one, and the others threads beside it. It begins when `lists`
    /// lists have been read. With a `recorder` all that reaches the engine is recorded; then there is one worker.
    #[expect(clippy::too_many_arguments, reason = "each is another thing, and there is one caller")]
    pub fn new(
        mut engine: Engine,
        workers: usize,
        lists: usize,
        (inbox, incoming): (&Inbox, Incoming),
        outbox: mpsc::UnboundedSender<Effect>,
        clock: Clock,
        metrics: Arc<Metrics>,
        heartbeat: Heartbeat,
        recorder: Option<Recorder>,
    ) -> Self {
        engine.set_probe(Box::new(Stopwatch::new(Arc::clone(&metrics), &engine.profiles())));
        let workers = (workers > 1).then(|| Workers::start(workers, &engine, inbox, &metrics));
        let observer = Observer::new(metrics, &engine.profiles());
        let mut engine = Recorded::new(engine, recorder);
        engine.lead(false);
        Self {
            engine,
            incoming,
            outbox,
            clock,
            observer,
            memo: MemoObserver::default(),
            heartbeat,
            workers,
            leading: false,
            paused: false,
            unlisted: (0..lists).collect(),
            draining: None,
            stopping: false,
        }
    }

    /// Turns until it is stopped, or its inbox has no sender left.
    pub async fn run(mut self) {
        let _hurrier = AbortOnDropHandle::new(tokio::spawn(self.incoming.hurry()));
        while !self.stopping {
            self.heartbeat.beat();
            let now = self.clock.now();
            if self.engine.next_deadline().is_some_and(|at| at <= now) {
                self.engine.tick(now);
            }
            let worked = self.work();
            self.flush();
            if !self.take_in(worked).await {
                break;
            }
        }
        self.flush();
        self.engine.finish();
    }

    /// Reads the inbox; waits for something if there was nothing else to do. `false` when nobody can write any more.
    async fn take_in(&mut self, worked: bool) -> bool {
        if worked {
            // Where it is one task among others, they get a turn, too.
            tokio::task::yield_now().await;
        } else {
            let now = self.clock.now();
            let wait = self.engine.next_deadline().map_or(IDLE, |at| at.since(now).min(IDLE));
            match timeout(wait, self.incoming.recv()).await {
                Ok(Some(message)) => self.take(message),
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
        // Not for ever: effects have to go out, too.
        for _ in 0..1_024 {
            match self.incoming.try_recv() {
                Ok(message) => self.take(message),
                Err(_) => break,
            }
        }
        true
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Events(events) => {
                let now = self.clock.now();
                events.into_iter().for_each(|told| self.handle(now, told));
            }
            Message::Unhurried(events) => {
                events.into_iter().for_each(|(at, told)| self.handle(self.clock.at(at), told));
            }
            Message::Synced(list, check) => {
                self.unlisted.remove(&list);
                self.engine.lead(self.may_act());
                check.pass();
            }
            Message::Unlisted(list) => {
                self.unlisted.insert(list);
                self.engine.lead(false);
            }
            Message::Proposed { worker, proposals, took } => {
                self.observer.decided(proposals.len(), took);
                self.engine.unrecorded().propose(self.clock.now(), proposals);
                if let Some(workers) = &mut self.workers {
                    workers.has_answered(worker);
                }
            }
            Message::Leading(leading) => {
                self.leading = leading;
                self.engine.lead(self.may_act());
            }
            Message::Paused(paused) => {
                self.paused = paused;
                self.engine.lead(self.may_act());
            }
            Message::Ask(question) => question(&self.engine),
            Message::Drain(answer) => self.draining = Some(answer),
            Message::Stop => self.stopping = true,
        }
    }

    fn handle(&mut self, now: Time, told: Told) {
        self.observer.event(&told.event);
        self.engine.handle(now, told);
    }

    /// Whether this replica is the one that acts, nobody has paused it, and it knows all it has to know for that.
    fn may_act(&self) -> bool {
        self.leading && !self.paused && self.unlisted.is_empty()
    }

    /// Decides pods, or hands them out to be decided; whether the owner itself did something.
    fn work(&mut self) -> bool {
        if self.draining.is_some() || !self.may_act() {
            return false;
        }
        let mut worked = false;
        for _ in 0..TURN {
            if !self.engine.has_work() || self.engine.bindings_under_way() >= MAX_BINDINGS {
                break;
            }
            let begun = Instant::now();
            match self.next_pod() {
                Some(Decider::Worker) => {}
                Some(owner) => {
                    self.observer.decided(1, begun.elapsed());
                    worked = true;
                    if owner == Decider::OwnerMeanwhile {
                        break;
                    }
                }
                None => break,
            }
        }
        worked
    }

    /// Has the next pod decided; `None` where there is no pod.
    fn next_pod(&mut self) -> Option<Decider> {
        let now = self.clock.now();
        let Some(workers) = &mut self.workers else { return self.engine.decide_next(now).then_some(Decider::Owner) };
        match self.engine.unrecorded().hand_out(now) {
            HandOut::Nothing => None,
            HandOut::AtHand { .. } => Some(Decider::Owner),
            HandOut::Worker(ticket) => Some(match workers.free() {
                Some(free) => {
                    workers.give(free, self.engine.view(), ticket);
                    Decider::Worker
                }
                None => {
                    self.engine.unrecorded().decide_handed_out(now, &ticket);
                    Decider::OwnerMeanwhile
                }
            }),
        }
    }

    /// Sends out what is to be done, and counts what was.
    fn flush(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            // The writer ends after the driver; if it is gone, so is the process.
            drop(self.outbox.send(effect));
        }
        self.observer.count(self.engine.unrecorded().drain_observations());
        self.observer.gauges(&self.engine, self.unlisted.len(), self.clock.now(), Instant::now());
        let mismatch = self.engine.unrecorded().take_mismatch();
        self.memo.tell(self.observer.metrics(), self.engine.memo_stats(), mismatch);
        let idle = self.engine.bindings_under_way() == 0 && self.engine.line_length() == 0;
        if let Some(answer) = self.draining.take_if(|_| idle) {
            let _ = answer.send(());
            // Answered, but still draining: nothing is popped any more.
            self.leading = false;
        }
    }
}
