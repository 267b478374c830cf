//! The brake on preemption: pods must not be made to go for ever on behalf of a pod whose place somebody else takes, nor
//! two schedulers evict each other's pods without end.
//!
//! What is counted is preemption in vain: a pod for which room was made already asks for more, or one that got its place
//! that way is evicted from it. The first few times nothing happens; then whoever it is on behalf of waits, each time
//! twice as long. A pod that does get its place takes one off the count.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::time::Time;

/// How often it may be in vain before anybody has to wait.
const FREE: u32 = 5;
/// The first wait.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// After this long without another one it is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3_600);
/// How many are remembered; the oldest go first.
const REMEMBERED: usize = 4_096;

/// On whose behalf: the controller of a pod, which makes it again under another UID, or else the pod.
type Party = Arc<str>;

#[derive(Debug)]
struct Vain {
    count: u32,
    last: Time,
    until: Option<Time>,
}

#[derive(Debug, Default)]
pub(super) struct Brake {
    vain: BTreeMap<Party, Vain>,
    /// Pods for which room was made, and when.
    cleared_for: BTreeMap<Uid, (Party, Time)>,
}

impl Brake {
    /// How much longer nobody is to go for this pod.
    pub(super) fn holds(&self, now: Time, pod: &PodInfo) -> Option<Duration> {
        let until = self.vain.get(party(pod))?.until?;
        (until > now).then(|| until.since(now))
    }

    /// Room is made for a pod.
    pub(super) fn clears(&mut self, now: Time, pod: &PodInfo) {
        let party = Party::from(party(pod));
        if self.cleared_for.insert(pod.key.uid.clone(), (Arc::clone(&party), now)).is_some() {
            self.in_vain(now, party);
        }
        forget(&mut self.cleared_for, |(_, at)| *at, now);
    }

    /// A pod is on a node.
    pub(super) fn placed(&mut self, pod: &PodInfo) {
        if self.cleared_for.contains_key(&pod.key.uid)
            && let Some(vain) = self.vain.get_mut(party(pod))
        {
            vain.count = vain.count.saturating_sub(1);
        }
    }

    /// A pod is gone; `evicted`: from its node, for the sake of another.
    pub(super) fn gone(&mut self, now: Time, pod: &PodInfo, evicted: bool) {
        if let Some((party, _)) = self.cleared_for.remove(&pod.key.uid).filter(|_| evicted) {
            self.in_vain(now, party);
        }
    }

    fn in_vain(&mut self, now: Time, party: Party) {
        let vain = self.vain.entry(party).or_insert(Vain { count: 0, last: now, until: None });
        if now.since(vain.last) > FORGOTTEN_AFTER {
            vain.count = 0;
        }
        (vain.count, vain.last) = (vain.count + 1, now);
        let wait = |doublings: u32| FIRST_WAIT.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX));
        vain.until = vain.count.checked_sub(FREE + 1).map(|n| now.after(wait(n).min(LONGEST_WAIT)));
        forget(&mut self.vain, |vain| vain.last, now);
    }
}

/// Keeps what is remembered within bounds.
fn forget<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, last: impl Fn(&V) -> Time, now: Time) {
    if map.len() <= REMEMBERED {
        return;
    }
    map.retain(|_, v| now.since(last(v)) <= FORGOTTEN_AFTER);
    while map.len() > REMEMBERED
        && let Some(oldest) = map.iter().min_by_key(|(_, v)| last(v)).map(|(k, _)| k.clone())
    {
        map.remove(&oldest);
    }
}

/// On whose behalf somebody would go for this pod, as [`Party`] keeps it.
fn party(pod: &PodInfo) -> &str {
    pod.owner.as_ref().map_or(pod.key.uid.as_str(), |owner| owner.uid.as_str())
}
