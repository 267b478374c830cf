//! `plimsoll demo`: a cluster, workloads and the scheduler in one process, narrated.
//!
//! The cluster is the stand-in API server on a free port of this machine; kubeconfigs and clusters of the user are not
//! looked at.

mod fleet;
mod small;
mod stage;
mod why;

use std::io::Write as _;

use anyhow::Context as _;

use super::{block_on, fail};
use crate::logging::{self, LogFormat, LogLevel};

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Nodes of the large cluster.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000)]
    nodes: usize,
    /// Pods of the large cluster.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    pods: usize,
    /// How much the scheduler logs while it works.
    #[arg(long, value_name = "FILTER", default_value = "error")]
    log_level: String,
}

/// Runs the demo; gives the exit code.
pub fn main(args: &Args) -> i32 {
    if args.nodes == 0 || args.pods == 0 || args.pods.saturating_add(fleet::STEADY) > args.nodes.saturating_mul(110) {
        let most = format!("a node holds 110 pods, and {} more come after --pods", fleet::STEADY);
        let limit = anyhow::anyhow!("--nodes and --pods must be at least 1, and all pods must fit: {most}");
        return fail(&limit, 2);
    }
    if let Err(error) = logging::init(LogFormat::Text, &LogLevel::Filter(args.log_level.clone())) {
        return fail(&error.into(), 2);
    }
    block_on(run(args))
}

async fn run(args: &Args) -> anyhow::Result<()> {
    say("Plimsoll decides on which node a pod runs. Here it works on a stand-in cluster inside this process:")?;
    say("a Kubernetes API over HTTP, controllers and kubelets. No cluster of yours is touched.")?;
    heading("1. A small cluster: taints, node selectors, and a Deployment")?;
    small::run().await?;
    heading("2. A large cluster: throughput, latency, and use")?;
    fleet::run(args.nodes, args.pods).await?;
    heading("3. A pod that fits nowhere, and why")?;
    why::run().await?;
    say("")?;
    say("Done. Nothing is left running. Next: plimsoll run --help, or helm install with charts/plimsoll.")
}

/// One line of the narration.
fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("writing to standard output")
}

fn heading(text: &str) -> anyhow::Result<()> {
    say("")?;
    say(text)?;
    say(&"=".repeat(text.chars().count()))
}

/// A table with these headings.
pub(super) fn table<const N: usize>(headings: [&str; N]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_header(headings);
    table
}
