//! How full the fleet is, by the scheduler's own count: the requests of pods, not what they really use.

use std::collections::BTreeMap;

use prometheus::GaugeVec;
use prometheus::core::Collector as _;

use super::family::Maker;

/// So many resources have series beside the common ones: extended resources are named by whoever makes them.
const NAMED: usize = 16;
/// These always have.
const COMMON: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "pods"];

/// The amounts of one resource, in base units: CPUs, bytes, whole ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FleetAmounts {
    /// What all nodes can give to pods.
    pub allocatable: f64,
    /// What the pods on them ask for.
    pub requested: f64,
    /// The most that is free on one node that takes new pods.
    pub largest_free: f64,
}

/// Sums over all nodes, by resource.
#[derive(Debug)]
pub struct FleetMetrics {
    allocatable: GaugeVec,
    requested: GaugeVec,
    largest_free: GaugeVec,
}

impl FleetMetrics {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            allocatable: make.float_gauges(
                "fleet_allocatable",
                &["resource"],
                "What all nodes together can give to pods: CPUs, bytes, whole ones.",
            )?,
            requested: make.float_gauges(
                "fleet_requested",
                &["resource"],
                "What the pods on all nodes ask for together: CPUs, bytes, whole ones.",
            )?,
            largest_free: make.float_gauges(
                "fleet_largest_free",
                &["resource"],
                "The most that is free on one node that takes new pods: CPUs, bytes, whole ones.",
            )?,
        })
    }

    /// Takes over the amounts. A resource that is not among them any more is not shown any more, but for the common ones;
    /// of too many, the first by name are shown.
    pub fn set(&self, amounts: &BTreeMap<String, FleetAmounts>) {
        let named = amounts.keys().filter(|name| !COMMON.contains(&name.as_str())).take(NAMED);
        let shown: Vec<&str> = COMMON.into_iter().chain(named.map(String::as_str)).collect();
        for vector in [&self.allocatable, &self.requested, &self.largest_free] {
            forget_others(vector, &shown);
        }
        for name in shown {
            let of = amounts.get(name).copied().unwrap_or_default();
            self.allocatable.with_label_values(&[name]).set(of.allocatable);
            self.requested.with_label_values(&[name]).set(of.requested);
            self.largest_free.with_label_values(&[name]).set(of.largest_free);
        }
    }
}

/// Series go one by one: between a reset and the new values a scrape would find nothing.
fn forget_others(vector: &GaugeVec, shown: &[&str]) {
    for family in vector.collect() {
        for metric in family.get_metric() {
            let name = metric.get_label()[0].value();
            if !shown.contains(&name) {
                // There is nobody else who takes series away.
                drop(vector.remove_label_values(&[name]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;

    #[test]
    fn names_are_bounded_and_what_is_gone_is_not_shown() {
        let registry = Registry::new();
        let fleet = FleetMetrics::new(&Maker { registry: &registry, prefix: "x_" }).unwrap();
        let amounts = |names: std::ops::Range<usize>| -> BTreeMap<String, FleetAmounts> {
            let one = FleetAmounts { allocatable: 8.0, requested: 2.5, largest_free: 3.0 };
            names.map(|n| (format!("example.com/r{n:03}"), one)).chain([("cpu".to_owned(), one)]).collect()
        };
        fleet.set(&amounts(0..1_000));
        assert_eq!(fleet.allocatable.collect()[0].get_metric().len(), COMMON.len() + NAMED);
        assert_eq!(fleet.requested.with_label_values(&["cpu"]).get(), 2.5);
        assert_eq!(fleet.largest_free.with_label_values(&["memory"]).get(), 0.0);
        fleet.set(&amounts(0..1));
        assert_eq!(fleet.requested.collect()[0].get_metric().len(), COMMON.len() + 1);
    }
}
