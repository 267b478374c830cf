//! Kinds, built in and declared: what may be selected, versions of one kind, and tables.

use plimsoll_apiserver::{Kind, Options};
use plimsoll_testkit::{deployment, node, pod};
use serde_json::{Value, json};

use crate::client::{Client, bare, start};

fn queues() -> Vec<Kind> {
    let version = |name: &str, storage: bool| {
        json!({
            "name": name, "served": true, "storage": storage, "subresources": {"status": {}, "scale": {}},
            "additionalPrinterColumns": [
                {"name": "Color", "type": "string", "jsonPath": ".spec.color"},
                {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
                {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
            ],
            "selectableFields": [{"jsonPath": ".spec.color"}],
        })
    };
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "queues.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "queues", "kind": "Queue", "shortNames": ["q"], "categories": ["all"]},
            "versions": [version("v1beta1", false), version("v1", true)],
        },
    });
    Kind::from_crd(&crd).unwrap()
}

#[tokio::test]
async fn versions_of_a_kind_show_the_same_objects() {
    let (server, client) = start(Options { extra_kinds: queues(), ..Options::default() }).await;
    let path = |version: &str| format!("/apis/example.com/{version}/namespaces/default/queues");
    let queue = |version: &str, name: &str| json!({"apiVersion": format!("example.com/{version}"), "kind": "Queue", "metadata": {"name": name}});
    let mut watch = client.watch(&format!("{}?watch=1", path("v1beta1"))).await;
    let made = client.post(&path("v1beta1"), queue("v1beta1", "a")).await;
    assert_eq!((made.code, &made.body["apiVersion"]), (201, &json!("example.com/v1beta1")), "{}", made.body);
    assert_eq!(client.post(&path("v1"), queue("v1", "a")).await.code, 409, "it is the same one");
    let wrong = client.post(&path("v1"), queue("v1beta1", "b")).await;
    assert_eq!(wrong.code, 400, "{}", wrong.body);
    assert_eq!(watch.next().await.unwrap()["object"]["apiVersion"], "example.com/v1beta1");
    for version in ["v1", "v1beta1"] {
        let api_version = format!("example.com/{version}");
        assert_eq!(client.get(&format!("{}/a", path(version))).await.body["apiVersion"], api_version);
        let list = client.get(&path(version)).await.body;
        assert_eq!((&list["apiVersion"], &list["items"][0]["apiVersion"]), (&json!(api_version), &json!(api_version)));
        let patch = json!({"spec": {"color": version}});
        let patched = client.patch("merge", &format!("{}/a", path(version)), patch).await.body;
        assert_eq!((&patched["apiVersion"], &patched["spec"]["color"]), (&json!(api_version), &json!(version)));
        let put = client.put(&format!("{}/a", path(version)), patched.clone()).await;
        assert_eq!((put.code, &put.body), (200, &patched));
    }
    assert_eq!(server.list("queues", None).unwrap().len(), 1);
    let groups = client.get("/apis/example.com").await.body;
    assert_eq!(groups["preferredVersion"]["version"], "v1");
    assert_eq!(client.delete(&format!("{}/a", path("v1beta1")), Value::Null).await.code, 200);
    assert!(server.list("queues", None).unwrap().is_empty());
}

async fn names(client: &Client, path: &str) -> Vec<String> {
    let answer = client.get(path).await;
    assert_eq!(answer.code, 200, "{path}: {}", answer.body);
    let items = answer.body["items"].as_array().unwrap().clone();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn fields_are_selected_as_each_kind_allows() {
    let (server, client) =
        start(Options { extra_kinds: queues(), controllers: false, kubelets: false, ..Options::default() }).await;
    let objects = [
        json!({"apiVersion": "example.com/v1", "kind": "Queue", "metadata": {"name": "a"}, "spec": {"color": "red"}}),
        json!({"apiVersion": "example.com/v1", "kind": "Queue", "metadata": {"name": "b"}, "spec": {"color": 0}}),
        json!({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": "s1"},
            "spec": {"nodeName": "n1", "driver": "gpu"}}),
        json!({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": "s2"},
            "spec": {"allNodes": true, "driver": "gpu"}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"type": "ClusterIP"}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": "Opaque"}),
    ];
    assert_eq!(server.load(objects.to_vec()), objects.len());
    server.create(pod("p").node_name("n1")).unwrap();
    server.create(deployment("web", 1, pod("x"))).unwrap();
    for (path, want) in [
        ("/apis/example.com/v1/queues?fieldSelector=spec.color%3Dred", vec!["a"]),
        ("/apis/example.com/v1beta1/queues?fieldSelector=spec.color%3D0", vec!["b"]),
        ("/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.nodeName%3Dn1", vec!["s1"]),
        ("/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.driver%3Dgpu,spec.nodeName%3D", vec!["s2"]),
        ("/api/v1/services?fieldSelector=spec.type%3DClusterIP", vec!["web"]),
        ("/api/v1/secrets?fieldSelector=type!%3DOpaque", vec![]),
        ("/api/v1/pods?fieldSelector=spec.host%3Dn1,spec.hostNetwork%3Dfalse", vec!["p"]),
        ("/api/v1/namespaces?fieldSelector=metadata.name%3Dkube-system,status.phase%3DActive", vec!["kube-system"]),
    ] {
        assert_eq!(names(&client, path).await, want, "{path}");
    }
    for path in [
        "/apis/apps/v1/deployments?fieldSelector=spec.replicas%3D1",
        "/api/v1/nodes?fieldSelector=status.phase%3D",
        "/apis/example.com/v1/queues?fieldSelector=spec.size%3D1",
    ] {
        let refused = client.get(path).await;
        assert_eq!(refused.code, 400, "{path}");
        assert!(refused.body["message"].as_str().unwrap().starts_with("field label not supported: "));
    }
}

/// The names of the columns that are always shown, and the cells of the first row.
async fn table(client: &Client, path: &str) -> (Vec<String>, Value) {
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")];
    let table = client.get_with(path, &accept).await.body;
    let columns = table["columnDefinitions"].as_array().unwrap().clone();
    let shown = columns.iter().filter(|column| column["priority"] == 0);
    (shown.map(|column| column["name"].as_str().unwrap().to_owned()).collect(), table["rows"][0]["cells"].clone())
}

#[tokio::test]
async fn tables_have_the_columns_that_kinds_declare() {
    let (server, client) = start(Options { extra_kinds: queues(), ..Options::default() }).await;
    let queue = json!({
        "apiVersion": "example.com/v1", "kind": "Queue", "metadata": {"name": "a"}, "spec": {"color": "red"},
        "status": {"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]},
    });
    server.load(vec![queue]);
    let (columns, cells) = table(&client, "/apis/example.com/v1/queues").await;
    assert_eq!(columns, ["Name", "Color", "Ready", "Age"]);
    assert_eq!(cells.as_array().unwrap()[..3], [json!("a"), json!("red"), json!("True")]);
}

#[tokio::test]
async fn every_cell_has_its_column() {
    let (server, client) = bare().await;
    server.create(node("n1")).unwrap();
    server.create(pod("p")).unwrap();
    server.create(deployment("web", 1, pod("x"))).unwrap();
    let more = [
        "apps/v1 ReplicaSet",
        "apps/v1 StatefulSet",
        "apps/v1 DaemonSet",
        "batch/v1 Job",
        "batch/v1 CronJob",
        "v1 ReplicationController",
        "v1 Service",
        "v1 PersistentVolume",
        "v1 PersistentVolumeClaim",
        "v1 Event",
        "storage.k8s.io/v1 StorageClass",
        "policy/v1 PodDisruptionBudget",
        "coordination.k8s.io/v1 Lease",
        "v1 Secret",
        "node.k8s.io/v1 RuntimeClass",
        "v1 ConfigMap",
        "v1 LimitRange",
    ];
    for kind in more {
        let (api_version, kind) = kind.split_once(' ').unwrap();
        server.create(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}})).unwrap();
    }
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let mut seen = 0;
    for group in [
        "/api/v1",
        "/apis/apps/v1",
        "/apis/batch/v1",
        "/apis/storage.k8s.io/v1",
        "/apis/policy/v1",
        "/apis/coordination.k8s.io/v1",
        "/apis/node.k8s.io/v1",
        "/apis/scheduling.k8s.io/v1",
        "/apis/events.k8s.io/v1",
    ] {
        let resources = client.get(group).await.body["resources"].as_array().unwrap().clone();
        for resource in resources.iter().filter_map(|r| r["name"].as_str()).filter(|name| !name.contains('/')) {
            let table = client.get_with(&format!("{group}/{resource}"), &accept).await.body;
            let columns = table["columnDefinitions"].as_array().unwrap().len();
            for row in table["rows"].as_array().unwrap() {
                assert_eq!(row["cells"].as_array().unwrap().len(), columns, "{group}/{resource}");
                seen += 1;
            }
        }
    }
    assert!(seen >= more.len() + 3, "{seen}");
}

#[tokio::test]
async fn admission_policies_are_there_in_the_versions_of_the_minor() {
    let expected = [
        (31, vec![]),
        (32, vec!["v1alpha1"]),
        (34, vec!["v1beta1", "v1alpha1"]),
        (36, vec!["v1", "v1beta1", "v1alpha1"]),
        (37, vec!["v1", "v1beta1", "v1alpha1"]),
    ];
    for (minor, versions) in expected {
        let (_server, client) = start(Options { minor, ..Options::default() }).await;
        for version in ["v1", "v1beta1", "v1alpha1"] {
            let path = format!("/apis/admissionregistration.k8s.io/{version}/mutatingadmissionpolicies");
            let code = if versions.contains(&version) { 200 } else { 404 };
            assert_eq!(client.get(&path).await.code, code, "1.{minor} {version}");
        }
    }
}
