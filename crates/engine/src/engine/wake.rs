//! Who is woken by what happened in the cluster.
//!
//! A queueing hint sees the event and the pod, not the cluster: a hundred pods that go a second make it wake ten thousand
//! that ask for more than any node has. Here the cluster is known. Where an event concerns what is on one node, and every plugin
//! that turns the pod away looks at one node at a time, all other nodes turn it away still; so it is enough to ask that
//! one node, once for all pods that are alike. Those may differ in what is not in their spec: only the word of a plugin
//! that looks at nothing else holds for all of them.
//!
//! The same goes for nodes that pods of lower priority could leave, but only where the last attempt found none that they
//! could: a pod for which one is being cleared may turn to any other, once that one is lost to it. Until then nothing
//! but what happens on that node, or room elsewhere as it is, leads to anything.

use std::sync::Arc;

use plimsoll_framework::cluster_event::ClusterEvent;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::{Row, View};
use plimsoll_framework::time::Time;
use plimsoll_framework::verdict::Code;

use super::Engine;
use crate::cache::Cache;
use crate::decide::{PreFiltered, Prepared};
use crate::effect::Observation;
use crate::event::OwnedChange;
use crate::profile::Profile;
use crate::queue::{Chance, Clearing, Judge, QueuedPodInfo, Rejectors};

impl Engine {
    /// Something happened: whoever it might help is tried again. `only` limits whom.
    pub(super) fn wake(
        &mut self,
        now: Time,
        event: &ClusterEvent,
        change: OwnedChange,
        only: impl Fn(&PodInfo) -> bool,
    ) {
        let Self { queue, cache, profiles, observations, .. } = self;
        let mut judge = AtNode { cache, profiles, observations };
        queue.move_all(now, event, change, only, &mut judge);
    }

    /// Puts a pod back after an attempt that failed.
    pub(super) fn put_back(&mut self, now: Time, info: QueuedPodInfo, rejectors: Rejectors) {
        let Self { queue, cache, profiles, observations, .. } = self;
        let mut judge = AtNode { cache, profiles, observations };
        queue.add_unschedulable(now, info, rejectors, &mut judge);
    }
}

/// Asks the one node that an event is about.
struct AtNode<'e> {
    cache: &'e Cache,
    profiles: &'e [Profile],
    observations: &'e mut Vec<Observation>,
}

impl Judge for AtNode<'_> {
    fn chance(&mut self, info: &QueuedPodInfo, change: &OwnedChange) -> Chance {
        let chance = self.judged(info, change).unwrap_or(Chance::Some);
        if chance != Chance::Some {
            self.observations.push(Observation::RuledOut);
        }
        chance
    }
}

impl AtNode<'_> {
    /// `None` where one node does not tell.
    fn judged(&mut self, info: &QueuedPodInfo, change: &OwnedChange) -> Option<Chance> {
        let (profile, pod) = (self.profiles.get(info.profile)?, &*info.pod);
        if node_of(change).is_some_and(|name| info.clearing == Clearing::Node(name.clone())) {
            return Some(Chance::Some);
        }
        // Who may go from a node is asked there, too.
        let alone = |plugin: &str| profile.looks_at_one_node(plugin) || profile.only_preempts(plugin);
        let by_node_alone = info.unschedulable_plugins.iter().all(alone);
        let name = node_of(change).filter(|_| by_node_alone && info.pending_plugins.is_empty())?;
        let (table, none) = (self.cache.table(), Overlay::default());
        let view = table.view();
        let Some(row) = table.row(name).filter(|row| view.node(*row).is_some()) else {
            // Nobody can be on a node that is not there.
            return Some(Chance::None);
        };
        // A group may have a priority of its own.
        if info.group.is_some() && !profile.post_filter.is_empty() {
            return None;
        }
        let preempts = match &info.clearing {
            Clearing::Node(_) | Clearing::HeldOff => false,
            Clearing::Nowhere => self.may_preempt(profile, pod)?,
            Clearing::Unknown if self.may_preempt(profile, pod)? => return None,
            Clearing::Unknown => false,
        };
        let PreFiltered::Run(prepared) = Prepared::for_pod(profile, view, &none, pod) else { return None };
        // Imagining pods away elsewhere may come to another end, too, if a filter counts over all nodes; and those that
        // are alike in their spec alone may differ in that.
        let one_by_one = prepared.filters().all(|filter| profile.looks_at_one_node(filter));
        if preempts && !(one_by_one && profile.may_clear_nodes_for(pod)) {
            return None;
        }
        // What PreFilter leaves follows from the spec, or a plugin that looks beyond it would be among those that turn
        // the pod away.
        if !prepared.leaves(name) && pod.nominated_node_name.as_ref() != Some(name) {
            return Some(Chance::None);
        }
        // Nominated pods are left out: those that are alike may be nominated for different nodes, and no one's own
        // nomination is in its way. And it is an old story only where a plugin tells it that turned the pod away before;
        // another one is told by an attempt, so that the pod's message is true.
        let as_before =
            |by: &(&'static str, Code)| profile.looks_at_spec(by.0) && info.unschedulable_plugins.contains(by.0);
        let Some((_, code)) = prepared.turned_away_by(view, &none, row).filter(as_before) else {
            return Some(Chance::Some);
        };
        if preempts && code == Code::Unschedulable {
            let without = without_lower(view, row, pod);
            let stays = prepared.turned_away_by(view, &without, row).is_some_and(|by| profile.looks_at_spec(by.0));
            return Some(if stays { Chance::None } else { Chance::Some });
        }
        Some(Chance::None)
    }

    /// Whether pods may have to go for this one; `None` where it is not known what PostFilter would do.
    fn may_preempt(&self, profile: &Profile, pod: &PodInfo) -> Option<bool> {
        if profile.post_filter.iter().any(|point| !point.plugin.only_preempts()) {
            return None;
        }
        let lower = self.cache.lowest_priority().is_some_and(|lowest| lowest < pod.priority());
        Some(lower && !pod.spec.never_preempts && !profile.post_filter.is_empty())
    }
}

/// A node that all pods of lower priority have left.
fn without_lower(view: &View, row: Row, pod: &PodInfo) -> Overlay {
    let mut without = Overlay::default();
    for lower in view.pods(row).iter().filter(|p| p.priority() < pod.priority()) {
        without.remove(view, row, Arc::clone(lower));
    }
    without
}

/// The one node that a change is about, if it is about what is on one.
fn node_of(change: &OwnedChange) -> Option<&Istr> {
    match change {
        OwnedChange::Pod(old, new) => {
            let place = |pod: &PodInfo| pod.node_name.clone().or_else(|| pod.nominated_node_name.clone());
            match (old, new) {
                // A pod that came to a node was on none before.
                (None, Some(pod)) | (Some(pod), None) => pod.node_name.as_ref().or(pod.nominated_node_name.as_ref()),
                (Some(old), Some(new)) if place(old) == place(new) => new.node_name.as_ref(),
                _ => None,
            }
        }
        // A node that changes may turn the pod away for another reason by now, which its message is to say; and nodes do
        // not change as often as pods come and go.
        OwnedChange::Node(..) | OwnedChange::Other(..) | OwnedChange::None => None,
    }
}
