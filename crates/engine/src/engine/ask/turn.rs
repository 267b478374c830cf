//! Whose turn it is: pods that were answered for, then those that waited for a place, then the queue.

use std::sync::Arc;

use plimsoll_framework::time::Time;

use super::{Next, Popped};
use crate::cache::Standing;
use crate::engine::Engine;
use crate::extender::Answers;
use crate::queue::QueuedPodInfo;

impl Engine {
    /// Whether a pod can be decided that is popped already.
    pub(in crate::engine) fn has_answers(&self) -> bool {
        !self.asking.answered.is_empty() || !self.asking.parked.is_empty() && self.has_place()
    }

    pub(super) fn has_place(&self) -> bool {
        self.asking.places.len() < self.settings.ask_limit
    }

    /// The next pod to be decided, with its group: one that was answered for, one that waited for a place, or the first
    /// of the queue.
    pub(in crate::engine) fn next_pod(&mut self, now: Time) -> Option<Popped> {
        while let Some(next) = self.asking.answered.pop_front() {
            if let Some(popped) = self.rejoin(now, next).and_then(Next::split) {
                return Some(popped);
            }
        }
        while self.has_place()
            && let Some(first) = self.first_parked()
        {
            let members = self.asking.parked.remove(first);
            members.iter().for_each(|info| self.queue.unpark(&info.pod.key.uid));
            if let Some(next) = self.rejoin(now, Next::new(members, now, Answers::default())) {
                self.asking.places.extend(next.members.first().map(|first| first.pod.key.uid.clone()));
                return next.split();
            }
        }
        loop {
            let info = self.pop()?;
            // So it is with most pods, in which nothing is to be gathered.
            if self.needed_with(&info).is_none() && !self.profiles[info.profile].asks_about(&info.pod) {
                let (others, answers) = (Vec::new(), Answers::default());
                return Some(Popped { info, others, needed: None, popped: now, answers });
            }
            let (members, needed) = self.with_its_gang(now, vec![info]);
            let members = match needed {
                Some(_) => self.asking.join(members),
                None => Some(members),
            };
            let Some(members) = members else { continue };
            let Some(first) = members.first() else { continue };
            if members.iter().any(|info| self.profiles[info.profile].asks_about(&info.pod)) {
                if !self.has_place() {
                    members.iter().for_each(|info| self.queue.park(&info.pod.key.uid));
                    self.asking.parked.push(members);
                    continue;
                }
                self.asking.places.insert(first.pod.key.uid.clone());
            }
            return Next { needed, ..Next::new(members, now, Answers::default()) }.split();
        }
    }

    /// The parked pods whose turn it is: by the order of the queue, then by the order in which they came.
    fn first_parked(&self) -> Option<usize> {
        let parked = &self.asking.parked;
        let less =
            |a: &QueuedPodInfo, b: &QueuedPodInfo| self.profiles[a.profile].queue_sort.less(a.queued(), b.queued());
        let before = |a: usize, b: usize| match (parked[a].first(), parked[b].first()) {
            (Some(a), Some(b)) => less(a, b),
            _ => false,
        };
        (0..parked.len()).reduce(|first, at| if before(at, first) { at } else { first })
    }

    /// Popped pods as they are now, those that still are to be placed; with those of their group that have come since.
    fn rejoin(&mut self, now: Time, next: Next) -> Option<Next> {
        let Next { members, popped, mut answers, .. } = next;
        let held = self.asking.leave_all(&members);
        let members = members.into_iter().filter_map(|info| self.as_it_is(info, &mut answers)).collect();
        let (members, needed) = self.with_its_gang(now, members);
        let first = members.first()?;
        if held {
            self.asking.places.insert(first.pod.key.uid.clone());
        }
        Some(Next { needed, ..Next::new(members, popped, answers) })
    }

    /// A popped pod as it is now, if it still is to be placed. What was said of it counts only if it is the same.
    fn as_it_is(&mut self, mut info: QueuedPodInfo, answers: &mut Answers) -> Option<QueuedPodInfo> {
        let asked = Arc::clone(&info.pod);
        let uid = &asked.key.uid;
        let pending = self.cache.get(uid).filter(|k| k.standing == Standing::Pending).map(|k| Arc::clone(&k.pod));
        let Some(pod) = pending else {
            self.queue.done(uid);
            return None;
        };
        if self.skip_terminating(&pod) {
            return None;
        }
        if !Arc::ptr_eq(&pod.spec, &asked.spec) || pod.labels != asked.labels {
            answers.remove(uid);
        }
        if let Some(profile) = self.by_name.get(&pod.scheduler_name) {
            info.profile = *profile;
        }
        info.group = pod.group_key();
        info.pod = pod;
        Some(info)
    }
}
