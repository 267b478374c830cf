//! RackBudget (Filter): nodes of a rack that is short of power or cooling take no more CPU than the rack's budget allows.
//!
//! A node says by an annotation which rack it is in. What a node of the rack may take is said by a `RackBudget`, a custom
//! resource of the rack's name:
//!
//! ```yaml
//! apiVersion: example.com/v1
//! kind: RackBudget
//! metadata: {name: r7}
//! spec: {cpuPerNode: "24"}
//! ```
//!
//! What becomes of nodes whose rack has no budget, or one that cannot be read, is the plugin's only argument.

use plimsoll::registry::{ArgsError, Entry, RawArgs, decode};
use plimsoll_framework::cluster_event::{
    Actions, Change, ClusterEvent, EventResource, Object, QueueingHint, Registration,
};
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::{KindRef, ObjectKind, Objects};
use plimsoll_framework::plugin::{EnqueueExtensions, Filter, Plugin};
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::quantity::{Quantity, RawQuantity};
use plimsoll_framework::read::{Amounts, Annotation, AnnotationKey, ObjectsOf, Requested, Spec};
use plimsoll_framework::verdict::Verdict;
use serde::Deserialize;

/// The line of the registry.
pub(crate) const ENTRY: Entry = Entry {
    name: RackBudget::NAME,
    default_weight: 0,
    build: |args| Ok(Extensions::of(RackBudget::from_args(args)?).enqueue().filter().done()),
};

/// Keeps pods off nodes whose rack has no budget left for them.
pub(crate) struct RackBudget {
    without_budget: WithoutBudget,
}

/// The arguments, under `pluginConfig`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Args {
    without_budget: WithoutBudget,
}

/// What becomes of a node whose rack has no budget.
#[derive(Clone, Copy, Default, Deserialize)]
enum WithoutBudget {
    /// It takes what fits.
    #[default]
    Open,
    /// It takes nothing.
    Closed,
}

impl RackBudget {
    fn from_args(args: RawArgs<'_>) -> Result<Self, ArgsError> {
        let Args { without_budget } = decode(Self::NAME, args)?;
        Ok(Self { without_budget })
    }
}

/// The annotation that names a node's rack.
pub(crate) struct Rack;

impl AnnotationKey for Rack {
    const KEY: &'static str = "example.com/rack";
}

/// The kind of the custom resource; it has no namespace.
pub(crate) struct Budgets;

/// What is read of a budget.
pub(crate) struct Budget {
    /// What the pods of one node may ask for in all.
    milli_cpu_per_node: i64,
}

impl ObjectKind for Budgets {
    const GROUP: &'static str = "example.com";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "rackbudgets";
    const KIND: &'static str = "RackBudget";
    const NAMESPACED: bool = false;
    type Object = Budget;

    fn decode(json: &serde_json::Value) -> Result<Budget, String> {
        let written = json.pointer("/spec/cpuPerNode").ok_or("spec.cpuPerNode is missing")?;
        // Kubernetes takes quantities as numbers too.
        let cpu = RawQuantity::deserialize(written).map_err(|error| format!("spec.cpuPerNode: {error}"))?;
        let cpu = Quantity::parse(&cpu.0).map_err(|error| format!("spec.cpuPerNode: {error}"))?;
        Ok(Budget { milli_cpu_per_node: cpu.milli_value() })
    }
}

impl Plugin for RackBudget {
    const NAME: &'static str = "RackBudget";

    fn kinds(&self) -> Vec<KindRef> {
        vec![KindRef::of::<Budgets>()]
    }
}

impl EnqueueExtensions for RackBudget {
    fn registrations(&self) -> Vec<Registration> {
        let budget = EventResource::Other(KindRef::of::<Budgets>().event_name());
        vec![
            // A budget that comes, changes or goes may open its rack: that is for the hint to say.
            Registration::new(budget, Actions::ADD.or(Actions::UPDATE).or(Actions::DELETE)),
            // So may a node that comes or moves, and a pod that leaves or shrinks.
            Registration::always(EventResource::Node, Actions::ADD.or(Actions::UPDATE_NODE_ANNOTATION)),
            Registration::always(EventResource::AssignedPod, Actions::DELETE.or(Actions::UPDATE_POD_SCALE_DOWN)),
        ]
    }

    /// Only a budget that is now enough for the pod alone, and was not before or is greater, can help.
    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        let allowance = |side: Option<Object<'_>>| match side {
            Some(Object::Other(object)) => object.downcast_ref().map(|budget: &Budget| budget.milli_cpu_per_node),
            _ => None,
        };
        let limit = |side| allowance(side).unwrap_or_else(|| self.without_budget.milli_cpu());
        let (before, now) = (limit(change.old), limit(change.new));
        let helps = now > before && now >= pod.spec.requests.filter.milli_cpu;
        if helps { QueueingHint::Queue } else { QueueingHint::Skip }
    }
}

impl WithoutBudget {
    /// What a node without a budget may take.
    fn milli_cpu(self) -> i64 {
        match self {
            Self::Open => i64::MAX,
            Self::Closed => -1,
        }
    }
}

/// What follows from the pod, for all nodes.
#[derive(PartialEq)]
pub(crate) struct Asked {
    milli_cpu: i64,
    budgets: Objects<Budgets>,
}

impl Filter for RackBudget {
    // What the answers depend on. The functions below are handed this and nothing else.
    type Pod = Spec;
    type Cluster = ObjectsOf<Budgets>;
    type Node = (Annotation<Rack>, Requested);
    type State = Asked;

    fn prepare(&self, pod: &PodSpecInfo, budgets: Objects<Budgets>) -> Option<Asked> {
        Some(Asked { milli_cpu: pod.requests.filter.milli_cpu, budgets })
    }

    fn filter(&self, asked: &Asked, (rack, requested): (Option<&str>, Amounts<'_>)) -> Verdict {
        // A node outside the racks has no budget to keep.
        let Some(rack) = rack else { return Verdict::FITS };
        let budget = asked.budgets.get(&Istr::default(), &Istr::new(rack));
        let limit = budget.map_or_else(|| self.without_budget.milli_cpu(), |budget| budget.milli_cpu_per_node);
        if requested.milli_cpu.saturating_add(asked.milli_cpu) <= limit {
            return Verdict::FITS;
        }
        // Where the pod alone is too much, making room does not help: preemption need not look there.
        if asked.milli_cpu > limit { Verdict::unresolvable(1) } else { Verdict::unschedulable(1) }
    }

    fn reasons(&self, _: &Asked, _: u32) -> Vec<String> {
        vec!["node(s) were in a rack without enough budget".to_owned()]
    }
}

#[cfg(test)]
mod tests;
