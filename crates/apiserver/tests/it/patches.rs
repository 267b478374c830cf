//! Patches and bodies in all their forms, and what is said of broken ones.

use plimsoll_testkit::{node, pod};
use serde_json::{Value, json};

use crate::client::{bare, start};

const PODS: &str = "/api/v1/namespaces/default/pods";
const APPLY: &str = "application/apply-patch+yaml";

#[tokio::test]
async fn bodies_may_be_yaml() {
    let (_server, client) = bare().await;
    let manifest =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {n: \"1\"}}\nspec:\n  containers:\n  - name: c\n";
    let made = client.send("POST", PODS, "application/yaml", manifest).await;
    assert_eq!((made.code, &made.body["metadata"]["labels"]["n"]), (201, &json!("1")), "{}", made.body);
    let maps = "/api/v1/namespaces/default/configmaps";
    let map = "metadata: {name: m}\ndata: {x: \"1\"}\n";
    assert_eq!(client.send("POST", maps, "application/yaml", map).await.code, 201);
    let replaced = map.replace('1', "2");
    let put = client.send("PUT", &format!("{maps}/m"), "application/yaml; charset=utf-8", replaced).await;
    assert_eq!((put.code, &put.body["data"]["x"]), (200, &json!("2")), "{}", put.body);
    let twice = client.send("POST", PODS, "application/yaml", "metadata: {name: b, name: c}").await;
    assert_eq!(twice.code, 400);
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
        + &(0..12)
            .map(|i| {
                format!(
                    "b{i}: &b{i} [*{0},*{0},*{0},*{0},*{0},*{0},*{0},*{0}]\n",
                    if i == 0 { "a".to_owned() } else { format!("b{}", i - 1) }
                )
            })
            .collect::<String>();
    assert_eq!(client.send("POST", PODS, "application/yaml", bomb).await.code, 400);
}

#[tokio::test]
async fn apply_follows_its_rules() {
    let (server, client) = bare().await;
    let path = format!("{PODS}/a");
    let pod = pod("a").label("x", "1").build().to_string();
    for (query, body, code, message) in [
        (
            "",
            pod.as_str(),
            422,
            r#"PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch"#,
        ),
        ("?fieldManager=me", "metadata: {name: a}", 400, "invalid object type: , Kind="),
        ("?fieldManager=me", "{", 400, "couldn't get version/kind; json parse error"),
        ("?fieldManager=me", "a: b: c", 400, "couldn't get version/kind; yaml error"),
        ("?fieldManager=me", "apiVersion: v1\nkind: Pod\nmetadata: {uid: x}", 409, "uid mismatch"),
        (
            "?fieldManager=me",
            "apiVersion: v1\nkind: Pod\nmetadata: {managedFields: [{}]}",
            400,
            "metadata.managedFields must be nil",
        ),
        ("?fieldManager=me", "apiVersion: v1\nkind: Node\nmetadata: {name: a}", 400, "Node is not a Pod"),
        (
            "?fieldManager=me&dryRun=Some",
            pod.as_str(),
            422,
            r#"dryRun: Unsupported value: "Some": supported values: "All""#,
        ),
    ] {
        let answer = client.send("PATCH", &format!("{path}{query}"), APPLY, body.to_owned()).await;
        let said = answer.body["message"].as_str().unwrap();
        assert!(answer.code == code && said.contains(message), "{query} {body}: {}", answer.body);
    }
    let made = client.send("PATCH", &format!("{path}?fieldManager=me"), APPLY, pod.clone()).await;
    assert_eq!(made.code, 201, "{}", made.body);
    let forced = client.patch("merge", &format!("{path}?force=true"), json!({})).await;
    assert_eq!(forced.code, 422, "only an apply can be forced");
    let again = client.send("PATCH", &format!("{path}?fieldManager=other&force=true"), APPLY, pod).await;
    assert_eq!((again.code, &again.body), (200, &made.body));
    assert_eq!(server.list("pods", None).unwrap().len(), 1);
}

#[tokio::test]
async fn broken_patches_are_refused_in_the_real_words() {
    let (server, client) = bare().await;
    server.create(pod("a").label("x", "1")).unwrap();
    let path = format!("{PODS}/a");
    let fault = "the server rejected our request due to an error in our request";
    for (sort, body, code, message) in [
        ("json", "{", 400, "error decoding patch: "),
        ("json", "{}", 400, "error decoding patch: "),
        ("merge", "[]", 400, "error decoding patch: "),
        ("strategic-merge", "7", 400, "error decoding patch: "),
        (
            "strategic-merge",
            r#"{"spec":{"containers":[{"image":"x"}]}}"#,
            400,
            "does not contain declared merge key: name",
        ),
        ("json", r#"[{"op":"test","path":"/metadata/name","value":"b"}]"#, 422, fault),
        ("json", r#"[{"op":"remove","path":"/metadata/nope"}]"#, 422, fault),
        ("json", r#"[{"op":"dance","path":"/metadata"}]"#, 422, fault),
        ("merge", r#"{"metadata":{"resourceVersion":"x"}}"#, 400, r#"Invalid value: "x""#),
        ("merge", r#"{"metadata":{"resourceVersion":"1"}}"#, 409, "the object has been modified"),
        ("merge", r#"{"metadata":{"uid":"x"}}"#, 409, "Precondition failed: UID in precondition: x"),
        ("merge", r#"{"metadata":{"name":"x"}}"#, 400, "does not match the name on the URL"),
        ("dance", "{}", 415, "accepted media types include: application/json-patch+json"),
    ] {
        let answer = client.send("PATCH", &path, &format!("application/{sort}-patch+json"), body).await;
        let said = answer.body["message"].as_str().unwrap();
        assert!(answer.code == code && said.contains(message), "{sort} {body}: {}", answer.body);
    }
    let many = Value::Array(vec![json!({"op": "test", "path": "/kind", "value": "Pod"}); 10_001]);
    assert_eq!(client.patch("json", &path, many).await.code, 413);
}

#[tokio::test]
async fn fields_given_twice_are_refused_on_order() {
    let (_server, client) = bare().await;
    let twice = r#"{"metadata":{"name":"a"},"spec":{"nodeName":"a","nodeName":"b"}}"#;
    let strict = client.send("POST", &format!("{PODS}?fieldValidation=Strict"), "application/json", twice).await;
    let message =
        r#"Pod in version "v1" cannot be handled as a Pod: strict decoding error: duplicate field "spec.nodeName""#;
    assert_eq!((strict.code, &strict.body["message"]), (400, &json!(message)));
    assert_eq!(client.send("POST", PODS, "application/json", twice).await.code, 201);
}

#[tokio::test]
async fn custom_resources_know_no_strategic_merge() {
    let queue = plimsoll_apiserver::Kind::new("example.com", "v1", "queues", "Queue", false);
    let (server, client) = start(plimsoll_apiserver::Options { extra_kinds: vec![queue], ..Default::default() }).await;
    server.create(json!({"apiVersion": "example.com/v1", "kind": "Queue", "metadata": {"name": "q"}})).unwrap();
    let path = "/apis/example.com/v1/queues/q";
    assert_eq!(client.patch("strategic-merge", path, json!({})).await.code, 415);
    assert_eq!(client.patch("merge", path, json!({"spec": {"a": 1}})).await.body["spec"]["a"], 1);
}

#[tokio::test]
async fn taints_are_replaced_and_addresses_merge() {
    let (server, client) = bare().await;
    server.create(node("n1").taint("a", "", "NoSchedule")).unwrap();
    let patch = json!({"spec": {"taints": [{"key": "b", "effect": "NoExecute"}]}});
    let patched = client.patch("strategic-merge", "/api/v1/nodes/n1", patch).await.body;
    assert_eq!(patched["spec"]["taints"], json!([{"key": "b", "effect": "NoExecute"}]));
}
