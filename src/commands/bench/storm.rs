//! `plimsoll bench storm`: thousands of pods that fit nowhere, pods that go all the time, and among them some that can be
//! placed, which must not notice. Stand-in and scheduler are two processes, as in [`super::e2e`].

use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use plimsoll_apiserver::Server;
use serde_json::{Value, json};

use super::shared::{Scheduler, accepted, as_f64, binding_count, percentile, say, stand_in};
use super::usage;
use crate::commands::{block_on, fail};

/// Arguments of `bench storm`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Nodes, each with 12 of its 32 CPUs free.
    #[arg(long, value_name = "NUMBER", default_value_t = 5_000)]
    nodes: usize,
    /// Pods that ask for 16 CPUs, more than any node has free.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    unschedulable: usize,
    /// Small pods that are deleted each second; what they leave is never enough.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    deletions: u32,
    /// Pods that can be placed and arrive each second.
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    placeable: u32,
    /// Length of the quiet part and of the storm.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    seconds: u64,
    /// Deciding threads of the scheduler; without it, its own default.
    #[arg(long, value_name = "NUMBER")]
    workers: Option<u16>,
    /// Print one JSON object instead of a table.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: String,
}

/// How long the pods that fit nowhere may take to be tried once each.
const FIRST_TRIES: Duration = Duration::from_secs(600);

/// Runs the benchmark; gives the exit code: 1 too where the storm is felt more than it may be.
pub(super) fn main(args: &Args) -> i32 {
    if args.output != "table" && args.output != "json" {
        return fail(&anyhow::anyhow!("-o {}: known are table and json", args.output), 2);
    }
    let rates = [args.deletions, args.placeable];
    if args.nodes == 0 || args.unschedulable == 0 || args.seconds == 0 || rates.contains(&0) {
        return fail(&anyhow::anyhow!("all numbers must be greater than 0"), 2);
    }
    block_on(run(args))
}

/// What one part gave.
struct Part {
    /// From creation to binding, in milliseconds.
    p50: f64,
    p99: f64,
    /// Cores that the scheduler kept busy.
    cores: f64,
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let rate = args.deletions + args.placeable;
    let leaving = usize::try_from(u64::from(args.deletions) * args.seconds).unwrap_or(usize::MAX);
    let server = stand_in(args.nodes, args.unschedulable + leaving, 1_000_000).await?;
    let there = (0..args.nodes).map(|i| on_node(&format!("large-{i}"), "20", i));
    let leavers = (0..leaving).map(|i| on_node(&format!("leaving-{i}"), "100m", i % args.nodes));
    ensure!(server.load(there.chain(leavers).collect()) == args.nodes + leaving, "loading pods");
    let mut scheduler = Scheduler::start(&server, args.workers)?;

    say(&format!("quiet: {} placeable pods/s for {} s", args.placeable, args.seconds))?;
    let quiet = part(args, &server, &mut scheduler, "quiet", 0).await?;

    say(&format!("{} pods that fit nowhere come, and are tried once each", args.unschedulable))?;
    let begun = Instant::now();
    let hogs = (0..args.unschedulable).map(|i| pod(&format!("hog-{i}"), "16")).collect();
    ensure!(server.load(hogs) == args.unschedulable, "loading pods");
    while condition_writes(&server) < args.unschedulable {
        scheduler.alive()?;
        ensure!(begun.elapsed() < FIRST_TRIES, "{} conditions were written", condition_writes(&server));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let first_tries = begun.elapsed().as_secs_f64();

    say(&format!("storm: {rate} changes/s for {} s", args.seconds))?;
    let written = condition_writes(&server);
    let storm = part(args, &server, &mut scheduler, "storm", args.deletions).await?;
    let rewritten = condition_writes(&server) - written;
    server.shutdown().await;
    report(args, &quiet, &storm, first_tries, rewritten)
}

fn pod(name: &str, cpu: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "schedulerName": "plimsoll",
            "terminationGracePeriodSeconds": 0,
            "containers": [{ "name": "main", "image": "registry.example/app:1",
                "resources": { "requests": { "cpu": cpu, "memory": "256Mi" } } }],
        },
    })
}

fn on_node(name: &str, cpu: &str, node: usize) -> Value {
    let mut made = pod(name, cpu);
    made["spec"]["nodeName"] = format!("node-{node}").into();
    made
}

/// Pods that can be placed come, and `deletions` go, each second.
async fn part(
    args: &Args,
    server: &Server,
    scheduler: &mut Scheduler,
    name: &str,
    deletions: u32,
) -> anyhow::Result<Part> {
    let (before, count) = (usage::of(scheduler.id())?.cpu, binding_count(server));
    let (begun, ticks_per_second) = (Instant::now(), args.placeable + deletions);
    let mut tick = tokio::time::interval(Duration::from_secs(1) / ticks_per_second);
    let (mut created, mut deleted) = (Vec::new(), 0);
    for number in 0..u64::from(ticks_per_second) * args.seconds {
        tick.tick().await;
        // The pods that come are spread evenly among those that go.
        if number * u64::from(args.placeable) % u64::from(ticks_per_second) < u64::from(args.placeable) {
            created.push(SystemTime::now());
            server.create(pod(&format!("{name}-{}", created.len() - 1), "100m"))?;
        } else {
            server.delete("pods", "default", &format!("leaving-{deleted}"))?;
            deleted += 1;
        }
    }
    let (spent, lasted) = (usage::of(scheduler.id())?.cpu.saturating_sub(before), begun.elapsed());
    while binding_count(server) < count + created.len() {
        scheduler.alive()?;
        ensure!(begun.elapsed() < lasted + Duration::from_secs(120), "not all placeable pods were bound");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut latencies = latencies(server, name, &created);
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| percentile(&latencies, share).context("no latency was measured");
    Ok(Part { p50: at(0.5)?, p99: at(0.99)?, cores: spent.as_secs_f64() / lasted.as_secs_f64() })
}

/// From the creation of each placeable pod to its binding, in milliseconds. The first second finds the scheduler starting
/// and is not counted.
fn latencies(server: &Server, name: &str, created: &[SystemTime]) -> Vec<f64> {
    let warm = created.first().map(|first| *first + Duration::from_secs(1));
    let bindings = server.calls().into_iter().filter(|call| call.subresource == "binding");
    let number = |call: &plimsoll_apiserver::Call| {
        call.name.strip_prefix(name)?.strip_prefix('-')?.parse::<usize>().ok().and_then(|n| created.get(n).copied())
    };
    let taken = bindings.filter_map(|call| Some((number(&call)?, call.time)));
    let counted = taken.filter(|(created, _)| warm.is_some_and(|warm| *created > warm));
    counted.map(|(created, bound)| bound.duration_since(created).unwrap_or_default().as_secs_f64() * 1e3).collect()
}

/// How many conditions of pods that fit nowhere have been written.
fn condition_writes(server: &Server) -> usize {
    accepted(server, "patch", ("pods", "status"))
}

fn report(args: &Args, quiet: &Part, storm: &Part, first_tries: f64, rewritten: usize) -> anyhow::Result<()> {
    let rows = [
        ("first_tries_per_second", as_f64(args.unschedulable) / first_tries.max(0.001), "pods/s"),
        ("quiet_p50_ms", quiet.p50, "ms"),
        ("quiet_p99_ms", quiet.p99, "ms"),
        ("quiet_scheduler_cores", quiet.cores, "cores"),
        ("storm_p50_ms", storm.p50, "ms"),
        ("storm_p99_ms", storm.p99, "ms"),
        ("storm_p99_to_quiet", storm.p99 / quiet.p99, ""),
        ("storm_scheduler_cores", storm.cores, "cores"),
        ("conditions_rewritten", as_f64(rewritten), ""),
    ];
    let mut out = std::io::stdout();
    if args.output == "json" {
        let fields = rows.iter().map(|(name, value, _)| ((*name).to_owned(), json!(value)));
        writeln!(out, "{}", Value::Object(fields.collect())).context("writing to standard output")?;
    } else {
        let mut table = comfy_table::Table::new();
        table.load_preset(comfy_table::presets::UTF8_FULL_CONDENSED);
        table.set_header(["figure", "value", "unit"]);
        for (name, value, unit) in rows {
            table.add_row([name.to_owned(), format!("{value:.2}"), unit.to_owned()]);
        }
        writeln!(
            out,
            "{} pods that fit nowhere, {} deletions and {} placeable pods a second, {} nodes, {} s\n{table}",
            args.unschedulable, args.deletions, args.placeable, args.nodes, args.seconds
        )
        .context("writing to standard output")?;
    }
    ensure!(rewritten == 0, "{rewritten} conditions were written again, though nothing had changed");
    ensure!(storm.cores < 1.0, "the scheduler kept {:.2} cores busy in the storm", storm.cores);
    Ok(())
}
