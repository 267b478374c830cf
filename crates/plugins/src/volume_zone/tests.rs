use plimsoll_framework::extensions::Extensions;
use serde_json::{Value, json};

use super::*;
use crate::testing::{World, object_hint, rejected, unresolvable};

fn plugin() -> Extensions {
    Extensions::of(VolumeZone::default()).pre_filter().filter().done()
}

fn with_claims(names: &[&str]) -> Value {
    let volume = |name: &&str| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
    json!({"metadata": {"name": "p", "namespace": "d"},
           "spec": {"volumes": names.iter().map(volume).collect::<Vec<_>>()}})
}

fn claim(name: &str, volume: &str, class: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "d"}, "spec": {"volumeName": volume, "storageClassName": class}})
}

fn volume(name: &str, labels: &Value) -> Value {
    json!({"metadata": {"name": name, "labels": labels}})
}

fn class(name: &str, mode: Value) -> Value {
    json!({"metadata": {"name": name}, "volumeBindingMode": mode})
}

#[test]
fn nodes_have_to_be_where_volumes_are() {
    const ZONE: &str = "topology.kubernetes.io/zone";
    const REGION: &str = "topology.kubernetes.io/region";
    const BETA_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";
    let rows = [
        (json!({ZONE: "a"}), json!({ZONE: "a"}), true),
        (json!({ZONE: "a"}), json!({ZONE: "b"}), false),
        (json!({ZONE: "a__b"}), json!({ZONE: "b"}), true),
        (json!({ZONE: "a__ b "}), json!({ZONE: "b"}), true),
        (json!({ZONE: "a__c"}), json!({ZONE: "b"}), false),
        // A label with an empty zone says nothing.
        (json!({ZONE: "a__"}), json!({ZONE: "b"}), true),
        (json!({ZONE: "a"}), json!({"other": "b"}), true),
        (json!({ZONE: "a"}), json!({REGION: "r"}), false),
        (json!({ZONE: "a", REGION: "r"}), json!({ZONE: "a", REGION: "r"}), true),
        (json!({ZONE: "a", REGION: "r"}), json!({ZONE: "a", REGION: "s"}), false),
        (json!({BETA_ZONE: "a"}), json!({ZONE: "a"}), true),
        (json!({BETA_ZONE: "a"}), json!({ZONE: "a", BETA_ZONE: "b"}), false),
        (json!({ZONE: "a"}), json!({BETA_ZONE: "a"}), false),
        (json!({"other": "a"}), json!({ZONE: "a"}), true),
    ];
    for (on_volume, on_node, fits) in rows {
        let world = World::new(&json!({"metadata": {"name": "n", "labels": on_node}}), &[])
            .with::<PersistentVolumeClaimKind>(&[claim("c", "v", "")])
            .with::<PersistentVolumeKind>(&[volume("v", &on_volume)]);
        let expect = if fits { None } else { unresolvable(&[REASON]) };
        assert_eq!(world.filter(&plugin(), &with_claims(&["c"])), expect, "{on_volume} {on_node}");
    }
}

#[test]
fn claims_lead_to_volumes_or_wait() {
    let zone = json!({"topology.kubernetes.io/zone": "a"});
    let claims = [
        claim("zoned", "zoned", ""),
        claim("plain", "plain", ""),
        claim("lost", "gone", ""),
        claim("classless", "", ""),
        claim("unknown", "", "unknown"),
        claim("modeless", "", "modeless"),
        claim("later", "", "later"),
        claim("now", "", "now"),
    ];
    let world = World::new(&json!({"metadata": {"name": "n"}}), &[])
        .with::<PersistentVolumeClaimKind>(&claims)
        .with::<PersistentVolumeKind>(&[volume("zoned", &zone), volume("plain", &json!({}))])
        .with::<StorageClassKind>(&[
            class("modeless", json!(null)),
            class("later", json!("WaitForFirstConsumer")),
            class("now", json!("Immediate")),
        ]);
    let rows: [(&[&str], PreFilterVerdict); 11] = [
        (&[], PreFilterVerdict::Skip),
        (&["plain", "later"], PreFilterVerdict::Skip),
        (&["later", "zoned"], PreFilterVerdict::Run),
        (&["zoned", ""], rejected("PersistentVolumeClaim had no name")),
        (&["missing"], rejected("persistentvolumeclaim \"missing\" not found")),
        (&["lost"], rejected("persistentvolume \"gone\" not found")),
        (&["classless"], rejected("PersistentVolumeClaim had no pv name and storageClass name")),
        (&["unknown"], rejected("storageclass.storage.k8s.io \"unknown\" not found")),
        (&["modeless"], rejected("VolumeBindingMode not set for StorageClass \"modeless\"")),
        (&["now"], rejected("PersistentVolume had no name")),
        (&["now", "lost"], rejected("PersistentVolume had no name")),
    ];
    for (names, expect) in rows {
        assert_eq!(world.pre_filter(&plugin(), &with_claims(names)), expect, "{names:?}");
    }
}

#[test]
fn hints() {
    use QueueingHint::{Queue, Skip};
    let (plugin, pod) = (VolumeZone::default(), with_claims(&["c"]));
    for (mode, expect) in [(json!("WaitForFirstConsumer"), Queue), (json!("Immediate"), Skip), (json!(null), Skip)] {
        let added = class("s", mode);
        assert_eq!(object_hint::<StorageClassKind>(&plugin, &pod, None, Some(&added)), expect, "{added}");
    }
    for (name, expect) in [("c", Queue), ("other", Skip)] {
        let changed = claim(name, "v", "");
        let hint = object_hint::<PersistentVolumeClaimKind>(&plugin, &pod, Some(&changed), Some(&changed));
        assert_eq!(hint, expect, "{name}");
    }
    let at = |zone: &str| volume("v", &json!({"topology.kubernetes.io/zone": zone}));
    for (old, new, expect) in [(None, at("a"), Queue), (Some(at("a")), at("b"), Queue), (Some(at("a")), at("a"), Skip)]
    {
        assert_eq!(object_hint::<PersistentVolumeKind>(&plugin, &pod, old.as_ref(), Some(&new)), expect, "{new}");
    }
}
