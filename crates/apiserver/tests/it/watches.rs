//! Watches: where they start, what they tell, how they end.

use std::time::Duration;

use plimsoll_apiserver::Options;
use plimsoll_testkit::{node, pod};
use serde_json::json;

use crate::client::{bare, start, version};

#[tokio::test]
async fn a_watch_begins_with_the_list_or_after_a_version() {
    let (server, client) = bare().await;
    server.create(node("n1")).unwrap();
    let at = version(&client.get("/api/v1/nodes").await.body);
    let mut all = client.watch("/api/v1/nodes?watch=1").await;
    let mut later = client.watch(&format!("/api/v1/nodes?watch=true&resourceVersion={at}")).await;
    server.create(node("n2")).unwrap();
    server.edit("nodes", "", "n2", |n| n["spec"]["unschedulable"] = true.into()).unwrap();
    server.delete("nodes", "", "n1").unwrap();
    assert_eq!(all.names(4).await, ["ADDED n1", "ADDED n2", "MODIFIED n2", "DELETED n1"]);
    assert_eq!(later.names(2).await, ["ADDED n2", "MODIFIED n2"]);
    let deleted = later.next().await.unwrap();
    assert!(version(&deleted["object"]) > at, "a deletion has a version of its own");
}

#[tokio::test]
async fn the_type_stands_first_in_the_line() {
    let (server, client) = bare().await;
    server.create(node("n1")).unwrap();
    let line = client.watch("/api/v1/nodes?watch=1").await.line().await.unwrap();
    assert!(line.starts_with(r#"{"type":"ADDED","object":{"#), "{line}");
}

#[tokio::test]
async fn objects_enter_and_leave_a_selector() {
    let (server, client) = bare().await;
    server.create(pod("a")).unwrap();
    let mut waiting = client.watch("/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3D").await;
    let mut bound = client.watch("/api/v1/pods?watch=1&fieldSelector=spec.nodeName!%3D").await;
    assert_eq!(waiting.names(1).await, ["ADDED a"]);
    server.bind("default", "a", "n1").unwrap();
    let left = waiting.next().await.unwrap();
    let entered = bound.next().await.unwrap();
    assert_eq!((&left["type"], &entered["type"]), (&json!("DELETED"), &json!("ADDED")));
    assert_eq!(left["object"]["spec"].get("nodeName"), None, "as it was when it was last selected");
    assert_eq!(left["object"]["metadata"]["resourceVersion"], entered["object"]["metadata"]["resourceVersion"]);
    server.edit("pods", "default", "a", |pod| pod["status"]["phase"] = "Running".into()).unwrap();
    assert_eq!(bound.names(1).await, ["MODIFIED a"]);
    server.create(pod("b")).unwrap();
    assert_eq!(waiting.names(1).await, ["ADDED b"], "what happens to a bound pod is not told");
}

#[tokio::test]
async fn labels_and_namespaces_narrow_a_watch() {
    let (server, client) = bare().await;
    let mut watch = client.watch("/api/v1/namespaces/default/pods?watch=1&labelSelector=app%3Dweb").await;
    server.create(pod("x").namespace("kube-system").label("app", "web")).unwrap();
    server.create(pod("y").label("app", "db")).unwrap();
    server.create(pod("z").label("app", "web")).unwrap();
    assert_eq!(watch.names(1).await, ["ADDED z"]);
}

#[tokio::test]
async fn a_streamed_list_ends_with_a_bookmark() {
    let (server, client) = bare().await;
    server.load((0..3).map(|i| node(&format!("n{i}")).build()).collect());
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = client.watch(&format!("/api/v1/nodes?{query}&resourceVersion=0")).await;
    assert_eq!(watch.names(3).await, ["ADDED n0", "ADDED n1", "ADDED n2"]);
    let end = watch.next().await.unwrap();
    assert_eq!(end["type"], "BOOKMARK");
    assert_eq!(end["object"]["kind"], "Node");
    assert_eq!(end["object"]["metadata"]["annotations"], json!({"k8s.io/initial-events-end": "true"}));
    server.create(node("n9")).unwrap();
    assert_eq!(watch.names(1).await, ["ADDED n9"]);
    let answer = client.get("/api/v1/nodes?watch=1&sendInitialEvents=true").await;
    assert_eq!(answer.code, 422);
}

#[tokio::test]
async fn lists_are_streamed_by_the_minors_that_do() {
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    for (minor, streams) in [(31, false), (32, true), (33, false), (34, true), (37, true)] {
        let (_server, client) = start(Options { minor, controllers: false, ..Options::default() }).await;
        let path = format!("/api/v1/nodes?{query}&resourceVersion=0");
        if streams {
            let end = client.watch(&path).await.next().await.unwrap();
            assert_eq!(end["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true", "1.{minor}");
            continue;
        }
        let answer = client.get(&path).await;
        assert_eq!(answer.code, 422, "1.{minor}");
        let message = answer.body["message"].as_str().unwrap().to_owned();
        let expect = "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
        assert!(message.contains(expect), "{message}");
    }
}

#[tokio::test]
async fn a_long_streamed_list_comes_in_pieces_and_whole() {
    let (server, client) = bare().await;
    assert_eq!(server.load((0..2000).map(|i| node(&format!("n{i:04}")).build()).collect()), 2000);
    let mut watch = client.watch("/api/v1/nodes?watch=1").await;
    for i in 0..2000 {
        assert_eq!(watch.names(1).await, [format!("ADDED n{i:04}")]);
    }
}

#[tokio::test]
async fn bookmarks_carry_a_quiet_watch_over_a_compaction() {
    let options = Options { bookmark_interval: Duration::from_millis(5), controllers: false, ..Options::default() };
    let (server, client) = start(options).await;
    let mut watch = client.watch("/api/v1/nodes?watch=1&allowWatchBookmarks=true&resourceVersion=1").await;
    server.create(pod("a")).unwrap();
    let bookmark = watch.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    let seen = version(&bookmark["object"]);
    assert!(seen > 1);
    let at = version(&client.get("/api/v1/nodes").await.body);
    server.compact("nodes").unwrap();
    server.create(node("n1")).unwrap();
    let mut again = client.watch(&format!("/api/v1/nodes?watch=1&resourceVersion={at}")).await;
    assert_eq!(again.names(1).await, ["ADDED n1"]);
}

#[tokio::test]
async fn a_forgotten_version_is_told_by_an_error_event() {
    let (server, client) = bare().await;
    server.create(node("n1")).unwrap();
    server.compact("nodes").unwrap();
    let mut watch = client.watch("/api/v1/nodes?watch=1&resourceVersion=1").await;
    let event = watch.next().await.unwrap();
    assert_eq!(event["type"], "ERROR");
    assert_eq!((&event["object"]["code"], &event["object"]["reason"]), (&json!(410), &json!("Expired")));
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_watch_ends_at_its_timeout() {
    let (_server, client) = bare().await;
    let mut watch = client.watch("/api/v1/nodes?watch=1&timeoutSeconds=1&resourceVersion=1").await;
    assert!(watch.next().await.is_none());
    assert!(!watch.broken);
}

#[tokio::test]
async fn watches_are_cut_on_order() {
    let (server, client) = bare().await;
    let mut clean = client.watch("/api/v1/nodes?watch=1&resourceVersion=1").await;
    server.cut_watches("nodes", false).unwrap();
    assert!(clean.next().await.is_none());
    assert!(!clean.broken);
    let mut abrupt = client.watch("/api/v1/nodes?watch=1&resourceVersion=1").await;
    server.cut_watches("nodes", true).unwrap();
    assert!(abrupt.next().await.is_none());
    assert!(abrupt.broken);
}

#[tokio::test]
async fn a_watch_that_falls_behind_the_history_ends() {
    let (server, client) = start(Options { history_limit: 10, kubelets: false, ..Options::default() }).await;
    let mut watch = client.watch("/api/v1/nodes?watch=1&resourceVersion=1").await;
    // Far more than the sockets' buffers and the history hold, and nobody reads meanwhile.
    let big = "x".repeat(100_000);
    server.create(node("n1")).unwrap();
    for i in 0..500 {
        server.edit("nodes", "", "n1", |n| n["metadata"]["annotations"]["big"] = format!("{i}{big}").into()).unwrap();
        tokio::task::yield_now().await;
    }
    let mut events = 0;
    while watch.next().await.is_some() {
        events += 1;
    }
    assert!(events < 501, "the rest was never queued");
    assert!(!watch.broken);
}

#[tokio::test]
async fn news_can_be_held_back() {
    let (server, client) = bare().await;
    server.delay_watches("nodes", Duration::from_millis(20)).unwrap();
    let mut watch = client.watch("/api/v1/nodes?watch=1&resourceVersion=1").await;
    let before = tokio::time::Instant::now();
    server.create(node("n1")).unwrap();
    assert_eq!(watch.names(1).await, ["ADDED n1"]);
    assert!(before.elapsed() >= Duration::from_millis(20));
}

#[tokio::test]
async fn stopping_the_server_ends_its_watches() {
    let (server, client) = bare().await;
    let mut watch = client.watch("/api/v1/nodes?watch=1&resourceVersion=1").await;
    server.shutdown().await;
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_connection_needs_no_socket() {
    use http_body_util::{BodyExt, Empty};
    let (server, _client) = bare().await;
    let io = hyper_util::rt::TokioIo::new(server.connect().unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("/api/v1/nodes?watch=1").body(Empty::<bytes::Bytes>::new()).unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    server.create(node("n1")).unwrap();
    let line = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(line.starts_with(br#"{"type":"ADDED""#));
}
