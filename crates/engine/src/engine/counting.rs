//! Having counted by topology domain what decisions on pods will ask for.
//!
//! What that is follows from what the pods of a template have in common, as far as the plugins of this program go, so
//! it is found out once for a template. Should some plugin want other counters for another pod of it, they are not kept
//! up to date: its decision counts for itself, which takes longer and says the same.

use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::pod::{Owner, PodInfo, PodSpecInfo};
use plimsoll_framework::read::{Groups, Versions};
use plimsoll_framework::topology::CounterKey;

use super::Engine;
use crate::profile::Profile;
use crate::recent::{Recent, has_pods};

/// How many templates are remembered at the most.
const TEMPLATES: usize = 8_192;

/// The number of the profile, and where in memory spec and labels are.
type Key = (usize, usize, usize);

/// What is known of one template.
struct Known {
    /// Held, so that their places in memory are not used again.
    held: (Arc<PodSpecInfo>, Arc<LabelSet>),
    namespace: Istr,
    owner: Option<Arc<Owner>>,
    versions: Versions,
    counters: Box<[CounterKey]>,
}

impl Known {
    fn is_of(&self, pod: &PodInfo) -> bool {
        let same_owner = match (&self.owner, &pod.owner) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        self.namespace == pod.key.namespace && same_owner
    }
}

/// The templates that were counted for.
pub(super) struct Counting {
    known: Recent<Key, Known>,
    /// By profile: what the plugins read that have something counted.
    reads: Box<[Groups]>,
}

impl Counting {
    pub(super) fn of(profiles: &[Profile]) -> Self {
        Self { known: Recent::new(TEMPLATES), reads: profiles.iter().map(Profile::groups_of_counting).collect() }
    }
}

impl Engine {
    /// Has what a decision on the pod will ask for kept up to date from now on, instead of counting it for this decision
    /// alone.
    pub(super) fn count_for(&mut self, profile: usize, pod: &PodInfo) {
        let versions = self.cache.table().view().versions();
        let key = (profile, Arc::as_ptr(&pod.spec).addr(), Arc::as_ptr(&pod.labels).addr());
        let reads = self.counting.reads[profile];
        let current = |known: &&Known| known.is_of(pod) && !versions.differences(&known.versions).intersects(reads);
        if let Some(known) = self.counting.known.get(&key).map(|known| &*known).filter(current)
            && (known.counters.is_empty() || self.cache.table_mut().renew(&known.counters))
        {
            return;
        }
        let specs = self.profiles[profile].counters(pod, self.cache.table().view());
        let counters = if specs.is_empty() { Box::default() } else { self.cache.table_mut().register(&specs) };
        let known = Known {
            held: (Arc::clone(&pod.spec), Arc::clone(&pod.labels)),
            namespace: pod.key.namespace.clone(),
            owner: pod.owner.clone(),
            versions,
            counters,
        };
        self.counting.known.set(key, known, |known| has_pods(&known.held.1));
    }
}
