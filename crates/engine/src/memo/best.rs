//! Totals by row, with the best of every 64 and how many rows have it: the choice looks at a few numbers, not at nodes.

use plimsoll_framework::table::{Row, View};

/// The total of a row whose node is not feasible, or that has none.
pub(super) const NO_TOTAL: i32 = i32::MIN;

/// The totals of a class.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) rows: Vec<i32>,
    best: Vec<i32>,
    ties: Vec<u8>,
}

impl Totals {
    /// Has so many rows, a multiple of 64, of which new ones have no total.
    pub(super) fn resize(&mut self, rows: usize) {
        self.rows.resize(rows, NO_TOTAL);
        self.best.resize(rows / 64, NO_TOTAL);
        self.ties.resize(rows / 64, 64);
    }

    pub(super) fn bytes(&self) -> usize {
        self.rows.capacity() * 4 + self.best.capacity() * 4 + self.ties.capacity()
    }

    /// Sets the total of a row.
    pub(super) fn set(&mut self, row: Row, total: i32) {
        let (row, block) = (row as usize, row as usize / 64);
        let old = std::mem::replace(&mut self.rows[row], total);
        let (best, ties) = (&mut self.best[block], &mut self.ties[block]);
        if total > *best {
            (*best, *ties) = (total, 1);
        } else if old == *best && total != old {
            *ties -= 1;
            if *ties == 0 {
                self.recount(block);
            }
        } else if total == *best && total != old {
            *ties += 1;
        }
    }

    /// Finds the best of a block anew.
    pub(super) fn recount(&mut self, block: usize) {
        let Some(totals) = self.rows.as_chunks::<64>().0.get(block) else { return };
        let best = totals.iter().fold(NO_TOTAL, |best, total| best.max(*total));
        let ties: u32 = totals.iter().map(|total| u32::from(*total == best)).sum();
        (self.best[block], self.ties[block]) = (best, u8::try_from(ties).unwrap_or(64));
    }

    /// The best total; [`NO_TOTAL`] where no row has one.
    pub(super) fn best(&self) -> i32 {
        self.best.iter().fold(NO_TOTAL, |best, of_block| best.max(*of_block))
    }

    /// How many rows have this total, which is the best.
    pub(super) fn ties(&self, best: i32) -> u64 {
        self.best.iter().zip(&self.ties).map(|(b, ties)| if *b == best { u64::from(*ties) } else { 0 }).sum()
    }

    /// The row of this number, from 0, among those with the best total.
    pub(super) fn nth(&self, best: i32, nth: u64) -> Option<Row> {
        let mut left = nth;
        for (block, (b, ties)) in self.best.iter().zip(&self.ties).enumerate() {
            if *b != best {
                continue;
            }
            if left >= u64::from(*ties) {
                left -= u64::from(*ties);
                continue;
            }
            let totals = self.rows.as_chunks::<64>().0.get(block)?;
            let lane = totals.iter().enumerate().filter(|(_, t)| **t == best).nth(usize::try_from(left).ok()?)?.0;
            return Row::try_from(block * 64 + lane).ok();
        }
        None
    }

    /// The row among those with the best total whose node's name comes first.
    pub(super) fn first_by_name(&self, best: i32, view: &View) -> Option<Row> {
        let blocks = self.best.iter().enumerate().filter(|(_, b)| **b == best).map(|(block, _)| block);
        let rows = blocks.flat_map(|block| block * 64..block * 64 + 64).filter(|row| self.rows[*row] == best);
        let rows = rows.filter_map(|row| Row::try_from(row).ok());
        rows.min_by(|a, b| view.node(*a).map(|n| &n.name).cmp(&view.node(*b).map(|n| &n.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The best, the ties and their order, by looking at every row.
    fn check(totals: &Totals) {
        let best = totals.rows.iter().copied().max().unwrap();
        assert_eq!(totals.best(), best);
        let rows: Vec<Row> = (0..).zip(&totals.rows).filter(|(_, t)| **t == best).map(|(row, _)| row).collect();
        assert_eq!(totals.ties(best), rows.len() as u64);
        for (nth, row) in (0..).zip(&rows) {
            assert_eq!(totals.nth(best, nth), Some(*row));
        }
        assert_eq!(totals.nth(best, rows.len() as u64), None);
    }

    #[test]
    fn the_best_is_known_after_any_change() {
        let mut totals = Totals::default();
        totals.resize(192);
        check(&totals);
        let mut seed = 1_u64;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let row = Row::try_from((seed >> 33) % 192).unwrap();
            let total = match (seed >> 20) % 5 {
                0 => NO_TOTAL,
                n => i32::try_from(n).unwrap(),
            };
            totals.set(row, total);
            check(&totals);
        }
        totals.resize(256);
        check(&totals);
    }
}
