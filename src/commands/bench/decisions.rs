//! `plimsoll bench core`: decisions alone. The engine is driven in this process, by a clock that is set by hand; nothing
//! is sent anywhere.

mod load;
mod measure;
mod report;
mod stage;

use anyhow::ensure;

use crate::commands::fail;
use crate::registry::Registry;
use load::{Load, Workload};
use report::Report;
use stage::Stage;

/// Pods that arrive at once.
const ROUND: usize = 64;

/// Arguments of `bench core`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Nodes: 32 CPUs, 256 GiB, 110 pods, in three zones.
    #[arg(long, value_name = "NUMBER", default_value_t = 5_000)]
    nodes: usize,
    /// Pods to place while it is measured.
    #[arg(long, value_name = "NUMBER", default_value_t = 20_000)]
    pods: usize,
    /// Pods on the nodes all the time: for each that is placed the oldest goes. Ten for each node if it is not said.
    #[arg(long, value_name = "NUMBER")]
    existing: Option<usize>,
    /// What the pods ask for.
    #[arg(long, value_name = "NAME", default_value = "basic")]
    workload: Workload,
    /// Seed of the choice among equally good nodes.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Pods of classes never seen before to place at the end.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    cold: usize,
    /// Give every pod a label of its own.
    #[arg(long)]
    unique_labels: bool,
    /// The form of the output.
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Table,
    Json,
}

impl Args {
    fn existing(&self) -> usize {
        self.existing.unwrap_or(self.nodes.saturating_mul(10)).max(ROUND)
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.nodes > 0, "--nodes 0: there has to be a node");
        ensure!(self.pods > 0, "--pods 0: there has to be a pod to place");
        Ok(())
    }
}

/// Measures; gives the exit code.
pub(super) fn main(args: &Args, registry: &Registry) -> i32 {
    if let Err(error) = args.check() {
        return fail(&error, 2);
    }
    match run(args, registry).and_then(|report| report.print(args.output == Output::Json).map(|()| report)) {
        Ok(report) if report.is_complete() => 0,
        Ok(report) => fail(&anyhow::anyhow!("only {} of {} pods were placed", report.placed, report.pods), 1),
        Err(error) => fail(&error, 1),
    }
}

fn run(args: &Args, registry: &Registry) -> anyhow::Result<Report> {
    let mut load = Load::new(args.workload, args.nodes, args.existing(), args.unique_labels)?;
    let mut stage = Stage::new(registry, args.seed)?;
    measure::run(args, &mut stage, &mut load)
}
