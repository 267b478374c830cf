//! The small cluster: two tainted nodes, two workers, a Deployment and three CronJobs.

use anyhow::ensure;
use plimsoll_apiserver::Options;
use serde_json::{Value, json};

use super::stage::{Stage, text};
use super::{say, table};

const CRON_JOBS: [&str; 3] = ["backup", "cleanup", "report"];

pub(super) fn node(name: &str, tier: Option<&str>) -> Value {
    let resources = json!({ "cpu": "4", "memory": "16Gi", "ephemeral-storage": "100Gi", "pods": "110" });
    let mut node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" } },
        "spec": {},
        "status": { "capacity": resources, "allocatable": resources, "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    if let Some(tier) = tier {
        node["metadata"]["labels"]["tier"] = json!(tier);
        node["spec"]["taints"] = json!([{ "key": "tier", "value": tier, "effect": "NoSchedule" }]);
    }
    node
}

pub(super) fn nodes() -> Vec<Value> {
    vec![
        node("kind-control-plane", Some("control")),
        node("kind-worker", None),
        node("kind-worker2", None),
        node("kind-worker3", Some("cronjob")),
    ]
}

fn containers(image: &str, cpu: &str) -> Value {
    json!([{ "name": "main", "image": image, "resources": { "requests": { "cpu": cpu, "memory": "128Mi" } } }])
}

fn web() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web-nginx", "namespace": "default" },
        "spec": {
            "replicas": 3,
            "selector": { "matchLabels": { "app": "web-nginx" } },
            "template": {
                "metadata": { "labels": { "app": "web-nginx" } },
                "spec": { "schedulerName": "plimsoll", "containers": containers("nginx:1.27", "250m") },
            },
        },
    })
}

fn cron_job(name: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "schedule": "*/5 * * * *",
            "jobTemplate": { "spec": { "template": { "spec": {
                "schedulerName": "plimsoll",
                "restartPolicy": "Never",
                "nodeSelector": { "tier": "cronjob" },
                "tolerations": [{ "key": "tier", "operator": "Equal", "value": "cronjob", "effect": "NoSchedule" }],
                "containers": containers("busybox:1.36", "100m"),
            } } } },
        },
    })
}

pub(super) async fn run() -> anyhow::Result<()> {
    let stage = Stage::start(Options::default()).await?;
    let server = &stage.server;
    for node in nodes() {
        server.create(node)?;
    }
    say(
        "Nodes: kind-control-plane (tier: control, tainted), kind-worker, kind-worker2, kind-worker3 (tier: cronjob, tainted).",
    )?;
    server.create(web())?;
    for name in CRON_JOBS {
        server.create(cron_job(name))?;
        server.fire_cron_job("default", name)?;
    }
    say(
        "Deployment web-nginx with 3 replicas; CronJobs backup, cleanup and report with nodeSelector tier: cronjob and a",
    )?;
    say("toleration of its taint; all with schedulerName: plimsoll.")?;
    let expected = 3 + CRON_JOBS.len();
    stage
        .until("the pods to run", |server| {
            let pods = server.list("pods", None)?;
            Ok(pods.len() >= expected && pods.iter().all(|p| text(p, "/status/phase") == "Running"))
        })
        .await?;
    let mut pods = server.list("pods", None)?;
    pods.sort_by_key(|p| text(p, "/metadata/name").to_owned());
    let mut shown = table(["pod", "made by", "node", "node selector", "phase"]);
    for pod in &pods {
        let selector = text(pod, "/spec/nodeSelector/tier");
        let selector = if selector.is_empty() { String::new() } else { format!("tier: {selector}") };
        shown.add_row([
            text(pod, "/metadata/name"),
            text(pod, "/metadata/ownerReferences/0/kind"),
            text(pod, "/spec/nodeName"),
            &selector,
            text(pod, "/status/phase"),
        ]);
    }
    say(&shown.to_string())?;
    check(&pods)?;
    say("Every CronJob pod is on kind-worker3; nginx is spread over the two workers.")?;
    stage.end().await
}

fn check(pods: &[Value]) -> anyhow::Result<()> {
    let (mut web, mut jobs) = (Vec::new(), 0);
    for pod in pods {
        let (name, node) = (text(pod, "/metadata/name"), text(pod, "/spec/nodeName"));
        if name.starts_with("web-nginx") {
            ensure!(node == "kind-worker" || node == "kind-worker2", "{name} is on {node}");
            web.push(node);
        } else {
            ensure!(node == "kind-worker3", "{name} is on {node}");
            jobs += 1;
        }
    }
    ensure!(jobs >= CRON_JOBS.len(), "{jobs} pods of CronJobs");
    ensure!(web.len() == 3 && web.contains(&"kind-worker") && web.contains(&"kind-worker2"), "nginx is on {web:?}");
    Ok(())
}
