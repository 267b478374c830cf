//! NodeAffinity (PreFilter, Filter, PreScore, Score): `nodeSelector` and node affinity of the pod, and `addedAffinity`,
//! which the configuration puts on every pod of the profile. Reference section 4.4.

use plimsoll_framework::api;
use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::{LabelSelector, LabelSet, SelectorError};
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::node_selector::{self, NodeSelector, PreferredTerm};
use plimsoll_framework::plugin::{
    EnqueueExtensions, Extent, Filter, MAX_NODE_SCORE, Plugin, PreFilter, PreFilterVerdict, PreScore, Score,
};
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::read::{Labels, Name, Spec};
use plimsoll_framework::verdict::{Rejection, Verdict};

use crate::hints::queue_if;

const REASON_POD: &str = "node(s) didn't match Pod's node affinity/selector";
const REASON_ENFORCED: &str = "node(s) didn't match scheduler-enforced node affinity";
const REASON_CONFLICT: &str = "pod affinity terms conflict";

const POD: u32 = 1;
const ENFORCED: u32 = 2;

/// Keeps a pod on, or near, the nodes that it selects.
#[derive(Clone, Debug, Default)]
pub struct NodeAffinity {
    added_required: Option<NodeSelector>,
    /// `None` when the configuration lists no preferred terms, as opposed to terms that never count.
    added_preferred: Option<Box<[PreferredTerm]>>,
}

impl NodeAffinity {
    /// The plugin with this `addedAffinity`. Fails when a selector in it cannot be read.
    pub fn new(added: Option<&api::NodeAffinity>) -> Result<Self, SelectorError> {
        let compiled = node_selector::NodeAffinity::compile(None, added)?;
        let lists_preferred = added.and_then(|a| a.preferred.as_ref()).is_some_and(|terms| !terms.is_empty());
        Ok(Self { added_required: compiled.required, added_preferred: lists_preferred.then_some(compiled.preferred) })
    }

    fn enforced(&self, name: &Istr, labels: &LabelSet) -> bool {
        self.added_required.as_ref().is_none_or(|required| required.matches(name, labels))
    }

    fn has_nothing_to_filter(&self, pod: &PodSpecInfo) -> bool {
        let own = &pod.node_affinity;
        own.node_selector.is_none() && own.required.is_none() && self.added_required.is_none()
    }
}

impl Plugin for NodeAffinity {
    const NAME: &'static str = "NodeAffinity";
}

impl EnqueueExtensions for NodeAffinity {
    fn registrations(&self) -> Vec<Registration> {
        vec![Registration::new(EventResource::Node, Actions::ADD.or(Actions::UPDATE_NODE_LABEL))]
    }

    /// A change after which only the enforced affinity matches anew is not worth an attempt in kube-scheduler's eyes
    /// either.
    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        let (old, Some(new)) = change.nodes() else { return QueueingHint::Queue };
        let own = |node: &NodeInfo| pod.spec.node_affinity.matches(&node.name, &node.labels);
        queue_if(self.enforced(&new.name, &new.labels) && own(new) && !old.is_some_and(own))
    }
}

impl PreFilter for NodeAffinity {
    type Pod = Spec;
    type Cluster = ();

    fn pre_filter(&self, pod: &PodSpecInfo, (): ()) -> PreFilterVerdict {
        if self.has_nothing_to_filter(pod) {
            return PreFilterVerdict::Skip;
        }
        match pod.node_affinity.required.as_ref().and_then(NodeSelector::names) {
            None => PreFilterVerdict::Run,
            Some(names) if names.is_empty() => PreFilterVerdict::Reject(Rejection::unresolvable(REASON_CONFLICT)),
            Some(names) => PreFilterVerdict::Only(names),
        }
    }
}

/// What a pod requires of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Required {
    node_selector: Option<LabelSelector>,
    affinity: Option<NodeSelector>,
}

impl Filter for NodeAffinity {
    type Pod = Spec;
    type Cluster = ();
    type Node = (Name, Labels);
    type State = Required;

    fn prepare(&self, pod: &PodSpecInfo, (): ()) -> Option<Required> {
        let own = &pod.node_affinity;
        (!self.has_nothing_to_filter(pod))
            .then(|| Required { node_selector: own.node_selector.clone(), affinity: own.required.clone() })
    }

    fn filter(&self, own: &Required, (name, labels): (&Istr, &LabelSet)) -> Verdict {
        if !self.enforced(name, labels) {
            return Verdict::unresolvable(ENFORCED);
        }
        let selected = own.node_selector.as_ref().is_none_or(|selector| selector.matches(labels))
            && own.affinity.as_ref().is_none_or(|affinity| affinity.matches(name, labels));
        if selected { Verdict::FITS } else { Verdict::unresolvable(POD) }
    }

    fn reasons(&self, _: &Required, reasons: u32) -> Vec<String> {
        let text = if reasons & ENFORCED != 0 { REASON_ENFORCED } else { REASON_POD };
        vec![text.to_owned()]
    }
}

impl PreScore for NodeAffinity {
    type Pod = Spec;
    type Cluster = ();

    fn pre_score(&self, pod: &PodSpecInfo, (): ()) -> bool {
        pod.node_affinity.has_preferred || self.added_preferred.is_some()
    }
}

impl Score for NodeAffinity {
    const NORMALIZED: bool = true;
    type Pod = Spec;
    type Cluster = ();
    type Node = (Name, Labels);
    /// The pod's own preferred terms and the enforced ones.
    type State = Box<[PreferredTerm]>;

    fn prepare(&self, pod: &PodSpecInfo, (): ()) -> Option<Box<[PreferredTerm]>> {
        let added = self.added_preferred.iter().flatten();
        let terms: Box<[PreferredTerm]> = pod.node_affinity.preferred.iter().chain(added).cloned().collect();
        (!terms.is_empty()).then_some(terms)
    }

    fn score(&self, terms: &Box<[PreferredTerm]>, (name, labels): (&Istr, &LabelSet)) -> i64 {
        terms.iter().filter(|t| t.term.matches(name, labels)).map(|t| i64::from(t.weight)).sum()
    }

    fn normalize(&self, raw: i64, over: Extent) -> i64 {
        if over.max == 0 { raw } else { MAX_NODE_SCORE * raw / over.max }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_framework::extensions::Extensions;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{UNRESOLVABLE, filter_one, node_hint, pod, score_one};

    fn with_added(added: Value) -> NodeAffinity {
        NodeAffinity::new(Some(&serde_json::from_value(added).unwrap())).unwrap()
    }
    fn required(terms: Value) -> Value {
        json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}})
    }
    fn disk(value: &str) -> Value {
        json!([{"matchExpressions": [{"key": "disk", "operator": "In", "values": [value]}]}])
    }
    fn named(names: &[&str]) -> Value {
        let field = |n: &&str| json!({"key": "metadata.name", "operator": "In", "values": [n]});
        json!([{"matchFields": names.iter().map(field).collect::<Vec<_>>()}])
    }

    #[test]
    fn pre_filter_skips_narrows_and_rejects() {
        let only = |names: &[&str]| PreFilterVerdict::Only(names.iter().map(|n| Istr::new(n)).collect());
        let plain = NodeAffinity::default();
        let added = with_added(required(disk("ssd")));
        let affinity = |terms: Value| json!({"affinity": {"nodeAffinity": required(terms)}});
        let rows = [
            (&plain, json!({}), PreFilterVerdict::Skip),
            (&added, json!({}), PreFilterVerdict::Run),
            (&plain, json!({"nodeSelector": {}}), PreFilterVerdict::Run),
            (&plain, affinity(disk("ssd")), PreFilterVerdict::Run),
            (&plain, affinity(named(&["a"])), only(&["a"])),
            (
                &plain,
                affinity(named(&["a", "b"])),
                PreFilterVerdict::Reject(Rejection::unresolvable("pod affinity terms conflict")),
            ),
        ];
        for (plugin, spec, expect) in rows {
            assert_eq!(plugin.pre_filter(&pod(json!({"spec": spec})).spec, ()), expect, "{spec}");
        }
    }

    #[test]
    fn selected_by_the_pod_and_by_the_configuration() {
        let node = json!({"metadata": {"name": "n", "labels": {"disk": "ssd", "zone": "a"}}});
        let rows = [
            (json!({}), None, None),
            (json!({}), Some("hdd"), Some(REASON_ENFORCED)),
            (json!({"nodeSelector": {"disk": "ssd", "zone": "a"}}), Some("ssd"), None),
            (json!({"nodeSelector": {"disk": "ssd", "zone": "b"}}), Some("ssd"), Some(REASON_POD)),
            (json!({"nodeSelector": {"zone": "b"}}), Some("hdd"), Some(REASON_ENFORCED)),
            (json!({"affinity": {"nodeAffinity": required(disk("ssd"))}}), None, None),
            (json!({"affinity": {"nodeAffinity": required(disk("hdd"))}}), None, Some(REASON_POD)),
            (json!({"affinity": {"nodeAffinity": required(named(&["n"]))}}), None, None),
            (json!({"affinity": {"nodeAffinity": required(json!([]))}}), None, Some(REASON_POD)),
            (
                json!({"nodeSelector": {"zone": "b"}, "affinity": {"nodeAffinity": required(disk("ssd"))}}),
                None,
                Some(REASON_POD),
            ),
        ];
        for (spec, added, expect) in rows {
            let plugin = added.map_or_else(NodeAffinity::default, |value| with_added(required(disk(value))));
            let plugin = Extensions::of(plugin).filter().done();
            let answer = filter_one(&plugin, &json!({"spec": spec}), &node, &[]);
            assert_eq!(answer, expect.map(|reason| (UNRESOLVABLE, vec![reason.to_owned()])), "{spec} {added:?}");
        }
    }

    #[test]
    fn preferred_terms_add_up_and_the_best_node_gets_all() {
        let term = |weight: i32, value: &str| json!({"weight": weight, "preference": disk(value)[0]});
        let preferred = |terms: Value| json!({"preferredDuringSchedulingIgnoredDuringExecution": terms});
        let node = json!({"metadata": {"name": "n", "labels": {"disk": "ssd"}}});
        let own = |terms: Value| json!({"spec": {"affinity": {"nodeAffinity": preferred(terms)}}});
        let rows = [
            (own(json!([term(5, "ssd"), term(7, "hdd"), term(2, "ssd")])), json!([]), Some(7)),
            (own(json!([term(5, "ssd")])), json!([term(3, "ssd")]), Some(8)),
            (json!({}), json!([term(3, "ssd")]), Some(3)),
            (own(json!([{"weight": 3, "preference": {}}])), json!([]), None),
        ];
        for (asked, added, expect) in rows {
            let plugin = Extensions::of(with_added(preferred(added.clone()))).score().done();
            assert_eq!(score_one(&plugin, &asked, &node, &[]), expect, "{asked} {added}");
        }
        let plugin = NodeAffinity::default();
        assert_eq!(plugin.normalize(2, Extent { min: 0, max: 3 }), 66);
        assert_eq!(plugin.normalize(0, Extent { min: 0, max: 0 }), 0);
    }

    #[test]
    fn without_preferred_terms_there_is_no_score() {
        let scores = |plugin: &NodeAffinity, spec: Value| plugin.pre_score(&pod(json!({"spec": spec})).spec, ());
        let empty = json!({"preferredDuringSchedulingIgnoredDuringExecution": []});
        assert!(!scores(&NodeAffinity::default(), json!({})));
        assert!(!scores(&with_added(empty.clone()), json!({})));
        assert!(scores(&NodeAffinity::default(), json!({"affinity": {"nodeAffinity": empty}})));
    }

    #[test]
    fn hints() {
        use QueueingHint::{Queue, Skip};
        let pod = json!({"spec": {"nodeSelector": {"zone": "a"}}});
        let node = |zone: &str, disk: &str| json!({"metadata": {"name": "n", "labels": {"zone": zone, "disk": disk}}});
        let plugin = with_added(required(disk("ssd")));
        let rows = [
            (None, node("a", "ssd"), Queue),
            (None, node("b", "ssd"), Skip),
            (None, node("a", "hdd"), Skip),
            (Some(node("b", "ssd")), node("a", "ssd"), Queue),
            (Some(node("a", "ssd")), node("a", "ssd"), Skip),
            (Some(node("a", "hdd")), node("a", "ssd"), Skip),
        ];
        for (old, new, expect) in rows {
            assert_eq!(node_hint(&plugin, &pod, old.as_ref(), &new), expect, "{old:?} {new}");
        }
    }
}
