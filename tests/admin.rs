//! The admin server over real connections.

#![expect(clippy::unwrap_used, reason = "in a test, a failed step is a failed test")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use plimsoll::admin::{Admin, AdminServer, CheckState, Health};
use plimsoll::logging::{LogFormat, LogHandle, LogLevel, subscriber};
use plimsoll::metrics::Metrics;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Running {
    address: SocketAddr,
    health: Health,
    log: LogHandle,
    stop: CancellationToken,
    task: JoinHandle<()>,
    // Without its subscriber the log handle is void.
    _subscriber: Box<dyn std::any::Any + Send>,
}

async fn start() -> Running {
    let (subscriber, log) = subscriber(LogFormat::Text, &LogLevel::default(), std::io::sink, false).unwrap();
    let health = Health::new();
    let admin = Admin {
        health: health.clone(),
        metrics: Arc::new(Metrics::new().unwrap()),
        configz: Arc::new(|| json!({"componentconfig": {"kind": "KubeSchedulerConfiguration"}, "plimsoll": {}})),
        log: log.clone(),
    };
    let server = AdminServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (address, stop) = (server.local_addr(), CancellationToken::new());
    let task = tokio::spawn(server.serve(admin, stop.clone()));
    Running { address, health, log, stop, task, _subscriber: Box::new(subscriber) }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Running {
    async fn call(&self, method: &str, target: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    async fn get(&self, target: &str) -> (u16, String) {
        let answer = self.call("GET", target, "").await;
        (answer.status, answer.body)
    }
}

#[tokio::test]
async fn readiness_says_what_is_missing() {
    let admin = start().await;
    assert_eq!(admin.get("/readyz").await, (200, "ok".to_owned()));
    let nodes = admin.health.check("nodes-synced", CheckState::Failing("waiting for the first list".to_owned()));
    let api = admin.health.check("api", CheckState::Passing);
    api.fail("connecting to https://10.0.0.1:\n  connection refused; retrying in 4s");
    let expected = "[+]ping ok\n[-]nodes-synced: waiting for the first list\n\
                    [-]api: connecting to https://10.0.0.1: connection refused; retrying in 4s\nreadyz check failed\n";
    assert_eq!(admin.get("/readyz").await, (500, expected.to_owned()));
    // What is missing is no reason to restart.
    assert_eq!(admin.get("/livez").await.0, 200);
    assert_eq!(admin.get("/healthz").await.0, 200);
    nodes.pass();
    assert_eq!(admin.get("/readyz/nodes-synced").await, (200, "ok".to_owned()));
    assert_eq!(admin.get("/readyz/api").await.0, 500);
    assert_eq!(admin.get("/readyz/other").await.0, 404);
    assert_eq!(admin.get("/livez/api").await.0, 404);
    assert_eq!(admin.get("/readyz?exclude=api").await, (200, "ok".to_owned()));
    let (status, body) = admin.get("/readyz?verbose&exclude=api&exclude=nothing").await;
    assert_eq!(status, 200);
    assert!(body.contains("[+]nodes-synced ok\n") && body.contains("\"nothing\"") && body.ends_with("check passed\n"));
}

#[tokio::test(start_paused = true)]
async fn liveness_fails_when_the_owner_has_stopped_turning() {
    let admin = start().await;
    let owner = admin.health.heartbeat("owner");
    tokio::time::advance(Duration::from_secs(29)).await;
    assert_eq!(admin.get("/livez").await.0, 200);
    tokio::time::advance(Duration::from_secs(13)).await;
    let expected = "[+]ping ok\n[-]owner: no sign of life for 42 s (limit 30 s)\nlivez check failed\n";
    assert_eq!(admin.get("/livez").await, (500, expected.to_owned()));
    assert_eq!(admin.get("/healthz/owner").await.0, 500);
    assert_eq!(admin.get("/readyz").await.0, 500);
    owner.beat();
    assert_eq!(admin.get("/livez?verbose").await, (200, "[+]ping ok\n[+]owner ok\nlivez check passed\n".to_owned()));
}

#[tokio::test]
async fn metrics_and_configuration_are_served() {
    let admin = start().await;
    let metrics = admin.call("GET", "/metrics", "").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    assert!(metrics.body.contains("\nscheduler_pod_scheduled_after_flush_total 0\n"));
    let configz = admin.call("GET", "/configz", "").await;
    assert!(configz.head.contains("content-type: application/json"));
    let config: serde_json::Value = serde_json::from_str(&configz.body).unwrap();
    assert_eq!(config["componentconfig"]["kind"], "KubeSchedulerConfiguration");
}

#[tokio::test]
async fn the_log_level_can_be_changed() {
    let admin = start().await;
    let set = admin.call("PUT", "/log-level", "info,plimsoll=debug").await;
    assert_eq!((set.status, set.body.as_str()), (200, "successfully set the log level\n"));
    assert!(admin.log.current().unwrap().contains("plimsoll=debug"));
    let (status, filter) = admin.get("/log-level").await;
    assert!(status == 200 && filter.contains("plimsoll=debug"), "{filter}");
    let set = admin.call("PUT", "/debug/flags/v", "6").await;
    assert_eq!((set.status, set.body.as_str()), (200, "successfully set the verbosity to 6\n"));
    assert!(admin.log.current().unwrap().contains("plimsoll=trace"));
    assert_eq!(admin.call("PUT", "/log-level", "loud").await.status, 400);
}

#[tokio::test]
async fn http_is_spoken_properly() {
    let admin = start().await;
    let head = admin.call("HEAD", "/metrics", "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    for (method, target) in [("POST", "/readyz"), ("DELETE", "/metrics"), ("GET", "/debug/flags/v")] {
        let answer = admin.call(method, target, "").await;
        assert_eq!(answer.status, 405, "{method} {target}");
        assert!(answer.head.contains("allow: "), "{}", answer.head);
    }
    assert_eq!(admin.get("/").await.0, 404);
    assert_eq!(admin.get("/metrics/other").await.0, 404);
    assert!(admin.call("GET", "/livez", "").await.head.contains("cache-control: no-cache"));
    assert_eq!(admin.call("GET", &format!("/{}", "x".repeat(40_000)), "").await.status, 431);
}

/// In paused time the clock jumps on whenever nobody has anything to do, here to the end of the header's time.
#[tokio::test(start_paused = true)]
async fn half_a_request_does_not_keep_a_place() {
    let admin = start().await;
    let started = tokio::time::Instant::now();
    let mut stream = TcpStream::connect(admin.address).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost:").await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(!rest.contains("200"), "{rest}");
}

#[tokio::test]
async fn shutdown_ends_idle_connections() {
    let admin = start().await;
    let mut idle = TcpStream::connect(admin.address).await.unwrap();
    assert_eq!(admin.get("/livez").await.0, 200);
    admin.stop.cancel();
    admin.task.await.unwrap();
    let mut rest = Vec::new();
    assert_eq!(idle.read_to_end(&mut rest).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(admin.address).await.is_err());
}
