//! Controllers and kubelets: manifests become running pods.

use std::time::Duration;

use plimsoll_apiserver::{Options, Server};
use plimsoll_testkit::{cron_job, deployment, job, node, pod, stateful_set};
use serde_json::{Value, json};

use crate::client::{eventually, start};

/// A server in which everything is quick, with one large node.
async fn quick() -> Server {
    let options = Options {
        pod_start_delay: Duration::ZERO,
        pod_stop_delay: Duration::ZERO,
        job_duration: Duration::ZERO,
        ..Options::default()
    };
    let (server, _) = start(options).await;
    server.create(node("n1").capacity(&[("cpu", "100"), ("memory", "100Gi"), ("pods", "1000")])).unwrap();
    server
}

fn pods(server: &Server) -> Vec<Value> {
    server.list("pods", None).unwrap()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

/// Binds whatever waits, as a scheduler would.
fn bind_all(server: &Server) {
    for pod in pods(server).iter().filter(|pod| pod["spec"].get("nodeName").is_none()) {
        // Gone or bound by now: as good.
        let _ = server.bind("default", name(pod), "n1");
    }
}

#[tokio::test]
async fn a_deployment_scales_and_rolls_over() {
    let server = quick().await;
    server.create(deployment("web", 3, pod("x").image("one"))).unwrap();
    let status = || server.get("deployments", "default", "web").unwrap()["status"].clone();
    eventually("three pods are ready", || {
        bind_all(&server);
        status()["readyReplicas"] == 3
    })
    .await;
    let owner = &pods(&server)[0]["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["controller"]), (&json!("ReplicaSet"), &json!(true)));
    let mut web = server.get("deployments", "default", "web").unwrap();
    web["spec"]["template"]["spec"]["containers"][0]["image"] = "two".into();
    web["spec"]["replicas"] = 5.into();
    server.update(web).unwrap();
    let images = || pods(&server).iter().map(|p| p["spec"]["containers"][0]["image"].clone()).collect::<Vec<_>>();
    eventually("five pods of the new image are left", || {
        bind_all(&server);
        status()["readyReplicas"] == 5 && images() == vec![json!("two"); 5]
    })
    .await;
    assert_eq!(server.list("replicasets", None).unwrap().len(), 2);
    let mut web = server.get("deployments", "default", "web").unwrap();
    web["spec"]["replicas"] = 1.into();
    server.update(web).unwrap();
    eventually("one pod is left", || pods(&server).len() == 1).await;
    server.delete("deployments", "default", "web").unwrap();
    eventually("nothing is left", || pods(&server).is_empty() && server.list("replicasets", None).unwrap().is_empty())
        .await;
}

#[tokio::test]
async fn a_deleted_pod_is_made_anew() {
    let server = quick().await;
    server.create(deployment("web", 2, pod("x"))).unwrap();
    eventually("two pods", || pods(&server).len() == 2).await;
    let first = name(&pods(&server)[0]).to_owned();
    server.delete("pods", "default", &first).unwrap();
    eventually("two others", || pods(&server).len() == 2 && pods(&server).iter().all(|pod| name(pod) != first)).await;
}

#[tokio::test]
async fn a_stateful_set_makes_its_pods_in_order() {
    let server = quick().await;
    server.create(stateful_set("db", 3, pod("x"))).unwrap();
    eventually("the first pod", || !pods(&server).is_empty()).await;
    let names = || pods(&server).iter().map(|pod| name(pod).to_owned()).collect::<Vec<_>>();
    assert_eq!(names(), ["db-0"], "the second waits until the first is ready");
    eventually("three pods", || {
        bind_all(&server);
        names() == ["db-0", "db-1", "db-2"]
    })
    .await;
    let mut db = server.get("statefulsets", "default", "db").unwrap();
    db["spec"]["replicas"] = 1.into();
    server.update(db).unwrap();
    eventually("the last go first", || {
        bind_all(&server);
        names() == ["db-0"]
    })
    .await;
}

#[tokio::test]
async fn a_job_runs_to_its_end() {
    let server = quick().await;
    server.create(job("sum", 4, pod("x"))).unwrap();
    let status = || server.get("jobs", "default", "sum").unwrap()["status"].clone();
    eventually("the job completes", || {
        bind_all(&server);
        status()["conditions"][0]["type"] == "Complete"
    })
    .await;
    assert_eq!((&status()["succeeded"], &status()["active"]), (&json!(4), &json!(0)));
    assert_eq!(pods(&server).len(), 4);
    assert!(pods(&server).iter().all(|pod| pod["status"]["phase"] == "Succeeded"));
}

#[tokio::test]
async fn a_job_goes_some_time_after_its_end() {
    let server = quick().await;
    for (name, stay) in [("brief", Some(0)), ("kept", None)] {
        let mut job = job(name, 1, pod("x")).build();
        job["spec"]["ttlSecondsAfterFinished"] = json!(stay);
        server.create(job).unwrap();
    }
    let exists = |name: &str| server.get("jobs", "default", name).is_ok();
    eventually("one goes", || {
        bind_all(&server);
        !exists("brief")
    })
    .await;
    eventually("its pods go too", || pods(&server).len() == 1).await;
    assert!(exists("kept"));
}

#[tokio::test]
async fn a_suspended_job_runs_nothing() {
    let server = quick().await;
    let mut waiting = job("wait", 2, pod("x")).build();
    waiting["spec"]["parallelism"] = 2.into();
    server.create(waiting).unwrap();
    eventually("its pods are there", || pods(&server).len() == 2).await;
    let suspend = |suspend: bool| {
        let mut job = server.get("jobs", "default", "wait").unwrap();
        job["spec"]["suspend"] = suspend.into();
        server.update(job).map(drop)
    };
    // Its status may change in between.
    eventually("it is suspended", || suspend(true).is_ok()).await;
    eventually("they are gone", || pods(&server).is_empty()).await;
    eventually("it goes on", || suspend(false).is_ok()).await;
    eventually("it completes", || {
        bind_all(&server);
        server.get("jobs", "default", "wait").unwrap()["status"]["succeeded"] == 2
    })
    .await;
}

#[tokio::test]
async fn a_failing_job_gives_up() {
    let server = quick().await;
    let failing = pod("x").annotation("plimsoll/exit-code", "1");
    let mut failing = job("fail", 1, failing).build();
    failing["spec"]["backoffLimit"] = 2.into();
    server.create(failing).unwrap();
    eventually("the job fails", || {
        bind_all(&server);
        server.get("jobs", "default", "fail").unwrap()["status"]["conditions"][0]["reason"] == "BackoffLimitExceeded"
    })
    .await;
    assert_eq!(pods(&server).len(), 3);
}

#[tokio::test]
async fn an_indexed_job_numbers_its_pods() {
    let server = quick().await;
    let mut indexed = job("ix", 3, pod("x")).build();
    indexed["spec"]["completionMode"] = "Indexed".into();
    server.create(indexed).unwrap();
    eventually("three pods", || pods(&server).len() == 3).await;
    let index = |pod: &Value| pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"].clone();
    let indexes: Vec<Value> = pods(&server).iter().map(index).collect();
    assert_eq!(indexes, ["0", "1", "2"]);
}

#[tokio::test]
async fn a_cron_job_runs_when_told_and_by_its_schedule() {
    let server = quick().await;
    server.create(cron_job("yearly", "@yearly", 1, pod("x"))).unwrap();
    server.fire_cron_job("default", "yearly").unwrap();
    eventually("a job was made", || server.list("jobs", None).unwrap().len() == 1).await;
    assert!(server.fire_cron_job("default", "nope").is_err());
    drop(server);

    let (server, _) = start(Options { cron_speedup: 6000, ..Options::default() }).await;
    server.create(cron_job("often", "* * * * *", 1, pod("x"))).unwrap();
    eventually("three jobs were made", || server.list("jobs", None).unwrap().len() >= 3).await;
    let often = server.get("cronjobs", "default", "often").unwrap();
    assert!(often["status"]["lastScheduleTime"].is_string());
}

#[tokio::test]
async fn kubelets_refuse_what_does_not_fit() {
    let server = quick().await;
    server.create(node("tiny").capacity(&[("cpu", "1"), ("memory", "1Gi"), ("pods", "2")])).unwrap();
    for (name, cpu) in [("a", "600m"), ("b", "600m")] {
        server.create(pod(name).requests(&[("cpu", cpu)])).unwrap();
        server.bind("default", name, "tiny").unwrap();
    }
    eventually("the second is refused", || {
        let b = server.get("pods", "default", "b").unwrap();
        b["status"]["phase"] == "Failed" && b["status"]["reason"] == "OutOfcpu"
    })
    .await;
    let b = server.get("pods", "default", "b").unwrap();
    let message = "Pod was rejected: Node didn't have enough resource: cpu, requested: 600, used: 600, capacity: 1000";
    assert_eq!(b["status"]["message"], message);
    eventually("the first runs", || server.get("pods", "default", "a").unwrap()["status"]["phase"] == "Running").await;
    server.delete("nodes", "", "tiny").unwrap();
    eventually("pods go with their node", || pods(&server).is_empty()).await;
}

#[tokio::test]
async fn a_pod_bound_before_its_node_came_runs_when_it_comes() {
    let server = quick().await;
    server.create(pod("early")).unwrap();
    server.bind("default", "early", "late").unwrap();
    server.create(node("late")).unwrap();
    eventually("it runs", || server.get("pods", "default", "early").unwrap()["status"]["phase"] == "Running").await;
}

#[tokio::test]
async fn many_pods_come_and_go() {
    let server = quick().await;
    server.create(deployment("big", 1200, pod("x"))).unwrap();
    eventually("all are made", || pods(&server).len() == 1200).await;
    server.delete("deployments", "default", "big").unwrap();
    eventually("all are gone", || pods(&server).is_empty()).await;
}

#[tokio::test]
async fn a_daemon_set_has_a_pod_on_every_node_that_takes_it() {
    let server = quick().await;
    server.create(node("n2")).unwrap();
    server.create(node("other").taint("x", "", "NoSchedule")).unwrap();
    let set = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": {
            "metadata": {"labels": {"app": "agent"}}, "spec": {"containers": [{"name": "c", "image": "one"}]},
        }},
    });
    server.create(set).unwrap();
    let wanted = |pod: &Value| {
        let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0].as_str().unwrap().to_owned()
    };
    let places = || pods(&server).iter().map(wanted).collect::<std::collections::BTreeSet<_>>();
    let place_all = || {
        for pod in pods(&server).iter().filter(|pod| pod["spec"].get("nodeName").is_none()) {
            // Gone or bound by now: as good.
            let _ = server.bind("default", name(pod), &wanted(pod));
        }
    };
    let status = |field: &str| server.get("daemonsets", "default", "agent").unwrap()["status"][field].clone();
    eventually("two are ready", || {
        place_all();
        status("numberReady") == 2
    })
    .await;
    assert_eq!(places().into_iter().collect::<Vec<_>>(), ["n1", "n2"]);
    assert_eq!((status("desiredNumberScheduled"), status("updatedNumberScheduled")), (json!(2), json!(2)));
    server.create(node("n3")).unwrap();
    server.delete("nodes", "", "n2").unwrap();
    eventually("it follows the nodes", || places().into_iter().eq(["n1", "n3"])).await;
    let mut agent = server.get("daemonsets", "default", "agent").unwrap();
    agent["spec"]["template"]["spec"]["containers"][0]["image"] = "two".into();
    server.update(agent).unwrap();
    eventually("all are of the new image", || {
        place_all();
        status("numberReady") == 2 && pods(&server).iter().all(|pod| pod["spec"]["containers"][0]["image"] == "two")
    })
    .await;
}

#[tokio::test]
async fn a_replication_controller_keeps_its_number() {
    let server = quick().await;
    let controller = json!({
        "apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "old"},
        "spec": {"replicas": 3, "template": {
            "metadata": {"labels": {"app": "old"}}, "spec": {"containers": [{"name": "c"}]},
        }},
    });
    server.create(controller).unwrap();
    let status = || server.get("replicationcontrollers", "default", "old").unwrap()["status"].clone();
    eventually("three pods are ready", || {
        bind_all(&server);
        status()["readyReplicas"] == 3
    })
    .await;
}

#[tokio::test]
async fn a_taint_sends_away_what_does_not_tolerate_it() {
    let server = quick().await;
    for (name, seconds) in [("now", None), ("later", Some(1)), ("never", Some(3600))] {
        let mut pod = pod(name).build();
        if let Some(seconds) = seconds {
            pod["spec"]["tolerations"] = json!([{"operator": "Exists", "tolerationSeconds": seconds}]);
        }
        server.create(pod).unwrap();
    }
    bind_all(&server);
    let running = || pods(&server).iter().filter(|pod| pod["status"]["phase"] == "Running").count();
    eventually("all run", || running() == 3).await;
    let addresses: std::collections::BTreeSet<String> =
        pods(&server).iter().map(|pod| pod["status"]["podIP"].to_string()).collect();
    assert_eq!(addresses.len(), 3, "each has its own address");
    let taint = |node: &mut Value| node["spec"]["taints"] = json!([{"key": "x", "effect": "NoExecute"}]);
    server.edit("nodes", "", "n1", taint).unwrap();
    eventually("one stays", || pods(&server).len() == 1 && name(&pods(&server)[0]) == "never").await;
    let events = server.list("events.events.k8s.io", None).unwrap();
    assert!(events.iter().any(|event| event["reason"] == "TaintManagerEviction"));
}
