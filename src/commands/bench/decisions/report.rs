//! What was measured, for people and for programs.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use crate::commands::bench::shared::as_f64;
use crate::commands::table;

/// Times of decisions and of what is around them.
#[derive(Default)]
pub(super) struct Times {
    decisions_ns: Vec<u64>,
    deciding: Duration,
    /// Arrivals, answers to bindings, deletions.
    pub(super) around: Duration,
}

impl Times {
    /// So many decisions took so long together.
    pub(super) fn decided(&mut self, count: usize, took: Duration) {
        self.deciding += took;
        let count = count.max(1);
        let each = took.as_nanos() / u128::try_from(count).unwrap_or(1);
        self.decisions_ns.extend(std::iter::repeat_n(u64::try_from(each).unwrap_or(u64::MAX), count));
    }

    pub(super) fn decisions_per_second(&self) -> f64 {
        as_f64(self.decisions_ns.len()) / self.deciding.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    pub(super) fn cycles_per_second(&self) -> f64 {
        as_f64(self.decisions_ns.len()) / (self.deciding + self.around).as_secs_f64().max(f64::MIN_POSITIVE)
    }

    pub(super) fn spread(&self) -> Spread {
        let mut sorted = self.decisions_ns.clone();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let last = sorted.len().saturating_sub(1);
            sorted.get((percent * last).div_ceil(100)).copied().unwrap_or(0)
        };
        Spread { p50: at(50), p99: at(99), max: at(100) }
    }
}

/// Percentiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Spread {
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) max: u64,
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    pub(super) workload: String,
    pub(super) nodes: usize,
    pub(super) pods: usize,
    pub(super) existing: usize,
    pub(super) workers: usize,
    pub(super) placed: usize,
    pub(super) decisions_per_second: f64,
    pub(super) cycles_per_second: f64,
    pub(super) warm_ns: Spread,
    pub(super) cold_ns: Spread,
    pub(super) peak_rss_mib: f64,
}

impl Report {
    /// Whether as many pods were placed as should be: 99 %.
    pub(super) const fn is_complete(&self) -> bool {
        self.placed * 100 >= self.pods * 99
    }

    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        let text =
            if as_json { serde_json::to_string_pretty(self).context("writing JSON")? + "\n" } else { self.table()? };
        std::io::stdout().write_all(text.as_bytes()).context("writing to standard output")
    }

    fn table(&self) -> anyhow::Result<String> {
        let mut out = table::plain(&["MEASURED", "VALUE"], false);
        let all = serde_json::to_value(self).context("writing a table")?;
        for (name, value) in all.as_object().into_iter().flatten() {
            out.add_row([name.clone(), value.to_string()]);
        }
        Ok(table::text(&out))
    }
}
