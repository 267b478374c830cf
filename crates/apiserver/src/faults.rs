//! Misbehaviour on order: rules that say which requests go wrong and how.

mod parse;

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

pub use parse::RuleError;

use crate::{clock::Ids, recorder::Call};

/// What happens to a request that a rule matches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is answered with this status and not handled.
    Status {
        /// HTTP status code, such as 409, 429, 500 or 503.
        code: u16,
        /// Value of the header `Retry-After`.
        retry_after_seconds: Option<u64>,
    },
    /// It is handled, and then answered with this status all the same, as by a server whose own time ran out (504).
    StatusAfter {
        /// HTTP status code.
        code: u16,
    },
    /// The connection is closed before the request is handled.
    DropBefore,
    /// The request is handled, then the connection is closed without an answer.
    DropAfter,
    /// The request is handled, then the connection is closed in the middle of the answer's body; that of a watch after
    /// the first piece.
    DropWithin,
    /// It is handled later by this long.
    Delay(Duration),
    /// It is handled later by a time drawn from this range.
    DelayBetween(Duration, Duration),
    /// What goes wrong later on with a watch. Does nothing to other requests.
    Watch(WatchFault),
}

/// What goes wrong with a watch once it runs. Where it says *within*, the moment is drawn for each watch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchFault {
    /// It tells everything later by this long.
    Lag(Duration),
    /// It ends within this time, properly.
    End(Duration),
    /// Its connection is closed within this time.
    Cut(Duration),
    /// It says within this time that its version is too old, and ends.
    Expire(Duration),
    /// It falls silent within this time, and says nothing any more, not even that it has ended.
    Stall(Duration),
}

/// The sorts of faults, by which those that struck are counted, with their names.
const SORTS: [&str; 14] = [
    "statuses instead of an answer",
    "statuses after the work was done",
    "connections closed before the work was done",
    "connections closed after the work was done",
    "connections closed within an answer",
    "delays",
    "watches that lag",
    "watches ended early",
    "watches cut off",
    "watches expired",
    "watches stalled",
    "cuts of all watches of a kind",
    "compactions",
    "restarts",
];

/// The sorts that are ordered from the server itself and not by a rule.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ordered {
    Cut = 11,
    Compaction = 12,
    Restart = 13,
}

impl Fault {
    fn sort(&self) -> usize {
        match self {
            Self::Status { .. } => 0,
            Self::StatusAfter { .. } => 1,
            Self::DropBefore => 2,
            Self::DropAfter => 3,
            Self::DropWithin => 4,
            Self::Delay(_) | Self::DelayBetween(..) => 5,
            Self::Watch(WatchFault::Lag(_)) => 6,
            Self::Watch(WatchFault::End(_)) => 7,
            Self::Watch(WatchFault::Cut(_)) => 8,
            Self::Watch(WatchFault::Expire(_)) => 9,
            Self::Watch(WatchFault::Stall(_)) => 10,
        }
    }
}

/// One order: what to do to which requests, how often. Text can be read as one, too.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Rule {
    fault: Fault,
    verb: Option<String>,
    resource: Option<String>,
    subresource: Option<String>,
    name_prefix: Option<String>,
    times: u64,
    probability: f64,
}

impl Rule {
    /// Does this to every request of every kind, until narrowed.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            verb: None,
            resource: None,
            subresource: None,
            name_prefix: None,
            times: u64::MAX,
            probability: 1.0,
        }
    }

    /// Answers with a status code.
    pub fn status(code: u16) -> Self {
        Self::new(Fault::Status { code, retry_after_seconds: None })
    }

    /// Only for this verb, in the words of RBAC: get, list, watch, create, update, patch, delete, deletecollection.
    pub fn verb(mut self, verb: &str) -> Self {
        self.verb = Some(verb.to_owned());
        self
    }

    /// Only for this resource, such as `pods` or `pods/binding`. Without a subresource only the object itself is meant.
    pub fn resource(mut self, resource: &str) -> Self {
        let (plural, sub) = resource.split_once('/').unwrap_or((resource, ""));
        self.resource = Some(plural.to_owned());
        self.subresource = Some(sub.to_owned());
        self
    }

    /// Only for objects whose name starts so.
    pub fn name_prefix(mut self, prefix: &str) -> Self {
        self.name_prefix = Some(prefix.to_owned());
        self
    }

    /// At most so many times.
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// With this probability, 0 to 1, for each request.
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    fn matches(&self, call: &Call) -> bool {
        let fits = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|w| w == found);
        fits(&self.verb, call.verb)
            && fits(&self.resource, &call.resource)
            && fits(&self.subresource, call.subresource)
            && self.name_prefix.as_ref().is_none_or(|prefix| call.name.starts_with(prefix))
            && (call.verb == "watch" || !matches!(self.fault, Fault::Watch(_)))
    }

    /// Whether there is still something for it to do to a request that others have struck.
    fn adds_to(&self, strike: &Strike) -> bool {
        let always = matches!(self.fault, Fault::Delay(_) | Fault::DelayBetween(..) | Fault::Watch(_));
        always || strike.fault.is_none()
    }
}

/// The rules in force. Chances are drawn from the server's seed, in the order of the requests.
#[derive(Debug)]
pub struct Faults {
    any: AtomicBool,
    rules: Mutex<Vec<(Rule, u64)>>,
    struck: [AtomicU64; SORTS.len()],
    dice: Ids,
}

/// What the rules do to one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) delay: Duration,
    /// Anything but delays and what is done to watches.
    pub(crate) fault: Option<Fault>,
    /// What goes wrong with the watch, and the time of it; a lag's is its length.
    pub(crate) watch: Vec<WatchFault>,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { any: AtomicBool::new(false), rules: Mutex::default(), struck: Default::default(), dice: Ids::new(!seed) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Rule, u64)>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a rule into force and returns its number for [`Faults::hits`].
    pub fn add(&self, rule: Rule) -> usize {
        let mut rules = self.lock();
        rules.push((rule, 0));
        self.any.store(true, Ordering::Release);
        rules.len() - 1
    }

    /// How many requests a rule has struck; 0 for a number that was never given.
    #[must_use]
    pub fn hits(&self, rule: usize) -> u64 {
        self.lock().get(rule).map_or(0, |(_, hits)| *hits)
    }

    /// Everything that went wrong on order since the start, by sort: what it was, and how often.
    #[must_use]
    pub fn injected(&self) -> Vec<(&'static str, u64)> {
        SORTS.into_iter().zip(self.struck.iter().map(|count| count.load(Ordering::Relaxed))).collect()
    }

    /// Ends all rules; their numbers mean nothing from then on. Watches that they have struck stay as they are.
    pub fn clear(&self) {
        let mut rules = self.lock();
        rules.clear();
        self.any.store(false, Ordering::Release);
    }

    /// Whether any rule is in force.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Counts what was ordered from the server itself.
    pub(crate) fn note(&self, ordered: Ordered) {
        self.struck[ordered as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Draws what happens to a request: delays add up, a watch suffers all that is ordered for watches, and of everything
    /// else the first rule decides.
    pub(crate) fn strike(&self, call: &Call) -> Strike {
        let mut strike = Strike::default();
        for (rule, hits) in self.lock().iter_mut() {
            if *hits >= rule.times || !rule.matches(call) || !rule.adds_to(&strike) {
                continue;
            }
            if rule.probability < 1.0 && !self.dice.chance(rule.probability) {
                continue;
            }
            *hits += 1;
            self.struck[rule.fault.sort()].fetch_add(1, Ordering::Relaxed);
            match &rule.fault {
                Fault::Delay(delay) => strike.delay += *delay,
                Fault::DelayBetween(least, most) => {
                    strike.delay += *least + self.dice.duration_below(most.saturating_sub(*least));
                }
                Fault::Watch(fault) => strike.watch.push(self.drawn(fault)),
                fault => strike.fault = Some(fault.clone()),
            }
        }
        strike
    }

    /// A watch's fault with its moment drawn.
    fn drawn(&self, fault: &WatchFault) -> WatchFault {
        let drawn = |within: &Duration| self.dice.duration_below(*within);
        match fault {
            WatchFault::Lag(by) => WatchFault::Lag(*by),
            WatchFault::End(within) => WatchFault::End(drawn(within)),
            WatchFault::Cut(within) => WatchFault::Cut(drawn(within)),
            WatchFault::Expire(within) => WatchFault::Expire(drawn(within)),
            WatchFault::Stall(within) => WatchFault::Stall(drawn(within)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::{Fault, Faults, Rule, Strike, WatchFault};
    use crate::recorder::Call;

    fn call(verb: &'static str, resource: &str, subresource: &'static str, name: &str) -> Call {
        Call {
            verb,
            group: String::new(),
            resource: resource.to_owned(),
            subresource,
            namespace: "default".to_owned(),
            name: name.to_owned(),
            user: String::new(),
            code: 0,
            time: std::time::SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn rules_are_narrow_and_counted() {
        let faults = Faults::new(1);
        let rule = faults.add(Rule::status(409).verb("create").resource("pods/binding").name_prefix("web").times(2));
        faults.add(Rule::new(Fault::Delay(Duration::from_secs(1))).resource("pods/binding"));
        let bind = call("create", "pods", "binding", "web-1");
        let conflict = Some(Fault::Status { code: 409, retry_after_seconds: None });
        for want in [conflict.clone(), conflict, None] {
            let want = Strike { delay: Duration::from_secs(1), fault: want, ..Strike::default() };
            assert_eq!(faults.strike(&bind), want);
        }
        assert_eq!(faults.strike(&call("create", "pods", "", "web-1")), Strike::default());
        assert_eq!(faults.hits(rule), 2);
    }

    #[test]
    fn moments_are_drawn_from_the_range() {
        let faults = Faults::new(3);
        let (least, most) = (Duration::from_millis(20), Duration::from_millis(40));
        faults.add(Rule::new(Fault::DelayBetween(least, most)));
        faults.add(Rule::new(Fault::Watch(WatchFault::Cut(most))));
        let (mut delays, mut cuts) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..500 {
            let strike = faults.strike(&call("watch", "pods", "", ""));
            delays.insert(strike.delay);
            let [WatchFault::Cut(after)] = strike.watch[..] else { panic!("{strike:?}") };
            cuts.insert(after);
        }
        let ends = |drawn: &BTreeSet<Duration>| (drawn.first().copied(), drawn.last().copied());
        assert_eq!(ends(&delays), (Some(least), Some(most)));
        assert_eq!(ends(&cuts), (Some(Duration::ZERO), Some(most)));
    }

    #[test]
    fn chances_repeat_with_the_seed() {
        let run = |seed| {
            let faults = Faults::new(seed);
            faults.add(Rule::new(Fault::DropAfter).probability(0.3));
            (0..1000).map(|_| faults.strike(&call("get", "pods", "", "a")).fault.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let struck = run(7).iter().filter(|hit| **hit).count();
        assert!((250..350).contains(&struck), "{struck}");
    }
}
