//! The writer: effects become API calls.
//!
//! Bindings, what is written before them, evictions, status writes and events have lanes of their own, each with its own
//! number of calls at a time, so a storm in one does not starve the others. What is asked about one pod is done in the
//! order in which it was asked: a condition that is still on its way is finished, or given up, before the pod's binding
//! is sent.

mod bind;
mod events;
mod evict;
mod lane;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod laws;
mod objects;
mod pod_group;
mod status;

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use http::{Method, StatusCode};
use jiff::Timestamp;
use plimsoll_engine::effect::{BindRequest, Effect, PodEvent, PodGroupStatus, StatusUpdate};
use plimsoll_engine::event::Event;
use plimsoll_engine::extender::{Ask, PreemptAsk};
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::{PodInfo, PodKey, Uid};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};

use crate::client::{CallError, Clients, RawRequest, RawResponse, describe, message, one_line, send};
use crate::config::EventPolicy;
use crate::driver::{Clock, Inbox};
use crate::extender::Extenders;
use crate::lease::Fence;
use crate::metrics::{LaneName, Metrics, ProfileMetrics};
use crate::record::Told;
use crate::reflector::read_pod;
use lane::{Lane, NotAllowed};

/// Bindings at a time. More would only wait inside the API server.
const BIND_LANE: u16 = 64;
/// Status writes at a time.
const STATUS_LANE: u16 = 16;
/// Calls at a time that make pods go.
const EVICT_LANE: u16 = 32;
/// Writes at a time of what pods need before they are bound.
const VOLUMES_LANE: u16 = 32;
/// Reads of single pods at a time.
const READ_LANE: usize = 16;
/// How long a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// What the writer works with.
pub struct WriterSettings {
    /// The clients of the lanes.
    pub clients: Clients,
    /// Where results go.
    pub inbox: Inbox,
    /// Whether bindings may be sent.
    pub fence: Fence,
    /// How long a binding may take, so that none outlives the lease.
    pub bind_timeout: Duration,
    /// The time.
    pub clock: Clock,
    /// Where calls are counted.
    pub metrics: Arc<Metrics>,
    /// Annotations that plugins read, for pods that are read by themselves.
    pub annotation_keys: Vec<Istr>,
    /// The names of the profiles, for the times of their bindings.
    pub profiles: Vec<Istr>,
    /// Who records events: the part of `reportingInstance` behind the scheduler's name.
    pub instance: String,
    /// Calls a second and at once for each of the lanes; `None` leaves it to the server to say when it is too much.
    pub limit: Option<(f64, u32)>,
    /// Which events are written.
    pub event_policy: EventPolicy,
    /// Those who are asked about pods, and may bind them.
    pub extenders: Option<Arc<Extenders>>,
    /// Whether nothing is to be written at all: then single pods are read, and everything else is let go.
    pub only_reads: bool,
}

/// The lanes, shared by all calls under way.
struct Lanes {
    settings: WriterSettings,
    bind: Lane,
    status: Lane,
    evict: Lane,
    volumes: Lane,
    reads: Semaphore,
    profiles: HashMap<Istr, ProfileMetrics>,
    /// Tells the writer that a pod's status write has ended.
    status_done: mpsc::UnboundedSender<Uid>,
}

/// The writer. One task; the calls it begins are tasks of their own, which end with it.
pub struct Writer {
    lanes: Arc<Lanes>,
    outbox: mpsc::UnboundedReceiver<Effect>,
    status_done: mpsc::UnboundedReceiver<Uid>,
    /// Pods whose status is being written, and what has to wait for that.
    writing: HashMap<Uid, Behind>,
    events: events::Recorder,
    /// Statuses of PodGroups, written one after the other.
    groups: Option<mpsc::UnboundedSender<PodGroupStatus>>,
    calls: JoinSet<()>,
    /// Questions to extenders: nothing is written by them, so that the end waits for none.
    asks: JoinSet<()>,
}

/// What waits for a status write.
#[derive(Default)]
struct Behind {
    status: Option<StatusUpdate>,
    bind: Option<BindRequest>,
}

impl Writer {
    /// A writer that reads effects from `outbox`.
    pub fn new(settings: WriterSettings, outbox: mpsc::UnboundedReceiver<Effect>) -> Self {
        let (status_done, done) = mpsc::unbounded_channel();
        let mut calls = JoinSet::new();
        let busy = Arc::default();
        let events = events::Recorder::start(&settings, &busy, &mut calls);
        let lane = |name, most| Lane::new(name, most, settings.limit, &busy, &settings.metrics);
        let lanes = Lanes {
            profiles: settings
                .profiles
                .iter()
                .map(|name| (name.clone(), settings.metrics.scheduler.profile(name)))
                .collect(),
            bind: lane(LaneName::Bind, BIND_LANE),
            status: lane(LaneName::Status, STATUS_LANE),
            evict: lane(LaneName::Evict, EVICT_LANE),
            volumes: lane(LaneName::Volumes, VOLUMES_LANE),
            settings,
            reads: Semaphore::new(READ_LANE),
            status_done,
        };
        let lanes = Arc::new(lanes);
        let (groups, incoming) = mpsc::unbounded_channel();
        let of_groups = Arc::clone(&lanes);
        calls.spawn(async move { of_groups.write_group_statuses(incoming).await });
        let (groups, asks) = (Some(groups), JoinSet::new());
        Self { lanes, outbox, status_done: done, writing: HashMap::new(), events, groups, calls, asks }
    }

    /// Writes until the driver has ended and everything it asked for is done.
    pub async fn run(mut self) {
        loop {
            let due = self.events.next_due().map(|at| at.since(self.lanes.settings.clock.now()));
            tokio::select! {
                biased;
                Some(uid) = self.status_done.recv() => self.status_written(&uid),
                Some(ended) = self.calls.join_next() => check(ended),
                Some(ended) = self.asks.join_next() => check(ended),
                () = sleep(due.unwrap_or_default()), if due.is_some() => {
                    self.events.tick(self.lanes.settings.clock.now());
                }
                effect = self.outbox.recv() => match effect {
                    Some(effect) => self.take(effect),
                    None => break,
                },
            }
        }
        while !self.writing.is_empty() {
            let Some(uid) = self.status_done.recv().await else { break };
            self.status_written(&uid);
        }
        self.events.close(self.lanes.settings.clock.now());
        self.groups = None;
        while let Some(ended) = self.calls.join_next().await {
            check(ended);
        }
    }

    fn take(&mut self, effect: Effect) {
        if self.lanes.settings.only_reads && !matches!(effect, Effect::ReadPod(_)) {
            return let_go(&effect);
        }
        match effect {
            Effect::Write(request) => {
                let lanes = Arc::clone(&self.lanes);
                self.calls.spawn(async move { lanes.write_before_binding(*request).await });
            }
            Effect::Bind(request) => match self.writing.get_mut(&request.pod.key.uid) {
                // The condition is out of date: the pod has a node now. One on its way is waited for, since it would
                // otherwise overwrite what the binding sets.
                Some(behind) => {
                    if let Some(dropped) = behind.status.take() {
                        self.lanes.tell_of_nomination(&dropped, None);
                    }
                    behind.bind = Some(request);
                }
                None => self.bind(request),
            },
            Effect::Status(update) => match self.writing.get_mut(&update.key.uid) {
                Some(behind) => behind.status = Some(status::merge(behind.status.take(), *update)),
                None => self.write_status(*update),
            },
            Effect::PodGroupStatus(status) => {
                if let Some(groups) = &self.groups {
                    drop(groups.send(*status));
                }
            }
            Effect::Record(event) => self.record(event),
            Effect::Evict(request) => {
                let lanes = Arc::clone(&self.lanes);
                self.calls.spawn(async move { lanes.evict(*request).await });
            }
            Effect::ReadPod(key) => {
                let lanes = Arc::clone(&self.lanes);
                self.calls.spawn(async move { lanes.read_pod_for_engine(&key).await });
            }
            Effect::Ask(ask) => {
                let lanes = Arc::clone(&self.lanes);
                self.asks.spawn(async move { lanes.ask(&ask).await });
            }
            Effect::AskPreempt(ask) => {
                let lanes = Arc::clone(&self.lanes);
                self.asks.spawn(async move { lanes.ask_preempt(&ask).await });
            }
        }
    }

    fn bind(&mut self, request: BindRequest) {
        let lanes = Arc::clone(&self.lanes);
        self.calls.spawn(async move { lanes.bind(request).await });
    }

    fn write_status(&mut self, update: StatusUpdate) {
        self.writing.insert(update.key.uid.clone(), Behind::default());
        let lanes = Arc::clone(&self.lanes);
        self.calls.spawn(async move {
            lanes.write_status(&update).await;
            drop(lanes.status_done.send(update.key.uid));
        });
    }

    fn status_written(&mut self, uid: &Uid) {
        match self.writing.remove(uid) {
            Some(Behind { bind: Some(request), .. }) => self.bind(request),
            Some(Behind { status: Some(update), .. }) => self.write_status(update),
            _ => {}
        }
    }

    fn record(&mut self, event: PodEvent) {
        if is_failure(&event) {
            tracing::info!(pod = %event.pod.key, uid = %event.pod.key.uid, "pod is not scheduled: {}", event.note);
        }
        self.events.record(event, self.lanes.settings.clock.now());
    }
}

fn is_failure(event: &PodEvent) -> bool {
    event.warning && event.reason == "FailedScheduling"
}

/// Writes nothing. Why a pod would not be scheduled is told in the log alone.
fn let_go(effect: &Effect) {
    if let Effect::Record(event) = effect
        && is_failure(event)
    {
        tracing::info!(pod = %event.pod.key, uid = %event.pod.key.uid, "pod would not be scheduled: {}", event.note);
    }
}

/// A call that panicked ends the writer, and so the process: what it was to do is in nobody's books.
fn check(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

/// What is said of what only a replica does that leads.
const NOT_LEADING: &str = "this replica does not lead any more";
/// What is said of a question that nobody can have asked.
const NO_EXTENDERS: &str = "there are no extenders";

/// What a read of one pod gave.
enum PodRead {
    /// It is there; and as it is told the engine.
    Found(Box<PodInfo>, Box<Told>),
    /// There is no such pod, or another one under its name.
    Absent,
}

impl Lanes {
    /// Reads a pod, however often it takes.
    async fn read_pod(&self, key: &PodKey) -> PodRead {
        let path = pod_path(key, "");
        for attempt in 0_u32.. {
            let request = RawRequest {
                method: Method::GET,
                path: &path,
                content_type: "",
                body: bytes::Bytes::new(),
                timeout: CALL_TIMEOUT,
            };
            match send(&self.settings.clients.watch, request).await {
                Ok(answer) if answer.status == StatusCode::NOT_FOUND => return PodRead::Absent,
                Ok(answer) if answer.status.is_success() => {
                    match read_pod(&answer.body, &self.settings.annotation_keys, self.settings.inbox.recording()) {
                        Some((pod, told)) if pod.key.uid == key.uid => {
                            return PodRead::Found(Box::new(pod), Box::new(told));
                        }
                        Some(_) => return PodRead::Absent,
                        None => tracing::warn!(pod = %key, "reading a pod: the answer is none"),
                    }
                }
                Ok(answer) => {
                    self.permission("get", "pods", &answer);
                    tracing::warn!(pod = %key, status = %answer.status, "reading a pod");
                }
                Err(error) => tracing::warn!(pod = %key, error = %describe(&error), "reading a pod"),
            }
            sleep(backoff(attempt)).await;
        }
        PodRead::Absent
    }

    /// Asks the extenders about a pod, and tells the engine what they say.
    async fn ask(&self, ask: &Ask) {
        let result = match &self.settings.extenders {
            Some(extenders) => extenders.ask(ask).await,
            None => Err(NO_EXTENDERS.to_owned()),
        };
        let uid = ask.pod.key.uid.clone();
        self.settings.inbox.event(Event::Answered { uid, number: ask.number, result });
    }

    /// Asks the extenders which nodes may be cleared for a pod, and tells the engine what they say.
    async fn ask_preempt(&self, ask: &PreemptAsk) {
        let result = match &self.settings.extenders {
            Some(extenders) => extenders.preempt(ask).await,
            None => Err(NO_EXTENDERS.to_owned()),
        };
        let uid = ask.pod.key.uid.clone();
        self.settings.inbox.event(Event::PreemptAnswered { uid, number: ask.number, result });
    }

    async fn read_pod_for_engine(&self, key: &PodKey) {
        let Ok(_place) = self.reads.acquire().await else { return };
        self.settings.inbox.event(match self.read_pod(key).await {
            PodRead::Found(_, told) => *told,
            PodRead::Absent => Event::PodAbsent { key: key.clone() }.into(),
        });
    }

    /// Whether this replica still leads, so that it may bind pods and make them go.
    fn leads(&self) -> bool {
        self.settings.fence.may_bind(Instant::now())
    }

    fn permission(&self, verb: &str, resource: &str, answer: &RawResponse) {
        permission(&self.settings.metrics, verb, resource, answer);
    }
}

/// Notes whether a verb is missing from our role. Said once, when it begins.
pub(crate) fn permission(metrics: &Metrics, verb: &str, resource: &str, answer: &RawResponse) {
    let gauge = metrics.plimsoll.missing_permission(verb, resource);
    if is_missing_permission(answer) {
        if gauge.get() == 0 {
            tracing::error!("not permitted to {verb} {resource}: the role lacks the verb {verb} on {resource}");
        }
        gauge.set(1);
    } else if gauge.get() != 0 && answer.status != StatusCode::FORBIDDEN {
        gauge.set(0);
    }
}

/// Nothing can be created in a namespace that is being deleted, whatever the role: that is forbidden, too.
fn is_missing_permission(answer: &RawResponse) -> bool {
    answer.status == StatusCode::FORBIDDEN
        && !String::from_utf8_lossy(&answer.body).contains("\"reason\":\"NamespaceTerminating\"")
}

/// A time as conditions give it: to the second, in UTC.
fn time_text(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The wait before the next try: 100 ms, doubling to 5 s.
fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(100_u64.saturating_mul(1 << attempt.min(10))).min(Duration::from_secs(5))
}

/// The path of a pod, or of a subresource of it.
pub(crate) fn pod_path(key: &PodKey, subresource: &str) -> String {
    let slash = if subresource.is_empty() { "" } else { "/" };
    let (namespace, name) = (segment(&key.namespace), segment(&key.name));
    format!("/api/v1/namespaces/{namespace}/pods/{name}{slash}{subresource}")
}

/// A name as a path segment. Kubernetes' names need no escaping; what is none must not become another path.
pub(crate) fn segment(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) { out.push(char::from(byte)) } else { out.push_str(&format!("%{byte:02X}")) }
    }
    out
}

/// What a refusal says, for messages: the text of the server's Status, or what else it sent, shortened.
fn refusal(answer: &RawResponse) -> String {
    let text = message(&answer.body).unwrap_or_else(|| one_line(&String::from_utf8_lossy(&answer.body)));
    format!("{text} ({})", answer.status.as_u16())
}

/// Whether a call that ended like this may be tried again at once: the server failed, or lost a race with itself. That it
/// is busy is for the lane to wait out.
fn is_transient(result: &Result<RawResponse, CallError>) -> bool {
    result.as_ref().map_or(true, |answer| answer.status.is_server_error() || answer.status == StatusCode::CONFLICT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_path_segment() {
        let key = PodKey { namespace: "a/b".into(), name: "../x?y".into(), uid: Uid::new("u") };
        assert_eq!(pod_path(&key, "binding"), "/api/v1/namespaces/a%2Fb/pods/..%2Fx%3Fy/binding");
    }

    #[test]
    fn a_namespace_that_is_being_deleted_is_no_missing_permission() {
        let metrics = Metrics::new().unwrap();
        let gauge = metrics.plimsoll.missing_permission("create", "events");
        let answer = |code: u16, body: &'static str| RawResponse {
            status: StatusCode::from_u16(code).unwrap(),
            retry_after: None,
            body: body.into(),
        };
        let terminating = r#"{"code":403,"details":{"causes":[{"reason":"NamespaceTerminating","message":"..."}]}}"#;
        let forbidden = r#"{"code":403,"message":"events is forbidden: User \"u\" cannot create resource"}"#;
        for (code, body, shown) in [
            (403, terminating, 0),
            (403, forbidden, 1),
            (403, terminating, 1),
            (409, "{}", 0),
            (403, forbidden, 1),
            (201, "{}", 0),
        ] {
            permission(&metrics, "create", "events", &answer(code, body));
            assert_eq!(gauge.get(), shown, "{code} {body}");
        }
    }

    #[test]
    fn backoff_grows_to_its_limit() {
        assert_eq!([0, 1, 5, 6, 40].map(|n| backoff(n).as_millis()), [100, 200, 3_200, 5_000, 5_000]);
    }
}
