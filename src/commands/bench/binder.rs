//! `plimsoll bench binder`: binds every pending pod to the next node of a list that it has from the beginning. It is what
//! `bench cpu` compares the scheduler with: the same client, watches of pods and nodes, a binding and an event for each
//! pod; no queue, no cache, no decision.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures::TryStreamExt as _;
use http::{Method, Request};
use jiff::Timestamp;
use kube::Client;
use kube::core::WatchEvent;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, Semaphore, mpsc};

use crate::client::{Cluster, RawRequest, Source, send};
use crate::commands::{fail, scheduler_runtime};
use crate::metrics::Metrics;

/// As many as the scheduler has.
const BINDINGS_AT_A_TIME: usize = 64;
const EVENTS_AT_A_TIME: usize = 8;
const EVENTS_WAITING: usize = 1_000;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Arguments of `bench binder`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Kubeconfig of the stand-in.
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// Nodes to bind to.
    #[arg(long, value_name = "NUMBER")]
    nodes: usize,
    /// Which events are written.
    #[arg(long, value_name = "POLICY")]
    event_policy: String,
}

/// What a binder reads of an object.
#[derive(Clone, Debug, Deserialize)]
struct Seen {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    uid: String,
    resource_version: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: String,
}

#[derive(Deserialize)]
struct List {
    metadata: ListMetadata,
    items: Vec<Seen>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    resource_version: String,
}

/// Runs until it is ended; gives the exit code.
pub(super) fn main(args: &Args) -> i32 {
    match scheduler_runtime().and_then(|runtime| runtime.block_on(run(args))) {
        Ok(()) => 0,
        Err(error) => fail(&error, 1),
    }
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let metrics = Metrics::new().context("making metrics")?;
    let cluster = Cluster::load(&Source::Kubeconfig(args.kubeconfig.clone())).await?.with_metrics(&metrics);
    let clients = cluster.clients()?;
    let targets: Vec<String> = (0..args.nodes).map(|number| format!("node-{number}")).collect();
    let events = (args.event_policy == "All").then(|| start_events(&clients.events));
    let binder = Arc::new(Binder { client: clients.bind, events, places: Semaphore::new(BINDINGS_AT_A_TIME) });
    let nodes = clients.watch.clone();
    tokio::spawn(async move { follow(&nodes, "/api/v1/nodes?", |_| {}).await });
    let (mut known, mut next) = (HashSet::new(), 0);
    let pods = "/api/v1/pods?fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed&";
    let bind = |pod: Seen| {
        if pod.spec.node_name.is_empty() && known.insert(pod.metadata.uid.clone()) {
            let (binder, node) = (Arc::clone(&binder), targets[next % targets.len()].clone());
            next += 1;
            tokio::spawn(async move { binder.bind(pod.metadata, node).await });
        }
    };
    follow(&clients.watch, pods, bind).await
}

/// Lists what is at a path, and watches it from then on.
async fn follow(client: &Client, path: &str, mut each: impl FnMut(Seen)) -> anyhow::Result<()> {
    let get = |query: String| Request::get(format!("{path}{query}")).body(Vec::new()).context("asking for a list");
    let list = get("resourceVersion=0&resourceVersionMatch=NotOlderThan".to_owned())?;
    let list: List = client.request(list).await.context("listing")?;
    list.items.into_iter().for_each(&mut each);
    let mut version = list.metadata.resource_version;
    loop {
        let watch = get(format!("watch=true&timeoutSeconds=120&allowWatchBookmarks=true&resourceVersion={version}"))?;
        let mut events = std::pin::pin!(client.request_events::<Seen>(watch).await.context("watching")?);
        while let Some(event) = events.try_next().await.context("watching")? {
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    version.clone_from(&object.metadata.resource_version);
                    each(object);
                }
                WatchEvent::Deleted(object) => version = object.metadata.resource_version,
                WatchEvent::Bookmark(mark) => version = mark.metadata.resource_version,
                WatchEvent::Error(status) => anyhow::bail!("watching: {}", status.message),
            }
        }
    }
}

struct Binder {
    client: Client,
    events: Option<mpsc::Sender<(String, Value)>>,
    places: Semaphore,
}

impl Binder {
    async fn bind(&self, pod: Metadata, node: String) {
        let Ok(_place) = self.places.acquire().await else { return };
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": { "name": pod.name, "namespace": pod.namespace, "uid": pod.uid },
            "target": { "kind": "Node", "name": node },
        });
        let path = format!("/api/v1/namespaces/{}/pods/{}/binding", pod.namespace, pod.name);
        if !post(&self.client, &path, &binding).await {
            return;
        }
        if let Some(events) = &self.events {
            // As with the scheduler, what finds no room is dropped.
            drop(
                events.try_send((
                    format!("/apis/events.k8s.io/v1/namespaces/{}/events", pod.namespace),
                    event(&pod, &node),
                )),
            );
        }
    }
}

fn event(pod: &Metadata, node: &str) -> Value {
    let now = Timestamp::now();
    json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": { "name": format!("{}.{:x}", pod.name, now.as_nanosecond()), "namespace": pod.namespace },
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
        "reportingController": "plimsoll", "reportingInstance": "plimsoll-bench",
        "action": "Binding", "reason": "Scheduled", "type": "Normal",
        "regarding": {
            "apiVersion": "v1", "kind": "Pod", "name": pod.name, "namespace": pod.namespace, "uid": pod.uid,
            "resourceVersion": pod.resource_version,
        },
        "note": format!("Successfully assigned {}/{} to {node}", pod.namespace, pod.name),
    })
}

fn start_events(client: &Client) -> mpsc::Sender<(String, Value)> {
    let (send, receive) = mpsc::channel::<(String, Value)>(EVENTS_WAITING);
    let receive = Arc::new(Mutex::new(receive));
    for _ in 0..EVENTS_AT_A_TIME {
        let (client, receive) = (client.clone(), Arc::clone(&receive));
        tokio::spawn(async move {
            loop {
                let next = receive.lock().await.recv().await;
                let Some((path, body)) = next else { return };
                post(&client, &path, &body).await;
            }
        });
    }
    send
}

async fn post(client: &Client, path: &str, body: &Value) -> bool {
    let body = Bytes::from(body.to_string());
    let request = RawRequest { method: Method::POST, path, content_type: "application/json", body, timeout: TIMEOUT };
    send(client, request).await.is_ok_and(|answer| answer.status.is_success())
}
