//! The terms that pods on nodes carry: found by whom they select, and counted by who carries them.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::TermKind;
use super::counts::Counts;
use super::postings::{Place, Postings};
use super::slots::Slots;
use crate::pod::PodAffinityTerm;

/// A term with its side.
pub(super) type Term = (TermKind, PodAffinityTerm);

/// The different terms of pods on known nodes, as a view holds them, by the labels that they select.
pub(super) type CarriedTerms = Postings<Arc<Term>>;

/// One term that some group carries, or that is counted.
#[derive(Debug)]
pub(super) struct Entry {
    term: Arc<Term>,
    /// The groups whose pods carry it.
    pub(super) groups: HashSet<usize>,
    /// The counters of its carriers.
    pub(super) counters: Vec<usize>,
    /// How many pods on known nodes carry it.
    pods: u64,
    /// Where it is published, while there is such a pod.
    place: Place,
}

/// The terms as the owner of the table keeps them.
#[derive(Debug, Default)]
pub(super) struct Terms {
    slots: Slots<Entry>,
    numbers: HashMap<Arc<Term>, usize>,
}

impl Terms {
    /// The number of a term, which is given one if it has none. To be given back to [`Self::release`].
    pub(super) fn claim(&mut self, term: &Term) -> usize {
        if let Some(id) = self.numbers.get(term) {
            return *id;
        }
        let term = Arc::new(term.clone());
        let id = self.slots.insert(Entry {
            term: Arc::clone(&term),
            groups: HashSet::new(),
            counters: Vec::new(),
            pods: 0,
            place: Place::Nowhere,
        });
        self.numbers.insert(term, id);
        id
    }

    /// Forgets a term that no group carries and that is not counted.
    pub(super) fn release(&mut self, id: usize) {
        let used = self.slots.get(id).is_none_or(|e| !e.groups.is_empty() || !e.counters.is_empty());
        if !used && let Some(entry) = self.slots.remove(id) {
            self.numbers.remove(&entry.term);
        }
    }

    pub(super) fn get(&self, id: usize) -> Option<&Entry> {
        self.slots.get(id)
    }

    pub(super) fn get_mut(&mut self, id: usize) -> Option<&mut Entry> {
        self.slots.get_mut(id)
    }

    pub(super) fn number(&self, term: &Term) -> Option<usize> {
        self.numbers.get(term).copied()
    }

    /// Counts `by` more pods on known nodes that carry the term, or fewer. Views learn of the first and of the last.
    pub(super) fn carry(&mut self, counts: &mut Arc<Counts>, id: usize, by: i64) {
        let Some(entry) = self.slots.get_mut(id) else { return };
        let before = entry.pods;
        entry.pods = before.saturating_add_signed(by);
        debug_assert!(by >= 0 || before >= by.unsigned_abs(), "more pods leave than carried the term");
        if (before > 0) == (entry.pods > 0) {
            return;
        }
        let counts = Arc::make_mut(counts);
        counts.terms_version += 1;
        let published = &mut counts.terms;
        if before == 0 {
            entry.place = published.place([entry.term.1.selector.as_ref()].into_iter());
            published.insert(&entry.place, &entry.term);
        } else {
            published.remove(&entry.place, &entry.term);
        }
    }
}
