//! The counters of one prepared plugin.

use std::sync::{Arc, LazyLock, OnceLock};

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::column::Column;
use super::counts::{Counter, DomainId, NOWHERE, Sums};
use super::{Counted, CounterSpec, Topology, terms_of};
use crate::intern::Istr;
use crate::overlay::{Delta, Overlay};
use crate::table::View;

/// What an overlay adds, by domain; no domain is in it twice.
pub(super) type Changes = SmallVec<[(DomainId, i64); 4]>;

/// One counter as it was when the plugin was prepared.
#[derive(Debug)]
pub(super) struct BoundCounter {
    spec: CounterSpec,
    column: Arc<Column>,
    /// How many domains there are.
    pub(super) domains: u32,
    /// The least sum of them, without an overlay.
    least: Option<i64>,
    counter: Arc<Counter>,
}

/// The counters of one prepared plugin, in the order of its specs.
#[derive(Debug, Default)]
pub struct Counters {
    list: Vec<BoundCounter>,
    /// What the first overlay adds that was asked about: mostly all nodes are asked about through the same one.
    imagined: OnceLock<Imagined>,
}

/// What an overlay adds to each of the counters.
#[derive(Debug)]
struct Imagined {
    deltas: Box<[Delta]>,
    changes: Box<[Changes]>,
}

impl Imagined {
    fn is_of(&self, deltas: &[Delta]) -> bool {
        let same = |(a, b): (&Delta, &Delta)| a.row == b.row && a.sign == b.sign && Arc::ptr_eq(&a.pod, &b.pod);
        self.deltas.len() == deltas.len() && self.deltas.iter().zip(deltas).all(same)
    }
}

impl Counters {
    /// The counts of a view. What is not kept up to date in it is counted now.
    pub(crate) fn of(view: &View, specs: Vec<CounterSpec>) -> Self {
        let list = specs.into_iter().map(|spec| BoundCounter::new(view, spec)).collect();
        Self { list, imagined: OnceLock::new() }
    }

    /// Counts on another view from now on.
    pub(crate) fn attach(&mut self, view: &View) {
        self.imagined.take();
        self.list.iter_mut().for_each(|bound| bound.count_on(view));
    }

    /// Holds nothing of a view any more, so that the table is written in place; nothing may be asked before
    /// [`Self::attach`].
    pub(crate) fn detach(&mut self) {
        self.imagined.take();
        for bound in &mut self.list {
            (bound.column, bound.counter) = (Arc::clone(&NOTHING.0), Arc::clone(&NOTHING.1));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn get(&self, nth: usize) -> Option<&BoundCounter> {
        self.list.get(nth)
    }

    /// Whether the overlay may change an answer about a node that it does not touch: one of the counters counts another
    /// number, or one of its pods says something of pods near it.
    pub(crate) fn are_moved(&self, view: &View, overlay: &Overlay) -> bool {
        let moved = |changes: &[(DomainId, i64)]| changes.iter().any(|(_, by)| *by != 0);
        overlay.deltas().iter().any(|delta| terms_of(&delta.pod).next().is_some())
            || (0..self.list.len()).any(|nth| self.with_changes(nth, view, Some(overlay), moved))
    }

    /// Calls `f` with what the overlay adds to the counter of this number.
    pub(super) fn with_changes<T>(
        &self,
        nth: usize,
        view: &View,
        overlay: Option<&Overlay>,
        f: impl FnOnce(&[(DomainId, i64)]) -> T,
    ) -> T {
        let deltas = overlay.map_or(&[][..], Overlay::deltas);
        if deltas.is_empty() {
            return f(&[]);
        }
        let imagined = self.imagined.get_or_init(|| Imagined {
            deltas: deltas.into(),
            changes: self.list.iter().map(|c| c.changes(view, deltas)).collect(),
        });
        if imagined.is_of(deltas) {
            return f(imagined.changes.get(nth).map_or(&[], |c| c));
        }
        f(&self.get(nth).map_or_else(Changes::new, |c| c.changes(view, deltas)))
    }
}

/// What is counted of nothing.
static NOTHING: LazyLock<(Arc<Column>, Arc<Counter>)> =
    LazyLock::new(|| (Arc::default(), Arc::new(Counter { topology: 0, dimension: 0, sums: Sums::default() })));

impl BoundCounter {
    fn new(view: &View, spec: CounterSpec) -> Self {
        let (column, counter) = (Arc::clone(&NOTHING.0), Arc::clone(&NOTHING.1));
        let mut bound = Self { spec, column, domains: 0, least: None, counter };
        bound.count_on(view);
        bound
    }

    /// Takes the counts of a view. What is not kept up to date in it is counted now.
    fn count_on(&mut self, view: &View) {
        let counts = &view.topology;
        (self.column, self.domains, self.counter) =
            match counts.by_spec.get(&self.spec).and_then(|id| counts.counter(*id)) {
                Some(counter) => {
                    let column = Arc::clone(&counts.columns[counter.topology]);
                    (column, counts.domains[counter.dimension], Arc::clone(counter))
                }
                None => walk(view, &self.spec),
            };
        self.least = self.counter.sums.least(self.domains, &[]);
    }

    /// The least sum of all domains, when each of `changed` is counted so much more; `None` when there is no domain.
    pub(super) fn least(&self, changed: &[(DomainId, i64)]) -> Option<i64> {
        if changed.is_empty() { self.least } else { self.counter.sums.least(self.domains, changed) }
    }

    pub(super) fn column(&self) -> &Column {
        &self.column
    }

    pub(super) fn sums(&self) -> &Sums {
        &self.counter.sums
    }

    fn changes(&self, view: &View, deltas: &[Delta]) -> Changes {
        let mut changes = Changes::new();
        for delta in deltas {
            let Some(domain) = self.column.domain(delta.row) else { continue };
            let counted = view.node(delta.row).is_some_and(|node| self.spec.nodes.counts(node));
            let weight = if counted { self.spec.weight(&delta.pod, &view.cluster) } else { 0 };
            match changes.iter_mut().find(|(d, _)| *d == domain) {
                _ if weight == 0 => {}
                Some((_, by)) => *by += weight * delta.sign,
                None => changes.push((domain, weight * delta.sign)),
            }
        }
        changes
    }
}

/// Counts on the pods of a view: the domains of the nodes, how many there are, and their sums.
fn walk(view: &View, spec: &CounterSpec) -> (Arc<Column>, u32, Arc<Counter>) {
    let mut numbers: HashMap<Istr, DomainId> = HashMap::new();
    let mut column = Column::default();
    let mut counted: Vec<bool> = Vec::new();
    let mut sums = Sums::default();
    let imagined = matches!(spec.counted, Counted::Imagined(_));
    for row in view.rows() {
        let Some(node) = view.node(row) else { continue };
        let domain = match &spec.topology {
            Topology::Node => Some(row),
            Topology::Label(key) => node.labels.get(key).map(|value| {
                let next = DomainId::try_from(numbers.len()).unwrap_or(NOWHERE);
                *numbers.entry_ref(value).or_insert(next)
            }),
        };
        let Some(domain) = domain else { continue };
        column.set(row, domain);
        if !spec.nodes.counts(node) {
            continue;
        }
        let at = domain as usize;
        counted.resize(counted.len().max(at + 1), false);
        counted[at] = true;
        let pods = view.pods(row).iter().filter(|p| !(imagined || spec.live_only && p.terminating));
        let sum: i64 = pods.map(|p| spec.weight(p, &view.cluster)).sum();
        if sum > 0 {
            sums.add(domain, sum);
        }
    }
    column.has_unnamed = numbers.contains_key(&Istr::new(""));
    let domains = u32::try_from(counted.into_iter().filter(|c| *c).count()).unwrap_or(u32::MAX);
    let counter = Counter { topology: 0, dimension: 0, sums };
    (Arc::new(column), domains, Arc::new(counter))
}
