//! Pods that wait: where, for what, and for how long.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_engine::engine::Engine;
use plimsoll_engine::queue::{Place, PluginSet, Queue, QueuedPodInfo};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::{PodInfo, PodKey, Uid};
use plimsoll_framework::time::Time;
use serde::Serialize;

use super::explain::ago;
use super::{PodName, cut};

/// Messages are cut to so many bytes.
const MESSAGE_BYTES: usize = 1024;

/// Where a pod waits. The first four are parts of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Part {
    /// To be tried next.
    Active,
    /// For its backoff to end.
    Backoff,
    /// For something to happen.
    Unschedulable,
    /// For a PreEnqueue plugin to let it in.
    Gated,
    /// For what it needs to be built or served: it was refused before the queue.
    Held,
    /// For a decision: it was popped.
    InFlight,
    /// For another scheduler to put it where it has a place, in mode `Shadow`.
    Placeable,
}

impl Part {
    pub(crate) const ALL: [Self; 7] =
        [Self::Active, Self::Backoff, Self::Unschedulable, Self::Gated, Self::Held, Self::InFlight, Self::Placeable];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Backoff => "backoff",
            Self::Unschedulable => "unschedulable",
            Self::Gated => "gated",
            Self::Held => "held",
            Self::InFlight => "inFlight",
            Self::Placeable => "placeable",
        }
    }

    fn of(place: Place) -> Self {
        match place {
            Place::Active => Self::Active,
            Place::Backoff | Place::ErrorBackoff => Self::Backoff,
            Place::Unschedulable => Self::Unschedulable,
            Place::Gated => Self::Gated,
        }
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|part| part.as_str() == text);
        found.ok_or_else(|| format!("must be one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// Behind which pod a page begins; what the page before says in `continue`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Continue(Part, PodKey);

impl FromStr for Continue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(4, '/');
        let mut next = || parts.next().ok_or_else(|| "must be what the page before gave".to_owned());
        let (part, namespace, name, uid) = (next()?.parse()?, next()?, next()?, next()?);
        Ok(Self(part, PodKey { namespace: namespace.into(), name: name.into(), uid: Uid::new(uid) }))
    }
}

/// Which pods are wanted.
#[derive(Clone, Debug)]
pub(crate) struct QueuePick {
    /// At most so many.
    pub(crate) limit: usize,
    /// Those behind this one.
    pub(crate) after: Option<Continue>,
    /// Of this part alone.
    pub(crate) part: Option<Part>,
}

/// What the owner gives: the pods of a page, in order, and how many there are in all.
#[derive(Default)]
pub(crate) struct Taken {
    counts: [usize; Part::ALL.len()],
    entries: Vec<Entry>,
    more: bool,
}

pub(super) struct Entry {
    part: Part,
    key: PodKey,
    /// As the API server had it last.
    pub(super) pod: Arc<PodInfo>,
    history: Option<History>,
}

/// What the queue knows of a pod.
struct History {
    attempts: u32,
    since: Time,
    first_attempt: Option<Time>,
    plugins: PluginSet,
    gate: Option<&'static str>,
    backoff_ends: Option<Time>,
    /// The node that it has a place on.
    place: Option<Istr>,
}

impl History {
    fn of(queue: &Queue, info: &QueuedPodInfo, place: Option<&Istr>) -> Self {
        let mut plugins = info.unschedulable_plugins.clone();
        info.pending_plugins.iter().for_each(|plugin| plugins.insert(plugin));
        Self {
            attempts: info.attempts,
            since: info.timestamp,
            first_attempt: info.initial_attempt,
            plugins,
            gate: info.gating_plugin,
            backoff_ends: queue.backoff_expiry(info),
            place: place.cloned(),
        }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.part, &self.key).cmp(&(other.part, &other.key))
    }
}

/// The first pods of all that are offered, in order.
struct First<'a> {
    pick: &'a QueuePick,
    counts: [usize; Part::ALL.len()],
    kept: BinaryHeap<Entry>,
    more: bool,
}

impl First<'_> {
    fn offer(&mut self, part: Part, pod: &Arc<PodInfo>, history: impl FnOnce() -> Option<History>) {
        self.counts[part as usize] += 1;
        let place = (part, &pod.key);
        let wanted = self.pick.part.is_none_or(|wanted| wanted == part)
            && self.pick.after.as_ref().is_none_or(|Continue(part, key)| place > (*part, key));
        if !wanted {
            return;
        }
        if self.kept.len() >= self.pick.limit {
            self.more = true;
            if self.kept.peek().is_none_or(|last| place > (last.part, &last.key)) {
                return;
            }
            self.kept.pop();
        }
        self.kept.push(Entry { part, key: pod.key.clone(), pod: Arc::clone(pod), history: history() });
    }
}

/// Asked of the owner. Looks at every pod that waits once, as its gauges do every second.
pub(super) fn take(engine: &Engine, pick: &QueuePick) -> Taken {
    let (queue, cache) = (engine.queue(), engine.cache());
    let mut first = First { pick, counts: Default::default(), kept: BinaryHeap::new(), more: false };
    for (part, pod, known) in waiting(engine) {
        first.offer(part, pod, || known.map(|(info, place)| History::of(queue, info, place)));
    }
    let First { counts, kept, more, .. } = first;
    let mut entries = kept.into_sorted_vec();
    // What the API server says of the pod may have come after it was put into the queue.
    for entry in &mut entries {
        if let Some(known) = cache.get(&entry.key.uid) {
            entry.pod = Arc::clone(&known.pod);
        }
    }
    Taken { counts, entries, more }
}

/// Asked of the owner: the pod that waits and `is` the one that is looked for.
pub(super) fn find(engine: &Engine, is: impl Fn(&PodInfo) -> bool) -> Option<Entry> {
    let (queue, cache) = (engine.queue(), engine.cache());
    // One in flight may have its node by now.
    let waits = |part, pod: &PodInfo| part != Part::InFlight || cache.pending(&pod.key.uid).is_some();
    let (part, pod, known) = waiting(engine).find(|(part, pod, _)| is(pod) && waits(*part, pod))?;
    let history = known.map(|(info, place)| History::of(queue, info, place));
    let pod = cache.get(&pod.key.uid).map_or(pod, |known| &known.pod);
    Some(Entry { part, key: pod.key.clone(), pod: Arc::clone(pod), history })
}

/// What is known of a pod in the queue, and the node that it rests for.
type Known<'e> = (&'e QueuedPodInfo, Option<&'e Istr>);

/// Every pod that waits, with where it does.
fn waiting(engine: &Engine) -> impl Iterator<Item = (Part, &Arc<PodInfo>, Option<Known<'_>>)> {
    let (queue, cache) = (engine.queue(), engine.cache());
    let queued = queue.iter().map(|(info, place)| (Part::of(place), &info.pod, Some((info, None))));
    let held = cache.held().map(|known| (Part::Held, &known.pod, None));
    let in_flight = queue.in_flight_uids().filter_map(|uid| cache.get(uid));
    let in_flight = in_flight.map(|known| (Part::InFlight, &known.pod, None));
    let resting = engine.resting().map(|(info, node)| (Part::Placeable, &info.pod, Some((info, Some(node)))));
    queued.chain(held).chain(in_flight).chain(resting)
}

/// A page of the queue, as it is shown.
#[derive(Debug, Default, Serialize)]
pub(crate) struct QueuePage {
    /// How many pods each part holds.
    pub(super) counts: BTreeMap<&'static str, usize>,
    /// Those of the page.
    pub(super) pods: Vec<Waiting>,
    /// Behind which the next page begins, if there is one.
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

/// A pod that waits.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Waiting {
    pub(super) part: Part,
    #[serde(flatten)]
    pub(super) pod: PodName,
    scheduler_name: String,
    priority: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attempts: Option<u32>,
    /// The plugins that turned it away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) plugins: Vec<&'static str>,
    /// The plugin that keeps it out of the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    gate: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nominated_node: Option<String>,
    /// The node that it would be put on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<String>,
    /// Reason and message of its condition `PodScheduled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    /// Since it was put where it is, new or after an attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_attempt_seconds_ago: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backoff_seconds_left: Option<f64>,
}

impl Taken {
    pub(super) fn page(self, now: Time) -> QueuePage {
        let counts = Part::ALL.into_iter().map(|part| (part.as_str(), self.counts[part as usize])).collect();
        let last = self
            .entries
            .last()
            .filter(|_| self.more)
            .map(|Entry { part, key, .. }| format!("{}/{}/{}/{}", part.as_str(), key.namespace, key.name, key.uid));
        QueuePage { counts, pods: self.entries.iter().map(|entry| Waiting::of(entry, now)).collect(), after: last }
    }
}

impl Waiting {
    /// How it waits, after its name.
    pub(super) fn sentence(&self) -> String {
        let since = self.waiting_seconds.map(|seconds| ago(Duration::from_secs_f64(seconds)));
        let since = since.map(|since| format!(" for {since}")).unwrap_or_default();
        let what = match self.part {
            Part::Active => "its turn".to_owned(),
            Part::Backoff => match self.backoff_seconds_left {
                Some(left) => format!("its backoff to end, in {}", ago(Duration::from_secs_f64(left))),
                None => "its backoff to end".to_owned(),
            },
            Part::Unschedulable => "something to happen that could help".to_owned(),
            Part::Gated => format!("{} to let it in", self.gate.unwrap_or("a gate")),
            Part::Held => "what it needs, and is not tried".to_owned(),
            Part::InFlight => return "is being decided at this moment".to_owned(),
            Part::Placeable => "the scheduler that it names to place it".to_owned(),
        };
        let attempts = match self.attempts.unwrap_or(0) {
            0 => String::new(),
            1 => ", after 1 attempt".to_owned(),
            attempts => format!(", after {attempts} attempts"),
        };
        let by = match self.plugins.as_slice() {
            [] => String::new(),
            plugins => format!("; turned away by {}", plugins.join(", ")),
        };
        let said = self.message.as_ref().map(|message| format!("\nlast said: {message}")).unwrap_or_default();
        format!("waits{since} for {what}{attempts}{by}{said}")
    }

    pub(super) fn of(Entry { part, key, pod, history }: &Entry, now: Time) -> Self {
        let history = history.as_ref();
        let said = pod.scheduled.as_deref().filter(|condition| &*condition.status == "False");
        let ago = |then: Time| seconds(now.since(then));
        // Where a pod waits for something else, when its backoff would be over is of no interest.
        let backoff = history.filter(|_| *part == Part::Backoff).and_then(|history| history.backoff_ends);
        Self {
            part: *part,
            pod: PodName::of(key),
            scheduler_name: pod.scheduler_name.to_string(),
            priority: pod.priority(),
            attempts: history.map(|history| history.attempts),
            plugins: history.map(|history| history.plugins.iter().collect()).unwrap_or_default(),
            gate: history.and_then(|history| history.gate),
            place: history.and_then(|history| history.place.as_ref()).map(ToString::to_string),
            nominated_node: pod.nominated_node_name.as_ref().map(ToString::to_string),
            reason: said.map(|condition| condition.reason.to_string()),
            message: said.map(|condition| cut(&condition.message, MESSAGE_BYTES)),
            waiting_seconds: history.map(|history| ago(history.since)),
            first_attempt_seconds_ago: history.and_then(|history| history.first_attempt).map(ago),
            backoff_seconds_left: backoff.map(|ends| seconds(ends.since(now))),
        }
    }
}

/// To the millisecond.
fn seconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1_000.0).round() / 1_000.0
}
