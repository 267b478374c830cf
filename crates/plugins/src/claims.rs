//! What the volume plugins have in common: the claims that a pod's volumes are made of.

use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::{PodInfo, VolumeUse};

use crate::kinds::storage::PersistentVolumeClaim;

/// A volume of a pod that is made of a claim.
pub(crate) struct ClaimVolume {
    /// The claim's name; its namespace is the pod's.
    pub(crate) name: Istr,
    /// Whether it is made for the pod alone, and has to belong to it.
    pub(crate) ephemeral: bool,
}

impl ClaimVolume {
    /// The claim of a volume, if it is made of one.
    pub(crate) fn of(pod: &PodInfo, volume: &VolumeUse) -> Option<Self> {
        match volume {
            VolumeUse::Claim(name) => Some(Self { name: name.clone(), ephemeral: false }),
            VolumeUse::Ephemeral(volume) => Some(Self { name: pod.ephemeral_claim(volume), ephemeral: true }),
            _ => None,
        }
    }

    /// The claims of a pod, in the order of its volumes.
    pub(crate) fn all(pod: &PodInfo) -> impl Iterator<Item = Self> {
        pod.spec.volumes.iter().filter_map(|volume| Self::of(pod, volume))
    }
}

/// Whether a volume is made of a claim.
pub(crate) fn is_claim(volume: &VolumeUse) -> bool {
    matches!(volume, VolumeUse::Claim(_) | VolumeUse::Ephemeral(_))
}

/// Whether the pod has a volume that is made of this claim.
pub(crate) fn uses(pod: &PodInfo, claim: &PersistentVolumeClaim) -> bool {
    claim.namespace == pod.key.namespace && ClaimVolume::all(pod).any(|volume| volume.name == claim.name)
}

/// The API server's words for a claim that is not there.
pub(crate) fn claim_not_found(name: &Istr) -> String {
    format!("persistentvolumeclaim {:?} not found", name.as_str())
}

/// The API server's words for a volume that is not there.
pub(crate) fn volume_not_found(name: &Istr) -> String {
    format!("persistentvolume {:?} not found", name.as_str())
}

/// Why the claim of an ephemeral volume is not the pod's, if it is not.
pub(crate) fn foreign_claim(pod: &PodInfo, claim: &PersistentVolumeClaim) -> Option<String> {
    let own = claim.is_controlled_by(pod.key.uid.as_str());
    (!own).then(|| {
        let PersistentVolumeClaim { namespace, name, .. } = claim;
        format!("PVC {namespace}/{name} was not created for pod {} (pod is not owner)", pod.key)
    })
}
