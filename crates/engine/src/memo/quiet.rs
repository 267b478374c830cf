//! Which of the plugins that are asked about every pod have nothing to say of the pods of a template, and the others
//! prepared for it.
//!
//! Most pods have no rules about other pods, and no other pod has any about them. To find that out again for each of
//! them would take longer than the rest of the decision.

use std::sync::Arc;

use plimsoll_framework::extensions::{BoundFilter, BoundScoring};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::pod::{Owner, PodInfo, PodSpecInfo};
use plimsoll_framework::read::{Groups, Versions};
use plimsoll_framework::table::View;

use crate::decide::PostFiltered;
use crate::recent::{Recent, has_pods};

/// How many templates of a class are remembered.
const TEMPLATES: usize = 1_024;
/// What one of them takes up, about: spec and labels are mostly shared with pods that are there.
const TEMPLATE_BYTES: usize = 512;
/// What the plugins take up that are prepared for a template, about: two or three, where not all have nothing to say.
const KIT_BYTES: usize = 1_536;

/// Plugins by their numbers in the profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers(u128);

impl Numbers {
    pub(crate) fn has(self, at: usize) -> bool {
        at < 128 && self.0 >> at & 1 == 1
    }

    /// Those beyond the 128th are never in the set: then they are asked.
    pub(crate) fn add(&mut self, at: usize) {
        if at < 128 {
            self.0 |= 1 << at;
        }
    }
}

/// Plugins that are prepared for a template, by their numbers in the profile. Between two decisions they hold nothing of a
/// view.
#[derive(Default)]
pub(crate) struct Kit {
    pub(crate) filters: Vec<(usize, Box<dyn BoundFilter>)>,
    pub(crate) scores: Vec<(usize, BoundScoring)>,
}

impl Kit {
    /// Takes out the filter of this number, if it is there, to be asked on a view.
    pub(crate) fn filter(&mut self, at: usize, view: &View) -> Option<Box<dyn BoundFilter>> {
        let mut bound = take(&mut self.filters, at)?;
        bound.attach(view);
        Some(bound)
    }

    /// The same of a scorer.
    pub(crate) fn score(&mut self, at: usize, view: &View) -> Option<BoundScoring> {
        let mut bound = take(&mut self.scores, at)?;
        bound.attach(view);
        Some(bound)
    }

    /// Has all of it hold nothing of a view.
    pub(crate) fn detach(&mut self) {
        self.filters.iter_mut().for_each(|(_, bound)| bound.detach());
        self.scores.iter_mut().for_each(|(_, bound)| bound.detach());
    }
}

/// Takes out what is there for the plugin of this number.
fn take<T>(prepared: &mut Vec<(usize, T)>, at: usize) -> Option<T> {
    let place = prepared.iter().position(|(of, _)| *of == at)?;
    Some(prepared.swap_remove(place).1)
}

/// What is known of one template.
pub(crate) struct Quiet {
    namespace: Istr,
    spec: Arc<PodSpecInfo>,
    labels: Arc<LabelSet>,
    owner: Option<Arc<Owner>>,
    versions: Versions,
    /// PreFilter plugins that say Skip.
    pub(crate) pre_filters: Numbers,
    /// Those that say Run.
    pub(crate) runs: Numbers,
    /// Filters that have nothing to say.
    pub(crate) filters: Numbers,
    /// Whether these are all that are asked: then nobody has to be.
    pub(crate) all: bool,
    /// What PostFilter said where nobody could be made to go, with the number of the kinds of rejections it follows from.
    pub(crate) post_filtered: Option<(u64, Arc<PostFiltered>)>,
    /// Scorers that have nothing to say, where they were asked.
    pub(crate) scores: Option<Numbers>,
    /// The others, as far as they say the same of all pods of the template.
    pub(crate) kit: Kit,
}

impl Quiet {
    /// Nothing known yet.
    pub(crate) fn of(pod: &PodInfo, versions: Versions) -> Self {
        Self {
            namespace: pod.key.namespace.clone(),
            spec: Arc::clone(&pod.spec),
            labels: Arc::clone(&pod.labels),
            owner: pod.owner.clone(),
            versions,
            pre_filters: Numbers::default(),
            runs: Numbers::default(),
            filters: Numbers::default(),
            all: false,
            post_filtered: None,
            scores: None,
            kit: Kit::default(),
        }
    }

    fn is_of(&self, pod: &PodInfo) -> bool {
        let same_owner = match (&self.owner, &pod.owner) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        Arc::ptr_eq(&self.spec, &pod.spec)
            && Arc::ptr_eq(&self.labels, &pod.labels)
            && self.namespace == pod.key.namespace
            && same_owner
    }
}

/// The templates of a class, by where spec and labels are in memory.
pub(super) struct Templates {
    known: Recent<(usize, usize), Quiet>,
    /// How many of them there are that some plugin has something to say of.
    told_of: usize,
}

impl Default for Templates {
    fn default() -> Self {
        Self { known: Recent::new(TEMPLATES), told_of: 0 }
    }
}

impl Templates {
    /// What it takes up, about.
    pub(super) fn bytes(&self) -> usize {
        self.known.len() * TEMPLATE_BYTES + self.told_of * KIT_BYTES
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.told_of = 0;
    }

    /// What is known of the pod's template, where nothing of what it was found out from (`read`) has changed since.
    pub(super) fn get(&mut self, pod: &PodInfo, versions: &Versions, read: Groups) -> Option<&mut Quiet> {
        let known = self.known.get(&place(pod)).filter(|known| known.is_of(pod))?;
        (!versions.differences(&known.versions).intersects(read)).then_some(known)
    }

    /// Remembers a template, in place of what was known of it. Those that nobody asks for any more are forgotten.
    pub(super) fn set(&mut self, pod: &PodInfo, quiet: Quiet) {
        let told_of = !quiet.all;
        let replaced = self.known.get(&place(pod)).map(|old| !old.all);
        if self.known.set(place(pod), quiet, |quiet| has_pods(&quiet.labels)) {
            self.told_of = self.known.values().filter(|quiet| !quiet.all).count();
        } else {
            self.told_of += usize::from(told_of);
            self.told_of -= usize::from(replaced == Some(true));
        }
    }
}

/// The template holds both, so that their places are not used again.
fn place(pod: &PodInfo) -> (usize, usize) {
    (Arc::as_ptr(&pod.spec).addr(), Arc::as_ptr(&pod.labels).addr())
}
