//! Clearing a node in the mind: what comes of it, and what of it is known without doing it.

use std::sync::Arc;

use crate::plugin::{Candidate, RejectedBy};
use crate::table::Row;

/// What came of clearing a node in the mind.
#[derive(Clone, Debug, PartialEq)]
pub enum Clearing {
    /// It could be cleared.
    Candidate {
        /// For whom and of whom.
        candidate: Candidate,
        /// How much harm that does. Of several candidates the one with the least counts, compared number by number.
        harm: [i64; 5],
    },
    /// No pod on it may be made to go.
    Nobody,
    /// It would turn the pod away all the same, for these reasons.
    Rejected(Vec<String>),
    /// It would turn the pod away all the same; why, only the dry run tells.
    RuledOut,
    /// Pods would have to go that a budget protects, where budgets are strict.
    Protected,
    /// The question could not be answered.
    Failed(String),
}

impl Clearing {
    /// Whether both can be said of the same node: that it is ruled out goes with any reason.
    pub fn agrees_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::RuledOut, told) | (told, Self::RuledOut) => !matches!(told, Self::Candidate { .. }),
            _ => self == other,
        }
    }
}

/// What Filter would say of a node without the pods of lower priority that may be made to go, nominated pods included.
#[derive(Clone, Debug, PartialEq)]
pub enum Without {
    /// That cannot be told without imagining them away.
    Unknown,
    /// There are none.
    Nobody,
    /// It turns the pod away.
    Rejected(RejectedBy),
    /// It turns the pod away; who is the first to do so cannot be told.
    RejectedBySome,
}

/// What is known of nodes without clearing them in the mind. Each is a shortcut: the answer without it is the same.
pub trait Shortcuts {
    /// The rows whose nodes turn the pod away with the code `Unschedulable`, in ascending order; `None` where each has to
    /// be asked.
    fn resolvable(&self) -> Option<Vec<Row>> {
        None
    }

    /// What Filter would say of the node of a row.
    fn without_lower(&self, row: Row) -> Without {
        let _ = row;
        Without::Unknown
    }

    /// What came of clearing the node of a row the last time, where that would come of it again.
    fn kept(&self, row: Row) -> Option<Arc<Clearing>> {
        let _ = row;
        None
    }

    /// Tells what came of it, to be kept for as long as it holds. It has to follow from the priority of the pod, what
    /// Filter says of it on that node as it is and without pods of the node, these pods, and objects of further kinds.
    fn keep(&self, row: Row, clearing: &Arc<Clearing>) {
        let _ = (row, clearing);
    }
}

/// Nothing is known.
impl Shortcuts for () {}
