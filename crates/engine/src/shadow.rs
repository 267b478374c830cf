//! Shadowing: another scheduler places the pods, and here it is only said where they would go.
//!
//! An engine that shadows asks for no write. Each binding of the other that it sees is compared with its own choice, made
//! on the state just before that binding; and the pods that wait are decided as usual, so that it is known which of them
//! have a place and what keeps the others from one.

use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::PodKey;

use crate::decide::NodeVerdict;

/// A binding of another scheduler beside what would have been done here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The pod.
    pub pod: PodKey,
    /// Who has placed it.
    pub scheduler: Istr,
    /// Where.
    pub node: Istr,
    /// What is to be said of that.
    pub compared: Compared,
}

/// What is to be said of the node that another scheduler has chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// It would have been chosen here.
    Same,
    /// Another one would have been chosen, which is as good.
    EqualScore {
        /// That one.
        ours: Istr,
    },
    /// It has a higher score than the one that would have been chosen.
    Better(Scores),
    /// It has a lower score than the one that would have been chosen.
    Worse(Scores),
    /// The pod does not fit there.
    Infeasible {
        /// The node that would have been chosen; `None` where it fits nowhere.
        ours: Option<Istr>,
        /// Who turned it away from theirs, and why.
        by: NodeVerdict,
    },
    /// Here nothing is decided about such a pod, and this is why.
    Undecided(String),
}

impl Compared {
    /// As the metric label `result` has it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::EqualScore { .. } => "equal_score",
            Self::Better(_) => "better",
            Self::Worse(_) => "worse",
            Self::Infeasible { .. } => "infeasible",
            Self::Undecided(_) => "undecided",
        }
    }
}

/// How good two nodes are for a pod, among all that it fits on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scores {
    /// The node that would have been chosen here.
    pub ours: Istr,
    /// Its total.
    pub our_score: i64,
    /// The total of the other's node.
    pub their_score: i64,
    /// The plugins that make the difference, each with what it gives our node and theirs, times its weight.
    pub differences: Vec<(&'static str, i64, i64)>,
}
