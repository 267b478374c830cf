//! The memo: what the plugins say of every node about a class of pods, kept from one decision to the next.
//!
//! Pods with the same spec get the same answers from most plugins. Those answers are kept as rows over the nodes, one
//! row a class, and brought up to date from what has changed since: mostly the node of the pod before. What a plugin
//! says of the pod itself (its labels, its claims), or of pods on other nodes, is asked anew each time and laid over the
//! rows ([`crate::decide`]).
//!
//! The law is that a kept answer equals a fresh one. It holds because a plugin is handed what it declared to read and
//! nothing else, and because every change of the table leaves its epoch on the row it touched. What no type prevents, a
//! plugin with hidden input, the audit finds.
//!
//! A memo has one owner, a worker: no lock, and one lookup a pod. Within its budget of bytes the classes used least
//! recently make room.

mod best;
mod build;
mod class;
mod plan;
mod quiet;
mod row;

use std::sync::Arc;

use hashbrown::HashMap;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::View;

pub(crate) use class::Class;
pub use plan::Plan;
pub(crate) use quiet::{Numbers, Quiet};

use crate::profile::Profile;

/// How many bytes a memo may take up where nothing else is said.
pub const DEFAULT_BUDGET_BYTES: usize = 256 << 20;

/// How a memo is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoSettings {
    /// How many bytes its rows may take up; 0 switches it off.
    pub budget_bytes: usize,
    /// Every how many decisions from the memo one is decided again from nothing, to compare; 0: never.
    pub audit_every: u32,
}

impl Default for MemoSettings {
    /// In builds with debug assertions every decision is audited, and a mismatch is a panic.
    fn default() -> Self {
        Self { budget_bytes: DEFAULT_BUDGET_BYTES, audit_every: u32::from(cfg!(debug_assertions)) }
    }
}

/// What a memo has been good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoStats {
    /// Decisions for which there were rows.
    pub hits: u64,
    /// Decisions for which rows had to be made.
    pub misses: u64,
    /// Decisions that were made without it.
    pub passed: u64,
    /// Classes that made room for others.
    pub evicted: u64,
    /// Decisions that were made again from nothing.
    pub audits: u64,
    /// Those of them that came out otherwise. Must be 0.
    pub mismatches: u64,
    /// Whether the budget has proved too small for the rows of a single class.
    pub too_small: bool,
    /// Classes with rows.
    pub classes: usize,
    /// What their rows take up.
    pub bytes: usize,
}

/// The profile's name and where the spec is in memory; the class holds both, so that neither is used again for another.
type Key = (Istr, usize);

/// The rows of one worker.
#[derive(Default)]
pub(crate) struct Memo {
    settings: MemoSettings,
    /// Where each class is.
    places: HashMap<Key, usize>,
    classes: Vec<Option<Box<Class>>>,
    /// A class whose memory can be used again.
    spare: Option<Box<Class>>,
    /// The number of the last use.
    uses: u64,
    /// Profiles whose rows were found to be wrong.
    distrusted: Vec<Istr>,
    pub(crate) stats: MemoStats,
}

impl Memo {
    pub(crate) fn new(settings: MemoSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// The rows of a class as they are on this view; `None` where the pod has to be decided without.
    pub(crate) fn class(&mut self, profile: &Profile, view: &View, pod: &PodInfo) -> Option<&mut Class> {
        if self.settings.budget_bytes == 0
            || !profile.plan.keeps_rows()
            || profile.percentage_of_nodes_to_score < 100
            || self.distrusted.contains(&profile.name)
        {
            self.stats.passed += 1;
            return None;
        }
        self.uses += 1;
        let key = (profile.name.clone(), Arc::as_ptr(&pod.spec).addr());
        let at = match self.places.get(&key) {
            Some(at) => {
                self.stats.hits += 1;
                *at
            }
            None => {
                self.stats.misses += 1;
                self.add(key, profile, view, pod)?
            }
        };
        let class = self.classes.get_mut(at)?.as_mut()?;
        class.last_use = self.uses;
        class.refresh(profile, view, pod);
        class.is_usable().then_some(&mut **class)
    }

    /// Makes the rows of a class; `None` where the budget does not allow it.
    fn add(&mut self, key: Key, profile: &Profile, view: &View, pod: &PodInfo) -> Option<usize> {
        if !self.make_room(Class::bytes_for(view)) {
            return None;
        }
        let class = Class::of(profile, view, pod, self.spare.take());
        let at = self.classes.iter().position(Option::is_none).unwrap_or(self.classes.len());
        if at == self.classes.len() {
            self.classes.push(None);
        }
        self.classes[at] = Some(class);
        self.places.insert(key, at);
        self.stats.classes = self.places.len();
        Some(at)
    }

    /// A row of the pod's class that is not as it would be if it were made now, told for people.
    pub(crate) fn wrong_row(&self, profile: &Profile, view: &View, pod: &PodInfo) -> Option<String> {
        let at = self.places.get(&(profile.name.clone(), Arc::as_ptr(&pod.spec).addr()))?;
        let class = self.classes.get(*at)?.as_ref()?;
        class.difference(&Class::of(profile, view, pod, None), view)
    }

    /// Has the classes used least recently go until so many bytes more are within the budget; whether they are.
    fn make_room(&mut self, bytes: usize) -> bool {
        self.stats.bytes = self.classes.iter().flatten().map(|class| class.bytes()).sum();
        while self.stats.bytes + bytes > self.settings.budget_bytes {
            let used = |at: usize| self.classes[at].as_ref().map(|class| class.last_use);
            let oldest = self.places.iter().min_by_key(|(_, at)| used(**at)).map(|(key, _)| key.clone());
            let Some(class) = oldest.and_then(|key| self.forget(&key)) else {
                self.stats.too_small = true;
                return false;
            };
            self.stats.bytes -= class.bytes().min(self.stats.bytes);
            self.stats.evicted += 1;
            self.spare = Some(class);
        }
        self.stats.bytes += bytes;
        true
    }

    /// Whether this decision is one of those that are made again from nothing.
    pub(crate) fn audits_now(&self) -> bool {
        self.settings.audit_every > 0 && self.uses.is_multiple_of(u64::from(self.settings.audit_every))
    }

    /// Something kept for this profile was wrong: nothing of it is used any more.
    pub(crate) fn distrust(&mut self, profile: &Profile) {
        self.distrusted.push(profile.name.clone());
        let of_profile: Vec<Key> = self.places.keys().filter(|(name, _)| *name == profile.name).cloned().collect();
        of_profile.iter().for_each(|key| drop(self.forget(key)));
    }

    fn forget(&mut self, key: &Key) -> Option<Box<Class>> {
        let class = self.places.remove(key).and_then(|at| self.classes.get_mut(at)?.take());
        self.stats.classes = self.places.len();
        class
    }
}
