//! A smaller suite against etcd and kube-apiserver themselves, where KUBEBUILDER_ASSETS names the folder that they are in, as for
//! envtest. Nothing else of a cluster runs: no kubelet, no controller.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::Method;
use plimsoll::client::{Cluster, RawRequest, Source, send};
use plimsoll_testkit::{node, pod};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::process::{End, Process};
use crate::until;
use crate::world::text;

const CONFIG: &str = "apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaseDuration: 3s, renewDeadline: 2s, retryPeriod: 500ms, resourceNamespace: kube-system}
";
const TOKEN: &str = "of-the-test";

/// Killed when it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// etcd and kube-apiserver, and a client of theirs.
struct Api {
    client: kube::Client,
    kubeconfig: String,
    folder: TempDir,
    // In this order: who asks goes before who answers.
    _api_server: Killed,
    _etcd: Killed,
    runtime: Runtime,
}

/// A port that is free now.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(program: &Path, arguments: &[String], log: &Path) -> Killed {
    let log = std::fs::File::create(log).unwrap();
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Killed(command.spawn().unwrap_or_else(|error| panic!("starting {}: {error}", program.display())))
}

/// A key for the tokens of service accounts, without which kube-apiserver does not start.
fn write_key(path: &Path) {
    let made = rcgen::generate_simple_self_signed(["test".to_owned()]).unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(made.signing_key.serialize_der());
    std::fs::write(path, format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")).unwrap();
}

impl Api {
    fn start(assets: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let (clients, peers, secure) = (port(), port(), port());
        let clients = format!("http://127.0.0.1:{clients}");
        let peers = format!("http://127.0.0.1:{peers}");
        let shown = |name: &str| file(name).display().to_string();
        let etcd = [
            format!("--data-dir={}", shown("etcd")),
            format!("--listen-client-urls={clients}"),
            format!("--advertise-client-urls={clients}"),
            format!("--listen-peer-urls={peers}"),
            format!("--initial-advertise-peer-urls={peers}"),
            format!("--initial-cluster=default={peers}"),
            "--unsafe-no-fsync=true".to_owned(),
        ];
        let etcd = start(&assets.join("etcd"), &etcd, &file("etcd.log"));
        std::fs::write(file("tokens.csv"), format!("{TOKEN},admin,admin,\"system:masters\"\n")).unwrap();
        write_key(&file("accounts.key"));
        let key = shown("accounts.key");
        let api_server = [
            format!("--etcd-servers={clients}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={secure}"),
            format!("--cert-dir={}", shown("certificates")),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            format!("--token-auth-file={}", shown("tokens.csv")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={key}"),
            format!("--service-account-signing-key-file={key}"),
            // Nobody makes accounts for pods here, or says that nodes are ready.
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition".to_owned(),
        ];
        let api_server = start(&assets.join("kube-apiserver"), &api_server, &file("kube-apiserver.log"));
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: {{cluster: c, user: u}}\n\
             clusters:\n- name: c\n  cluster: {{server: \"https://127.0.0.1:{secure}\", insecure-skip-tls-verify: true}}\n\
             users:\n- name: u\n  user: {{token: {TOKEN}}}\n"
        );
        std::fs::write(file("kubeconfig"), &kubeconfig).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let source = Source::Kubeconfig(file("kubeconfig"));
        let client = runtime.block_on(async { Cluster::load(&source).await.unwrap().client().unwrap() });
        let api = Self { client, kubeconfig, folder, _api_server: api_server, _etcd: etcd, runtime };
        until("kube-apiserver to be ready", || {
            let is_there =
                |path: &str| api.call(Method::GET, path, &Value::Null).is_some_and(|(status, _)| status == 200);
            is_there("/readyz") && is_there("/api/v1/namespaces/default") && is_there("/api/v1/namespaces/kube-system")
        });
        api
    }

    /// Status and body of an answer; nothing where there is none.
    fn call(&self, method: Method, path: &str, body: &Value) -> Option<(u16, Value)> {
        let content_type = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = RawRequest { method, path, content_type, body, timeout: Duration::from_secs(10) };
        let answer = self.runtime.block_on(send(&self.client, request)).ok()?;
        Some((answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default()))
    }

    fn create(&self, plural: &str, object: impl Into<Value>) {
        let (status, answer) = self.call(Method::POST, plural, &object.into()).unwrap();
        assert_eq!(status, 201, "{answer}");
    }

    fn create_pod(&self, object: impl Into<Value>) {
        self.create("/api/v1/namespaces/default/pods", object);
    }

    fn node_of(&self, name: &str) -> String {
        let pod = self.call(Method::GET, &format!("/api/v1/namespaces/default/pods/{name}"), &Value::Null);
        text(&pod.unwrap_or_default().1, "/spec/nodeName").to_owned()
    }

    /// Waits until a pod is on a node, and gives its name.
    fn bound(&self, name: &str) -> String {
        until(&format!("{name} to be bound"), || !self.node_of(name).is_empty());
        self.node_of(name)
    }

    fn replica(&self, name: &str) -> Process {
        Process::start(self.folder.path(), name, &self.kubeconfig, CONFIG)
    }
}

#[test]
fn a_real_api_server_says_the_same() {
    let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty()) else {
        return println!("left out: KUBEBUILDER_ASSETS does not say where etcd and kube-apiserver are");
    };
    let api = Api::start(Path::new(&assets));
    let room = [("cpu", "8"), ("memory", "16Gi"), ("pods", "110")];
    api.create("/api/v1/nodes", node("plain").capacity(&room));
    api.create("/api/v1/nodes", node("tainted").capacity(&room).taint("key", "value", "NoSchedule"));
    let mut replicas = vec![api.replica("first"), api.replica("second")];
    for n in 0..10 {
        api.create_pod(pod(&format!("p{n}")).requests(&[("cpu", "100m")]));
    }
    for n in 0..10 {
        assert_eq!(api.bound(&format!("p{n}")), "plain");
    }
    // Only the tainted node has room for it, which it may use.
    api.create_pod(pod("tolerates").requests(&[("cpu", "7500m")]).toleration("key", "Exists", "", ""));
    assert_eq!(api.bound("tolerates"), "tainted");
    api.create_pod(pod("gated").gate("example.com/gate"));
    api.create_pod(pod("later"));
    api.bound("later");
    assert_eq!(api.node_of("gated"), "");
    let lift = json!({"spec": {"schedulingGates": null}});
    let gated = "/api/v1/namespaces/default/pods/gated";
    assert_eq!(api.call(Method::PATCH, gated, &lift).map(|(status, _)| status), Some(200));
    assert_eq!(api.bound("gated"), "plain");
    // One of the two led. After that, whoever took over is killed, too.
    for (n, name) in ["third", "fourth"].into_iter().enumerate() {
        drop(replicas.remove(0));
        replicas.push(api.replica(name));
        let pod_name = format!("after-{n}");
        api.create_pod(pod(&pod_name).requests(&[("cpu", "100m")]));
        assert_eq!(api.bound(&pod_name), "plain");
    }
    for replica in &mut replicas {
        replica.terminate();
        assert_eq!(replica.wait(), End::Code(0), "{}", replica.log());
    }
}
