//! `process_*`: read from `/proc` at each scrape. Absent where there is no `/proc`.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge};

/// Linux tells process times in hundredths of a second on every architecture we are built for, whatever the kernel's
/// own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// The process's own resources, as every Prometheus client library names them.
pub(super) struct ProcessCollector {
    cpu_seconds: Counter,
    resident_bytes: Gauge,
    virtual_bytes: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    threads: Gauge,
    start_time_seconds: Gauge,
    /// Read once: the time at which the system started, from which it is counted, is told a second more or less from one
    /// reading to the next, and a start that moves looks like a restart.
    started: Option<f64>,
}

impl ProcessCollector {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            cpu_seconds: Counter::new("process_cpu_seconds_total", "CPU time spent, user and system, in seconds.")?,
            resident_bytes: Gauge::new("process_resident_memory_bytes", "Resident memory in bytes.")?,
            virtual_bytes: Gauge::new("process_virtual_memory_bytes", "Virtual memory in bytes.")?,
            open_fds: Gauge::new("process_open_fds", "Open file descriptors.")?,
            max_fds: Gauge::new("process_max_fds", "The most file descriptors the process may open.")?,
            threads: Gauge::new("process_threads", "Threads of the operating system.")?,
            start_time_seconds: Gauge::new("process_start_time_seconds", "Start of the process, in Unix seconds.")?,
            started: read("self/stat").and_then(|stat| start_time_seconds(&stat, &read("stat")?)),
        })
    }

    fn gauges(&self) -> [&Gauge; 6] {
        [
            &self.resident_bytes,
            &self.virtual_bytes,
            &self.open_fds,
            &self.max_fds,
            &self.threads,
            &self.start_time_seconds,
        ]
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.cpu_seconds.desc().into_iter().chain(self.gauges().into_iter().flat_map(Gauge::desc)).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = Vec::new();
        let stat = read("self/stat");
        if let Some(seconds) = stat.as_deref().and_then(cpu_seconds) {
            // Only ever forwards: two scrapes at once may have read in the other order.
            let ahead = seconds - self.cpu_seconds.get();
            if ahead > 0.0 {
                self.cpu_seconds.inc_by(ahead);
            }
            families.extend(self.cpu_seconds.collect());
        }
        let status = read("self/status");
        let kib = |key| status.as_deref().and_then(|text| number_after(text, key)).map(|kib| kib * 1024.0);
        let values = [
            kib("VmRSS:"),
            kib("VmSize:"),
            open_fds(),
            read("self/limits").and_then(|text| number_after(&text, "Max open files")),
            status.as_deref().and_then(|text| number_after(text, "Threads:")),
            self.started,
        ];
        for (gauge, value) in self.gauges().into_iter().zip(values) {
            if let Some(value) = value {
                gauge.set(value);
                families.extend(gauge.collect());
            }
        }
        families
    }
}

fn read(name: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{name}")).ok()
}

/// The fields of `/proc/self/stat` from the third on: the second is the program's name and may hold anything.
fn fields(stat: &str) -> Option<Vec<&str>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace().collect())
}

fn ticks(fields: &[&str], at: usize) -> Option<f64> {
    fields.get(at)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    let fields = fields(stat)?;
    Some((ticks(&fields, 11)? + ticks(&fields, 12)?) / TICKS_PER_SECOND)
}

fn start_time_seconds(stat: &str, system: &str) -> Option<f64> {
    Some(number_after(system, "btime")? + ticks(&fields(stat)?, 19)? / TICKS_PER_SECOND)
}

/// The first number on the line that begins with `key`.
fn number_after(text: &str, key: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

fn open_fds() -> Option<f64> {
    let count = std::fs::read_dir("/proc/self/fd").ok()?.count();
    // The listing itself holds one.
    Some(f64::from(u32::try_from(count.saturating_sub(1)).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_proc_whatever_the_program_is_called() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 3 0 1200 999 88";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(start_time_seconds(stat, "cpu 1 2\nbtime 1000\n"), Some(1012.0));
        assert_eq!(
            number_after("Max open files            1024                 4096 files", "Max open files"),
            Some(1024.0)
        );
        assert_eq!(number_after("VmRSS:\t    12 kB\n", "VmRSS:"), Some(12.0));
    }

    #[test]
    fn strange_text_gives_no_value() {
        for text in ["", "()", ") S", "7 (x) S a b"] {
            assert_eq!(cpu_seconds(text), None);
            assert_eq!(start_time_seconds(text, text), None);
        }
        assert_eq!(number_after("Max open files unlimited", "Max open files"), None);
    }
}
