//! The extension points, by name.

use std::fmt;

/// An extension point, in the order in which they are called (reference section 1.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Point {
    /// Before a pod may enter the active queue.
    PreEnqueue,
    /// The order of the active queue.
    QueueSort,
    /// Once for each attempt, before any node.
    PreFilter,
    /// For each node: may the pod be there?
    Filter,
    /// When no node is left.
    PostFilter,
    /// Once for each attempt, when several nodes are left.
    PreScore,
    /// For each node that is left: how good is it?
    Score,
    /// For the chosen node, when it is decided.
    Reserve,
    /// For the chosen node: may it be bound now?
    Permit,
    /// Before the binding.
    PreBind,
    /// The binding.
    Bind,
    /// After the binding.
    PostBind,
    /// Groups of pods: where they could go together. Nothing here uses it yet.
    PlacementGenerate,
    /// Groups of pods: how good such a place is. Nothing here uses it yet.
    PlacementScore,
}

impl Point {
    /// Every point, in order.
    pub const ALL: [Self; 14] = [
        Self::PreEnqueue,
        Self::QueueSort,
        Self::PreFilter,
        Self::Filter,
        Self::PostFilter,
        Self::PreScore,
        Self::Score,
        Self::Reserve,
        Self::Permit,
        Self::PreBind,
        Self::Bind,
        Self::PostBind,
        Self::PlacementGenerate,
        Self::PlacementScore,
    ];

    /// The name, as metrics and messages write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreEnqueue => "PreEnqueue",
            Self::QueueSort => "QueueSort",
            Self::PreFilter => "PreFilter",
            Self::Filter => "Filter",
            Self::PostFilter => "PostFilter",
            Self::PreScore => "PreScore",
            Self::Score => "Score",
            Self::Reserve => "Reserve",
            Self::Permit => "Permit",
            Self::PreBind => "PreBind",
            Self::Bind => "Bind",
            Self::PostBind => "PostBind",
            Self::PlacementGenerate => "PlacementGenerate",
            Self::PlacementScore => "PlacementScore",
        }
    }

    /// The key under `profiles[].plugins` of the configuration.
    pub const fn as_config_key(self) -> &'static str {
        match self {
            Self::PreEnqueue => "preEnqueue",
            Self::QueueSort => "queueSort",
            Self::PreFilter => "preFilter",
            Self::Filter => "filter",
            Self::PostFilter => "postFilter",
            Self::PreScore => "preScore",
            Self::Score => "score",
            Self::Reserve => "reserve",
            Self::Permit => "permit",
            Self::PreBind => "preBind",
            Self::Bind => "bind",
            Self::PostBind => "postBind",
            Self::PlacementGenerate => "placementGenerate",
            Self::PlacementScore => "placementScore",
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
