//! Kubernetes objects as the scheduler reads them: only the fields it uses, everything else skipped while parsing.
//!
//! These structs are the door: [`crate::pod::PodParser::parse`] and [`crate::node::NodeInfo::parse`] turn them into what
//! the rest of the program works with, and they are dropped at once; where somebody wants to know what that was made of,
//! they can be written again. Words with a fixed meaning (operators, effects,
//! quantities) stay text here, so that a word this version does not know cannot stop a list from being read.

mod decode;
mod encode;
mod pod_spec;
mod unknown;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::intern::Istr;
use crate::quantity::RawQuantity;
use encode::Absent;

pub use encode::Anything;
pub use pod_spec::{
    Affinity, AwsElasticBlockStore, AzureDisk, Container, CsiVolume, GcePersistentDisk, IdentifiedVolume, ImageVolume,
    Iscsi, LabelSelector, NodeAffinity, NodeSelector, NodeSelectorTerm, PersistentVolumeClaimSource, PodAffinity,
    PodAffinityTerm, PodResourceClaim, PodSpec, PreferredSchedulingTerm, Rbd, Requirement, ResourceRequirements,
    SchedulingGate, SchedulingGroup, Toleration, TopologySpreadConstraint, Volume, WeightedPodAffinityTerm,
};
pub use unknown::{OTHER as OTHER_FIELDS, UnknownFields};

/// Go writes an empty list or map as `null` as often as it leaves it out.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

impl Default for Istr {
    /// The empty string. Every object that is decoded begins with a few of them, so the pool is not asked each time.
    fn default() -> Self {
        static EMPTY: LazyLock<Istr> = LazyLock::new(|| Istr::new(""));
        EMPTY.clone()
    }
}

macro_rules! objects {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, Deserialize, Serialize)]
        #[serde(rename_all = "camelCase", default)]
        #[allow(missing_docs, reason = "the fields are Kubernetes' own, under Kubernetes' names")]
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(deserialize_with = "nullable", skip_serializing_if = "Absent::is_absent")]
                pub $field: $type,
            )*
        }

        impl Absent for $name {}
    )*};
}

objects! {
    /// `metav1.ObjectMeta`, without managed fields. Annotations stay unparsed text: only those that a plugin
    /// declared are ever looked at.
    ObjectMeta {
        name: Istr,
        namespace: Istr,
        uid: Istr,
        resource_version: Box<str>,
        generation: i64,
        labels: BTreeMap<Istr, Istr>,
        annotations: Option<Box<RawValue>>,
        creation_timestamp: Option<Box<str>>,
        deletion_timestamp: Option<Box<str>>,
        owner_references: Vec<OwnerReference>,
    }
    /// `metav1.OwnerReference`.
    OwnerReference { api_version: Istr, kind: Istr, name: Istr, uid: Istr, controller: bool }
    /// `v1.Pod`.
    Pod { metadata: ObjectMeta, spec: PodSpec, status: PodStatus }
    /// `v1.PodStatus`.
    PodStatus {
        phase: Istr,
        reason: Box<str>,
        message: Box<str>,
        nominated_node_name: Istr,
        start_time: Option<Box<str>>,
        conditions: Vec<PodCondition>,
        container_statuses: Vec<ContainerStatus>,
        init_container_statuses: Vec<ContainerStatus>,
        resources: Option<ResourceRequirements>,
        allocated_resources: Option<BTreeMap<Istr, RawQuantity>>,
    }
    /// `v1.PodCondition`.
    PodCondition { #[serde(rename = "type")] kind: Istr, status: Istr, reason: Istr, message: Box<str>, last_transition_time: Option<Box<str>> }
    /// `v1.ContainerStatus`.
    ContainerStatus {
        name: Istr,
        resources: Option<ResourceRequirements>,
        allocated_resources: BTreeMap<Istr, RawQuantity>,
    }
    /// `v1.ContainerRestartRule`.
    ContainerRestartRule { action: Istr }
    /// `v1.ContainerPort`.
    ContainerPort { host_port: i32, #[serde(rename = "hostIP")] host_ip: Istr, protocol: Istr }
    /// `v1.Node`.
    Node { metadata: ObjectMeta, spec: NodeSpec, status: NodeStatus }
    /// `v1.NodeSpec`.
    NodeSpec { unschedulable: bool, taints: Vec<Taint> }
    /// `v1.Taint`.
    Taint { key: Istr, value: Istr, effect: Istr }
    /// `v1.NodeStatus`.
    NodeStatus {
        allocatable: BTreeMap<Istr, RawQuantity>,
        conditions: Vec<NodeCondition>,
        images: Vec<ContainerImage>,
        declared_features: Vec<Istr>,
    }
    /// `v1.NodeCondition`.
    NodeCondition { #[serde(rename = "type")] kind: Istr, status: Istr }
    /// `v1.ContainerImage`.
    ContainerImage { names: Vec<Istr>, size_bytes: i64 }
    /// `v1.Namespace`.
    Namespace { metadata: ObjectMeta }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_unknown_fields_are_skipped() {
        let pod: Pod = serde_json::from_str(
            r#"{"metadata":{"name":"p","managedFields":[{"a":1}],"labels":null,"annotations":{"k":"v"}},
                "spec":{"containers":null,"futureField":{"x":[1]},"tolerations":[{"key":"a","operator":"NewWord"}]},
                "status":{"conditions":null}}"#,
        )
        .unwrap();
        assert_eq!(&*pod.metadata.name, "p");
        assert!(pod.spec.containers.is_empty());
        assert_eq!(pod.metadata.annotations.unwrap().get(), r#"{"k":"v"}"#);
        assert_eq!(&*pod.spec.tolerations[0].operator, "NewWord");
    }

    #[test]
    fn a_quantity_may_be_a_number() {
        let node: Node =
            serde_json::from_str(r#"{"status":{"allocatable":{"cpu":4,"memory":"1Gi","x":1.5}}}"#).unwrap();
        let texts: Vec<&str> = node.status.allocatable.values().map(|q| &*q.0).collect();
        assert_eq!(texts, ["4", "1Gi", "1.5"]);
    }
}
