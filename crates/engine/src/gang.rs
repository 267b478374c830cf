//! PodGroups, read by their fields, whatever their API group (reference section 8.1).
//!
//! A group of pods that is placed as a whole or not at all is called a gang. How it is decided is in `decide`, how it is
//! committed in `engine`; here is what is written about it.

use std::time::Duration;

use plimsoll_framework::cluster::ClusterInfo;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::{KindId, KindRef, ObjectKind};
use plimsoll_framework::pod::{GroupKey, NamedBy};
use serde::Deserialize;
use serde_json::Value;

/// What is read of a PodGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodGroup {
    /// Its identity.
    pub uid: Istr,
    /// `metadata.generation`.
    pub generation: i64,
    /// How many of its pods have to be placed for any to be; `None` where each may go by itself.
    pub min_count: Option<i64>,
    /// After how long without being placed it steps back for others; `None`: never.
    pub schedule_timeout: Option<Duration>,
    /// The priority of the group; `None`: that of its most important pod.
    pub priority: Option<i32>,
    /// Its condition `PodGroupScheduled`.
    pub scheduled: Option<GroupCondition>,
}

/// A condition of a PodGroup.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GroupCondition {
    /// Which condition.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True` or `False`.
    #[serde(default)]
    pub status: String,
    /// Such as `Unschedulable`.
    #[serde(default)]
    pub reason: String,
    /// The text.
    #[serde(default)]
    pub message: String,
}

/// PodGroups of `scheduling.k8s.io`.
pub enum NativePodGroups {}
/// PodGroups of `scheduling.x-k8s.io`.
pub enum ExtendedPodGroups {}
/// PodGroups of `scheduling.sigs.k8s.io`.
pub enum OlderPodGroups {}

macro_rules! pod_groups {
    ($($kind:ty = $group:literal, $version:literal;)*) => {$(
        impl ObjectKind for $kind {
            const GROUP: &'static str = $group;
            const VERSION: &'static str = $version;
            const ANY_VERSION: bool = true;
            const PLURAL: &'static str = "podgroups";
            const KIND: &'static str = "PodGroup";
            type Object = PodGroup;
            fn decode(json: &Value) -> Result<PodGroup, String> {
                decode(json)
            }
        }
    )*};
}

pod_groups! {
    NativePodGroups = "scheduling.k8s.io", "v1alpha2";
    ExtendedPodGroups = "scheduling.x-k8s.io", "v1alpha1";
    OlderPodGroups = "scheduling.sigs.k8s.io", "v1alpha1";
}

/// The kinds of PodGroups there are, to be watched where they are served.
pub fn kinds() -> [KindRef; 3] {
    [KindRef::of::<NativePodGroups>(), KindRef::of::<ExtendedPodGroups>(), KindRef::of::<OlderPodGroups>()]
}

/// The kinds that a group may be of that is named like this, the likeliest first.
pub(crate) fn kinds_of(by: NamedBy) -> Vec<KindId> {
    let [native, extended, older] = kinds().map(|kind| kind.id);
    match by {
        NamedBy::Spec => vec![native],
        NamedBy::Label => vec![extended, older, native],
        NamedBy::Size => Vec::new(),
    }
}

/// The PodGroup of this kind by the group's name.
pub(crate) fn object(cluster: &ClusterInfo, kind: KindId, key: &GroupKey) -> Option<PodGroup> {
    let (namespace, name) = (&key.namespace, &key.name);
    match kind {
        kind if kind == KindId::of::<NativePodGroups>() => {
            cluster.objects::<NativePodGroups>().get(namespace, name).cloned()
        }
        kind if kind == KindId::of::<ExtendedPodGroups>() => {
            cluster.objects::<ExtendedPodGroups>().get(namespace, name).cloned()
        }
        _ => cluster.objects::<OlderPodGroups>().get(namespace, name).cloned(),
    }
}

#[derive(Deserialize)]
struct Raw {
    metadata: RawMeta,
    #[serde(default)]
    spec: Option<RawSpec>,
    #[serde(default)]
    status: Option<RawStatus>,
}

#[derive(Deserialize)]
struct RawMeta {
    #[serde(default)]
    uid: String,
    #[serde(default)]
    generation: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct RawSpec {
    min_member: Option<i64>,
    schedule_timeout_seconds: Option<i64>,
    scheduling_policy: Option<RawPolicy>,
    priority: Option<i32>,
}

#[derive(Deserialize)]
struct RawPolicy {
    gang: Option<RawGang>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawGang {
    min_count: Option<i64>,
}

#[derive(Deserialize)]
struct RawStatus {
    // Other kinds of PodGroups may have anything under this name.
    conditions: Option<Value>,
}

fn decode(json: &Value) -> Result<PodGroup, String> {
    let raw = Raw::deserialize(json).map_err(|error| error.to_string())?;
    let spec = raw.spec.unwrap_or_default();
    let min_count = match spec.scheduling_policy {
        Some(RawPolicy { gang: Some(gang) }) => Some(gang.min_count.unwrap_or(0)),
        Some(RawPolicy { gang: None }) => None,
        None => Some(spec.min_member.unwrap_or(0)),
    };
    let conditions = raw.status.and_then(|status| status.conditions);
    let conditions = conditions.and_then(|value| Vec::<GroupCondition>::deserialize(value).ok()).unwrap_or_default();
    Ok(PodGroup {
        uid: Istr::new(&raw.metadata.uid),
        generation: raw.metadata.generation,
        min_count,
        schedule_timeout: spec
            .schedule_timeout_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs),
        priority: spec.priority,
        scheduled: conditions.into_iter().find(|condition| condition.kind == "PodGroupScheduled"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_flavour_is_read_by_its_fields() {
        let seconds = |n| Some(Duration::from_secs(n));
        let rows = [
            (json!({"minMember": 3, "scheduleTimeoutSeconds": 600}), Ok((Some(3), seconds(600), None))),
            (json!({"minMember": 0}), Ok((Some(0), None, None))),
            (json!({"minMember": null, "scheduleTimeoutSeconds": -1}), Ok((Some(0), None, None))),
            (json!({"schedulingPolicy": {"gang": {"minCount": 4}}, "priority": 7}), Ok((Some(4), None, Some(7)))),
            (json!({"schedulingPolicy": {"basic": {}}}), Ok((None, None, None))),
            (json!(null), Ok((Some(0), None, None))),
            (json!({"minMember": "three"}), Err(())),
        ];
        for (spec, expect) in rows {
            let json = json!({"metadata": {"name": "g", "uid": "u", "generation": 2}, "spec": spec});
            let read = decode(&json).map(|g| (g.min_count, g.schedule_timeout, g.priority)).map_err(|_| ());
            assert_eq!(read, expect, "{json}");
        }
    }

    #[test]
    fn its_condition_is_read_where_there_is_one() {
        let condition = json!({"type": "PodGroupScheduled", "status": "True", "reason": "Scheduled", "message": "m"});
        let rows = [
            (json!({"conditions": [{"type": "Other"}, condition]}), Some("True")),
            (json!({"conditions": {"unlike": "any"}}), None),
            (json!({"phase": "Running"}), None),
        ];
        for (status, expect) in rows {
            let group = decode(&json!({"metadata": {}, "status": status})).unwrap();
            assert_eq!(group.scheduled.map(|c| c.status).as_deref(), expect, "{status}");
        }
    }
}
