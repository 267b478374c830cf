//! `plimsoll apiserver`: the stand-in API server by itself.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use plimsoll_apiserver::{Options, Server};
use tokio_util::sync::CancellationToken;

use super::{cancel_on_signal, fail};
use crate::logging::{self, LogFormat, LogLevel};

/// Arguments of `apiserver`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen; port 0 takes a free one. There is no authentication: keep it on this machine.
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 8001)))]
    listen: SocketAddr,
    /// The Kubernetes minor to present, 31 to 37.
    #[arg(long, value_name = "NUMBER", default_value_t = 36)]
    minor: u32,
    /// Write a kubeconfig for it to this file.
    #[arg(long, value_name = "FILE")]
    write_kubeconfig: Option<PathBuf>,
    /// Begin with this many nodes of 32 CPUs, 256 GiB and 110 pods in three zones.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    nodes: usize,
    /// Do not run what Deployments, Jobs and so on ask for.
    #[arg(long)]
    no_controllers: bool,
    /// Do not run the pods that are bound to nodes.
    #[arg(long)]
    no_kubelets: bool,
    /// How many times as fast time runs for CronJobs.
    #[arg(long, value_name = "FACTOR", default_value_t = 1)]
    cron_speedup: u32,
    /// How long the pods of Jobs run.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    job_seconds: u64,
    /// Seed of names and identities.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// How much is logged: 0 least, 4 debugging.
    #[arg(short = 'v', long = "v", value_name = "NUMBER", default_value_t = 2)]
    verbosity: u8,
}

/// Serves until it is interrupted; gives the exit code.
pub fn main(args: &Args) -> i32 {
    if let Err(error) = logging::init(LogFormat::Text, &LogLevel::Verbosity(args.verbosity)) {
        return fail(&error.into(), 2);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime");
    match runtime.and_then(|runtime| runtime.block_on(serve(args))) {
        Ok(()) => 0,
        Err(error) => fail(&error, 1),
    }
}

async fn serve(args: &Args) -> anyhow::Result<()> {
    let server = Server::start(Options {
        listen: args.listen,
        minor: args.minor,
        seed: args.seed,
        controllers: !args.no_controllers,
        kubelets: !args.no_kubelets,
        cron_speedup: args.cron_speedup,
        job_duration: Duration::from_secs(args.job_seconds),
        ..Options::default()
    })
    .await?;
    let nodes = (0..args.nodes).map(|i| super::bench_e2e::node(i, &format!("zone-{}", i % 3))).collect();
    server.load(nodes);
    if let Some(path) = &args.write_kubeconfig {
        std::fs::write(path, server.kubeconfig()).with_context(|| format!("writing kubeconfig {}", path.display()))?;
    }
    let mut out = std::io::stdout();
    writeln!(out, "serving Kubernetes 1.{} on {}", args.minor, server.url()).context("writing to standard output")?;
    out.flush().context("writing to standard output")?;
    let stop = CancellationToken::new();
    cancel_on_signal(stop.clone())?;
    stop.cancelled().await;
    server.shutdown().await;
    Ok(())
}
