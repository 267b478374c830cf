//! Events on their way to the owner, and what is written of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use plimsoll_engine::event::Event;

use super::event::Form;

/// Whether somebody records, so that what is told is to be told in writing, too. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recording(Arc<AtomicBool>);

impl Recording {
    /// That somebody does.
    pub(super) fn on() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// An event, with what is to be written of it where somebody records.
#[derive(Debug)]
pub struct Told {
    pub(crate) event: Event,
    /// JSON in one line.
    pub(crate) text: Option<Box<str>>,
}

impl From<Event> for Told {
    fn from(event: Event) -> Self {
        Self { event, text: None }
    }
}

impl Told {
    /// An event and what it was parsed from.
    pub(crate) fn new(event: Event, text: Option<Box<str>>) -> Self {
        Self { event, text }
    }
}

/// What is written of an event that holds all there is to it; `None` of one that was parsed from something else.
pub(crate) fn self_told(event: &Event) -> Option<Box<str>> {
    Form::of(event)?.text()
}
