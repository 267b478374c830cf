//! `plimsoll explain`: why does this pod go there, and why nowhere else? Of every node, what was said of it.
//!
//! With files the pod is decided as the scheduler would decide it, on the cluster that the files show, and no cluster is
//! asked or touched. Without files the scheduler that leads is asked (`live`).

mod live;
mod load;
mod references;
mod scenarios;
mod subject;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;

use super::{fail, write_out};
use crate::config::{Config, Defaults};
use crate::explain::{Subject, answer, people};
use crate::registry::Registry;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pod, as pod/NAME or NAME, or NAMESPACE/NAME where the scheduler is asked. With files one that has a node
    /// already is taken off it and decided again.
    #[arg(value_name = "POD", required_unless_present_any = ["pod_file", "scenarios"], conflicts_with_all = ["pod_file", "scenarios"])]
    pod: Option<String>,
    /// The namespace of the pod.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// A file with the pod, instead of a pod that the cluster has.
    #[arg(long = "pod", value_name = "FILE", conflicts_with = "scenarios", requires = "filename")]
    pod_file: Option<PathBuf>,
    /// Files with the cluster: nodes, pods and whatever else kubectl writes, as YAML or JSON. A folder stands for the
    /// files in it, - for standard input. Without files the scheduler is asked that runs.
    #[arg(short, long = "filename", visible_alias = "cluster", value_name = "FILE", conflicts_with = "scenarios")]
    filename: Vec<PathBuf>,
    /// Read the folders in folders, too.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// A KubeSchedulerConfiguration, as for `plimsoll run`.
    #[arg(long, value_name = "FILE", conflicts_with = "scenarios", requires = "filename")]
    config: Option<PathBuf>,
    /// Decide by the profile of this name; without it by the one that the pod names, or else by the first.
    #[arg(long, value_name = "NAME", conflicts_with = "scenarios", requires = "filename")]
    scheduler_name: Option<String>,
    /// Answer a file of problems instead, one JSON object a line ({"config", "objects", "pod"}; gzip or plain, - is
    /// standard input). Takes -o json.
    #[arg(long, value_name = "FILE")]
    scenarios: Option<PathBuf>,
    /// The form of the output: tables, tables with every node (wide), or JSON.
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: Output,
    #[command(flatten)]
    live: live::LiveArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Table,
    Wide,
    Json,
}

/// Explains; gives the exit code.
pub fn main(args: &Args, registry: &Registry) -> i32 {
    if let Some(file) = &args.scenarios {
        if args.output != Output::Json {
            return fail(&anyhow::anyhow!("--scenarios needs -o json: its answers are for machines"), 2);
        }
        return scenarios::main(file, registry);
    }
    if args.filename.is_empty() {
        return live::main(args);
    }
    let config = match configuration(args, registry) {
        Ok(config) => config,
        Err(error) => return fail(&error, 2),
    };
    let mut subject = match subject::find(args, &config, registry) {
        Ok(subject) => subject,
        Err(error) => return fail(&error, 2),
    };
    match print(&mut subject, args.output) {
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
    for problem in config.unsupported(&|name| registry.contains(name)) {
        warn(&format!("{problem}; it is left out here"));
    }
    if !config.headroom().0.is_empty() {
        warn("the scheduler avoids nodes for the sake of coexistence.headroom; here none is avoided");
    }
    Ok(config)
}

/// Writes the answer.
fn print(subject: &mut Subject, output: Output) -> anyhow::Result<()> {
    let text = match output {
        Output::Json => serde_json::to_string_pretty(&answer::golden(&subject.answer)).context("writing JSON")? + "\n",
        form => {
            let style = people::Style { wide: form == Output::Wide, colours: std::io::stdout().is_terminal() };
            people::text(subject, style)
        }
    };
    write_out(text.as_bytes())
}

/// Says on standard error what is worth knowing beside the answer.
fn warn(text: &str) {
    // Without standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "warning: {text}");
}
