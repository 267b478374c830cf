//! Counts and times every call to the API server.

use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::metrics::RestClientMetrics;

/// Wraps a service in [`Observe`].
#[derive(Clone)]
pub(super) struct ObserveLayer(RestClientMetrics);

/// Notes each call's method, status and time until the response's head. A watch ends, for this purpose, where its
/// stream begins.
#[derive(Clone)]
pub(super) struct Observe<S> {
    inner: S,
    metrics: RestClientMetrics,
}

impl ObserveLayer {
    pub(super) fn new(metrics: RestClientMetrics) -> Self {
        Self(metrics)
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, metrics: self.0.clone() }
    }
}

impl<S, A, B> Service<Request<A>> for Observe<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let metrics = self.metrics.clone();
        let method = request.method().clone();
        let started = Instant::now();
        self.inner
            .call(request)
            .map(move |answer| {
                let status = answer.as_ref().ok().map(Response::status);
                metrics.observe(&method, status, started.elapsed());
                answer
            })
            .boxed()
    }
}
