//! Pods that fit nowhere, and events that might help.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use plimsoll_engine::event::Event;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::{PodInfo, ScheduledCondition};

use super::load::Load;
use super::measure::{Measured, each};
use super::memory::{self, bytes_in_use};
use super::stage::{Outcome, Stage, arrivals, gone};
use super::times::Times;
use super::{Size, shapes};

/// Every node has half of its 32 CPUs taken.
const TAKEN_MILLI_CPU: usize = 16_000;
/// The pods ask for more than the other half, and less than the whole.
const ASKED_MILLI_CPU: usize = 20_000;
/// So often something happens that might help.
const EVENT_INTERVAL: Duration = Duration::from_millis(10);
/// As many decisions as there are between two such events at half a million a second.
const BETWEEN_EVENTS: usize = 5_000;
/// Each pod is tried so often, on average.
const ATTEMPTS: usize = 5;

/// All pods are there from the beginning. None is ever placed.
pub(super) fn run(size: &Size, stage: &mut Stage, load: &mut Load, measured: &mut Measured) -> anyhow::Result<()> {
    let on_each = size.existing / size.nodes;
    let filler = load.parse(shapes::plain(TAKEN_MILLI_CPU / on_each, 500_000_000))?;
    let before = bytes_in_use();
    for number in 0..size.existing {
        let mut pod = load.like(&filler, number);
        pod.node_name = Some(format!("node-{}", number % size.nodes).into());
        stage.found(pod);
    }
    measured.bytes_per_pod = each(before, size.existing);
    let first = size.existing;
    let model = load.parse(shapes::plain(ASKED_MILLI_CPU, 500_000_000))?;
    let pods: Vec<PodInfo> = (first..first + size.pods).map(|number| load.like(&model, number)).collect();
    stage.tell_all(arrivals(pods), &mut Times::default());
    let outcome = stage.decide(usize::MAX, &mut Times::default())?;
    measured.placed += settle(outcome, stage, &mut Times::default());
    let (mut left, mut events) = (ATTEMPTS * size.pods, 0);
    while left > 0 {
        stage.wait(EVENT_INTERVAL);
        helpful_event(stage, events % size.nodes, &mut measured.warm)?;
        events += 1;
        let most = left.min(BETWEEN_EVENTS);
        let before = measured.warm.count();
        let outcome = stage.decide(most, &mut measured.warm)?;
        let decided = measured.warm.count() - before;
        ensure!(decided > 0, "an event that might help woke nobody");
        measured.placed += settle(outcome, stage, &mut measured.warm);
        left = left.saturating_sub(decided);
    }
    cold(size, stage, load, first + size.pods, measured)
}

/// Pods of classes never seen, before all others.
fn cold(size: &Size, stage: &mut Stage, load: &mut Load, first: usize, measured: &mut Measured) -> anyhow::Result<()> {
    let _behind = memory::touched();
    let before = bytes_in_use();
    for sample in 0..size.cold {
        let mut pod = shapes::plain(ASKED_MILLI_CPU, 500_000_000);
        shapes::unlike_all_others(&mut pod, sample);
        pod["spec"]["priority"] = 1.into();
        // It is to wait for something to happen, not to have others go.
        pod["spec"]["preemptionPolicy"] = "Never".into();
        let model = load.parse(pod)?;
        let pod = load.like(&model, first + sample);
        let uid = pod.key.uid.clone();
        stage.tell_all(arrivals(vec![pod]), &mut measured.cold);
        let outcome = stage.decide(1, &mut measured.cold)?;
        measured.placed += settle(outcome, stage, &mut measured.cold);
        stage.tell_all(vec![gone(uid)], &mut measured.cold);
    }
    measured.bytes_per_class = each(before, size.cold);
    Ok(())
}

/// A node takes one pod more, which helps nobody who lacks CPU; but it would do if it were empty.
fn helpful_event(stage: &mut Stage, number: usize, times: &mut Times) -> anyhow::Result<()> {
    let row = u32::try_from(number).context("counting nodes")?;
    let view = stage.engine.view();
    let mut node = NodeInfo::clone(view.node(row).context("looking for a node")?);
    // The engine writes in place where no view holds on to what it writes.
    drop(view);
    node.allocatable_pods += 1;
    node.resource_version += 1;
    stage.tell_all(vec![Event::Node(Box::new(node))], times);
    Ok(())
}

/// The conditions are written, and the watch says so; gives how many pods were placed.
fn settle(outcome: Outcome, stage: &mut Stage, times: &mut Times) -> usize {
    let written = outcome.statuses.into_iter().filter_map(|update| {
        let (reason, message) = update.condition?;
        let mut pod = PodInfo::clone(&stage.engine.cache().get(&update.key.uid)?.pod);
        pod.resource_version += 1;
        let (reason, message) = (reason.as_str().into(), message.as_ref().into());
        pod.scheduled = Some(Box::new(ScheduledCondition { status: "False".into(), reason, message }));
        Some(Event::Pod(Box::new(pod)))
    });
    let written = written.collect();
    stage.tell_all(written, times);
    let placed = outcome.bound.len();
    stage.confirm(outcome.bound, times);
    placed
}
