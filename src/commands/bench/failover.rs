//! `plimsoll bench failover`: two schedulers as processes of their own, of which the leader is killed, stopped in good
//! order, or frozen and thawed again, under load. How long nobody binds is measured; that no pod is lost or bound twice,
//! and that whoever was frozen binds nothing any more, has to hold in any case.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use plimsoll_apiserver::{Call, Options, Server, User};

use super::report::{Figure, Telling};
use super::shared::{Launch, Scheduler, as_f64, bare, pod, say, stand_in_with, until, watches};
use crate::commands::{block_on, fail};

/// Arguments of `bench failover`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Nodes.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    nodes: usize,
    /// Pods that arrive each second.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    rate: u32,
    /// How long a lease is valid. It is renewed within two thirds of that.
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    lease_seconds: u32,
    /// What happens to the leader (repeatable); all of it if it is not said.
    #[arg(long, value_name = "SIGNAL")]
    blow: Vec<Blow>,
    /// Speak HTTPS, as clusters do; --tls=false for plain HTTP.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true")]
    tls: bool,
    #[command(flatten)]
    telling: Telling,
}

/// What happens to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Blow {
    /// It ends at once.
    Kill,
    /// It is asked to end.
    Term,
    /// It is frozen, and thawed when another leads.
    Stop,
}

/// How long anything may take, beyond the lease.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pods before the blow.
const BEFORE: usize = 100;
/// Replicas, by their tokens.
const NAMES: [&str; 2] = ["first", "second"];

/// Runs the benchmark; gives the exit code.
pub(super) fn main(args: &Args) -> i32 {
    if args.nodes == 0 || args.rate == 0 || args.lease_seconds < 3 {
        return fail(&anyhow::anyhow!("--nodes and --rate must be greater than 0, --lease-seconds at least 3"), 2);
    }
    block_on(run(args))
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let blows = if args.blow.is_empty() { vec![Blow::Kill, Blow::Term, Blow::Stop] } else { args.blow.clone() };
    let mut figures = Vec::new();
    for blow in blows {
        say(&format!("SIG{} to the leader", format!("{blow:?}").to_uppercase()))?;
        figures.extend(strike(args, blow).await?);
    }
    let head = format!("{} pods/s, leases of {} s, {} nodes", args.rate, args.lease_seconds, args.nodes);
    args.telling.tell(&head, &figures)
}

/// A cluster with two replicas.
struct Stage {
    server: Server,
    replicas: Vec<Scheduler>,
    rate: u32,
    pods: usize,
}

impl Stage {
    async fn new(args: &Args) -> anyhow::Result<Self> {
        let tokens = NAMES.map(|name| (name.to_owned(), User { name: name.to_owned(), groups: Vec::new() })).into();
        // Replicas are told apart by their tokens, so that there is no certificate of a client.
        let tls = args.tls.then(plimsoll_apiserver::TlsOptions::default);
        let options = Options { tokens, tls, ..bare(10_000, 1_000_000, false) };
        let server = stand_in_with(args.nodes, options).await?;
        let mut stage = Self { server, replicas: Vec::new(), rate: args.rate, pods: 0 };
        let (renew, lease) = (args.lease_seconds * 2 / 3, args.lease_seconds);
        for (name, number) in NAMES.into_iter().zip(1..) {
            let election = format!("leaseDuration: {lease}s, renewDeadline: {renew}s, retryPeriod: 500ms");
            let kubeconfig = Some(stage.server.kubeconfig_of(name));
            let launch = Launch { election: Some(election), kubeconfig, ..Launch::default() };
            let mut replica = launch.start(&stage.server)?;
            let server = &stage.server;
            until("a replica's watches", PATIENCE, &mut replica, || watches(server, "pods") >= 2 * number).await?;
            stage.replicas.push(replica);
            if number == 1 {
                // From its first binding on it is the leader.
                stage.place(1, NAMES[0]).await?;
            }
        }
        stage.place(BEFORE, NAMES[0]).await?;
        Ok(stage)
    }

    /// Makes so many pods at the rate, and waits until this replica has bound one and all are bound.
    async fn place(&mut self, pods: usize, by: &str) -> anyhow::Result<()> {
        let last = self.pods + pods;
        self.load_until(|stage| stage.pods >= last).await?;
        let begun = tokio::time::Instant::now();
        while self.bindings().len() < self.pods {
            ensure!(begun.elapsed() < PATIENCE, "{} of {} pods were bound by {by}", self.bindings().len(), self.pods);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Makes pods at the rate until `done`.
    async fn load_until(&mut self, done: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let begun = tokio::time::Instant::now();
        let mut tick = tokio::time::interval(Duration::from_secs(1) / self.rate);
        while !done(self) {
            ensure!(begun.elapsed() < 10 * PATIENCE, "nothing went on");
            tick.tick().await;
            self.server.create(pod(self.pods, self.pods % 20))?;
            self.pods += 1;
        }
        Ok(())
    }

    /// Bindings that the server has carried out, in their order.
    fn bindings(&self) -> Vec<Call> {
        let mut calls = self.server.calls();
        calls.retain(|call| call.subresource == "binding" && (200..300).contains(&call.code));
        calls
    }

    fn bound_by(&self, name: &str) -> usize {
        self.bindings().iter().filter(|call| call.user == name).count()
    }
}

async fn strike(args: &Args, blow: Blow) -> anyhow::Result<Vec<Figure>> {
    let mut stage = Stage::new(args).await?;
    ensure!(stage.bound_by(NAMES[1]) == 0, "the standby has bound pods");
    let at = SystemTime::now();
    stage.replicas[0].signal(match blow {
        Blow::Kill => "KILL",
        Blow::Term => "TERM",
        Blow::Stop => "STOP",
    })?;
    stage.load_until(|stage| stage.bound_by(NAMES[1]) > 0).await?;
    let thawed = SystemTime::now();
    if blow == Blow::Stop {
        stage.replicas[0].signal("CONT")?;
    }
    stage.place(BEFORE, NAMES[1]).await?;
    let ended = wait_for_end(&mut stage.replicas[0]).await?;
    stage.replicas[1].alive()?;
    let figures = judge(args, blow, &stage, at, thawed)?;
    ensure!(
        blow == Blow::Kill || ended == Some(i32::from(blow == Blow::Stop)),
        "the first replica ended with {ended:?}"
    );
    stage.server.shutdown().await;
    Ok(figures)
}

/// The exit code of a replica that is to end, where it has one.
async fn wait_for_end(replica: &mut Scheduler) -> anyhow::Result<Option<i32>> {
    let begun = tokio::time::Instant::now();
    loop {
        if let Some(status) = replica.ended()? {
            return Ok(status.code());
        }
        ensure!(begun.elapsed() < PATIENCE, "the first replica did not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn judge(args: &Args, blow: Blow, stage: &Stage, at: SystemTime, thawed: SystemTime) -> anyhow::Result<Vec<Figure>> {
    let bindings = stage.bindings();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    bindings.iter().for_each(|call| *times.entry(&call.name).or_default() += 1);
    let twice = times.values().filter(|times| **times > 1).count();
    let lost = stage.pods - times.len();
    let first = bindings.iter().find(|call| call.user == NAMES[1]).context("the second replica bound nothing")?;
    let gap = first.time.duration_since(at).unwrap_or_default().as_secs_f64();
    let mut calls = stage.server.calls();
    calls.retain(|call| call.subresource == "binding" && call.user == NAMES[0]);
    // What it has asked for after another has begun, whatever came of it.
    let late = calls.iter().filter(|call| call.time > first.time).count();
    let after_thaw = calls.iter().filter(|call| call.time > thawed).count();
    ensure!(twice == 0 && lost == 0, "{twice} pods were bound twice, {lost} not at all");
    ensure!(late == 0 && after_thaw == 0, "the first replica asked for {late} bindings when the second led");
    let name = |what: &str| format!("{blow:?}: {what}").to_lowercase();
    let limit = if blow == Blow::Term { 1.0 } else { f64::from(args.lease_seconds) + 1.0 };
    Ok(vec![
        Figure::new(name("until the next binding"), gap, "s").at_most(limit),
        Figure::new(name("pods"), as_f64(stage.pods), ""),
        Figure::new(name("lost"), as_f64(lost), "").at_most(0.0),
        Figure::new(name("bound twice"), as_f64(twice), "").at_most(0.0),
        Figure::new(name("bindings of the first after its end"), as_f64(late), "").at_most(0.0),
    ])
}
