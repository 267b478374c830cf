//! Pods, parsed once.
//!
//! A [`PodInfo`] is one pod; what scheduling reads of its spec is a [`PodSpecInfo`], shared by all pods that are alike.
//! Parsing never fails: what cannot be read is noted, the pod is admitted with the rest, and the engine reports it
//! instead of scheduling it, so that one bad object stands in nobody's way.

mod affinity;
mod annotations;
mod group;
mod refusal;
mod requests;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::api;
use crate::intern::Istr;
use crate::labels::{LabelSet, Shared};
use crate::node_selector::NodeAffinity;
use crate::ports::HostPort;
use crate::time;
use crate::toleration::Toleration;

pub use affinity::{PodAffinity, PodAffinityTerm, SpreadConstraint, WeightedPodAffinityTerm};
pub(crate) use annotations::annotations;
pub use group::{GroupKey, GroupRef, NamedBy};
pub use refusal::{KubeletRefusal, RefusalKind};
pub(crate) use requests::resource_list;
pub use requests::{DEFAULT_MEMORY_REQUEST_BYTES, DEFAULT_MILLI_CPU_REQUEST, PodRequests};

/// The identity of an object, for ever: a new object under an old name has another one.
#[derive(Clone)]
pub struct Uid {
    text: Arc<str>,
    /// Of the text: pods are looked up by identity a dozen times on their way.
    hash: u64,
}

impl Uid {
    /// The identity written as `text`.
    pub fn new(text: &str) -> Self {
        // Folds eight bytes at a time (as FNV does one): UIDs are given out by the API server, nobody chooses them.
        let fold = |hash: u64, part: &[u8]| {
            let part = part.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
            (hash.rotate_left(29) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        let hash = text.as_bytes().chunks(8).fold(0xcbf2_9ce4_8422_2325, fold);
        Self { text: text.into(), hash: hash ^ hash >> 32 }
    }
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
impl PartialEq for Uid {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}
impl Eq for Uid {}
impl Hash for Uid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}
impl PartialOrd for Uid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Uid {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}
impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Where a pod is found and which one it is. Displays as `namespace/name`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct PodKey {
    /// The pod's namespace.
    pub namespace: Istr,
    /// The pod's name. Not interned: names hardly ever repeat.
    pub name: Arc<str>,
    /// The pod's identity.
    pub uid: Uid,
}

impl fmt::Display for PodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What of an object could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field, as a path from the object's root.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

/// The faults found while parsing one object; the first ten are kept, of each the beginning: it may quote what stands
/// in the object, and goes into conditions, events and logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    const KEPT: usize = 10;
    /// In characters.
    const LONGEST: usize = 512;

    pub(crate) fn note(&mut self, field: String, problem: impl ToString) {
        if self.0.len() < Self::KEPT {
            self.0.push(Fault { field: Self::cut(field), problem: Self::cut(problem.to_string()) });
        }
    }

    fn cut(mut text: String) -> String {
        if let Some((end, _)) = text.char_indices().nth(Self::LONGEST) {
            text.truncate(end);
            text.push('…');
            text.shrink_to_fit();
        }
        text
    }

    /// A single fault of the object as a whole.
    pub fn one(field: &str, problem: impl ToString) -> Self {
        let mut faults = Self::default();
        faults.note(field.to_owned(), problem);
        faults
    }

    /// Whether everything could be read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults in the order they were met.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if i > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

/// A volume, as far as placement is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VolumeUse {
    /// A claim of this name in the pod's namespace.
    Claim(Istr),
    /// A claim that is made for the pod, from the volume of this name (see [`PodInfo::ephemeral_claim`]).
    Ephemeral(Istr),
    /// A GCE persistent disk.
    GcePersistentDisk {
        /// The disk's name.
        name: Istr,
        /// Whether the pod only reads it.
        read_only: bool,
    },
    /// An AWS EBS volume.
    AwsElasticBlockStore {
        /// Its ID, as it is written: `vol-1` or `aws://zone/vol-1`.
        volume_id: Istr,
    },
    /// An iSCSI disk.
    Iscsi {
        /// The target's name.
        iqn: Istr,
        /// Whether the pod only reads it.
        read_only: bool,
    },
    /// A RADOS block device.
    Rbd {
        /// The monitors it is reached by.
        monitors: Box<[Istr]>,
        /// The pool it is in.
        pool: Istr,
        /// The image.
        image: Istr,
        /// Whether the pod only reads it.
        read_only: bool,
    },
    /// An Azure disk.
    AzureDisk {
        /// Its URI.
        uri: Istr,
    },
    /// An Azure file share.
    AzureFile,
    /// A Cinder volume.
    Cinder {
        /// Its ID.
        volume_id: Istr,
    },
    /// A Portworx volume.
    Portworx {
        /// Its ID.
        volume_id: Istr,
    },
    /// A vSphere volume.
    Vsphere,
    /// An inline volume of a CSI driver, which lives and dies with the pod.
    Csi {
        /// The driver.
        driver: Istr,
    },
}

/// Everything that scheduling reads of a pod's spec, compiled once and shared by all pods that are alike. Labels,
/// names and the node are not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct PodSpecInfo {
    /// What the pod asks for.
    pub requests: PodRequests,
    /// `spec.priority`, 0 where there is none.
    pub priority: i32,
    /// Whether `preemptionPolicy` is `Never`.
    pub never_preempts: bool,
    /// `nodeSelector` and node affinity.
    pub node_affinity: NodeAffinity,
    /// Tolerations in their order.
    pub tolerations: Box<[Toleration]>,
    /// Host ports of the containers that run for the pod's whole life.
    pub host_ports: Box<[HostPort]>,
    /// Images of init containers, containers and image volumes, with their tag; repeated ones count repeatedly.
    pub images: Box<[Istr]>,
    /// Number of init containers and containers.
    pub container_count: u32,
    /// Names of the scheduling gates still closed, in their order.
    pub scheduling_gates: Box<[Istr]>,
    /// Affinity and anti-affinity to other pods.
    pub pod_affinity: PodAffinity,
    /// Topology spread constraints.
    pub spread: Box<[SpreadConstraint]>,
    /// Volumes that bear on placement.
    pub volumes: Box<[VolumeUse]>,
    /// Names of the resource claims.
    pub resource_claims: Box<[Istr]>,
    /// Node features the pod needs (`status.declaredFeatures` of the node), sorted.
    pub required_features: Box<[Istr]>,
    /// Names of the extended resources that a container asks for or is limited to, in whatever amount, sorted.
    pub extended_resources: Box<[Istr]>,
}

/// The `PodScheduled` condition as the API server has it, so that a write that changes nothing is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledCondition {
    /// `True`, `False` or `Unknown`.
    pub status: Istr,
    /// Such as `Unschedulable`.
    pub reason: Istr,
    /// The text.
    pub message: Box<str>,
}

/// The controller of a pod, as its owner reference names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Such as `apps/v1`.
    pub api_version: Istr,
    /// Such as `ReplicaSet`.
    pub kind: Istr,
    /// Its name, in the pod's namespace.
    pub name: Istr,
    /// Its identity.
    pub uid: Istr,
}

/// One pod.
#[derive(Clone, Debug, PartialEq)]
pub struct PodInfo {
    /// Where it is found and which one it is.
    pub key: PodKey,
    /// The version of the object; greater is newer. 0 where the server gave none that can be compared.
    pub resource_version: u64,
    /// `metadata.generation`.
    pub generation: i64,
    /// Which scheduler, and which of its profiles, is to place it.
    pub scheduler_name: Istr,
    /// Its labels, shared.
    pub labels: Arc<LabelSet>,
    /// What scheduling reads of its spec, shared.
    pub spec: Arc<PodSpecInfo>,
    /// The group it is to be placed with.
    pub group: Option<Box<GroupRef>>,
    /// The node it is assigned to.
    pub node_name: Option<Istr>,
    /// The node that is being cleared for it.
    pub nominated_node_name: Option<Istr>,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it has run to its end (`Succeeded` or `Failed`) and takes up nothing any more.
    pub finished: bool,
    /// The controller that made it.
    pub owner: Option<Arc<Owner>>,
    /// `status.startTime`, in seconds since 1970.
    pub start_seconds: Option<i64>,
    /// Whether a scheduler has taken it off its node for the sake of another pod (condition `DisruptionTarget`).
    pub preempted: bool,
    /// The `PodScheduled` condition, if there is one.
    pub scheduled: Option<Box<ScheduledCondition>>,
    /// The annotations that plugins declared, sorted by key.
    pub annotations: Box<[(Istr, Box<str>)]>,
    /// What could not be read; such a pod is reported, not scheduled.
    pub faults: Option<Box<Faults>>,
}

/// Turns objects into [`PodInfo`]s, sharing what is alike. One for each stream of pods.
#[derive(Debug, Default)]
pub struct PodParser {
    specs: Shared<PodSpecInfo>,
    labels: Shared<LabelSet>,
    owners: Shared<Owner>,
    annotation_keys: Vec<Istr>,
}

impl PodParser {
    /// A parser that keeps the values of these annotations.
    pub fn new(annotation_keys: Vec<Istr>) -> Self {
        Self { annotation_keys, ..Self::default() }
    }

    /// Parses a pod.
    pub fn parse(&mut self, pod: &api::Pod) -> PodInfo {
        let mut faults = Faults::default();
        let spec = spec_info(pod, &mut faults);
        let (meta, status) = (&pod.metadata, &pod.status);
        let some = |s: &Istr| (!s.is_empty()).then(|| s.clone());
        let labels = self.labels.share(LabelSet::from(&meta.labels));
        PodInfo {
            key: PodKey { namespace: meta.namespace.clone(), name: Arc::from(&*meta.name), uid: Uid::new(&meta.uid) },
            resource_version: meta.resource_version.parse().unwrap_or(0),
            generation: meta.generation,
            scheduler_name: pod.spec.scheduler_name.clone(),
            labels: Arc::clone(&labels),
            spec: self.specs.share(spec),
            group: GroupRef::of(&labels, pod.spec.scheduling_group.as_ref()).map(Box::new),
            node_name: some(&pod.spec.node_name),
            nominated_node_name: some(&status.nominated_node_name),
            terminating: meta.deletion_timestamp.is_some(),
            finished: matches!(&*status.phase, "Succeeded" | "Failed"),
            owner: meta.owner_references.iter().find(|o| o.controller).map(|o| {
                self.owners.share(Owner {
                    api_version: o.api_version.clone(),
                    kind: o.kind.clone(),
                    name: o.name.clone(),
                    uid: o.uid.clone(),
                })
            }),
            start_seconds: status.start_time.as_deref().and_then(time::unix_seconds),
            preempted: status
                .conditions
                .iter()
                .find(|c| &*c.kind == "DisruptionTarget")
                .is_some_and(|c| &*c.status == "True" && &*c.reason == "PreemptionByScheduler"),
            scheduled: status.conditions.iter().find(|c| &*c.kind == "PodScheduled").map(|c| {
                Box::new(ScheduledCondition {
                    status: c.status.clone(),
                    reason: c.reason.clone(),
                    message: c.message.clone(),
                })
            }),
            annotations: annotations(meta, &self.annotation_keys, &mut faults),
            faults: (!faults.is_empty()).then(|| Box::new(faults)),
        }
    }
}

fn spec_info(pod: &api::Pod, faults: &mut Faults) -> PodSpecInfo {
    let spec = &pod.spec;
    let affinity = spec.affinity.as_ref();
    let node_affinity =
        NodeAffinity::compile(spec.node_selector.as_ref(), affinity.and_then(|a| a.node_affinity.as_ref()))
            .unwrap_or_else(|e| {
                faults.note("spec.affinity.nodeAffinity".to_owned(), e);
                NodeAffinity::default()
            });
    let containers = spec.init_containers.iter().chain(&spec.containers);
    let volume_images = spec.volumes.iter().filter_map(|v| v.image.as_ref()).map(|i| &i.reference);
    PodSpecInfo {
        requests: requests::requests(pod, faults),
        priority: spec.priority.unwrap_or(0),
        never_preempts: &*spec.preemption_policy == "Never",
        node_affinity,
        tolerations: spec.tolerations.iter().map(Toleration::from).collect(),
        host_ports: host_ports(spec),
        images: containers.clone().map(|c| &c.image).chain(volume_images).map(normalized_image).collect(),
        container_count: u32::try_from(containers.count()).unwrap_or(u32::MAX),
        scheduling_gates: spec.scheduling_gates.iter().map(|g| g.name.clone()).collect(),
        pod_affinity: affinity::pod_affinity(affinity, &pod.metadata.namespace, faults),
        spread: affinity::spread_constraints(&spec.topology_spread_constraints, faults),
        volumes: volumes(spec),
        resource_claims: spec.resource_claims.iter().map(|c| c.name.clone()).collect(),
        required_features: required_features(spec),
        extended_resources: extended_resources(spec),
    }
}

/// Sidecars and containers; ordinary init containers have ended when the pod's ports open.
fn host_ports(spec: &api::PodSpec) -> Box<[HostPort]> {
    let sidecars = spec.init_containers.iter().filter(|c| &*c.restart_policy == "Always");
    let ports = sidecars.chain(&spec.containers).flat_map(|c| &c.ports).filter(|p| p.host_port > 0);
    ports.map(|p| HostPort::new(&p.host_ip, &p.protocol, p.host_port)).collect()
}

/// An image without tag or digest means `:latest`. A colon before the last slash belongs to a port.
fn normalized_image(image: &Istr) -> Istr {
    match (image.rfind(':'), image.rfind('/')) {
        (Some(colon), slash) if slash.is_none_or(|slash| colon > slash) => image.clone(),
        _ => Istr::from(format!("{image}:latest")),
    }
}

fn volumes(spec: &api::PodSpec) -> Box<[VolumeUse]> {
    spec.volumes.iter().filter_map(volume).collect()
}

/// A volume has one source; where it has several, claims count first, as everybody who reads volumes looks for them first.
fn volume(v: &api::Volume) -> Option<VolumeUse> {
    if let Some(claim) = &v.persistent_volume_claim {
        return Some(VolumeUse::Claim(claim.claim_name.clone()));
    }
    if v.ephemeral.is_some() {
        return Some(VolumeUse::Ephemeral(v.name.clone()));
    }
    if let Some(disk) = &v.gce_persistent_disk {
        return Some(VolumeUse::GcePersistentDisk { name: disk.pd_name.clone(), read_only: disk.read_only });
    }
    if let Some(disk) = &v.aws_elastic_block_store {
        return Some(VolumeUse::AwsElasticBlockStore { volume_id: disk.volume_id.clone() });
    }
    if let Some(disk) = &v.iscsi {
        return Some(VolumeUse::Iscsi { iqn: disk.iqn.clone(), read_only: disk.read_only });
    }
    if let Some(disk) = &v.rbd {
        let (monitors, pool, image) = (disk.monitors.clone().into(), disk.pool.clone(), disk.image.clone());
        return Some(VolumeUse::Rbd { monitors, pool, image, read_only: disk.read_only });
    }
    if let Some(disk) = &v.azure_disk {
        return Some(VolumeUse::AzureDisk { uri: disk.disk_uri.clone() });
    }
    if let Some(disk) = &v.cinder {
        return Some(VolumeUse::Cinder { volume_id: disk.volume_id.clone() });
    }
    if let Some(disk) = &v.portworx_volume {
        return Some(VolumeUse::Portworx { volume_id: disk.volume_id.clone() });
    }
    if let Some(csi) = &v.csi {
        return Some(VolumeUse::Csi { driver: csi.driver.clone() });
    }
    let file = v.azure_file.as_ref().map(|_| VolumeUse::AzureFile);
    file.or_else(|| v.vsphere_volume.as_ref().map(|_| VolumeUse::Vsphere))
}

/// Also of what is limited and not asked for, and of none of something: extenders go by the name alone.
fn extended_resources(spec: &api::PodSpec) -> Box<[Istr]> {
    let containers = spec.init_containers.iter().chain(&spec.containers);
    let named = containers.flat_map(|c| c.resources.requests.keys().chain(c.resources.limits.keys()));
    let mut names: Vec<Istr> = named.filter(|name| name.contains('/')).cloned().collect();
    names.sort();
    names.dedup();
    names.into()
}

/// Reference section 4.9.
fn required_features(spec: &api::PodSpec) -> Box<[Istr]> {
    let mut features = Vec::new();
    let mut rules = spec.init_containers.iter().chain(&spec.containers).flat_map(|c| &c.restart_policy_rules);
    if rules.any(|r| &*r.action == "RestartAllContainers") {
        features.push("RestartAllContainersOnContainerExits".into());
    }
    if spec.host_network && spec.host_users == Some(false) {
        features.push("UserNamespacesHostNetworkSupport".into());
    }
    features.into()
}

impl PodInfo {
    /// `spec.priority`, 0 where there is none.
    pub fn priority(&self) -> i32 {
        self.spec.priority
    }

    /// The names of the claims that its volumes are made of: those it names, in the order of its volumes. Claims made for
    /// the pod alone are not among them.
    pub fn claims(&self) -> impl Iterator<Item = &Istr> {
        self.spec.volumes.iter().filter_map(|volume| match volume {
            VolumeUse::Claim(name) => Some(name),
            _ => None,
        })
    }

    /// The name of the claim that is made for the pod from its ephemeral volume of this name.
    pub fn ephemeral_claim(&self, volume: &Istr) -> Istr {
        Istr::from(format!("{}-{volume}", self.key.name))
    }

    /// The value of a declared annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.iter().find(|(k, _)| &**k == key).map(|(_, v)| &**v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> PodInfo {
        PodParser::new(vec!["team".into()]).parse(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn extended_resources_are_named_whether_asked_for_or_limited_to() {
        let rows = [
            (r#"{"containers":[{"resources":{"requests":{"cpu":"1"},"limits":{"memory":"1Gi"}}}]}"#, &[][..]),
            (r#"{"containers":[{"resources":{"requests":{"a/gpu":"0"}}}]}"#, &["a/gpu"]),
            (r#"{"containers":[{"resources":{"limits":{"a/gpu":"1"}}}]}"#, &["a/gpu"]),
            (
                r#"{"containers":[{"resources":{"requests":{"b/x":"1","a/gpu":"1"},"limits":{"a/gpu":"1"}}}],
                    "initContainers":[{"resources":{"limits":{"c/y":"2"}}}]}"#,
                &["a/gpu", "b/x", "c/y"],
            ),
        ];
        for (spec, expect) in rows {
            let pod = parse(&format!(r#"{{"metadata":{{"name":"p"}},"spec":{spec}}}"#));
            let names: Vec<&str> = pod.spec.extended_resources.iter().map(|n| &**n).collect();
            assert_eq!(names, expect, "{spec}");
        }
    }

    #[test]
    fn pods_that_are_alike_share_their_spec() {
        let mut parser = PodParser::default();
        let mut pod = |name: &str, job: &str| {
            let json = format!(
                r#"{{"metadata":{{"name":"{name}","uid":"u-{name}","labels":{{"job":"{job}"}}}},
                     "spec":{{"nodeName":"n-{name}","containers":[{{"name":"c","image":"a"}}]}}}}"#
            );
            parser.parse(&serde_json::from_str(&json).unwrap())
        };
        let (a, b, c) = (pod("a", "1"), pod("b", "1"), pod("c", "2"));
        assert!(Arc::ptr_eq(&a.spec, &b.spec) && Arc::ptr_eq(&a.spec, &c.spec));
        assert!(Arc::ptr_eq(&a.labels, &b.labels) && !Arc::ptr_eq(&a.labels, &c.labels));
    }

    #[test]
    fn what_cannot_be_read_is_noted_and_the_rest_is_kept() {
        let pod = parse(
            r#"{"metadata":{"name":"p","annotations":{"team":"a","other":"b"}},"spec":{
              "containers":[{"resources":{"requests":{"cpu":"1x","memory":"1Gi"}}}],
              "affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[
                {"topologyKey":"z","labelSelector":{"matchExpressions":[{"key":"a","operator":"Foo"}]}}]}},
              "topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"z","whenUnsatisfiable":"Sometimes"}]}}"#,
        );
        let faults: Vec<String> = pod.faults.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "spec.containers[0].resources.requests[cpu]: \"1x\" is not a quantity (such as 2, 100m, 1.5Gi or 3e6)",
                "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: operator \"Foo\" of key \"a\" is not one of In, NotIn, Exists, DoesNotExist",
                "spec.topologySpreadConstraints[0].whenUnsatisfiable: \"Sometimes\" is not one of DoNotSchedule, ScheduleAnyway",
            ]
        );
        assert_eq!(pod.spec.requests.filter.memory_bytes, 1 << 30);
        assert_eq!(&*pod.annotations, [("team".into(), "a".into())]);
    }

    #[test]
    fn images_get_their_tag() {
        let rows = [
            ("nginx", "nginx:latest"),
            ("nginx:1", "nginx:1"),
            ("reg:5000/img", "reg:5000/img:latest"),
            ("reg:5000/img:2", "reg:5000/img:2"),
            ("img@sha256:00", "img@sha256:00"),
        ];
        for (image, expect) in rows {
            assert_eq!(&*normalized_image(&image.into()), expect);
        }
    }

    #[test]
    fn volumes_that_bear_on_placement_are_kept() {
        let pod = parse(
            r#"{"metadata":{"name":"p"},"spec":{"volumes":[
              {"name":"a","emptyDir":{}}, {"name":"b","persistentVolumeClaim":{"claimName":"c","readOnly":true}},
              {"name":"e","ephemeral":{"volumeClaimTemplate":{}}},
              {"name":"g","gcePersistentDisk":{"pdName":"d","readOnly":true}},
              {"name":"w","awsElasticBlockStore":{"volumeID":"vol-1"}}, {"name":"i","iscsi":{"iqn":"q"}},
              {"name":"r","rbd":{"monitors":["m"],"pool":"p","image":"i"}},
              {"name":"z","azureDisk":{"diskURI":"u"}}, {"name":"f","azureFile":{}},
              {"name":"o","cinder":{"volumeID":"c1"}}, {"name":"x","portworxVolume":{"volumeID":"x1"}},
              {"name":"v","vsphereVolume":{}}, {"name":"s","csi":{"driver":"d.example.com"}}]}}"#,
        );
        let rbd = ["m".into()].into();
        let expect = [
            VolumeUse::Claim("c".into()),
            VolumeUse::Ephemeral("e".into()),
            VolumeUse::GcePersistentDisk { name: "d".into(), read_only: true },
            VolumeUse::AwsElasticBlockStore { volume_id: "vol-1".into() },
            VolumeUse::Iscsi { iqn: "q".into(), read_only: false },
            VolumeUse::Rbd { monitors: rbd, pool: "p".into(), image: "i".into(), read_only: false },
            VolumeUse::AzureDisk { uri: "u".into() },
            VolumeUse::AzureFile,
            VolumeUse::Cinder { volume_id: "c1".into() },
            VolumeUse::Portworx { volume_id: "x1".into() },
            VolumeUse::Vsphere,
            VolumeUse::Csi { driver: "d.example.com".into() },
        ];
        assert_eq!(*pod.spec.volumes, expect);
        assert_eq!(pod.claims().collect::<Vec<_>>(), [&Istr::new("c")]);
        assert_eq!(&*pod.ephemeral_claim(&"e".into()), "p-e");
    }

    #[test]
    fn only_long_running_containers_hold_host_ports() {
        let port = |p: i32| format!(r#""ports":[{{"hostPort":{p}}}]"#);
        let pod = parse(&format!(
            r#"{{"spec":{{"initContainers":[{{{}}},{{"restartPolicy":"Always",{}}}],"containers":[{{{}}},{{"ports":[{{"containerPort":1}}]}}]}}}}"#,
            port(1),
            port(2),
            port(3)
        ));
        let ports: Vec<i32> = pod.spec.host_ports.iter().map(|p| p.port).collect();
        assert_eq!(ports, [2, 3]);
    }
}
