//! The extension points, by name.

/// An extension point: a step of scheduling that plugins take part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// Whether a pod may enter the queue.
    PreEnqueue,
    /// The order of the queue.
    QueueSort,
    /// What can be computed once a pod.
    PreFilter,
    /// Whether a node can take the pod.
    Filter,
    /// What is done for a pod that fits nowhere.
    PostFilter,
    /// What can be computed once before scoring.
    PreScore,
    /// How good a node is.
    Score,
    /// What is set aside for the chosen node.
    Reserve,
    /// Whether binding has to wait.
    Permit,
    /// What is written before binding.
    PreBind,
    /// The binding.
    Bind,
    /// What follows binding.
    PostBind,
    /// Where a group of pods could be placed.
    PlacementGenerate,
    /// How good a placement is.
    PlacementScore,
}

impl Point {
    /// All points, in the order in which they run.
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

    /// The name in `profiles[].plugins`, such as `preFilter`.
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
