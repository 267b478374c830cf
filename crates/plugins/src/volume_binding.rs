//! VolumeBinding (PreFilter, Filter, PreScore, Score, Reserve, PreBind): keeps a pod on nodes that can reach its volumes,
//! and where volumes can be found or made for those of its claims that have none. Reference section 6.3.

mod bind;
mod claims;
mod hints;
mod matching;
mod wanted;

use std::time::Duration;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::object::{KindRef, Objects};
use plimsoll_framework::plugin::{Filter, Plugin, PreFilter, PreFilterVerdict, PreScore, Score};
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::read::{ClusterOf, Labels, Name, ObjectsOf, Spec, WholePod};
use plimsoll_framework::verdict::{PluginError, Rejection, Verdict};

use crate::claims::is_claim;
use crate::kinds::storage::{
    CsiDriverKind, CsiNodeKind, CsiStorageCapacityKind, PersistentVolumeClaimKind, PersistentVolumeKind,
    StorageClassKind,
};
use claims::Claims;
pub use wanted::{Choice, Wanted};

const REASON_IMMEDIATE: &str = "pod has unbound immediate PersistentVolumeClaims";

/// Keeps a pod where its volumes are or can be.
#[derive(Clone, Copy, Debug)]
pub struct VolumeBinding {
    bind_timeout: Duration,
}

impl VolumeBinding {
    /// Volumes may take this long to be bound.
    pub fn new(bind_timeout: Duration) -> Self {
        Self { bind_timeout }
    }
}

impl Default for VolumeBinding {
    fn default() -> Self {
        Self::new(Duration::from_secs(600))
    }
}

impl Plugin for VolumeBinding {
    const NAME: &'static str = "VolumeBinding";

    fn kinds(&self) -> Vec<KindRef> {
        vec![
            KindRef::of::<PersistentVolumeClaimKind>(),
            KindRef::of::<PersistentVolumeKind>(),
            KindRef::of::<StorageClassKind>(),
            KindRef::of::<CsiNodeKind>(),
            KindRef::of::<CsiDriverKind>(),
            KindRef::of::<CsiStorageCapacityKind>(),
        ]
    }

    fn waits_for_kinds(&self, pod: &PodInfo) -> bool {
        pod.spec.volumes.iter().any(is_claim)
    }
}

impl PreFilter for VolumeBinding {
    type Pod = WholePod;
    type Cluster = (ObjectsOf<PersistentVolumeClaimKind>, ObjectsOf<StorageClassKind>);

    fn concerns(&self, pod: &PodSpecInfo) -> bool {
        !pod.volumes.is_empty()
    }

    fn pre_filter(
        &self,
        pod: &PodInfo,
        (claims, classes): (Objects<PersistentVolumeClaimKind>, Objects<StorageClassKind>),
    ) -> PreFilterVerdict {
        let reject = |why: String| PreFilterVerdict::Reject(Rejection::unresolvable(why));
        match claims::of_pod(pod, &claims) {
            Err(why) => reject(why),
            Ok(claims) if claims.is_empty() => PreFilterVerdict::Skip,
            Ok(claims) => match Claims::sort(claims, &classes) {
                Err(message) => PreFilterVerdict::Fail(PluginError { message }),
                Ok(claims) if claims.has_immediate => reject(REASON_IMMEDIATE.to_owned()),
                Ok(_) => PreFilterVerdict::Run,
            },
        }
    }
}

type Cluster = (
    ObjectsOf<PersistentVolumeClaimKind>,
    ObjectsOf<PersistentVolumeKind>,
    ObjectsOf<StorageClassKind>,
    ObjectsOf<CsiNodeKind>,
    ObjectsOf<CsiDriverKind>,
    ObjectsOf<CsiStorageCapacityKind>,
);

impl Filter for VolumeBinding {
    type Pod = WholePod;
    type Cluster = Cluster;
    type Node = (Name, Labels);
    type State = Wanted;

    fn prepare(
        &self,
        pod: &PodInfo,
        (claims, volumes, classes, nodes, drivers, capacities): ClusterOf<'_, Cluster>,
    ) -> Option<Wanted> {
        let claims = claims::of_pod(pod, &claims).ok().filter(|claims| !claims.is_empty())?;
        let claims = Claims::sort(claims, &classes).ok()?;
        let storage = wanted::Storage { classes: &classes, drivers: &drivers, capacities: &capacities };
        Some(Wanted::new(&claims, volumes, nodes, &storage))
    }

    fn filter(&self, wanted: &Wanted, (name, labels): (&Istr, &LabelSet)) -> Verdict {
        wanted.choose(name, labels).err().unwrap_or(Verdict::FITS)
    }

    fn reasons(&self, wanted: &Wanted, reasons: u32) -> Vec<String> {
        wanted.reasons(reasons)
    }
}

/// Scoring by how full storage is (`StorageCapacityScoring`) is off in Kubernetes 1.36, too.
impl PreScore for VolumeBinding {
    type Pod = Spec;
    type Cluster = ();

    fn pre_score(&self, _: &PodSpecInfo, (): ()) -> bool {
        false
    }
}

impl Score for VolumeBinding {
    type Pod = Spec;
    type Cluster = ();
    type Node = ();
    type State = ();

    fn prepare(&self, _: &PodSpecInfo, (): ()) -> Option<()> {
        None
    }

    fn score(&self, (): &(), (): ()) -> i64 {
        0
    }
}

#[cfg(test)]
mod tests;
