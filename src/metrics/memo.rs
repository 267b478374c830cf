//! What the memo is good for.

use prometheus::{IntCounter, IntGauge};

use super::family::Maker;

/// What is kept from one decision to the next.
#[derive(Debug)]
#[allow(missing_docs, reason = "one field for each metric; what they are is said where they are made")]
pub struct MemoMetrics {
    pub hits: IntCounter,
    pub misses: IntCounter,
    pub passed: IntCounter,
    pub evictions: IntCounter,
    pub audits: IntCounter,
    pub mismatches: IntCounter,
    pub classes: IntGauge,
    pub bytes: IntGauge,
}

impl MemoMetrics {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self, prometheus::Error> {
        let decisions = make.counters(
            "memo_decisions_total",
            &["result"],
            "Decisions, by whether there were rows for the class of the pod (hit), rows had to be made (miss), or there was no use for any (passed).",
        )?;
        Ok(Self {
            hits: decisions.with_label_values(&["hit"]),
            misses: decisions.with_label_values(&["miss"]),
            passed: decisions.with_label_values(&["passed"]),
            evictions: make.counter(
                "memo_evictions_total",
                "Classes of pods whose rows made room for others; many of them mean that the budget is small.",
            )?,
            audits: make.counter("memo_audits_total", "Decisions made again from nothing, to compare.")?,
            mismatches: make
                .counter("memo_mismatches_total", "Those of them that came out otherwise: has to stay 0.")?,
            classes: make.gauge("memo_classes", "Classes of pods that rows are kept for, by all workers together.")?,
            bytes: make.gauge("memo_bytes", "What the kept rows take up.")?,
        })
    }
}
