//! A pod that fits nowhere: what Kubernetes is told, and what each node says.

use anyhow::{Context as _, ensure};
use plimsoll_apiserver::Options;
use plimsoll_engine::decide::Worker;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::PodParser;
use plimsoll_framework::table::Table;
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::sync::Arc;

use super::small::nodes;
use super::stage::{Stage, text};
use super::{say, table};
use crate::config::Config;
use crate::registry::Registry;

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "too-large", "namespace": "default" },
        "spec": {
            "schedulerName": "plimsoll",
            "containers": [{ "name": "main", "image": "registry.example/model:1", "resources": { "requests": {
                "cpu": "6", "memory": "8Gi",
            } } }],
        },
    })
}

pub(super) async fn run() -> anyhow::Result<()> {
    let stage = Stage::start(Options::default()).await?;
    let server = &stage.server;
    let mut all = nodes();
    // One worker is large enough, but closed for maintenance.
    all[2]["status"]["allocatable"]["cpu"] = json!("8");
    all[2]["spec"]["unschedulable"] = json!(true);
    for node in all {
        server.create(node)?;
    }
    server.create(pod())?;
    say(
        "The small cluster again, kind-worker2 with 8 CPUs but cordoned; the pod too-large asks for 6 CPUs and 8 GiB.",
    )?;
    stage
        .until("the pod's condition", |server| {
            let pod = server.get("pods", "default", "too-large")?;
            Ok(text(&pod, "/status/conditions/0/reason") == "Unschedulable")
        })
        .await?;
    let pending = server.get("pods", "default", "too-large")?;
    say(&format!("Condition PodScheduled=False, reason {}:", text(&pending, "/status/conditions/0/reason")))?;
    say(&format!("  {}", text(&pending, "/status/conditions/0/message")))?;
    let verdicts = explain(&server.list("nodes", None)?, &pending)?;
    let mut shown = table(["node", "turned away by", "code", "reasons"]);
    for row in &verdicts {
        shown.add_row(row);
    }
    ensure!(verdicts.len() == 4, "{} nodes gave a reason", verdicts.len());
    say(&shown.to_string())?;
    stage.end().await
}

/// What every node says of a pod that is on none, by the default profile.
fn explain(nodes: &[Value], pod: &Value) -> anyhow::Result<Vec<[String; 4]>> {
    let mut table = Table::default();
    for node in nodes {
        let node = plimsoll_framework::api::Node::deserialize(node).context("reading a node")?;
        table.set_node(Arc::new(NodeInfo::parse(&node, &[]).0));
    }
    let pod = plimsoll_framework::api::Pod::deserialize(pod).context("reading the pod")?;
    let pod = PodParser::default().parse(&pod);
    let profiles = Registry::default().profiles(&Config::default())?;
    let profile = profiles.first().context("no profile")?;
    let explanation = Worker::default().explain(profile, table.view(), &pod);
    let rows = explanation.nodes.into_iter().filter_map(|(node, verdict)| {
        let verdict = verdict.err()?;
        Some([node.to_string(), verdict.plugin.to_owned(), verdict.code.to_string(), verdict.reasons.join(", ")])
    });
    Ok(rows.collect())
}
