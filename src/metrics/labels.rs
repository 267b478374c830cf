//! The values that labels take.

use super::LabelSet;

macro_rules! labels {
    ($($(#[$about:meta])* $vis:vis $name:ident { $($(#[$what:meta])* $variant:ident = $text:literal,)+ })+) => {$(
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name {
            $($(#[$what])* #[doc = concat!("`", $text, "`")] $variant,)+
        }

        impl $name {
            /// All values.
            $vis const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The value as it stands in the series.
            $vis fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl LabelSet for $name {
            const COUNT: usize = Self::ALL.len();
            fn index(self) -> usize {
                self as usize
            }
            fn values(self) -> impl Iterator<Item = &'static str> {
                std::iter::once(self.as_str())
            }
        }
    )+};
}

labels! {
    /// How a scheduling attempt ended.
    pub AttemptResult { Scheduled = "scheduled", Unschedulable = "unschedulable", Error = "error", }

    /// The part of the queue a pod is in.
    pub QueueName { Active = "active", Backoff = "backoff", Unschedulable = "unschedulable", Gated = "gated", }

    /// How a gang stands.
    pub GangState {
        /// Pods, or the group itself, are missing.
        Incomplete = "incomplete",
        /// What is said of it contradicts itself.
        Invalid = "invalid",
        /// It steps back for others.
        TimedOut = "timed_out",
        /// It is complete and not placed.
        Waiting = "waiting",
        Placed = "placed",
    }

    /// What the cache holds.
    pub CacheKind { AssumedPods = "assumed_pods", Pods = "pods", Nodes = "nodes", }

    /// The status of a plugin's call or of an extension point.
    pub Status {
        Success = "Success",
        Error = "Error",
        Unschedulable = "Unschedulable",
        UnschedulableAndUnresolvable = "UnschedulableAndUnresolvable",
        Wait = "Wait",
        Skip = "Skip",
        Pending = "Pending",
    }

    /// Where plugins are called.
    pub ExtensionPoint {
        PreEnqueue = "PreEnqueue",
        PreFilter = "PreFilter",
        PreFilterExtensionAddPod = "PreFilterExtensionAddPod",
        PreFilterExtensionRemovePod = "PreFilterExtensionRemovePod",
        Filter = "Filter",
        PostFilter = "PostFilter",
        PreScore = "PreScore",
        Score = "Score",
        ScoreExtensionNormalize = "ScoreExtensionNormalize",
        Reserve = "Reserve",
        Unreserve = "Unreserve",
        Permit = "Permit",
        PreBindPreFlight = "PreBindPreFlight",
        PreBind = "PreBind",
        Bind = "Bind",
        PostBind = "PostBind",
    }

    /// Where the binding of a pod's volumes failed.
    pub VolumeStage { Predicate = "predicate", Assume = "assume", Bind = "bind", }

    /// What was done to what is assumed of volumes and claims.
    pub CacheOperation { Add = "add", Delete = "delete", }

    /// What came of a binding that was sent.
    pub BindingResult {
        Bound = "bound",
        /// The pod turned out to be bound already, to this or another node.
        AlreadyBound = "already_bound",
        /// The pod, or the node, is gone.
        Gone = "gone",
        /// The server refused: not allowed, or not valid.
        Refused = "refused",
        /// No answer in time; the pod is read again.
        Timeout = "timeout",
        Error = "error",
    }

    /// Calls to the API server of one kind, which have a window of their own.
    pub LaneName { Bind = "bind", Volumes = "volumes", Evict = "evict", Status = "status", Events = "events", }

    /// What the check at commit found.
    pub RecheckResult {
        /// Something changed and the pod still fits.
        Passed = "passed",
        /// The pod no longer fits there.
        Failed = "failed",
    }

    /// How the node that a scheduler has chosen for a pod compares with the one chosen here.
    pub ShadowResult {
        Same = "same",
        /// Another one, which is as good.
        EqualScore = "equal_score",
        /// Its node has a higher score than ours.
        Better = "better",
        /// Its node has a lower score than ours.
        Worse = "worse",
        /// The pod does not fit on its node.
        Infeasible = "infeasible",
        /// Here nothing is decided about such a pod.
        Undecided = "undecided",
    }

    /// How an object came: in a list, or by a watch as new or changed, or as gone.
    pub WatchEventType { Listed = "listed", Applied = "applied", Deleted = "deleted", }

    /// Why a watch was begun again.
    pub RestartReason {
        /// The resource version is too old: everything is listed again.
        Expired = "expired",
        /// Not allowed.
        Forbidden = "forbidden",
        Error = "error",
    }

    /// A method of HTTP that Kubernetes uses.
    pub(super) Verb { Get = "GET", Post = "POST", Put = "PUT", Patch = "PATCH", Delete = "DELETE", }

    /// An answer that is usual enough to be counted without looking up its series.
    pub(super) Code {
        Ok = "200",
        Created = "201",
        NotFound = "404",
        Conflict = "409",
        TooManyRequests = "429",
        /// client-go's word for "there was no answer".
        NoAnswer = "<error>",
    }
}
