//! The whole table: every workload on clusters of four sizes, each measured by a process of its own.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::report::Report;
use super::times::Spread;
use crate::commands::bench::shared::{as_f64, say};

const NODES: [usize; 4] = [1_000, 5_000, 15_000, 50_000];
/// Pods there where groups matter.
const EXISTING: usize = 50_000;

/// A workload, and the decisions a second that are wanted on clusters of these sizes.
struct Row {
    workload: &'static str,
    grouped: bool,
    wanted: [usize; 4],
}

const ROWS: [Row; 8] = [
    Row { workload: "basic", grouped: false, wanted: [500_000, 400_000, 300_000, 200_000] },
    Row { workload: "templates", grouped: false, wanted: [150_000, 75_000, 55_000, 40_000] },
    Row { workload: "spread", grouped: true, wanted: [200_000, 120_000, 45_000, 18_000] },
    Row { workload: "defaultspread", grouped: true, wanted: [75_000, 35_000, 15_000, 5_000] },
    Row { workload: "affinity", grouped: true, wanted: [120_000, 70_000, 30_000, 10_000] },
    Row { workload: "antiaffinity", grouped: true, wanted: [100_000, 50_000, 25_000, 9_000] },
    Row { workload: "preferred", grouped: true, wanted: [80_000, 35_000, 14_000, 4_500] },
    Row { workload: "unschedulable", grouped: false, wanted: [500_000, 500_000, 400_000, 300_000] },
];
/// Microseconds in which cold decisions are wanted, but for the slowest of a hundred.
const COLD_WANTED_US: [usize; 4] = [150, 400, 1_000, 3_500];

/// What one run is asked for.
#[derive(Clone, Copy)]
struct Cell {
    workload: &'static str,
    nodes: usize,
    pods: usize,
    existing: Option<usize>,
    workers: usize,
    unique_labels: bool,
    memo: bool,
    history: bool,
}

impl Cell {
    /// A run that takes a second or so where a decision takes a hundred nanoseconds a node.
    fn new(workload: &'static str, nodes: usize) -> Self {
        let pods = if workload == "unschedulable" { 10_000 } else { (30_000_000 / nodes).clamp(2_000, 20_000) };
        Self { workload, nodes, pods, existing: None, workers: 1, unique_labels: false, memo: true, history: true }
    }

    /// The median of so many runs, number by number.
    fn measure(&self, runs: usize) -> anyhow::Result<Report> {
        say(&format!("{} on {} nodes", self.workload, self.nodes))?;
        let reports: Vec<Report> = (0..runs.max(1)).map(|_| self.run()).collect::<anyhow::Result<_>>()?;
        let mut median = reports.first().cloned().context("measuring")?;
        median.decisions_per_second = middle(reports.iter().map(|r| r.decisions_per_second));
        median.cycles_per_second = middle(reports.iter().map(|r| r.cycles_per_second));
        let spread = |of: fn(&Report) -> Spread| {
            let at = |part: fn(Spread) -> u64| middle(reports.iter().map(|r| part(of(r))));
            Spread { p50: at(|s| s.p50), p99: at(|s| s.p99), max: at(|s| s.max) }
        };
        (median.warm_ns, median.cold_ns) = (spread(|r| r.warm_ns), spread(|r| r.cold_ns));
        Ok(median)
    }

    fn run(&self) -> anyhow::Result<Report> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut command = Command::new(program);
        command.args(["bench", "core", "-o", "json", "--workload", self.workload]);
        command.args(["--nodes", &self.nodes.to_string(), "--pods", &self.pods.to_string()]);
        command.args(["--workers", &self.workers.to_string()]);
        if let Some(existing) = self.existing {
            command.args(["--existing", &existing.to_string()]);
        }
        if !self.memo {
            command.args(["--memo-mebibytes", "0"]);
        }
        if !self.history {
            command.args(["--history-mebibytes", "0"]);
        }
        if self.unique_labels {
            command.arg("--unique-labels");
        }
        let output = command.stderr(Stdio::inherit()).output().context("measuring in a process of its own")?;
        ensure!(output.status.success(), "measuring {} on {} nodes: {}", self.workload, self.nodes, output.status);
        serde_json::from_slice(&output.stdout).context("reading what was measured")
    }
}

/// The sizes of clusters to measure, all or one; none where that is not in the table.
pub(super) fn columns(only: Option<usize>) -> Vec<usize> {
    NODES.into_iter().filter(|column| only.is_none_or(|only| only == *column)).collect()
}

/// Measures all of it, or what is on clusters of one size, and prints it as Markdown: line by line as it is measured, so
/// that whoever ends it early keeps what there is.
pub(super) fn run(nodes: Option<usize>, runs: usize) -> anyhow::Result<()> {
    let columns = columns(nodes);
    heading("decisions/s (wanted)", &columns)?;
    let mut worst = vec![0; columns.len()];
    let mut seen = Vec::new();
    for row in &ROWS {
        let mut cells = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            let existing = row.grouped.then_some(EXISTING);
            let report = Cell { existing, ..Cell::new(row.workload, *column) }.measure(runs)?;
            let wanted = wanted_at(&row.wanted, *column);
            cells.push(cell(report.decisions_per_second, wanted, report.decisions_per_second >= as_f64(wanted)));
            if row.grouped {
                worst[at] = report.cold_ns.p99.max(worst[at]);
            }
            seen.push(report);
        }
        line(row.workload, &cells)?;
    }
    line("cold p99, us: worst of the five with groups", &cold_cells(&worst, &columns))?;
    line("the same, every pod with a label of its own", &cold_cells(&unique(&columns, runs)?, &columns))?;
    let counted = seen.iter().filter_map(|report| report.allocations_per_warm_decision).reduce(f64::max);
    let counted = counted.map_or_else(|| "not counted".to_owned(), |most| format!("{most:.2}"));
    print(&format!("\nAllocations in a warm decision, at most: {counted}."))?;
    if nodes.is_none() { growth(&seen, runs) } else { Ok(()) }
}

/// What no more than one in a hundred cold decisions exceeds, of the workload with groups where that is most, with unique
/// labels.
fn unique(columns: &[usize], runs: usize) -> anyhow::Result<Vec<u64>> {
    let worst = |nodes: &usize| {
        let cells = ROWS.iter().filter(|row| row.grouped).map(|row| {
            let cell =
                Cell { existing: Some(EXISTING), unique_labels: true, pods: 500, ..Cell::new(row.workload, *nodes) };
            cell.measure(runs).map(|report| report.cold_ns.p99)
        });
        cells.collect::<anyhow::Result<Vec<_>>>().map(|all| all.into_iter().max().unwrap_or(0))
    };
    columns.iter().map(worst).collect()
}

/// How costs grow, what memory a large cluster takes, and what a second worker brings.
fn growth(seen: &[Report], runs: usize) -> anyhow::Result<()> {
    heading("log-log slope (at most)", &[])?;
    let over_nodes = |workload: &str, cost: fn(&Report) -> u64| {
        slope(seen.iter().filter(|r| r.workload == workload).map(|r| (r.nodes, cost(r))))
    };
    for name in ["basic", "templates"] {
        let (warm, cold) = (over_nodes(name, |r| r.warm_ns.p50), over_nodes(name, |r| r.cold_ns.p50));
        line(&format!("warm, {name}, over nodes"), &[format!("{warm:.2} (0.7)")])?;
        line(&format!("cold, {name}, over nodes"), &[format!("{cold:.2} (1.05)")])?;
    }
    for workload in ["spread", "affinity"] {
        let mut points = Vec::new();
        for existing in [5_000, EXISTING, 250_000] {
            let report = Cell { existing: Some(existing), ..Cell::new(workload, 5_000) }.measure(runs)?;
            points.push((existing, report.warm_ns.p50));
        }
        let slope = slope(points.into_iter());
        line(&format!("warm, {workload}, over existing pods"), &[format!("{slope:.2} (0.1)")])?;
    }
    let large = Cell { existing: Some(1_000_000), ..Cell::new("basic", 50_000) }.measure(runs)?;
    let (rate, mib) = (number(large.decisions_per_second), number(large.peak_rss_mib));
    print(&format!("\nbasic on 50,000 nodes with 1,000,000 pods: {rate} decisions/s (100,000), {mib} MiB (1,536)."))?;
    let (warm, afresh) = (gain(true, runs)?, gain(false, runs)?);
    let templates = "Two workers decide templates on 15,000 nodes";
    print(&format!("{templates} {warm:.2} times as fast as one (at least 0.9), without a memo {afresh:.2} (1.6)."))?;
    let basic = Cell { pods: 200_000, ..Cell::new("basic", 1_000) };
    let kept = ratio(basic, Cell { history: false, ..basic }, 2 * runs)?;
    print(&format!("Keeping past decisions: basic on 1,000 nodes {kept:.3} times as fast as without (at least 0.97)."))
}

/// How many times as fast as one worker two are.
fn gain(memo: bool, runs: usize) -> anyhow::Result<f64> {
    let one = Cell { memo, ..Cell::new("templates", 15_000) };
    ratio(Cell { workers: 2, ..one }, one, runs)
}

/// How many times as fast as the other the one is. Each pair of runs is made at once: what else the machine does is the same
/// for both.
fn ratio(one: Cell, other: Cell, runs: usize) -> anyhow::Result<f64> {
    let of = |cell: Cell| cell.measure(1).map(|report| report.decisions_per_second);
    let pairs = (0..runs.max(1)).map(|_| Ok(of(one)? / of(other)?)).collect::<anyhow::Result<Vec<f64>>>()?;
    Ok(middle(pairs.into_iter()))
}

fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("writing to standard output")
}

fn heading(title: &str, columns: &[usize]) -> anyhow::Result<()> {
    let names: Vec<String> = columns.iter().map(|nodes| format!("{} nodes", number(as_f64(*nodes)))).collect();
    let names = if names.is_empty() { vec![String::new()] } else { names };
    print(&format!("\n| {title} | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len())))
}

fn line(title: &str, cells: &[String]) -> anyhow::Result<()> {
    print(&format!("| {title} | {} |", cells.join(" | ")))
}

fn cold_cells(worst_ns: &[u64], columns: &[usize]) -> Vec<String> {
    let cells = worst_ns.iter().zip(columns).map(|(ns, nodes)| {
        let wanted = wanted_at(&COLD_WANTED_US, *nodes);
        let us = usize::try_from(ns.div_ceil(1_000)).unwrap_or(usize::MAX);
        cell(as_f64(us), wanted, us <= wanted)
    });
    cells.collect()
}

fn wanted_at(wanted: &[usize; 4], nodes: usize) -> usize {
    NODES.iter().position(|column| *column == nodes).and_then(|at| wanted.get(at)).copied().unwrap_or(0)
}

/// What was measured, in bold where it is not what is wanted.
fn cell(measured: f64, wanted: usize, reached: bool) -> String {
    let mark = if reached { "" } else { "**" };
    format!("{mark}{}{mark} ({})", number(measured), number(as_f64(wanted)))
}

/// A whole number with its thousands apart.
fn number(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn middle<T: PartialOrd + Copy + Default>(values: impl Iterator<Item = T>) -> T {
    let mut sorted: Vec<T> = values.collect();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The power of the size with which the cost grows: the slope of the best line through both logarithms.
fn slope(points: impl Iterator<Item = (usize, u64)>) -> f64 {
    let logs =
        points.map(|(size, cost)| (as_f64(size).ln(), as_f64(usize::try_from(cost.max(1)).unwrap_or(usize::MAX)).ln()));
    let logs: Vec<(f64, f64)> = logs.collect();
    let count = as_f64(logs.len().max(1));
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let both: f64 = logs.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let own: f64 = logs.iter().map(|p| (p.0 - x).powi(2)).sum();
    if own > 0.0 { both / own } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_with_their_thousands_apart() {
        let rows = [(0.4, "0"), (999.0, "999"), (1_000.0, "1,000"), (1_234_567.8, "1,234,568")];
        for (value, expect) in rows {
            assert_eq!(number(value), expect);
        }
        assert_eq!(cell(99.0, 1_000, false), "**99** (1,000)");
    }

    #[test]
    fn slopes_are_powers() {
        let of = |cost: fn(u64) -> u64| {
            slope([1_u64, 10, 100, 1_000].into_iter().map(|n| (usize::try_from(n).unwrap(), cost(n))))
        };
        assert!((of(|n| 7 * n) - 1.0).abs() < 1e-9);
        assert!((of(|n| n * n) - 2.0).abs() < 1e-9);
        assert!(of(|_| 5).abs() < 1e-9);
        assert!(slope(std::iter::empty()).abs() < 1e-9);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(middle([3, 1, 2].into_iter()), 2);
        assert_eq!(middle(std::iter::empty::<u64>()), 0);
    }
}
