//! `plimsoll bench cpu`: what a pod costs the scheduler, end to end, and what it costs a program that does nothing but
//! bind: with the same client, the same watches and the same events, and a table instead of decisions.

use std::time::{Duration, Instant};

use anyhow::ensure;
use plimsoll_apiserver::Server;

use super::report::{Figure, Telling};
use super::shared::{
    Files, Launch, Scheduler, accepted, as_f64, bare, binding_count, say, stand_in_with, this_program, until, watches,
};
use super::usage;
use super::workloads::Workload;
use crate::commands::{block_on, fail};

/// Arguments of `bench cpu`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Nodes.
    #[arg(long, value_name = "NUMBER", default_value_t = 5_000)]
    nodes: usize,
    /// Pods of each run.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    pods: usize,
    /// Pods that arrive each second in the runs in which they do not wait at the start: few enough for every event to be
    /// written.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000)]
    rate: u32,
    /// What the pods ask for (repeatable); all kinds if it is not said.
    #[arg(long, value_name = "NAME")]
    workload: Vec<Workload>,
    /// Which events are written (repeatable); All and FailuresOnly if it is not said.
    #[arg(long, value_name = "POLICY")]
    event_policy: Vec<String>,
    /// Whether pods arrive one by one or wait at the start (repeatable); both if it is not said.
    #[arg(long, value_name = "HOW")]
    arrival: Vec<Arrival>,
    /// Deciding threads of the scheduler; without it, its own default.
    #[arg(long, value_name = "NUMBER")]
    workers: Option<u16>,
    /// Speak HTTPS, as clusters do; --tls=false for plain HTTP.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true")]
    tls: bool,
    #[command(flatten)]
    telling: Telling,
}

/// When pods come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Arrival {
    /// One by one, while the program runs.
    Steady,
    /// All before it starts.
    Burst,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Scheduler,
    Binder,
}

/// What a run gave.
struct Cost {
    cpu_ms_per_pod: f64,
    events_per_pod: f64,
}

/// Milliseconds of CPU a pod that are wanted, by what is written about it.
fn wanted(policy: &str) -> f64 {
    if policy == "FailuresOnly" { 0.25 } else { 0.40 }
}

/// Milliseconds more than the binder.
const WANTED_BESIDE_BINDER: f64 = 0.10;
/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs the benchmark; gives the exit code.
pub(super) fn main(args: &Args) -> i32 {
    if args.nodes == 0 || args.pods == 0 || args.rate == 0 {
        return fail(&anyhow::anyhow!("all numbers must be greater than 0"), 2);
    }
    block_on(run(args))
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let or = |given: &[Workload]| if given.is_empty() { Workload::ALL.to_vec() } else { given.to_vec() };
    let policies = match &*args.event_policy {
        [] => vec!["All".to_owned(), "FailuresOnly".to_owned()],
        given => given.to_vec(),
    };
    let arrivals = if args.arrival.is_empty() { vec![Arrival::Steady, Arrival::Burst] } else { args.arrival.clone() };
    let mut figures = Vec::new();
    for arrival in arrivals {
        for policy in &policies {
            for workload in or(&args.workload) {
                say(&format!("{arrival:?}, events {policy}, {}", workload.name()))?;
                let ours = measure(args, Program::Scheduler, workload, policy, arrival).await?;
                let binder = measure(args, Program::Binder, workload, policy, arrival).await?;
                let name = |what: &str| format!("{arrival:?} {policy} {} {what}", workload.name()).to_lowercase();
                let (cpu, beside) = (ours.cpu_ms_per_pod, ours.cpu_ms_per_pod - binder.cpu_ms_per_pod);
                figures.push(Figure::new(name("cpu"), cpu, "ms/pod").at_most(wanted(policy)));
                figures.push(Figure::new(name("beside the binder"), beside, "ms/pod").at_most(WANTED_BESIDE_BINDER));
                figures.push(Figure::new(name("events written"), ours.events_per_pod, "/pod"));
                figures.push(Figure::new(name("events of the binder"), binder.events_per_pod, "/pod"));
            }
        }
    }
    let head = format!(
        "{} pods on {} nodes; {}; steady is {} pods/s",
        args.pods,
        args.nodes,
        if args.tls { "HTTPS" } else { "HTTP" },
        args.rate
    );
    args.telling.tell(&head, &figures)
}

impl Program {
    fn start(self, args: &Args, server: &Server, policy: &str) -> anyhow::Result<Scheduler> {
        match self {
            Self::Scheduler => {
                let event_policy = Some(policy.to_owned());
                Launch { workers: args.workers, event_policy, ..Launch::default() }.start(server)
            }
            Self::Binder => {
                let files = Files::new()?;
                let kubeconfig = files.write("kubeconfig", &server.kubeconfig())?;
                let mut command = this_program()?;
                command.args(["bench", "binder", "--nodes", &args.nodes.to_string(), "--event-policy", policy]);
                command.arg("--kubeconfig").arg(&kubeconfig);
                Scheduler::spawn(&mut command, files)
            }
        }
    }
}

async fn measure(
    args: &Args,
    program: Program,
    workload: Workload,
    policy: &str,
    arrival: Arrival,
) -> anyhow::Result<Cost> {
    let server = stand_in_with(args.nodes, bare(args.pods, 0, args.tls)).await?;
    let mut child = match arrival {
        Arrival::Burst => {
            ensure!(server.load((0..args.pods).map(|i| workload.pod(i)).collect()) == args.pods, "loading pods");
            program.start(args, &server, policy)?
        }
        Arrival::Steady => {
            let mut child = program.start(args, &server, policy)?;
            until("the watches", PATIENCE, &mut child, || watches(&server, "pods") > 0).await?;
            let mut tick = tokio::time::interval(Duration::from_secs(1) / args.rate);
            for number in 0..args.pods {
                tick.tick().await;
                server.create(workload.pod(number))?;
            }
            child
        }
    };
    until("all pods to be bound", PATIENCE, &mut child, || binding_count(&server) >= args.pods).await?;
    let events = || count_events(&server);
    quiet(&mut child, events).await?;
    let cpu = usage::of(child.id())?.cpu;
    if program == Program::Scheduler {
        workload.check(&server.list("pods", None)?)?;
    }
    ensure!(binding_count(&server) == args.pods, "{} bindings for {} pods", binding_count(&server), args.pods);
    let events_per_pod = as_f64(events()) / as_f64(args.pods);
    // First, so that nobody complains of a server that is gone.
    drop(child);
    server.shutdown().await;
    Ok(Cost { cpu_ms_per_pod: cpu.as_secs_f64() * 1e3 / as_f64(args.pods), events_per_pod })
}

/// Waits until no event has been written for a while.
async fn quiet(child: &mut Scheduler, events: impl Fn() -> usize) -> anyhow::Result<()> {
    let (mut last, mut since) = (events(), Instant::now());
    while since.elapsed() < Duration::from_millis(500) {
        child.alive()?;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = events();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(())
}

/// How many events the stand-in was given.
fn count_events(server: &Server) -> usize {
    accepted(server, "create", ("events", ""))
}
