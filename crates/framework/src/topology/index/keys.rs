//! The label keys that selectors name.
//!
//! What a selector does not name it cannot tell apart: the names that a StatefulSet or a Job gives its pods, the hash of
//! a template. So pods are grouped by the keys of their labels, and by the values of those keys alone that the selector of
//! some counter names. A pod's name is a label that hardly any does; the groups are then as many as there are templates.

use std::hash::{Hash, Hasher};

use hashbrown::HashMap;

use super::super::PodMatcher;
use crate::intern::Istr;
use crate::labels::LabelSet;

/// The keys that are named, or were a short while ago.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    named: HashMap<Istr, Naming>,
}

/// Who names a key.
#[derive(Clone, Debug, Default)]
struct Naming {
    /// How many times counters do that are there.
    times: u32,
    /// The last registration of one that is not there any more.
    last: u64,
}

impl Keys {
    pub(super) fn are_named(&self, key: &Istr) -> bool {
        self.named.contains_key(key)
    }

    /// Whether no selector tells these labels apart.
    pub(super) fn alike(&self, one: &LabelSet, other: &LabelSet) -> bool {
        let pairs = || one.iter().zip(other.iter());
        one.len() == other.len() && pairs().all(|((k, v), (l, w))| k == l && (v == w || !self.are_named(k)))
    }

    /// Labels that are alike hash alike.
    pub(super) fn hash(&self, labels: &LabelSet, state: &mut impl Hasher) {
        for (key, value) in labels.iter() {
            key.hash(state);
            if self.are_named(key) {
                value.hash(state);
            }
        }
    }

    /// From now on pods are told apart by the values of this key. Their groups have to be made anew.
    pub(super) fn name(&mut self, key: &Istr) {
        self.named.entry_ref(key).or_default();
    }

    /// No longer. Their groups have to be made anew.
    pub(super) fn forget(&mut self, key: &Istr) {
        self.named.remove(key);
    }

    /// A counter comes that names these keys, which have a name each.
    pub(super) fn claim(&mut self, matchers: &[PodMatcher]) {
        for key in keys_of(matchers) {
            self.named.entry_ref(key).or_default().times += 1;
        }
    }

    /// That counter goes, which was registered last by the registration of this number.
    pub(super) fn release(&mut self, matchers: &[PodMatcher], last: u64) {
        for key in keys_of(matchers) {
            if let Some(naming) = self.named.get_mut(key) {
                naming.times = naming.times.saturating_sub(1);
                naming.last = naming.last.max(last);
            }
        }
    }

    /// A key that no counter names, and of those that were there none was registered at `before` or later.
    pub(super) fn unused(&self, before: u64) -> Option<Istr> {
        self.named.iter().find(|(_, naming)| naming.times == 0 && naming.last < before).map(|(key, _)| key.clone())
    }
}

/// The keys that these name, some of them more than once.
pub(super) fn keys_of(matchers: &[PodMatcher]) -> impl Iterator<Item = &Istr> {
    matchers.iter().filter_map(|m| m.selector.as_ref()).flat_map(|s| s.requirements()).map(|r| &r.key)
}
