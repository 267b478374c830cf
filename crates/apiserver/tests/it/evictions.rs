//! Evictions and the budgets that allow them.

use plimsoll_apiserver::{Options, Server};
use plimsoll_testkit::{deployment, node, pod};
use serde_json::{Value, json};

use crate::client::{Answer, Client, eventually, start};

fn budget(name: &str, spec: Value) -> Value {
    let mut budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec,
    });
    budget["spec"]["selector"] = json!({"matchLabels": {"app": "web"}});
    budget
}

fn status(server: &Server, field: &str) -> Value {
    server.get("poddisruptionbudgets", "default", "pdb").unwrap()["status"][field].clone()
}

async fn evict(client: &Client, name: &str, extra: Value) -> Answer {
    let mut body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    client.post(&format!("/api/v1/namespaces/default/pods/{name}/eviction"), body).await
}

/// Pods that run on a node, and a budget over them.
async fn cluster(names: &[&str], spec: Value) -> (Server, Client) {
    let options = Options { pod_stop_delay: std::time::Duration::from_secs(3600), ..Options::default() };
    let (server, client) = start(options).await;
    server.create(node("n1")).unwrap();
    for name in names {
        server.create(pod(name).label("app", "web")).unwrap();
        server.bind("default", name, "n1").unwrap();
    }
    server.create(budget("pdb", spec)).unwrap();
    let all = names.len();
    eventually("all are healthy", || status(&server, "currentHealthy") == all).await;
    (server, client)
}

#[tokio::test]
async fn an_eviction_is_paid_for_at_once_and_confirmed_later() {
    let (server, client) = cluster(&["a", "b", "c"], json!({"minAvailable": 1})).await;
    assert_eq!(status(&server, "disruptionsAllowed"), 2);
    let conditions = status(&server, "conditions");
    assert_eq!((&conditions[0]["type"], &conditions[0]["status"]), (&json!("DisruptionAllowed"), &json!("True")));
    let tried = evict(&client, "a", json!({"deleteOptions": {"dryRun": ["All"]}})).await;
    assert_eq!(tried.code, 201);
    let other = evict(&client, "a", json!({"deleteOptions": {"preconditions": {"uid": "x"}}})).await;
    assert_eq!(other.code, 409);
    assert_eq!(status(&server, "disruptionsAllowed"), 2, "neither has cost anything");
    let graceful = json!({"apiVersion": "policy/v1beta1", "deleteOptions": {"gracePeriodSeconds": 7}});
    assert_eq!(evict(&client, "a", graceful).await.code, 201);
    assert_eq!(server.get("pods", "default", "a").unwrap()["metadata"]["deletionGracePeriodSeconds"], 7);
    eventually("the eviction is confirmed", || {
        status(&server, "currentHealthy") == 2 && status(&server, "disruptedPods") == Value::Null
    })
    .await;
    assert_eq!(evict(&client, "a", json!({})).await.code, 201, "one that goes already costs nothing");
    assert_eq!(evict(&client, "b", json!({})).await.code, 201);
    let refused = evict(&client, "c", json!({})).await;
    assert_eq!((refused.code, &refused.body["details"]["causes"][0]["reason"]), (429, &json!("DisruptionBudget")));
    server.edit("pods", "default", "c", |pod| pod["status"]["phase"] = "Succeeded".into()).unwrap();
    assert_eq!(evict(&client, "c", json!({})).await.code, 201, "what has ended disrupts nobody");
}

#[tokio::test]
async fn a_budget_that_has_not_been_looked_at_is_asked_again_later() {
    let (server, client) = start(Options { controllers: false, kubelets: false, ..Options::default() }).await;
    server.create(pod("a").label("app", "web")).unwrap();
    server.edit("pods", "default", "a", |pod| pod["status"]["phase"] = "Running".into()).unwrap();
    server.create(budget("pdb", json!({"minAvailable": 1}))).unwrap();
    let refused = evict(&client, "a", json!({})).await;
    assert_eq!((refused.code, refused.headers["retry-after"].to_str().unwrap()), (429, "10"));
    server.create(budget("other", json!({"minAvailable": 1}))).unwrap();
    assert_eq!(evict(&client, "a", json!({})).await.code, 500, "two budgets are one too many");
    let misnamed = json!({"metadata": {"name": "b"}});
    assert_eq!(evict(&client, "a", misnamed).await.code, 400);
}

#[tokio::test]
async fn unhealthy_pods_may_go_by_their_budgets_policy() {
    for (policy, codes) in [("IfHealthyBudget", [429, 201]), ("AlwaysAllow", [201, 201])] {
        let (server, client) =
            cluster(&["a", "b"], json!({"minAvailable": 2, "unhealthyPodEvictionPolicy": policy})).await;
        let unready = |name: &str| {
            let change = |pod: &mut Value| {
                for condition in pod["status"]["conditions"].as_array_mut().unwrap() {
                    condition["status"] = "False".into();
                }
            };
            server.edit("pods", "default", name, change).unwrap();
        };
        unready("a");
        eventually("one is healthy", || status(&server, "currentHealthy") == 1).await;
        assert_eq!(evict(&client, "a", json!({})).await.code, codes[0], "{policy}");
        let lower = json!({"spec": {"minAvailable": 1}});
        let path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets/pdb";
        assert_eq!(client.patch("merge", path, lower).await.code, 200);
        eventually("one is enough", || status(&server, "desiredHealthy") == 1).await;
        assert_eq!(evict(&client, "a", json!({})).await.code, codes[1], "{policy}");
    }
}

#[tokio::test]
async fn a_percentage_is_of_what_the_controllers_want() {
    let (server, _client) = start(Options::default()).await;
    server.create(deployment("web", 4, pod("x").label("app", "web"))).unwrap();
    server.create(budget("pdb", json!({"maxUnavailable": "25%"}))).unwrap();
    eventually("three must be healthy", || {
        status(&server, "expectedPods") == 4 && status(&server, "desiredHealthy") == 3
    })
    .await;
    assert_eq!(status(&server, "disruptionsAllowed"), 0, "none runs");
}
