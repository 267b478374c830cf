//! Deletion: preconditions, grace, finalizers, dependents, namespaces.

use std::time::Duration;

use plimsoll_apiserver::Options;
use plimsoll_testkit::{namespace, node, pod};
use serde_json::{Value, json};

use crate::client::{bare, eventually, start};

const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::test]
async fn preconditions_protect_the_wrong_object() {
    let (server, client) = bare().await;
    let made = server.create(pod("a")).unwrap();
    let path = format!("{PODS}/a");
    let other = json!({"preconditions": {"uid": "other"}});
    assert_eq!(client.delete(&path, other).await.code, 409);
    let stale = json!({"preconditions": {"resourceVersion": "1"}});
    assert_eq!(client.delete(&path, stale).await.code, 409);
    let right = json!({"preconditions": {"uid": made["metadata"]["uid"]}});
    let gone = client.delete(&path, right).await;
    assert_eq!((gone.code, &gone.body["kind"]), (200, &json!("Pod")));
    assert_eq!(client.delete(&path, Value::Null).await.code, 404);
}

#[tokio::test]
async fn a_bound_pod_stays_for_its_kubelet() {
    let options = Options { pod_stop_delay: Duration::from_secs(3600), ..Options::default() };
    let (server, client) = start(options).await;
    server.create(node("n1")).unwrap();
    for name in ["free", "bound"] {
        server.create(pod(name)).unwrap();
    }
    server.bind("default", "bound", "n1").unwrap();
    client.delete(&format!("{PODS}/free"), Value::Null).await;
    assert!(server.get("pods", "default", "free").is_err(), "no kubelet runs it");
    let marked = client.delete(&format!("{PODS}/bound"), Value::Null).await.body;
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let again = client.delete(&format!("{PODS}/bound"), Value::Null).await.body;
    assert_eq!(again, marked);
    let now = client.send("DELETE", &format!("{PODS}/bound?gracePeriodSeconds=0"), "", "").await;
    assert_eq!(now.code, 200);
    assert!(server.get("pods", "default", "bound").is_err());
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let (server, client) = bare().await;
    server.create(pod("a").set("/metadata/finalizers", json!(["example.com/hold"]))).unwrap();
    let path = format!("{PODS}/a");
    assert_eq!(client.delete(&path, Value::Null).await.code, 200);
    assert!(server.get("pods", "default", "a").unwrap()["metadata"]["deletionTimestamp"].is_string());
    let mut watch = client.watch("/api/v1/pods?watch=1").await;
    assert_eq!(watch.names(1).await, ["ADDED a"]);
    client.patch("merge", &path, json!({"metadata": {"finalizers": null}})).await;
    assert_eq!(watch.names(1).await, ["DELETED a"]);
    assert!(server.get("pods", "default", "a").is_err());
}

fn config_map(name: &str, owner: Option<&Value>) -> Value {
    let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}});
    if let Some(owner) = owner {
        map["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        }]);
    }
    map
}

#[tokio::test]
async fn dependents_follow_their_owner_or_are_let_go() {
    let (server, client) = bare().await;
    let path = "/api/v1/namespaces/default/configmaps";
    let exists = |name: &str| server.get("configmaps", "default", name).is_ok();
    for (policy, survives) in [("Background", false), ("Foreground", false), ("Orphan", true)] {
        let owner = server.create(config_map("owner", None)).unwrap();
        let child = server.create(config_map("child", Some(&owner))).unwrap();
        server.create(config_map("grandchild", Some(&child))).unwrap();
        client.delete(&format!("{path}/owner"), json!({"propagationPolicy": policy})).await;
        eventually("the owner goes", || !exists("owner")).await;
        if survives {
            assert_eq!(server.get("configmaps", "default", "child").unwrap()["metadata"]["ownerReferences"], json!([]));
        } else {
            eventually("the dependents go", || !exists("child") && !exists("grandchild")).await;
        }
    }
}

#[tokio::test]
async fn a_namespace_takes_its_contents_with_it() {
    let (server, client) = bare().await;
    server.create(namespace("team")).unwrap();
    server.create(pod("a").namespace("team")).unwrap();
    server.create(pod("b").namespace("team").set("/metadata/finalizers", json!(["x"]))).unwrap();
    let marked = client.delete("/api/v1/namespaces/team", Value::Null).await.body;
    assert_eq!(marked["status"]["phase"], "Terminating");
    let late = client.post("/api/v1/namespaces/team/pods", pod("c").namespace("team")).await;
    assert_eq!(late.code, 403);
    eventually("the free pod goes", || server.get("pods", "team", "a").is_err()).await;
    assert!(server.get("namespaces", "", "team").is_ok(), "a finalizer holds it");
    client.patch("merge", "/api/v1/namespaces/team/pods/b", json!({"metadata": {"finalizers": null}})).await;
    eventually("the namespace goes", || server.get("namespaces", "", "team").is_err()).await;
}

#[tokio::test]
async fn collections_are_deleted_by_selector() {
    let (server, client) = bare().await;
    for (name, app) in [("a", "web"), ("b", "web"), ("c", "db")] {
        server.create(pod(name).label("app", app)).unwrap();
    }
    let answer = client.send("DELETE", &format!("{PODS}?labelSelector=app%3Dweb"), "", "").await;
    assert_eq!(answer.code, 200);
    assert_eq!(server.list("pods", None).unwrap().len(), 1);
}
