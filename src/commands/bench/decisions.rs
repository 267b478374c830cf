//! `plimsoll bench core`: decisions alone. The engine is driven in this process, by a clock that is set by hand; nothing
//! is sent anywhere. The real clock only measures.

mod crew;
mod flood;
mod load;
mod matrix;
mod measure;
mod memory;
mod preemption;
mod report;
mod shapes;
mod stage;
mod times;
mod trace;
mod workload;

use anyhow::{Context as _, ensure};
use plimsoll_engine::engine::EngineSettings;
use plimsoll_engine::memo::MemoSettings;

use super::usage;
use crate::commands::fail;
use crate::registry::Registry;
use load::Load;
use report::Report;
use stage::Stage;
use workload::Workload;

/// Nodes, if it is not said how many.
const NODES: usize = 5_000;
/// Pods that arrive together, for each worker.
const ROUND: usize = 64;
/// Pods that a node holds.
const PODS_PER_NODE: usize = 110;

/// Arguments of `bench core`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Nodes: 5,000 if it is not said, of a trace all.
    #[arg(long, value_name = "NUMBER")]
    nodes: Option<usize>,
    /// Pods to place while it is measured: 20,000 if it is not said; of `unschedulable` those that wait, 10,000; of a trace
    /// all.
    #[arg(long, value_name = "NUMBER")]
    pods: Option<usize>,
    /// Pods on the nodes all the time: for each that is placed the oldest goes. Ten for each node if it is not said, of a
    /// trace half of its pods.
    #[arg(long, value_name = "NUMBER")]
    existing: Option<usize>,
    /// What the pods ask for:
    ///   basic          nothing else
    ///   templates      20 different amounts, in turn
    ///   nodeaffinity   two of the zones
    ///   spread         each group is spread over the zones (hard)
    ///   defaultspread  groups are ReplicaSets, spread by the system's default constraints (soft, by node and zone)
    ///   affinity       a zone where one of the group is
    ///   preferred      rather not a node where one of the group is
    ///   antiaffinity   a node where none of the group is
    ///   mixed          all of these in turn
    ///   unschedulable  pods that fit nowhere, and every 10 ms an event that might help
    ///   preemption     full nodes of low priority; a decision is all attempts of a pod of high priority
    ///   trace:NODES.csv,PODS.csv
    ///                  nodes and pods with the columns of the openb traces, GPUs as an extended resource
    #[arg(long, value_name = "NAME", default_value = "basic", verbatim_doc_comment)]
    workload: Workload,
    /// Threads that decide; with one, deciding and committing are done by the same.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    workers: usize,
    /// Seed of the choice among equally good nodes.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// How much each worker may keep from one decision to the next, in MiB; 0 keeps nothing.
    #[arg(long, value_name = "NUMBER", default_value_t = 256, value_parser = clap::value_parser!(u32).range(..=1 << 20))]
    memo_mebibytes: u32,
    /// How much may be kept of past decisions, for whoever asks about one, in MiB; 0 keeps nothing.
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u32).range(..=1 << 20))]
    history_mebibytes: u32,
    /// Every how many decisions one is made again from nothing, to compare; 0 never.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    audit_every: u32,
    /// Cold decisions.
    #[arg(long, value_name = "NUMBER", default_value_t = 400)]
    cold: usize,
    /// Give every pod a label of its own.
    #[arg(long)]
    unique_labels: bool,
    /// Measure the whole table instead, each cell in a process of its own, and print it as Markdown; of --nodes one column.
    #[arg(long, conflicts_with_all = ["pods", "existing", "workload", "workers", "seed", "cold", "unique_labels", "memo_mebibytes", "history_mebibytes", "audit_every", "output"])]
    matrix: bool,
    /// Runs of each cell of the table, of which the median is taken.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, requires = "matrix")]
    runs: usize,
    /// The form of the output.
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Table,
    Json,
}

/// How much there is of everything.
struct Size {
    nodes: usize,
    pods: usize,
    existing: usize,
    workers: usize,
    cold: usize,
}

/// Measures; gives the exit code.
pub(super) fn main(args: &Args, registry: &Registry) -> i32 {
    if args.matrix {
        if matrix::columns(args.nodes).is_empty() {
            let sizes: Vec<String> = matrix::columns(None).iter().map(ToString::to_string).collect();
            let wrong = format!("--nodes {}: the table has {}", args.nodes.unwrap_or(0), sizes.join(", "));
            return fail(&anyhow::Error::msg(wrong), 2);
        }
        return matrix::run(args.nodes, args.runs).map_or_else(|error| fail(&error, 1), |()| 0);
    }
    let (load, size) = match prepare(args) {
        Ok(prepared) => prepared,
        Err(error) => return fail(&error, 2),
    };
    match run(args, load, &size, registry) {
        Ok(()) => 0,
        Err(error) => fail(&error, 1),
    }
}

/// Everything that can be wrong with what was asked for is wrong here.
fn prepare(args: &Args) -> anyhow::Result<(Load, Size)> {
    ensure!(args.nodes != Some(0), "--nodes 0: there has to be a node");
    ensure!(args.pods != Some(0), "--pods 0: there has to be a pod to place");
    ensure!((1..=64).contains(&args.workers), "--workers {}: from 1 to 64", args.workers);
    let is_trace = matches!(args.workload, Workload::Trace { .. });
    let existing = args.existing.unwrap_or_else(|| args.nodes.unwrap_or(NODES).saturating_mul(10)).max(ROUND);
    if !is_trace {
        let (nodes, most) = (args.nodes.unwrap_or(NODES), existing.saturating_add(ROUND * args.workers));
        let room = nodes.saturating_mul(PODS_PER_NODE);
        ensure!(
            most <= room,
            "--existing {existing}: {nodes} nodes hold {room} pods, and {} arrive together",
            ROUND * args.workers
        );
    }
    let load = Load::new(&args.workload, args.nodes, existing + ROUND * args.workers, args.unique_labels)?;
    let pods = args.pods.unwrap_or_else(|| match args.workload {
        Workload::Unschedulable => 10_000,
        Workload::Trace { .. } => load.classes(),
        _ => 20_000,
    });
    let existing = match args.workload {
        Workload::Trace { .. } => args.existing.unwrap_or_else(|| load.classes() / 2),
        // As many on each node.
        Workload::Unschedulable | Workload::Preemption => (existing / load.node_count()).max(1) * load.node_count(),
        _ => existing,
    };
    let size = Size { nodes: load.node_count(), pods, existing, workers: args.workers, cold: args.cold };
    Ok((load, size))
}

fn run(args: &Args, mut load: Load, size: &Size, registry: &Registry) -> anyhow::Result<()> {
    let memo = MemoSettings { budget_bytes: (args.memo_mebibytes as usize) << 20, audit_every: args.audit_every };
    let history_bytes = (args.history_mebibytes as usize) << 20;
    let mut stage = Stage::new(
        registry,
        args.seed,
        args.workers,
        EngineSettings { memo, history_bytes, ..EngineSettings::default() },
    )?;
    let measured = measure::run(&args.workload, size, &mut stage, &mut load)?;
    let report = Report {
        workload: args.workload.to_string(),
        nodes: size.nodes,
        pods: size.pods,
        existing: size.existing,
        workers: size.workers,
        placed: measured.placed,
        decisions_per_second: measured.warm.decisions_per_second(),
        cycles_per_second: measured.warm.cycles_per_second(),
        warm_ns: measured.warm.spread(),
        cold_ns: measured.cold.spread(),
        allocations_per_warm_decision: measured.warm.allocations_per_decision(),
        memo_hit_rate: measured.memo_hit_rate.filter(|_| args.memo_mebibytes > 0),
        bytes_per_node: measured.bytes_per_node,
        bytes_per_pod: measured.bytes_per_pod,
        bytes_per_class: measured.bytes_per_class,
        peak_rss_mib: usage::of(std::process::id()).context("looking at this process")?.peak_rss_mib,
    };
    report.print(args.output == Output::Json)?;
    let Report { placed, pods, .. } = report;
    if args.workload == Workload::Unschedulable {
        ensure!(placed == 0, "{placed} pods were placed that fit nowhere");
    } else {
        ensure!(placed * 100 >= pods * 99, "only {placed} of {pods} pods were placed");
    }
    Ok(())
}
