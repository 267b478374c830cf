//! Kubernetes objects as the scheduler reads them: only the fields it uses, everything else skipped while parsing.
//!
//! These structs are the door: [`crate::pod::PodParser::parse`] and [`crate::node::NodeInfo::parse`] turn them into what
//! the rest of the program works with, and they are dropped at once. Words with a fixed meaning (operators, effects,
//! quantities) stay text here, so that a word this version does not know cannot stop a list from being read.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::intern::Istr;
use crate::quantity::RawQuantity;

/// Go writes an empty list or map as `null` as often as it leaves it out.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

impl Default for Istr {
    fn default() -> Self {
        Self::new("")
    }
}

macro_rules! objects {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        #[allow(missing_docs, reason = "the fields are Kubernetes' own, under Kubernetes' names")]
        pub struct $name {
            $($(#[$field_meta])* #[serde(deserialize_with = "nullable")] pub $field: $type,)*
        }
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
    /// `v1.PodSpec`.
    PodSpec {
        scheduler_name: Istr,
        node_name: Istr,
        priority: Option<i32>,
        preemption_policy: Istr,
        node_selector: Option<BTreeMap<Istr, Istr>>,
        affinity: Option<Affinity>,
        tolerations: Vec<Toleration>,
        topology_spread_constraints: Vec<TopologySpreadConstraint>,
        containers: Vec<Container>,
        init_containers: Vec<Container>,
        volumes: Vec<Volume>,
        overhead: BTreeMap<Istr, RawQuantity>,
        resources: Option<ResourceRequirements>,
        scheduling_gates: Vec<SchedulingGate>,
        host_network: bool,
        host_users: Option<bool>,
        resource_claims: Vec<PodResourceClaim>,
        scheduling_group: Option<SchedulingGroup>,
    }
    /// `v1.PodSchedulingGroup`.
    SchedulingGroup { pod_group_name: Istr }
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
    /// `v1.Container`, regular or init.
    Container {
        name: Istr,
        image: Istr,
        resources: ResourceRequirements,
        ports: Vec<ContainerPort>,
        restart_policy: Istr,
        restart_policy_rules: Vec<ContainerRestartRule>,
    }
    /// `v1.ContainerRestartRule`.
    ContainerRestartRule { action: Istr }
    /// `v1.ResourceRequirements`.
    ResourceRequirements { requests: BTreeMap<Istr, RawQuantity>, limits: BTreeMap<Istr, RawQuantity> }
    /// `v1.ContainerPort`.
    ContainerPort { host_port: i32, #[serde(rename = "hostIP")] host_ip: Istr, protocol: Istr }
    /// `v1.PodSchedulingGate`.
    SchedulingGate { name: Istr }
    /// `v1.PodResourceClaim`.
    PodResourceClaim { name: Istr }
    /// `v1.Volume`, as far as it matters for placement.
    Volume {
        name: Istr,
        persistent_volume_claim: Option<PersistentVolumeClaimSource>,
        ephemeral: Option<serde::de::IgnoredAny>,
        image: Option<ImageVolume>,
        gce_persistent_disk: Option<GcePersistentDisk>,
        aws_elastic_block_store: Option<AwsElasticBlockStore>,
        azure_disk: Option<AzureDisk>,
        azure_file: Option<serde::de::IgnoredAny>,
        cinder: Option<IdentifiedVolume>,
        portworx_volume: Option<IdentifiedVolume>,
        vsphere_volume: Option<serde::de::IgnoredAny>,
        iscsi: Option<Iscsi>,
        rbd: Option<Rbd>,
        csi: Option<CsiVolume>,
    }
    /// `v1.GCEPersistentDiskVolumeSource`.
    GcePersistentDisk { pd_name: Istr, read_only: bool }
    /// `v1.AWSElasticBlockStoreVolumeSource`.
    AwsElasticBlockStore { #[serde(rename = "volumeID")] volume_id: Istr }
    /// `v1.AzureDiskVolumeSource`.
    AzureDisk { #[serde(rename = "diskURI")] disk_uri: Istr }
    /// A volume source that is known by its ID: Cinder, Portworx.
    IdentifiedVolume { #[serde(rename = "volumeID")] volume_id: Istr }
    /// `v1.ISCSIVolumeSource`.
    Iscsi { iqn: Istr, read_only: bool }
    /// `v1.RBDVolumeSource`; the pool as the API server defaults it.
    Rbd { monitors: Vec<Istr>, pool: Istr, image: Istr, read_only: bool }
    /// `v1.CSIVolumeSource`, inline.
    CsiVolume { driver: Istr }
    /// `v1.PersistentVolumeClaimVolumeSource`.
    PersistentVolumeClaimSource { claim_name: Istr, read_only: bool }
    /// `v1.ImageVolumeSource`.
    ImageVolume { reference: Istr }
    /// `v1.Affinity`.
    Affinity {
        node_affinity: Option<NodeAffinity>,
        pod_affinity: Option<PodAffinity>,
        pod_anti_affinity: Option<PodAffinity>,
    }
    /// `v1.NodeAffinity`.
    NodeAffinity {
        #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")] required: Option<NodeSelector>,
        #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution")] preferred: Option<Vec<PreferredSchedulingTerm>>,
    }
    /// `v1.NodeSelector`.
    NodeSelector { node_selector_terms: Vec<NodeSelectorTerm> }
    /// `v1.NodeSelectorTerm`.
    NodeSelectorTerm { match_expressions: Vec<Requirement>, match_fields: Vec<Requirement> }
    /// `v1.PreferredSchedulingTerm`.
    PreferredSchedulingTerm { weight: i32, preference: NodeSelectorTerm }
    /// A requirement of a label or node selector.
    Requirement { key: Istr, operator: Istr, values: Vec<Istr> }
    /// `metav1.LabelSelector`.
    LabelSelector { match_labels: BTreeMap<Istr, Istr>, match_expressions: Vec<Requirement> }
    /// `v1.PodAffinity` and `v1.PodAntiAffinity`.
    PodAffinity {
        #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")] required: Vec<PodAffinityTerm>,
        #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution")] preferred: Vec<WeightedPodAffinityTerm>,
    }
    /// `v1.PodAffinityTerm`.
    PodAffinityTerm {
        label_selector: Option<LabelSelector>,
        namespaces: Vec<Istr>,
        namespace_selector: Option<LabelSelector>,
        topology_key: Istr,
    }
    /// `v1.WeightedPodAffinityTerm`.
    WeightedPodAffinityTerm { weight: i32, pod_affinity_term: PodAffinityTerm }
    /// `v1.TopologySpreadConstraint`.
    TopologySpreadConstraint {
        max_skew: i32,
        topology_key: Istr,
        when_unsatisfiable: Istr,
        label_selector: Option<LabelSelector>,
        min_domains: Option<i32>,
        node_affinity_policy: Istr,
        node_taints_policy: Istr,
        match_label_keys: Vec<Istr>,
    }
    /// `v1.Toleration`.
    Toleration { key: Istr, operator: Istr, value: Istr, effect: Istr }
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
