//! Events become changes of the cache and the queue (reference section 9.7).

use std::sync::Arc;

use hashbrown::HashSet;
use plimsoll_framework::cluster_event::{Actions, ClusterEvent, EventResource};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindRef, ObjectKey};
use plimsoll_framework::pod::{PodInfo, PodKey, Uid};
use plimsoll_framework::time::Time;

use super::Engine;
use crate::cache::{Assumed, Known, Standing, counts_alike};
use crate::changes;
use crate::effect::{Effect, Observation, Reason};
use crate::event::{Event, OwnedChange};

const ASSIGNED_ADD: ClusterEvent = ClusterEvent::new(EventResource::AssignedPod, Actions::ADD);
pub(super) const ASSIGNED_DELETE: ClusterEvent = ClusterEvent::new(EventResource::AssignedPod, Actions::DELETE);

impl Engine {
    pub(super) fn ingest(&mut self, now: Time, event: Event) {
        match event {
            Event::Pod(pod) => self.pod_seen(now, Arc::from(pod)),
            Event::PodDeleted { uid, resource_version } => self.pod_deleted(now, &uid, resource_version),
            Event::PodsListed { present, resource_version } => self.pods_listed(now, &present, resource_version),
            Event::Node(node) => self.node_seen(now, Arc::from(node)),
            Event::NodeDeleted { name } => self.node_deleted(now, &name),
            Event::NodesListed { present } => {
                let view = self.cache.table().view();
                let known = view.rows().filter_map(|row| view.node(row).map(|n| n.name.clone()));
                let gone: Vec<Istr> = known.filter(|name| !present.contains(name)).collect();
                gone.iter().for_each(|name| self.node_deleted(now, name));
            }
            Event::Namespace { name, labels } => self.cache.set_namespace(name, labels),
            Event::NamespacesListed { present } => {
                let known = self.cache.table().view().cluster().namespaces();
                let gone: Vec<Istr> = known.filter(|name| !present.contains(*name)).cloned().collect();
                gone.into_iter().for_each(|name| self.cache.set_namespace(name, None));
            }
            Event::Object { kind, key, resource_version, object } => {
                // A list tells again what is known, which must not end what is assumed on top of it.
                if !self.cache.note_object_version(kind.id, &key, object.as_ref().map(|_| resource_version)) {
                    return;
                }
                let old = self.cache.set_object(kind.id, &key, object.clone());
                let actions = match (&old, &object) {
                    (None, Some(_)) => Actions::ADD,
                    (_, None) => Actions::DELETE,
                    (Some(_), Some(_)) => Actions::UPDATE,
                };
                self.touch_groups_of(kind.id, &key);
                let event = ClusterEvent::new(EventResource::Other(kind.event_name()), actions);
                self.wake(now, &event, OwnedChange::Other(old, object), |_| true);
                self.look_again_at_held(now);
                self.object_changed(now, kind.id, key);
            }
            Event::ObjectsListed { kind, present } => {
                let keys = self.cache.table().view().cluster().object_keys(kind.id);
                let mut gone: Vec<_> = keys.filter(|key| !present.contains(key)).collect();
                // In a fixed order, so that every run goes the same way.
                gone.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
                gone.into_iter().for_each(|key| self.object_gone(now, kind, key));
            }
            Event::KindServed { kind, version } => self.kind_served(kind.id, version),
            Event::Hidden { kind, hidden } => self.hidden(now, kind, hidden),
            Event::WritesFinished { uid, result } => self.writes_finished(now, &uid, result),
            Event::NominationWritten { uid, number, version } => self.nomination_written(&uid, number, version),
            Event::BindFinished { uid, result } => self.bind_finished(now, &uid, result),
            Event::Evicted { victim, preemptor, result } => self.evicted(now, &victim, &preemptor, result),
            Event::Answered { uid, number, result } => self.answered(now, &uid, number, result),
            Event::PreemptAnswered { uid, number, result } => self.preempt_answered(&uid, number, result),
            Event::PodAbsent { key } => self.pod_absent(now, &key),
            Event::RefusedByKubelet(refusal) => self.refused_by_kubelet(now, &refusal),
        }
    }

    /// Pods that have to see what is hidden now are kept back, wherever they wait; the others are looked at again.
    fn hidden(&mut self, now: Time, kind: Option<KindRef>, hidden: bool) {
        if !self.hidden.set(kind.map(|kind| kind.id), hidden) {
            return;
        }
        if !hidden {
            return self.look_again_at_held(now);
        }
        let pending = self.cache.iter().filter(|known| known.standing == Standing::Pending);
        let mut pending: Vec<Arc<PodInfo>> = pending.map(|known| Arc::clone(&known.pod)).collect();
        pending.sort_by(|a, b| a.key.uid.cmp(&b.key.uid));
        for pod in pending {
            let profile = self.by_name.get(&pod.scheduler_name).copied();
            if profile.is_some_and(|profile| self.hold(None, &pod, profile)) {
                self.forget_ask(&pod.key.uid);
                self.queue.delete(&pod.key.uid);
                self.cache.set(pod, Standing::Held);
            }
        }
    }

    fn object_gone(&mut self, now: Time, kind: KindRef, key: ObjectKey) {
        self.ingest(now, Event::Object { kind, key, resource_version: 0, object: None });
    }

    // --- pods ---

    fn pod_seen(&mut self, now: Time, pod: Arc<PodInfo>) {
        let known = self.cache.get(&pod.key.uid).cloned();
        // Watches can be behind what another watch, or a read, has told already.
        let newer = |known: &Known| pod.resource_version == 0 || pod.resource_version > known.pod.resource_version;
        if known.as_ref().map_or_else(|| self.cache.is_buried(&pod), |known| !newer(known)) {
            return;
        }
        self.nominations.seen(&pod.key.uid, pod.resource_version);
        if pod.finished {
            return self.pod_deleted(now, &pod.key.uid, pod.resource_version);
        }
        match (known, pod.node_name.is_some()) {
            (known, true) => self.pod_assigned(now, known, pod),
            (None, false) => self.pod_added(now, None, pod),
            (Some(known), false) => self.pod_updated(now, &known, pod),
        }
    }

    /// A pod is on a node, whoever put it there.
    fn pod_assigned(&mut self, now: Time, known: Option<Known>, pod: Arc<PodInfo>) {
        let uid = pod.key.uid.clone();
        if let Some(known) = &known {
            self.compare(known, &pod);
        }
        match known.as_ref().map(|k| &k.standing) {
            Some(Standing::Assumed(Assumed { node, .. })) if pod.node_name.as_ref() != Some(node) => {
                tracing::warn!(pod = %pod.key, assumed = %node, actual = ?pod.node_name, "pod is on another node than the one chosen here");
                self.leave(now, &uid);
            }
            Some(Standing::Assumed(_)) => self.bound_by_another(now, &uid),
            Some(Standing::Pending) => {
                self.forget_ask(&uid);
                self.leave_queue(&uid);
            }
            _ => {}
        }
        self.nominate(now, None, &pod);
        self.nominations.forget(&uid);
        self.needs_no_room(&uid);
        self.cache.set(Arc::clone(&pod), Standing::Assigned);
        if pod.terminating {
            self.leaves(now, &pod, false);
        }
        if let Some(known) = known.as_ref().filter(|k| k.node().is_some()) {
            if known.node() != pod.node_name.as_ref() {
                self.place_left(now, known);
            } else if known.standing == Standing::Assigned {
                return self.place_changed(now, &known.pod, &pod);
            } else if !counts_alike(&known.pod, &pod) {
                self.place_changed(now, &known.placed(), &pod);
            }
        }
        self.wake(now, &ASSIGNED_ADD, OwnedChange::Pod(None, Some(pod)), |_| true);
    }

    /// A pod has changed on the node that it counts on.
    fn place_changed(&mut self, now: Time, old: &Arc<PodInfo>, new: &Arc<PodInfo>) {
        for event in changes::of_pod(old, new) {
            let change = OwnedChange::Pod(Some(Arc::clone(old)), Some(Arc::clone(new)));
            self.wake(now, &event, change, |_| true);
        }
    }

    /// A pod without a node is new to us, as it is now; `old` is what it was while it did not concern the queue.
    fn pod_added(&mut self, now: Time, old: Option<&PodInfo>, pod: Arc<PodInfo>) {
        self.nominate(now, pod.nominated_node_name.clone(), &pod);
        let Some(profile) = self.by_name.get(&pod.scheduler_name).copied() else {
            self.cache.set(pod, Standing::Foreign);
            return;
        };
        if self.hold(old, &pod, profile) {
            self.cache.set(pod, Standing::Held);
        } else {
            self.cache.set(Arc::clone(&pod), Standing::Pending);
            self.queue.add(now, pod, profile);
        }
    }

    /// A pod without a node has changed.
    fn pod_updated(&mut self, now: Time, known: &Known, pod: Arc<PodInfo>) {
        let old = &known.pod;
        match &known.standing {
            Standing::Assumed(_) => self.assumed_updated(now, known, pod),
            // An older answer than that of the node it is on; there is no way back from a node.
            Standing::Assigned => tracing::warn!(pod = %pod.key, "pod is on a node and now seen without one; ignored"),
            // It was given up while its binding was under way; what becomes of that is waited for.
            Standing::Held if self.is_under_way(&pod.key.uid) => {
                self.cache.set(pod, Standing::Held);
            }
            Standing::Foreign | Standing::Held => {
                self.cache.remove(&pod.key.uid);
                self.pod_added(now, Some(old), pod);
            }
            Standing::Pending => {
                match self.by_name.get(&pod.scheduler_name).copied() {
                    Some(profile) if !self.hold(Some(old), &pod, profile) => {
                        self.cache.set(Arc::clone(&pod), Standing::Pending);
                        if !self.stays_at_rest(now, old, &pod) {
                            self.queue.update(now, old, &pod, profile, &changes::of_pod(old, &pod));
                        }
                    }
                    profile => {
                        self.leave_queue(&pod.key.uid);
                        let standing = if profile.is_some() { Standing::Held } else { Standing::Foreign };
                        self.cache.set(Arc::clone(&pod), standing);
                    }
                }
                let kept = |engine: &Self| engine.cache.table().view().nominations().node_of(&pod.key.uid).cloned();
                let before = kept(self);
                let node = self.nomination_shown(old, &pod);
                self.nominate(now, node, &pod);
                // Somebody else has nominated it, or not any more: what it waits for may never come.
                if kept(self) != before {
                    self.queue.wake_one(now, &pod.key.uid);
                }
            }
        }
    }

    /// A pod whose binding is under way has changed. If it ends, what it was to take up is given back, and the binding, if
    /// it still comes about, is seen by the watch.
    fn assumed_updated(&mut self, now: Time, known: &Known, pod: Arc<PodInfo>) {
        if !pod.terminating {
            let is = Known { pod: Arc::clone(&pod), standing: known.standing.clone() };
            self.cache.set(pod, known.standing.clone());
            return self.place_changed(now, &known.placed(), &is.placed());
        }
        self.leave(now, &pod.key.uid);
        self.leaves(now, &pod, false);
        self.cache.set(pod, Standing::Held);
        self.wake(now, &ASSIGNED_DELETE, OwnedChange::Pod(Some(known.placed()), None), |_| true);
    }

    fn pod_deleted(&mut self, now: Time, uid: &Uid, resource_version: u64) {
        let Some(known) = self.cache.get(uid) else { return self.cache.bury(uid, resource_version) };
        if resource_version != 0 && resource_version < known.pod.resource_version {
            return;
        }
        let last = resource_version.max(known.pod.resource_version);
        self.cache.bury(uid, last);
        self.forget_ask(uid);
        self.leave(now, uid);
        self.leave_queue(uid);
        let Some(known) = self.cache.remove(uid) else { return };
        self.needs_no_room(uid);
        self.leaves(now, &known.pod, true);
        self.nominate(now, None, &known.pod);
        self.nominations.forget(uid);
        if known.node().is_some() {
            self.wake(now, &ASSIGNED_DELETE, OwnedChange::Pod(Some(known.placed()), None), |_| true);
        }
    }

    /// What a list does not name is gone, unless it is newer than the list. An assumed pod is asked after by name
    /// first: a list from a cache that lags must not give its place away.
    fn pods_listed(&mut self, now: Time, present: &HashSet<Uid>, resource_version: u64) {
        let missing = |known: &&Known| !present.contains(&known.pod.key.uid);
        let (mut gone, mut doubtful) = (Vec::new(), Vec::new());
        for known in self.cache.iter().filter(missing) {
            let key = &known.pod.key;
            if matches!(known.standing, Standing::Assumed(_)) || known.pod.resource_version > resource_version {
                doubtful.push(key.clone());
            } else {
                gone.push(key.uid.clone());
            }
        }
        gone.sort();
        doubtful.sort();
        gone.iter().for_each(|uid| self.pod_deleted(now, uid, resource_version));
        self.effects.extend(doubtful.into_iter().map(Effect::ReadPod));
    }

    /// Nobody is to decide the pod any more.
    fn leave_queue(&mut self, uid: &Uid) {
        self.queue.delete(uid);
        self.resting.forget(uid);
    }

    fn pod_absent(&mut self, now: Time, key: &PodKey) {
        self.pod_deleted(now, &key.uid, u64::MAX);
    }

    /// Reports a pod that cannot be scheduled as it is; whether it is one. It is counted when it becomes one, and not
    /// again with every change that leaves it so, such as that of its condition.
    fn hold(&mut self, old: Option<&PodInfo>, pod: &Arc<PodInfo>, profile: usize) -> bool {
        let Some((reason, message)) = self.refusal(pod, profile) else { return false };
        let before = old.filter(|old| old.scheduler_name == pod.scheduler_name);
        if before.and_then(|old| self.refusal(old, profile)).is_none_or(|(was, _)| was != reason) {
            self.observations.push(Observation::Held { reason });
        }
        if self.leads {
            self.report(pod, reason, message.into(), None);
        }
        true
    }

    /// Says of every pod that is kept back why, where it was not said yet.
    pub(super) fn report_held(&mut self) {
        let mut held: Vec<Arc<PodInfo>> = self.cache.held().map(|known| Arc::clone(&known.pod)).collect();
        held.retain(|pod| !pod.terminating);
        for pod in held {
            let profile = self.by_name.get(&pod.scheduler_name).copied();
            if let Some((reason, message)) = profile.and_then(|profile| self.refusal(&pod, profile)) {
                self.report(&pod, reason, message.into(), None);
            }
        }
    }

    /// What kept a pod from being scheduled may have been an object that is another now.
    fn look_again_at_held(&mut self, now: Time) {
        let free = |known: &&Known| {
            let pod = &known.pod;
            let profile = self.by_name.get(&pod.scheduler_name);
            let in_the_way = pod.terminating || self.is_under_way(&pod.key.uid);
            !in_the_way && profile.is_some_and(|profile| self.refusal(pod, *profile).is_none())
        };
        let freed: Vec<Arc<PodInfo>> = self.cache.held().filter(free).map(|known| Arc::clone(&known.pod)).collect();
        for pod in freed {
            self.pod_added(now, Some(&Arc::clone(&pod)), pod);
        }
    }

    /// Keeps a pod back that was to be bound, if it cannot be any more; whether that is so.
    pub(super) fn hold_at_commit(&mut self, pod: &Arc<PodInfo>, profile: usize) -> bool {
        let held = self.hold(None, pod, profile);
        if held {
            self.cache.set(Arc::clone(pod), Standing::Held);
            self.queue.done(&pod.key.uid);
            self.resting.forget(&pod.key.uid);
        }
        held
    }

    /// Why a pod cannot be scheduled as it is, if it cannot.
    pub(super) fn refusal(&self, pod: &PodInfo, profile: usize) -> Option<(Reason, String)> {
        if let Some(faults) = &pod.faults {
            return Some((Reason::Invalid, format!("the pod cannot be scheduled: {faults}")));
        }
        if let Some(needs) = self.profiles[profile].needs_to_see(pod, &self.hidden) {
            return Some((Reason::MissingPermission, format!("the pod cannot be scheduled: {needs}")));
        }
        let needs = (self.settings.admission)(pod, &self.profiles[profile], self.cache.table().view().cluster())?;
        Some((Reason::Unsupported, format!("the pod cannot be scheduled: it {needs}")))
    }

    /// A pod was taken off the node it was assumed on, which is room for others.
    pub(super) fn place_left(&mut self, now: Time, left: &Known) {
        let change = OwnedChange::Pod(Some(left.placed()), None);
        self.wake(now, &ASSIGNED_DELETE, change, |p| p.key.uid != left.pod.key.uid);
    }

    /// The same of a pod of a gang: the others had a place beside this one, so its going helps none of them.
    pub(super) fn place_left_by_gang(&mut self, now: Time, left: &Known) {
        let change = OwnedChange::Pod(Some(left.placed()), None);
        let group = left.pod.group_key();
        self.wake(now, &ASSIGNED_DELETE, change, |p| p.group_key() != group);
    }

    // --- nodes ---

    fn node_seen(&mut self, now: Time, node: Arc<NodeInfo>) {
        if !self.cache.note_node_version(&node.name, node.resource_version) {
            return;
        }
        match self.cache.set_node(Arc::clone(&node)) {
            None => {
                self.awaiting.node_changed(now, &node.name);
                let event = ClusterEvent::new(EventResource::Node, Actions::ADD);
                self.wake(now, &event, OwnedChange::Node(None, Some(node)), |_| true);
            }
            Some(old) => {
                let events = changes::of_node(&old, &node);
                let changed = !events.is_empty();
                if changed {
                    self.awaiting.node_changed(now, &node.name);
                }
                for event in events {
                    let change = OwnedChange::Node(Some(Arc::clone(&old)), Some(Arc::clone(&node)));
                    self.wake(now, &event, change, |_| true);
                }
                if changed {
                    self.wake_nominated(now, &old.name);
                }
            }
        }
    }

    fn node_deleted(&mut self, now: Time, name: &Istr) {
        self.awaiting.node_changed(now, name);
        self.cooling.end(name);
        if let Some(old) = self.cache.remove_node(name) {
            let event = ClusterEvent::new(EventResource::Node, Actions::DELETE);
            self.wake(now, &event, OwnedChange::Node(Some(old), None), |_| true);
            self.wake_nominated(now, name);
        }
    }
}
