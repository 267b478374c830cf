//! PreFilter, Filter and PreScore without their types.

use super::*;

/// [`PreFilter`], callable without knowing the plugin.
pub trait PreFilterDyn: Send + Sync {
    /// What it reads of the cluster as a whole.
    fn groups(&self) -> Groups;
    /// Whether its answer for a pod serves every pod with the same spec.
    fn spec_only(&self) -> bool;
    /// Whether it serves every pod of the same template: see [`crate::read::Template`].
    fn template_only(&self) -> bool;
    /// Whether the plugin may have anything to say of pods with this spec.
    fn concerns(&self, pod: &PodSpecInfo) -> bool;
    /// Looks at the pod.
    fn pre_filter(&self, pod: &PodInfo, view: &View) -> PreFilterVerdict;
}
impl<P: PreFilter> PreFilterDyn for P {
    fn groups(&self) -> Groups {
        P::Cluster::GROUPS
    }
    fn spec_only(&self) -> bool {
        P::Pod::SPEC_ONLY
    }
    fn template_only(&self) -> bool {
        P::Pod::TEMPLATE_ONLY
    }
    fn concerns(&self, pod: &PodSpecInfo) -> bool {
        PreFilter::concerns(self, pod)
    }
    fn pre_filter(&self, pod: &PodInfo, view: &View) -> PreFilterVerdict {
        PreFilter::pre_filter(self, P::Pod::item(pod), P::Cluster::item(view))
    }
}

/// [`PreScore`], callable without knowing the plugin.
pub trait PreScoreDyn: Send + Sync {
    /// What it reads of the cluster as a whole.
    fn groups(&self) -> Groups;
    /// Whether its answer for a pod serves every pod with the same spec.
    fn spec_only(&self) -> bool;
    /// Whether it serves every pod of the same template: see [`crate::read::Template`].
    fn template_only(&self) -> bool;
    /// Looks at the pod.
    fn pre_score(&self, pod: &PodInfo, view: &View) -> bool;
}
impl<P: PreScore> PreScoreDyn for P {
    fn groups(&self) -> Groups {
        P::Cluster::GROUPS
    }
    fn spec_only(&self) -> bool {
        P::Pod::SPEC_ONLY
    }
    fn template_only(&self) -> bool {
        P::Pod::TEMPLATE_ONLY
    }
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
    /// Whether they serve every pod of the same template: see [`crate::read::Template`].
    fn template_only(&self) -> bool;
    /// What it will have counted by topology domain when it is prepared for the pod.
    fn counters(&self, pod: &PodInfo, view: &View) -> Vec<CounterSpec>;
    /// Prepares it for a pod; `None` when every node will do.
    fn bind(&self, pod: &PodInfo, view: &View) -> Option<Box<dyn BoundFilter>>;
}

/// A Filter plugin and what it worked out for a pod.
pub trait BoundFilter: Send + Sync {
    /// Goes on with the counts of another view, on which preparing it would come to the same state.
    fn attach(&mut self, view: &View);
    /// Holds nothing of a view any more; it is not asked anything before [`Self::attach`].
    fn detach(&mut self);
    /// Whether it has anything to say, given the pods that the overlay puts where they will be. Asked once, before any
    /// node; where it has not, it is not asked about nodes.
    fn takes_part(&self, view: &View, overlay: Option<&Overlay>) -> bool;
    /// Whether what the overlay brings or takes away may change an answer about a node that it does not touch.
    fn is_reached_by(&self, view: &View, overlay: &Overlay) -> bool;
    /// The answer for one node, through the overlay. `view` is the one it was bound on. A later one of the same table
    /// will do only where [`Groups::reads_other_rows`] is false: domains are counted when the filter is bound.
    fn one(&self, view: &View, overlay: Option<&Overlay>, row: Row) -> Verdict;
    /// The answers for 64 nodes, without an overlay.
    fn block(&self, view: &View, first: Row, lanes: u64, out: &mut [Verdict; 64]);
    /// Whether it counts nothing by domain: then whether it has anything to say depends on what it was prepared from
    /// and on the overlay alone.
    fn counts_nothing(&self) -> bool;
    /// Takes all nodes out of `fit`, a set of rows in words of 64, that turn the pod away, without an overlay and without
    /// a look at each; whether the plugin can do that. Where it can, there is none for which it has no answer.
    fn rows(&self, fit: &mut [u64]) -> bool;
    /// What its answer for a node reads of that node and of others.
    fn reads(&self) -> Groups;
    /// The texts of an answer's reasons.
    fn reasons(&self, reasons: u32) -> Vec<String>;
    /// Whether the other one is the same plugin's, and its answers for a node are the same. Only for those that count
    /// nothing by domain.
    fn same(&self, other: &dyn BoundFilter) -> bool;
    #[doc(hidden)]
    fn as_any(&self) -> &dyn Any;
}

struct FilterAdapter<P>(Arc<P>);

impl<P: Filter> FilterDyn for FilterAdapter<P> {
    fn groups(&self) -> Groups {
        P::Node::GROUPS.union(P::Cluster::GROUPS)
    }
    fn spec_only(&self) -> bool {
        P::Pod::SPEC_ONLY
    }
    fn template_only(&self) -> bool {
        P::Pod::TEMPLATE_ONLY
    }
    fn counters(&self, pod: &PodInfo, view: &View) -> Vec<CounterSpec> {
        if !P::Node::GROUPS.reads_other_rows() {
            return Vec::new();
        }
        let state = self.0.prepare(P::Pod::item(pod), P::Cluster::item(view));
        state.map_or_else(Vec::new, |state| self.0.counters(&state))
    }
    fn bind(&self, pod: &PodInfo, view: &View) -> Option<Box<dyn BoundFilter>> {
        let state = self.0.prepare(P::Pod::item(pod), P::Cluster::item(view))?;
        let counters = Counters::of(view, self.0.counters(&state));
        Some(Box::new(Bound { plugin: Arc::clone(&self.0), state, counters, mark: PhantomData::<ForFilter> }))
    }
}

impl<P: Filter> BoundFilter for Bound<P, P::State, ForFilter> {
    fn attach(&mut self, view: &View) {
        self.counters.attach(view);
    }
    fn detach(&mut self) {
        self.counters.detach();
    }
    fn takes_part(&self, view: &View, overlay: Option<&Overlay>) -> bool {
        self.plugin.takes_part(&self.state, Totals::new(view, overlay, &self.counters))
    }
    fn is_reached_by(&self, view: &View, overlay: &Overlay) -> bool {
        self.is_reached(P::Node::GROUPS, view, overlay)
    }
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
    fn counts_nothing(&self) -> bool {
        self.counters.is_empty()
    }
    fn rows(&self, fit: &mut [u64]) -> bool {
        self.plugin.filter_rows(&self.state, &Rows::new(&self.counters), fit)
    }
    fn reads(&self) -> Groups {
        P::Node::GROUPS
    }
    fn reasons(&self, reasons: u32) -> Vec<String> {
        self.plugin.reasons(&self.state, reasons)
    }
    fn same(&self, other: &dyn BoundFilter) -> bool {
        same_state(self, other.as_any())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl<P: Filter> Builder<P> {
    /// The plugin extends Filter.
    #[must_use]
    pub fn filter(mut self) -> Self {
        self.reads::<P::Node>();
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
