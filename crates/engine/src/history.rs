//! What was decided of late, and what has changed since: enough to see the cluster as it was when a pod was decided.
//!
//! Nothing is kept of the nodes themselves. Every change of the table is noted with what was there before, so that the
//! changes since a decision can be taken back one by one, on a copy. Noting one costs a few words; the oldest go when
//! the budget is used up. Before the first decision nothing is noted at all: a standby has nothing to tell.

use std::collections::VecDeque;
use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindId, ObjectKey};
use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::table::{Table, View};
use plimsoll_framework::time::Time;

use crate::event::AnyObject;

/// Entries are kept, and dropped, by so many.
const SEGMENT: usize = 1_024;
/// What a pod or a node that nobody else holds any more takes up, about. What many share is not counted.
const OBJECT_BYTES: usize = size_of::<PodInfo>() + 256;

/// A pod that found its node.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The pod as it was decided.
    pub pod: Arc<PodInfo>,
    /// The node.
    pub node: Istr,
    /// Its score; `None` where there was nothing to choose from.
    pub score: Option<i64>,
    /// When it was committed.
    pub at: Time,
    /// How many attempts it took.
    pub attempts: u32,
    /// The epoch of the view that it was decided on.
    pub epoch: u64,
}

/// A change of the table, by what was there before.
#[derive(Clone, Debug)]
enum Change {
    /// A pod counts on the node that was chosen for it.
    Decided(Decision),
    /// A pod counts on a node.
    Added {
        node: Istr,
        uid: Uid,
    },
    /// A pod counts on a node no more.
    Removed {
        node: Istr,
        pod: Arc<PodInfo>,
    },
    Node {
        name: Istr,
        before: Option<Arc<NodeInfo>>,
    },
    Namespace {
        name: Istr,
        before: Option<Arc<LabelSet>>,
    },
    Object {
        kind: KindId,
        key: ObjectKey,
        before: Option<AnyObject>,
    },
    Nominated {
        uid: Uid,
        before: Option<(Istr, Arc<PodInfo>)>,
    },
}

#[derive(Clone, Debug)]
struct Entry {
    /// The table's epoch with the change.
    epoch: u64,
    change: Change,
}

impl Entry {
    fn bytes(&self) -> usize {
        let held = match &self.change {
            Change::Decided(_) | Change::Removed { .. } => OBJECT_BYTES,
            Change::Node { before, .. } => before.as_ref().map_or(0, |_| 4 * OBJECT_BYTES),
            Change::Object { before, .. } => before.as_ref().map_or(0, |_| OBJECT_BYTES),
            Change::Added { .. } | Change::Namespace { .. } | Change::Nominated { .. } => 0,
        };
        size_of::<Self>() + held
    }
}

#[derive(Debug, Default)]
struct Segment {
    entries: Vec<Entry>,
    bytes: usize,
}

/// The latest changes, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct History {
    budget_bytes: usize,
    full: VecDeque<Arc<Segment>>,
    open: Segment,
    /// Of the full ones.
    bytes: usize,
    has_decisions: bool,
}

impl History {
    /// One that keeps about so much; 0 keeps nothing.
    pub(crate) fn of(budget_bytes: usize) -> Self {
        Self { budget_bytes, ..Self::default() }
    }

    /// A pod counts on a node, for which it was decided here or not.
    pub(crate) fn added(&mut self, table: &Table, node: &Istr, uid: &Uid, decision: Option<Decision>) {
        if let Some(decision) = decision {
            self.has_decisions = self.budget_bytes > 0;
            return self.note(table, || Change::Decided(decision));
        }
        self.note(table, || Change::Added { node: node.clone(), uid: uid.clone() });
    }

    /// A pod counts on a node no more.
    pub(crate) fn removed(&mut self, table: &Table, node: &Istr, pod: &Arc<PodInfo>) {
        self.note(table, || Change::Removed { node: node.clone(), pod: Arc::clone(pod) });
    }

    /// A node has come, changed or gone.
    pub(crate) fn node(&mut self, table: &Table, name: &Istr, before: Option<Arc<NodeInfo>>) {
        self.note(table, || Change::Node { name: name.clone(), before });
    }

    /// A namespace has.
    pub(crate) fn namespace(&mut self, table: &Table, name: &Istr, before: Option<Arc<LabelSet>>) {
        self.note(table, || Change::Namespace { name: name.clone(), before });
    }

    /// An object of a further kind is read otherwise from now on.
    pub(crate) fn object(&mut self, table: &Table, kind: KindId, key: &ObjectKey, before: Option<AnyObject>) {
        self.note(table, || Change::Object { kind, key: key.clone(), before });
    }

    /// A pod is nominated for another node, or for none.
    pub(crate) fn nominated(&mut self, table: &Table, uid: &Uid, before: Option<(Istr, Arc<PodInfo>)>) {
        self.note(table, || Change::Nominated { uid: uid.clone(), before });
    }

    fn note(&mut self, table: &Table, change: impl FnOnce() -> Change) {
        if !self.has_decisions {
            return;
        }
        let entry = Entry { epoch: table.view().epoch(), change: change() };
        self.open.bytes += entry.bytes();
        self.open.entries.push(entry);
        if self.open.entries.len() >= SEGMENT {
            self.close_segment();
        }
    }

    fn close_segment(&mut self) {
        let next = Segment { entries: Vec::with_capacity(SEGMENT), bytes: 0 };
        let full = std::mem::replace(&mut self.open, next);
        self.bytes += full.bytes;
        self.full.push_back(Arc::new(full));
        while self.bytes > self.budget_bytes
            && let Some(oldest) = self.full.pop_front()
        {
            self.bytes -= oldest.bytes;
        }
    }

    /// All of it, to be looked at elsewhere.
    pub(crate) fn past(&self) -> Past {
        let open = Segment { entries: self.open.entries.clone(), bytes: self.open.bytes };
        Past { segments: self.full.iter().cloned().chain([Arc::new(open)]).collect() }
    }
}

/// What was decided of late, and what has changed since.
#[derive(Clone, Debug, Default)]
pub struct Past {
    segments: Vec<Arc<Segment>>,
}

impl Past {
    fn newest_first(&self) -> impl Iterator<Item = &Entry> {
        self.segments.iter().rev().flat_map(|segment| segment.entries.iter().rev())
    }

    /// What it takes up, about.
    pub fn bytes(&self) -> usize {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The newest decision that is still known about a pod that `is` it.
    pub fn decision(&self, is: impl Fn(&PodInfo) -> bool) -> Option<&Decision> {
        self.newest_first().find_map(|entry| match &entry.change {
            Change::Decided(decision) if is(&decision.pod) => Some(decision),
            _ => None,
        })
    }

    /// The cluster as it was at an epoch that is not older than the oldest entry, from a view taken together with this.
    /// Takes as long as building a table anew.
    pub fn table_at(&self, epoch: u64, view: &View) -> Table {
        let mut table = Table::of(view);
        for Entry { change, .. } in self.newest_first().take_while(|entry| entry.epoch > epoch) {
            change.take_back(&mut table);
        }
        table
    }
}

impl Change {
    fn take_back(&self, table: &mut Table) {
        match self {
            Self::Decided(Decision { pod, node, .. }) => {
                table.remove_pod(node, &pod.key.uid);
            }
            Self::Added { node, uid } => {
                table.remove_pod(node, uid);
            }
            Self::Removed { node, pod } => {
                table.add_pod(node, Arc::clone(pod));
            }
            Self::Node { before: Some(before), .. } => {
                table.set_node(Arc::clone(before));
            }
            Self::Node { name, before: None } => {
                table.remove_node(name);
            }
            Self::Namespace { name, before } => table.set_namespace(name.clone(), before.clone()),
            Self::Object { kind, key, before } => {
                table.cluster_mut().set_object(*kind, key.clone(), before.clone());
            }
            Self::Nominated { before: Some((node, pod)), .. } => {
                table.nominations_mut().set(node.clone(), Arc::clone(pod));
            }
            Self::Nominated { uid, before: None } => {
                table.nominations_mut().remove(uid);
            }
        }
    }
}
