//! Groups of pods that are placed as a whole or not at all: which there are, and whether each may be tried now.
//!
//! A group is looked at again whenever something happened to one of its pods or to its object, and at its deadlines.
//! While it may not be tried its pods are gated in the queue. Nothing is ever held for a group that waits.

mod commit;
mod failure;
mod permit;
mod preempt;
mod rule;
mod status;
mod timing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::{KindId, ObjectKey};
use plimsoll_framework::pod::{GroupKey, NamedBy, PodInfo, PodSpecInfo};
use plimsoll_framework::time::Time;

use super::Engine;
use crate::effect::Reason;
use crate::gang::{PodGroup, kinds_of};
use crate::queue::{GroupOrder, QueuedPodInfo};
use rule::{Members, Rule};

/// All groups that pods name.
#[derive(Debug, Default)]
pub(super) struct Gangs {
    known: BTreeMap<GroupKey, Gang>,
    deadlines: BTreeSet<(Time, GroupKey)>,
    /// The kinds of PodGroups that the server has, with the version.
    served: HashMap<KindId, Istr>,
}

/// Whether the pods of a group may be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// It is no gang: each goes by itself.
    Each,
    /// They may, and so many at least must find a place together.
    Open { needed: usize },
    /// They may not, and this is why.
    Closed(Reason, String),
}

impl Stage {
    /// How many of those that wait must find a place together, for any of them to be tried at all.
    fn demands(&self) -> Option<usize> {
        match self {
            Self::Each => Some(0),
            _ => self.needed(),
        }
    }

    fn needed(&self) -> Option<usize> {
        match self {
            Self::Open { needed } => Some(*needed),
            _ => None,
        }
    }
}

/// One group.
#[derive(Debug)]
struct Gang {
    stage: Stage,
    /// Whether any of its pods is ours to place.
    ours: bool,
    placed: usize,
    min: usize,
    /// Since when its pods can be tried.
    since: Option<Time>,
    /// Until when it steps back for others, and how often it has.
    away: Option<Time>,
    timeouts: u32,
    /// When it is said what it waits for.
    say_at: Option<Time>,
    /// Its entry among the deadlines.
    deadline: Option<Time>,
    /// What was last warned of about its object.
    warned: Option<String>,
}

impl Gang {
    fn new() -> Self {
        Self {
            stage: Stage::Each,
            ours: false,
            placed: 0,
            min: 0,
            since: None,
            away: None,
            timeouts: 0,
            say_at: None,
            deadline: None,
            warned: None,
        }
    }
}

impl Engine {
    /// How many gangs there are, by how they stand; not those of other schedulers.
    pub fn gang_counts(&self) -> [(&'static str, usize); 5] {
        let mut counts = [("incomplete", 0), ("invalid", 0), ("timed_out", 0), ("waiting", 0), ("placed", 0)];
        for gang in self.gangs.known.values().filter(|gang| gang.ours) {
            let state = match &gang.stage {
                Stage::Each => continue,
                Stage::Closed(Reason::InvalidGang, _) => 1,
                Stage::Closed(Reason::GangTimedOut, _) => 2,
                Stage::Closed(..) => 0,
                Stage::Open { .. } if gang.placed < gang.min => 3,
                Stage::Open { .. } => 4,
            };
            if let Some((_, count)) = counts.get_mut(state) {
                *count += 1;
            }
        }
        counts
    }

    /// When a group is next to be looked at for time's sake.
    pub(super) fn next_gang_deadline(&self) -> Option<Time> {
        self.gangs.deadlines.first().map(|(at, _)| *at)
    }

    /// Looks at the groups whose time has come.
    pub(super) fn expire_gangs(&mut self, now: Time) {
        while let Some((at, key)) = self.gangs.deadlines.first().cloned()
            && at <= now
        {
            self.gangs.deadlines.remove(&(at, key.clone()));
            if let Some(gang) = self.gangs.known.get_mut(&key) {
                gang.deadline = None;
            }
            self.look_at_gang(now, &key);
        }
    }

    /// Looks at the groups that something happened to, once for all that happened. [`Engine::take_work`] begins with it;
    /// a scheduler that stands by and takes none has nothing to say of them.
    pub fn settle(&mut self, now: Time) {
        while let Some(key) = self.cache.next_touched() {
            self.look_at_gang(now, &key);
        }
    }

    /// Looks at the groups that wait for Permit and have lost a pod.
    pub(super) fn look_at_doubtful_gangs(&mut self, now: Time) {
        while let Some(seq) = self.gangs_in_doubt.pop() {
            self.look_at_waiting_gang(now, seq);
        }
    }

    /// Whether the server has a kind of PodGroups changes what its name in a pod means.
    pub(super) fn kind_served(&mut self, kind: KindId, version: Option<Istr>) {
        match version {
            Some(version) => drop(self.gangs.served.insert(kind, version)),
            None => drop(self.gangs.served.remove(&kind)),
        }
        let all: Vec<GroupKey> = self.cache.groups().cloned().collect();
        all.into_iter().for_each(|key| self.cache.touch(key));
    }

    /// An object has come, changed or gone that may be that of groups.
    pub(super) fn touch_groups_of(&mut self, kind: KindId, object: &ObjectKey) {
        for by in [NamedBy::Spec, NamedBy::Label] {
            if kinds_of(by).contains(&kind) {
                self.cache.touch(GroupKey { namespace: object.namespace.clone(), name: object.name.clone(), by });
            }
        }
    }

    /// How many pods must find a place with a pod that was popped; `None` where it goes by itself.
    pub(super) fn needed_with(&self, info: &QueuedPodInfo) -> Option<usize> {
        self.gangs.known.get(info.group.as_ref()?)?.stage.needed()
    }

    /// Whether a pod is one of a gang.
    pub(super) fn is_in_gang(&self, info: &QueuedPodInfo) -> bool {
        let gang = info.group.as_ref().and_then(|key| self.gangs.known.get(key));
        gang.is_some_and(|gang| gang.stage != Stage::Each)
    }

    /// Where a group stands now, its deadlines apart.
    fn stage_of(&self, key: &GroupKey, rule: &Rule, members: &Members) -> Stage {
        let incomplete = |text: String| Stage::Closed(Reason::GangIncomplete, text);
        match rule {
            Rule::Each => Stage::Each,
            Rule::Missing => incomplete(self.missing_text(key)),
            Rule::Invalid(text) => Stage::Closed(Reason::InvalidGang, text.clone()),
            Rule::Min(min) => {
                let there = members.placed + members.ready.len();
                if there >= *min {
                    return Stage::Open { needed: min.saturating_sub(members.placed) };
                }
                incomplete(format!(
                    "waiting for minCount pods from a gang to appear in scheduling queue: {there} of {min} pods of {key} are there"
                ))
            }
        }
    }

    /// Looks at a group: its rule, its pods, the time.
    fn look_at_gang(&mut self, now: Time, key: &GroupKey) {
        let members = self.members(key);
        if members.none_left {
            return self.forget_gang(key);
        }
        let group = self.pod_group(key);
        let (rule, warning) = self.rule(key, group.as_ref(), &members);
        let mut gang = self.gangs.known.remove(key).unwrap_or_else(Gang::new);
        let before = gang.stage.demands();
        gang.ours = members.ours;
        (gang.placed, gang.min) = (members.placed, if let Rule::Min(min) = rule { min } else { 0 });
        gang.stage = self.stage_of(key, &rule, &members);
        self.mind_the_time(now, key, &mut gang, group.as_ref(), &members);
        let open = !matches!(gang.stage, Stage::Closed(..));
        let order = gang.since.and_then(|since| order(since, group.as_ref(), &members));
        self.queue.set_group(now, key, open, order);
        if gang.stage.demands().zip(before).is_some_and(|(now, before)| now < before) {
            self.queue.wake_group(now, key);
        }
        self.warn_of_group(&mut gang, warning, &members);
        self.say_what_it_waits_for(now, &mut gang, &members);
        let timeout = self.timeout_at(&gang, group.as_ref(), &members);
        let deadline = [gang.say_at, gang.away, timeout].into_iter().flatten().min();
        if gang.deadline != deadline {
            gang.deadline.take().map(|at| self.gangs.deadlines.remove(&(at, key.clone())));
            self.gangs.deadlines.extend(deadline.map(|at| (at, key.clone())));
            gang.deadline = deadline;
        }
        self.gangs.known.insert(key.clone(), gang);
    }

    fn forget_gang(&mut self, key: &GroupKey) {
        if let Some(Gang { deadline: Some(at), .. }) = self.gangs.known.remove(key) {
            self.gangs.deadlines.remove(&(at, key.clone()));
        }
        self.queue.forget_group(key);
    }

    /// Says what is odd about the group's object, once.
    fn warn_of_group(&mut self, gang: &mut Gang, warning: Option<String>, members: &Members) {
        if let Some(text) = warning.as_ref().filter(|text| gang.warned.as_ref() != Some(text))
            && let Some(pod) = members.ready.first()
        {
            self.record(pod, true, "InvalidPodGroup", "Scheduling", text.as_str().into());
            gang.warned = warning;
        }
    }
}

/// A group stands in the queue by its own priority, or by that of its most important pod.
fn order(since: Time, group: Option<&PodGroup>, members: &Members) -> Option<GroupOrder> {
    let first = members.ready.iter().reduce(|a, b| if b.priority() > a.priority() { b } else { a })?;
    let pod = match group.and_then(|group| group.priority).filter(|priority| *priority != first.priority()) {
        Some(priority) => {
            let spec = Arc::new(PodSpecInfo { priority, ..PodSpecInfo::clone(&first.spec) });
            Arc::new(PodInfo { spec, ..PodInfo::clone(first) })
        }
        None => Arc::clone(first),
    };
    Some(GroupOrder { pod, since })
}
