//! Which domain each node is in, and which nodes are counted on, for everything that is counted by or on.

mod parts;

use std::hash::Hash;
use std::sync::Arc;

use hashbrown::HashMap;

use self::parts::{Dimension, Domains, Filtered};
use super::super::column::Column;
use super::super::counts::{Counts, DomainId, NOWHERE};
use super::super::slots::Slots;
use super::super::{NodeFilter, Topology};
use super::Placed;
use super::groups::{Cell, Move};
use crate::node::NodeInfo;
use crate::table::Row;

#[derive(Debug, Default)]
pub(super) struct Layout {
    topologies: Slots<Domains>,
    filters: Slots<Filtered>,
    dimensions: Slots<Dimension>,
    by_topology: HashMap<Topology, usize>,
    by_filter: HashMap<NodeFilter, usize>,
    by_parts: HashMap<(usize, usize), usize>,
}

impl Layout {
    /// The numbers of a topology and of its dimension with a filter, which are made where there are none: then all
    /// nodes are looked at. To be given back to [`Self::release`].
    pub(super) fn claim(
        &mut self,
        counts: &mut Counts,
        placed: &impl Placed,
        topology: &Topology,
        filter: &NodeFilter,
    ) -> (usize, usize) {
        let topology = self.topology(counts, placed, topology);
        let filter = self.filter(placed, canonical(filter));
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
            if let Some(domain) = column.domain(row) {
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

    fn topology(&mut self, counts: &mut Counts, placed: &impl Placed, topology: &Topology) -> usize {
        if let Some(id) = self.by_topology.get(topology) {
            return *id;
        }
        let mut made = Domains::of(topology.clone());
        let mut column = Column::default();
        for (row, node) in placed.nodes() {
            column.set(row, made.move_node(row, None, Some(node)));
        }
        column.has_unnamed = made.has_unnamed();
        let id = self.topologies.insert(made);
        counts.columns.resize_with(counts.columns.len().max(id + 1), Arc::default);
        counts.columns[id] = Arc::new(column);
        self.by_topology.insert(topology.clone(), id);
        id
    }

    fn filter(&mut self, placed: &impl Placed, filter: NodeFilter) -> usize {
        if let Some(id) = self.by_filter.get(&filter) {
            return *id;
        }
        let mut made = Filtered::by(filter.clone());
        placed.nodes().for_each(|(row, node)| made.set(row, Some(node)));
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
        let domain = counts.columns[dimension.topology].domain(row)?;
        self.filters.get(dimension.filter)?.counts(row).then_some(domain)
    }

    /// The numbers of the domains of a dimension are below this.
    pub(super) fn limit(&self, counts: &Counts, dimension: usize) -> usize {
        self.dimensions.get(dimension).map_or(0, |dimension| counts.columns[dimension.topology].limit())
    }

    /// Calls `f` with the domain of each cell whose node is counted.
    pub(super) fn each_domain(
        &self,
        counts: &Counts,
        dimension: usize,
        cells: &HashMap<Row, Cell>,
        mut f: impl FnMut(DomainId, Cell),
    ) {
        let Some(dimension) = self.dimensions.get(dimension) else { return };
        let Some(filter) = self.filters.get(dimension.filter) else { return };
        let column = &counts.columns[dimension.topology];
        for (row, cell) in cells {
            if let Some(domain) = column.domain(*row).filter(|_| filter.counts(*row)) {
                f(domain, *cell);
            }
        }
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
            if counts.columns[id].domain(row).unwrap_or(NOWHERE) != domain {
                let column = Arc::make_mut(&mut counts.columns[id]);
                column.set(row, domain);
                column.has_unnamed = domains.has_unnamed();
            }
        }
        self.filters.iter_mut().for_each(|(_, filtered)| filtered.set(row, new));
        self.count_node(counts, row, true);
    }

    fn count_node(&mut self, counts: &mut Counts, row: Row, enters: bool) {
        for (id, dimension) in self.dimensions.iter_mut() {
            let counted = self.filters.get(dimension.filter).is_some_and(|f| f.counts(row));
            let domain = counts.columns[dimension.topology].domain(row);
            if let Some(domain) = domain.filter(|_| counted) {
                let change = dimension.count_node(domain, enters);
                counts.domains[id] = counts.domains[id].saturating_add_signed(change);
            }
        }
    }
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
