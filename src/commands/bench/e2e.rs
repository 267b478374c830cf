//! `plimsoll bench e2e`: the scheduler measured end to end, against the stand-in API server.
//!
//! Stand-in and scheduler are two processes, as in life: this program starts the scheduler as a child and is the
//! stand-in itself. What counts is seen from outside, through the stand-in: when a pod was created, when its binding
//! came, and what the operating system says the child took.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use plimsoll_apiserver::Server;
use serde_json::{Value, json};

use super::shared::{Scheduler, as_f64, binding_count, percentile, pod, say, stand_in};
use super::usage::{self, Usage};
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
    /// Different pod templates among them.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    templates: usize,
    /// Nodes of the latency run.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000)]
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
    /// Print one JSON object instead of tables.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: String,
}

/// Runs the benchmark; gives the exit code.
pub(super) fn main(args: &Args) -> i32 {
    if args.output != "table" && args.output != "json" {
        return fail(&anyhow::anyhow!("-o {}: known are table and json", args.output), 2);
    }
    let numbers = [args.nodes, args.pods, args.templates, args.latency_nodes, args.runs];
    if numbers.contains(&0) || args.latency_rate == 0 {
        return fail(&anyhow::anyhow!("all numbers must be greater than 0"), 2);
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

async fn throughput_run(args: &Args) -> anyhow::Result<Throughput> {
    let server = stand_in(args.nodes, args.pods, 0).await?;
    let pods: Vec<Value> = (0..args.pods).map(|i| pod(i, i % args.templates)).collect();
    ensure!(server.load(pods) == args.pods, "loading pods");
    let mut scheduler = Scheduler::start(&server, args.workers)?;
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
    let Usage { cpu, peak_rss_mib } = usage::of(scheduler.id())?;
    check_placements(&server, args.pods)?;
    server.shutdown().await;
    Ok(Throughput {
        pods_per_second: as_f64(args.pods - already) / seconds,
        cpu_ms_per_pod: cpu.as_secs_f64() * 1e3 / as_f64(args.pods),
        peak_rss_mib,
    })
}

/// All bound, none twice, no node beyond what it can give.
fn check_placements(server: &Server, pods: usize) -> anyhow::Result<()> {
    ensure!(binding_count(server) == pods, "{} bindings for {pods} pods", binding_count(server));
    let mut used: std::collections::HashMap<String, (i64, i64, usize)> = std::collections::HashMap::new();
    for pod in server.list("pods", None)? {
        let text = |path: &str| pod.pointer(path).and_then(Value::as_str);
        let node = text("/spec/nodeName").with_context(|| format!("{:?} is not bound", text("/metadata/name")))?;
        let request = |name: &str, suffix: &str| {
            text(&format!("/spec/containers/0/resources/requests/{name}"))
                .and_then(|q| q.strip_suffix(suffix)?.parse::<i64>().ok())
                .context("reading a request")
        };
        let entry = used.entry(node.to_owned()).or_default();
        *entry = (entry.0 + request("cpu", "m")?, entry.1 + request("memory", "Mi")?, entry.2 + 1);
    }
    for (node, (cpu, memory, count)) in used {
        ensure!(cpu <= 32_000 && memory <= 256 * 1024 && count <= 110, "{node} is over its allocatable");
    }
    Ok(())
}

async fn latency_run(args: &Args) -> anyhow::Result<Latency> {
    let total = usize::try_from(u64::from(args.latency_rate) * args.latency_seconds).unwrap_or(usize::MAX);
    let server = stand_in(args.latency_nodes, total, 4 * total).await?;
    let mut scheduler = Scheduler::start(&server, args.workers)?;
    // The first pods find it starting; they are not counted.
    let warm_up = usize::try_from(args.latency_rate).unwrap_or(1);
    let mut created = Vec::with_capacity(total);
    let mut tick = tokio::time::interval(Duration::from_secs(1) / args.latency_rate);
    for number in 0..total {
        tick.tick().await;
        created.push(std::time::SystemTime::now());
        server.create(pod(number, number % args.templates))?;
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
    let rows = [
        ("throughput", "pods_per_second", median(throughput.iter().map(|t| t.pods_per_second)), "pods/s"),
        ("throughput", "scheduler_cpu_ms_per_pod", median(throughput.iter().map(|t| t.cpu_ms_per_pod)), "ms"),
        ("throughput", "scheduler_peak_rss_mib", median(throughput.iter().map(|t| t.peak_rss_mib)), "MiB"),
        ("latency", "latency_p50_ms", median(latency.iter().map(|l| l.p50)), "ms"),
        ("latency", "latency_p99_ms", median(latency.iter().map(|l| l.p99)), "ms"),
        ("latency", "latency_max_ms", median(latency.iter().map(|l| l.max)), "ms"),
    ];
    let mut out = std::io::stdout();
    if args.output == "json" {
        let fields = rows.iter().map(|(_, name, value, _)| ((*name).to_owned(), json!(value)));
        return writeln!(out, "{}", Value::Object(fields.collect())).context("writing to standard output");
    }
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_FULL_CONDENSED);
    table.set_header(["run", "figure", "median", "unit"]);
    for (run, name, value, unit) in rows {
        table.add_row([run.to_owned(), name.to_owned(), format!("{value:.2}"), unit.to_owned()]);
    }
    let (nodes, pods, templates) = (args.nodes, args.pods, args.templates);
    writeln!(
        out,
        "throughput: {pods} pending pods of {templates} templates, {nodes} nodes; latency: creation to binding, {} pods/s, \
         {} nodes; median of {}\n{table}",
        args.latency_rate, args.latency_nodes, args.runs
    )
    .context("writing to standard output")
}
