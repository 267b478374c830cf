#![expect(clippy::type_complexity, reason = "rows of tables")]

use std::sync::Arc;

use plimsoll_framework::cluster_event::QueueingHint;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::table::Table;
use serde_json::{Value, json};

use super::*;
use crate::testing::{cluster, filter_all, filter_one, node_hint, pod, pod_hint, score_all};

fn plugin(args: Value) -> Extensions {
    let plugin = PodTopologySpread::new(&serde_json::from_value(args).unwrap());
    Extensions::of(plugin).pre_filter().filter().pre_score().score_over_feasible().done()
}

fn node(name: &str, labels: Value) -> Value {
    json!({"kind": "Node", "metadata": {"name": name, "labels": labels}})
}

/// Pods with the label `app: web`: their node, and how many.
fn running(counts: &[(&str, usize)]) -> Vec<Value> {
    let of = |(node, count): &(&str, usize)| (0..*count).map(|n| web(node, n)).collect::<Vec<_>>();
    counts.iter().flat_map(of).collect()
}

fn web(node: &str, n: usize) -> Value {
    json!({"kind": "Pod", "metadata": {"namespace": "default", "name": "r", "uid": format!("{node}-{n}"),
                                       "labels": {"app": "web"}}, "spec": {"nodeName": node}})
}

fn asking(labels: Value, constraints: Value) -> Value {
    json!({"metadata": {"namespace": "default", "name": "asked", "uid": "asked", "labels": labels},
           "spec": {"topologySpreadConstraints": constraints}})
}

fn hard(key: &str, further: Value) -> Value {
    let mut constraint = json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
                                "labelSelector": {"matchLabels": {"app": "web"}}});
    constraint.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    constraint
}

fn soft(key: &str, further: Value) -> Value {
    let mut constraint = hard(key, further);
    constraint["whenUnsatisfiable"] = "ScheduleAnyway".into();
    constraint
}

/// Two nodes in zone a, one in b, one in none.
fn zones() -> Vec<Value> {
    vec![
        node("a1", json!({"zone": "a", "kubernetes.io/hostname": "a1", "disk": "ssd"})),
        node("a2", json!({"zone": "a", "kubernetes.io/hostname": "a2"})),
        node("b1", json!({"zone": "b", "kubernetes.io/hostname": "b1", "disk": "hdd"})),
        node("x1", json!({"kubernetes.io/hostname": "x1"})),
    ]
}

const SKEWED: &str = REASON_SKEW;
const MISSING: &str = REASON_MISSING_LABEL;

#[test]
fn rules_about_zones() {
    let plugin = plugin(json!({}));
    let web = json!({"app": "web"});
    let one = |further: Value| json!([hard("zone", further)]);
    let tolerant = json!([hard("zone", json!({"nodeTaintsPolicy": "Honor"}))]);
    // What runs, the pod's labels and constraints; what nodes a1, b1 and x1 say (a2 says what a1 does).
    let rows: Vec<(&str, &[(&str, usize)], Value, Value, [&str; 3])> = vec![
        ("even", &[("a1", 1), ("b1", 1)], web.clone(), one(json!({})), ["", "", MISSING]),
        ("over a zone's nodes", &[("a1", 1), ("a2", 1), ("b1", 1)], web.clone(), one(json!({})), [SKEWED, "", MISSING]),
        ("a greater skew", &[("a1", 2), ("b1", 1)], web.clone(), one(json!({"maxSkew": 2})), ["", "", MISSING]),
        ("does not count itself", &[("a1", 1)], json!({"app": "db"}), one(json!({})), ["", "", MISSING]),
        ("a node without the label", &[("x1", 9)], web.clone(), one(json!({})), ["", "", MISSING]),
        ("no selector", &[("a1", 9)], web.clone(), one(json!({"labelSelector": null})), ["", "", MISSING]),
        ("an empty selector", &[("a1", 9)], web.clone(), one(json!({"labelSelector": {}})), ["", "", MISSING]),
        (
            "an empty selector selects itself",
            &[],
            web.clone(),
            one(json!({"labelSelector": {}, "minDomains": 3, "maxSkew": 0})),
            [SKEWED, SKEWED, MISSING],
        ),
        (
            "too few domains",
            &[("a1", 1), ("b1", 1)],
            web.clone(),
            one(json!({"minDomains": 3})),
            [SKEWED, SKEWED, MISSING],
        ),
        ("enough domains", &[("a1", 1), ("b1", 1)], web.clone(), one(json!({"minDomains": 2})), ["", "", MISSING]),
        (
            "same revision",
            &[("a1", 2)],
            json!({"app": "web", "rev": "2"}),
            one(json!({"matchLabelKeys": ["rev"]})),
            ["", "", MISSING],
        ),
        ("no revision", &[("a1", 2)], web.clone(), one(json!({"matchLabelKeys": ["rev"]})), [SKEWED, "", MISSING]),
        (
            "the keys alone make a selector",
            &[("a1", 2)],
            web.clone(),
            one(json!({"labelSelector": null, "matchLabelKeys": ["app"]})),
            [SKEWED, "", MISSING],
        ),
        // Only nodes with all of the labels are counted: a1 and b1.
        (
            "two constraints",
            &[("a1", 1), ("a2", 5)],
            web.clone(),
            json!([hard("zone", json!({})), hard("disk", json!({}))]),
            [SKEWED, "", MISSING],
        ),
        // The first constraint that fails says so.
        (
            "the second fails first",
            &[("b1", 1)],
            web.clone(),
            json!([hard("disk", json!({})), hard("zone", json!({}))]),
            ["", SKEWED, MISSING],
        ),
        (
            "wishes are no rules",
            &[("a1", 1), ("b1", 3)],
            web.clone(),
            json!([hard("zone", json!({})), soft("disk", json!({}))]),
            ["", SKEWED, MISSING],
        ),
        ("nothing is tainted", &[("a1", 1)], web.clone(), tolerant, [SKEWED, "", MISSING]),
    ];
    for (what, counts, labels, constraints, expect) in rows {
        let table = cluster(&plugin, &[zones(), running(counts)].concat());
        let answer = filter_all(&plugin, &table, &pod(asking(labels, constraints)), None).unwrap();
        assert_eq!([&*answer[0], &*answer[2], &*answer[3]], expect, "{what}");
    }
    let missing = filter_one(&plugin, &asking(web.clone(), one(json!({}))), &node("x", json!({})), &[]).unwrap();
    assert_eq!(missing.0, crate::testing::UNRESOLVABLE);
    let mut here = running(&[("n", 1)]);
    here[0]["metadata"]["namespace"] = "default".into();
    let strict = asking(web, one(json!({"minDomains": 2})));
    let skewed = filter_one(&plugin, &strict, &node("n", json!({"zone": "a"})), &here).unwrap();
    assert_eq!(skewed.0, plimsoll_framework::verdict::Code::Unschedulable);
}

#[test]
fn which_pods_and_nodes_are_counted() {
    let plugin = plugin(json!({}));
    let answer = |objects: Vec<Value>, asked: Value| {
        filter_all(&plugin, &cluster(&plugin, &objects), &pod(asked), None).unwrap()
    };
    let asked = |further: Value, spec: Value| {
        let mut asked = asking(json!({"app": "web"}), json!([hard("zone", further)]));
        asked["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        asked
    };
    let changed = |path: &str, value: Value| {
        let mut running = running(&[("a1", 2)]);
        for pod in &mut running {
            pod["metadata"][path] = value.clone();
        }
        running
    };
    // Pods of other namespaces and pods that are being deleted are not.
    for (running, expect) in [
        (changed("namespace", "default".into()), SKEWED),
        (changed("namespace", "other".into()), ""),
        (changed("deletionTimestamp", "2026-01-01T00:00:00Z".into()), ""),
    ] {
        assert_eq!(answer([zones(), running].concat(), asked(json!({}), json!({})))[0], expect);
    }
    // Zone b is out of reach: with `Honor` (the default) it is not there, so that a has the least.
    let selects = json!({"nodeSelector": {"zone": "a"}});
    let busy = [zones(), running(&[("a1", 2)])].concat();
    for (policy, expect) in [(Value::Null, ""), ("Honor".into(), ""), ("Ignore".into(), SKEWED)] {
        let policy = json!({"nodeAffinityPolicy": policy});
        assert_eq!(answer(busy.clone(), asked(policy.clone(), selects.clone()))[0], expect, "{policy}");
    }
    let mut tainted = busy;
    tainted[2]["spec"] = json!({"taints": [{"key": "k", "effect": "NoSchedule"}]});
    let tolerates = json!({"tolerations": [{"key": "k", "operator": "Exists"}]});
    for (policy, spec, expect) in [
        (Value::Null, json!({}), SKEWED),
        ("Ignore".into(), json!({}), SKEWED),
        ("Honor".into(), json!({}), ""),
        ("Honor".into(), tolerates, SKEWED),
    ] {
        let policy = json!({"nodeTaintsPolicy": policy});
        assert_eq!(answer(tainted.clone(), asked(policy.clone(), spec))[0], expect, "{policy}");
    }
    tainted[2]["spec"]["taints"][0]["effect"] = "PreferNoSchedule".into();
    assert_eq!(answer(tainted, asked(json!({"nodeTaintsPolicy": "Honor"}), json!({})))[0], SKEWED);
}

fn imagine(table: &Table, deltas: &[(u32, Value, i64)]) -> Overlay {
    let mut overlay = Overlay::default();
    for (row, json, sign) in deltas {
        let pod = Arc::new(pod(json.clone()));
        if *sign > 0 { overlay.add(table.view(), *row, pod) } else { overlay.remove(table.view(), *row, pod) }
    }
    overlay
}

#[test]
fn imagined_pods_count_whatever_becomes_of_them() {
    let plugin = plugin(json!({}));
    let mut leaving = web("b1", 0);
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let mut elsewhere = web("a1", 0);
    elsewhere["metadata"]["namespace"] = "other".into();
    let table = cluster(&plugin, &[zones(), running(&[("a1", 1)]), vec![leaving.clone()]].concat());
    let web_pod = asking(json!({"app": "web"}), json!([hard("zone", json!({}))]));
    let everything = asking(json!({}), json!([hard("zone", json!({"labelSelector": {}}))]));
    let rows: Vec<(&Value, Vec<(u32, Value, i64)>, [&str; 2])> = vec![
        (&web_pod, vec![], [SKEWED, ""]),
        (&web_pod, vec![(0, web("a1", 0), -1)], ["", ""]),
        (&web_pod, vec![(2, web("b1", 7), 1)], ["", ""]),
        (&web_pod, vec![(0, elsewhere, 1)], [SKEWED, ""]),
        // A pod that is being deleted was not counted, and is taken away all the same: the least is -1.
        (&web_pod, vec![(0, web("a1", 0), -1), (2, leaving, -1)], [SKEWED, ""]),
        (&everything, vec![(0, web("a1", 7), 1)], [SKEWED, ""]),
        (&everything, vec![(0, web("a1", 7), 1), (2, web("b1", 7), 1)], ["", ""]),
    ];
    for (asked, deltas, expect) in rows {
        let overlay = imagine(&table, &deltas);
        let answer = filter_all(&plugin, &table, &pod(asked.clone()), Some(&overlay)).unwrap();
        assert_eq!([&*answer[0], &*answer[2]], expect, "{asked} {deltas:?}");
    }
}

#[test]
fn a_name_that_two_nodes_share_is_one_domain_for_rules_and_two_for_wishes() {
    let plugin = plugin(json!({}));
    let twin = |name: &str| node(name, json!({"kubernetes.io/hostname": "same"}));
    let nodes = vec![twin("one"), twin("two"), node("three", json!({"kubernetes.io/hostname": "three"}))];
    let table = cluster(&plugin, &[nodes, running(&[("one", 2)])].concat());
    let asked = |constraint| pod(asking(json!({"app": "web"}), json!([constraint])));
    let rule = filter_all(&plugin, &table, &asked(hard(HOSTNAME, json!({}))), None).unwrap();
    assert_eq!(rule, [SKEWED, SKEWED, ""]);
    // Three domains: 2 * ln 5 = 3.2, and 0.
    let (raw, _) = score_all(&plugin, &table, &asked(soft(HOSTNAME, json!({}))), None).unwrap();
    assert_eq!(raw, [Some(3), Some(0), Some(0)]);
}

#[test]
fn wishes_add_up_and_the_emptiest_node_gets_most() {
    let plugin = plugin(json!({}));
    let table = cluster(&plugin, &[zones(), running(&[("a1", 2), ("b1", 1), ("x1", 4)])].concat());
    let asked = |constraints: Value| pod(asking(json!({"app": "web"}), constraints));
    let rows = [
        // Two zones, so a pod counts ln 4 = 1.39: 2 * 1.39 = 2.8 and 1.4. The node in none is ignored.
        (json!([soft("zone", json!({}))]), vec![Some(3), Some(3), Some(1), None], vec![33, 33, 100, 0]),
        // And maxSkew - 1 each.
        (json!([soft("zone", json!({"maxSkew": 5}))]), vec![Some(7), Some(7), Some(5), None], vec![71, 71, 100, 0]),
        // Over hosts ln 6 = 1.79 each: 3.6, 0, 1.8, 7.2.
        (json!([soft(HOSTNAME, json!({}))]), vec![Some(4), Some(0), Some(2), Some(7)], vec![42, 100, 71, 0]),
        // Both; three hosts are left, ln 5 = 1.61: 2.77 + 3.22, 2.77, 1.39 + 1.61.
        (
            json!([soft("zone", json!({})), soft(HOSTNAME, json!({}))]),
            vec![Some(6), Some(3), Some(3), None],
            vec![50, 100, 100, 0],
        ),
        (
            json!([soft("zone", json!({"labelSelector": {}}))]),
            vec![Some(0), Some(0), Some(0), None],
            vec![100, 100, 100, 0],
        ),
        (json!([soft("rack", json!({}))]), vec![None; 4], vec![0; 4]),
    ];
    for (constraints, raw, normalized) in rows {
        assert_eq!(
            score_all(&plugin, &table, &asked(constraints.clone()), None),
            Some((raw, normalized)),
            "{constraints}"
        );
    }
    assert_eq!(score_all(&plugin, &table, &asked(json!([hard("zone", json!({}))])), None), None);
    assert_eq!(filter_all(&plugin, &table, &asked(json!([soft("zone", json!({}))])), None), None);
}

#[test]
fn policies_hold_for_domains_and_not_for_single_nodes() {
    let plugin = plugin(json!({}));
    let table = cluster(&plugin, &[zones(), running(&[("a1", 2)])].concat());
    for (key, expect) in [("zone", 0), (HOSTNAME, 4)] {
        let mut asked = asking(json!({"app": "web"}), json!([soft(key, json!({}))]));
        asked["spec"]["nodeSelector"] = json!({"zone": "b"});
        assert_eq!(score_all(&plugin, &table, &pod(asked), None).unwrap().0[0], Some(expect), "{key}");
    }
}

fn service(name: &str, selector: Value) -> Value {
    json!({"kind": "Service", "metadata": {"namespace": "default", "name": name}, "spec": {"selector": selector}})
}

fn owned(api_version: &str, kind: &str) -> Value {
    let owner = json!({"apiVersion": api_version, "kind": kind, "name": "owner", "uid": "o", "controller": true});
    json!({"metadata": {"namespace": "default", "labels": {"app": "web", "tier": "front"}, "ownerReferences": [owner]}})
}

#[test]
fn the_default_selector_comes_from_services_and_the_controller() {
    let plugin = plugin(json!({}));
    let owner = |kind: &str, selector: Value| json!({"kind": kind, "metadata": {"namespace": "default", "name": "owner"}, "spec": {"selector": selector}});
    let expression = json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]});
    let web = service("web", json!({"app": "web"}));
    let mut elsewhere = service("elsewhere", json!({"app": "web"}));
    elsewhere["metadata"]["namespace"] = "other".into();
    let rows: Vec<(Vec<Value>, Value, Vec<&str>)> = vec![
        (vec![], owned("v1", "Node"), vec![]),
        (vec![web.clone()], owned("v1", "Node"), vec!["app"]),
        (vec![web.clone(), service("tier", json!({"tier": "front"}))], owned("v1", "Node"), vec!["app", "tier"]),
        (
            vec![service("db", json!({"app": "db"})), elsewhere, service("none", Value::Null)],
            owned("v1", "Node"),
            vec![],
        ),
        (vec![service("all", json!({}))], owned("v1", "Node"), vec![]),
        (
            vec![owner("ReplicationController", json!({"app": "web"}))],
            owned("v1", "ReplicationController"),
            vec!["app"],
        ),
        (vec![owner("ReplicaSet", expression.clone())], owned("apps/v1", "ReplicaSet"), vec!["tier"]),
        (
            vec![web.clone(), owner("StatefulSet", expression.clone())],
            owned("apps/v1", "StatefulSet"),
            vec!["app", "tier"],
        ),
        (vec![owner("ReplicaSet", expression.clone())], owned("apps/v1beta1", "ReplicaSet"), vec![]),
        (vec![owner("ReplicaSet", expression)], owned("apps/v1", "StatefulSet"), vec![]),
        (vec![owner("ReplicaSet", Value::Null)], owned("apps/v1", "ReplicaSet"), vec![]),
        (vec![web], json!({"metadata": {"namespace": "default", "labels": {"app": "web"}}}), vec!["app"]),
    ];
    for (objects, asked, keys) in rows {
        let table = cluster(&plugin, &objects);
        let cluster = table.view().cluster();
        let owners = (cluster.objects(), cluster.objects(), cluster.objects(), cluster.objects());
        let selector = default_selector((&pod(asked.clone())).into(), &owners);
        let got: Vec<&str> = selector.iter().flat_map(|s| s.requirements()).map(|r| &*r.key).collect();
        assert_eq!(got, keys, "{objects:?} {asked}");
    }
}

#[test]
fn pods_that_say_nothing_are_spread_by_default() {
    let system = plugin(json!({}));
    let labelled = |name: &str, labels: Value| {
        let mut labels = labels;
        labels[HOSTNAME] = name.into();
        node(name, labels)
    };
    const ZONE: &str = "topology.kubernetes.io/zone";
    let nodes = vec![
        labelled("a", json!({ZONE: "a"})),
        labelled("b", json!({ZONE: "b"})),
        labelled("bare", json!({})),
        labelled("blank", json!({ZONE: ""})),
    ];
    let objects = [nodes, running(&[("a", 1), ("bare", 2), ("blank", 1)]), vec![service("web", json!({"app": "web"}))]];
    let table = cluster(&system, &objects.concat());
    let plain = pod(json!({"metadata": {"namespace": "default", "labels": {"app": "web"}}}));
    // Hosts: 4 domains, ln 6 = 1.79 a pod, and 2 for the skew. Zones: a, b and the empty value, ln 5 = 1.61 a pod, and
    // 4. The node without the label has no score for zones; its pods count where the value is empty: 1 + 2.
    let (raw, normalized) = score_all(&system, &table, &plain, None).unwrap();
    assert_eq!(raw, [Some(9), Some(6), Some(6), Some(13)]);
    assert_eq!(normalized, [76, 100, 100, 46]);
    assert_eq!(filter_all(&system, &table, &plain, None), None);
    // Nobody knows what it belongs to, or it says something itself.
    assert_eq!(score_all(&system, &table, &pod(json!({"metadata": {"namespace": "default"}})), None), None);
    assert_eq!(
        score_all(&system, &table, &pod(asking(json!({"app": "web"}), json!([hard(ZONE, json!({}))]))), None),
        None
    );

    let constraint =
        |when: &str| json!({"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": when, "matchLabelKeys": ["app"]});
    let rules = plugin(json!({"defaultingType": "List", "defaultConstraints": [constraint("DoNotSchedule")]}));
    // Nodes without the label are not counted, and a and the empty one have one pod each, b none.
    assert_eq!(filter_all(&rules, &table, &plain, None).unwrap(), [SKEWED, "", MISSING, SKEWED]);
    let wishes = plugin(json!({"defaultingType": "List", "defaultConstraints": [constraint("ScheduleAnyway")]}));
    let (raw, _) = score_all(&wishes, &table, &plain, None).unwrap();
    assert_eq!(raw, [Some(2), Some(0), None, Some(2)]);
}

#[test]
fn objects_are_read_only_where_defaults_need_them() {
    let kinds = |args: Value| plugin(args).kinds.iter().map(|kind| kind.kind).collect::<Vec<_>>();
    assert_eq!(kinds(json!({})), ["Service", "ReplicationController", "ReplicaSet", "StatefulSet"]);
    assert!(kinds(json!({"defaultingType": "List"})).is_empty());
}

#[test]
fn what_makes_another_attempt_worth_it() {
    let plugin = PodTopologySpread::default();
    let rejected = asking(json!({"app": "web", "rev": "1"}), json!([hard("zone", json!({})), soft("disk", json!({}))]));
    let other = |labels: Value, node: Value| json!({"metadata": {"namespace": "default", "uid": "o", "labels": labels}, "spec": {"nodeName": node}});
    let (web, db) = (other(json!({"app": "web"}), "n".into()), other(json!({"app": "db"}), "n".into()));
    let pending = other(json!({"app": "web"}), Value::Null);
    let mut elsewhere = web.clone();
    elsewhere["metadata"]["namespace"] = "other".into();
    let mut relabelled = rejected.clone();
    relabelled["metadata"]["labels"] = json!({"app": "db"});
    let (queue, skip) = (QueueingHint::Queue, QueueingHint::Skip);
    let rows = [
        (None, Some(&web), queue),
        (Some(&web), None, queue),
        (None, Some(&db), skip),
        (Some(&db), None, skip),
        (Some(&db), Some(&web), queue),
        (Some(&web), Some(&web), skip),
        (None, Some(&pending), skip),
        (Some(&web), Some(&pending), queue),
        (None, Some(&elsewhere), skip),
        (Some(&rejected), Some(&relabelled), queue),
        (Some(&rejected), Some(&rejected), skip),
    ];
    for (nth, (old, new, expect)) in rows.into_iter().enumerate() {
        assert_eq!(pod_hint(&plugin, &rejected, old, new), expect, "row {nth}");
    }
    // The pod itself: what it tolerates, and which keys it shares with others, matters only where that is asked.
    let honoring = asking(json!({"app": "web"}), json!([hard("zone", json!({"nodeTaintsPolicy": "Honor"}))]));
    let keyed = asking(json!({"app": "web"}), json!([hard("zone", json!({"matchLabelKeys": ["rev"]}))]));
    for (rejected, tolerates, relabelled) in [(&rejected, skip, skip), (&honoring, queue, skip), (&keyed, skip, queue)]
    {
        let mut tolerant = rejected.clone();
        tolerant["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
        assert_eq!(pod_hint(&plugin, rejected, Some(rejected), Some(&tolerant)), tolerates);
        let mut revised = rejected.clone();
        revised["metadata"]["labels"]["rev"] = "2".into();
        assert_eq!(pod_hint(&plugin, rejected, Some(rejected), Some(&revised)), relabelled);
    }
    let (a, b, bare) = (node("n", json!({"zone": "a"})), node("n", json!({"zone": "b"})), node("n", json!({})));
    let mut tainted = a.clone();
    tainted["spec"] = json!({"taints": [{"key": "k", "effect": "NoSchedule"}]});
    let more = node("n", json!({"zone": "a", "more": "labels"}));
    let rows = [
        (None, &a, queue),
        (None, &bare, skip),
        (Some(&a), &b, queue),
        (Some(&a), &bare, queue),
        (Some(&bare), &a, queue),
        (Some(&a), &tainted, queue),
        (Some(&bare), &bare, skip),
        (Some(&a), &more, skip),
    ];
    for (nth, (old, new, expect)) in rows.into_iter().enumerate() {
        assert_eq!(node_hint(&plugin, &rejected, old, new), expect, "row {nth}");
    }
    let mut selecting = rejected.clone();
    selecting["spec"]["nodeSelector"] = json!({"more": "labels"});
    assert_eq!(node_hint(&plugin, &selecting, Some(&a), &more), queue);
    // With defaults it is not known which pods count.
    let list = json!({"defaultingType": "List", "defaultConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]});
    let defaults = PodTopologySpread::new(&serde_json::from_value(list).unwrap());
    let plain = json!({"metadata": {"namespace": "default", "uid": "asked"}});
    for (plugin, expect) in [(&defaults, queue), (&plugin, skip)] {
        assert_eq!(pod_hint(plugin, &plain, None, Some(&db)), expect);
        assert_eq!(node_hint(plugin, &plain, None, &a), expect);
    }
}
