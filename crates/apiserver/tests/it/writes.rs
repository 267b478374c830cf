//! Creating, replacing and patching, with admission.

use plimsoll_testkit::{deployment, namespace, node, pod, priority_class};
use serde_json::{Value, json};

use crate::client::{bare, version};

const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::test]
async fn creation_sets_what_only_the_server_knows() {
    let (_server, client) = bare().await;
    let made =
        client.post(PODS, json!({"metadata": {"generateName": "web-"}, "spec": {"containers": [{"name": "c"}]}})).await;
    assert_eq!(made.code, 201);
    let pod = made.body;
    let name = pod["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("web-") && name.len() == 9, "{name}");
    assert_eq!((&pod["apiVersion"], &pod["kind"]), (&json!("v1"), &json!("Pod")));
    assert_eq!(pod["metadata"]["namespace"], "default");
    assert_eq!(pod["metadata"]["uid"].as_str().unwrap().len(), 36);
    assert_eq!(pod["spec"]["schedulerName"], "default-scheduler");
    assert_eq!(pod["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
    assert_eq!(client.get(&format!("{PODS}/{name}")).await.body, pod);
}

#[tokio::test]
async fn refused_creations_say_why() {
    let (server, client) = bare().await;
    server.create(pod("taken")).unwrap();
    for (path, media_type, body, code, reason) in [
        (PODS, "application/json", pod("taken").build().to_string(), 409, "AlreadyExists"),
        ("/api/v1/namespaces/nope/pods", "application/json", r#"{"metadata":{"name":"a"}}"#.into(), 404, "NotFound"),
        (PODS, "application/json", pod("a").namespace("kube-system").build().to_string(), 400, "BadRequest"),
        (PODS, "application/json", "{".into(), 400, "BadRequest"),
        (PODS, "application/json", "[]".into(), 400, "BadRequest"),
        (PODS, "application/json", node("a").build().to_string(), 400, "BadRequest"),
        (PODS, "application/json", r#"{"metadata":7}"#.into(), 400, "BadRequest"),
        (PODS, "application/json", r#"{"metadata":{"name":"a","labels":{"x":7}}}"#.into(), 400, "BadRequest"),
        (PODS, "application/json", r#"{"metadata":{}}"#.into(), 422, "Invalid"),
        (PODS, "application/json", r#"{"metadata":{"name":"a/b"}}"#.into(), 422, "Invalid"),
        (PODS, "application/json", pod("a").priority_class("nope").build().to_string(), 403, "Forbidden"),
        (PODS, "application/json", deep(110), 400, "BadRequest"),
        (PODS, "application/json", deep(200), 400, "BadRequest"),
        (PODS, "application/yaml", "a: b: c".into(), 400, "BadRequest"),
        (PODS, "application/vnd.kubernetes.protobuf", "k8s\0".into(), 415, "UnsupportedMediaType"),
        ("/api/v1/pods", "application/json", pod("a").build().to_string(), 405, "MethodNotAllowed"),
        (PODS, "application/json", "x".repeat(4 << 20), 413, "RequestEntityTooLarge"),
    ] {
        let answer = client.send("POST", path, media_type, body).await;
        assert_eq!((answer.code, &answer.body["reason"]), (code, &json!(reason)), "{}", answer.body);
    }
    assert_eq!(server.list("pods", None).unwrap().len(), 1);
}

/// A pod with a spec nested so deeply.
fn deep(levels: usize) -> String {
    let (open, close) = (r#"{"a":"#.repeat(levels), "}".repeat(levels));
    format!(r#"{{"metadata":{{"name":"deep"}},"spec":{open}1{close}}}"#)
}

#[tokio::test]
async fn rubbish_inside_a_spec_is_kept_as_it_is() {
    let (_server, client) = bare().await;
    let spec = json!({
        "containers": [{"name": "c", "resources": {"requests": {"cpu": "lots"}, "limits": 7}, "ports": [7]}, 7],
        "tolerations": {"a": 1}, "affinity": [], "topologySpreadConstraints": [null, 7], "schedulingGates": "x",
        "initContainers": null,
    });
    let made = client.post(PODS, json!({"metadata": {"name": "a"}, "spec": spec, "status": null})).await;
    assert_eq!(made.code, 201, "{}", made.body);
    assert_eq!(made.body["spec"]["containers"][0]["resources"]["requests"]["cpu"], "lots");
}

#[tokio::test]
async fn admission_fills_in_what_scheduling_reads() {
    let (server, client) = bare().await;
    server.create(priority_class("low", -5).global_default()).unwrap();
    let runtime_class = json!({
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "vm"}, "handler": "kata",
        "overhead": {"podFixed": {"cpu": "250m"}},
        "scheduling": {"nodeSelector": {"vm": "yes"}, "tolerations": [{"key": "vm", "operator": "Exists"}]},
    });
    server.create(runtime_class).unwrap();
    let spread = json!({
        "maxSkew": 1, "topologyKey": "zone", "matchLabelKeys": ["hash"], "labelSelector": {"matchLabels": {"app": "a"}},
    });
    let term = json!({"topologyKey": "zone", "labelSelector": {}, "mismatchLabelKeys": ["hash"]});
    let made = pod("a")
        .label("hash", "h1")
        .limits(&[("cpu", "1")])
        .set("/spec/runtimeClassName", "vm")
        .set("/spec/hostNetwork", true);
    let mut made = made.build();
    made["spec"]["containers"] =
        json!([{"name": "c", "resources": {"limits": {"cpu": "1"}}, "ports": [{"containerPort": 80}]}]);
    made["spec"]["topologySpreadConstraints"] = json!([spread]);
    made["spec"]["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
    made["spec"]["schedulingGates"] = json!([{"name": "hold"}]);
    let spec = client.post(PODS, made).await.body;
    let status = &spec["status"];
    let spec = &spec["spec"];
    assert_eq!(spec["containers"][0]["resources"]["requests"], json!({"cpu": "1"}));
    assert_eq!(spec["containers"][0]["ports"], json!([{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]));
    assert_eq!((&spec["priority"], &spec["priorityClassName"]), (&json!(-5), &json!("low")));
    assert_eq!(spec["overhead"], json!({"cpu": "250m"}));
    assert_eq!(spec["nodeSelector"], json!({"vm": "yes"}));
    let keys: Vec<_> = spec["tolerations"].as_array().unwrap().iter().map(|t| t["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["vm", "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]);
    let own = json!([{"key": "hash", "operator": "In", "values": ["h1"]}]);
    assert_eq!(spec["topologySpreadConstraints"][0]["labelSelector"]["matchExpressions"], own);
    let anti = &spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(anti["labelSelector"]["matchExpressions"][0]["operator"], "NotIn");
    assert_eq!(status["conditions"][0]["reason"], "SchedulingGated");
    assert_eq!(status["qosClass"], "Burstable");
    let critical = client.post(PODS, pod("b").priority_class("system-node-critical")).await.body;
    assert_eq!(critical["spec"]["priority"], 2_000_001_000);
}

#[tokio::test]
async fn replacement_keeps_status_apart_and_locks_by_version() {
    let (server, client) = bare().await;
    let old = server.create(node("n1")).unwrap();
    let path = "/api/v1/nodes/n1";
    let mut new = old.clone();
    new["spec"]["unschedulable"] = true.into();
    new["status"] = json!({});
    let put = client.put(path, new.clone()).await;
    assert_eq!(put.body["spec"]["unschedulable"], true);
    assert_eq!(put.body["status"], old["status"], "a replacement does not touch the status");
    let stale = client.put(path, new).await;
    assert_eq!((stale.code, &stale.body["reason"]), (409, &json!("Conflict")));
    let same = client.put(path, put.body.clone()).await;
    assert_eq!(version(&same.body), version(&put.body), "a change of nothing is no change");
    let mut status = put.body;
    status["spec"] = json!({});
    status["status"]["allocatable"]["cpu"] = "1".into();
    let put = client.put(&format!("{path}/status"), status).await.body;
    assert_eq!((&put["spec"]["unschedulable"], &put["status"]["allocatable"]["cpu"]), (&json!(true), &json!("1")));
    let other = json!({"metadata": {"name": "n2"}});
    assert_eq!(client.put(path, other).await.code, 400);
    let reborn = json!({"metadata": {"name": "n1", "uid": "other"}});
    assert_eq!(client.put(path, reborn).await.code, 409);
}

#[tokio::test]
async fn most_of_a_pods_spec_is_fixed() {
    let (server, client) = bare().await;
    server.create(pod("a").gate("x").gate("y")).unwrap();
    let path = format!("{PODS}/a");
    for (patch, code) in [
        (json!({"spec": {"nodeName": "n1"}}), 422),
        (json!({"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "1"}}}]}}), 422),
        (json!({"spec": {"schedulingGates": [{"name": "z"}]}}), 422),
        (json!({"spec": {"containers": [{"name": "main", "image": "new"}]}}), 200),
        (json!({"spec": {"nodeSelector": {"a": "b"}}}), 200),
        (
            json!({"spec": {"schedulingGates": [{"name": "x", "$patch": "delete"}, {"name": "y", "$patch": "delete"}]}}),
            200,
        ),
        (json!({"spec": {"nodeSelector": {"a": "c"}}}), 422),
        (json!({"metadata": {"labels": {"a": "b"}}}), 200),
    ] {
        let answer = client.patch("strategic-merge", &path, patch.clone()).await;
        assert_eq!(answer.code, code, "{patch}: {}", answer.body);
    }
    let resize = json!({"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "2"}}}]}});
    let resized = client.patch("strategic-merge", &format!("{path}/resize"), resize).await.body;
    assert_eq!(resized["spec"]["containers"][0]["resources"]["requests"]["cpu"], "2");
}

#[tokio::test]
async fn patches_of_every_sort() {
    let (server, client) = bare().await;
    server.create(pod("a").label("x", "1")).unwrap();
    let path = format!("{PODS}/a");
    let merged = client.patch("merge", &path, json!({"metadata": {"labels": {"x": null, "y": "2"}}})).await.body;
    assert_eq!(merged["metadata"]["labels"], json!({"y": "2"}));
    let operations = json!([{"op": "add", "path": "/metadata/labels/z", "value": "3"}]);
    let patched = client.patch("json", &path, operations).await.body;
    assert_eq!(patched["metadata"]["labels"], json!({"y": "2", "z": "3"}));
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable"});
    let status = json!({"status": {"conditions": [condition], "nominatedNodeName": "n1"}, "metadata": {"uid": merged["metadata"]["uid"]}});
    let patched = client.patch("strategic-merge", &format!("{path}/status"), status.clone()).await.body;
    assert_eq!(patched["status"]["conditions"], json!([condition]));
    let again = client.patch("strategic-merge", &format!("{path}/status"), status).await.body;
    assert_eq!(version(&again), version(&patched));
    let elsewhere = json!({"metadata": {"uid": "other"}, "status": {"phase": "Running"}});
    assert_eq!(client.patch("strategic-merge", &format!("{path}/status"), elsewhere).await.code, 409);
    let stale = json!({"metadata": {"resourceVersion": "1"}});
    assert_eq!(client.patch("merge", &path, stale).await.code, 409);
    assert_eq!(client.send("PATCH", &path, "application/json", "{}").await.code, 415);
    assert_eq!(client.patch("json", &path, json!([{"op": "remove", "path": "/nope"}])).await.code, 422);
}

#[tokio::test]
async fn apply_creates_and_merges() {
    let (_server, client) = bare().await;
    let path = "/apis/apps/v1/namespaces/default/deployments/web?fieldManager=me&force=true";
    let body = deployment("web", 3, pod("x")).build().to_string();
    let made = client.send("PATCH", path, "application/apply-patch+yaml", body).await;
    assert_eq!(made.code, 201);
    let body = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  labels: {a: b}\n";
    let merged = client.send("PATCH", path, "application/apply-patch+yaml", body).await;
    assert_eq!((merged.code, &merged.body["spec"]["replicas"]), (200, &json!(3)));
}

#[tokio::test]
async fn scale_is_a_window_on_replicas() {
    let (server, client) = bare().await;
    server.create(deployment("web", 3, pod("x"))).unwrap();
    let path = "/apis/apps/v1/namespaces/default/deployments/web/scale";
    let mut scale = client.get(path).await.body;
    assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&json!("Scale"), &json!(3)));
    assert_eq!(scale["status"]["selector"], "app=web");
    scale["spec"]["replicas"] = 5.into();
    assert_eq!(client.put(path, scale.clone()).await.body["spec"]["replicas"], 5);
    assert_eq!(client.put(path, scale).await.code, 409);
    assert_eq!(client.patch("merge", path, json!({"spec": {"replicas": 7}})).await.code, 200);
    let web = server.get("deployments", "default", "web").unwrap();
    assert_eq!((&web["spec"]["replicas"], &web["metadata"]["generation"]), (&json!(7), &json!(3)));
}

#[tokio::test]
async fn leases_are_only_replaced_at_their_version() {
    let (_server, client) = bare().await;
    let path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
    let lease = json!({"metadata": {"name": "plimsoll"}, "spec": {"holderIdentity": "a"}});
    let made = client.post(path, lease.clone()).await.body;
    let path = format!("{path}/plimsoll");
    assert_eq!(client.put(&path, lease).await.code, 422);
    assert_eq!(client.put(&path, made.clone()).await.code, 200);
    let mut taken = made.clone();
    taken["spec"]["holderIdentity"] = "b".into();
    assert_eq!(client.put(&path, taken.clone()).await.code, 200);
    assert_eq!(client.put(&path, taken).await.code, 409);
}

#[tokio::test]
async fn dry_runs_leave_no_trace() {
    let (server, client) = bare().await;
    server.create(pod("a")).unwrap();
    assert_eq!(client.post(&format!("{PODS}?dryRun=All"), pod("b")).await.code, 201);
    let path = format!("{PODS}/a?dryRun=All");
    let patched = client.patch("merge", &path, json!({"metadata": {"labels": {"x": "y"}}})).await.body;
    assert_eq!(patched["metadata"]["labels"]["x"], "y");
    assert_eq!(client.delete(&path, Value::Null).await.code, 200);
    let pods = server.list("pods", None).unwrap();
    assert_eq!(pods.len(), 1);
    assert_eq!(pods[0]["metadata"].get("labels"), None);
}

#[tokio::test]
async fn other_kinds_can_be_registered() {
    let queue = plimsoll_apiserver::Kind::new("example.com", "v1", "queues", "Queue", true);
    let options = plimsoll_apiserver::Options { extra_kinds: vec![queue], ..plimsoll_apiserver::Options::default() };
    let (server, client) = crate::client::start(options).await;
    server.create(namespace("team")).unwrap();
    let path = "/apis/example.com/v1/namespaces/team/queues";
    assert_eq!(client.post(path, json!({"metadata": {"name": "q"}, "spec": {"size": 1}})).await.code, 201);
    assert_eq!(client.get("/apis/example.com/v1").await.body["resources"][0]["kind"], "Queue");
}
