//! The nodes by the domains of one topology, either way round.

use super::counts::{DomainId, NOWHERE};
use crate::table::Row;

/// Up to so many domains are kept as sets of rows: a rule about domains is then one about words of 64 rows.
const FEW: usize = 64;

/// No row.
const NO_ROW: Row = Row::MAX;

/// The domain of every node, and the nodes of every domain.
#[derive(Clone, Debug, Default)]
pub(super) struct Column {
    /// By row.
    domains: Vec<DomainId>,
    /// The same in half the bytes: one more than the domain, 0 where there is none or its number is too great.
    codes: Vec<u16>,
    /// The rows whose nodes are in a domain.
    members: Vec<u64>,
    /// The rows of each domain, while there are few.
    sets: Vec<Vec<u64>>,
    /// By domain: a row of it. From there on each row names the next one and the one before it.
    first: Vec<Row>,
    next: Vec<Row>,
    previous: Vec<Row>,
    /// Whether some node's label is empty.
    pub(super) has_unnamed: bool,
}

impl Column {
    /// The domain that the node of a row is in.
    pub(super) fn domain(&self, row: Row) -> Option<DomainId> {
        self.domains.get(row as usize).copied().filter(|d| *d != NOWHERE)
    }

    /// The domains by row, [`NOWHERE`] for a row in none; rows beyond the end are in none either.
    pub(super) fn domains(&self) -> &[DomainId] {
        &self.domains
    }

    /// One more than the domain, by row; 0 for a row in none.
    pub(super) fn codes(&self) -> &[u16] {
        &self.codes
    }

    /// The rows in some domain, by words of 64; those beyond the end are in none.
    pub(super) fn members(&self) -> &[u64] {
        &self.members
    }

    /// The numbers of the domains are below this.
    pub(super) fn limit(&self) -> usize {
        self.first.len()
    }

    /// The rows of each domain by words of 64, where there are few domains.
    pub(super) fn sets(&self) -> Option<&[Vec<u64>]> {
        (self.first.len() <= FEW).then_some(&self.sets)
    }

    /// The rows of a domain, in no promised order.
    pub(super) fn rows_of(&self, domain: DomainId) -> impl Iterator<Item = Row> + '_ {
        let first = self.first.get(domain as usize).copied().filter(|row| *row != NO_ROW);
        std::iter::successors(first, |row| Some(self.next[*row as usize]).filter(|next| *next != NO_ROW))
    }

    /// Puts the node of a row into a domain, or with [`NOWHERE`] into none.
    pub(super) fn set(&mut self, row: Row, domain: DomainId) {
        let at = row as usize;
        if self.domains.len() <= at {
            self.domains.resize(at + 1, NOWHERE);
            self.codes.resize(at + 1, 0);
            self.next.resize(at + 1, NO_ROW);
            self.previous.resize(at + 1, NO_ROW);
        }
        let old = std::mem::replace(&mut self.domains[at], domain);
        if old == domain {
            return;
        }
        self.codes[at] = domain.checked_add(1).and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
        set_bit(&mut self.members, at, domain != NOWHERE);
        if old != NOWHERE {
            self.leave(row, old as usize);
        }
        if domain != NOWHERE {
            self.enter(row, domain as usize);
        }
    }

    fn enter(&mut self, row: Row, domain: usize) {
        self.first.resize(self.first.len().max(domain + 1), NO_ROW);
        let second = std::mem::replace(&mut self.first[domain], row);
        (self.next[row as usize], self.previous[row as usize]) = (second, NO_ROW);
        if second != NO_ROW {
            self.previous[second as usize] = row;
        }
        if self.first.len() <= FEW {
            self.sets.resize(self.first.len(), Vec::new());
            set_bit(&mut self.sets[domain], row as usize, true);
        } else {
            self.sets = Vec::new();
        }
    }

    fn leave(&mut self, row: Row, domain: usize) {
        let (previous, next) = (self.previous[row as usize], self.next[row as usize]);
        if next != NO_ROW {
            self.previous[next as usize] = previous;
        }
        if previous == NO_ROW {
            self.first[domain] = next;
        } else {
            self.next[previous as usize] = next;
        }
        if let Some(set) = self.sets.get_mut(domain) {
            set_bit(set, row as usize, false);
        }
    }
}

fn set_bit(words: &mut Vec<u64>, at: usize, on: bool) {
    words.resize(words.len().max(at / 64 + 1), 0);
    if on { words[at / 64] |= 1 << (at % 64) } else { words[at / 64] &= !(1 << (at % 64)) }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_ways_round_say_the_same(
            moves in vec((0_u32..200, prop_oneof![4 => 0_u32..5, 2 => 0_u32..90, 1 => Just(NOWHERE)]), 0..300),
        ) {
            let (mut column, mut model) = (Column::default(), BTreeMap::<Row, DomainId>::new());
            for (row, domain) in moves {
                column.set(row, domain);
                if domain == NOWHERE { model.remove(&row) } else { model.insert(row, domain) };
            }
            for row in 0..200 {
                prop_assert_eq!(column.domain(row), model.get(&row).copied());
                let code = column.codes().get(row as usize).copied().unwrap_or(0);
                prop_assert_eq!(u32::from(code), model.get(&row).map_or(0, |d| d + 1));
                let member = column.members().get(row as usize / 64).is_some_and(|w| w >> (row % 64) & 1 == 1);
                prop_assert_eq!(member, model.contains_key(&row));
            }
            for domain in 0..90 {
                let expect: BTreeSet<Row> = model.iter().filter(|(_, d)| **d == domain).map(|(row, _)| *row).collect();
                let listed: Vec<Row> = column.rows_of(domain).collect();
                prop_assert_eq!(listed.len(), expect.len());
                prop_assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expect.clone());
                if let Some(sets) = column.sets() {
                    let set = sets.get(domain as usize).map_or(&[][..], |set| set);
                    let rows = (0..).step_by(64).zip(set).flat_map(|(first, word)| crate::table::bits(*word).map(move |lane| first + lane));
                    prop_assert_eq!(rows.collect::<BTreeSet<Row>>(), expect);
                }
            }
        }
    }
}
