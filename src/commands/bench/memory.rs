//! `plimsoll bench memory`: what the scheduler needs of memory in clusters of running pods, and whether it stays that when
//! pods and nodes come and go for a long time.

mod churn;
mod running;

use std::time::{Duration, Instant};

use anyhow::ensure;
use plimsoll_apiserver::Server;

use super::report::{Figure, Telling};
use super::shared::{Launch, as_f64, bare, binding_count, pod, say, stand_in_with, until};
use super::usage;
use crate::commands::{block_on, fail};

/// Arguments of `bench memory`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Nodes.
    #[arg(long, value_name = "NUMBER", default_value_t = 5_000)]
    nodes: usize,
    /// Pods that run when the scheduler starts (repeatable); 5,000 and 150,000 if it is not said.
    #[arg(long, value_name = "NUMBER")]
    pods: Vec<usize>,
    /// Lives of pods in the long run; 0 leaves it out. Every pod has a name of its own, and every hundredth a class.
    #[arg(long, value_name = "NUMBER", default_value_t = 500_000)]
    lives: usize,
    /// Nodes that are replaced in it, each by one of another name.
    #[arg(long, value_name = "NUMBER", default_value_t = 5_000)]
    replacements: usize,
    /// Deciding threads of the scheduler; without it, its own default.
    #[arg(long, value_name = "NUMBER")]
    workers: Option<u16>,
    /// Speak HTTPS, as clusters do; --tls=false for plain HTTP.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true")]
    tls: bool,
    #[command(flatten)]
    telling: Telling,
}

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Nodes that have room for all pods that are there at a time in the long run.
const LEAST_NODES: usize = 50;
/// A lease that nobody holds, as at the first start in a cluster.
const LEASE: &str = "leaseDuration: 15s";

/// Runs the benchmark; gives the exit code.
pub(super) fn main(args: &Args) -> i32 {
    if args.nodes == 0 {
        return fail(&anyhow::anyhow!("--nodes must be greater than 0"), 2);
    }
    if args.lives > 0 && args.nodes < LEAST_NODES {
        return fail(&anyhow::anyhow!("--nodes: fewer than {LEAST_NODES} have no room for the pods of --lives"), 2);
    }
    block_on(run(args))
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let sizes = if args.pods.is_empty() { vec![5_000, 150_000] } else { args.pods.clone() };
    let mut figures = Vec::new();
    for pods in sizes {
        say(&format!("{pods} running pods on {} nodes", args.nodes))?;
        figures.extend(start(args, pods).await?);
    }
    if args.lives > 0 {
        say(&format!("{} lives of pods, {} replacements of nodes", args.lives, args.replacements))?;
        figures.extend(churn::run(args).await?);
    }
    let head = format!("{} nodes; {}", args.nodes, if args.tls { "HTTPS" } else { "HTTP" });
    args.telling.tell(&head, &figures)
}

/// A start in a cluster where so many pods run, and one waits.
async fn start(args: &Args, pods: usize) -> anyhow::Result<Vec<Figure>> {
    let server = stand_in_with(args.nodes, bare(pods, 0, args.tls)).await?;
    let list_mib = load(&server, args.nodes, pods)?;
    ensure!(server.load(vec![pod(0, 0)]) == 1, "loading the pod that waits");
    let begun = Instant::now();
    let launch = Launch { workers: args.workers, election: Some(LEASE.to_owned()), ..Launch::default() };
    let mut scheduler = launch.start(&server)?;
    until("the first binding", PATIENCE, &mut scheduler, || binding_count(&server) > 0).await?;
    let first = begun.elapsed().as_secs_f64();
    let cpu = usage::of(scheduler.id())?.cpu.as_secs_f64();
    // What it keeps beside the pods is built with the first decisions.
    for number in 1..1_000 {
        server.create(pod(number, number % 20))?;
    }
    until("further bindings", PATIENCE, &mut scheduler, || binding_count(&server) >= 1_000).await?;
    let used = usage::of(scheduler.id())?;
    server.shutdown().await;
    let peak = Figure::new(format!("{pods} pods: peak RSS"), used.peak_rss_mib, "MiB");
    let first = Figure::new(format!("{pods} pods: first binding"), first, "s");
    let large = pods > 5_000;
    Ok(vec![
        Figure::new(format!("{pods} pods: length of their list"), list_mib, "MiB"),
        if large { peak.at_most(250.0) } else { peak.at_most(80.0) },
        Figure::new(format!("{pods} pods: RSS with all read"), used.rss_mib, "MiB"),
        if large { first.at_most(10.0) } else { first },
        Figure::new(format!("{pods} pods: CPU until then"), cpu, "s"),
    ])
}

/// Loads pods that run, and gives how long they are together.
fn load(server: &Server, nodes: usize, pods: usize) -> anyhow::Result<f64> {
    let mut bytes = 0;
    let numbers: Vec<usize> = (0..pods).collect();
    for numbers in numbers.chunks(5_000) {
        let made: Vec<_> = numbers.iter().map(|number| running::pod(*number, number % nodes)).collect();
        bytes += made.iter().map(|pod| pod.to_string().len()).sum::<usize>();
        ensure!(server.load(made) == numbers.len(), "loading pods");
    }
    Ok(as_f64(bytes) / 1024.0 / 1024.0)
}
