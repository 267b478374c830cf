//! Which domain each node is in, and which nodes are counted on, for everything that is counted by or on.

use std::hash::Hash;
use std::sync::Arc;

use hashbrown::HashMap;

use super::super::counts::{Counts, DomainId, NOWHERE, domain_at};
use super::super::slots::Slots;
use super::super::{NodeFilter, Topology};
use super::groups::{Cell, Move};
use crate::intern::Istr;
use crate::node::NodeInfo;
use crate::table::{Row, bits};

/// The domains of one topology. Its column is in [`Counts`].
#[derive(Debug)]
struct Domains {
    topology: Topology,
    /// By value of the label: the domain's number, and how many nodes are in it.
    values: HashMap<Istr, (DomainId, u32)>,
    free: Vec<DomainId>,
    users: u32,
}

/// The nodes that one filter counts.
#[derive(Debug)]
struct Filtered {
    filter: NodeFilter,
    rows: Vec<u64>,
    users: u32,
}

/// The domains of one topology on the nodes of one filter.
#[derive(Debug)]
struct Dimension {
    topology: usize,
    filter: usize,
    /// By domain: how many counted nodes are in it.
    nodes: Vec<u32>,
    users: u32,
}

#[derive(Debug, Default)]
pub(super) struct Layout {
    topologies: Slots<Domains>,
    filters: Slots<Filtered>,
    dimensions: Slots<Dimension>,
    by_topology: HashMap<Topology, usize>,
    by_filter: HashMap<NodeFilter, usize>,
    by_parts: HashMap<(usize, usize), usize>,
}

impl Domains {
    /// Moves the node of `row` from the domain its old labels put it in to that of the new ones; gives the latter.
    fn move_node(&mut self, row: Row, old: Option<&NodeInfo>, new: Option<&NodeInfo>) -> DomainId {
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
    fn counts(&self, row: Row) -> bool {
        self.rows.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    fn rows(&self) -> impl Iterator<Item = Row> {
        (0..).step_by(64).zip(&self.rows).flat_map(|(first, word)| bits(*word).map(move |lane| first + lane))
    }

    fn set(&mut self, row: Row, node: Option<&NodeInfo>) {
        let (word, bit) = (row as usize / 64, 1 << (row % 64));
        self.rows.resize(self.rows.len().max(word + 1), 0);
        if node.is_some_and(|n| self.filter.counts(n)) { self.rows[word] |= bit } else { self.rows[word] &= !bit }
    }
}

impl Dimension {
    /// Counts a node into its domain or out of it; by how much that changes the number of domains.
    fn count_node(&mut self, domain: DomainId, enters: bool) -> i32 {
        let at = domain as usize;
        self.nodes.resize(self.nodes.len().max(at + 1), 0);
        let before = self.nodes[at];
        debug_assert!(enters || before > 0, "more nodes left a domain than were in it");
        self.nodes[at] = if enters { before + 1 } else { before.saturating_sub(1) };
        i32::from(self.nodes[at] > 0) - i32::from(before > 0)
    }
}

impl Layout {
    /// The numbers of a topology and of its dimension with a filter, which are made where there are none: then all
    /// nodes are looked at. To be given back to [`Self::release`].
    pub(super) fn claim<'n, N: Iterator<Item = (Row, &'n NodeInfo)>>(
        &mut self,
        counts: &mut Counts,
        nodes: impl Fn() -> N,
        topology: &Topology,
        filter: &NodeFilter,
    ) -> (usize, usize) {
        let topology = self.topology(counts, &nodes, topology);
        let filter = self.filter(&nodes, canonical(filter));
        if let Some(id) = self.by_parts.get(&(topology, filter)) {
            if let Some(dimension) = self.dimensions.get_mut(*id) {
                dimension.users += 1;
            }
            return (topology, *id);
        }
        let mut dimension = Dimension { topology, filter, nodes: Vec::new(), users: 1 };
        let mut domains = 0;
        let column = &counts.columns[topology];
        for row in self.filters.get(filter).iter().flat_map(|filtered| filtered.rows()) {
            if let Some(domain) = domain_at(column, row) {
                domains += dimension.count_node(domain, true);
            }
        }
        let id = self.dimensions.insert(dimension);
        counts.domains.resize(counts.domains.len().max(id + 1), 0);
        counts.domains[id] = u32::try_from(domains).unwrap_or(0);
        self.by_parts.insert((topology, filter), id);
        for users in [
            self.topologies.get_mut(topology).map(|t| &mut t.users),
            self.filters.get_mut(filter).map(|f| &mut f.users),
        ]
        .into_iter()
        .flatten()
        {
            *users += 1;
        }
        (topology, id)
    }

    fn topology<'n, N: Iterator<Item = (Row, &'n NodeInfo)>>(
        &mut self,
        counts: &mut Counts,
        nodes: &impl Fn() -> N,
        topology: &Topology,
    ) -> usize {
        if let Some(id) = self.by_topology.get(topology) {
            return *id;
        }
        let mut made = Domains { topology: topology.clone(), values: HashMap::new(), free: Vec::new(), users: 0 };
        let mut column = Vec::new();
        for (row, node) in nodes() {
            write_column(&mut column, row, made.move_node(row, None, Some(node)));
        }
        let id = self.topologies.insert(made);
        counts.columns.resize_with(counts.columns.len().max(id + 1), Arc::default);
        counts.columns[id] = Arc::new(column);
        self.by_topology.insert(topology.clone(), id);
        id
    }

    fn filter<'n, N: Iterator<Item = (Row, &'n NodeInfo)>>(
        &mut self,
        nodes: &impl Fn() -> N,
        filter: NodeFilter,
    ) -> usize {
        if let Some(id) = self.by_filter.get(&filter) {
            return *id;
        }
        let mut made = Filtered { filter: filter.clone(), rows: Vec::new(), users: 0 };
        nodes().for_each(|(row, node)| made.set(row, Some(node)));
        let id = self.filters.insert(made);
        self.by_filter.insert(filter, id);
        id
    }

    /// Gives a dimension back; what nobody uses any more is forgotten.
    pub(super) fn release(&mut self, counts: &mut Counts, id: usize) {
        let Some(dimension) = self.dimensions.get_mut(id) else { return };
        dimension.users -= 1;
        if dimension.users > 0 {
            return;
        }
        let (topology, filter) = (dimension.topology, dimension.filter);
        self.dimensions.remove(id);
        self.by_parts.remove(&(topology, filter));
        if forget(&mut self.topologies, &mut self.by_topology, topology, |t| (&t.topology, &mut t.users)) {
            counts.columns[topology] = Arc::default();
        }
        forget(&mut self.filters, &mut self.by_filter, filter, |f| (&f.filter, &mut f.users));
    }

    /// The domain of a dimension in which the node of this row is counted.
    pub(super) fn domain(&self, counts: &Counts, dimension: usize, row: Row) -> Option<DomainId> {
        let dimension = self.dimensions.get(dimension)?;
        let domain = domain_at(&counts.columns[dimension.topology], row)?;
        self.filters.get(dimension.filter)?.counts(row).then_some(domain)
    }

    /// Moves the counters that pods on the node of this row move.
    pub(super) fn move_counters(&self, counts: &mut Arc<Counts>, row: Row, moves: &[Move], cell: Cell) {
        for m in moves {
            let Some(dimension) = counts.counter(m.counter).map(|c| c.dimension) else { continue };
            let (by, domain) = (m.by(cell), self.domain(counts, dimension, row));
            if let Some(domain) = domain.filter(|_| by != 0)
                && let Some(counter) = Arc::make_mut(counts).counter_mut(m.counter)
            {
                counter.sums.add(domain, by);
            }
        }
    }

    /// Changes what is known of the node of a row. No pod may be counted on it meanwhile.
    pub(super) fn change_node(
        &mut self,
        counts: &mut Counts,
        row: Row,
        old: Option<&NodeInfo>,
        new: Option<&NodeInfo>,
    ) {
        self.count_node(counts, row, false);
        for (id, domains) in self.topologies.iter_mut() {
            let domain = domains.move_node(row, old, new);
            if domain_at(&counts.columns[id], row).unwrap_or(NOWHERE) != domain {
                write_column(Arc::make_mut(&mut counts.columns[id]), row, domain);
            }
        }
        self.filters.iter_mut().for_each(|(_, filtered)| filtered.set(row, new));
        self.count_node(counts, row, true);
    }

    fn count_node(&mut self, counts: &mut Counts, row: Row, enters: bool) {
        for (id, dimension) in self.dimensions.iter_mut() {
            let counted = self.filters.get(dimension.filter).is_some_and(|f| f.counts(row));
            let domain = domain_at(&counts.columns[dimension.topology], row);
            if let Some(domain) = domain.filter(|_| counted) {
                let change = dimension.count_node(domain, enters);
                counts.domains[id] = counts.domains[id].saturating_add_signed(change);
            }
        }
    }
}

fn write_column(column: &mut Vec<DomainId>, row: Row, domain: DomainId) {
    let at = row as usize;
    column.resize(column.len().max(at + 1), NOWHERE);
    column[at] = domain;
}

/// What is preferred does not tell nodes apart, and an affinity without any rule none at all.
fn canonical(filter: &NodeFilter) -> NodeFilter {
    let mut filter = filter.clone();
    if let Some(affinity) = &mut filter.affinity {
        (affinity.preferred, affinity.has_preferred) = (Box::default(), false);
    }
    filter.affinity = filter.affinity.filter(|a| a.node_selector.is_some() || a.required.is_some());
    filter
}

/// Takes one user off; whether it was the last, and the item is forgotten.
fn forget<T, K: Hash + Eq>(
    slots: &mut Slots<T>,
    numbers: &mut HashMap<K, usize>,
    id: usize,
    parts: impl for<'t> Fn(&'t mut T) -> (&'t K, &'t mut u32),
) -> bool {
    let Some(item) = slots.get_mut(id) else { return false };
    let (key, users) = parts(item);
    *users -= 1;
    let last = *users == 0;
    if last {
        numbers.remove(key);
        slots.remove(id);
    }
    last
}
