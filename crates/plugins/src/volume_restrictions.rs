//! VolumeRestrictions (PreFilter, Filter): disks that cannot be attached for two pods of a node, and claims that only
//! one pod of the cluster may use. Reference section 6.1.

use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::{KindRef, Objects};
use plimsoll_framework::plugin::{EnqueueExtensions, Filter, Plugin, PreFilter, PreFilterVerdict};
use plimsoll_framework::pod::{PodInfo, PodSpecInfo, VolumeUse};
use plimsoll_framework::read::{ClaimIndex, ClaimUses, Imagined, ImaginedPods, NodePods, ObjectsOf, Pods, WholePod};
use plimsoll_framework::verdict::{Rejection, Verdict};

use crate::claims::{claim_not_found, is_claim};
use crate::hints::{event_of, objects, queue_if};
use crate::kinds::storage::{PersistentVolumeClaim, PersistentVolumeClaimKind};

const REASON_DISK: &str = "node(s) had no available disk";
const REASON_CLAIM: &str = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already \
                            in-use by another pod";
const DISK: u32 = 1;
const CLAIM: u32 = 2;
const EXCLUSIVE: &str = "ReadWriteOncePod";

/// Keeps a pod away from disks that others have, and from claims that another pod has for itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct VolumeRestrictions;

impl Plugin for VolumeRestrictions {
    const NAME: &'static str = "VolumeRestrictions";

    fn kinds(&self) -> Vec<KindRef> {
        vec![KindRef::of::<PersistentVolumeClaimKind>()]
    }

    fn waits_for_kinds(&self, pod: &PodInfo) -> bool {
        pod.spec.volumes.iter().any(is_claim)
    }
}

/// What a pod asks for, and what of it is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Disks attached to the node directly.
    disks: Box<[VolumeUse]>,
    /// Names of the claims that one pod alone may use.
    exclusive: Box<[Istr]>,
    /// How many of those some pod uses.
    taken: i64,
}

impl Wanted {
    /// Fails with the name of a claim that is not there.
    fn new(pod: &PodInfo, uses: ClaimIndex<'_>, claims: &Objects<PersistentVolumeClaimKind>) -> Result<Self, Istr> {
        let mut exclusive: Vec<Istr> = Vec::new();
        for name in pod.claims() {
            let claim = claims.get(&pod.key.namespace, name).ok_or_else(|| name.clone())?;
            if claim.access_modes.iter().any(|mode| &**mode == EXCLUSIVE) && !exclusive.contains(name) {
                exclusive.push(name.clone());
            }
        }
        let taken = exclusive.iter().filter(|name| uses.uses(&pod.key.namespace, name) > 0).count();
        Ok(Self {
            disks: pod.spec.volumes.iter().filter(|volume| is_disk(volume)).cloned().collect(),
            exclusive: exclusive.into(),
            taken: i64::try_from(taken).unwrap_or(i64::MAX),
        })
    }

    fn is_nothing(&self) -> bool {
        self.disks.is_empty() && self.taken == 0
    }

    /// As kube-scheduler counts pods that are imagined away: by the names of their claims, of whatever namespace.
    fn taken_by(&self, pod: &PodInfo) -> i64 {
        let taken = pod.claims().filter(|name| self.exclusive.contains(name)).count();
        i64::try_from(taken).unwrap_or(i64::MAX)
    }
}

fn is_disk(volume: &VolumeUse) -> bool {
    matches!(
        volume,
        VolumeUse::GcePersistentDisk { .. }
            | VolumeUse::AwsElasticBlockStore { .. }
            | VolumeUse::Iscsi { .. }
            | VolumeUse::Rbd { .. }
    )
}

/// Whether two volumes are the same disk, in a way that does not go together. An EBS volume is never had twice.
fn conflict(a: &VolumeUse, b: &VolumeUse) -> bool {
    use VolumeUse::{AwsElasticBlockStore, GcePersistentDisk, Iscsi, Rbd};
    match (a, b) {
        (GcePersistentDisk { name: a, read_only: a_reads }, GcePersistentDisk { name: b, read_only: b_reads })
        | (Iscsi { iqn: a, read_only: a_reads }, Iscsi { iqn: b, read_only: b_reads }) => {
            a == b && !(*a_reads && *b_reads)
        }
        (AwsElasticBlockStore { volume_id: a }, AwsElasticBlockStore { volume_id: b }) => a == b,
        (
            Rbd { monitors: a_at, pool: a_pool, image: a, read_only: a_reads },
            Rbd { monitors: b_at, pool: b_pool, image: b, read_only: b_reads },
        ) => {
            let same_place = a_at.iter().any(|monitor| b_at.contains(monitor)) && a_pool == b_pool;
            same_place && a == b && !(*a_reads && *b_reads)
        }
        _ => false,
    }
}

fn conflicts_with(disks: &[VolumeUse], pod: &PodInfo) -> bool {
    disks.iter().any(|disk| pod.spec.volumes.iter().any(|other| conflict(disk, other)))
}

impl EnqueueExtensions for VolumeRestrictions {
    fn registrations(&self) -> Vec<Registration> {
        vec![
            Registration::new(EventResource::Pod, Actions::DELETE),
            Registration::always(EventResource::Node, Actions::ADD),
            Registration::new(event_of::<PersistentVolumeClaimKind>(), Actions::ADD),
        ]
    }

    /// Disks are the same for every namespace; kube-scheduler overlooks those of pods of another one.
    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        if let (_, Some(claim)) = objects::<PersistentVolumeClaim>(change) {
            return queue_if(claim.namespace == pod.key.namespace && pod.claims().any(|name| *name == claim.name));
        }
        let (Some(gone), None) = change.pods() else { return QueueingHint::Queue };
        let shares_claim =
            gone.key.namespace == pod.key.namespace && pod.claims().any(|a| gone.claims().any(|b| a == b));
        queue_if(shares_claim || conflicts_with(&pod.spec.volumes, gone))
    }
}

impl PreFilter for VolumeRestrictions {
    type Pod = WholePod;
    type Cluster = (ClaimUses, ObjectsOf<PersistentVolumeClaimKind>);

    fn concerns(&self, pod: &PodSpecInfo) -> bool {
        !pod.volumes.is_empty()
    }

    fn pre_filter(
        &self,
        pod: &PodInfo,
        (uses, claims): (ClaimIndex<'_>, Objects<PersistentVolumeClaimKind>),
    ) -> PreFilterVerdict {
        match Wanted::new(pod, uses, &claims) {
            Err(missing) => PreFilterVerdict::Reject(Rejection::unresolvable(claim_not_found(&missing))),
            Ok(wanted) if wanted.is_nothing() => PreFilterVerdict::Skip,
            Ok(_) => PreFilterVerdict::Run,
        }
    }
}

impl Filter for VolumeRestrictions {
    type Pod = WholePod;
    type Cluster = (ClaimUses, ObjectsOf<PersistentVolumeClaimKind>);
    type Node = (Pods, Imagined);
    type State = Wanted;

    fn prepare(
        &self,
        pod: &PodInfo,
        (uses, claims): (ClaimIndex<'_>, Objects<PersistentVolumeClaimKind>),
    ) -> Option<Wanted> {
        Wanted::new(pod, uses, &claims).ok().filter(|wanted| !wanted.is_nothing())
    }

    fn filter(&self, wanted: &Wanted, (pods, imagined): (NodePods<'_>, ImaginedPods<'_>)) -> Verdict {
        if !wanted.disks.is_empty() && pods.iter().any(|pod| conflicts_with(&wanted.disks, pod)) {
            return Verdict::unschedulable(DISK);
        }
        // On every node: that another pod leaves its own node would free the claim for all of them.
        let taken = imagined.iter().fold(wanted.taken, |taken, (pod, sign)| taken + sign * wanted.taken_by(pod));
        if taken > 0 { Verdict::unschedulable(CLAIM) } else { Verdict::FITS }
    }

    fn reasons(&self, _: &Wanted, reasons: u32) -> Vec<String> {
        let texts = [(DISK, REASON_DISK), (CLAIM, REASON_CLAIM)];
        texts.into_iter().filter(|(bit, _)| reasons & bit != 0).map(|(_, text)| text.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests;
