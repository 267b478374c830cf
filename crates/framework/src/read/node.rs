//! What a function is handed of one node.

use super::*;

/// Amounts of resources of one node. Scalar resources go by their number (see [`ResourceColumns`]).
#[derive(Clone, Copy)]
pub struct Amounts<'a> {
    /// Thousandths of a CPU.
    pub milli_cpu: i64,
    /// Bytes.
    pub memory_bytes: i64,
    /// Bytes.
    pub ephemeral_storage_bytes: i64,
    /// Number of pods.
    pub pods: i64,
    scalars: &'a [[i64; ROWS]],
    at: usize,
}

impl<'a> Amounts<'a> {
    /// The amount of a scalar resource, 0 where the node has none of it.
    pub fn scalar(&self, column: ColumnId) -> i64 {
        self.scalars.get(column.0).map_or(0, |c| c[self.at])
    }

    pub(super) fn allocatable(at: &At<'a>) -> Self {
        let (o, row) = (&*at.chunk.objects, at.at);
        Self {
            milli_cpu: o.milli_cpu[row],
            memory_bytes: o.memory_bytes[row],
            ephemeral_storage_bytes: o.ephemeral_storage_bytes[row],
            pods: o.pods[row],
            scalars: &o.scalars,
            at: row,
        }
    }

    pub(super) fn requested(at: &At<'a>) -> Self {
        let (u, row) = (at.usage, at.usage_at);
        Self {
            milli_cpu: u.milli_cpu[row],
            memory_bytes: u.memory_bytes[row],
            ephemeral_storage_bytes: u.ephemeral_storage_bytes[row],
            pods: u.pods[row],
            scalars: &u.scalars,
            at: row,
        }
    }

    pub(super) fn non_zero_requested(at: &At<'a>) -> Self {
        let (u, row) = (at.usage, at.usage_at);
        Self { milli_cpu: u.non_zero_milli_cpu[row], memory_bytes: u.non_zero_memory_bytes[row], ..Self::requested(at) }
    }
}

/// The host ports in use on a node.
#[derive(Clone, Copy)]
pub struct UsedPorts<'a> {
    pub(super) usage: &'a UsageChunk,
    pub(super) at: usize,
}

impl<'a> UsedPorts<'a> {
    /// The ports, in no promised order.
    pub fn iter(&self) -> impl Iterator<Item = &'a HostPort> {
        self.usage.ports_of(self.at)
    }
}

/// The pods on a node, those of the overlay included.
#[derive(Clone, Copy)]
pub struct NodePods<'a> {
    pub(super) at: At<'a>,
}

impl<'a> NodePods<'a> {
    /// The pods, in no promised order.
    pub fn iter(&self) -> impl Iterator<Item = &'a PodInfo> {
        let at = self.at;
        let deltas = at.overlay.filter(|o| o.touches(at.row)).map_or(&[][..], Overlay::deltas);
        pods_through(deltas, at.row, at.chunk.pods.of(at.at))
    }
}

/// The pods of the overlay.
#[derive(Clone, Copy)]
pub struct ImaginedPods<'a> {
    pub(super) at: At<'a>,
}

impl<'a> ImaginedPods<'a> {
    /// Each pod with 1 where it is added and -1 where it is taken away, in the order in which that was imagined.
    pub fn iter(&self) -> impl Iterator<Item = (&'a PodInfo, i64)> {
        self.at.overlay.map_or(&[][..], Overlay::deltas).iter().map(|d| (&*d.pod, d.sign))
    }
}

/// Everything of one node.
#[derive(Clone, Copy)]
pub struct NodeView<'a> {
    pub(super) at: At<'a>,
}

impl<'a> NodeView<'a> {
    /// The node object; `None` for a free row.
    pub fn node(&self) -> Option<&'a NodeInfo> {
        self.at.node()
    }
    /// Anything that can be declared of the node by itself.
    pub fn get<R: Read>(&self) -> R::Item<'a> {
        const { assert!(!R::GROUPS.reads_other_rows(), "a WholeNode plugin reads its own node; declare Uncached") };
        R::item(&self.at)
    }
}

/// The whole view, from where one node is.
#[derive(Clone, Copy)]
pub struct AnyView<'a> {
    pub(super) at: At<'a>,
}

impl<'a> AnyView<'a> {
    /// The node that is asked about.
    pub fn here(&self) -> NodeView<'a> {
        NodeView { at: self.at }
    }
    /// The view.
    pub fn view(&self) -> &'a View {
        self.at.view
    }
    /// Every node, through the overlay.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'a>> {
        let at = self.at;
        at.view.rows().filter_map(move |row| Some(NodeView { at: At::new(at.view, at.overlay, at.counters, row)? }))
    }
}
