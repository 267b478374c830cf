//! A pod in the queue, with its history.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_framework::cluster_event::ClusterEvent;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::plugin::Queued;
use plimsoll_framework::pod::{GroupKey, PodInfo};
use plimsoll_framework::time::Time;

/// Names of plugins, each once. Pods that are turned away alike share one.
#[derive(Clone, Debug, Default)]
pub struct PluginSet(Option<Arc<Vec<&'static str>>>);

impl PluginSet {
    /// Adds a plugin.
    pub fn insert(&mut self, name: &'static str) {
        if !self.contains(name) {
            Arc::make_mut(self.0.get_or_insert_default()).push(name);
        }
    }
    /// Whether the plugin is in the set.
    pub fn contains(&self, name: &str) -> bool {
        self.names().contains(&name)
    }
    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.names().is_empty()
    }
    /// The plugins, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.names().iter().copied()
    }

    fn names(&self) -> &[&'static str] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl PartialEq for PluginSet {
    fn eq(&self, other: &Self) -> bool {
        let same = matches!((&self.0, &other.0), (Some(one), Some(other)) if Arc::ptr_eq(one, other));
        same || self.names() == other.names()
    }
}
impl Eq for PluginSet {}

impl FromIterator<&'static str> for PluginSet {
    fn from_iter<I: IntoIterator<Item = &'static str>>(names: I) -> Self {
        let mut set = Self::default();
        names.into_iter().for_each(|n| set.insert(n));
        set
    }
}

/// What came of looking for pods that could make room, when a pod was last turned away: what has to happen for another
/// attempt to come to something else.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Clearing {
    /// Nobody looked, or not to the end: anything may lead to something else.
    #[default]
    Unknown,
    /// No node could be cleared for it, as the nodes were.
    Nowhere,
    /// This node is being cleared for it. What happens there decides.
    Node(Istr),
    /// Nobody is to go for it for a while; it is tried again when that is over.
    HeldOff,
}

/// A pod on its way through the queue (reference section 10.1).
#[derive(Clone, Debug)]
pub struct QueuedPodInfo {
    /// The pod.
    pub pod: Arc<PodInfo>,
    /// The profile that is to place it.
    pub profile: usize,
    /// The group it is tried with.
    pub group: Option<GroupKey>,
    /// Whether it goes before all others.
    pub first: bool,
    /// The node that it had and could not be bound to, which is tried before all others.
    pub preferred: Option<Istr>,
    /// When it was last put into the queue, new or after a failed attempt.
    pub timestamp: Time,
    /// How often it was popped.
    pub attempts: u32,
    /// How many of the attempts ended with a rejection.
    pub unschedulable_count: u32,
    /// How many of the latest attempts ended with an error, in a row.
    pub consecutive_errors: u32,
    /// When it first entered the active queue: the beginning of the latency that users see.
    pub initial_attempt: Option<Time>,
    /// The plugins that rejected it.
    pub unschedulable_plugins: PluginSet,
    /// Those of them that wait for something particular.
    pub pending_plugins: PluginSet,
    /// What came of looking for pods that could make room for it.
    pub clearing: Clearing,
    /// The plugin that keeps it out of the queue.
    pub gating_plugin: Option<&'static str>,
    /// Whether it is in the queue because it had waited too long, not because something happened.
    pub flushed: bool,
    /// What woke it for the attempt at hand.
    pub woken_by: Option<ClusterEvent>,
}

impl QueuedPodInfo {
    pub(super) fn new(pod: Arc<PodInfo>, profile: usize, now: Time) -> Self {
        Self {
            group: pod.group_key(),
            first: false,
            preferred: None,
            pod,
            profile,
            timestamp: now,
            attempts: 0,
            unschedulable_count: 0,
            consecutive_errors: 0,
            initial_attempt: None,
            unschedulable_plugins: PluginSet::default(),
            pending_plugins: PluginSet::default(),
            clearing: Clearing::default(),
            gating_plugin: None,
            flushed: false,
            woken_by: None,
        }
    }

    /// As QueueSort sees it.
    pub fn queued(&self) -> Queued<'_> {
        Queued { pod: &self.pod, timestamp: self.timestamp, initial_attempt: self.initial_attempt }
    }

    /// The pod as it is to be decided: one that prefers a node as if it were nominated for that.
    pub fn to_decide(&self) -> Arc<PodInfo> {
        match &self.preferred {
            Some(node) => Arc::new(PodInfo { nominated_node_name: Some(node.clone()), ..PodInfo::clone(&self.pod) }),
            None => Arc::clone(&self.pod),
        }
    }

    /// Whether an error, not a rejection, put it where it is.
    pub(super) fn failed_by_error(&self) -> bool {
        self.unschedulable_plugins.is_empty() && self.pending_plugins.is_empty()
    }

    /// The whole second at whose end its backoff is over; `None` when it has none (reference section 10.5).
    pub fn backoff_expiry(&self, backoff: &Backoff) -> Option<Time> {
        let count = if self.consecutive_errors > 0 { self.consecutive_errors } else { self.unschedulable_count };
        let duration = backoff.duration(count);
        (!duration.is_zero()).then(|| self.timestamp.after(duration).whole_second())
    }

    pub(super) fn is_backing_off(&self, backoff: &Backoff, now: Time) -> bool {
        self.backoff_expiry(backoff).is_some_and(|expiry| expiry >= now.whole_second())
    }
}

/// How long a pod waits after failed attempts: doubling from `initial` to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failed attempt.
    pub initial: Duration,
    /// At most; nothing turns backoff off.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: Duration::from_secs(1), max: Duration::from_secs(10) }
    }
}

impl Backoff {
    /// The wait after `count` failed attempts.
    pub fn duration(&self, count: u32) -> Duration {
        match count.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => {
                self.initial.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(self.max)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_to_its_limit() {
        let seconds = |count| Backoff::default().duration(count).as_secs();
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 31, 32, 33, 1_000].map(seconds), [0, 1, 2, 4, 8, 10, 10, 10, 10, 10, 10]);
        let off = Backoff { max: Duration::ZERO, ..Backoff::default() };
        assert_eq!(off.duration(3), Duration::ZERO);
    }
}
