//! What a process has taken so far, by the operating system's account.

use std::time::Duration;

use anyhow::Context as _;

/// CPU time and memory of a process.
pub(in crate::commands) struct Usage {
    pub(super) cpu: Duration,
    pub(super) peak_rss_mib: f64,
    /// At the moment.
    pub(super) rss_mib: f64,
}

/// What the process of this number has taken.
pub(in crate::commands) fn of(process: u32) -> anyhow::Result<Usage> {
    let read = |file: &str| {
        let path = format!("/proc/{process}/{file}");
        std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))
    };
    let stat = read("stat")?;
    // After the name in parentheses: state is field 0, user and system time are fields 11 and 12, in ticks.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|t| t.parse::<u64>().ok()).context("reading CPU time");
    // A tick is a hundredth of a second on every Linux that runs this.
    let cpu = Duration::from_millis(10 * (ticks(11)? + ticks(12)?));
    let status = read("status")?;
    let mib = |field: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(field)).context("reading memory")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().context("reading memory")?;
        Ok::<_, anyhow::Error>(kib / 1024.0)
    };
    Ok(Usage { cpu, peak_rss_mib: mib("VmHWM:")?, rss_mib: mib("VmRSS:")? })
}
