//! The large cluster: many pods of a few templates, in three zones.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use plimsoll_apiserver::Options;

use super::stage::{Stage, text};
use super::{say, table};
use crate::commands::bench::shared::{as_f64, binding_count, node, percentile, pod};

const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];
const TEMPLATES: usize = 20;
/// Pods that come at a steady rate, when the burst is over.
pub(super) const STEADY: usize = 200;

pub(super) async fn run(nodes: usize, pods: usize) -> anyhow::Result<()> {
    let options = Options {
        controllers: false,
        kubelets: false,
        recorded_calls: 8 * (pods + STEADY),
        history_limit: 4 * pods.max(10_000),
        ..Options::default()
    };
    let stage = Stage::start(options).await?;
    let server = &stage.server;
    server.load((0..nodes).map(|i| node(i, ZONES[i % ZONES.len()])).collect());
    say(&format!(
        "{nodes} nodes of 32 CPUs and 256 GiB in three zones; {pods} pods of {TEMPLATES} templates are created as fast"
    ))?;
    say("as the API takes them.")?;
    let progress = progress(pods)?;
    let mut created = Vec::with_capacity(pods);
    let begun = Instant::now();
    for number in 0..pods {
        created.push(SystemTime::now());
        server.create(pod(number, number % TEMPLATES))?;
        if number % 100 == 0 {
            progress.set_position(position(binding_count(server)));
            tokio::task::yield_now().await;
        }
    }
    let mut told = 0;
    stage
        .until("the pods to be bound", |server| {
            let bound = binding_count(server);
            progress.set_position(position(bound));
            // Where nobody sees a bar, a line now and then.
            if progress.is_hidden() && 4 * bound / pods > told {
                told = 4 * bound / pods;
                say(&format!("  {bound} of {pods} pods bound"))?;
            }
            Ok(bound >= pods)
        })
        .await?;
    let took = begun.elapsed();
    progress.finish_and_clear();
    let rate = as_f64(pods) / took.as_secs_f64();
    say(&format!("All {pods} pods are bound: {rate:.0} pods/s. Then {STEADY} more come, 100 a second."))?;
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    for number in pods..pods + STEADY {
        tick.tick().await;
        created.push(SystemTime::now());
        server.create(pod(number, number % TEMPLATES))?;
    }
    let all = pods + STEADY;
    stage.until("the last pods to be bound", |server| Ok(binding_count(server) >= all)).await?;
    latencies(server, &created, pods)?;
    zones(server, nodes, all)?;
    stage.end().await
}

fn progress(pods: usize) -> anyhow::Result<ProgressBar> {
    let style =
        ProgressStyle::with_template("  {bar:40} {pos}/{len} pods bound, {per_sec}").context("the progress bar")?;
    let bar = ProgressBar::new(position(pods)).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    Ok(bar)
}

fn position(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// From a pod's creation to its binding: of the first `burst` pods, and of those that came after them.
fn latencies(server: &plimsoll_apiserver::Server, created: &[SystemTime], burst: usize) -> anyhow::Result<()> {
    let (mut at_once, mut steady) = (Vec::with_capacity(burst), Vec::new());
    for call in server.calls().iter().filter(|c| c.subresource == "binding") {
        let Some(number) = call.name.strip_prefix("pod-").and_then(|n| n.parse::<usize>().ok()) else { continue };
        let Some(at) = created.get(number) else { continue };
        let milliseconds = if number < burst { &mut at_once } else { &mut steady };
        milliseconds.push(call.time.duration_since(*at).unwrap_or_default().as_secs_f64() * 1e3);
    }
    let mut shown = table(["creation to binding", "p50", "p90", "p99", "max"]);
    for (name, mut milliseconds) in [("all at once, the wait behind others included", at_once), ("100 pods/s", steady)]
    {
        milliseconds.sort_by(f64::total_cmp);
        let at =
            |share| percentile(&milliseconds, share).map(|ms| format!("{ms:.1} ms")).context("no binding was recorded");
        shown.add_row([name.to_owned(), at(0.5)?, at(0.9)?, at(0.99)?, at(1.0)?]);
    }
    say(&shown.to_string())
}

/// What each zone's nodes have been given.
fn zones(server: &plimsoll_apiserver::Server, nodes: usize, pods: usize) -> anyhow::Result<()> {
    let mut zone_of: BTreeMap<String, String> = BTreeMap::new();
    for node in server.list("nodes", None)? {
        let zone = text(&node, "/metadata/labels/topology.kubernetes.io~1zone").to_owned();
        zone_of.insert(text(&node, "/metadata/name").to_owned(), zone);
    }
    let mut used: BTreeMap<&str, (usize, u64, u64)> = BTreeMap::new();
    let list = server.list("pods", None)?;
    for pod in &list {
        let zone = zone_of.get(text(pod, "/spec/nodeName")).context("a pod without a node")?;
        let request = |name: &str, suffix: &str| -> u64 {
            let quantity = text(pod, &format!("/spec/containers/0/resources/requests/{name}"));
            quantity.strip_suffix(suffix).and_then(|q| q.parse().ok()).unwrap_or(0)
        };
        let zone = used.entry(zone).or_default();
        *zone = (zone.0 + 1, zone.1 + request("cpu", "m"), zone.2 + request("memory", "Mi"));
    }
    ensure!(used.values().map(|z| z.0).sum::<usize>() == pods, "not every pod is on a node");
    let mut shown = table(["zone", "nodes", "pods", "CPU requested", "memory requested"]);
    for (zone, (count, milli_cpu, mebibytes)) in used {
        let of_zone = zone_of.values().filter(|z| *z == zone).count();
        let share = |amount: u64, each: u64| {
            let all = each * position(of_zone);
            format!(
                "{:.1} %",
                as_f64(usize::try_from(amount).unwrap_or(0)) * 100.0 / as_f64(usize::try_from(all).unwrap_or(1))
            )
        };
        shown.add_row([
            zone.to_owned(),
            of_zone.to_string(),
            count.to_string(),
            share(milli_cpu, 32_000),
            share(mebibytes, 256 * 1024),
        ]);
    }
    ensure!(zone_of.len() == nodes, "{} nodes", zone_of.len());
    say(&shown.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn templates_differ() {
        let requests = |t| pod(0, t).pointer("/spec/containers/0/resources/requests").cloned();
        let all: std::collections::HashSet<Option<String>> =
            (0..TEMPLATES).map(|t| requests(t).as_ref().map(Value::to_string)).collect();
        assert_eq!(all.len(), TEMPLATES);
    }
}
