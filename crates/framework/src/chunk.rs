//! The node table's storage: 256 rows a chunk, one column a property.
//!
//! A chunk is split by how often its parts change: objects hardly ever, usage with every pod, pod lists likewise but
//! read by few. Each part is shared between the live table and the views taken of it and copied when it is written
//! while a view still holds it, so a pod that comes or goes copies the counts of 256 nodes at most, never the labels.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::intern::Istr;
use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::ports::HostPort;

/// Rows a chunk.
pub(crate) const ROWS: usize = 256;
/// Rows a block: what one call of a block function answers for.
pub(crate) const LANES: usize = 64;

/// A column of amounts, one for each row.
pub(crate) type Column = [i64; ROWS];

/// A set of rows of a chunk.
pub(crate) type RowBits = [u64; ROWS / LANES];

pub(crate) fn set_bit(bits: &mut RowBits, row: usize, on: bool) {
    let mask = 1 << (row % LANES);
    if on { bits[row / LANES] |= mask } else { bits[row / LANES] &= !mask }
}

pub(crate) fn has_bit(bits: &RowBits, row: usize) -> bool {
    bits[row / LANES] >> (row % LANES) & 1 == 1
}

/// What the node objects say.
#[derive(Clone, Debug)]
pub(crate) struct ObjectChunk {
    /// The rows that hold a node; the others are free or stand for nodes that are not (or no longer) known.
    pub(crate) present: RowBits,
    pub(crate) unschedulable: RowBits,
    /// Nodes with a taint that keeps pods away.
    pub(crate) hard_taints: RowBits,
    /// Nodes with a taint that makes them less liked.
    pub(crate) soft_taints: RowBits,
    pub(crate) nodes: Vec<Option<Arc<NodeInfo>>>,
    /// Which rows have an image, for every image that some row has. Shared by itself: images are many, and most changes
    /// of a node are to something else.
    pub(crate) images: Arc<HashMap<Istr, RowBits>>,
    pub(crate) milli_cpu: Column,
    pub(crate) memory_bytes: Column,
    pub(crate) ephemeral_storage_bytes: Column,
    pub(crate) pods: Column,
    /// By number of the resource; a column that is missing is all zero.
    pub(crate) scalars: Vec<Column>,
    /// The table's epoch at each row's last change.
    pub(crate) epochs: [u64; ROWS],
}

/// What the pods on the nodes take up.
#[derive(Clone, Debug)]
pub(crate) struct UsageChunk {
    pub(crate) milli_cpu: Column,
    pub(crate) memory_bytes: Column,
    pub(crate) ephemeral_storage_bytes: Column,
    pub(crate) non_zero_milli_cpu: Column,
    pub(crate) non_zero_memory_bytes: Column,
    pub(crate) pods: Column,
    /// By number of the resource; a column that is missing is all zero.
    pub(crate) scalars: Vec<Column>,
    /// Host ports in use, with the row; few nodes have any.
    pub(crate) ports: Vec<(u8, HostPort)>,
    pub(crate) epochs: [u64; ROWS],
}

/// Rows whose lists of pods are copied together. Copying a list is counting it once more, wherever it is in memory.
const POD_ROWS: usize = 16;

/// The pods on one node.
type PodList = Arc<Vec<Arc<PodInfo>>>;

/// The pods on the nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct PodChunk {
    blocks: [Arc<[PodList; POD_ROWS]>; ROWS / POD_ROWS],
}

impl PodChunk {
    pub(crate) fn of(&self, row: usize) -> &[Arc<PodInfo>] {
        &self.blocks[row / POD_ROWS][row % POD_ROWS]
    }

    pub(crate) fn of_mut(&mut self, row: usize) -> &mut Vec<Arc<PodInfo>> {
        Arc::make_mut(&mut Arc::make_mut(&mut self.blocks[row / POD_ROWS])[row % POD_ROWS])
    }
}

/// 256 rows of the table. Public in a private module: other crates meet it in signatures and cannot name it.
#[derive(Clone, Debug)]
pub struct Chunk {
    pub(crate) objects: Arc<ObjectChunk>,
    pub(crate) usage: Arc<UsageChunk>,
    pub(crate) pods: Arc<PodChunk>,
    /// By block of 64 rows: the table's epoch at the last change of any of them.
    pub(crate) epochs: [u64; ROWS / LANES],
}

impl Default for Chunk {
    fn default() -> Self {
        Self {
            objects: Arc::new(ObjectChunk {
                present: [0; 4],
                unschedulable: [0; 4],
                hard_taints: [0; 4],
                soft_taints: [0; 4],
                nodes: vec![None; ROWS],
                images: Arc::default(),
                milli_cpu: [0; ROWS],
                memory_bytes: [0; ROWS],
                ephemeral_storage_bytes: [0; ROWS],
                pods: [0; ROWS],
                scalars: Vec::new(),
                epochs: [0; ROWS],
            }),
            usage: Arc::new(UsageChunk::empty()),
            pods: Arc::default(),
            epochs: [0; ROWS / LANES],
        }
    }
}

impl ObjectChunk {
    /// Writes the node into its row, or clears the row's object.
    pub(crate) fn set(&mut self, row: usize, node: Option<Arc<NodeInfo>>, columns: &[Istr], epoch: u64) {
        let read = node.as_deref();
        set_bit(&mut self.present, row, read.is_some());
        set_bit(&mut self.unschedulable, row, read.is_some_and(|n| n.unschedulable));
        let tainted = |hard: bool| read.is_some_and(|n| n.taints.iter().any(|t| t.effect.is_hard() == hard));
        set_bit(&mut self.hard_taints, row, tainted(true));
        set_bit(&mut self.soft_taints, row, tainted(false));
        let amounts = read.map(|n| &n.allocatable);
        self.milli_cpu[row] = amounts.map_or(0, |a| a.milli_cpu);
        self.memory_bytes[row] = amounts.map_or(0, |a| a.memory_bytes);
        self.ephemeral_storage_bytes[row] = amounts.map_or(0, |a| a.ephemeral_storage_bytes);
        self.pods[row] = read.map_or(0, |n| n.allocatable_pods);
        for column in &mut self.scalars {
            column[row] = 0;
        }
        for (name, amount) in amounts.iter().flat_map(|a| &a.scalars) {
            if let Some(at) = columns.iter().position(|c| c == name) {
                column_mut(&mut self.scalars, at)[row] = *amount;
            }
        }
        if self.nodes[row].as_ref().map(|n| &n.images) != read.map(|n| &n.images) {
            self.set_images(row, read);
        }
        self.nodes[row] = node;
        self.epochs[row] = epoch;
    }

    /// Takes the row from the images it had, and gives it to those it has.
    fn set_images(&mut self, row: usize, node: Option<&NodeInfo>) {
        let images = Arc::make_mut(&mut self.images);
        for image in self.nodes[row].iter().flat_map(|n| &n.images) {
            if let Some(rows) = images.get_mut(&image.name) {
                set_bit(rows, row, false);
                if *rows == RowBits::default() {
                    images.remove(&image.name);
                }
            }
        }
        for image in node.iter().flat_map(|n| &n.images) {
            set_bit(images.entry(image.name.clone()).or_default(), row, true);
        }
    }
}

fn column_mut(columns: &mut Vec<Column>, at: usize) -> &mut Column {
    if columns.len() <= at {
        columns.resize(at + 1, [0; ROWS]);
    }
    &mut columns[at]
}

impl UsageChunk {
    pub(crate) fn empty() -> Self {
        Self {
            milli_cpu: [0; ROWS],
            memory_bytes: [0; ROWS],
            ephemeral_storage_bytes: [0; ROWS],
            non_zero_milli_cpu: [0; ROWS],
            non_zero_memory_bytes: [0; ROWS],
            pods: [0; ROWS],
            scalars: Vec::new(),
            ports: Vec::new(),
            epochs: [0; ROWS],
        }
    }

    /// Adds what `pod` takes up to a row (`sign` 1) or takes it away (`sign` -1). `columns` names the numbered
    /// resources; others are not kept, since no node has them.
    pub(crate) fn apply(&mut self, row: usize, pod: &PodInfo, sign: i64, columns: &[Istr]) {
        let r = &pod.spec.requests;
        let add = |column: &mut Column, amount: i64| {
            column[row] = column[row].saturating_add(amount.saturating_mul(sign));
        };
        add(&mut self.milli_cpu, r.used.milli_cpu);
        add(&mut self.memory_bytes, r.used.memory_bytes);
        add(&mut self.ephemeral_storage_bytes, r.used.ephemeral_storage_bytes);
        add(&mut self.non_zero_milli_cpu, r.used_non_zero_milli_cpu);
        add(&mut self.non_zero_memory_bytes, r.used_non_zero_memory_bytes);
        add(&mut self.pods, 1);
        for (name, amount) in &r.used.scalars {
            if let Some(at) = columns.iter().position(|c| c == name) {
                add(column_mut(&mut self.scalars, at), *amount);
            }
        }
        for port in &pod.spec.host_ports {
            let entry = (row_number(row), port.clone());
            if sign > 0 {
                self.ports.push(entry);
            } else if let Some(at) = self.ports.iter().position(|p| *p == entry) {
                self.ports.swap_remove(at);
            }
        }
    }

    /// Makes `row` of this chunk equal to `from_row` of `other`.
    pub(crate) fn copy_row(&mut self, row: usize, other: &Self, from_row: usize) {
        self.milli_cpu[row] = other.milli_cpu[from_row];
        self.memory_bytes[row] = other.memory_bytes[from_row];
        self.ephemeral_storage_bytes[row] = other.ephemeral_storage_bytes[from_row];
        self.non_zero_milli_cpu[row] = other.non_zero_milli_cpu[from_row];
        self.non_zero_memory_bytes[row] = other.non_zero_memory_bytes[from_row];
        self.pods[row] = other.pods[from_row];
        for at in 0..other.scalars.len().max(self.scalars.len()) {
            column_mut(&mut self.scalars, at)[row] = other.scalar(at, from_row);
        }
        self.ports.retain(|(r, _)| usize::from(*r) != row);
        let ports = other.ports_of(from_row).map(|p| (row_number(row), p.clone()));
        self.ports.extend(ports);
    }

    /// Whether some sum of the row was cut at the end of its range: taking a pod away then leaves too little, and the
    /// row has to be counted anew.
    pub(crate) fn is_cut(&self, row: usize) -> bool {
        let at_the_end = |column: &Column| matches!(column[row], i64::MAX | i64::MIN);
        at_the_end(&self.milli_cpu)
            || at_the_end(&self.memory_bytes)
            || at_the_end(&self.ephemeral_storage_bytes)
            || at_the_end(&self.non_zero_milli_cpu)
            || at_the_end(&self.non_zero_memory_bytes)
            || self.scalars.iter().any(at_the_end)
    }

    /// Counts these pods in the row, and nothing else.
    pub(crate) fn recount<'a>(&mut self, row: usize, pods: impl Iterator<Item = &'a PodInfo>, columns: &[Istr]) {
        self.clear_row(row);
        for pod in pods {
            self.apply(row, pod, 1, columns);
        }
    }

    pub(crate) fn scalar(&self, column: usize, row: usize) -> i64 {
        self.scalars.get(column).map_or(0, |c| c[row])
    }

    pub(crate) fn ports_of(&self, row: usize) -> impl Iterator<Item = &HostPort> {
        self.ports.iter().filter(move |(r, _)| usize::from(*r) == row).map(|(_, p)| p)
    }

    pub(crate) fn clear_row(&mut self, row: usize) {
        self.copy_row(row, &Self::empty(), 0);
    }
}

fn row_number(row: usize) -> u8 {
    u8::try_from(row).unwrap_or(u8::MAX)
}
