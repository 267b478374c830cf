//! `plimsoll bench e2e`: the scheduler measured end to end, against the stand-in API server.
//!
//! Stand-in and scheduler are two processes, as in life: this program starts the scheduler as a child and is the
//! stand-in itself. What counts is seen from outside, through the stand-in: when a pod was created, when its binding
//! came, and what the operating system says the child took.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use plimsoll_apiserver::Server;
use serde_json::Value;

use super::report::{Figure, Telling};
use super::shared::{Launch, Scheduler, as_f64, bare, binding_count, percentile, say, stand_in_with};
use super::usage::{self, Usage};
use super::workloads::{GROUPS, Workload};
use crate::commands::{block_on, fail};

/// Arguments of `bench e2e`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Nodes of the throughput run.
    #[arg(long, value_name = "NUMBER", default_value_t = 5_000)]
    nodes: usize,
    /// Pods of the throughput run, pending when the scheduler starts.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    pods: usize,
    /// Different pod templates among them, 20 at most.
    #[arg(long, value_name = "NUMBER", default_value_t = GROUPS)]
    templates: usize,
    /// Nodes of the latency run.
    #[arg(long, value_name = "NUMBER", default_value_t = 5_000)]
    latency_nodes: usize,
    /// Pods a second that arrive in the latency run.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    latency_rate: u32,
    /// Length of the latency run.
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    latency_seconds: u64,
    /// Deciding threads of the scheduler; without it, its own default.
    #[arg(long, value_name = "NUMBER")]
    workers: Option<u16>,
    /// How often each run is repeated; medians are printed.
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    runs: usize,
    /// What the pods ask for.
    #[arg(long, value_name = "NAME", default_value = "basic")]
    workload: Workload,
    /// Which events the scheduler writes; without it, its own default.
    #[arg(long, value_name = "POLICY")]
    event_policy: Option<String>,
    /// Speak HTTPS, as clusters do; --tls=false for plain HTTP.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true")]
    tls: bool,
    #[command(flatten)]
    telling: Telling,
}

/// Runs the benchmark; gives the exit code.
pub(super) fn main(args: &Args) -> i32 {
    let numbers = [args.nodes, args.pods, args.templates, args.latency_nodes, args.runs];
    if numbers.contains(&0) || args.latency_rate == 0 {
        return fail(&anyhow::anyhow!("all numbers must be greater than 0"), 2);
    }
    if args.templates > GROUPS {
        return fail(&anyhow::anyhow!("--templates: at most {GROUPS}"), 2);
    }
    block_on(run(args))
}

/// What one throughput run gave.
#[derive(Clone, Copy, Debug)]
struct Throughput {
    pods_per_second: f64,
    cpu_ms_per_pod: f64,
    peak_rss_mib: f64,
}

/// What one latency run gave: from the pod's creation to its binding at the server, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Latency {
    p50: f64,
    p99: f64,
    max: f64,
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let mut throughput = Vec::new();
    let mut latency = Vec::new();
    for number in 1..=args.runs {
        say(&format!("run {number} of {}: {} pods pending, {} nodes", args.runs, args.pods, args.nodes))?;
        throughput.push(throughput_run(args).await?);
        let rate = args.latency_rate;
        say(&format!(
            "run {number} of {}: {rate} pods/s for {} s, {} nodes",
            args.runs, args.latency_seconds, args.latency_nodes
        ))?;
        latency.push(latency_run(args).await?);
    }
    report(args, &throughput, &latency)
}

/// The pod of this number.
fn made(args: &Args, number: usize) -> Value {
    let mut pod = args.workload.pod(number % args.templates);
    pod["metadata"]["name"] = format!("pod-{number}").into();
    pod
}

fn start(args: &Args, server: &Server) -> anyhow::Result<Scheduler> {
    Launch { workers: args.workers, event_policy: args.event_policy.clone(), ..Launch::default() }.start(server)
}

async fn throughput_run(args: &Args) -> anyhow::Result<Throughput> {
    let server = stand_in_with(args.nodes, bare(args.pods, 0, args.tls)).await?;
    ensure!(server.load((0..args.pods).map(|i| made(args, i)).collect()) == args.pods, "loading pods");
    let mut scheduler = start(args, &server)?;
    let begun = Instant::now();
    let mut first = None;
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let count = binding_count(&server);
        if count > 0 {
            first.get_or_insert_with(|| (Instant::now(), count));
        }
        if count >= args.pods {
            break;
        }
        scheduler.alive()?;
        ensure!(begun.elapsed() < Duration::from_secs(300), "only {count} of {} pods were bound in 300 s", args.pods);
    }
    let (from, already) = first.context("no binding was seen")?;
    let seconds = from.elapsed().as_secs_f64().max(0.001);
    let Usage { cpu, peak_rss_mib, .. } = usage::of(scheduler.id())?;
    check_placements(&server, args)?;
    server.shutdown().await;
    Ok(Throughput {
        pods_per_second: as_f64(args.pods - already) / seconds,
        cpu_ms_per_pod: cpu.as_secs_f64() * 1e3 / as_f64(args.pods),
        peak_rss_mib,
    })
}

/// All bound, none twice, all where they may be.
fn check_placements(server: &Server, args: &Args) -> anyhow::Result<()> {
    let bindings = binding_count(server);
    ensure!(bindings == args.pods, "{bindings} bindings for {} pods", args.pods);
    args.workload.check(&server.list("pods", None)?)
}

async fn latency_run(args: &Args) -> anyhow::Result<Latency> {
    let total = usize::try_from(u64::from(args.latency_rate) * args.latency_seconds).unwrap_or(usize::MAX);
    let server = stand_in_with(args.latency_nodes, bare(total, 4 * total, args.tls)).await?;
    let mut scheduler = start(args, &server)?;
    // The first pods find it starting; they are not counted.
    let warm_up = usize::try_from(args.latency_rate).unwrap_or(1);
    let mut created = Vec::with_capacity(total);
    let mut tick = tokio::time::interval(Duration::from_secs(1) / args.latency_rate);
    for number in 0..total {
        tick.tick().await;
        created.push(std::time::SystemTime::now());
        server.create(made(args, number))?;
    }
    let begun = Instant::now();
    while binding_count(&server) < total {
        tokio::time::sleep(Duration::from_millis(20)).await;
        scheduler.alive()?;
        ensure!(begun.elapsed() < Duration::from_secs(60), "not all pods of the latency run were bound");
    }
    let mut latencies = Vec::new();
    for call in server.calls() {
        let number = call.name.strip_prefix("pod-").and_then(|n| n.parse::<usize>().ok());
        if let (true, Some(number)) = (call.subresource == "binding", number)
            && number >= warm_up
        {
            let taken = call.time.duration_since(created[number]).unwrap_or_default();
            latencies.push(taken.as_secs_f64() * 1e3);
        }
    }
    server.shutdown().await;
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| percentile(&latencies, share).context("no latency was measured");
    Ok(Latency { p50: at(0.5)?, p99: at(0.99)?, max: at(1.0)? })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    percentile(&values, 0.5).unwrap_or(f64::NAN)
}

fn report(args: &Args, throughput: &[Throughput], latency: &[Latency]) -> anyhow::Result<()> {
    let of = |get: fn(&Throughput) -> f64| median(throughput.iter().map(get));
    let late = |get: fn(&Latency) -> f64| median(latency.iter().map(get));
    let figures = [
        Figure::new("pods_per_second", of(|t| t.pods_per_second), "pods/s"),
        Figure::new("scheduler_cpu_ms_per_pod", of(|t| t.cpu_ms_per_pod), "ms"),
        Figure::new("scheduler_peak_rss_mib", of(|t| t.peak_rss_mib), "MiB"),
        Figure::new("latency_p50_ms", late(|l| l.p50), "ms").at_most(1.0),
        Figure::new("latency_p99_ms", late(|l| l.p99), "ms").at_most(5.0),
        Figure::new("latency_max_ms", late(|l| l.max), "ms"),
    ];
    let (nodes, pods, templates) = (args.nodes, args.pods, args.templates);
    let head = format!(
        "throughput: {pods} pending pods ({}, {templates} templates), {nodes} nodes; latency: creation to binding, {} pods/s, \
         {} nodes; {}; median of {}",
        args.workload.name(),
        args.latency_rate,
        args.latency_nodes,
        if args.tls { "HTTPS" } else { "HTTP" },
        args.runs
    );
    args.telling.tell(&head, &figures)
}
