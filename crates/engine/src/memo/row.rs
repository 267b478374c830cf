//! The raw scores of one plugin that are normalised: a row over the nodes, or one number where all say the same.

use plimsoll_framework::extensions::{BoundScore, Normalize};
use plimsoll_framework::plugin::{Extent, MAX_NODE_SCORE, MIN_NODE_SCORE};
use plimsoll_framework::read::Groups;
use plimsoll_framework::table::bits;

/// A value for each row, which takes memory only where some row has had another than the usual one: most classes are
/// turned away nowhere, and most images are on no node.
#[derive(Default)]
pub(super) struct Column<T> {
    /// All of them, or none.
    rows: Vec<T>,
    len: usize,
}

impl<T: Copy + Default + PartialEq> Column<T> {
    /// Has so many rows, of which new ones have the usual value.
    pub(super) fn resize(&mut self, len: usize) {
        self.len = len;
        if !self.rows.is_empty() {
            self.rows.resize(len, T::default());
        }
    }

    /// Gives every row the usual value.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
    }

    pub(super) fn at(&self, row: usize) -> T {
        self.rows.get(row).copied().unwrap_or_default()
    }

    /// The values by row, or nothing where all have the usual one.
    pub(super) fn unusual(&self) -> &[T] {
        &self.rows
    }

    pub(super) fn set(&mut self, row: usize, value: T) {
        if self.rows.is_empty() && value != T::default() {
            self.rows.resize(self.len, T::default());
        }
        if let Some(old) = self.rows.get_mut(row) {
            *old = value;
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<T>()
    }
}

/// What a plugin worked out for the pods of a class.
pub(super) enum Kept {
    /// Its raw score is 0 everywhere.
    Zero(Box<dyn Normalize>),
    /// It has a raw score for each node.
    PerNode(Box<dyn BoundScore>),
}

impl Kept {
    fn normalize(&self, raw: i64, over: Extent) -> i64 {
        match self {
            Self::Zero(normalize) => normalize.normalize(raw, over),
            Self::PerNode(bound) => bound.normalize(raw, over),
        }
    }

    /// Whether both say the same of every node.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Zero(_), Self::Zero(_)) => true,
            (Self::PerNode(one), Self::PerNode(other)) => one.same(&**other),
            _ => false,
        }
    }
}

/// Raw scores by row.
pub(super) enum Raw {
    /// All the same.
    Const(i64),
    /// By row, and their extent over the feasible rows of each 64.
    Dense(Vec<i64>, Vec<Option<Extent>>),
}

/// The scores of one plugin that are normalised over the feasible nodes.
pub(super) struct Normalized {
    /// Its number in the profile.
    pub(super) at: usize,
    pub(super) groups: Groups,
    pub(super) weight: i64,
    pub(super) kept: Kept,
    pub(super) raw: Raw,
    /// Over what they are normalised in the totals.
    pub(super) over: Option<Extent>,
}

impl Normalized {
    /// What a raw score adds to the total.
    pub(super) fn part(&self, raw: i64, over: Option<Extent>) -> i64 {
        let Some(over) = over else { return 0 };
        self.kept.normalize(raw, over).clamp(MIN_NODE_SCORE, MAX_NODE_SCORE) * self.weight
    }

    /// What it adds to every total where all raw scores are the same; 0 where they are not. It is the same whichever rows
    /// are feasible.
    pub(super) fn common(&self) -> i64 {
        match self.raw {
            Raw::Const(raw) => self.part(raw, Some(Extent { min: raw, max: raw })),
            Raw::Dense(..) => 0,
        }
    }

    pub(super) fn raw_at(&self, row: usize) -> i64 {
        match &self.raw {
            Raw::Const(raw) => *raw,
            Raw::Dense(rows, _) => rows[row],
        }
    }

    /// Sets the raw score of a row; where not all are the same any more, they become a row.
    pub(super) fn set(&mut self, row: usize, raw: i64, rows: usize) {
        match &mut self.raw {
            Raw::Const(all) if *all == raw => {}
            Raw::Const(all) => {
                let mut dense = vec![*all; rows];
                dense[row] = raw;
                self.raw = Raw::Dense(dense, vec![None; rows / 64]);
            }
            Raw::Dense(dense, _) => dense[row] = raw,
        }
    }

    /// Has so many rows.
    pub(super) fn resize(&mut self, rows: usize) {
        if let Raw::Dense(dense, extents) = &mut self.raw {
            dense.resize(rows, 0);
            extents.resize(rows / 64, None);
        }
    }

    /// Whether every row has the same raw score.
    pub(super) fn is_const(&self) -> bool {
        matches!(self.raw, Raw::Const(_))
    }

    /// Finds the extent of a block anew.
    pub(super) fn renew_extent(&mut self, block: usize, feasible: &[u64]) {
        if let Raw::Dense(rows, extents) = &mut self.raw
            && let (Some(raw), Some(lanes)) = (rows.as_chunks::<64>().0.get(block), feasible.get(block))
        {
            extents[block] = Extent::of(bits(*lanes).map(|lane| raw[lane as usize]));
        }
    }

    /// The extent over these rows; where they are those of the class, its blocks are known.
    pub(super) fn extent(&self, feasible: &[u64], of_class: bool) -> Option<Extent> {
        match &self.raw {
            Raw::Const(raw) => Some(Extent { min: *raw, max: *raw }),
            Raw::Dense(_, extents) if of_class => extents.iter().copied().flatten().reduce(Extent::join),
            Raw::Dense(rows, _) => {
                let blocks = rows.as_chunks::<64>().0.iter().zip(feasible);
                let of_block =
                    |(raw, lanes): (&[i64; 64], &u64)| Extent::of(bits(*lanes).map(|lane| raw[lane as usize]));
                blocks.filter_map(of_block).reduce(Extent::join)
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match &self.raw {
            Raw::Const(_) => 0,
            Raw::Dense(rows, extents) => rows.capacity() * 8 + extents.capacity() * size_of::<Option<Extent>>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_says_what_was_set_last_and_takes_memory_when_it_has_to() {
        let mut column = Column::<i32>::default();
        column.resize(128);
        column.set(3, 0);
        assert_eq!((column.at(3), column.bytes()), (0, 0));
        column.set(7, 5);
        column.resize(192);
        column.set(190, 6);
        column.set(7, 0);
        assert_eq!([7, 8, 190, 191].map(|row| column.at(row)), [0, 0, 6, 0]);
        assert!(column.bytes() >= 192 * 4);
        column.clear();
        assert!((0..192).all(|row| column.at(row) == 0));
        column.set(191, 1);
        assert_eq!([190, 191].map(|row| column.at(row)), [0, 1]);
    }
}
