//! Discovery, single objects, lists and their pages, selectors, forms.

use plimsoll_testkit::{node, pod};
use serde_json::{Value, json};

use crate::client::{bare, version};

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn discovery_names_what_is_served() {
    let (_server, client) = bare().await;
    let version = client.get("/version").await.body;
    assert_eq!(version["gitVersion"], "v1.36.0");
    assert_eq!(client.get("/api").await.body["versions"], json!(["v1"]));
    let apps = client.get("/apis/apps/v1").await.body;
    let deployment = apps["resources"].as_array().unwrap().iter().find(|r| r["name"] == "deployments").unwrap();
    assert_eq!(deployment["shortNames"], json!(["deploy"]));
    assert!(apps["resources"].as_array().unwrap().iter().any(|r| r["name"] == "deployments/scale"));
    let groups = client.get("/apis").await.body;
    assert!(groups["groups"].as_array().unwrap().iter().any(|g| g["name"] == "events.k8s.io"));
    let openapi = client.get("/openapi/v3/api/v1").await.body;
    let patch = &openapi["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
    assert!(patch["parameters"].as_array().unwrap().iter().any(|p| p["name"] == "fieldValidation"));
    assert_eq!(client.get("/openapi/v2").await.body["swagger"], "2.0");
    assert_eq!(client.get("/readyz").await.body, "ok");
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    let (_server, client) = bare().await;
    for (path, code) in [
        ("/nope", 404),
        ("/api/v1/nope", 404),
        ("/apis/nope/v1/pods", 404),
        ("/api/v1/namespaces/default/pods/nope", 404),
        ("/api/v1/namespaces/default/nodes", 404),
        ("/api/v1/namespaces/default/pods/a/b/c", 404),
        ("/api/v1/namespaces/default/pods/a/nope", 404),
        ("/api/v1/pods?labelSelector=a%20b", 400),
        ("/api/v1/pods?fieldSelector=spec.color%3Dred", 400),
        ("/api/v1/pods?limit=x", 400),
        ("/api/v1/pods?continue=x", 400),
        ("/api/v1/pods?resourceVersionMatch=Exact", 422),
        ("/api/v1/pods?resourceVersion=99999999", 504),
        ("/api/v1/pods?resourceVersion=1&resourceVersionMatch=Exact", 410),
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.code, code, "{path}: {}", answer.body);
        assert_eq!(answer.body["kind"], "Status", "{path}");
        assert_eq!(answer.body["code"], code, "{path}");
    }
    let missing = client.get("/apis/apps/v1/namespaces/default/deployments/web").await.body;
    assert_eq!(missing["message"], r#"deployments.apps "web" not found"#);
    assert_eq!(missing["details"], json!({"name": "web", "group": "apps", "kind": "deployments"}));
    assert_eq!(client.send("DELETE", "/version", "", "").await.code, 405);
    assert_eq!(client.send("PUT", "/api/v1/pods", "", "").await.code, 405);
}

#[tokio::test]
async fn parameters_that_do_not_go_together_are_refused() {
    let (_server, client) = bare().await;
    for (query, field, reason, why) in [
        ("resourceVersionMatch=Exact", "resourceVersionMatch", "Forbidden", "unless resourceVersion is provided"),
        ("resourceVersionMatch=Exact&resourceVersion=0", "resourceVersionMatch", "Forbidden", r#"resourceVersion "0""#),
        ("resourceVersionMatch=Newest&resourceVersion=1", "resourceVersionMatch", "NotSupported", r#""Newest""#),
        (
            "resourceVersionMatch=NotOlderThan&resourceVersion=1&continue=1.1",
            "resourceVersionMatch",
            "Forbidden",
            "when continue is provided",
        ),
        ("sendInitialEvents=true", "sendInitialEvents", "Forbidden", "for list"),
        ("watch=1&sendInitialEvents=true", "resourceVersionMatch", "Forbidden", "to NotOlderThan"),
        ("watch=1&resourceVersionMatch=NotOlderThan", "resourceVersionMatch", "Forbidden", "for watch unless"),
    ] {
        let answer = client.get(&format!("/api/v1/pods?{query}")).await;
        assert_eq!((answer.code, &answer.body["reason"]), (422, &json!("Invalid")), "{query}: {}", answer.body);
        let cause = &answer.body["details"]["causes"][0];
        assert_eq!(cause["field"], field, "{query}");
        assert_eq!(cause["reason"], format!("FieldValue{reason}"), "{query}");
        assert!(answer.body["message"].as_str().unwrap().contains(why), "{query}: {}", answer.body);
    }
    for query in ["resourceVersion=0", "resourceVersion=0&resourceVersionMatch=NotOlderThan", "resourceVersion="] {
        assert_eq!(client.get(&format!("/api/v1/pods?{query}")).await.code, 200, "{query}");
    }
}

#[tokio::test]
async fn lists_select_by_namespace_labels_and_fields() {
    let (server, client) = bare().await;
    server.load(vec![
        pod("a").label("app", "web").node_name("n1").build(),
        pod("b").label("app", "db").scheduler_name("other").build(),
        pod("c").namespace("kube-system").label("app", "web").phase("Succeeded").build(),
    ]);
    for (query, want) in [
        ("/api/v1/pods", vec!["a", "b", "c"]),
        ("/api/v1/namespaces/default/pods", vec!["a", "b"]),
        ("/api/v1/pods?labelSelector=app%3Dweb", vec!["a", "c"]),
        ("/api/v1/pods?labelSelector=app+in+(web,db)&fieldSelector=spec.nodeName%3D", vec!["b", "c"]),
        ("/api/v1/pods?fieldSelector=status.phase!%3DSucceeded,spec.schedulerName%3D%3Dplimsoll", vec!["a"]),
        ("/api/v1/pods?fieldSelector=metadata.namespace%3Dkube-system", vec!["c"]),
        ("/api/v1/pods?fieldSelector=metadata.name%3Db", vec!["b"]),
    ] {
        let list = client.get(query).await.body;
        assert_eq!(names(&list), want, "{query}");
        assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("PodList"), &json!("v1")));
    }
}

#[tokio::test]
async fn pages_show_one_moment() {
    let (server, client) = bare().await;
    server.load((0..5).map(|i| node(&format!("n{i}")).build()).collect());
    let first = client.get("/api/v1/nodes?limit=2").await.body;
    assert_eq!(names(&first), ["n0", "n1"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    server.delete("nodes", "", "n2").unwrap();
    server.load(vec![node("n9").build()]);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = client.get(&format!("/api/v1/nodes?limit=2&continue={token}")).await.body;
    assert_eq!(names(&second), ["n2", "n3"]);
    assert_eq!(version(&second), version(&first));
    let token = second["metadata"]["continue"].as_str().unwrap();
    let third = client.get(&format!("/api/v1/nodes?limit=2&continue={token}")).await.body;
    assert_eq!(names(&third), ["n4"]);
    assert_eq!(third["metadata"].get("continue"), None);
    server.compact("nodes").unwrap();
    let gone = client.get(&format!("/api/v1/nodes?limit=2&continue={token}")).await;
    assert_eq!((gone.code, &gone.body["reason"]), (410, &json!("Expired")));
}

#[tokio::test]
async fn objects_are_shown_as_tables_and_as_metadata() {
    let (server, client) = bare().await;
    server.load(vec![pod("a").node_name("n1").phase("Running").build()]);
    let table = accepting(&client, "/api/v1/pods", "application/json;as=Table;v=v1;g=meta.k8s.io").await;
    let columns: Vec<_> = table["columnDefinitions"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(columns[..3], ["Name", "Ready", "Status"]);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(
        (&cells[0], &cells[1], &cells[2], &cells[6]),
        (&json!("a"), &json!("0/1"), &json!("Running"), &json!("n1"))
    );
    assert_eq!(table["rows"][0]["object"]["metadata"]["name"], "a");
    let form = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let list = accepting(&client, "/api/v1/pods", form).await;
    assert_eq!(list["items"][0].get("spec"), None);
    assert_eq!(list["items"][0]["kind"], "PartialObjectMetadata");
}

async fn accepting(client: &crate::client::Client, path: &str, accept: &str) -> Value {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(client.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn events_are_one_store_seen_through_two_groups() {
    let (_server, client) = bare().await;
    let event = json!({
        "metadata": {"name": "e1"}, "eventTime": "2026-01-01T00:00:00.000000Z", "reason": "Scheduled",
        "regarding": {"kind": "Pod", "name": "web-1", "namespace": "default"}, "note": "assigned", "type": "Normal",
    });
    let path = "/apis/events.k8s.io/v1/namespaces/default/events";
    assert_eq!(client.post(path, event).await.code, 201);
    let core = client.get("/api/v1/events?fieldSelector=involvedObject.name%3Dweb-1").await.body;
    assert_eq!(core["items"][0]["message"], "assigned");
    assert_eq!(core["items"][0]["apiVersion"], "v1");
    let old = json!({"metadata": {"name": "e2"}, "involvedObject": {"name": "x"}, "message": "old", "count": 3});
    assert_eq!(client.post("/api/v1/namespaces/default/events", old).await.body["message"], "old");
    assert_eq!(client.get(&format!("{path}/e2")).await.body["deprecatedCount"], 3);
    let patch = json!({"count": 4});
    let patched = client.patch("merge", "/api/v1/namespaces/default/events/e2", patch).await.body;
    assert_eq!(patched["count"], 4);
}

#[tokio::test]
async fn events_beyond_the_limit_make_the_oldest_go() {
    let options = plimsoll_apiserver::Options { event_limit: 3, ..plimsoll_apiserver::Options::default() };
    let (server, client) = crate::client::start(options).await;
    for i in 0..5 {
        let event = json!({"metadata": {"name": format!("e{i}")}, "regarding": {}});
        client.post("/apis/events.k8s.io/v1/namespaces/default/events", event).await;
    }
    let events = server.list("events.events.k8s.io", None).unwrap();
    let left: Vec<_> = events.iter().map(|e| e["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(left, ["e2", "e3", "e4"]);
}

#[tokio::test]
async fn the_minor_decides_what_is_served() {
    let options = plimsoll_apiserver::Options { minor: 31, ..plimsoll_apiserver::Options::default() };
    let (_server, client) = crate::client::start(options).await;
    assert_eq!(client.get("/version").await.body["minor"], "31");
    assert_eq!(client.get("/apis/resource.k8s.io/v1/resourceclaims").await.code, 404);
}
