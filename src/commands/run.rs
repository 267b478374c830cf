//! `plimsoll run`: the scheduler.

mod reload;
mod serving;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use plimsoll_plugins::args::GoDuration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{cancel_on_signal, fail};
use crate::admin::DEFAULT_ADDRESS;
use crate::client::{Cluster, Source};
use crate::config::{Config, ConfigError, Defaults};
use crate::inspect::Inspect;
use crate::logging::{self, LogFormat, LogHandle, LogLevel};
use crate::metrics::Metrics;
use crate::record::Room;
use crate::registry::Registry;
use crate::scheduler::Scheduler;

/// The process's namespace, as Kubernetes mounts it.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Arguments of `run`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Configuration file: a KubeSchedulerConfiguration and, as a second document, a PlimsollConfiguration. When it
    /// changes it is taken over while the scheduler runs, at once after a SIGHUP; one that cannot be run is not.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Kubeconfig of the cluster; takes precedence over the one in the configuration. Without either, the in-cluster
    /// account is used. $KUBECONFIG and ~/.kube/config never are.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Write the configuration with all defaults to this file, and exit.
    #[arg(long, value_name = "FILE")]
    write_config_to: Option<PathBuf>,
    /// Where health, metrics and configuration are served over plain HTTP; "0" turns it off.
    #[arg(long, value_name = "ADDRESS", default_value_t = DEFAULT_ADDRESS.to_string())]
    http_address: String,
    #[command(flatten)]
    secured: serving::SecuredArgs,
    /// Elect a leader; overrides the configuration, as do the other leader election flags.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    leader_elect: Option<bool>,
    /// How long a lease is valid.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    leader_elect_lease_duration: Option<Duration>,
    /// How long the leader tries to renew its lease before it gives up.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    leader_elect_renew_deadline: Option<Duration>,
    /// Wait between tries.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    leader_elect_retry_period: Option<Duration>,
    /// Name of the Lease.
    #[arg(long, value_name = "NAME")]
    leader_elect_resource_name: Option<String>,
    /// Namespace of the Lease.
    #[arg(long, value_name = "NAMESPACE")]
    leader_elect_resource_namespace: Option<String>,
    /// Calls a second to the API server; without it as many as the server bears.
    #[arg(long, value_name = "NUMBER")]
    kube_api_qps: Option<f64>,
    /// Calls to the API server at once.
    #[arg(long, value_name = "NUMBER")]
    kube_api_burst: Option<i32>,
    /// After how long without an event that might help a pending pod is tried again all the same.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5m")]
    pod_max_in_unschedulable_pods_duration: Duration,
    /// Write down everything that reaches the scheduling engine, in this folder, for `plimsoll replay`; it must not hold a
    /// recording already. One thread decides then, whatever the configuration says.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// How large a recording may become, compressed; when it is, recording stops and scheduling goes on.
    #[arg(long, value_name = "NUMBER", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    record_max_mebibytes: u64,
    /// Form of the log on standard error: text or json.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    logging_format: String,
    /// How much is logged: 0 least, 2 as a rule, 4 debugging, 6 every step. Can be changed at run time.
    #[arg(short = 'v', long = "v", value_name = "NUMBER", default_value_t = 2)]
    verbosity: u8,
    /// How much is logged, as a filter such as info,plimsoll=debug; takes precedence over -v.
    #[arg(long, value_name = "FILTER")]
    log_level: Option<String>,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration: GoDuration = text.parse().map_err(|e| format!("{e} (such as 15s, 1m30s)"))?;
    if duration.nanoseconds() < 0 { Err("must not be negative".to_owned()) } else { Ok(duration.to_std()) }
}

/// Runs the scheduler; gives the exit code. `ignored` are kube-scheduler's flags that mean nothing here.
pub fn main(args: &Args, ignored: &[String], registry: &Registry) -> i32 {
    let log = match start_log(args) {
        Ok(log) => log,
        Err(error) => return fail(&error, 2),
    };
    if !ignored.is_empty() {
        tracing::warn!("these flags of kube-scheduler have no effect here: {}", ignored.join(" "));
    }
    args.secured.warn();
    let config = match configuration(args, registry) {
        Ok(config) => config,
        Err(error) => return fail(&error, 2),
    };
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    if let Some(path) = &args.write_config_to {
        let written = config.to_yaml().map_err(anyhow::Error::from).and_then(|yaml| Ok(std::fs::write(path, yaml)?));
        return match written.with_context(|| format!("writing the configuration to {}", path.display())) {
            Ok(()) => 0,
            Err(error) => fail(&error, 1),
        };
    }
    let room = args.record.as_ref().map(|dir| Room::new(dir, args.record_max_mebibytes)).transpose();
    let room = match room {
        Ok(room) => room,
        Err(error) => return fail(&error.into(), 2),
    };
    end_on_panic();
    match super::scheduler_runtime() {
        Ok(runtime) => runtime.block_on(serve(args, config, room, registry, log)),
        Err(error) => fail(&error, 1),
    }
}

fn start_log(args: &Args) -> anyhow::Result<LogHandle> {
    let format: LogFormat = args.logging_format.parse()?;
    let level = args.log_level.clone().map_or(LogLevel::Verbosity(args.verbosity), LogLevel::Filter);
    Ok(logging::init(format, &level)?)
}

/// A panic in any thread ends the process: half a scheduler must not go on holding the lease.
pub(super) fn end_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(1);
    }));
}

/// The configuration with the flags applied.
///
/// # Errors
/// When it cannot be read or run; the text says all that is wrong.
fn configuration(args: &Args, registry: &Registry) -> anyhow::Result<Config> {
    let mut defaults = Defaults::plimsoll();
    registry.add_to(&mut defaults.catalog);
    let mut config = match &args.config {
        None => Config::default(),
        Some(path) => Config::load(path, &defaults)?,
    };
    args.apply(&mut config);
    if config.leader_election.resource_namespace.is_none() {
        config.leader_election.resource_namespace =
            std::fs::read_to_string(NAMESPACE_FILE).ok().map(|ns| ns.trim().to_owned());
    }
    let mut problems: Vec<ConfigError> = config.unsupported(&|name| registry.contains(name));
    problems.extend(config.refusals());
    if problems.is_empty() {
        return Ok(config);
    }
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Err(anyhow::anyhow!("this configuration cannot be run:\n{}", lines.join("\n")))
}

impl Args {
    fn apply(&self, config: &mut Config) {
        fn set<T: Clone>(field: &mut T, flag: &Option<T>) {
            if let Some(value) = flag {
                *field = value.clone();
            }
        }
        let election = &mut config.leader_election;
        set(&mut election.leader_elect, &self.leader_elect);
        set(&mut election.lease_duration, &self.leader_elect_lease_duration);
        set(&mut election.renew_deadline, &self.leader_elect_renew_deadline);
        set(&mut election.retry_period, &self.leader_elect_retry_period);
        set(&mut election.resource_name, &self.leader_elect_resource_name);
        set(&mut election.resource_namespace, &self.leader_elect_resource_namespace.clone().map(Some));
        set(&mut config.client_connection.qps, &self.kube_api_qps.map(Some));
        set(&mut config.client_connection.burst, &self.kube_api_burst.map(Some));
    }
}

async fn serve(args: &Args, config: Config, room: Option<Room>, registry: &Registry, log: LogHandle) -> i32 {
    let configured = config.client_connection.kubeconfig.as_deref().filter(|path| !path.is_empty()).map(PathBuf::from);
    let source = Source::from_flag(args.kubeconfig.as_deref().or(configured.as_deref()));
    let metrics = match Metrics::new().context("making the metrics") {
        Ok(metrics) => Arc::new(metrics),
        Err(error) => return fail(&error, 1),
    };
    let cluster = match Cluster::load(&source).await {
        Ok(cluster) => cluster.with_metrics(&metrics),
        Err(error) => return fail(&anyhow::Error::new(error), 2),
    };
    let clients = match cluster.clients() {
        Ok(clients) => clients,
        Err(error) => return fail(&anyhow::Error::new(error), 2),
    };
    let admin = match serving::plain(&args.http_address).await {
        Ok(admin) => admin,
        Err((error, code)) => return fail(&error, code),
    };
    let secured = match args.secured.secured(&cluster, &metrics).await {
        Ok(secured) => secured,
        Err((error, code)) => return fail(&error, code),
    };
    let shutdown = CancellationToken::new();
    if let Err(error) = cancel_on_signal(shutdown.clone()) {
        return fail(&error, 1);
    }
    let names: Vec<&str> = config.profiles.iter().map(|p| p.scheduler_name.as_str()).collect();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), server = %cluster.address(), profiles = names.join(", "), "starting");
    if config.plimsoll.paused {
        tracing::warn!("paused by the configuration: no pods are taken until it says otherwise");
    }
    let mut scheduler = Scheduler::new(config, clients, Arc::clone(&metrics))
        .with_registry(registry.clone())
        .with_namespace(cluster.default_namespace())
        .with_max_in_unschedulable(args.pod_max_in_unschedulable_pods_duration);
    if let Some(room) = room {
        scheduler = scheduler.with_recording(room);
    }
    if let Some(server) = admin {
        tracing::info!(address = %server.local_addr(), "serving health and metrics");
        scheduler = scheduler.with_admin(server, log.clone());
    }
    if let Some(secured) = secured {
        tracing::info!(address = %secured.local_addr(), "serving the secured port");
        scheduler = scheduler.with_secured(secured, log);
    }
    if let Err(error) = dump_on_signal(scheduler.inspect()) {
        return fail(&error, 1);
    }
    if let Err(error) = reload::follow(args, registry, scheduler.reloader(), metrics) {
        return fail(&error, 1);
    }
    match scheduler.run(shutdown).await {
        Ok(()) => 0,
        Err(error) => fail(&error, 1),
    }
}

/// At SIGUSR2 what the scheduler knows is written into the log, as with kube-scheduler.
fn dump_on_signal(inspect: Inspect) -> anyhow::Result<()> {
    let mut asked = signal(SignalKind::user_defined2()).context("listening for SIGUSR2")?;
    tokio::spawn(async move {
        while asked.recv().await.is_some() {
            inspect.dump().await;
        }
    });
    Ok(())
}
