#![expect(clippy::type_complexity, reason = "rows of tables")]

use std::sync::Arc;

use plimsoll_framework::cluster_event::QueueingHint;
use plimsoll_framework::extensions::Extensions;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{Extent, Score};
use plimsoll_framework::verdict::Code;
use serde_json::{Value, json};

use super::*;
use crate::testing::{UNRESOLVABLE, by_levels, cluster, filter_all, filter_one, node_hint, pod, pod_hint, score_all};

fn plugin(args: Value) -> Extensions {
    let plugin = InterPodAffinity::new(serde_json::from_value(args).unwrap());
    Extensions::of(plugin).pre_filter().filter().pre_score().score().done()
}

fn node(name: &str, labels: Value) -> Value {
    json!({"kind": "Node", "metadata": {"name": name, "labels": labels}})
}

/// A pod on a node, in the namespace `default`.
fn on(node: &str, labels: Value, affinity: Value) -> Value {
    json!({"kind": "Pod", "metadata": {"namespace": "default", "name": "r", "uid": format!("{node} {labels} {affinity}"),
                                       "labels": labels},
           "spec": {"nodeName": node, "affinity": affinity}})
}

fn asking(labels: Value, affinity: Value) -> Value {
    json!({"metadata": {"namespace": "default", "name": "asked", "uid": "asked", "labels": labels},
           "spec": {"affinity": affinity}})
}

fn term(key: &str, app: &str, further: Value) -> Value {
    let mut term = json!({"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}});
    term.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    term
}

fn plain(key: &str, app: &str) -> Value {
    term(key, app, json!({}))
}

fn near(terms: Value) -> Value {
    json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}})
}

fn far(terms: Value) -> Value {
    json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}})
}

fn wish(side: &str, weight: i64, term: Value) -> Value {
    json!({side: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": weight, "podAffinityTerm": term}]}})
}

/// Two nodes in zone a (one in a rack), one in b, one in none.
fn nodes() -> Vec<Value> {
    vec![
        node("a1", json!({"zone": "a", "rack": "r"})),
        node("a2", json!({"zone": "a"})),
        node("b1", json!({"zone": "b"})),
        node("x1", json!({})),
    ]
}

const NEAR: &str = REASON_AFFINITY;
const FAR: &str = REASON_ANTI_AFFINITY;
const SHUNNED: &str = REASON_EXISTING_ANTI_AFFINITY;

#[test]
fn rules_of_the_pod_and_of_others() {
    let plugin = plugin(json!({}));
    let (web, db, none) = (json!({"app": "web"}), json!({"app": "db"}), json!({}));
    let leaving = || {
        let mut pod = on("a1", json!({"app": "db"}), json!({}));
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        pod
    };
    let quiet = |node: &str, labels: &Value| on(node, labels.clone(), json!({}));
    let zone_db = || json!([plain("zone", "db")]);
    // What runs, the pod's labels and affinity, what the nodes say; `None` when the plugin has nothing to say.
    let rows: Vec<(&str, Vec<Value>, &Value, Value, Option<[&str; 4]>)> = vec![
        ("nobody says anything", vec![quiet("a1", &db)], &web, json!({}), None),
        ("near", vec![quiet("a1", &db)], &web, near(zone_db()), Some(["", "", NEAR, NEAR])),
        ("near one that leaves", vec![leaving()], &web, near(zone_db()), Some(["", "", NEAR, NEAR])),
        ("near none", vec![], &web, near(zone_db()), Some([NEAR; 4])),
        ("the first of its group", vec![], &db, near(zone_db()), Some(["", "", "", NEAR])),
        ("the second of its group", vec![quiet("a1", &db)], &db, near(zone_db()), Some(["", "", NEAR, NEAR])),
        ("its group is outside of all domains", vec![quiet("x1", &db)], &db, near(zone_db()), Some(["", "", "", NEAR])),
        (
            "both terms, one domain each",
            vec![quiet("a2", &db), quiet("a1", &db)],
            &web,
            near(json!([plain("zone", "db"), plain("rack", "db")])),
            Some(["", NEAR, NEAR, NEAR]),
        ),
        (
            "a pod that only one term matches",
            vec![quiet("a1", &db)],
            &web,
            near(json!([plain("zone", "db"), plain("zone", "web")])),
            Some([NEAR; 4]),
        ),
        // A member on a node with one of the labels is enough not to be the first any more.
        (
            "not the first",
            vec![quiet("b1", &db)],
            &db,
            near(json!([plain("zone", "db"), plain("rack", "db")])),
            Some([NEAR; 4]),
        ),
        (
            "the first, with two terms",
            vec![],
            &db,
            near(json!([plain("zone", "db"), plain("rack", "db")])),
            Some(["", NEAR, NEAR, NEAR]),
        ),
        ("far", vec![quiet("a1", &db)], &web, far(zone_db()), Some([FAR, FAR, "", ""])),
        (
            "far by either term",
            vec![quiet("a1", &db), quiet("b1", &web)],
            &none,
            far(json!([plain("rack", "db"), plain("zone", "web")])),
            Some([FAR, "", FAR, ""]),
        ),
        ("shunned", vec![on("a1", none.clone(), far(zone_db()))], &db, json!({}), Some([SHUNNED, SHUNNED, "", ""])),
        ("shunned nowhere", vec![on("x1", none.clone(), far(zone_db()))], &db, json!({}), None),
        ("another is shunned", vec![on("a1", none.clone(), far(zone_db()))], &web, json!({}), None),
        // The first of the three that fails says so.
        (
            "all at once",
            vec![on("a1", web.clone(), far(json!([plain("zone", "db")]))), quiet("b1", &web)],
            &db,
            json!({"podAffinity": near(json!([plain("zone", "web")]))["podAffinity"],
                   "podAntiAffinity": far(json!([plain("rack", "web")]))["podAntiAffinity"]}),
            Some([FAR, SHUNNED, "", NEAR]),
        ),
        ("no selector", vec![quiet("a1", &db)], &db, near(json!([{"topologyKey": "zone"}])), Some([NEAR; 4])),
        (
            "an empty selector",
            vec![quiet("a1", &db)],
            &web,
            near(json!([{"topologyKey": "zone", "labelSelector": {}}])),
            Some(["", "", NEAR, NEAR]),
        ),
    ];
    for (what, running, labels, affinity, expect) in rows {
        let table = cluster(&plugin, &[nodes(), running].concat());
        let answer = filter_all(&plugin, &table, &pod(asking(labels.clone(), affinity)), None);
        assert_eq!(answer, expect.map(|e| e.map(str::to_owned).to_vec()), "{what}");
    }
    let here = node("n", json!({"zone": "a"}));
    let code = |labels: Value, affinity: Value, running: Value| {
        filter_one(&plugin, &asking(labels, affinity), &here, &[running]).unwrap().0
    };
    assert_eq!(code(web.clone(), near(zone_db()), on("n", web.clone(), json!({}))), UNRESOLVABLE);
    assert_eq!(code(web.clone(), far(zone_db()), on("n", db.clone(), json!({}))), Code::Unschedulable);
    assert_eq!(code(db, json!({}), on("n", web, far(zone_db()))), Code::Unschedulable);
}

#[test]
fn namespaces_are_named_or_selected_by_their_labels() {
    let plugin = plugin(json!({}));
    let namespace =
        |name: &str, labels: Value| json!({"kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    let known = [namespace("default", json!({"team": "blue"})), namespace("red", json!({"team": "red"}))];
    let team = |operator: &str, values: Value| json!({"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": operator, "values": values}]}});
    // Of which of the namespaces default, red and unknown a term of the pod in `default` selects pods, and whether such
    // a term selects the pod when one of these namespaces is where it is.
    let rows = [
        (json!({}), [true, false, false], [true, false, false]),
        (json!({"namespaces": ["red"]}), [false, true, false], [false, true, false]),
        (json!({"namespaces": ["red", "unknown"]}), [false, true, true], [false, true, true]),
        (json!({"namespaceSelector": {}}), [true; 3], [true; 3]),
        (team("In", json!(["red"])), [false, true, false], [false, true, false]),
        // What selects a namespace without labels selects pods of every namespace, in terms of the pod itself.
        (team("NotIn", json!(["red"])), [true; 3], [true, false, true]),
        (team("DoesNotExist", json!([])), [true; 3], [false, false, true]),
        (team("Exists", json!([])), [true, true, false], [true, true, false]),
    ];
    for (further, own, others) in rows {
        let names = ["default", "red", "unknown"];
        for ((name, own), others) in names.into_iter().zip(own).zip(others) {
            let anti = far(json!([term("zone", "db", further.clone())]));
            let mut there = on("a1", json!({"app": "db"}), json!({}));
            there["metadata"]["namespace"] = name.into();
            let table = cluster(&plugin, &[nodes(), known.to_vec(), vec![there]].concat());
            let asked = pod(asking(json!({}), anti.clone()));
            let answer = filter_all(&plugin, &table, &asked, None).unwrap();
            assert_eq!(answer[0] == FAR, own, "{further} {name}");

            let table = cluster(&plugin, &[nodes(), known.to_vec(), vec![on("a1", json!({}), anti)]].concat());
            let mut asked = asking(json!({"app": "db"}), json!({}));
            asked["metadata"]["namespace"] = name.into();
            assert_eq!(filter_all(&plugin, &table, &pod(asked), None).is_some(), others, "{further} {name}");
        }
    }
}

#[test]
fn imagined_pods_and_their_terms_count() {
    let plugin = plugin(json!({}));
    let db = on("a1", json!({"app": "db"}), json!({}));
    let shunning = |node: &str, key: &str| on(node, json!({"app": "lone"}), far(json!([plain(key, "web")])));
    let running = vec![db.clone(), shunning("b1", "zone")];
    let table = cluster(&plugin, &[nodes(), running].concat());
    let near_db = asking(json!({"app": "web"}), near(json!([plain("zone", "db")])));
    let first = asking(json!({"app": "db"}), near(json!([plain("zone", "db")])));
    let plain_web = asking(json!({"app": "web"}), json!({}));
    let rows: Vec<(&Value, Vec<(u32, Value, i64)>, [&str; 4])> = vec![
        (&near_db, vec![], ["", "", NEAR, NEAR]),
        (&near_db, vec![(2, db.clone(), 1)], ["", "", SHUNNED, NEAR]),
        (&near_db, vec![(0, db.clone(), -1)], [NEAR; 4]),
        // When the last one is gone, the rule for the first holds again.
        (&first, vec![(0, db, -1)], ["", "", "", NEAR]),
        (&plain_web, vec![(2, shunning("b1", "zone"), -1)], [""; 4]),
        (&plain_web, vec![(2, shunning("b1", "zone"), -1), (2, shunning("b1", "zone"), 1)], ["", "", SHUNNED, ""]),
        // A term that nobody carries yet.
        (&plain_web, vec![(0, shunning("a1", "rack"), 1)], [SHUNNED, "", SHUNNED, ""]),
        (&plain_web, vec![(0, shunning("a1", "rack"), 1), (0, shunning("a1", "rack"), -1)], ["", "", SHUNNED, ""]),
    ];
    for (asked, deltas, expect) in rows {
        let mut overlay = Overlay::default();
        for (row, json, sign) in &deltas {
            let pod = Arc::new(pod(json.clone()));
            if *sign > 0 { overlay.add(table.view(), *row, pod) } else { overlay.remove(table.view(), *row, pod) }
        }
        let answer = filter_all(&plugin, &table, &pod(asked.clone()), Some(&overlay)).unwrap();
        assert_eq!(answer, expect, "{asked} {deltas:?}");
    }
}

#[test]
fn wishes_of_the_pod_and_of_others_add_up() {
    let by_default = json!({});
    let heavy = json!({"hardPodAffinityWeight": 7});
    let weightless = json!({"hardPodAffinityWeight": 0});
    let ignoring = json!({"ignorePreferredTermsOfExistingPods": true});
    let (web, db) = (json!({"app": "web"}), json!({"app": "db"}));
    let quiet = |node: &str| on(node, json!({"app": "db"}), json!({}));
    let likes_db = |side: &str, weight| wish(side, weight, plain("zone", "db"));
    let wanted = |node: &str, affinity: Value| on(node, json!({}), affinity);
    // Arguments, what runs, the pod's labels and affinity; the raw scores of the nodes, if there are any.
    let rows: Vec<(&str, &Value, Vec<Value>, &Value, Value, Option<[i64; 4]>)> = vec![
        ("nobody says anything", &by_default, vec![quiet("a1")], &web, json!({}), None),
        (
            "near two",
            &by_default,
            vec![quiet("a1"), quiet("a2")],
            &web,
            likes_db("podAffinity", 5),
            Some([10, 10, 0, 0]),
        ),
        ("far", &by_default, vec![quiet("a1")], &web, likes_db("podAntiAffinity", 5), Some([-5, -5, 0, 0])),
        ("near nobody", &by_default, vec![on("a1", web.clone(), json!({}))], &web, likes_db("podAffinity", 5), None),
        ("outside of all domains", &by_default, vec![quiet("x1")], &web, likes_db("podAffinity", 5), None),
        ("wanted", &by_default, vec![wanted("a1", likes_db("podAffinity", 5))], &db, json!({}), Some([5, 5, 0, 0])),
        (
            "unwanted",
            &by_default,
            vec![wanted("b1", likes_db("podAntiAffinity", 5))],
            &db,
            json!({}),
            Some([0, 0, -5, 0]),
        ),
        (
            "needed",
            &by_default,
            vec![wanted("a1", near(json!([plain("zone", "db")])))],
            &db,
            json!({}),
            Some([1, 1, 0, 0]),
        ),
        (
            "needed more",
            &heavy,
            vec![wanted("a1", near(json!([plain("zone", "db")])))],
            &db,
            json!({}),
            Some([7, 7, 0, 0]),
        ),
        (
            "needed, which counts nothing",
            &weightless,
            vec![wanted("a1", near(json!([plain("zone", "db")])))],
            &db,
            json!({}),
            None,
        ),
        (
            "shunned, which is no score",
            &by_default,
            vec![wanted("a1", far(json!([plain("zone", "db")])))],
            &db,
            json!({}),
            None,
        ),
        (
            "twice the same term",
            &by_default,
            vec![wanted("a1", near(json!([plain("zone", "db"), plain("zone", "db")])))],
            &db,
            json!({}),
            Some([2, 2, 0, 0]),
        ),
        (
            "as much near as far is a score all the same",
            &by_default,
            vec![wanted("a1", likes_db("podAffinity", 50)), wanted("a2", likes_db("podAntiAffinity", 50))],
            &db,
            json!({}),
            Some([0; 4]),
        ),
        (
            "over several labels",
            &by_default,
            vec![wanted("a1", likes_db("podAffinity", 5)), wanted("a1", wish("podAffinity", 3, plain("rack", "db")))],
            &db,
            json!({}),
            Some([8, 5, 0, 0]),
        ),
        ("others are ignored", &ignoring, vec![wanted("a1", likes_db("podAffinity", 5))], &db, json!({}), None),
        (
            "unless the pod says something",
            &ignoring,
            vec![wanted("a1", likes_db("podAffinity", 5))],
            &db,
            wish("podAntiAffinity", 1, plain("zone", "nobody")),
            Some([5, 5, 0, 0]),
        ),
    ];
    for (what, args, running, labels, affinity, expect) in rows {
        let plugin = plugin(args.clone());
        let table = cluster(&plugin, &[nodes(), running].concat());
        let scores = score_all(&plugin, &table, &pod(asking(labels.clone(), affinity)), None);
        assert_eq!(scores.map(|(raw, _)| raw), expect.map(|e| e.map(Some).to_vec()), "{what}");
    }
}

/// There are too many ways to be told apart for each to have a level, but few sums.
#[test]
fn wishes_by_many_labels_add_up() {
    const LABELS: i64 = 10;
    let plugin = plugin(json!({}));
    let label = |n: i64, key: i64| (format!("k{key}"), json!(if n >> (key % 2) & 1 == 0 { "a" } else { "b" }));
    let nodes = (0..4).map(|n| node(&format!("n{n}"), Value::Object((0..LABELS).map(|key| label(n, key)).collect())));
    let db = on("n0", json!({"app": "db"}), json!({}));
    let table = cluster(&plugin, &nodes.chain([db]).collect::<Vec<_>>());
    let wishes: Vec<Value> =
        (0..LABELS).map(|key| json!({"weight": key + 1, "podAffinityTerm": plain(&format!("k{key}"), "db")})).collect();
    let asked =
        pod(asking(json!({}), json!({"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": wishes}})));
    let raw = score_all(&plugin, &table, &asked, None).unwrap().0;
    assert_eq!(raw, [55, 30, 25, 0].map(Some));
    let rows: Vec<_> = table.view().rows().collect();
    assert_eq!(by_levels(&plugin.score.as_ref().unwrap().bind(&asked, table.view()), &rows), Some(raw));
}

#[test]
fn scores_reach_from_0_to_100_and_are_cut() {
    let plugin = plugin(json!({}));
    let count = |node: &str, n: usize| {
        (0..n).map(|n| on(node, json!({"app": "db", "n": n.to_string()}), json!({}))).collect::<Vec<_>>()
    };
    let normalized = |running: Vec<Value>, affinity: Value| {
        let table = cluster(&plugin, &[nodes(), running].concat());
        score_all(&plugin, &table, &pod(asking(json!({}), affinity)), None).unwrap().1
    };
    let near_db = wish("podAffinity", 1, plain("zone", "db"));
    assert_eq!(normalized([count("a1", 2), count("b1", 3)].concat(), near_db.clone()), [66, 66, 100, 0]);
    let far_db = wish("podAntiAffinity", 1, plain("zone", "db"));
    assert_eq!(normalized([count("a1", 2), count("b1", 3)].concat(), far_db), [33, 33, 0, 100]);
    // 29 of 50: the quotient is a little less in floating point, and so is what is left when it is cut.
    assert_eq!(normalized([count("a1", 29), count("b1", 50)].concat(), near_db)[0], 57);
    assert_eq!(Score::normalize(&InterPodAffinity::default(), 5, Extent { min: 5, max: 5 }), 0);
}

#[test]
fn what_makes_another_attempt_worth_it() {
    let plugin = InterPodAffinity::default();
    let needs = asking(json!({"app": "web"}), near(json!([plain("zone", "db"), plain("rack", "db")])));
    let flees = asking(json!({"app": "web"}), far(json!([plain("zone", "db"), plain("rack", "lone")])));
    let group = asking(json!({"app": "web"}), near(json!([plain("zone", "web")])));
    let quiet = asking(json!({"app": "web"}), json!({}));
    let select = json!({"namespaceSelector": {"matchLabels": {"team": "red"}}});
    let wide = asking(json!({"app": "web"}), near(json!([term("zone", "db", select)])));
    let db = on("n", json!({"app": "db"}), json!({}));
    let web = on("n", json!({"app": "web"}), json!({}));
    let shunning = on("n", json!({"app": "x"}), far(json!([plain("rack", "nobody"), plain("zone", "web")])));
    let unplaced = |pod: &Value| {
        let mut pod = pod.clone();
        pod["spec"]["nodeName"] = Value::Null;
        pod
    };
    let pending = unplaced(&db);
    let mut elsewhere = db.clone();
    elsewhere["metadata"]["namespace"] = "other".into();
    let (queue, skip) = (QueueingHint::Queue, QueueingHint::Skip);
    let rows = [
        (&needs, None, Some(&db), queue),
        (&needs, None, Some(&web), skip),
        (&needs, None, Some(&pending), skip),
        (&needs, None, Some(&elsewhere), skip),
        (&wide, None, Some(&elsewhere), queue),
        (&needs, Some(&web), Some(&db), queue),
        (&needs, Some(&db), Some(&db), skip),
        (&needs, Some(&db), None, skip),
        (&needs, Some(&needs), Some(&needs), queue),
        (&group, Some(&web), None, queue),
        (&flees, Some(&db), None, queue),
        (&flees, Some(&db), Some(&web), queue),
        (&flees, Some(&web), Some(&db), skip),
        (&flees, None, Some(&db), skip),
        (&quiet, Some(&shunning), None, queue),
        (&quiet, Some(&web), None, skip),
        (&quiet, None, Some(&shunning), skip),
    ];
    for (nth, (rejected, old, new, expect)) in rows.into_iter().enumerate() {
        assert_eq!(pod_hint(&plugin, rejected, old, new), expect, "row {nth}");
    }
    let (zoned, bare) = (node("n", json!({"zone": "a"})), node("n", json!({})));
    let rows = [
        (&needs, None, &zoned, queue),
        (&needs, None, &bare, skip),
        (&flees, None, &bare, queue),
        (&quiet, None, &bare, queue),
        (&needs, Some(&bare), &zoned, queue),
        (&quiet, Some(&zoned), &bare, queue),
    ];
    for (nth, (rejected, old, new, expect)) in rows.into_iter().enumerate() {
        assert_eq!(node_hint(&plugin, rejected, old, new), expect, "row {nth}");
    }
}
