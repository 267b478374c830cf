//! The lines of a recording: each is JSON, carries the number of the call that it belongs to, and a sum of itself and of all
//! before it. A line that was changed, left out or moved does not go unnoticed.

use flate2::Crc;
use plimsoll_framework::time::Time;
#[cfg(feature = "tools")]
use serde::Deserialize;
#[cfg(feature = "tools")]
use serde_json::value::RawValue;

/// What is written down.
pub(super) enum Entry {
    /// Whether the engine acts for its pods.
    Lead(bool),
    /// That it was to do what was due.
    Tick(Time),
    /// That it was to decide a pod.
    Decide(Time),
    /// What it was told.
    Event(Time, Box<str>),
    /// What it asked for in answer to the last of these calls.
    Effect(String),
    /// That nothing follows, and why.
    End(&'static str),
}

impl Entry {
    /// About as many bytes are kept for it.
    pub(super) fn bytes(&self) -> usize {
        let text = match self {
            Self::Event(_, text) => text.len(),
            Self::Effect(text) => text.len(),
            _ => 0,
        };
        text + 64
    }
}

/// Writes lines.
#[derive(Default)]
pub(super) struct Lines {
    calls: u64,
    sum: u32,
    line: String,
}

impl Lines {
    /// The line of an entry, its end included.
    pub(super) fn line(&mut self, entry: &Entry) -> &str {
        if !matches!(entry, Entry::Effect(_) | Entry::End(_)) {
            self.calls += 1;
        }
        let at = |time: &Time| time.as_duration().as_nanos();
        let n = self.calls;
        let body = match entry {
            Entry::Lead(true) => format!(r#"{{"n":{n},"call":"lead""#),
            Entry::Lead(false) => format!(r#"{{"n":{n},"call":"standBy""#),
            Entry::Tick(now) => format!(r#"{{"n":{n},"at":{},"call":"tick""#, at(now)),
            Entry::Decide(now) => format!(r#"{{"n":{n},"at":{},"call":"decide""#, at(now)),
            Entry::Event(now, text) => format!(r#"{{"n":{n},"at":{},"event":{text}"#, at(now)),
            Entry::Effect(text) => format!(r#"{{"n":{n},"effect":{text}"#),
            Entry::End(why) => format!(r#"{{"n":{n},"end":"{why}""#),
        };
        self.sum = sum(self.sum, &body);
        self.line = format!("{body},\"sum\":\"{:08x}\"}}\n", self.sum);
        &self.line
    }
}

/// The sum of a line's beginning and of everything before it.
fn sum(before: u32, body: &str) -> u32 {
    let mut crc = Crc::new();
    crc.update(&before.to_be_bytes());
    crc.update(body.as_bytes());
    crc.sum()
}

/// A call that is no event.
#[cfg(feature = "tools")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Call {
    Lead,
    StandBy,
    Tick,
    Decide,
}

/// A line as it is read.
#[cfg(feature = "tools")]
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'a> {
    pub(super) n: u64,
    #[serde(default)]
    at: u64,
    #[serde(default)]
    pub(super) call: Option<Call>,
    #[serde(default, borrow)]
    pub(super) event: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(super) effect: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) end: Option<String>,
}

#[cfg(feature = "tools")]
impl Line<'_> {
    pub(super) fn now(&self) -> Time {
        Time::since_epoch(std::time::Duration::from_nanos(self.at))
    }
}

/// Checks lines.
#[cfg(feature = "tools")]
#[derive(Default)]
pub(super) struct Sums(u32);

#[cfg(feature = "tools")]
impl Sums {
    /// Takes a line, without its end, apart. The error says what is wrong with it.
    pub(super) fn read<'a>(&mut self, line: &'a str, body: &'a mut String) -> Result<Line<'a>, String> {
        let parts = line.rsplit_once(",\"sum\":\"").and_then(|(text, rest)| Some((text, rest.strip_suffix("\"}")?)));
        let Some((text, said)) = parts else { return Err("no line of a recording".to_owned()) };
        self.0 = sum(self.0, text);
        if said != format!("{:08x}", self.0) {
            return Err("its sum is wrong: this line, or one before it, is not what was recorded".to_owned());
        }
        *body = format!("{text}}}");
        serde_json::from_str(body).map_err(|error| error.to_string())
    }
}
