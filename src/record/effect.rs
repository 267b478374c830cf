//! Effects in writing: all that is asked for, in a form that is the same in every run.

use std::sync::Arc;

use plimsoll_engine::effect::{Effect, Reason};
use plimsoll_framework::plugin::{BindVerdict, Candidate, Write};
use plimsoll_framework::pod::{PodInfo, PodKey};
use serde::Serialize;
use serde_json::Value;

/// An effect as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Form<'a> {
    Write {
        pod: Pod<'a>,
        writes: Vec<PluginWrite<'a>>,
    },
    Bind {
        pod: Pod<'a>,
        node: &'a str,
        by: By<'a>,
        score: Option<i64>,
        attempts: u32,
        popped: u128,
    },
    Status {
        pod: Pod<'a>,
        generation: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        condition: Option<Condition<'a>>,
        transition: bool,
        /// Null clears it.
        #[serde(skip_serializing_if = "Option::is_none")]
        nominated_node_name: Option<Option<&'a str>>,
        number: u64,
    },
    Record {
        pod: Pod<'a>,
        warning: bool,
        reason: &'a str,
        action: &'a str,
        note: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        related: Option<Pod<'a>>,
    },
    Evict {
        victim: Pod<'a>,
        preemptor: Pod<'a>,
        strict: bool,
    },
    PodGroupStatus {
        namespace: &'a str,
        name: &'a str,
        uid: &'a str,
        version: &'a str,
        generation: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        unscheduled: Option<Condition<'a>>,
        transition: bool,
    },
    ReadPod {
        pod: Pod<'a>,
    },
    Ask {
        number: u64,
        pod: Pod<'a>,
        nodes: Vec<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        nominated: Option<&'a str>,
    },
    AskPreempt {
        number: u64,
        pod: Pod<'a>,
        candidates: Vec<Cleared<'a>>,
    },
}

#[derive(Serialize)]
struct Pod<'a> {
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
}

impl<'a> From<&'a PodKey> for Pod<'a> {
    fn from(key: &'a PodKey) -> Self {
        Self { namespace: &key.namespace, name: &key.name, uid: key.uid.as_str() }
    }
}

impl<'a> From<&'a Arc<PodInfo>> for Pod<'a> {
    fn from(pod: &'a Arc<PodInfo>) -> Self {
        (&pod.key).into()
    }
}

#[derive(Serialize)]
struct Condition<'a> {
    reason: &'a str,
    message: &'a str,
}

fn condition(reason: Reason, message: &str) -> Condition<'_> {
    Condition { reason: reason.as_str(), message }
}

#[derive(Serialize)]
struct PluginWrite<'a> {
    plugin: &'a str,
    write: ObjectWrite<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectWrite<'a> {
    group: &'a str,
    version: &'a str,
    plural: &'a str,
    namespace: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subresource: Option<&'a str>,
    merge_patch: &'a Value,
}

impl<'a> From<&'a Write> for ObjectWrite<'a> {
    fn from(write: &'a Write) -> Self {
        Self {
            group: &write.group,
            version: &write.version,
            plural: &write.plural,
            namespace: &write.namespace,
            name: &write.name,
            subresource: write.subresource.as_deref(),
            merge_patch: &write.merge_patch,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum By<'a> {
    Skip,
    Binding,
    Write(ObjectWrite<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cleared<'a> {
    node: &'a str,
    victims: Vec<Pod<'a>>,
    pdb_violations: usize,
}

impl<'a> From<&'a Candidate> for Cleared<'a> {
    fn from(candidate: &'a Candidate) -> Self {
        Self {
            node: &candidate.node,
            victims: candidate.victims.iter().map(Pod::from).collect(),
            pdb_violations: candidate.pdb_violations,
        }
    }
}

impl<'a> From<&'a Effect> for Form<'a> {
    fn from(effect: &'a Effect) -> Self {
        match effect {
            Effect::Write(request) => Self::Write {
                pod: (&request.pod).into(),
                writes: request.writes.iter().map(|(plugin, w)| PluginWrite { plugin, write: w.into() }).collect(),
            },
            Effect::Bind(request) => Self::Bind {
                pod: (&request.pod).into(),
                node: &request.node,
                by: match &request.by {
                    BindVerdict::Skip => By::Skip,
                    BindVerdict::Binding => By::Binding,
                    BindVerdict::Write(write) => By::Write(write.into()),
                },
                score: request.score,
                attempts: request.attempts,
                popped: request.popped.as_duration().as_nanos(),
            },
            Effect::Status(update) => Self::Status {
                pod: (&update.key).into(),
                generation: update.generation,
                condition: update.condition.as_ref().map(|(reason, message)| condition(*reason, message)),
                transition: update.transition,
                nominated_node_name: update.nominated_node_name.as_ref().map(Option::as_deref),
                number: update.number,
            },
            Effect::Record(event) => Self::Record {
                pod: (&event.pod).into(),
                warning: event.warning,
                reason: event.reason,
                action: event.action,
                note: &event.note,
                related: event.related.as_ref().map(Pod::from),
            },
            Effect::Evict(request) => Self::Evict {
                victim: (&request.victim).into(),
                preemptor: (&request.preemptor).into(),
                strict: request.strict,
            },
            Effect::PodGroupStatus(status) => Self::PodGroupStatus {
                namespace: &status.namespace,
                name: &status.name,
                uid: &status.uid,
                version: &status.version,
                generation: status.generation,
                unscheduled: status.unscheduled.as_ref().map(|(reason, message)| condition(*reason, message)),
                transition: status.transition,
            },
            Effect::ReadPod(key) => Self::ReadPod { pod: key.into() },
            Effect::Ask(ask) => Self::Ask {
                number: ask.number,
                pod: (&ask.pod).into(),
                nodes: ask.nodes.iter().map(|node| &**node).collect(),
                nominated: ask.nominated.as_deref(),
            },
            Effect::AskPreempt(ask) => Self::AskPreempt {
                number: ask.number,
                pod: (&ask.pod).into(),
                candidates: ask.candidates.iter().map(Cleared::from).collect(),
            },
        }
    }
}

/// An effect as one line of JSON.
pub(super) fn text(effect: &Effect) -> Option<String> {
    serde_json::to_string(&Form::from(effect)).ok()
}

/// What an effect is called there.
#[cfg(feature = "tools")]
pub(super) const fn name(effect: &Effect) -> &'static str {
    match effect {
        Effect::Write(_) => "write",
        Effect::Bind(_) => "bind",
        Effect::Status(_) => "status",
        Effect::Record(_) => "record",
        Effect::Evict(_) => "evict",
        Effect::PodGroupStatus(_) => "podGroupStatus",
        Effect::ReadPod(_) => "readPod",
        Effect::Ask(_) => "ask",
        Effect::AskPreempt(_) => "askPreempt",
    }
}
