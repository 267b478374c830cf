//! The program, as a process, with an API server that it cannot work with, and the benchmarks of hard times, of which only
//! is looked at here what does not depend on how fast it was.

#![cfg(feature = "tools")]
#![expect(clippy::unwrap_used, reason = "in a test, a failed step is a failed test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use plimsoll_apiserver::{Options, Server, TlsOptions, User};
use plimsoll_testkit::{node, pod};
use serde_json::Value;
use tokio::runtime::Runtime;

/// How long anything is waited for. Only a test that fails waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    for name in ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECONFIG", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

/// A scheduler, which ends when this is dropped.
struct Scheduler {
    child: Child,
    admin: SocketAddr,
    _kubeconfig: tempfile::NamedTempFile,
}

impl Scheduler {
    fn start(kubeconfig: &str) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(kubeconfig.as_bytes()).unwrap();
        let arguments = ["run", "--http-address", "127.0.0.1:0", "--secure-port", "0", "--leader-elect=false"];
        let mut command = program();
        command.args(arguments).arg("--kubeconfig").arg(file.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let serving =
            lines.find(|line| line.as_ref().unwrap().contains("serving health and metrics")).unwrap().unwrap();
        // Whatever else it says is read, so that it is never held up.
        std::thread::spawn(move || lines.for_each(drop));
        let admin = serving.rsplit("address=").next().unwrap().trim().parse().unwrap();
        Self { child, admin, _kubeconfig: file }
    }

    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Waits until it says this of its lists; meanwhile it is alive, and not ready.
    fn until_it_says(&mut self, text: &str) {
        let begun = Instant::now();
        loop {
            let (status, said) = self.get("/readyz");
            assert_eq!(status, 500, "{said}");
            if ["nodes", "pods"].iter().all(|list| said.contains(&format!("[-]{list}-synced: listing {list}: "))) {
                assert!(said.contains(text), "{text:?} is not in {said}");
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{text:?} is not in {said}");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(self.get("/livez").0, 200, "a server that does not work is no reason to start anew");
        assert!(self.child.try_wait().unwrap().is_none());
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A stand-in that does TLS so.
fn server(tls: TlsOptions) -> (Server, Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = runtime.block_on(Server::start(Options { tls: Some(tls), ..Options::default() })).unwrap();
    server.load(vec![node("only").build()]);
    (server, runtime)
}

fn yesterday() -> SystemTime {
    SystemTime::now() - Duration::from_secs(24 * 3600)
}

fn known() -> TlsOptions {
    TlsOptions { client: Some(User::administrator("root")), ..TlsOptions::default() }
}

#[test]
fn a_server_is_worked_with_over_tls() {
    let (server, _runtime) = server(known());
    let scheduler = Scheduler::start(&server.kubeconfig());
    server.create(pod("web")).unwrap();
    let begun = Instant::now();
    while server.get("pods", "default", "web").unwrap().pointer("/spec/nodeName").is_none() {
        assert!(begun.elapsed() < PATIENCE, "{}", scheduler.get("/readyz").1);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn certificates_of_yesterday_are_named() {
    let (late, _runtime) = server(TlsOptions { until: yesterday(), ..known() });
    Scheduler::start(&late.kubeconfig()).until_it_says("certificate expired");
    let (strict, _runtime) = server(TlsOptions { client_until: yesterday(), ..known() });
    let expired =
        "the api server answered 401: Unauthorized; has the token or the certificate in the kubeconfig expired?";
    Scheduler::start(&strict.kubeconfig()).until_it_says(expired);
    // A server that is not the one it says it is.
    let (stranger, _runtime) = server(known());
    let trusting_another = strict.kubeconfig().replace(&strict.url(), &stranger.url());
    Scheduler::start(&trusting_another).until_it_says("invalid peer certificate");
}

/// Answers everything so, each connection once.
fn page(answer: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    address
}

#[test]
fn a_page_where_a_list_should_be_is_shown() {
    let page_of = |status: &str, body: &str| {
        page(format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ))
    };
    let html = "<html>\n<body>Please log in</body></html>";
    let rows = [
        (
            page_of("200 OK", html),
            "the answer is no list (text/html): expected an object; it begins with \"<html> <body>Please log in",
        ),
        (page_of("502 Bad Gateway", html), "the api server answered 502: <html> <body>Please log in"),
        (page_of("200 OK", "{\"items\": []}"), "no metadata.resourceVersion"),
    ];
    for (address, said) in rows {
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: {{cluster: c, user: c}}\n\
             clusters:\n- name: c\n  cluster: {{server: \"http://{address}\"}}\nusers:\n- name: c\n  user: {{}}\n"
        );
        Scheduler::start(&kubeconfig).until_it_says(said);
    }
}

/// Runs a benchmark, and gives what it measured.
fn bench(arguments: &[&str]) -> Value {
    let output = program().arg("bench").args(arguments).args(["-o", "json"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn value(report: &Value, figure: &str) -> f64 {
    report[figure]["value"].as_f64().unwrap()
}

#[test]
fn the_leader_may_be_killed_stopped_or_frozen_and_no_pod_is_lost_or_bound_twice() {
    // It fails by itself where whoever was frozen goes on to bind.
    let report = bench(&["failover", "--lease-seconds", "3", "--nodes", "10"]);
    for blow in ["kill", "term", "stop"] {
        for count in ["lost", "bound twice", "bindings of the first after its end"] {
            assert_eq!(value(&report, &format!("{blow}: {count}")), 0.0, "{blow}: {count}");
        }
        assert!(value(&report, &format!("{blow}: pods")) > 200.0);
    }
}

#[test]
fn with_another_scheduler_on_the_nodes_nothing_is_given_away_that_is_known_to_be_taken() {
    let crowded =
        ["coexistence", "--nodes", "20", "--pods", "100", "--rate", "100", "--others", "20", "--pod-cpus", "4"];
    let report = bench(&crowded);
    assert_eq!(value(&report, "our pods"), 100.0);
}

#[test]
fn a_server_that_allows_little_is_told_of_pods_and_the_lease_first() {
    let report = bench(&["throttle", "--rate", "50", "--seconds", "2", "--nodes", "10"]);
    for limit in ["shared", "everything", "lanes"] {
        assert!(value(&report, &format!("{limit}: bindings, of the allowed rate")) > 0.0);
        assert!(value(&report, &format!("{limit}: renewals")) >= 1.0);
    }
}

#[test]
fn what_a_pod_costs_is_measured_beside_a_program_that_only_binds() {
    let small = ["cpu", "--nodes", "30", "--pods", "60"];
    let report = bench(&small);
    for (figure, of) in report.as_object().unwrap() {
        if figure.contains("events") {
            let wanted = if figure.contains(" all ") { 1.0 } else { 0.0 };
            assert_eq!(of["value"], wanted, "{figure}");
        }
    }
    assert_eq!(report.as_object().unwrap().len(), 2 * 2 * 4 * 4);
}

#[test]
fn memory_is_measured_at_the_start_and_while_pods_and_nodes_come_and_go() {
    let small = ["memory", "--nodes", "60", "--pods", "200", "--lives", "6000", "--replacements", "40"];
    let report = bench(&small);
    assert_eq!((value(&report, "churn: lives of pods"), value(&report, "churn: nodes replaced")), (6000.0, 40.0));
    assert!(value(&report, "200 pods: peak RSS") > 0.0);
}
