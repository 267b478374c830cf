//! The program as it is, run against the stand-in API server with the configuration of this folder.

#![expect(clippy::unwrap_used, reason = "in a test, a failed step is a failed test")]

use std::process::{Child, Command, Output};
use std::time::Duration;

use plimsoll_apiserver::{Kind, Options, Server};
use plimsoll_testkit::{node, pod};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// How long anything is waited for. Only a test that fails waits that long.
const PATIENCE: Duration = Duration::from_secs(60);
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config.yaml");

/// The program, as if outside any cluster.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_custom-scheduler"));
    for name in ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECONFIG", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

/// A cluster that knows rack budgets, and the scheduler at work on it.
struct Rig {
    server: Server,
    scheduler: Child,
    _kubeconfig: tempfile::NamedTempFile,
}

impl Drop for Rig {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        drop(self.scheduler.kill());
        drop(self.scheduler.wait());
    }
}

impl Rig {
    async fn start(objects: Vec<Value>) -> Self {
        let budgets = Kind::new("example.com", "v1", "rackbudgets", "RackBudget", false);
        let server = Server::start(Options { extra_kinds: vec![budgets], ..Options::default() }).await.unwrap();
        let count = objects.len();
        assert_eq!(server.load(objects), count, "all objects are loaded");
        let kubeconfig = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(kubeconfig.path(), server.kubeconfig()).unwrap();
        let mut command = program();
        command.args([
            "--http-address=0",
            "--secure-port=0",
            "--leader-elect=false",
            "--config",
            CONFIG,
            "--kubeconfig",
        ]);
        let scheduler = command.arg(kubeconfig.path()).spawn().unwrap();
        Self { server, scheduler, _kubeconfig: kubeconfig }
    }

    fn create(&self, object: impl Into<Value>) {
        self.server.create(object).unwrap();
    }

    /// What a pod says at this place, as soon as it passes.
    async fn text(&self, name: &str, pointer: &str, passes: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let pod = self.server.get("pods", "default", name).unwrap();
            let text = pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            if passes(text) {
                return text.to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} for {name}: {pod:#}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a pod is on a node; gives the node.
    async fn bound(&self, name: &str) -> String {
        self.text(name, "/spec/nodeName", |node| !node.is_empty()).await
    }

    /// Waits until a pod says this: pods, nodes and budgets come by watches of their own, of which any may be ahead.
    async fn says(&self, name: &str, message: &str) {
        let pointer = "/status/conditions/0/message";
        self.text(name, pointer, |text| text.strip_prefix(message).is_some_and(|more| more.starts_with('.'))).await;
    }
}

/// A node of a tier, with this much CPU.
fn tiered(name: &str, tier: &str, cpu: &str) -> Value {
    node(name).label("tier", tier).capacity(&[("cpu", cpu), ("memory", "8Gi"), ("pods", "50")]).build()
}

fn asks(name: &str, cpu: &str) -> plimsoll_testkit::PodBuilder {
    pod(name).requests(&[("cpu", cpu)])
}

fn budget(rack: &str, cpu: &str) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "RackBudget", "metadata": {"name": rack}, "spec": {"cpuPerNode": cpu}})
}

#[tokio::test(flavor = "multi_thread")]
async fn tiers_are_kept_and_the_freest_node_is_taken() {
    let rig = Rig::start(vec![
        tiered("control", "control", "64"),
        tiered("cronjob", "cronjob", "32"),
        tiered("small", "web", "4"),
        tiered("large", "web", "8"),
    ])
    .await;
    for n in 0..5 {
        rig.create(asks(&format!("job-{n}"), "1").node_selector("tier", "cronjob"));
        rig.create(asks(&format!("web-{n}"), "1"));
    }
    for n in 0..5 {
        assert_eq!(rig.bound(&format!("job-{n}")).await, "cronjob");
        assert!(["small", "large"].contains(&rig.bound(&format!("web-{n}")).await.as_str()));
    }
    // 8 and 4 of CPU: the first four go where most is left.
    let on = |node: &str| {
        let pods = rig.server.list("pods", None).unwrap();
        pods.iter().filter(|pod| pod["spec"]["nodeName"] == node).count()
    };
    assert!(on("large") >= 4, "{} on large, {} on small", on("large"), on("small"));
    // The closed tier takes nobody, not even whoever names it.
    rig.create(asks("control", "1").node_selector("tier", "control"));
    rig.says(
        "control",
        "0/4 nodes are available: 1 node(s) were in a tier that takes no pods, \
         3 node(s) didn't match Pod's node affinity/selector",
    )
    .await;
    // A node that becomes one of a tier wakes who waits for the tier.
    rig.create(asks("large-job", "20").node_selector("tier", "cronjob"));
    assert_eq!(rig.bound("large-job").await, "cronjob");
    rig.create(asks("second-job", "20").node_selector("tier", "cronjob"));
    rig.says(
        "second-job",
        "0/4 nodes are available: 1 Insufficient cpu, 3 node(s) didn't match Pod's node affinity/selector",
    )
    .await;
    rig.create(tiered("spare", "web", "32"));
    rig.server.edit("nodes", "", "spare", |node| node["metadata"]["labels"]["tier"] = json!("cronjob")).unwrap();
    assert_eq!(rig.bound("second-job").await, "spare");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_changes_wakes_the_pod_that_waited_for_it() {
    let racked = node("racked").annotation("example.com/rack", "r7").capacity(&[("cpu", "16"), ("pods", "9")]);
    let rig = Rig::start(vec![racked.build(), budget("r7", "2")]).await;
    rig.create(asks("first", "1500m"));
    assert_eq!(rig.bound("first").await, "racked");
    rig.create(asks("second", "1"));
    rig.says("second", "0/1 nodes are available: 1 node(s) were in a rack without enough budget").await;
    rig.server.edit("rackbudgets.example.com", "", "r7", |budget| budget["spec"]["cpuPerNode"] = json!("3")).unwrap();
    assert_eq!(rig.bound("second").await, "racked");
    rig.create(asks("third", "1"));
    rig.says("third", "0/1 nodes are available: 1 node(s) were in a rack without enough budget").await;
    rig.server.delete("rackbudgets.example.com", "", "r7").unwrap();
    assert_eq!(rig.bound("third").await, "racked");
}

/// Exit code, standard output and standard error.
fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_config_knows_the_plugin_and_its_arguments() {
    let (code, out, err) = ended(program().args(["check-config", CONFIG]).output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for line in ["with TierDedication", "with RackBudget", "with MostAvailableCPU=2"] {
        assert!(out.contains(line), "{line} is missing in {out}");
    }
    let bad = std::fs::read_to_string(CONFIG).unwrap();
    let bad = bad.replace("withoutBudget: Open", "withoutBudget: Perhaps").replace("[cronjob]", "[control]");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bad).unwrap();
    let (code, _, err) = ended(program().arg("check-config").arg(file.path()).output().unwrap());
    assert_eq!(code, 2, "{err}");
    let path = file.path().display();
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(
        lines,
        [
            format!(
                "{path}:17:23: profiles[0].pluginConfig[0].args.dedicated[0]: \"control\" is listed twice: it is closed[0] too"
            ),
            format!(
                "{path}:19:9: profiles[0].pluginConfig[1].args: unknown variant `Perhaps`, expected `Open` or `Closed`"
            ),
        ]
    );
}
