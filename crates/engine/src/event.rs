//! Everything that can reach the engine.

use std::sync::Arc;

use hashbrown::HashSet;
use plimsoll_framework::cluster_event::{Change, Object};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindRef, ObjectKey};
use plimsoll_framework::pod::{KubeletRefusal, PodInfo, PodKey, Uid};

use crate::extender::{Answer, Shrunk};

/// Something that happened outside.
#[derive(Debug)]
pub enum Event {
    /// A pod as the API server has it now, new or changed.
    Pod(Box<PodInfo>),
    /// A pod is gone, or is no longer watched because it has finished.
    PodDeleted {
        /// Which.
        uid: Uid,
        /// The version at which it went, 0 if it is not known.
        resource_version: u64,
    },
    /// A complete list of pods was read: all others are gone, but for those newer than the list.
    PodsListed {
        /// Which pods were in the list.
        present: HashSet<Uid>,
        /// The greatest version seen in the list.
        resource_version: u64,
    },
    /// A node as the API server has it now, new or changed.
    Node(Box<NodeInfo>),
    /// A node is gone.
    NodeDeleted {
        /// Its name.
        name: Istr,
    },
    /// A complete list of nodes was read: all others are gone.
    NodesListed {
        /// The names in the list.
        present: HashSet<Istr>,
    },
    /// A namespace's labels, or that it is gone.
    Namespace {
        /// Its name.
        name: Istr,
        /// `None`: gone.
        labels: Option<Arc<LabelSet>>,
    },
    /// A complete list of namespaces was read: all others are gone.
    NamespacesListed {
        /// The names in the list.
        present: HashSet<Istr>,
    },
    /// An object of a further kind that some plugin declared.
    Object {
        /// Which kind.
        kind: KindRef,
        /// Which object.
        key: ObjectKey,
        /// Its version; 0 counts as later than any.
        resource_version: u64,
        /// As the plugin decoded it; `None`: gone.
        object: Option<AnyObject>,
    },
    /// A complete list of objects of a further kind was read: all others are gone.
    ObjectsListed {
        /// Which kind.
        kind: KindRef,
        /// The objects in the list.
        present: HashSet<ObjectKey>,
    },
    /// Whether the server serves a further kind, and in which version.
    KindServed {
        /// Which kind.
        kind: KindRef,
        /// `None`: it does not.
        version: Option<Istr>,
    },
    /// Whether something cannot be seen any more, because reading it is not permitted; what is known of it may be out of
    /// date, or nothing.
    Hidden {
        /// Objects of this further kind; `None`: namespaces.
        kind: Option<KindRef>,
        /// Whether it is so.
        hidden: bool,
    },
    /// What a pod needed written before its binding is written, or was given up.
    WritesFinished {
        /// For which pod.
        uid: Uid,
        /// How.
        result: Result<(), WriteFailure>,
    },
    /// The nominated node of a pod was written, or given up.
    NominationWritten {
        /// Of which pod.
        uid: Uid,
        /// The number of the write; a later one of the same pod may have taken its place.
        number: u64,
        /// The version of the pod that has it; `None` where it is not known whether it was written.
        version: Option<u64>,
    },
    /// A binding is settled, one way or the other.
    BindFinished {
        /// Of which pod.
        uid: Uid,
        /// How.
        result: BindResult,
    },
    /// The API server was asked to make a pod go, by [`crate::effect::Effect::Evict`].
    Evicted {
        /// Which.
        victim: Uid,
        /// For which pod.
        preemptor: Uid,
        /// What became of it.
        result: EvictResult,
    },
    /// Extenders were asked about a pod, by [`crate::effect::Effect::Ask`].
    Answered {
        /// Which pod.
        uid: Uid,
        /// The number of the question.
        number: u64,
        /// What they say, or why they could not.
        result: Result<Answer, String>,
    },
    /// Extenders were asked which nodes may be cleared for a pod, by [`crate::effect::Effect::AskPreempt`].
    PreemptAnswered {
        /// Which pod.
        uid: Uid,
        /// The number of the question.
        number: u64,
        /// What they left, or why they could not say.
        result: Shrunk,
    },
    /// The API server was asked for one pod, by [`crate::effect::Effect::ReadPod`]: it does not exist, or not with
    /// this UID. (If it exists, it comes as [`Event::Pod`].)
    PodAbsent {
        /// Which.
        key: PodKey,
    },
    /// A kubelet has refused a pod that one of the profiles is named for; told once a pod, and not of those that it had
    /// refused before anybody looked.
    RefusedByKubelet(Box<KubeletRefusal>),
}

pub use plimsoll_framework::cluster::AnyObject;

/// A write that failed, or whose answer was lost. Those before it were done, those behind it were not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteFailure {
    /// Whose write.
    pub plugin: &'static str,
    /// What went wrong.
    pub message: String,
}

/// How a binding ended. Always certain: where an answer was lost, the pod was read before this is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindResult {
    /// The pod is on the node.
    Bound,
    /// The pod is not on the node; it can be tried again.
    Failed {
        /// What went wrong.
        message: String,
    },
    /// The pod does not exist any more, or is on another node by somebody else's hand.
    Gone,
}

/// How a request that a pod go ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EvictResult {
    /// It goes; the watch tells when it is gone.
    Going,
    /// It is not there any more.
    Gone,
    /// A PodDisruptionBudget stands against it.
    Refused {
        /// What the API server said.
        message: String,
    },
    /// It stays, as far as is known.
    Failed {
        /// What went wrong.
        message: String,
    },
}

/// A change, with the objects kept alive: what an event was about, for those who are shown it later.
#[derive(Clone)]
pub enum OwnedChange {
    /// Of a pod: before and after.
    Pod(Option<Arc<PodInfo>>, Option<Arc<PodInfo>>),
    /// Of a node: before and after.
    Node(Option<Arc<NodeInfo>>, Option<Arc<NodeInfo>>),
    /// Of an object of a further kind: before and after.
    Other(Option<AnyObject>, Option<AnyObject>),
    /// Of nothing in particular.
    None,
}

impl std::fmt::Debug for OwnedChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pod(_, new) => write!(f, "Pod({:?})", new.as_ref().map(|p| p.key.to_string())),
            Self::Node(_, new) => write!(f, "Node({:?})", new.as_ref().map(|n| &n.name)),
            Self::Other(..) => f.write_str("Other"),
            Self::None => f.write_str("None"),
        }
    }
}

impl OwnedChange {
    /// As hints see it.
    pub fn as_change(&self) -> Change<'_> {
        match self {
            Self::Pod(old, new) => {
                Change { old: old.as_deref().map(Object::Pod), new: new.as_deref().map(Object::Pod) }
            }
            Self::Node(old, new) => {
                Change { old: old.as_deref().map(Object::Node), new: new.as_deref().map(Object::Node) }
            }
            Self::Other(old, new) => {
                Change { old: old.as_deref().map(Object::Other), new: new.as_deref().map(Object::Other) }
            }
            Self::None => Change { old: None, new: None },
        }
    }
}
