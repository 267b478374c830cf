//! The secured port: TLS, who gets in, and what is told of the scheduler.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use plimsoll::admin::{AdminServer, GuardSettings, Secured, SecuredSettings};
use plimsoll::client::{Cluster, Source};
use plimsoll::config::Config;
use plimsoll::logging::{LogFormat, LogLevel, subscriber};
use plimsoll::metrics::Metrics;
use plimsoll::scheduler::Scheduler;
use plimsoll_apiserver::{Fault, Options, Rule, Server, User, WatchFault};
use plimsoll_testkit::{node, pod};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::rig::{PATIENCE, config, text, until_while};

const RBAC: &str = "rbac.authorization.k8s.io";
/// Whom each token stands for: the scheduler, somebody who may look, somebody who may not, and somebody who may read the
/// pods of the namespace `shop` and Leases.
const TOKENS: [(&str, &str); 4] =
    [("token-scheduler", "scheduler"), ("token-alice", "alice"), ("token-bob", "bob"), ("token-carol", "carol")];

/// A cluster where permissions count, and a scheduler with a secured port.
pub(crate) struct Secure {
    pub(crate) server: Server,
    address: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
    pub(crate) folder: tempfile::TempDir,
    // Without its subscriber the log handle is void.
    _subscriber: Box<dyn std::any::Any + Send>,
}

/// A certificate and its key, written into files, and the certificate itself.
fn write_certificate(folder: &tempfile::TempDir) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let write = |name: &str, label: &str, der: &[u8]| {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        std::fs::write(folder.path().join(name), format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n"))
            .unwrap();
    };
    write("tls.key", "PRIVATE KEY", &made.signing_key.serialize_der());
    write("tls.crt", "CERTIFICATE", made.cert.der());
    made.cert.der().clone()
}

/// Nothing that the API server says is remembered for longer than this.
pub(crate) fn remembering(ttl: Duration) -> GuardSettings {
    GuardSettings { token_ttl: ttl, authorized_ttl: ttl, unauthorized_ttl: ttl, ..GuardSettings::default() }
}

/// Roles of the scheduler, which may do everything here, and of alice.
fn roles() -> Vec<Value> {
    let role = |name: &str, rule: Value| json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": [rule]});
    let binding = |user: &str, role: &str| {
        json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": user},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
        })
    };
    let everything = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
    let looking = json!({"verbs": ["get"], "nonResourceURLs": ["/metrics", "/configz", "/debug/*"]});
    vec![
        role("scheduling", everything),
        role("looking", looking),
        binding("scheduler", "scheduling"),
        binding("alice", "looking"),
        json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": "RoleBinding", "metadata": {"name": "carol", "namespace": "shop"},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "reading"},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "carol"}],
        }),
        role("reading", json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]})),
        role(
            "finding",
            json!({"verbs": ["get", "list"], "apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}),
        ),
        binding("carol", "finding"),
    ]
}

impl Secure {
    /// With a certificate from files, or one of its own; nothing that the API server says is remembered for longer than
    /// `ttl`.
    async fn start(from_files: bool, ttl: Duration) -> Self {
        let settings = SecuredSettings { guard: remembering(ttl), ..SecuredSettings::default() };
        let nodes = vec![node("only").allocatable(&[("cpu", "2"), ("memory", "4Gi"), ("pods", "9")]).build()];
        Self::start_with(nodes, settings, from_files, config("leaderElection: {leaderElect: false}")).await
    }

    /// With these nodes and settings, and a certificate from files if that is wanted.
    pub(crate) async fn start_with(
        nodes: Vec<Value>,
        settings: SecuredSettings,
        from_files: bool,
        config: Config,
    ) -> Self {
        let tokens: BTreeMap<String, User> =
            TOKENS.map(|(token, name)| (token.to_owned(), User { name: name.to_owned(), groups: Vec::new() })).into();
        let options = Options { rbac: true, tokens, recorded_calls: 10_000, ..Options::default() };
        let server = Server::start(options).await.unwrap();
        server.load([roles(), nodes].concat());
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let of_scheduler = server.kubeconfig().replace("user: {}", "user: {token: token-scheduler}");
        std::fs::write(&kubeconfig, of_scheduler).unwrap();
        let file = |name: &str| -> PathBuf { folder.path().join(name) };
        if from_files {
            write_certificate(&folder);
        }

        let metrics = Arc::new(Metrics::new().unwrap());
        let cluster = Cluster::load(&Source::Kubeconfig(kubeconfig)).await.unwrap().with_metrics(&metrics);
        let certificate = from_files.then(|| (file("tls.crt"), file("tls.key")));
        let settings = SecuredSettings { certificate, ..settings };
        let listening = AdminServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let secured = Secured::new(listening, settings, cluster.client().unwrap(), Arc::clone(&metrics)).unwrap();
        let address = secured.local_addr();
        let (subscriber, log) = subscriber(LogFormat::Text, &LogLevel::default(), std::io::sink, false).unwrap();
        let scheduler = Scheduler::new(config, cluster.clients().unwrap(), metrics);
        let stop = CancellationToken::new();
        let task = tokio::spawn(scheduler.with_secured(secured, log).run(stop.clone()));
        let secure = Self { server, address, stop, task, folder, _subscriber: Box::new(subscriber) };
        secure.until("it to be ready", async || secure.get("", "/readyz").await.0 == 200).await;
        secure
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Status and body of an answer, and the certificate that came with it.
    async fn call(&self, token: &str, method: &str, path: &str) -> (u16, String, CertificateDer<'static>) {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let config = config.unwrap().dangerous().with_custom_certificate_verifier(Arc::new(Anybody));
        let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
        let stream = TcpStream::connect(self.address).await.unwrap();
        let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let bearer = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{bearer}Connection: close\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned(), certificate)
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> (u16, String) {
        let (status, body, _) = self.call(token, "GET", path).await;
        (status, body)
    }

    /// What alice is told.
    async fn told(&self, path: &str) -> Value {
        let (status, body) = self.get("token-alice", path).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(crate) async fn until(&self, what: &str, done: impl AsyncFn() -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !done().await {
                assert!(!self.task.is_finished(), "the scheduler has ended while waiting for {what}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "waited {PATIENCE:?} for {what}");
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        self.server.shutdown().await;
    }
}

/// Trusts any certificate: which one it is, the tests look at themselves.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_get_in_whom_the_api_server_lets() {
    let secure = Secure::start(false, Duration::from_secs(600)).await;
    for (token, method, path, status, says) in [
        ("", "GET", "/livez", 200, "ok"),
        ("nonsense", "GET", "/healthz", 200, "ok"),
        ("", "GET", "/livez/ping", 403, "User \"system:anonymous\" cannot get path \"/livez/ping\""),
        ("", "GET", "/metrics", 403, "User \"system:anonymous\" cannot get path \"/metrics\""),
        ("", "GET", "/debug/queue", 403, "system:anonymous"),
        ("", "GET", "/nothing", 403, "system:anonymous"),
        ("nonsense", "GET", "/metrics", 401, "Unauthorized"),
        ("token-bob", "GET", "/metrics", 403, "User \"bob\" cannot get path \"/metrics\""),
        ("token-bob", "GET", "/debug/cache", 403, "User \"bob\" cannot get path \"/debug/cache\""),
        ("token-alice", "GET", "/metrics", 200, "scheduler_pending_pods"),
        ("token-alice", "GET", "/configz", 200, "KubeSchedulerConfiguration"),
        ("token-alice", "GET", "/debug/nothing", 404, "not found"),
        ("token-alice", "GET", "/log-level", 403, "User \"alice\" cannot get path \"/log-level\""),
        ("token-alice", "PUT", "/debug/flags/v", 403, "User \"alice\" cannot put path \"/debug/flags/v\""),
    ] {
        let (code, body, _) = secure.call(token, method, path).await;
        assert_eq!(code, status, "{token} {method} {path}: {body}");
        assert!(body.contains(says), "{token} {method} {path}: {body}");
        assert!(!body.contains("token-") && !body.contains("nonsense"), "{body}");
    }
    let asked = |resource: &str| secure.server.calls().iter().filter(|call| call.resource == resource).count();
    assert_eq!(asked("tokenreviews"), 3, "each token is asked about once");
    let before = asked("subjectaccessreviews");
    assert_eq!(secure.get("token-alice", "/metrics").await.0, 200);
    assert_eq!(asked("subjectaccessreviews"), before);
    // Without TLS nothing is said at all.
    let mut plain = TcpStream::connect(secure.address).await.unwrap();
    plain.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    drop(plain.read_to_end(&mut said).await);
    assert!(!String::from_utf8_lossy(&said).contains("HTTP/"), "{said:?}");
    secure.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_while_the_api_server_does_not_answer() {
    let secure = Secure::start(false, Duration::ZERO).await;
    assert_eq!(secure.get("token-alice", "/metrics").await.0, 200);
    for (resource, says) in
        [("tokenreviews", "creating a TokenReview"), ("subjectaccessreviews", "creating a SubjectAccessReview")]
    {
        secure.server.faults().add(Rule::status(500).resource(resource));
        let (status, body) = secure.get("token-alice", "/metrics").await;
        assert_eq!(status, 503, "{body}");
        assert!(body.contains(says) && body.contains("500 Internal Server Error"), "{body}");
        assert_eq!(secure.get("", "/livez").await.0, 200, "probes need no API server");
        secure.server.faults().clear();
        assert_eq!(secure.get("token-alice", "/metrics").await.0, 200);
    }
    secure.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_served_without_a_restart() {
    let secure = Secure::start(true, Duration::ZERO).await;
    let first = secure.call("", "GET", "/livez").await.2;
    assert_eq!(secure.call("", "GET", "/livez").await.2, first);
    std::fs::write(secure.folder.path().join("tls.key"), "half a key").unwrap();
    assert_eq!(secure.call("", "GET", "/livez").await.2, first, "the last good one stays");
    let second = write_certificate(&secure.folder);
    let (status, _, served) = secure.call("", "GET", "/livez").await;
    assert_eq!(status, 200);
    assert!(served == second && served != first);
    secure.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_and_what_runs_is_told() {
    let secure = Secure::start(false, Duration::from_secs(600)).await;
    let empty = secure.told("/debug/queue").await;
    assert_eq!((&empty["counts"]["unschedulable"], &empty["pods"]), (&json!(0), &json!([])));
    let empty = secure.told("/debug/cache").await;
    assert_eq!(empty["counts"], json!({"nodes": 1, "pods": 0, "assumedPods": 0}));
    for (name, cpu) in [("large-1", "8"), ("large-2", "8"), ("fits", "1")] {
        secure.server.create(pod(name).requests(&[("cpu", cpu)])).unwrap();
    }
    let told = async |pod: &Value, name: &str| pod["name"] == name && pod["message"].is_string();
    secure
        .until("both to wait and say why", async || {
            let page = secure.told("/debug/queue?part=unschedulable").await;
            let pods = page["pods"].as_array().unwrap();
            pods.len() == 2 && told(&pods[0], "large-1").await && told(&pods[1], "large-2").await
        })
        .await;
    let page = secure.told("/debug/queue?limit=1&part=unschedulable").await;
    let first = &page["pods"][0];
    assert_eq!((&first["plugins"], &first["reason"]), (&json!(["NodeResourcesFit"]), &json!("Unschedulable")));
    assert!(text(first, "/message").starts_with("0/1 nodes are available: 1 Insufficient cpu."), "{first}");
    let next = text(&page, "/continue").to_owned();
    let page = secure.told(&format!("/debug/queue?limit=1&part=unschedulable&continue={next}")).await;
    assert_eq!((&page["pods"][0]["name"], page.get("continue")), (&json!("large-2"), None));

    secure
        .until("the binding to be told", async || secure.told("/debug/cache").await["counts"]["assumedPods"] == 0)
        .await;
    let page = secure.told("/debug/cache?node=only").await;
    assert_eq!(
        (&page["nodes"][0]["requested"]["milliCPU"], &page["nodes"][0]["pods"][0]["name"]),
        (&json!(1000), &json!("fits"))
    );
    let (status, body) = secure.get("token-alice", "/debug/queue?limit=0").await;
    assert_eq!((status, body.as_str()), (400, "limit: must be a number from 1 to 1000\n"));
    assert_eq!(secure.get("token-alice", "/debug/cache?compare=perhaps").await.0, 400);
    assert_eq!(secure.get("token-alice", "/debug/cache?nodes=x").await.0, 400);
    secure.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_shadows_asks_who_somebody_is_and_nothing_more() {
    let own = "---\napiVersion: config.plimsoll/v1alpha1\nkind: PlimsollConfiguration\nmode: Shadow\n";
    let secure = Secure::start_with(
        vec![node("only").allocatable(&[("cpu", "2"), ("memory", "4Gi"), ("pods", "9")]).build()],
        SecuredSettings::default(),
        false,
        config(own),
    )
    .await;
    secure.server.create(pod("waits").scheduler_name("default-scheduler").requests(&[("cpu", "1")])).unwrap();
    secure
        .until("the pod to have a place", async || secure.told("/debug/queue").await["counts"]["placeable"] == json!(1))
        .await;
    let waits = secure.told("/debug/queue?part=placeable").await["pods"][0].clone();
    assert_eq!(
        (&waits["name"], &waits["part"], &waits["place"], &waits["attempts"]),
        (&json!("waits"), &json!("placeable"), &json!("only"), &json!(1))
    );
    let (status, told) = secure.get("token-scheduler", "/debug/explain/default/waits").await;
    assert_eq!((status, told.contains("for the scheduler that it names to place it")), (200, true), "{told}");
    let mut calls = secure.server.calls();
    calls.retain(|call| call.user == "scheduler" && !matches!(call.verb, "get" | "list" | "watch"));
    assert!(!calls.is_empty() && calls.iter().all(|call| call.resource.ends_with("reviews")), "{calls:?}");
    secure.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_cache_has_missed_is_found() {
    let secure = Secure::start(false, Duration::from_secs(600)).await;
    secure.server.create(pod("seen").requests(&[("cpu", "1")])).unwrap();
    let node_of = |name: &str| text(&secure.server.get("pods", "default", name).unwrap(), "/spec/nodeName").to_owned();
    until_while("the pod to be bound", || node_of("seen") == "only", || true).await;
    let compared = secure.told("/debug/cache?compare=true").await;
    assert_eq!(compared, json!({"nodes": 1, "pods": 1, "differenceCount": 0, "differences": []}));
    // From now on nothing is heard of pods: the watch is cut, and the next one tells everything much later.
    let deaf = Rule::new(Fault::Watch(WatchFault::Lag(Duration::from_secs(3600)))).verb("watch").resource("pods");
    let deaf = secure.server.faults().add(deaf);
    secure.server.cut_watches("pods", false).unwrap();
    secure.until("the watch to begin anew", async || secure.server.faults().hits(deaf) > 0).await;
    secure.server.create(pod("unseen")).unwrap();
    let compared = secure.told("/debug/cache?compare=true").await;
    assert_eq!((&compared["differenceCount"], &compared["differences"][0]["what"]), (&json!(1), &json!("podMissing")));
    assert_eq!(compared["differences"][0]["pod"]["name"], "unseen");
    secure.server.faults().add(Rule::status(500).verb("list").resource("nodes"));
    let (status, body) = secure.get("token-alice", "/debug/cache?compare=true").await;
    assert_eq!((status, body.as_str()), (502, "listing nodes: the API server answered 500 Internal Server Error\n"));
    secure.end().await;
}
