//! The pod that is to be placed: made, watched, and taken away in any case.

use std::io::Write as _;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::{Method, StatusCode};
use kube::Client;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{CALL_TIMEOUT, PAUSE, Waiting};
use crate::client::{RawRequest, RawResponse, describe, message, one_line, send};
use crate::write::segment;

/// How often the deletion is tried: a pod that stays behind is worse than a test that takes longer.
const DELETIONS: u32 = 5;

/// The pod that is to be placed.
pub(super) struct Pod {
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
    pub(super) fn new(client: Client, namespace: String, name: String) -> Self {
        Self { client, namespace, name, said: None }
    }

    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/pods", segment(&self.namespace))
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<RawResponse, String> {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = RawRequest { method, path, content_type: "application/json", body, timeout: CALL_TIMEOUT };
        send(&self.client, request).await.map_err(|error| describe(&error))
    }

    pub(super) async fn create(&self, scheduler: &str, image: &str) -> anyhow::Result<()> {
        let answer = self.call(Method::POST, &self.path(), &manifest(&self.name, scheduler, image)).await;
        let answer = answer.map_err(|error| anyhow!("could not be created: {error}"))?;
        if answer.status.is_success() { Ok(()) } else { bail!("could not be created: {}", refusal(&answer)) }
    }

    /// Waits until it has a node; fails only when it never will.
    pub(super) async fn node(&mut self) -> anyhow::Result<String> {
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

    pub(super) async fn delete(&self) -> anyhow::Result<()> {
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
    pub(super) fn explained(&self, error: &anyhow::Error, scheduler: &str) -> anyhow::Error {
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
fn manifest(name: &str, scheduler: &str, image: &str) -> Value {
    let room = json!({"cpu": "10m", "memory": "32Mi"});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "plimsoll-smoke-test"}},
        "spec": {
            "schedulerName": scheduler, "restartPolicy": "Never", "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "smoke-test", "image": image, "args": ["--version"],
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
