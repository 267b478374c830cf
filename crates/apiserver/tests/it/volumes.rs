//! Claims and volumes: binding, provisioning, and what becomes of volumes afterwards.

use std::time::Duration;

use plimsoll_apiserver::{Options, Server};
use plimsoll_testkit::{node, pod, stateful_set};
use serde_json::{Value, json};

use crate::client::{eventually, start};

async fn quick() -> Server {
    let options = Options { pod_start_delay: Duration::ZERO, pod_stop_delay: Duration::ZERO, ..Options::default() };
    start(options).await.0
}

fn volume(name: &str, class: &str, size: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": class},
    })
}

fn claim(name: &str, class: Option<&str>, size: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {
            "resources": {"requests": {"storage": size}}, "accessModes": ["ReadWriteOnce"], "storageClassName": class,
        },
    })
}

fn class(name: &str, provisioner: &str, mode: &str) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
        "provisioner": provisioner, "volumeBindingMode": mode,
    })
}

fn phase(server: &Server, resource: &str, name: &str) -> Value {
    server.get(resource, "default", name).map_or(Value::Null, |object| object["status"]["phase"].clone())
}

#[tokio::test]
async fn a_claim_gets_the_smallest_volume_that_fits() {
    let server = quick().await;
    for (name, class, size) in [("small", "a", "1Gi"), ("huge", "a", "9Gi"), ("fit", "a", "3Gi"), ("other", "b", "2Gi")]
    {
        server.create(volume(name, class, size)).unwrap();
    }
    server.create(claim("c", Some("a"), "2Gi")).unwrap();
    eventually("it is bound", || phase(&server, "persistentvolumeclaims", "c") == "Bound").await;
    let bound = server.get("persistentvolumeclaims", "default", "c").unwrap();
    assert_eq!((&bound["spec"]["volumeName"], &bound["status"]["capacity"]["storage"]), (&json!("fit"), &json!("3Gi")));
    assert_eq!(bound["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"], "yes");
    let taken = server.get("persistentvolumes", "", "fit").unwrap();
    assert_eq!((&taken["spec"]["claimRef"]["name"], &taken["status"]["phase"]), (&json!("c"), &json!("Bound")));
    assert_eq!(phase(&server, "persistentvolumes", "small"), "Available");
    server.delete("persistentvolumeclaims", "default", "c").unwrap();
    eventually("it is kept for somebody to look at", || phase(&server, "persistentvolumes", "fit") == "Released").await;
    server.create(claim("late", Some("c"), "1Gi")).unwrap();
    let mut meant = volume("meant", "c", "2Gi");
    meant["spec"]["claimRef"] = json!({"namespace": "default", "name": "late"});
    server.create(meant).unwrap();
    eventually("a later volume is taken", || phase(&server, "persistentvolumeclaims", "late") == "Bound").await;
}

#[tokio::test]
async fn a_provisioner_makes_volumes_at_once_or_where_the_pod_goes() {
    let server = quick().await;
    server.create(node("n1").zone("z1").capacity(&[("cpu", "4"), ("memory", "4Gi"), ("pods", "10")])).unwrap();
    let mut now = class("now", "csi.example.com", "Immediate");
    now["metadata"]["annotations"] = json!({"storageclass.kubernetes.io/is-default-class": "true"});
    server.create(now).unwrap();
    server.create(class("later", "csi.example.com", "WaitForFirstConsumer")).unwrap();
    server.create(claim("now", None, "1Gi")).unwrap();
    server.create(claim("later", Some("later"), "1Gi")).unwrap();
    eventually("one is bound", || phase(&server, "persistentvolumeclaims", "now") == "Bound").await;
    assert_eq!(phase(&server, "persistentvolumeclaims", "later"), "Pending");
    let mut user = pod("user").build();
    user["spec"]["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "later"}}]);
    server.create(user).unwrap();
    server.bind("default", "user", "n1").unwrap();
    let choose = |node: &'static str| {
        let annotate = move |claim: &mut Value| {
            claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = node.into();
        };
        server.edit("persistentvolumeclaims", "default", "later", annotate).unwrap()
    };
    choose("nowhere");
    eventually("a node that is gone is given up", || {
        let claim = server.get("persistentvolumeclaims", "default", "later").unwrap();
        claim["metadata"]["annotations"].get("volume.kubernetes.io/selected-node").is_none()
    })
    .await;
    assert_eq!(phase(&server, "pods", "user"), "Pending", "its volume cannot be mounted");
    choose("n1");
    eventually("the other is bound", || phase(&server, "persistentvolumeclaims", "later") == "Bound").await;
    eventually("the pod runs", || phase(&server, "pods", "user") == "Running").await;
    let claim = server.get("persistentvolumeclaims", "default", "later").unwrap();
    assert_eq!(claim["metadata"]["annotations"]["volume.kubernetes.io/storage-provisioner"], "csi.example.com");
    let name = claim["spec"]["volumeName"].as_str().unwrap().to_owned();
    let made = server.get("persistentvolumes", "", &name).unwrap();
    let zone =
        json!([{"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["z1"]}]}]);
    assert_eq!(made["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"], zone);
    server.delete("persistentvolumeclaims", "default", "later").unwrap();
    eventually("the volume goes with its claim", || server.get("persistentvolumes", "", &name).is_err()).await;
}

#[tokio::test]
async fn every_pod_of_a_stateful_set_has_its_own_volume() {
    let server = quick().await;
    server.create(node("n1").capacity(&[("cpu", "4"), ("memory", "4Gi"), ("pods", "10")])).unwrap();
    server.create(class("fast", "csi.example.com", "Immediate")).unwrap();
    let mut set = stateful_set("db", 2, pod("x")).build();
    set["spec"]["volumeClaimTemplates"] = json!([claim("data", Some("fast"), "1Gi")]);
    server.create(set).unwrap();
    eventually("both run", || {
        for pod in server.list("pods", None).unwrap() {
            let name = pod["metadata"]["name"].as_str().unwrap();
            // Bound by now, most likely.
            let _ = server.bind("default", name, "n1");
        }
        ["db-0", "db-1"].iter().all(|name| phase(&server, "pods", name) == "Running")
    })
    .await;
    let claims: Vec<Value> = server.list("persistentvolumeclaims", None).unwrap();
    let names: Vec<&str> = claims.iter().map(|claim| claim["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["data-db-0", "data-db-1"]);
    assert!(claims.iter().all(|claim| claim["status"]["phase"] == "Bound"));
}
