//! An extender that does what a test tells it to, over real connections.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// What it answers.
pub(crate) enum Reply {
    Json(Value),
    Code(u16),
    Text(&'static str),
    /// This many bytes of an answer that never comes to its point.
    Long(usize),
    /// Nothing, until the connection is closed.
    Hang,
}

type Script = dyn Fn(&str, &Value) -> Reply + Send + Sync;

struct Shared {
    script: Box<Script>,
    calls: Mutex<Vec<(String, Value)>>,
}

/// The extender. It ends with the test.
pub(crate) struct Scripted {
    pub(crate) url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Scripted {
    /// Answers by the path, such as `/filter`, and the body of each call.
    pub(crate) async fn start(script: impl Fn(&str, &Value) -> Reply + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared { script: Box::new(script), calls: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let router = router.layer(axum::extract::DefaultBodyLimit::disable());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, task }
    }

    /// The calls so far: path and body.
    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// How many calls of this path there were for this pod.
    pub(crate) fn asked(&self, path: &str, pod: &str) -> usize {
        let about = |body: &Value| body["Pod"]["metadata"]["name"] == pod || body["PodName"] == pod;
        self.calls().iter().filter(|(p, body)| p == path && about(body)).count()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    shared.calls.lock().unwrap().push((uri.path().to_owned(), body.clone()));
    // A script may wait for others: it must not keep a thread that their answers need.
    let reply = tokio::task::spawn_blocking(move || (shared.script)(uri.path(), &body)).await.unwrap();
    match reply {
        Reply::Json(value) => Response::new(Body::from(value.to_string())),
        Reply::Text(text) => Response::new(Body::from(text)),
        Reply::Long(bytes) => Response::new(Body::from(" ".repeat(bytes))),
        Reply::Code(code) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::from_u16(code).unwrap();
            response
        }
        Reply::Hang => {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            Response::new(Body::empty())
        }
    }
}

/// The names of the nodes in a question, in whichever form.
pub(crate) fn names(body: &Value) -> Vec<String> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    match (body["NodeNames"].as_array(), body["Nodes"]["items"].as_array()) {
        (Some(names), None) => names.iter().map(text).collect(),
        (None, Some(items)) => items.iter().map(|node| text(&node["metadata"]["name"])).collect(),
        _ => unreachable!("one of both forms: {body}"),
    }
}

/// Lets these nodes pass, by name.
pub(crate) fn only(body: &Value, passes: impl Fn(&str) -> bool) -> Reply {
    let (passed, failed): (Vec<String>, Vec<String>) = names(body).into_iter().partition(|name| passes(name));
    let failed: serde_json::Map<String, Value> =
        failed.into_iter().map(|name| (name, "the extender says no".into())).collect();
    Reply::Json(json!({"NodeNames": passed, "FailedNodes": failed}))
}
