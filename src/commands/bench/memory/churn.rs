//! A long run: pods come, are bound and go, nodes go and others come, and no name comes twice.

use anyhow::ensure;
use plimsoll_apiserver::Server;
use serde_json::Value;

use super::{Args, PATIENCE};
use crate::commands::bench::report::Figure;
use crate::commands::bench::shared::{
    Launch, Scheduler, as_f64, bare, binding_count, node, pod, stand_in_with, until, zone_of,
};
use crate::commands::bench::usage;

/// Pods that come together.
const BATCH: usize = 500;
/// Batches of pods that are there at a time.
const ALIVE: usize = 10;
/// Pods that are alike, and like no others.
const CLASS: usize = 100;

/// How much may be kept beyond the first half, in percent.
const WANTED_GROWTH: f64 = 5.0;

pub(super) async fn run(args: &Args) -> anyhow::Result<Vec<Figure>> {
    let server = stand_in_with(args.nodes, bare(10_000, 0, args.tls)).await?;
    let mut scheduler = Launch { workers: args.workers, ..Launch::default() }.start(&server)?;
    let batches = args.lives.div_ceil(BATCH).max(2);
    let (mut replaced, mut half) = (0, 0.0);
    let mut samples = Vec::new();
    for batch in 0..batches {
        live(&server, &mut scheduler, batch).await?;
        while replaced < (batch + 1) * args.replacements / batches {
            replace(&server, args.nodes, replaced)?;
            replaced += 1;
        }
        if (batch + 1) % (batches / 10).max(1) == 0 {
            samples.push(usage::of(scheduler.id())?.rss_mib);
        }
        if batch + 1 == batches / 2 {
            half = usage::of(scheduler.id())?.rss_mib;
        }
    }
    let end = usage::of(scheduler.id())?;
    ensure!(binding_count(&server) == batches * BATCH, "{} bindings", binding_count(&server));
    server.shutdown().await;
    let growth = (end.rss_mib / half - 1.0) * 100.0;
    let tenths = samples.iter().enumerate();
    let tenths = tenths.map(|(i, rss)| Figure::new(format!("churn: RSS after {}0 %", i + 1), *rss, "MiB"));
    let lives = Figure::new("churn: lives of pods", as_f64(batches * BATCH), "");
    let nodes = Figure::new("churn: nodes replaced", as_f64(replaced), "");
    let peak = Figure::new("churn: peak RSS", end.peak_rss_mib, "MiB");
    let growth = Figure::new("churn: growth of RSS over the last half", growth, "%").at_most(WANTED_GROWTH);
    Ok([lives, nodes].into_iter().chain(tenths).chain([peak, growth]).collect())
}

/// A batch comes and is bound; the oldest goes.
async fn live(server: &Server, scheduler: &mut Scheduler, batch: usize) -> anyhow::Result<()> {
    for number in batch * BATCH..(batch + 1) * BATCH {
        server.create(newcomer(number))?;
    }
    let wanted = (batch + 1) * BATCH;
    until("a batch to be bound", PATIENCE, scheduler, || binding_count(server) >= wanted).await?;
    if let Some(oldest) = (batch + 1).checked_sub(ALIVE) {
        for number in oldest * BATCH..(oldest + 1) * BATCH {
            server.delete("pods", "default", &format!("pod-{number}"))?;
        }
    }
    Ok(())
}

/// A pod whose class is new with every hundredth: by its label, its owner and what it asks for.
fn newcomer(number: usize) -> Value {
    let class = number / CLASS;
    let mut made = pod(number, class % 20);
    made["metadata"]["labels"]["pod-template-hash"] = format!("{class:010x}").into();
    made["metadata"]["ownerReferences"] = serde_json::json!([{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("set-{class}"),
        "uid": format!("00000000-0000-0000-0000-{class:012}"), "controller": true,
    }]);
    made["spec"]["terminationGracePeriodSeconds"] = 0.into();
    made
}

/// The node that has been there longest goes, and another comes.
fn replace(server: &Server, nodes: usize, number: usize) -> anyhow::Result<()> {
    server.delete("nodes", "", &format!("node-{number}"))?;
    let next = nodes + number;
    server.create(node(next, &format!("zone-{}", zone_of(next))))?;
    Ok(())
}
