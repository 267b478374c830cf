//! `plimsoll simulate`: where would these pods go? Objects from files in, placements out.
//!
//! The engine is driven by hand: one worker, a clock that is set, bindings that succeed at once. No cluster is asked or
//! touched, and the same input, configuration and seed give the same output, byte for byte.

mod amount;
mod input;
mod people;
mod play;
mod record;
mod volumes;

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::Context as _;

use super::{fail, write_out};
use crate::config::{Config, Defaults};
use crate::logging::{self, LogFormat, LogLevel};
use crate::registry::Registry;

/// Arguments of `simulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files with nodes, pods and workloads, as kubectl reads and writes them: YAML or JSON, lists, several documents. A
    /// folder stands for the files in it, - for standard input.
    #[arg(short, long = "filename", visible_alias = "cluster", value_name = "FILE", required = true)]
    filename: Vec<PathBuf>,
    /// Read the folders in folders, too.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// A KubeSchedulerConfiguration, as for `plimsoll run`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Place only pods that name this scheduler (repeatable); without it every pod that has no node is placed.
    #[arg(long, value_name = "NAME")]
    scheduler_name: Vec<String>,
    /// Seed of the choice among equally good nodes and of made-up names.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// The form of the output: a table, one with every pod and node (wide), or JSON.
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: Output,
    /// Exit with 1 if any pod stays pending.
    #[arg(long)]
    fail_on_pending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Table,
    Wide,
    Json,
}

/// Simulates; gives the exit code.
pub fn main(args: &Args, registry: &Registry) -> i32 {
    if let Err(error) = logging::init(LogFormat::Text, &LogLevel::Filter("warn".to_owned())) {
        return fail(&error.into(), 2);
    }
    let config = match configuration(args, registry) {
        Ok(config) => config,
        Err(error) => return fail(&error, 2),
    };
    let profiles = match registry.profiles(&config) {
        Ok(profiles) => profiles,
        Err(error) => return fail(&error, 2),
    };
    let input = match input::read(args, &config, &profiles) {
        Ok(input) => input,
        Err(error) => return fail(&error.into(), 2),
    };
    let record = match play::play(input, profiles, &config, registry, args.seed) {
        Ok(record) => record,
        Err(error) => return fail(&error, 1),
    };
    match print(&record, args.output) {
        Ok(()) if args.fail_on_pending && record.summary.pending > 0 => 1,
        Ok(()) => 0,
        Err(error) => fail(&error, 1),
    }
}

fn configuration(args: &Args, registry: &Registry) -> anyhow::Result<Config> {
    let mut defaults = Defaults::plimsoll();
    registry.add_to(&mut defaults.catalog);
    let config = match &args.config {
        None => Config::default(),
        Some(path) => Config::load(path, &defaults)?,
    };
    let problems = config.unsupported(&|name| registry.contains(name));
    if !problems.is_empty() {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::bail!("this configuration cannot be run:\n{}", lines.join("\n"));
    }
    Ok(config)
}

fn print(record: &record::Record, output: Output) -> anyhow::Result<()> {
    let text = match output {
        Output::Json => serde_json::to_string_pretty(record).context("writing JSON")? + "\n",
        form => people::tables(record, form == Output::Wide, std::io::stdout().is_terminal()),
    };
    write_out(text.as_bytes())
}
