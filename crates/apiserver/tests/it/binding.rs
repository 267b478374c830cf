//! Bindings and evictions.

use plimsoll_apiserver::Options;
use plimsoll_testkit::{node, pod};
use serde_json::{Value, json};

use crate::client::{bare, eventually, start};

const PODS: &str = "/api/v1/namespaces/default/pods";

fn binding(name: &str, node: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": {"kind": "Node", "name": node}})
}

#[tokio::test]
async fn a_binding_assigns_the_pod() {
    let (server, client) = bare().await;
    server.create(node("n1").zone("z1").label("topology.kubernetes.io/region", "r1")).unwrap();
    let made = server.create(pod("a")).unwrap();
    server.edit("pods", "default", "a", |pod| pod["status"]["nominatedNodeName"] = "n0".into()).unwrap();
    let mut body = binding("a", "n1");
    body["metadata"]["uid"] = made["metadata"]["uid"].clone();
    body["metadata"]["annotations"] = json!({"from": "binding"});
    let answer = client.post(&format!("{PODS}/a/binding"), body).await;
    assert_eq!(answer.code, 201);
    assert_eq!((&answer.body["kind"], &answer.body["status"]), (&json!("Status"), &json!("Success")));
    let bound = server.get("pods", "default", "a").unwrap();
    assert_eq!(bound["spec"]["nodeName"], "n1");
    assert_eq!(bound["status"].get("nominatedNodeName"), None);
    assert_eq!(bound["metadata"]["annotations"]["from"], "binding");
    assert_eq!(bound["metadata"]["labels"]["topology.kubernetes.io/zone"], "z1");
    let condition = &bound["status"]["conditions"][0];
    assert_eq!((&condition["type"], &condition["status"]), (&json!("PodScheduled"), &json!("True")));
}

#[tokio::test]
async fn refused_bindings_say_why_in_the_real_words() {
    let (server, client) = bare().await;
    for name in ["free", "bound", "gated", "going"] {
        server.create(pod(name)).unwrap();
    }
    server.bind("default", "bound", "n1").unwrap();
    server.edit("pods", "default", "gated", |pod| pod["spec"]["schedulingGates"] = json!([{"name": "x"}])).unwrap();
    let going = |pod: &mut Value| pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    server.edit("pods", "default", "going", going).unwrap();
    let with = |field: &str, value: &str| {
        let mut body = binding("free", "n1");
        body["metadata"][field] = value.into();
        body
    };
    for (name, body, code, message) in [
        (
            "bound",
            binding("bound", "n2"),
            409,
            r#"Operation cannot be fulfilled on pods/binding "bound": pod bound is already assigned to node "n1""#,
        ),
        (
            "gated",
            binding("gated", "n2"),
            409,
            r#"Operation cannot be fulfilled on pods/binding "gated": pod gated has non-empty .spec.schedulingGates"#,
        ),
        (
            "going",
            binding("going", "n2"),
            409,
            r#"Operation cannot be fulfilled on pods/binding "going": pod going is being deleted, cannot be assigned to a host"#,
        ),
        ("nope", binding("nope", "n2"), 404, r#"pods "nope" not found"#),
        ("free", binding("other", "n2"), 400, "name in URL does not match name in Binding object"),
        ("free", binding("free", ""), 422, r#"Pod "free" is invalid: target.name: Required value"#),
        ("free", with("uid", "other"), 409, "Precondition failed: UID in precondition: other"),
        ("free", with("resourceVersion", "1"), 409, "Precondition failed: ResourceVersion in precondition: 1"),
    ] {
        let answer = client.post(&format!("{PODS}/{name}/binding"), body).await;
        assert_eq!(answer.code, code, "{name}: {}", answer.body);
        let said = answer.body["message"].as_str().unwrap();
        assert!(said.contains(message), "{said}");
    }
    assert_eq!(server.get("pods", "default", "free").unwrap()["spec"].get("nodeName"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_bindings_of_one_pod_one_succeeds() {
    let (server, client) = bare().await;
    for round in 0..20 {
        let name = format!("p{round}");
        server.create(pod(&name)).unwrap();
        let paths = [format!("{PODS}/{name}/binding"), "/api/v1/namespaces/default/bindings".to_owned()];
        let tries = (0..8).map(|i| client.post(&paths[i % 2], binding(&name, &format!("n{i}"))));
        let answers = futures::future::join_all(tries).await;
        let mut codes: Vec<u16> = answers.iter().map(|answer| answer.code).collect();
        codes.sort_unstable();
        assert_eq!(codes, [201, 409, 409, 409, 409, 409, 409, 409]);
        let winner = answers.iter().position(|answer| answer.code == 201).unwrap();
        let bound = server.get("pods", "default", &name).unwrap();
        assert_eq!(bound["spec"]["nodeName"], format!("n{winner}"));
    }
}

#[tokio::test]
async fn an_older_minor_copies_no_topology_labels() {
    let (server, _client) = start(Options { minor: 33, kubelets: false, ..Options::default() }).await;
    server.create(node("n1").zone("z1")).unwrap();
    server.create(pod("a")).unwrap();
    server.bind("default", "a", "n1").unwrap();
    assert_eq!(server.get("pods", "default", "a").unwrap()["metadata"].get("labels"), None);
}

#[tokio::test]
async fn evictions_respect_budgets() {
    let (server, client) = start(Options::default()).await;
    server.create(node("n1")).unwrap();
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "pdb"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    });
    server.create(budget).unwrap();
    for name in ["a", "b"] {
        server.create(pod(name).label("app", "web")).unwrap();
        server.bind("default", name, "n1").unwrap();
    }
    let allowed =
        || server.get("poddisruptionbudgets", "default", "pdb").unwrap()["status"]["disruptionsAllowed"].clone();
    eventually("one may go", || allowed() == 1).await;
    let evict = |name: &str| json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
    assert_eq!(client.post(&format!("{PODS}/a/eviction"), evict("a")).await.code, 201);
    let refused = client.post(&format!("{PODS}/b/eviction"), evict("b")).await;
    assert_eq!((refused.code, &refused.body["reason"]), (429, &json!("TooManyRequests")));
    assert_eq!(refused.body["details"]["causes"][0]["reason"], "DisruptionBudget");
    eventually("the evicted pod goes", || server.get("pods", "default", "a").is_err()).await;
    assert!(server.get("pods", "default", "b").is_ok());
}
