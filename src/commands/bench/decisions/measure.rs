//! What is done while it is measured.

use anyhow::Context as _;

use super::load::Load;
use super::report::{Report, Times};
use super::stage::Stage;
use super::{Args, ROUND};
use crate::commands::bench::usage;

/// Fills the cluster, places pods of classes that are known, then some of classes that are not.
pub(super) fn run(args: &Args, stage: &mut Stage, load: &mut Load) -> anyhow::Result<Report> {
    let existing = args.existing();
    for event in load.objects()? {
        stage.tell(event);
    }
    for node in load.nodes()? {
        stage.tell(plimsoll_engine::event::Event::Node(Box::new(node)));
    }
    for number in 0..existing {
        stage.found(load.existing(number).context("making a pod")?);
    }
    let mut next = existing;
    // Every class is seen before, and what is kept for the next decision is there.
    let warm_up = (2 * load.classes()).clamp(2 * ROUND, args.pods.max(2 * ROUND));
    place(stage, load, &mut next, warm_up, &mut Times::default())?;
    let mut warm = Times::default();
    let placed = place(stage, load, &mut next, args.pods, &mut warm)?;
    let mut cold = Times::default();
    for sample in 0..args.cold {
        let (object, pod) = load.cold(next, sample)?;
        next += 1;
        object.into_iter().for_each(|object| stage.tell(object));
        stage.round(vec![pod], &mut cold)?;
    }
    Ok(Report {
        workload: args.workload.to_string(),
        nodes: args.nodes,
        pods: args.pods,
        existing,
        workers: 1,
        placed,
        decisions_per_second: warm.decisions_per_second(),
        cycles_per_second: warm.cycles_per_second(),
        warm_ns: warm.spread(),
        cold_ns: cold.spread(),
        peak_rss_mib: usage::of(std::process::id())?.peak_rss_mib,
    })
}

fn place(stage: &mut Stage, load: &Load, next: &mut usize, pods: usize, times: &mut Times) -> anyhow::Result<usize> {
    let (mut left, mut placed) = (pods, 0);
    while left > 0 {
        let count = left.min(ROUND);
        let arriving: Option<Vec<_>> = (*next..*next + count).map(|number| load.pod(number)).collect();
        placed += stage.round(arriving.context("making pods")?, times)?;
        *next += count;
        left -= count;
    }
    Ok(placed)
}
