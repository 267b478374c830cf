//! Asking a running scheduler why a pod is where it is, or waits.

use std::process::Command;
use std::time::Duration;

use plimsoll::admin::SecuredSettings;
use plimsoll_testkit::{PodBuilder, node, pod};
use serde_json::{Value, json};

use crate::rig::{config, text};
use crate::secured::{Secure, remembering};

/// The scheduler leads by a Lease that says where it is asked.
async fn start(names: &[&str]) -> Secure {
    let capacity = [("cpu", "8"), ("memory", "32Gi"), ("pods", "110")];
    let mut objects: Vec<Value> = names.iter().map(|name| node(name).allocatable(&capacity).build()).collect();
    objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
    let settings = SecuredSettings {
        guard: remembering(Duration::from_secs(600)),
        reached_at: Some("127.0.0.1".parse().unwrap()),
        ..SecuredSettings::default()
    };
    Secure::start_with(objects, settings, false, config("")).await
}

fn of_shop(name: &str, cpu: &str) -> PodBuilder {
    pod(name).namespace("shop").requests(&[("cpu", cpu), ("memory", "1Gi")])
}

/// The node that a pod is on.
async fn bound(secure: &Secure, name: &str) -> String {
    let node = || text(&secure.server.get("pods", "shop", name).unwrap(), "/spec/nodeName").to_owned();
    secure.until(&format!("{name} to be bound"), async || !node().is_empty()).await;
    node()
}

async fn told(secure: &Secure, name: &str) -> Value {
    let (status, body) = secure.get("token-carol", &format!("/debug/explain/shop/{name}?output=json")).await;
    assert_eq!(status, 200, "{name}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placed_pod_shows_the_scores_by_which_it_was_placed() {
    let secure = start(&["a", "b"]).await;
    secure.server.create(of_shop("first", "1")).unwrap();
    let of_first = bound(&secure, "first").await;
    secure.server.create(of_shop("second", "4")).unwrap();
    let of_second = bound(&secure, "second").await;
    assert_ne!(of_first, of_second, "the emptier one");
    // Both nodes are others by now, and there are more of them.
    secure.server.create(node("c").allocatable(&[("cpu", "64"), ("memory", "256Gi"), ("pods", "110")])).unwrap();
    secure.server.delete("pods", "shop", "second").unwrap();
    secure.server.create(of_shop("third", "20")).unwrap();
    bound(&secure, "third").await;
    let first = told(&secure, "first").await;
    assert_eq!((&first["asOf"], &first["decision"]["node"]), (&json!("decision"), &json!(of_first)));
    assert_eq!((&first["feasible"], &first["best"]), (&json!(2), &json!(["a", "b"])), "{first}");
    let total = |told: &Value, node: &str| told["nodes"][node]["total"].clone();
    assert_eq!(
        (total(&first, "a"), total(&first, "b")),
        (first["decision"]["score"].clone(), first["decision"]["score"].clone())
    );
    // A pod that is gone is remembered, too, and was decided with the first one there.
    let second = told(&secure, "second").await;
    assert_eq!((&second["best"], &second["feasible"]), (&json!([of_second]), &json!(2)), "{second}");
    assert_eq!(total(&second, &of_second), second["decision"]["score"]);
    assert_ne!(total(&second, &of_first), second["decision"]["score"]);
    let third = told(&secure, "third").await;
    assert_eq!((&third["best"], &third["decision"]["score"]), (&json!(["c"]), &json!(null)), "only it fits: {third}");
    let (_, table) = secure.get("token-carol", "/debug/explain/shop/second").await;
    assert!(table.starts_with(&format!("shop/second was placed on {of_second} ")), "{table}");
    assert!(table.contains("As the cluster was then:\n") && table.contains("what tipped it: "), "{table}");
    secure.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_pod_shows_its_last_attempt_and_the_nearest_misses() {
    let secure = start(&["a"]).await;
    secure.server.create(of_shop("large", "9")).unwrap();
    let waits = async || {
        let (status, body) = secure.get("token-carol", "/debug/explain/shop/large?output=json").await;
        status == 200 && serde_json::from_str::<Value>(&body).unwrap()["waiting"]["message"].is_string()
    };
    secure.until("the pod to wait and say why", waits).await;
    let large = told(&secure, "large").await;
    assert_eq!(
        (&large["asOf"], &large["waiting"]["attempts"], &large["feasible"]),
        (&json!("now"), &json!(1), &json!(0))
    );
    assert_eq!(large["nodes"]["a"]["reasons"], json!(["Insufficient cpu"]));
    let (_, table) = secure.get("token-carol", "/debug/explain/shop/large?output=wide").await;
    for part in [
        "shop/large waits for ",
        "after 1 attempt; turned away by NodeResourcesFit",
        "last said: 0/1 nodes are available: 1 Insufficient cpu.",
        "shop/large fits on no node",
        "fits on a if it asked for 1 less cpu",
    ] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    secure.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_are_told_who_may_get_the_pod() {
    let secure = start(&["a"]).await;
    // In another namespace, and in the way of one that is more important.
    secure.server.create(pod("inner").requests(&[("cpu", "6")])).unwrap();
    let inner = || text(&secure.server.get("pods", "default", "inner").unwrap(), "/spec/nodeName").to_owned();
    secure.until("inner to be bound", async || !inner().is_empty()).await;
    secure.server.create(of_shop("gated", "6").priority(1_000).gate("later")).unwrap();
    secure
        .until("the other to be known", async || secure.get("token-carol", "/debug/explain/shop/gated").await.0 == 200)
        .await;
    for (token, path, status, says) in [
        ("", "shop/gated", 403, "User \"system:anonymous\" cannot get pods in the namespace \"shop\""),
        ("token-bob", "shop/gated", 403, "User \"bob\" cannot get pods in the namespace \"shop\""),
        // She may look at whatever is at a path, and at no pods.
        ("token-alice", "shop/gated", 403, "User \"alice\" cannot get pods"),
        ("token-carol", "default/inner", 403, "cannot get pods in the namespace \"default\""),
        ("token-carol", "shop/nobody", 404, "no pod shop/nobody is known here"),
        ("token-carol", "shop/gated?output=xml", 400, "output: must be table, wide or json"),
        ("token-carol", "shop%2Fgated/x", 403, "cannot get path"),
        ("token-carol", "shop/gated/log", 403, "cannot get path"),
    ] {
        let (code, body) = secure.get(token, &format!("/debug/explain/{path}")).await;
        assert_eq!((code, body.contains(says)), (status, true), "{token} {path}: {body}");
    }
    // What would have to go is another's business.
    let (_, table) = secure.get("token-carol", "/debug/explain/shop/gated").await;
    assert!(table.contains("preempting 1 pod of other namespaces on a would make room"), "{table}");
    assert!(!table.contains("inner"), "{table}");
    let json = told(&secure, "gated").await;
    assert_eq!(json["preemption"]["victims"], json!([]));
    assert_eq!(
        (&json["preemption"]["victimsInOtherNamespaces"], json.to_string().contains("inner")),
        (&json!(1), false)
    );
    secure.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_finds_the_leader_by_its_lease() {
    let secure = start(&["a"]).await;
    secure.server.create(of_shop("web", "1")).unwrap();
    bound(&secure, "web").await;
    let as_user = |token: &str| {
        let file = secure.folder.path().join(format!("{token}.kubeconfig"));
        std::fs::write(&file, secure.server.kubeconfig().replace("user: {}", &format!("user: {{token: {token}}}")))
            .unwrap();
        file
    };
    let run = async |token: &str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.arg("explain").args(arguments).env("KUBECONFIG", as_user(token));
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, out, err) = run("token-carol", &["shop/web"]).await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("shop/web was placed on a "), "{out}");
    let (code, out, _) = run("token-carol", &["web", "-n", "shop", "-o", "json"]).await;
    assert_eq!((code, &serde_json::from_str::<Value>(&out).unwrap()["decision"]["node"]), (0, &json!("a")));
    let lease = secure.server.get("leases.coordination.k8s.io", "default", "plimsoll").unwrap();
    let at = lease["metadata"]["annotations"]["plimsoll/secure-address"].as_str().unwrap().to_owned();
    for (token, arguments, exit, says) in [
        ("token-carol", &["default/web"][..], 1, "cannot get pods in the namespace \"default\""),
        ("token-bob", &["shop/web"], 1, "reading the leases of all namespaces"),
        ("token-carol", &["shop/web", "-n", "default"], 2, "is in the namespace shop, and -n says default"),
        ("token-carol", &["shop/web", "--lease", "plimsoll"], 2, "a lease is named as NAMESPACE/NAME"),
        (
            "token-carol",
            &["shop/web", "--lease", "default/none"],
            1,
            "reading the lease default/none: the API server answered 404",
        ),
        (
            "token-carol",
            &["shop/web", "--server", "https://127.0.0.1:1"],
            1,
            "asking the scheduler at https://127.0.0.1:1: ",
        ),
        ("token-carol", &["shop/web", "-o", "json", "--config", "x.yaml"], 2, "--filename"),
    ] {
        let (code, _, err) = run(token, arguments).await;
        assert_eq!((code, err.contains(says)), (exit, true), "{arguments:?}: {err}");
    }
    // Somebody else who answers there is not the leader.
    let stranger = Secure::start_with(
        Vec::new(),
        SecuredSettings::default(),
        false,
        config("leaderElection: {leaderElect: false}"),
    )
    .await;
    let elsewhere = stranger.address().to_string();
    let (code, _, err) = run("token-carol", &["shop/web", "--server", &format!("https://{elsewhere}")]).await;
    assert_eq!((code, err.contains("certificate")), (1, true), "{err}");
    assert_eq!(run("token-carol", &["shop/web", "--server", &at]).await.0, 0);
    stranger.end().await;
    secure.end().await;
}
