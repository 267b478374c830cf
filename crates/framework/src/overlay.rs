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
use crate::taken::Taken;

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
    /// The row that was changed last, with its slot: a dry run goes on with one.
    last: Option<(Row, usize)>,
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

    /// Imagines pods away of which only is known what they take up together: for whoever reads nothing else of the pods on
    /// the node ([`crate::read::Groups::reads_beyond_amounts`]). `false`, and no difference, where a sum of the row does
    /// not tell what is left of it.
    pub fn take_off(&mut self, view: &View, row: Row, taken: &Taken) -> bool {
        let (usage, at) = self.slot(view, row);
        if usage.is_cut(at) {
            return false;
        }
        taken.take_off(usage, at);
        true
    }

    /// Forgets every difference.
    pub fn clear(&mut self) {
        self.identity = None;
        self.slots.clear();
        self.last = None;
        self.deltas.clear();
    }

    /// The same from the first difference until all are forgotten, and for no other overlay; `None` while there is none.
    pub fn identity(&self) -> Option<&Arc<()>> {
        self.identity.as_ref()
    }

    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
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
        let slot = match self.last.filter(|(last, _)| *last == row) {
            Some((_, slot)) => slot,
            None => *self.slots.get(&row)?,
        };
        Some((&self.usage[slot / ROWS], slot % ROWS))
    }

    /// Where the usage of a row is kept, copied from the view if it was not.
    fn slot(&mut self, view: &View, row: Row) -> (&mut UsageChunk, usize) {
        self.identity.get_or_insert_default();
        if let Some((_, slot)) = self.last.filter(|(last, _)| *last == row) {
            return (&mut self.usage[slot / ROWS], slot % ROWS);
        }
        let next = self.slots.len();
        let slot = *self.slots.entry(row).or_insert(next);
        self.last = Some((row, slot));
        if self.usage.len() * ROWS <= slot {
            self.usage.push(Box::new(UsageChunk::empty()));
        }
        let (usage, at) = (&mut self.usage[slot / ROWS], slot % ROWS);
        if slot == next {
            let row = row as usize;
            if let Some(chunk) = view.chunks.get(row / ROWS) {
                usage.copy_row(at, &chunk.usage, row % ROWS);
            }
        }
        (usage, at)
    }

    fn apply(&mut self, view: &View, delta: Delta) {
        let (usage, at) = self.slot(view, delta.row);
        let (row, taken_from_cut) = (delta.row, delta.sign < 0 && usage.is_cut(at));
        let columns = &view.cluster.resource_columns;
        usage.apply(at, &delta.pod, delta.sign, columns);
        self.deltas.push(delta);
        if taken_from_cut && let Some(slot) = self.slots.get(&row) {
            let usage = &mut self.usage[slot / ROWS];
            usage.recount(slot % ROWS, pods_through(&self.deltas, row, view.pods(row)), columns);
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
