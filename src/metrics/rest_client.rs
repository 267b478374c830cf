//! `rest_client_*`: calls to the API server, named as client-go names them.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus::{Histogram, HistogramVec, IntCounterVec, Registry};

use super::family::Maker;

/// client-go's buckets, in seconds.
const BUCKETS: [f64; 12] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0];

pub(super) struct Vectors {
    requests: IntCounterVec,
    duration: HistogramVec,
}

/// Counts and times the calls to one API server. Cheap to clone.
#[derive(Clone)]
pub struct RestClientMetrics {
    host: Arc<str>,
    requests: IntCounterVec,
    duration: HistogramVec,
}

impl Vectors {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let make = Maker { registry, prefix: "rest_client_" };
        Ok(Self {
            requests: make.counters(
                "requests_total",
                &["code", "method", "host"],
                "Calls to the API server, by status, method and host.",
            )?,
            duration: make.histograms(
                "request_duration_seconds",
                &["verb", "host"],
                BUCKETS.to_vec(),
                "Time until the head of the API server's answer, by verb and host.",
            )?,
        })
    }

    pub(super) fn for_host(&self, host: &str) -> RestClientMetrics {
        RestClientMetrics { host: host.into(), requests: self.requests.clone(), duration: self.duration.clone() }
    }
}

impl RestClientMetrics {
    /// Notes one call; `status` is none when there was no answer.
    // A look-up under a lock: some 100 ns beside a call of at least 100 µs.
    pub fn observe(&self, method: &Method, status: Option<StatusCode>, took: Duration) {
        let method = method.as_str();
        // client-go's word for "no answer".
        let code = status.as_ref().map_or("<error>", StatusCode::as_str);
        self.requests.with_label_values(&[code, method, &*self.host]).inc();
        self.timer(method).observe(took.as_secs_f64());
    }

    fn timer(&self, verb: &str) -> Histogram {
        self.duration.with_label_values(&[verb, &*self.host])
    }
}
