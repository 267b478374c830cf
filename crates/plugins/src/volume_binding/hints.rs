//! What may bring a volume within reach.

use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::plugin::EnqueueExtensions;
use plimsoll_framework::pod::PodInfo;

use super::VolumeBinding;
use crate::claims::{ClaimVolume, uses};
use crate::hints::{event_of, objects, queue_if};
use crate::kinds::storage::{
    CsiDriver, CsiDriverKind, CsiNode, CsiNodeKind, CsiStorageCapacity, CsiStorageCapacityKind, PersistentVolume,
    PersistentVolumeClaim, PersistentVolumeClaimKind, PersistentVolumeKind, StorageClass, StorageClassKind,
};

impl EnqueueExtensions for VolumeBinding {
    fn registrations(&self) -> Vec<Registration> {
        let changed = Actions::ADD.or(Actions::UPDATE);
        vec![
            Registration::new(event_of::<StorageClassKind>(), changed),
            Registration::new(event_of::<PersistentVolumeClaimKind>(), changed),
            Registration::new(event_of::<PersistentVolumeKind>(), changed.or(Actions::DELETE)),
            Registration::always(EventResource::Node, Actions::ADD.or(Actions::UPDATE_NODE_LABEL)),
            Registration::new(event_of::<CsiNodeKind>(), changed.or(Actions::DELETE)),
            Registration::new(event_of::<CsiDriverKind>(), Actions::UPDATE.or(Actions::DELETE)),
            Registration::new(event_of::<CsiStorageCapacityKind>(), changed),
        ]
    }

    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        if let (Some(old), Some(new)) = objects::<StorageClass>(change) {
            return queue_if(old.allowed_topologies != new.allowed_topologies);
        }
        if let (_, Some(claim)) = objects::<PersistentVolumeClaim>(change) {
            return queue_if(uses(pod, claim));
        }
        // A volume that was kept for a claim, and rules out all others, may go. kube-scheduler does not look at that.
        if let (Some(old), None) = objects::<PersistentVolume>(change) {
            return queue_if(old.claim.as_ref().is_some_and(|owner| {
                owner.namespace == pod.key.namespace && ClaimVolume::all(pod).any(|volume| volume.name == owner.name)
            }));
        }
        if let (Some(old), new) = objects::<CsiNode>(change) {
            let migrated = new.map(|new| &new.migrated_plugins);
            return queue_if(migrated.map_or(!old.migrated_plugins.is_empty(), |new| old.migrated_plugins != *new));
        }
        // kube-scheduler looks for inline volumes of the driver; it is claims that its room was asked for.
        if let (Some(old), new) = objects::<CsiDriver>(change) {
            return queue_if(old.storage_capacity && !new.is_some_and(|new| new.storage_capacity));
        }
        if let (Some(old), Some(new)) = objects::<CsiStorageCapacity>(change) {
            return queue_if(new.limit_bytes > old.limit_bytes);
        }
        QueueingHint::Queue
    }
}
