//! What is done while it is measured.

use plimsoll_engine::event::Event;
use plimsoll_framework::pod::PodInfo;

use super::load::Load;
use super::memory::{self, bytes_in_use};
use super::stage::Stage;
use super::times::Times;
use super::workload::Workload;
use super::{ROUND, Size, flood, preemption};

/// What was seen.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) placed: usize,
    pub(super) warm: Times,
    pub(super) cold: Times,
    pub(super) bytes_per_node: usize,
    pub(super) bytes_per_pod: usize,
    pub(super) bytes_per_class: usize,
    /// Of the warm decisions those for which there were rows in the memo.
    pub(super) memo_hit_rate: Option<f64>,
}

/// Fills the cluster, places pods of classes that are known, then some of classes that are not.
pub(super) fn run(workload: &Workload, size: &Size, stage: &mut Stage, load: &mut Load) -> anyhow::Result<Measured> {
    for event in load.objects()? {
        stage.tell(event);
    }
    let mut measured = Measured::default();
    let before = bytes_in_use();
    for number in 0..load.node_count() {
        stage.tell(Event::Node(Box::new(load.node(number)?)));
    }
    measured.bytes_per_node = each(before, load.node_count());
    match workload {
        Workload::Unschedulable => flood::run(size, stage, load, &mut measured)?,
        Workload::Preemption => preemption::run(size, stage, load, &mut measured)?,
        _ => steady(size, stage, load, &mut measured)?,
    }
    Ok(measured)
}

/// By how much the bytes in use have grown for each of so many; nothing where they have shrunk.
pub(super) fn each(before: usize, count: usize) -> usize {
    bytes_in_use().saturating_sub(before) / count.max(1)
}

/// The share of decisions for which there were rows, between two looks at the memos; `None` where there was no decision.
pub(super) fn hit_rate(before: (u64, u64), after: (u64, u64)) -> Option<f64> {
    let number = |n: u64| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    (after.1 > before.1).then(|| number(after.0 - before.0) / number(after.1 - before.1))
}

/// Pods come and go, and there are as many all the time.
fn steady(size: &Size, stage: &mut Stage, load: &mut Load, measured: &mut Measured) -> anyhow::Result<()> {
    let mut flow = Flow { round: ROUND * size.workers, next: 0 };
    let before = bytes_in_use();
    while let Some(pod) = (flow.next < size.existing).then(|| load.existing(flow.next)).flatten() {
        stage.found(pod);
        flow.next += 1;
    }
    flow.place(size.existing - flow.next, stage, load, &mut Times::default())?;
    stage.sweep();
    measured.bytes_per_pod = each(before, size.existing);
    stage.keep(size.existing);
    // Every class has been seen, and what is kept from one decision to the next is there.
    let warm_up = (2 * load.classes()).clamp(2 * flow.round, size.pods.max(2 * flow.round));
    flow.place(warm_up, stage, load, &mut Times::default())?;
    let used = stage.memo_use();
    measured.placed = flow.place(size.pods, stage, load, &mut measured.warm)?;
    measured.memo_hit_rate = hit_rate(used, stage.memo_use());
    let _behind = memory::touched();
    let before = bytes_in_use();
    for sample in 0..size.cold {
        let (object, pod) = load.cold(flow.next, sample)?;
        flow.next += 1;
        object.into_iter().for_each(|object| stage.tell(object));
        stage.round(vec![pod], &mut measured.cold)?;
    }
    measured.bytes_per_class = each(before, size.cold);
    Ok(())
}

/// Pods by number.
struct Flow {
    round: usize,
    next: usize,
}

impl Flow {
    /// Places so many; gives how many found a place.
    fn place(&mut self, pods: usize, stage: &mut Stage, load: &Load, times: &mut Times) -> anyhow::Result<usize> {
        let (end, mut placed) = (self.next + pods, 0);
        while self.next < end {
            let numbers = self.next..end.min(self.next + self.round);
            self.next = numbers.end;
            let arriving: Vec<PodInfo> = numbers.map(|number| load.pod(number)).collect();
            placed += stage.round(arriving, times)?;
        }
        Ok(placed)
    }
}
