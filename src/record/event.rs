//! Events in writing.

use std::collections::BTreeMap;

use plimsoll_engine::event::{BindResult, Event, EvictResult, WriteFailure};
use plimsoll_engine::extender::{Answer, NodeAnswer, Shrunk};
use plimsoll_framework::object::KindRef;
use plimsoll_framework::pod::PodKey;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An event as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(super) enum Form {
    Pod {
        object: Box<RawValue>,
        /// Why it did not decode, if it did not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<String>,
        /// Whether it was read by itself.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        read: bool,
    },
    PodDeleted {
        uid: String,
        resource_version: u64,
    },
    PodsListed {
        present: Vec<String>,
        resource_version: u64,
    },
    Node {
        object: Box<RawValue>,
    },
    NodeDeleted {
        name: String,
    },
    NodesListed {
        present: Vec<String>,
    },
    Namespace {
        name: String,
        labels: Option<BTreeMap<String, String>>,
    },
    NamespacesListed {
        present: Vec<String>,
    },
    Object {
        kind: KindName,
        namespace: String,
        name: String,
        resource_version: u64,
        object: Option<Box<RawValue>>,
    },
    /// Each with its namespace and its name.
    ObjectsListed {
        kind: KindName,
        present: Vec<(String, String)>,
    },
    KindServed {
        kind: KindName,
        version: Option<String>,
    },
    Hidden {
        kind: Option<KindName>,
        hidden: bool,
    },
    WritesFinished {
        uid: String,
        failure: Option<Failure>,
    },
    NominationWritten {
        uid: String,
        number: u64,
        version: Option<u64>,
    },
    BindFinished {
        uid: String,
        result: BindForm,
    },
    Evicted {
        victim: String,
        preemptor: String,
        result: EvictForm,
    },
    Answered {
        uid: String,
        number: u64,
        result: Said<BTreeMap<String, NodeForm>>,
    },
    PreemptAnswered {
        uid: String,
        number: u64,
        result: Said<Vec<CandidateForm>>,
    },
    PodAbsent {
        pod: KeyForm,
    },
    RefusedByKubelet {
        pod: KeyForm,
        node: String,
        kind: String,
        message: String,
    },
}

/// A kind by its plural name and its group.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct KindName(String);

impl KindName {
    pub(super) fn of(kind: &KindRef) -> Self {
        Self(format!("{}.{}", kind.plural, kind.group))
    }
}

impl std::fmt::Display for KindName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pod.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyForm {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
}

impl From<&PodKey> for KeyForm {
    fn from(key: &PodKey) -> Self {
        Self { namespace: key.namespace.to_string(), name: key.name.to_string(), uid: key.uid.to_string() }
    }
}

/// A write that failed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failure {
    pub(super) plugin: String,
    pub(super) message: String,
}

impl From<&WriteFailure> for Failure {
    fn from(failure: &WriteFailure) -> Self {
        Self { plugin: failure.plugin.to_owned(), message: failure.message.clone() }
    }
}

/// How a binding ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum BindForm {
    Bound,
    Failed { message: String },
    Gone,
}

impl From<&BindResult> for BindForm {
    fn from(result: &BindResult) -> Self {
        match result {
            BindResult::Bound => Self::Bound,
            BindResult::Failed { message } => Self::Failed { message: message.clone() },
            BindResult::Gone => Self::Gone,
        }
    }
}

impl From<BindForm> for BindResult {
    fn from(form: BindForm) -> Self {
        match form {
            BindForm::Bound => Self::Bound,
            BindForm::Failed { message } => Self::Failed { message },
            BindForm::Gone => Self::Gone,
        }
    }
}

/// How a request that a pod go ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum EvictForm {
    Going,
    Gone,
    Refused { message: String },
    Failed { message: String },
}

impl From<&EvictResult> for EvictForm {
    fn from(result: &EvictResult) -> Self {
        match result {
            EvictResult::Going => Self::Going,
            EvictResult::Gone => Self::Gone,
            EvictResult::Refused { message } => Self::Refused { message: message.clone() },
            EvictResult::Failed { message } => Self::Failed { message: message.clone() },
        }
    }
}

impl From<EvictForm> for EvictResult {
    fn from(form: EvictForm) -> Self {
        match form {
            EvictForm::Going => Self::Going,
            EvictForm::Gone => Self::Gone,
            EvictForm::Refused { message } => Self::Refused { message },
            EvictForm::Failed { message } => Self::Failed { message },
        }
    }
}

/// What extenders said, or why they could not.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Said<T> {
    Ok(T),
    Error(String),
}

/// What extenders said of a node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum NodeForm {
    Passed(i64),
    Failed { code: String, reason: String },
    LeftOut,
}

impl From<&NodeAnswer> for NodeForm {
    fn from(answer: &NodeAnswer) -> Self {
        match answer {
            NodeAnswer::Passed(score) => Self::Passed(*score),
            NodeAnswer::Failed { code, reason } => {
                Self::Failed { code: code.as_str().to_owned(), reason: reason.clone() }
            }
            NodeAnswer::LeftOut => Self::LeftOut,
        }
    }
}

/// A node that could be cleared, with the UIDs of the pods that would have to leave it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CandidateForm {
    pub(super) node: String,
    pub(super) victims: Vec<String>,
    pub(super) pdb_violations: usize,
}

fn answered(result: &Result<Answer, String>) -> Said<BTreeMap<String, NodeForm>> {
    match result {
        Ok(answer) => Said::Ok(answer.iter().map(|(node, said)| (node.to_string(), said.into())).collect()),
        Err(error) => Said::Error(error.clone()),
    }
}

fn shrunk(result: &Shrunk) -> Said<Vec<CandidateForm>> {
    let form = |candidate: &plimsoll_framework::plugin::Candidate| CandidateForm {
        node: candidate.node.to_string(),
        victims: candidate.victims.iter().map(|victim| victim.key.uid.to_string()).collect(),
        pdb_violations: candidate.pdb_violations,
    };
    match result {
        Ok(left) => Said::Ok(left.iter().map(form).collect()),
        Err(error) => Said::Error(error.clone()),
    }
}

/// In order, so that two lists of the same are alike.
fn sorted<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = all.collect();
    all.sort_unstable();
    all
}

impl Form {
    /// An event that holds all there is to it; `None` where it was parsed from something that has to be written instead.
    pub(super) fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::Pod(_) | Event::Node(_) | Event::Object { .. } => return None,
            Event::PodDeleted { uid, resource_version } => {
                Self::PodDeleted { uid: uid.to_string(), resource_version: *resource_version }
            }
            Event::PodsListed { present, resource_version } => Self::PodsListed {
                present: sorted(present.iter().map(ToString::to_string)),
                resource_version: *resource_version,
            },
            Event::NodeDeleted { name } => Self::NodeDeleted { name: name.to_string() },
            Event::NodesListed { present } => {
                Self::NodesListed { present: sorted(present.iter().map(ToString::to_string)) }
            }
            Event::Namespace { name, labels } => {
                let labels = labels.as_deref();
                let labels = labels.map(|all| all.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect());
                Self::Namespace { name: name.to_string(), labels }
            }
            Event::NamespacesListed { present } => {
                Self::NamespacesListed { present: sorted(present.iter().map(ToString::to_string)) }
            }
            Event::ObjectsListed { kind, present } => Self::ObjectsListed {
                kind: KindName::of(kind),
                present: sorted(present.iter().map(|key| (key.namespace.to_string(), key.name.to_string()))),
            },
            Event::KindServed { kind, version } => {
                Self::KindServed { kind: KindName::of(kind), version: version.as_ref().map(ToString::to_string) }
            }
            Event::Hidden { kind, hidden } => Self::Hidden { kind: kind.as_ref().map(KindName::of), hidden: *hidden },
            Event::WritesFinished { uid, result } => {
                Self::WritesFinished { uid: uid.to_string(), failure: result.as_ref().err().map(Failure::from) }
            }
            Event::NominationWritten { uid, number, version } => {
                Self::NominationWritten { uid: uid.to_string(), number: *number, version: *version }
            }
            Event::BindFinished { uid, result } => Self::BindFinished { uid: uid.to_string(), result: result.into() },
            Event::Evicted { victim, preemptor, result } => {
                Self::Evicted { victim: victim.to_string(), preemptor: preemptor.to_string(), result: result.into() }
            }
            Event::Answered { uid, number, result } => {
                Self::Answered { uid: uid.to_string(), number: *number, result: answered(result) }
            }
            Event::PreemptAnswered { uid, number, result } => {
                Self::PreemptAnswered { uid: uid.to_string(), number: *number, result: shrunk(result) }
            }
            Event::PodAbsent { key } => Self::PodAbsent { pod: key.into() },
            Event::RefusedByKubelet(refusal) => Self::RefusedByKubelet {
                pod: (&refusal.key).into(),
                node: refusal.node.to_string(),
                kind: refusal.kind.as_str().to_owned(),
                message: refusal.message.to_string(),
            },
        })
    }

    /// As one line of JSON.
    pub(super) fn text(&self) -> Option<Box<str>> {
        serde_json::to_string(self).ok().map(String::into_boxed_str)
    }
}
