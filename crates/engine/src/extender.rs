//! Extenders: services outside that have a say in decisions (reference section 9.8).
//!
//! A decision cannot wait for a service. So a pod that one has to be asked about leaves the line with an [`Ask`], and
//! comes back with an [`Answer`], which is laid as a mask over what Filter says then. So does a pod that fits nowhere,
//! with a [`PreemptAsk`], when nodes could be cleared for it.

use std::sync::Arc;

use hashbrown::HashMap;
use plimsoll_framework::cluster_event::EventResource;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::Candidate;
use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::verdict::Code;

/// The name under which a pod that extenders turned away is kept in the queue.
pub const EXTENDER: &str = "Extender";

/// What a profile knows of its extenders.
#[derive(Clone)]
pub struct Extenders {
    /// Whether one of them filters or scores this pod.
    pub interested: Arc<dyn Fn(&PodInfo) -> bool + Send + Sync>,
    /// Whether one of them has a say in which pods go for this one.
    pub preempts: Arc<dyn Fn(&PodInfo) -> bool + Send + Sync>,
    /// What may make an extender think again of a pod: every change of these.
    pub wakes: Vec<EventResource>,
}

/// A pod that extenders are to be asked about; answered by [`crate::event::Event::Answered`].
#[derive(Debug)]
pub struct Ask {
    /// The number that the answer has to name.
    pub number: u64,
    /// The pod.
    pub pod: Arc<PodInfo>,
    /// The nodes that it fits on.
    pub nodes: Vec<Istr>,
    /// The one of them that is being cleared for it: if it is left, no scores are needed.
    pub nominated: Option<Istr>,
}

/// Nodes that could be cleared for a pod that fits nowhere, of which extenders are to say which may be, and of whom;
/// answered by [`crate::event::Event::PreemptAnswered`].
#[derive(Debug)]
pub struct PreemptAsk {
    /// The number that the answer has to name.
    pub number: u64,
    /// The pod.
    pub pod: Arc<PodInfo>,
    /// The nodes, with the pods that would have to leave them; at least one.
    pub candidates: Vec<Candidate>,
    /// All pods of each of these nodes: an answer may name any of them.
    pub pods: HashMap<Istr, Vec<Arc<PodInfo>>>,
}

/// What extenders left of a plugin's candidates, or why they could not say.
pub type Shrunk = Result<Vec<Candidate>, String>;

/// What the extenders together say of a node that they were asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeAnswer {
    /// It will do, and this is to be added to its score.
    Passed(i64),
    /// It will not do.
    Failed {
        /// `Unschedulable` or `UnschedulableAndUnresolvable`.
        code: Code,
        /// What the extender said.
        reason: String,
    },
    /// It will not do; nothing was said of it.
    LeftOut,
}

/// What extenders said in one attempt to place a pod.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Answer {
    nodes: HashMap<Istr, NodeAnswer>,
    /// How often they were asked where the pod is to go.
    pub(crate) rounds: u32,
    /// What they left of the candidates of PostFilter plugins, by the plugin; each is asked about once.
    shrunk: Vec<(&'static str, Arc<Shrunk>)>,
    /// Whether nodes that they were not asked about are taken to pass.
    lenient: bool,
}

/// What was said of the pods of one ticket.
pub type Answers = HashMap<Uid, Arc<Answer>>;

impl Answer {
    /// What is said of a node; `None` where nobody was asked about it.
    pub fn of(&self, node: &Istr) -> Option<&NodeAnswer> {
        const PASSED: &NodeAnswer = &NodeAnswer::Passed(0);
        self.nodes.get(node).or_else(|| self.lenient.then_some(PASSED))
    }

    /// What is said of each node that they were asked about, in no promised order.
    pub fn iter(&self) -> impl Iterator<Item = (&Istr, &NodeAnswer)> {
        self.nodes.iter()
    }

    /// As if they had been asked and had let the pod pass wherever nothing else is known.
    pub(crate) fn leniently(known: Option<&Self>) -> Self {
        Self { lenient: true, rounds: 1, ..known.cloned().unwrap_or_default() }
    }

    /// Adds what was said later.
    pub(crate) fn extend(&mut self, later: Self) {
        self.nodes.extend(later.nodes);
    }

    /// What they left of a plugin's candidates, if they were asked.
    pub(crate) fn shrunk(&self, plugin: &str) -> Option<&Shrunk> {
        self.shrunk.iter().find(|(name, _)| *name == plugin).map(|(_, shrunk)| &**shrunk)
    }

    /// Whether they were asked about the candidates of any plugin.
    pub(crate) fn is_about_preemption(&self) -> bool {
        !self.shrunk.is_empty()
    }

    /// Adds what they left of a plugin's candidates.
    pub(crate) fn add_shrunk(&mut self, plugin: &'static str, shrunk: Shrunk) {
        self.shrunk.push((plugin, Arc::new(shrunk)));
    }
}

impl FromIterator<(Istr, NodeAnswer)> for Answer {
    fn from_iter<I: IntoIterator<Item = (Istr, NodeAnswer)>>(nodes: I) -> Self {
        Self { nodes: nodes.into_iter().collect(), ..Self::default() }
    }
}
