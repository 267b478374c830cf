//! `plimsoll apiserver`: the stand-in API server by itself.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use plimsoll_apiserver::{Kind, Options, Rule, Server, TlsOptions, User};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;

use super::{cancel_on_signal, fail};
use crate::logging::{self, LogFormat, LogLevel};
use crate::manifest::{self, ManifestErrors};

/// Arguments of `apiserver`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen; port 0 takes a free one. There is no authentication: keep it on this machine.
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 8001)))]
    listen: SocketAddr,
    /// Serve HTTPS, with certificates made at the start. The kubeconfig has those that a client needs.
    #[arg(long)]
    tls: bool,
    /// Refuse what no Role or ClusterRole allows. The kubeconfig is an administrator's; accounts get tokens as in a real cluster
    /// (kubectl create token). With --tls in any case: over plain HTTP clients send no credentials.
    #[arg(long)]
    rbac: bool,
    /// Begin with the objects of these files, as kubectl reads and writes them (repeatable). A folder stands for the files
    /// in it, - for standard input.
    #[arg(short, long = "filename", value_name = "FILE")]
    filename: Vec<PathBuf>,
    /// Read the folders in folders, too.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Begin with this many nodes.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    nodes: usize,
    /// Spread the nodes over this many zones.
    #[arg(long, value_name = "NUMBER", default_value = "3")]
    zones: NonZeroUsize,
    /// CPUs of each node.
    #[arg(long, value_name = "QUANTITY", default_value = "32")]
    node_cpu: String,
    /// Memory of each node.
    #[arg(long, value_name = "QUANTITY", default_value = "256Gi")]
    node_memory: String,
    /// Pods that each node takes.
    #[arg(long, value_name = "NUMBER", default_value_t = 110)]
    node_pods: u32,
    /// Write the kubeconfig to this file and leave it there. Otherwise it is written to a temporary one.
    #[arg(long, value_name = "FILE")]
    write_kubeconfig: Option<PathBuf>,
    /// The Kubernetes minor to present, 31 to 37.
    #[arg(long, value_name = "NUMBER", default_value_t = 36, value_parser = clap::value_parser!(u32).range(31..=37))]
    minor: u32,
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
    /// Let requests go wrong (repeatable). What happens is one of status=409, status=429,retry-after=2, limit=100 (429
    /// beyond so many a second), after=504 (the work is done all the same), drop=before|after|within, delay=200ms, delay=0s..15s, and
    /// watch=lag|end|cut|expire|stall:30s; to which requests, say verb=create, resource=pods/binding, except=leases, name=PREFIX,
    /// share=0.1 and times=3. Words are separated by commas.
    #[arg(long = "fault", value_name = "RULE")]
    faults: Vec<Rule>,
    /// Seed of names, identities and the chances of faults.
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
    // Read before anything is served: half a cluster is none.
    let manifests = match manifest::read(&args.filename, args.recursive) {
        Ok(manifests) => manifests,
        Err(errors) => return fail(&errors.into(), 2),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime");
    let served = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let server = match custom_kinds(&manifests) {
                Ok(kinds) => start(args, kinds).await?,
                Err(errors) => return Ok(fail(&errors.into(), 2)),
            };
            if let Err(errors) = load(args, &server, &manifests) {
                return Ok(fail(&errors.into(), 2));
            }
            serve(args, server).await.map(|()| 0)
        })
    });
    served.unwrap_or_else(|error| fail(&error, 1))
}

/// The kinds that the input defines. They are served from the start; those that are defined later are not.
fn custom_kinds(manifests: &[manifest::Manifest]) -> Result<Vec<Kind>, ManifestErrors> {
    let (mut kinds, mut errors) = (Vec::new(), Vec::new());
    for manifest in manifests.iter().filter(|m| m.kind.as_str() == "CustomResourceDefinition") {
        let defined = manifest.decode::<Value>().and_then(|definition| {
            Kind::from_crd(&definition).map_err(|error| manifest.error(&format!("defines no kind: {error}")))
        });
        match defined {
            Ok(defined) => kinds.extend(defined),
            Err(error) => errors.push(error),
        }
    }
    ManifestErrors::none(errors).map(|()| kinds)
}

async fn start(args: &Args, extra_kinds: Vec<Kind>) -> anyhow::Result<Server> {
    let options = Options {
        listen: args.listen,
        tls: (args.tls || args.rbac)
            .then(|| TlsOptions { client: Some(User::administrator("admin")), ..TlsOptions::default() }),
        rbac: args.rbac,
        minor: args.minor,
        seed: args.seed,
        controllers: !args.no_controllers,
        kubelets: !args.no_kubelets,
        cron_speedup: args.cron_speedup,
        job_duration: Duration::from_secs(args.job_seconds),
        extra_kinds,
        ..Options::default()
    };
    let server = Server::start(options).await?;
    for rule in &args.faults {
        server.faults().add(rule.clone());
    }
    Ok(server)
}

/// Fills the cluster.
fn load(args: &Args, server: &Server, manifests: &[manifest::Manifest]) -> Result<(), ManifestErrors> {
    server.load((0..args.nodes).map(|number| node(args, number)).collect());
    let (mut objects, mut errors) = (Vec::with_capacity(manifests.len()), Vec::new());
    for manifest in manifests {
        match manifest.decode::<Value>() {
            // Only a client can have a name made up.
            Ok(_) if manifest.name.is_empty() => errors.push(manifest.error("has no metadata.name")),
            Ok(object) => objects.push((manifest, object)),
            Err(error) => errors.push(error),
        }
    }
    let (manifests, objects): (Vec<_>, Vec<_>) = objects.into_iter().unzip();
    for (index, failure) in server.try_load(objects) {
        let Some(manifest) = manifests.get(index) else { continue };
        // Every cluster has some namespaces and classes from the beginning.
        if failure.reason != "AlreadyExists" || matches!(manifest.kind.as_str(), "Node" | "Pod") {
            errors.push(manifest.error(&format!("is refused: {}", failure.message)));
        }
    }
    ManifestErrors::none(errors)
}

fn node(args: &Args, number: usize) -> Value {
    let name = format!("node-{number}");
    let zone = format!("zone-{}", number % args.zones);
    let room = json!({
        "cpu": args.node_cpu, "memory": args.node_memory, "ephemeral-storage": "100Gi",
        "pods": args.node_pods.to_string(),
    });
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": zone,
        }},
        "spec": {}, "status": {"capacity": room, "allocatable": room},
    })
}

async fn serve(args: &Args, server: Server) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    cancel_on_signal(stop.clone())?;
    // A temporary file goes when this is dropped.
    let (path, _temporary) = write_kubeconfig(args.write_kubeconfig.as_deref(), &server.kubeconfig())?;
    let mut out = std::io::stdout();
    out.write_all(greeting(args, &server, &path).as_bytes()).context("writing to standard output")?;
    out.flush().context("writing to standard output")?;
    stop.cancelled().await;
    server.shutdown().await;
    Ok(())
}

fn write_kubeconfig(path: Option<&Path>, text: &str) -> anyhow::Result<(PathBuf, Option<NamedTempFile>)> {
    if let Some(path) = path {
        std::fs::write(path, text).with_context(|| format!("writing kubeconfig {}", path.display()))?;
        return Ok((path.to_owned(), None));
    }
    let file = tempfile::Builder::new().prefix("plimsoll-").suffix(".kubeconfig").tempfile();
    let mut file = file.context("making a temporary kubeconfig")?;
    file.write_all(text.as_bytes()).context("writing a temporary kubeconfig")?;
    Ok((file.path().to_owned(), Some(file)))
}

/// What is served, and what can be done with it.
fn greeting(args: &Args, server: &Server, kubeconfig: &Path) -> String {
    let mut text = format!("serving Kubernetes 1.{} on {}\n", args.minor, server.url());
    let kubeconfig = kubeconfig.display();
    // Writing to a String does not fail.
    let _ = write!(
        text,
        "\nIn other terminals:\n  kubectl --kubeconfig {kubeconfig} get nodes\n  plimsoll run --kubeconfig {kubeconfig}\n\n\
         Ctrl-C ends it, and with it everything in it.\n"
    );
    text
}
