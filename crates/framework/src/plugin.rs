//! The extension points as traits. A plugin implements those it has something to say at, and names them once, in its
//! registry line (see [`crate::extensions::Extensions`]).
//!
//! Filter and Score are functions of one node. Whatever follows from the pod alone is worked out once, in `prepare`;
//! what comes out of it, the `State`, is handed to the function for every node. Both say by type what they read, which
//! is what allows the engine to keep answers for as long as nothing they read has changed.

use std::sync::Arc;
use std::time::Duration;

use crate::assume::Assumption;
use crate::cluster_event::{Change, ClusterEvent, QueueingHint, Registration};
use crate::intern::Istr;
use crate::node::NodeInfo;
use crate::object::{KindId, KindRef, ObjectKey};
use crate::overlay::Overlay;
use crate::pod::{PodInfo, PodSpecInfo, Uid};
use crate::preemption::Shortcuts;
use crate::read::{Block, ClusterOf, Of, PodOf, Read, ReadCluster, ReadPod, Rows};
use crate::table::{Row, View};
use crate::time::Time;
use crate::topology::{CounterSpec, Leveling, Totals};
use crate::verdict::{Code, PluginError, Rejection, Verdict};

/// What every plugin has.
pub trait Plugin: Send + Sync + 'static {
    /// The name in configuration, messages and metrics.
    const NAME: &'static str;

    /// Annotations of pods that the plugin reads, and of nodes where it reads them otherwise than by declaring
    /// [`crate::read::Annotation`]; all others are dropped while parsing.
    fn annotation_keys(&self) -> Vec<Istr> {
        Vec::new()
    }

    /// Further kinds of objects that the plugin reads; all others are not watched, and [`crate::read::ObjectsOf`] finds
    /// none of them. It is for the plugin to say, since with some arguments it may do without.
    fn kinds(&self) -> Vec<KindRef> {
        Vec::new()
    }

    /// Whether this pod has to wait while objects of one of these kinds cannot be seen, because reading them is not
    /// permitted. All pods do unless the plugin says otherwise: rather late than in the wrong place. `false` is for pods
    /// of which it has nothing to say, and for kinds without which a place is at worst less good.
    fn waits_for_kinds(&self, pod: &PodInfo) -> bool {
        let _ = pod;
        true
    }

    /// The same of the labels of namespaces.
    fn waits_for_namespaces(&self, pod: &PodInfo) -> bool {
        let _ = pod;
        false
    }
}

/// What a plugin wants to hear of for the pods that it turned away. A plugin that can turn pods away and does not
/// implement this hears of everything, and every change leads to another attempt.
pub trait EnqueueExtensions: Plugin {
    /// The changes that might make a rejected pod fit.
    fn registrations(&self) -> Vec<Registration>;

    /// Whether this change is worth another attempt of `pod`. Asked only for registrations that say so, and once for all
    /// pods that are alike: of the pod it may read what the plugin's PreFilter and Filter read of it, the spec alone or
    /// also labels, namespace, owner and annotations, but its name and UID only to see whether the change is its own.
    fn hint(&self, pod: &PodInfo, event: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        let _ = (pod, event, change);
        QueueingHint::Queue
    }
}

/// A pod in the queue, as QueueSort sees it.
#[derive(Clone, Copy)]
pub struct Queued<'a> {
    /// The pod.
    pub pod: &'a PodInfo,
    /// When it was last put into the queue, new or after a failed attempt.
    pub timestamp: Time,
    /// When it first could be scheduled.
    pub initial_attempt: Option<Time>,
}

/// Keeps a pod out of the queue until it is ready to be tried.
pub trait PreEnqueue: Plugin {
    /// `Err` gates the pod; it is asked again when something the plugin registered for happens.
    fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), Rejection>;
}

/// The order of the active queue: exactly one plugin, the same in every profile.
pub trait QueueSort: Plugin {
    /// Whether `a` is tried before `b`. Must be a strict weak order, and must not change while a pod is queued.
    fn less(&self, a: Queued<'_>, b: Queued<'_>) -> bool;

    /// A number in which that order is, if there is one: `less(a, b)` is to hold exactly where the number of `a` is the
    /// smaller one. Then the queue compares numbers, and need not look at the pods again.
    fn rank(&self, _: Queued<'_>) -> Option<u128> {
        None
    }
}

/// What PreFilter says of a pod as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreFilterVerdict {
    /// Ask Filter about every node.
    Run,
    /// This plugin's Filter has nothing to say about the pod.
    Skip,
    /// Only these nodes can be right; ask Filter about them.
    Only(Vec<Istr>),
    /// The pod fits nowhere.
    Reject(Rejection),
    /// The question could not be answered; the attempt fails.
    Fail(PluginError),
}

/// Looks at the pod once, before any node.
pub trait PreFilter: Plugin {
    /// What is read of the pod.
    type Pod: ReadPod;
    /// What is read of the cluster as a whole.
    type Cluster: ReadCluster;
    /// Whether the plugin may have anything to say of pods with this spec. Where not, it is as if it had said
    /// [`PreFilterVerdict::Skip`]: for most pods that saves looking at what its rules are about, volumes for example.
    fn concerns(&self, pod: &PodSpecInfo) -> bool {
        let _ = pod;
        true
    }

    /// Looks at the pod.
    fn pre_filter(&self, pod: PodOf<'_, Self::Pod>, cluster: ClusterOf<'_, Self::Cluster>) -> PreFilterVerdict;
}

/// May the pod be on a node?
pub trait Filter: Plugin {
    /// What `prepare` reads of the pod.
    type Pod: ReadPod;
    /// What `prepare` reads of the cluster as a whole.
    type Cluster: ReadCluster;
    /// What `filter` reads of a node.
    type Node: Read;
    /// What follows from the pod, for all nodes.
    type State: PartialEq + Send + Sync + 'static;

    /// Works out what follows from the pod; `None` when every node will do.
    fn prepare(&self, pod: PodOf<'_, Self::Pod>, cluster: ClusterOf<'_, Self::Cluster>) -> Option<Self::State>;

    /// What is to be counted by topology domain, for a plugin that reads [`crate::read::TopologyDomains`].
    fn counters(&self, state: &Self::State) -> Vec<CounterSpec> {
        let _ = state;
        Vec::new()
    }

    /// Whether the plugin has anything to say, now that its counters are known. Nominated pods are not among what is
    /// counted: they are asked about only where it has (reference section 5.2.2).
    fn takes_part(&self, state: &Self::State, totals: Totals<'_>) -> bool {
        let _ = (state, totals);
        true
    }

    /// The answer for one node.
    fn filter(&self, state: &Self::State, node: Of<'_, Self::Node>) -> Verdict;

    /// The answers for the nodes of a block; those of other lanes are not looked at. Worth writing only where columns
    /// pay, and equal to `filter` for every lane.
    fn filter_block(&self, state: &Self::State, block: &Block<'_, Self::Node>, out: &mut [Verdict; 64]) {
        block.each(|lane, node| out[lane] = self.filter(state, node));
    }

    /// Takes all nodes out of `fit` that `filter` would turn the pod away from, if the plugin can tell that of all nodes
    /// at once, without a look at each; whether it can. `fit` holds the rows that are asked about, in words of 64. Worth
    /// writing for a plugin that reads [`crate::read::TopologyDomains`] only, and not for one that may be unable to
    /// answer.
    fn filter_rows(&self, state: &Self::State, rows: &Rows<'_, Self::Node>, fit: &mut [u64]) -> bool {
        let _ = (state, rows, fit);
        false
    }

    /// The texts of an answer's reasons, one for each bit. Called only when a message is wanted.
    fn reasons(&self, state: &Self::State, reasons: u32) -> Vec<String>;
}

/// The least and the greatest raw score over the feasible nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// The least.
    pub min: i64,
    /// The greatest.
    pub max: i64,
}

impl Extent {
    /// The extent of these scores; `None` of none.
    pub fn of(scores: impl IntoIterator<Item = i64>) -> Option<Self> {
        scores.into_iter().map(|s| Self { min: s, max: s }).reduce(Self::join)
    }
    /// The extent of both.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

/// The worst score of a node.
pub const MIN_NODE_SCORE: i64 = 0;
/// The best score of a node.
pub const MAX_NODE_SCORE: i64 = 100;

/// Looks at the pod once, when several nodes are left.
pub trait PreScore: Plugin {
    /// What is read of the pod.
    type Pod: ReadPod;
    /// What is read of the cluster as a whole.
    type Cluster: ReadCluster;
    /// Whether the plugin's Score has anything to say; if not, the plugin has no score at all.
    fn pre_score(&self, pod: PodOf<'_, Self::Pod>, cluster: ClusterOf<'_, Self::Cluster>) -> bool;
}

/// How good is a node?
pub trait Score: Plugin {
    /// Whether `normalize` makes the score of the raw one.
    const NORMALIZED: bool = false;
    /// What `prepare` reads of the pod.
    type Pod: ReadPod;
    /// What `prepare` reads of the cluster as a whole.
    type Cluster: ReadCluster;
    /// What `score` reads of a node.
    type Node: Read;
    /// What follows from the pod, for all nodes.
    type State: PartialEq + Send + Sync + 'static;

    /// Works out what follows from the pod; `None` when the score is 0 everywhere.
    fn prepare(&self, pod: PodOf<'_, Self::Pod>, cluster: ClusterOf<'_, Self::Cluster>) -> Option<Self::State>;

    /// What is to be counted by topology domain, for a plugin that reads [`crate::read::TopologyDomains`].
    fn counters(&self, state: &Self::State) -> Vec<CounterSpec> {
        let _ = state;
        Vec::new()
    }

    /// Whether the plugin has a score at all, now that its counters are known.
    fn takes_part(&self, state: &Self::State, totals: Totals<'_>) -> bool {
        let _ = (state, totals);
        true
    }

    /// The raw score of one node: 0 to 100, or anything if it is normalised.
    fn score(&self, state: &Self::State, node: Of<'_, Self::Node>) -> i64;

    /// The raw scores for the nodes of a block, equal to `score` for every lane.
    fn score_block(&self, state: &Self::State, block: &Block<'_, Self::Node>, out: &mut [i64; 64]) {
        block.each(|lane, node| out[lane] = self.score(state, node));
    }

    /// The raw scores of all feasible nodes at once, by the levels into which the plugin sorts them: equal to `score` for
    /// every node. `false` where it cannot sort them into levels; then `score_block` is asked.
    fn score_rows(&self, state: &Self::State, rows: &Rows<'_, Self::Node>, levels: &mut Leveling<'_>) -> bool {
        let _ = (state, rows, levels);
        false
    }

    /// The score, 0 to 100, of a raw one; `over` is the extent of the feasible nodes' raw scores.
    fn normalize(&self, raw: i64, over: Extent) -> i64 {
        let _ = over;
        raw
    }
}

/// How good is a node, where that also depends on which other nodes are feasible? The terms of a node are a function of
/// that node and can be kept; what follows from the feasible set is worked out once for each decision.
pub trait ScoreOverFeasible: Plugin {
    /// What `prepare` reads of the pod.
    type Pod: ReadPod;
    /// What `prepare` reads of the cluster as a whole.
    type Cluster: ReadCluster;
    /// What `terms` reads of a node.
    type Node: Read;
    /// What follows from the pod, for all nodes.
    type State: PartialEq + Send + Sync + 'static;
    /// The integers of one node that its score is made of.
    type Terms: Clone + Send + Sync + 'static;
    /// What follows from the feasible set.
    type Scalars;

    /// Works out what follows from the pod; `None` when the plugin has no score for it.
    fn prepare(&self, pod: PodOf<'_, Self::Pod>, cluster: ClusterOf<'_, Self::Cluster>) -> Option<Self::State>;
    /// What is to be counted by topology domain.
    fn counters(&self, state: &Self::State) -> Vec<CounterSpec>;
    /// The terms of one node.
    fn terms(&self, state: &Self::State, node: Of<'_, Self::Node>) -> Self::Terms;
    /// What follows from the terms of the feasible nodes.
    fn scalars<'t>(
        &self,
        state: &Self::State,
        feasible: impl Iterator<Item = &'t Self::Terms> + Clone,
    ) -> Self::Scalars;
    /// The raw score of one node; `None` where the plugin ignores it: then its score is 0 and `normalize` is told
    /// nothing of it.
    fn combine(&self, state: &Self::State, scalars: &Self::Scalars, terms: &Self::Terms) -> Option<i64>;
    /// The raw scores of all feasible nodes at once, by the levels into which the plugin sorts them: equal to what
    /// `terms`, `scalars` and `combine` make. `false` where it cannot sort them into levels; then those are asked.
    fn score_rows(&self, state: &Self::State, rows: &Rows<'_, Self::Node>, levels: &mut Leveling<'_>) -> bool {
        let _ = (state, rows, levels);
        false
    }
    /// The score, 0 to 100, of a raw one; `over` is the extent of those that are not ignored.
    fn normalize(&self, raw: i64, over: Extent) -> i64;
}

/// Which pods may be made to go for the sake of others, beyond what their priority says. The default is kube-scheduler's:
/// any, beyond budgets too where nothing else helps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvictionPolicy {
    /// Pods of these schedulers only; `None`: of any.
    pub schedulers: Option<Arc<[Istr]>>,
    /// Never beyond a PodDisruptionBudget.
    pub strict_budgets: bool,
}

impl EvictionPolicy {
    /// Whether the pod may be made to go at all.
    pub fn allows(&self, pod: &PodInfo) -> bool {
        self.schedulers.as_ref().is_none_or(|names| names.contains(&pod.scheduler_name))
    }
}

/// A node that could be cleared for a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The node.
    pub node: Istr,
    /// The pods that would have to leave it; at least one.
    pub victims: Vec<Arc<PodInfo>>,
    /// How many of them a PodDisruptionBudget protects beyond what it allows.
    pub pdb_violations: usize,
}

/// What extenders have to say of the nodes that could be cleared for a pod (reference section 11.5).
#[derive(Clone, Copy, Debug)]
pub enum ExtendersSay<'a> {
    /// Nothing: none of them takes part.
    Nothing,
    /// They have to be asked, with [`PostFilterVerdict::Ask`].
    NotAsked,
    /// They were asked, and left these of the plugin's candidates, with these victims. Of those the victims that are gone
    /// by now are left out, and so are the nodes where one is of no lower priority or may not be made to go, or where
    /// the pod would not fit without them.
    Left(&'a [Candidate]),
    /// They were asked, and one that cannot be done without could not say.
    Failed(&'a str),
}

/// What PostFilter looks at: a pod that fits nowhere, and why.
#[derive(Clone, Copy)]
pub struct PostFilterContext<'a> {
    /// The view it was decided on.
    pub view: &'a View,
    /// PreFilter plugins that were not asked, since one before them had turned the pod away for good.
    pub not_asked: &'a [&'static str],
    /// How the node of a row turned the pod away; `None` for a row without a node.
    pub code: &'a dyn Fn(Row) -> Option<Code>,
    /// Whether all plugins let the pod pass on the node of a row as it is, so that an extender alone turned it away:
    /// pods leaving the node change nothing about that.
    pub passes: &'a dyn Fn(Row) -> bool,
    /// Whether the pod would pass Filter on the node of a row, given an overlay, nominated pods included (reference
    /// section 9.2); if not, who says so and why.
    pub fits: &'a dyn Fn(Row, &Overlay) -> Result<(), RejectedBy>,
    /// What is known of nodes before they are asked about by `fits`; `&()` where nothing is.
    pub shortcuts: &'a dyn Shortcuts,
    /// A number that tells this attempt apart, for choices that are to be spread.
    pub draw: u64,
    /// Which pods may be made to go.
    pub policy: &'a EvictionPolicy,
    /// What extenders say of the plugin's candidates. A plugin that does not look goes without them.
    pub extenders: ExtendersSay<'a>,
}

/// What PostFilter did about a pod that fits nowhere.
#[derive(Clone, Debug, PartialEq)]
pub enum PostFilterVerdict {
    /// This node is to be cleared for the pod.
    Nominate {
        /// The node.
        node: Istr,
        /// The pods that have to leave it, the most important one first.
        victims: Vec<Arc<PodInfo>>,
    },
    /// Extenders are to say which of these nodes may be cleared and of which pods; then the plugin is asked again. Where
    /// there is nobody to ask the first one is cleared.
    Ask(Vec<Candidate>),
    /// Nothing can be done; the text joins the pod's message.
    Reject {
        /// Why.
        rejection: Rejection,
        /// Whether the node that was being cleared for the pod, if any, is of no use to it any more.
        clears_nomination: bool,
    },
    /// Pods could make room, and may not go as things are. Otherwise as [`Self::Reject`]; no node is kept for the pod, and
    /// the plugin's hints are asked what may change that, as those of a plugin that turned the pod away.
    Forbid(Rejection),
}

/// Called when a pod fits nowhere.
pub trait PostFilter: Plugin {
    /// Looks for a way. `Unschedulable` lets the next plugin try; any other code ends the search.
    fn post_filter(&self, pod: &PodInfo, context: &PostFilterContext<'_>) -> Result<PostFilterVerdict, PluginError>;

    /// Whether all it can do is to have pods of lower priority leave a node for the pod, as the nodes are: then it need
    /// not be asked again for as long as that would not make room. Where no pod is of lower priority, what it says has to
    /// follow from the pod's spec and from how many nodes turned the pod away with which code: it is asked once for all
    /// pods that are alike.
    fn only_preempts(&self) -> bool {
        false
    }
}

/// Why Reserve or Permit said no.
#[derive(Debug)]
pub enum Refusal {
    /// The pod does not fit there after all.
    Rejected(Rejection),
    /// Something failed.
    Failed(PluginError),
}

/// Keeps account of what a pod takes up beyond the node's own columns. Called by the owner of the cache, one pod at a
/// time.
pub trait Reserve: Plugin {
    /// What is read of the cluster, as it is at this moment.
    type Cluster: ReadCluster;

    /// Whether the plugin may have anything to take for pods with this spec. Where not, `reserve` is not called.
    fn concerns(&self, pod: &PodSpecInfo) -> bool {
        let _ = pod;
        true
    }

    /// Takes what the pod needs on its node, and says which objects of further kinds will be different for it. Whoever
    /// reads those objects from now on reads them so, until the API server tells of a newer version, or until the pod
    /// does not come to its node after all: nothing has to be done about them in `unreserve`.
    fn reserve(
        &self,
        pod: &PodInfo,
        node: &NodeInfo,
        cluster: ClusterOf<'_, Self::Cluster>,
    ) -> Result<Vec<Assumption>, Refusal>;

    /// Gives back what the plugin itself keeps account of. Called for every plugin when any of them refused, so it may
    /// come without a `reserve`.
    fn unreserve(&self, pod: &PodInfo, node: &Istr) {
        let _ = (pod, node);
    }
}

/// What Permit says of a pod whose node is chosen.
#[derive(Debug)]
pub enum PermitVerdict {
    /// Bind it.
    Allow,
    /// Hold it, at most this long.
    Wait(Duration),
    /// Do not bind it.
    Refuse(Refusal),
}

/// Permit's answer: on the pod itself, and on pods that the plugin holds.
#[derive(Debug)]
pub struct PermitAnswer {
    /// On the pod.
    pub verdict: PermitVerdict,
    /// Held pods that this plugin lets go.
    pub allow: Vec<Uid>,
    /// Held pods that are turned away, with the reason.
    pub reject: Vec<(Uid, String)>,
    /// Pods in the queue that are to be tried at once, whatever they wait for; nothing comes of it where the pod itself
    /// may not be bound.
    pub activate: Vec<Uid>,
}

impl PermitAnswer {
    /// An answer on the pod alone.
    pub fn only(verdict: PermitVerdict) -> Self {
        Self { verdict, allow: Vec::new(), reject: Vec::new(), activate: Vec::new() }
    }
}

/// May the pod be bound now?
pub trait Permit: Plugin {
    /// Decides; `waiting` are the pods that some Permit plugin holds.
    fn permit(&self, pod: &PodInfo, node: &Istr, waiting: &[&PodInfo]) -> PermitAnswer;
}

/// Something to be written to the API server, as data. The shell writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural name of the kind.
    pub plural: String,
    /// Namespace; empty for kinds without.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Subresource, if it is not the object itself.
    pub subresource: Option<String>,
    /// A merge patch. It should carry `metadata.resourceVersion` or `metadata.uid` as precondition.
    pub merge_patch: serde_json::Value,
}

/// What PreBind wants done before the binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreBindAnswer<A> {
    /// What has to be written first, in order. When one fails, the attempt does.
    pub writes: Vec<Write>,
    /// What has to happen after that, if anything.
    pub wait: Option<Awaited<A>>,
}

/// Something that others have to do before a pod can be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited<A> {
    /// What the plugin needs to know, to tell whether it has happened.
    pub state: A,
    /// How long it may take, from when everything is written.
    pub at_most: Duration,
    /// What is being done, for messages: `binding volumes`.
    pub doing: &'static str,
}

impl<A> PreBindAnswer<A> {
    /// There is nothing to be done.
    pub fn nothing() -> Self {
        Self { writes: Vec::new(), wait: None }
    }
}

/// How far something is that a pod waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has happened: the pod can be bound.
    Ready,
    /// It has not happened yet.
    Wait,
    /// It will not happen; the attempt fails.
    Failed(PluginError),
}

/// Writes something before the binding, and waits for what others do about it. Nothing else waits with the pod.
pub trait PreBind: Plugin {
    /// What is read of the cluster, as it is at each moment.
    type Cluster: ReadCluster;
    /// What the plugin needs to know while the pod waits; `()` where none ever does.
    type Awaited: Send + 'static;

    /// Whether anything may have to be done for pods with this spec. Where not, `pre_bind` is not called.
    fn concerns(&self, pod: &PodSpecInfo) -> bool {
        let _ = pod;
        true
    }

    /// What has to be done first. `assumed` is what the plugin's own Reserve has answered.
    fn pre_bind(
        &self,
        pod: &PodInfo,
        node: &NodeInfo,
        assumed: &[Assumption],
        cluster: ClusterOf<'_, Self::Cluster>,
    ) -> Result<PreBindAnswer<Self::Awaited>, PluginError>;

    /// Whether what is waited for has happened. Asked when everything is written, and then whenever the node or an object
    /// that it hangs on has changed.
    fn progress(&self, awaited: &Self::Awaited, node: &NodeInfo, cluster: ClusterOf<'_, Self::Cluster>) -> Progress {
        let _ = (awaited, node, cluster);
        Progress::Ready
    }

    /// The objects besides the node without whose change `progress` goes on to say `Wait`, whether they exist or not; asked
    /// each time that it said so. `None`: any object of the plugin's kinds. Thousands of pods may wait, and each change
    /// of an object is looked at for those alone that name it.
    fn hangs_on(
        &self,
        awaited: &Self::Awaited,
        node: &NodeInfo,
        cluster: ClusterOf<'_, Self::Cluster>,
    ) -> Option<Vec<(KindId, ObjectKey)>> {
        let _ = (awaited, node, cluster);
        None
    }
}

/// How a pod is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindVerdict {
    /// Not by this plugin.
    Skip,
    /// By creating a Binding.
    Binding,
    /// By this write instead.
    Write(Write),
}

/// Binds a pod: the first plugin that does not skip.
pub trait Bind: Plugin {
    /// How it is to be done.
    fn bind(&self, pod: &PodInfo, node: &Istr) -> BindVerdict;
}

/// Hears that a pod is bound.
pub trait PostBind: Plugin {
    /// The pod is on the node.
    fn post_bind(&self, pod: &PodInfo, node: &Istr);
}

/// A rejection by one plugin, as the diagnosis keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedBy {
    /// The plugin.
    pub plugin: &'static str,
    /// Its code.
    pub code: Code,
    /// Its reasons.
    pub reasons: Vec<String>,
}
