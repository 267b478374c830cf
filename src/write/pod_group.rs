//! The status of PodGroups of `scheduling.k8s.io`: the condition `PodGroupScheduled`.

use jiff::Timestamp;
use plimsoll_engine::effect::PodGroupStatus;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Lanes, segment, time_text};

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
        condition["lastTransitionTime"] = json!(time_text(now));
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
        let path = format!(
            "/apis/scheduling.k8s.io/{}/namespaces/{}/podgroups/{}/status",
            segment(&status.version),
            segment(&status.namespace),
            segment(&status.name)
        );
        if let Err(error) = self.patch_status("podgroups/status", &path, |now| patch(status, now)).await {
            let group = format!("{}/{}", status.namespace, status.name);
            tracing::warn!(%group, %error, "writing a PodGroup's status");
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
