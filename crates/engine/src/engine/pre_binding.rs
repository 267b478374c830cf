//! Between Permit and Bind: what has to be written first, and what others have to do about it (reference sections 6.3 and
//! 9.4).
//!
//! ```text
//!  PreBind --> Writing ------> Awaiting --> Bind
//!              until answered  until every plugin says Ready, or one Failed, or the time is up
//! ```
//!
//! What was written is in the hands of others, so a pod that is given up while it is being written for is let go only when
//! the answer is there. One that waits is let go at once. Neither holds up any other pod.

use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::{KindId, ObjectKey};
use plimsoll_framework::plugin::{PreBindAnswer, Progress};
use plimsoll_framework::pod::Uid;
use plimsoll_framework::point::Point;
use plimsoll_framework::time::Time;

use super::Engine;
use super::awaiting::{Awaiting, Wait};
use super::binding::Binding;
use super::failure::Failure;
use crate::cache::Standing;
use crate::effect::{AttemptResult, Effect, Observation, WriteRequest};
use crate::event::WriteFailure;

/// A pod for which something is being written.
pub(super) struct PreBinding {
    binding: Binding,
    waits: Vec<Wait>,
}

impl Engine {
    /// From here on only the binding itself can fail: what happens meanwhile no longer concerns the decision.
    pub(super) fn start_binding(&mut self, now: Time, binding: Binding) {
        let pod = Arc::clone(&binding.info.pod);
        self.queue.done(&pod.key.uid);
        let profiles = Arc::clone(&self.profiles);
        let (mut writes, mut waits) = (Vec::new(), Vec::new());
        let points = profiles[binding.info.profile].pre_bind.iter().enumerate();
        for (at, point) in points.filter(|(_, point)| point.plugin.concerns(&pod.spec)) {
            let Some(node) = self.node(&binding.node) else {
                let why = no_node(&binding.node);
                return self.pre_bind_failed(now, binding, point.name, &why);
            };
            let assumed = binding.assumed.iter().find(|(plugin, _)| *plugin == point.name);
            let assumed = assumed.map_or(&[][..], |(_, assumed)| assumed);
            match point.plugin.pre_bind(&pod, node, assumed, self.cache.table().view()) {
                Err(error) => return self.pre_bind_failed(now, binding, point.name, &error.to_string()),
                Ok(PreBindAnswer { writes: more, wait }) => {
                    writes.extend(more.into_iter().map(|write| (point.name, write)));
                    waits.extend(wait.map(|awaited| Wait { at, plugin: point.name, awaited }));
                }
            }
        }
        if !writes.is_empty() || !waits.is_empty() {
            self.write_nomination(&pod, Some(binding.node.clone()));
        }
        let ready = PreBinding { binding, waits };
        if writes.is_empty() {
            return self.await_others(now, ready);
        }
        self.writing.insert(pod.key.uid.clone(), ready);
        self.effects.push_back(Effect::Write(Box::new(WriteRequest { pod, writes })));
    }

    /// What a pod needed is written, or not.
    pub(super) fn writes_finished(&mut self, now: Time, uid: &Uid, result: Result<(), WriteFailure>) {
        let Some(written) = self.writing.remove(uid) else { return };
        if !self.is_still_assumed(&written.binding) {
            return self.give_up(now, &written.binding);
        }
        match result {
            Ok(()) => self.await_others(now, written),
            Err(WriteFailure { plugin, message }) => self.pre_bind_failed(now, written.binding, plugin, &message),
        }
    }

    /// Everything is written: the pod waits as long as some plugin does.
    fn await_others(&mut self, now: Time, PreBinding { binding, waits }: PreBinding) {
        if waits.is_empty() {
            return self.bind(now, binding);
        }
        let waits = waits.into_iter().map(|wait| {
            let deadline = now.after(wait.awaited.at_most);
            (wait, deadline)
        });
        let waits = waits.collect();
        self.look_at(now, Awaiting { binding, waits, hangs_on: None });
    }

    /// Asks what the pod still waits for, and goes on accordingly.
    fn look_at(&mut self, now: Time, mut awaiting: Awaiting) {
        match self.what_is_left(&mut awaiting) {
            Err((plugin, why)) => self.pre_bind_failed(now, awaiting.binding, plugin, &why),
            Ok(()) if awaiting.waits.is_empty() => self.bind_at_last(now, awaiting.binding),
            Ok(()) => match awaiting.waits.iter().find(|(_, deadline)| *deadline <= now) {
                Some((wait, _)) => {
                    let (plugin, why) = (wait.plugin, wait.trouble("context deadline exceeded"));
                    self.pre_bind_failed(now, awaiting.binding, plugin, &why);
                }
                None => {
                    awaiting.hangs_on = self.what_it_hangs_on(&awaiting);
                    self.awaiting.insert(awaiting);
                }
            },
        }
    }

    /// Drops the waits that are over. The error says which plugin gives up, and why.
    fn what_is_left(&self, awaiting: &mut Awaiting) -> Result<(), (&'static str, String)> {
        let plugins = &self.profiles[awaiting.binding.info.profile].pre_bind;
        let (node, view) = (self.node(&awaiting.binding.node), self.cache.table().view());
        let mut failed = None;
        awaiting.waits.retain(|(wait, _)| {
            let Some(node) = node.filter(|_| failed.is_none()) else { return true };
            let progress = plugins.get(wait.at).map(|point| point.plugin.progress(&*wait.awaited.state, node, view));
            if let Some(Progress::Failed(error)) = &progress {
                failed = Some((wait.plugin, wait.trouble(&error.to_string())));
            }
            progress == Some(Progress::Wait)
        });
        if let (None, Some((wait, _))) = (node, awaiting.waits.first()) {
            let name = &awaiting.binding.node;
            return Err((
                wait.plugin,
                wait.trouble(&format!("failed to get node {:?}: {}", name.as_str(), no_node(name))),
            ));
        }
        failed.map_or(Ok(()), Err)
    }

    /// The objects without whose change the pod goes on waiting.
    fn what_it_hangs_on(&self, awaiting: &Awaiting) -> Option<Vec<(KindId, ObjectKey)>> {
        let plugins = &self.profiles[awaiting.binding.info.profile].pre_bind;
        let (node, view) = (self.node(&awaiting.binding.node)?, self.cache.table().view());
        let mut all = Vec::new();
        for (wait, _) in &awaiting.waits {
            all.extend(plugins.get(wait.at)?.plugin.hangs_on(&*wait.awaited.state, node, view)?);
        }
        Some(all)
    }

    /// Binds a pod that has waited. What it is by now is what is bound.
    fn bind_at_last(&mut self, now: Time, mut binding: Binding) {
        if let Some(known) = self.cache.get(&binding.info.pod.key.uid) {
            binding.info.pod = Arc::clone(&known.pod);
        }
        self.bind(now, binding);
    }

    fn pre_bind_failed(&mut self, now: Time, binding: Binding, plugin: &'static str, why: &str) {
        self.observations.push(Observation::PluginFailed { plugin, point: Point::PreBind });
        let message = format!("running PreBind plugin \"{plugin}\": {why}");
        self.give_back(now, binding, Failure::Error(message));
    }

    /// Looks at the pods that wait for something that has changed, or whose time is up.
    pub(super) fn look_at_awaiting(&mut self, now: Time) {
        for uid in self.awaiting.take_due(now) {
            if let Some(awaiting) = self.awaiting.remove(&uid) {
                self.look_at(now, awaiting);
            }
        }
    }

    /// An object of a further kind has changed: the pods that wait for it are looked at when everything is taken in that
    /// comes with it.
    pub(super) fn object_changed(&mut self, now: Time, kind: KindId, key: ObjectKey) {
        let mut plugins = self.profiles.iter().flat_map(|profile| &profile.pre_bind);
        self.awaiting.object_changed(now, kind, key, || plugins.any(|point| point.plugin.reads(kind)));
    }

    /// A pod that is held on its way to its node is gone, or will be, or is on another node.
    pub(super) fn leave(&mut self, now: Time, uid: &Uid) {
        self.leave_permit(now, uid);
        self.leave_awaiting(now, uid);
    }

    /// A pod that waits for what others do loses its node.
    pub(super) fn end_awaiting(&mut self, now: Time, uid: &Uid, failure: Failure) {
        if let Some(awaiting) = self.awaiting.remove(uid) {
            self.give_back(now, awaiting.binding, failure);
        }
    }

    pub(super) fn leave_awaiting(&mut self, now: Time, uid: &Uid) {
        if let Some(awaiting) = self.awaiting.remove(uid) {
            self.give_up(now, &awaiting.binding);
        }
    }

    /// A pod that will not be bound, and is not to be tried again.
    fn give_up(&mut self, now: Time, binding: &Binding) {
        let withdrawn = self.unreserve(binding);
        let (result, profile) = (AttemptResult::Error, binding.info.profile);
        self.observations.push(Observation::Attempt { result, profile, duration: now.since(binding.popped) });
        self.tell_withdrawn(now, &binding.info.pod.key.uid, withdrawn);
    }

    /// Whether the pod is still where it was put, and nowhere else.
    fn is_still_assumed(&self, binding: &Binding) -> bool {
        let known = self.cache.get(&binding.info.pod.key.uid);
        known.is_some_and(|known| match &known.standing {
            Standing::Assumed(assumed) => assumed.node == binding.node,
            _ => false,
        })
    }
}

/// The API server's words for a node that is not there.
fn no_node(name: &Istr) -> String {
    format!("node {:?} not found", name.as_str())
}
