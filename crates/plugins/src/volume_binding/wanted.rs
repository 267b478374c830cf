//! The volumes that a pod needs, and whether a node has them.

use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::{LabelSelector, LabelSet};
use plimsoll_framework::object::{ObjectKey, Objects};
use plimsoll_framework::quantity::Quantity;
use plimsoll_framework::verdict::Verdict;

use super::claims::Claims;
use super::matching::Candidates;
use crate::kinds::storage::{
    CsiDriverKind, CsiNode, CsiNodeKind, CsiStorageCapacityKind, PersistentVolume, PersistentVolumeClaim,
    PersistentVolumeKind, Source, StorageClass, StorageClassKind,
};

const REASON_AFFINITY: &str = "node(s) didn't match PersistentVolume's node affinity";
const REASON_NO_VOLUME: &str = "node(s) didn't find available persistent volumes to bind";
const REASON_SPACE: &str = "node(s) did not have enough free storage";
const REASON_MISSING: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
const AFFINITY: u32 = 1;
const NO_VOLUME: u32 = 2;
const SPACE: u32 = 4;
const MISSING: u32 = 8;
const FAULT: u32 = 16;

/// What is known of how storage comes about.
pub(super) struct Storage<'s> {
    pub(super) classes: &'s Objects<StorageClassKind>,
    pub(super) drivers: &'s Objects<CsiDriverKind>,
    pub(super) capacities: &'s Objects<CsiStorageCapacityKind>,
}

/// What is done for the claims of a pod once its node is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Claims that are bound to volumes that there are.
    pub bindings: Vec<(ObjectKey, Istr)>,
    /// Claims for which volumes are made.
    pub provisions: Vec<ObjectKey>,
}

/// The volumes that a pod needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The volumes of bound claims, in the order of the pod's volumes.
    bound: Box<[Istr]>,
    /// Claims whose volumes are to be made on a node that was chosen before, in the order of the pod's volumes.
    placed: Box<[(Unbound, Istr)]>,
    /// The other claims without volumes, the smallest first.
    unplaced: Box<[Unbound]>,
    volumes: Objects<PersistentVolumeKind>,
    nodes: Objects<CsiNodeKind>,
}

/// A claim without a volume.
#[derive(Clone, Debug, PartialEq)]
struct Unbound {
    claim: ObjectKey,
    request: Quantity,
    candidates: Candidates,
    class: StorageClass,
    /// The parts of the cluster with enough room, where the driver tells of room.
    room: Option<Box<[LabelSelector]>>,
}

impl Unbound {
    /// `None` where there is no class: then the claim would not wait for a pod.
    fn new(
        claim: &PersistentVolumeClaim,
        volumes: &Objects<PersistentVolumeKind>,
        storage: &Storage<'_>,
    ) -> Option<Self> {
        let class = storage.classes.get(&Istr::default(), &claim.class)?;
        let is_placed = claim.selected_node.is_some();
        Some(Self {
            claim: ObjectKey { namespace: claim.namespace.clone(), name: claim.name.clone() },
            request: claim.request.unwrap_or_default(),
            candidates: if is_placed { Candidates::default() } else { Candidates::of(claim, volumes) },
            class: class.clone(),
            room: room_for(claim, class, storage),
        })
    }

    /// Why no volume can be made for it on a node with these labels, if none can.
    fn cannot_be_made(&self, labels: &LabelSet) -> Option<u32> {
        if !self.class.can_provision_at(labels) {
            return Some(NO_VOLUME);
        }
        let fits = self.room.as_ref().is_none_or(|room| room.iter().any(|part| part.matches(labels)));
        (!fits).then_some(SPACE)
    }
}

/// The parts of the cluster that have room for the claim's volume; `None` where that is not asked.
fn room_for(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    storage: &Storage<'_>,
) -> Option<Box<[LabelSelector]>> {
    let bytes = claim.request?.value();
    storage.drivers.get(&Istr::default(), &class.provisioner).filter(|driver| driver.storage_capacity)?;
    let of_class = storage.capacities.iter().filter(|(_, _, capacity)| capacity.class == class.name);
    let enough = of_class.filter(|(_, _, capacity)| capacity.limit_bytes.is_some_and(|limit| limit >= bytes));
    Some(enough.filter_map(|(_, _, capacity)| capacity.nodes.clone()).collect())
}

impl Wanted {
    pub(super) fn new(
        claims: &Claims<'_>,
        volumes: Objects<PersistentVolumeKind>,
        nodes: Objects<CsiNodeKind>,
        storage: &Storage<'_>,
    ) -> Self {
        let (mut placed, mut unplaced) = (Vec::new(), Vec::new());
        for claim in &claims.delayed {
            let Some(unbound) = Unbound::new(claim, &volumes, storage) else { continue };
            match &claim.selected_node {
                Some(node) => placed.push((unbound, node.clone())),
                None => unplaced.push(unbound),
            }
        }
        unplaced.sort_by_key(|unbound| unbound.request);
        Self {
            bound: claims.bound.iter().map(|claim| claim.volume_name.clone()).collect(),
            placed: placed.into(),
            unplaced: unplaced.into(),
            volumes,
            nodes,
        }
    }

    /// Whether every claim has its volume.
    pub(super) fn is_bound(&self) -> bool {
        self.placed.is_empty() && self.unplaced.is_empty()
    }

    /// What is to be done for the claims if the pod runs on this node. The error is Filter's answer.
    pub fn choose(&self, name: &Istr, labels: &LabelSet) -> Result<Choice, Verdict> {
        let bound = self.bound_trouble(name, labels);
        if bound == FAULT {
            return Err(Verdict::failed(FAULT));
        }
        let chosen = self.choose_unbound(name, labels);
        match bound | chosen.as_ref().err().copied().unwrap_or(0) {
            0 => chosen.map_err(Verdict::unresolvable),
            reasons => Err(Verdict::unresolvable(reasons)),
        }
    }

    /// What the first of the bound volumes that the node cannot have is short of; 0 where it can have all of them.
    fn bound_trouble(&self, name: &Istr, labels: &LabelSet) -> u32 {
        if self.bound.is_empty() {
            return 0;
        }
        let node = self.nodes.get(&Istr::default(), name);
        let trouble = |volume: &Istr| match self.volumes.get(&Istr::default(), volume) {
            None => MISSING,
            Some(volume) => match reaches(volume, node, labels) {
                Ok(true) => 0,
                Ok(false) => AFFINITY,
                Err(_) => FAULT,
            },
        };
        self.bound.iter().map(trouble).find(|trouble| *trouble != 0).unwrap_or(0)
    }

    fn choose_unbound(&self, name: &Istr, labels: &LabelSet) -> Result<Choice, u32> {
        if self.placed.iter().any(|(_, node)| node != name) {
            return Err(NO_VOLUME);
        }
        let mut choice = Choice::default();
        let mut to_make: Vec<&Unbound> = self.placed.iter().map(|(unbound, _)| unbound).collect();
        for unbound in &self.unplaced {
            let taken = |name: &Istr| choice.bindings.iter().any(|(_, volume)| volume == name);
            match unbound.candidates.choose(&self.volumes, labels, taken) {
                Some(volume) => choice.bindings.push((unbound.claim.clone(), volume.clone())),
                None => to_make.push(unbound),
            }
        }
        match to_make.iter().find_map(|unbound| unbound.cannot_be_made(labels)) {
            Some(reason) => Err(reason),
            None => {
                choice.provisions = to_make.into_iter().map(|unbound| unbound.claim.clone()).collect();
                Ok(choice)
            }
        }
    }

    pub(super) fn reasons(&self, reasons: u32) -> Vec<String> {
        let texts = [
            (AFFINITY, REASON_AFFINITY),
            (NO_VOLUME, REASON_NO_VOLUME),
            (SPACE, REASON_SPACE),
            (MISSING, REASON_MISSING),
        ];
        let fixed = texts.into_iter().filter(|(bit, _)| reasons & bit != 0).map(|(_, text)| text.to_owned());
        let bound = self.bound.iter().filter_map(|name| self.volumes.get(&Istr::default(), name));
        let fault = bound.filter_map(|volume| match &volume.source {
            Source::InTree(source) => source.translated.as_ref().err(),
            _ => None,
        });
        let faults = fault.map(|why| format!("could not translate pv: {why}"));
        fixed.chain(faults.take(usize::from(reasons & FAULT != 0))).collect()
    }
}

/// Whether a node can reach a volume: by the labels of its driver, where that has taken over from an in-tree plugin.
pub(super) fn reaches<'v>(
    volume: &'v PersistentVolume,
    node: Option<&CsiNode>,
    labels: &LabelSet,
) -> Result<bool, &'v str> {
    match &volume.source {
        Source::InTree(source) if source.plugin.is_migrated_on(node) => match &source.translated {
            Ok(translated) => Ok(translated.is_reachable_from(labels)),
            Err(why) => Err(why),
        },
        _ => Ok(volume.is_reachable_from(labels)),
    }
}
