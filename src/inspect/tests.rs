use plimsoll_engine::engine::{Engine, EngineSettings};
use plimsoll_engine::event::Event;
use plimsoll_framework::api;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::PodParser;
use plimsoll_framework::time::Time;
use plimsoll_testkit::{node, pod};
use serde_json::{Value, json};

use super::*;
use crate::config::Config;
use crate::registry::Registry;

fn at(seconds: u64) -> Time {
    Time::since_epoch(Duration::from_secs(1_000 + seconds))
}

/// An engine that knows these nodes and pods.
fn engine(nodes: Vec<Value>, pods: Vec<Value>) -> Engine {
    let profiles = Registry::default().profiles(&Config::default()).unwrap();
    let (config, registry) = (Config::default(), Registry::default());
    let settings = EngineSettings { admission: registry.admission(&config), ..EngineSettings::default() };
    let mut engine = Engine::new(profiles, settings);
    engine.lead(true);
    for node in nodes {
        let node: api::Node = serde_json::from_value(node).unwrap();
        engine.handle(at(0), Event::Node(Box::new(NodeInfo::parse(&node, &[]).0)));
    }
    pods.into_iter().for_each(|pod| add(&mut engine, pod));
    engine
}

fn add(engine: &mut Engine, pod: Value) {
    let pod: api::Pod = serde_json::from_value(pod).unwrap();
    engine.handle(at(0), Event::Pod(Box::new(PodParser::default().parse(&pod))));
}

fn named(name: &str) -> plimsoll_testkit::PodBuilder {
    pod(name).namespace("default").uid(&format!("uid-{name}")).resource_version(5)
}

fn queue_page(engine: &Engine, limit: usize, after: Option<&str>, part: Option<&str>) -> Value {
    let pick = QueuePick {
        limit,
        after: after.map(|after| after.parse().unwrap()),
        part: part.map(|part| part.parse().unwrap()),
    };
    serde_json::to_value(queue::take(engine, &pick).page(at(7))).unwrap()
}

/// Two pods that fit nowhere, one that is gated, one that needs what is not built, one popped, one not yet.
fn waiting() -> Engine {
    let large = [("cpu", "8")];
    let mut claims = named("claims").build();
    claims["spec"]["resourceClaims"] = json!([{"name": "gpu", "resourceClaimName": "gpu"}]);
    let mut engine = engine(
        vec![node("small").allocatable(&[("cpu", "2"), ("memory", "4Gi"), ("pods", "10")]).build()],
        vec![named("large-1").requests(&large).build(), named("large-2").requests(&large).build(), claims],
    );
    while engine.decide_next(at(0)) {}
    let mut told = named("large-2").resource_version(9).requests(&large).build();
    told["status"]["conditions"] =
        json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]);
    add(&mut engine, told);
    for pod in [named("gated").gate("wait").build(), named("popped").build(), named("ready").priority(-5).build()] {
        add(&mut engine, pod);
    }
    assert_eq!(engine.take_work(at(5), 1).len(), 1);
    engine
}

#[test]
fn the_queue_says_what_waits_where() {
    let page = queue_page(&waiting(), 100, None, None);
    assert_eq!(
        page["counts"],
        json!({"active": 1, "backoff": 0, "unschedulable": 2, "gated": 1, "held": 1, "inFlight": 1, "placeable": 0})
    );
    let shown = |pod: &Value| format!("{} {}", pod["part"].as_str().unwrap(), pod["name"].as_str().unwrap());
    let pods: Vec<String> = page["pods"].as_array().unwrap().iter().map(shown).collect();
    let expect = [
        "active ready",
        "unschedulable large-1",
        "unschedulable large-2",
        "gated gated",
        "held claims",
        "inFlight popped",
    ];
    assert_eq!(pods, expect);
    let large = &page["pods"][2];
    assert_eq!(
        *large,
        json!({
            "part": "unschedulable", "namespace": "default", "name": "large-2", "uid": "uid-large-2",
            "schedulerName": "plimsoll", "priority": 0, "attempts": 1, "plugins": ["NodeResourcesFit"],
            "reason": "Unschedulable", "message": "0/1 nodes",
            "waitingSeconds": 7.0, "firstAttemptSecondsAgo": 7.0,
        })
    );
    assert_eq!(page["pods"][3]["gate"], "SchedulingGates");
    assert!(page.get("continue").is_none());
}

#[test]
fn the_queue_is_read_page_by_page() {
    let engine = waiting();
    let whole = queue_page(&engine, 100, None, None)["pods"].as_array().unwrap().clone();
    for limit in 1..=7 {
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let page = queue_page(&engine, limit, after.as_deref(), None);
            let pods = page["pods"].as_array().unwrap();
            assert!(pods.len() <= limit);
            assert_eq!(page["counts"]["unschedulable"], 2, "all are counted, on whichever page");
            read.extend(pods.iter().cloned());
            after = page["continue"].as_str().map(str::to_owned);
            if after.is_none() {
                break;
            }
        }
        assert_eq!(read, whole, "{limit} at a time");
    }
    let part = queue_page(&engine, 1, None, Some("unschedulable"));
    assert_eq!((&part["pods"][0]["name"], part["pods"].as_array().unwrap().len()), (&json!("large-1"), 1));
    let rest = queue_page(&engine, 9, part["continue"].as_str(), Some("unschedulable"));
    assert_eq!((&rest["pods"][0]["name"], rest["pods"].as_array().unwrap().len()), (&json!("large-2"), 1));
    for wrong in ["", "active", "active/default/x", "nowhere/default/x/uid"] {
        assert!(wrong.parse::<queue::Continue>().is_err(), "{wrong}");
    }
}

#[test]
fn the_cache_says_what_is_on_each_node() {
    let room = [("cpu", "2"), ("memory", "4Gi"), ("pods", "10"), ("example.com/gpu", "2")];
    let nodes = ["c", "a", "b"].map(|name| node(name).allocatable(&room).build());
    let asks = [("cpu", "500m"), ("memory", "1Gi"), ("example.com/gpu", "1")];
    let running = ["r2", "r1"].map(|name| named(name).requests(&asks).node_name("b").build());
    let mut engine = engine(nodes.into(), running.into());
    add(&mut engine, named("new").requests(&[("cpu", "1"), ("example.com/gpu", "2")]).build());
    assert!(engine.decide_next(at(0)));
    let page = |limit: usize, after: Option<&str>, node: Option<&str>| {
        let pick = CachePick { limit, after: after.map(str::to_owned), node: node.map(str::to_owned) };
        serde_json::to_value(cache::take(&engine).page(&pick)).unwrap()
    };
    let b = page(9, None, Some("b"));
    assert_eq!(b["counts"], json!({"nodes": 3, "pods": 3, "assumedPods": 1}));
    let pod_of = |name: &str| json!({"namespace": "default", "name": name, "uid": format!("uid-{name}")});
    assert_eq!(
        b["nodes"],
        json!([{
            "name": "b", "podCount": 2, "pods": [pod_of("r1"), pod_of("r2")],
            "allocatable": {"milliCPU": 2000, "memoryBytes": 4_u64 << 30, "ephemeralStorageBytes": 0,
                            "example.com/gpu": 2, "pods": 10},
            "requested": {"milliCPU": 1000, "memoryBytes": 2_u64 << 30, "ephemeralStorageBytes": 0,
                          "example.com/gpu": 2},
        }])
    );
    let all = page(9, None, None);
    let assumed: Vec<&Value> =
        all["nodes"].as_array().unwrap().iter().flat_map(|node| node["pods"].as_array().unwrap()).collect();
    let assumed: Vec<_> = assumed.into_iter().filter(|pod| pod["assumed"] == "binding").collect();
    assert_eq!((assumed.len(), &assumed[0]["name"]), (1, &json!("new")));
    let names = |page: &Value| -> Vec<String> {
        page["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = page(2, None, None);
    assert_eq!((names(&first), &first["continue"]), (vec!["a".to_owned(), "b".to_owned()], &json!("b")));
    let second = page(2, Some("b"), None);
    assert_eq!((names(&second), second.get("continue")), (vec!["c".to_owned()], None));
    assert_eq!(page(2, None, Some("none"))["nodes"], json!([]));
}

#[test]
fn differences_are_found_and_those_that_pass_are_not_told() {
    let nodes = ["n1", "n2"].map(|name| node(name).build());
    let pods = [
        named("on-n1").node_name("n1").build(),
        named("moved").node_name("n1").build(),
        named("gone").node_name("n2").build(),
        named("pending").requests(&[("cpu", "900")]).build(),
        named("foreign").scheduler_name("other").build(),
        named("told-late").scheduler_name("other").build(),
        named("on-unknown").node_name("n9").build(),
    ];
    let mut engine = engine(nodes.into(), pods.into());
    add(&mut engine, named("assumed").build());
    while engine.decide_next(at(0)) {}
    let listed = |nodes: &[&str], pods: &[(&str, &str)]| {
        let mut listed =
            listing::Listed { nodes: nodes.iter().map(|n| (*n).to_owned()).collect(), ..Default::default() };
        for (name, node) in pods {
            listed.pods.insert(format!("uid-{name}"), (name_of(name), (*node).to_owned()));
        }
        listed
    };
    let same = [
        ("on-n1", "n1"),
        ("moved", "n1"),
        ("gone", "n2"),
        ("pending", ""),
        ("foreign", ""),
        ("told-late", ""),
        ("on-unknown", "n9"),
        ("assumed", ""),
    ];
    let known = compare::take(&engine);
    assert_eq!(compare::compare(&listed(&["n1", "n2"], &same), &known).named().count(), 0);
    let other = [
        ("on-n1", "n1"),
        ("moved", "n2"),
        ("pending", ""),
        ("foreign", ""),
        ("told-late", "n2"),
        ("on-unknown", "n9"),
        ("assumed", ""),
        ("new", ""),
        ("new-on-unknown", "n8"),
    ];
    let first = compare::compare(&listed(&["n1", "n3"], &other), &known);
    let shown = serde_json::to_value(&first).unwrap();
    let elsewhere = |name: &str, cache: &str, api: &str| json!({"what": "podElsewhere", "pod": pod_json(name), "cache": cache, "apiServer": api});
    assert_eq!(
        shown,
        json!({
            "nodes": 2, "pods": 9, "differenceCount": 6,
            "differences": [
                {"what": "nodeMissing", "name": "n3"},
                {"what": "nodeRedundant", "name": "n2"},
                {"what": "podMissing", "pod": pod_json("new")},
                {"what": "podRedundant", "pod": pod_json("gone")},
                elsewhere("moved", "n1", "n2"),
                elsewhere("told-late", "", "n2"),
            ],
        })
    );
    // A moment later only one of them is left, and there is another that was not there before.
    let mut later = same.to_vec();
    later[1] = ("moved", "n2");
    later.push(("newer", ""));
    let both = first.and(compare::compare(&listed(&["n1", "n2"], &later), &known));
    assert_eq!(
        both.named().map(ToString::to_string).collect::<Vec<_>>(),
        ["pod default/moved is on \"n2\", not on \"n1\""]
    );
}

fn name_of(name: &str) -> PodName {
    PodName { namespace: "default".to_owned(), name: name.to_owned(), uid: format!("uid-{name}") }
}

fn pod_json(name: &str) -> Value {
    serde_json::to_value(name_of(name)).unwrap()
}

#[test]
fn texts_are_cut_between_characters() {
    for (text, most, expect) in [("abc", 3, "abc"), ("abcd", 3, "abc..."), ("aä", 2, "a..."), ("", 0, "")] {
        assert_eq!(cut(text, most), expect);
    }
}
