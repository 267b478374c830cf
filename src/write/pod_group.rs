//! The status of PodGroups of `scheduling.k8s.io`: the condition `PodGroupScheduled`.

use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;
use plimsoll_engine::effect::PodGroupStatus;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{CALL_TIMEOUT, Lanes, is_transient, refusal, segment, turn};
use crate::client::{RawRequest, describe, send};

/// How often a status write is tried.
const TRIES: u32 = 4;

/// The strategic merge patch. The UID makes it a patch of this group and no other.
fn patch(status: &PodGroupStatus, now: Timestamp) -> Value {
    let (is, reason, message) = match &status.unscheduled {
        None => ("True", "Scheduled", ""),
        Some((reason, message)) => ("False", reason.as_str(), message.as_str()),
    };
    let mut condition = json!({
        "type": "PodGroupScheduled",
        "status": is,
        "reason": reason,
        "message": message,
        "observedGeneration": status.generation,
    });
    if status.transition {
        condition["lastTransitionTime"] = json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    }
    json!({ "metadata": { "uid": &*status.uid }, "status": { "conditions": [condition] } })
}

impl Lanes {
    /// Writes the conditions of groups in the order in which they come, of those that wait only the last of each group.
    pub(super) async fn write_group_statuses(&self, mut incoming: mpsc::UnboundedReceiver<PodGroupStatus>) {
        while let Some(first) = incoming.recv().await {
            let mut waiting = vec![first];
            while let Ok(next) = incoming.try_recv() {
                waiting.retain(|status| status.uid != next.uid);
                waiting.push(next);
            }
            for status in waiting {
                self.write_group_status(&status).await;
            }
        }
    }

    /// Writes a group's condition. When that fails for good it is said in the log; the next attempt writes it again.
    async fn write_group_status(&self, status: &PodGroupStatus) {
        let Ok(_place) = self.status.acquire().await else { return };
        let body = bytes::Bytes::from(patch(status, self.settings.clock.timestamp()).to_string());
        let path = format!(
            "/apis/scheduling.k8s.io/{}/namespaces/{}/podgroups/{}/status",
            segment(&status.version),
            segment(&status.namespace),
            segment(&status.name)
        );
        let group = format!("{}/{}", status.namespace, status.name);
        for attempt in 1..=TRIES {
            turn(self.status_limit.as_ref()).await;
            let request = RawRequest {
                method: Method::PATCH,
                path: &path,
                content_type: "application/strategic-merge-patch+json",
                body: body.clone(),
                timeout: CALL_TIMEOUT,
            };
            let result = send(&self.settings.clients.status, request).await;
            if is_transient(&result) && attempt < TRIES {
                sleep(Duration::from_millis(10 * 5_u64.pow(attempt - 1))).await;
                continue;
            }
            match result {
                Ok(answer) => {
                    self.permission("patch", "podgroups/status", &answer);
                    // A group that is gone needs no condition.
                    if !answer.status.is_success() && answer.status != StatusCode::NOT_FOUND {
                        tracing::warn!(%group, error = %refusal(&answer), "writing a PodGroup's status");
                    }
                }
                Err(error) => tracing::warn!(%group, error = %describe(&error), "writing a PodGroup's status"),
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_engine::effect::Reason;

    use super::*;

    #[test]
    fn the_patch_names_the_group_and_one_condition() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let status = |unscheduled, transition| PodGroupStatus {
            namespace: "default".into(),
            name: "g".into(),
            uid: "u".into(),
            version: "v1alpha2".into(),
            generation: 3,
            unscheduled,
            transition,
        };
        let placed = json!({
            "metadata": {"uid": "u"},
            "status": {"conditions": [{
                "type": "PodGroupScheduled", "status": "True", "reason": "Scheduled", "message": "",
                "observedGeneration": 3, "lastTransitionTime": "2023-11-14T22:13:20Z",
            }]},
        });
        assert_eq!(patch(&status(None, true), now), placed);
        let unfit = patch(&status(Some((Reason::Unschedulable, "no room".to_owned())), false), now);
        let condition = json!({
            "type": "PodGroupScheduled", "status": "False", "reason": "Unschedulable", "message": "no room",
            "observedGeneration": 3,
        });
        assert_eq!(unfit["status"]["conditions"], json!([condition]));
    }
}
