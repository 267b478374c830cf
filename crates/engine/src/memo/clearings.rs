//! What came of clearing nodes in the mind for the pods of a class, kept by row.

use std::sync::Arc;

use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::preemption::Clearing;
use plimsoll_framework::read::Versions;
use plimsoll_framework::table::{Row, View};

/// Rows a block.
const LANES: usize = 64;
/// For so many priorities of a class it is kept; where there are more, the one that was added first makes room.
const PRIORITIES: usize = 4;
/// What one of them takes up, about.
const CLEARING_BYTES: usize = 256;

/// What came of it, by the priority of the pods that others would go for.
#[derive(Default)]
pub(crate) struct Clearings {
    of: Vec<OfPriority>,
}

/// What came of it for pods of one priority.
pub(crate) struct OfPriority {
    priority: i32,
    /// Of the objects that plugins read, budgets among them.
    versions: Versions,
    /// By row, in blocks of 64, which are empty where nothing is kept: a search looks at few nodes of a large cluster.
    blocks: Vec<Vec<Option<Kept>>>,
}

struct Kept {
    /// At which the row was as it was then.
    epoch: u64,
    /// The pods nominated for the node that counted; mostly there is none.
    nominated: Nominated,
    clearing: Arc<Clearing>,
}

/// Pods nominated for a node, as far as they count for the one that others would go for.
pub(crate) type Nominated = Box<[Arc<PodInfo>]>;

impl Clearings {
    pub(super) fn bytes(&self) -> usize {
        let of_block = |rows: &Vec<Option<Kept>>| {
            let kept = rows.iter().flatten().count();
            size_of::<Vec<Option<Kept>>>() + rows.capacity() * size_of::<Option<Kept>>() + kept * CLEARING_BYTES
        };
        self.of.iter().flat_map(|of| &of.blocks).map(of_block).sum()
    }

    /// For pods of this priority, as far as it holds on this view.
    pub(crate) fn of(&mut self, priority: i32, view: &View) -> &mut OfPriority {
        let at = self.of.iter().position(|of| of.priority == priority).unwrap_or_else(|| {
            if self.of.len() == PRIORITIES {
                self.of.remove(0);
            }
            self.of.push(OfPriority { priority, versions: view.versions(), blocks: Vec::new() });
            self.of.len() - 1
        });
        let found = &mut self.of[at];
        if !found.versions.same_objects(&view.versions()) {
            found.blocks.clear();
            found.versions = view.versions();
        }
        found.blocks.resize_with(view.row_limit() / LANES, Vec::new);
        found
    }
}

impl OfPriority {
    /// What came of it, if the row is as it was then and so are the nominations for it.
    pub(crate) fn get(&self, view: &View, row: Row, nominated: &Nominated) -> Option<&Arc<Clearing>> {
        let kept = self.blocks.get(row as usize / LANES)?.get(row as usize % LANES)?.as_ref()?;
        (kept.epoch == view.row_epoch(row) && same(&kept.nominated, nominated)).then_some(&kept.clearing)
    }

    pub(crate) fn set(&mut self, view: &View, row: Row, nominated: Nominated, clearing: &Arc<Clearing>) {
        if let Some(block) = self.blocks.get_mut(row as usize / LANES) {
            block.resize_with(LANES, || None);
            block[row as usize % LANES] =
                Some(Kept { epoch: view.row_epoch(row), nominated, clearing: Arc::clone(clearing) });
        }
    }
}

/// Whether these are the same pods in the same order, as they were. What is kept holds them, so that their places in memory
/// are not used again.
fn same(one: &Nominated, other: &Nominated) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| Arc::ptr_eq(a, b))
}
