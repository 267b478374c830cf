//! NodeResourcesFit (PreFilter, Filter, PreScore, Score): a node must have room for what the pod asks for, and is scored
//! by how much of it would be in use. Reference sections 3 and 4.6.

mod hints;
mod strategy;

use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::{EnqueueExtensions, Filter, Plugin, PreFilter, PreFilterVerdict, PreScore, Score};
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::read::{
    Allocatable, AmountCols, Amounts, Block, Lanes, NonZeroRequested, Requested, ResourceColumns, ResourceNumbers, Spec,
};
use plimsoll_framework::resources::{is_extended, is_scalar};
use plimsoll_framework::verdict::Verdict;

use crate::columns::Column;
pub use strategy::{Shape, ShapePoint, Strategy};

const REASON_PODS: &str = "Too many pods";
/// The bit of [`REASON_PODS`]; the resources that are asked for have the bits above.
const PODS: u32 = 1;
/// The last bit there is. The resources of a pod that asks for more than 29 share it.
const LAST: u32 = 1 << (Verdict::REASONS - 1);

/// How NodeResourcesFit is to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FitSettings {
    /// How use becomes a score.
    pub strategy: Strategy,
    /// The resources that are scored, with their weight: 1 to 100, others count as the nearest of these.
    pub resources: Vec<(Istr, i64)>,
    /// Extended resources that Filter does not look at.
    pub ignored_resources: Vec<Istr>,
    /// Groups of them: what stands before the first slash of the name.
    pub ignored_resource_groups: Vec<Istr>,
}

impl Default for FitSettings {
    fn default() -> Self {
        Self {
            strategy: Strategy::LeastAllocated,
            resources: vec![("cpu".into(), 1), ("memory".into(), 1)],
            ignored_resources: Vec::new(),
            ignored_resource_groups: Vec::new(),
        }
    }
}

/// Keeps a pod away from nodes without room for it, and scores the others by what would be in use.
#[derive(Clone, Debug, Default)]
pub struct NodeResourcesFit {
    settings: FitSettings,
}

impl NodeResourcesFit {
    /// The plugin with these settings.
    pub fn new(settings: FitSettings) -> Self {
        Self { settings }
    }

    fn ignores(&self, name: &Istr) -> bool {
        let group = name.split('/').next();
        is_extended(name)
            && (self.settings.ignored_resources.contains(name)
                || self.settings.ignored_resource_groups.iter().any(|g| group == Some(&**g)))
    }
}

impl Plugin for NodeResourcesFit {
    const NAME: &'static str = "NodeResourcesFit";
}

impl EnqueueExtensions for NodeResourcesFit {
    fn registrations(&self) -> Vec<Registration> {
        vec![
            Registration::new(EventResource::Pod, Actions::DELETE.or(Actions::UPDATE_POD_SCALE_DOWN)),
            Registration::new(EventResource::Node, Actions::ADD.or(Actions::UPDATE_NODE_ALLOCATABLE)),
        ]
    }

    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        hints::hint(pod, change)
    }
}

impl PreFilter for NodeResourcesFit {
    type Pod = Spec;
    type Cluster = ();

    /// Never skips: a pod that asks for nothing still takes up the place of a pod.
    fn pre_filter(&self, _: &PodSpecInfo, (): ()) -> PreFilterVerdict {
        PreFilterVerdict::Run
    }
}

/// A resource that a pod asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ask {
    name: Istr,
    /// Where it is found; `None` when no node has any of it.
    column: Option<Column>,
    amount: i64,
    /// The reason bit.
    bit: u32,
}

/// The resources that a pod asks for, in upstream's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked(Box<[Ask]>);

fn verdict(reasons: u32, hopeless: bool) -> Verdict {
    match (reasons, hopeless) {
        (0, _) => Verdict::FITS,
        (_, true) => Verdict::unresolvable(reasons),
        (_, false) => Verdict::unschedulable(reasons),
    }
}

impl Asked {
    /// Whether all 64 nodes have room for everything, told at a low price; `false` may also mean that this cannot be told
    /// so. What is left over is added up bit by bit, in which the sign of a single node shows.
    fn fits_everywhere(&self, allocatable: &AmountCols<'_>, requested: &AmountCols<'_>) -> bool {
        // Below it, and not negative, no difference of three amounts leaves the range.
        const ORDINARY: i64 = 1 << 61;
        let (mut seen, mut left) = (0, 0);
        let mut look = |capacity: &Lanes, used: &Lanes, amount: i64| {
            seen |= amount;
            for (capacity, used) in capacity.iter().zip(used) {
                seen |= capacity | used;
                left |= capacity.wrapping_sub(*used).wrapping_sub(amount);
            }
        };
        look(allocatable.pods, requested.pods, 1);
        for ask in &self.0 {
            let Some(column) = ask.column else { return false };
            look(column.lanes(allocatable), column.lanes(requested), ask.amount);
        }
        (0..ORDINARY).contains(&seen) && left >= 0
    }
}

impl Filter for NodeResourcesFit {
    type Pod = Spec;
    type Cluster = ResourceColumns;
    type Node = (Allocatable, Requested);
    type State = Asked;

    fn prepare(&self, pod: &PodSpecInfo, numbers: ResourceNumbers<'_>) -> Option<Asked> {
        let wanted = &pod.requests.filter;
        let own = [
            ("cpu", wanted.milli_cpu),
            ("memory", wanted.memory_bytes),
            ("ephemeral-storage", wanted.ephemeral_storage_bytes),
        ];
        let own = own.map(|(name, amount)| (Istr::new(name), amount)).into_iter().filter(|(_, amount)| *amount > 0);
        let scalars = wanted.scalars.iter().filter(|(name, amount)| *amount != 0 && !self.ignores(name)).cloned();
        let bits = (1..Verdict::REASONS).map(|at| PODS << at).chain(std::iter::repeat(LAST));
        let asks = own.chain(scalars).zip(bits);
        let asks = asks.map(|((name, amount), bit)| Ask { column: Column::of(&name, numbers), name, amount, bit });
        Some(Asked(asks.collect()))
    }

    fn filter(&self, asked: &Asked, (allocatable, requested): (Amounts<'_>, Amounts<'_>)) -> Verdict {
        let mut reasons = u32::from(requested.pods >= allocatable.pods) * PODS;
        let mut hopeless = false;
        for ask in &asked.0 {
            let amount = |of| ask.column.map_or(0, |column| column.amount(of));
            let (capacity, used) = (amount(&allocatable), amount(&requested));
            if ask.amount > capacity.wrapping_sub(used) {
                reasons |= ask.bit;
                hopeless |= ask.amount > capacity;
            }
        }
        verdict(reasons, hopeless)
    }

    fn filter_block(&self, asked: &Asked, block: &Block<'_, Self::Node>, out: &mut [Verdict; 64]) {
        let (allocatable, requested) = block.cols();
        if asked.fits_everywhere(&allocatable, &requested) {
            return out.fill(verdict(0, false));
        }
        let full = |lane: usize| u32::from(requested.pods[lane] >= allocatable.pods[lane]) * PODS;
        let mut reasons: [u32; 64] = std::array::from_fn(full);
        let mut hopeless = [false; 64];
        for ask in &asked.0 {
            let lanes = |of| ask.column.map_or(&[0; 64], |column| column.lanes(of));
            let (capacity, used) = (lanes(&allocatable), lanes(&requested));
            for lane in 0..64 {
                let short = ask.amount > capacity[lane].wrapping_sub(used[lane]);
                reasons[lane] |= u32::from(short) * ask.bit;
                hopeless[lane] |= short & (ask.amount > capacity[lane]);
            }
        }
        for lane in 0..64 {
            out[lane] = verdict(reasons[lane], hopeless[lane]);
        }
    }

    fn reasons(&self, asked: &Asked, reasons: u32) -> Vec<String> {
        let pods = (reasons & PODS != 0).then(|| REASON_PODS.to_owned());
        let short = |bit: u32| asked.0.iter().filter(move |ask| ask.bit == bit).map(|ask| &*ask.name);
        let bits = (1..Verdict::REASONS).map(|at| PODS << at).filter(|bit| reasons & bit != 0);
        let resources = bits.map(|bit| format!("Insufficient {}", short(bit).collect::<Vec<_>>().join(" or ")));
        pods.into_iter().chain(resources).collect()
    }
}

impl PreScore for NodeResourcesFit {
    type Pod = Spec;
    type Cluster = ();

    fn pre_score(&self, _: &PodSpecInfo, (): ()) -> bool {
        true
    }
}

/// A resource that is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scored {
    column: Column,
    /// What the pod asks for.
    amount: i64,
    weight: i64,
}

/// The resources that are scored for a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights(Box<[Scored]>);

impl Score for NodeResourcesFit {
    type Pod = Spec;
    type Cluster = ResourceColumns;
    type Node = (Allocatable, NonZeroRequested);
    type State = Weights;

    fn prepare(&self, pod: &PodSpecInfo, numbers: ResourceNumbers<'_>) -> Option<Weights> {
        let scored: Box<[_]> = self
            .settings
            .resources
            .iter()
            .map(|(name, weight)| (name, pod.requests.score.get(name), *weight))
            .filter(|(name, amount, _)| *amount != 0 || !is_scalar(name))
            .filter_map(|(name, amount, weight)| {
                Some(Scored { column: Column::of(name, numbers)?, amount, weight: weight.clamp(1, 100) })
            })
            .collect();
        (!scored.is_empty()).then_some(Weights(scored))
    }

    fn score(&self, weights: &Weights, (allocatable, requested): (Amounts<'_>, Amounts<'_>)) -> i64 {
        let (mut sum, mut of) = (0, 0);
        for scored in &weights.0 {
            let capacity = scored.column.amount(&allocatable);
            let used = scored.column.amount(&requested).saturating_add(scored.amount);
            if let Some(score) = self.settings.strategy.resource(used, capacity) {
                sum += score * scored.weight;
                of += scored.weight;
            }
        }
        self.settings.strategy.mean(sum, of)
    }

    fn score_block(&self, weights: &Weights, block: &Block<'_, Self::Node>, out: &mut [i64; 64]) {
        let (allocatable, requested) = block.cols();
        let (mut sum, mut of) = ([0.0; 64], [0.0; 64]);
        for scored in &weights.0 {
            let (capacity, used) = (scored.column.lanes(&allocatable), scored.column.lanes(&requested));
            self.settings.strategy.add_resource(scored.amount, scored.weight, (used, capacity), (&mut sum, &mut of));
        }
        self.settings.strategy.means(&sum, &of, out);
    }
}

#[cfg(test)]
mod tests;
