//! The engine as the owner calls it: every call that it hears of is recorded, where somebody records.

use std::collections::VecDeque;
use std::ops::Deref;

use plimsoll_engine::effect::Effect;
use plimsoll_engine::engine::Engine;
use plimsoll_framework::time::Time;

use crate::record::{Recorder, Told};

/// The engine. Whatever changes it goes through here; what only looks at it does not.
pub(super) struct Recorded {
    engine: Engine,
    recorder: Option<Recorder>,
    /// Recorded and not sent out yet.
    effects: VecDeque<Effect>,
}

impl Deref for Recorded {
    type Target = Engine;
    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl Recorded {
    pub(super) fn new(engine: Engine, recorder: Option<Recorder>) -> Self {
        Self { engine, recorder, effects: VecDeque::new() }
    }

    pub(super) fn lead(&mut self, leads: bool) {
        self.call(|recorder| recorder.lead(leads), |engine| engine.lead(leads));
    }

    pub(super) fn tick(&mut self, now: Time) {
        self.call(|recorder| recorder.tick(now), |engine| engine.tick(now));
    }

    pub(super) fn handle(&mut self, now: Time, told: Told) {
        let Told { event, text } = told;
        self.call(|recorder| recorder.event(now, text), |engine| engine.handle(now, event));
    }

    pub(super) fn decide_next(&mut self, now: Time) -> bool {
        self.call(|recorder| recorder.decide(now), |engine| engine.decide_next(now))
    }

    /// The next thing to be done outside.
    pub(super) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front().or_else(|| self.engine.poll_effect())
    }

    /// For calls after which it decides as before, and for work with others, of which nothing is recorded.
    pub(super) fn unrecorded(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// Ends the recording.
    pub(super) fn finish(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.finish();
        }
    }

    fn call<T>(&mut self, told: impl FnOnce(&mut Recorder), done: impl FnOnce(&mut Engine) -> T) -> T {
        let Some(recorder) = &mut self.recorder else { return done(&mut self.engine) };
        told(recorder);
        let answer = done(&mut self.engine);
        // At once, so that each stands behind its cause.
        while let Some(effect) = self.engine.poll_effect() {
            recorder.effect(&effect);
            self.effects.push_back(effect);
        }
        answer
    }
}
