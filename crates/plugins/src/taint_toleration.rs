//! TaintToleration (Filter, PreScore, Score): keeps pods away from nodes with taints they do not tolerate, and prefers
//! nodes with few `PreferNoSchedule` taints they do not tolerate. Reference section 4.3.

use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::plugin::{EnqueueExtensions, Extent, Filter, MAX_NODE_SCORE, Plugin, PreScore, Score};
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::read::{Block, Spec, Taints};
use plimsoll_framework::toleration::{Taint, TaintEffect, Toleration, tolerated};
use plimsoll_framework::verdict::Verdict;

use crate::hints::{changed_self, queue_if};

const REASON: &str = "node(s) had untolerated taint(s)";
const TAINTED: Verdict = Verdict::unresolvable(1);

/// Weighs the taints of a node against the tolerations of a pod.
#[derive(Clone, Copy, Debug, Default)]
pub struct TaintToleration;

/// Whether a pod with these tolerations may be where these taints are.
fn admitted(tolerations: &[Toleration], taints: &[Taint]) -> bool {
    taints.iter().all(|taint| !taint.effect.is_hard() || tolerated(tolerations, taint))
}

impl Plugin for TaintToleration {
    const NAME: &'static str = "TaintToleration";
}

impl EnqueueExtensions for TaintToleration {
    fn registrations(&self) -> Vec<Registration> {
        vec![
            Registration::new(EventResource::Node, Actions::ADD.or(Actions::UPDATE_NODE_TAINT)),
            Registration::new(EventResource::Pod, Actions::UPDATE_POD_TOLERATION),
        ]
    }

    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        if let (old, Some(new)) = change.nodes() {
            let admits = |node: &NodeInfo| admitted(&pod.spec.tolerations, &node.taints);
            return queue_if(admits(new) && !old.is_some_and(admits));
        }
        queue_if(changed_self(pod, change).is_some())
    }
}

impl Filter for TaintToleration {
    type Pod = Spec;
    type Cluster = ();
    type Node = Taints;
    type State = Box<[Toleration]>;

    fn prepare(&self, pod: &PodSpecInfo, (): ()) -> Option<Box<[Toleration]>> {
        Some(pod.tolerations.clone())
    }

    fn filter(&self, tolerations: &Box<[Toleration]>, taints: &[Taint]) -> Verdict {
        if admitted(tolerations, taints) { Verdict::FITS } else { TAINTED }
    }

    fn filter_block(&self, tolerations: &Box<[Toleration]>, block: &Block<'_, Taints>, out: &mut [Verdict; 64]) {
        let (hard, _) = block.cols();
        if hard == 0 {
            return out.fill(Verdict::FITS);
        }
        if tolerations.is_empty() {
            for (lane, answer) in out.iter_mut().enumerate() {
                *answer = if hard >> lane & 1 == 1 { TAINTED } else { Verdict::FITS };
            }
            return;
        }
        out.fill(Verdict::FITS);
        // Most nodes have no taints: their lists, each in a place of its own in memory, are never looked at.
        block.each_of(hard, |lane, taints| out[lane] = Filter::filter(self, tolerations, taints));
    }

    fn reasons(&self, _: &Box<[Toleration]>, _: u32) -> Vec<String> {
        vec![REASON.to_owned()]
    }
}

impl PreScore for TaintToleration {
    type Pod = Spec;
    type Cluster = ();

    fn pre_score(&self, _: &PodSpecInfo, (): ()) -> bool {
        true
    }
}

impl Score for TaintToleration {
    const NORMALIZED: bool = true;
    type Pod = Spec;
    type Cluster = ();
    type Node = Taints;
    type State = Box<[Toleration]>;

    fn prepare(&self, pod: &PodSpecInfo, (): ()) -> Option<Box<[Toleration]>> {
        Some(pod.tolerations.iter().filter(|t| t.concerns_preference()).cloned().collect())
    }

    fn score(&self, tolerations: &Box<[Toleration]>, taints: &[Taint]) -> i64 {
        let unwanted = |taint: &&Taint| taint.effect == TaintEffect::PreferNoSchedule && !tolerated(tolerations, taint);
        taints.iter().filter(unwanted).map(|_| 1).sum()
    }

    fn score_block(&self, tolerations: &Box<[Toleration]>, block: &Block<'_, Taints>, out: &mut [i64; 64]) {
        let (_, soft) = block.cols();
        out.fill(0);
        block.each_of(soft, |lane, taints| out[lane] = self.score(tolerations, taints));
    }

    fn normalize(&self, raw: i64, over: Extent) -> i64 {
        match over.max {
            0 => MAX_NODE_SCORE,
            most => MAX_NODE_SCORE - MAX_NODE_SCORE * raw / most,
        }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_framework::extensions::Extensions;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{UNRESOLVABLE, filter_one, node_hint, pod_hint, score_one};

    fn plugin() -> Extensions {
        Extensions::of(TaintToleration).filter().score().done()
    }
    fn tainted(taints: &Value) -> Value {
        json!({"metadata": {"name": "n"}, "spec": {"taints": taints}})
    }

    #[test]
    fn every_hard_taint_must_be_tolerated() {
        let hard = json!([{"key": "a", "value": "1", "effect": "NoSchedule"}, {"key": "b", "effect": "NoExecute"}]);
        let soft = json!([{"key": "a", "value": "1", "effect": "PreferNoSchedule"}]);
        let rows = [
            (json!([]), json!([]), true),
            (json!([]), hard.clone(), false),
            (json!([]), soft, true),
            (json!([]), json!([{"key": "a", "effect": "Unheard"}]), true),
            (json!([{"key": "a", "value": "1"}]), hard.clone(), false),
            (json!([{"key": "a", "value": "1"}, {"key": "b", "operator": "Exists"}]), hard.clone(), true),
            (json!([{"operator": "Exists"}]), hard.clone(), true),
            (json!([{"operator": "Exists", "effect": "NoSchedule"}]), hard, false),
        ];
        for (tolerations, taints, fits) in rows {
            let pod = json!({"spec": {"tolerations": tolerations}});
            let answer = filter_one(&plugin(), &pod, &tainted(&taints), &[]);
            let expect = (!fits).then(|| (UNRESOLVABLE, vec![REASON.to_owned()]));
            assert_eq!(answer, expect, "{tolerations} {taints}");
        }
    }

    #[test]
    fn soft_taints_are_counted() {
        let taints = json!([
            {"key": "a", "value": "1", "effect": "PreferNoSchedule"},
            {"key": "b", "effect": "PreferNoSchedule"},
            {"key": "c", "effect": "NoSchedule"},
        ]);
        let rows = [
            (json!([]), 2),
            (json!([{"key": "a", "value": "1"}]), 1),
            (json!([{"key": "a", "operator": "Exists", "effect": "NoSchedule"}]), 2),
            (json!([{"operator": "Exists", "effect": "PreferNoSchedule"}]), 0),
        ];
        for (tolerations, expect) in rows {
            let pod = json!({"spec": {"tolerations": tolerations}});
            assert_eq!(score_one(&plugin(), &pod, &tainted(&taints), &[]), Some(expect), "{tolerations}");
        }
    }

    #[test]
    fn fewer_unwanted_taints_score_higher() {
        let rows = [(0, 0, 100), (0, 3, 100), (1, 3, 67), (3, 3, 0)];
        for (raw, max, expect) in rows {
            assert_eq!(TaintToleration.normalize(raw, Extent { min: 0, max }), expect, "{raw} of {max}");
        }
    }

    #[test]
    fn hints() {
        use QueueingHint::{Queue, Skip};
        let pod = json!({"metadata": {"uid": "1"}});
        let bad = tainted(&json!([{"key": "a", "effect": "NoSchedule"}]));
        let good = tainted(&json!([{"key": "a", "effect": "PreferNoSchedule"}]));
        let rows = [
            (None, &good, Queue),
            (None, &bad, Skip),
            (Some(&bad), &good, Queue),
            (Some(&good), &good, Skip),
            (Some(&good), &bad, Skip),
        ];
        for (old, new, expect) in rows {
            assert_eq!(node_hint(&TaintToleration, &pod, old, new), expect, "{old:?} {new}");
        }
        assert_eq!(pod_hint(&TaintToleration, &pod, Some(&pod), Some(&pod)), Queue);
        let other = json!({"metadata": {"uid": "2"}});
        assert_eq!(pod_hint(&TaintToleration, &pod, Some(&other), Some(&other)), Skip);
    }
}
