//! MostAvailableCPU (Score): prefers nodes with much CPU left once the pod is there: allocatable minus requested minus
//! what the pod asks for. Plimsoll's own; off unless a profile enables it.
//!
//! The node that would have most left gets 100, the one that would have least gets 0, and the others are placed between
//! them in proportion. Where all have as much, all get 100. What is left is less than nothing where pods that ask for no
//! CPU go to a node that has since become smaller than what runs on it; that compares like any other amount.

use plimsoll_framework::plugin::{Extent, MAX_NODE_SCORE, Plugin, Score};
use plimsoll_framework::pod::PodSpecInfo;
use plimsoll_framework::read::{Allocatable, Amounts, Requested, Spec};

/// Prefers nodes with much CPU left.
#[derive(Clone, Copy, Debug, Default)]
pub struct MostAvailableCpu;

impl Plugin for MostAvailableCpu {
    const NAME: &'static str = "MostAvailableCPU";
}

impl Score for MostAvailableCpu {
    const NORMALIZED: bool = true;
    type Pod = Spec;
    type Cluster = ();
    type Node = (Allocatable, Requested);
    /// Milli-CPU that the pod asks for.
    type State = i64;

    fn prepare(&self, pod: &PodSpecInfo, (): ()) -> Option<i64> {
        Some(pod.requests.filter.milli_cpu)
    }

    /// The milli-CPU that would be left.
    fn score(&self, asked: &i64, (allocatable, requested): (Amounts<'_>, Amounts<'_>)) -> i64 {
        allocatable.milli_cpu.saturating_sub(requested.milli_cpu).saturating_sub(*asked)
    }

    fn normalize(&self, raw: i64, over: Extent) -> i64 {
        // The distance of two amounts need not fit into 64 bits.
        let above_least = i128::from(raw) - i128::from(over.min);
        let width = i128::from(over.max) - i128::from(over.min);
        if width <= 0 {
            return MAX_NODE_SCORE;
        }
        i64::try_from(i128::from(MAX_NODE_SCORE) * above_least / width).unwrap_or(MAX_NODE_SCORE)
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_framework::extensions::Extensions;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::score_one;

    fn asks(cpu: &str) -> Value {
        json!({"spec": {"containers": [{"resources": {"requests": {"cpu": cpu}}}]}})
    }

    #[test]
    fn what_would_be_left() {
        let rows = [
            ("4", "500m", vec![], 3_500),
            ("4", "500m", vec![asks("1"), asks("250m")], 2_250),
            ("4", "0", vec![asks("4")], 0),
            // The node has become smaller than what runs on it.
            ("1", "0", vec![asks("4")], -3_000),
            ("9223372036854775807m", "0", vec![], i64::MAX),
            ("0", "9223372036854775807m", vec![asks("9223372036854775807m")], i64::MIN),
        ];
        let plugin = Extensions::of(MostAvailableCpu).score().done();
        for (allocatable, asked, running, expect) in rows {
            let node = json!({"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": allocatable}}});
            assert_eq!(score_one(&plugin, &asks(asked), &node, &running), Some(expect), "{allocatable} {asked}");
        }
    }

    #[test]
    fn a_container_without_a_request_takes_nothing() {
        let node = json!({"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "1"}}});
        let nothing = json!({"spec": {"containers": [{}]}});
        let plugin = Extensions::of(MostAvailableCpu).score().done();
        assert_eq!(score_one(&plugin, &nothing, &node, std::slice::from_ref(&nothing)), Some(1_000));
    }

    #[test]
    fn the_least_is_0_and_the_most_is_100() {
        let rows = [
            (vec![1_000, 2_000, 3_000], vec![0, 50, 100]),
            (vec![0, 1, 3], vec![0, 33, 100]),
            (vec![700, 700], vec![100, 100]),
            (vec![0], vec![100]),
            (vec![-500, -500], vec![100, 100]),
            (vec![-1_000, 0, 1_000], vec![0, 50, 100]),
            (vec![-300, -200, -100], vec![0, 50, 100]),
            (vec![i64::MIN, 0, i64::MAX], vec![0, 50, 100]),
        ];
        for (raw, expect) in rows {
            let over = Extent::of(raw.iter().copied()).unwrap();
            let scores: Vec<i64> = raw.iter().map(|raw| MostAvailableCpu.normalize(*raw, over)).collect();
            assert_eq!(scores, expect, "{raw:?}");
        }
    }
}
