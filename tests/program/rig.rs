//! The program as a process, and the cluster that it is pointed at.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use plimsoll_apiserver::{Options, Server};
use plimsoll_testkit::node;
use serde_json::Value;

/// How long anything is waited for. Only a test that fails waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const HEAD: &str = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";

/// The program, as if outside any cluster.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    for name in ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECONFIG", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

/// Exit code, standard output and standard error of a run that ends by itself.
pub(crate) fn run(arguments: &[&str]) -> (i32, String, String) {
    ended(program().args(arguments).output().unwrap())
}

pub(crate) fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A folder for the files of one test.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and gives its path as an argument.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }
}

/// A process of the program that goes on until it is ended; at the latest when this is dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        collect(out, Arc::clone(&lines));
        collect(err, Arc::clone(&lines));
        Self { child, lines }
    }

    /// Runs the scheduler with these arguments, with its admin server on a free port.
    pub(crate) fn scheduler(arguments: &[&str]) -> (Self, SocketAddr) {
        Self::scheduler_with(arguments, &[], "0")
    }

    /// The same with its secured port.
    pub(crate) fn scheduler_with(arguments: &[&str], more: &[&str], secure_port: &str) -> (Self, SocketAddr) {
        let always = ["run", "--http-address", "127.0.0.1:0", "--secure-port", secure_port];
        let process = Self::start(program().args(always).args(arguments).args(more));
        let line = process.line("serving health and metrics");
        let address = line.split("127.0.0.1:").nth(1).unwrap();
        let port: String = address.chars().take_while(char::is_ascii_digit).collect();
        (process, SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap())))
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits for a line with this text.
    pub(crate) fn line(&self, text: &str) -> String {
        let find = || self.lines().into_iter().find(|line| line.contains(text));
        until(&format!("the line {text:?} in {:#?}", self.lines()), || find().is_some());
        find().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; gives the exit code.
    pub(crate) fn end(&mut self) -> i32 {
        let mut code = None;
        until("the process to end", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        code.unwrap().code().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn collect(stream: impl std::io::Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        BufReader::new(stream).lines().map_while(Result::ok).for_each(|line| lines.lock().unwrap().push(line));
    });
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Status and body of what is served there.
pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The stand-in, on threads of its own so that tests can wait without it.
pub(crate) struct Api {
    pub(crate) server: Server,
    _runtime: tokio::runtime::Runtime,
}

impl Api {
    pub(crate) fn start(listen: SocketAddr) -> Self {
        Self::start_with(Options { listen, ..Options::default() })
    }

    pub(crate) fn start_with(options: Options) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(Server::start(options)).unwrap();
        server.load(vec![node("only").build()]);
        Self { server, _runtime: runtime }
    }

    pub(crate) fn any() -> Self {
        Self::start(([127, 0, 0, 1], 0).into())
    }

    pub(crate) fn node_of(&self, pod: &str) -> String {
        let pod = self.server.get("pods", "default", pod).unwrap();
        pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub(crate) fn until_bound(&self, pod: &str) {
        until(&format!("{pod} to be bound"), || self.node_of(pod) == "only");
    }
}

/// A kubeconfig for a server at that address.
pub(crate) fn kubeconfig(address: SocketAddr) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: {{cluster: c, user: c}}\n\
         clusters:\n- name: c\n  cluster: {{server: \"http://{address}\"}}\nusers:\n- name: c\n  user: {{}}\n"
    )
}

/// An address of this machine where nobody listens, below the ports that the system gives out by itself.
pub(crate) fn free_address() -> SocketAddr {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    (first..first + 1_000).map(address).find(|address| TcpListener::bind(address).is_ok()).unwrap()
}

/// Sends a body and gives status and body of the answer.
pub(crate) fn post(address: SocketAddr, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A file of the certificates for tests.
pub(crate) fn cert(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certs").join(name).display().to_string()
}

/// The same over TLS, as the holder of a token where there is one.
pub(crate) fn get_over_tls(address: SocketAddr, token: &str, path: &str) -> (u16, String) {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let ca = cert("ca.pem");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let connection = rustls::ClientConnection::new(config, "extender.example".try_into().unwrap()).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, TcpStream::connect(address).unwrap());
    let bearer = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    write!(stream, "GET {path} HTTP/1.1\r\nHost: admin\r\n{bearer}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
