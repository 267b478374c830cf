//! docs/metrics.md has every metric: once in the tables by topic, and once in the table at its end, which is written by
//! `PLIMSOLL_WRITE_DOCS=1 cargo test -p plimsoll --lib metrics`.

use std::collections::BTreeMap;

use super::touched;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
const BEGIN: &str = "<!-- every metric: begin -->\n";
const END: &str = "<!-- every metric: end -->\n";
/// Where metrics are made by a `Maker`.
const MAKERS: [&str; 8] = [
    include_str!("../extender.rs"),
    include_str!("../fleet.rs"),
    include_str!("../memo.rs"),
    include_str!("../plimsoll.rs"),
    include_str!("../rest_client.rs"),
    include_str!("../scheduler.rs"),
    include_str!("../shadow.rs"),
    include_str!("../waits.rs"),
];

/// A metric as it is scraped.
#[derive(Debug, PartialEq)]
struct Metric {
    kind: String,
    labels: Vec<String>,
    buckets: Vec<String>,
    help: String,
}

fn metrics() -> BTreeMap<String, Metric> {
    let text = touched().render().unwrap();
    text.split("# HELP ").skip(1).map(metric).collect()
}

fn metric(block: &str) -> (String, Metric) {
    let mut lines = block.lines();
    let (name, help) = lines.next().unwrap().split_once(' ').unwrap();
    let kind = lines.next().unwrap().rsplit_once(' ').unwrap().1;
    let first = lines.clone().next().unwrap();
    // Not that of `profile`.
    let bucket = |line: &str| Some(line.replace('{', ",").split_once(",le=\"")?.1.split_once('"')?.0.to_owned());
    let buckets = lines.map_while(bucket).take_while(|bound| bound != "+Inf").collect();
    let labels = first.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
    let labels = labels.split("\",").filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()));
    let labels = labels.filter(|label| label != "le").collect();
    (name.to_owned(), Metric { kind: kind.to_owned(), labels, buckets, help: help.to_owned() })
}

fn table() -> String {
    let row = |(name, metric): (String, Metric)| {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let buckets = match metric.buckets.as_slice() {
            [] => String::new(),
            [first, .., last] => format!("{} from {first} to {last}", metric.buckets.len()),
            [only] => only.clone(),
        };
        format!("| `{name}` | {} | {} | {buckets} | {} |\n", metric.kind, labels.join(", "), metric.help)
    };
    let rows: String = metrics().into_iter().map(row).collect();
    format!("| Name | Type | Labels | Buckets | Help |\n|---|---|---|---|---|\n{rows}")
}

#[test]
fn the_table_at_the_end_is_up_to_date() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (head, rest) = page.split_once(BEGIN).unwrap();
    let (found, tail) = rest.split_once(END).unwrap();
    let wanted = table();
    if std::env::var_os("PLIMSOLL_WRITE_DOCS").is_some() {
        std::fs::write(PAGE, [head, BEGIN, &wanted, END, tail].concat()).unwrap();
    } else {
        assert_eq!(found, wanted, "run PLIMSOLL_WRITE_DOCS=1 cargo test -p plimsoll --lib metrics");
    }
}

/// The cells of the tables by topic, each row once for every name in its first cell.
fn by_topic() -> Vec<(String, String, String)> {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let mut found = Vec::new();
    for line in page.split(BEGIN).next().unwrap().lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split(" |").map(|cell| cell.trim_start_matches('|').trim()).collect();
        let [names, kind, labels, ..] = cells.as_slice() else { continue };
        for name in names.split(", ") {
            found.push((name.trim_matches('`').to_owned(), (*kind).to_owned(), (*labels).to_owned()));
        }
    }
    found
}

/// The names of the labels in a cell: those in backticks, up to the colon behind which their values are.
fn labels(cell: &str) -> Vec<String> {
    let names = cell.split(';').filter_map(|part| part.split(':').next());
    let mut labels: Vec<String> =
        names.flat_map(|names| names.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
    labels.sort();
    labels
}

#[test]
fn every_metric_is_told_of_once_with_its_type_and_labels() {
    let (metrics, told) = (metrics(), by_topic());
    for (name, kind, cell) in &told {
        let Some(metric) = metrics.get(name) else { panic!("docs/metrics.md tells of {name}, which there is not") };
        assert_eq!(&metric.kind, kind, "type of {name}");
        let mut wanted = metric.labels.clone();
        wanted.sort();
        assert_eq!(labels(cell), wanted, "labels of {name}: {cell}");
    }
    let mut told: Vec<&String> = told.iter().map(|(name, ..)| name).collect();
    told.sort();
    let served: Vec<&String> = metrics.keys().filter(|name| !name.starts_with("process_")).collect();
    assert_eq!(told, served);
}

#[test]
fn every_metric_that_is_made_is_among_those_looked_at() {
    const KINDS: [&str; 7] =
        ["counter(", "counters(", "gauge(", "gauges(", "float_gauges(", "histogram(", "histograms("];
    let sources: String = MAKERS.concat().split_whitespace().collect();
    let made: usize = KINDS.map(|kind| sources.matches(&format!("make.{kind}")).count()).iter().sum();
    // Not made so: these two, and the process's.
    let others = ["leader_election_master_status", "plimsoll_build_info"];
    let seen = metrics().into_keys().filter(|name| !name.starts_with("process_") && !others.contains(&name.as_str()));
    assert_eq!(seen.count(), made);
}
