//! `plimsoll simulate`, as a process: what goes in and what comes out.

#![cfg(feature = "tools")]
#![expect(clippy::unwrap_used, reason = "in a test, a failed step is a failed test")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use plimsoll_testkit::{PodBuilder, cron_job, deployment, node, pod};
use serde_json::{Value, json};

/// Exit code, standard output and standard error.
type Ended = (i32, String, String);

/// Simulates what comes on standard input.
fn simulate(input: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    // Whatever the user's own cluster is, it has no part in this.
    command.env("KUBECONFIG", "/nowhere").args(["simulate", "-f", "-"]).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// The result as JSON; it must have ended well.
fn result(items: &[Value], arguments: &[&str]) -> Value {
    let (code, out, err) = simulate(&list(items), &[&["-o", "json"], arguments].concat());
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

/// A pod as a dump of a cluster has it.
fn known(name: &str) -> PodBuilder {
    pod(name).uid(&format!("uid-of-{name}")).namespace("default").requests(&[("cpu", "1")])
}

fn fates(result: &Value) -> Vec<(String, Option<String>)> {
    let pods = result["pods"].as_array().unwrap().iter();
    pods.map(|pod| (pod["name"].as_str().unwrap().to_owned(), pod["node"].as_str().map(str::to_owned))).collect()
}

#[test]
fn gangs_are_placed_as_a_whole() {
    let member = |gang: &str, n: usize| {
        pod(&format!("{gang}-{n}")).label("scheduling.x-k8s.io/pod-group", gang).requests(&[("cpu", "2")]).build()
    };
    let group = |name: &str, count: i64| {
        json!({"apiVersion": "scheduling.x-k8s.io/v1alpha1", "kind": "PodGroup",
               "metadata": {"name": name, "namespace": "default"}, "spec": {"minMember": count}})
    };
    let items = vec![
        node("n").capacity(&[("cpu", "6"), ("memory", "8Gi"), ("pods", "10")]).build(),
        group("fits", 2),
        group("lacks", 3),
        group("large", 2),
        member("fits", 0),
        member("fits", 1),
        member("lacks", 0),
        member("large", 0),
        member("large", 1),
    ];
    let result = result(&items, &[]);
    let on = |name: &str, node: Option<&str>| (name.to_owned(), node.map(str::to_owned));
    assert_eq!(
        fates(&result),
        [
            on("fits-0", Some("n")),
            on("fits-1", Some("n")),
            on("lacks-0", None),
            on("large-0", None),
            on("large-1", None)
        ]
    );
    let said = |at: usize| result["pods"][at]["message"].as_str().unwrap();
    assert!(said(2).ends_with("1 of 3 pods of default/lacks are there"), "{}", said(2));
    assert!(said(3).starts_with("pod group is unschedulable: of 2 pods of default/large, large-1"), "{}", said(3));
}

#[test]
fn a_dump_of_a_cluster_counts_what_is_there_and_places_what_waits() {
    let items: Vec<Value> = vec![
        node("big").uid("n1").build(),
        node("small").uid("n2").capacity(&[("cpu", "2"), ("memory", "4Gi"), ("pods", "10")]).build(),
        // Others' pods take up room as ours do, also when they are on their way out; those that have ended do not.
        known("theirs").scheduler_name("other").node_name("big").phase("Running").build(),
        known("leaving").node_name("big").phase("Running").deleting().build(),
        known("ended").node_name("small").phase("Succeeded").build(),
        known("failed").node_name("small").phase("Failed").build(),
        known("astray").node_name("gone").phase("Running").build(),
        known("waits").scheduler_name("other").requests(&[("cpu", "2")]).build(),
        known("waits-too").requests(&[("cpu", "2")]).build(),
        known("too-large").requests(&[("cpu", "3")]).build(),
        known("gated").gate("example.com/gate").build(),
        deployment("from-the-cluster", 5, pod("x")).uid("d1").build(),
    ];
    let result = result(&items, &[]);
    let fates = fates(&result);
    let names: Vec<&str> = fates.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["gated", "too-large", "waits", "waits-too"]);
    let mut used: Vec<_> = fates[2..].iter().map(|(_, node)| node.clone().unwrap()).collect();
    used.sort();
    assert_eq!(used, ["big", "small"]);
    assert_eq!(result["pods"][0]["reason"], "SchedulingGated");
    assert_eq!(
        result["pods"][1]["message"],
        "0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: 0/2 nodes are available: \
         1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling."
    );
    assert_eq!(
        result["summary"],
        json!({
            "placed": 2, "pending": 2, "evicted": 0, "notTaken": 0, "bound": 3, "onUnknownNodes": 1, "finished": 2, "nodes": 2,
            "nodesUsedBefore": 1, "nodesUsedAfter": 2, "unused": {"Deployment": 1},
        })
    );
    let big = &result["nodes"][0];
    assert_eq!((&big["before"]["milliCpu"], &big["after"]["milliCpu"]), (&json!(2000), &json!(4000)));
}

#[test]
fn pods_of_lower_priority_go_for_those_that_fit_nowhere() {
    let low = |name: &str| known(name).node_name("n").phase("Running").requests(&[("cpu", "2")]);
    let items = [
        node("n").build(),
        low("ours").build(),
        low("theirs").scheduler_name("other").build(),
        known("urgent").priority(9).requests(&[("cpu", "2")]).build(),
        known("more").priority(8).requests(&[("cpu", "2")]).build(),
    ];
    let result = result(&items, &[]);
    assert_eq!(fates(&result), [("more".to_owned(), None), ("urgent".to_owned(), Some("n".to_owned()))]);
    let gone = json!([{ "namespace": "default", "name": "ours", "node": "n", "evictedFor": "default/urgent" }]);
    assert_eq!((&result["evicted"], &result["summary"]["evicted"]), (&gone, &json!(1)));
    assert_eq!(result["nodes"][0]["after"]["milliCpu"], 4_000);
}

#[test]
fn only_the_pods_of_a_scheduler_are_placed_when_it_is_named() {
    let items = [node("n").build(), known("ours").build(), known("theirs").scheduler_name("other").build()];
    let of_other = result(&items, &["--scheduler-name", "other"]);
    assert_eq!(fates(&of_other), [("theirs".to_owned(), Some("n".to_owned()))]);
    assert_eq!(of_other["summary"]["notTaken"], 1);
}

#[test]
fn plain_manifests_make_their_pods() {
    let template = || pod("t").label("app", "nginx").image("nginx:1.27").requests(&[("cpu", "250m")]);
    let items = [
        node("n1").build(),
        node("n2").build(),
        deployment("nginx", 3, template()).build(),
        cron_job("backup", "0 3 * * *", 1, pod("t").requests(&[("cpu", "500m")])).build(),
    ];
    let result = result(&items, &[]);
    let names = fates(&result);
    assert!(names.iter().all(|(_, node)| node.is_some()), "{names:?}");
    let count = |prefix: &str| names.iter().filter(|(name, _)| name.starts_with(prefix)).count();
    assert_eq!((count("nginx-"), count("backup-"), names.len()), (3, 1, 4));
}

#[test]
fn the_example_goes_where_the_demo_says() {
    let (code, out, err) = simulate(include_str!("../examples/nginx-and-cronjobs.yaml"), &["-o", "json"]);
    assert_eq!(code, 0, "{err}");
    let fates = fates(&serde_json::from_str(&out).unwrap());
    assert_eq!(fates.len(), 5, "{fates:?}");
    for (name, node) in fates {
        let node = node.unwrap();
        let right = if name.starts_with("web-nginx") { ["kind-worker", "kind-worker2"] } else { ["kind-worker3"; 2] };
        assert!(right.contains(&node.as_str()), "{name} is on {node}");
    }
}

#[test]
fn a_daemon_set_makes_a_pod_for_every_node_that_takes_it() {
    let template = json!({
        "metadata": {"labels": {"app": "agent"}},
        "spec": {"nodeSelector": {"agent": "yes"}, "containers": [{"name": "c", "image": "agent:1"}]},
    });
    let agent = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": template},
    });
    let items = [
        node("n1").uid("u1").label("agent", "yes").build(),
        node("n2").label("agent", "yes").unschedulable().build(),
        node("n3").uid("u3").build(),
        agent,
    ];
    let mut nodes: Vec<_> = fates(&result(&items, &[])).into_iter().filter_map(|(_, node)| node).collect();
    nodes.sort();
    assert_eq!(nodes, ["n1", "n2"]);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let mut items: Vec<Value> = (0..20).map(|n| node(&format!("node-{n}")).build()).collect();
    items.push(deployment("web", 60, pod("t").requests(&[("cpu", "300m")])).build());
    let run = |arguments: &[&str]| simulate(&list(&items), arguments).1;
    for form in ["table", "wide", "json"] {
        assert_eq!(run(&["-o", form]), run(&["-o", form]), "{form}");
    }
    assert_ne!(run(&["-o", "json"]), run(&["-o", "json", "--seed", "2"]));
}

#[test]
fn people_are_told_what_they_want_to_know() {
    let items = [node("n1").build(), known("a").build(), known("b").requests(&[("cpu", "9")]).build()];
    let (code, out, _) = simulate(&list(&items), &[]);
    assert_eq!(code, 0);
    let wanted = "\
NAMESPACE  POD  NODE  WHY NOT
default    a    n1
default    b    -     0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.

NODE  PODS         CPU           MEMORY
n1    0 -> 1 (0%)  0 -> 1 (25%)  0 (0%)

1 pod placed, 1 pending; 1 of 1 node used (0 before).
";
    assert_eq!(out, wanted);
    assert_eq!(simulate(&list(&items), &["--fail-on-pending"]).0, 1);
    assert_eq!(simulate(&list(&items[..2]), &["--fail-on-pending"]).0, 0);
}

#[test]
fn many_pods_and_nodes_are_summed_up() {
    let mut items: Vec<Value> = (0..50).map(|n| node(&format!("node-{n}")).build()).collect();
    items.push(deployment("web", 90, pod("t").requests(&[("cpu", "1")])).build());
    items.push(deployment("db", 2, pod("t").requests(&[("cpu", "8")])).build());
    let (_, out, _) = simulate(&list(&items), &[]);
    assert!(out.lines().count() < 15, "{out}");
    assert!(out.contains("0/50 nodes are available: 50 Insufficient cpu."), "{out}");
    assert!(out.contains("90 pods placed, 2 pending; 50 of 50 nodes used (0 before)."), "{out}");
    let (_, wide, _) = simulate(&list(&items), &["-o", "wide"]);
    assert!(wide.lines().count() > 140, "{wide}");
}

#[test]
fn a_configuration_decides_how_they_are_placed() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    let packing = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nprofiles:\n- \
                   schedulerName: packing\n  pluginConfig:\n  - name: NodeResourcesFit\n    args: {scoringStrategy: \
                   {type: MostAllocated, resources: [{name: cpu, weight: 1}]}}\n  plugins:\n    score:\n      \
                   disabled: [{name: '*'}]\n      enabled: [{name: NodeResourcesFit}]\n";
    std::fs::write(&config, packing).unwrap();
    let mut items: Vec<Value> = (0..4).map(|n| node(&format!("node-{n}")).build()).collect();
    items.extend((0..4).map(|n| known(&format!("p{n}")).build()));
    let used = |arguments: &[&str]| result(&items, arguments)["summary"]["nodesUsedAfter"].clone();
    assert_eq!(used(&[]), 4);
    assert_eq!(used(&["--config", config.to_str().unwrap()]), 1);
}

#[test]
fn pods_follow_claims_and_namespaces_of_the_input() {
    let term = json!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]}]}]);
    let on = |name: &str| node(name).label("kubernetes.io/hostname", name).build();
    let repelling = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
        "topologyKey": "kubernetes.io/hostname", "labelSelector": {},
        "namespaceSelector": {"matchLabels": {"team": "red"}}}]}});
    let items = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default", "labels": {"team": "red"}}}),
        on("a"),
        on("b"),
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "nodeAffinity": {"required": {"nodeSelectorTerms": term}}}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c",
            "annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {"volumeName": "v"}}),
        known("keeps-data").volume(json!({"name": "d", "persistentVolumeClaim": {"claimName": "c"}})).build(),
        known("lost").volume(json!({"name": "d", "persistentVolumeClaim": {"claimName": "gone"}})).build(),
        known("repels").set("/spec/affinity", repelling).build(),
    ];
    let result = result(&items, &[]);
    let node_of = |name: &str| fates(&result).into_iter().find(|(n, _)| n == name).unwrap().1;
    assert_eq!(node_of("keeps-data").as_deref(), Some("b"));
    assert_eq!(node_of("repels").as_deref(), Some("a"), "the other node has a pod of team red");
    assert_eq!(node_of("lost"), None);
}

#[test]
fn claims_that_wait_for_pods_get_volumes_at_once() {
    let class = |name: &str, provisioner: &str| {
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
               "provisioner": provisioner, "volumeBindingMode": "WaitForFirstConsumer"})
    };
    let claim = |name: &str, class: &str, annotations: Value| {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
               "metadata": {"name": name, "annotations": annotations},
               "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "1Gi"}}}})
    };
    let using = |name: &str, claim: &str| {
        known(name).volume(json!({"name": "d", "persistentVolumeClaim": {"claimName": claim}}))
    };
    let term = json!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]}]}]);
    let none = || json!({});
    let selected = json!({"volume.kubernetes.io/selected-node": "b"});
    let items = [
        node("a").label("kubernetes.io/hostname", "a").zone("za").build(),
        node("b").label("kubernetes.io/hostname", "b").zone("zb").build(),
        class("local", "kubernetes.io/no-provisioner"),
        class("made", "csi.example.com"),
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"},
               "status": {"phase": "Available"}, "spec": {"storageClassName": "local", "capacity": {"storage": "1Gi"},
               "accessModes": ["ReadWriteOnce"], "nodeAffinity": {"required": {"nodeSelectorTerms": term}}}}),
        claim("first", "local", none()),
        claim("second", "local", none()),
        claim("made", "made", none()),
        claim("selected", "made", selected),
        using("p1", "first").build(),
        using("p2", "second").build(),
        using("p3", "made").node_selector("kubernetes.io/hostname", "a").build(),
        using("p4", "made").build(),
        using("p5", "selected").build(),
    ];
    let result = result(&items, &[]);
    let node_of = |name: &str| fates(&result).into_iter().find(|(n, _)| n == name).unwrap().1;
    assert_eq!(node_of("p1").as_deref(), Some("b"), "where the volume is");
    assert_eq!(node_of("p2"), None, "it is taken");
    assert_eq!(node_of("p3").as_deref(), Some("a"));
    assert_eq!(node_of("p4").as_deref(), Some("a"), "its volume was made in that zone");
    assert_eq!(node_of("p5").as_deref(), Some("b"), "the claim had its node already");
}

#[test]
fn wrong_input_is_named_with_its_place() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n";
    let job =
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {template: {spec: {priorityClassName: none}}}\n";
    for (input, error) in [
        ("{", "standard input:1: not readable as JSON: EOF while parsing an object"),
        ("a: b: c", "standard input:1: not readable as YAML: "),
        ("hello", "standard input:1: no Kubernetes object"),
        (&format!("{pod}---\n{pod}"), "standard input:5: Pod a comes twice; the first is in standard input:1"),
        (&format!("{pod}spec: {{containers: 3}}\n"), "standard input:1: Pod a is no Pod: "),
        ("apiVersion: v9\nkind: Pod\nmetadata: {name: a}", ""),
        (
            "apiVersion: apps/v9\nkind: Deployment\nmetadata: {name: a}",
            "standard input:1: Deployment a has apiVersion \"apps/v9\"",
        ),
        (job, "Job default/j: Error creating: "),
        (&job.replace("priorityClassName: none", "containers: 3"), "decoding pods j-"),
    ] {
        let (code, out, err) = simulate(input, &[]);
        if error.is_empty() {
            assert_eq!((code, out.contains("Not looked at: 1 Pod")), (0, true), "{out}{err}");
            continue;
        }
        assert_eq!((code, out.as_str()), (2, ""), "{input}: {err}");
        assert!(err.contains(error), "{input}: {err}");
    }
}

#[test]
fn headroom_is_left_where_there_is_room_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    let text = "apiVersion: config.plimsoll/v1alpha1\nkind: PlimsollConfiguration\ntieBreak: name\n\
                coexistence: {headroom: [{nodeSelector: {pool: batch}, resources: {cpu: 2}}]}\n";
    std::fs::write(&config, text).unwrap();
    let sized = |name: &str| node(name).capacity(&[("cpu", "4"), ("memory", "8Gi"), ("pods", "10")]);
    let mut items = vec![sized("a").label("pool", "batch").build(), sized("b").build()];
    items.extend((0..8).map(|n| known(&format!("p{n}")).build()));
    let nodes = |arguments: &[&str]| -> Vec<String> {
        fates(&result(&items, arguments)).into_iter().map(|(_, node)| node.unwrap()).collect()
    };
    assert_eq!(nodes(&["--config", config.to_str().unwrap()]), ["a", "b", "a", "b", "b", "b", "a", "a"]);
    std::fs::write(&config, text.split("coexistence").next().unwrap()).unwrap();
    assert_eq!(nodes(&["--config", config.to_str().unwrap()]), ["a", "b", "a", "b", "a", "b", "a", "b"]);
}
