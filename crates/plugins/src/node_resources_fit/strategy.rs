//! How the use of a resource becomes a score.

use plimsoll_framework::read::Lanes;

use crate::lanes::{cut, from_small, to_small};

/// A point of the function from utilization to score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapePoint {
    /// 0 to 100, percent.
    pub utilization: i64,
    /// 0 to 10, of which 10 is the best.
    pub score: i64,
}

/// A piecewise linear function from utilization to score, as a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(Box<[i64; 101]>);

impl Shape {
    /// The function through these points, which are sorted by utilization; before the first and after the last it is
    /// level. Without points it is 0.
    pub fn new(points: &[ShapePoint]) -> Self {
        let mut table = Box::new([0; 101]);
        for (utilization, score) in (0..).zip(table.iter_mut()) {
            *score = Self::interpolate(points, utilization).clamp(0, 100);
        }
        Self(table)
    }

    fn interpolate(points: &[ShapePoint], utilization: i64) -> i64 {
        // Ten points of the configuration's scale to a hundred of the nodes'.
        let score = |p: &ShapePoint| p.score.clamp(0, 10) * 10;
        let Some(at) = points.iter().position(|p| utilization <= p.utilization) else {
            return points.last().map_or(0, score);
        };
        let to = &points[at];
        let Some(from) = at.checked_sub(1).map(|before| &points[before]) else { return score(to) };
        // Not 0: the point before is below `utilization`, this one is not.
        let width = to.utilization - from.utilization;
        score(from) + (score(to) - score(from)) * (utilization - from.utilization) / width
    }

    pub(super) fn at(&self, utilization: i64) -> i64 {
        usize::try_from(utilization).ok().and_then(|u| self.0.get(u)).copied().unwrap_or(0)
    }
}

/// How use becomes a score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The less of a node would be in use the better: pods are spread.
    LeastAllocated,
    /// The more of a node would be in use the better: pods are packed.
    MostAllocated,
    /// By a function of the utilization. A resource that it gives 0 does not count.
    RequestedToCapacityRatio(Shape),
}

/// Sums below this bound are exact in floating point, and so is a hundred times such an amount: 64 TiB.
const EXACT: i64 = 1 << 46;

/// Below this sum of weights a quotient by way of the reciprocal is on the right side of the next whole number: it is
/// at least half the reciprocal away from it, and off by less than a hundred times 2^-51.
const WHOLE_WEIGHT: f64 = (1_u64 << 40) as f64;

/// `part` of `whole` in percent, cut to an integer; 0 <= `part` <= `whole`, and `whole` is not 0.
fn percent(part: i64, whole: i64) -> i64 {
    match part.checked_mul(100) {
        Some(hundredfold) => hundredfold / whole,
        None => i64::try_from(i128::from(part) * 100 / i128::from(whole)).unwrap_or(100),
    }
}

impl Strategy {
    /// The score, 0 to 100, of one resource of which `used` would be in use; `None` when it does not count.
    pub(super) fn resource(&self, used: i64, capacity: i64) -> Option<i64> {
        if capacity <= 0 {
            return None;
        }
        let used = used.clamp(0, capacity);
        match self {
            Self::LeastAllocated => Some(percent(capacity - used, capacity)),
            Self::MostAllocated => Some(percent(used, capacity)),
            Self::RequestedToCapacityRatio(shape) => Some(shape.at(percent(used, capacity))).filter(|s| *s > 0),
        }
    }

    /// The weighted mean of a sum of scores; 0 without any.
    pub(super) fn mean(&self, sum: i64, weights: i64) -> i64 {
        match self {
            _ if weights == 0 => 0,
            Self::LeastAllocated | Self::MostAllocated => sum / weights,
            Self::RequestedToCapacityRatio(_) => to_score((sum as f64 / weights as f64).round()),
        }
    }

    /// Adds one resource of 64 nodes to their sums of scores and weights: `resource`, in floating point where that is
    /// exact, since integers of 64 bits are not divided side by side.
    pub(super) fn add_resource(
        &self,
        amount: i64,
        weight: i64,
        (used, capacity): (&Lanes, &Lanes),
        (sum, of): (&mut [f64; 64], &mut [f64; 64]),
    ) {
        // Set bits at or above the bound, the sign among them, show in this.
        let all = used.iter().chain(capacity).fold(amount, |all, x| all | x);
        let exact = (0..EXACT).contains(&all);
        let weight = weight as f64;
        let mut add = |lane: usize, score: f64, counts: bool| {
            sum[lane] += if counts { score * weight } else { 0.0 };
            of[lane] += if counts { weight } else { 0.0 };
        };
        match self {
            // Every node has some of it, nearly always: then nothing is to be chosen between.
            Self::LeastAllocated if exact && capacity.iter().all(|capacity| *capacity != 0) => {
                for lane in 0..64 {
                    let capacity = from_small(capacity[lane]);
                    let used = from_small(used[lane] + amount);
                    let used = if used < capacity { used } else { capacity };
                    sum[lane] += cut((capacity - used) * 100.0 / capacity) * weight;
                    of[lane] += weight;
                }
            }
            Self::LeastAllocated if exact => {
                for lane in 0..64 {
                    let capacity = from_small(capacity[lane]);
                    let used = from_small(used[lane] + amount);
                    let used = if used < capacity { used } else { capacity };
                    add(lane, cut((capacity - used) * 100.0 / capacity), capacity > 0.0);
                }
            }
            Self::MostAllocated if exact => {
                for lane in 0..64 {
                    let capacity = from_small(capacity[lane]);
                    let used = from_small(used[lane] + amount);
                    let used = if used < capacity { used } else { capacity };
                    add(lane, cut(used * 100.0 / capacity), capacity > 0.0);
                }
            }
            _ => {
                for lane in 0..64 {
                    let score = self.resource(used[lane].saturating_add(amount), capacity[lane]);
                    add(lane, score.map_or(0.0, |score| score as f64), score.is_some());
                }
            }
        }
    }

    /// `mean` of 64 nodes.
    pub(super) fn means(&self, sum: &[f64; 64], weights: &[f64; 64], out: &mut [i64; 64]) {
        let round = matches!(self, Self::RequestedToCapacityRatio(_));
        // Where every resource counts for every node, as nearly always, the weights are the same, and a product with
        // their reciprocal takes the place of 64 divisions. A half is added so that it is never too low.
        let weight = weights[0];
        if !round && weight > 0.0 && weight < WHOLE_WEIGHT && weights.iter().all(|other| *other == weight) {
            let reciprocal = weight.recip();
            for lane in 0..64 {
                out[lane] = to_small(cut((sum[lane] + 0.5) * reciprocal));
            }
            return;
        }
        for lane in 0..64 {
            let mean = if weights[lane] > 0.0 { sum[lane] / weights[lane] } else { 0.0 };
            out[lane] = if round { to_score(mean.round()) } else { to_small(cut(mean)) };
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a score is cut to an integer")]
fn to_score(x: f64) -> i64 {
    i64::from(x as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_by_the_reciprocal_are_those_of_integers() {
        for weight in (1..=300).chain([1_000, 65_537, 1_000_003]) {
            for quotient in 0..=100_i64 {
                for off in [-1, 0, 1] {
                    let sum = (quotient * weight + off).clamp(0, 100 * weight);
                    let mut out = [0; 64];
                    Strategy::LeastAllocated.means(&[sum as f64; 64], &[weight as f64; 64], &mut out);
                    assert_eq!(out, [sum / weight; 64], "{sum} / {weight}");
                }
            }
        }
    }
}
