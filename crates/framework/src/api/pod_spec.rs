//! A pod's spec: what of it is used, and what is known to be irrelevant for scheduling.
//!
//! The names are those of Kubernetes 1.31 to 1.37. A field that is new in a later version is in neither list, and is
//! noticed.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde::de::MapAccess;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::decode::{Decode, Found, Object, object, objects_that_notice, value};
use super::encode::{Absent, field};
use super::unknown::{Place, UnknownFields};
use super::{Anything, ContainerPort, ContainerRestartRule};
use crate::intern::Istr;
use crate::quantity::RawQuantity;

objects_that_notice! {
    /// `v1.PodSpec`.
    PodSpec {
        scheduler_name("schedulerName"): Istr,
        node_name("nodeName"): Istr,
        priority("priority"): Option<i32>,
        preemption_policy("preemptionPolicy"): Istr,
        node_selector("nodeSelector"): Option<BTreeMap<Istr, Istr>>,
        affinity("affinity"): Option<Affinity>,
        tolerations("tolerations"): Vec<Toleration>,
        topology_spread_constraints("topologySpreadConstraints"): Vec<TopologySpreadConstraint>,
        containers("containers"): Vec<Container>,
        init_containers("initContainers"): Vec<Container>,
        volumes("volumes"): Vec<Volume>,
        overhead("overhead"): BTreeMap<Istr, RawQuantity>,
        resources("resources"): Option<ResourceRequirements>,
        scheduling_gates("schedulingGates"): Vec<SchedulingGate>,
        host_network("hostNetwork"): bool,
        host_users("hostUsers"): Option<bool>,
        resource_claims("resourceClaims"): Vec<PodResourceClaim>,
        scheduling_group("schedulingGroup"): Option<SchedulingGroup>;
        irrelevant "activeDeadlineSeconds" | "automountServiceAccountToken" | "dnsConfig" | "dnsPolicy"
            | "enableServiceLinks" | "ephemeralContainers" | "evictionResponders" | "hostAliases" | "hostIPC" | "hostPID"
            | "hostname" | "hostnameOverride" | "imagePullSecrets" | "os" | "priorityClassName" | "readinessGates"
            | "restartPolicy" | "runtimeClassName" | "securityContext" | "serviceAccount" | "serviceAccountName"
            | "setHostnameAsFQDN" | "shareProcessNamespace" | "subdomain" | "terminationGracePeriodSeconds",
        also unknown: UnknownFields
    }

    /// `v1.PodSchedulingGroup`.
    SchedulingGroup { pod_group_name("podGroupName"): Istr }
    /// `v1.PodSchedulingGate`.
    SchedulingGate { name("name"): Istr }
    /// `v1.PodResourceClaim`.
    PodResourceClaim { name("name"): Istr; irrelevant "resourceClaimName" | "resourceClaimTemplateName" }

    /// `v1.Container`, regular or init. Most of its fields are the kubelet's, and none is noticed.
    Container {
        name("name"): Istr,
        image("image"): Istr,
        resources("resources"): ResourceRequirements,
        ports("ports"): Vec<ContainerPort>,
        restart_policy("restartPolicy"): Istr,
        restart_policy_rules("restartPolicyRules"): Vec<ContainerRestartRule>;
        irrelevant _
    }
    /// `v1.ResourceRequirements`.
    ResourceRequirements {
        requests("requests"): BTreeMap<Istr, RawQuantity>,
        limits("limits"): BTreeMap<Istr, RawQuantity>;
        irrelevant "claims"
    }

    /// `v1.Volume`, as far as it matters for placement.
    Volume {
        name("name"): Istr,
        persistent_volume_claim("persistentVolumeClaim"): Option<PersistentVolumeClaimSource>,
        ephemeral("ephemeral"): Option<Anything>,
        image("image"): Option<ImageVolume>,
        gce_persistent_disk("gcePersistentDisk"): Option<GcePersistentDisk>,
        aws_elastic_block_store("awsElasticBlockStore"): Option<AwsElasticBlockStore>,
        azure_disk("azureDisk"): Option<AzureDisk>,
        azure_file("azureFile"): Option<Anything>,
        cinder("cinder"): Option<IdentifiedVolume>,
        portworx_volume("portworxVolume"): Option<IdentifiedVolume>,
        vsphere_volume("vsphereVolume"): Option<Anything>,
        iscsi("iscsi"): Option<Iscsi>,
        rbd("rbd"): Option<Rbd>,
        csi("csi"): Option<CsiVolume>;
        irrelevant "cephfs" | "configMap" | "downwardAPI" | "emptyDir" | "fc" | "flexVolume" | "flocker" | "gitRepo"
            | "glusterfs" | "hostPath" | "nfs" | "photonPersistentDisk" | "projected" | "quobyte" | "scaleIO" | "secret"
            | "storageos"
    }
    /// `v1.GCEPersistentDiskVolumeSource`.
    GcePersistentDisk {
        pd_name("pdName"): Istr, read_only("readOnly"): bool;
        irrelevant "fsType" | "partition"
    }
    /// `v1.AWSElasticBlockStoreVolumeSource`.
    AwsElasticBlockStore { volume_id("volumeID"): Istr; irrelevant "fsType" | "partition" | "readOnly" }
    /// `v1.AzureDiskVolumeSource`.
    AzureDisk {
        disk_uri("diskURI"): Istr;
        irrelevant "cachingMode" | "diskName" | "fsType" | "kind" | "readOnly"
    }
    /// A volume source that is known by its ID: Cinder, Portworx.
    IdentifiedVolume { volume_id("volumeID"): Istr; irrelevant "fsType" | "readOnly" | "secretRef" }
    /// `v1.ISCSIVolumeSource`.
    Iscsi {
        iqn("iqn"): Istr, read_only("readOnly"): bool;
        irrelevant "chapAuthDiscovery" | "chapAuthSession" | "fsType" | "initiatorName" | "iscsiInterface" | "lun"
            | "portals" | "secretRef" | "targetPortal"
    }
    /// `v1.RBDVolumeSource`; the pool as the API server defaults it.
    Rbd {
        monitors("monitors"): Vec<Istr>, pool("pool"): Istr, image("image"): Istr, read_only("readOnly"): bool;
        irrelevant "fsType" | "keyring" | "secretRef" | "user"
    }
    /// `v1.CSIVolumeSource`, inline.
    CsiVolume {
        driver("driver"): Istr;
        irrelevant "fsType" | "nodePublishSecretRef" | "readOnly" | "volumeAttributes"
    }
    /// `v1.PersistentVolumeClaimVolumeSource`.
    PersistentVolumeClaimSource { claim_name("claimName"): Istr, read_only("readOnly"): bool }
    /// `v1.ImageVolumeSource`.
    ImageVolume { reference("reference"): Istr; irrelevant "pullPolicy" }

    /// `v1.Affinity`.
    Affinity {
        node_affinity("nodeAffinity"): Option<NodeAffinity>,
        pod_affinity("podAffinity"): Option<PodAffinity>,
        pod_anti_affinity("podAntiAffinity"): Option<PodAffinity>,
    }
    /// `v1.NodeAffinity`.
    NodeAffinity {
        required("requiredDuringSchedulingIgnoredDuringExecution"): Option<NodeSelector>,
        preferred("preferredDuringSchedulingIgnoredDuringExecution"): Option<Vec<PreferredSchedulingTerm>>,
    }
    /// `v1.NodeSelector`.
    NodeSelector { node_selector_terms("nodeSelectorTerms"): Vec<NodeSelectorTerm> }
    /// `v1.NodeSelectorTerm`.
    NodeSelectorTerm {
        match_expressions("matchExpressions"): Vec<Requirement>,
        match_fields("matchFields"): Vec<Requirement>,
    }
    /// `v1.PreferredSchedulingTerm`.
    PreferredSchedulingTerm { weight("weight"): i32, preference("preference"): NodeSelectorTerm }
    /// A requirement of a label or node selector.
    Requirement { key("key"): Istr, operator("operator"): Istr, values("values"): Vec<Istr> }
    /// `metav1.LabelSelector`.
    LabelSelector {
        match_labels("matchLabels"): BTreeMap<Istr, Istr>,
        match_expressions("matchExpressions"): Vec<Requirement>,
    }
    /// `v1.PodAffinity` and `v1.PodAntiAffinity`.
    PodAffinity {
        required("requiredDuringSchedulingIgnoredDuringExecution"): Vec<PodAffinityTerm>,
        preferred("preferredDuringSchedulingIgnoredDuringExecution"): Vec<WeightedPodAffinityTerm>,
    }
    /// `v1.PodAffinityTerm`. What the API server has merged into the selector is irrelevant here.
    PodAffinityTerm {
        label_selector("labelSelector"): Option<LabelSelector>,
        namespaces("namespaces"): Vec<Istr>,
        namespace_selector("namespaceSelector"): Option<LabelSelector>,
        topology_key("topologyKey"): Istr;
        irrelevant "matchLabelKeys" | "mismatchLabelKeys"
    }
    /// `v1.WeightedPodAffinityTerm`.
    WeightedPodAffinityTerm { weight("weight"): i32, pod_affinity_term("podAffinityTerm"): PodAffinityTerm }

    /// `v1.TopologySpreadConstraint`.
    TopologySpreadConstraint {
        max_skew("maxSkew"): i32,
        topology_key("topologyKey"): Istr,
        when_unsatisfiable("whenUnsatisfiable"): Istr,
        label_selector("labelSelector"): Option<LabelSelector>,
        min_domains("minDomains"): Option<i32>,
        node_affinity_policy("nodeAffinityPolicy"): Istr,
        node_taints_policy("nodeTaintsPolicy"): Istr,
        match_label_keys("matchLabelKeys"): Vec<Istr>,
    }
    /// `v1.Toleration`.
    Toleration {
        key("key"): Istr, operator("operator"): Istr, value("value"): Istr, effect("effect"): Istr;
        irrelevant "tolerationSeconds"
    }
}

impl<'de> Deserialize<'de> for PodSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let unknown = Cell::default();
        let mut spec = Self::decode(deserializer, &Place::root("spec", &unknown))?;
        spec.unknown = unknown.into_inner();
        Ok(spec)
    }
}

/// Parts of a spec that are also decoded by themselves, or in other kinds: there nobody asks for unknown fields.
macro_rules! by_themselves {
    ($($name:ident),* $(,)?) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::decode(deserializer, &Place::ANYWHERE)
            }
        }
    )*};
}

by_themselves!(
    Affinity,
    AwsElasticBlockStore,
    AzureDisk,
    Container,
    CsiVolume,
    GcePersistentDisk,
    IdentifiedVolume,
    ImageVolume,
    Iscsi,
    LabelSelector,
    NodeAffinity,
    NodeSelector,
    NodeSelectorTerm,
    PersistentVolumeClaimSource,
    PodAffinity,
    PodAffinityTerm,
    PodResourceClaim,
    PreferredSchedulingTerm,
    Rbd,
    Requirement,
    ResourceRequirements,
    SchedulingGate,
    SchedulingGroup,
    Toleration,
    TopologySpreadConstraint,
    Volume,
    WeightedPodAffinityTerm
);

#[cfg(test)]
mod tests;
