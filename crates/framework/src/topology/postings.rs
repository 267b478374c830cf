//! Selectors found by what they select: each under the values of one of its `In` requirements, or among the rest.
//!
//! Whoever has labels looks under each of them, and through the rest, instead of at every selector there is. Shared with
//! views: a write copies one part in sixty-four of what a view still holds.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, Equivalent, HashMap};

use crate::intern::Istr;
use crate::labels::{LabelSelector, LabelSet, Operator, Requirement};

/// A label: key and value.
pub(super) type Label = (Istr, Istr);

/// A label for looking up, without counting references.
#[derive(Hash)]
pub(super) struct LabelRef<'a>(pub(super) &'a Istr, pub(super) &'a Istr);

impl Equivalent<Label> for LabelRef<'_> {
    fn equivalent(&self, label: &Label) -> bool {
        *self.0 == label.0 && *self.1 == label.1
    }
}

/// Where something is kept.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Under each of these labels, of which no object has two.
    Labels(Vec<Label>),
    /// Among the rest.
    Rest,
    /// Nowhere: it selects nothing.
    Nowhere,
}

const SHARDS: usize = 64;

type Shard<T> = HashMap<Label, Vec<T>>;

#[derive(Clone, Debug)]
pub(super) struct Postings<T> {
    hasher: DefaultHashBuilder,
    /// None before the first entry.
    shards: Vec<Arc<Shard<T>>>,
    rest: Arc<Vec<T>>,
}

impl<T> Default for Postings<T> {
    fn default() -> Self {
        Self { hasher: DefaultHashBuilder::default(), shards: Vec::new(), rest: Arc::default() }
    }
}

impl<T: Clone + PartialEq> Postings<T> {
    /// The best place for what all of these selectors have to select; `None` stands for one that selects nothing.
    pub(super) fn place<'s>(&self, selectors: impl Iterator<Item = Option<&'s LabelSelector>>) -> Place {
        let mut all: Vec<&Requirement> = Vec::new();
        for selector in selectors {
            let Some(selector) = selector else { return Place::Nowhere };
            all.extend(selector.requirements());
        }
        let best = shortest(&all, |key, value| self.under(key, value).len());
        best.map_or(Place::Rest, |(key, values)| {
            let mut labels: Vec<Label> = values.iter().map(|v| (key.clone(), v.clone())).collect();
            labels.sort();
            labels.dedup();
            Place::Labels(labels)
        })
    }

    pub(super) fn insert(&mut self, place: &Place, item: &T) {
        match place {
            Place::Labels(labels) => {
                self.shards.resize_with(SHARDS, Arc::default);
                for label in labels {
                    self.shard_mut(label).entry_ref(label).or_default().push(item.clone());
                }
            }
            Place::Rest => Arc::make_mut(&mut self.rest).push(item.clone()),
            Place::Nowhere => {}
        }
    }

    pub(super) fn remove(&mut self, place: &Place, item: &T) {
        match place {
            Place::Labels(labels) if !self.shards.is_empty() => {
                for label in labels {
                    let shard = self.shard_mut(label);
                    let Some(list) = shard.get_mut(label) else { continue };
                    take_out(list, item);
                    if list.is_empty() {
                        shard.remove(label);
                    }
                }
            }
            Place::Rest => take_out(Arc::make_mut(&mut self.rest), item),
            Place::Labels(_) | Place::Nowhere => {}
        }
    }

    /// What may select an object with these labels.
    pub(super) fn candidates<'a>(&'a self, labels: &'a LabelSet) -> impl Iterator<Item = &'a T> {
        labels.iter().flat_map(|(key, value)| self.under(key, value)).chain(self.rest.iter())
    }

    fn under(&self, key: &Istr, value: &Istr) -> &[T] {
        let label = LabelRef(key, value);
        self.shards.get(self.shard(&label)).and_then(|s| s.get(&label)).map_or(&[], |list| list)
    }

    fn shard(&self, label: &LabelRef<'_>) -> usize {
        usize::try_from(self.hasher.hash_one(label) >> 48).unwrap_or(0) % SHARDS
    }

    fn shard_mut(&mut self, (key, value): &Label) -> &mut Shard<T> {
        let shard = self.shard(&LabelRef(key, value));
        Arc::make_mut(&mut self.shards[shard])
    }
}

/// The `In` requirement whose values have the fewest entries together, by what `entries` says of a label.
pub(super) fn shortest<'r>(
    requirements: &[&'r Requirement],
    entries: impl Fn(&Istr, &Istr) -> usize,
) -> Option<(&'r Istr, &'r [Istr])> {
    let ins = requirements.iter().filter_map(|r| match &r.operator {
        Operator::In(values) => Some((&r.key, &**values)),
        _ => None,
    });
    ins.min_by_key(|(key, values)| values.iter().map(|v| entries(key, v)).sum::<usize>())
}

fn take_out<T: PartialEq>(list: &mut Vec<T>, item: &T) {
    if let Some(at) = list.iter().position(|t| t == item) {
        list.swap_remove(at);
    }
}
