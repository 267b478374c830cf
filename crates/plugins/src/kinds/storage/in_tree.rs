//! Volumes of in-tree plugins that CSI drivers have taken over: what the driver calls the volume, and by which label its
//! nodes are known. The rules are those of Kubernetes' translation of such volumes.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node_selector::NodeSelector;
use plimsoll_framework::pod::VolumeUse;
use serde::Deserialize;

use super::volume::{affinity, reaches};
use super::{CsiNode, nullable};

const ZONE: &str = "topology.kubernetes.io/zone";
const REGION: &str = "topology.kubernetes.io/region";
const BETA_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";
const BETA_REGION: &str = "failure-domain.beta.kubernetes.io/region";

/// Between the zones of a volume that is in several.
const ZONE_DELIMITER: &str = "__";

/// An in-tree plugin that a CSI driver can take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InTreePlugin {
    /// AWS EBS.
    AwsEbs,
    /// GCE persistent disks.
    GcePd,
    /// Azure disks.
    AzureDisk,
    /// Azure files.
    AzureFile,
    /// OpenStack Cinder.
    Cinder,
    /// Portworx.
    Portworx,
    /// vSphere.
    Vsphere,
}

impl InTreePlugin {
    const ALL: [Self; 7] =
        [Self::AwsEbs, Self::GcePd, Self::AzureDisk, Self::AzureFile, Self::Cinder, Self::Portworx, Self::Vsphere];

    /// The plugin that goes by this name, also as a provisioner.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plugin| plugin.name() == name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AwsEbs => "kubernetes.io/aws-ebs",
            Self::GcePd => "kubernetes.io/gce-pd",
            Self::AzureDisk => "kubernetes.io/azure-disk",
            Self::AzureFile => "kubernetes.io/azure-file",
            Self::Cinder => "kubernetes.io/cinder",
            Self::Portworx => "kubernetes.io/portworx-volume",
            Self::Vsphere => "kubernetes.io/vsphere-volume",
        }
    }

    /// The CSI driver that takes its volumes over.
    pub const fn driver(self) -> &'static str {
        match self {
            Self::AwsEbs => "ebs.csi.aws.com",
            Self::GcePd => "pd.csi.storage.gke.io",
            Self::AzureDisk => "disk.csi.azure.com",
            Self::AzureFile => "file.csi.azure.com",
            Self::Cinder => "cinder.csi.openstack.org",
            Self::Portworx => "pxd.portworx.com",
            Self::Vsphere => "csi.vsphere.vmware.com",
        }
    }

    /// The label by which the driver knows a node's zone, if it has one.
    const fn zone_label(self) -> Option<&'static str> {
        match self {
            Self::AwsEbs => Some("topology.ebs.csi.aws.com/zone"),
            Self::GcePd => Some("topology.gke.io/zone"),
            Self::AzureDisk => Some("topology.disk.csi.azure.com/zone"),
            Self::Cinder => Some("topology.cinder.csi.openstack.org/zone"),
            Self::AzureFile | Self::Portworx | Self::Vsphere => None,
        }
    }

    /// Whether its volumes count among its driver's on a node. For most that is decided for whole clusters by now: any
    /// node that has CSI drivers at all will do, whatever it says of itself.
    pub fn counts_on(self, node: Option<&CsiNode>) -> bool {
        node.is_some_and(|node| match self {
            Self::AwsEbs | Self::GcePd | Self::AzureDisk | Self::Cinder => true,
            Self::Portworx => node.has_migrated(self),
            Self::AzureFile | Self::Vsphere => false,
        })
    }

    /// Whether its volumes are reached as its driver's are, on a node: there, what the node says of itself decides.
    pub fn is_migrated_on(self, node: Option<&CsiNode>) -> bool {
        !matches!(self, Self::AzureFile | Self::Vsphere) && node.is_some_and(|node| node.has_migrated(self))
    }

    /// The plugin of an inline volume, if a driver can take it over.
    pub fn of_inline(volume: &VolumeUse) -> Option<Self> {
        match volume {
            VolumeUse::AwsElasticBlockStore { .. } => Some(Self::AwsEbs),
            VolumeUse::GcePersistentDisk { .. } => Some(Self::GcePd),
            VolumeUse::AzureDisk { .. } => Some(Self::AzureDisk),
            VolumeUse::AzureFile => Some(Self::AzureFile),
            VolumeUse::Cinder { .. } => Some(Self::Cinder),
            VolumeUse::Portworx { .. } => Some(Self::Portworx),
            VolumeUse::Vsphere => Some(Self::Vsphere),
            VolumeUse::Claim(_)
            | VolumeUse::Ephemeral(_)
            | VolumeUse::Iscsi { .. }
            | VolumeUse::Rbd { .. }
            | VolumeUse::Csi { .. } => None,
        }
    }

    /// What the driver calls an inline volume. Fails when the volume's name is none; `None` where there is no driver's
    /// name for it.
    pub fn inline_handle(volume: &VolumeUse) -> Result<Option<Istr>, String> {
        Ok(match volume {
            VolumeUse::AwsElasticBlockStore { volume_id } => Some(ebs_handle(volume_id)?),
            VolumeUse::GcePersistentDisk { name, .. } => Some(gce_handle(name, "")?),
            VolumeUse::AzureDisk { uri } => Some(uri.clone()),
            VolumeUse::Cinder { volume_id } | VolumeUse::Portworx { volume_id } => Some(volume_id.clone()),
            _ => None,
        })
    }
}

/// The in-tree sources that a volume's spec may have.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct InTreeSources {
    #[serde(deserialize_with = "nullable")]
    aws_elastic_block_store: Option<api::AwsElasticBlockStore>,
    #[serde(deserialize_with = "nullable")]
    gce_persistent_disk: Option<api::GcePersistentDisk>,
    #[serde(deserialize_with = "nullable")]
    azure_disk: Option<api::AzureDisk>,
    #[serde(deserialize_with = "nullable")]
    cinder: Option<api::IdentifiedVolume>,
    #[serde(deserialize_with = "nullable")]
    portworx_volume: Option<api::IdentifiedVolume>,
}

/// A volume of an in-tree plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InTree {
    /// The plugin.
    pub plugin: InTreePlugin,
    /// The volume as the driver has it, or why it cannot have it.
    pub translated: Result<Translated, String>,
}

/// A volume as a CSI driver has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    /// What the driver calls it.
    pub handle: Istr,
    /// The nodes it can be reached from, by the labels that the driver gives them; `None`: all of them.
    node_affinity: Option<NodeSelector>,
}

impl Translated {
    /// Whether a node with these labels can reach it.
    pub fn is_reachable_from(&self, labels: &LabelSet) -> bool {
        reaches(self.node_affinity.as_ref(), labels)
    }
}

impl InTree {
    /// The in-tree volume among the sources, if there is one that a driver could take over.
    pub(super) fn read(
        sources: &InTreeSources,
        labels: &BTreeMap<Istr, Istr>,
        required: Option<&api::NodeSelector>,
    ) -> Result<Option<Self>, String> {
        let zones = || label(labels, ZONE).filter(|z| !z.is_empty()).or_else(|| label(labels, BETA_ZONE));
        let (plugin, handle) = if let Some(disk) = &sources.aws_elastic_block_store {
            (InTreePlugin::AwsEbs, ebs_handle(&disk.volume_id))
        } else if let Some(disk) = &sources.gce_persistent_disk {
            (InTreePlugin::GcePd, gce_handle(&disk.pd_name, zones().map_or("", |z| z)))
        } else if let Some(disk) = &sources.azure_disk {
            (InTreePlugin::AzureDisk, Ok(disk.disk_uri.clone()))
        } else if let Some(volume) = &sources.cinder {
            (InTreePlugin::Cinder, Ok(volume.volume_id.clone()))
        } else if let Some(volume) = &sources.portworx_volume {
            (InTreePlugin::Portworx, Ok(volume.volume_id.clone()))
        } else {
            return Ok(None);
        };
        let required = match plugin.zone_label() {
            Some(key) => translated_topology(required, labels, key),
            None => required.cloned(),
        };
        let node_affinity = required.as_ref().map(affinity).transpose()?;
        Ok(Some(Self { plugin, translated: handle.map(|handle| Translated { handle, node_affinity }) }))
    }
}

/// `aws://zone/vol-1`, or `vol-1` as it is.
fn ebs_handle(id: &Istr) -> Result<Istr, String> {
    let Some(rest) = id.strip_prefix("aws://") else { return Ok(id.clone()) };
    let path = rest.split_once('/').map_or("", |(_zone, path)| path).trim_matches('/');
    if !path.starts_with("vol-") || path.contains('/') {
        return Err(format!("failed to translate Kubernetes ID to EBS Volume ID invalid format for AWS volume ({id})"));
    }
    Ok(Istr::new(path))
}

/// By the zone of the disk, by the region of one that is in several zones.
fn gce_handle(disk: &str, zones: &str) -> Result<Istr, String> {
    let place = match zones.split(ZONE_DELIMITER).collect::<Vec<_>>()[..] {
        [""] => "zones/UNSPECIFIED".to_owned(),
        [zone] => format!("zones/{zone}"),
        ref zones => format!("regions/{}", region_of(zones)?),
    };
    Ok(Istr::from(format!("projects/UNSPECIFIED/{place}/disks/{disk}")))
}

fn region_of(zones: &[&str]) -> Result<String, String> {
    let mut regions = BTreeSet::new();
    for zone in zones {
        let [locale, region, _] = zone.split('-').collect::<Vec<_>>()[..] else {
            return Err(format!(
                "failed to get region from zones: zone in unexpected format, expected: {{locale}}-{{region}}-{{zone}}, \
                 got: {zone}"
            ));
        };
        regions.insert(format!("{locale}-{region}"));
    }
    match regions.pop_first() {
        Some(region) if regions.is_empty() => Ok(region),
        _ => Err("failed to get region from zones: multiple or no regions gotten from zones".to_owned()),
    }
}

fn label<'a>(labels: &'a BTreeMap<Istr, Istr>, key: &str) -> Option<&'a Istr> {
    labels.iter().find(|(k, _)| &***k == key).map(|(_, value)| value)
}

/// The required node affinity with the zone under the driver's own label. Where it names no zone, the zones in the
/// volume's labels are added to every term.
fn translated_topology(
    required: Option<&api::NodeSelector>,
    labels: &BTreeMap<Istr, Istr>,
    key: &'static str,
) -> Option<api::NodeSelector> {
    let names = |key: &str| required.into_iter().flat_map(expressions).any(|e| &*e.key == key);
    let is_beta =
        !names(ZONE) && (names(BETA_ZONE) || label(labels, ZONE).is_none() && label(labels, BETA_ZONE).is_some());
    let (zone, region) = if is_beta { (BETA_ZONE, BETA_REGION) } else { (ZONE, REGION) };
    let mut translated = required.cloned();
    let has_values =
        |key: &str| required.into_iter().flat_map(expressions).any(|e| &*e.key == key && !e.values.is_empty());
    if has_values(zone) {
        rename(&mut translated, zone, key);
    } else if let Some(zones) = label(labels, zone) {
        add_zones(&mut translated, key, zones);
    }
    if is_beta && has_values(region) {
        rename(&mut translated, region, REGION);
    }
    translated
}

fn expressions(selector: &api::NodeSelector) -> impl Iterator<Item = &api::Requirement> {
    selector.node_selector_terms.iter().flat_map(|term| &term.match_expressions)
}

fn rename(selector: &mut Option<api::NodeSelector>, from: &str, to: &str) {
    let terms = selector.iter_mut().flat_map(|s| &mut s.node_selector_terms);
    for expression in terms.flat_map(|term| &mut term.match_expressions).filter(|e| &*e.key == from) {
        expression.key = Istr::new(to);
    }
}

fn add_zones(selector: &mut Option<api::NodeSelector>, key: &str, zones: &str) {
    let zones: BTreeSet<&str> = zones.split(ZONE_DELIMITER).map(str::trim).filter(|zone| !zone.is_empty()).collect();
    if zones.is_empty() {
        return;
    }
    let terms = &mut selector.get_or_insert_default().node_selector_terms;
    if terms.is_empty() {
        terms.push(api::NodeSelectorTerm::default());
    }
    let values: Vec<Istr> = zones.into_iter().map(Istr::new).collect();
    for term in terms {
        let (key, operator) = (Istr::new(key), "In".into());
        term.match_expressions.push(api::Requirement { key, operator, values: values.clone() });
    }
}
