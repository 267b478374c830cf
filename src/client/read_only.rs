//! Clients that cannot write, whatever they are asked to: what is refused here never leaves the process.

use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use thiserror::Error;
use tower::BoxError;
use tower::util::service_fn;

use super::Clients;

/// The questions that are put by POST: who a token stands for, and whether somebody may do something.
const QUESTIONS: [&str; 2] =
    ["/apis/authentication.k8s.io/v1/tokenreviews", "/apis/authorization.k8s.io/v1/subjectaccessreviews"];

/// A request that a client was not made for.
#[derive(Debug, Error)]
#[error("{method} {path}: this client only reads, and the request was not sent")]
struct Refused {
    method: Method,
    path: String,
}

impl Clients {
    /// The same, but none of them sends anything that could change something.
    #[must_use]
    pub fn read_only(self) -> Self {
        let Self { watch, bind, status, objects, events, lease } = self;
        Self {
            watch: restricted(watch, reads),
            bind: restricted(bind, reads),
            status: restricted(status, reads),
            objects: restricted(objects, reads),
            events: restricted(events, reads),
            lease: restricted(lease, reads),
        }
    }
}

/// A client that asks who somebody is and what they may do, and can do nothing else.
pub(crate) fn only_asking(client: Client) -> Client {
    restricted(client, |request| *request.method() == Method::POST && QUESTIONS.contains(&request.uri().path()))
}

fn reads(request: &Request<Body>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

fn restricted(client: Client, allowed: fn(&Request<Body>) -> bool) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = service_fn(move |request: Request<Body>| {
        let client = client.clone();
        async move {
            if !allowed(&request) {
                let refused = Refused { method: request.method().clone(), path: request.uri().path().to_owned() };
                tracing::error!("{refused}");
                return Err(BoxError::from(refused));
            }
            client.send(request).await.map_err(BoxError::from)
        }
    });
    Client::new(service, namespace)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::Response;

    use super::*;

    /// A client of a server that accepts everything, and how often that was asked.
    fn willing() -> (Client, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let service = service_fn(move |_: Request<Body>| {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, BoxError>(Response::new(Body::empty())) }
        });
        (Client::new(service, "default"), asked)
    }

    async fn goes_through(client: &Client, method: &Method, path: &str) -> bool {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        client.send(request).await.is_ok()
    }

    #[tokio::test]
    async fn what_could_change_something_is_not_sent() {
        let pods = "/api/v1/namespaces/default/pods";
        let (binding, [tokens, access]) = (format!("{pods}/p/binding"), QUESTIONS);
        let (get, head, post) = (Method::GET, Method::HEAD, Method::POST);
        let (put, patch, delete) = (Method::PUT, Method::PATCH, Method::DELETE);
        for (method, path, reads, asks) in [
            (&get, pods, true, false),
            (&head, pods, true, false),
            (&post, &*binding, false, false),
            (&post, tokens, false, true),
            (&post, access, false, true),
            (&post, "/apis/authorization.k8s.io/v1/subjectaccessreviews/x", false, false),
            (&put, tokens, false, false),
            (&put, "/apis/coordination.k8s.io/v1/namespaces/n/leases/l", false, false),
            (&patch, "/api/v1/namespaces/default/pods/p/status", false, false),
            (&delete, "/api/v1/namespaces/default/pods/p", false, false),
            (&Method::OPTIONS, pods, false, false),
        ] {
            let (client, asked) = willing();
            let reading = Clients::from_one(client.clone()).read_only();
            let all = [reading.watch, reading.bind, reading.status, reading.objects, reading.events, reading.lease];
            for client in &all {
                assert_eq!(goes_through(client, method, path).await, reads, "{method} {path}");
            }
            assert_eq!(goes_through(&only_asking(client), method, path).await, asks, "{method} {path}");
            let sent = if reads { all.len() } else { 0 } + usize::from(asks);
            assert_eq!(asked.load(Ordering::Relaxed), sent, "{method} {path}");
        }
    }
}
