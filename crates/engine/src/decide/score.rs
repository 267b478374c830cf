//! PreScore, Score, and the choice.

use plimsoll_framework::extensions::{BoundFeasibleScore, BoundScore, BoundScoring, Normalize};
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{Extent, MAX_NODE_SCORE, MIN_NODE_SCORE};
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::{Row, View, bits};

use super::{Scratch, TieBreak};
use crate::profile::{Profile, Scorer};

/// How good a node is, by plugin.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NodeScores {
    /// Every plugin that took part, with its score of 0 to 100 times its weight.
    pub plugins: Vec<(&'static str, i64)>,
    /// The sum.
    pub total: i64,
}

impl Scratch {
    /// Scores the feasible nodes by these plugins. The totals are left in `self`; `each` is told the parts.
    pub(super) fn score(
        &mut self,
        scorers: &[&Scorer],
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
        mut each: Option<&mut Vec<NodeScores>>,
    ) {
        self.totals.clear();
        self.totals.resize(view.row_limit(), 0);
        self.raw.resize(view.row_limit(), 0);
        self.common = 0;
        for scorer in scorers {
            self.score_by(scorer, view, overlay, pod, each.as_deref_mut());
        }
    }

    /// Scores the feasible nodes by these plugins; gives what each gives to two of them.
    pub(super) fn score_of_two(
        &mut self,
        scorers: &[&Scorer],
        view: &View,
        pod: &PodInfo,
        rows: [Row; 2],
    ) -> Vec<(&'static str, i64, i64)> {
        self.score(&[], view, &Overlay::default(), pod, None);
        let so_far = |scratch: &Self| rows.map(|row| scratch.totals[row as usize] + scratch.common);
        let mut parts = Vec::with_capacity(scorers.len());
        for scorer in scorers {
            let before = so_far(self);
            self.score_by(scorer, view, &Overlay::default(), pod, None);
            let after = so_far(self);
            parts.push((scorer.name, after[0] - before[0], after[1] - before[1]));
        }
        parts
    }

    /// Adds one plugin's scores to the totals.
    fn score_by(
        &mut self,
        scorer: &Scorer,
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
        each: Option<&mut Vec<NodeScores>>,
    ) {
        let bound = scorer.plugin.bind(pod, view);
        self.score_bound(scorer, &bound, view, overlay, each);
    }

    /// Adds the scores of a plugin that is prepared.
    pub(super) fn score_bound(
        &mut self,
        scorer: &Scorer,
        bound: &BoundScoring,
        view: &View,
        overlay: &Overlay,
        each: Option<&mut Vec<NodeScores>>,
    ) {
        let normalize: &dyn Normalize = match bound {
            BoundScoring::Skip => return,
            BoundScoring::Zero(normalize) => {
                self.raw.fill(0);
                &**normalize
            }
            BoundScoring::PerNode(bound) => {
                if !bound.takes_part(view, (!overlay.is_empty()).then_some(overlay)) {
                    return;
                }
                let everywhere = bound.is_reached_by(view, overlay);
                self.raw_scores(&**bound, view, overlay, everywhere);
                &**bound
            }
            BoundScoring::OverFeasible(bound) => {
                let among: Vec<Row> = rows(&self.feasible).collect();
                let through = (!overlay.is_empty()).then_some(overlay);
                let scores = bound.all(view, through, &among);
                return self.add_among(scorer, &**bound, &among, &scores, each);
            }
        };
        if normalize.is_normalized() {
            let Some(over) = self.extent() else { return };
            if over.min == over.max && each.is_none() {
                // The same for every node: it decides nothing, and counts in the total once.
                self.common += normalize.normalize(over.min, over) * scorer.weight;
                return;
            }
            for block in self.raw.as_chunks_mut::<64>().0 {
                normalize.normalize_block(block, over);
            }
        }
        self.add(scorer, each);
    }

    /// Adds the scores of a plugin that looked at the feasible nodes together. Those it ignores get nothing.
    fn add_among(
        &mut self,
        scorer: &Scorer,
        bound: &dyn BoundFeasibleScore,
        among: &[Row],
        scores: &[Option<i64>],
        each: Option<&mut Vec<NodeScores>>,
    ) {
        let over = Extent::of(scores.iter().copied().flatten());
        self.raw.fill(0);
        for (row, score) in among.iter().zip(scores) {
            if let (Some(raw), Some(over)) = (score, over) {
                self.raw[*row as usize] = bound.normalize(*raw, over);
            }
        }
        self.add(scorer, each);
    }

    /// The raw scores of the feasible nodes, block by block; those that the overlay touches one by one.
    fn raw_scores(&mut self, bound: &dyn BoundScore, view: &View, overlay: &Overlay, everywhere: bool) {
        let out = self.raw.as_chunks_mut::<64>().0;
        for (((first, _), lanes), out) in view.blocks().zip(&self.feasible).zip(out) {
            if *lanes != 0 {
                bound.block(view, first, *lanes, out);
            }
            // What stands in the other lanes may be anything; nothing may come of it.
            for (lane, score) in out.iter_mut().enumerate().filter(|_| *lanes != u64::MAX) {
                if lanes >> lane & 1 == 0 {
                    *score = 0;
                }
            }
        }
        if overlay.is_empty() {
            return;
        }
        let touched: Vec<Row> = if everywhere { rows(&self.feasible).collect() } else { overlay.rows().collect() };
        for row in touched {
            if self.feasible[row as usize / 64] >> (row % 64) & 1 == 1 {
                self.raw[row as usize] = bound.one(view, Some(overlay), row);
            }
        }
    }

    /// The extent of the feasible nodes' raw scores.
    fn extent(&self) -> Option<Extent> {
        let blocks = self.raw.as_chunks::<64>().0.iter().zip(&self.feasible);
        let of_block = |(raw, lanes): (&[i64; 64], &u64)| match *lanes {
            0 => None,
            u64::MAX => Some(extent_of_all(raw)),
            lanes => Extent::of(bits(lanes).map(|lane| raw[lane as usize])),
        };
        blocks.filter_map(of_block).reduce(Extent::join)
    }

    /// Adds the scores in `raw`, weighted. A score outside the range would be a plugin's fault; cut, it does no harm to
    /// the others. Rows that are not feasible get something too, which nobody looks at: that is cheaper than asking.
    fn add(&mut self, scorer: &Scorer, each: Option<&mut Vec<NodeScores>>) {
        let weighted = |score: i64| score.clamp(MIN_NODE_SCORE, MAX_NODE_SCORE) * scorer.weight;
        for (totals, scores) in self.totals.as_chunks_mut::<64>().0.iter_mut().zip(self.raw.as_chunks::<64>().0) {
            if !add_small(totals, scores, scorer.weight) {
                for (total, score) in totals.iter_mut().zip(scores) {
                    *total += weighted(*score);
                }
            }
        }
        let Some(each) = each else { return };
        for row in rows(&self.feasible) {
            let (node, score) = (&mut each[row as usize], weighted(self.raw[row as usize]));
            node.plugins.push((scorer.name, score));
            node.total += score;
        }
    }

    /// The best feasible node and its total. `draw` decides among equals.
    pub(super) fn select(&self, view: &View, tie_break: TieBreak, draw: u64) -> (Row, i64) {
        let totals = self.totals.as_chunks::<64>().0;
        let best_of = |(totals, lanes): (&[i64; 64], &u64)| match *lanes {
            u64::MAX => totals.iter().copied().fold(i64::MIN, i64::max),
            lanes => bits(lanes).map(|lane| totals[lane as usize]).fold(i64::MIN, i64::max),
        };
        let best = totals.iter().zip(&self.feasible).map(best_of).fold(i64::MIN, i64::max);
        let tied_in = |(totals, lanes): (&[i64; 64], &u64)| {
            let equal = totals.iter().enumerate().fold(0, |set, (lane, t)| set | u64::from(*t == best) << lane);
            equal & lanes
        };
        let tied: Vec<u64> = totals.iter().zip(&self.feasible).map(tied_in).collect();
        let row = match tie_break {
            TieBreak::Random => {
                let ties = tied.iter().map(|t| u64::from(t.count_ones())).sum();
                rows(&tied).nth(usize::try_from(below(draw, ties)).unwrap_or(0))
            }
            TieBreak::Name => {
                rows(&tied).min_by(|a, b| view.node(*a).map(|n| &n.name).cmp(&view.node(*b).map(|n| &n.name)))
            }
        };
        (row.unwrap_or_default(), best.saturating_add(self.common))
    }
}

/// The extent of 64 scores. Mostly they are all the same, which shows in their bits: that is told several at a time also
/// by processors that compare 64-bit numbers one by one.
fn extent_of_all(scores: &[i64; 64]) -> Extent {
    let (any, all) = scores.iter().fold((0, -1), |(any, all), score| (any | score, all & score));
    if any == all {
        return Extent { min: all, max: all };
    }
    let none = Extent { min: i64::MAX, max: i64::MIN };
    scores.iter().fold(none, |e, score| Extent { min: e.min.min(*score), max: e.max.max(*score) })
}

/// Adds 64 scores, weighted, if all of them are within the range and the weight is an ordinary one; whether that was so.
/// Comparing and multiplying 64-bit numbers is slow on processors that do neither for several at once: what is within
/// the range shows in its bits, and half as many bits are enough for the product.
fn add_small(totals: &mut [i64; 64], scores: &[i64; 64], weight: i64) -> bool {
    const BEYOND: i64 = !127;
    const { assert!(MIN_NODE_SCORE == 0 && MAX_NODE_SCORE == 100) };
    let seen = scores.iter().fold(0, |seen, score| seen | score | score.wrapping_add(127 - MAX_NODE_SCORE));
    if seen & BEYOND != 0 || !(0..=i64::from(u32::MAX >> 1)).contains(&weight) {
        return false;
    }
    let half = |x: i64| x.cast_unsigned() & u64::from(u32::MAX);
    let weight = half(weight);
    for (total, score) in totals.iter_mut().zip(scores) {
        *total += (half(*score) * weight).cast_signed();
    }
    true
}

/// The rows of a set, kept as blocks of 64.
pub(super) fn rows(blocks: &[u64]) -> impl Iterator<Item = Row> + '_ {
    let first = (0..).step_by(64);
    blocks.iter().zip(first).flat_map(|(lanes, first): (&u64, Row)| bits(*lanes).map(move |lane| first + lane))
}

/// The Score plugins that have something to say of a pod: PreScore has a veto, and a plugin without a PreScore of its own
/// always takes part.
pub(super) fn taking_part<'p>(profile: &'p Profile, view: &View, pod: &PodInfo) -> Vec<&'p Scorer> {
    let takes_part = |scorer: &&Scorer| {
        profile.pre_score.iter().filter(|p| p.name == scorer.name).all(|p| p.plugin.pre_score(pod, view))
    };
    profile.score.iter().filter(takes_part).collect()
}

/// An unrelated number for each seed (splitmix64), also where two differ in one bit only.
pub(super) fn splitmix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number below `bound`, each as likely as the others to within 2^-32 for the bounds that occur, from one seed.
pub(super) fn below(seed: u64, bound: u64) -> u64 {
    let product = u128::from(splitmix(seed)) * u128::from(bound);
    u64::try_from(product >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_within_the_range_are_added_and_others_left() {
        let add = |score: i64, weight: i64| {
            let (mut totals, mut scores) = ([1; 64], [50; 64]);
            scores[63] = score;
            add_small(&mut totals, &scores, weight).then_some((totals[0], totals[63]))
        };
        assert_eq!(add(0, 3), Some((151, 1)));
        assert_eq!(add(100, 2_147_483_647), Some((1 + 50 * 2_147_483_647, 1 + 100 * 2_147_483_647)));
        for score in [101, 127, 128, -1, i64::MAX, i64::MIN, 1 << 40] {
            assert_eq!(add(score, 1), None, "{score}");
        }
        assert_eq!(add(1, -1), None);
        assert_eq!(add(1, 1 << 31), None);
    }

    #[test]
    fn the_extent_of_scores_is_that_of_the_least_and_the_greatest() {
        for (one, other) in [(0, 0), (7, 7), (-3, -3), (0, 100), (-1, 0), (i64::MIN, i64::MAX), (5, 6)] {
            let mut scores = [one; 64];
            scores[17] = other;
            let extent = extent_of_all(&scores);
            assert_eq!((extent.min, extent.max), (one.min(other), one.max(other)));
        }
    }

    #[test]
    fn draws_are_even() {
        let mut counts = [0_u32; 7];
        for seed in 0..70_000 {
            counts[usize::try_from(below(seed, 7)).unwrap()] += 1;
        }
        assert!(counts.iter().all(|n| (9_500..10_500).contains(n)), "{counts:?}");
        assert_eq!(below(3, 1), 0);
    }
}
