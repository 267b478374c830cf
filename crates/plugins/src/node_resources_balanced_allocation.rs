//! NodeResourcesBalancedAllocation (PreScore, Score): prefers nodes of which the pod makes the resources used more
//! evenly. Reference section 4.7.

use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::{Plugin, PreScore, Score};
use plimsoll_framework::pod::PodSpecInfo;
use plimsoll_framework::read::{Allocatable, Amounts, Block, Requested, ResourceColumns, ResourceNumbers, Spec};
use plimsoll_framework::resources::is_scalar;

use crate::columns::Column;
use crate::lanes::{SMALL, cut, from_small, to_small};

/// Prefers nodes that the pod brings into balance.
#[derive(Clone, Debug)]
pub struct NodeResourcesBalancedAllocation {
    resources: Vec<Istr>,
}

impl Default for NodeResourcesBalancedAllocation {
    fn default() -> Self {
        Self::new(vec!["cpu".into(), "memory".into()])
    }
}

impl NodeResourcesBalancedAllocation {
    /// The plugin, looking at these resources.
    pub fn new(resources: Vec<Istr>) -> Self {
        Self { resources }
    }

    fn asks_for_none(&self, pod: &PodSpecInfo) -> bool {
        self.resources.iter().all(|name| pod.requests.used.get(name) == 0)
    }
}

impl Plugin for NodeResourcesBalancedAllocation {
    const NAME: &'static str = "NodeResourcesBalancedAllocation";
}

impl PreScore for NodeResourcesBalancedAllocation {
    type Pod = Spec;
    type Cluster = ();

    fn pre_score(&self, pod: &PodSpecInfo, (): ()) -> bool {
        !self.asks_for_none(pod)
    }
}

/// What a pod asks for of the resources that are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares(Box<[(Column, i64)]>);

impl Score for NodeResourcesBalancedAllocation {
    type Pod = Spec;
    type Cluster = ResourceColumns;
    type Node = (Allocatable, Requested);
    type State = Shares;

    fn prepare(&self, pod: &PodSpecInfo, numbers: ResourceNumbers<'_>) -> Option<Shares> {
        let asked = self.resources.iter().map(|name| (name, pod.requests.used.get(name)));
        let shares = asked
            .filter(|(name, amount)| *amount != 0 || !is_scalar(name))
            .filter_map(|(name, amount)| Some((Column::of(name, numbers)?, amount)));
        (!self.asks_for_none(pod)).then(|| Shares(shares.collect()))
    }

    fn score(&self, shares: &Shares, (allocatable, requested): (Amounts<'_>, Amounts<'_>)) -> i64 {
        let usage = |(column, amount): &(Column, i64)| Usage {
            capacity: column.amount(&allocatable),
            used: column.amount(&requested),
            amount: *amount,
        };
        if let [first, second] = &*shares.0 {
            return score_of_two(usage(first), usage(second));
        }
        let usages = || shares.0.iter().map(usage).filter(|usage| usage.capacity > 0);
        score(balance(deviation(usages().map(Usage::with_pod))), balance(deviation(usages().map(Usage::without_pod))))
    }

    fn score_block(&self, shares: &Shares, block: &Block<'_, Self::Node>, out: &mut [i64; 64]) {
        // Two resources are what nearly everybody compares. With more, each node's own set of resources decides how
        // the deviation is taken.
        let [(first, first_amount), (second, second_amount)] = &*shares.0 else {
            return block.each(|lane, node| out[lane] = self.score(shares, node));
        };
        let (allocatable, requested) = block.cols();
        let (first_capacity, first_used) = (first.lanes(&allocatable), first.lanes(&requested));
        let (second_capacity, second_used) = (second.lanes(&allocatable), second.lanes(&requested));
        let all = [first_capacity, first_used, second_capacity, second_used].into_iter().flatten();
        let all = all.fold(first_amount | second_amount, |all, x| all | x);
        // A sum of two is below the bound, too. The sign shows as well.
        if (0..SMALL / 2).contains(&all) {
            for lane in 0..64 {
                out[lane] = score_of_two_small(
                    [first_capacity[lane], first_used[lane], *first_amount],
                    [second_capacity[lane], second_used[lane], *second_amount],
                );
            }
            return;
        }
        for lane in 0..64 {
            out[lane] = score_of_two(
                Usage { capacity: first_capacity[lane], used: first_used[lane], amount: *first_amount },
                Usage { capacity: second_capacity[lane], used: second_used[lane], amount: *second_amount },
            );
        }
    }
}

/// A resource of one node, and what the pod asks for of it.
#[derive(Clone, Copy)]
struct Usage {
    capacity: i64,
    used: i64,
    amount: i64,
}

impl Usage {
    fn with_pod(self) -> f64 {
        fraction(self.used.saturating_add(self.amount), self.capacity)
    }
    fn without_pod(self) -> f64 {
        fraction(self.used, self.capacity)
    }
}

/// What `score` and `deviation` come to with two resources, without branches.
fn score_of_two(a: Usage, b: Usage) -> i64 {
    let both = (a.capacity > 0) & (b.capacity > 0);
    let even = |a: f64, b: f64| balance(if both { ((a - b) / 2.0).abs() } else { 0.0 });
    score(even(a.with_pod(), b.with_pod()), even(a.without_pod(), b.without_pod()))
}

/// `score_of_two` of capacities, what is used, and amounts that are not negative and below half of [`SMALL`]: the same
/// steps in the same order, in such operations as are done for several nodes at once.
fn score_of_two_small(a: [i64; 3], b: [i64; 3]) -> i64 {
    let ([a_capacity, a_used, a_amount], [b_capacity, b_used, b_amount]) = (a, b);
    let (a_all, b_all) = (from_small(a_capacity), from_small(b_capacity));
    // Without a capacity the quotient is infinite or none; it is not looked at then.
    let part = |used: i64, all: f64| {
        let part = from_small(used) / all;
        if part < 1.0 { part } else { 1.0 }
    };
    let both = (a_all > 0.0) & (b_all > 0.0);
    let balance = |a: f64, b: f64| {
        let deviation = if both { ((a - b) / 2.0).abs() } else { 0.0 };
        to_small(cut((1.0 - deviation) * 100.0))
    };
    let with = balance(part(a_used + a_amount, a_all), part(b_used + b_amount, b_all));
    let without = balance(part(a_used, a_all), part(b_used, b_all));
    // Half of a number that may be negative, cut towards zero: made positive first, since shifts with a sign are slow.
    let twice = 50 + with - without;
    let negative = twice.cast_unsigned() >> 63;
    let half = (twice.cast_unsigned().wrapping_add(negative + 200) >> 1).cast_signed() - 100;
    50 + half
}

/// How much of a resource is in use, at most 1.
fn fraction(used: i64, capacity: i64) -> f64 {
    (used as f64 / capacity as f64).min(1.0)
}

/// The standard deviation of the fractions, in the order of operations that upstream has: the last bit counts.
fn deviation(fractions: impl Iterator<Item = f64> + Clone) -> f64 {
    let mut count = 0;
    let mut total = 0.0;
    for fraction in fractions.clone() {
        count += 1;
        total += fraction;
    }
    let mut fractions = fractions;
    match count {
        0 | 1 => 0.0,
        2 => match (fractions.next(), fractions.next()) {
            (Some(a), Some(b)) => ((a - b) / 2.0).abs(),
            _ => 0.0,
        },
        _ => {
            let mean = total / f64::from(count);
            let squares = fractions.fold(0.0, |sum, fraction| sum + (fraction - mean) * (fraction - mean));
            (squares / f64::from(count)).sqrt()
        }
    }
}

/// How even the use of a node is, 0 to 100, given how far its fractions deviate.
#[expect(
    clippy::cast_possible_truncation,
    reason = "cut to an integer as upstream does; by way of 32 bits, which is done for several numbers at once"
)]
fn balance(deviation: f64) -> i64 {
    i64::from(((1.0 - deviation) * 100.0) as i32)
}

/// The score of a node whose balance the pod changes. A pod that changes nothing gets 75.
fn score(with: i64, without: i64) -> i64 {
    50 + (50 + with - without) / 2
}

#[cfg(test)]
mod tests {
    use plimsoll_framework::extensions::Extensions;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{pod, score_one};

    fn asking(cpu: &str, memory: &str, gpus: &str) -> Value {
        let requests = json!({"cpu": cpu, "memory": memory, "example.com/gpu": gpus});
        json!({"spec": {"containers": [{"resources": {"requests": requests}}]}})
    }

    #[test]
    fn a_pod_that_evens_things_out_is_welcome() {
        let node = json!({"metadata": {"name": "n"},
                          "status": {"allocatable": {"cpu": "10", "memory": "10", "example.com/gpu": "4"}}});
        let by_three = vec!["cpu".into(), "memory".into(), "example.com/gpu".into()];
        let two = NodeResourcesBalancedAllocation::default;
        let three = || NodeResourcesBalancedAllocation::new(by_three.clone());
        let rows = [
            // Fractions .5 and .5 of an empty node: balanced before and after.
            (two(), asking("5", "5", "0"), vec![], 75),
            // .8 and .2: 70 after, 100 before.
            (two(), asking("8", "2", "0"), vec![], 60),
            // .8 and .2 on the node, the pod brings .0 and .6: 100 after, 70 before.
            (two(), asking("0", "6", "0"), vec![asking("8", "2", "0")], 90),
            // More than there is counts as all of it.
            (two(), asking("20", "10", "0"), vec![], 75),
            // Without a GPU in the pod, two resources are left of three.
            (three(), asking("8", "2", "0"), vec![], 60),
            // 1, .5, .25: mean .583, deviation .3118; 68 after.
            (three(), asking("10", "5", "1"), vec![], 59),
        ];
        for (plugin, asked, running, expect) in rows {
            let answer = score_one(&Extensions::of(plugin).score().done(), &asked, &node, &running);
            assert_eq!(answer, Some(expect), "{asked} {running:?}");
        }
    }

    #[test]
    fn a_pod_that_asks_for_none_of_the_resources_has_no_score() {
        let plugin = NodeResourcesBalancedAllocation::default();
        assert!(!plugin.pre_score(&pod(asking("0", "0", "1")).spec, ()));
        assert!(plugin.pre_score(&pod(asking("0", "1", "0")).spec, ()));
        let node = json!({"metadata": {"name": "n"}});
        assert_eq!(score_one(&Extensions::of(plugin).score().done(), &asking("0", "0", "0"), &node, &[]), None);
    }
}
