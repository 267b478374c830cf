//! Nodes sorted into levels: those that a plugin cannot tell apart are on the same one. There are few, so what a plugin
//! has to say it says of levels, by the same arithmetic as of nodes, and looking up a node's is all that is left for it.

use super::bound::BoundCounter;
use super::rows::DomainRows;
use crate::table::bits;

/// More levels than this are not worth it.
const MOST: usize = 1 << 14;
/// Up to so many levels are counted four times over, so that equal neighbours need not wait for each other.
const FEW: usize = 1 << 10;

/// By what nodes are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// The number of the domain, and one for none.
    Domain,
    /// The count in the domain; 0 where there is none.
    Count,
    /// Whether there is a domain.
    Member,
    /// The place of a weighted sum of counts among all that there are. Goes with no other.
    Sum,
}

/// One of the things by which nodes are told apart. Its value is a digit of the level.
#[derive(Clone, Copy, Debug)]
struct Part {
    by: By,
    spec: usize,
    stride: usize,
    /// Digits are below this.
    size: usize,
}

/// The level of every node, and what was said of the levels. The memory is used again.
#[derive(Debug, Default)]
pub struct Levels {
    rows: Vec<u16>,
    parts: Vec<Part>,
    size: usize,
    counts: Vec<u32>,
    raws: Vec<(usize, Option<i64>)>,
    /// By row, and by level, where nodes are told apart by such sums.
    sums: Vec<i64>,
    sums_of_levels: Vec<i64>,
}

impl Levels {
    /// Levels that a plugin is to sort the nodes of so many rows into.
    pub(crate) fn begin<'a>(&'a mut self, rows: usize, domains: DomainRows<'a>, among: &'a [u64]) -> Leveling<'a> {
        self.rows.clear();
        self.rows.resize(rows, 0);
        self.parts.clear();
        self.raws.clear();
        self.size = 1;
        Leveling { levels: self, domains, among, is_counted: false }
    }

    /// How many levels there are; their numbers are below this.
    pub fn len(&self) -> usize {
        self.size
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// The levels by row, 64 rows at a time.
    pub fn blocks(&self) -> &[[u16; 64]] {
        self.rows.as_chunks::<64>().0
    }

    /// The levels that feasible nodes are on, each with its raw score; `None` for nodes that are ignored.
    pub fn raws(&self) -> &[(usize, Option<i64>)] {
        &self.raws
    }

    fn count(&mut self, among: &[u64]) {
        let copies = if self.size <= FEW { 4 } else { 1 };
        self.counts.clear();
        self.counts.resize(self.size * copies, 0);
        let counts = &mut self.counts;
        let mut count = |level: u16, lane: usize| {
            if let Some(n) = counts.get_mut(usize::from(level) * copies + lane % copies) {
                *n += 1;
            }
        };
        for (levels, lanes) in self.rows.as_chunks::<64>().0.iter().zip(among) {
            if *lanes == u64::MAX {
                levels.iter().enumerate().for_each(|(lane, level)| count(*level, lane));
            } else {
                bits(*lanes).for_each(|lane| count(levels[lane as usize], lane as usize));
            }
        }
        let nodes = |counts: &[u32]| counts.iter().sum::<u32>() as usize;
        for level in 0..self.size {
            self.counts[level] = u32::try_from(nodes(&self.counts[level * copies..][..copies])).unwrap_or(u32::MAX);
        }
        self.counts.truncate(self.size);
    }
}

/// What a plugin sorts the nodes by, and what it says of the levels that come of it.
pub struct Leveling<'a> {
    levels: &'a mut Levels,
    domains: DomainRows<'a>,
    among: &'a [u64],
    is_counted: bool,
}

impl Leveling<'_> {
    /// Tells nodes apart by their domain of the spec of this number; `false` where that makes too many levels.
    pub fn by_domain(&mut self, spec: usize) -> bool {
        let Some(counter) = self.domains.counter(spec) else { return false };
        if self.levels.parts.iter().any(|part| part.by == By::Domain && self.is_same_topology(part.spec, counter)) {
            return true;
        }
        let Some(stride) = self.add(By::Domain, spec, counter.column().limit() + 1) else { return false };
        let codes = counter.column().codes();
        for (level, code) in self.levels.rows.iter_mut().zip(codes) {
            *level = level.wrapping_add(code.wrapping_mul(stride));
        }
        true
    }

    /// Tells nodes apart by the count in their domain, which is 0 for those in none; `false` where that makes too many
    /// levels.
    pub fn by_count(&mut self, spec: usize) -> bool {
        let Some(counter) = self.domains.counter(spec) else { return false };
        let sums = counter.sums();
        let Some(stride) = self.add(By::Count, spec, sums.greatest() as usize + 1) else { return false };
        let rows = &mut self.levels.rows;
        sums.each(|domain, count| {
            let digit = u16::try_from(count).unwrap_or(0).wrapping_mul(stride);
            for row in counter.column().rows_of(domain) {
                if let Some(level) = rows.get_mut(row as usize) {
                    *level = level.wrapping_add(digit);
                }
            }
        });
        true
    }

    /// Tells nodes apart by the count in their domain of the spec of this number, in whichever way is better; `false`
    /// where that makes too many levels.
    pub fn by(&mut self, spec: usize) -> bool {
        let few = self.domains.counter(spec).is_some_and(|counter| counter.column().sets().is_some());
        if few { self.by_domain(spec) } else { self.by_count(spec) }
    }

    /// Tells nodes apart by whether they are in a domain of the spec of this number; `false` where that makes too many
    /// levels.
    pub fn by_member(&mut self, spec: usize) -> bool {
        let Some(counter) = self.domains.counter(spec) else { return false };
        let members = counter.column().members();
        let is_of_all = |(nth, among): (usize, &u64)| among & !members.get(nth).copied().unwrap_or(0) == 0;
        if self.among.iter().enumerate().all(is_of_all) {
            return self.add(By::Member, spec, 1).is_some();
        }
        let Some(stride) = self.add(By::Member, spec, 2) else { return false };
        for (levels, members) in self.levels.rows.as_chunks_mut::<64>().0.iter_mut().zip(members) {
            for (lane, level) in levels.iter_mut().enumerate() {
                *level += stride * u16::from(members >> lane & 1 == 1);
            }
        }
        true
    }

    /// Tells nodes apart by the sum of these counts in their domains, each with its weight, and by nothing else; `false`
    /// where that makes too many levels. It takes a walk over the nodes, but there may be any number of counts.
    pub fn by_sum(&mut self, weighted: impl Iterator<Item = (usize, i64)>) -> bool {
        let Levels { rows, parts, size, sums, sums_of_levels, .. } = &mut *self.levels;
        sums.clear();
        sums.resize(rows.len(), 0);
        for (spec, weight) in weighted {
            let Some(counter) = self.domains.counter(spec) else { return false };
            counter.sums().each(|domain, count| {
                for row in counter.column().rows_of(domain) {
                    if let Some(sum) = sums.get_mut(row as usize) {
                        *sum += weight * i64::from(count);
                    }
                }
            });
        }
        sums_of_levels.clone_from(sums);
        sums_of_levels.sort_unstable();
        sums_of_levels.dedup();
        if sums_of_levels.len() > MOST {
            return false;
        }
        for (level, sum) in rows.iter_mut().zip(sums) {
            let at = sums_of_levels.binary_search(sum).unwrap_or(0);
            *level = u16::try_from(at).unwrap_or(0);
        }
        *size = sums_of_levels.len();
        parts.clear();
        parts.push(Part { by: By::Sum, spec: 0, stride: 1, size: *size });
        true
    }

    /// Calls `f` with every level that feasible nodes are on, and how many those are.
    pub fn each(&mut self, mut f: impl FnMut(&Level<'_>, usize)) {
        if !self.is_counted {
            if !self.count_by_sets() {
                self.levels.count(self.among);
            }
            self.is_counted = true;
        }
        for (at, nodes) in self.levels.counts.iter().enumerate().filter(|(_, nodes)| **nodes > 0) {
            let Levels { parts, sums_of_levels, .. } = &*self.levels;
            f(&Level { domains: self.domains, parts, sums: sums_of_levels, at }, *nodes as usize);
        }
    }

    /// Takes down the raw score of every level that feasible nodes are on; `None` for nodes that are ignored.
    pub fn score(&mut self, mut f: impl FnMut(&Level<'_>) -> Option<i64>) {
        let mut raws = std::mem::take(&mut self.levels.raws);
        raws.clear();
        self.each(|level, _| raws.push((level.at, f(level))));
        self.levels.raws = raws;
    }

    /// Where nodes are told apart by their domain alone, of which there are few, it is sets that are counted; whether
    /// that is so.
    fn count_by_sets(&mut self) -> bool {
        let [Part { by: By::Domain, spec, .. }] = *self.levels.parts else { return false };
        let Some(sets) = self.domains.counter(spec).and_then(|counter| counter.column().sets()) else { return false };
        let counts = &mut self.levels.counts;
        counts.clear();
        counts.resize(self.levels.size, 0);
        for (count, set) in counts.iter_mut().skip(1).zip(sets) {
            *count = self.among.iter().zip(set).map(|(among, set)| (among & set).count_ones()).sum();
        }
        let all: u32 = self.among.iter().map(|among| among.count_ones()).sum();
        counts[0] = all - counts.iter().sum::<u32>();
        true
    }

    fn is_same_topology(&self, spec: usize, other: &BoundCounter) -> bool {
        self.domains.counter(spec).is_some_and(|counter| std::ptr::eq(counter.column(), other.column()))
    }

    /// Gives the levels one more digit; what its steps are apart, if there is room for it.
    fn add(&mut self, by: By, spec: usize, size: usize) -> Option<u16> {
        let stride = self.levels.size;
        let all = stride.checked_mul(size).filter(|all| *all <= MOST)?;
        self.levels.size = all;
        self.levels.parts.push(Part { by, spec, stride, size });
        // A digit that is always 0 may be as far apart as can be.
        u16::try_from(stride).ok()
    }
}

/// One level, as a plugin sees the nodes on it.
#[derive(Clone, Copy)]
pub struct Level<'a> {
    domains: DomainRows<'a>,
    parts: &'a [Part],
    sums: &'a [i64],
    at: usize,
}

impl Level<'_> {
    fn digit(&self, part: &Part) -> usize {
        self.at / part.stride % part.size
    }

    /// The number of the domain of the spec of this number that the nodes are in; `None` when they are in none, or were
    /// not told apart by it.
    pub fn domain(&self, spec: usize) -> Option<u32> {
        let counter = self.domains.counter(spec)?;
        let same = |part: &&Part| {
            let topology = || self.domains.counter(part.spec).map(BoundCounter::column);
            part.by == By::Domain && topology().is_some_and(|column| std::ptr::eq(column, counter.column()))
        };
        let part = self.parts.iter().find(same)?;
        u32::try_from(self.digit(part).checked_sub(1)?).ok()
    }

    /// The count of the spec of this number in the domain of the nodes. 0 where they are in none, and of a spec by which
    /// they were not told apart.
    pub fn count(&self, spec: usize) -> i64 {
        let own = self.parts.iter().find(|part| part.by == By::Count && part.spec == spec);
        if let Some(part) = own {
            return i64::try_from(self.digit(part)).unwrap_or(0);
        }
        let sum = |domain| self.domains.counter(spec).map_or(0, |counter| counter.sums().get(domain).into());
        self.domain(spec).map_or(0, sum)
    }

    /// The sum by which nodes were told apart, if they were by one.
    pub fn sum(&self) -> Option<i64> {
        matches!(self.parts, [Part { by: By::Sum, .. }]).then(|| self.sums.get(self.at).copied()).flatten()
    }

    /// Whether the nodes are in a domain of the spec of this number, where they were told apart by that.
    pub fn is_member(&self, spec: usize) -> bool {
        let own = self.parts.iter().find(|part| part.by == By::Member && part.spec == spec);
        own.is_some_and(|part| part.size == 1 || self.digit(part) == 1)
    }
}
