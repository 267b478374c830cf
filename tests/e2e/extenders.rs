//! Extenders: what they are asked, what comes of their answers, and that nobody else waits for them.

mod own_process;

use std::io::{Read as _, Write as _};
use std::sync::{Arc, OnceLock};

use plimsoll_testkit::{node, pod, priority_class};
use serde_json::{Value, json};

use crate::rig::{Rig, single};
use crate::scripted::{Reply, Scripted, names, only};

const SOME: &[(&str, &str)] = &[("cpu", "100m"), ("memory", "1Mi")];
const ROOM: &[(&str, &str)] = &[("cpu", "4"), ("memory", "8Gi"), ("pods", "50")];

fn nodes(count: usize) -> Vec<Value> {
    (0..count).map(|i| node(&format!("n{i}")).capacity(ROOM).into()).collect()
}

/// A configuration of these extenders, each a YAML flow mapping.
fn extenders(list: &[String]) -> plimsoll::config::Config {
    single(&format!("extenders: [{}]\n", list.join(", ")))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extender_filters_and_scores() {
    let extender = Scripted::start(|path, body| match path {
        "/x/filter" => only(body, |name| name != "n0"),
        "/x/score" => Reply::Json(json!([{"host": "n2", "SCORE": 10}, {"Host": "n1", "Score": 0}])),
        _ => Reply::Code(404),
    })
    .await;
    let url = &extender.url;
    let config = extenders(&[format!(
        "{{urlPrefix: \"{url}/x/\", filterVerb: filter, prioritizeVerb: score, weight: 5, nodeCacheCapable: true}}"
    )]);
    let rig = Rig::start_with(nodes(3), config).await;
    rig.create(pod("p").requests(SOME));
    assert_eq!(rig.bound("p").await, "n2");
    let calls = extender.calls();
    let (path, body) = &calls[0];
    assert_eq!(path, "/x/filter");
    assert_eq!(body["Pod"]["metadata"]["uid"], rig.pod("p")["metadata"]["uid"]);
    assert_eq!(body["Pod"]["spec"]["containers"][0]["resources"]["requests"]["cpu"], "100m");
    assert_eq!(body["Pod"].get("apiVersion"), None);
    assert_eq!(body["Pod"]["metadata"].get("managedFields"), None);
    assert_eq!(body["Nodes"], Value::Null);
    assert_eq!(names(body).len(), 3);
    assert_eq!((calls[1].0.as_str(), names(&calls[1].1).len()), ("/x/score", 2), "only what is left");
    let ok = |verb| {
        rig.scheduler
            .metric(&format!("plimsoll_extender_requests_total{{extender=\"{url}/x\",result=\"ok\",verb=\"{verb}\"}}"))
    };
    assert_eq!((ok("filter"), ok("prioritize")), (1.0, 1.0));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extender_that_knows_no_nodes_is_sent_them() {
    let extender = Scripted::start(|_, body| {
        let items = body["Nodes"]["items"].as_array().unwrap().iter();
        let big = items.filter(|node| node["status"]["capacity"]["cpu"] == "8");
        Reply::Json(json!({"Nodes": {"items": big.collect::<Vec<_>>()}}))
    })
    .await;
    let config = extenders(&[format!("{{urlPrefix: \"{}\", filterVerb: filter}}", extender.url)]);
    let mut objects = nodes(2);
    objects.push(node("big").capacity(&[("cpu", "8"), ("memory", "8Gi"), ("pods", "50")]).into());
    let rig = Rig::start_with(objects, config).await;
    rig.create(pod("p").requests(SOME));
    assert_eq!(rig.bound("p").await, "big");
    assert_eq!(extender.calls()[0].1["NodeNames"], Value::Null);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_extenders_say_no_to_is_told_like_any_other_reason() {
    let extender = Scripted::start(|_, _| {
        Reply::Json(json!({
            "FailedNodes": {"n0": "no licence", "n1": "too old"},
            "FailedAndUnresolvableNodes": {"n1": "wrong model"},
        }))
    })
    .await;
    let config =
        extenders(&[format!("{{urlPrefix: \"{}\", filterVerb: filter, nodeCacheCapable: true}}", extender.url)]);
    let rig = Rig::start_with(nodes(3), config).await;
    rig.create(pod("p").requests(SOME));
    let said = rig.refused("p", "Unschedulable").await;
    assert!(said.starts_with("0/3 nodes are available: 1 no licence, 1 wrong model."), "{said}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_extenders_fail_with_is_told_and_tried_again() {
    type Failing = (&'static str, fn() -> Reply, &'static str);
    let fails: [Failing; 7] = [
        ("code", || Reply::Code(500), "failed filter with extender at URL $/filter, code 500"),
        ("error", || Reply::Json(json!({"Error": "out of order"})), "out of order"),
        (
            "stranger",
            || Reply::Json(json!({"NodeNames": ["n0", "elsewhere"]})),
            "extender \"$\" claims a filtered node \"elsewhere\" which is not found in the input node list",
        ),
        ("rubbish", || Reply::Text("ok"), "filter with extender at URL $/filter: reading the answer: expected value"),
        ("wrong", || Reply::Json(json!({"NodeNames": "n0"})), "reading the answer: invalid type: string \"n0\""),
        ("long", || Reply::Long(5 << 20), "Post \"$/filter\": the answer is longer than 419"),
        ("hangs", || Reply::Hang, "Post \"$/filter\": no answer within 100ms"),
    ];
    for (pod_name, reply, expect) in fails {
        let extender = Scripted::start(move |_, _| reply()).await;
        let url = &extender.url;
        let config = extenders(&[format!(
            "{{urlPrefix: \"{url}\", filterVerb: filter, nodeCacheCapable: true, httpTimeout: 100ms}}"
        )]);
        let rig = Rig::start_with(nodes(1), config).await;
        rig.create(pod(pod_name).requests(SOME));
        let said = rig.refused(pod_name, "SchedulerError").await;
        assert!(said.contains(&expect.replace('$', url)), "{said}\n{expect}");
        let again = || extender.asked("/filter", pod_name) > 1;
        rig.until("another attempt", again).await;
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_may_be_ignored_is_asked_last_and_skipped_when_it_fails() {
    let broken = Scripted::start(|_, _| Reply::Code(500)).await;
    let works = Scripted::start(|path, body| match path {
        "/filter" => only(body, |name| name == "n1"),
        _ => Reply::Text("no scores today"),
    })
    .await;
    let config = extenders(&[
        format!(
            "{{urlPrefix: \"{}\", filterVerb: filter, prioritizeVerb: score, weight: 1, nodeCacheCapable: true, ignorable: true}}",
            broken.url
        ),
        format!("{{urlPrefix: \"{}\", filterVerb: filter, nodeCacheCapable: true}}", works.url),
    ]);
    let rig = Rig::start_with(nodes(3), config).await;
    rig.create(pod("p").requests(SOME));
    assert_eq!(rig.bound("p").await, "n1");
    assert_eq!(names(&broken.calls()[0].1), ["n1"], "after the one that counts");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_seconds_of_hanging_delay_nobody_else() {
    let extender = Scripted::start(|_, _| Reply::Hang).await;
    let config = extenders(&[format!(
        "{{urlPrefix: \"{}\", filterVerb: filter, nodeCacheCapable: true, httpTimeout: 1h, \
         managedResources: [{{name: example.com/gpu, ignoredByScheduler: true}}]}}",
        extender.url
    )]);
    let rig = Rig::start_with(nodes(4), config).await;
    // More pods than there are places at the extender.
    for i in 0..3 {
        let mut wants: Value = pod(&format!("wants-{i}")).requests(SOME).into();
        wants["spec"]["priority"] = json!(1_000);
        wants["spec"]["containers"][0]["resources"]["limits"] = json!({"example.com/gpu": "1"});
        rig.create(wants);
    }
    rig.until("the extender to be asked", || !extender.calls().is_empty()).await;
    for i in 0..20 {
        rig.create(pod(&format!("plain-{i}")).requests(SOME));
    }
    for i in 0..20 {
        rig.bound(&format!("plain-{i}")).await;
    }
    // The question is still open, and nothing was said of any pod that waits.
    assert_eq!(extender.calls().len(), 1);
    for i in 0..3 {
        assert_eq!(crate::rig::text(&rig.pod(&format!("wants-{i}")), "/spec/nodeName"), "");
        assert!(crate::rig::condition(&rig.pod(&format!("wants-{i}"))).is_none());
    }
    // Nor does the end wait for it.
    rig.end().await;
}

/// Two nodes, full of one pod of low priority each, whose names are those of the nodes with `low-` before them.
async fn full(config: plimsoll::config::Config) -> Rig {
    let classes = [priority_class("high", 1_000).build(), priority_class("low", 1).build()];
    let rig = Rig::start_with([nodes(2), classes.into()].concat(), config).await;
    for name in ["n0", "n1"] {
        let mut low: Value = pod(&format!("low-{name}")).priority_class("low").requests(&[("cpu", "3")]).into();
        low["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": name});
        rig.create(low);
        rig.bound(&format!("low-{name}")).await;
    }
    rig
}

fn urgent() -> Value {
    pod("urgent").priority_class("high").requests(&[("cpu", "2")]).into()
}

fn left(nodes: &[(&str, &[&str])]) -> Reply {
    let victims = |uids: &&[&str]| json!({"pods": uids.iter().map(|uid| json!({"UID": uid})).collect::<Vec<_>>()});
    let nodes: serde_json::Map<String, Value> =
        nodes.iter().map(|(node, uids)| ((*node).to_owned(), victims(uids))).collect();
    Reply::Json(json!({"NodeNameToMetaVictims": nodes}))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extender_that_has_a_say_in_who_goes() {
    for knows_nodes in [true, false] {
        // Leaves of the nodes only the second.
        let extender = Scripted::start(|_, body| {
            let of = |node: &str| {
                let pod = &body["NodeNameToVictims"][node]["Pods"][0]["metadata"]["uid"];
                let meta = &body["NodeNameToMetaVictims"][node]["Pods"][0]["UID"];
                pod.as_str().or(meta.as_str()).unwrap().to_owned()
            };
            left(&[("n1", &[&of("n1")])])
        })
        .await;
        let url = &extender.url;
        let rig = full(extenders(&[format!(
            "{{urlPrefix: \"{url}\", preemptVerb: preempt, nodeCacheCapable: {knows_nodes}}}"
        )]))
        .await;
        let uid = |name: &str| rig.pod(name)["metadata"]["uid"].clone();
        let low = [uid("low-n0"), uid("low-n1")];
        rig.create(urgent());
        assert_eq!(rig.bound("urgent").await, "n1");
        assert!(
            rig.server.get("pods", "default", "low-n0").is_ok() && rig.server.get("pods", "default", "low-n1").is_err()
        );
        let (path, body) = extender.calls().remove(0);
        assert_eq!((&*path, &body["Pod"]["metadata"]["name"]), ("/preempt", &json!("urgent")));
        if knows_nodes {
            let victims = |uid: &Value| json!({"Pods": [{"UID": uid}], "NumPDBViolations": 0});
            assert_eq!(body["NodeNameToVictims"], Value::Null);
            assert_eq!(body["NodeNameToMetaVictims"], json!({"n0": victims(&low[0]), "n1": victims(&low[1])}));
        } else {
            assert_eq!(body["NodeNameToMetaVictims"], Value::Null);
            let victim = &body["NodeNameToVictims"]["n0"];
            assert_eq!((&victim["NumPDBViolations"], &victim["Pods"][0]["metadata"]["uid"]), (&json!(0), &low[0]));
            assert_eq!(victim["Pods"][0]["spec"]["nodeName"], "n0");
        }
        let series = format!("plimsoll_extender_requests_total{{extender=\"{url}\",result=\"ok\",verb=\"preempt\"}}");
        assert!(rig.scheduler.metric(&series) >= 1.0);
        assert!(rig.scheduler.metric("scheduler_preemption_attempts_total") >= 1.0);
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_extender_may_not_say_of_who_goes() {
    type Failing = (fn() -> Reply, &'static str);
    let fails: [Failing; 5] = [
        (|| Reply::Code(500), "failed preempt with extender at URL $/preempt, code 500"),
        (|| Reply::Text("ok"), "preempt with extender at URL $/preempt: reading the answer: expected value"),
        (
            || left(&[("n0", &["nobody"])]),
            "extender: $ claims to preempt pod (UID: nobody) on node: n0, but the pod is not found on that node",
        ),
        (|| left(&[("elsewhere", &["nobody"])]), "nodeinfo not found for node name \"elsewhere\""),
        (|| left(&[("n0", &[])]), "expected at least one victim pod on node \"n0\""),
    ];
    for (reply, expect) in fails {
        for ignorable in [false, true] {
            let extender = Scripted::start(move |_, _| reply()).await;
            let url = &extender.url;
            let rig = full(extenders(&[format!(
                "{{urlPrefix: \"{url}\", preemptVerb: preempt, nodeCacheCapable: true, ignorable: {ignorable}}}"
            )]))
            .await;
            rig.create(urgent());
            if !ignorable {
                let said = rig.refused("urgent", "Unschedulable").await;
                let text =
                    format!("0/2 nodes are available: 2 Insufficient cpu. preemption: {}", expect.replace('$', url));
                assert!(said.starts_with(&text), "{said}\n{text}");
                assert!(rig.server.calls().iter().all(|call| call.verb != "delete"));
            } else if expect.starts_with("expected") {
                // Only the node is left out, and no other was left.
                let said = rig.refused("urgent", "Unschedulable").await;
                assert!(said.ends_with("preemption: no candidate node for preemption"), "{said}");
            } else {
                rig.bound("urgent").await;
            }
            rig.end().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_asked_about_pod_by_pod_and_placed_as_a_whole() {
    let extender = Scripted::start(|_, body| {
        let wanted = if body["Pod"]["metadata"]["name"] == "g-0" { "n1" } else { "n2" };
        only(body, |name| name == wanted)
    })
    .await;
    let config =
        extenders(&[format!("{{urlPrefix: \"{}\", filterVerb: filter, nodeCacheCapable: true}}", extender.url)]);
    let rig = Rig::start_with(nodes(3), config).await;
    for name in ["g-0", "g-1"] {
        let member = pod(name).label("plimsoll/gang", "g").label("plimsoll/gang-size", "2");
        rig.create(member.requests(&[("cpu", "3")]));
    }
    assert_eq!((&*rig.bound("g-0").await, &*rig.bound("g-1").await), ("n1", "n2"));
    let scheduled = "scheduler_podgroup_schedule_attempts_total{profile=\"plimsoll\",result=\"scheduled\"}";
    rig.until("the attempt to be counted", || rig.scheduler.metric(scheduled) >= 1.0).await;
    assert!(extender.asked("/filter", "g-0") > 0 && extender.asked("/filter", "g-1") > 0);
    rig.check_books();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extender_that_cannot_bind() {
    for ignorable in [false, true] {
        let extender = Scripted::start(|_, _| Reply::Json(json!({"Error": "not today"}))).await;
        let url = &extender.url;
        let config = extenders(&[format!("{{urlPrefix: \"{url}\", bindVerb: bind, ignorable: {ignorable}}}")]);
        let rig = Rig::start_with(nodes(1), config).await;
        rig.create(pod("p").requests(SOME));
        if ignorable {
            assert_eq!(rig.bound("p").await, "n0", "bound by us");
        } else {
            assert_eq!(rig.refused("p", "SchedulerError").await, "binding default/p to n0: not today");
            assert!(rig.binding_calls().is_empty());
        }
        let uid = rig.pod("p")["metadata"]["uid"].clone();
        assert_eq!(
            extender.calls()[0],
            ("/bind".to_owned(), json!({"PodName": "p", "PodNamespace": "default", "PodUID": uid, "Node": "n0"}))
        );
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extender_that_binds() {
    let server = Arc::new(OnceLock::<String>::new());
    let address = Arc::clone(&server);
    let extender = Scripted::start(move |_, body| {
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": body["PodName"], "namespace": body["PodNamespace"], "uid": body["PodUID"]},
            "target": {"kind": "Node", "name": body["Node"]},
        });
        post(address.get().unwrap(), "/api/v1/namespaces/default/pods/p/binding", &binding);
        Reply::Json(json!({}))
    })
    .await;
    let config = extenders(&[format!("{{urlPrefix: \"{}\", bindVerb: bind}}", extender.url)]);
    let rig = Rig::start_with(nodes(1), config).await;
    server.set(rig.server.url()).unwrap();
    rig.create(pod("p").requests(SOME));
    assert_eq!(rig.bound("p").await, "n0");
    rig.until("the event", || !rig.events("p", "Scheduled").is_empty()).await;
    assert_eq!(rig.binding_calls()["p"], 1, "by the extender alone");
    rig.end().await;
}

/// One request, whose answer is waited for.
fn post(server: &str, path: &str, body: &Value) {
    let host = server.strip_prefix("http://").unwrap();
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}
