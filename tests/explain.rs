//! `plimsoll explain` and `plimsoll check-config`, as processes: what goes in and what comes out.

#![expect(clippy::unwrap_used, reason = "in a test, a failed step is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use plimsoll_testkit::{NodeBuilder, PodBuilder, node, pod};
use serde_json::{Value, json};

/// Exit code, standard output and standard error.
type Ended = (i32, String, String);

/// Runs the program with this on standard input.
fn run(arguments: &[&str], input: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    // Whatever the user's own cluster is, it has no part in this.
    command.env("KUBECONFIG", "/nowhere").args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // The program may write before it has read everything, and may end before it has.
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// What is said of a pod in a cluster.
fn explain(items: &[Value], arguments: &[&str]) -> Ended {
    run(&[&["explain", "-f", "-"], arguments].concat(), &list(items))
}

fn machine(name: &str, cpu: &str) -> NodeBuilder {
    node(name).capacity(&[("cpu", cpu), ("memory", "8Gi"), ("pods", "10")])
}

fn asks(name: &str, cpu: &str) -> PodBuilder {
    pod(name).namespace("default").uid(&format!("uid-of-{name}")).requests(&[("cpu", cpu), ("memory", "1Gi")])
}

fn said(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|l| l == *line), "{line:?} is not in\n{text}");
    }
}

#[test]
fn people_see_where_it_goes_and_what_tipped_it() {
    let items = [
        machine("a", "4").build(),
        machine("b", "8").build(),
        machine("full", "1").build(),
        asks("web", "2").build(),
        asks("there", "1").node_name("a").phase("Running").build(),
    ];
    let (code, out, err) = explain(&items, &["pod/web"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("default/web would go to b, score "), "{out}");
    assert!(
        out.contains(" (2 of 3 nodes fit)\n") && out.contains("\nwhat tipped it: ") && out.contains(" over a ("),
        "{out}"
    );
    said(&out, &["full  NodeResourcesFit  Insufficient cpu"]);
    assert!(out.contains("\nb     fits"), "{out}");
    // What is the same for all nodes is told once; every plugin has its column where everything is asked for.
    assert!(out.contains("the same for each of them: TaintToleration 300"), "{out}");
    let (_, wide, _) = explain(&items, &["web", "-o", "wide"]);
    assert!(wide.contains("TaintToleration") && !wide.contains("the same for each of them"), "{wide}");
}

#[test]
fn a_pod_that_has_a_node_is_taken_off_and_decided_again() {
    let items = [
        machine("a", "4").build(),
        machine("b", "2").build(),
        asks("web", "3").node_name("a").phase("Running").build(),
    ];
    let (code, out, _) = explain(&items, &["pod/web"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("default/web, now on a, would stay on a, score "), "{out}");
    assert!(out.contains("\na (now here)  fits"), "{out}");
    let (_, out, _) = explain(&items, &["pod/web", "-o", "json"]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&answer["feasible"], &answer["best"]), (&json!(1), &json!(["a"])));
}

#[test]
fn the_nearest_misses_are_told_and_hold() {
    let gpu = json!([{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]);
    let mut tainted = machine("tainted", "4").build();
    tainted["spec"]["taints"] = gpu;
    let mut cordoned = machine("cordoned", "4").build();
    cordoned["spec"]["unschedulable"] = json!(true);
    let mut ported = asks("ported", "100m").node_name("ported").phase("Running").build();
    ported["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 80}]);
    let mut web = asks("web", "2").build();
    web["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 80}]);
    let items = [machine("small", "1700m").build(), tainted, cordoned, machine("ported", "4").build(), ported, web];
    let (code, out, _) = explain(&items, &["pod/web"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("default/web fits on no node\n"), "{out}");
    said(
        &out,
        &[
            "nearest misses:",
            "  fits on small if it asked for 300m less cpu",
            "  fits on tainted if it tolerated taint dedicated=gpu:NoSchedule",
            "  fits on cordoned if cordoned were not cordoned",
            "  fits on ported if it did without host port 80/TCP",
        ],
    );
    let (_, out, _) = explain(&items, &["pod/web", "-o", "json"]);
    let message = serde_json::from_str::<Value>(&out).unwrap()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("0/4 nodes are available: 1 Insufficient cpu, "), "{message}");
    // What is told is true.
    let mut less = items.to_vec();
    less[5]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("1700m");
    assert!(explain(&less, &["web"]).1.starts_with("default/web would go to small"), "{out}");
}

#[test]
fn preemption_that_would_help_is_told() {
    let mut web = asks("web", "3").build();
    web["spec"]["priority"] = json!(100);
    let items = [machine("a", "4").build(), asks("lesser", "2").node_name("a").phase("Running").build(), web];
    let (_, out, _) = explain(&items, &["web"]);
    said(&out, &["preempting default/lesser on a would make room"]);
    let (_, out, _) = explain(&items, &["web", "-o", "json"]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    let expect = json!({"code": "Success", "nominatedNode": "a", "victims": ["default/lesser"]});
    assert_eq!(answer["preemption"], expect, "{answer:#}");
}

#[test]
fn large_clusters_are_summed_up() {
    let mut items: Vec<Value> =
        (0..40).map(|n| machine(&format!("n{n:02}"), if n < 15 { "4" } else { "1" }).build()).collect();
    items.push(asks("web", "2").build());
    let (_, out, _) = explain(&items, &["web"]);
    said(
        &out,
        &["and 5 more that fit", "25 nodes  NodeResourcesFit  Insufficient cpu  n15, n16, n17, n18, n19, and 20 more"],
    );
    let (_, out, _) = explain(&items, &["web", "-o", "wide"]);
    assert_eq!(out.lines().filter(|line| line.starts_with('n')).count(), 40, "{out}");
}

#[test]
fn a_manifest_is_decided_on_a_cluster_that_does_not_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let own = write(
        "own.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: c, image: i}]}\n",
    );
    let cluster = write("cluster.json", &list(&[machine("a", "4").build()]));
    let (code, out, err) = run(&["explain", "--pod", &own, "--cluster", &cluster], "");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("default/web would go to a, score "), "{out}");
    let (_, out, _) = run(&["explain", "--pod", &own, "-n", "prod", "-f", &cluster], "");
    assert!(out.starts_with("prod/web would go to a, score "), "{out}");
    let gizmo = write("gizmo.yaml", "apiVersion: v1\nkind: Gizmo\nmetadata: {name: g}\n");
    let (code, _, err) = run(&["explain", "--pod", &own, "-f", &cluster, "-f", &gizmo], "");
    assert_eq!(code, 2);
    assert_eq!(err, format!("error: {gizmo}:1: Gizmo g is of a kind that apiVersion \"v1\" does not have\n"));
}

#[test]
fn wrong_usage_is_told() {
    let items = [machine("a", "4").build(), asks("web", "2").namespace("prod").build()];
    for (arguments, text) in [
        (&["pod/nobody"][..], "there is no pod default/nobody in the files"),
        (&["web"], "there is no pod default/web in the files; there is one in -n prod"),
        (&["deployment/web"], "deployment/web: a pod can be explained, no deployment"),
        (&["web", "-n", "prod", "--scheduler-name", "x"], "no profile is named \"x\"; there are plimsoll"),
        (&["web", "--scenarios", "x"], "cannot be used with"),
    ] {
        let (code, out, err) = explain(&items, arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(err.contains(text), "{arguments:?}: {err}");
    }
    let (code, _, err) = run(&["explain", "--scenarios", "x"], "");
    assert_eq!((code, err.as_str()), (2, "error: --scenarios needs -o json: its answers are for machines\n"));
}

#[test]
fn what_a_pod_refers_to_and_the_input_lacks_is_named() {
    let mut web = asks("web", "1").build();
    web["spec"]["volumes"] = json!([
        {"name": "a", "persistentVolumeClaim": {"claimName": "gone"}},
        {"name": "b", "persistentVolumeClaim": {"claimName": "there"}},
    ]);
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "there", "namespace": "default"},
        "spec": {"storageClassName": "fast", "accessModes": ["ReadWriteOnce"]}});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}});
    let (_, _, err) = explain(&[machine("a", "4").build(), web, claim, namespace], &["web"]);
    said(
        &err,
        &[
            "warning: standard input:1: Pod default/web is in namespace default, which is not in the input",
            "warning: standard input:1: Pod default/web refers to PersistentVolumeClaim default/gone, which is not in the input",
            "warning: standard input:1: PersistentVolumeClaim default/there refers to StorageClass fast, which is not in the input",
        ],
    );
}

fn golden(subject: &str) -> PathBuf {
    PathBuf::from(format!("{}/tests/golden/{subject}.jsonl.gz", env!("CARGO_MANIFEST_DIR")))
}

fn lines(subject: &str) -> Vec<Value> {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(golden(subject)).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn answers(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Answers a file of scenarios.
fn solve(file: &str) -> Ended {
    run(&["explain", "--scenarios", file, "-o", "json"], "")
}

#[test]
fn scenarios_are_answered_line_by_line_in_the_recorded_form() {
    // Every kind of answer is in these; tests/golden.rs compares the decisions of all of them.
    for subject in ["taints", "nominated", "podaffinity", "preemption", "volumes", "nodeaffinity"] {
        let (code, out, _) = solve(&golden(subject).display().to_string());
        assert_eq!(code, 0, "{subject}");
        let (answers, scenarios) = (answers(&out), lines(subject));
        assert_eq!(answers.len(), scenarios.len());
        for (answer, scenario) in answers.iter().zip(&scenarios) {
            assert_eq!(*answer, scenario["expect"], "{}", scenario["name"]);
        }
    }
}

#[test]
fn a_bad_line_is_answered_in_its_place_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.jsonl");
    let good = json!({"objects": [machine("a", "4").build()], "pod": asks("web", "1").build()});
    let with = |field: &str, value: Value| {
        let mut line = good.clone();
        line[field] = value;
        line.to_string()
    };
    let texts = [
        good.to_string(),
        "{\"objects\": [".to_owned(),
        with("objects", json!([{"metadata": {"name": "x"}}])),
        with("objects", json!([{"apiVersion": "v1", "kind": "Gizmo", "metadata": {"name": "x"}}])),
        with(
            "config",
            json!({"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration", "parallelism": 0}),
        ),
        with("pod", json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "x"}})),
        good.to_string(),
    ];
    std::fs::write(&path, texts.join("\n")).unwrap();
    let file = path.display().to_string();
    let (code, out, err) = solve(&file);
    assert_eq!(code, 2);
    let answers = answers(&out);
    assert_eq!(answers.len(), texts.len(), "{out}");
    assert_eq!(answers[0]["best"], json!(["a"]), "{out}");
    assert_eq!(answers[0], answers[6]);
    for (at, text) in [
        (1, "no scenario: EOF while parsing a list"),
        (2, "no Kubernetes object: it has no apiVersion or no kind"),
        (3, "Gizmo x is of a kind that apiVersion \"v1\" does not have"),
        (5, "\"pod\" is no Pod but Node x"),
    ] {
        let error = answers[at]["error"].as_str().unwrap();
        assert!(error.starts_with(text), "{error}");
        said(&err, &[&format!("{file}:{}: {error}", at + 1)]);
    }
    let refused = answers[4]["configError"].as_str().unwrap();
    assert!(refused.contains("parallelism: must be 1 or more, not 0"), "{refused}");
    assert_eq!(err.lines().count(), 4, "{err}");
}

#[test]
fn a_file_that_was_cut_off_is_answered_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.jsonl.gz");
    let line = json!({"objects": [machine("a", "4").build()], "pod": asks("web", "1").build()}).to_string() + "\n";
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::none());
    packed.write_all(line.repeat(300).as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    std::fs::write(&path, &packed[..packed.len() / 2]).unwrap();
    let file = path.display().to_string();
    let (code, out, err) = solve(&file);
    assert_eq!(code, 2);
    let answers = answers(&out);
    let (last, whole) = answers.split_last().unwrap();
    assert!(whole.len() > 100 && whole.iter().all(|answer| answer["best"] == json!(["a"])), "{}", whole.len());
    assert!(last["error"].as_str().unwrap().starts_with("the file cannot be read any further: "), "{last}");
    assert!(err.starts_with(&format!("{file}:{}: ", answers.len())), "{err}");
    let (code, _, err) = solve("/nowhere/s.jsonl");
    assert_eq!(code, 2);
    assert!(err.contains("reading /nowhere/s.jsonl"), "{err}");
}

#[test]
fn check_config_resolves_every_recorded_file_as_kube_scheduler_does() {
    let folder = tempfile::tempdir().unwrap();
    let cases = lines("config");
    let path =
        |case: &Value| folder.path().join(format!("{}.yaml", case["name"].as_str().unwrap())).display().to_string();
    for case in &cases {
        std::fs::write(path(case), case["config"].as_str().unwrap()).unwrap();
    }
    let files: Vec<String> = cases.iter().map(path).collect();
    let arguments: Vec<&str> =
        ["check-config", "-o", "json"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let (code, out, err) = run(&arguments, "");
    assert_eq!(code, 2, "some are refused");
    let values = serde_json::Deserializer::from_str(&out).into_iter::<Value>().map(Result::unwrap);
    let resolved: BTreeMap<String, Value> =
        values.map(|value| (value["file"].as_str().unwrap().to_owned(), value)).collect();
    let mut accepted = 0;
    for case in &cases {
        let (name, expect, file) = (case["name"].as_str().unwrap(), &case["expect"], path(case));
        if expect["errors"].is_null() {
            for (field, value) in expect.as_object().unwrap() {
                assert_eq!(&resolved[&file][field], value, "{name}: {field}");
            }
            accepted += 1;
        } else if ["v1beta2", "v1beta3"].contains(&name) {
            // Former versions are read here, and that is said.
            let differs = resolved[&file]["differs"].as_array().unwrap();
            assert!(differs.iter().any(|d| d["field"] == "apiVersion" && d["upstream"] == "refused"), "{differs:?}");
        } else {
            assert!(!resolved.contains_key(&file), "{name} is accepted");
            assert!(err.lines().any(|line| line.starts_with(&file)), "{name} is not named");
        }
    }
    assert_eq!(accepted, 129);
}

#[test]
fn check_config_tells_what_is_done_otherwise() {
    let head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
    let (code, out, _) = run(&["check-config", "-", "-o", "json"], head);
    assert_eq!(code, 0);
    let value: Value = serde_json::from_str(&out).unwrap();
    let fields: BTreeSet<&str> =
        value["differs"].as_array().unwrap().iter().map(|d| d["field"].as_str().unwrap()).collect();
    for field in [
        "profiles[0].schedulerName",
        "leaderElection.resourceName",
        "leaderElection.resourceNamespace",
        "clientConnection.qps",
        "clientConnection.burst",
        "parallelism",
        "percentageOfNodesToScore",
        "coexistence.refusalCooldown",
        "plugins.DynamicResources",
    ] {
        assert!(fields.contains(field), "{field}: {fields:?}");
    }
    assert!(!fields.contains("coexistence.headroom"), "nothing is to stay free");
    assert!(!fields.contains("plugins.VolumeBinding"), "it does all that kube-scheduler's does");
    let text = format!(
        "{head}profiles:\n- schedulerName: a\n  plugins: {{filter: {{disabled: [{{name: NodePorts}}]}}, score: {{disabled: \
         [{{name: ImageLocality}}], enabled: [{{name: NodeAffinity, weight: 7}}]}}}}\n"
    );
    let (_, out, _) = run(&["check-config", "-"], &text);
    said(
        &out,
        &[
            "  differs from the default profile:",
            "    filter: without NodePorts",
            "    score: without ImageLocality, NodeAffinity=7 instead of 2, in another order",
        ],
    );
}

#[test]
fn check_config_tells_that_nothing_is_written_in_shadow_mode() {
    let text = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n---\n\
                apiVersion: config.plimsoll/v1alpha1\nkind: PlimsollConfiguration\nmode: Shadow\n\
                shadow: {schedulerNames: [default-scheduler, volcano]}\n";
    let (code, out, _) = run(&["check-config", "-"], text);
    assert_eq!(code, 0, "{out}");
    said(
        &out,
        &[
            "  mode             Shadow: nothing is written; compared with default-scheduler, volcano",
            "  leader election  none in mode Shadow",
        ],
    );
}
