//! `plimsoll extender`: another scheduler asks, Plimsoll's plugins answer.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use tokio_util::sync::CancellationToken;

use super::{cancel_on_signal, fail, run};
use crate::admin::{Admin, AdminServer};
use crate::client::{Clients, Cluster, Source};
use crate::config::{Config, Defaults};
use crate::extender::serve::Service;
use crate::logging::{self, LogFormat, LogHandle, LogLevel};
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::scheduler::Scheduler;
use crate::tls::{Rules, Tls};

/// Arguments of `extender`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file, as for `plimsoll run`: its profiles' filters and scores answer. Extenders and leader election
    /// in it mean nothing here.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The profile that answers; without it the first.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Kubeconfig of the cluster; takes precedence over the one in the configuration. Without either, the in-cluster
    /// account is used. $KUBECONFIG and ~/.kube/config never are.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The address to listen on. Whoever reaches it can ask; nothing secret is told.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    bind_address: IpAddr,
    /// The port to listen on; 0 takes any free one. It serves /filter and /prioritize, and health and metrics as `run`
    /// does.
    #[arg(long, value_name = "PORT", default_value_t = 8888)]
    port: u16,
    /// Serve over TLS with this certificate (PEM, with its chain). When it changes, the new one is served.
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    tls_cert_file: Option<PathBuf>,
    /// The key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    tls_private_key_file: Option<PathBuf>,
    /// Form of the log on standard error: text or json.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    logging_format: String,
    /// How much is logged: 0 least, 2 as a rule, 4 debugging, 6 every step.
    #[arg(short = 'v', long = "v", value_name = "NUMBER", default_value_t = 2)]
    verbosity: u8,
}

/// Serves; gives the exit code.
pub fn main(args: &Args, registry: &Registry) -> i32 {
    let log = match start_log(args) {
        Ok(log) => log,
        Err(error) => return fail(&error, 2),
    };
    let mut defaults = Defaults::plimsoll();
    registry.add_to(&mut defaults.catalog);
    let loaded = args.config.as_ref().map_or_else(|| Ok(Config::default()), |path| Config::load(path, &defaults));
    let config = match loaded {
        Ok(config) => config,
        Err(error) => return fail(&anyhow::Error::new(error), 2),
    };
    run::end_on_panic();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime");
    match runtime.map_err(|error| (error, 1)).and_then(|runtime| runtime.block_on(serve(args, config, registry, log))) {
        Ok(()) => 0,
        Err((error, code)) => fail(&error, code),
    }
}

fn start_log(args: &Args) -> anyhow::Result<LogHandle> {
    let format: LogFormat = args.logging_format.parse()?;
    Ok(logging::init(format, &LogLevel::Verbosity(args.verbosity))?)
}

/// The error, and the exit code that it deserves.
type Failed = (anyhow::Error, i32);

async fn serve(args: &Args, config: Config, registry: &Registry, log: LogHandle) -> Result<(), Failed> {
    let input = |error: anyhow::Error| (error, 2);
    let failed = |error: anyhow::Error| (error, 1);
    let profile = profile(args, &config).map_err(input)?;
    let name = config.profiles.get(profile).map(|p| p.scheduler_name.clone()).unwrap_or_default();
    let configured = config.client_connection.kubeconfig.as_deref().filter(|path| !path.is_empty()).map(PathBuf::from);
    let source = Source::from_flag(args.kubeconfig.as_deref().or(configured.as_deref()));
    let metrics = Metrics::new().map(Arc::new).context("making the metrics").map_err(failed)?;
    let cluster = Cluster::load(&source).await.map_err(|error| input(error.into()))?.with_metrics(&metrics);
    let client = cluster.client().map_err(|error| input(error.into()))?;
    let tls = match (&args.tls_cert_file, &args.tls_private_key_file) {
        (Some(certificate), Some(key)) => Some(Tls::from_files(certificate, key, &Rules::default()).map_err(input)?),
        _ => None,
    };
    let server = AdminServer::bind(SocketAddr::new(args.bind_address, args.port)).await.map_err(failed)?;
    let shutdown = CancellationToken::new();
    cancel_on_signal(shutdown.clone()).map_err(failed)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        server = %cluster.address(),
        profile = name,
        "serving as an extender at {scheme}://{}", server.local_addr()
    );
    let shown = serde_json::json!({ "componentconfig": config.to_v1(), "plimsoll": config.to_plimsoll() });
    let scheduler =
        Scheduler::new(config, Clients::from_one(client), Arc::clone(&metrics)).with_registry(registry.clone());
    let (watching, parts) = scheduler.watching(&shutdown).map_err(input)?;
    let admin = Admin { health: watching.health.clone(), metrics, configz: Arc::new(move || shown.clone()), log };
    let router = Service::new(watching, profile).router();
    let serving = tokio::spawn(server.serve_with(admin, router, tls, shutdown.clone()));
    let ended = parts.run(shutdown.clone()).await;
    shutdown.cancel();
    drop(serving.await);
    ended.map_err(failed)
}

/// The number of the profile that answers.
fn profile(args: &Args, config: &Config) -> anyhow::Result<usize> {
    let Some(wanted) = &args.profile else { return Ok(0) };
    let names: Vec<&str> = config.profiles.iter().map(|p| p.scheduler_name.as_str()).collect();
    let found = names.iter().position(|name| name == wanted);
    found.ok_or_else(|| anyhow!("--profile {wanted:?}: there is no such profile, only {}", names.join(", ")))
}
