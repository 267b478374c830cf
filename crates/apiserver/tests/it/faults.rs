//! Misbehaviour on order, and the record of calls.

use std::time::Duration;

use plimsoll_apiserver::{Fault, Options, Rule};
use plimsoll_testkit::pod;
use serde_json::json;

use crate::client::{bare, start};

const PODS: &str = "/api/v1/namespaces/default/pods";

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
async fn requests_are_delayed() {
    let (server, client) = bare().await;
    server.faults().add(Rule::new(Fault::Delay(Duration::from_millis(30))).verb("list"));
    let before = tokio::time::Instant::now();
    assert_eq!(client.get("/api/v1/pods").await.code, 200);
    assert!(before.elapsed() >= Duration::from_millis(30));
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
