//! SchedulingGates (PreEnqueue): keeps a pod out of the queue while it has scheduling gates. Reference section 4.10.

use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::plugin::{EnqueueExtensions, Plugin, PreEnqueue};
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::verdict::Rejection;

use crate::hints::{changed_self, queue_if};

/// Keeps a pod out of the queue while it has scheduling gates.
#[derive(Clone, Copy, Debug, Default)]
pub struct SchedulingGates;

impl Plugin for SchedulingGates {
    const NAME: &'static str = "SchedulingGates";
}

impl PreEnqueue for SchedulingGates {
    fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), Rejection> {
        let gates: Vec<&str> = pod.spec.scheduling_gates.iter().map(|gate| &**gate).collect();
        if gates.is_empty() {
            return Ok(());
        }
        Err(Rejection::unresolvable(format!("waiting for scheduling gates: [{}]", gates.join(" "))))
    }
}

impl EnqueueExtensions for SchedulingGates {
    fn registrations(&self) -> Vec<Registration> {
        vec![Registration::new(EventResource::Pod, Actions::UPDATE_POD_SCHEDULING_GATES_ELIMINATED)]
    }

    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        queue_if(changed_self(pod, change).is_some_and(|now| now.spec.scheduling_gates.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{pod, pod_hint};

    #[test]
    fn gates_are_named_in_their_order() {
        let gated = pod(json!({"spec": {"schedulingGates": [{"name": "b"}, {"name": "a"}]}}));
        let rejection = Rejection::unresolvable("waiting for scheduling gates: [b a]");
        assert_eq!(SchedulingGates.pre_enqueue(&gated), Err(rejection));
        assert_eq!(SchedulingGates.pre_enqueue(&pod(json!({}))), Ok(()));
    }

    #[test]
    fn only_the_pods_own_last_gate_counts() {
        let gated = json!({"metadata": {"uid": "1"}, "spec": {"schedulingGates": [{"name": "a"}]}});
        let free = json!({"metadata": {"uid": "1"}});
        let other = json!({"metadata": {"uid": "2"}});
        let rows = [(&free, QueueingHint::Queue), (&gated, QueueingHint::Skip), (&other, QueueingHint::Skip)];
        for (now, expect) in rows {
            assert_eq!(pod_hint(&SchedulingGates, &gated, Some(&gated), Some(now)), expect, "{now}");
        }
    }
}
