//! Which volume is for which claim: by tables, and against a matcher that tries every volume for every node.

use std::collections::BTreeMap;

use plimsoll_framework::cluster::ClusterInfo;
use plimsoll_framework::labels::LabelSet;
use proptest::prelude::*;

use super::*;
use crate::testing::objects;
use crate::volume_binding::wanted::Storage;

/// What is chosen for the claims on a node in `zone`: claims with their volumes, `None` for one that is to be made.
fn choose(claims: &[Value], volumes: &[Value], zone: &str) -> Result<BTreeMap<String, Option<String>>, Vec<String>> {
    let mut cluster = ClusterInfo::default();
    objects::<PersistentVolumeClaimKind>(&mut cluster, claims);
    objects::<PersistentVolumeKind>(&mut cluster, volumes);
    objects::<StorageClassKind>(&mut cluster, &classes());
    let names: Vec<&str> = claims.iter().map(|claim| claim["metadata"]["name"].as_str().unwrap()).collect();
    let (asked, claims) = (pod(with_claims(&names)), cluster.objects());
    let classes = cluster.objects();
    let sorted = Claims::sort(claims::of_pod(&asked, &claims).unwrap(), &classes).unwrap();
    let storage = Storage { classes: &classes, drivers: &cluster.objects(), capacities: &cluster.objects() };
    let wanted = Wanted::new(&sorted, cluster.objects(), cluster.objects(), &storage);
    let labels: LabelSet = [("zone", zone)].into_iter().collect();
    let choice = wanted.choose(&"n".into(), &labels).map_err(|verdict| wanted.reasons(verdict.reasons()))?;
    let bindings =
        choice.bindings.into_iter().map(|(claim, volume)| (claim.name.to_string(), Some(volume.to_string())));
    let provisions = choice.provisions.into_iter().map(|claim| (claim.name.to_string(), None));
    Ok(bindings.chain(provisions).collect())
}

fn chosen(pairs: &[(&str, Option<&str>)]) -> Result<BTreeMap<String, Option<String>>, Vec<String>> {
    Ok(pairs.iter().map(|(claim, volume)| ((*claim).to_owned(), volume.map(str::to_owned))).collect())
}

#[test]
fn a_volume_has_to_be_right() {
    let claim = || unbound("c", "made", "2Gi");
    let volume = || free("v", "made", "2Gi");
    let labels = json!({"matchLabels": {"disk": "ssd"}});
    let kept = |uid: &str| json!({"namespace": "d", "name": "c", "uid": uid});
    let rows = [
        (claim(), volume(), true),
        (claim(), set(volume(), "spec|capacity|storage", json!("2047Mi")), false),
        (claim(), set(volume(), "spec|storageClassName", json!("local")), false),
        (claim(), set(volume(), "spec|volumeMode", json!("Filesystem")), true),
        (claim(), set(volume(), "spec|volumeMode", json!("Block")), false),
        (set(claim(), "spec|volumeAttributesClassName", json!("gold")), volume(), false),
        (claim(), set(volume(), "metadata|deletionTimestamp", json!("2024-01-01T00:00:00Z")), false),
        (claim(), set(volume(), "status|phase", json!("Released")), false),
        (claim(), set(volume(), "status", json!({})), false),
        (set(claim(), "spec|selector", labels.clone()), volume(), false),
        (set(claim(), "spec|selector", labels), set(volume(), "metadata|labels", json!({"disk": "ssd"})), true),
        (set(claim(), "spec|accessModes", json!(["ReadWriteMany"])), volume(), false),
        (set(claim(), "spec|accessModes", json!(["ReadOnlyMany", "ReadWriteOnce"])), volume(), true),
        (claim(), set(volume(), "spec|nodeAffinity", in_zone("b")), false),
        // Kept for the claim, or for another.
        (claim(), set(set(volume(), "status|phase", json!("Pending")), "spec|claimRef", kept("c")), true),
        (claim(), set(volume(), "spec|claimRef", kept("")), true),
        (claim(), set(volume(), "spec|claimRef", kept("other")), false),
    ];
    for (claim, volume, is_right) in rows {
        let expect = chosen(&[("c", is_right.then_some("v"))]);
        assert_eq!(
            choose(std::slice::from_ref(&claim), std::slice::from_ref(&volume), "a"),
            expect,
            "{claim} {volume}"
        );
    }
}

#[test]
fn the_smallest_volume_will_do_unless_one_is_kept() {
    let claims = [unbound("large", "local", "2Gi"), unbound("small", "local", "1Gi")];
    let volumes = [free("v4", "local", "4Gi"), free("v2", "local", "2Gi"), free("v1", "local", "1Gi")];
    assert_eq!(choose(&claims, &volumes, "a"), chosen(&[("small", Some("v1")), ("large", Some("v2"))]));
    // The small claim comes first, so that the large one is left with what is too small.
    assert_eq!(choose(&claims, &volumes[1..2], "a"), Err(vec![NO_VOLUME.to_owned()]));
    let kept = set(free("kept", "local", "9Gi"), "spec|claimRef", json!({"namespace": "d", "name": "small"}));
    let all = [volumes.to_vec(), vec![kept.clone()]].concat();
    assert_eq!(choose(&claims, &all, "a"), chosen(&[("small", Some("kept")), ("large", Some("v2"))]));
    // Where it cannot be reached, no other will do.
    let all = [volumes.to_vec(), vec![set(kept, "spec|nodeAffinity", in_zone("b"))]].concat();
    assert_eq!(choose(&claims, &all, "a"), Err(vec![NO_VOLUME.to_owned()]));
}

/// As kube-scheduler goes about it: every volume looked at for every claim, whatever the node.
fn naive(claims: &[Value], volumes: &[Value], zone: &str) -> BTreeMap<String, Option<String>> {
    let size = |object: &Value, path: &str| {
        object.pointer(path).and_then(Value::as_str).unwrap().trim_end_matches("Gi").parse::<u32>().unwrap()
    };
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    let mut by_size: Vec<&Value> = claims.iter().collect();
    by_size.sort_by_key(|claim| size(claim, "/spec/resources/requests/storage"));
    let mut by_name: Vec<&Value> = volumes.iter().collect();
    by_name.sort_by_key(|volume| name(volume));
    let mut found: BTreeMap<String, Option<String>> = BTreeMap::new();
    for claim in by_size {
        let mut smallest: Option<&Value> = None;
        for volume in &by_name {
            let owner = volume["spec"]["claimRef"]["name"].as_str();
            let is_owner = owner == claim["metadata"]["name"].as_str();
            let capacity = size(volume, "/spec/capacity/storage");
            if found.values().flatten().any(|taken| *taken == name(volume))
                || volume["spec"]["storageClassName"] != claim["spec"]["storageClassName"]
                || owner.is_some() && !is_owner
                || capacity < size(claim, "/spec/resources/requests/storage")
            {
                continue;
            }
            let values = volume.pointer("/spec/nodeAffinity/required/nodeSelectorTerms/0/matchExpressions/0/values/0");
            let reached = values.is_none_or(|value| value == zone);
            if is_owner {
                smallest = Some(*volume).filter(|_| reached);
                break;
            }
            let smaller = smallest.is_none_or(|smallest| capacity < size(smallest, "/spec/capacity/storage"));
            if volume["status"]["phase"] == "Available" && reached && smaller {
                smallest = Some(volume);
            }
        }
        found.insert(name(claim), smallest.map(name));
    }
    found
}

fn volume_form() -> impl Strategy<Value = (u8, u8, Option<u8>, Option<u8>, bool)> {
    let zone = proptest::option::of(0..2_u8);
    let owner = proptest::option::weighted(0.2, 0..4_u8);
    (1..6_u8, 0..2_u8, zone, owner, proptest::bool::weighted(0.85))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Of one volume kept for one claim at most: which of several counts is not promised by kube-scheduler.
    #[test]
    fn candidates_worked_out_beforehand_are_those_of_every_node(
        claims in proptest::collection::vec((1..6_u8, 0..2_u8), 1..4),
        volumes in proptest::collection::vec(volume_form(), 0..8),
    ) {
        let class = |number: u8| if number == 0 { "made" } else { "elsewhere" };
        let claims: Vec<Value> = claims
            .iter()
            .enumerate()
            .map(|(n, (size, c))| unbound(&format!("c{n}"), class(*c), &format!("{size}Gi")))
            .collect();
        let mut owners = Vec::new();
        let volumes: Vec<Value> = volumes
            .iter()
            .enumerate()
            .map(|(n, (size, c, zone, owner, available))| {
                let mut volume = free(&format!("v{n}"), class(*c), &format!("{size}Gi"));
                if let Some(zone) = zone {
                    volume["spec"]["nodeAffinity"] = in_zone(["b", "c"][usize::from(*zone)]);
                }
                if let Some(owner) = owner.filter(|owner| !owners.contains(owner)) {
                    owners.push(owner);
                    volume["spec"]["claimRef"] = json!({"namespace": "d", "name": format!("c{owner}")});
                }
                if !available {
                    volume["status"]["phase"] = json!("Released");
                }
                volume
            })
            .collect();
        for zone in ["b", "c"] {
            prop_assert_eq!(choose(&claims, &volumes, zone), Ok(naive(&claims, &volumes, zone)));
        }
    }
}
