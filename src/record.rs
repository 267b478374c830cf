//! Recordings: all that reaches the engine, written down in its order, and what the engine asked for in answer.
//!
//! The owner is the only one who calls the engine, so the order of its calls, each with its time, is all that a run depends
//! on. Called again in that order an engine of the same configuration and seed asks for the same effects, without a
//! cluster, a clock or a network. `docs/record-and-replay.md` describes the files.
//!
//! Events carry what was parsed; what is written is what they were parsed from, and only the fields that are read. Whoever
//! parses hands that over beside the event ([`Told`]) while somebody records, and not otherwise.

mod effect;
mod event;
mod head;
mod line;
#[cfg(feature = "tools")]
mod parse;
#[cfg(feature = "tools")]
mod read;
mod recorder;
#[cfg(feature = "tools")]
pub(crate) mod replay;
mod segments;
mod source;
mod told;

#[cfg(test)]
#[cfg(feature = "tools")]
mod tests;

pub use head::Head;
pub use recorder::{Recorder, Refused, Room};
pub(crate) use source::{node_text, object_text, pod_text};
pub use told::Told;
pub(crate) use told::{Recording, self_told};

/// The version of the form; one that reads it reads no other.
const FORMAT: u32 = 1;
/// Why a recording ends that was ended in good order.
const STOPPED: &str = "stopped";
/// The file that describes a recording.
const HEAD_FILE: &str = "head.json";
/// No line is longer, in bytes: the list of a million pods is not.
const LONGEST_LINE: usize = 128 << 20;

/// The file of the segment with this number.
fn segment_name(number: u32) -> String {
    format!("segment-{number:05}.jsonl.gz")
}
