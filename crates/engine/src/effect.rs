//! Everything the engine can ask of the world, and everything it lets be measured.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::{BindVerdict, Write};
use plimsoll_framework::pod::{PodInfo, PodKey};
use plimsoll_framework::point::Point;
use plimsoll_framework::time::Time;

use crate::extender::{Ask, PreemptAsk};
use crate::shadow::Comparison;

/// Something to be done outside. Effects of one pod are done in the order in which they were asked for.
#[derive(Debug)]
pub enum Effect {
    /// Write what a pod needs before it is bound; answered by [`crate::event::Event::WritesFinished`].
    Write(Box<WriteRequest>),
    /// Bind a pod; answered by [`crate::event::Event::BindFinished`].
    Bind(BindRequest),
    /// Write a pod's status; answered by [`crate::event::Event::NominationWritten`] where it names a nomination.
    Status(Box<StatusUpdate>),
    /// Record a Kubernetes event about a pod.
    Record(PodEvent),
    /// Make a pod go for the sake of another; answered by [`crate::event::Event::Evicted`].
    Evict(Box<EvictRequest>),
    /// Write the condition `PodGroupScheduled` of a PodGroup of `scheduling.k8s.io`.
    PodGroupStatus(Box<PodGroupStatus>),
    /// Read one pod and say what is there: [`crate::event::Event::Pod`] or [`crate::event::Event::PodAbsent`].
    ReadPod(PodKey),
    /// Ask the extenders about a pod; answered by [`crate::event::Event::Answered`].
    Ask(Box<Ask>),
    /// Ask the extenders which nodes may be cleared for a pod; answered by [`crate::event::Event::PreemptAnswered`].
    AskPreempt(Box<PreemptAsk>),
}

/// What is to be written before a pod is bound.
#[derive(Debug)]
pub struct WriteRequest {
    /// The pod.
    pub pod: Arc<PodInfo>,
    /// Who wants what written, in order; what comes after a write that failed is left alone.
    pub writes: Vec<(&'static str, Write)>,
}

/// A pod to be bound.
#[derive(Debug)]
pub struct BindRequest {
    /// The pod.
    pub pod: Arc<PodInfo>,
    /// The node chosen for it.
    pub node: Istr,
    /// How to bind.
    pub by: BindVerdict,
    /// The node's total score; `None` when it was the only one that fitted.
    pub score: Option<i64>,
    /// How many attempts it took.
    pub attempts: u32,
    /// When this attempt began.
    pub popped: Time,
}

/// A pod that is to go for the sake of another.
#[derive(Debug)]
pub struct EvictRequest {
    /// The pod that goes.
    pub victim: Arc<PodInfo>,
    /// The pod it goes for.
    pub preemptor: Arc<PodInfo>,
    /// Whether the API server is to refuse where a PodDisruptionBudget stands against it.
    pub strict: bool,
}

/// A change of a pod's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusUpdate {
    /// Which pod.
    pub key: PodKey,
    /// `metadata.generation` of the pod that was looked at.
    pub generation: i64,
    /// Why `PodScheduled` is `False`: reason and message. `None` leaves the condition as it is.
    pub condition: Option<(Reason, Arc<str>)>,
    /// Whether `PodScheduled` was not `False` before, so that the time of its transition changes.
    pub transition: bool,
    /// The new `nominatedNodeName`; `None` leaves it, `Some(None)` clears it.
    pub nominated_node_name: Option<Option<Istr>>,
    /// The number of the last nomination in it, by which it is answered.
    pub number: u64,
}

/// A PodGroup's condition `PodGroupScheduled` (reference section 8.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodGroupStatus {
    /// Its namespace.
    pub namespace: Istr,
    /// Its name.
    pub name: Istr,
    /// Its identity.
    pub uid: Istr,
    /// The version of the API to write by.
    pub version: Istr,
    /// `metadata.generation` of the object that was looked at.
    pub generation: i64,
    /// `None`: the group is placed. Otherwise why it is not.
    pub unscheduled: Option<(Reason, String)>,
    /// Whether the condition had another status before, so that the time of its transition changes.
    pub transition: bool,
}

/// Reasons of the condition `PodScheduled`. Cluster autoscalers act on `Unschedulable` alone, so nothing that another
/// node could not help is called that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No node has room for the pod.
    Unschedulable,
    /// Something failed; it is tried again.
    SchedulerError,
    /// The pod's spec cannot be read.
    Invalid,
    /// The pod needs something that this version does not do.
    Unsupported,
    /// What its rules are about cannot be seen: this scheduler is not permitted to read it.
    MissingPermission,
    /// The other pods of its group, or the group itself, are not there yet.
    GangIncomplete,
    /// Its group was not placed in the time it gives itself; others go first for a while.
    GangTimedOut,
    /// What is said of its group contradicts itself, or cannot be read.
    InvalidGang,
}

impl Reason {
    /// As the condition has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unschedulable => "Unschedulable",
            Self::SchedulerError => "SchedulerError",
            Self::Invalid => "InvalidPodSpec",
            Self::Unsupported => "UnsupportedByPlimsoll",
            Self::MissingPermission => "MissingPermission",
            Self::GangIncomplete => "GangIncomplete",
            Self::GangTimedOut => "GangTimedOut",
            Self::InvalidGang => "InvalidGang",
        }
    }
}

/// A Kubernetes event about a pod.
#[derive(Debug, Clone)]
pub struct PodEvent {
    /// The pod.
    pub pod: Arc<PodInfo>,
    /// `Warning` or `Normal`.
    pub warning: bool,
    /// Such as `Scheduled`.
    pub reason: &'static str,
    /// Such as `Binding`.
    pub action: &'static str,
    /// The text, as long as it is. Pods that are alike share it.
    pub note: Arc<str>,
    /// The pod on whose behalf it happened.
    pub related: Option<Arc<PodInfo>>,
}

/// How an attempt to schedule a pod ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptResult {
    /// The pod is on a node.
    Scheduled,
    /// No node will do.
    Unschedulable,
    /// Something failed.
    Error,
}

/// Something that happened inside and is worth counting.
#[derive(Debug, Clone)]
pub enum Observation {
    /// A pod entered a part of the queue.
    QueueIncoming {
        /// `active`, `backoff`, `unschedulable` or `gated`.
        queue: &'static str,
        /// Why.
        event: QueueReason,
    },
    /// A pod that an event had woken was turned away again.
    FutileWakeUp {
        /// What had woken it.
        event: plimsoll_framework::cluster_event::ClusterEvent,
    },
    /// Pods slept on through an event that a plugin would have woken them for: it was certain that they fit nowhere.
    RuledOut,
    /// An attempt ended.
    Attempt {
        /// How.
        result: AttemptResult,
        /// In which profile.
        profile: usize,
        /// From the pop to the end.
        duration: Duration,
    },
    /// A pod was bound for good.
    Scheduled {
        /// How many attempts it took.
        attempts: u32,
        /// From the first time it could be scheduled to its binding.
        sli: Duration,
        /// Whether it was tried again only because it had waited long.
        flushed: bool,
    },
    /// PostFilter was asked to make room for a pod.
    PreemptionAttempt,
    /// A node is to be cleared for a pod.
    Preemption {
        /// How many pods have to go, those included that are going already.
        victims: usize,
    },
    /// Pods were not made to go, because those that went before them for the same pod went in vain.
    PreemptionHeldOff,
    /// The answer to a request that a pod go.
    Eviction {
        /// `going`, `gone`, `refused` or `failed`.
        result: &'static str,
    },
    /// An attempt to schedule a group of pods ended.
    GangAttempt {
        /// How.
        result: AttemptResult,
        /// In which profile.
        profile: usize,
        /// From the pop to the commit.
        duration: Duration,
    },
    /// A decision was re-checked at commit.
    Recheck {
        /// Whether it still held.
        held: bool,
    },
    /// A pod was committed whose node had changed since the scores were made.
    StaleScore,
    /// A pod was admitted that cannot be scheduled.
    Held {
        /// Why.
        reason: Reason,
    },
    /// A plugin failed at a point, as opposed to saying no.
    PluginFailed {
        /// The plugin.
        plugin: &'static str,
        /// Where.
        point: Point,
    },
    /// A plugin's Reserve assumed something of objects for a pod, or that was taken back.
    ObjectsAssumed {
        /// The plugin.
        plugin: &'static str,
        /// Whether it was taken back.
        taken_back: bool,
    },
    /// Another scheduler has placed a pod, whose decisions are compared with those made here.
    Compared(Box<Comparison>),
    /// A kubelet has refused a pod that was bound to its node.
    RefusedByKubelet {
        /// Of what kind the refusal is: see [`plimsoll_framework::pod::RefusalKind`].
        kind: &'static str,
    },
    /// A pod waited for Permit.
    PermitWait {
        /// The status code it ended with.
        result: &'static str,
        /// How long.
        duration: Duration,
    },
}

/// Why a pod entered a part of the queue: a cluster event, by its label, or one of the queue's own reasons.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum QueueReason {
    /// A change in the cluster.
    Event(plimsoll_framework::cluster_event::ClusterEvent),
    /// One of the queue's own reasons.
    Own(&'static str),
}

impl std::fmt::Display for QueueReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Event(event) => event.fmt(f),
            Self::Own(label) => f.write_str(label),
        }
    }
}
