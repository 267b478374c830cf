//! Adding up scores that plugins gave by levels of nodes, and choosing: one pass over the feasible nodes, and a look at
//! what it has noted of every 64.

use plimsoll_framework::extensions::{BoundScoring, Normalize};
use plimsoll_framework::plugin::{Extent, MAX_NODE_SCORE, MIN_NODE_SCORE};
use plimsoll_framework::table::{Row, View, bits};
use plimsoll_framework::topology::Levels;

use super::TieBreak;
use super::score::below;
use crate::memo::Class;
use crate::profile::{Profile, Scorer};

/// The scores of one plugin by level. The memory is used again.
#[derive(Default)]
struct Leveled {
    levels: Levels,
    /// By level: the score, weighted. Valid for levels that feasible nodes are on.
    scores: Vec<i32>,
}

/// Totals of the feasible nodes. The memory is used again.
#[derive(Default)]
pub(super) struct Sums {
    leveled: Vec<Leveled>,
    /// How many of those are in use.
    used: usize,
    /// By row; valid for feasible rows.
    totals: Vec<i32>,
    /// The best total of each 64 rows, and how many rows have it.
    best: Vec<(i32, u32)>,
}

impl Sums {
    /// Has these plugins, each with its number in the profile, score the feasible nodes; `None` where one of them cannot
    /// do so by levels. Gives what they add to every total alike.
    pub(super) fn score(
        &mut self,
        profile: &Profile,
        scores: &[(usize, BoundScoring)],
        feasible: &[u64],
    ) -> Option<i64> {
        self.used = 0;
        let mut common = 0;
        for (at, bound) in scores {
            if self.leveled.len() == self.used {
                self.leveled.push(Leveled::default());
            }
            let leveled = &mut self.leveled[self.used];
            let normalize: &dyn Normalize = match bound {
                BoundScoring::PerNode(bound) if bound.rows(feasible, &mut leveled.levels) => &**bound,
                BoundScoring::OverFeasible(bound) if bound.rows(feasible, &mut leveled.levels) => &**bound,
                _ => return None,
            };
            match leveled.weigh(normalize, &profile.score[*at]) {
                Some(same) => common += i64::from(same),
                None => self.used += 1,
            }
        }
        Some(common)
    }

    /// Adds the scores to the totals of the class; gives the best feasible node and its total.
    pub(super) fn select(
        &mut self,
        class: &Class,
        feasible: &[u64],
        of_class: bool,
        view: &View,
        (tie_break, draw): (TieBreak, u64),
    ) -> (Row, i64) {
        self.add(class, feasible, of_class);
        let best = self.best.iter().fold(i32::MIN, |best, (of_block, _)| best.max(*of_block));
        let row = match tie_break {
            TieBreak::Random => {
                let ties = self.best.iter().filter(|(b, _)| *b == best).map(|(_, ties)| u64::from(*ties)).sum();
                self.nth(feasible, best, below(draw, ties))
            }
            TieBreak::Name => {
                let tied = (0..feasible.len()).flat_map(|block| self.tied(feasible, best, block));
                tied.min_by(|a, b| view.node(*a).map(|n| &n.name).cmp(&view.node(*b).map(|n| &n.name)))
            }
        };
        (row.unwrap_or_default(), i64::from(best))
    }

    fn add(&mut self, class: &Class, feasible: &[u64], of_class: bool) {
        let correction = if of_class { None } else { class.correction(feasible) };
        let leveled = &self.leveled[..self.used];
        self.totals.resize(feasible.len() * 64, 0);
        self.best.clear();
        let blocks = self.totals.as_chunks_mut::<64>().0.iter_mut().zip(class.totals()).zip(feasible);
        for (block, ((totals, of_class), lanes)) in blocks.enumerate() {
            if *lanes == 0 {
                self.best.push((i32::MIN, 0));
                continue;
            }
            totals.copy_from_slice(of_class);
            if let Some(correction) = &correction {
                let first = Row::try_from(block * 64).unwrap_or_default();
                bits(*lanes).for_each(|lane| totals[lane as usize] += correction(first + lane));
            }
            for leveled in leveled {
                leveled.add(block, *lanes, totals);
            }
            self.best.push(best_of(totals, *lanes));
        }
    }

    /// The row of this number, from 0, among the feasible ones with the best total.
    fn nth(&self, feasible: &[u64], best: i32, nth: u64) -> Option<Row> {
        let mut left = nth;
        for (block, (b, ties)) in self.best.iter().enumerate() {
            if *b == best {
                if left < u64::from(*ties) {
                    return self.tied(feasible, best, block).nth(usize::try_from(left).ok()?);
                }
                left -= u64::from(*ties);
            }
        }
        None
    }

    /// The feasible rows of a block with the best total.
    fn tied(&self, feasible: &[u64], best: i32, block: usize) -> impl Iterator<Item = Row> + '_ {
        let lanes = if self.best[block].0 == best { feasible[block] } else { 0 };
        let row = move |lane| Row::try_from(block * 64).unwrap_or_default() + lane;
        bits(lanes).map(row).filter(move |row| self.totals[*row as usize] == best)
    }
}

impl Leveled {
    /// Makes scores of the raw ones, weighted; the score, if all have the same. Nodes that the plugin ignores get nothing.
    fn weigh(&mut self, normalize: &dyn Normalize, scorer: &Scorer) -> Option<i32> {
        let raws = self.levels.raws();
        let over = Extent::of(raws.iter().filter_map(|(_, raw)| *raw));
        let score = |raw: Option<i64>| {
            let (Some(raw), Some(over)) = (raw, over) else { return 0 };
            let score = if normalize.is_normalized() { normalize.normalize(raw, over) } else { raw };
            // A plan sees to it that all scores together are small.
            i32::try_from(score.clamp(MIN_NODE_SCORE, MAX_NODE_SCORE) * scorer.weight).unwrap_or(i32::MAX)
        };
        self.scores.resize(self.scores.len().max(self.levels.len()), 0);
        let mut same = raws.first().map(|(_, raw)| score(*raw));
        let first = same;
        for (level, raw) in raws {
            let score = score(*raw);
            same = same.filter(|_| first == Some(score));
            self.scores[*level] = score;
        }
        same
    }

    /// Adds the scores of the feasible rows of a block. The others may get anything.
    fn add(&self, block: usize, lanes: u64, totals: &mut [i32; 64]) {
        let Some(levels) = self.levels.blocks().get(block) else { return };
        let score = |level: u16| self.scores.get(usize::from(level)).copied().unwrap_or(0);
        if lanes.count_ones() > 40 {
            for (total, level) in totals.iter_mut().zip(levels) {
                *total = total.wrapping_add(score(*level));
            }
        } else {
            for lane in bits(lanes) {
                totals[lane as usize] += score(levels[lane as usize]);
            }
        }
    }
}

/// The best of the totals of these lanes, and how many have it.
fn best_of(totals: &mut [i32; 64], lanes: u64) -> (i32, u32) {
    if lanes.count_ones() <= 32 {
        return bits(lanes).map(|lane| totals[lane as usize]).fold((i32::MIN, 0), |(best, ties), total| {
            match total.cmp(&best) {
                std::cmp::Ordering::Greater => (total, 1),
                std::cmp::Ordering::Equal => (best, ties + 1),
                std::cmp::Ordering::Less => (best, ties),
            }
        });
    }
    bits(!lanes).for_each(|lane| totals[lane as usize] = i32::MIN);
    let best = totals.iter().fold(i32::MIN, |best, total| best.max(*total));
    (best, totals.iter().map(|total| u32::from(*total == best)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_a_block_is_that_of_its_feasible_rows() {
        let mut seed = 1_u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed >> 20
        };
        for round in 0..2_000 {
            let lanes = if round % 2 == 0 { next() & next() << 20 } else { next() | next() << 20 };
            let mut totals = [0; 64];
            totals.iter_mut().for_each(|t| *t = i32::try_from(next() % 5).unwrap());
            let kept: Vec<i32> = bits(lanes).map(|lane| totals[lane as usize]).collect();
            let best = kept.iter().copied().max().unwrap_or(i32::MIN);
            let ties = kept.iter().filter(|t| **t == best).count();
            assert_eq!(best_of(&mut totals, lanes), (best, u32::try_from(ties).unwrap()), "{lanes:x}");
        }
    }
}
