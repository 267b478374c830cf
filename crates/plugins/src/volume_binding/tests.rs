mod bind;
mod matching;

use plimsoll_framework::cluster_event::QueueingHint;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::verdict::Code;
use serde_json::{Value, json};

use super::*;
use crate::testing::{World, object_hint, pod, rejected, unresolvable};

const AFFINITY: &str = "node(s) didn't match PersistentVolume's node affinity";
const NO_VOLUME: &str = "node(s) didn't find available persistent volumes to bind";
const SPACE: &str = "node(s) did not have enough free storage";
const MISSING: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

fn plugin() -> Extensions {
    Extensions::of(VolumeBinding::default()).pre_filter().filter().done()
}

fn with_volumes(volumes: Value) -> Value {
    json!({"metadata": {"name": "p", "namespace": "d", "uid": "p"}, "spec": {"volumes": volumes}})
}

fn with_claims(names: &[&str]) -> Value {
    let volume = |name: &&str| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
    with_volumes(names.iter().map(volume).collect())
}

fn bound(name: &str, volume: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "d", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
           "spec": {"volumeName": volume}})
}

fn unbound(name: &str, class: &str, request: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "d", "uid": name},
           "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": request}}}})
}

/// With a value set at a path.
fn set(mut object: Value, path: &str, value: Value) -> Value {
    let mut at = &mut object;
    for part in path.split('|') {
        at = &mut at[part];
    }
    *at = value;
    object
}

fn in_zone(zone: &str) -> Value {
    let expression = json!({"key": "zone", "operator": "In", "values": [zone]});
    json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}})
}

fn free(name: &str, class: &str, capacity: &str) -> Value {
    json!({"metadata": {"name": name}, "status": {"phase": "Available"},
           "spec": {"storageClassName": class, "capacity": {"storage": capacity},
                    "accessModes": ["ReadWriteOnce", "ReadOnlyMany"]}})
}

fn class(name: &str, provisioner: &str, mode: Value) -> Value {
    json!({"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode})
}

fn classes() -> Vec<Value> {
    let later = json!("WaitForFirstConsumer");
    let zoned = json!([{"matchLabelExpressions": [{"key": "zone", "values": ["b", "c"]}]}]);
    vec![
        class("made", "csi.example.com", later.clone()),
        set(class("elsewhere", "csi.example.com", later.clone()), "allowedTopologies", zoned),
        class("local", "kubernetes.io/no-provisioner", later.clone()),
        class("room", "room.example.com", later),
        class("now", "csi.example.com", json!("Immediate")),
        class("modeless", "csi.example.com", json!(null)),
    ]
}

fn node() -> Value {
    json!({"metadata": {"name": "n", "labels": {"zone": "a"}}})
}

fn world(claims: &[Value], volumes: &[Value]) -> World {
    World::new(&node(), &[])
        .with::<PersistentVolumeClaimKind>(claims)
        .with::<PersistentVolumeKind>(volumes)
        .with::<StorageClassKind>(&classes())
}

#[test]
fn claims_have_to_be_usable() {
    let own = json!([{"uid": "p", "controller": true}]);
    let claims = [
        bound("bound", "v"),
        unbound("later", "made", "1Gi"),
        unbound("now", "now", "1Gi"),
        unbound("classless", "", "1Gi"),
        unbound("unknown", "unknown", "1Gi"),
        unbound("modeless", "modeless", "1Gi"),
        // Meant for a volume, but not bound to it yet.
        set(unbound("meant", "made", "1Gi"), "spec|volumeName", json!("v")),
        set(bound("lost", "v"), "status", json!({"phase": "Lost"})),
        set(bound("going", "v"), "metadata|deletionTimestamp", json!("2024-01-01T00:00:00Z")),
        set(unbound("p-mine", "made", "1Gi"), "metadata|ownerReferences", own),
        unbound("p-theirs", "made", "1Gi"),
    ];
    let world = world(&claims, &[]);
    let immediate = || rejected("pod has unbound immediate PersistentVolumeClaims");
    let rows: [(&[&str], PreFilterVerdict); 12] = [
        (&[], PreFilterVerdict::Skip),
        (&["bound"], PreFilterVerdict::Run),
        (&["bound", "later"], PreFilterVerdict::Run),
        (&["later", "now"], immediate()),
        (&["classless"], immediate()),
        (&["unknown"], immediate()),
        (&["meant"], immediate()),
        (&["lost"], rejected("persistentvolumeclaim \"lost\" bound to non-existent persistentvolume \"v\"")),
        (&["going"], rejected("persistentvolumeclaim \"going\" is being deleted")),
        (&["now", "gone"], rejected("persistentvolumeclaim \"gone\" not found")),
        (&["gone", "lost"], rejected("persistentvolumeclaim \"gone\" not found")),
        (
            &["now", "modeless"],
            PreFilterVerdict::Fail(PluginError {
                message: "VolumeBindingMode not set for StorageClass \"modeless\"".to_owned(),
            }),
        ),
    ];
    for (names, expect) in rows {
        assert_eq!(world.pre_filter(&plugin(), &with_claims(names)), expect, "{names:?}");
    }
    let waiting = "waiting for ephemeral volume controller to create the persistentvolumeclaim \"p-gone\"";
    let ephemeral = [
        ("mine", PreFilterVerdict::Run),
        ("gone", rejected(waiting)),
        ("theirs", rejected("PVC d/p-theirs was not created for pod d/p (pod is not owner)")),
    ];
    for (name, expect) in ephemeral {
        let asked = with_volumes(json!([{"emptyDir": {}}, {"name": name, "ephemeral": {}}]));
        assert_eq!(world.pre_filter(&plugin(), &asked), expect, "{name}");
    }
}

#[test]
fn bound_volumes_have_to_be_within_reach() {
    let volume = |name: &str, zone: &str| set(free(name, "", "1Gi"), "spec|nodeAffinity", in_zone(zone));
    let volumes = [volume("here", "a"), volume("there", "b"), free("everywhere", "", "1Gi")];
    let claims =
        [bound("here", "here"), bound("there", "there"), bound("everywhere", "everywhere"), bound("lost", "gone")];
    let world = world(&claims, &volumes);
    let rows: [(&[&str], &[&str]); 6] = [
        (&["here", "everywhere"], &[]),
        (&["here", "there"], &[AFFINITY]),
        (&["lost"], &[MISSING]),
        // The first one decides what is said.
        (&["there", "lost"], &[AFFINITY]),
        (&["lost", "there"], &[MISSING]),
        (&["everywhere"], &[]),
    ];
    for (names, expect) in rows {
        assert_eq!(world.filter(&plugin(), &with_claims(names)), unresolvable(expect), "{names:?}");
    }
}

#[test]
fn migrated_volumes_are_reached_as_their_driver_says() {
    let zone = "topology.kubernetes.io/zone";
    let at = |plugin: Value| json!({"metadata": {"name": "v", "labels": {zone: "a"}}, "spec": plugin});
    let ebs = |id: &str| at(json!({"awsElasticBlockStore": {"volumeID": id}}));
    let broken = at(json!({"gcePersistentDisk": {"pdName": "d"}}));
    let broken = set(broken, &format!("metadata|labels|{zone}"), json!("a__b"));
    let why = "could not translate pv: failed to get region from zones: zone in unexpected format, expected: \
               {locale}-{region}-{zone}, got: a";
    let rows = [
        // Before migration there is nothing but the volume's own affinity, which it has not.
        (ebs("vol-1"), "", "b", None),
        (ebs("vol-1"), "kubernetes.io/aws-ebs", "a", None),
        (ebs("vol-1"), "kubernetes.io/aws-ebs", "b", unresolvable(&[AFFINITY])),
        (ebs("vol-1"), "kubernetes.io/gce-pd", "b", None),
        (broken.clone(), "", "a", None),
        (broken, "kubernetes.io/gce-pd", "a", Some((Code::Error, vec![why.to_owned()]))),
    ];
    for (volume, migrated, node_zone, expect) in rows {
        let node = json!({"metadata": {"name": "n", "labels": {"topology.ebs.csi.aws.com/zone": node_zone}}});
        let csi = json!({"metadata": {"name": "n", "annotations": {"storage.alpha.kubernetes.io/migrated-plugins": migrated}}});
        let world = World::new(&node, &[])
            .with::<PersistentVolumeClaimKind>(&[bound("c", "v")])
            .with::<PersistentVolumeKind>(std::slice::from_ref(&volume))
            .with::<CsiNodeKind>(&[csi]);
        assert_eq!(world.filter(&plugin(), &with_claims(&["c"])), expect, "{volume} {migrated} {node_zone}");
    }
}

#[test]
fn volumes_are_found_or_made() {
    let selected = |node: &str, class: &str| {
        set(unbound("c", class, "1Gi"), "metadata|annotations", json!({"volume.kubernetes.io/selected-node": node}))
    };
    let rows = [
        (unbound("c", "made", "1Gi"), vec![], vec![]),
        (unbound("c", "local", "1Gi"), vec![], vec![NO_VOLUME]),
        (unbound("c", "elsewhere", "1Gi"), vec![], vec![NO_VOLUME]),
        (unbound("c", "local", "1Gi"), vec![free("v", "local", "1Gi")], vec![]),
        (unbound("c", "elsewhere", "1Gi"), vec![free("v", "elsewhere", "1Gi")], vec![]),
        (selected("n", "made"), vec![], vec![]),
        (selected("m", "made"), vec![], vec![NO_VOLUME]),
        // A volume is to be made for it, whatever volumes there are.
        (selected("n", "local"), vec![free("v", "local", "1Gi")], vec![NO_VOLUME]),
        (selected("n", "elsewhere"), vec![], vec![NO_VOLUME]),
    ];
    for (claim, volumes, expect) in rows {
        let answer = world(std::slice::from_ref(&claim), &volumes).filter(&plugin(), &with_claims(&["c"]));
        assert_eq!(answer, unresolvable(&expect), "{claim} {volumes:?}");
    }
    let there = set(free("v", "", "1Gi"), "spec|nodeAffinity", in_zone("b"));
    let both = world(&[bound("b", "v"), unbound("c", "local", "1Gi")], &[there]);
    assert_eq!(both.filter(&plugin(), &with_claims(&["c", "b"])), unresolvable(&[AFFINITY, NO_VOLUME]));
}

#[test]
fn a_claim_used_twice_needs_two_volumes() {
    let claims = [unbound("c", "local", "1Gi")];
    let twice = with_claims(&["c", "c"]);
    let (one, two) = (free("v", "local", "1Gi"), free("w", "local", "1Gi"));
    assert_eq!(world(&claims, std::slice::from_ref(&one)).filter(&plugin(), &twice), unresolvable(&[NO_VOLUME]));
    assert_eq!(world(&claims, &[one, two]).filter(&plugin(), &twice), None);
}

#[test]
fn room_is_asked_for_where_drivers_tell_of_it() {
    let driver = |tells: Value| json!({"metadata": {"name": "room.example.com"}, "spec": {"storageCapacity": tells}});
    let capacity = |class: &str, zone: Value, capacity: Value, largest: Value| {
        json!({"metadata": {"name": "1", "namespace": "s"}, "storageClassName": class, "nodeTopology": zone,
               "capacity": capacity, "maximumVolumeSize": largest})
    };
    let (here, there) = (json!({"matchLabels": {"zone": "a"}}), json!({"matchLabels": {"zone": "b"}}));
    let none = || json!(null);
    let rows = [
        (None, none(), true),
        (Some(driver(json!(false))), none(), true),
        (Some(driver(none())), none(), true),
        (Some(driver(json!(true))), none(), false),
        (Some(driver(json!(true))), capacity("room", here.clone(), json!("1Gi"), none()), true),
        (Some(driver(json!(true))), capacity("room", json!({}), json!("1Gi"), none()), true),
        (Some(driver(json!(true))), capacity("room", none(), json!("1Gi"), none()), false),
        (Some(driver(json!(true))), capacity("room", there, json!("1Gi"), none()), false),
        (Some(driver(json!(true))), capacity("room", here.clone(), json!("1023Mi"), none()), false),
        (Some(driver(json!(true))), capacity("room", here.clone(), json!("9Gi"), json!("1023Mi")), false),
        (Some(driver(json!(true))), capacity("room", here.clone(), json!("1Mi"), json!("1Gi")), true),
        (Some(driver(json!(true))), capacity("room", here.clone(), none(), none()), false),
        (Some(driver(json!(true))), capacity("made", here, json!("1Gi"), none()), false),
    ];
    for (driver, capacity, fits) in rows {
        let capacities: Vec<Value> = Some(capacity.clone()).filter(|c| !c.is_null()).into_iter().collect();
        let world = world(&[unbound("c", "room", "1Gi")], &[])
            .with::<CsiDriverKind>(&driver.iter().cloned().collect::<Vec<_>>())
            .with::<CsiStorageCapacityKind>(&capacities);
        let expect: &[&str] = if fits { &[] } else { &[SPACE] };
        assert_eq!(world.filter(&plugin(), &with_claims(&["c"])), unresolvable(expect), "{driver:?} {capacity}");
    }
    let unsized_claim = set(unbound("c", "room", "1Gi"), "spec|resources", json!({}));
    let world = world(&[unsized_claim], &[]).with::<CsiDriverKind>(&[driver(json!(true))]);
    assert_eq!(world.filter(&plugin(), &with_claims(&["c"])), None);
}

#[test]
fn scores_are_left_to_others() {
    assert!(!VolumeBinding::default().pre_score(&pod(with_claims(&["c"])).spec, ()));
}

#[test]
fn hints() {
    use QueueingHint::{Queue, Skip};
    let pod = with_volumes(json!([{"persistentVolumeClaim": {"claimName": "c"}}, {"name": "e", "ephemeral": {}}]));
    macro_rules! check {
        ($kind:ty, $($old:expr, $new:expr => $expect:expr;)*) => {$({
            let (old, new): (Option<Value>, Option<Value>) = ($old, $new);
            let hint = object_hint::<$kind>(&VolumeBinding::default(), &pod, old.as_ref(), new.as_ref());
            assert_eq!(hint, $expect, "{old:?} {new:?}");
        })*};
    }
    let topologies = |zones: Value| {
        let terms = json!([{"matchLabelExpressions": [{"key": "zone", "values": zones}]}]);
        Some(set(class("s", "p", json!("Immediate")), "allowedTopologies", terms))
    };
    check! { StorageClassKind,
        None, topologies(json!(["a"])) => Queue;
        topologies(json!(["a"])), topologies(json!(["a", "b"])) => Queue;
        topologies(json!(["a"])), topologies(json!(["a"])) => Skip;
    }
    let claim = |namespace: &str, name: &str| Some(json!({"metadata": {"namespace": namespace, "name": name}}));
    check! { PersistentVolumeClaimKind,
        None, claim("d", "c") => Queue;
        claim("d", "c"), claim("d", "c") => Queue;
        None, claim("d", "p-e") => Queue;
        None, claim("d", "e") => Skip;
        None, claim("other", "c") => Skip;
    }
    let kept = |namespace: &str, name: &str| {
        Some(set(free("v", "s", "1Gi"), "spec|claimRef", json!({"namespace": namespace, "name": name})))
    };
    check! { PersistentVolumeKind,
        None, kept("d", "c") => Queue;
        kept("d", "c"), Some(free("v", "s", "1Gi")) => Queue;
        kept("d", "c"), None => Queue;
        kept("d", "other"), None => Skip;
        kept("other", "c"), None => Skip;
        Some(free("v", "s", "1Gi")), None => Skip;
    }
    let migrated = |plugins: &str| {
        let annotations = json!({"storage.alpha.kubernetes.io/migrated-plugins": plugins});
        Some(json!({"metadata": {"name": "n", "annotations": annotations}}))
    };
    check! { CsiNodeKind,
        None, migrated("") => Queue;
        migrated(""), migrated("a") => Queue;
        migrated("a"), migrated("a") => Skip;
        migrated("a"), None => Queue;
        migrated(""), None => Skip;
    }
    let driver = |tells: bool| Some(json!({"metadata": {"name": "p"}, "spec": {"storageCapacity": tells}}));
    check! { CsiDriverKind,
        driver(true), driver(false) => Queue;
        driver(true), None => Queue;
        driver(false), driver(true) => Skip;
        driver(true), driver(true) => Skip;
        driver(false), None => Skip;
    }
    let room = |bytes: Value| Some(json!({"storageClassName": "s", "capacity": bytes}));
    check! { CsiStorageCapacityKind,
        None, room(json!("1")) => Queue;
        room(json!("1")), room(json!("2")) => Queue;
        room(json!(null)), room(json!("1")) => Queue;
        room(json!("2")), room(json!("1")) => Skip;
        room(json!("1")), room(json!("1")) => Skip;
    }
}
