//! Evictions: pods that go for the sake of others.
//!
//! As upstream (reference section 11.7) the pod is told why by its condition `DisruptionTarget` and then deleted with its
//! own grace period; the UID makes it this pod and no other. Where budgets are strict it goes through `pods/eviction`
//! instead, which the API server refuses where a PodDisruptionBudget stands against it.

use bytes::Bytes;
use http::{Method, StatusCode};
use plimsoll_engine::effect::EvictRequest;
use plimsoll_engine::event::{Event, EvictResult};
use plimsoll_framework::pod::PodInfo;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    CALL_TIMEOUT, Lanes, NOT_LEADING, NotAllowed, PodRead, backoff, is_transient, pod_path, refusal, time_text,
};
use crate::client::{CallError, RawRequest, RawResponse, describe, one_line};

/// How often a call is tried.
const TRIES: u32 = 4;

impl Lanes {
    /// Makes a pod go and tells the engine how that ended.
    pub(super) async fn evict(&self, request: EvictRequest) {
        let result = if request.strict { self.ask_for_eviction(&request).await } else { self.delete(&request).await };
        let (victim, preemptor) = (&request.victim.key, &request.preemptor.key);
        match &result {
            EvictResult::Going => tracing::info!(pod = %victim, uid = %victim.uid, %preemptor, "pod is evicted"),
            EvictResult::Gone => {}
            EvictResult::Refused { message } => {
                tracing::info!(pod = %victim, uid = %victim.uid, %preemptor, "pod is not evicted: {message}");
            }
            EvictResult::Failed { message } => {
                tracing::warn!(pod = %victim, uid = %victim.uid, %preemptor, error = %message, "evicting a pod");
            }
        }
        let (victim, preemptor) = (victim.uid.clone(), preemptor.uid.clone());
        self.settings.inbox.event(Event::Evicted { victim, preemptor, result });
    }

    async fn delete(&self, request: &EvictRequest) -> EvictResult {
        if let Some(ended) = self.say_why(request).await {
            return ended;
        }
        let victim = &request.victim;
        let body = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": victim.key.uid.as_str() },
        });
        let path = pod_path(&victim.key, "");
        match self.call(Method::DELETE, &path, "application/json", &body).await {
            Ok(answer) => {
                self.permission("delete", "pods", &answer);
                self.read_eviction(victim, &answer).await
            }
            Err(error) => self.look_at_victim(victim, error).await,
        }
    }

    /// Sets the condition `DisruptionTarget`. Gives how it ended, if it ends there.
    async fn say_why(&self, request: &EvictRequest) -> Option<EvictResult> {
        let victim = &request.victim;
        let body = disruption_target(request, self.settings.clock.timestamp());
        let path = pod_path(&victim.key, "status");
        match self.call(Method::PATCH, &path, "application/strategic-merge-patch+json", &body).await {
            Ok(answer) => {
                self.permission("patch", "pods/status", &answer);
                if answer.status.is_success() { None } else { Some(self.read_eviction(victim, &answer).await) }
            }
            Err(error) => Some(EvictResult::Failed { message: error }),
        }
    }

    async fn ask_for_eviction(&self, request: &EvictRequest) -> EvictResult {
        let victim = &request.victim;
        let body = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": { "name": &*victim.key.name, "namespace": victim.key.namespace.as_str() },
            "deleteOptions": {
                "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": victim.key.uid.as_str() },
            },
        });
        let path = pod_path(&victim.key, "eviction");
        let result = match self.call(Method::POST, &path, "application/json", &body).await {
            Ok(answer) => {
                self.permission("create", "pods/eviction", &answer);
                self.read_eviction(victim, &answer).await
            }
            Err(error) => self.look_at_victim(victim, error).await,
        };
        if result == EvictResult::Going {
            // The API server has set a reason of its own; this one tells schedulers that the place is spoken for.
            drop(self.say_why(request).await);
        }
        result
    }

    /// What an answer means for the pod.
    async fn read_eviction(&self, victim: &PodInfo, answer: &RawResponse) -> EvictResult {
        match answer.status {
            status if status.is_success() => EvictResult::Going,
            StatusCode::NOT_FOUND => EvictResult::Gone,
            _ if stands_against(answer) => EvictResult::Refused { message: why_not(answer) },
            // Another pod under its name, perhaps; the pod itself tells.
            StatusCode::CONFLICT => self.look_at_victim(victim, refusal(answer)).await,
            _ => EvictResult::Failed { message: refusal(answer) },
        }
    }

    /// Asks the pod itself what became of it.
    async fn look_at_victim(&self, victim: &PodInfo, message: String) -> EvictResult {
        match self.read_pod(&victim.key).await {
            PodRead::Absent => EvictResult::Gone,
            PodRead::Found(pod, _) if pod.terminating => EvictResult::Going,
            PodRead::Found(..) => EvictResult::Failed { message },
        }
    }

    /// One call, tried again where the server failed. Only a replica that leads makes pods go.
    async fn call(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: &Value,
    ) -> Result<RawResponse, String> {
        let (body, timeout) = (Bytes::from(body.to_string()), self.settings.bind_timeout.min(CALL_TIMEOUT));
        let request = RawRequest { method, path, content_type, body, timeout };
        let mut attempt = 1;
        loop {
            let sent = self.evict.send(&self.settings.clients.status, &request, || self.leads()).await;
            let result = sent.map_err(|NotAllowed| NOT_LEADING.to_owned())?;
            if !is_transient(&result) || attempt == TRIES || is_conflict(&result) {
                return result.map_err(|error| describe(&error));
            }
            sleep(backoff(attempt)).await;
            attempt += 1;
        }
    }
}

fn is_conflict(result: &Result<RawResponse, CallError>) -> bool {
    result.as_ref().is_ok_and(|answer| answer.status == StatusCode::CONFLICT)
}

/// Whether a PodDisruptionBudget is why the API server refused; a busy server answers with the same code.
pub(super) fn stands_against(answer: &RawResponse) -> bool {
    answer.status == StatusCode::TOO_MANY_REQUESTS && causes(answer).any(|(reason, _)| reason == "DisruptionBudget")
}

/// What the API server says of the budget.
pub(super) fn why_not(answer: &RawResponse) -> String {
    let said = causes(answer).find(|(reason, _)| reason == "DisruptionBudget").map(|(_, message)| message);
    said.map(|message| one_line(&message)).filter(|said| !said.is_empty()).unwrap_or_else(|| refusal(answer))
}

fn causes(answer: &RawResponse) -> impl Iterator<Item = (String, String)> {
    let status: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let causes = status.pointer("/details/causes").and_then(Value::as_array).cloned().unwrap_or_default();
    causes.into_iter().map(|cause| {
        let text = |field: &str| cause.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        (text("reason"), text("message"))
    })
}

/// The strategic merge patch that says why the pod goes.
fn disruption_target(request: &EvictRequest, now: jiff::Timestamp) -> Value {
    let (victim, scheduler) = (&request.victim, &request.preemptor.scheduler_name);
    json!({
        "metadata": { "uid": victim.key.uid.as_str() },
        "status": { "conditions": [{
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": format!("{scheduler}: preempting to accommodate a higher priority pod"),
            "observedGeneration": victim.generation,
            "lastTransitionTime": time_text(now),
        }] },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_told_from_a_busy_server() {
        let answer = |code: u16, body: &'static str| RawResponse {
            status: StatusCode::from_u16(code).unwrap(),
            retry_after: None,
            body: body.into(),
        };
        let budget = r#"{"message":"Cannot evict pod","details":{"causes":[{"reason":"DisruptionBudget",
            "message":"The disruption budget web needs 2 healthy pods and has 2 currently"}]}}"#;
        let said = "The disruption budget web needs 2 healthy pods and has 2 currently";
        for (code, body, stands, why) in [
            (429, budget, true, said),
            (429, r#"{"details":{"causes":[{"reason":"DisruptionBudget","message":"a\nb\u001b[m"}]}}"#, true, "a b [m"),
            (429, r#"{"message":"too many requests"}"#, false, "too many requests (429)"),
            (429, "rubbish", false, "rubbish (429)"),
            (403, budget, false, said),
            (201, "{}", false, "{} (201)"),
        ] {
            let answer = answer(code, body);
            assert_eq!((stands_against(&answer), why_not(&answer).as_str()), (stands, why), "{code} {body}");
        }
    }
}
