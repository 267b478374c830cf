//! What was measured, for people and for programs.

use std::io::Write as _;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::times::Spread;
use crate::table;

/// Everything that was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) workload: String,
    pub(super) nodes: usize,
    pub(super) pods: usize,
    pub(super) existing: usize,
    pub(super) workers: usize,
    /// Of the pods that were to be placed.
    pub(super) placed: usize,
    pub(super) decisions_per_second: f64,
    /// With what is around a decision: the arrival, the answer to the binding, the oldest pod's going.
    pub(super) cycles_per_second: f64,
    pub(super) warm_ns: Spread,
    pub(super) cold_ns: Spread,
    /// `None` where they are not counted.
    pub(super) allocations_per_warm_decision: Option<f64>,
    /// `None` where there is no memo.
    pub(super) memo_hit_rate: Option<f64>,
    pub(super) bytes_per_node: usize,
    pub(super) bytes_per_pod: usize,
    pub(super) bytes_per_class: usize,
    pub(super) peak_rss_mib: f64,
}

impl Report {
    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        let text =
            if as_json { serde_json::to_string_pretty(self).context("writing JSON")? + "\n" } else { self.table() };
        std::io::stdout().write_all(text.as_bytes()).context("writing to standard output")
    }

    fn table(&self) -> String {
        let mut out = table::plain(&["", "MEASURED"], false);
        let or_not_counted = |n: Option<f64>| n.map_or_else(|| "not counted".to_owned(), |n| format!("{n:.3}"));
        let spread = |s: &Spread| format!("p50 {}, p99 {}, max {}", nanos(s.p50), nanos(s.p99), nanos(s.max));
        let rows = [
            ("workload", format!("{}, {} nodes, {} existing pods", self.workload, self.nodes, self.existing)),
            ("workers", self.workers.to_string()),
            ("placed", format!("{} of {} pods", self.placed, self.pods)),
            ("decisions a second", format!("{:.0}", self.decisions_per_second)),
            ("cycles a second", format!("{:.0}", self.cycles_per_second)),
            ("warm decision", spread(&self.warm_ns)),
            ("cold decision", spread(&self.cold_ns)),
            ("allocations, warm", or_not_counted(self.allocations_per_warm_decision)),
            ("memo hit rate", self.memo_hit_rate.map_or_else(|| "no memo".to_owned(), |rate| format!("{rate:.3}"))),
            ("bytes a node", self.bytes_per_node.to_string()),
            ("bytes a pod", self.bytes_per_pod.to_string()),
            ("bytes a class", self.bytes_per_class.to_string()),
            ("peak RSS", format!("{:.0} MiB", self.peak_rss_mib)),
        ];
        for (name, value) in rows {
            out.add_row([name.to_owned(), value]);
        }
        table::text(&out)
    }
}

/// A time as people write it.
fn nanos(ns: u64) -> String {
    let tenth = |unit: u64| format!("{}.{}", ns / unit, ns % unit * 10 / unit);
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} us", tenth(1_000)),
        _ => format!("{} ms", tenth(1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_for_people() {
        let rows = [(0, "0 ns"), (999, "999 ns"), (1_250, "1.2 us"), (999_999, "999.9 us"), (12_345_678, "12.3 ms")];
        for (ns, expect) in rows {
            assert_eq!(nanos(ns), expect);
        }
    }
}
