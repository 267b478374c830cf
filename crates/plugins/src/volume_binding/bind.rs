//! Reserve and PreBind: the claims of a pod get their volumes once its node is chosen.
//!
//! What is chosen is assumed in Reserve, written in PreBind, and done by others: the controller of volumes binds a claim to
//! the volume that is kept for it, a provisioner makes one for the node that a claim names. PreBind chooses again, on the
//! objects as they are assumed, and finds what Reserve has chosen; so it does for a scheduler that was started anew.

use hashbrown::HashSet;
use plimsoll_framework::assume::Assumption;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindId, ObjectKey, Objects};
use plimsoll_framework::plugin::{Awaited, Filter, PreBind, PreBindAnswer, Progress, Refusal, Reserve, Write};
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::read::ClusterOf;
use plimsoll_framework::verdict::PluginError;
use serde_json::json;

use super::wanted::reaches;
use super::{Choice, Cluster, VolumeBinding};
use crate::claims::{claim_not_found, is_claim, volume_not_found};
use crate::kinds::storage::{
    BOUND_BY_CONTROLLER, ClaimRef, CsiNodeKind, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimKind,
    PersistentVolumeKind, SELECTED_NODE,
};

impl Reserve for VolumeBinding {
    type Cluster = Cluster;

    fn concerns(&self, pod: &PodSpecInfo) -> bool {
        !pod.volumes.is_empty()
    }

    fn reserve(
        &self,
        pod: &PodInfo,
        node: &NodeInfo,
        cluster: ClusterOf<'_, Cluster>,
    ) -> Result<Vec<Assumption>, Refusal> {
        let (claims, volumes) = (cluster.0.clone(), cluster.1.clone());
        let Some(choice) = self.choose(pod, node, cluster).map_err(Refusal::Failed)? else { return Ok(Vec::new()) };
        let bindings = choice.bindings.iter().filter_map(|(key, name)| {
            let claim = claims.get(&key.namespace, &key.name)?;
            keep_for(claim, volumes.get(&Istr::default(), name)?)
        });
        let provisions = choice.provisions.iter().filter_map(|key| {
            let claim = claims.get(&key.namespace, &key.name)?;
            select_node(claim, &node.name)
        });
        Ok(bindings.chain(provisions).collect())
    }
}

impl PreBind for VolumeBinding {
    type Cluster = Cluster;
    type Awaited = Choice;

    fn concerns(&self, pod: &PodSpecInfo) -> bool {
        !pod.volumes.is_empty()
    }

    fn pre_bind(
        &self,
        pod: &PodInfo,
        node: &NodeInfo,
        assumed: &[Assumption],
        cluster: ClusterOf<'_, Cluster>,
    ) -> Result<PreBindAnswer<Choice>, PluginError> {
        let (claims, volumes) = (cluster.0.clone(), cluster.1.clone());
        let Some(state) = self.choose(pod, node, cluster)? else { return Ok(PreBindAnswer::nothing()) };
        let writes = assumed.iter().filter_map(|assumption| {
            let volume = assumption.object::<PersistentVolumeKind>().and_then(|v| keeping(v, &claims, &volumes));
            volume.or_else(|| assumption.object::<PersistentVolumeClaimKind>().map(selecting))
        });
        let wait = Awaited { state, at_most: self.bind_timeout, doing: "binding volumes" };
        Ok(PreBindAnswer { writes: writes.collect(), wait: Some(wait) })
    }

    /// What the API server has told counts here, not what is assumed: as long as that is still assumed, the answer to our
    /// own write has not come yet.
    fn progress(
        &self,
        choice: &Choice,
        node: &NodeInfo,
        (claims, volumes, _, nodes, ..): ClusterOf<'_, Cluster>,
    ) -> Progress {
        let look = Look { claims, volumes, nodes, node };
        let bindings = choice.bindings.iter().map(|(claim, volume)| look.at_binding(claim, volume));
        let provisions = choice.provisions.iter().map(|claim| look.at_provision(claim));
        let mut ready = true;
        for done in bindings.chain(provisions) {
            match done {
                Ok(done) => ready &= done,
                Err(message) => return Progress::Failed(PluginError { message }),
            }
        }
        if ready { Progress::Ready } else { Progress::Wait }
    }

    /// The claims, the volumes they are to have as far as these are known, and what is installed on the node.
    fn hangs_on(
        &self,
        choice: &Choice,
        node: &NodeInfo,
        (claims, ..): ClusterOf<'_, Cluster>,
    ) -> Option<Vec<(KindId, ObjectKey)>> {
        let volume = |name: &Istr| {
            (KindId::of::<PersistentVolumeKind>(), ObjectKey { namespace: Istr::default(), name: name.clone() })
        };
        let claim = |key: &ObjectKey| (KindId::of::<PersistentVolumeClaimKind>(), key.clone());
        let bindings = choice.bindings.iter().flat_map(|(key, name)| [claim(key), volume(name)]);
        let made = choice.provisions.iter().filter_map(|key| claims.written(&key.namespace, &key.name));
        let made = made.map(|claim| &claim.volume_name).filter(|name| !name.is_empty()).map(volume);
        let csi_node = ObjectKey { namespace: Istr::default(), name: node.name.clone() };
        let csi_node = std::iter::once((KindId::of::<CsiNodeKind>(), csi_node));
        Some(bindings.chain(choice.provisions.iter().map(claim)).chain(made).chain(csi_node).collect())
    }
}

impl VolumeBinding {
    /// What is to be done for the pod's claims on its node; `None` where they all have their volumes.
    fn choose(
        &self,
        pod: &PodInfo,
        node: &NodeInfo,
        cluster: ClusterOf<'_, Cluster>,
    ) -> Result<Option<Choice>, PluginError> {
        if !pod.spec.volumes.iter().any(is_claim) {
            return Ok(None);
        }
        let Some(wanted) = <Self as Filter>::prepare(self, pod, cluster).filter(|wanted| !wanted.is_bound()) else {
            return Ok(None);
        };
        let chosen = wanted.choose(&node.name, &node.labels);
        let mut choice =
            chosen.map_err(|verdict| PluginError { message: wanted.reasons(verdict.reasons()).join(", ") })?;
        // A claim that the pod uses twice needs one volume, though Filter, as kube-scheduler's, looks for two.
        let mut seen = HashSet::new();
        choice.bindings.retain(|(claim, _)| seen.insert(claim.clone()));
        choice.provisions.retain(|claim| seen.insert(claim.clone()));
        Ok(Some(choice))
    }
}

/// The volume as it will be when it is kept for the claim; `None` where it is already.
fn keep_for(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Option<Assumption> {
    let PersistentVolumeClaim { namespace, name, uid, .. } = claim;
    let owner = Some(ClaimRef { namespace: namespace.clone(), name: name.clone(), uid: uid.clone() });
    let key = ObjectKey { namespace: Istr::default(), name: volume.name.clone() };
    let kept = PersistentVolume { claim: owner, ..volume.clone() };
    (kept != *volume).then(|| Assumption::of::<PersistentVolumeKind>(key, kept))
}

/// The claim as it will be when it names the node; `None` where it does already.
fn select_node(claim: &PersistentVolumeClaim, node: &Istr) -> Option<Assumption> {
    let key = ObjectKey { namespace: claim.namespace.clone(), name: claim.name.clone() };
    let selecting = PersistentVolumeClaim { selected_node: Some(node.clone()), is_annotated: true, ..claim.clone() };
    (selecting != *claim).then(|| Assumption::of::<PersistentVolumeClaimKind>(key, selecting))
}

/// The write that keeps a volume for the claim that it is assumed to have. A volume that somebody had kept for the claim by
/// name is not said to be bound by a controller: then it stays kept when the claim goes.
fn keeping(
    volume: &PersistentVolume,
    claims: &Objects<PersistentVolumeClaimKind>,
    volumes: &Objects<PersistentVolumeKind>,
) -> Option<Write> {
    let owner = volume.claim.as_ref()?;
    let was_kept = volumes.written(&Istr::default(), &volume.name).is_some_and(|written| written.claim.is_some());
    let mut metadata = json!({"resourceVersion": volume.resource_version});
    if !was_kept {
        metadata["annotations"] = json!({BOUND_BY_CONTROLLER: "yes"});
    }
    let mut reference = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "namespace": owner.namespace.as_str(), "name": owner.name.as_str(), "uid": owner.uid.as_str(),
    });
    if let Some(claim) = claims.get(&owner.namespace, &owner.name) {
        reference["resourceVersion"] = json!(claim.resource_version);
    }
    let patch = json!({"metadata": metadata, "spec": {"claimRef": reference}});
    Some(write("persistentvolumes", &Istr::default(), &volume.name, patch))
}

/// The write by which a claim names the node that it is assumed to name.
fn selecting(claim: &PersistentVolumeClaim) -> Write {
    let node = claim.selected_node.as_ref().map(Istr::as_str);
    let annotations = json!({SELECTED_NODE: node});
    let patch = json!({"metadata": {"resourceVersion": claim.resource_version, "annotations": annotations}});
    write("persistentvolumeclaims", &claim.namespace, &claim.name, patch)
}

fn write(plural: &str, namespace: &Istr, name: &Istr, merge_patch: serde_json::Value) -> Write {
    Write {
        group: String::new(),
        version: "v1".to_owned(),
        plural: plural.to_owned(),
        namespace: namespace.to_string(),
        name: name.to_string(),
        subresource: None,
        merge_patch,
    }
}

/// A look at how far others are.
struct Look<'n> {
    claims: Objects<PersistentVolumeClaimKind>,
    volumes: Objects<PersistentVolumeKind>,
    nodes: Objects<CsiNodeKind>,
    node: &'n NodeInfo,
}

impl Look<'_> {
    /// Whether a claim is bound to the volume that was kept for it. The error says that it will not be.
    fn at_binding(&self, key: &ObjectKey, name: &Istr) -> Result<bool, String> {
        let none = Istr::default();
        let volume = self
            .volumes
            .written(&none, name)
            .ok_or_else(|| format!("failed to check binding: {}", volume_not_found(name)))?;
        let claim = self.claim(key).map_err(|why| format!("failed to check binding: {why}"))?;
        if self.volumes.is_assumed(&none, name) {
            return Ok(false);
        }
        self.check_reach(volume)?;
        let is_kept = volume.belongs_to(claim) && volume.claim.as_ref().is_some_and(|owner| owner.uid == claim.uid);
        if !is_kept {
            return Err(format!("ClaimRef got reset for pv {:?}", name.as_str()));
        }
        Ok(claim.is_fully_bound())
    }

    /// Whether a claim is bound to a volume that was made for it.
    fn at_provision(&self, key: &ObjectKey) -> Result<bool, String> {
        let claim = self.claim(key).map_err(|why| format!("failed to check provisioning pvc: {why}"))?;
        if self.claims.is_assumed(&key.namespace, &key.name) {
            return Ok(false);
        }
        let name = claim.name.as_str();
        if !claim.is_annotated {
            return Err(format!("selectedNode annotation reset for PVC {name:?}"));
        }
        // A provisioner that cannot make the volume takes the annotation away: the pod is to go elsewhere.
        if claim.selected_node.as_ref() != Some(&self.node.name) {
            return Err(format!("provisioning failed for PVC {name:?}"));
        }
        if !claim.volume_name.is_empty() {
            // The claim may be told of before its volume.
            let Some(volume) = self.volumes.written(&Istr::default(), &claim.volume_name) else { return Ok(false) };
            self.check_reach(volume)?;
        }
        Ok(claim.is_fully_bound())
    }

    fn claim(&self, key: &ObjectKey) -> Result<&PersistentVolumeClaim, String> {
        self.claims.written(&key.namespace, &key.name).ok_or_else(|| claim_not_found(&key.name))
    }

    /// The node may have lost the labels by which it reached the volume.
    fn check_reach(&self, volume: &PersistentVolume) -> Result<(), String> {
        let (name, node) = (volume.name.as_str(), self.node.name.as_str());
        match reaches(volume, self.nodes.get(&Istr::default(), &self.node.name), &self.node.labels) {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(format!("pv {name:?} node affinity doesn't match node {node:?}: no matching NodeSelectorTerms"))
            }
            Err(why) => Err(format!("failed to translate pv to csi: {why}")),
        }
    }
}
