//! VolumeZone (PreFilter, Filter): keeps a pod in the zones and regions that the labels of its volumes name. Reference
//! section 6.4.

use plimsoll_framework::cluster_event::{Actions, Change, ClusterEvent, EventResource, QueueingHint, Registration};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::object::{KindRef, Objects};
use plimsoll_framework::plugin::{EnqueueExtensions, Filter, Plugin, PreFilter, PreFilterVerdict};
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::read::{Labels, ObjectsOf, WholePod};
use plimsoll_framework::verdict::{Rejection, Verdict};

use crate::claims::{claim_not_found, is_claim, uses, volume_not_found};
use crate::hints::{event_of, objects, queue_if};
use crate::kinds::storage::{
    BindingMode, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimKind, PersistentVolumeKind,
    StorageClass, StorageClassKind,
};

const REASON: &str = "node(s) had no available volume zone";

/// The labels that tell where a node or a volume is, each with the one that has taken its place.
const LABELS: [(&str, &str); 4] = [
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("topology.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("topology.kubernetes.io/region", "topology.kubernetes.io/region"),
];

/// Keeps a pod where its volumes are.
#[derive(Clone, Debug)]
pub struct VolumeZone {
    labels: [(Istr, Istr); 4],
}

impl Default for VolumeZone {
    fn default() -> Self {
        Self { labels: LABELS.map(|(label, successor)| (label.into(), successor.into())) }
    }
}

impl Plugin for VolumeZone {
    const NAME: &'static str = "VolumeZone";

    fn kinds(&self) -> Vec<KindRef> {
        vec![
            KindRef::of::<PersistentVolumeClaimKind>(),
            KindRef::of::<PersistentVolumeKind>(),
            KindRef::of::<StorageClassKind>(),
        ]
    }

    fn waits_for_kinds(&self, pod: &PodInfo) -> bool {
        pod.spec.volumes.iter().any(is_claim)
    }
}

impl EnqueueExtensions for VolumeZone {
    fn registrations(&self) -> Vec<Registration> {
        vec![
            Registration::new(event_of::<StorageClassKind>(), Actions::ADD),
            Registration::always(EventResource::Node, Actions::ADD.or(Actions::UPDATE_NODE_LABEL)),
            Registration::new(event_of::<PersistentVolumeClaimKind>(), Actions::ADD.or(Actions::UPDATE)),
            Registration::new(event_of::<PersistentVolumeKind>(), Actions::ADD.or(Actions::UPDATE)),
        ]
    }

    fn hint(&self, pod: &PodInfo, _: &ClusterEvent, change: &Change<'_>) -> QueueingHint {
        if let (_, Some(class)) = objects::<StorageClass>(change) {
            return queue_if(class.binding_mode == Some(BindingMode::WaitForFirstConsumer));
        }
        if let (_, Some(claim)) = objects::<PersistentVolumeClaim>(change) {
            return queue_if(uses(pod, claim));
        }
        if let (Some(old), Some(new)) = objects::<PersistentVolume>(change) {
            let moved = |(label, _): &(Istr, Istr)| old.labels.get(label) != new.labels.get(label);
            return queue_if(self.labels.iter().any(moved));
        }
        QueueingHint::Queue
    }
}

/// A label that the node must have with one of these values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    label: Istr,
    /// Looked at where the node has no such label.
    successor: Istr,
    values: Box<[Istr]>,
}

type Kinds = (Objects<PersistentVolumeClaimKind>, Objects<PersistentVolumeKind>, Objects<StorageClassKind>);

impl VolumeZone {
    /// Where the volumes of the pod are; the error says why that cannot be told.
    fn places(&self, pod: &PodInfo, (claims, volumes, classes): &Kinds) -> Result<Vec<Place>, String> {
        let mut places = Vec::new();
        let global = Istr::default();
        for name in pod.claims() {
            if name.is_empty() {
                return Err("PersistentVolumeClaim had no name".to_owned());
            }
            let claim = claims.get(&pod.key.namespace, name).ok_or_else(|| claim_not_found(name))?;
            if claim.volume_name.is_empty() {
                waits_for_consumer(claim, classes)?;
                continue;
            }
            let missing = || volume_not_found(&claim.volume_name);
            let volume = volumes.get(&global, &claim.volume_name).ok_or_else(missing)?;
            places.extend(self.labels.iter().filter_map(|(label, successor)| {
                let values = zones(volume.labels.get(label)?)?;
                Some(Place { label: label.clone(), successor: successor.clone(), values })
            }));
        }
        Ok(places)
    }
}

/// A claim without a volume is nowhere yet, provided that it waits for the pod.
fn waits_for_consumer(claim: &PersistentVolumeClaim, classes: &Objects<StorageClassKind>) -> Result<(), String> {
    let name = &claim.class;
    if name.is_empty() {
        return Err("PersistentVolumeClaim had no pv name and storageClass name".to_owned());
    }
    let missing = || format!("storageclass.storage.k8s.io {:?} not found", name.as_str());
    match classes.get(&Istr::default(), name).ok_or_else(missing)?.binding_mode {
        None => Err(format!("VolumeBindingMode not set for StorageClass {:?}", name.as_str())),
        Some(BindingMode::WaitForFirstConsumer) => Ok(()),
        Some(BindingMode::Immediate) => Err("PersistentVolume had no name".to_owned()),
    }
}

/// The zones in a label. One that is empty spoils the label.
fn zones(label: &Istr) -> Option<Box<[Istr]>> {
    label.split("__").map(str::trim).map(|zone| (!zone.is_empty()).then(|| Istr::new(zone))).collect()
}

impl PreFilter for VolumeZone {
    type Pod = WholePod;
    type Cluster = (ObjectsOf<PersistentVolumeClaimKind>, ObjectsOf<PersistentVolumeKind>, ObjectsOf<StorageClassKind>);

    fn concerns(&self, pod: &PodSpecInfo) -> bool {
        !pod.volumes.is_empty()
    }

    fn pre_filter(&self, pod: &PodInfo, kinds: Kinds) -> PreFilterVerdict {
        match self.places(pod, &kinds) {
            Err(why) => PreFilterVerdict::Reject(Rejection::unresolvable(why)),
            Ok(places) if places.is_empty() => PreFilterVerdict::Skip,
            Ok(_) => PreFilterVerdict::Run,
        }
    }
}

impl Filter for VolumeZone {
    type Pod = WholePod;
    type Cluster = (ObjectsOf<PersistentVolumeClaimKind>, ObjectsOf<PersistentVolumeKind>, ObjectsOf<StorageClassKind>);
    type Node = Labels;
    type State = Vec<Place>;

    fn prepare(&self, pod: &PodInfo, kinds: Kinds) -> Option<Vec<Place>> {
        self.places(pod, &kinds).ok().filter(|places| !places.is_empty())
    }

    fn filter(&self, places: &Vec<Place>, labels: &LabelSet) -> Verdict {
        // A node that tells of no place at all belongs to a cluster that has only one.
        if !self.labels.iter().any(|(label, _)| labels.get(label).is_some()) {
            return Verdict::FITS;
        }
        let is_in = |place: &Place| {
            let here = labels.get(&place.label).or_else(|| labels.get(&place.successor));
            here.is_some_and(|here| place.values.contains(here))
        };
        if places.iter().all(is_in) { Verdict::FITS } else { Verdict::unresolvable(1) }
    }

    fn reasons(&self, _: &Vec<Place>, _: u32) -> Vec<String> {
        vec![REASON.to_owned()]
    }
}

#[cfg(test)]
mod tests;
