//! A pod as a cluster has it: with all that a controller, the API server and a kubelet write into it.

use serde_json::{Value, json};

/// Pods of one ReplicaSet.
const REPLICAS: usize = 100;

/// The pod of this number, running on a node.
pub(super) fn pod(number: usize, node: usize) -> Value {
    let (set, index) = (number / REPLICAS, number % REPLICAS);
    let (app, hash) = (format!("app-{}", set % 500), format!("{:010x}", set * 2_654_435_761 % (1 << 40)));
    let name = format!("{app}-{hash}-{index:05}");
    let time = "2026-01-01T00:00:00Z";
    let condition =
        |kind: &str| json!({ "type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": time });
    let kinds = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
    let token = format!("kube-api-access-{:05}", number % 99_991);
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "generateName": format!("{app}-{hash}-"), "namespace": format!("team-{}", set % 50),
            "creationTimestamp": time,
            "labels": { "app": app, "pod-template-hash": hash, "app.kubernetes.io/part-of": format!("shop-{}", set % 50) },
            "annotations": { "prometheus.io/scrape": "true", "checksum/config": format!("{:064x}", set) },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{app}-{hash}"),
                "uid": format!("00000000-0000-0000-0000-{set:012}"), "controller": true, "blockOwnerDeletion": true,
            }],
            "managedFields": [{
                "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "time": time,
                "fieldsType": "FieldsV1", "fieldsV1": { "f:metadata": { "f:generateName": {}, "f:labels": { ".": {},
                    "f:app": {}, "f:pod-template-hash": {} }, "f:ownerReferences": { ".": {} } },
                    "f:spec": { "f:containers": { "k:{\"name\":\"main\"}": { ".": {}, "f:env": {}, "f:image": {},
                    "f:imagePullPolicy": {}, "f:name": {}, "f:ports": {}, "f:resources": {} } }, "f:dnsPolicy": {},
                    "f:restartPolicy": {}, "f:schedulerName": {}, "f:securityContext": {} } },
            }],
        },
        "spec": {
            "schedulerName": "plimsoll", "nodeName": format!("node-{node}"), "serviceAccountName": "default",
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "priority": 0, "preemptionPolicy": "PreemptLowerPriority",
            "enableServiceLinks": true, "terminationGracePeriodSeconds": 30, "securityContext": {},
            "containers": [{
                "name": "main", "image": format!("registry.example/{app}:1.{}", set % 7), "imagePullPolicy": "IfNotPresent",
                "ports": [{ "containerPort": 8080, "protocol": "TCP", "name": "http" }],
                "env": [{ "name": "LOG_LEVEL", "value": "info" }, { "name": "POD_IP", "valueFrom": { "fieldRef": {
                    "apiVersion": "v1", "fieldPath": "status.podIP" } } }],
                "resources": { "requests": { "cpu": "100m", "memory": "256Mi" }, "limits": { "memory": "512Mi" } },
                "readinessProbe": { "httpGet": { "path": "/ready", "port": 8080, "scheme": "HTTP" }, "periodSeconds": 10 },
                "volumeMounts": [{ "name": token, "readOnly": true,
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount" }],
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            }],
            "volumes": [{ "name": token, "projected": { "defaultMode": 420, "sources": [
                { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
                { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
            ] } }],
            "tolerations": [
                { "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
                { "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
            ],
        },
        "status": {
            "phase": "Running", "startTime": time, "qosClass": "Burstable", "hostIP": "10.0.0.1", "podIP": "10.1.0.1",
            "hostIPs": [{ "ip": "10.0.0.1" }], "podIPs": [{ "ip": "10.1.0.1" }],
            "conditions": kinds.map(condition),
            "containerStatuses": [{
                "name": "main", "ready": true, "started": true, "restartCount": 0, "image": format!("registry.example/{app}:1"),
                "imageID": format!("registry.example/{app}@sha256:{:064x}", set),
                "containerID": format!("containerd://{:064x}", number), "lastState": {},
                "state": { "running": { "startedAt": time } },
            }],
        },
    })
}
