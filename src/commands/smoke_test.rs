//! `plimsoll smoke-test`: lets the scheduler that runs place a pod, says where it went or why nowhere, and takes the pod
//! away again. What `helm test` runs.

mod metrics;
mod pod;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use http::Uri;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{cancel_on_signal, fail, run::duration, write_out};
use crate::client::{Cluster, Source};
use crate::lease::random;
use metrics::Metrics;
use pod::Pod;

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(250);

/// Arguments of `smoke-test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the pod has as its spec.schedulerName.
    #[arg(long, value_name = "NAME", default_value = "plimsoll")]
    scheduler_name: String,
    /// Where the pod is made; the namespace of the account or of the kubeconfig's context if not given.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The pod's image. It is run with the argument --version, so one of plimsoll ends at once.
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// How long the pod may take to get a node.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "60s")]
    timeout: Duration,
    /// Afterwards read the scheduler's metrics, too, at this http address.
    #[arg(long, value_name = "URL")]
    metrics_url: Option<Uri>,
    /// Kubeconfig of the cluster; without it the account of the pod that this runs in.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// Runs the test; gives the exit code.
pub fn main(args: &Args) -> i32 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime");
    let told = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let metrics = args.metrics_url.as_ref().map(Metrics::at).transpose().map_err(WrongInput)?;
            let cluster = Cluster::load(&Source::from_flag(args.kubeconfig.as_deref())).await;
            let cluster = cluster.map_err(|error| WrongInput(error.into()))?;
            test(args, &cluster, metrics).await
        })
    });
    match told.and_then(|text| write_out(text.as_bytes())) {
        Ok(()) => 0,
        Err(error) => fail(&error, if error.is::<WrongInput>() { 2 } else { 1 }),
    }
}

/// What somebody has to say otherwise.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
struct WrongInput(anyhow::Error);

/// It still waits: since when, or why nobody waits with it.
#[derive(Debug, thiserror::Error)]
#[error("has no node {0}")]
struct Waiting(String);

async fn test(args: &Args, cluster: &Cluster, metrics: Option<Metrics>) -> anyhow::Result<String> {
    let interrupted = CancellationToken::new();
    cancel_on_signal(interrupted.clone())?;
    let begun = Instant::now();
    let namespace = args.namespace.as_deref().unwrap_or_else(|| cluster.default_namespace()).to_owned();
    let client = cluster.client().map_err(|error| WrongInput(error.into()))?;
    let mut pod = Pod::new(client, namespace, format!("plimsoll-smoke-test-{:08x}", random() >> 32));
    let placed = async {
        pod.create(&args.scheduler_name, &args.image).await?;
        tokio::select! {
            node = pod.node() => node,
            () = sleep(args.timeout) => Err(Waiting(format!("after {:?}", args.timeout)).into()),
            () = interrupted.cancelled() => Err(Waiting("yet, and this was told to end".to_owned()).into()),
        }
    };
    let placed = placed.await;
    let took = begun.elapsed();
    // Whatever came of it, and also where it is not known whether there is one.
    let deleted = pod.delete().await;
    let node = placed.map_err(|error| pod.explained(&error, &args.scheduler_name))?;
    deleted?;
    let took = took.as_secs_f64();
    let mut told = format!("{pod} was placed on {node} by {} after {took:.2} s\n", args.scheduler_name);
    if let Some(metrics) = metrics {
        let left = args.timeout.saturating_sub(begun.elapsed()).max(CALL_TIMEOUT);
        told.push_str(&metrics.read_within(left).await?);
    }
    Ok(told)
}
