//! The node table and the views taken of it.

use std::sync::Arc;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::chunk::{Chunk, LANES, ROWS};
use crate::cluster::{ClusterInfo, Nominations};
use crate::intern::Istr;
use crate::labels::LabelSet;
use crate::node::NodeInfo;
use crate::pod::{PodInfo, Uid};
use crate::read::{Groups, Versions};
use crate::resources::Resources;
use crate::topology::{CounterKey, CounterSpec, Counts, Index, Placed};

/// A row of the table: a node for as long as it exists. Numbers are used again only for nodes that come later.
pub type Row = u32;

fn split(row: Row) -> (usize, usize) {
    let row = row as usize;
    (row / ROWS, row % ROWS)
}

/// An immutable version of the whole cluster, cheap to take: what a decision is made on.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) cluster: Arc<ClusterInfo>,
    pub(crate) nominations: Arc<Nominations>,
    /// Without zeros at its end; mostly empty.
    avoided: Arc<Vec<u64>>,
    pub(crate) topology: Arc<Counts>,
    rows: Arc<HashMap<Istr, Row>>,
    identity: Arc<()>,
    versions: Versions,
    pub(crate) epoch: u64,
}

impl View {
    /// The table's epoch when the view was taken: greater is newer.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.cluster.node_count
    }

    /// The number of rows, free ones included: rows are below this.
    pub fn row_limit(&self) -> usize {
        self.chunks.len() * ROWS
    }

    /// What is known of the cluster beside its nodes.
    pub fn cluster(&self) -> &ClusterInfo {
        &self.cluster
    }

    /// The pods that nodes are being cleared for.
    pub fn nominations(&self) -> &Nominations {
        &self.nominations
    }

    /// The rows that decisions leave out where others are left, in words of 64; those beyond its end are not among them.
    /// No plugin reads it: whether a pod may be on a node does not depend on it.
    pub fn avoided(&self) -> &[u64] {
        &self.avoided
    }

    /// The node in a row, if there is one.
    pub fn node(&self, row: Row) -> Option<&Arc<NodeInfo>> {
        let (chunk, row) = split(row);
        self.chunks.get(chunk)?.objects.nodes[row].as_ref()
    }

    /// The row of the node of this name, if there is such a node.
    pub fn row(&self, name: &Istr) -> Option<Row> {
        self.rows.get(name).copied().filter(|row| self.node(*row).is_some())
    }

    /// The same for all views of one table, and for no others: epochs of different tables say nothing of each other.
    pub fn identity(&self) -> &Arc<()> {
        &self.identity
    }

    /// Which version of the cluster as a whole it shows.
    pub fn versions(&self) -> Versions {
        Versions {
            node_count: self.node_count(),
            columns: self.cluster.resource_columns.len(),
            terms: self.topology.terms_version,
            ..self.versions
        }
    }

    /// Calls `f` with every row that changed after `epoch`, in ascending order, and with what of it did.
    pub fn changed_rows(&self, epoch: u64, mut f: impl FnMut(Row, Groups)) {
        for (at, chunk) in self.chunks.iter().enumerate() {
            for block in (0..ROWS / LANES).filter(|block| chunk.epochs[*block] > epoch) {
                for row in block * LANES..(block + 1) * LANES {
                    let (object, usage) = (chunk.objects.epochs[row] > epoch, chunk.usage.epochs[row] > epoch);
                    if object || usage {
                        f(row_of(at, row), Groups::of_row(object, usage));
                    }
                }
            }
        }
    }

    /// The table's epoch at the last change of a row, of its node or of what is on it; 0 for one that never changed.
    pub fn row_epoch(&self, row: Row) -> u64 {
        let (chunk, row) = split(row);
        self.chunks.get(chunk).map_or(0, |c| c.objects.epochs[row].max(c.usage.epochs[row]))
    }

    /// The pods on the node of a row, in no promised order.
    pub fn pods(&self, row: Row) -> &[Arc<PodInfo>] {
        let (chunk, row) = split(row);
        self.chunks.get(chunk).map_or(&[], |c| c.pods.of(row))
    }

    /// What the pods on the node of a row take up together, as it is kept count of; for inspection.
    pub fn requested(&self, row: Row) -> Resources {
        let (chunk, row) = split(row);
        let Some(chunk) = self.chunks.get(chunk) else { return Resources::default() };
        let usage = &chunk.usage;
        let columns = self.cluster.resource_columns.iter().enumerate();
        let amounts = columns.map(|(at, name)| (name.clone(), usage.scalar(at, row)));
        let mut scalars: SmallVec<[_; 2]> = amounts.filter(|(_, amount)| *amount != 0).collect();
        scalars.sort_unstable();
        Resources {
            milli_cpu: usage.milli_cpu[row],
            memory_bytes: usage.memory_bytes[row],
            ephemeral_storage_bytes: usage.ephemeral_storage_bytes[row],
            scalars,
        }
    }

    /// Every row that holds a node, in ascending order.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.blocks().flat_map(|(base, lanes)| bits(lanes).map(move |lane| base + lane))
    }

    /// The rows by blocks of 64: the first row of each block and which of its rows hold nodes.
    pub fn blocks(&self) -> impl Iterator<Item = (Row, u64)> + Clone + '_ {
        self.chunks.iter().enumerate().flat_map(|(c, chunk)| {
            chunk.objects.present.iter().enumerate().map(move |(b, lanes)| (row_of(c, b * LANES), *lanes))
        })
    }
}

fn row_of(chunk: usize, row: usize) -> Row {
    Row::try_from(chunk * ROWS + row).unwrap_or(Row::MAX)
}

impl Placed for Vec<Chunk> {
    fn nodes(&self) -> impl Iterator<Item = (Row, &NodeInfo)> {
        let rows = self.iter().enumerate().flat_map(|(c, chunk)| {
            chunk.objects.nodes.iter().enumerate().map(move |(at, node)| (row_of(c, at), node.as_deref()))
        });
        rows.filter_map(|(row, node)| Some((row, node?)))
    }

    fn pods(&self, row: Row) -> &[Arc<PodInfo>] {
        let (chunk, row) = split(row);
        self.get(chunk).map_or(&[], |chunk| chunk.pods.of(row))
    }
}

/// The numbers of the bits that are set, in ascending order.
pub fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        if word == 0 {
            return None;
        }
        let bit = word.trailing_zeros();
        word &= word - 1;
        Some(bit)
    })
}

/// The live table, owned by the engine's cache: nodes in rows, and what the pods on them take up.
///
/// A pod on a node that is not known sits in a row without an object: such a row is in no view's set of nodes, and the
/// pod counts the moment the node appears.
#[derive(Debug, Default)]
pub struct Table {
    live: View,
    free: Vec<Row>,
    index: Index,
}

impl Table {
    /// A table of what a view shows, to be changed without the original. Takes as long as building it anew.
    pub fn of(view: &View) -> Self {
        let mut table = Self::default();
        for name in view.cluster().namespaces() {
            table.set_namespace(name.clone(), view.cluster().namespace_labels(name).cloned());
        }
        table.cluster_mut().take_objects(view.cluster());
        *table.nominations_mut() = view.nominations().clone();
        let mut rows: Vec<(&Istr, Row)> = view.rows.iter().map(|(name, row)| (name, *row)).collect();
        rows.sort_unstable_by_key(|(_, row)| *row);
        for (name, row) in rows {
            if let Some(node) = view.node(row) {
                table.set_node(Arc::clone(node));
            }
            for pod in view.pods(row) {
                table.add_pod(name, Arc::clone(pod));
            }
        }
        table
    }

    /// The table as it is now, to decide on without taking a view. Clone it to take one.
    pub fn view(&self) -> &View {
        &self.live
    }

    /// The row of a node, known or only named by pods.
    pub fn row(&self, name: &Istr) -> Option<Row> {
        self.live.rows.get(name).copied()
    }

    /// Puts a node into its row, or replaces it. Gives the row, and whether anything that scheduling reads changed:
    /// a heartbeat does not.
    pub fn set_node(&mut self, node: Arc<NodeInfo>) -> (Row, bool) {
        let row = self.claim(&node.name);
        let old = self.live.node(row).cloned();
        if let Some(old) = old.as_ref().filter(|old| old.same_for_scheduling(&node)) {
            if old.conditions != node.conditions {
                // Kept for the next comparison, at the old epoch: no answer reads it.
                let (chunk, at) = split(row);
                Arc::make_mut(&mut self.live.chunks[chunk].objects).nodes[at] = Some(node);
            }
            return (row, false);
        }
        let epoch = self.bump();
        self.images_change(old.as_deref(), Some(&node), epoch);
        let cluster = Arc::make_mut(&mut self.live.cluster);
        if cluster.replace_node(old.as_deref(), Some(&node)) {
            self.recount_scalars(epoch);
        }
        self.index_node(row, old.as_deref(), Some(&node));
        self.write_object(row, Some(node), epoch);
        if old.is_none() {
            self.count_claims_of_row(row, true);
        }
        (row, true)
    }

    /// Takes a node away. Its row stays for the pods that are still on it.
    pub fn remove_node(&mut self, name: &Istr) -> Option<Arc<NodeInfo>> {
        let row = self.row(name)?;
        let old = self.live.node(row).cloned()?;
        self.avoid(row, false);
        let epoch = self.bump();
        self.images_change(Some(&old), None, epoch);
        Arc::make_mut(&mut self.live.cluster).replace_node(Some(&old), None);
        self.index_node(row, Some(&old), None);
        self.count_claims_of_row(row, false);
        self.write_object(row, None, epoch);
        self.release_if_empty(row, name);
        Some(old)
    }

    /// Counts a pod on the node of this name, known or not. Gives the row.
    pub fn add_pod(&mut self, node: &Istr, pod: Arc<PodInfo>) -> Row {
        let row = self.claim(node);
        self.apply(row, &pod, 1);
        let (chunk, at) = split(row);
        Arc::make_mut(&mut self.live.chunks[chunk].pods).of_mut(at).push(pod);
        row
    }

    /// Takes a pod off a node again; `false` if it was not there.
    pub fn remove_pod(&mut self, node: &Istr, uid: &Uid) -> bool {
        let Some(row) = self.row(node) else { return false };
        let Some(index) = self.live.pods(row).iter().position(|p| p.key.uid == *uid) else { return false };
        let (at_chunk, at) = split(row);
        let chunk = &mut self.live.chunks[at_chunk];
        let pod = Arc::make_mut(&mut chunk.pods).of_mut(at).swap_remove(index);
        let cut = chunk.usage.is_cut(at);
        self.apply(row, &pod, -1);
        if cut {
            let chunk = &mut self.live.chunks[at_chunk];
            let left = chunk.pods.of(at).iter().map(|p| &**p);
            Arc::make_mut(&mut chunk.usage).recount(at, left, &self.live.cluster.resource_columns);
        }
        self.release_if_empty(row, node);
        true
    }

    /// Sets or (with `None`) forgets a namespace's labels.
    pub fn set_namespace(&mut self, name: Istr, labels: Option<Arc<LabelSet>>) {
        self.live.versions.namespaces = self.bump();
        Arc::make_mut(&mut self.live.cluster).set_namespace(name.clone(), labels);
        self.index.change_namespace(&mut self.live.topology, &self.live.cluster, &name);
    }

    /// Has these counted from now on as things change, for the views taken from now on. No answer depends on it: what is
    /// not registered is counted when it is asked for. What is not registered again for thousands of calls is dropped.
    /// Gives what to call [`Self::renew`] with, which does the same for less.
    pub fn register(&mut self, specs: &[CounterSpec]) -> Box<[CounterKey]> {
        let View { chunks, cluster, topology, .. } = &mut self.live;
        self.index.register(topology, cluster, chunks, specs)
    }

    /// Registers again what was registered before; `false` where some of it was dropped meanwhile.
    pub fn renew(&mut self, counters: &[CounterKey]) -> bool {
        self.index.renew(&mut self.live.topology, counters)
    }

    /// How many counters are kept up to date.
    pub fn registered(&self) -> usize {
        self.live.topology.len()
    }

    /// Changes what is known of the cluster beside nodes and namespaces; every view taken later sees it.
    pub fn cluster_mut(&mut self) -> &mut ClusterInfo {
        self.live.versions.objects = self.bump();
        Arc::make_mut(&mut self.live.cluster)
    }

    /// Changes the nominations; every view taken later sees it.
    pub fn nominations_mut(&mut self) -> &mut Nominations {
        self.bump();
        Arc::make_mut(&mut self.live.nominations)
    }

    /// Has decisions leave a row out where others are left, or not any more, from the next view on. That ends with its
    /// node, and a row without one is never left out. Nothing that is kept of rows changes by it, so the epoch does not.
    pub fn avoid(&mut self, row: Row, avoid: bool) {
        let (block, lane) = (row as usize / LANES, 1_u64 << (row as usize % LANES));
        let avoid = avoid && self.live.node(row).is_some();
        let is = self.live.avoided.get(block).is_some_and(|lanes| lanes & lane != 0);
        if avoid == is {
            return;
        }
        let rows = Arc::make_mut(&mut self.live.avoided);
        rows.resize(rows.len().max(block + 1), 0);
        if let Some(lanes) = rows.get_mut(block) {
            *lanes ^= lane;
        }
        while rows.pop_if(|lanes| *lanes == 0).is_some() {}
    }

    /// Whether, since `epoch`, something changed that a function reading `groups` could have read of this row or of the cluster.
    pub fn changed_since(&self, row: Row, groups: Groups, epoch: u64) -> bool {
        let (chunk, at) = split(row);
        let Some(chunk) = self.live.chunks.get(chunk) else { return true };
        ((groups.reads_other_rows() || groups.reads_cluster()) && self.live.epoch > epoch)
            || (groups.reads_object() && chunk.objects.epochs[at] > epoch)
            || (groups.reads_usage() && chunk.usage.epochs[at] > epoch)
    }

    fn bump(&mut self) -> u64 {
        self.live.epoch += 1;
        self.live.epoch
    }

    /// The row of this name, made if there is none.
    fn claim(&mut self, name: &Istr) -> Row {
        if let Some(row) = self.row(name) {
            return row;
        }
        if self.free.is_empty() {
            let first = self.live.chunks.len();
            self.live.chunks.push(Chunk::default());
            // Taken from the end: rows fill from the front, so that few chunks are in use.
            self.free.extend((0..ROWS).rev().map(|at| row_of(first, at)));
        }
        let row = self.free.pop().unwrap_or_default();
        Arc::make_mut(&mut self.live.rows).insert(name.clone(), row);
        row
    }

    fn release_if_empty(&mut self, row: Row, name: &Istr) {
        if self.live.node(row).is_none() && self.live.pods(row).is_empty() {
            let (chunk, at) = split(row);
            Arc::make_mut(&mut self.live.chunks[chunk].usage).clear_row(at);
            Arc::make_mut(&mut self.live.rows).remove(name);
            self.free.push(row);
        }
    }

    fn images_change(&mut self, old: Option<&NodeInfo>, new: Option<&NodeInfo>, epoch: u64) {
        if old.map(|n| &n.images) != new.map(|n| &n.images) {
            self.live.versions.images = epoch;
        }
    }

    fn write_object(&mut self, row: Row, node: Option<Arc<NodeInfo>>, epoch: u64) {
        let (chunk, at) = split(row);
        self.live.chunks[chunk].epochs[at / LANES] = epoch;
        let columns = self.live.cluster.resource_columns.as_slice();
        Arc::make_mut(&mut self.live.chunks[chunk].objects).set(at, node, columns, epoch);
    }

    fn apply(&mut self, row: Row, pod: &PodInfo, sign: i64) {
        let epoch = self.bump();
        let (chunk, at) = split(row);
        let usage = Arc::make_mut(&mut self.live.chunks[chunk].usage);
        usage.apply(at, pod, sign, &self.live.cluster.resource_columns);
        usage.epochs[at] = epoch;
        self.live.chunks[chunk].epochs[at / LANES] = epoch;
        let known = self.live.chunks[chunk].objects.nodes[at].is_some();
        self.index.move_pod(&mut self.live.topology, &self.live.cluster, (row, known), pod, sign);
        // Most pods have no claims; for them the rest of the cluster stays shared with the views.
        if known && pod.claims().next().is_some() {
            self.live.versions.claim_uses = epoch;
            Arc::make_mut(&mut self.live.cluster).count_claims(pod, sign > 0);
        }
    }

    fn index_node(&mut self, row: Row, old: Option<&NodeInfo>, new: Option<&NodeInfo>) {
        let (chunk, at) = split(row);
        let pods = self.live.chunks[chunk].pods.of(at);
        self.index.change_node(&mut self.live.topology, row, (old, new), pods);
    }

    /// A node with pods on it has come or gone: claims count where a node is known.
    fn count_claims_of_row(&mut self, row: Row, more: bool) {
        let (chunk, at) = split(row);
        let with_claims = |pod: &&Arc<PodInfo>| pod.claims().next().is_some();
        for pod in self.live.chunks[chunk].pods.of(at).iter().filter(with_claims) {
            self.live.versions.claim_uses = self.live.epoch;
            Arc::make_mut(&mut self.live.cluster).count_claims(pod, more);
        }
    }

    /// A resource was seen on a node for the first time: pods that already ask for it are counted now. Rare (a device
    /// plugin's first appearance), so every pod may be looked at.
    fn recount_scalars(&mut self, epoch: u64) {
        let columns = self.live.cluster.resource_columns.as_slice();
        for chunk in &mut self.live.chunks {
            let usage = Arc::make_mut(&mut chunk.usage);
            let before = std::mem::take(&mut usage.scalars);
            for row in 0..ROWS {
                let pods = chunk.pods.of(row);
                for (name, amount) in pods.iter().flat_map(|p| &p.spec.requests.used.scalars) {
                    if let Some(at) = columns.iter().position(|c| c == name) {
                        if usage.scalars.len() <= at {
                            usage.scalars.resize(at + 1, [0; ROWS]);
                        }
                        usage.scalars[at][row] = usage.scalars[at][row].saturating_add(*amount);
                    }
                }
                let old = |at: usize| before.get(at).map_or(0, |column| column[row]);
                if (0..columns.len()).any(|at| usage.scalar(at, row) != old(at)) {
                    usage.epochs[row] = epoch;
                    chunk.epochs[row / LANES] = epoch;
                }
            }
        }
    }
}
