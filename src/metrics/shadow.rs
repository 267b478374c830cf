//! How the decisions of other schedulers compare with those made here.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec};

use super::family::Maker;
use super::{Counters, Family, ShadowResult};

/// What is counted of schedulers that are shadowed.
#[derive(Debug)]
pub struct ShadowMetrics {
    decisions: IntCounterVec,
    pending_placeable: IntGaugeVec,
}

impl ShadowMetrics {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            decisions: make.counters(
                "shadow_decisions_total",
                &["result", "scheduler"],
                "Pods placed by a scheduler that is shadowed, by how its node compares with the one chosen here.",
            )?,
            pending_placeable: make.gauges(
                "shadow_pending_placeable",
                &["scheduler"],
                "Pods that a scheduler that is shadowed has left pending for ten seconds or longer although they have a place.",
            )?,
        })
    }

    /// Pods that a scheduler has placed.
    pub fn decisions(&self, scheduler: &str) -> Counters<ShadowResult> {
        Family::new(&self.decisions, &[scheduler])
    }

    /// Pods that a scheduler leaves pending although they have a place.
    pub fn pending_placeable(&self, scheduler: &str) -> IntGauge {
        self.pending_placeable.with_label_values(&[scheduler])
    }
}
