//! Calls of extenders.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::family::Maker;

/// From a service on the same machine to one that is given up on.
const EXTENDER_BUCKETS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

pub(super) struct ExtenderVectors {
    requests: IntCounterVec,
    duration: HistogramVec,
}

impl ExtenderVectors {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            requests: make.counters(
                "extender_requests_total",
                &["extender", "verb", "result"],
                "Calls of extenders, by what came of them.",
            )?,
            duration: make.histograms(
                "extender_request_duration_seconds",
                &["extender", "verb"],
                EXTENDER_BUCKETS.to_vec(),
                "How long calls of extenders took.",
            )?,
        })
    }

    pub(super) fn of(&self, extender: &str) -> ExtenderMetrics {
        ExtenderMetrics {
            extender: extender.to_owned(),
            requests: self.requests.clone(),
            duration: self.duration.clone(),
        }
    }
}

/// The series of one extender.
pub struct ExtenderMetrics {
    extender: String,
    requests: IntCounterVec,
    duration: HistogramVec,
}

impl ExtenderMetrics {
    /// Calls of a verb that ended with `ok`, `error` or `timeout`.
    pub fn requests(&self, verb: &str, result: &str) -> IntCounter {
        self.requests.with_label_values(&[&self.extender, verb, result])
    }

    /// How long calls of a verb took.
    pub fn duration(&self, verb: &str) -> Histogram {
        self.duration.with_label_values(&[&self.extender, verb])
    }
}
