//! Which events are written at all (`eventPolicy`), and those of many pods told as one.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;
use plimsoll_engine::effect::PodEvent;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::time::Time;

use crate::config::EventPolicy;

/// After one event about the pods of an owner the next one comes no sooner.
const EVERY: Duration = Duration::from_secs(10);
/// Owners that are remembered.
const OWNERS: usize = 4_096;

/// The scheduler of a pod and the UID of its owner.
type Key = (Istr, Istr);

/// Says what is written of what happens.
pub(super) struct Summary {
    policy: EventPolicy,
    /// Pods that found a place since somebody was told of others of their owner: the last of them, and how many.
    untold: HashMap<Key, Option<(PodEvent, u32)>>,
    /// When that was, the earliest first: an owner has been told of for as long as it is in here.
    told: VecDeque<(Time, Key)>,
}

impl Summary {
    pub(super) fn new(policy: EventPolicy) -> Self {
        Self { policy, untold: HashMap::new(), told: VecDeque::new() }
    }

    /// What is to be written of an event now: it may be nothing, or told later with others of its kind.
    pub(super) fn take(&mut self, event: PodEvent, now: Time) -> Option<PodEvent> {
        // That a pod was placed can be read from the pod; all else happens to few, or is what somebody looks for.
        if event.warning || event.reason != "Scheduled" {
            return Some(event);
        }
        match self.policy {
            EventPolicy::All => Some(event),
            EventPolicy::FailuresOnly => None,
            EventPolicy::Aggregated => self.aggregate(event, now),
        }
    }

    fn aggregate(&mut self, event: PodEvent, now: Time) -> Option<PodEvent> {
        let Some(owner) = &event.pod.owner else { return Some(event) };
        let key = (event.pod.scheduler_name.clone(), owner.uid.clone());
        if let Some(untold) = self.untold.get_mut(&key) {
            let before = untold.take().map_or(0, |(_, count)| count);
            *untold = Some((event, before + 1));
            return None;
        }
        // Beyond measure everything is told as it comes.
        if self.untold.len() < OWNERS {
            self.untold.insert(key.clone(), None);
            self.told.push_back((now, key));
        }
        Some(event)
    }

    /// When [`Self::due`] next has something to do.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.told.front().map(|(told, _)| told.after(EVERY))
    }

    /// What is to be written by now of pods that were placed before.
    pub(super) fn due(&mut self, now: Time) -> Vec<PodEvent> {
        let mut events = Vec::new();
        while let Some((told, key)) = self.told.pop_front_if(|(told, _)| told.after(EVERY) <= now) {
            match self.untold.get_mut(&key).and_then(Option::take) {
                Some((event, count)) => {
                    events.push(summed_up(event, count, now.since(told)));
                    self.told.push_back((now, key));
                }
                None => drop(self.untold.remove(&key)),
            }
        }
        events
    }

    /// All that has not been told yet.
    pub(super) fn rest(&mut self, now: Time) -> Vec<PodEvent> {
        let Self { untold, told, .. } = self;
        let told = told.drain(..).filter_map(|(told, key)| {
            let (event, count) = untold.remove(&key).flatten()?;
            Some(summed_up(event, count, now.since(told)))
        });
        told.collect()
    }
}

/// The event of the last of so many pods, with the others in its note.
fn summed_up(mut event: PodEvent, count: u32, within: Duration) -> PodEvent {
    if let Some(owner) = event.pod.owner.as_ref().filter(|_| count > 1) {
        let others = count - 1;
        let pods = if others == 1 { "pod" } else { "pods" };
        let (kind, name, seconds) = (&owner.kind, &owner.name, within.as_secs().max(1));
        event.note = format!("{}, and {others} other {pods} of {kind} {name} within {seconds} s", event.note).into();
    }
    event
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use plimsoll_framework::pod::PodParser;
    use serde_json::json;

    use super::*;

    fn at(seconds: u64) -> Time {
        Time::since_epoch(Duration::from_secs(seconds))
    }

    fn event(name: &str, owner: Option<&str>, reason: &'static str) -> PodEvent {
        let mut metadata = json!({"namespace": "default", "name": name, "uid": name});
        if let Some(owner) = owner {
            metadata["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner, "controller": true}]);
        }
        let pod = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
        PodEvent {
            pod: Arc::new(PodParser::default().parse(&pod)),
            warning: reason == "FailedScheduling",
            reason,
            action: "Binding",
            note: format!("{name} is on n1").into(),
            related: None,
        }
    }

    fn notes(events: impl IntoIterator<Item = PodEvent>) -> Vec<String> {
        events.into_iter().map(|event| event.note.to_string()).collect()
    }

    #[test]
    fn what_each_policy_leaves_out() {
        let rows = [(EventPolicy::All, 4), (EventPolicy::Aggregated, 4), (EventPolicy::FailuresOnly, 2)];
        for (policy, expect) in rows {
            let mut summary = Summary::new(policy);
            let events = [
                event("a", Some("web"), "Scheduled"),
                event("b", None, "Scheduled"),
                event("c", Some("web"), "FailedScheduling"),
                event("d", Some("web"), "Preempted"),
            ];
            let written = events.into_iter().filter_map(|event| summary.take(event, at(0))).count();
            assert_eq!(written, expect, "{policy:?}");
        }
    }

    #[test]
    fn pods_of_one_owner_are_told_together() {
        let mut summary = Summary::new(EventPolicy::Aggregated);
        let take = |summary: &mut Summary, name: &str, owner: Option<&str>, second| {
            notes(summary.take(event(name, owner, "Scheduled"), at(second)))
        };
        assert_eq!(take(&mut summary, "a", Some("web"), 0), ["a is on n1"]);
        assert_eq!(take(&mut summary, "b", Some("web"), 1), Vec::<String>::new());
        assert_eq!(take(&mut summary, "x", Some("db"), 1), ["x is on n1"]);
        assert_eq!(take(&mut summary, "c", Some("web"), 2), Vec::<String>::new());
        assert_eq!(take(&mut summary, "d", None, 2), ["d is on n1"]);
        assert_eq!(summary.next_due(), Some(at(10)));
        assert!(summary.due(at(9)).is_empty());
        assert_eq!(notes(summary.due(at(10))), ["c is on n1, and 1 other pod of ReplicaSet web within 10 s"]);
        // The window has begun anew, and db was quiet in its own.
        assert_eq!(take(&mut summary, "e", Some("web"), 12), Vec::<String>::new());
        assert!(summary.due(at(15)).is_empty());
        assert_eq!(take(&mut summary, "y", Some("db"), 15), ["y is on n1"]);
        assert_eq!(notes(summary.rest(at(16))), ["e is on n1"]);
    }

    #[test]
    fn owners_are_forgotten_when_they_are_quiet() {
        let mut summary = Summary::new(EventPolicy::Aggregated);
        for n in 0..2 * OWNERS {
            assert!(summary.take(event("p", Some(&n.to_string()), "Scheduled"), at(0)).is_some());
        }
        assert_eq!((summary.untold.len(), summary.told.len()), (OWNERS, OWNERS));
        assert!(summary.due(at(10)).is_empty());
        assert_eq!((summary.untold.len(), summary.next_due()), (0, None));
    }
}
