//! `plimsoll bench preemption`: nodes full of pods of low priority, and as many pods of high priority as have room once
//! those are gone. Measured as `bench e2e` measures, from outside.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use plimsoll_apiserver::Server;
use serde_json::{Value, json};

use super::shared::{Scheduler, as_f64, binding_count, pod, stand_in};
use super::usage;
use crate::commands::{block_on, fail};

/// Pods of low priority on each node.
const LOW: usize = 4;
/// What each pod asks for, so that a node of 32 CPUs has room for no fifth one beside its resident.
const REQUEST: &str = "7000m";

/// Arguments of `bench preemption`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Nodes, each with four pods of low priority and one that is as important as those that come.
    #[arg(long, value_name = "NUMBER", default_value_t = 500)]
    nodes: usize,
    /// Pods of high priority; at most four for each node.
    #[arg(long, value_name = "NUMBER", default_value_t = 2_000)]
    pods: usize,
    /// Deciding threads of the scheduler; without it, its own default.
    #[arg(long, value_name = "NUMBER")]
    workers: Option<u16>,
    /// Longest time for all of them.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    limit: u64,
    /// Pods a second below which the run has failed; 0 asks for nothing.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    at_least: u32,
}

/// Runs the benchmark; gives the exit code.
pub(super) fn main(args: &Args) -> i32 {
    if args.nodes == 0 || args.pods == 0 || args.pods > LOW * args.nodes {
        return fail(&anyhow::anyhow!("--pods must be between 1 and {LOW} times --nodes"), 2);
    }
    block_on(run(args))
}

/// A pod of a priority that asks for so much.
fn of_priority(name: &str, priority: i32, cpu: &str, node: Option<usize>) -> Value {
    let mut made = pod(0, 0);
    made["metadata"]["name"] = name.into();
    made["spec"]["priority"] = priority.into();
    made["spec"]["containers"][0]["resources"]["requests"] = json!({ "cpu": cpu });
    if let Some(node) = node {
        made["spec"]["nodeName"] = format!("node-{node}").into();
        made["status"] = json!({ "phase": "Running", "startTime": "2026-01-01T00:00:00Z" });
    }
    made
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let server = stand_in(args.nodes, 2 * args.pods, 20 * args.pods.max(1_000)).await?;
    let mut pods = Vec::new();
    for node in 0..args.nodes {
        pods.push(of_priority(&format!("resident-{node}"), 1_000, "4000m", Some(node)));
        let low = |number| of_priority(&format!("low-{node}-{number}"), 1, REQUEST, Some(node));
        pods.extend((0..LOW).map(low));
    }
    pods.extend((0..args.pods).map(|number| of_priority(&format!("high-{number}"), 1_000, REQUEST, None)));
    let count = pods.len();
    ensure!(server.load(pods) == count, "loading pods");

    let mut scheduler = Scheduler::start(&server, args.workers)?;
    let begun = Instant::now();
    let mut first = None;
    while binding_count(&server) < args.pods {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let victims = deletions(&server).len();
        if victims > 0 {
            first.get_or_insert_with(Instant::now);
        }
        scheduler.alive()?;
        let bound = binding_count(&server);
        ensure!(
            begun.elapsed() < Duration::from_secs(args.limit),
            "after {} s only {bound} of {} pods were bound, with {victims} victims",
            args.limit,
            args.pods
        );
    }
    let from = first.context("nobody was evicted")?;
    let seconds = from.elapsed().as_secs_f64().max(0.001);
    let used = usage::of(scheduler.id())?;
    let victims = check(&server, args)?;
    let rate = as_f64(args.pods) / seconds;
    let cpu = used.cpu.as_secs_f64() * 1e3 / as_f64(args.pods);
    writeln!(
        std::io::stdout(),
        "{} pods of high priority on {} full nodes: {rate:.0} pods/s, {victims} victims, {cpu:.2} ms of CPU a pod, {:.0} MiB",
        args.pods,
        args.nodes,
        used.peak_rss_mib
    )
    .context("writing to standard output")?;
    server.shutdown().await;
    ensure!(rate >= f64::from(args.at_least), "{rate:.0} pods/s are fewer than {}", args.at_least);
    Ok(())
}

/// How often each pod was deleted.
fn deletions(server: &Server) -> BTreeMap<String, usize> {
    let mut deleted = BTreeMap::new();
    for call in server.calls() {
        if call.resource == "pods" && call.verb == "delete" && call.subresource.is_empty() && call.code < 300 {
            *deleted.entry(call.name).or_default() += 1;
        }
    }
    deleted
}

/// Every pod that came has a node; each cost one pod of low priority, which was evicted once; nobody else went.
fn check(server: &Server, args: &Args) -> anyhow::Result<usize> {
    let deleted = deletions(server);
    ensure!(deleted.values().all(|times| *times == 1), "some pod was evicted more than once");
    ensure!(deleted.keys().all(|name| name.starts_with("low-")), "some pod was evicted that is no victim");
    ensure!(deleted.len() == args.pods, "{} victims for {} pods, where one each is enough", deleted.len(), args.pods);
    ensure!(binding_count(server) == args.pods, "{} bindings for {} pods", binding_count(server), args.pods);
    let mut on_node: BTreeMap<String, usize> = BTreeMap::new();
    for pod in server.list("pods", None)? {
        let text = |path: &str| pod.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let node = text("/spec/nodeName").with_context(|| format!("{:?} is not bound", text("/metadata/name")))?;
        *on_node.entry(node).or_default() += 1;
    }
    ensure!(on_node.values().all(|pods| *pods == LOW + 1), "some node is over its allocatable");
    Ok(deleted.len())
}
