//! NodeUnschedulable (Filter): keeps pods away from cordoned nodes, unless they tolerate what cordoning stands for.
//! Reference section 4.2.

use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::plugin::{EnqueueExtensions, Filter, Plugin};
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::read::{Block, Spec, Unschedulable};
use plimsoll_framework::toleration::{Taint, TaintEffect, tolerated};
use plimsoll_framework::verdict::Verdict;

use crate::hints::{changed_self, queue_if};

const REASON: &str = "node(s) were unschedulable";
const CORDONED: Verdict = Verdict::unresolvable(1);

/// Keeps pods away from cordoned nodes.
#[derive(Clone, Debug)]
pub struct NodeUnschedulable {
    /// The taint that stands for a cordoned node.
    taint: Taint,
}

impl Default for NodeUnschedulable {
    fn default() -> Self {
        Self { taint: Taint::new("node.kubernetes.io/unschedulable", "", TaintEffect::NoSchedule) }
    }
}

impl NodeUnschedulable {
    fn tolerated_by(&self, pod: &PodSpecInfo) -> bool {
        tolerated(&pod.tolerations, &self.taint)
    }
}

impl Plugin for NodeUnschedulable {
    const NAME: &'static str = "NodeUnschedulable";
}

impl EnqueueExtensions for NodeUnschedulable {
    fn registrations(&self) -> Vec<Registration> {
        vec![
            Registration::new(EventResource::Node, Actions::ADD.or(Actions::UPDATE_NODE_TAINT)),
            Registration::new(EventResource::Pod, Actions::UPDATE_POD_TOLERATION),
        ]
    }

    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        if let (old, Some(new)) = change.nodes() {
            return queue_if(!new.unschedulable && old.is_none_or(|old| old.unschedulable));
        }
        queue_if(changed_self(pod, change).is_some_and(|now| self.tolerated_by(&now.spec)))
    }
}

impl Filter for NodeUnschedulable {
    type Pod = Spec;
    type Cluster = ();
    type Node = Unschedulable;
    type State = ();

    fn prepare(&self, pod: &PodSpecInfo, (): ()) -> Option<()> {
        (!self.tolerated_by(pod)).then_some(())
    }

    fn filter(&self, (): &(), unschedulable: bool) -> Verdict {
        if unschedulable { CORDONED } else { Verdict::FITS }
    }

    fn filter_block(&self, (): &(), block: &Block<'_, Unschedulable>, out: &mut [Verdict; 64]) {
        let cordoned = block.cols();
        if cordoned == 0 {
            return out.fill(Verdict::FITS);
        }
        for (lane, answer) in out.iter_mut().enumerate() {
            *answer = if cordoned >> lane & 1 == 1 { CORDONED } else { Verdict::FITS };
        }
    }

    fn reasons(&self, (): &(), _: u32) -> Vec<String> {
        vec![REASON.to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_framework::extensions::Extensions;
    use serde_json::json;

    use super::*;
    use crate::testing::{UNRESOLVABLE, filter_one, node_hint, pod_hint};

    #[test]
    fn cordoned_nodes_are_for_those_who_tolerate_it() {
        let rows = [
            (json!([]), false, true),
            (json!([]), true, false),
            (json!([{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]), true, true),
            (json!([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]), true, true),
            (json!([{"operator": "Exists", "effect": "NoExecute"}]), true, false),
            (json!([{"operator": "Exists"}]), true, true),
        ];
        for (tolerations, unschedulable, fits) in rows {
            let answer = filter_one(
                &Extensions::of(NodeUnschedulable::default()).filter().done(),
                &json!({"spec": {"tolerations": tolerations}}),
                &json!({"metadata": {"name": "n"}, "spec": {"unschedulable": unschedulable}}),
                &[],
            );
            let expect = (!fits).then(|| (UNRESOLVABLE, vec![REASON.to_owned()]));
            assert_eq!(answer, expect, "{tolerations} {unschedulable}");
        }
    }

    #[test]
    fn hints() {
        use QueueingHint::{Queue, Skip};
        let plugin = NodeUnschedulable::default();
        let pod = json!({"metadata": {"uid": "1"}});
        let node = |unschedulable: bool| json!({"spec": {"unschedulable": unschedulable}});
        let rows = [
            (None, false, Queue),
            (None, true, Skip),
            (Some(true), false, Queue),
            (Some(false), false, Skip),
            (Some(false), true, Skip),
        ];
        for (old, new, expect) in rows {
            let old = old.map(node);
            assert_eq!(node_hint(&plugin, &pod, old.as_ref(), &node(new)), expect, "{old:?} {new}");
        }
        let tolerant = |uid: &str| json!({"metadata": {"uid": uid}, "spec": {"tolerations": [{"operator": "Exists"}]}});
        for (now, expect) in [(tolerant("1"), Queue), (tolerant("2"), Skip), (pod.clone(), Skip)] {
            assert_eq!(pod_hint(&plugin, &pod, Some(&pod), Some(&now)), expect, "{now}");
        }
    }
}
