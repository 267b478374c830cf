//! Who may do what: tokens, RBAC, and the reviews that answer questions about both.

use std::collections::BTreeMap;

use plimsoll_apiserver::{Options, Server, User};
use plimsoll_testkit::{node, pod};
use serde_json::{Value, json};

use crate::client::{Answer, Client, start};

const PODS: &str = "/api/v1/namespaces/default/pods";
const RBAC: &str = "rbac.authorization.k8s.io";

async fn guarded() -> (Server, Client) {
    let users = [
        ("root", User::administrator("root")),
        ("bot", User::service_account("team", "bot")),
        ("alice", User { name: "alice".to_owned(), groups: vec!["dev".to_owned()] }),
    ];
    let tokens: BTreeMap<String, User> = users.map(|(token, user)| (token.to_owned(), user)).into();
    let (server, client) =
        start(Options { rbac: true, tokens, controllers: false, kubelets: false, ..Options::default() }).await;
    let role = |kind: &str, name: &str, rules: Value| json!({"apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": {"name": name}, "rules": rules});
    let binding = |kind: &str, name: &str, role: &str, subject: Value| {
        json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": {"name": name}, "subjects": [subject],
            "roleRef": {"apiGroup": RBAC, "kind": role, "name": name},
        })
    };
    let reading = json!([
        {"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["nodes"], "resourceNames": ["n1"]},
        {"verbs": ["create"], "apiGroups": [""], "resources": ["pods/binding"]},
    ]);
    let writing = json!([{"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]}]);
    server.create(role("ClusterRole", "reading", reading)).unwrap();
    let bot = json!({"kind": "ServiceAccount", "namespace": "team", "name": "bot"});
    server.create(binding("ClusterRoleBinding", "reading", "ClusterRole", bot)).unwrap();
    server.create(role("Role", "writing", writing)).unwrap();
    server.create(binding("RoleBinding", "writing", "Role", json!({"kind": "Group", "name": "dev"}))).unwrap();
    server.create(node("n1")).unwrap();
    server.create(pod("p")).unwrap();
    (server, client)
}

async fn ask(client: &Client, token: &str, method: &str, path: &str, body: Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let headers = if token.is_empty() { &headers[1..] } else { &headers[..] };
    client.request(method, path, headers, if body.is_null() { String::new() } else { body.to_string() }).await
}

#[tokio::test]
async fn only_what_a_role_grants_is_allowed() {
    let (_server, client) = guarded().await;
    let binding = json!({"metadata": {"name": "p"}, "target": {"name": "n1"}});
    for (token, method, path, code) in [
        ("root", "GET", "/api/v1/pods", 200),
        ("bot", "GET", "/api/v1/pods", 403),
        ("bot", "GET", "/api/v1/nodes/n1", 200),
        ("bot", "GET", "/api/v1/nodes/n2", 403),
        ("bot", "GET", "/api/v1/nodes", 403),
        ("bot", "GET", "/api/v1/nodes?fieldSelector=metadata.name%3Dn1", 200),
        ("bot", "DELETE", "/api/v1/nodes/n1", 403),
        ("bot", "POST", "/api/v1/namespaces/default/pods/p/binding", 201),
        ("bot", "POST", "/api/v1/namespaces/default/bindings", 403),
        ("alice", "GET", PODS, 200),
        ("alice", "GET", "/api/v1/namespaces/kube-system/pods", 403),
        ("alice", "GET", "/api/v1/pods", 403),
        ("alice", "GET", "/api/v1/namespaces/default/pods/p/status", 403),
        ("alice", "GET", "/apis", 200),
        ("alice", "GET", "/debug/plimsoll/stats", 403),
        ("", "GET", "/readyz", 200),
        ("", "GET", "/apis", 403),
        ("", "GET", "/api/v1/nodes", 403),
        ("nobody", "GET", "/readyz", 401),
        ("nobody", "GET", "/api/v1/nodes", 401),
    ] {
        let body = if method == "POST" { binding.clone() } else { Value::Null };
        let answer = ask(&client, token, method, path, body).await;
        assert_eq!(answer.code, code, "{token} {method} {path}: {}", answer.body);
    }
    let refused = ask(&client, "bot", "GET", "/api/v1/pods", Value::Null).await.body;
    let message = r#"pods is forbidden: User "system:serviceaccount:team:bot" cannot list resource "pods" in API group "" at the cluster scope"#;
    assert_eq!((&refused["reason"], &refused["message"]), (&json!("Forbidden"), &json!(message)));
    let path = "/apis/apps/v1/namespaces/default/deployments/web";
    let refused = ask(&client, "alice", "GET", path, Value::Null).await.body;
    let message = r#"deployments.apps "web" is forbidden: User "alice" cannot get resource "deployments" in API group "apps" in the namespace "default""#;
    assert_eq!(refused["message"], message);
    let refused = ask(&client, "", "GET", "/apis", Value::Null).await.body;
    assert_eq!(refused["message"], r#"forbidden: User "system:anonymous" cannot get path "/apis""#);
}

#[tokio::test]
async fn reviews_answer_what_requests_would() {
    let (server, client) = guarded().await;
    assert!(server.kubeconfig().contains(r#"token: "root""#));
    let review = |path: &'static str, token: &'static str, spec: Value| {
        let client = &client;
        async move { ask(client, token, "POST", path, json!({"spec": spec})).await }
    };
    let token = "/apis/authentication.k8s.io/v1/tokenreviews";
    let known = review(token, "root", json!({"token": "bot"})).await.body;
    assert_eq!((&known["kind"], &known["status"]["authenticated"]), (&json!("TokenReview"), &json!(true)));
    assert_eq!(known["status"]["user"]["username"], "system:serviceaccount:team:bot");
    let unknown = review(token, "root", json!({"token": "x"})).await.body;
    assert_eq!(
        (&unknown["status"]["authenticated"], &unknown["status"]["error"]),
        (&json!(false), &json!("invalid bearer token"))
    );
    assert_eq!(review(token, "bot", json!({"token": "bot"})).await.code, 403);

    let own = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let pods = |verb: &str, namespace: &str| json!({"resourceAttributes": {"verb": verb, "resource": "pods", "namespace": namespace}});
    for (token, verb, namespace, want) in
        [("alice", "delete", "default", true), ("alice", "delete", "", false), ("root", "dance", "", true)]
    {
        let answer = review(own, token, pods(verb, namespace)).await;
        assert_eq!((answer.code, &answer.body["status"]["allowed"]), (201, &json!(want)), "{token} {verb} {namespace}");
    }
    let path = review(own, "alice", json!({"nonResourceAttributes": {"verb": "get", "path": "/version"}})).await.body;
    assert_eq!(path["status"]["allowed"], true);
    assert_eq!(review(own, "alice", json!({})).await.code, 422);

    let other = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let mut spec = pods("list", "default");
    spec["user"] = "somebody".into();
    assert_eq!(review(other, "root", spec.clone()).await.body["status"]["allowed"], false);
    spec["groups"] = json!(["dev"]);
    assert_eq!(review(other, "root", spec.clone()).await.body["status"]["allowed"], true);
    let local = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews";
    assert_eq!(review(local, "root", spec.clone()).await.body["status"]["allowed"], true);
    spec["resourceAttributes"]["namespace"] = "kube-system".into();
    assert_eq!(review(local, "root", spec).await.code, 400);

    let who = review("/apis/authentication.k8s.io/v1/selfsubjectreviews", "alice", json!({})).await.body;
    assert_eq!(who["status"]["userInfo"], json!({"username": "alice", "groups": ["dev", "system:authenticated"]}));
    let rules = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let rules = review(rules, "alice", json!({"namespace": "default"})).await.body;
    assert!(
        rules["status"]["resourceRules"].as_array().unwrap().iter().any(|rule| rule["resources"] == json!(["pods"]))
    );
    assert_eq!(client.get(other).await.code, 403, "not even to be told that there is no list of them");
    assert_eq!(ask(&client, "root", "GET", other, Value::Null).await.code, 405);
}

#[tokio::test]
async fn without_rbac_everybody_may_do_everything() {
    let (_server, client) = start(Options::default()).await;
    assert_eq!(ask(&client, "whatever", "GET", "/api/v1/nodes", Value::Null).await.code, 200);
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let spec = json!({"spec": {"resourceAttributes": {"verb": "delete", "resource": "nodes"}}});
    assert_eq!(ask(&client, "", "POST", path, spec).await.body["status"]["allowed"], true);
}

#[tokio::test]
async fn accounts_get_tokens() {
    let (server, client) = guarded().await;
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": "default", "name": "bot"}});
    server.create(account.clone()).unwrap();
    let path = "/api/v1/namespaces/default/serviceaccounts/bot/token";
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    assert_eq!(ask(&client, "alice", "POST", path, request.clone()).await.code, 403);
    let answer = ask(&client, "root", "POST", path, request.clone()).await;
    assert_eq!((answer.code, &answer.body["kind"]), (201, &json!("TokenRequest")), "{}", answer.body);
    let token = answer.body["status"]["token"].as_str().unwrap().to_owned();

    let review = || json!({"spec": {"token": token}});
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let status = ask(&client, "root", "POST", reviews, review()).await.body["status"].clone();
    assert_eq!(status["user"]["username"], "system:serviceaccount:default:bot");
    let groups = ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"];
    assert_eq!(status["user"]["groups"], json!(groups));
    assert_eq!(ask(&client, &token, "GET", "/apis", Value::Null).await.code, 200);
    assert_eq!(ask(&client, &token, "GET", PODS, Value::Null).await.code, 403, "it has no role");

    server.delete("serviceaccounts", "default", "bot").unwrap();
    server.create(account).unwrap();
    let status = ask(&client, "root", "POST", reviews, review()).await.body["status"].clone();
    assert_eq!(status["authenticated"], false, "another account of that name");
    let nobody = "/api/v1/namespaces/default/serviceaccounts/nobody/token";
    assert_eq!(ask(&client, "root", "POST", nobody, request).await.code, 404);
}
