//! Which of the volumes there are is for which claim: the smallest that will do, but one that is kept for the claim before
//! all others. What does not depend on the node is worked out once for a pod.

use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::object::Objects;

use crate::kinds::storage::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeKind};

/// The volumes that a claim could have, on one node or another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Candidates {
    /// Those kept for the claim, by name.
    kept: Vec<Istr>,
    /// The free ones, the smallest first, and by name.
    free: Vec<Istr>,
}

impl Candidates {
    pub(super) fn of(claim: &PersistentVolumeClaim, volumes: &Objects<PersistentVolumeKind>) -> Self {
        let (mut kept, mut free) = (Vec::new(), Vec::new());
        for (_, _, volume) in volumes.iter().filter(|(_, _, volume)| is_right(claim, volume)) {
            if volume.belongs_to(claim) {
                kept.push(volume);
            } else if volume.claim.is_none() && is_free_for(claim, volume) {
                free.push(volume);
            }
        }
        kept.sort_by(|a, b| a.name.cmp(&b.name));
        free.sort_by(|a, b| a.capacity.cmp(&b.capacity).then_with(|| a.name.cmp(&b.name)));
        let names = |volumes: Vec<&PersistentVolume>| volumes.into_iter().map(|volume| volume.name.clone()).collect();
        Self { kept: names(kept), free: names(free) }
    }

    /// The volume for the claim on a node with these labels, unless it is `taken`. A volume that is kept for the claim
    /// rules out all others, even where the node cannot reach it.
    pub(super) fn choose(
        &self,
        volumes: &Objects<PersistentVolumeKind>,
        labels: &LabelSet,
        taken: impl Fn(&Istr) -> bool,
    ) -> Option<&Istr> {
        let reached =
            |name: &&Istr| volumes.get(&Istr::default(), name).is_some_and(|volume| volume.is_reachable_from(labels));
        match self.kept.iter().find(|name| !taken(name)) {
            Some(kept) => Some(kept).filter(reached),
            None => self.free.iter().find(|name| !taken(name) && reached(name)),
        }
    }
}

/// What holds for every volume of a claim.
fn is_right(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> bool {
    volume.class == claim.class
        && volume.capacity >= claim.request.unwrap_or_default()
        && volume.volume_mode == claim.volume_mode
        && volume.attributes_class == claim.attributes_class
        && !volume.terminating
}

/// What holds for a volume that is nobody's yet.
fn is_free_for(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> bool {
    volume.available
        && claim.selector.as_ref().is_none_or(|selector| selector.matches(&volume.labels))
        && claim.access_modes.iter().all(|mode| volume.access_modes.contains(mode))
}
