//! What may make room for another volume.

use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::plugin::EnqueueExtensions;
use plimsoll_framework::pod::PodInfo;

use super::{NodeVolumeLimits, is_nothing};
use crate::claims::{is_claim, uses};
use crate::hints::{event_of, holds_a_place, objects, queue_if};
use crate::kinds::storage::{
    CsiNode, CsiNodeKind, InTreePlugin, PersistentVolumeClaim, PersistentVolumeClaimKind, VolumeAttachment,
    VolumeAttachmentKind,
};

impl EnqueueExtensions for NodeVolumeLimits {
    fn registrations(&self) -> Vec<Registration> {
        vec![
            Registration::new(event_of::<CsiNodeKind>(), Actions::ADD.or(Actions::DELETE).or(Actions::UPDATE)),
            Registration::new(EventResource::Pod, Actions::DELETE),
            Registration::new(event_of::<PersistentVolumeClaimKind>(), Actions::ADD),
            Registration::new(event_of::<VolumeAttachmentKind>(), Actions::DELETE),
        ]
    }

    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        if let (Some(gone), None) = change.pods() {
            return queue_if(holds_a_place(gone) && !is_nothing(&gone.spec));
        }
        if let (Some(old), Some(new)) = objects::<CsiNode>(change) {
            return queue_if(has_more_room(old, new));
        }
        if let (_, Some(claim)) = objects::<PersistentVolumeClaim>(change) {
            return queue_if(uses(pod, claim));
        }
        if let (Some(detached), None) = objects::<VolumeAttachment>(change) {
            let of_driver = |plugin: InTreePlugin| *detached.attacher == *plugin.driver();
            let frees = |volume| is_claim(volume) || InTreePlugin::of_inline(volume).is_some_and(of_driver);
            return queue_if(pod.spec.volumes.iter().any(frees));
        }
        QueueingHint::Queue
    }
}

/// Whether a limit was raised, or is no more, which kube-scheduler overlooks.
fn has_more_room(old: &CsiNode, new: &CsiNode) -> bool {
    let raised = new.drivers.iter().any(|(driver, limit)| limit.unwrap_or(0) > old.limit(driver).unwrap_or(0));
    let lifted = old.drivers.iter().any(|(driver, limit)| limit.is_some() && new.limit(driver).is_none());
    raised || lifted
}
