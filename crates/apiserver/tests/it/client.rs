//! A plain HTTP client, so that the tests see what is on the wire.

use std::{future::Future, net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use plimsoll_apiserver::{Options, Server};
use serde_json::Value;
use tokio::net::TcpStream;

/// Far more than anything takes: a test that gets there hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server without controllers and kubelets, and a client of it.
pub(crate) async fn bare() -> (Server, Client) {
    start(Options { controllers: false, kubelets: false, ..Options::default() }).await
}

pub(crate) async fn start(options: Options) -> (Server, Client) {
    let server = Server::start(options).await.unwrap();
    let client = Client { address: server.address().unwrap() };
    (server, client)
}

pub(crate) struct Client {
    pub(crate) address: SocketAddr,
}

pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Client {
    async fn raw(
        &self,
        method: &str,
        path: &str,
        media_type: &str,
        body: Bytes,
    ) -> hyper::Result<http::Response<Incoming>> {
        let headers = [("content-type", media_type)];
        self.raw_with(method, path, if media_type.is_empty() { &[] } else { &headers }, body).await
    }

    async fn raw_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> hyper::Result<http::Response<Incoming>> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", "test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        patient(sender.send_request(request.body(Full::new(body)).unwrap())).await
    }

    /// Sends bytes; none when the connection ends without an answer.
    pub(crate) async fn try_send(
        &self,
        method: &str,
        path: &str,
        media_type: &str,
        body: impl Into<Bytes>,
    ) -> Option<Answer> {
        Self::read(self.raw(method, path, media_type, body.into()).await.ok()?).await
    }

    /// Sends bytes of JSON and reads an answer as far as it goes: its code, what came of its body, and whether that ended
    /// properly.
    pub(crate) async fn read_as_far(&self, method: &str, path: &str, body: String) -> (u16, Bytes, bool) {
        let response = self.raw(method, path, "application/json", body.into()).await.unwrap();
        let (code, mut body, mut read) = (response.status().as_u16(), response.into_body(), BytesMut::new());
        while let Some(frame) = patient(body.frame()).await {
            let Ok(frame) = frame else { return (code, read.freeze(), false) };
            read.extend_from_slice(&frame.into_data().unwrap());
        }
        (code, read.freeze(), true)
    }

    async fn read(response: http::Response<Incoming>) -> Option<Answer> {
        let (code, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = patient(response.into_body().collect()).await.ok()?.to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Some(Answer { code, headers, body })
    }

    pub(crate) async fn send(&self, method: &str, path: &str, media_type: &str, body: impl Into<Bytes>) -> Answer {
        self.try_send(method, path, media_type, body).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", "").await
    }

    /// A GET with further headers.
    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.request("GET", path, headers, Bytes::new()).await
    }

    /// Any request.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        Self::read(self.raw_with(method, path, headers, body.into()).await.unwrap()).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Value>) -> Answer {
        self.send("POST", path, "application/json", body.into().to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<Value>) -> Answer {
        self.send("PUT", path, "application/json", body.into().to_string()).await
    }

    pub(crate) async fn patch(&self, sort: &str, path: &str, body: Value) -> Answer {
        self.send("PATCH", path, &format!("application/{sort}-patch+json"), body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str, body: Value) -> Answer {
        self.send("DELETE", path, "application/json", body.to_string()).await
    }

    /// Starts a watch; a refusal panics.
    pub(crate) async fn watch(&self, path: &str) -> Watch {
        self.try_watch(path).await.unwrap()
    }

    /// Starts a watch; none when the connection ends before there is an answer.
    pub(crate) async fn try_watch(&self, path: &str) -> Option<Watch> {
        let response = self.raw("GET", path, "", Bytes::new()).await.ok()?;
        assert_eq!(response.status(), 200, "{path}");
        Some(Watch { body: response.into_body(), read: BytesMut::new(), broken: false })
    }
}

/// The events of a watch.
pub(crate) struct Watch {
    body: Incoming,
    read: BytesMut,
    /// Whether it ended without its proper end.
    pub(crate) broken: bool,
}

impl Watch {
    /// The next line as it is; none at the end.
    pub(crate) async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(end + 1);
                return Some(String::from_utf8(line.to_vec()).unwrap());
            }
            match patient(self.body.frame()).await? {
                Ok(frame) => self.read.extend_from_slice(&frame.into_data().unwrap()),
                Err(_) => {
                    self.broken = true;
                    return None;
                }
            }
        }
    }

    /// The next event; none at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        Some(serde_json::from_str(&self.line().await?).unwrap())
    }

    /// The next events as `TYPE name`.
    pub(crate) async fn names(&mut self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..count {
            let event = self.next().await.unwrap();
            let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
            names.push(format!("{} {}", text(&event["type"]), text(&event["object"]["metadata"]["name"])));
        }
        names
    }
}

/// Waits, but not for ever.
pub(crate) async fn patient<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("this takes no time unless it hangs")
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "never: {what}");
}

/// A resource version as a number.
pub(crate) fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}
