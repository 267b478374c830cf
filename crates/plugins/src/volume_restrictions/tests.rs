use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::verdict::Code;
use serde_json::{Value, json};

use super::*;
use crate::testing::{World, object_hint, pod_hint, rejected};

fn plugin() -> Extensions {
    Extensions::of(VolumeRestrictions).pre_filter().filter().done()
}

fn node() -> Value {
    json!({"metadata": {"name": "n"}})
}

fn with_volumes(namespace: &str, volumes: Value) -> Value {
    json!({"metadata": {"name": "p", "namespace": namespace, "uid": "p"}, "spec": {"volumes": volumes}})
}

fn with_claims(namespace: &str, names: &[&str]) -> Value {
    let volume = |name: &&str| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
    with_volumes(namespace, names.iter().map(volume).collect())
}

fn claim(namespace: &str, name: &str, mode: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": namespace}, "spec": {"accessModes": ["ReadWriteOnce", mode]}})
}

fn unschedulable(reason: &str) -> Option<(Code, Vec<String>)> {
    Some((Code::Unschedulable, vec![reason.to_owned()]))
}

#[test]
fn disks_are_had_once() {
    let gce = |name: &str, read_only: bool| json!({"gcePersistentDisk": {"pdName": name, "readOnly": read_only}});
    let iscsi = |iqn: &str, read_only: bool| json!({"iscsi": {"iqn": iqn, "readOnly": read_only}});
    let rbd = |monitors: &[&str], pool: &str, image: &str, read_only: bool| json!({"rbd": {"monitors": monitors, "pool": pool, "image": image, "readOnly": read_only}});
    let ebs = |id: &str, read_only: bool| json!({"awsElasticBlockStore": {"volumeID": id, "readOnly": read_only}});
    let rows = [
        (gce("a", false), gce("a", false), false),
        (gce("a", true), gce("a", false), false),
        (gce("a", true), gce("a", true), true),
        (gce("a", false), gce("b", false), true),
        (ebs("a", false), ebs("a", false), false),
        (ebs("a", true), ebs("a", true), false),
        (ebs("a", false), ebs("b", false), true),
        (iscsi("a", false), iscsi("a", true), false),
        (iscsi("a", true), iscsi("a", true), true),
        (iscsi("a", false), iscsi("b", false), true),
        (rbd(&["m", "n"], "p", "i", false), rbd(&["n", "o"], "p", "i", true), false),
        (rbd(&["m"], "p", "i", true), rbd(&["m"], "p", "i", true), true),
        (rbd(&["m"], "p", "i", false), rbd(&["o"], "p", "i", false), true),
        (rbd(&["m"], "p", "i", false), rbd(&["m"], "q", "i", false), true),
        (rbd(&["m"], "p", "i", false), rbd(&["m"], "p", "j", false), true),
        (gce("a", false), ebs("a", false), true),
    ];
    for (asked, used, fits) in rows {
        // The namespace makes no difference to a disk.
        let world = World::new(&node(), &[with_volumes("other", json!([used]))]);
        let answer = world.filter(&plugin(), &with_volumes("d", json!([asked])));
        assert_eq!(answer, if fits { None } else { unschedulable(REASON_DISK) }, "{asked} {used}");
    }
}

#[test]
fn claims_for_one_pod_are_had_once_in_the_cluster() {
    let claims = [claim("d", "one", EXCLUSIVE), claim("d", "many", "ReadWriteMany"), claim("other", "one", EXCLUSIVE)];
    let rows: [(&[&str], &str, &[&str], bool); 6] = [
        (&["one"], "d", &[], true),
        (&["one"], "d", &["one"], false),
        (&["many", "one"], "d", &["many"], true),
        (&["many"], "d", &["many"], true),
        (&["one"], "other", &["one"], true),
        (&["one", "many"], "d", &["one"], false),
    ];
    for (asked, namespace, used, fits) in rows {
        let asked = with_claims("d", asked);
        // The pod that has the claim is on another node, which makes no difference.
        let world = World::new(&node(), &[]).and("m", &[with_claims(namespace, used)]);
        let world = world.with::<PersistentVolumeClaimKind>(&claims);
        let expect = if fits { PreFilterVerdict::Skip } else { PreFilterVerdict::Run };
        assert_eq!(world.pre_filter(&plugin(), &asked), expect, "{asked} {used:?}");
        let expect = if fits { None } else { unschedulable(REASON_CLAIM) };
        assert_eq!(world.filter(&plugin(), &asked), expect, "{asked} {used:?}");
    }
}

#[test]
fn imagined_pods_take_and_free_claims() {
    let claims = [claim("d", "one", EXCLUSIVE)];
    let world = World::new(&node(), &[]).and("m", &[with_claims("d", &["one"])]);
    let world = world.with::<PersistentVolumeClaimKind>(&claims);
    let (asked, other) = (with_claims("d", &["one"]), with_claims("other", &["one"]));
    let taken = unschedulable(REASON_CLAIM);
    assert_eq!(world.filter_through(&plugin(), &asked, None, Some("m")), None);
    assert_eq!(world.filter_through(&plugin(), &asked, Some(&other), None), taken);
    // Whatever the namespace: kube-scheduler does not look at it here.
    assert_eq!(world.filter_through(&plugin(), &asked, Some(&other), Some("m")), taken);

    let mut disk = with_volumes("d", json!([{"awsElasticBlockStore": {"volumeID": "v"}}]));
    assert_eq!(world.filter_through(&plugin(), &disk, Some(&disk), None), unschedulable(REASON_DISK));
    disk["spec"]["volumes"][0]["awsElasticBlockStore"]["volumeID"] = "w".into();
    assert_eq!(world.filter_through(&plugin(), &disk, None, None), None);
}

#[test]
fn pods_without_either_are_skipped_and_claims_have_to_be_there() {
    let world = World::new(&node(), &[]).with::<PersistentVolumeClaimKind>(&[claim("d", "many", "ReadWriteMany")]);
    let rows = [
        (with_volumes("d", json!([])), PreFilterVerdict::Skip),
        (with_volumes("d", json!([{"emptyDir": {}}, {"cinder": {"volumeID": "c"}}])), PreFilterVerdict::Skip),
        (with_volumes("d", json!([{"name": "e", "ephemeral": {}}])), PreFilterVerdict::Skip),
        (with_claims("d", &["many"]), PreFilterVerdict::Skip),
        (with_volumes("d", json!([{"rbd": {"monitors": ["m"]}}])), PreFilterVerdict::Run),
        (with_claims("d", &["many", "gone"]), rejected("persistentvolumeclaim \"gone\" not found")),
        (with_claims("other", &["many"]), rejected("persistentvolumeclaim \"many\" not found")),
    ];
    for (asked, expect) in rows {
        assert_eq!(world.pre_filter(&plugin(), &asked), expect, "{asked}");
    }
}

#[test]
fn hints() {
    use QueueingHint::{Queue, Skip};
    let disk = |id: &str| json!({"awsElasticBlockStore": {"volumeID": id}});
    let rejected = with_volumes("d", json!([disk("v"), {"name": "c", "persistentVolumeClaim": {"claimName": "c"}}]));
    let rows = [
        (with_claims("d", &["c"]), Queue),
        (with_claims("d", &["other"]), Skip),
        (with_claims("other", &["c"]), Skip),
        (with_volumes("d", json!([disk("v")])), Queue),
        (with_volumes("other", json!([disk("v")])), Queue),
        (with_volumes("d", json!([disk("w")])), Skip),
    ];
    for (gone, expect) in rows {
        assert_eq!(pod_hint(&VolumeRestrictions, &rejected, Some(&gone), None), expect, "{gone}");
    }
    for (namespace, name, expect) in [("d", "c", Queue), ("d", "x", Skip), ("other", "c", Skip)] {
        let added = claim(namespace, name, EXCLUSIVE);
        let hint = object_hint::<PersistentVolumeClaimKind>(&VolumeRestrictions, &rejected, None, Some(&added));
        assert_eq!(hint, expect, "{namespace}/{name}");
    }
}
