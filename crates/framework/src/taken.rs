//! What the pods on a node take up together, by priority: enough to tell of most nodes that the pods of lower priority
//! could leave them without another getting room.

use smallvec::SmallVec;

use crate::chunk::UsageChunk;
use crate::pod::PodInfo;
use crate::table::{Row, View};

/// What some pods take up together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    milli_cpu: i64,
    memory_bytes: i64,
    ephemeral_storage_bytes: i64,
    non_zero_milli_cpu: i64,
    non_zero_memory_bytes: i64,
    pods: i64,
    /// By number of the resource, without those of which they take none.
    scalars: Vec<(usize, i64)>,
}

impl Taken {
    /// Adds to it; `None` where a sum leaves its range.
    fn add(&mut self, more: &Self) -> Option<()> {
        let sums = [
            (&mut self.milli_cpu, more.milli_cpu),
            (&mut self.memory_bytes, more.memory_bytes),
            (&mut self.ephemeral_storage_bytes, more.ephemeral_storage_bytes),
            (&mut self.non_zero_milli_cpu, more.non_zero_milli_cpu),
            (&mut self.non_zero_memory_bytes, more.non_zero_memory_bytes),
            (&mut self.pods, more.pods),
        ];
        for (sum, more) in sums {
            *sum = sum.checked_add(more)?;
        }
        for (number, more) in &more.scalars {
            match self.scalars.iter_mut().find(|(known, _)| known == number) {
                Some((_, sum)) => *sum = sum.checked_add(*more)?,
                None => self.scalars.push((*number, *more)),
            }
        }
        Some(())
    }

    fn of(pod: &PodInfo, view: &View) -> Self {
        let r = &pod.spec.requests;
        let columns = &view.cluster.resource_columns;
        let number = |(name, amount): &(_, i64)| Some((columns.iter().position(|c| c == name)?, *amount));
        Self {
            milli_cpu: r.used.milli_cpu,
            memory_bytes: r.used.memory_bytes,
            ephemeral_storage_bytes: r.used.ephemeral_storage_bytes,
            non_zero_milli_cpu: r.used_non_zero_milli_cpu,
            non_zero_memory_bytes: r.used_non_zero_memory_bytes,
            pods: 1,
            scalars: r.used.scalars.iter().filter_map(number).collect(),
        }
    }

    /// Takes it off a row.
    pub(crate) fn take_off(&self, usage: &mut UsageChunk, row: usize) {
        usage.milli_cpu[row] = usage.milli_cpu[row].saturating_sub(self.milli_cpu);
        usage.memory_bytes[row] = usage.memory_bytes[row].saturating_sub(self.memory_bytes);
        let ephemeral = &mut usage.ephemeral_storage_bytes[row];
        *ephemeral = ephemeral.saturating_sub(self.ephemeral_storage_bytes);
        usage.non_zero_milli_cpu[row] = usage.non_zero_milli_cpu[row].saturating_sub(self.non_zero_milli_cpu);
        usage.non_zero_memory_bytes[row] = usage.non_zero_memory_bytes[row].saturating_sub(self.non_zero_memory_bytes);
        usage.pods[row] = usage.pods[row].saturating_sub(self.pods);
        for (number, amount) in &self.scalars {
            if let Some(column) = usage.scalars.get_mut(*number) {
                column[row] = column[row].saturating_sub(*amount);
            }
        }
    }
}

/// What the pods on a node take up, by priority. Most nodes have pods of few priorities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenByPriority {
    sums: SmallVec<[(i32, Taken); 1]>,
    /// Whether a sum has left its range: then nothing is told by it.
    is_cut: bool,
}

impl TakenByPriority {
    /// Of the pods in a row of which `counts` holds.
    pub fn of(view: &View, row: Row, counts: impl Fn(&PodInfo) -> bool) -> Self {
        let mut all = Self::default();
        for pod in view.pods(row).iter().filter(|pod| counts(pod)) {
            let (priority, one) = (pod.priority(), Taken::of(pod, view));
            let known = all.sums.iter_mut().find(|(of, _)| *of == priority);
            match known {
                Some((_, sum)) => all.is_cut |= sum.add(&one).is_none(),
                None => all.sums.push((priority, one)),
            }
        }
        all
    }

    /// Whether one of the pods is of lower priority.
    pub fn has_below(&self, priority: i32) -> bool {
        self.sums.iter().any(|(of, _)| *of < priority)
    }

    /// What the pods of lower priority take up together; `None` where that cannot be told.
    pub fn below(&self, priority: i32) -> Option<Taken> {
        let mut lower = self.sums.iter().filter(|(of, _)| !self.is_cut && *of < priority).map(|(_, sum)| sum);
        let mut all = lower.next()?.clone();
        for sum in lower {
            all.add(sum)?;
        }
        Some(all)
    }
}
