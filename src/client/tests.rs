use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use bytes::Bytes;
use http::Method;

use super::*;
use crate::metrics::Metrics;

const SECRET: &str = "s3cr3t-bearer-token";

fn write(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         contexts:\n- name: here\n  context: {{cluster: it, user: me, namespace: ours}}\n\
         clusters:\n- name: it\n  cluster: {{server: \"{server}\"}}\n\
         users:\n- name: me\n  user: {{token: {SECRET}}}\n"
    )
}

async fn load(path: &Path) -> Result<Cluster, ClientError> {
    Cluster::load(&Source::from_flag(Some(path))).await
}

async fn complaint(text: &str) -> String {
    let file = write(text);
    let error = load(file.path()).await.unwrap_err();
    let said = format!("{:#}", anyhow::Error::from(error));
    assert!(said.contains(&file.path().display().to_string()), "names the file: {said}");
    assert!(!said.contains(SECRET), "{said}");
    said
}

#[tokio::test]
async fn a_missing_kubeconfig_is_an_error_that_names_it() {
    let error = load(Path::new("/nowhere/kubeconfig")).await.unwrap_err();
    let said = format!("{:#}", anyhow::Error::from(error));
    assert!(said.starts_with("reading kubeconfig /nowhere/kubeconfig: No such file"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    assert!(load(folder.path()).await.unwrap_err().to_string().ends_with("is a directory, not a file"));
}

#[tokio::test]
async fn a_broken_kubeconfig_says_what_is_wrong_and_no_secret() {
    let good = kubeconfig("https://10.0.0.1:6443");
    for (from, to, said) in [
        ("current-context: here\n", "", "current-context is not set"),
        ("current-context: here", "current-context: there", "current-context is \"there\", but contexts has no such"),
        ("cluster: it,", "cluster: that,", "uses cluster \"that\", but clusters has no such"),
        ("user: me,", "user: you,", "uses user \"you\", but users has no such"),
        ("server: \"https://10.0.0.1:6443\"", "server: \"\"", "cluster \"it\" has no server"),
        ("server: ", "proxy-url: \"http://p\", server: ", "proxy-url, which is not supported yet"),
        ("https://10.0.0.1:6443", "https://a b", "failed to parse cluster url"),
        ("server: ", "certificate-authority: /nowhere/ca, server: ", "/nowhere/ca"),
        ("server: ", "certificate-authority-data: \"%%\", server: ", "certificate authority"),
        ("{token: ", "{token: [", "not valid YAML for a kubeconfig: line 12"),
        ("kind: Config", "kind: [", "not valid YAML"),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good);
        let complaint = complaint(&bad).await;
        assert!(complaint.contains(said), "expected {said:?}, got {complaint:?}");
    }
    assert!(complaint("").await.contains("current-context is not set"));
    assert!(complaint(&"#".repeat(2 << 20)).await.contains("at most"));
}

#[test]
fn outside_a_cluster_the_message_names_the_flags() {
    let said = config::in_cluster(false).unwrap_err().to_string();
    for word in ["--kubeconfig", "clientConnection.kubeconfig", "KUBERNETES_SERVICE_HOST"] {
        assert!(said.contains(word), "{said}");
    }
    assert_eq!(Source::from_flag(None), Source::InCluster);
}

#[tokio::test]
async fn debug_shows_the_address_and_nothing_secret() {
    let file = write(&kubeconfig("https://joe:pass@10.0.0.1:6443/prefix"));
    let cluster = load(file.path()).await.unwrap();
    assert_eq!(format!("{cluster:?}"), "Cluster { address: \"https://10.0.0.1:6443\", .. }");
    assert_eq!(cluster.default_namespace(), "ours");
}

async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn request<'a>(method: Method, path: &'a str, body: &'static str) -> RawRequest<'a> {
    RawRequest {
        method,
        path,
        content_type: "application/json",
        body: Bytes::from_static(body.as_bytes()),
        timeout: Duration::from_secs(20),
    }
}

#[tokio::test]
async fn a_raw_call_carries_who_we_are_and_brings_back_any_status() {
    async fn echo(headers: HeaderMap, body: Bytes) -> (StatusCode, [(&'static str, &'static str); 1], String) {
        let header = |name| headers.get(name).map_or("", |value: &axum::http::HeaderValue| value.to_str().unwrap());
        let text = format!(
            "{}|{}|{}|{}",
            header("user-agent"),
            header("authorization"),
            header("content-type"),
            std::str::from_utf8(&body).unwrap()
        );
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")], text)
    }
    let address = serve(Router::new().route("/echo", post(echo))).await;
    let file = write(&kubeconfig(&format!("http://{address}")));
    let metrics = Metrics::new().unwrap();
    let client = load(file.path()).await.unwrap().with_metrics(&metrics).clients().unwrap().bind;
    let answer = send(&client, request(Method::POST, "/echo", "{}")).await.unwrap();
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.retry_after, Some(Duration::from_secs(7)));
    let expected = format!("{USER_AGENT}|Bearer {SECRET}|application/json|{{}}");
    assert_eq!(answer.body, expected.as_bytes());
    // Refused once, counted once: nothing was repeated behind our back.
    let series = format!("rest_client_requests_total{{code=\"429\",host=\"{address}\",method=\"POST\"}} 1");
    assert!(metrics.render().unwrap().contains(&series));
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let endless = || async {
        let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 1 << 16])));
        AxumBody::from_stream(chunks)
    };
    let address = serve(Router::new().route("/endless", get(endless))).await;
    let file = write(&kubeconfig(&format!("http://{address}")));
    let client = load(file.path()).await.unwrap().client().unwrap();
    let error = send(&client, request(Method::GET, "/endless", "")).await.unwrap_err();
    assert!(matches!(error, CallError::TooLong(_)), "{error:?}");
}

#[tokio::test]
async fn an_unreachable_server_surely_saw_nothing_and_a_silent_one_may_have() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let file = write(&kubeconfig(&format!("http://{address}")));
    let client = load(file.path()).await.unwrap().client().unwrap();
    // Connections are accepted by the system, but nobody answers.
    let mut silent = request(Method::GET, "/", "");
    silent.timeout = Duration::from_millis(50);
    let error = send(&client, silent).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout(_)) && error.outcome_unknown(), "{error:?}");
    drop(listener);
    let client = load(file.path()).await.unwrap().client().unwrap();
    let error = send(&client, request(Method::GET, "/", "")).await.unwrap_err();
    assert!(!error.outcome_unknown(), "{error:?}");
    let said = describe(&error);
    assert!(said.starts_with("calling the api server: ") && said.contains("refused"), "{said}");
}

#[test]
fn what_a_server_says_is_not_repeated_without_end() {
    let page = std::io::Error::other("é".repeat(1 << 20));
    let said = describe(&page);
    assert_eq!((said.chars().count(), said.ends_with('…')), (2_049, true));
}
