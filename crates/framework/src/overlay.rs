//! Pods imagined onto nodes, or off them: nominated pods, dry runs, pods decided on but not yet committed.
//!
//! Every answer is a function of a pod, a view and an overlay. The overlay keeps a copy of the usage of the rows it
//! touches, in the layout of the table, so the very same plugin functions answer through it; counters of pods by
//! domain add its differences to theirs.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::chunk::{ROWS, UsageChunk};
use crate::pod::PodInfo;
use crate::table::{Row, View};

/// One pod more or less.
#[derive(Clone, Debug)]
pub struct Delta {
    /// On the node of this row.
    pub row: Row,
    /// Which pod.
    pub pod: Arc<PodInfo>,
    /// 1 for a pod that is added, -1 for one that is taken away.
    pub sign: i64,
}

/// Differences from a view. Made once and used again: clearing keeps its memory.
#[derive(Debug, Default)]
pub struct Overlay {
    identity: Option<Arc<()>>,
    slots: HashMap<Row, usize>,
    usage: Vec<Box<UsageChunk>>,
    deltas: Vec<Delta>,
}

impl Overlay {
    /// Imagines `pod` onto the node of `row`.
    pub fn add(&mut self, view: &View, row: Row, pod: Arc<PodInfo>) {
        self.apply(view, Delta { row, pod, sign: 1 });
    }

    /// Imagines `pod`, which is on the node of `row` in the view or was added here, away.
    pub fn remove(&mut self, view: &View, row: Row, pod: Arc<PodInfo>) {
        self.apply(view, Delta { row, pod, sign: -1 });
    }

    /// Forgets every difference.
    pub fn clear(&mut self) {
        self.identity = None;
        self.slots.clear();
        self.deltas.clear();
    }

    /// The same from the first difference until all are forgotten, and for no other overlay; `None` while there is none.
    pub fn identity(&self) -> Option<&Arc<()>> {
        self.identity.as_ref()
    }

    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        self.deltas.is_empty()
    }

    /// The differences in the order in which they were made.
    pub fn deltas(&self) -> &[Delta] {
        &self.deltas
    }

    /// The rows that differ, in no promised order.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.slots.keys().copied()
    }

    /// Whether the usage of this row differs from the view's.
    pub fn touches(&self, row: Row) -> bool {
        self.slots.contains_key(&row)
    }

    pub(crate) fn usage(&self, row: Row) -> Option<(&UsageChunk, usize)> {
        let slot = *self.slots.get(&row)?;
        Some((&self.usage[slot / ROWS], slot % ROWS))
    }

    fn apply(&mut self, view: &View, delta: Delta) {
        self.identity.get_or_insert_default();
        let next = self.slots.len();
        let slot = *self.slots.entry(delta.row).or_insert(next);
        if self.usage.len() * ROWS <= slot {
            self.usage.push(Box::new(UsageChunk::empty()));
        }
        let (usage, at) = (&mut self.usage[slot / ROWS], slot % ROWS);
        if slot == next {
            let row = delta.row as usize;
            if let Some(chunk) = view.chunks.get(row / ROWS) {
                usage.copy_row(at, &chunk.usage, row % ROWS);
            }
        }
        let (row, taken_from_cut) = (delta.row, delta.sign < 0 && usage.is_cut(at));
        let columns = &view.cluster.resource_columns;
        usage.apply(at, &delta.pod, delta.sign, columns);
        self.deltas.push(delta);
        if taken_from_cut {
            usage.recount(at, pods_through(&self.deltas, row, view.pods(row)), columns);
        }
    }
}

/// The pods on the node of `row`, where `here` are those of the view. A pod may be taken away and added in turns, as a
/// dry run does: what was said of it last holds.
pub(crate) fn pods_through<'a>(
    deltas: &'a [Delta],
    row: Row,
    here: &'a [Arc<PodInfo>],
) -> impl Iterator<Item = &'a PodInfo> {
    let said_of =
        move |pod: &PodInfo, deltas: &'a [Delta]| deltas.iter().any(|d| d.row == row && d.pod.key.uid == pod.key.uid);
    let kept = here.iter().filter(move |p| !said_of(p, deltas));
    let added = deltas
        .iter()
        .enumerate()
        .filter(move |(nth, d)| d.row == row && d.sign > 0 && !said_of(&d.pod, &deltas[nth + 1..]));
    kept.chain(added.map(|(_, d)| &d.pod)).map(|p| &**p)
}
