//! What the controller of volumes and the provisioners of a cluster do, all of it at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use plimsoll_engine::effect::WriteRequest;
use plimsoll_engine::event::Event;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::{KindRef, ObjectKey, ObjectKind};
use plimsoll_framework::table::View;
use plimsoll_plugins::kinds::storage::{
    PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimKind, PersistentVolumeKind,
};
use serde_json::{Value, json};

/// By this label a volume that is made is said to be where its node is, as the stand-in's provisioner does it.
const ZONE: &str = "topology.kubernetes.io/zone";

/// What is written is as it was assumed to be, and leads to what [`settle`] says.
pub(super) fn written(view: &View, request: &WriteRequest) -> Vec<Event> {
    let (claims, volumes) = (claims(view), volumes(view));
    let mut events = Vec::new();
    for (_, write) in &request.writes {
        let (namespace, name) = (Istr::new(&write.namespace), Istr::new(&write.name));
        if let ("persistentvolumes", Some(volume)) = (&*write.plural, volumes.get(&namespace, &name)) {
            events.push(event::<PersistentVolumeKind>(&namespace, &name, volume.clone()));
            let owner = volume.claim.as_ref().and_then(|owner| claims.get(&owner.namespace, &owner.name));
            events.extend(owner.filter(|claim| !claim.is_fully_bound()).map(|claim| bind(claim, &volume.name)));
        } else if let ("persistentvolumeclaims", Some(claim)) = (&*write.plural, claims.get(&namespace, &name)) {
            events.extend(provision(view, claim));
        }
    }
    events
}

/// Every claim for which a volume is kept is bound to it, and one that names a node gets a volume made there.
pub(super) fn settle(view: &View) -> Vec<Event> {
    let (claims, volumes) = (claims(view), volumes(view));
    let owner = |volume: &PersistentVolume| volume.claim.as_ref().map(|c| (c.namespace.clone(), c.name.clone()));
    let kept = volumes.iter().filter_map(|(_, name, volume)| Some((owner(volume)?, (name.clone(), volume))));
    let kept: BTreeMap<_, _> = kept.collect();
    let unbound = claims.iter().filter(|(_, _, claim)| !claim.is_fully_bound());
    // In a fixed order, so that every run goes the same way.
    let unbound: BTreeMap<_, _> = unbound.map(|(namespace, name, claim)| ((namespace, name), claim)).collect();
    unbound
        .into_iter()
        .flat_map(|((namespace, name), claim)| match kept.get(&(namespace.clone(), name.clone())) {
            Some((volume, known)) if known.belongs_to(claim) => vec![bind(claim, volume)],
            _ => provision(view, claim),
        })
        .collect()
}

fn claims(view: &View) -> plimsoll_framework::object::Objects<PersistentVolumeClaimKind> {
    view.cluster().objects()
}

fn volumes(view: &View) -> plimsoll_framework::object::Objects<PersistentVolumeKind> {
    view.cluster().objects()
}

fn event<K: ObjectKind>(namespace: &Istr, name: &Istr, object: K::Object) -> Event {
    let key = ObjectKey { namespace: namespace.clone(), name: name.clone() };
    Event::Object { kind: KindRef::of::<K>(), key, resource_version: 0, object: Some(Arc::new(object)) }
}

fn bind(claim: &PersistentVolumeClaim, volume: &Istr) -> Event {
    let bound = PersistentVolumeClaim { volume_name: volume.clone(), bind_completed: true, ..claim.clone() };
    event::<PersistentVolumeClaimKind>(&claim.namespace, &claim.name, bound)
}

/// Makes a volume for a claim that names a node, and binds it to that; nothing for other claims.
fn provision(view: &View, claim: &PersistentVolumeClaim) -> Vec<Event> {
    let Some(node) = &claim.selected_node else { return Vec::new() };
    let name = Istr::from(format!("pvc-{}-{}", claim.namespace, claim.name));
    let node = view.row(node).and_then(|row| view.node(row));
    let zone = node.and_then(|node| node.labels.get(&ZONE.into()).cloned());
    let affinity = zone.map_or(Value::Null, |zone| {
        let expression = json!({"key": ZONE, "operator": "In", "values": [zone.as_str()]});
        json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}})
    });
    let volume = json!({
        "metadata": {"name": name.as_str()},
        "spec": {
            "storageClassName": claim.class.as_str(), "nodeAffinity": affinity,
            "claimRef": {"namespace": claim.namespace.as_str(), "name": claim.name.as_str(), "uid": claim.uid.as_str()},
        },
    });
    // Made of nothing but names, so it can always be read.
    let Ok(volume) = PersistentVolumeKind::decode(&volume) else { return Vec::new() };
    vec![event::<PersistentVolumeKind>(&Istr::default(), &name, volume), bind(claim, &name)]
}
