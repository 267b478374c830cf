//! PreScore, Score, and the choice.

use plimsoll_framework::extensions::BoundScoring;
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

/// Where the weighted scores go.
struct Sink<'a> {
    name: &'static str,
    weight: i64,
    totals: &'a mut [i64],
    each: Option<&'a mut Vec<NodeScores>>,
}

impl Sink<'_> {
    fn add(&mut self, row: Row, score: i64) {
        // A score outside the range would be a plugin's fault; cut, it can do no harm to the others.
        let weighted = score.clamp(MIN_NODE_SCORE, MAX_NODE_SCORE) * self.weight;
        self.totals[row as usize] += weighted;
        if let Some(node) = self.each.as_mut().and_then(|all| all.get_mut(row as usize)) {
            node.plugins.push((self.name, weighted));
            node.total += weighted;
        }
    }
}

impl Scratch {
    /// Scores the feasible nodes. The totals are left in `self`; `each` is told the parts.
    pub(super) fn score(
        &mut self,
        profile: &Profile,
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
        mut each: Option<&mut Vec<NodeScores>>,
    ) {
        self.totals.clear();
        self.totals.resize(view.row_limit(), 0);
        self.raw.resize(view.row_limit(), 0);
        for scorer in &profile.score {
            if takes_part(profile, scorer, pod, view) {
                let mut sink = Sink {
                    name: scorer.name,
                    weight: scorer.weight,
                    totals: &mut self.totals,
                    each: each.as_deref_mut(),
                };
                score_by(scorer, view, overlay, pod, &self.feasible, &mut self.raw, &mut sink);
            }
        }
    }

    /// The best feasible node and its total. `draw` decides among equals.
    pub(super) fn select(&self, view: &View, tie_break: TieBreak, draw: u64) -> (Row, i64) {
        let (mut best, mut ties) = (i64::MIN, 0_u64);
        for row in rows(&self.feasible) {
            let total = self.totals[row as usize];
            if total > best {
                (best, ties) = (total, 1);
            } else if total == best {
                ties += 1;
            }
        }
        let mut tied = rows(&self.feasible).filter(|row| self.totals[*row as usize] == best);
        let row = match tie_break {
            TieBreak::Random => tied.nth(usize::try_from(below(draw, ties)).unwrap_or(0)),
            TieBreak::Name => tied.min_by(|a, b| view.node(*a).map(|n| &n.name).cmp(&view.node(*b).map(|n| &n.name))),
        };
        (row.unwrap_or_default(), best)
    }
}

fn rows(feasible: &[u64]) -> impl Iterator<Item = Row> + '_ {
    let first = (0..).step_by(64);
    feasible.iter().zip(first).flat_map(|(lanes, first): (&u64, Row)| bits(*lanes).map(move |lane| first + lane))
}

/// PreScore has a veto; without a PreScore of its own a plugin always takes part.
fn takes_part(profile: &Profile, scorer: &Scorer, pod: &PodInfo, view: &View) -> bool {
    profile.pre_score.iter().filter(|p| p.name == scorer.name).all(|p| p.plugin.pre_score(pod, view))
}

fn score_by(
    scorer: &Scorer,
    view: &View,
    overlay: &Overlay,
    pod: &PodInfo,
    feasible: &[u64],
    raw: &mut [i64],
    sink: &mut Sink<'_>,
) {
    let through = (!overlay.is_empty()).then_some(overlay);
    let normalize: Box<dyn plimsoll_framework::extensions::Normalize> = match scorer.plugin.bind(pod, view) {
        BoundScoring::Skip => return,
        BoundScoring::Zero(normalize) if !normalize.is_normalized() && sink.each.is_none() => return,
        BoundScoring::Zero(normalize) => {
            rows(feasible).for_each(|row| raw[row as usize] = 0);
            normalize
        }
        BoundScoring::PerNode(bound) => {
            let mut out = [0; 64];
            for ((first, _), lanes) in view.blocks().zip(feasible).filter(|(_, lanes)| **lanes != 0) {
                bound.block(view, first, *lanes, &mut out);
                raw[first as usize..][..64].copy_from_slice(&out);
            }
            if let Some(overlay) = through {
                let everywhere = scorer.plugin.groups().reads_other_rows();
                let touched = rows(feasible).filter(|row| everywhere || overlay.touches(*row));
                touched.for_each(|row| raw[row as usize] = bound.one(view, through, row));
            }
            bound
        }
        BoundScoring::OverFeasible(bound) => {
            let among: Vec<Row> = rows(feasible).collect();
            for (row, score) in among.iter().zip(bound.all(view, through, &among)) {
                raw[*row as usize] = score;
            }
            bound
        }
    };
    if !normalize.is_normalized() {
        rows(feasible).for_each(|row| sink.add(row, raw[row as usize]));
    } else if let Some(over) = Extent::of(rows(feasible).map(|row| raw[row as usize])) {
        rows(feasible).for_each(|row| sink.add(row, normalize.normalize(raw[row as usize], over)));
    }
}

/// A number below `bound`, each as likely as the others to within 2^-32 for the bounds that occur, from one seed.
fn below(seed: u64, bound: u64) -> u64 {
    // splitmix64: two seeds that differ in one bit give unrelated numbers.
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    let product = u128::from(z) * u128::from(bound);
    u64::try_from(product >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

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
