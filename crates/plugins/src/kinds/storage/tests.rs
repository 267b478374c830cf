use serde_json::json;

use super::*;

fn labels(pairs: &[(&str, &str)]) -> LabelSet {
    pairs.iter().copied().collect()
}

fn claim(json: Value) -> PersistentVolumeClaim {
    PersistentVolumeClaimKind::decode(&json).unwrap()
}

fn volume(json: Value) -> PersistentVolume {
    PersistentVolumeKind::decode(&json).unwrap()
}

#[test]
fn a_claim_is_read() {
    let read = claim(json!({
        "metadata": {"name": "c", "namespace": "d", "uid": "u", "deletionTimestamp": "2024-01-01T00:00:00Z",
                     "annotations": {"pv.kubernetes.io/bind-completed": "", "volume.kubernetes.io/selected-node": "n"},
                     "ownerReferences": [{"uid": "1"}, {"uid": "2", "controller": true}]},
        "spec": {"storageClassName": "s", "volumeName": "v", "accessModes": ["ReadWriteOnce"], "volumeMode": "Block",
                 "volumeAttributesClassName": "gold", "resources": {"requests": {"storage": "1Gi"}},
                 "selector": {"matchLabels": {"a": "b"}}},
        "status": {"phase": "Lost"}}));
    assert!(read.is_fully_bound() && read.terminating && read.lost);
    assert!(read.is_controlled_by("2") && !read.is_controlled_by("1"));
    assert_eq!(read.request, Some(Quantity::from_value(1 << 30)));
    assert_eq!((&*read.class, &*read.attributes_class, &*read.volume_mode), ("s", "gold", "Block"));
    assert_eq!(read.selected_node.as_deref(), Some("n"));

    let bare = claim(json!({"metadata": {"name": "c", "annotations": null}, "spec": null, "status": null}));
    assert_eq!((&*bare.class, &*bare.volume_mode, bare.request), ("", "Filesystem", None));
    let by_annotation = json!({"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": ""}},
                               "spec": {"storageClassName": "s"}});
    assert_eq!(&*claim(by_annotation).class, "");
}

#[test]
fn what_cannot_be_read_is_said() {
    let broken = json!({"metadata": {"name": "c"}, "spec": {"resources": {"requests": {"storage": "much"}}}});
    assert!(PersistentVolumeClaimKind::decode(&broken).unwrap_err().contains("\"much\" is not a quantity"));
}

#[test]
fn a_volume_is_for_its_claim() {
    let c = claim(json!({"metadata": {"name": "c", "namespace": "d", "uid": "u"}}));
    let rows = [
        (json!(null), false),
        (json!({"namespace": "d", "name": "c"}), true),
        (json!({"namespace": "d", "name": "c", "uid": "u"}), true),
        (json!({"namespace": "d", "name": "c", "uid": "x"}), false),
        (json!({"namespace": "e", "name": "c", "uid": "u"}), false),
    ];
    for (claim_ref, expect) in rows {
        let v = volume(json!({"metadata": {"name": "v"}, "spec": {"claimRef": claim_ref}}));
        assert_eq!(v.belongs_to(&c), expect, "{claim_ref}");
    }
}

#[test]
fn a_class_says_where_volumes_can_be_made() {
    let rows = [
        (json!({"provisioner": "p"}), true),
        (json!({"provisioner": ""}), false),
        (json!({"provisioner": "kubernetes.io/no-provisioner"}), false),
        (json!({"provisioner": "p", "allowedTopologies": []}), true),
        (json!({"provisioner": "p", "allowedTopologies": [{}]}), false),
        (
            json!({"provisioner": "p", "allowedTopologies": [{"matchLabelExpressions": [{"key": "z", "values": ["a"]}]}]}),
            true,
        ),
        (
            json!({"provisioner": "p", "allowedTopologies": [{"matchLabelExpressions": [{"key": "z", "values": ["b"]}]}]}),
            false,
        ),
        (
            json!({"provisioner": "p", "allowedTopologies": [{"matchLabelExpressions": [
                {"key": "z", "values": ["a"]}, {"key": "r", "values": ["a"]}]}]}),
            false,
        ),
    ];
    for (mut json, expect) in rows {
        json["metadata"] = json!({"name": "s"});
        let class = StorageClassKind::decode(&json).unwrap();
        assert_eq!(class.can_provision_at(&labels(&[("z", "a")])), expect, "{json}");
    }
}

#[test]
fn a_term_that_cannot_be_read_leaves_the_others_standing() {
    let term = |operator: &str| json!({"matchExpressions": [{"key": "z", "operator": operator, "values": ["a"]}]});
    for (terms, expect) in [
        (json!([term("In")]), true),
        (json!([term("Odd"), term("In")]), true),
        (json!([term("Odd")]), false),
        (json!([]), false),
    ] {
        let v = volume(json!({"metadata": {"name": "v"},
                              "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}}));
        assert_eq!(v.is_reachable_from(&labels(&[("z", "a")])), expect, "{terms}");
    }
}

fn in_tree(json: Value) -> InTree {
    match volume(json).source {
        Source::InTree(source) => *source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn in_tree_volumes_get_their_drivers_names() {
    let rows = [
        (json!({"awsElasticBlockStore": {"volumeID": "vol-1"}}), "", Ok("vol-1")),
        (json!({"awsElasticBlockStore": {"volumeID": "aws://eu-1a/vol-1"}}), "", Ok("vol-1")),
        (json!({"awsElasticBlockStore": {"volumeID": "aws:///vol-1"}}), "", Ok("vol-1")),
        (json!({"awsElasticBlockStore": {"volumeID": "aws://eu-1a/disk"}}), "", Err(())),
        (json!({"gcePersistentDisk": {"pdName": "d"}}), "", Ok("projects/UNSPECIFIED/zones/UNSPECIFIED/disks/d")),
        (json!({"gcePersistentDisk": {"pdName": "d"}}), "us-c1-a", Ok("projects/UNSPECIFIED/zones/us-c1-a/disks/d")),
        (
            json!({"gcePersistentDisk": {"pdName": "d"}}),
            "us-c1-a__us-c1-b",
            Ok("projects/UNSPECIFIED/regions/us-c1/disks/d"),
        ),
        (json!({"gcePersistentDisk": {"pdName": "d"}}), "us-c1-a__us-c2-b", Err(())),
        (json!({"gcePersistentDisk": {"pdName": "d"}}), "a__b", Err(())),
        (json!({"azureDisk": {"diskURI": "/u", "diskName": "d"}}), "", Ok("/u")),
        (json!({"cinder": {"volumeID": "c"}}), "", Ok("c")),
        (json!({"portworxVolume": {"volumeID": "x"}}), "", Ok("x")),
    ];
    for (spec, zone, expect) in rows {
        let read =
            in_tree(json!({"metadata": {"name": "v", "labels": {"topology.kubernetes.io/zone": zone}}, "spec": spec}));
        let handle = read.translated.as_ref().map(|t| &*t.handle).map_err(|_| ());
        assert_eq!(handle, expect, "{spec}");
    }
}

#[test]
fn in_tree_volumes_are_reached_by_their_drivers_labels() {
    let term = |key: &str| json!([{"matchExpressions": [{"key": key, "operator": "In", "values": ["a"]}]}]);
    let own = "topology.ebs.csi.aws.com/zone";
    let rows = [
        // The affinity goes before the labels.
        (json!({}), term("topology.kubernetes.io/zone"), vec![(own, "a")], true),
        (json!({}), term("topology.kubernetes.io/zone"), vec![("topology.kubernetes.io/zone", "a")], false),
        (json!({"topology.kubernetes.io/zone": "b"}), term("topology.kubernetes.io/zone"), vec![(own, "a")], true),
        (json!({}), term("failure-domain.beta.kubernetes.io/zone"), vec![(own, "a")], true),
        // Zones in the labels are alternatives.
        (json!({"topology.kubernetes.io/zone": "a__b"}), json!(null), vec![(own, "b")], true),
        (json!({"topology.kubernetes.io/zone": "a__b"}), json!(null), vec![(own, "c")], false),
        (json!({"topology.kubernetes.io/zone": "b"}), term("host"), vec![(own, "b"), ("host", "a")], true),
        (json!({"topology.kubernetes.io/zone": "b"}), term("host"), vec![(own, "b")], false),
        (json!({"failure-domain.beta.kubernetes.io/zone": "a"}), json!(null), vec![(own, "a")], true),
        (json!({"topology.kubernetes.io/zone": ""}), json!(null), vec![], true),
    ];
    for (on_volume, terms, on_node, expect) in rows {
        let affinity = if terms.is_null() { json!(null) } else { json!({"required": {"nodeSelectorTerms": terms}}) };
        let read = in_tree(json!({"metadata": {"name": "v", "labels": on_volume},
                                  "spec": {"awsElasticBlockStore": {"volumeID": "vol-1"}, "nodeAffinity": affinity}}));
        let reached = read.translated.unwrap().is_reachable_from(&labels(&on_node));
        assert_eq!(reached, expect, "{on_volume} {terms} {on_node:?}");
    }
}

#[test]
fn nodes_say_what_they_have_migrated() {
    let node = |plugins: &str| {
        let annotations = json!({"storage.alpha.kubernetes.io/migrated-plugins": plugins});
        CsiNodeKind::decode(&json!({"metadata": {"name": "n", "annotations": annotations}, "spec": {"drivers": null}}))
            .unwrap()
    };
    let (none, both) = (node(""), node("kubernetes.io/aws-ebs,kubernetes.io/portworx-volume"));
    let rows = [
        (InTreePlugin::AwsEbs, [false, true, true], [false, false, true]),
        (InTreePlugin::Portworx, [false, false, true], [false, false, true]),
        (InTreePlugin::Vsphere, [false, false, false], [false, false, false]),
    ];
    for (plugin, counts, migrated) in rows {
        let nodes = [None, Some(&none), Some(&both)];
        assert_eq!(nodes.map(|n| plugin.counts_on(n)), counts, "{plugin:?}");
        assert_eq!(nodes.map(|n| plugin.is_migrated_on(n)), migrated, "{plugin:?}");
    }
}

#[test]
fn what_drivers_tell_is_read() {
    let node = CsiNodeKind::decode(&json!({"metadata": {"name": "n"}, "spec": {"drivers": [
        {"name": "a", "allocatable": {"count": 3}}, {"name": "b", "allocatable": null}, {"name": "c"}]}}))
    .unwrap();
    let limits = ["a", "b", "c", "d"].map(|driver| node.limit(&driver.into()));
    assert_eq!(limits, [Some(3), None, None, None]);

    let driver = |spec: Value| CsiDriverKind::decode(&json!({"metadata": {"name": "a"}, "spec": spec})).unwrap();
    assert!(driver(json!({"storageCapacity": true})).storage_capacity);
    assert!(!driver(json!({"storageCapacity": false})).storage_capacity && !driver(json!({})).storage_capacity);

    let capacity = |json: Value| CsiStorageCapacityKind::decode(&json).unwrap();
    let with =
        capacity(json!({"storageClassName": "s", "nodeTopology": {}, "capacity": "2Gi", "maximumVolumeSize": "1Gi"}));
    assert_eq!((with.limit_bytes, with.nodes.is_some()), (Some(1 << 30), true));
    let without = capacity(json!({"storageClassName": "s"}));
    assert_eq!((without.limit_bytes, without.nodes), (None, None));

    let attached = VolumeAttachmentKind::decode(&json!({"spec": {"attacher": "a", "nodeName": "n",
                                                                  "source": {"persistentVolumeName": "v"}}}));
    let expect = VolumeAttachment { attacher: "a".into(), node: "n".into(), volume: Some("v".into()) };
    assert_eq!(attached, Ok(expect));
}
