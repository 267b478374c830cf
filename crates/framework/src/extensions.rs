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

use std::marker::PhantomData;
use std::sync::Arc;

use crate::intern::Istr;
use crate::object::KindRef;
use crate::overlay::Overlay;
use crate::plugin::*;
use crate::pod::PodInfo;
use crate::point::Point;
use crate::read::{At, Block, Groups, RawBlock, Read, ReadCluster, ReadPod};
use crate::table::{Row, View};
use crate::topology::Counters;
use crate::verdict::Verdict;

/// A plugin, by the points it extends.
#[derive(Clone)]
#[allow(missing_docs, reason = "one field for each point, under its name")]
pub struct Extensions {
    pub name: &'static str,
    pub annotation_keys: Vec<Istr>,
    pub kinds: Vec<KindRef>,
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
        let made = Self {
            name: P::NAME,
            annotation_keys: plugin.annotation_keys(),
            kinds: plugin.kinds(),
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
        Builder { plugin: Arc::new(plugin), made }
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
    QueueSortDyn of QueueSort as queue_sort { fn less(&self, a: Queued<'_>, b: Queued<'_>) -> bool; }
    /// [`PostFilter`], callable without knowing the plugin.
    PostFilterDyn of PostFilter as post_filter {
        fn post_filter(&self, pod: &PodInfo, context: &PostFilterContext<'_>) -> Result<PostFilterVerdict, PluginError>;
    }
    /// [`Reserve`], callable without knowing the plugin.
    ReserveDyn of Reserve as reserve {
        fn reserve(&self, pod: &PodInfo, node: &Istr) -> Result<(), Refusal>;
        fn unreserve(&self, pod: &PodInfo, node: &Istr);
    }
    /// [`Permit`], callable without knowing the plugin.
    PermitDyn of Permit as permit {
        fn permit(&self, pod: &PodInfo, node: &Istr, waiting: &[&PodInfo]) -> PermitAnswer;
    }
    /// [`PreBind`], callable without knowing the plugin.
    PreBindDyn of PreBind as pre_bind {
        fn pre_bind(&self, pod: &PodInfo, node: &Istr) -> Result<Vec<Write>, PluginError>;
    }
    /// [`Bind`], callable without knowing the plugin.
    BindDyn of Bind as bind { fn bind(&self, pod: &PodInfo, node: &Istr) -> BindVerdict; }
    /// [`PostBind`], callable without knowing the plugin.
    PostBindDyn of PostBind as post_bind { fn post_bind(&self, pod: &PodInfo, node: &Istr); }
}

/// [`PreFilter`], callable without knowing the plugin.
pub trait PreFilterDyn: Send + Sync {
    /// What it reads of the cluster as a whole.
    fn groups(&self) -> Groups;
    /// Looks at the pod.
    fn pre_filter(&self, pod: &PodInfo, view: &View) -> PreFilterVerdict;
}
impl<P: PreFilter> PreFilterDyn for P {
    fn groups(&self) -> Groups {
        P::Cluster::GROUPS
    }
    fn pre_filter(&self, pod: &PodInfo, view: &View) -> PreFilterVerdict {
        PreFilter::pre_filter(self, P::Pod::item(pod), P::Cluster::item(view))
    }
}

/// [`PreScore`], callable without knowing the plugin.
pub trait PreScoreDyn: Send + Sync {
    /// Looks at the pod.
    fn pre_score(&self, pod: &PodInfo, view: &View) -> bool;
}
impl<P: PreScore> PreScoreDyn for P {
    fn pre_score(&self, pod: &PodInfo, view: &View) -> bool {
        PreScore::pre_score(self, P::Pod::item(pod), P::Cluster::item(view))
    }
}

/// [`Filter`], before it is prepared for a pod.
pub trait FilterDyn: Send + Sync {
    /// What its answers read, of a node and of the cluster as a whole.
    fn groups(&self) -> Groups;
    /// Whether its answers for a pod serve every pod with the same spec.
    fn spec_only(&self) -> bool;
    /// Prepares it for a pod; `None` when every node will do.
    fn bind(&self, pod: &PodInfo, view: &View) -> Option<Box<dyn BoundFilter>>;
}

/// A Filter plugin and what it worked out for a pod.
pub trait BoundFilter: Send + Sync {
    /// The answer for one node, through the overlay. `view` is the one it was bound on. A later one of the same table
    /// will do only where [`Groups::reads_other_rows`] is false: domains are counted when the filter is bound.
    fn one(&self, view: &View, overlay: Option<&Overlay>, row: Row) -> Verdict;
    /// The answers for 64 nodes, without an overlay.
    fn block(&self, view: &View, first: Row, lanes: u64, out: &mut [Verdict; 64]);
    /// The texts of an answer's reasons.
    fn reasons(&self, reasons: u32) -> Vec<String>;
}

/// A plugin with its state and its counters.
struct Bound<P, S, Mark> {
    plugin: Arc<P>,
    state: S,
    counters: Counters,
    mark: PhantomData<Mark>,
}

/// Tells the filter's and the score's binding of one plugin apart.
struct ForFilter;
struct ForScore;
struct ForFeasible;

struct FilterAdapter<P>(Arc<P>);

impl<P: Filter> FilterDyn for FilterAdapter<P> {
    fn groups(&self) -> Groups {
        P::Node::GROUPS.union(P::Cluster::GROUPS)
    }
    fn spec_only(&self) -> bool {
        P::Pod::SPEC_ONLY
    }
    fn bind(&self, pod: &PodInfo, view: &View) -> Option<Box<dyn BoundFilter>> {
        let state = self.0.prepare(P::Pod::item(pod), P::Cluster::item(view))?;
        let counters = Counters::count(view, self.0.counters(&state));
        Some(Box::new(Bound { plugin: Arc::clone(&self.0), state, counters, mark: PhantomData::<ForFilter> }))
    }
}

impl<P: Filter> BoundFilter for Bound<P, P::State, ForFilter> {
    fn one(&self, view: &View, overlay: Option<&Overlay>, row: Row) -> Verdict {
        let at = At::new(view, overlay, &self.counters, row);
        at.map_or(Verdict::FITS, |at| self.plugin.filter(&self.state, P::Node::item(&at)))
    }
    fn block(&self, view: &View, first: Row, lanes: u64, out: &mut [Verdict; 64]) {
        let raw = RawBlock { view, counters: &self.counters, first, lanes };
        if let Some(block) = Block::new(raw) {
            self.plugin.filter_block(&self.state, &block, out);
        }
    }
    fn reasons(&self, reasons: u32) -> Vec<String> {
        self.plugin.reasons(&self.state, reasons)
    }
}

impl<P: Filter> Builder<P> {
    /// The plugin extends Filter.
    #[must_use]
    pub fn filter(mut self) -> Self {
        self.made.filter = Some(Arc::new(FilterAdapter(Arc::clone(&self.plugin))));
        self
    }
}
impl<P: PreFilter> Builder<P> {
    /// The plugin extends PreFilter.
    #[must_use]
    pub fn pre_filter(mut self) -> Self {
        self.made.pre_filter = Some(self.plugin.clone());
        self
    }
}
impl<P: PreScore> Builder<P> {
    /// The plugin extends PreScore.
    #[must_use]
    pub fn pre_score(mut self) -> Self {
        self.made.pre_score = Some(self.plugin.clone());
        self
    }
}

/// [`Score`] or [`ScoreOverFeasible`], before it is prepared for a pod.
pub trait ScoreDyn: Send + Sync {
    /// What its raw scores read of a node.
    fn groups(&self) -> Groups;
    /// Whether its raw scores for a pod serve every pod with the same spec.
    fn spec_only(&self) -> bool;
    /// Prepares it for a pod.
    fn bind(&self, pod: &PodInfo, view: &View) -> BoundScoring;
}

/// What a Score plugin has to say of a pod.
pub enum BoundScoring {
    /// Nothing: the plugin does not take part.
    Skip,
    /// The same for every node, before normalisation.
    Zero(Box<dyn Normalize>),
    /// A score for each node by itself.
    PerNode(Box<dyn BoundScore>),
    /// A score for each node among the feasible ones.
    OverFeasible(Box<dyn BoundFeasibleScore>),
}

/// The last step of a score.
pub trait Normalize: Send + Sync {
    /// Whether raw scores have to be normalised; otherwise they are scores already.
    fn is_normalized(&self) -> bool;
    /// The score, 0 to 100, of a raw one.
    fn normalize(&self, raw: i64, over: Extent) -> i64;
    /// The same for 64 of them, in place.
    fn normalize_block(&self, scores: &mut [i64; 64], over: Extent);
}

/// A Score plugin and what it worked out for a pod.
pub trait BoundScore: Normalize {
    /// The raw score of one node, through the overlay.
    fn one(&self, view: &View, overlay: Option<&Overlay>, row: Row) -> i64;
    /// The raw scores of 64 nodes, without an overlay.
    fn block(&self, view: &View, first: Row, lanes: u64, out: &mut [i64; 64]);
}

/// A ScoreOverFeasible plugin and what it worked out for a pod.
pub trait BoundFeasibleScore: Normalize {
    /// The raw scores of these nodes, which are the feasible ones, through the overlay.
    fn all(&self, view: &View, overlay: Option<&Overlay>, feasible: &[Row]) -> Vec<i64>;
}

struct ScoreAdapter<P>(Arc<P>);

impl<P: Score> ScoreDyn for ScoreAdapter<P> {
    fn groups(&self) -> Groups {
        P::Node::GROUPS
    }
    fn spec_only(&self) -> bool {
        P::Pod::SPEC_ONLY
    }
    fn bind(&self, pod: &PodInfo, view: &View) -> BoundScoring {
        let plugin = Arc::clone(&self.0);
        match plugin.prepare(P::Pod::item(pod), P::Cluster::item(view)) {
            None => BoundScoring::Zero(Box::new(Self(plugin))),
            Some(state) => {
                let counters = Counters::count(view, plugin.counters(&state));
                BoundScoring::PerNode(Box::new(Bound { plugin, state, counters, mark: PhantomData::<ForScore> }))
            }
        }
    }
}

impl<P: Score> Normalize for ScoreAdapter<P> {
    fn is_normalized(&self) -> bool {
        P::NORMALIZED
    }
    fn normalize(&self, raw: i64, over: Extent) -> i64 {
        self.0.normalize(raw, over)
    }
    fn normalize_block(&self, scores: &mut [i64; 64], over: Extent) {
        scores.iter_mut().for_each(|s| *s = self.0.normalize(*s, over));
    }
}
impl<P: Score> Normalize for Bound<P, P::State, ForScore> {
    fn is_normalized(&self) -> bool {
        P::NORMALIZED
    }
    fn normalize(&self, raw: i64, over: Extent) -> i64 {
        self.plugin.normalize(raw, over)
    }
    fn normalize_block(&self, scores: &mut [i64; 64], over: Extent) {
        scores.iter_mut().for_each(|s| *s = self.plugin.normalize(*s, over));
    }
}

impl<P: Score> BoundScore for Bound<P, P::State, ForScore> {
    fn one(&self, view: &View, overlay: Option<&Overlay>, row: Row) -> i64 {
        let at = At::new(view, overlay, &self.counters, row);
        at.map_or(0, |at| self.plugin.score(&self.state, P::Node::item(&at)))
    }
    fn block(&self, view: &View, first: Row, lanes: u64, out: &mut [i64; 64]) {
        let raw = RawBlock { view, counters: &self.counters, first, lanes };
        if let Some(block) = Block::new(raw) {
            self.plugin.score_block(&self.state, &block, out);
        }
    }
}

struct FeasibleAdapter<P>(Arc<P>);

impl<P: ScoreOverFeasible> ScoreDyn for FeasibleAdapter<P> {
    fn groups(&self) -> Groups {
        P::Node::GROUPS
    }
    fn spec_only(&self) -> bool {
        P::Pod::SPEC_ONLY
    }
    fn bind(&self, pod: &PodInfo, view: &View) -> BoundScoring {
        let plugin = Arc::clone(&self.0);
        let Some(state) = plugin.prepare(P::Pod::item(pod), P::Cluster::item(view)) else { return BoundScoring::Skip };
        let counters = Counters::count(view, plugin.counters(&state));
        BoundScoring::OverFeasible(Box::new(Bound { plugin, state, counters, mark: PhantomData::<ForFeasible> }))
    }
}

impl<P: ScoreOverFeasible> Normalize for Bound<P, P::State, ForFeasible> {
    fn is_normalized(&self) -> bool {
        true
    }
    fn normalize(&self, raw: i64, over: Extent) -> i64 {
        self.plugin.normalize(raw, over)
    }
    fn normalize_block(&self, scores: &mut [i64; 64], over: Extent) {
        scores.iter_mut().for_each(|s| *s = self.plugin.normalize(*s, over));
    }
}

impl<P: ScoreOverFeasible> BoundFeasibleScore for Bound<P, P::State, ForFeasible> {
    fn all(&self, view: &View, overlay: Option<&Overlay>, feasible: &[Row]) -> Vec<i64> {
        let at = |row: &Row| At::new(view, overlay, &self.counters, *row);
        let terms: Vec<P::Terms> =
            feasible.iter().filter_map(at).map(|at| self.plugin.terms(&self.state, P::Node::item(&at))).collect();
        let scalars = self.plugin.scalars(&self.state, terms.iter());
        terms.iter().map(|t| self.plugin.combine(&self.state, &scalars, t)).collect()
    }
}

impl<P: Score> Builder<P> {
    /// The plugin extends Score.
    #[must_use]
    pub fn score(mut self) -> Self {
        self.made.score = Some(Arc::new(ScoreAdapter(Arc::clone(&self.plugin))));
        self
    }
}
impl<P: ScoreOverFeasible> Builder<P> {
    /// The plugin extends Score, with scores that depend on which nodes are feasible.
    #[must_use]
    pub fn score_over_feasible(mut self) -> Self {
        self.made.score = Some(Arc::new(FeasibleAdapter(Arc::clone(&self.plugin))));
        self
    }
}
