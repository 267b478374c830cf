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
use std::sync::Arc;

use crate::chunk::{Chunk, LANES, ROWS, RowBits, UsageChunk, has_bit};
use crate::intern::Istr;
use crate::labels::LabelSet;
use crate::node::{NodeImage, NodeInfo};
use crate::object::{ObjectKind, Objects};
use crate::overlay::{Overlay, pods_through};
use crate::pod::{Owner, PodInfo, PodSpecInfo};
use crate::ports::HostPort;
use crate::table::{Row, View, bits};
use crate::toleration::Taint;
use crate::topology::{Counters, DomainCols, DomainRows, Domains, ExistingTerms, PodMatcher};

mod block;
mod node;
mod prepare;
mod rows;

pub use block::*;
pub use node::*;
pub use prepare::*;
pub use rows::*;

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
    /// Something of the cluster that can turn a node that fitted into one that does not.
    const CLUSTER: u16 = 8;
    const NODE_COUNT: u16 = 1 << 4;
    const IMAGES: u16 = 1 << 5;
    const COLUMNS: u16 = 1 << 6;
    const TERMS: u16 = 1 << 7;
    const CLAIM_USES: u16 = 1 << 8;
    const NAMESPACES: u16 = 1 << 9;
    const OBJECTS: u16 = 1 << 10;
    /// Pods on whatever node, beyond what is counted by topology domain.
    const ANY_POD: u16 = 1 << 11;
    /// More of the pods on the node than how much they ask for together.
    const BEYOND_AMOUNTS: u16 = 1 << 12;

    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything of a node itself.
    pub const ROW: Self = Self(Self::OBJECT | Self::USAGE);

    /// What of a row has changed: its object, what its pods take up, or both.
    pub(crate) const fn of_row(object: bool, usage: bool) -> Self {
        Self(if object { Self::OBJECT } else { 0 } | if usage { Self::USAGE } else { 0 })
    }

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
    /// Whether pods on whatever node are read, beyond what is counted by topology domain.
    pub(crate) const fn reads_any_pod(self) -> bool {
        self.0 & Self::ANY_POD != 0
    }
    /// Whether more is read of the pods on the node, or on others, than how much those on the node ask for together.
    pub const fn reads_beyond_amounts(self) -> bool {
        self.0 & (Self::BEYOND_AMOUNTS | Self::OTHER_ROWS) != 0
    }
    /// Whether something of the cluster as a whole is read that can turn a node that fitted into one that does not.
    pub const fn reads_cluster(self) -> bool {
        self.0 & Self::CLUSTER != 0
    }
    /// Whether anything is in both sets.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Which version of each thing of the cluster as a whole a view shows: where two views agree on what an answer was
/// prepared from, it need not be prepared again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Versions {
    pub(crate) node_count: usize,
    pub(crate) images: u64,
    pub(crate) columns: usize,
    pub(crate) terms: u64,
    pub(crate) claim_uses: u64,
    pub(crate) namespaces: u64,
    pub(crate) objects: u64,
}

impl Versions {
    /// Whether the objects of further kinds are the same in both.
    pub fn same_objects(&self, other: &Self) -> bool {
        self.objects == other.objects
    }

    /// What is not the same in both.
    pub fn differences(&self, other: &Self) -> Groups {
        let of = |differs: bool, group: u16| if differs { group } else { 0 };
        Groups(
            of(self.node_count != other.node_count, Groups::NODE_COUNT)
                | of(self.images != other.images, Groups::IMAGES)
                | of(self.columns != other.columns, Groups::COLUMNS)
                | of(self.terms != other.terms, Groups::TERMS)
                | of(self.claim_uses != other.claim_uses, Groups::CLAIM_USES)
                | of(self.namespaces != other.namespaces, Groups::NAMESPACES)
                | of(self.objects != other.objects, Groups::OBJECTS),
        )
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
    /// Adds the annotations that are read, so that they are kept when nodes are parsed.
    #[doc(hidden)]
    fn annotation_keys(keys: &mut Vec<Istr>) {
        let _ = keys;
    }
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
    Ports: Groups::USAGE | Groups::BEYOND_AMOUNTS => UsedPorts<'a>, |at| UsedPorts { usage: at.usage, at: at.usage_at };
    /// The pods on the node.
    Pods: Groups::USAGE | Groups::BEYOND_AMOUNTS => NodePods<'a>, |at| NodePods { at: *at };
    /// Counts of pods in the node's topology domains, as the plugin's `counters` asked for.
    TopologyDomains: Groups::OBJECT | Groups::USAGE | Groups::OTHER_ROWS => Domains<'a>, |at| Domains::new(*at);
    /// The pods that are imagined onto nodes or off them, whichever nodes those are.
    Imagined: Groups::USAGE | Groups::OTHER_ROWS | Groups::ANY_POD => ImaginedPods<'a>, |at| ImaginedPods { at: *at };
    /// Everything of the node itself.
    WholeNode: Groups::OBJECT | Groups::USAGE | Groups::BEYOND_AMOUNTS => NodeView<'a>, |at| NodeView { at: *at };
    /// Everything there is. The answer is computed anew every time.
    Uncached: Groups::OBJECT | Groups::USAGE | Groups::OTHER_ROWS | Groups::ANY_POD | Groups::BEYOND_AMOUNTS => AnyView<'a>, |at| AnyView { at: *at };
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
    fn annotation_keys(keys: &mut Vec<Istr>) {
        keys.push(Istr::new(K::KEY));
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
            fn annotation_keys(keys: &mut Vec<Istr>) { $($name::annotation_keys(keys);)+ }
        }
        impl<$($name: ReadCluster),+> ReadCluster for ($($name,)+) {
            const GROUPS: Groups = Groups::NONE$(.union(<$name as ReadCluster>::GROUPS))+;
            type Item<'a> = ($($name::Item<'a>,)+);
            fn item(view: &View) -> Self::Item<'_> { ($($name::item(view),)+) }
        }
    )*};
}
tuples! { (A); (A, B); (A, B, C); (A, B, C, D); (A, B, C, D, E); (A, B, C, D, E, F); }
