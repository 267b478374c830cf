//! NodeDeclaredFeatures (PreFilter, Filter): keeps a pod on nodes whose kubelets can do what it needs. Reference
//! section 4.9.

use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::{EnqueueExtensions, Filter, Plugin, PreFilter, PreFilterVerdict};
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::read::{DeclaredFeatures, Spec};
use plimsoll_framework::verdict::Verdict;

use crate::hints::{changed_self, queue_if};

const REASON: &str = "node(s) didn't match Pod's required features";

/// Keeps a pod on nodes that declare the features it needs.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeDeclaredFeatures;

impl Plugin for NodeDeclaredFeatures {
    const NAME: &'static str = "NodeDeclaredFeatures";
}

impl EnqueueExtensions for NodeDeclaredFeatures {
    fn registrations(&self) -> Vec<Registration> {
        vec![
            Registration::new(EventResource::Node, Actions::ADD.or(Actions::UPDATE_NODE_DECLARED_FEATURE)),
            Registration::new(EventResource::Pod, Actions::UPDATE),
        ]
    }

    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        if let (old, Some(new)) = change.nodes() {
            return queue_if(old.is_none_or(|old| old.declared_features != new.declared_features));
        }
        queue_if(changed_self(pod, change).is_some_and(|now| now.spec.required_features != pod.spec.required_features))
    }
}

impl PreFilter for NodeDeclaredFeatures {
    type Pod = Spec;
    type Cluster = ();

    fn pre_filter(&self, pod: &PodSpecInfo, (): ()) -> PreFilterVerdict {
        if pod.required_features.is_empty() { PreFilterVerdict::Skip } else { PreFilterVerdict::Run }
    }
}

impl Filter for NodeDeclaredFeatures {
    type Pod = Spec;
    type Cluster = ();
    type Node = DeclaredFeatures;
    type State = Box<[Istr]>;

    fn prepare(&self, pod: &PodSpecInfo, (): ()) -> Option<Box<[Istr]>> {
        (!pod.required_features.is_empty()).then(|| pod.required_features.clone())
    }

    fn filter(&self, required: &Box<[Istr]>, declared: &[Istr]) -> Verdict {
        let has_all = required.iter().all(|feature| declared.contains(feature));
        if has_all { Verdict::FITS } else { Verdict::unresolvable(1) }
    }

    fn reasons(&self, _: &Box<[Istr]>, _: u32) -> Vec<String> {
        vec![REASON.to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_framework::extensions::Extensions;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{UNRESOLVABLE, filter_one, node_hint, pod, pod_hint};

    const RESTART: &str = "RestartAllContainersOnContainerExits";
    const USERS: &str = "UserNamespacesHostNetworkSupport";

    fn restarting() -> Value {
        let rule = json!({"action": "RestartAllContainers"});
        json!({"metadata": {"uid": "1"}, "spec": {"initContainers": [{"restartPolicyRules": [rule]}]}})
    }

    #[test]
    fn nodes_declare_what_pods_need() {
        let both = json!({"spec": {"hostNetwork": true, "hostUsers": false,
                                   "containers": [{"restartPolicyRules": [{"action": "RestartAllContainers"}]}]}});
        let rows = [
            (json!({"spec": {"hostNetwork": true}}), json!([]), true),
            (restarting(), json!([]), false),
            (restarting(), json!([USERS]), false),
            (restarting(), json!(["Another", RESTART]), true),
            (both.clone(), json!([RESTART]), false),
            (both, json!([USERS, RESTART]), true),
        ];
        let plugin = Extensions::of(NodeDeclaredFeatures).filter().done();
        for (asked, declared, fits) in rows {
            let node = json!({"metadata": {"name": "n"}, "status": {"declaredFeatures": declared}});
            let expect = (!fits).then(|| (UNRESOLVABLE, vec![REASON.to_owned()]));
            assert_eq!(filter_one(&plugin, &asked, &node, &[]), expect, "{asked} {declared}");
        }
    }

    #[test]
    fn most_pods_need_nothing() {
        let verdict = |json| NodeDeclaredFeatures.pre_filter(&pod(json).spec, ());
        assert_eq!(verdict(json!({"spec": {"hostUsers": false}})), PreFilterVerdict::Skip);
        assert_eq!(verdict(restarting()), PreFilterVerdict::Run);
    }

    #[test]
    fn hints() {
        use QueueingHint::{Queue, Skip};
        let plugin = NodeDeclaredFeatures;
        let node = |features: Value| json!({"metadata": {"name": "n"}, "status": {"declaredFeatures": features}});
        let rows = [
            (None, json!([]), Queue),
            (Some(json!([])), json!(["Another"]), Queue),
            (Some(json!([RESTART, USERS])), json!([USERS, RESTART]), Skip),
        ];
        for (old, new, expect) in rows {
            let old = old.map(node);
            assert_eq!(node_hint(&plugin, &restarting(), old.as_ref(), &node(new.clone())), expect, "{new}");
        }
        let plain = |uid: &str| json!({"metadata": {"uid": uid}});
        for (now, expect) in [(plain("1"), Queue), (plain("2"), Skip), (restarting(), Skip)] {
            assert_eq!(pod_hint(&plugin, &restarting(), Some(&restarting()), Some(&now)), expect, "{now}");
        }
    }
}
