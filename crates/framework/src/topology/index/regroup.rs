//! Groups are parted when a selector names a key that none named before, and joined when it was not named for long.
//!
//! Either moves cells between groups and no counter: those that are there do not name the key.

use super::groups::{Cell, Group};
use super::{Index, Placed};
use crate::intern::Istr;
use crate::table::Row;

impl Index {
    /// Tells pods apart by the values of this key, too. This is the one time that pods are walked: those on nodes with
    /// some that have such a label.
    pub(super) fn part_by(&mut self, placed: &impl Placed, key: &Istr) {
        let undivided = self.groups.with_unnamed(key);
        let cells = undivided.iter().filter_map(|id| self.groups.get(*id)).flat_map(|group| group.cells.keys());
        let mut rows: Vec<Row> = cells.copied().collect();
        rows.sort_unstable();
        rows.dedup();
        let mut before = self.groups.with_same_keys();
        for group in undivided.into_iter().filter_map(|id| self.take_out(id)) {
            before.insert(group);
        }
        self.groups.keys.name(key);
        for row in rows {
            for pod in placed.pods(row).iter().filter(|pod| pod.labels.get(key).is_some()) {
                let id = self.groups.find(pod).or_else(|| {
                    let whole = before.get(before.find(pod)?)?;
                    let (counters, terms) = (whole.counters.clone(), whole.terms.clone());
                    Some(self.put_in(Group { counters, terms, ..Group::of(pod) }))
                });
                if let Some(group) = id.and_then(|id| self.groups.get_mut(id)) {
                    group.cells.entry(row).or_default().add(Cell::one(pod, 1));
                }
            }
        }
    }

    /// Tells pods no longer apart by the values of this key, which no counter names.
    pub(super) fn join_over(&mut self, key: &Istr) {
        let parts: Vec<usize> = self.groups.with(key).collect();
        let parts: Vec<Group> = parts.into_iter().filter_map(|id| self.take_out(id)).collect();
        self.groups.keys.forget(key);
        for part in parts {
            let alike = self.groups.find_alike(&part.namespace, &part.labels, &part.spec);
            let Some(group) = alike.and_then(|id| self.groups.get_mut(id)) else {
                self.put_in(part);
                continue;
            };
            debug_assert_eq!(group.counters.len(), part.counters.len(), "pods are joined that a counter tells apart");
            for (row, cell) in part.cells {
                group.cells.entry(row).or_default().add(cell);
            }
        }
    }

    /// Takes a group out, to have it or its parts put in again: its terms are still carried.
    fn take_out(&mut self, id: usize) -> Option<Group> {
        let group = self.groups.remove(id)?;
        for term in &group.terms {
            if let Some(entry) = self.terms.get_mut(*term) {
                entry.groups.remove(&id);
            }
        }
        Some(group)
    }

    fn put_in(&mut self, group: Group) -> usize {
        let terms = group.terms.clone();
        let id = self.groups.insert(group);
        for term in terms {
            if let Some(entry) = self.terms.get_mut(term) {
                entry.groups.insert(id);
            }
        }
        id
    }
}
