//! Pod status: the condition `PodScheduled` and the nominated node.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::Timestamp;
use plimsoll_engine::effect::StatusUpdate;
use plimsoll_engine::event::Event;
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::{CALL_TIMEOUT, Lanes, is_transient, pod_path, refusal, time_text};
use crate::client::{RawRequest, describe};

/// How often a status write is tried.
const TRIES: u32 = 4;

/// The later of two updates of one pod, with what only the earlier one says.
pub(super) fn merge(earlier: Option<StatusUpdate>, later: StatusUpdate) -> StatusUpdate {
    let Some(earlier) = earlier else { return later };
    StatusUpdate {
        transition: earlier.transition || later.transition,
        condition: later.condition.or(earlier.condition),
        nominated_node_name: later.nominated_node_name.or(earlier.nominated_node_name),
        number: later.number.max(earlier.number),
        ..later
    }
}

/// The strategic merge patch. The UID makes it a patch of this pod and no other.
pub(super) fn patch(update: &StatusUpdate, now: Timestamp) -> Value {
    let mut status = Map::new();
    if let Some((reason, message)) = &update.condition {
        let mut condition = json!({
            "type": "PodScheduled",
            "status": "False",
            "reason": reason.as_str(),
            "message": message,
            "observedGeneration": update.generation,
        });
        if update.transition {
            condition["lastTransitionTime"] = json!(time_text(now));
        }
        status.insert("conditions".to_owned(), json!([condition]));
    }
    if let Some(node) = &update.nominated_node_name {
        status.insert("nominatedNodeName".to_owned(), node.as_ref().map_or(Value::Null, |n| json!(n.as_str())));
    }
    json!({ "metadata": { "uid": update.key.uid.as_str() }, "status": status })
}

impl Lanes {
    /// Writes a pod's status. When that fails for good it is said in the log; the next attempt writes it again.
    pub(super) async fn write_status(&self, update: &StatusUpdate) {
        let path = pod_path(&update.key, "status");
        let written = self.patch_status("pods/status", &path, |now| patch(update, now)).await;
        if let Err(error) = &written {
            tracing::warn!(pod = %update.key, %error, "writing a pod's status");
        }
        self.tell_of_nomination(update, written.ok().as_deref().and_then(version));
    }

    /// Tells the engine what became of the nomination in an update, if there is one.
    pub(super) fn tell_of_nomination(&self, update: &StatusUpdate, version: Option<u64>) {
        if update.nominated_node_name.is_some() {
            let (uid, number) = (update.key.uid.clone(), update.number);
            self.settings.inbox.event(Event::NominationWritten { uid, number, version });
        }
    }

    /// Patches a status in the status lane, a few times where the server fails. What is gone needs no status: that is no
    /// error. Gives what the server answered.
    pub(super) async fn patch_status(
        &self,
        resource: &str,
        path: &str,
        body: impl FnOnce(Timestamp) -> Value,
    ) -> Result<Bytes, String> {
        let request = RawRequest {
            method: Method::PATCH,
            path,
            content_type: "application/strategic-merge-patch+json",
            body: Bytes::from(body(self.settings.clock.timestamp()).to_string()),
            timeout: CALL_TIMEOUT,
        };
        let mut attempt = 1;
        let result = loop {
            // Whoever stands by writes statuses, too.
            let Ok(result) = self.status.send(&self.settings.clients.status, &request, || true).await else {
                return Ok(Bytes::new());
            };
            if attempt == TRIES || !is_transient(&result) {
                break result;
            }
            sleep(Duration::from_millis(10 * 5_u64.pow(attempt - 1))).await;
            attempt += 1;
        };
        let answer = result.map_err(|error| describe(&error))?;
        self.permission("patch", resource, &answer);
        let done = answer.status.is_success() || answer.status == StatusCode::NOT_FOUND;
        if done { Ok(answer.body) } else { Err(refusal(&answer)) }
    }
}

/// The version of the object in an answer.
fn version(body: &[u8]) -> Option<u64> {
    let object: Value = serde_json::from_slice(body).ok()?;
    object.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use plimsoll_engine::effect::Reason;
    use plimsoll_framework::pod::{PodKey, Uid};

    use super::*;

    fn update() -> StatusUpdate {
        StatusUpdate {
            key: PodKey { namespace: "default".into(), name: "p".into(), uid: Uid::new("u") },
            generation: 3,
            condition: Some((Reason::Unschedulable, "0/1 nodes are available: 1 Too many pods.".into())),
            transition: true,
            nominated_node_name: Some(None),
            number: 7,
        }
    }

    #[test]
    fn the_patch_names_the_pod_and_says_only_what_changes() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        assert_eq!(
            patch(&update(), now),
            json!({
                "metadata": { "uid": "u" },
                "status": {
                    "conditions": [{
                        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                        "message": "0/1 nodes are available: 1 Too many pods.", "observedGeneration": 3,
                        "lastTransitionTime": "2023-11-14T22:13:20Z",
                    }],
                    "nominatedNodeName": null,
                }
            })
        );
        let later =
            StatusUpdate { condition: None, nominated_node_name: None, transition: false, number: 0, ..update() };
        assert_eq!(patch(&later, now), json!({ "metadata": { "uid": "u" }, "status": {} }));
    }

    #[test]
    fn a_later_update_takes_the_place_of_an_earlier_one() {
        let later =
            StatusUpdate { condition: None, nominated_node_name: Some(Some("n".into())), number: 8, ..update() };
        let merged = merge(Some(update()), later.clone());
        assert_eq!(merged.condition, update().condition);
        assert_eq!((merged.nominated_node_name, merged.number), (later.nominated_node_name, 8));
        let later = StatusUpdate { nominated_node_name: None, number: 0, ..update() };
        let merged = merge(Some(update()), later);
        assert_eq!((merged.nominated_node_name, merged.number), (Some(None), 7));
    }

    #[test]
    fn the_answer_tells_the_version() {
        let answer = br#"{"metadata": {"name": "p", "resourceVersion": "421"}, "status": {}}"#;
        assert_eq!((version(answer), version(b"{}"), version(b"")), (Some(421), None, None));
    }
}
