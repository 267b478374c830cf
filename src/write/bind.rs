//! Bindings.
//!
//! A binding carries the pod's UID, so the server binds this pod and no other, once. Where the answer is lost or says
//! that something is in the way, the pod is read before anything else is done: only then is it certain what happened.

use bytes::Bytes;
use http::{Method, StatusCode};
use plimsoll_engine::effect::BindRequest;
use plimsoll_engine::event::{BindResult, Event};
use plimsoll_framework::plugin::BindVerdict;
use serde::Serialize;
use tokio::time::Instant;

use super::{Lanes, NOT_LEADING, NotAllowed, PodRead, pod_path, refusal};
use crate::client::{CallError, RawRequest, RawResponse, describe};
use crate::extender::Bound;
use crate::metrics::{BindingResult, ExtensionPoint, Status};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Binding<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<'a>,
    target: Target<'a>,
}
#[derive(Serialize)]
struct Metadata<'a> {
    name: &'a str,
    namespace: &'a str,
    uid: &'a str,
}
#[derive(Serialize)]
struct Target<'a> {
    kind: &'static str,
    name: &'a str,
}

/// What is known after a call.
enum Said {
    Bound,
    Failed(String),
    /// It has to be read from the pod. The text says what went wrong.
    Unclear(String),
}

impl Lanes {
    /// Binds a pod and tells the engine how that ended.
    pub(super) async fn bind(&self, request: BindRequest) {
        let uid = request.pod.key.uid.clone();
        let begun = Instant::now();
        let result = self.settle(&request).await;
        if let Some(profile) = self.profiles.get(&request.pod.scheduler_name) {
            let status = if result == BindResult::Bound { Status::Success } else { Status::Error };
            let took = begun.elapsed().as_secs_f64();
            profile.extension_point_duration.at((ExtensionPoint::Bind, status)).observe(took);
        }
        if result == BindResult::Bound {
            let took = self.settings.clock.now().since(request.popped);
            tracing::info!(
                pod = %request.pod.key,
                uid = %uid,
                node = %request.node,
                score = request.score,
                attempts = request.attempts,
                ms = (took.as_secs_f64() * 1e5).round() / 1e2,
                "pod is bound"
            );
        }
        // Where it went well, only what is told of it waits.
        let well = result == BindResult::Bound;
        let finished = Event::BindFinished { uid, result };
        if well { self.settings.inbox.unhurried(finished) } else { self.settings.inbox.event(finished) }
    }

    async fn settle(&self, request: &BindRequest) -> BindResult {
        let results = &self.settings.metrics.plimsoll.binding_results;
        let said = match (self.bind_by_extender(request).await, &request.by) {
            (Some(said), _) => said,
            (None, BindVerdict::Write(write)) => match self.write_object(write).await {
                Ok(()) => Said::Bound,
                Err(message) => Said::Unclear(message),
            },
            (None, BindVerdict::Binding | BindVerdict::Skip) => self.post_binding(request).await,
        };
        match said {
            Said::Bound => {
                results.at(BindingResult::Bound).inc();
                BindResult::Bound
            }
            Said::Failed(message) => {
                results.at(BindingResult::Refused).inc();
                BindResult::Failed { message }
            }
            Said::Unclear(message) => self.look(request, message).await,
        }
    }

    /// Has an extender bind the pod, where one does that; `None` where none does.
    async fn bind_by_extender(&self, request: &BindRequest) -> Option<Said> {
        let extenders = self.settings.extenders.as_ref().filter(|e| e.binds(&request.pod))?;
        if !self.leads() {
            return Some(Said::Failed(NOT_LEADING.to_owned()));
        }
        match extenders.bind(request).await {
            Bound::NotHere => None,
            Bound::Done => Some(Said::Bound),
            // It may have bound the pod and not have been heard.
            Bound::Failed(message) => Some(Said::Unclear(message)),
        }
    }

    /// Asks the pod itself.
    async fn look(&self, request: &BindRequest, message: String) -> BindResult {
        let results = &self.settings.metrics.plimsoll.binding_results;
        match self.read_pod(&request.pod.key).await {
            PodRead::Absent => {
                results.at(BindingResult::Gone).inc();
                BindResult::Gone
            }
            PodRead::Found(pod, told) => match &pod.node_name {
                None => {
                    results.at(BindingResult::Error).inc();
                    BindResult::Failed { message }
                }
                Some(node) => {
                    results.at(BindingResult::AlreadyBound).inc();
                    let ours = *node == request.node;
                    self.settings.inbox.event(*told);
                    if ours { BindResult::Bound } else { BindResult::Gone }
                }
            },
        }
    }

    async fn post_binding(&self, request: &BindRequest) -> Said {
        let key = &request.pod.key;
        let binding = Binding {
            api_version: "v1",
            kind: "Binding",
            metadata: Metadata { name: &key.name, namespace: &key.namespace, uid: key.uid.as_str() },
            target: Target { kind: "Node", name: &request.node },
        };
        let Ok(body) = serde_json::to_vec(&binding).map(Bytes::from) else {
            return Said::Failed("the binding cannot be written as JSON".to_owned());
        };
        let path = pod_path(key, "binding");
        let request = RawRequest {
            method: Method::POST,
            path: &path,
            content_type: "application/json",
            body,
            timeout: self.settings.bind_timeout,
        };
        match self.bind.send(&self.settings.clients.bind, &request, || self.leads()).await {
            Ok(answer) => self.read_answer(answer),
            Err(NotAllowed) => Said::Failed(NOT_LEADING.to_owned()),
        }
    }

    fn read_answer(&self, answer: Result<RawResponse, CallError>) -> Said {
        match answer {
            Ok(answer) if answer.status.is_success() => {
                self.permission("create", "pods/binding", &answer);
                Said::Bound
            }
            Ok(answer) => {
                self.permission("create", "pods/binding", &answer);
                let unclear = answer.status.is_server_error()
                    || matches!(answer.status, StatusCode::CONFLICT | StatusCode::NOT_FOUND);
                if unclear { Said::Unclear(refusal(&answer)) } else { Said::Failed(refusal(&answer)) }
            }
            Err(error) => {
                if matches!(error, CallError::Timeout(_)) {
                    self.settings.metrics.plimsoll.binding_results.at(BindingResult::Timeout).inc();
                }
                let text = describe(&error);
                if error.outcome_unknown() { Said::Unclear(text) } else { Said::Failed(text) }
            }
        }
    }
}
