//! Running a recording again.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use indicatif::ProgressBar;
use jiff::Timestamp;
use plimsoll_engine::engine::Engine;
use plimsoll_framework::time::Time;
use serde::Serialize;

use super::line::{Call, Line};
use super::parse::Parser;
use super::read::{Next, Place, Reader, Rubbish};
use super::{Head, effect};
use crate::driver::timestamp;
use crate::extender::Extenders;
use crate::registry::Registry;
use crate::scheduler::{engine_settings, read_by};

/// So much of a text is shown of what the engine was told, in characters.
const SHOWN: usize = 400;

/// A recording that cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// It is not whole.
    #[error(transparent)]
    Rubbish(#[from] Rubbish),
    /// Its configuration is not one for this program.
    #[error("making the recorded scheduler: {0:#}")]
    Configuration(anyhow::Error),
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) head: Head,
    pub(crate) calls: Calls,
    /// By name, those that are the same.
    pub(crate) effects: BTreeMap<&'static str, u64>,
    pub(crate) ended: Ended,
    /// The first.
    pub(crate) difference: Option<Difference>,
    /// The time of the first call and of the last.
    pub(crate) between: Option<(Timestamp, Timestamp)>,
}

/// How often the engine was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Calls {
    /// To tell it something.
    pub(crate) events: u64,
    /// To decide a pod.
    pub(crate) decisions: u64,
    /// To do what was due.
    pub(crate) ticks: u64,
    /// To begin or to cease to act.
    pub(crate) leads: u64,
}

impl Calls {
    pub(crate) const fn sum(&self) -> u64 {
        self.events + self.decisions + self.ticks + self.leads
    }
}

/// How far the recording went.
#[derive(Debug)]
pub(crate) enum Ended {
    /// To its end, for this reason.
    End(String),
    /// To here, where it was cut off: this is the last whole line.
    CutOff(Place),
    /// To the first difference.
    Differs,
}

/// Where replay and recording part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) place: Place,
    /// The number of the call.
    pub(crate) call: u64,
    pub(crate) at: Option<Timestamp>,
    /// What the engine was told or asked.
    pub(crate) called: String,
    /// What it asked for when it was recorded; `None`: nothing more.
    pub(crate) recorded: Option<String>,
    /// What it asks for now.
    pub(crate) replayed: Option<String>,
}

/// An engine on which a recording is run.
struct Stage<'a> {
    engine: Engine,
    parser: Parser<'a>,
    /// What it asks for in answer to the last call, and was not compared yet.
    made: VecDeque<(&'static str, String)>,
    call: u64,
    called: String,
    at: Option<Time>,
    calls: Calls,
    effects: BTreeMap<&'static str, u64>,
    begun: Option<Time>,
    last: Option<Time>,
}

/// Runs the recording in `dir` again and compares.
pub(crate) fn replay(dir: &Path, registry: &Registry, progress: ProgressBar) -> Result<Outcome, Failed> {
    let (head, mut reader) = Reader::new(dir, progress)?;
    let mut stage = Stage::new(&head, registry).map_err(Failed::Configuration)?;
    let mut difference = None;
    let mut reason = String::new();
    let ended = loop {
        let place = reader.place();
        let parted = match reader.next()? {
            Next::CutOff => break Ended::CutOff(place),
            Next::End => break Ended::End(reason),
            Next::Line(line) => {
                if let Some(end) = &line.end {
                    reason.clone_from(end);
                }
                stage.take(&line)
            }
        };
        match parted {
            Ok(None) => {}
            Ok(Some(parted)) => {
                difference = Some(parted.at(reader.place(), &stage));
                break Ended::Differs;
            }
            Err(problem) => return Err(reader.rubbish(problem).into()),
        }
    };
    let between = stage.begun.zip(stage.last).map(|(begun, last)| (timestamp(begun), timestamp(last)));
    Ok(Outcome { head, calls: stage.calls, effects: stage.effects, ended, difference, between })
}

/// What was recorded, and what the engine asks for instead.
struct Parted {
    recorded: Option<String>,
    replayed: Option<String>,
}

impl Parted {
    fn at(self, place: Place, stage: &Stage<'_>) -> Difference {
        Difference {
            place,
            call: stage.call,
            at: stage.at.map(timestamp),
            called: stage.called.clone(),
            recorded: self.recorded,
            replayed: self.replayed,
        }
    }
}

impl<'a> Stage<'a> {
    fn new(head: &Head, registry: &'a Registry) -> anyhow::Result<Self> {
        let config = head.config(registry)?;
        let mut profiles = registry.profiles(&config)?;
        if let Some(interest) = Extenders::interest_of(&config)? {
            profiles.iter_mut().for_each(|profile| profile.set_extenders(interest.clone()));
        }
        let (_, kinds) = read_by(&profiles);
        let settings = engine_settings(&config, registry, 1, head.seed, head.max_in_unschedulable);
        Ok(Self {
            engine: Engine::new(profiles, settings),
            parser: Parser::new(head.annotation_keys(), kinds, registry),
            made: VecDeque::new(),
            call: 0,
            called: String::new(),
            at: None,
            calls: Calls::default(),
            effects: BTreeMap::new(),
            begun: None,
            last: None,
        })
    }

    /// Does what a line says; tells where it parts from what was recorded. The error says what is wrong with the line.
    fn take(&mut self, line: &Line<'_>) -> Result<Option<Parted>, String> {
        if let Some(effect) = line.effect {
            return Ok(self.compare(effect.get()));
        }
        if line.end.is_some() {
            // One that was ended by something else ends anywhere.
            let whole = line.end.as_deref() == Some(super::STOPPED);
            return Ok(if whole { self.too_much() } else { None });
        }
        if let Some(parted) = self.too_much() {
            return Ok(Some(parted));
        }
        if line.n != self.call + 1 {
            return Err(format!("call {} follows call {}", line.n, self.call));
        }
        self.call = line.n;
        self.perform(line)?;
        while let Some(effect) = self.engine.poll_effect() {
            self.parser.keep(&effect);
            let text = effect::text(&effect).ok_or("what the engine asks for cannot be written")?;
            self.made.push_back((effect::name(&effect), text));
        }
        self.engine.drain_observations().for_each(drop);
        Ok(None)
    }

    fn perform(&mut self, line: &Line<'_>) -> Result<(), String> {
        let now = line.now();
        self.at = None;
        if !matches!(line.call, Some(Call::Lead | Call::StandBy)) {
            (self.at, self.last) = (Some(now), Some(now));
            self.begun = self.begun.or(Some(now));
        }
        match (line.call, line.event) {
            (Some(call @ (Call::Lead | Call::StandBy)), None) => {
                self.calls.leads += 1;
                self.called = if call == Call::Lead { "begin to act" } else { "cease to act" }.to_owned();
                self.engine.lead(call == Call::Lead);
            }
            (Some(Call::Tick), None) => {
                self.calls.ticks += 1;
                "do what is due".clone_into(&mut self.called);
                self.engine.tick(now);
            }
            (Some(Call::Decide), None) => {
                self.calls.decisions += 1;
                "decide a pod".clone_into(&mut self.called);
                self.engine.decide_next(now);
            }
            (None, Some(event)) => {
                self.calls.events += 1;
                self.called = event.get().chars().take(SHOWN).collect();
                let event = self.parser.event(event.get())?;
                self.engine.handle(now, event);
            }
            _ => return Err("the line says nothing that can be done".to_owned()),
        }
        Ok(())
    }

    fn compare(&mut self, recorded: &str) -> Option<Parted> {
        match self.made.pop_front() {
            Some((name, made)) if made == recorded => {
                *self.effects.entry(name).or_default() += 1;
                None
            }
            made => Some(Parted { recorded: Some(recorded.to_owned()), replayed: made.map(|(_, text)| text) }),
        }
    }

    fn too_much(&mut self) -> Option<Parted> {
        let (_, made) = self.made.pop_front()?;
        Some(Parted { recorded: None, replayed: Some(made) })
    }
}
