//! TierDedication (Filter): keeps tiers of nodes for those they are meant for. Plimsoll's own; off unless a profile
//! enables it.
//!
//! The value of one label is a node's tier. A closed tier takes no pods. A dedicated tier takes only pods that select it,
//! by `nodeSelector` or required node affinity, and pods that select a dedicated tier go nowhere else. All other nodes,
//! those without the label included, take all other pods. Where taints need a toleration in each pod and a selector
//! besides, here the selector alone says it, and who forgets it stays out.

use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::plugin::{EnqueueExtensions, Filter, Plugin};
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::read::{Labels, Spec};
use plimsoll_framework::verdict::Verdict;

use crate::args::TierDedicationArgs;
use crate::hints::queue_if;

/// The reasons, by bit.
const REASONS: [(u32, &str); 3] = [
    (CLOSED, "node(s) were in a tier that takes no pods"),
    (DEDICATED, "node(s) were in a tier dedicated to other pods"),
    (OUTSIDE, "node(s) were outside the dedicated tier that the pod selects"),
];
const CLOSED: u32 = 1;
const DEDICATED: u32 = 2;
const OUTSIDE: u32 = 4;

/// Keeps pods out of tiers that are not for them.
#[derive(Clone, Debug)]
pub struct TierDedication {
    label_key: Istr,
    closed: Box<[Istr]>,
    dedicated: Box<[Istr]>,
}

impl TierDedication {
    /// The plugin with these arguments.
    pub fn new(args: &TierDedicationArgs) -> Self {
        let tiers = |list: &[String]| list.iter().map(|tier| Istr::new(tier)).collect();
        Self { label_key: Istr::new(&args.label_key), closed: tiers(&args.closed), dedicated: tiers(&args.dedicated) }
    }

    /// The dedicated tiers that a pod selects.
    fn selected(&self, pod: &PodSpecInfo) -> Box<[Istr]> {
        let selects = |tier: &&Istr| pod.node_affinity.selects(&self.label_key, tier);
        self.dedicated.iter().filter(selects).cloned().collect()
    }

    fn verdict(&self, selected: &[Istr], labels: &LabelSet) -> Verdict {
        match labels.get(&self.label_key) {
            Some(tier) if self.closed.contains(tier) => Verdict::unresolvable(CLOSED),
            Some(tier) if selected.contains(tier) => Verdict::FITS,
            Some(tier) if self.dedicated.contains(tier) => Verdict::unresolvable(DEDICATED),
            _ if selected.is_empty() => Verdict::FITS,
            _ => Verdict::unresolvable(OUTSIDE),
        }
    }
}

impl Plugin for TierDedication {
    const NAME: &'static str = "TierDedication";
}

impl EnqueueExtensions for TierDedication {
    fn registrations(&self) -> Vec<Registration> {
        vec![Registration::new(EventResource::Node, Actions::ADD.or(Actions::UPDATE_NODE_LABEL))]
    }

    /// Only a node that takes the pod now, and did not before, is news.
    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        let (old, Some(new)) = change.nodes() else { return QueueingHint::Queue };
        let selected = self.selected(&pod.spec);
        let takes = |labels: &LabelSet| self.verdict(&selected, labels).fits();
        queue_if(takes(&new.labels) && !old.is_some_and(|old| takes(&old.labels)))
    }
}

impl Filter for TierDedication {
    type Pod = Spec;
    type Cluster = ();
    type Node = Labels;
    /// The dedicated tiers that the pod selects.
    type State = Box<[Istr]>;

    fn prepare(&self, pod: &PodSpecInfo, (): ()) -> Option<Box<[Istr]>> {
        let has_tiers = !self.closed.is_empty() || !self.dedicated.is_empty();
        has_tiers.then(|| self.selected(pod))
    }

    fn filter(&self, selected: &Box<[Istr]>, labels: &LabelSet) -> Verdict {
        self.verdict(selected, labels)
    }

    fn reasons(&self, _: &Box<[Istr]>, reasons: u32) -> Vec<String> {
        REASONS.iter().filter(|(bit, _)| reasons & bit != 0).map(|(_, text)| (*text).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_framework::extensions::Extensions;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{UNRESOLVABLE, filter_one, node_hint};

    const NOT_TAKEN: &str = REASONS[0].1;
    const NOT_FOR_IT: &str = REASONS[1].1;
    const NOT_THERE: &str = REASONS[2].1;

    fn plugin(args: Value) -> TierDedication {
        TierDedication::new(&serde_json::from_value(args).unwrap())
    }

    fn node(tier: Option<&str>) -> Value {
        let labels = tier.map_or_else(|| json!({"zone": "a"}), |tier| json!({"zone": "a", "tier": tier}));
        json!({"metadata": {"name": "n", "labels": labels}})
    }

    fn selects(tier: &str) -> Value {
        json!({"spec": {"nodeSelector": {"tier": tier}}})
    }

    /// A pod that requires one of these terms, each a list of expressions.
    fn requires(terms: Value) -> Value {
        let terms: Vec<Value> =
            terms.as_array().unwrap().iter().map(|expressions| json!({"matchExpressions": expressions})).collect();
        json!({"spec": {"affinity": {"nodeAffinity":
            {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}})
    }

    fn tier(operator: &str, values: &[&str]) -> Value {
        json!({"key": "tier", "operator": operator, "values": values})
    }

    fn check(plugin: TierDedication, rows: &[(Value, Option<&str>, Option<&str>)]) {
        let plugin = Extensions::of(plugin).filter().done();
        for (pod, tier, expect) in rows {
            let answer = filter_one(&plugin, pod, &node(*tier), &[]);
            assert_eq!(answer, expect.map(|reason| (UNRESOLVABLE, vec![reason.to_owned()])), "{pod} {tier:?}");
        }
    }

    #[test]
    fn tiers_take_whom_they_are_for() {
        let (plain, cronjob) = (json!({"spec": {}}), selects("cronjob"));
        check(
            plugin(json!({})),
            &[
                (plain.clone(), Some("control"), Some(NOT_TAKEN)),
                (plain.clone(), Some("cronjob"), Some(NOT_FOR_IT)),
                (plain.clone(), Some("web"), None),
                (plain.clone(), None, None),
                (cronjob.clone(), Some("control"), Some(NOT_TAKEN)),
                (cronjob.clone(), Some("cronjob"), None),
                (cronjob.clone(), Some("web"), Some(NOT_THERE)),
                (cronjob, None, Some(NOT_THERE)),
                (selects("control"), Some("control"), Some(NOT_TAKEN)),
                (selects("web"), Some("cronjob"), Some(NOT_FOR_IT)),
                (selects("web"), Some("web"), None),
            ],
        );
    }

    #[test]
    fn required_affinity_selects_and_preferred_does_not() {
        let preferred = json!({"spec": {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution":
            [{"weight": 1, "preference": {"matchExpressions": [tier("In", &["cronjob"])]}}]}}}});
        let zone = json!({"key": "zone", "operator": "In", "values": ["a"]});
        let rows = [
            (requires(json!([[tier("In", &["cronjob"])]])), true),
            // Who names the tier among others means it, and goes there.
            (requires(json!([[tier("In", &["web", "cronjob"])]])), true),
            (requires(json!([[zone], [tier("In", &["cronjob"])]])), true),
            (requires(json!([[zone, tier("In", &["cronjob"])]])), true),
            (requires(json!([[tier("In", &["web", "cronjob"]), tier("NotIn", &["cronjob"])]])), false),
            (requires(json!([[tier("Exists", &[])]])), false),
            (requires(json!([[tier("NotIn", &["web"])]])), false),
            (preferred, false),
        ];
        for (pod, selected) in rows {
            let (dedicated, other) = if selected { (None, Some(NOT_THERE)) } else { (Some(NOT_FOR_IT), None) };
            let rows = [(pod.clone(), Some("cronjob"), dedicated), (pod, Some("web"), other)];
            check(plugin(json!({})), &rows);
        }
    }

    #[test]
    fn the_arguments_say_which_tiers_there_are() {
        let args = json!({"labelKey": "zone", "closed": [], "dedicated": ["a", "b"]});
        let zone = |zone: &str| json!({"spec": {"nodeSelector": {"zone": zone}}});
        check(
            plugin(args),
            &[
                (zone("a"), None, None),
                (zone("b"), None, Some(NOT_FOR_IT)),
                (selects("cronjob"), Some("control"), Some(NOT_FOR_IT)),
            ],
        );
        check(plugin(json!({"closed": [], "dedicated": []})), &[(json!({"spec": {}}), Some("control"), None)]);
    }

    #[test]
    fn hints() {
        use QueueingHint::{Queue, Skip};
        let (plain, cronjob) = (json!({"spec": {}}), selects("cronjob"));
        let rows = [
            (&plain, None, Some("web"), Queue),
            (&plain, None, None, Queue),
            (&plain, None, Some("control"), Skip),
            (&plain, None, Some("cronjob"), Skip),
            (&plain, Some(Some("control")), Some("web"), Queue),
            (&plain, Some(Some("cronjob")), None, Queue),
            (&plain, Some(Some("control")), Some("cronjob"), Skip),
            (&plain, Some(Some("web")), None, Skip),
            (&cronjob, None, Some("cronjob"), Queue),
            (&cronjob, None, Some("web"), Skip),
            (&cronjob, Some(None), Some("cronjob"), Queue),
            (&cronjob, Some(Some("cronjob")), Some("cronjob"), Skip),
        ];
        for (pod, old, new, expect) in rows {
            let answer = node_hint(&plugin(json!({})), pod, old.map(node).as_ref(), &node(new));
            assert_eq!(answer, expect, "{pod} {old:?} {new:?}");
        }
    }
}
