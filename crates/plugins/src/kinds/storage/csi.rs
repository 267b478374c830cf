//! What CSI drivers tell: which of them a node has, how many volumes it takes, what is attached, where there is room.

use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSelector;
use plimsoll_framework::object::ObjectKind;
use plimsoll_framework::quantity::{Quantity, RawQuantity};
use serde::Deserialize;
use serde_json::Value;

use super::in_tree::InTreePlugin;
use super::{Meta, decode, nullable, selector};

const MIGRATED_PLUGINS: &str = "storage.alpha.kubernetes.io/migrated-plugins";

/// `storage.k8s.io/v1` CSINode.
#[derive(Debug)]
pub enum CsiNodeKind {}

/// The CSI drivers of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsiNode {
    /// The node's name.
    pub name: Istr,
    /// The drivers, each with how many volumes it can attach, if that is limited.
    pub drivers: Box<[(Istr, Option<i64>)]>,
    /// The in-tree plugins whose volumes are handled by CSI drivers on the node, as the node says.
    pub migrated_plugins: Box<[Istr]>,
}

impl CsiNode {
    /// How many volumes of a driver can be attached, if that is limited.
    pub fn limit(&self, driver: &Istr) -> Option<i64> {
        self.drivers.iter().rfind(|(name, limit)| name == driver && limit.is_some()).and_then(|(_, limit)| *limit)
    }

    /// Whether any driver has a limit.
    pub fn has_limits(&self) -> bool {
        self.drivers.iter().any(|(_, limit)| limit.is_some())
    }

    /// Whether the node says that the volumes of this in-tree plugin are handled by its CSI driver.
    pub fn has_migrated(&self, plugin: InTreePlugin) -> bool {
        self.migrated_plugins.iter().any(|name| &**name == plugin.name())
    }
}

impl ObjectKind for CsiNodeKind {
    const GROUP: &'static str = "storage.k8s.io";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "csinodes";
    const KIND: &'static str = "CSINode";
    const NAMESPACED: bool = false;
    type Object = CsiNode;

    fn decode(json: &Value) -> Result<CsiNode, String> {
        #[derive(Deserialize)]
        struct Raw {
            metadata: Meta,
            #[serde(default, deserialize_with = "nullable")]
            spec: Spec,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Spec {
            #[serde(deserialize_with = "nullable")]
            drivers: Vec<Driver>,
        }
        #[derive(Deserialize)]
        struct Driver {
            name: Istr,
            #[serde(default, deserialize_with = "nullable")]
            allocatable: Allocatable,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Allocatable {
            count: Option<i64>,
        }
        let Raw { metadata, spec } = decode(json)?;
        let migrated = metadata.annotation(MIGRATED_PLUGINS).unwrap_or_default();
        Ok(CsiNode {
            drivers: spec.drivers.into_iter().map(|d| (d.name, d.allocatable.count)).collect(),
            migrated_plugins: migrated.split(',').filter(|name| !name.is_empty()).map(Istr::new).collect(),
            name: metadata.name,
        })
    }
}

/// `storage.k8s.io/v1` CSIDriver.
#[derive(Debug)]
pub enum CsiDriverKind {}

/// A CSI driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsiDriver {
    /// Its name.
    pub name: Istr,
    /// Whether it tells how much room there is, so that volumes are made only where there is enough.
    pub storage_capacity: bool,
}

impl ObjectKind for CsiDriverKind {
    const GROUP: &'static str = "storage.k8s.io";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "csidrivers";
    const KIND: &'static str = "CSIDriver";
    const NAMESPACED: bool = false;
    type Object = CsiDriver;

    fn decode(json: &Value) -> Result<CsiDriver, String> {
        #[derive(Deserialize)]
        struct Raw {
            metadata: Meta,
            #[serde(default, deserialize_with = "nullable")]
            spec: Spec,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Spec {
            storage_capacity: Option<bool>,
        }
        let Raw { metadata, spec } = decode(json)?;
        Ok(CsiDriver { name: metadata.name, storage_capacity: spec.storage_capacity == Some(true) })
    }
}

/// `storage.k8s.io/v1` CSIStorageCapacity.
#[derive(Debug)]
pub enum CsiStorageCapacityKind {}

/// How much room there is for volumes of a class in some part of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsiStorageCapacity {
    /// The class.
    pub class: Istr,
    /// The nodes that can reach it; `None`: none can.
    pub nodes: Option<LabelSelector>,
    /// The largest volume that can be made, in bytes, as far as it is known.
    pub limit_bytes: Option<i64>,
}

impl ObjectKind for CsiStorageCapacityKind {
    const GROUP: &'static str = "storage.k8s.io";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "csistoragecapacities";
    const KIND: &'static str = "CSIStorageCapacity";
    type Object = CsiStorageCapacity;

    fn decode(json: &Value) -> Result<CsiStorageCapacity, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            #[serde(default, deserialize_with = "nullable")]
            storage_class_name: Istr,
            node_topology: Option<api::LabelSelector>,
            capacity: Option<RawQuantity>,
            maximum_volume_size: Option<RawQuantity>,
        }
        let raw: Raw = decode(json)?;
        // The largest volume is told more exactly than the room there is for volumes.
        let limit = raw.maximum_volume_size.or(raw.capacity).map(|q| Quantity::parse(&q.0)).transpose();
        Ok(CsiStorageCapacity {
            class: raw.storage_class_name,
            nodes: selector(raw.node_topology.as_ref())?,
            limit_bytes: limit.map_err(|error| error.to_string())?.map(Quantity::value),
        })
    }
}

/// `storage.k8s.io/v1` VolumeAttachment.
#[derive(Debug)]
pub enum VolumeAttachmentKind {}

/// A volume that is attached to a node, or is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeAttachment {
    /// The driver that attaches it.
    pub attacher: Istr,
    /// The node.
    pub node: Istr,
    /// The volume; `None` where it is an inline one.
    pub volume: Option<Istr>,
}

impl ObjectKind for VolumeAttachmentKind {
    const GROUP: &'static str = "storage.k8s.io";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "volumeattachments";
    const KIND: &'static str = "VolumeAttachment";
    const NAMESPACED: bool = false;
    type Object = VolumeAttachment;

    fn decode(json: &Value) -> Result<VolumeAttachment, String> {
        #[derive(Deserialize)]
        struct Raw {
            spec: Spec,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Spec {
            attacher: Istr,
            node_name: Istr,
            #[serde(default, deserialize_with = "nullable")]
            source: AttachedSource,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct AttachedSource {
            persistent_volume_name: Option<Istr>,
        }
        let Raw { spec } = decode(json)?;
        Ok(VolumeAttachment {
            attacher: spec.attacher,
            node: spec.node_name,
            volume: spec.source.persistent_volume_name,
        })
    }
}
