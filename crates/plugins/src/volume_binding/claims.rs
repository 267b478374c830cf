//! The claims of a pod, and how far each of them is on the way to a volume.

use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::Objects;
use plimsoll_framework::pod::PodInfo;

use crate::claims::{ClaimVolume, claim_not_found, foreign_claim};
use crate::kinds::storage::{BindingMode, PersistentVolumeClaim, PersistentVolumeClaimKind, StorageClassKind};

/// The claims of a pod in the order of its volumes; a claim that is used twice is there twice. The error says why the pod
/// cannot have them.
pub(super) fn of_pod<'c>(
    pod: &PodInfo,
    claims: &'c Objects<PersistentVolumeClaimKind>,
) -> Result<Vec<&'c PersistentVolumeClaim>, String> {
    ClaimVolume::all(pod)
        .map(|ClaimVolume { name, ephemeral }| {
            let missing = || match ephemeral {
                false => claim_not_found(&name),
                true => format!(
                    "waiting for ephemeral volume controller to create the persistentvolumeclaim {:?}",
                    name.as_str()
                ),
            };
            let claim = claims.get(&pod.key.namespace, &name).ok_or_else(missing)?;
            match unusable(claim).or_else(|| foreign_claim(pod, claim).filter(|_| ephemeral)) {
                Some(why) => Err(why),
                None => Ok(claim),
            }
        })
        .collect()
}

fn unusable(claim: &PersistentVolumeClaim) -> Option<String> {
    let name = claim.name.as_str();
    if claim.lost {
        let volume = claim.volume_name.as_str();
        return Some(format!("persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"));
    }
    claim.terminating.then(|| format!("persistentvolumeclaim {name:?} is being deleted"))
}

/// The claims of a pod, by how far they are.
#[derive(Default)]
pub(super) struct Claims<'c> {
    /// They have their volumes.
    pub(super) bound: Vec<&'c PersistentVolumeClaim>,
    /// They get their volumes when the pod has a node.
    pub(super) delayed: Vec<&'c PersistentVolumeClaim>,
    /// Whether others should have their volumes by now, and have not.
    pub(super) has_immediate: bool,
}

impl<'c> Claims<'c> {
    /// Sorts claims. Fails where a class does not say when its claims are bound, which the API server does not let pass.
    pub(super) fn sort(
        claims: Vec<&'c PersistentVolumeClaim>,
        classes: &Objects<StorageClassKind>,
    ) -> Result<Self, String> {
        let mut sorted = Self::default();
        for claim in claims {
            if claim.is_fully_bound() {
                sorted.bound.push(claim);
            } else if is_delayed(claim, classes)? && claim.volume_name.is_empty() {
                sorted.delayed.push(claim);
            } else {
                sorted.has_immediate = true;
            }
        }
        Ok(sorted)
    }
}

fn is_delayed(claim: &PersistentVolumeClaim, classes: &Objects<StorageClassKind>) -> Result<bool, String> {
    let named = Some(&claim.class).filter(|name| !name.is_empty());
    let Some(class) = named.and_then(|name| classes.get(&Istr::default(), name)) else { return Ok(false) };
    match class.binding_mode {
        Some(mode) => Ok(mode == BindingMode::WaitForFirstConsumer),
        None => Err(format!("VolumeBindingMode not set for StorageClass {:?}", claim.class.as_str())),
    }
}
