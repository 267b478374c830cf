//! The counts as a view holds them: immutable there, copied one by one where the live table writes on.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::CounterSpec;
use super::column::Column;
use super::terms::CarriedTerms;

/// The number of a domain of one topology. A number is used again once no node is in its domain any more.
pub(super) type DomainId = u32;

/// No domain.
pub(super) const NOWHERE: DomainId = DomainId::MAX;

/// Below this number of domains, an array is always small enough.
const FEW_DOMAINS: usize = 1_024;

/// What is counted in each domain: an array, or a map where it would be long and nearly empty (ten thousand counters
/// over fifty thousand nodes).
#[derive(Clone, Debug)]
enum Store {
    Dense(Vec<u32>),
    Sparse { sums: HashMap<DomainId, u32>, limit: usize },
}

impl Store {
    /// An array, where it is short or more than one in four domains is in it.
    fn of(sums: HashMap<DomainId, u32>) -> Self {
        let limit = sums.keys().max().map_or(0, |greatest| *greatest as usize + 1);
        if limit > FEW_DOMAINS && sums.len() * 4 <= limit {
            return Self::Sparse { sums, limit };
        }
        let mut dense = vec![0; limit];
        sums.iter().for_each(|(domain, n)| dense[*domain as usize] = *n);
        Self::Dense(dense)
    }
}

/// The sums of one counter. Domains in which nothing is counted are not in it, be there such domains or not.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    store: Store,
    /// How many domains have each sum, those of sum 0 left out.
    histogram: BTreeMap<u32, u32>,
    nonzero: u32,
    total: i64,
}

impl Default for Sums {
    fn default() -> Self {
        Self { store: Store::Dense(Vec::new()), histogram: BTreeMap::new(), nonzero: 0, total: 0 }
    }
}

impl Sums {
    pub(super) fn get(&self, domain: DomainId) -> u32 {
        match &self.store {
            Store::Dense(sums) => sums.get(domain as usize).copied().unwrap_or(0),
            Store::Sparse { sums, .. } => sums.get(&domain).copied().unwrap_or(0),
        }
    }

    pub(super) fn total(&self) -> i64 {
        self.total
    }

    /// The greatest sum of a domain.
    pub(super) fn greatest(&self) -> u32 {
        self.histogram.keys().next_back().copied().unwrap_or(0)
    }

    /// Calls `f` with every domain in which something is counted, in no promised order.
    pub(super) fn each(&self, mut f: impl FnMut(DomainId, u32)) {
        match &self.store {
            Store::Dense(sums) => (0..).zip(sums).filter(|(_, n)| **n > 0).for_each(|(domain, n)| f(domain, *n)),
            Store::Sparse { sums, .. } => sums.iter().for_each(|(domain, n)| f(*domain, *n)),
        }
    }

    /// Counts `by` more, or less.
    pub(super) fn add(&mut self, domain: DomainId, by: i64) {
        let old = self.get(domain);
        let sum = i64::from(old) + by;
        debug_assert!(sum >= 0, "a counter fell below zero");
        let new = u32::try_from(sum.max(0)).unwrap_or(u32::MAX);
        self.total += i64::from(new) - i64::from(old);
        self.nonzero = self.nonzero + u32::from(new > 0) - u32::from(old > 0);
        if old > 0
            && let Some(domains) = self.histogram.get_mut(&old)
        {
            *domains -= 1;
            if *domains == 0 {
                self.histogram.remove(&old);
            }
        }
        if new > 0 {
            *self.histogram.entry(new).or_default() += 1;
        }
        self.set(domain, new);
    }

    fn set(&mut self, domain: DomainId, sum: u32) {
        let at = domain as usize;
        match &mut self.store {
            Store::Dense(sums) if at < sums.len() => sums[at] = sum,
            Store::Dense(sums) if at < FEW_DOMAINS.max(self.nonzero as usize * 8) => {
                sums.resize(at + 1, 0);
                sums[at] = sum;
            }
            Store::Dense(sums) => {
                let ids = (0..).zip(&*sums).filter(|(_, n)| **n > 0).map(|(d, n)| (d, *n));
                self.store = Store::Sparse { sums: ids.chain([(domain, sum)]).collect(), limit: at + 1 };
            }
            Store::Sparse { sums, limit } => {
                *limit = (*limit).max(at + 1);
                if sum == 0 {
                    sums.remove(&domain);
                } else {
                    sums.insert(domain, sum);
                }
                if sums.len() * 4 > *limit {
                    self.store = Store::of(std::mem::take(sums));
                }
            }
        }
    }

    /// The least sum of `domains` domains (all there are), when each of `changed` is counted so much more; no domain is
    /// in it twice. `None` when there is no domain.
    pub(super) fn least(&self, domains: u32, changed: &[(DomainId, i64)]) -> Option<i64> {
        if changed.is_empty() {
            let lowest = self.histogram.keys().next();
            return (domains > 0).then(|| if domains > self.nonzero { 0 } else { lowest.map_or(0, |n| i64::from(*n)) });
        }
        let sum = |domain: &DomainId| self.get(*domain);
        let from = |n: u32| u32::try_from(changed.iter().filter(|(d, _)| sum(d) == n).count()).unwrap_or(u32::MAX);
        let touched = changed.iter().map(|(d, by)| i64::from(sum(d)) + by).min();
        let untouched = if domains.saturating_sub(self.nonzero) > from(0) {
            Some(0)
        } else {
            self.histogram.iter().find(|(n, domains)| **domains > from(**n)).map(|(n, _)| i64::from(*n))
        };
        touched.into_iter().chain(untouched).min()
    }
}

/// Adds up what a new counter counts. The histogram is made once, at the end.
pub(super) enum Adder {
    /// By domain.
    Few(Vec<u32>),
    Many(HashMap<DomainId, u32>),
}

impl Adder {
    /// For domains whose numbers are below `limit`.
    pub(super) fn new(limit: usize) -> Self {
        if limit <= FEW_DOMAINS { Self::Few(vec![0; limit]) } else { Self::Many(HashMap::new()) }
    }

    pub(super) fn add(&mut self, domain: DomainId, by: i64) {
        let by = u32::try_from(by).unwrap_or(if by < 0 { 0 } else { u32::MAX });
        let sum = match self {
            _ if by == 0 => return,
            Self::Few(sums) => {
                let at = domain as usize;
                if sums.len() <= at {
                    sums.resize(at + 1, 0);
                }
                &mut sums[at]
            }
            Self::Many(sums) => sums.entry(domain).or_default(),
        };
        *sum = sum.saturating_add(by);
    }

    pub(super) fn done(self) -> Sums {
        let mut all: Vec<u32> = match &self {
            Self::Few(sums) => sums.iter().copied().filter(|sum| *sum > 0).collect(),
            Self::Many(sums) => sums.values().copied().collect(),
        };
        all.sort_unstable();
        let alike = all.chunk_by(|one, other| one == other);
        let domains = |alike: &[u32]| u32::try_from(alike.len()).unwrap_or(u32::MAX);
        let histogram = alike.filter_map(|alike| Some((*alike.first()?, domains(alike)))).collect();
        let (nonzero, total) = (domains(&all), all.iter().copied().map(i64::from).sum());
        let store = match self {
            Self::Few(sums) => Store::Dense(sums),
            Self::Many(sums) => Store::of(sums),
        };
        Sums { store, histogram, nonzero, total }
    }
}

/// One counter that is kept up to date.
#[derive(Clone, Debug)]
pub(super) struct Counter {
    pub(super) topology: usize,
    pub(super) dimension: usize,
    pub(super) sums: Sums,
}

/// Counters a page: a view that is written on copies one page of pointers, and a pointer for each page.
const PAGE: usize = 64;

/// Everything about topology that a view holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// By number of the topology.
    pub(super) columns: Vec<Arc<Column>>,
    /// By number of the dimension: how many domains there are.
    pub(super) domains: Vec<u32>,
    pages: Vec<Arc<Vec<Option<Arc<Counter>>>>>,
    pub(super) by_spec: Arc<HashMap<Arc<CounterSpec>, usize>>,
    pub(super) terms: CarriedTerms,
    /// How often a term has become one that is carried, or ceased to be.
    pub(crate) terms_version: u64,
}

impl Counts {
    pub(crate) fn len(&self) -> usize {
        self.by_spec.len()
    }

    pub(super) fn counter(&self, id: usize) -> Option<&Arc<Counter>> {
        self.pages.get(id / PAGE)?.get(id % PAGE)?.as_ref()
    }

    pub(super) fn counter_mut(&mut self, id: usize) -> Option<&mut Counter> {
        let page = Arc::make_mut(self.pages.get_mut(id / PAGE)?);
        page.get_mut(id % PAGE)?.as_mut().map(Arc::make_mut)
    }

    pub(super) fn set_counter(&mut self, id: usize, counter: Option<Counter>) {
        while self.pages.len() <= id / PAGE {
            self.pages.push(Arc::new(vec![None; PAGE]));
        }
        Arc::make_mut(&mut self.pages[id / PAGE])[id % PAGE] = counter.map(Arc::new);
    }
}
