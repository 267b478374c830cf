//! A plugin as the engine holds it: which points it extends, with its types hidden behind one call for a block of nodes.
//!
//! The registry line of a plugin is `Extensions::of(plugin).filter().score().done()`: declaring a point that the plugin
//! does not implement does not compile.
//!
//! ```
//! use plimsoll_framework::{extensions::Extensions, intern::Istr, plugin::{Plugin, PostBind}, pod::PodInfo};
//! struct Bell;
//! impl Plugin for Bell {
//!     const NAME: &'static str = "Bell";
//! }
//! impl PostBind for Bell {
//!     fn post_bind(&self, _: &PodInfo, _: &Istr) {}
//! }
//! let line = Extensions::of(Bell).post_bind().done();
//! # assert_eq!(line.points(), [plimsoll_framework::point::Point::PostBind]);
//! ```
//!
//! ```compile_fail,E0599
//! # use plimsoll_framework::{extensions::Extensions, intern::Istr, plugin::{Plugin, PostBind}, pod::PodInfo};
//! # struct Bell;
//! # impl Plugin for Bell {
//! #     const NAME: &'static str = "Bell";
//! # }
//! # impl PostBind for Bell {
//! #     fn post_bind(&self, _: &PodInfo, _: &Istr) {}
//! # }
//! let line = Extensions::of(Bell).filter().done(); // It is no Filter.
//! ```

mod after;
mod filter;
mod score;

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::intern::Istr;
use crate::object::KindRef;
use crate::overlay::Overlay;
use crate::plugin::*;
use crate::pod::{PodInfo, PodSpecInfo};
use crate::point::Point;
use crate::read::{At, Block, Groups, RawBlock, Read, ReadCluster, ReadPod, Rows};
use crate::table::{Row, View};
use crate::topology::{CounterSpec, Counters, DomainRows, Levels, Totals};
use crate::verdict::Verdict;

pub use after::*;
pub use filter::*;
pub use score::*;

/// A plugin, by the points it extends.
#[derive(Clone)]
#[allow(missing_docs, reason = "one field for each point, under its name")]
pub struct Extensions {
    pub name: &'static str,
    pub annotation_keys: Vec<Istr>,
    pub kinds: Vec<KindRef>,
    pub sight: Arc<dyn SightDyn>,
    pub enqueue: Option<Arc<dyn EnqueueDyn>>,
    pub pre_enqueue: Option<Arc<dyn PreEnqueueDyn>>,
    pub queue_sort: Option<Arc<dyn QueueSortDyn>>,
    pub pre_filter: Option<Arc<dyn PreFilterDyn>>,
    pub filter: Option<Arc<dyn FilterDyn>>,
    pub post_filter: Option<Arc<dyn PostFilterDyn>>,
    pub pre_score: Option<Arc<dyn PreScoreDyn>>,
    pub score: Option<Arc<dyn ScoreDyn>>,
    pub reserve: Option<Arc<dyn ReserveDyn>>,
    pub permit: Option<Arc<dyn PermitDyn>>,
    pub pre_bind: Option<Arc<dyn PreBindDyn>>,
    pub bind: Option<Arc<dyn BindDyn>>,
    pub post_bind: Option<Arc<dyn PostBindDyn>>,
}

impl std::fmt::Debug for Extensions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.name, self.points())
    }
}

impl Extensions {
    /// Begins a registry line.
    pub fn of<P: Plugin>(plugin: P) -> Builder<P> {
        let plugin = Arc::new(plugin);
        let made = Self {
            name: P::NAME,
            annotation_keys: plugin.annotation_keys(),
            kinds: plugin.kinds(),
            sight: Arc::clone(&plugin) as Arc<dyn SightDyn>,
            enqueue: None,
            pre_enqueue: None,
            queue_sort: None,
            pre_filter: None,
            filter: None,
            post_filter: None,
            pre_score: None,
            score: None,
            reserve: None,
            permit: None,
            pre_bind: None,
            bind: None,
            post_bind: None,
        };
        Builder { plugin, made }
    }

    /// The points the plugin extends, in order.
    pub fn points(&self) -> Vec<Point> {
        let has = [
            (Point::PreEnqueue, self.pre_enqueue.is_some()),
            (Point::QueueSort, self.queue_sort.is_some()),
            (Point::PreFilter, self.pre_filter.is_some()),
            (Point::Filter, self.filter.is_some()),
            (Point::PostFilter, self.post_filter.is_some()),
            (Point::PreScore, self.pre_score.is_some()),
            (Point::Score, self.score.is_some()),
            (Point::Reserve, self.reserve.is_some()),
            (Point::Permit, self.permit.is_some()),
            (Point::PreBind, self.pre_bind.is_some()),
            (Point::Bind, self.bind.is_some()),
            (Point::PostBind, self.post_bind.is_some()),
        ];
        has.into_iter().filter(|(_, has)| *has).map(|(point, _)| point).collect()
    }
}

/// What a pod needs to be seen of, callable without knowing the plugin.
pub trait SightDyn: Send + Sync {
    /// [`Plugin::waits_for_kinds`].
    fn waits_for_kinds(&self, pod: &PodInfo) -> bool;
    /// [`Plugin::waits_for_namespaces`].
    fn waits_for_namespaces(&self, pod: &PodInfo) -> bool;
}

impl<P: Plugin> SightDyn for P {
    fn waits_for_kinds(&self, pod: &PodInfo) -> bool {
        Plugin::waits_for_kinds(self, pod)
    }
    fn waits_for_namespaces(&self, pod: &PodInfo) -> bool {
        Plugin::waits_for_namespaces(self, pod)
    }
}

/// An unfinished registry line.
pub struct Builder<P> {
    plugin: Arc<P>,
    made: Extensions,
}

impl<P> Builder<P> {
    /// Ends the line.
    pub fn done(self) -> Extensions {
        self.made
    }

    /// Whoever declares by its types to read annotations of nodes need not list them besides.
    fn reads<R: Read>(&mut self) {
        let mut declared = Vec::new();
        R::annotation_keys(&mut declared);
        let known = &mut self.made.annotation_keys;
        declared.retain(|key| !known.contains(key));
        known.append(&mut declared);
    }
}

/// Points whose trait is used as it is: an object-safe twin, without the constant name, implemented for all.
macro_rules! plain_points {
    ($($(#[$doc:meta])* $twin:ident of $point:ident as $field:ident { $(fn $method:ident(&self $(, $arg:ident: $ty:ty)*) $(-> $out:ty)?;)* })*) => {$(
        $(#[$doc])*
        pub trait $twin: Send + Sync {
            $(#[allow(missing_docs, reason = "the method of the trait it stands for")] fn $method(&self $(, $arg: $ty)*) $(-> $out)?;)*
        }
        impl<P: $point> $twin for P {
            $(fn $method(&self $(, $arg: $ty)*) $(-> $out)? { <P as $point>::$method(self $(, $arg)*) })*
        }
        impl<P: $point> Builder<P> {
            /// The plugin extends this point.
            #[must_use]
            pub fn $field(mut self) -> Self {
                self.made.$field = Some(self.plugin.clone());
                self
            }
        }
    )*};
}

use crate::cluster_event::{Change, ClusterEvent, QueueingHint, Registration};
use crate::verdict::{PluginError, Rejection};

plain_points! {
    /// [`EnqueueExtensions`], callable without knowing the plugin.
    EnqueueDyn of EnqueueExtensions as enqueue {
        fn registrations(&self) -> Vec<Registration>;
        fn hint(&self, pod: &PodInfo, event: &ClusterEvent, change: &Change<'_>) -> QueueingHint;
    }
    /// [`PreEnqueue`], callable without knowing the plugin.
    PreEnqueueDyn of PreEnqueue as pre_enqueue { fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), Rejection>; }
    /// [`QueueSort`], callable without knowing the plugin.
    QueueSortDyn of QueueSort as queue_sort {
        fn less(&self, a: Queued<'_>, b: Queued<'_>) -> bool;
        fn rank(&self, pod: Queued<'_>) -> Option<u128>;
    }
    /// [`PostFilter`], callable without knowing the plugin.
    PostFilterDyn of PostFilter as post_filter {
        fn post_filter(&self, pod: &PodInfo, context: &PostFilterContext<'_>) -> Result<PostFilterVerdict, PluginError>;
        fn only_preempts(&self) -> bool;
    }
    /// [`Permit`], callable without knowing the plugin.
    PermitDyn of Permit as permit {
        fn permit(&self, pod: &PodInfo, node: &Istr, waiting: &[&PodInfo]) -> PermitAnswer;
    }
    /// [`Bind`], callable without knowing the plugin.
    BindDyn of Bind as bind { fn bind(&self, pod: &PodInfo, node: &Istr) -> BindVerdict; }
    /// [`PostBind`], callable without knowing the plugin.
    PostBindDyn of PostBind as post_bind { fn post_bind(&self, pod: &PodInfo, node: &Istr); }
}

/// A plugin with its state and its counters.
struct Bound<P, S, Mark> {
    plugin: Arc<P>,
    state: S,
    counters: Counters,
    mark: PhantomData<Mark>,
}

impl<P, S, Mark> Bound<P, S, Mark> {
    /// Whether the overlay may change what is said of a node that it does not touch, of which these groups are read.
    fn is_reached(&self, groups: Groups, view: &View, overlay: &Overlay) -> bool {
        groups.reads_other_rows()
            && !overlay.is_empty()
            && (groups.reads_any_pod() || self.counters.are_moved(view, overlay))
    }
}

/// Whether `other` is a binding of the same plugin with an equal state.
fn same_state<P, S, Mark>(one: &Bound<P, S, Mark>, other: &dyn Any) -> bool
where
    Bound<P, S, Mark>: Any,
    S: PartialEq,
{
    let other = other.downcast_ref::<Bound<P, S, Mark>>();
    other.is_some_and(|other| Arc::ptr_eq(&one.plugin, &other.plugin) && one.state == other.state)
}

/// Tells the filter's and the score's binding of one plugin apart.
struct ForFilter;
struct ForScore;
struct ForFeasible;
