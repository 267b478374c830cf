//! The two questions that the API server is asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use kube::Client;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::admin::debug;
use crate::client::{RawRequest, describe, send};
use crate::metrics::Metrics;
use crate::write::permission;

/// How long a question may take, the wait for a place included. Two have to fit into the time that a request has.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Questions that are open at once: tokens that nobody knows are not to become a storm on the API server.
const AT_ONCE: usize = 8;
/// Members of this group may do everything, as on every port of Kubernetes.
const MASTERS: &str = "system:masters";
const AUTHENTICATED: &str = "system:authenticated";
const ANONYMOUS: &str = "system:anonymous";

/// Somebody, as the API server knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct User {
    pub(super) username: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// Whoever says nothing of themselves.
    pub(super) fn anonymous() -> Self {
        Self { username: ANONYMOUS.to_owned(), groups: vec!["system:unauthenticated".to_owned()], ..Self::default() }
    }

    pub(super) fn may_do_everything(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish<'a> {
    /// Something with a path.
    Path { verb: &'a str, path: &'a str },
    /// To be told of a pod: whoever may read it may.
    Pod { namespace: &'a str, name: &'a str },
}

impl<'a> Wish<'a> {
    /// What a request wants.
    pub(super) fn of(verb: &'a str, path: &'a str) -> Self {
        match debug::explained(path) {
            Some((namespace, name)) if verb == "get" => Self::Pod { namespace, name },
            _ => Self::Path { verb, path },
        }
    }

    /// What is asked about somebody who wants it.
    pub(super) fn question(self, user: &User) -> Value {
        let mut question = json!({"user": user.username, "uid": user.uid, "groups": user.groups, "extra": user.extra});
        match self {
            Self::Path { verb, path } => question["nonResourceAttributes"] = json!({"verb": verb, "path": path}),
            Self::Pod { namespace, name } => {
                question["resourceAttributes"] =
                    json!({"verb": "get", "resource": "pods", "namespace": namespace, "name": name});
            }
        }
        question
    }
}

impl std::fmt::Display for Wish<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path { verb, path } => write!(f, "{verb} path {path:?}"),
            Self::Pod { namespace, .. } => write!(f, "get pods in the namespace {namespace:?}"),
        }
    }
}

/// A kind of question, as the API has it.
struct Review {
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
}

const TOKEN: Review = Review { group: "authentication.k8s.io", kind: "TokenReview", plural: "tokenreviews" };
const ACCESS: Review =
    Review { group: "authorization.k8s.io", kind: "SubjectAccessReview", plural: "subjectaccessreviews" };

#[derive(Deserialize)]
struct Answered<S> {
    status: S,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenStatus {
    authenticated: bool,
    user: User,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AccessStatus {
    allowed: bool,
    denied: bool,
    reason: String,
}

/// Asks.
pub(super) struct Reviews {
    client: Client,
    metrics: Arc<Metrics>,
    places: Semaphore,
    /// Whether the last question got no answer: that is said once.
    in_trouble: AtomicBool,
}

impl Reviews {
    pub(super) fn new(client: Client, metrics: Arc<Metrics>) -> Self {
        Self { client, metrics, places: Semaphore::new(AT_ONCE), in_trouble: AtomicBool::new(false) }
    }

    /// Whom a token stands for, if for anybody.
    pub(super) async fn token(&self, token: &str) -> Result<Option<User>, String> {
        let spec = json!({"token": token});
        let status: TokenStatus = self.ask(&TOKEN, &spec).await?;
        let TokenStatus { authenticated, mut user } = status;
        if !authenticated || user.username.is_empty() {
            return Ok(None);
        }
        if user.username != ANONYMOUS && !user.groups.iter().any(|group| group == AUTHENTICATED) {
            user.groups.push(AUTHENTICATED.to_owned());
        }
        Ok(Some(user))
    }

    /// Whether somebody may do what they want to; if not, why, as far as the API server says.
    pub(super) async fn access(&self, question: &Value) -> Result<Result<(), String>, String> {
        let status: AccessStatus = self.ask(&ACCESS, question).await?;
        Ok(if status.allowed && !status.denied { Ok(()) } else { Err(status.reason) })
    }

    async fn ask<S: DeserializeOwned>(&self, review: &Review, spec: &Value) -> Result<S, String> {
        let kind = review.kind;
        let call = async {
            let _place = self.places.acquire().await;
            self.call(review, spec).await
        };
        let late = |_| Err(format!("no answer within {} s", TIMEOUT.as_secs()));
        let result = timeout(TIMEOUT, call).await.unwrap_or_else(late);
        match &result {
            Ok(_) => self.in_trouble.store(false, Ordering::Relaxed),
            Err(problem) => {
                if !self.in_trouble.swap(true, Ordering::Relaxed) {
                    tracing::warn!(problem, "secured port: a {kind} got no answer; nobody is let in without one");
                }
            }
        }
        result.map_err(|problem| format!("cannot find out whether this is allowed: creating a {kind}: {problem}"))
    }

    async fn call<S: DeserializeOwned>(
        &self,
        Review { group, kind, plural }: &Review,
        spec: &Value,
    ) -> Result<S, String> {
        let body = json!({"apiVersion": format!("{group}/v1"), "kind": kind, "spec": spec});
        let request = RawRequest {
            method: Method::POST,
            path: &format!("/apis/{group}/v1/{plural}"),
            content_type: "application/json",
            body: Bytes::from(body.to_string()),
            timeout: TIMEOUT,
        };
        let answer = send(&self.client, request).await.map_err(|error| describe(&error))?;
        permission(&self.metrics, "create", &format!("{plural}.{group}"), &answer);
        if !answer.status.is_success() {
            return Err(format!("the API server answered {}", answer.status));
        }
        // The parser's error might quote what the API server knows of the user.
        let read = serde_json::from_slice::<Answered<S>>(&answer.body);
        read.map(|read| read.status).map_err(|_| "the API server's answer cannot be read".to_owned())
    }
}

#[cfg(test)]
impl Reviews {
    /// Whether the permission to create these is shown as missing.
    pub(super) fn missing(&self, resource: &str) -> i64 {
        self.metrics.plimsoll.missing_permission("create", resource).get()
    }
}
