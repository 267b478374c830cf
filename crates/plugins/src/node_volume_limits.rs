//! NodeVolumeLimits (PreFilter, Filter): a CSI driver attaches no more volumes to a node than it says. Reference
//! section 6.2.

mod hints;
mod volumes;

use hashbrown::{HashMap, HashSet};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::{KindRef, Objects};
use plimsoll_framework::plugin::{Filter, Plugin, PreFilter, PreFilterVerdict};
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::read::{ClusterOf, Name, NodePods, ObjectsOf, Pods, Spec, WholePod};
use plimsoll_framework::verdict::Verdict;

use crate::claims::is_claim;
use crate::kinds::storage::{
    CsiNodeKind, InTreePlugin, PersistentVolumeClaimKind, PersistentVolumeKind, Source, StorageClassKind,
    VolumeAttachmentKind,
};
use volumes::{Trouble, Unique, Use, Volumes};

const REASON: &str = "node(s) exceed max volume count";
const REASON_OF_OTHERS: &str = "looking up the volumes of the pods on the node";
const EXCEEDED: u32 = 1;
const MISSING: u32 = 2;
const FAULT: u32 = 4;
const FAULT_OF_OTHERS: u32 = 8;

/// Keeps a pod away from nodes that cannot attach its volumes any more.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeVolumeLimits;

impl Plugin for NodeVolumeLimits {
    const NAME: &'static str = "NodeVolumeLimits";

    fn kinds(&self) -> Vec<KindRef> {
        vec![
            KindRef::of::<PersistentVolumeClaimKind>(),
            KindRef::of::<PersistentVolumeKind>(),
            KindRef::of::<StorageClassKind>(),
            KindRef::of::<CsiNodeKind>(),
            KindRef::of::<VolumeAttachmentKind>(),
        ]
    }

    fn waits_for_kinds(&self, pod: &PodInfo) -> bool {
        !is_nothing(&pod.spec)
    }
}

fn is_nothing(pod: &PodSpecInfo) -> bool {
    !pod.volumes.iter().any(|volume| is_claim(volume) || InTreePlugin::of_inline(volume).is_some())
}

impl PreFilter for NodeVolumeLimits {
    type Pod = Spec;
    type Cluster = ();

    fn pre_filter(&self, pod: &PodSpecInfo, (): ()) -> PreFilterVerdict {
        if is_nothing(pod) { PreFilterVerdict::Skip } else { PreFilterVerdict::Run }
    }
}

/// The volumes of a pod, and what is needed to find those of others.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    own: Box<[Result<Use, Trouble>]>,
    volumes: Volumes,
    nodes: Objects<CsiNodeKind>,
    /// The volumes that are attached, or are to be, by node.
    attached: HashMap<Istr, Vec<Unique>>,
}

impl Wanted {
    /// Which of the pod's own volumes count on a node.
    fn counted(&self, node: Option<&crate::kinds::storage::CsiNode>) -> Result<HashSet<&Unique>, Verdict> {
        let mut counted = HashSet::new();
        for volume in &self.own {
            match volume.as_ref().map(|volume| volume.counted_on(node)) {
                Ok(Ok(unique)) => counted.extend(unique),
                Err(Trouble::Missing(_)) => return Err(Verdict::unresolvable(MISSING)),
                Err(Trouble::Fault(_)) | Ok(Err(_)) => return Err(Verdict::failed(FAULT)),
            }
        }
        Ok(counted)
    }
}

type Cluster = (
    ObjectsOf<PersistentVolumeClaimKind>,
    ObjectsOf<PersistentVolumeKind>,
    ObjectsOf<StorageClassKind>,
    ObjectsOf<CsiNodeKind>,
    ObjectsOf<VolumeAttachmentKind>,
);

impl Filter for NodeVolumeLimits {
    type Pod = WholePod;
    type Cluster = Cluster;
    type Node = (Name, Pods);
    type State = Wanted;

    fn prepare(
        &self,
        pod: &PodInfo,
        (claims, persistent, classes, nodes, attachments): ClusterOf<'_, Cluster>,
    ) -> Option<Wanted> {
        if is_nothing(&pod.spec) {
            return None;
        }
        let mut attached: HashMap<Istr, Vec<Unique>> = HashMap::new();
        for (_, _, attachment) in attachments.iter() {
            let Some(volume) = attachment.volume.as_ref().and_then(|name| persistent.get(&Istr::default(), name))
            else {
                continue;
            };
            if let Source::Csi { handle, .. } = &volume.source {
                let unique = Unique::volume(&attachment.attacher, handle);
                let on_node = attached.entry(attachment.node.clone()).or_default();
                if !on_node.contains(&unique) {
                    on_node.push(unique);
                }
            }
        }
        let volumes = Volumes { claims, persistent, classes };
        Some(Wanted { own: volumes.of_pod(pod).collect(), volumes, nodes, attached })
    }

    fn filter(&self, wanted: &Wanted, (name, pods): (&Istr, NodePods<'_>)) -> Verdict {
        let node = wanted.nodes.get(&Istr::default(), name);
        let mut new = match wanted.counted(node) {
            Ok(new) => new,
            Err(verdict) => return verdict,
        };
        let Some(node) = node.filter(|node| node.has_limits()) else { return Verdict::FITS };
        if new.is_empty() {
            return Verdict::FITS;
        }
        let mut here: HashSet<Unique> = HashSet::new();
        for volume in pods.iter().flat_map(|pod| wanted.volumes.of_pod(pod)) {
            match volume.as_ref().map(|volume| volume.counted_on(Some(node))) {
                Ok(Ok(unique)) => here.extend(unique.cloned()),
                // A claim that is gone: nobody knows what was attached for it.
                Err(Trouble::Missing(_)) => {}
                Err(Trouble::Fault(_)) | Ok(Err(_)) => return Verdict::failed(FAULT_OF_OTHERS),
            }
        }
        new.retain(|volume| !here.contains(*volume));
        let attached = wanted.attached.get(name).map_or(&[][..], Vec::as_slice);
        let exceeds = |driver: &Istr| {
            let Some(limit) = node.limit(driver) else { return false };
            let of_driver = |unique: &&Unique| unique.driver == *driver;
            let others = attached.iter().filter(of_driver).filter(|unique| !here.contains(*unique)).count();
            let all = here.iter().filter(of_driver).count() + others + new.iter().copied().filter(of_driver).count();
            i64::try_from(all).unwrap_or(i64::MAX) > limit
        };
        if new.iter().any(|unique| exceeds(&unique.driver)) { Verdict::unschedulable(EXCEEDED) } else { Verdict::FITS }
    }

    fn reasons(&self, wanted: &Wanted, reasons: u32) -> Vec<String> {
        let troubles = wanted.own.iter().filter_map(|volume| match volume {
            Err(Trouble::Missing(text)) if reasons & MISSING != 0 => Some(text),
            Err(Trouble::Fault(text)) if reasons & FAULT != 0 => Some(text),
            Ok(Use::InTree(_, Err(text))) if reasons & FAULT != 0 => Some(text),
            _ => None,
        });
        let first = troubles.take(1).cloned();
        let fixed = [(EXCEEDED, REASON), (FAULT_OF_OTHERS, REASON_OF_OTHERS)];
        fixed.into_iter().filter(|(bit, _)| reasons & bit != 0).map(|(_, text)| text.to_owned()).chain(first).collect()
    }
}

#[cfg(test)]
mod tests;
