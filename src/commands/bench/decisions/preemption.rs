//! Full nodes of low priority, and pods of high priority.

use plimsoll_engine::effect::BindRequest;
use plimsoll_engine::event::{Event, EvictResult};
use plimsoll_framework::pod::PodInfo;

use super::load::Load;
use super::measure::{Measured, each};
use super::memory::bytes_in_use;
use super::stage::{Stage, arrivals, gone};
use super::times::Times;
use super::{ROUND, Size, shapes};

const NODE_MILLI_CPU: usize = 32_000;
/// Of the pods that others go for.
const HIGH: i32 = 1_000;
/// No pod needs more attempts than this: one that makes room, one that takes it, and some where others were faster.
const MOST_ATTEMPTS: usize = 10;

/// Pods of high priority arrive, others go for them; then they go, and those of low priority are back.
pub(super) fn run(size: &Size, stage: &mut Stage, load: &mut Load, measured: &mut Measured) -> anyhow::Result<()> {
    let on_each = size.existing / size.nodes;
    let share = NODE_MILLI_CPU / on_each;
    let low = load.parse(shapes::plain(share, 500_000_000))?;
    let high = load.parse(important(share, None))?;
    let before = bytes_in_use();
    for number in 0..size.existing {
        let mut pod = load.like(&low, number);
        pod.node_name = Some(format!("node-{}", number % size.nodes).into());
        stage.found(pod);
    }
    measured.bytes_per_pod = each(before, size.existing);
    let mut fight = Fight { stage, load, low, next: size.existing };
    fight.round(&high, 2 * ROUND, &mut Times::default())?;
    let mut left = size.pods;
    while left > 0 {
        let many = left.min(ROUND * size.workers);
        measured.placed += fight.round(&high, many, &mut measured.warm)?;
        left -= many;
    }
    let before = bytes_in_use();
    for sample in 0..size.cold {
        let model = fight.load.parse(important(share, Some(sample)))?;
        fight.round(&model, 1, &mut measured.cold)?;
    }
    measured.bytes_per_class = each(before, size.cold);
    Ok(())
}

fn important(milli_cpu: usize, sample: Option<usize>) -> serde_json::Value {
    let mut pod = shapes::plain(milli_cpu, 500_000_000);
    pod["spec"]["priority"] = HIGH.into();
    if let Some(sample) = sample {
        shapes::unlike_all_others(&mut pod, sample);
    }
    pod
}

struct Fight<'a> {
    stage: &'a mut Stage,
    load: &'a mut Load,
    low: PodInfo,
    next: usize,
}

impl Fight<'_> {
    /// So many pods arrive and are placed; gives how many were.
    fn round(&mut self, model: &PodInfo, pods: usize, times: &mut Times) -> anyhow::Result<usize> {
        let arriving: Vec<PodInfo> = (self.next..self.next + pods).map(|n| self.load.like(model, n)).collect();
        self.next += pods;
        let uids: Vec<_> = arriving.iter().map(|pod| pod.key.uid.clone()).collect();
        let (mut attempts, mut bound) = (vec![Times::default()], Vec::new());
        self.stage.tell_all(arrivals(arriving), &mut attempts[0]);
        while attempts.len() <= MOST_ATTEMPTS {
            let mut attempt = Times::default();
            let outcome = self.stage.decide(usize::MAX, &mut attempt)?;
            bound.extend(outcome.bound);
            let gone_now = outcome.evicted.into_iter().flat_map(|request| {
                let (victim, preemptor) = (request.victim.key.uid.clone(), request.preemptor.key.uid.clone());
                [gone(victim.clone()), Event::Evicted { victim, preemptor, result: EvictResult::Going }]
            });
            let gone_now: Vec<Event> = gone_now.collect();
            let done = gone_now.is_empty();
            self.stage.tell_all(gone_now, &mut attempt);
            attempts.push(attempt);
            if done {
                break;
            }
        }
        times.add_attempts(&attempts, pods);
        let placed = bound.len();
        self.restore(&bound, uids);
        Ok(placed)
    }

    /// As it was before: the nodes are full of pods of low priority.
    fn restore(&mut self, bound: &[BindRequest], uids: Vec<plimsoll_framework::pod::Uid>) {
        uids.into_iter().for_each(|uid| self.stage.tell(gone(uid)));
        for request in bound {
            let mut pod = self.load.like(&self.low, self.next);
            self.next += 1;
            pod.node_name = Some(request.node.clone());
            self.stage.tell(Event::Pod(Box::new(pod)));
        }
        self.stage.sweep();
    }
}
