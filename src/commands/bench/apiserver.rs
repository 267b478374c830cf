//! `plimsoll bench apiserver`: the stand-in API server under load, in a process of its own.
//!
//! This program is the client. It creates pods, binds them, follows them with many watches, and counts what comes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::usage;
use crate::commands::{block_on, fail};

/// Arguments of `bench apiserver`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pods to create, one request each.
    #[arg(long, value_name = "NUMBER", default_value_t = 150_000)]
    pods: usize,
    /// Size of each pod as it is sent.
    #[arg(long, value_name = "NUMBER", default_value_t = 2_000)]
    pod_bytes: usize,
    /// Pods to bind, one request each.
    #[arg(long, value_name = "NUMBER", default_value_t = 50_000)]
    bindings: usize,
    /// Watches of all pods at the same time.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    watches: usize,
    /// Changes that every watch is told of.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    changes: usize,
    /// Connections that requests are sent on.
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    connections: usize,
    /// Print one JSON object instead of a table.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: String,
}

/// Runs the benchmark; gives the exit code.
pub(super) fn main(args: &Args) -> i32 {
    if args.output != "table" && args.output != "json" {
        return fail(&anyhow::anyhow!("-o {}: known are table and json", args.output), 2);
    }
    if [args.pods, args.bindings, args.watches, args.changes, args.connections].contains(&0) {
        return fail(&anyhow::anyhow!("all numbers must be greater than 0"), 2);
    }
    if args.bindings.saturating_add(args.changes) > args.pods {
        return fail(&anyhow::anyhow!("--bindings and --changes together are of different pods: at most --pods"), 2);
    }
    block_on(run(args))
}

/// The server, as a child process that ends with this.
struct Stand {
    child: Child,
    address: SocketAddr,
}

impl Stand {
    fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let arguments = ["apiserver", "--listen", "127.0.0.1:0", "--no-controllers", "--no-kubelets", "-v", "0"];
        let command = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = command.context("starting the server")?;
        let mut line = String::new();
        let out = child.stdout.take().context("reading what the server says")?;
        BufReader::new(out).read_line(&mut line).context("reading what the server says")?;
        let address = line.trim().rsplit("http://").next().unwrap_or_default().parse();
        let address = address.with_context(|| format!("finding the server's address in {line:?}"));
        match address {
            Ok(address) => Ok(Self { child, address }),
            Err(error) => {
                drop(child.kill());
                drop(child.wait());
                Err(error)
            }
        }
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.address).await.context("connecting to the server")?;
        stream.set_nodelay(true).context("connecting to the server")?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.context("connecting to the server")?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What one phase gave.
struct Phase {
    name: &'static str,
    count: usize,
    seconds: f64,
    server_cpu_seconds: f64,
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let stand = Stand::start()?;
    let body = pod_body(args.pod_bytes);
    let creates = phase(&stand, "creates", args.pods, args.connections, move |number| {
        post("/api/v1/namespaces/default/pods".to_owned(), body.replace("pod-number", &format!("pod-{number}")))
    });
    let creates = creates.await?;
    let memory = usage::of(stand.child.id())?.peak_rss_mib;
    let bindings = phase(&stand, "bindings", args.bindings, args.connections, |number| {
        let target = json!({"kind": "Node", "name": format!("node-{}", number % 5_000)});
        let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": format!("pod-{number}")}, "target": target});
        post(format!("/api/v1/namespaces/default/pods/pod-{number}/binding"), binding.to_string())
    });
    let bindings = bindings.await?;
    let (changes, deliveries) = watched_changes(&stand, args).await?;
    report(args, &[creates, bindings, changes], &deliveries, memory, usage::of(stand.child.id())?.peak_rss_mib)
}

/// A pod of that size, with a name to be put in.
fn pod_body(bytes: usize) -> String {
    let pod = |note: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "pod-number", "labels": {"app": "bench"}, "annotations": {"note": note}},
            "spec": {"containers": [{"name": "main", "image": "registry.example/app:1", "resources": {"requests": {
                "cpu": "100m", "memory": "128Mi",
            }}}]},
        })
        .to_string()
    };
    pod(&"x".repeat(bytes.saturating_sub(pod("").len())))
}

fn request(method: Method, path: String, content_type: &'static str, body: String) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    // Made of numbers and letters here.
    *request.uri_mut() = path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(header::HOST, header::HeaderValue::from_static("bench"));
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    request
}

fn post(path: String, body: String) -> Request<Full<Bytes>> {
    request(Method::POST, path, "application/json", body)
}

/// Sends that many requests, the next on each connection as soon as it has an answer.
async fn phase(
    stand: &Stand,
    name: &'static str,
    count: usize,
    connections: usize,
    make: impl Fn(usize) -> Request<Full<Bytes>> + Send + Sync + 'static,
) -> anyhow::Result<Phase> {
    let (make, next) = (Arc::new(make), Arc::new(AtomicUsize::new(0)));
    let before = usage::of(stand.child.id())?.cpu;
    let begun = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..connections {
        let (mut connection, make, next) = (stand.connect().await?, Arc::clone(&make), Arc::clone(&next));
        senders.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return anyhow::Ok(());
                }
                connection.ready().await.context("sending a request")?;
                let answer = connection.send_request(make(number)).await.context("sending a request")?;
                let status = answer.status();
                let body = answer.into_body().collect().await.context("reading an answer")?.to_bytes();
                ensure!(status.is_success(), "{name}: {status}: {}", String::from_utf8_lossy(&body));
            }
        });
    }
    while let Some(ended) = senders.join_next().await {
        ended.context("sending requests")??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = usage::of(stand.child.id())?.cpu.saturating_sub(before);
    Ok(Phase { name, count, seconds, server_cpu_seconds: cpu.as_secs_f64() })
}

/// Changes that many watches are told of, each of each.
async fn watched_changes(stand: &Stand, args: &Args) -> anyhow::Result<(Phase, Phase)> {
    let heard = Arc::new(AtomicU64::new(0));
    let mut watches = JoinSet::new();
    for _ in 0..args.watches {
        let mut connection = stand.connect().await?;
        let heard = Arc::clone(&heard);
        let path = "/api/v1/pods?watch=1&resourceVersion=".to_owned() + &newest(&mut connection).await?;
        connection.ready().await.context("watching pods")?;
        let answer = connection.send_request(request(Method::GET, path, "application/json", String::new())).await;
        let mut body = answer.context("watching pods")?.into_body();
        watches.spawn(async move {
            // The connection ends when its sender is dropped.
            let _connection = connection;
            while let Some(Ok(frame)) = body.frame().await {
                let data = frame.into_data().unwrap_or_default();
                let lines = data.iter().filter(|byte| **byte == b'\n').count();
                heard.fetch_add(u64::try_from(lines).unwrap_or(0), Ordering::Relaxed);
            }
        });
    }
    let before = usage::of(stand.child.id())?.cpu;
    let begun = Instant::now();
    let first = args.bindings;
    let changes = phase(stand, "changes", args.changes, args.connections, move |number| {
        let path = format!("/api/v1/namespaces/default/pods/pod-{}", first + number);
        request(
            Method::PATCH,
            path,
            "application/merge-patch+json",
            r#"{"metadata":{"labels":{"seen":"yes"}}}"#.to_owned(),
        )
    });
    let changes = changes.await?;
    let wanted = u64::try_from(args.changes.saturating_mul(args.watches)).unwrap_or(u64::MAX);
    while heard.load(Ordering::Relaxed) < wanted {
        ensure!(
            begun.elapsed() < Duration::from_secs(300),
            "only {} of {wanted} events came",
            heard.load(Ordering::Relaxed)
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = usage::of(stand.child.id())?.cpu.saturating_sub(before);
    // One too many would come soon.
    tokio::time::sleep(Duration::from_millis(200)).await;
    ensure!(
        heard.load(Ordering::Relaxed) == wanted,
        "{} events came instead of {wanted}",
        heard.load(Ordering::Relaxed)
    );
    let count = args.changes.saturating_mul(args.watches);
    Ok((changes, Phase { name: "deliveries", count, seconds, server_cpu_seconds: cpu.as_secs_f64() }))
}

/// The newest version of pods.
async fn newest(connection: &mut SendRequest<Full<Bytes>>) -> anyhow::Result<String> {
    let list = request(Method::GET, "/api/v1/pods?limit=1".to_owned(), "application/json", String::new());
    let answer = connection.send_request(list).await.context("listing pods")?;
    let body = answer.into_body().collect().await.context("listing pods")?.to_bytes();
    let list: serde_json::Value = serde_json::from_slice(&body).context("listing pods")?;
    Ok(list["metadata"]["resourceVersion"].as_str().context("listing pods")?.to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn report(args: &Args, phases: &[Phase], deliveries: &Phase, memory: f64, peak: f64) -> anyhow::Result<()> {
    let rate = |phase: &Phase| phase.count as f64 / phase.seconds.max(1e-9);
    let micros = |phase: &Phase| phase.server_cpu_seconds * 1e6 / phase.count as f64;
    let all = phases.iter().chain([deliveries]);
    let text = if args.output == "json" {
        let of = |phase: &Phase| json!({"count": phase.count, "perSecond": rate(phase), "serverCpuMicroseconds": micros(phase)});
        let fields = all.map(|phase| (phase.name.to_owned(), of(phase)));
        let mut object: serde_json::Map<_, _> = fields.collect();
        object.insert("rssMiBWithAllPods".to_owned(), json!(memory));
        object.insert("peakRssMiB".to_owned(), json!(peak));
        serde_json::Value::Object(object).to_string() + "\n"
    } else {
        let mut table = crate::commands::demo::table(["", "count", "per second", "server CPU each"]);
        for phase in all {
            let name = match phase.name {
                "deliveries" => format!("deliveries to {} watches", args.watches),
                name => name.to_owned(),
            };
            table.add_row([
                name,
                phase.count.to_string(),
                format!("{:.0}", rate(phase)),
                format!("{:.1} us", micros(phase)),
            ]);
        }
        format!(
            "{table}\nmemory with {} pods of {} bytes: {memory:.0} MiB; at most {peak:.0} MiB\n",
            args.pods, args.pod_bytes
        )
    };
    std::io::stdout().write_all(text.as_bytes()).context("writing to standard output")
}
