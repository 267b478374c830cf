//! What a plugin may read, declared by type.
//!
//! A function that answers for one node is handed exactly what its plugin declared, as the `Item` of a marker type (or
//! of a tuple of them), and cannot name anything else. So the declaration cannot drift from the code: when the labels
//! of a node change, the answers of plugins that did not declare [`Labels`] still stand.
//!
//! ```
//! use plimsoll_framework::read::{Labels, Of, Taints};
//! // Reads labels and taints, nothing more: a pod that comes or goes leaves this answer standing.
//! fn filter((labels, taints): Of<'_, (Labels, Taints)>) -> bool {
//!     taints.is_empty() && !labels.is_empty()
//! }
//! ```
//!
//! What is not declared is not there to be read:
//!
//! ```compile_fail,E0308
//! # use plimsoll_framework::read::{Labels, Of, Taints};
//! fn filter((labels, taints): Of<'_, (Labels,)>) -> bool {
//!     taints.is_empty() && !labels.is_empty()
//! }
//! ```
//!
//! nor can a marker of one's own say what it reads, and read something else:
//!
//! ```compile_fail,E0277
//! use plimsoll_framework::read::{At, Groups, Read};
//! enum Sly {}
//! impl Read for Sly {
//!     const GROUPS: Groups = Groups::NONE;
//!     type Item<'a> = ();
//!     fn item<'a>(_: &At<'a>) {}
//! }
//! ```
//!
//! [`WholeNode`] reads everything of its own node and is right by construction. [`Uncached`] sees the whole view and is
//! computed anew every time. What no type prevents is a plugin with hidden input (a static, a clock, a file): don't.

use std::marker::PhantomData;

use crate::chunk::{Chunk, LANES, ROWS, RowBits, UsageChunk, has_bit};
use crate::intern::Istr;
use crate::labels::LabelSet;
use crate::node::{NodeImage, NodeInfo};
use crate::object::{ObjectKind, Objects};
use crate::overlay::{Overlay, pods_through};
use crate::pod::{PodInfo, PodSpecInfo};
use crate::ports::HostPort;
use crate::table::{Row, View, bits};
use crate::toleration::Taint;
use crate::topology::{Counters, Domains, ExistingTerms, PodMatcher};

mod sealed {
    /// Only this crate says what a marker reads: elsewhere it could say one thing and read another.
    pub trait Sealed {}
}
use sealed::Sealed;

/// A set of the things of a node that can change by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Groups(u16);

impl Groups {
    const OBJECT: u16 = 1;
    const USAGE: u16 = 2;
    const OTHER_ROWS: u16 = 4;
    const CLUSTER: u16 = 8;

    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Whether something of the node object is read.
    pub const fn reads_object(self) -> bool {
        self.0 & Self::OBJECT != 0
    }
    /// Whether something of what the node's pods take up is read.
    pub const fn reads_usage(self) -> bool {
        self.0 & Self::USAGE != 0
    }
    /// Whether something beyond the node's own row is read.
    pub const fn reads_other_rows(self) -> bool {
        self.0 & Self::OTHER_ROWS != 0
    }
    /// Whether something of the cluster as a whole is read that can turn a node that fitted into one that does not.
    pub const fn reads_cluster(self) -> bool {
        self.0 & Self::CLUSTER != 0
    }
}

/// One row of a view, seen through an overlay or not. Only the markers of this module can look into it.
#[derive(Clone, Copy)]
pub struct At<'a> {
    pub(crate) view: &'a View,
    pub(crate) overlay: Option<&'a Overlay>,
    pub(crate) counters: &'a Counters,
    chunk: &'a Chunk,
    usage: &'a UsageChunk,
    pub(crate) row: Row,
    at: usize,
    usage_at: usize,
}

impl<'a> At<'a> {
    /// The row, through the overlay; `None` beyond the table's end.
    pub(crate) fn new(view: &'a View, overlay: Option<&'a Overlay>, counters: &'a Counters, row: Row) -> Option<Self> {
        let at = row as usize % ROWS;
        let chunk = view.chunks.get(row as usize / ROWS)?;
        let (usage, usage_at) = overlay.and_then(|o| o.usage(row)).unwrap_or((&chunk.usage, at));
        Some(Self { view, overlay, counters, chunk, usage, row, at, usage_at })
    }

    pub(crate) fn node(&self) -> Option<&'a NodeInfo> {
        self.chunk.objects.nodes[self.at].as_deref()
    }

    /// Most nodes have no taints, which two bits tell without a look at the node, elsewhere in memory.
    fn taints(&self) -> &'a [Taint] {
        let objects = &*self.chunk.objects;
        if has_bit(&objects.hard_taints, self.at) || has_bit(&objects.soft_taints, self.at) {
            self.node().map_or(&[], |n| &n.taints)
        } else {
            &[]
        }
    }
}

/// Something of a node that a plugin declares to read.
pub trait Read: Sealed + Send + Sync + 'static {
    /// What must change for an answer to become stale; follows from the type.
    const GROUPS: Groups;
    /// What the function is handed.
    type Item<'a>;
    /// Reads it.
    fn item<'a>(at: &At<'a>) -> Self::Item<'a>;
}

/// What a function that declared `R` is handed.
pub type Of<'a, R> = <R as Read>::Item<'a>;

macro_rules! markers {
    ($($(#[$doc:meta])* $name:ident: $groups:expr => $item:ty, |$at:ident| $read:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}
        impl Sealed for $name {}
        impl Read for $name {
            const GROUPS: Groups = Groups($groups);
            type Item<'a> = $item;
            fn item<'a>($at: &At<'a>) -> $item { $read }
        }
    )*};
}

/// What a free row shows to a function that is asked about it all the same (its answer is not used).
static NO_LABELS: std::sync::LazyLock<LabelSet> = std::sync::LazyLock::new(LabelSet::default);
static NO_NAME: std::sync::LazyLock<Istr> = std::sync::LazyLock::new(Istr::default);

markers! {
    /// The node's name.
    Name: Groups::OBJECT => &'a Istr, |at| at.node().map_or(&*NO_NAME, |n| &n.name);
    /// The node's labels.
    Labels: Groups::OBJECT => &'a LabelSet, |at| at.node().map_or(&*NO_LABELS, |n| &n.labels);
    /// The node's taints, in their order.
    Taints: Groups::OBJECT => &'a [Taint], |at| at.taints();
    /// Whether the node is cordoned.
    Unschedulable: Groups::OBJECT => bool, |at| at.node().is_some_and(|n| n.unschedulable);
    /// What the node can give.
    Allocatable: Groups::OBJECT => Amounts<'a>, |at| Amounts::allocatable(at);
    /// The images the node has, sorted by name.
    Images: Groups::OBJECT => &'a [NodeImage], |at| at.node().map_or(&[], |n| &n.images);
    /// The features the node's kubelet declares, sorted.
    DeclaredFeatures: Groups::OBJECT => &'a [Istr], |at| at.node().map_or(&[], |n| &n.declared_features);
    /// What the pods on the node take up.
    Requested: Groups::USAGE => Amounts<'a>, |at| Amounts::requested(at);
    /// The same, with pods that ask for no CPU or memory at the defaults (100m, 200Mi a container).
    NonZeroRequested: Groups::USAGE => Amounts<'a>, |at| Amounts::non_zero_requested(at);
    /// The host ports in use on the node.
    Ports: Groups::USAGE => UsedPorts<'a>, |at| UsedPorts { usage: at.usage, at: at.usage_at };
    /// The pods on the node.
    Pods: Groups::USAGE => NodePods<'a>, |at| NodePods { at: *at };
    /// Counts of pods in the node's topology domains, as the plugin's `counters` asked for.
    TopologyDomains: Groups::OBJECT | Groups::USAGE | Groups::OTHER_ROWS => Domains<'a>, |at| Domains::new(*at);
    /// Everything of the node itself.
    WholeNode: Groups::OBJECT | Groups::USAGE => NodeView<'a>, |at| NodeView { at: *at };
    /// Everything there is. The answer is computed anew every time.
    Uncached: Groups::OBJECT | Groups::USAGE | Groups::OTHER_ROWS => AnyView<'a>, |at| AnyView { at: *at };
}

/// An annotation that a plugin declares to read, by a type that names its key.
pub trait AnnotationKey: Send + Sync + 'static {
    /// The annotation's key.
    const KEY: &'static str;
}

/// The value of a declared annotation of the node.
#[derive(Debug)]
pub struct Annotation<K>(PhantomData<K>);
impl<K> Sealed for Annotation<K> {}
impl<K: AnnotationKey> Read for Annotation<K> {
    const GROUPS: Groups = Groups(Groups::OBJECT);
    type Item<'a> = Option<&'a str>;
    fn item<'a>(at: &At<'a>) -> Option<&'a str> {
        at.node()?.annotation(K::KEY)
    }
}

impl Sealed for () {}
impl Read for () {
    const GROUPS: Groups = Groups::NONE;
    type Item<'a> = ();
    fn item<'a>(_: &At<'a>) {}
}

macro_rules! tuples {
    ($(($($name:ident),+);)*) => {$(
        impl<$($name: Sealed),+> Sealed for ($($name,)+) {}
        impl<$($name: Read),+> Read for ($($name,)+) {
            const GROUPS: Groups = Groups::NONE$(.union($name::GROUPS))+;
            type Item<'a> = ($($name::Item<'a>,)+);
            fn item<'a>(at: &At<'a>) -> Self::Item<'a> { ($($name::item(at),)+) }
        }
        impl<$($name: ReadCluster),+> ReadCluster for ($($name,)+) {
            const GROUPS: Groups = Groups::NONE$(.union(<$name as ReadCluster>::GROUPS))+;
            type Item<'a> = ($($name::Item<'a>,)+);
            fn item(view: &View) -> Self::Item<'_> { ($($name::item(view),)+) }
        }
    )*};
}
tuples! { (A); (A, B); (A, B, C); (A, B, C, D); (A, B, C, D, E); (A, B, C, D, E, F); }

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

    fn allocatable(at: &At<'a>) -> Self {
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

    fn requested(at: &At<'a>) -> Self {
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

    fn non_zero_requested(at: &At<'a>) -> Self {
        let (u, row) = (at.usage, at.usage_at);
        Self { milli_cpu: u.non_zero_milli_cpu[row], memory_bytes: u.non_zero_memory_bytes[row], ..Self::requested(at) }
    }
}

/// The host ports in use on a node.
#[derive(Clone, Copy)]
pub struct UsedPorts<'a> {
    usage: &'a UsageChunk,
    at: usize,
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
    at: At<'a>,
}

impl<'a> NodePods<'a> {
    /// The pods, in no promised order.
    pub fn iter(&self) -> impl Iterator<Item = &'a PodInfo> {
        let at = self.at;
        let deltas = at.overlay.filter(|o| o.touches(at.row)).map_or(&[][..], Overlay::deltas);
        pods_through(deltas, at.row, &at.chunk.pods.pods[at.at])
    }
}

/// Everything of one node.
#[derive(Clone, Copy)]
pub struct NodeView<'a> {
    at: At<'a>,
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
    at: At<'a>,
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

/// 64 rows of the view at once; never seen through an overlay.
#[derive(Clone, Copy)]
pub struct RawBlock<'a> {
    pub(crate) view: &'a View,
    pub(crate) counters: &'a Counters,
    pub(crate) first: Row,
    pub(crate) lanes: u64,
}

/// 64 rows at once, through `R` only.
pub struct Block<'a, R: Read> {
    raw: RawBlock<'a>,
    chunk: &'a Chunk,
    base: usize,
    reads: PhantomData<R>,
}

impl<'a, R: Read> Block<'a, R> {
    /// `None` where the block lies beyond the table.
    pub(crate) fn new(raw: RawBlock<'a>) -> Option<Self> {
        let first = raw.first as usize;
        Some(Self { raw, chunk: raw.view.chunks.get(first / ROWS)?, base: first % ROWS, reads: PhantomData })
    }

    /// The rows that are asked about, as bits.
    pub fn lanes(&self) -> u64 {
        self.raw.lanes
    }

    /// Calls `f` with the lane and what the plugin declared, for every row that is asked about.
    pub fn each(&self, f: impl FnMut(usize, R::Item<'a>)) {
        self.each_of(u64::MAX, f);
    }

    /// As [`Block::each`], for those of the rows that are set in `lanes`.
    pub fn each_of(&self, lanes: u64, mut f: impl FnMut(usize, R::Item<'a>)) {
        for lane in bits(self.raw.lanes & lanes) {
            let at = self.base + lane as usize;
            let chunk = self.chunk;
            let row = self.raw.first + lane;
            let (view, counters, usage) = (self.raw.view, self.raw.counters, &*chunk.usage);
            let at = At { view, overlay: None, counters, chunk, usage, row, at, usage_at: at };
            f(lane as usize, R::item(&at));
        }
    }

    /// The columns of the block, where `R` has columns.
    pub fn cols(&self) -> R::Cols<'a>
    where
        R: ReadCols,
    {
        R::cols(self.chunk, self.base)
    }
}

/// Something that can be read by columns.
pub trait ReadCols: Read {
    /// The columns of 64 rows.
    type Cols<'a>;
    #[doc(hidden)]
    fn cols<'a>(chunk: &'a Chunk, base: usize) -> Self::Cols<'a>;
}

/// A column of a block.
pub type Lanes = [i64; LANES];

fn lanes(column: &[i64; ROWS], base: usize) -> &Lanes {
    // The base is always one of 0, 64, 128, 192.
    column[base..].first_chunk().unwrap_or(&[0; LANES])
}

/// Amounts of 64 nodes.
#[derive(Clone, Copy)]
pub struct AmountCols<'a> {
    /// Thousandths of a CPU.
    pub milli_cpu: &'a Lanes,
    /// Bytes.
    pub memory_bytes: &'a Lanes,
    /// Bytes.
    pub ephemeral_storage_bytes: &'a Lanes,
    /// Number of pods.
    pub pods: &'a Lanes,
    scalars: &'a [[i64; ROWS]],
    base: usize,
}

impl<'a> AmountCols<'a> {
    /// A scalar resource; `None` when no node of the block has or had any.
    pub fn scalar(&self, column: ColumnId) -> Option<&'a Lanes> {
        self.scalars.get(column.0).map(|c| lanes(c, self.base))
    }
}

impl ReadCols for Allocatable {
    type Cols<'a> = AmountCols<'a>;
    fn cols<'a>(chunk: &'a Chunk, base: usize) -> AmountCols<'a> {
        let o = &*chunk.objects;
        AmountCols {
            milli_cpu: lanes(&o.milli_cpu, base),
            memory_bytes: lanes(&o.memory_bytes, base),
            ephemeral_storage_bytes: lanes(&o.ephemeral_storage_bytes, base),
            pods: lanes(&o.pods, base),
            scalars: &o.scalars,
            base,
        }
    }
}

impl ReadCols for Requested {
    type Cols<'a> = AmountCols<'a>;
    fn cols<'a>(chunk: &'a Chunk, base: usize) -> AmountCols<'a> {
        let u = &*chunk.usage;
        AmountCols {
            milli_cpu: lanes(&u.milli_cpu, base),
            memory_bytes: lanes(&u.memory_bytes, base),
            ephemeral_storage_bytes: lanes(&u.ephemeral_storage_bytes, base),
            pods: lanes(&u.pods, base),
            scalars: &u.scalars,
            base,
        }
    }
}

impl ReadCols for NonZeroRequested {
    type Cols<'a> = AmountCols<'a>;
    fn cols<'a>(chunk: &'a Chunk, base: usize) -> AmountCols<'a> {
        let u = &*chunk.usage;
        AmountCols {
            milli_cpu: lanes(&u.non_zero_milli_cpu, base),
            memory_bytes: lanes(&u.non_zero_memory_bytes, base),
            ..Requested::cols(chunk, base)
        }
    }
}

/// Which rows of a block are set.
macro_rules! bit_cols {
    ($($marker:ident => $field:ident),*) => {$(
        impl ReadCols for $marker {
            type Cols<'a> = u64;
            fn cols(chunk: &Chunk, base: usize) -> u64 { chunk.objects.$field[base / LANES] }
        }
    )*};
}
bit_cols! { Unschedulable => unschedulable }

impl ReadCols for Taints {
    /// The rows with taints that keep pods away, and those with taints that make them less liked.
    type Cols<'a> = (u64, u64);
    fn cols(chunk: &Chunk, base: usize) -> (u64, u64) {
        (chunk.objects.hard_taints[base / LANES], chunk.objects.soft_taints[base / LANES])
    }
}

/// The images of 64 nodes.
#[derive(Clone, Copy)]
pub struct ImageCols<'a> {
    images: &'a hashbrown::HashMap<Istr, RowBits>,
    block: usize,
}

impl ImageCols<'_> {
    /// The rows that have an image of this name.
    pub fn with(&self, name: &Istr) -> u64 {
        self.images.get(name).map_or(0, |rows| rows[self.block])
    }
}

impl ReadCols for Images {
    type Cols<'a> = ImageCols<'a>;
    fn cols<'a>(chunk: &'a Chunk, base: usize) -> ImageCols<'a> {
        ImageCols { images: &chunk.objects.images, block: base / LANES }
    }
}

/// The host ports in use on 64 nodes.
#[derive(Clone, Copy)]
pub struct PortCols<'a> {
    ports: &'a [(u8, HostPort)],
    block: usize,
}

impl<'a> PortCols<'a> {
    /// The ports with the lane of their node, in no promised order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &'a HostPort)> {
        let block = self.block;
        let ports = self.ports.iter().map(|(row, port)| (usize::from(*row), port));
        ports.filter(move |(row, _)| row / LANES == block).map(|(row, port)| (row % LANES, port))
    }
}

impl ReadCols for Ports {
    type Cols<'a> = PortCols<'a>;
    fn cols<'a>(chunk: &'a Chunk, base: usize) -> PortCols<'a> {
        PortCols { ports: &chunk.usage.ports, block: base / LANES }
    }
}

impl<A: ReadCols, B: ReadCols> ReadCols for (A, B) {
    type Cols<'a> = (A::Cols<'a>, B::Cols<'a>);
    fn cols<'a>(chunk: &'a Chunk, base: usize) -> Self::Cols<'a> {
        (A::cols(chunk, base), B::cols(chunk, base))
    }
}
impl<A: ReadCols, B: ReadCols, C: ReadCols> ReadCols for (A, B, C) {
    type Cols<'a> = (A::Cols<'a>, B::Cols<'a>, C::Cols<'a>);
    fn cols<'a>(chunk: &'a Chunk, base: usize) -> Self::Cols<'a> {
        (A::cols(chunk, base), B::cols(chunk, base), C::cols(chunk, base))
    }
}

/// What of the pod is read when a plugin is prepared for it.
pub trait ReadPod: Sealed + Send + Sync + 'static {
    /// Whether only the spec is read, so that what was prepared serves every pod that is alike.
    const SPEC_ONLY: bool;
    /// What `prepare` is handed.
    type Item<'a>;
    #[doc(hidden)]
    fn item(pod: &PodInfo) -> Self::Item<'_>;
}

/// The pod's spec alone.
#[derive(Debug)]
pub enum Spec {}
impl Sealed for Spec {}
impl ReadPod for Spec {
    const SPEC_ONLY: bool = true;
    type Item<'a> = &'a PodSpecInfo;
    fn item(pod: &PodInfo) -> &PodSpecInfo {
        &pod.spec
    }
}

/// Everything of the pod, its name and labels included.
#[derive(Debug)]
pub enum WholePod {}
impl Sealed for WholePod {}
impl ReadPod for WholePod {
    const SPEC_ONLY: bool = false;
    type Item<'a> = &'a PodInfo;
    fn item(pod: &PodInfo) -> &PodInfo {
        pod
    }
}

/// What `prepare` is handed of the pod when `P` was declared.
pub type PodOf<'a, P> = <P as ReadPod>::Item<'a>;

/// What of the cluster as a whole is read when a plugin is prepared for a pod.
pub trait ReadCluster: Sealed + Send + Sync + 'static {
    /// What must change for an answer to become stale; follows from the type.
    const GROUPS: Groups = Groups(Groups::CLUSTER);
    /// What `prepare` is handed.
    type Item<'a>;
    #[doc(hidden)]
    fn item(view: &View) -> Self::Item<'_>;
}

/// What `prepare` is handed of the cluster when `C` was declared.
pub type ClusterOf<'a, C> = <C as ReadCluster>::Item<'a>;

impl ReadCluster for () {
    const GROUPS: Groups = Groups::NONE;
    type Item<'a> = ();
    fn item(_: &View) {}
}

/// The number of a scalar resource, for [`Amounts::scalar`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ColumnId(usize);

macro_rules! cluster_markers {
    ($($(#[$doc:meta])* $name:ident $(: $groups:expr)? => $item:ty, |$view:ident| $read:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}
        impl Sealed for $name {}
        impl ReadCluster for $name {
            $(const GROUPS: Groups = $groups;)?
            type Item<'a> = $item;
            #[allow(clippy::needless_lifetimes, reason = "some items borrow from the view, some do not")]
            fn item<'a>($view: &'a View) -> $item { $read }
        }
    )*};
}

cluster_markers! {
    /// How many nodes there are.
    NodeCount => usize, |view| view.node_count();
    /// The numbers of the scalar resources. A number is never taken back, so what fitted by it still does.
    ResourceColumns: Groups::NONE => ResourceNumbers<'a>, |view| ResourceNumbers { names: &view.cluster.resource_columns };
    /// The images in the cluster.
    ClusterImages => ImageIndex<'a>, |view| ImageIndex { view };
    /// The terms that existing pods carry.
    Terms => ExistingTerms<'a>, |view| ExistingTerms::new(view);
    /// The labels of namespaces.
    Namespaces => NamespaceIndex<'a>, |view| NamespaceIndex { view };
}

/// The numbers of the scalar resources.
#[derive(Clone, Copy)]
pub struct ResourceNumbers<'a> {
    names: &'a [Istr],
}
impl ResourceNumbers<'_> {
    /// The number of a resource; `None` when no node has any of it.
    pub fn get(&self, name: &Istr) -> Option<ColumnId> {
        self.names.iter().position(|n| n == name).map(ColumnId)
    }
}

/// The images in the cluster.
#[derive(Clone, Copy)]
pub struct ImageIndex<'a> {
    view: &'a View,
}
impl ImageIndex<'_> {
    /// An image by its normalised name; `None` when no node has it.
    pub fn get(&self, name: &Istr) -> Option<crate::cluster::ImageState> {
        self.view.cluster.image(name)
    }
    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.view.node_count()
    }
}

/// The labels of namespaces.
#[derive(Clone, Copy)]
pub struct NamespaceIndex<'a> {
    view: &'a View,
}
impl<'a> NamespaceIndex<'a> {
    /// The labels of a namespace; `None` when it is not known.
    pub fn labels(&self, name: &Istr) -> Option<&'a LabelSet> {
        self.view.cluster.namespace_labels(name).map(|l| &**l)
    }
    /// Whether `pod` is one of those that `matcher` matches: what a plugin asks of the pod's own terms and the pod itself.
    pub fn matched(&self, pod: &PodInfo, matcher: &PodMatcher) -> bool {
        matcher.matches(pod, &self.view.cluster)
    }
}

/// The objects of a further kind.
#[derive(Debug)]
pub struct ObjectsOf<K>(PhantomData<K>);
impl<K> Sealed for ObjectsOf<K> {}
impl<K: ObjectKind> ReadCluster for ObjectsOf<K> {
    type Item<'a> = Objects<'a, K>;
    fn item(view: &View) -> Objects<'_, K> {
        Objects::new(&view.cluster)
    }
}
