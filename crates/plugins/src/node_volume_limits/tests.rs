use plimsoll_framework::cluster_event::QueueingHint;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::verdict::Code;
use serde_json::{Value, json};

use super::*;
use crate::testing::{World, object_hint, pod, pod_hint, unresolvable};

const EBS: &str = "ebs.csi.aws.com";
const DRIVER: &str = "csi.example.com";

fn plugin() -> Extensions {
    Extensions::of(NodeVolumeLimits).pre_filter().filter().done()
}

fn with_volumes(name: &str, volumes: Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "d", "uid": name}, "spec": {"volumes": volumes}})
}

fn with_claims(names: &[&str]) -> Value {
    let volume = |name: &&str| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
    with_volumes("p", names.iter().map(volume).collect())
}

fn claim(name: &str, volume: &str, class: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "d"}, "spec": {"volumeName": volume, "storageClassName": class}})
}

fn csi(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"csi": {"driver": DRIVER, "volumeHandle": format!("h-{name}")}}})
}

fn csi_node(limits: Value, migrated: &str) -> Value {
    let driver = |(name, count): (&String, &Value)| json!({"name": name, "allocatable": {"count": count}});
    let drivers: Vec<Value> = limits.as_object().unwrap().iter().map(driver).collect();
    json!({"metadata": {"name": "n", "annotations": {"storage.alpha.kubernetes.io/migrated-plugins": migrated}},
           "spec": {"drivers": drivers}})
}

fn exceeded() -> Option<(Code, Vec<String>)> {
    Some((Code::Unschedulable, vec![REASON.to_owned()]))
}

/// Claims and volumes of every sort, on a node as it is given.
fn world(node: Option<&Value>, running: &[Value]) -> World {
    let ebs = |id: &str| json!({"metadata": {"name": "ebs"}, "spec": {"awsElasticBlockStore": {"volumeID": id}}});
    let portworx = json!({"metadata": {"name": "px"}, "spec": {"portworxVolume": {"volumeID": "x"}}});
    let local = json!({"metadata": {"name": "local"}, "spec": {"local": {"path": "/"}}});
    let nameless = json!({"metadata": {"name": "nameless"}, "spec": {"csi": {"driver": DRIVER, "volumeHandle": ""}}});
    let class = |name: &str, provisioner: &str| json!({"metadata": {"name": name}, "provisioner": provisioner});
    let mut ephemeral = claim("p-e", "", "csi");
    ephemeral["metadata"]["ownerReferences"] = json!([{"uid": "p", "controller": true}]);
    World::new(&json!({"metadata": {"name": "n"}}), running)
        .with::<PersistentVolumeClaimKind>(&[
            claim("a", "a", ""),
            claim("a2", "a", ""),
            claim("b", "b", ""),
            claim("ebs", "ebs", ""),
            claim("px", "px", ""),
            claim("local", "local", ""),
            claim("nameless", "nameless", ""),
            claim("new", "", "csi"),
            claim("new2", "", "csi"),
            claim("gone", "gone", "csi"),
            claim("new-ebs", "", "ebs"),
            claim("new-vsphere", "", "vsphere"),
            claim("classless", "", ""),
            claim("unknown", "", "unknown"),
            claim("q-e", "", "csi"),
            ephemeral,
        ])
        .with::<PersistentVolumeKind>(&[csi("a"), csi("b"), ebs("aws://z/vol-1"), portworx, local, nameless])
        .with::<StorageClassKind>(&[
            class("csi", DRIVER),
            class("ebs", "kubernetes.io/aws-ebs"),
            class("vsphere", "kubernetes.io/vsphere-volume"),
        ])
        .with::<CsiNodeKind>(&node.cloned().into_iter().collect::<Vec<_>>())
}

#[test]
fn drivers_attach_no_more_than_they_say() {
    let one = json!({DRIVER: 1});
    let rows: [(Value, &[&str], &[&str], bool); 16] = [
        (json!({DRIVER: 2}), &["a"], &["b"], true),
        (one.clone(), &["a"], &["b"], false),
        (one.clone(), &["a", "b"], &[], false),
        (json!({DRIVER: 0}), &["a"], &[], false),
        // The same volume is attached once, under whatever claim.
        (one.clone(), &["a"], &["a2"], true),
        (one.clone(), &["a", "a2"], &[], true),
        // A node that is full already still takes what is there.
        (json!({DRIVER: 1}), &["a"], &["a", "b"], true),
        (json!({}), &["a"], &["b"], true),
        (json!({"other": 0}), &["a"], &[], true),
        // What does not count.
        (json!({DRIVER: 0}), &["local", "nameless", "classless", "unknown"], &["a"], true),
        // Volumes that are still to be made, or are not known, count by their class.
        (one.clone(), &["new"], &["a"], false),
        (one.clone(), &["new", "new2"], &[], false),
        (one.clone(), &["new"], &["new"], true),
        (one.clone(), &["gone"], &["a"], false),
        (json!({EBS: 0}), &["new-ebs"], &[], false),
        (json!({"csi.vsphere.vmware.com": 0}), &["new-vsphere"], &[], true),
    ];
    for (limits, asked, used, fits) in rows {
        let answer =
            world(Some(&csi_node(limits.clone(), "")), &[with_claims(used)]).filter(&plugin(), &with_claims(asked));
        assert_eq!(answer, if fits { None } else { exceeded() }, "{limits} {asked:?} {used:?}");
    }
    assert_eq!(world(None, &[with_claims(&["b"])]).filter(&plugin(), &with_claims(&["a"])), None);
}

#[test]
fn in_tree_volumes_count_where_their_driver_has_taken_over() {
    let inline = |id: &str| with_volumes("p", json!([{"name": "v", "awsElasticBlockStore": {"volumeID": id}}]));
    let portworx = with_volumes("p", json!([{"name": "v", "portworxVolume": {"volumeID": "y"}}]));
    let (ebs, px) = (json!({EBS: 1}), json!({"pxd.portworx.com": 1}));
    let migrated = "kubernetes.io/portworx-volume";
    let rows = [
        (ebs.clone(), "", inline("vol-2"), with_claims(&["ebs"]), false),
        (ebs.clone(), "", inline("vol-1"), with_claims(&["ebs"]), true),
        (ebs.clone(), "", with_claims(&["ebs"]), inline("vol-2"), false),
        (px.clone(), "", portworx.clone(), with_claims(&["px"]), true),
        (px.clone(), migrated, portworx.clone(), with_claims(&["px"]), false),
        (
            json!({"csi.vsphere.vmware.com": 0}),
            "",
            with_volumes("p", json!([{"vsphereVolume": {}}])),
            inline("v"),
            true,
        ),
    ];
    for (limits, migrated, asked, used, fits) in rows {
        let answer =
            world(Some(&csi_node(limits.clone(), migrated)), std::slice::from_ref(&used)).filter(&plugin(), &asked);
        assert_eq!(answer, if fits { None } else { exceeded() }, "{limits} {migrated} {asked} {used}");
    }
    let broken = world(Some(&csi_node(ebs, "")), &[]).filter(&plugin(), &inline("aws://z/disk"));
    let text = "converting volume from inline to csi: failed to translate Kubernetes ID to EBS Volume ID invalid format \
                for AWS volume (aws://z/disk)";
    assert_eq!(broken, Some((Code::Error, vec![text.to_owned()])));
    assert_eq!(world(None, &[]).filter(&plugin(), &inline("aws://z/disk")), None);
}

#[test]
fn what_is_attached_counts() {
    let attachment = |name: &str, attacher: &str, volume: Value, node: &str| {
        json!({"metadata": {"name": name}, "spec": {"attacher": attacher, "nodeName": node,
                                                    "source": {"persistentVolumeName": volume}}})
    };
    let rows = [
        (attachment("1", DRIVER, json!("b"), "n"), false),
        (attachment("1", DRIVER, json!("b"), "m"), true),
        (attachment("1", "other", json!("b"), "n"), true),
        (attachment("1", DRIVER, json!("gone"), "n"), true),
        (attachment("1", DRIVER, json!("local"), "n"), true),
        (attachment("1", DRIVER, json!(null), "n"), true),
        // It is among those of the pod on the node.
        (attachment("1", DRIVER, json!("a"), "n"), true),
    ];
    for (attached, fits) in rows {
        let twice = [attached.clone(), {
            let mut again = attached.clone();
            again["metadata"]["name"] = json!("2");
            again
        }];
        let world = world(Some(&csi_node(json!({DRIVER: 2}), "")), &[with_claims(&["a"])]);
        let answer = world.with::<VolumeAttachmentKind>(&twice).filter(&plugin(), &with_claims(&["new"]));
        assert_eq!(answer, if fits { None } else { exceeded() }, "{attached}");
    }
}

#[test]
fn claims_have_to_be_there_and_the_pods_own() {
    let node = csi_node(json!({DRIVER: 9}), "");
    let filter = |asked: &Value, running: &[Value]| world(Some(&node), running).filter(&plugin(), asked);
    let fault = |text: &str| Some((Code::Error, vec![text.to_owned()]));
    let missing = unresolvable(&["looking up PVC d/x: persistentvolumeclaim \"x\" not found"]);
    assert_eq!(filter(&with_claims(&["a", "x"]), &[]), missing);
    assert_eq!(filter(&with_claims(&[""]), &[]), fault("PersistentVolumeClaim had no name"));
    let ephemeral = |name: &str| with_volumes(name, json!([{"name": "e", "ephemeral": {}}]));
    assert_eq!(filter(&ephemeral("p"), &[]), None);
    assert_eq!(filter(&ephemeral("q"), &[]), fault("PVC d/q-e was not created for pod d/q (pod is not owner)"));
    // Of pods that are there, claims that are not do not matter, others do.
    assert_eq!(filter(&with_claims(&["a"]), &[with_claims(&["x"])]), None);
    assert_eq!(filter(&with_claims(&["a"]), &[ephemeral("q")]), fault(REASON_OF_OTHERS));
}

#[test]
fn pods_that_attach_nothing_are_skipped() {
    let rows = [
        (json!([]), PreFilterVerdict::Skip),
        (json!([{"emptyDir": {}}, {"rbd": {}}, {"csi": {"driver": DRIVER}}]), PreFilterVerdict::Skip),
        (json!([{"emptyDir": {}}, {"persistentVolumeClaim": {"claimName": "a"}}]), PreFilterVerdict::Run),
        (json!([{"name": "e", "ephemeral": {}}]), PreFilterVerdict::Run),
        (json!([{"azureFile": {}}]), PreFilterVerdict::Run),
    ];
    for (volumes, expect) in rows {
        let asked = pod(with_volumes("p", volumes));
        assert_eq!(NodeVolumeLimits.pre_filter(&asked.spec, ()), expect, "{:?}", asked.spec.volumes);
    }
}

#[test]
fn hints() {
    use QueueingHint::{Queue, Skip};
    let pod = with_claims(&["a"]);
    let nodes = [
        (None, Some(json!({})), Queue),
        (Some(json!({DRIVER: 1})), None, Queue),
        (Some(json!({DRIVER: 1})), Some(json!({DRIVER: 2})), Queue),
        (Some(json!({DRIVER: 2})), Some(json!({DRIVER: 1})), Skip),
        (Some(json!({DRIVER: 1})), Some(json!({DRIVER: 1})), Skip),
        (Some(json!({})), Some(json!({DRIVER: 1})), Queue),
        (Some(json!({DRIVER: 1})), Some(json!({})), Queue),
    ];
    for (old, new, expect) in nodes {
        let (old, new) = (old.map(|limits| csi_node(limits, "")), new.map(|limits| csi_node(limits, "")));
        let hint = object_hint::<CsiNodeKind>(&NodeVolumeLimits, &pod, old.as_ref(), new.as_ref());
        assert_eq!(hint, expect, "{old:?} {new:?}");
    }
    let placed = |mut pod: Value, node: &str| {
        pod["spec"]["nodeName"] = json!(node);
        pod
    };
    let gone = [
        (placed(with_claims(&["b"]), "n"), Queue),
        (with_claims(&["b"]), Skip),
        (placed(with_volumes("q", json!([{"cinder": {"volumeID": "c"}}])), "n"), Queue),
        (placed(with_volumes("q", json!([{"emptyDir": {}}])), "n"), Skip),
    ];
    for (gone, expect) in gone {
        assert_eq!(pod_hint(&NodeVolumeLimits, &pod, Some(&gone), None), expect, "{gone}");
    }
    for (name, expect) in [("a", Queue), ("b", Skip)] {
        let added = claim(name, "", "");
        let hint = object_hint::<PersistentVolumeClaimKind>(&NodeVolumeLimits, &pod, None, Some(&added));
        assert_eq!(hint, expect, "{name}");
    }
    let inline = |source: &str| with_volumes("p", json!([{source: {"volumeID": "v"}}]));
    let detached = json!({"spec": {"attacher": EBS, "nodeName": "n"}});
    for (pod, expect) in
        [(pod, Queue), (inline("awsElasticBlockStore"), Queue), (inline("cinder"), Skip), (inline("emptyDir"), Skip)]
    {
        let hint = object_hint::<VolumeAttachmentKind>(&NodeVolumeLimits, &pod, Some(&detached), None);
        assert_eq!(hint, expect, "{pod}");
    }
}
