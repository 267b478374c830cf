//! Score without its types.

use super::*;

/// [`Score`] or [`ScoreOverFeasible`], before it is prepared for a pod.
pub trait ScoreDyn: Send + Sync {
    /// What its raw scores read, of a node and of the cluster as a whole.
    fn groups(&self) -> Groups;
    /// Whether its raw scores for a pod serve every pod with the same spec.
    fn spec_only(&self) -> bool;
    /// Whether they serve every pod of the same template: see [`crate::read::Template`].
    fn template_only(&self) -> bool;
    /// What it will have counted by topology domain when it is prepared for the pod.
    fn counters(&self, pod: &PodInfo, view: &View) -> Vec<CounterSpec>;
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

impl BoundScoring {
    /// Goes on with the counts of another view, on which preparing it would come to the same state.
    pub fn attach(&mut self, view: &View) {
        match self {
            Self::Skip | Self::Zero(_) => {}
            Self::PerNode(bound) => bound.attach(view),
            Self::OverFeasible(bound) => bound.attach(view),
        }
    }

    /// Holds nothing of a view any more; it is not asked anything before [`Self::attach`].
    pub fn detach(&mut self) {
        match self {
            Self::Skip | Self::Zero(_) => {}
            Self::PerNode(bound) => bound.detach(),
            Self::OverFeasible(bound) => bound.detach(),
        }
    }

    /// Whether what the overlay brings or takes away may change the score of a node that it does not touch, before
    /// normalisation.
    pub fn is_reached_by(&self, view: &View, overlay: &Overlay) -> bool {
        match self {
            Self::Skip | Self::Zero(_) => false,
            Self::PerNode(bound) => bound.is_reached_by(view, overlay),
            Self::OverFeasible(bound) => bound.is_reached_by(view, overlay),
        }
    }
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
    /// Goes on with the counts of another view, on which preparing it would come to the same state.
    fn attach(&mut self, view: &View);
    /// Holds nothing of a view any more; it is not asked anything before [`Self::attach`].
    fn detach(&mut self);
    /// Whether it counts nothing by domain: then whether it has a score depends on what it was prepared from and on the
    /// overlay alone.
    fn counts_nothing(&self) -> bool;
    /// Whether it has a score for the pod at all.
    fn takes_part(&self, view: &View, overlay: Option<&Overlay>) -> bool;
    /// Whether what the overlay brings or takes away may change an answer about a node that it does not touch.
    fn is_reached_by(&self, view: &View, overlay: &Overlay) -> bool;
    /// The raw score of one node, through the overlay.
    fn one(&self, view: &View, overlay: Option<&Overlay>, row: Row) -> i64;
    /// The raw scores of 64 nodes, without an overlay.
    fn block(&self, view: &View, first: Row, lanes: u64, out: &mut [i64; 64]);
    /// The raw scores of the nodes in `among`, a set of rows in words of 64, which are the feasible ones, by levels,
    /// without an overlay; whether the plugin can give them so.
    fn rows(&self, among: &[u64], out: &mut Levels) -> bool;
    /// Whether the other one is the same plugin's, and its raw score for a node is the same. Only for those that count
    /// nothing by domain.
    fn same(&self, other: &dyn BoundScore) -> bool;
    #[doc(hidden)]
    fn as_any(&self) -> &dyn Any;
}

/// A ScoreOverFeasible plugin and what it worked out for a pod.
pub trait BoundFeasibleScore: Normalize {
    /// Goes on with the counts of another view, on which preparing it would come to the same state.
    fn attach(&mut self, view: &View);
    /// Holds nothing of a view any more; it is not asked anything before [`Self::attach`].
    fn detach(&mut self);
    /// Whether what the overlay brings or takes away may change an answer about a node that it does not touch.
    fn is_reached_by(&self, view: &View, overlay: &Overlay) -> bool;
    /// The raw scores of these nodes, which are the feasible ones, through the overlay; `None` for those it ignores.
    fn all(&self, view: &View, overlay: Option<&Overlay>, feasible: &[Row]) -> Vec<Option<i64>>;
    /// The same by levels, of a set of rows in words of 64, without an overlay; whether the plugin can give them so.
    fn rows(&self, among: &[u64], out: &mut Levels) -> bool;
}

struct ScoreAdapter<P>(Arc<P>);

impl<P: Score> ScoreDyn for ScoreAdapter<P> {
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
    fn bind(&self, pod: &PodInfo, view: &View) -> BoundScoring {
        let plugin = Arc::clone(&self.0);
        match plugin.prepare(P::Pod::item(pod), P::Cluster::item(view)) {
            None => BoundScoring::Zero(Box::new(Self(plugin))),
            Some(state) => {
                let counters = Counters::of(view, plugin.counters(&state));
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
    fn attach(&mut self, view: &View) {
        self.counters.attach(view);
    }
    fn detach(&mut self) {
        self.counters.detach();
    }
    fn counts_nothing(&self) -> bool {
        self.counters.is_empty()
    }
    fn takes_part(&self, view: &View, overlay: Option<&Overlay>) -> bool {
        self.plugin.takes_part(&self.state, Totals::new(view, overlay, &self.counters))
    }
    fn is_reached_by(&self, view: &View, overlay: &Overlay) -> bool {
        self.is_reached(P::Node::GROUPS, view, overlay)
    }
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
    fn rows(&self, among: &[u64], out: &mut Levels) -> bool {
        let mut leveling = out.begin(among.len() * 64, DomainRows::new(&self.counters), among);
        self.plugin.score_rows(&self.state, &Rows::new(&self.counters), &mut leveling)
    }
    fn same(&self, other: &dyn BoundScore) -> bool {
        same_state(self, other.as_any())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct FeasibleAdapter<P>(Arc<P>);

impl<P: ScoreOverFeasible> ScoreDyn for FeasibleAdapter<P> {
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
    fn bind(&self, pod: &PodInfo, view: &View) -> BoundScoring {
        let plugin = Arc::clone(&self.0);
        let Some(state) = plugin.prepare(P::Pod::item(pod), P::Cluster::item(view)) else { return BoundScoring::Skip };
        let counters = Counters::of(view, plugin.counters(&state));
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
    fn attach(&mut self, view: &View) {
        self.counters.attach(view);
    }
    fn detach(&mut self) {
        self.counters.detach();
    }
    fn is_reached_by(&self, view: &View, overlay: &Overlay) -> bool {
        self.is_reached(P::Node::GROUPS, view, overlay)
    }
    fn all(&self, view: &View, overlay: Option<&Overlay>, feasible: &[Row]) -> Vec<Option<i64>> {
        let at = |row: &Row| At::new(view, overlay, &self.counters, *row);
        let terms: Vec<P::Terms> =
            feasible.iter().filter_map(at).map(|at| self.plugin.terms(&self.state, P::Node::item(&at))).collect();
        let scalars = self.plugin.scalars(&self.state, terms.iter());
        terms.iter().map(|t| self.plugin.combine(&self.state, &scalars, t)).collect()
    }
    fn rows(&self, among: &[u64], out: &mut Levels) -> bool {
        let mut leveling = out.begin(among.len() * 64, DomainRows::new(&self.counters), among);
        self.plugin.score_rows(&self.state, &Rows::new(&self.counters), &mut leveling)
    }
}

impl<P: Score> Builder<P> {
    /// The plugin extends Score.
    #[must_use]
    pub fn score(mut self) -> Self {
        self.reads::<P::Node>();
        self.made.score = Some(Arc::new(ScoreAdapter(Arc::clone(&self.plugin))));
        self
    }
}
impl<P: ScoreOverFeasible> Builder<P> {
    /// The plugin extends Score, with scores that depend on which nodes are feasible.
    #[must_use]
    pub fn score_over_feasible(mut self) -> Self {
        self.reads::<P::Node>();
        self.made.score = Some(Arc::new(FeasibleAdapter(Arc::clone(&self.plugin))));
        self
    }
}
