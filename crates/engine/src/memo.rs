//! The memo: what the plugins say of every node about a class of pods, kept from one decision to the next.
//!
//! Pods with the same spec get the same answers from most plugins, and often those of several specs do: of what tells them
//! apart, a label to be near say, these plugins read nothing. Such pods are a class. Its answers are kept as rows over the
//! nodes, and brought up to date from what has changed since: mostly the node of the pod before. What a plugin says of the
//! pod itself (its labels, its claims), or of pods on other nodes, is asked anew each time and laid over the rows
//! ([`crate::decide`]).
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
mod clearings;
mod plan;
mod quiet;
mod row;

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::pod::{PodInfo, PodSpecInfo};
use plimsoll_framework::table::View;

pub(crate) use class::Class;
pub(crate) use clearings::{Nominated, OfPriority as ClearingsOfPriority};
pub use plan::Plan;
pub(crate) use quiet::{Kit, Numbers, Quiet};

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
    /// Decisions for which there were rows, be it those of another spec that serve as well.
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

/// The profile's name and where the spec is in memory; whoever has it in a map holds both, so that neither is used again for
/// another.
type Key = (Istr, usize);

/// Where the rows for a spec are.
struct Place {
    /// Held for the sake of the key.
    _spec: Arc<PodSpecInfo>,
    class: usize,
    /// Of the class, when it was found to be right for the spec.
    generation: u64,
}

/// What is looked at of many classes at a time, so that nobody has to go through all of them.
#[derive(Clone, Copy, Default)]
struct Note {
    /// Classes with other marks are right for other specs.
    mark: u64,
    /// The number of the use.
    last_use: u64,
    /// What it takes up, as it is in the sum.
    bytes: usize,
}

/// The rows of one worker.
#[derive(Default)]
pub(crate) struct Memo {
    settings: MemoSettings,
    places: HashMap<Key, Place>,
    /// When there are so many places, those that lead nowhere are cleared away.
    clear_at: usize,
    classes: Vec<Option<Box<Class>>>,
    /// Of each of them.
    notes: Vec<Note>,
    hasher: DefaultHashBuilder,
    /// The class used last, which may have grown since.
    last_used: usize,
    /// A class whose memory can be used again.
    spare: Option<Box<Class>>,
    /// The number of the last use.
    uses: u64,
    /// The last generation of any class.
    generations: u64,
    /// Profiles whose rows were found to be wrong.
    distrusted: Vec<Istr>,
    pub(crate) stats: MemoStats,
}

/// So many places for each class are kept whether they lead anywhere or not.
const PLACES_PER_CLASS: usize = 64;

impl Memo {
    pub(crate) fn new(settings: MemoSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Whether rows are kept for the profile's pods.
    fn is_for(&self, profile: &Profile) -> bool {
        self.settings.budget_bytes > 0
            && profile.plan.keeps_rows()
            && profile.percentage_of_nodes_to_score >= 100
            && !self.distrusts(profile)
    }

    /// Whether little has to be asked to decide the pod: there are rows, and the last decision by them took no walk over
    /// many nodes; or there is room for rows, which are made once.
    pub(crate) fn has_at_hand(&mut self, profile: &Profile, view: &View, pod: &PodInfo) -> bool {
        if !self.is_for(profile) {
            return false;
        }
        let room = self.stats.bytes + Class::bytes_for(view) <= self.settings.budget_bytes;
        match self.known(profile, pod) {
            Some(class) => class.is_at_hand(),
            None => room,
        }
    }

    /// The rows of a class as they are on this view and through the overlay; `None` where the pod has to be decided without.
    pub(crate) fn class(
        &mut self,
        profile: &Profile,
        view: &View,
        overlay: &Overlay,
        pod: &PodInfo,
    ) -> Option<&mut Class> {
        if !self.is_for(profile) {
            self.stats.passed += 1;
            return None;
        }
        self.uses += 1;
        let at = match self.place(profile, pod) {
            Some(at) => {
                self.stats.hits += 1;
                at
            }
            None => self.find(profile, view, pod)?,
        };
        self.weigh(self.last_used);
        self.last_used = at;
        if let Some(note) = self.notes.get_mut(at) {
            note.last_use = self.uses;
        }
        let class = self.classes.get_mut(at)?.as_mut()?;
        if class.refresh(profile, view, overlay, pod) {
            // It is right for this spec; others may see something else in what has changed.
            self.generations += 1;
            class.generation = self.generations;
            if let Some(place) = self.places.get_mut(&key(profile, pod)) {
                place.generation = self.generations;
            }
        }
        class.is_usable().then_some(&mut **class)
    }

    /// The rows of a class as they were when they were last used.
    pub(crate) fn known(&mut self, profile: &Profile, pod: &PodInfo) -> Option<&mut Class> {
        let at = self.place(profile, pod)?;
        self.classes.get_mut(at)?.as_deref_mut()
    }

    /// Where the rows for the pod's spec are, if that is known.
    fn place(&self, profile: &Profile, pod: &PodInfo) -> Option<usize> {
        let place = self.places.get(&key(profile, pod))?;
        let class = self.classes.get(place.class)?.as_ref()?;
        (class.generation == place.generation).then_some(place.class)
    }

    /// Finds rows of a spec of which the plugins whose answers are kept say the same, or makes rows; `None` where the
    /// budget does not allow it.
    fn find(&mut self, profile: &Profile, view: &View, pod: &PodInfo) -> Option<usize> {
        let fresh = Class::prepared(profile, view, pod);
        let mark = self.mark(profile, pod);
        let serves = |(note, class): (&Note, &Option<Box<Class>>)| {
            note.mark == mark && class.as_ref().is_some_and(|class| class.serves(&fresh))
        };
        let at = match self.notes.iter().zip(&self.classes).position(serves) {
            Some(at) => {
                self.stats.hits += 1;
                at
            }
            None => {
                self.stats.misses += 1;
                self.add(fresh, mark, view)?
            }
        };
        if self.places.len() >= self.clear_at.max(PLACES_PER_CLASS * (self.stats.classes + PLACES_PER_CLASS)) {
            let classes = &self.classes;
            let leads = |place: &Place| classes[place.class].as_ref().is_some_and(|c| c.generation == place.generation);
            self.places.retain(|_, place| leads(place));
            self.clear_at = 2 * self.places.len();
        }
        let generation = self.classes.get(at)?.as_ref()?.generation;
        let place = Place { _spec: Arc::clone(&pod.spec), class: at, generation };
        self.places.insert(key(profile, pod), place);
        Some(at)
    }

    /// The same for specs of which plugins may say the same. Where some read what is used on nodes, what the pod asks for is
    /// set against it: those that ask for other amounts hear other things.
    fn mark(&self, profile: &Profile, pod: &PodInfo) -> u64 {
        let requests = profile.plan.kept_groups().reads_usage().then_some(&pod.spec.requests);
        self.hasher.hash_one((&profile.name, requests))
    }

    /// Makes the rows of a class that is prepared.
    fn add(&mut self, mut fresh: Box<Class>, mark: u64, view: &View) -> Option<usize> {
        if !self.make_room(Class::bytes_for(view), None) {
            return None;
        }
        if let Some(spare) = self.spare.take() {
            fresh.take_memory(*spare);
        }
        fresh.build(view);
        self.generations += 1;
        fresh.generation = self.generations;
        let at = self.classes.iter().position(Option::is_none).unwrap_or(self.classes.len());
        if at == self.classes.len() {
            self.classes.push(None);
            self.notes.push(Note::default());
        }
        (self.classes[at], self.notes[at].mark) = (Some(fresh), mark);
        self.stats.classes += 1;
        self.weigh(at);
        self.make_room(0, Some(at));
        Some(at)
    }

    /// A row of the pod's class that is not as it would be if it were made now, told for people.
    pub(crate) fn wrong_row(&self, profile: &Profile, view: &View, pod: &PodInfo) -> Option<String> {
        let class = self.classes.get(self.place(profile, pod)?)?.as_ref()?;
        let mut fresh = Class::prepared(profile, view, pod);
        fresh.build(view);
        class.difference(&fresh, view)
    }

    /// Has the classes used least recently, but not that of this number, go until so many bytes more are within the budget;
    /// whether they are.
    fn make_room(&mut self, bytes: usize, keep: Option<usize>) -> bool {
        self.weigh(self.last_used);
        while self.stats.bytes + bytes > self.settings.budget_bytes {
            let there = self.notes.iter().zip(&self.classes).enumerate().filter(|(_, (_, class))| class.is_some());
            let used = there.map(|(at, (note, _))| (note.last_use, at)).filter(|(_, at)| Some(*at) != keep);
            let Some(class) = used.min().and_then(|(_, at)| self.forget(at)) else {
                self.stats.too_small = true;
                return false;
            };
            self.stats.evicted += 1;
            self.spare = Some(class);
        }
        true
    }

    /// Has the sum say what a class takes up now. One that is not used does not grow.
    fn weigh(&mut self, at: usize) {
        let Some(note) = self.notes.get_mut(at) else { return };
        let bytes = self.classes[at].as_ref().map_or(0, |class| class.bytes());
        self.stats.bytes = (self.stats.bytes + bytes).saturating_sub(note.bytes);
        note.bytes = bytes;
    }

    /// Whether this decision is one of those that are made again from nothing.
    pub(crate) fn audits_now(&self) -> bool {
        self.settings.audit_every > 0 && self.uses.is_multiple_of(u64::from(self.settings.audit_every))
    }

    /// Whether the next decision for which there are rows will be one of those.
    pub(crate) fn audits_next(&self) -> bool {
        self.settings.audit_every > 0 && (self.uses + 1).is_multiple_of(u64::from(self.settings.audit_every))
    }

    /// Whether something kept for this profile was wrong.
    pub(crate) fn distrusts(&self, profile: &Profile) -> bool {
        self.distrusted.contains(&profile.name)
    }

    /// Something kept for this profile was wrong: nothing of it is used any more.
    pub(crate) fn distrust(&mut self, profile: &Profile) {
        self.distrusted.push(profile.name.clone());
        for at in 0..self.classes.len() {
            if self.classes[at].as_ref().is_some_and(|class| class.is_of(profile)) {
                self.forget(at);
            }
        }
    }

    fn forget(&mut self, at: usize) -> Option<Box<Class>> {
        let class = self.classes.get_mut(at)?.take()?;
        self.weigh(at);
        self.stats.classes -= 1;
        Some(class)
    }
}

fn key(profile: &Profile, pod: &PodInfo) -> Key {
    (profile.name.clone(), Arc::as_ptr(&pod.spec).addr())
}
