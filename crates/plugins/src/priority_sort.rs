//! PrioritySort (QueueSort): the pod of higher priority first, among equals the one that has been in the queue longer.
//! Reference section 4.10.

use plimsoll_framework::plugin::{Plugin, QueueSort, Queued};

/// Orders the active queue by priority, then by the time at which a pod was last put into it.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrioritySort;

impl Plugin for PrioritySort {
    const NAME: &'static str = "PrioritySort";
}

impl QueueSort for PrioritySort {
    fn less(&self, a: Queued<'_>, b: Queued<'_>) -> bool {
        let (first, second) = (a.pod.priority(), b.pod.priority());
        first > second || (first == second && a.timestamp < b.timestamp)
    }

    /// How far the priority is below the highest there can be, then seconds and nanoseconds of the time.
    fn rank(&self, pod: Queued<'_>) -> Option<u128> {
        let below = u128::from(i32::MAX.abs_diff(pod.pod.priority()));
        let time = pod.timestamp.as_duration();
        Some(below << 96 | u128::from(time.as_secs()) << 32 | u128::from(time.subsec_nanos()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use plimsoll_framework::time::Time;
    use serde_json::json;

    use super::*;
    use crate::testing::pod;

    #[test]
    fn higher_priority_then_longer_wait() {
        let rows = [
            ((Some(2), 9), (Some(1), 1), true),
            ((Some(1), 1), (Some(2), 9), false),
            ((Some(1), 1), (Some(1), 2), true),
            ((Some(1), 1), (Some(1), 1), false),
            ((None, 1), (Some(-1), 0), true),
            ((None, 2), (Some(0), 1), false),
            ((Some(i32::MAX), u64::MAX), (Some(i32::MIN), 0), true),
            ((Some(i32::MIN), 0), (Some(i32::MIN), u64::MAX), true),
        ];
        for (a, b, expect) in rows {
            let queued = |(priority, _): (Option<i32>, u64)| pod(json!({"spec": {"priority": priority}}));
            let at = |(_, seconds): (Option<i32>, u64)| Time::since_epoch(Duration::from_secs(seconds));
            let (first, second) = (queued(a), queued(b));
            let first = Queued { pod: &first, timestamp: at(a), initial_attempt: None };
            let second = Queued { pod: &second, timestamp: at(b), initial_attempt: None };
            assert_eq!(PrioritySort.less(first, second), expect, "{a:?} {b:?}");
            assert_eq!(PrioritySort.rank(first) < PrioritySort.rank(second), expect, "ranks of {a:?} {b:?}");
        }
    }
}
