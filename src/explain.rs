//! Why a pod goes where it goes, and why nowhere else: of every node, what was said of it.
//!
//! The pod is decided, on a cluster that somebody puts together: from files (`commands::explain`), or as a running
//! scheduler knows it or knew it (`inspect`).

pub(crate) mod answer;
mod misses;
pub(crate) mod people;

use std::sync::Arc;

use plimsoll_engine::decide::{Explanation, TieBreak, Worker};
use plimsoll_engine::engine::Admission;
use plimsoll_engine::profile::Profile;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::{Table, View};

/// A pod, the cluster without it, and what was decided.
pub(crate) struct Subject {
    pub(crate) pod: PodInfo,
    /// The node that it is on by now.
    pub(crate) now_on: Option<Istr>,
    pub(crate) profiles: Arc<[Profile]>,
    /// Which of them decides.
    pub(crate) profile: usize,
    pub(crate) world: Table,
    pub(crate) answer: Answer,
    /// How many pods would have to go for it that are not for whoever asks to know of.
    pub(crate) victims_elsewhere: usize,
}

/// What was decided.
pub(crate) enum Answer {
    Decided(Box<Explanation>),
    /// This version does not decide such a pod, or the attempt failed.
    Failed(String),
}

impl Subject {
    fn view(&self) -> &View {
        self.world.view()
    }

    fn profile(&self) -> &Profile {
        &self.profiles[self.profile]
    }

    /// Whether extenders have a say in its decisions, who are not asked here.
    pub(crate) fn extended(&self) -> bool {
        self.profile().extenders.is_some()
    }
}

/// What the scheduler would say of a pod.
pub(crate) fn decide(admission: &Admission, profile: &Profile, view: &View, pod: &PodInfo) -> Answer {
    if let Some(faults) = &pod.faults {
        return Answer::Failed(faults.to_string());
    }
    // Claims are decided about like everything else. Only what no plugin sees to makes the answer a guess.
    let mut without_claims = pod.clone();
    Arc::make_mut(&mut without_claims.spec).volumes = Box::default();
    if let Some(reason) = admission(&without_claims, profile, view.cluster()) {
        return Answer::Failed(reason);
    }
    Answer::Decided(Box::new(Worker::new(TieBreak::Name, 0).explain(profile, view, pod)))
}
