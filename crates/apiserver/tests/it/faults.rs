//! Misbehaviour on order, and the record of calls.

use std::time::Duration;

use plimsoll_apiserver::{Fault, Options, Rule, Server, WatchFault};
use plimsoll_testkit::pod;
use serde_json::{Value, json};

use crate::client::{Client, Watch, bare, start, version};

const PODS: &str = "/api/v1/namespaces/default/pods";
const WATCH: &str = "/api/v1/pods?watch=1";

/// What went wrong on order so far, without what never did.
fn injected(server: &Server) -> Vec<(&'static str, u64)> {
    server.faults().injected().into_iter().filter(|(_, count)| *count > 0).collect()
}

#[tokio::test]
async fn answers_are_replaced_so_many_times() {
    let (server, client) = bare().await;
    let busy = Fault::Status { code: 429, retry_after_seconds: Some(2) };
    let rule = server.faults().add(Rule::new(busy).verb("create").resource("pods").times(1));
    let answer = client.post(PODS, pod("a")).await;
    assert_eq!((answer.code, &answer.headers["retry-after"]), (429, &"2".parse().unwrap()));
    assert_eq!(answer.body["details"]["retryAfterSeconds"], 2);
    assert_eq!(client.post(PODS, pod("a")).await.code, 201);
    assert_eq!(server.faults().hits(rule), 1);
}

#[tokio::test]
async fn beyond_a_rate_the_answer_is_to_come_again() {
    let (server, client) = bare().await;
    server.faults().add("limit=1,verb=create,resource=pods".parse().unwrap());
    assert_eq!(client.post(PODS, pod("a")).await.code, 201);
    let answers = [client.post(PODS, pod("b")).await, client.post(PODS, pod("c")).await];
    // However long that took: a bucket of one a second does not hand out three tokens at once.
    let refused = answers.iter().filter(|answer| answer.code == 429);
    assert!(refused.clone().all(|answer| answer.headers["retry-after"] == "1"));
    assert_eq!(injected(&server).first().map_or(0, |(_, count)| *count), u64::try_from(refused.count()).unwrap());
    assert_eq!(client.get("/api/v1/pods").await.code, 200);
}

#[tokio::test]
async fn an_answer_is_lost_before_or_after_the_deed() {
    let (server, client) = bare().await;
    for (fault, done) in [(Fault::DropBefore, false), (Fault::DropAfter, true)] {
        server.faults().add(Rule::new(fault).verb("create").resource("pods").name_prefix("").times(1));
        let body = pod("a").build().to_string();
        assert!(client.try_send("POST", PODS, "application/json", body).await.is_none());
        assert_eq!(server.get("pods", "default", "a").is_ok(), done);
        server.faults().clear();
    }
}

#[tokio::test]
async fn a_status_comes_after_the_deed() {
    let (server, client) = bare().await;
    server.faults().add("after=504,verb=create,times=1".parse().unwrap());
    let answer = client.post(PODS, pod("a")).await;
    assert_eq!((answer.code, &answer.body["reason"]), (504, &json!("Timeout")));
    assert!(server.get("pods", "default", "a").is_ok());
    assert_eq!(client.post(PODS, pod("a")).await.body["reason"], "AlreadyExists");
    server.faults().add("after=500,resource=pods/binding,times=1".parse().unwrap());
    let target = json!({"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}});
    let bound = client.post(&format!("{PODS}/a/binding"), target).await;
    assert_eq!((bound.code, &server.get("pods", "default", "a").unwrap()["spec"]["nodeName"]), (500, &json!("n1")));
    assert_eq!(injected(&server), [("statuses after the work was done", 2)]);
}

#[tokio::test]
async fn an_answer_breaks_off_in_the_middle() {
    let (server, client) = bare().await;
    server.create(pod("a")).unwrap();
    let rows = [
        ("GET", format!("{PODS}/a"), String::new(), 200),
        ("GET", PODS.to_owned(), String::new(), 200),
        ("POST", PODS.to_owned(), pod("b").build().to_string(), 201),
        ("DELETE", format!("{PODS}/a"), String::new(), 200),
    ];
    server.faults().add(Rule::new(Fault::DropWithin).resource("pods"));
    for (method, path, body, want) in rows {
        let (code, read, whole) = client.read_as_far(method, &path, body).await;
        assert_eq!((code, whole), (want, false), "{method} {path}");
        assert!(read.starts_with(b"{") && serde_json::from_slice::<Value>(&read).is_err(), "{method} {path}: {read:?}");
    }
    assert!(server.get("pods", "default", "b").is_ok(), "what was to be done is done");
    assert!(server.get("pods", "default", "a").is_err(), "what was to be done is done");
    let mut watch = client.watch(WATCH).await;
    assert_eq!((watch.names(1).await, watch.next().await, watch.broken), (vec!["ADDED b".to_owned()], None, true));
    assert_eq!(injected(&server), [("connections closed within an answer", 5)]);
}

#[tokio::test]
async fn requests_are_delayed() {
    let (server, client) = bare().await;
    let delay = Duration::from_millis(30);
    server.faults().add(Rule::new(Fault::Delay(delay)).verb("list"));
    server.faults().add(Rule::new(Fault::DelayBetween(delay, 2 * delay)).verb("list").resource("pods"));
    for (path, least) in [("/api/v1/nodes", delay), ("/api/v1/pods", 2 * delay)] {
        let before = tokio::time::Instant::now();
        assert_eq!(client.get(path).await.code, 200);
        assert!(before.elapsed() >= least, "{path}");
    }
    assert_eq!(injected(&server), [("delays", 3)]);
}

#[tokio::test]
async fn a_watch_lags() {
    let (server, client) = bare().await;
    let lag = Duration::from_millis(40);
    server.faults().add(Rule::new(Fault::Watch(WatchFault::Lag(lag))).resource("pods"));
    let mut watch = client.watch(WATCH).await;
    let before = tokio::time::Instant::now();
    server.create(pod("a")).unwrap();
    server.create(pod("b")).unwrap();
    assert_eq!(watch.names(2).await, ["ADDED a", "ADDED b"]);
    assert!(before.elapsed() >= lag);
    assert_eq!(injected(&server), [("watches that lag", 1)]);
}

/// What a watch says after the objects that it begins with, and whether it breaks.
async fn rest(mut watch: Watch) -> (Vec<Value>, bool) {
    let mut events = Vec::new();
    while let Some(event) = watch.next().await {
        if event["type"] != "ADDED" {
            events.push(event);
        }
    }
    (events, watch.broken)
}

#[tokio::test]
async fn a_watch_ends_as_ordered() {
    let (server, client) = bare().await;
    server.create(pod("a")).unwrap();
    for (fault, expires, breaks) in [("end", false, false), ("cut", false, true), ("expire", true, false)] {
        server.faults().add(format!("watch={fault}:40ms,resource=pods,times=2").parse().unwrap());
        for _ in 0..2 {
            let (events, broken) = rest(client.watch(WATCH).await).await;
            let codes: Vec<_> = events.iter().map(|event| (&event["type"], &event["object"]["code"])).collect();
            let expired = (&json!("ERROR"), &json!(410));
            assert_eq!((codes, broken), (if expires { vec![expired] } else { Vec::new() }, breaks), "{fault}");
        }
        // Other watches and requests go on.
        assert_eq!(client.watch("/api/v1/namespaces?watch=1").await.next().await.unwrap()["type"], "ADDED");
        assert_eq!(client.get("/api/v1/pods").await.code, 200);
    }
    assert_eq!(injected(&server), [("watches ended early", 2), ("watches cut off", 2), ("watches expired", 2)]);
}

#[tokio::test]
async fn a_stalled_watch_says_nothing_not_even_that_it_has_ended() {
    let (server, client) = bare().await;
    server.faults().add("watch=stall:0s,times=1".parse().unwrap());
    let brief = format!("{WATCH}&timeoutSeconds=1");
    let (mut stalled, mut sound) = (client.watch(&brief).await, client.watch(&brief).await);
    // Timers have a resolution: one that is ordered later fires later.
    tokio::time::sleep(Duration::from_millis(10)).await;
    server.create(pod("a")).unwrap();
    assert_eq!((sound.names(1).await, sound.next().await, sound.broken), (vec!["ADDED a".to_owned()], None, false));
    // By now it would have ended, too, having told the same; so all that there is comes with its connection's end.
    server.restart(Duration::ZERO);
    assert_eq!((stalled.next().await, stalled.broken), (None, true));
    assert_eq!(injected(&server), [("watches stalled", 1), ("restarts", 1)]);
}

/// Whether the server answers at all.
async fn serves(client: &Client) -> bool {
    client.try_send("GET", "/api/v1/pods", "", "").await.is_some()
}

#[tokio::test]
async fn a_restart_drops_connections_and_forgets_history_but_no_object() {
    let (server, client) = bare().await;
    let address = server.address();
    server.create(pod("a")).unwrap();
    let old = version(&client.get("/api/v1/pods").await.body);
    server.create(pod("b")).unwrap();
    let before = client.get("/api/v1/pods").await.body;
    let mut watch = client.watch(&format!("{WATCH}&resourceVersion={old}")).await;
    assert_eq!(watch.names(1).await, ["ADDED b"]);

    server.restart(Duration::from_secs(3600));
    assert_eq!((watch.next().await, watch.broken), (None, true));
    assert!(!serves(&client).await);
    // Controllers, kubelets and tests go on.
    server.edit("pods", "default", "b", |pod| pod["metadata"]["labels"]["app"] = "web".into()).unwrap();
    server.restart(Duration::ZERO);
    assert!(serves(&client).await);
    assert_eq!(server.address(), address);

    let after = client.get("/api/v1/pods").await.body;
    assert_eq!(
        (&after["items"][0], &after["items"][1]["metadata"]["labels"]),
        (&before["items"][0], &json!({"app": "web"}))
    );
    for version in [old, version(&before)] {
        let mut expired = client.watch(&format!("{WATCH}&resourceVersion={version}")).await;
        let told = expired.next().await.unwrap();
        assert_eq!((&told["type"], &told["object"]["code"]), (&json!("ERROR"), &json!(410)), "{version}");
        assert_eq!((expired.next().await, expired.broken), (None, false));
    }
    let mut watch = client.watch(&format!("{WATCH}&resourceVersion={}", version(&after))).await;
    server.delete("pods", "default", "a").unwrap();
    assert_eq!(watch.names(1).await, ["DELETED a"]);
    assert_eq!(injected(&server), [("restarts", 2)]);
}

#[tokio::test]
async fn everything_that_went_wrong_is_counted() {
    let (server, client) = bare().await;
    let counts = server.faults().injected();
    assert!(counts.len() == 14 && counts.iter().all(|(_, count)| *count == 0), "{counts:?}");
    server.faults().add("status=500,times=2".parse().unwrap());
    for code in [500, 500, 200] {
        assert_eq!(client.get("/api/v1/pods").await.code, code);
    }
    server.faults().clear();
    for fault in [Fault::DropBefore, Fault::DropAfter] {
        server.faults().add(Rule::new(fault).times(1));
        assert!(!serves(&client).await);
    }
    server.cut_watches("pods", true).unwrap();
    server.compact("pods").unwrap();
    let want = [
        ("statuses instead of an answer", 2),
        ("connections closed before the work was done", 1),
        ("connections closed after the work was done", 1),
        ("cuts of all watches of a kind", 1),
        ("compactions", 1),
    ];
    assert_eq!(injected(&server), want, "ended rules stay counted");
}

#[tokio::test]
async fn calls_are_counted_and_remembered() {
    let (server, client) = start(Options { recorded_calls: 2, ..Options::default() }).await;
    client.post(PODS, pod("a")).await;
    client.get("/api/v1/pods").await;
    client.get("/api/v1/pods").await;
    client.get(&format!("{PODS}/nope")).await;
    let calls = server.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!((calls[1].verb, calls[1].name.as_str(), calls[1].code), ("get", "nope", 404));
    let counts = server.call_counts();
    let lists = counts.iter().find(|count| count.verb == "list").unwrap();
    assert_eq!((lists.resource.as_str(), lists.code, lists.count), ("pods", 200, 2));
    let stats = client.get("/debug/plimsoll/stats").await.body;
    assert_eq!(stats["objects"]["pods"], 1);
    assert!(stats["calls"].as_array().unwrap().contains(&json!({
        "verb": "list", "group": "", "resource": "pods", "subresource": "", "code": 200, "count": 2,
    })));
    server.clear_calls();
    assert!(server.calls().is_empty() && server.call_counts().is_empty());
}
