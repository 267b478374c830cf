//! `rest_client_*`: calls to the API server, named as client-go names them.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus::{HistogramVec, IntCounterVec, Registry};

use super::family::Maker;
use super::labels::{Code, Verb};
use super::{Counters, Family, Histograms};

/// client-go's buckets, in seconds.
const BUCKETS: [f64; 12] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0];

pub(super) struct Vectors {
    requests: IntCounterVec,
    duration: HistogramVec,
}

/// Counts and times the calls to one API server. Cheap to clone.
#[derive(Clone)]
pub struct RestClientMetrics(Arc<Host>);

struct Host {
    name: String,
    vector: IntCounterVec,
    usual: Counters<(Code, Verb)>,
    duration: Histograms<Verb>,
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
        RestClientMetrics(Arc::new(Host {
            name: host.to_owned(),
            vector: self.requests.clone(),
            usual: Family::new(&self.requests, &[host]),
            duration: Family::new(&self.duration, &[host]),
        }))
    }
}

impl RestClientMetrics {
    /// Notes one call; `status` is none when there was no answer. Methods that Kubernetes does not use are not noted.
    pub fn observe(&self, method: &Method, status: Option<StatusCode>, took: Duration) {
        let host = &*self.0;
        let Some(&verb) = Verb::ALL.iter().find(|verb| verb.as_str() == method.as_str()) else { return };
        host.duration.at(verb).observe(took.as_secs_f64());
        let code = status.as_ref().map_or(Code::NoAnswer.as_str(), StatusCode::as_str);
        match Code::ALL.iter().find(|usual| usual.as_str() == code) {
            Some(&usual) => host.usual.at((usual, verb)).inc(),
            None => host.vector.with_label_values(&[code, verb.as_str(), &host.name]).inc(),
        }
    }
}
