//! The times of a group: since when it can be tried, when it steps back for others, when it is said what it waits for.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_framework::pod::{GroupKey, PodInfo};
use plimsoll_framework::time::Time;

use super::rule::Members;
use super::{Gang, Stage};
use crate::effect::Reason;
use crate::engine::Engine;
use crate::engine::binding::in_words;
use crate::gang::PodGroup;

/// After how long without change it is said what a group waits for: most are complete before.
const SAID_AFTER: Duration = Duration::from_secs(2);
/// How long a group steps back for others that was not placed in its time; doubled each time, up to the longest.
const AWAY: Duration = Duration::from_secs(30);
const AWAY_LONGEST: Duration = Duration::from_secs(600);

impl Engine {
    /// Since when it can be tried; and whether it has to step back, or has done so for long enough.
    pub(super) fn mind_the_time(
        &self,
        now: Time,
        key: &GroupKey,
        gang: &mut Gang,
        group: Option<&PodGroup>,
        members: &Members,
    ) {
        gang.away = gang.away.filter(|until| *until > now);
        let Stage::Open { needed } = gang.stage else {
            (gang.since, gang.away) = (None, None);
            return;
        };
        if needed == 0 {
            (gang.timeouts, gang.away) = (0, None);
        }
        if gang.away.is_none() {
            gang.since = (!members.ready.is_empty()).then(|| gang.since.unwrap_or(now));
            if self.timeout_at(gang, group, members).is_some_and(|at| at <= now) {
                gang.away = Some(now.after(away(gang.timeouts)));
                gang.timeouts += 1;
            }
        }
        if gang.away.is_some() {
            gang.since = None;
            let timeout = group.and_then(|group| group.schedule_timeout).unwrap_or_default();
            let text = format!(
                "{key} was not placed within {} (scheduleTimeoutSeconds); others go first for {}",
                in_words(timeout),
                in_words(away(gang.timeouts.saturating_sub(1)))
            );
            gang.stage = Stage::Closed(Reason::GangTimedOut, text);
        }
    }

    /// When it has to step back for others; never while it is being decided.
    pub(super) fn timeout_at(&self, gang: &Gang, group: Option<&PodGroup>, members: &Members) -> Option<Time> {
        let at = gang.since?.after(group?.schedule_timeout?);
        let waits = matches!(gang.stage, Stage::Open { needed } if needed > 0);
        let decided_now = || members.ready.iter().any(|pod| self.queue.is_in_flight(&pod.key.uid));
        (waits && !decided_now()).then_some(at)
    }

    /// Tells every pod of a closed group why it waits, once that has not changed for a moment.
    pub(super) fn say_what_it_waits_for(&mut self, now: Time, gang: &mut Gang, members: &Members) {
        let Stage::Closed(reason, text) = &gang.stage else {
            gang.say_at = None;
            return;
        };
        let told = |pod: &Arc<PodInfo>| {
            pod.scheduled.as_ref().is_some_and(|c| &*c.reason == reason.as_str() && *c.message == **text)
        };
        let untold: Vec<&Arc<PodInfo>> = members.ready.iter().filter(|pod| !told(pod)).collect();
        if untold.is_empty() {
            gang.say_at = None;
        } else if gang.say_at.is_some_and(|at| at <= now) {
            gang.say_at = None;
            untold.into_iter().for_each(|pod| self.report(pod, *reason, text.as_str().into(), None));
        } else {
            gang.say_at = gang.say_at.or_else(|| Some(now.after(SAID_AFTER)));
        }
    }
}

/// How long a group steps back that has done so `before` times.
fn away(before: u32) -> Duration {
    AWAY.saturating_mul(1_u32.checked_shl(before).unwrap_or(u32::MAX)).min(AWAY_LONGEST)
}
