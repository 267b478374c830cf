//! Pods and nodes as the API server has them, page by page, of each only what is compared.

use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use http::Method;
use kube::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::PodName;
use crate::client::{CallError, RawRequest, describe, send};
use crate::reflector::UNFINISHED_PODS;
use crate::write::segment;

/// How many objects a page has. Where they are too large for one answer it is fewer.
const PAGE: usize = 250;
/// How long one page may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(15);

/// What is there.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) nodes: Vec<String>,
    /// By UID; each with its node, which is empty where it has none.
    pub(super) pods: HashMap<String, (PodName, String)>,
}

#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: ListMeta,
    items: Vec<T>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ListMeta {
    #[serde(rename = "continue")]
    next: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Meta {
    namespace: String,
    name: String,
    uid: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Node {
    metadata: Meta,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Pod {
    metadata: Meta,
    spec: PodSpec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodSpec {
    #[serde(rename = "nodeName")]
    node_name: String,
}

/// Lists both; the error says what went wrong.
pub(super) async fn list(client: &Client) -> Result<Listed, String> {
    let mut listed = Listed::default();
    // Nodes first: pods on nodes that come meanwhile are not looked for.
    every::<Node>(client, "nodes", "", |node| listed.nodes.push(node.metadata.name)).await?;
    every::<Pod>(client, "pods", UNFINISHED_PODS, |pod| {
        let Meta { namespace, name, uid } = pod.metadata;
        let name = PodName { namespace, name, uid: uid.clone() };
        listed.pods.insert(uid, (name, pod.spec.node_name));
    })
    .await?;
    Ok(listed)
}

async fn every<T: DeserializeOwned>(
    client: &Client,
    plural: &str,
    fields: &str,
    mut take: impl FnMut(T),
) -> Result<(), String> {
    let failed = |why: String| format!("listing {plural}: {why}");
    let (mut next, mut size) = (String::new(), PAGE);
    loop {
        let mut path = format!("/api/v1/{plural}?limit={size}");
        for (option, value) in [("fieldSelector", fields), ("continue", &next)] {
            if !value.is_empty() {
                path.push_str(&format!("&{option}={}", segment(value)));
            }
        }
        let request = RawRequest {
            method: Method::GET,
            path: &path,
            content_type: "",
            body: Bytes::new(),
            timeout: PAGE_TIMEOUT,
        };
        let answer = match send(client, request).await {
            Ok(answer) => answer,
            Err(CallError::TooLong(_)) if size > 1 => {
                size = (size / 4).max(1);
                continue;
            }
            Err(error) => return Err(failed(describe(&error))),
        };
        if !answer.status.is_success() {
            return Err(failed(format!("the API server answered {}", answer.status)));
        }
        let page: Page<T> = serde_json::from_slice(&answer.body).map_err(|error| failed(error.to_string()))?;
        page.items.into_iter().for_each(&mut take);
        // A server that gives the same page for ever would be listened to until the time is up.
        if page.metadata.next.is_empty() || page.metadata.next == next {
            return Ok(());
        }
        next = page.metadata.next;
    }
}
