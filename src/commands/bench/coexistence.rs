//! `plimsoll bench coexistence`: another scheduler binds to the same nodes, which are nearly full, and what it does is seen
//! late. Kubelets refuse what does not fit: how many of our pods that happens to, and whether any of them could have been
//! known not to fit.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use plimsoll_apiserver::{Options, Server};
use serde_json::{Value, json};

use super::report::{Figure, Telling};
use super::shared::{Launch, Scheduler, as_f64, bare, binding_count, node, say, stand_in_with, until, watches};
use crate::commands::{block_on, fail};

/// Arguments of `bench coexistence`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Nodes, of 32 CPUs each.
    #[arg(long, value_name = "NUMBER", default_value_t = 500)]
    nodes: usize,
    /// Our pods.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    pods: usize,
    /// Our pods that arrive each second.
    #[arg(long, value_name = "NUMBER", default_value_t = 200)]
    rate: u32,
    /// Pods of the other scheduler that arrive each second.
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    others: u32,
    /// CPUs that each pod asks for.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pod_cpus: usize,
    /// How full the nodes are, in percent. For each pod that comes another goes.
    #[arg(long, value_name = "NUMBER", default_value_t = 90)]
    full: usize,
    /// How late watches are.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 20)]
    delay_ms: u64,
    /// Speak HTTPS, as clusters do; --tls=false for plain HTTP.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true")]
    tls: bool,
    #[command(flatten)]
    telling: Telling,
}

const PATIENCE: Duration = Duration::from_secs(120);
/// CPUs of a node.
const NODE_CPUS: usize = 32;
/// Beyond the delay of the watch a binding may take so long to be seen, and ours so long from the commit to the server.
const SLACK: Duration = Duration::from_millis(30);
/// The other scheduler, which is one of ours by another name: it likes the same nodes.
const OTHER: &str = "other";
/// Of 10,000.
const WANTED_REFUSED: f64 = 10.0;

/// Runs the benchmark; gives the exit code.
pub(super) fn main(args: &Args) -> i32 {
    let numbers = [args.nodes, args.pods, args.pod_cpus];
    if numbers.contains(&0) || args.rate == 0 || args.full > 100 || args.pod_cpus > NODE_CPUS {
        return fail(
            &anyhow::anyhow!("all numbers must be greater than 0, --full at most 100, --pod-cpus at most 32"),
            2,
        );
    }
    block_on(run(args))
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let server = start(args).await?;
    server.delay_watches("pods", Duration::from_millis(args.delay_ms))?;
    let mut ours = Launch::default().start(&server)?;
    let mut other = Launch { name: Some(OTHER.to_owned()), ..Launch::default() }.start(&server)?;
    until("the watches", PATIENCE, &mut ours, || watches(&server, "pods") >= 4).await?;
    say(&format!("{} of our pods/s and {} of the other scheduler", args.rate, args.others))?;
    let made = load(args, &server, (&mut ours, &mut other)).await?;
    until("all pods to be bound", PATIENCE, &mut ours, || binding_count(&server) >= made).await?;
    // Kubelets get to the last ones, too.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let refusals = judge(args, &server)?;
    server.shutdown().await;
    let per_10_000 = |count: usize| as_f64(count) * 10_000.0 / as_f64(args.pods);
    let figures = [
        Figure::new("our pods", as_f64(args.pods), ""),
        Figure::new("our pods refused by kubelets, of 10,000", per_10_000(refusals.ours), "").at_most(WANTED_REFUSED),
        Figure::new("of them, where what stood against them had been seen", as_f64(refusals.seen), "").at_most(0.0),
        Figure::new("pods of the other scheduler refused", as_f64(refusals.others), ""),
    ];
    let head = format!(
        "{} nodes, {} % full, pods of {} of {NODE_CPUS} CPUs, watches {} ms late",
        args.nodes, args.full, args.pod_cpus, args.delay_ms
    );
    args.telling.tell(&head, &figures)
}

/// Nodes with kubelets, full of pods that run.
async fn start(args: &Args) -> anyhow::Result<Server> {
    let options = Options { kubelets: true, ..bare(50_000, 1_000_000, args.tls) };
    let server = stand_in_with(0, options).await?;
    let nodes = (0..args.nodes).map(|number| node(number, &format!("zone-{}", number % 3))).collect();
    ensure!(server.load(nodes) == args.nodes, "loading nodes");
    let fillers = fillers(args);
    let made = (0..fillers).map(|number| {
        let mut filler = pod(args, &format!("filler-{number}"), "nobody");
        filler["spec"]["nodeName"] = format!("node-{}", number % args.nodes).into();
        filler
    });
    ensure!(server.load(made.collect()) == fillers, "loading pods");
    let begun = tokio::time::Instant::now();
    loop {
        let running = server.list("pods", None)?.iter().filter(|pod| pod["status"]["phase"] == "Running").count();
        if running == fillers {
            return Ok(server);
        }
        ensure!(begun.elapsed() < PATIENCE, "{running} of {fillers} pods run");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// How many pods fill the nodes.
fn fillers(args: &Args) -> usize {
    args.nodes * NODE_CPUS * args.full / 100 / args.pod_cpus
}

fn pod(args: &Args, name: &str, scheduler: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "schedulerName": scheduler, "terminationGracePeriodSeconds": 0,
            "containers": [{ "name": "main", "image": "registry.example/app:1",
                "resources": { "requests": { "cpu": args.pod_cpus.to_string() } } }],
        },
    })
}

/// Pods of both come, and for each of them one that filled a node goes. Gives how many came.
async fn load(args: &Args, server: &Server, (ours, other): (&mut Scheduler, &mut Scheduler)) -> anyhow::Result<usize> {
    let fillers = fillers(args);
    let begun = tokio::time::Instant::now();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / (args.rate + args.others));
    let (mut made, mut others) = (0, 0);
    while made < args.pods {
        tick.tick().await;
        let due = begun.elapsed().as_secs_f64() * f64::from(args.others);
        let name = if as_f64(others) < due {
            others += 1;
            (format!("theirs-{others}"), OTHER)
        } else {
            made += 1;
            (format!("ours-{made}"), "plimsoll")
        };
        server.create(pod(args, &name.0, name.1))?;
        let number = made + others - 1;
        ensure!(number < fillers, "all {fillers} pods that filled the nodes have gone: there are more to come");
        // Another node each time, in an order that is none: the factor is a prime beyond all of these numbers.
        server.delete("pods", "default", &format!("filler-{}", number * 1_000_003 % fillers))?;
        ours.alive()?;
        other.alive()?;
    }
    Ok(made + others)
}

/// What kubelets have refused.
struct Refusals {
    ours: usize,
    others: usize,
    /// Of ours, those of which it had been known.
    seen: usize,
}

fn judge(args: &Args, server: &Server) -> anyhow::Result<Refusals> {
    let mut bound: BTreeMap<String, SystemTime> = BTreeMap::new();
    for call in server.calls().into_iter().filter(|c| c.subresource == "binding" && (200..300).contains(&c.code)) {
        ensure!(bound.insert(call.name.clone(), call.time).is_none(), "{} was bound twice", call.name);
    }
    let pods = server.list("pods", None)?;
    let text = |pod: &Value, path: &str| pod.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut theirs: BTreeMap<String, Vec<SystemTime>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| pod["spec"]["schedulerName"] == OTHER) {
        if let Some(at) = bound.get(&text(pod, "/metadata/name")) {
            theirs.entry(text(pod, "/spec/nodeName")).or_default().push(*at);
        }
    }
    let mut refusals = Refusals { ours: 0, others: 0, seen: 0 };
    for pod in pods.iter().filter(|pod| pod["status"]["phase"] == "Failed") {
        if pod["spec"]["schedulerName"] == OTHER {
            refusals.others += 1;
            continue;
        }
        refusals.ours += 1;
        let at = bound.get(&text(pod, "/metadata/name")).context("a refused pod that was never bound")?;
        // Only what came so late that it cannot have been seen excuses us; kubelets, too, see both at once.
        let window = Duration::from_millis(args.delay_ms) + SLACK;
        let near = |other: &SystemTime| *other + window > *at && *other < *at + SLACK;
        if !theirs.get(&text(pod, "/spec/nodeName")).is_some_and(|times| times.iter().any(near)) {
            refusals.seen += 1;
        }
    }
    Ok(refusals)
}
