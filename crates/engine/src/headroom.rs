//! Headroom: what is to stay free on the nodes of a pool, as long as pods find room elsewhere.

use std::sync::Arc;

use plimsoll_framework::extensions::{Extensions, FilterDyn};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::plugin::{Filter, Plugin};
use plimsoll_framework::pod::PodSpecInfo;
use plimsoll_framework::read::{
    Allocatable, Amounts, ClusterOf, ColumnId, Labels, Of, Requested, ResourceColumns, Spec,
};
use plimsoll_framework::resources::Resources;
use plimsoll_framework::verdict::Verdict;

/// Nodes, and what is to stay free on each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The labels that its nodes have; every node is one of a pool without any.
    pub node_selector: Arc<[(Istr, Istr)]>,
    /// How much is to stay free.
    pub free: Resources,
}

/// What is to stay free, pool by pool. A node may be in several; then each of them counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headroom(pub Arc<[Pool]>);

impl Headroom {
    /// It is asked as a Filter plugin is, of which no profile knows: it reads of a node what such a plugin may read, in a
    /// view or through an overlay, and turns a pod away that would take up what is to stay free.
    pub(crate) fn as_filter(&self) -> Option<Arc<dyn FilterDyn>> {
        if self.0.is_empty() {
            return None;
        }
        Extensions::of(self.clone()).filter().done().filter
    }
}

/// What a node of a pool must have for a pod: what the pod asks for, and what is to stay free beside it. What the pod does
/// not ask for it takes nothing of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    node_selector: Arc<[(Istr, Istr)]>,
    milli_cpu: Option<i64>,
    memory_bytes: Option<i64>,
    ephemeral_storage_bytes: Option<i64>,
    scalars: Vec<(ColumnId, i64)>,
}

impl Wanted {
    fn of(pool: &Pool, asked: &Resources, numbers: ClusterOf<'_, ResourceColumns>) -> Option<Self> {
        let both = |asked: i64, free: i64| (asked > 0 && free > 0).then(|| asked.saturating_add(free));
        let scalar = |(name, free): &(Istr, i64)| Some((numbers.get(name)?, both(asked.get(name), *free)?));
        let wanted = Self {
            node_selector: Arc::clone(&pool.node_selector),
            milli_cpu: both(asked.milli_cpu, pool.free.milli_cpu),
            memory_bytes: both(asked.memory_bytes, pool.free.memory_bytes),
            ephemeral_storage_bytes: both(asked.ephemeral_storage_bytes, pool.free.ephemeral_storage_bytes),
            scalars: pool.free.scalars.iter().filter_map(scalar).collect(),
        };
        let amounts = [wanted.milli_cpu, wanted.memory_bytes, wanted.ephemeral_storage_bytes];
        (amounts.iter().any(Option::is_some) || !wanted.scalars.is_empty()).then_some(wanted)
    }

    fn is_there(&self, has: Amounts<'_>, used: Amounts<'_>) -> bool {
        let fits = |wanted: Option<i64>, has: i64, used: i64| wanted.is_none_or(|w| used.saturating_add(w) <= has);
        fits(self.milli_cpu, has.milli_cpu, used.milli_cpu)
            && fits(self.memory_bytes, has.memory_bytes, used.memory_bytes)
            && fits(self.ephemeral_storage_bytes, has.ephemeral_storage_bytes, used.ephemeral_storage_bytes)
            && self
                .scalars
                .iter()
                .all(|(column, wanted)| fits(Some(*wanted), has.scalar(*column), used.scalar(*column)))
    }

    fn is_of(&self, labels: &LabelSet) -> bool {
        self.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

impl Plugin for Headroom {
    const NAME: &'static str = "Headroom";
}

impl Filter for Headroom {
    type Pod = Spec;
    type Cluster = ResourceColumns;
    type Node = (Labels, Allocatable, Requested);
    type State = Vec<Wanted>;

    fn prepare(&self, pod: &PodSpecInfo, numbers: ClusterOf<'_, ResourceColumns>) -> Option<Vec<Wanted>> {
        let asked = &pod.requests.filter;
        let wanted: Vec<Wanted> = self.0.iter().filter_map(|pool| Wanted::of(pool, asked, numbers)).collect();
        (!wanted.is_empty()).then_some(wanted)
    }

    fn filter(&self, pools: &Vec<Wanted>, (labels, has, used): Of<'_, Self::Node>) -> Verdict {
        // Most nodes have room enough, whatever pools they are in.
        let short = |pool: &Wanted| !pool.is_there(has, used) && pool.is_of(labels);
        if pools.iter().any(short) { Verdict::unschedulable(1) } else { Verdict::FITS }
    }

    fn reasons(&self, _: &Vec<Wanted>, _: u32) -> Vec<String> {
        vec!["node(s) would be left with less than their headroom".to_owned()]
    }
}
