//! `plimsoll replay`: a recording of `plimsoll run --record`, run again on the same engine. No cluster is asked or touched.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use serde::Serialize;

use super::{fail, write_out};
use crate::logging::{self, LogFormat, LogLevel};
use crate::record::replay::{Calls, Difference, Ended, Outcome, replay};
use crate::registry::Registry;
use crate::table::{plain, text};

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder that `plimsoll run --record` wrote to.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The form of the output: tables, or JSON.
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Table,
    Json,
}

/// Replays; gives the exit code.
pub fn main(args: &Args, registry: &Registry) -> i32 {
    if let Err(error) = logging::init(LogFormat::Text, &LogLevel::Filter("warn".to_owned())) {
        return fail(&error.into(), 2);
    }
    let progress = progress();
    let outcome = replay(&args.dir, registry, progress.clone());
    progress.finish_and_clear();
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return fail(&error.into(), 2),
    };
    let ours = env!("CARGO_PKG_VERSION");
    if outcome.head.version != ours {
        tracing::warn!(
            "recorded by version {}, replayed by {ours}: they may differ in what they decide",
            outcome.head.version
        );
    }
    match print(&args.dir, &outcome, args.output) {
        Ok(()) => i32::from(outcome.difference.is_some()),
        Err(error) => fail(&error, 1),
    }
}

fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    // Only a template that is wrong is refused.
    if let Ok(style) = ProgressStyle::with_template("replaying {bar:40} {bytes} of {total_bytes}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn print(dir: &Path, outcome: &Outcome, output: Output) -> anyhow::Result<()> {
    let text = match output {
        Output::Json => serde_json::to_string_pretty(&Report::new(dir, outcome)).context("writing JSON")? + "\n",
        Output::Table => tables(outcome, std::io::stdout().is_terminal()),
    };
    write_out(text.as_bytes())
}

/// What came out, as `-o json` prints it; docs/record-and-replay.md describes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    recording: String,
    version: &'a str,
    begun: Timestamp,
    seed: u64,
    first_call: Option<Timestamp>,
    last_call: Option<Timestamp>,
    calls: Calls,
    effects: &'a BTreeMap<&'static str, u64>,
    ended: &'static str,
    /// The last whole line, where the recording was cut off.
    cut_off_behind: Option<Line>,
    difference: Option<Parted<'a>>,
}

#[derive(Serialize)]
struct Line {
    file: String,
    line: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Parted<'a> {
    file: String,
    line: u64,
    call: u64,
    at: Option<Timestamp>,
    called: &'a str,
    recorded: Option<&'a str>,
    replayed: Option<&'a str>,
}

impl<'a> Report<'a> {
    fn new(dir: &Path, outcome: &'a Outcome) -> Self {
        let file = |path: &Path| path.display().to_string();
        Self {
            recording: file(dir),
            version: &outcome.head.version,
            begun: outcome.head.begun,
            seed: outcome.head.seed,
            first_call: outcome.between.map(|(first, _)| first),
            last_call: outcome.between.map(|(_, last)| last),
            calls: outcome.calls,
            effects: &outcome.effects,
            ended: ended(&outcome.ended),
            cut_off_behind: match &outcome.ended {
                Ended::CutOff(place) => Some(Line { file: file(&place.file), line: place.line }),
                _ => None,
            },
            difference: outcome.difference.as_ref().map(|parted| Parted {
                file: file(&parted.place.file),
                line: parted.place.line,
                call: parted.call,
                at: parted.at,
                called: &parted.called,
                recorded: parted.recorded.as_deref(),
                replayed: parted.replayed.as_deref(),
            }),
        }
    }
}

/// How the recording ended, in one word.
fn ended(ended: &Ended) -> &'static str {
    match ended {
        Ended::End(why) if why == "stopped" => "stopped",
        Ended::End(why) if why == "full" => "full",
        Ended::End(_) => "gaveUp",
        Ended::CutOff(_) => "cutOff",
        Ended::Differs => "differs",
    }
}

/// For people: what was called, what was asked for, and whether that is the same.
fn tables(outcome: &Outcome, colours: bool) -> String {
    let calls = &outcome.calls;
    let mut table = plain(&["CALLS", "COUNT"], colours);
    let named =
        [("events", calls.events), ("decisions", calls.decisions), ("ticks", calls.ticks), ("leads", calls.leads)];
    for (name, count) in named.into_iter().filter(|(_, count)| *count > 0) {
        table.add_row([name.to_owned(), count.to_string()]);
    }
    let mut out = text(&table) + "\n";
    if !outcome.effects.is_empty() {
        let mut table = plain(&["EFFECTS", "COUNT"], colours);
        for (name, count) in &outcome.effects {
            table.add_row([(*name).to_owned(), count.to_string()]);
        }
        out += &(text(&table) + "\n");
    }
    if let Some((first, last)) = outcome.between {
        out += &format!("from {first} to {last}, seed {}\n", outcome.head.seed);
    }
    match &outcome.ended {
        Ended::CutOff(place) => {
            out += &format!("the recording is cut off behind {place}: replayed up to there\n");
        }
        Ended::End(why) => out += early(why),
        Ended::Differs => {}
    }
    let same: u64 = outcome.effects.values().sum();
    match &outcome.difference {
        None => out + &format!("all {same} effects of {} calls are the same\n", calls.sum()),
        Some(parted) => out + &difference(parted, same),
    }
}

/// What is to be said of a recording that ended before the scheduler did.
fn early(why: &str) -> &'static str {
    match why {
        "stopped" => "",
        "full" => "the recording became as large as it might: what came after is not in it\n",
        "tooSlow" => "writing did not keep up: what came after is not in the recording\n",
        _ => "recording gave up: what came after is not in it\n",
    }
}

fn difference(parted: &Difference, same: u64) -> String {
    let at = parted.at.map_or_else(String::new, |at| format!(" at {at}"));
    let shown = |effect: &Option<String>| effect.clone().unwrap_or_else(|| "nothing more".to_owned());
    format!(
        "{same} effects are the same, then they differ: {}, call {}{at}\n  called    {}\n  recorded  {}\n  replayed  {}\n",
        parted.place,
        parted.call,
        parted.called,
        shown(&parted.recorded),
        shown(&parted.replayed)
    )
}
