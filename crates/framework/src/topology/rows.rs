//! The counts for all nodes at once: what is said of domains becomes sets of rows, and domains in which nothing is
//! counted cost nothing.

use super::bound::{BoundCounter, Counters};
use crate::table::Row;

/// The counts for all nodes at once, without an overlay.
#[derive(Clone, Copy)]
pub struct DomainRows<'a> {
    counters: &'a Counters,
}

impl<'a> DomainRows<'a> {
    pub(crate) fn new(counters: &'a Counters) -> Self {
        Self { counters }
    }

    pub(super) fn counter(&self, spec: usize) -> Option<&'a BoundCounter> {
        self.counters.get(spec)
    }

    /// The least count of all domains; `None` when there is no domain.
    pub fn least(&self, spec: usize) -> Option<i64> {
        self.counter(spec)?.least(&[])
    }

    /// How many domains there are, those without any counted pod included.
    pub fn domains(&self, spec: usize) -> usize {
        self.counter(spec).map_or(0, |c| c.domains as usize)
    }

    /// The sum over all domains.
    pub fn total(&self, spec: usize) -> i64 {
        self.counter(spec).map_or(0, |c| c.sums().total())
    }

    /// Whether the label by which the spec of this number counts is empty on some node.
    pub fn has_unnamed(&self, spec: usize) -> bool {
        self.counter(spec).is_some_and(|c| c.column().has_unnamed)
    }

    /// Leaves, of `rows`, those whose nodes are in a domain of the spec of this number.
    pub fn keep_members(&self, spec: usize, rows: &mut [u64]) {
        let members = self.counter(spec).map_or(&[][..], |c| c.column().members());
        rows.iter_mut().zip(members).for_each(|(rows, members)| *rows &= members);
        rows.iter_mut().skip(members.len()).for_each(|rows| *rows = 0);
    }

    /// Takes out of `rows` those whose nodes are in a domain with a count that is not among those that `allows` names.
    /// Nodes in no domain stay.
    pub fn keep_counts(&self, spec: usize, rows: &mut [u64], allows: impl Fn(i64) -> bool) {
        let Some(counter) = self.counter(spec) else { return };
        let (column, sums) = (counter.column(), counter.sums());
        if let Some(sets) = column.sets() {
            for (_, set) in (0..).zip(sets).filter(|(domain, _)| !allows(sums.get(*domain).into())) {
                take_out(rows, set);
            }
        } else if allows(0) {
            sums.each(|domain, count| {
                if !allows(count.into()) {
                    column.rows_of(domain).for_each(|row| clear(rows, row));
                }
            });
        } else {
            // Few domains have a count at all: all others go.
            let mut others = column.members().to_vec();
            sums.each(|domain, count| {
                if allows(count.into()) {
                    column.rows_of(domain).for_each(|row| clear(&mut others, row));
                }
            });
            take_out(rows, &others);
        }
    }
}

fn take_out(rows: &mut [u64], others: &[u64]) {
    rows.iter_mut().zip(others).for_each(|(rows, others)| *rows &= !others);
}

fn clear(rows: &mut [u64], row: Row) {
    if let Some(word) = rows.get_mut(row as usize / 64) {
        *word &= !(1 << (row % 64));
    }
}
