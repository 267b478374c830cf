//! `plimsoll bench throttle`: an API server that allows so many calls a second and answers all others with 429. How much of
//! what it allows becomes bindings, whether the lease is renewed all the while, and what becomes of events.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use plimsoll_apiserver::{Call, Rule, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::report::{Figure, Telling};
use super::shared::{Launch, as_f64, bare, binding_count, pod, say, stand_in_with, until};
use crate::commands::{block_on, fail};

/// Arguments of `bench throttle`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Nodes.
    #[arg(long, value_name = "NUMBER", default_value_t = 500)]
    nodes: usize,
    /// Calls a second that are allowed.
    #[arg(long, value_name = "NUMBER", default_value_t = 200)]
    rate: u32,
    /// How long it is watched.
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    seconds: u64,
    /// What the rate is for (repeatable); all of it if it is not said.
    #[arg(long, value_name = "WHOM")]
    limit: Vec<Limit>,
    /// Speak HTTPS, as clusters do; --tls=false for plain HTTP.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true")]
    tls: bool,
    #[command(flatten)]
    telling: Telling,
}

/// What the rate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Limit {
    /// All calls together but those on leases, as API servers exempt leader election.
    Shared,
    /// All calls together.
    Everything,
    /// Bindings, and a quarter of it for events, as with levels of priority.
    Lanes,
}

impl Limit {
    fn rules(self, rate: u32) -> Vec<String> {
        match self {
            Self::Shared => vec![format!("limit={rate},except=leases")],
            Self::Everything => vec![format!("limit={rate}")],
            Self::Lanes => vec![
                format!("limit={rate},resource=pods/binding"),
                format!("limit={},resource=events", (rate / 4).max(1)),
            ],
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(120);
/// As `leaderElection` has it where nothing is said.
const LEASE: &str = "leaseDuration: 15s, renewDeadline: 10s, retryPeriod: 2s";
/// A leader that has not renewed for so long gives up.
const RENEW_DEADLINE: f64 = 10.0;
/// How long the window takes to find the rate.
const SETTLING: Duration = Duration::from_secs(3);
/// The share of the allowed rate that bindings are to keep.
const WANTED_SHARE: f64 = 80.0;

/// Runs the benchmark; gives the exit code.
pub(super) fn main(args: &Args) -> i32 {
    if args.nodes == 0 || args.rate == 0 || args.seconds == 0 {
        return fail(&anyhow::anyhow!("all numbers must be greater than 0"), 2);
    }
    block_on(run(args))
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let limits = match &*args.limit {
        [] => vec![Limit::Shared, Limit::Everything, Limit::Lanes],
        given => given.to_vec(),
    };
    let mut figures = Vec::new();
    for limit in limits {
        say(&format!("{limit:?}: {}", limit.rules(args.rate).join(" ")))?;
        figures.extend(measure(args, limit).await?);
    }
    args.telling.tell(&format!("{} calls/s are allowed, the rest answered with 429", args.rate), &figures)
}

async fn measure(args: &Args, limit: Limit) -> anyhow::Result<Vec<Figure>> {
    let seconds = Duration::from_secs(args.seconds);
    let pods = usize::try_from(u64::from(args.rate) * (args.seconds + 2 * SETTLING.as_secs() + 5))?;
    let server = stand_in_with(args.nodes, bare(pods, 20 * pods, args.tls)).await?;
    ensure!(server.load((0..pods).map(|number| pod(number, number % 20)).collect()) == pods, "loading pods");
    for rule in limit.rules(args.rate) {
        server.faults().add(rule.parse::<Rule>()?);
    }
    let metrics = free_address().await?;
    let launch = Launch { election: Some(LEASE.to_owned()), metrics: Some(metrics), ..Launch::default() };
    let mut scheduler = launch.start(&server)?;
    until("the first binding", PATIENCE, &mut scheduler, || binding_count(&server) > 0).await?;
    tokio::time::sleep(SETTLING).await;
    let (begun, before) = (tokio::time::Instant::now(), binding_count(&server));
    tokio::time::sleep(seconds).await;
    let bound = binding_count(&server) - before;
    let lasted = begun.elapsed().as_secs_f64();
    scheduler.alive()?;
    ensure!(binding_count(&server) < pods, "all pods were bound: there was nothing to be held back");
    let dropped = metric(metrics, "plimsoll_events_dropped_total").await?;
    let calls = server.calls();
    let (renewals, gap) = renewals(&server, &calls);
    let of = |sort: fn(&Call) -> bool, good: bool| {
        calls.iter().filter(|call| sort(call) && (200..300).contains(&call.code) == good).count()
    };
    let binding: fn(&Call) -> bool = |call| call.subresource == "binding";
    let event: fn(&Call) -> bool = |call| call.resource == "events";
    server.shutdown().await;
    let share = as_f64(bound) / lasted / f64::from(args.rate) * 100.0;
    let name = |what: &str| format!("{limit:?}: {what}").to_lowercase();
    Ok(vec![
        Figure::new(name("bindings, of the allowed rate"), share, "%").at_least(WANTED_SHARE),
        Figure::new(name("bindings refused for each that was not"), ratio(of(binding, false), of(binding, true)), ""),
        Figure::new(name("longest time without a renewal"), gap, "s").at_most(RENEW_DEADLINE),
        Figure::new(name("renewals"), as_f64(renewals), ""),
        Figure::new(name("events written"), as_f64(of(event, true)), ""),
        Figure::new(name("events refused"), as_f64(of(event, false)), ""),
        Figure::new(name("events dropped and counted"), dropped, ""),
    ])
}

fn ratio(part: usize, whole: usize) -> f64 {
    as_f64(part) / as_f64(whole).max(1.0)
}

/// How often the lease was renewed, and the longest time in seconds in which it was not, up to now.
fn renewals(server: &Server, calls: &[Call]) -> (usize, f64) {
    let good = |call: &&Call| {
        call.resource == "leases" && matches!(call.verb, "create" | "update") && (200..300).contains(&call.code)
    };
    let mut times: Vec<SystemTime> = calls.iter().filter(good).map(|call| call.time).collect();
    let count = times.len();
    let last = server.calls().last().map(|call| call.time);
    times.extend(last);
    let gaps = times.windows(2).map(|pair| pair[1].duration_since(pair[0]).unwrap_or_default().as_secs_f64());
    (count, gaps.fold(0.0, f64::max))
}

async fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("looking for a free port")?;
    listener.local_addr().context("looking for a free port")
}

/// The value of a series of the scheduler's.
async fn metric(address: SocketAddr, series: &str) -> anyhow::Result<f64> {
    let mut stream = TcpStream::connect(address).await.context("asking for metrics")?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: bench\r\n\r\n").await.context("asking for metrics")?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.context("reading metrics")?;
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.with_context(|| format!("there is no metric {series}"))?.trim().parse().context("reading metrics")
}
