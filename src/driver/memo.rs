//! What the memo of a worker is good for, as metrics; and what its audit finds wrong, in the log.

use plimsoll_engine::decide::Mismatch;
use plimsoll_engine::memo::MemoStats;

use crate::metrics::Metrics;

/// Tells of one worker.
#[derive(Default)]
pub(super) struct MemoObserver {
    told: MemoStats,
}

impl MemoObserver {
    /// Tells what has been added since the last time.
    pub(super) fn tell(&mut self, metrics: &Metrics, stats: MemoStats, mismatch: Option<Box<Mismatch>>) {
        if let Some(found) = mismatch {
            let Mismatch { pod, profile, kept, fresh } = *found;
            tracing::error!(
                pod,
                profile,
                kept,
                fresh,
                "a kept answer was wrong; the right one counts, and nothing is kept for this profile any more"
            );
        }
        if stats == self.told {
            return;
        }
        let (memo, told) = (&metrics.plimsoll.memo, std::mem::replace(&mut self.told, stats));
        memo.hits.inc_by(stats.hits - told.hits);
        memo.misses.inc_by(stats.misses - told.misses);
        memo.passed.inc_by(stats.passed - told.passed);
        memo.evictions.inc_by(stats.evicted - told.evicted);
        memo.audits.inc_by(stats.audits - told.audits);
        memo.mismatches.inc_by(stats.mismatches - told.mismatches);
        memo.classes.add(difference(stats.classes, told.classes));
        memo.bytes.add(difference(stats.bytes, told.bytes));
        if stats.too_small && !told.too_small {
            tracing::warn!(
                "memo.budgetMebibytes is too small for the rows of a single class of pods; decisions are made without"
            );
        }
    }
}

fn difference(now: usize, before: usize) -> i64 {
    let signed = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    signed(now) - signed(before)
}
