//! Kinds of storage: claims, volumes, classes, and what CSI drivers tell of themselves and of nodes.

use std::collections::BTreeMap;

use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::{LabelSelector, LabelSet};
use plimsoll_framework::object::ObjectKind;
use plimsoll_framework::quantity::{Quantity, RawQuantity};
use serde::Deserialize;
use serde_json::Value;

use super::{Meta, decode, nullable};

mod csi;
mod in_tree;
mod volume;

pub use csi::{
    CsiDriver, CsiDriverKind, CsiNode, CsiNodeKind, CsiStorageCapacity, CsiStorageCapacityKind, VolumeAttachment,
    VolumeAttachmentKind,
};
pub use in_tree::{InTree, InTreePlugin};
pub use volume::{ClaimRef, PersistentVolume, PersistentVolumeKind, Source};

/// The class of claims and volumes was an annotation once, which still goes before the field.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
pub(crate) const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// What is not said is this.
const FILESYSTEM: &str = "Filesystem";

fn class_of(meta: &Meta, field: Option<Istr>) -> Istr {
    meta.annotation(CLASS_ANNOTATION).map(Istr::new).or(field).unwrap_or_default()
}

/// The amount of storage in a list of resources.
fn storage_in(resources: &BTreeMap<Istr, RawQuantity>) -> Result<Option<Quantity>, String> {
    let written = resources.iter().find(|(name, _)| &***name == "storage");
    written.map(|(_, amount)| Quantity::parse(&amount.0)).transpose().map_err(|error| error.to_string())
}

fn selector(written: Option<&api::LabelSelector>) -> Result<Option<LabelSelector>, String> {
    written.map(LabelSelector::compile).transpose().map_err(|error| error.to_string())
}

/// `v1` PersistentVolumeClaim.
#[derive(Debug)]
pub enum PersistentVolumeClaimKind {}

/// A claim.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each says something of its own")]
pub struct PersistentVolumeClaim {
    /// Its namespace.
    pub namespace: Istr,
    /// Its name.
    pub name: Istr,
    /// Its identity.
    pub uid: Istr,
    /// Its version, as it is named when it is changed.
    pub resource_version: Box<str>,
    /// Whether it has any annotation.
    pub is_annotated: bool,
    /// The identity of the object that controls it.
    pub controller: Option<Istr>,
    /// The storage class; empty where there is none.
    pub class: Istr,
    /// The volume it is bound to, or wants to be bound to; empty where there is none.
    pub volume_name: Istr,
    /// Whether the binding to the volume is complete.
    pub bind_completed: bool,
    /// The node that a scheduler has chosen for its first consumer.
    pub selected_node: Option<Istr>,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it has lost its volume.
    pub lost: bool,
    /// How much storage it asks for.
    pub request: Option<Quantity>,
    /// How the volume is to be accessed.
    pub access_modes: Box<[Istr]>,
    /// `Filesystem` or `Block`.
    pub volume_mode: Istr,
    /// The volume attributes class; empty where there is none.
    pub attributes_class: Istr,
    /// Which volumes will do, by their labels.
    pub selector: Option<LabelSelector>,
}

impl PersistentVolumeClaim {
    /// Whether it is bound for good.
    pub fn is_fully_bound(&self) -> bool {
        !self.volume_name.is_empty() && self.bind_completed
    }

    /// Whether it was made for the pod of this identity alone.
    pub fn is_controlled_by(&self, uid: &str) -> bool {
        self.controller.as_deref() == Some(uid)
    }
}

impl ObjectKind for PersistentVolumeClaimKind {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "persistentvolumeclaims";
    const KIND: &'static str = "PersistentVolumeClaim";
    type Object = PersistentVolumeClaim;

    fn decode(json: &Value) -> Result<PersistentVolumeClaim, String> {
        #[derive(Deserialize)]
        struct Raw {
            metadata: Meta,
            #[serde(default, deserialize_with = "nullable")]
            spec: Spec,
            #[serde(default, deserialize_with = "nullable")]
            status: Status,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Spec {
            storage_class_name: Option<Istr>,
            #[serde(deserialize_with = "nullable")]
            volume_name: Istr,
            #[serde(deserialize_with = "nullable")]
            resources: api::ResourceRequirements,
            #[serde(deserialize_with = "nullable")]
            access_modes: Vec<Istr>,
            volume_mode: Option<Istr>,
            volume_attributes_class_name: Option<Istr>,
            selector: Option<api::LabelSelector>,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Status {
            phase: Option<Istr>,
        }
        let Raw { metadata: meta, spec, status } = decode(json)?;
        Ok(PersistentVolumeClaim {
            class: class_of(&meta, spec.storage_class_name),
            bind_completed: meta.annotation(BIND_COMPLETED).is_some(),
            is_annotated: !meta.annotations.is_empty(),
            selected_node: meta.annotation(SELECTED_NODE).map(Istr::new),
            controller: meta.owner_references.into_iter().find(|o| o.controller == Some(true)).map(|o| o.uid),
            namespace: meta.namespace,
            name: meta.name,
            uid: meta.uid,
            resource_version: meta.resource_version,
            volume_name: spec.volume_name,
            terminating: meta.deletion_timestamp.is_some(),
            lost: status.phase.as_deref() == Some("Lost"),
            request: storage_in(&spec.resources.requests)?,
            access_modes: spec.access_modes.into(),
            volume_mode: spec.volume_mode.unwrap_or_else(|| FILESYSTEM.into()),
            attributes_class: spec.volume_attributes_class_name.unwrap_or_default(),
            selector: selector(spec.selector.as_ref())?,
        })
    }
}

/// `storage.k8s.io/v1` StorageClass.
#[derive(Debug)]
pub enum StorageClassKind {}

/// When claims of a class are bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingMode {
    /// As soon as they exist.
    Immediate,
    /// When a pod that uses them has a node.
    WaitForFirstConsumer,
}

/// A part of a cluster: nodes that have one of the values for every key.
pub type Topology = Box<[(Istr, Box<[Istr]>)]>;

/// A storage class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageClass {
    /// Its name.
    pub name: Istr,
    /// Who makes its volumes; empty where it is not said.
    pub provisioner: Istr,
    /// When its claims are bound; `None` where it is not said.
    pub binding_mode: Option<BindingMode>,
    /// Where its volumes can be made, as alternatives. Empty: anywhere.
    pub allowed_topologies: Box<[Topology]>,
}

impl StorageClass {
    /// Whether a volume can be made at all, and where.
    pub fn can_provision_at(&self, labels: &LabelSet) -> bool {
        let has_provisioner = !matches!(&*self.provisioner, "" | "kubernetes.io/no-provisioner");
        let one_of = |(key, values): &(Istr, Box<[Istr]>)| labels.get(key).is_some_and(|value| values.contains(value));
        // A term that asks for nothing selects nothing.
        let allowed = |term: &[(Istr, Box<[Istr]>)]| !term.is_empty() && term.iter().all(one_of);
        let topologies = &self.allowed_topologies;
        has_provisioner && (topologies.is_empty() || topologies.iter().any(|term| allowed(term)))
    }
}

impl ObjectKind for StorageClassKind {
    const GROUP: &'static str = "storage.k8s.io";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "storageclasses";
    const KIND: &'static str = "StorageClass";
    const NAMESPACED: bool = false;
    type Object = StorageClass;

    fn decode(json: &Value) -> Result<StorageClass, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            metadata: Meta,
            #[serde(default, deserialize_with = "nullable")]
            provisioner: Istr,
            volume_binding_mode: Option<Istr>,
            #[serde(default, deserialize_with = "nullable")]
            allowed_topologies: Vec<Term>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Term {
            #[serde(default, deserialize_with = "nullable")]
            match_label_expressions: Vec<Expression>,
        }
        #[derive(Deserialize)]
        struct Expression {
            key: Istr,
            #[serde(default, deserialize_with = "nullable")]
            values: Vec<Istr>,
        }
        let raw: Raw = decode(json)?;
        let binding_mode = match raw.volume_binding_mode.as_deref() {
            None => None,
            Some("WaitForFirstConsumer") => Some(BindingMode::WaitForFirstConsumer),
            // kube-scheduler waits for that one word and takes every other for the opposite.
            Some(_) => Some(BindingMode::Immediate),
        };
        let term = |t: Term| t.match_label_expressions.into_iter().map(|e| (e.key, e.values.into())).collect();
        Ok(StorageClass {
            name: raw.metadata.name,
            provisioner: raw.provisioner,
            binding_mode,
            allowed_topologies: raw.allowed_topologies.into_iter().map(term).collect(),
        })
    }
}

#[cfg(test)]
mod tests;
