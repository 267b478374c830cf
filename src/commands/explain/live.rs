//! Asking the scheduler that leads.
//!
//! Its Lease says where it is and what its certificate is, so that whoever can read the Lease can ask it and nobody in
//! between can answer. It asks the API server in turn whether whoever asks may get the pod.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::{Method, StatusCode};
use kube::Client;
use serde_json::Value;

use super::{Args, Output};
use crate::client::{Cluster, KnownBy, RawRequest, RawResponse, Source, describe, message, one_line, send, send_for};
use crate::commands::{fail, write_out};
use crate::lease::Contact;
use crate::write::segment;

/// Of a cluster with 15,000 nodes it is about a fifth of that.
const MAX_ANSWER_BYTES: usize = 64 << 20;
const LEASE_TIMEOUT: Duration = Duration::from_secs(10);
/// The scheduler has ten seconds of its own.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const LEASES: &str = "/apis/coordination.k8s.io/v1";
/// The name of the lease where nothing else is said, as of `run`.
const DEFAULT_LEASE: &str = "plimsoll";

/// Where the scheduler is. Only without files.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Without files")]
pub(super) struct LiveArgs {
    /// Kubeconfig of the cluster; without it that of $KUBECONFIG, ~/.kube/config, or the pod's own account.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["filename", "scenarios"])]
    kubeconfig: Option<PathBuf>,
    /// The Lease of the scheduler; without it the one of the name plimsoll, in whatever namespace.
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with_all = ["filename", "scenarios"])]
    lease: Option<String>,
    /// Where the secured port of the scheduler is reached, such as https://127.0.0.1:10259 behind a kubectl port-forward;
    /// without it at the address in the Lease.
    #[arg(long, value_name = "URL", conflicts_with_all = ["filename", "scenarios"])]
    server: Option<String>,
    /// PEM file with the authority of the scheduler's certificate, or the certificate itself; without it the certificate
    /// has to be the one that the Lease names.
    #[arg(long, value_name = "FILE", requires = "server", conflicts_with_all = ["filename", "scenarios"])]
    certificate_authority: Option<PathBuf>,
    /// File with the bearer token to ask with; without it the credentials of the kubeconfig. Client certificates are none.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["filename", "scenarios"])]
    token_file: Option<PathBuf>,
}

/// Asks; gives the exit code.
pub(super) fn main(args: &Args) -> i32 {
    let (namespace, name) = match pod(args) {
        Ok(pod) => pod,
        Err(error) => return fail(&error, 2),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("starting the runtime");
    match runtime.and_then(|runtime| runtime.block_on(ask(args, &namespace, &name))).and_then(|told| write_out(&told)) {
        Ok(()) => 0,
        Err(error) => fail(&error, if error.is::<WrongInput>() { 2 } else { 1 }),
    }
}

/// What somebody has to say otherwise.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
struct WrongInput(anyhow::Error);

/// Namespace and name.
fn pod(args: &Args) -> anyhow::Result<(String, String)> {
    let given = args.pod.as_deref().unwrap_or_default();
    let (namespace, name) = match given.split_once('/') {
        None | Some(("pod" | "pods" | "po", _)) => (None, given.rsplit('/').next().unwrap_or_default()),
        Some((namespace, name)) => (Some(namespace), name),
    };
    if let (Some(one), Some(other)) = (namespace, args.namespace.as_deref())
        && one != other
    {
        bail!("{given} is in the namespace {one}, and -n says {other}");
    }
    let namespace = namespace.or(args.namespace.as_deref()).unwrap_or("default");
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    if !plain(namespace) || !plain(name) {
        bail!("{given}: the pod is named as NAMESPACE/NAME, or as NAME and -n NAMESPACE");
    }
    Ok((namespace.to_owned(), name.to_owned()))
}

async fn ask(args: &Args, namespace: &str, name: &str) -> anyhow::Result<Bytes> {
    let live = &args.live;
    let source = live.kubeconfig.clone().map_or_else(Source::usual, |file| Ok(Source::Kubeconfig(file)));
    let cluster = Cluster::load(&source.map_err(|error| WrongInput(error.into()))?).await;
    let cluster = cluster.map_err(|error| WrongInput(error.into()))?;
    let authority = match &live.certificate_authority {
        Some(file) => {
            Some(std::fs::read(file).with_context(|| format!("reading {}", file.display())).map_err(WrongInput)?)
        }
        None => None,
    };
    let contact = match &authority {
        Some(_) => None,
        None => {
            Some(contact(&cluster.client().map_err(|error| WrongInput(error.into()))?, live.lease.as_deref()).await?)
        }
    };
    let server = live.server.as_deref().or_else(|| contact.as_ref().map(|contact| contact.address.as_str()));
    let server = server.unwrap_or_default().trim_end_matches('/').to_owned();
    let known_by = match (&authority, &contact) {
        (Some(pem), _) => KnownBy::Authority(pem),
        (None, contact) => KnownBy::Fingerprint(contact.as_ref().map_or("", |contact| &contact.certificate_sha256)),
    };
    let cluster = match &live.token_file {
        Some(file) => cluster.with_token_file(file),
        None => cluster,
    };
    let client = cluster.client_for(&server, known_by).map_err(WrongInput)?;
    let form = match args.output {
        Output::Table => "table",
        Output::Wide => "wide",
        Output::Json => "json",
    };
    let colours = std::io::stdout().is_terminal();
    let path = format!("/debug/explain/{namespace}/{name}?output={form}&colours={colours}");
    let answer = send_for(&client, get(&path, ANSWER_TIMEOUT), MAX_ANSWER_BYTES).await;
    let answer = answer.map_err(|error| unreached(&server, live.server.is_some(), &describe(&error)))?;
    understood(&server, answer)
}

/// Why nobody answered, and what may help.
fn unreached(server: &str, named: bool, why: &str) -> anyhow::Error {
    let hint = if named {
        ""
    } else {
        "\nFrom outside of the cluster's network: kubectl port-forward to port 10259 of that pod, and --server https://127.0.0.1:10259"
    };
    anyhow!("asking the scheduler at {server}: {why}{hint}")
}

fn understood(server: &str, answer: RawResponse) -> anyhow::Result<Bytes> {
    let said = one_line(&String::from_utf8_lossy(&answer.body));
    match answer.status {
        StatusCode::OK => Ok(answer.body),
        StatusCode::UNAUTHORIZED => {
            bail!("the scheduler at {server} does not know whose token that is: it asks the API server, which said no")
        }
        StatusCode::FORBIDDEN if said.contains("system:anonymous") => bail!(
            "the scheduler at {server} was shown no token, and {said}; client certificates mean nothing to it: --token-file takes what kubectl create token prints"
        ),
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => bail!("{said}"),
        status => bail!("the scheduler at {server} answered {status}: {said}"),
    }
}

/// What the Lease says of who holds it.
async fn contact(client: &Client, lease: Option<&str>) -> anyhow::Result<Contact> {
    let (name, lease) = match lease {
        None => (DEFAULT_LEASE.to_owned(), the_only(client).await?),
        Some(given) => {
            let wrong = || WrongInput(anyhow!("--lease {given}: a lease is named as NAMESPACE/NAME"));
            let (namespace, name) = given.split_once('/').ok_or_else(wrong)?;
            let path = format!("{LEASES}/namespaces/{}/leases/{}", segment(namespace), segment(name));
            (given.to_owned(), read(client, &path, &format!("the lease {given}")).await?)
        }
    };
    Contact::of(&lease).ok_or_else(|| {
        let holder = lease.pointer("/spec/holderIdentity").and_then(Value::as_str).filter(|holder| !holder.is_empty());
        match holder {
            None => anyhow!("nobody holds the lease {name}: no scheduler leads"),
            Some(holder) => anyhow!(
                "the lease {name} does not say where its holder {holder} is asked: its secured port is off, or does not know its address (POD_IP, --bind-address). --server and --certificate-authority say both"
            ),
        }
    })
}

/// The lease of the usual name, in whatever namespace.
async fn the_only(client: &Client) -> anyhow::Result<Value> {
    let path = format!("{LEASES}/leases?fieldSelector=metadata.name%3D{DEFAULT_LEASE}");
    let mut list = read(client, &path, "the leases of all namespaces (--lease names one)").await?;
    let mut found = match list.get_mut("items").map(Value::take) {
        Some(Value::Array(found)) => found,
        _ => Vec::new(),
    };
    match (found.pop(), found.is_empty()) {
        (None, _) => bail!(
            "there is no lease {DEFAULT_LEASE} in any namespace: no scheduler leads, or by another lease (--lease)"
        ),
        (Some(one), true) => Ok(one),
        (Some(last), false) => {
            found.push(last);
            let namespace =
                |lease: &Value| lease.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned);
            let names: Vec<String> =
                found.iter().filter_map(namespace).map(|ns| format!("{ns}/{DEFAULT_LEASE}")).collect();
            Err(WrongInput(anyhow!("there are several schedulers: --lease is one of {}", names.join(", "))).into())
        }
    }
}

async fn read(client: &Client, path: &str, what: &str) -> anyhow::Result<Value> {
    let answer = send(client, get(path, LEASE_TIMEOUT)).await;
    let answer = answer.map_err(|error| anyhow!("reading {what}: {}", describe(&error)))?;
    if !answer.status.is_success() {
        let why = message(&answer.body).unwrap_or_default();
        bail!("reading {what}: the API server answered {}: {why}", answer.status);
    }
    serde_json::from_slice(&answer.body).with_context(|| format!("reading {what}"))
}

fn get(path: &str, timeout: Duration) -> RawRequest<'_> {
    RawRequest { method: Method::GET, path, content_type: "", body: Bytes::new(), timeout }
}
