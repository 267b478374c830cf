//! What the owner of the table keeps to move the right counters, and only those, at every event.
//!
//! Pods that no counter tells apart are one *group*, with a *cell* for each node that some of them are on. A group knows
//! the counters that it moves: a selector is matched against a group when either is new, never against pods. A group is
//! parted when a selector names a label's key that none named before (`keys`, `regroup`). Whatever changes about a node,
//! its cells are subtracted, the node is changed, and they are added again.

mod groups;
mod keys;
mod layout;
mod register;
mod regroup;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use hashbrown::HashSet;

use self::groups::{Cell, Group, Groups, Move};
use self::layout::Layout;
use self::register::Asked;
pub use self::register::CounterKey;
use super::counts::Counts;
use super::postings::Postings;
use super::slots::Slots;
use super::terms::Terms;
use super::{Counted, terms_in};
use crate::cluster::ClusterInfo;
use crate::intern::Istr;
use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::table::Row;

/// What the table knows that the index belongs to.
pub(crate) trait Placed {
    /// Every known node with its row.
    fn nodes(&self) -> impl Iterator<Item = (Row, &NodeInfo)>;
    /// The pods on the node of a row, known or not: those that were moved there.
    fn pods(&self, row: Row) -> &[Arc<PodInfo>];
}

#[derive(Debug, Default)]
pub(crate) struct Index {
    groups: Groups,
    /// How many pods are in them.
    pods: u64,
    terms: Terms,
    layout: Layout,
    /// Under the numbers of the counters.
    asked: Slots<Asked>,
    /// The counters of pods, by what they select.
    matchers: Postings<usize>,
    /// The counters of pods that select namespaces by their labels.
    by_namespace_labels: HashSet<usize>,
    /// How many times something was registered: the time by which counters grow old.
    registrations: u64,
}

impl Index {
    /// A pod comes onto the node of a row (`sign` 1), known or not, or goes from it (-1).
    pub(crate) fn move_pod(
        &mut self,
        counts: &mut Arc<Counts>,
        cluster: &ClusterInfo,
        (row, known): (Row, bool),
        pod: &PodInfo,
        sign: i64,
    ) {
        let id = match self.groups.find(pod) {
            Some(id) => id,
            None if sign < 0 => return,
            None => self.new_group(pod, cluster),
        };
        let Some(group) = self.groups.get_mut(id) else { return };
        self.pods = self.pods.saturating_add_signed(sign);
        let change = Cell::one(pod, if sign < 0 { -1 } else { 1 });
        let cell = group.cells.entry(row).or_default();
        cell.add(change);
        if cell.is_empty() {
            group.cells.remove(&row);
        }
        self.layout.move_counters(counts, row, &group.counters, change);
        if known {
            group.terms.iter().for_each(|term| self.terms.carry(counts, *term, sign));
        }
        if group.cells.is_empty() {
            self.drop_group(id);
        }
    }

    /// What is known of the node of a row changes; `pods` are those on it.
    pub(crate) fn change_node(
        &mut self,
        counts: &mut Arc<Counts>,
        row: Row,
        (old, new): (Option<&NodeInfo>, Option<&NodeInfo>),
        pods: &[Arc<PodInfo>],
    ) {
        let alike = |old: &NodeInfo, new: &NodeInfo| old.labels == new.labels && old.taints == new.taints;
        if old.zip(new).is_some_and(|(old, new)| alike(old, new)) {
            return;
        }
        let mut here: Vec<usize> = pods.iter().filter_map(|p| self.groups.find(p)).collect();
        here.sort_unstable();
        here.dedup();
        if old.is_some() {
            self.move_cells(counts, row, &here, -1);
        }
        self.layout.change_node(Arc::make_mut(counts), row, old, new);
        if new.is_some() {
            self.move_cells(counts, row, &here, 1);
        }
        if old.is_some() != new.is_some() {
            let sign = if new.is_some() { 1 } else { -1 };
            for group in here.iter().filter_map(|id| self.groups.get(*id)) {
                let pods = group.cells.get(&row).map_or(0, |cell| cell.pods());
                group.terms.iter().for_each(|term| self.terms.carry(counts, *term, sign * pods));
            }
        }
    }

    fn move_cells(&self, counts: &mut Arc<Counts>, row: Row, groups: &[usize], sign: i32) {
        for group in groups.iter().filter_map(|id| self.groups.get(*id)) {
            if let Some(cell) = group.cells.get(&row) {
                self.layout.move_counters(counts, row, &group.counters, cell.times(sign));
            }
        }
    }

    /// The labels of a namespace have changed to what `cluster` says: whom selectors of namespaces match is looked at
    /// again.
    pub(crate) fn change_namespace(&mut self, counts: &mut Arc<Counts>, cluster: &ClusterInfo, name: &Istr) {
        if self.by_namespace_labels.is_empty() {
            return;
        }
        let groups: Vec<usize> = self.groups.in_namespace(name).collect();
        for id in groups {
            let Some(group) = self.groups.get_mut(id) else { continue };
            for counter in &self.by_namespace_labels {
                let Some(asked) = self.asked.get(*counter) else { continue };
                let (before, now) =
                    (group.counters.iter().position(|m| m.counter == *counter), asked.matches(group, cluster));
                if before.is_some() == now {
                    continue;
                }
                let m = Move { counter: *counter, times: 1, live_only: asked.spec.live_only };
                for (row, cell) in &group.cells {
                    self.layout.move_counters(counts, *row, &[m], cell.times(if now { 1 } else { -1 }));
                }
                if let Some(at) = before {
                    group.counters.swap_remove(at);
                } else {
                    group.counters.push(m);
                }
            }
        }
    }

    /// The group of a pod that has none yet, with the counters that it moves.
    fn new_group(&mut self, pod: &PodInfo, cluster: &ClusterInfo) -> usize {
        let id = self.groups.insert(Group::of(pod));
        let Some(group) = self.groups.get_mut(id) else { return id };
        for counter in self.matchers.candidates(&pod.labels) {
            if let Some(asked) = self.asked.get(*counter).filter(|a| a.matches(group, cluster)) {
                group.counters.push(Move { counter: *counter, times: 1, live_only: asked.spec.live_only });
            }
        }
        for (kind, term) in terms_in(&pod.spec.pod_affinity) {
            let term = self.terms.claim(&(kind, term.clone()));
            if group.terms.contains(&term) {
                continue;
            }
            group.terms.push(term);
            let Some(entry) = self.terms.get_mut(term) else { continue };
            entry.groups.insert(id);
            for counter in &entry.counters {
                if let Some(asked) = self.asked.get(*counter) {
                    let times = asked.times_carried(group);
                    group.counters.push(Move { counter: *counter, times, live_only: asked.spec.live_only });
                }
            }
        }
        id
    }

    fn drop_group(&mut self, id: usize) {
        let Some(group) = self.groups.remove(id) else { return };
        for term in group.terms {
            if let Some(entry) = self.terms.get_mut(term) {
                entry.groups.remove(&id);
            }
            self.terms.release(term);
        }
    }
}
