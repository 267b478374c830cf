//! What the builders write, where a wrong shape would mislead the tests that use them.

use plimsoll_testkit::{cron_job, deployment, node, pod, priority_class};
use serde_json::{Value, json};

#[test]
fn a_pod_carries_what_was_set_and_nothing_else() {
    let got = pod("a")
        .namespace("ns")
        .label("app", "web")
        .requests(&[("cpu", "100m")])
        .container("side", "busybox", &[("memory", "1Gi")])
        .init_container("init", "busybox", &[])
        .toleration("", "Exists", "", "NoSchedule")
        .host_port(80)
        .gate("hold")
        .set("/metadata/annotations/a~1b", "c")
        .build();
    let want = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "a", "namespace": "ns", "labels": {"app": "web"}, "annotations": {"a/b": "c"}},
        "spec": {
            "schedulerName": "plimsoll",
            "containers": [
                {"name": "main", "image": "registry.k8s.io/pause:3.10", "resources": {"requests": {"cpu": "100m"}},
                 "ports": [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]},
                {"name": "side", "image": "busybox", "resources": {"requests": {"memory": "1Gi"}}},
            ],
            "initContainers": [{"name": "init", "image": "busybox", "resources": {"requests": {}}}],
            "tolerations": [{"operator": "Exists", "effect": "NoSchedule"}],
            "schedulingGates": [{"name": "hold"}],
        },
        "status": {"phase": "Pending"},
    });
    assert_eq!(got, want);
}

#[test]
fn a_node_defaults_to_a_small_ready_machine() {
    let got: Value = node("n1").zone("a").taint("gpu", "", "NoSchedule").image("busybox", 7).unschedulable().into();
    assert_eq!(got["metadata"]["labels"]["kubernetes.io/hostname"], "n1");
    assert_eq!(got["status"]["allocatable"], json!({"cpu": "4", "memory": "16Gi", "pods": "110"}));
    assert_eq!(got["spec"], json!({"taints": [{"key": "gpu", "effect": "NoSchedule"}], "unschedulable": true}));
    assert_eq!(got["status"]["images"], json!([{"names": ["busybox"], "sizeBytes": 7}]));
}

#[test]
fn workloads_wrap_the_pod_as_their_template() {
    let got = deployment("web", 3, pod("ignored").annotation("x", "y")).build();
    assert_eq!(got["spec"]["selector"]["matchLabels"], got["spec"]["template"]["metadata"]["labels"]);
    assert_eq!(got["spec"]["template"]["metadata"]["annotations"], json!({"x": "y"}));
    let cron = cron_job("tick", "@hourly", 2, pod("ignored")).build();
    assert_eq!(cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"], "Never");
    assert_eq!(priority_class("high", 10).global_default().build()["globalDefault"], true);
}
