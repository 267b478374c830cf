use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::verdict::Code;
use serde_json::{Value, json};

use super::*;
use crate::testing::{UNRESOLVABLE, filter_one, node_hint, pod_hint, score_one};

fn asking(requests: Value) -> Value {
    json!({"metadata": {"uid": "1"}, "spec": {"containers": [{"resources": {"requests": requests}}]}})
}

fn giving(allocatable: Value) -> Value {
    json!({"metadata": {"name": "n"}, "status": {"allocatable": allocatable}})
}

#[test]
fn all_that_is_short_is_told() {
    let node = giving(json!({"cpu": "4", "memory": "4Gi", "ephemeral-storage": "10Gi", "pods": "2",
                             "example.com/gpu": "2", "hugepages-2Mi": "4Mi"}));
    let running = [asking(json!({"cpu": "3", "memory": "1Gi", "example.com/gpu": "1"}))];
    type Row<'a> = (Value, Option<(Code, &'a [&'a str])>);
    let rows: [Row<'_>; 10] = [
        (json!({}), None),
        (json!({"cpu": "1", "memory": "3Gi", "ephemeral-storage": "10Gi", "example.com/gpu": "1"}), None),
        (json!({"cpu": "1001m"}), Some((Code::Unschedulable, &["Insufficient cpu"]))),
        (json!({"cpu": "4001m"}), Some((UNRESOLVABLE, &["Insufficient cpu"]))),
        (json!({"cpu": "2", "memory": "5Gi"}), Some((UNRESOLVABLE, &["Insufficient cpu", "Insufficient memory"]))),
        (json!({"ephemeral-storage": "11Gi"}), Some((UNRESOLVABLE, &["Insufficient ephemeral-storage"]))),
        (json!({"example.com/gpu": "2"}), Some((Code::Unschedulable, &["Insufficient example.com/gpu"]))),
        (json!({"example.com/none": "1"}), Some((UNRESOLVABLE, &["Insufficient example.com/none"]))),
        (json!({"example.com/none": "0"}), None),
        (json!({"hugepages-2Mi": "6Mi", "unheard": "9"}), Some((UNRESOLVABLE, &["Insufficient hugepages-2Mi"]))),
    ];
    for (requests, expect) in rows {
        let plugin = Extensions::of(NodeResourcesFit::default()).filter().done();
        let answer = filter_one(&plugin, &asking(requests.clone()), &node, &running);
        let expect = expect.map(|(code, texts)| (code, texts.iter().map(|t| (*t).to_owned()).collect()));
        assert_eq!(answer, expect, "{requests}");
    }
}

#[test]
fn a_node_holds_so_many_pods() {
    let plugin = Extensions::of(NodeResourcesFit::default()).filter().done();
    let full = filter_one(&plugin, &asking(json!({"cpu": "9"})), &giving(json!({"cpu": "1", "pods": "0"})), &[]);
    assert_eq!(full, Some((UNRESOLVABLE, vec![REASON_PODS.to_owned(), "Insufficient cpu".to_owned()])));
    let none = filter_one(&plugin, &asking(json!({})), &giving(json!({})), &[]);
    assert_eq!(none, Some((Code::Unschedulable, vec![REASON_PODS.to_owned()])));
}

#[test]
fn ignored_are_extended_resources_only() {
    let settings = FitSettings {
        ignored_resources: vec!["example.com/fpga".into(), "hugepages-2Mi".into()],
        ignored_resource_groups: vec!["acme.com".into()],
        ..FitSettings::default()
    };
    let plugin = Extensions::of(NodeResourcesFit::new(settings)).filter().done();
    let node = giving(json!({"pods": "9"}));
    let rows = [
        ("example.com/fpga", true),
        ("example.com/gpu", false),
        ("acme.com/anything", true),
        ("sub.acme.com/anything", false),
        ("hugepages-2Mi", false),
    ];
    for (name, fits) in rows {
        let answer = filter_one(&plugin, &asking(json!({name: "1"})), &node, &[]);
        assert_eq!(answer.is_none(), fits, "{name}");
    }
}

#[test]
fn more_resources_than_reasons_share_the_last_one() {
    let requests: serde_json::Map<_, _> = (0..40).map(|i| (format!("example.com/r{i:02}"), "1".into())).collect();
    let plugin = Extensions::of(NodeResourcesFit::default()).filter().done();
    let answer = filter_one(&plugin, &asking(requests.into()), &giving(json!({"pods": "9"})), &[]);
    let (code, reasons) = answer.unwrap();
    assert_eq!((code, reasons.len()), (UNRESOLVABLE, 29));
    assert_eq!(reasons[0], "Insufficient example.com/r00");
    assert!(reasons[28].starts_with("Insufficient example.com/r28 or example.com/r29 or"), "{}", reasons[28]);
}

fn ratio(points: &[(i64, i64)]) -> Strategy {
    let points: Vec<_> =
        points.iter().map(|(utilization, score)| ShapePoint { utilization: *utilization, score: *score }).collect();
    Strategy::RequestedToCapacityRatio(Shape::new(&points))
}

#[test]
fn scores_by_strategy() {
    let node = giving(json!({"cpu": "4", "memory": "4000Mi", "example.com/gpu": "4"}));
    let weights = |list: &[(&str, i64)]| list.iter().map(|(n, w)| (Istr::new(n), *w)).collect::<Vec<_>>();
    let two = weights(&[("cpu", 1), ("memory", 1)]);
    let three = weights(&[("cpu", 1), ("memory", 2), ("example.com/gpu", 5)]);
    let rising = || ratio(&[(0, 0), (100, 10)]);
    let some = json!({"cpu": "1", "memory": "3000Mi"});
    let rows = [
        (Strategy::LeastAllocated, &two, &some, 50),
        (Strategy::MostAllocated, &two, &some, 50),
        // (75 + 2*25) / 3; the resource the pod does not ask for does not count.
        (Strategy::LeastAllocated, &three, &some, 41),
        (Strategy::MostAllocated, &three, &some, 58),
        // 100m and 200Mi are taken for what is not said: 97.5 and 95.
        (Strategy::LeastAllocated, &two, &json!({}), 96),
        (Strategy::LeastAllocated, &two, &json!({"cpu": "0", "memory": "0"}), 100),
        // More than there is.
        (Strategy::LeastAllocated, &two, &json!({"cpu": "5", "memory": "0"}), 50),
        (Strategy::MostAllocated, &two, &json!({"cpu": "5", "memory": "0"}), 50),
        // (25 + 2*75) / 3 = 58.33, (25 + 2*75 + 5*50) / 8 = 53.125.
        (rising(), &three, &some, 58),
        (rising(), &three, &json!({"cpu": "1", "memory": "3000Mi", "example.com/gpu": "2"}), 53),
        // A resource that scores 0 does not count: 25 alone.
        (rising(), &two, &json!({"cpu": "1", "memory": "0"}), 25),
        // Rounded, not cut: (100 + 2*25) / 3 = 50, (100 + 25) / 2 = 62.5.
        (rising(), &two, &json!({"cpu": "5", "memory": "1000Mi"}), 63),
        // A falling shape: 100 - 25, 100 - 75.
        (ratio(&[(0, 10), (100, 0)]), &two, &some, 50),
        (ratio(&[]), &two, &some, 0),
    ];
    for (strategy, resources, requests, expect) in rows {
        let what = format!("{strategy:?} {resources:?} {requests}");
        let settings = FitSettings { strategy, resources: resources.clone(), ..FitSettings::default() };
        let plugin = Extensions::of(NodeResourcesFit::new(settings)).score().done();
        assert_eq!(score_one(&plugin, &asking(requests.clone()), &node, &[]), Some(expect), "{what}");
    }
}

#[test]
fn a_shape_is_level_outside_and_straight_between() {
    let Strategy::RequestedToCapacityRatio(shape) = ratio(&[(10, 2), (40, 10), (70, 0)]) else { unreachable!() };
    let rows = [(0, 20), (10, 20), (11, 22), (25, 60), (40, 100), (41, 97), (69, 4), (70, 0), (100, 0)];
    for (utilization, expect) in rows {
        assert_eq!(shape.at(utilization), expect, "at {utilization}");
    }
}

#[test]
fn a_pod_counts_with_what_it_was_given_and_is_scored_by_its_containers() {
    // Pod-level requests are what Filter goes by; the score goes by the containers.
    let pod = json!({"spec": {"resources": {"requests": {"cpu": "3"}},
                              "containers": [{"resources": {"requests": {"cpu": "1", "memory": "0"}}}]}});
    let node = giving(json!({"cpu": "2", "memory": "1Gi", "pods": "1"}));
    let plugin = Extensions::of(NodeResourcesFit::default()).filter().score().done();
    assert_eq!(filter_one(&plugin, &pod, &node, &[]), Some((UNRESOLVABLE, vec!["Insufficient cpu".to_owned()])));
    assert_eq!(score_one(&plugin, &pod, &node, &[]), Some(75));
}

#[test]
fn hints_on_nodes() {
    use QueueingHint::{Queue, Skip};
    let pod = asking(json!({"cpu": "2", "example.com/gpu": "1"}));
    let node = |cpu: &str, pods: &str, gpus: &str, memory: &str| {
        giving(json!({"cpu": cpu, "pods": pods, "example.com/gpu": gpus, "memory": memory}))
    };
    let was = node("2", "1", "1", "1");
    let rows = [
        (None, node("2", "1", "1", "0"), Queue),
        (None, node("1", "1", "1", "0"), Skip),
        (None, node("2", "0", "1", "0"), Skip),
        (None, node("2", "1", "0", "0"), Skip),
        (Some(&was), node("3", "1", "1", "1"), Queue),
        (Some(&was), node("2", "2", "1", "1"), Queue),
        (Some(&was), node("2", "1", "2", "1"), Queue),
        (Some(&was), node("2", "1", "1", "2"), Skip),
        (Some(&was), node("1", "9", "9", "9"), Skip),
    ];
    for (old, new, expect) in rows {
        assert_eq!(node_hint(&NodeResourcesFit::default(), &pod, old, &new), expect, "{old:?} {new}");
    }
}

#[test]
fn hints_on_pods() {
    use QueueingHint::{Queue, Skip};
    let pod = asking(json!({"cpu": "2"}));
    let other = |uid: &str, node: &str, cpu: &str, memory: &str| {
        json!({"metadata": {"uid": uid}, "spec": {"nodeName": node, "containers": [
            {"resources": {"requests": {"cpu": cpu, "memory": memory}}}]}})
    };
    let was = other("2", "n", "2", "2");
    let rows = [
        (other("2", "n", "2", "2"), None, Queue),
        (other("2", "", "2", "2"), None, Skip),
        (was.clone(), Some(other("2", "n", "1", "2")), Queue),
        (was.clone(), Some(other("2", "", "1", "2")), Skip),
        // The pod does not ask for memory.
        (was.clone(), Some(other("2", "n", "2", "1")), Skip),
        (pod.clone(), Some(other("1", "", "1", "0")), Queue),
    ];
    for (old, new, expect) in rows {
        assert_eq!(pod_hint(&NodeResourcesFit::default(), &pod, Some(&old), new.as_ref()), expect, "{old} {new:?}");
    }
}
