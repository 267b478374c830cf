//! Extenders: services outside that have a say in decisions (reference section 9.8).
//!
//! A decision cannot wait for a service. So a pod that one has to be asked about leaves the line with an [`Ask`], and
//! comes back with an [`Answer`], which is laid as a mask over what Filter says then.

use std::sync::Arc;

use hashbrown::HashMap;
use plimsoll_framework::cluster_event::EventResource;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::verdict::Code;

/// The name under which a pod that extenders turned away is kept in the queue.
pub const EXTENDER: &str = "Extender";

/// What a profile knows of its extenders.
#[derive(Clone)]
pub struct Extenders {
    /// Whether one of them filters or scores this pod.
    pub interested: Arc<dyn Fn(&PodInfo) -> bool + Send + Sync>,
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

/// What extenders say of the nodes that they were asked about.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Answer {
    nodes: HashMap<Istr, NodeAnswer>,
    /// How often they were asked in this attempt.
    pub(crate) rounds: u32,
}

impl Answer {
    /// What is said of a node; `None` where nobody was asked about it.
    pub fn of(&self, node: &Istr) -> Option<&NodeAnswer> {
        self.nodes.get(node)
    }

    /// Adds what was said later.
    pub(crate) fn extend(&mut self, later: Self) {
        self.nodes.extend(later.nodes);
    }
}

impl FromIterator<(Istr, NodeAnswer)> for Answer {
    fn from_iter<I: IntoIterator<Item = (Istr, NodeAnswer)>>(nodes: I) -> Self {
        Self { nodes: nodes.into_iter().collect(), rounds: 0 }
    }
}
