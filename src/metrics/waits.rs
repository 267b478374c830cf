//! What pods wait for, and for how long.

use std::collections::BTreeMap;

use prometheus::IntGaugeVec;
use prometheus::core::Collector as _;

use super::family::Maker;

/// Pods that wait, by reason: the name of a plugin, or one of a fixed list.
#[derive(Debug)]
pub struct WaitMetrics {
    longest: IntGaugeVec,
    held: IntGaugeVec,
}

impl WaitMetrics {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            longest: make.gauges(
                "longest_pending_seconds",
                &["reason"],
                "How long the pod has waited that waits longest, by what turned it away.",
            )?,
            held: make.gauges(
                "held_pods",
                &["reason"],
                "Pods that are not tried: what they ask for cannot be read, is not built, or may not be looked at.",
            )?,
        })
    }

    /// How long, in seconds, by reason. Reasons that were told before and are not among these have 0.
    pub fn set_longest(&self, seconds: &BTreeMap<&'static str, i64>) {
        set(&self.longest, seconds);
    }

    /// How many are held back, by reason.
    pub fn set_held(&self, pods: &BTreeMap<&'static str, i64>) {
        set(&self.held, pods);
    }
}

/// A series that has been there stays, at 0: one that vanishes tells nothing.
fn set(gauges: &IntGaugeVec, values: &BTreeMap<&'static str, i64>) {
    for family in gauges.collect() {
        for metric in family.get_metric() {
            let reason = metric.get_label()[0].value();
            if !values.contains_key(reason) {
                gauges.with_label_values(&[reason]).set(0);
            }
        }
    }
    for (reason, value) in values {
        gauges.with_label_values(&[reason]).set(*value);
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;

    #[test]
    fn a_reason_that_is_over_has_zero() {
        let registry = Registry::new();
        let waits = WaitMetrics::new(&Maker { registry: &registry, prefix: "x_" }).unwrap();
        waits.set_longest(&BTreeMap::from([("NodeAffinity", 12), ("queue", 1)]));
        waits.set_longest(&BTreeMap::from([("queue", 2)]));
        waits.set_held(&BTreeMap::from([("InvalidPodSpec", 3)]));
        let value = |vector: &IntGaugeVec, reason| vector.with_label_values(&[reason]).get();
        assert_eq!((value(&waits.longest, "NodeAffinity"), value(&waits.longest, "queue")), (0, 2));
        assert_eq!(value(&waits.held, "InvalidPodSpec"), 3);
    }
}
