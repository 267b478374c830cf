//! `plimsoll smoke-test`: lets the scheduler that runs place a pod, says where it went or why nowhere, and takes the pod
//! away again. What `helm test` runs.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use kube::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{cancel_on_signal, fail, random_hex, run::duration, write_out};
use crate::client::{Cluster, RawRequest, RawResponse, Source, describe, message, one_line, send};
use crate::write::segment;

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(250);
/// How often the deletion is tried: a pod that stays behind is worse than a test that takes longer.
const DELETIONS: u32 = 5;
/// Told by every replica, the leader or not: which one answers is left to the Service.
const ALWAYS_THERE: &str = "plimsoll_build_info";

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
    let namespace = args.namespace.as_deref().unwrap_or(cluster.default_namespace()).to_owned();
    let client = cluster.client().map_err(|error| WrongInput(error.into()))?;
    let mut pod = Pod { client, namespace, name: format!("plimsoll-smoke-test-{}", random_hex::<4>()?), said: None };
    let placed = async {
        pod.create(args).await?;
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

/// The pod that is to be placed.
struct Pod {
    client: Client,
    namespace: String,
    name: String,
    /// What its condition has said last, where it has none what came instead.
    said: Option<String>,
}

impl std::fmt::Display for Pod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pod {}/{}", self.namespace, self.name)
    }
}

impl Pod {
    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/pods", segment(&self.namespace))
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<RawResponse, String> {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = RawRequest { method, path, content_type: "application/json", body, timeout: CALL_TIMEOUT };
        send(&self.client, request).await.map_err(|error| describe(&error))
    }

    async fn create(&self, args: &Args) -> anyhow::Result<()> {
        let answer = self.call(Method::POST, &self.path(), &manifest(&self.name, args)).await;
        let answer = answer.map_err(|error| anyhow!("could not be created: {error}"))?;
        if answer.status.is_success() { Ok(()) } else { bail!("could not be created: {}", refusal(&answer)) }
    }

    /// Waits until it has a node; fails only when it never will.
    async fn node(&mut self) -> anyhow::Result<String> {
        let path = format!("{}/{}", self.path(), self.name);
        loop {
            match self.call(Method::GET, &path, &Value::Null).await {
                Err(error) => self.waits(Some(error)),
                Ok(answer) if answer.status.is_success() => {
                    let pod: Value = serde_json::from_slice(&answer.body).context("cannot be read")?;
                    match condition(&pod) {
                        Some(condition) if condition["status"] == "True" => {
                            return Ok(pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned());
                        }
                        Some(condition) => {
                            let text = |field| condition[field].as_str().unwrap_or_default();
                            self.waits(Some(one_line(&format!("{}: {}", text("reason"), text("message")))));
                        }
                        None => self.waits(None),
                    }
                }
                Ok(answer) if answer.status.is_client_error() && answer.status != StatusCode::TOO_MANY_REQUESTS => {
                    bail!("could not be read: {}", refusal(&answer));
                }
                Ok(answer) => self.waits(Some(refusal(&answer))),
            }
            sleep(PAUSE).await;
        }
    }

    /// Notes why it waits, and says so on standard error where that is news.
    fn waits(&mut self, said: Option<String>) {
        if said != self.said {
            let why = said.as_deref().unwrap_or("nothing is said of it any more");
            // Without standard error there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "{self} waits: {why}");
            self.said = said;
        }
    }

    async fn delete(&self) -> anyhow::Result<()> {
        let path = format!("{}/{}", self.path(), self.name);
        let mut why = String::new();
        for _ in 0..DELETIONS {
            match self.call(Method::DELETE, &path, &json!({"gracePeriodSeconds": 0})).await {
                Ok(answer) if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND => return Ok(()),
                Ok(answer) => why = refusal(&answer),
                Err(error) => why = error,
            }
            sleep(PAUSE).await;
        }
        bail!("{self} is left behind, since it could not be deleted: {why}")
    }

    /// What failed, and what the scheduler or whoever else has said about it.
    fn explained(&self, error: &anyhow::Error, scheduler: &str) -> anyhow::Error {
        match &self.said {
            Some(said) => anyhow!("{self} {error:#}: {said}"),
            None if error.is::<Waiting>() => anyhow!(
                "{self} {error:#}, and nobody has said anything of it: no scheduler that runs serves the name {scheduler}. Is \
                 one of its replicas ready and the leader, does its configuration have a profile of that name, is it not \
                 paused? Its log says so"
            ),
            None => anyhow!("{self} {error:#}"),
        }
    }
}

/// A pod that Pod Security's level "restricted" lets pass, and that ends by itself.
fn manifest(name: &str, args: &Args) -> Value {
    let room = json!({"cpu": "10m", "memory": "32Mi"});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "plimsoll-smoke-test"}},
        "spec": {
            "schedulerName": args.scheduler_name, "restartPolicy": "Never", "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "smoke-test", "image": args.image, "args": ["--version"],
                "resources": {"requests": room, "limits": room},
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}

fn condition(pod: &Value) -> Option<&Value> {
    pod["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == "PodScheduled")
}

fn refusal(answer: &RawResponse) -> String {
    let said = message(&answer.body).unwrap_or_else(|| one_line(&String::from_utf8_lossy(&answer.body)));
    format!("the API server answered {}: {said}", answer.status)
}

/// Where the scheduler's metrics are read, without any credentials.
struct Metrics {
    url: String,
    path: String,
    cluster: Cluster,
}

impl Metrics {
    fn at(url: &Uri) -> anyhow::Result<Self> {
        let (Some("http"), Some(authority)) = (url.scheme_str(), url.authority()) else {
            bail!("--metrics-url {url}: only http addresses are read, such as http://plimsoll:10251/metrics");
        };
        let path = url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let cluster = Cluster::at(&format!("http://{authority}"))?;
        Ok(Self { url: url.to_string(), path, cluster })
    }

    /// Reads them, and again while nobody answers.
    async fn read_within(&self, limit: Duration) -> anyhow::Result<String> {
        let client = self.cluster.client()?;
        let end = Instant::now() + limit;
        loop {
            let path = self.path.as_str();
            let request =
                RawRequest { method: Method::GET, path, content_type: "", body: Bytes::new(), timeout: CALL_TIMEOUT };
            let why = match send(&client, request).await {
                Ok(answer) if answer.status == StatusCode::OK => {
                    let text = String::from_utf8_lossy(&answer.body);
                    if text.lines().any(|line| line.starts_with(ALWAYS_THERE)) {
                        let samples = text.lines().filter(|line| !line.starts_with('#')).count();
                        return Ok(format!("{} has {samples} samples\n", self.url));
                    }
                    format!("{ALWAYS_THERE} is not among them")
                }
                Ok(answer) => format!("the answer is {}", answer.status),
                Err(error) => describe(&error),
            };
            if Instant::now() >= end {
                bail!("the metrics at {} cannot be read: {why}", self.url);
            }
            sleep(PAUSE).await;
        }
    }
}
