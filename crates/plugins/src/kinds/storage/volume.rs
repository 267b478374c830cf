//! Persistent volumes.

use std::collections::BTreeMap;

use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node_selector::NodeSelector;
use plimsoll_framework::object::ObjectKind;
use plimsoll_framework::quantity::{Quantity, RawQuantity};
use serde::Deserialize;
use serde_json::Value;

use super::in_tree::{InTree, InTreeSources};
use super::{FILESYSTEM, Meta, PersistentVolumeClaim, class_of, decode, nullable, storage_in};

/// `v1` PersistentVolume.
#[derive(Debug)]
pub enum PersistentVolumeKind {}

/// The claim that a volume is bound to, or is kept for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRef {
    /// Its namespace.
    pub namespace: Istr,
    /// Its name.
    pub name: Istr,
    /// Its identity; empty where any claim of the name will do.
    pub uid: Istr,
}

/// Where a volume's data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// With a CSI driver.
    Csi {
        /// The driver.
        driver: Istr,
        /// What the driver calls the volume.
        handle: Istr,
    },
    /// With an in-tree plugin whose volumes a CSI driver can take over.
    InTree(Box<InTree>),
    /// Somewhere that no limit counts.
    Other,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistentVolume {
    /// Its name.
    pub name: Istr,
    /// Its version, as it is named when it is changed.
    pub resource_version: Box<str>,
    /// Its labels.
    pub labels: LabelSet,
    /// The storage class; empty where there is none.
    pub class: Istr,
    /// How much it holds.
    pub capacity: Quantity,
    /// How it can be accessed.
    pub access_modes: Box<[Istr]>,
    /// `Filesystem` or `Block`.
    pub volume_mode: Istr,
    /// The volume attributes class; empty where there is none.
    pub attributes_class: Istr,
    /// Whether it is free.
    pub available: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// The claim it belongs to.
    pub claim: Option<ClaimRef>,
    /// The nodes it can be reached from; `None`: all of them.
    pub node_affinity: Option<NodeSelector>,
    /// Where its data is.
    pub source: Source,
}

impl PersistentVolume {
    /// Whether it belongs to this claim, or is kept for it.
    pub fn belongs_to(&self, claim: &PersistentVolumeClaim) -> bool {
        self.claim.as_ref().is_some_and(|owner| {
            owner.namespace == claim.namespace
                && owner.name == claim.name
                && (owner.uid.is_empty() || owner.uid == claim.uid)
        })
    }
}

/// Whether a node with these labels is selected. Volumes know nodes by their labels only, not by name.
pub(super) fn reaches(affinity: Option<&NodeSelector>, labels: &LabelSet) -> bool {
    affinity.is_none_or(|nodes| nodes.matches(&Istr::default(), labels))
}

impl PersistentVolume {
    /// Whether a node with these labels can reach it.
    pub fn is_reachable_from(&self, labels: &LabelSet) -> bool {
        reaches(self.node_affinity.as_ref(), labels)
    }
}

/// A term that cannot be read selects nothing, as it does in kube-scheduler; the others still count.
pub(super) fn affinity(required: &api::NodeSelector) -> Result<NodeSelector, String> {
    let readable = |term: &&api::NodeSelectorTerm| {
        NodeSelector::compile(&api::NodeSelector { node_selector_terms: vec![(*term).clone()] }).is_ok()
    };
    let node_selector_terms = required.node_selector_terms.iter().filter(readable).cloned().collect();
    NodeSelector::compile(&api::NodeSelector { node_selector_terms }).map_err(|error| error.to_string())
}

impl ObjectKind for PersistentVolumeKind {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "persistentvolumes";
    const KIND: &'static str = "PersistentVolume";
    const NAMESPACED: bool = false;
    type Object = PersistentVolume;

    fn decode(json: &Value) -> Result<PersistentVolume, String> {
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
            capacity: BTreeMap<Istr, RawQuantity>,
            #[serde(deserialize_with = "nullable")]
            access_modes: Vec<Istr>,
            volume_mode: Option<Istr>,
            volume_attributes_class_name: Option<Istr>,
            claim_ref: Option<Claim>,
            #[serde(deserialize_with = "nullable")]
            node_affinity: VolumeNodeAffinity,
            csi: Option<Csi>,
            #[serde(flatten)]
            in_tree: InTreeSources,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Claim {
            #[serde(deserialize_with = "nullable")]
            namespace: Istr,
            #[serde(deserialize_with = "nullable")]
            name: Istr,
            #[serde(deserialize_with = "nullable")]
            uid: Istr,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct VolumeNodeAffinity {
            required: Option<api::NodeSelector>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Csi {
            driver: Istr,
            volume_handle: Istr,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Status {
            phase: Option<Istr>,
        }
        let Raw { metadata: meta, spec, status } = decode(json)?;
        let required = spec.node_affinity.required.as_ref();
        let source = match (spec.csi, InTree::read(&spec.in_tree, &meta.labels, required)?) {
            (Some(csi), _) => Source::Csi { driver: csi.driver, handle: csi.volume_handle },
            (None, Some(in_tree)) => Source::InTree(Box::new(in_tree)),
            (None, None) => Source::Other,
        };
        Ok(PersistentVolume {
            class: class_of(&meta, spec.storage_class_name),
            name: meta.name,
            resource_version: meta.resource_version,
            labels: LabelSet::from(&meta.labels),
            capacity: storage_in(&spec.capacity)?.unwrap_or_default(),
            access_modes: spec.access_modes.into(),
            volume_mode: spec.volume_mode.unwrap_or_else(|| FILESYSTEM.into()),
            attributes_class: spec.volume_attributes_class_name.unwrap_or_default(),
            available: status.phase.as_deref() == Some("Available"),
            terminating: meta.deletion_timestamp.is_some(),
            claim: spec.claim_ref.map(|c| ClaimRef { namespace: c.namespace, name: c.name, uid: c.uid }),
            node_affinity: required.map(affinity).transpose()?,
            source,
        })
    }
}
