//! Topologies, filters of nodes, and both together.

use hashbrown::HashMap;

use super::super::super::counts::{DomainId, NOWHERE};
use super::super::super::{NodeFilter, Topology};
use crate::intern::Istr;
use crate::node::NodeInfo;
use crate::table::{Row, bits};

/// The domains of one topology. Its column is in [`Counts`].
#[derive(Debug)]
pub(super) struct Domains {
    pub(super) topology: Topology,
    /// By value of the label: the domain's number, and how many nodes are in it.
    values: HashMap<Istr, (DomainId, u32)>,
    free: Vec<DomainId>,
    /// The empty value, which a label may have.
    unnamed: Istr,
    pub(super) users: u32,
}

/// The nodes that one filter counts.
#[derive(Debug)]
pub(super) struct Filtered {
    pub(super) filter: NodeFilter,
    rows: Vec<u64>,
    pub(super) users: u32,
}

/// The domains of one topology on the nodes of one filter.
#[derive(Debug)]
pub(super) struct Dimension {
    pub(super) topology: usize,
    pub(super) filter: usize,
    /// By domain: how many counted nodes are in it.
    pub(super) nodes: Vec<u32>,
    pub(super) users: u32,
}

impl Domains {
    pub(super) fn of(topology: Topology) -> Self {
        Self { topology, values: HashMap::new(), free: Vec::new(), unnamed: Istr::new(""), users: 0 }
    }

    /// Whether some node's label is empty.
    pub(super) fn has_unnamed(&self) -> bool {
        self.values.contains_key(&self.unnamed)
    }

    /// Moves the node of `row` from the domain its old labels put it in to that of the new ones; gives the latter.
    pub(super) fn move_node(&mut self, row: Row, old: Option<&NodeInfo>, new: Option<&NodeInfo>) -> DomainId {
        let Topology::Label(key) = &self.topology else { return new.map_or(NOWHERE, |_| row) };
        let value = |node: Option<&NodeInfo>| node.and_then(|n| n.labels.get(key)).cloned();
        let (old, new) = (value(old), value(new));
        // In before out: a domain whose only node stays in it keeps its number.
        let id = new.map_or(NOWHERE, |value| {
            let next = DomainId::try_from(self.values.len() + self.free.len()).unwrap_or(NOWHERE);
            let free = &mut self.free;
            let entry = self.values.entry(value).or_insert_with(|| (free.pop().unwrap_or(next), 0));
            entry.1 += 1;
            entry.0
        });
        if let Some(value) = old
            && let Some((id, nodes)) = self.values.get_mut(&value)
        {
            *nodes -= 1;
            if *nodes == 0 {
                self.free.push(*id);
                self.values.remove(&value);
            }
        }
        id
    }
}

impl Filtered {
    pub(super) fn by(filter: NodeFilter) -> Self {
        Self { filter, rows: Vec::new(), users: 0 }
    }

    pub(super) fn counts(&self, row: Row) -> bool {
        self.rows.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row> {
        (0..).step_by(64).zip(&self.rows).flat_map(|(first, word)| bits(*word).map(move |lane| first + lane))
    }

    pub(super) fn set(&mut self, row: Row, node: Option<&NodeInfo>) {
        let (word, bit) = (row as usize / 64, 1 << (row % 64));
        self.rows.resize(self.rows.len().max(word + 1), 0);
        if node.is_some_and(|n| self.filter.counts(n)) { self.rows[word] |= bit } else { self.rows[word] &= !bit }
    }
}

impl Dimension {
    /// Counts a node into its domain or out of it; by how much that changes the number of domains.
    pub(super) fn count_node(&mut self, domain: DomainId, enters: bool) -> i32 {
        let at = domain as usize;
        self.nodes.resize(self.nodes.len().max(at + 1), 0);
        let before = self.nodes[at];
        debug_assert!(enters || before > 0, "more nodes left a domain than were in it");
        self.nodes[at] = if enters { before + 1 } else { before.saturating_sub(1) };
        i32::from(self.nodes[at] > 0) - i32::from(before > 0)
    }
}
