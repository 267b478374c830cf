//! Reflectors: list and watch, from the API server into the engine.
//!
//! Objects are decoded into slim structs one by one, as they come, parsed into what the engine works with, and dropped;
//! the engine's cache is the only store. A relist sends what is there, then the set of what is there, so the engine
//! drops what went away unseen.

mod backoff;
mod discovery;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod laws;
mod list;
mod refusals;
mod relist;
mod sight;
mod slim;
mod watcher;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use hashbrown::HashSet;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Error, Event as WatcherEvent, InitialListStrategy, ListSemantic};
use kube::{Api, Client};
use plimsoll_engine::event::Event;
use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindRef, ObjectKey};
use plimsoll_framework::pod::{PodInfo, PodParser, Uid};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::admin::Check;
use crate::client::{describe, one_line};
use crate::driver::Inbox;
use crate::metrics::{Metrics, RestartReason, WatchEventType, WatchMetrics};
use crate::record::{Recording, Told, node_text, object_text, pod_text};
use backoff::Pace;
pub use relist::Orders;
pub(crate) use relist::{Relist, relist};
use sight::{Sight, Unseen, refuses_to_stream};
use slim::Slim;

/// Pods that have run to their end take up nothing: they are not even sent.
pub(crate) const UNFINISHED_PODS: &str = "status.phase!=Succeeded,status.phase!=Failed";
/// The server ends a watch after this long. Also bounds how long a connection that died in silence goes unnoticed.
const WATCH_SECONDS: u32 = 120;
/// How many events of a list are handed over at once.
const BATCH: usize = 256;
/// A streamed list of which nothing came for so long does not come to its end: the server does not know that it was to
/// say where that is.
const STREAM_SILENCE: Duration = Duration::from_secs(30);
/// A streamed list that breaks off so often is read by a list.
const STREAM_TRIES: u32 = 3;

/// What a reflector needs to know of the world.
pub struct Reflectors {
    /// The client for lists and watches.
    pub client: Client,
    /// Where events go.
    pub inbox: Inbox,
    /// Where watches are counted.
    pub metrics: Arc<Metrics>,
    /// Annotations that plugins read.
    pub annotation_keys: Vec<Istr>,
    /// The names of the profiles: pods that choose one of them are ours.
    pub profiles: Vec<Istr>,
    /// Seed of the chances by which failed watches are spread out.
    pub seed: u64,
    /// Whether the first lists may come from the API server's cache, which may be behind.
    pub from_cache: bool,
    /// Whether the server streams lists, as far as is known; see [`Streams`].
    pub streams: Streams,
}

/// Whether lists are had as the beginning of a watch: one request, of which the server keeps no copy in memory. Servers
/// before Kubernetes 1.34 do not do that, 1.32 excepted. Which one it is shows when it is asked: the first watch that is refused
/// turns to lists, and so do those that begin later.
#[derive(Debug)]
pub struct Streams(AtomicBool);

impl Default for Streams {
    fn default() -> Self {
        Self(AtomicBool::new(true))
    }
}

impl Streams {
    fn are_likely(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The server was asked and refused.
    fn refused(&self) {
        if self.0.swap(false, Ordering::Relaxed) {
            tracing::info!("the server does not stream lists; they are read by list");
        }
    }
}

/// Takes in the objects of one kind.
trait Sink<K>: Send {
    /// An object, new or changed.
    fn apply(&mut self, object: K) -> Option<Told>;
    /// An object that is gone.
    fn delete(&mut self, object: K) -> Option<Told>;
    /// A list begins.
    fn list_begins(&mut self);
    /// A list is complete.
    fn list_ends(&mut self) -> Option<Event>;
    /// Whether what an object says is most likely known already, so that it need not be told at once.
    fn can_wait(&self, event: &Event) -> bool {
        let _ = event;
        false
    }
    /// What follows from the server not serving the kind at all, where that can be; otherwise it is trouble like any
    /// other.
    fn not_served(&mut self) -> Option<Event> {
        None
    }
    /// Whether an object that does not decode ends the watch, for somebody else to decode each by itself; otherwise it is
    /// trouble like any other.
    fn ends_undecodable(&self) -> bool {
        false
    }
    /// What follows when objects of the kind cannot be seen.
    fn unseen(&self) -> Unseen;
    /// Whether the watch ends when the server does not serve the kind, for somebody else to see to that.
    fn ends_unserved(&self) -> bool {
        false
    }
}

impl Reflectors {
    /// Watches pods until `stop`. `synced` passes once the first list, which the driver knows as number `list`, is in.
    pub async fn pods(self: Arc<Self>, list: usize, synced: Check, stop: CancellationToken, mut orders: Orders) {
        let config = config().fields(UNFINISHED_PODS);
        let parser = PodParser::new(self.annotation_keys.clone());
        let (profiles, metrics) = (self.profiles.clone(), Arc::clone(&self.metrics));
        let mut pods = Pods {
            parser,
            listed: Noted(None),
            newest: None,
            profiles,
            metrics,
            annotation_keys: self.annotation_keys.clone(),
            recording: self.inbox.recording().clone(),
        };
        // Objects are decoded straight into structs. A server that sends one that does not decode would keep the list
        // from ever being read, so from then on each object is cut out first and decoded by itself, which takes longer.
        let api = Api::<Slim<api::Pod, false>>::all(self.client.clone());
        if self.reflect("Pod", api, config.clone(), &mut pods, (list, &synced), (&stop, &mut orders)).await
            == Ended::Undecodable
        {
            let api = Api::<Slim<api::Pod, true>>::all(self.client.clone());
            self.reflect("Pod", api, config, &mut pods, (list, &synced), (&stop, &mut orders)).await;
        }
    }

    /// Watches nodes until `stop`. `synced` passes once the first list is in.
    pub async fn nodes(self: Arc<Self>, list: usize, synced: Check, stop: CancellationToken, mut orders: Orders) {
        let mut nodes = Nodes {
            annotation_keys: self.annotation_keys.clone(),
            listed: Noted(None),
            recording: self.inbox.recording().clone(),
        };
        let api = Api::<Slim<api::Node, false>>::all(self.client.clone());
        if self.reflect("Node", api, config(), &mut nodes, (list, &synced), (&stop, &mut orders)).await
            == Ended::Undecodable
        {
            let api = Api::<Slim<api::Node, true>>::all(self.client.clone());
            self.reflect("Node", api, config(), &mut nodes, (list, &synced), (&stop, &mut orders)).await;
        }
    }

    /// Watches namespaces, of which only the labels matter, until `stop`.
    pub async fn namespaces(self: Arc<Self>, list: usize, synced: Check, stop: CancellationToken) {
        let resource = ApiResource {
            group: String::new(),
            version: "v1".to_owned(),
            api_version: "v1".to_owned(),
            kind: String::new(),
            plural: "namespaces".to_owned(),
        };
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &resource);
        let mut namespaces = Namespaces { listed: Noted(None) };
        self.reflect("namespaces", api, config(), &mut namespaces, (list, &synced), (&stop, &mut Orders::none())).await;
    }

    /// Watches a further kind that some plugin declared, until `stop`.
    pub async fn objects(self: Arc<Self>, list: usize, kind: KindRef, synced: Check, stop: CancellationToken) {
        if kind.any_version {
            return self.objects_of_any_version(list, kind, synced, stop).await;
        }
        self.objects_of(kind, kind.version, (list, &synced), &stop).await;
    }

    async fn objects_of(
        &self,
        kind: KindRef,
        version: &str,
        synced: (usize, &Check),
        stop: &CancellationToken,
    ) -> Ended {
        let api_version = if kind.group.is_empty() { version.to_owned() } else { format!("{}/{version}", kind.group) };
        let resource = ApiResource {
            group: kind.group.to_owned(),
            version: version.to_owned(),
            api_version,
            kind: String::new(),
            plural: kind.plural.to_owned(),
        };
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &resource);
        let mut objects = Objects { kind, listed: Noted(None), recording: self.inbox.recording().clone() };
        // Several groups may have kinds of one name.
        let name = if kind.any_version { format!("{}.{}", kind.plural, kind.group) } else { kind.plural.to_owned() };
        self.reflect(&name, api, config(), &mut objects, synced, (stop, &mut Orders::none())).await
    }

    async fn reflect<K>(
        &self,
        name: &str,
        api: Api<K>,
        mut config: Config,
        sink: &mut impl Sink<K>,
        synced: (usize, &Check),
        (stop, orders): (&CancellationToken, &mut Orders),
    ) -> Ended
    where
        K: watcher::Watched,
    {
        let metrics = self.metrics.plimsoll.watch(name);
        let seed = self.seed ^ list_seed(synced.0);
        let mut sight = Sight::new(name, sink.unseen());
        if !self.from_cache {
            config.list_semantic = ListSemantic::MostRecent;
        }
        let (mut streams, mut wait, mut pace) = (self.from_cache, Duration::ZERO, Pace::new(seed));
        loop {
            streams &= self.streams.are_likely();
            config.initial_list_strategy =
                if streams { InitialListStrategy::StreamingList } else { InitialListStrategy::ListWatch };
            let stream = if streams {
                kube::runtime::watcher(api.clone(), config.clone()).left_stream()
            } else {
                watcher::watcher(api.clone(), config.clone()).right_stream()
            };
            let stream = stream.backoff(Pace::new(seed));
            let turn = async {
                if !wait.is_zero() {
                    sleep(wait).await;
                }
                self.follow((&mut sight, streams), stream, sink, synced, &metrics).await
            };
            wait = tokio::select! {
                biased;
                () = stop.cancelled() => return Ended::Stopped,
                begun = orders.next() => {
                    tracing::info!(kind = name, "listing anew");
                    self.inbox.unlisted(synced.0);
                    // What the server's cache holds may be older than what made somebody ask, and a stream is of that.
                    config.list_semantic = ListSemantic::MostRecent;
                    streams = false;
                    // Whoever ordered it may have stopped waiting.
                    let _ = begun.send(());
                    Duration::ZERO
                }
                ended = turn => match ended {
                    Ended::Forbidden => pace.next().unwrap_or_default(),
                    Ended::Unstreamed => {
                        streams = false;
                        Duration::ZERO
                    }
                    ended => return ended,
                },
            };
        }
    }

    /// Hands over what a watch says, until it ends or has to begin otherwise.
    async fn follow<K>(
        &self,
        (sight, streams): (&mut Sight, bool),
        stream: impl Stream<Item = Result<WatcherEvent<K>, Error>>,
        sink: &mut impl Sink<K>,
        (list, synced): (usize, &Check),
        metrics: &WatchMetrics,
    ) -> Ended {
        let mut stream = std::pin::pin!(stream);
        let mut batch = Vec::new();
        // How often the list has begun that is being read.
        let mut begun = 0;
        loop {
            let next = if streams && begun > 0 {
                match timeout(STREAM_SILENCE, stream.next()).await {
                    Ok(next) => next,
                    Err(_) => return self.unstreamed(sight, "nothing came of it"),
                }
            } else if let Some(at) = sight.certain_at {
                tokio::select! {
                    biased;
                    next = stream.next() => next,
                    () = sleep_until(at) => {
                        self.permission_regained(sight);
                        continue;
                    }
                }
            } else {
                stream.next().await
            };
            let Some(event) = next else { return Ended::Stopped };
            match event {
                Ok(WatcherEvent::Init) => {
                    batch.clear();
                    sink.list_begins();
                    begun += 1;
                    if streams && begun > STREAM_TRIES {
                        return self.unstreamed(sight, "it broke off again and again");
                    }
                }
                Ok(WatcherEvent::InitApply(object)) => {
                    metrics.events.at(WatchEventType::Listed).inc();
                    batch.extend(sink.apply(object));
                    if batch.len() >= BATCH {
                        self.inbox.events(std::mem::take(&mut batch));
                    }
                }
                Ok(WatcherEvent::InitDone) => {
                    batch.extend(sink.list_ends().map(Told::from));
                    self.inbox.events(std::mem::take(&mut batch));
                    self.inbox.synced(list, synced.clone());
                    (begun, sight.unserved) = (0, false);
                    self.permission_used(sight, streams);
                }
                Ok(WatcherEvent::Apply(object)) => {
                    self.permission_regained(sight);
                    match sink.apply(object) {
                        Some(told) if sink.can_wait(&told.event) => self.inbox.unhurried(told),
                        Some(told) => self.inbox.event(told),
                        None => {}
                    }
                    // Whoever sees the count finds that the owner has been told.
                    metrics.events.at(WatchEventType::Applied).inc();
                }
                Ok(WatcherEvent::Delete(object)) => {
                    self.permission_regained(sight);
                    sink.delete(object).into_iter().for_each(|event| self.inbox.event(event));
                    metrics.events.at(WatchEventType::Deleted).inc();
                }
                Err(error) => {
                    if let Some(ended) = self.failed(&error, (sight, streams), sink, (list, synced), metrics) {
                        return ended;
                    }
                }
            }
        }
    }

    /// A watch has failed; how it ends by that, if it does. Otherwise the watcher begins again by itself, after a while.
    fn failed<K>(
        &self,
        error: &Error,
        (sight, streams): (&mut Sight, bool),
        sink: &mut impl Sink<K>,
        (list, synced): (usize, &Check),
        metrics: &WatchMetrics,
    ) -> Option<Ended> {
        let name = sight.kind.clone();
        if streams && refuses_to_stream(error) {
            self.streams.refused();
            return Some(Ended::Unstreamed);
        }
        let unserved = status_code(error) == 404;
        if unserved && sink.ends_unserved() {
            self.permission_regained(sight);
            return Some(Ended::Unserved);
        }
        if unserved && let Some(none) = sink.not_served() {
            // Asked for again from time to time: the kind may be served after an upgrade, or when it is defined.
            if !std::mem::replace(&mut sight.unserved, true) {
                tracing::info!(kind = name, "the server does not serve this kind; there are none");
                self.inbox.event(none);
                self.inbox.synced(list, synced.clone());
            }
            self.permission_regained(sight);
            return None;
        }
        if undecodable(error) && sink.ends_undecodable() {
            self.permission_regained(sight);
            tracing::warn!(kind = name, error = %describe(error), "an object cannot be decoded; decoding each by itself from now on");
            metrics.restarts.at(RestartReason::Error).inc();
            return Some(Ended::Undecodable);
        }
        if streams && undecodable(error) {
            // A proxy's page, say: by a list it can be shown.
            return Some(self.unstreamed(sight, "what came is no watch"));
        }
        let (reason, text) = (restart_reason(error), words(error));
        metrics.restarts.at(reason).inc();
        match reason {
            RestartReason::Forbidden => {
                self.permission_lost(sight, error, (list, synced));
                // When it is granted, that shows by a list: a watch may have nothing to say for hours.
                return Some(Ended::Forbidden);
            }
            RestartReason::Expired => tracing::info!(kind = name, "the watch was too far behind; listing again"),
            RestartReason::Error => {
                tracing::warn!(kind = name, error = %text, "watching failed; retrying");
            }
        }
        synced.fail_unless_passing(format!("listing {}: {text}; retrying", resource(&name)));
        None
    }

    /// The list is not had by a stream.
    fn unstreamed(&self, sight: &Sight, why: &str) -> Ended {
        tracing::warn!(kind = sight.kind, "the list could not be had by a stream ({why}); reading it by list");
        Ended::Unstreamed
    }
}

/// The resource of a kind, as permissions name it; further kinds go by it already.
fn resource(kind: &str) -> &str {
    match kind {
        "Pod" | refusals::KIND => "pods",
        "Node" => "nodes",
        plural => plural,
    }
}

/// Lists have chances of their own.
fn list_seed(list: usize) -> u64 {
    u64::try_from(list).unwrap_or(0).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    Stopped,
    Undecodable,
    Unserved,
    /// It was refused for want of a permission.
    Forbidden,
    /// Its list has to be had otherwise than by a stream.
    Unstreamed,
}

/// One list, unpaged and from the server's cache: pages of a large list expire faster than they are read. Where the server
/// streams lists it becomes the beginning of the watch.
pub(crate) fn config() -> Config {
    Config { page_size: None, timeout: Some(WATCH_SECONDS), ..Config::default().any_semantic() }
}

fn kube_error(error: &Error) -> Option<&kube::Error> {
    match error {
        Error::InitialListFailed(e) | Error::WatchStartFailed(e) | Error::WatchFailed(e) => Some(e),
        Error::WatchError(_) | Error::NoResourceVersion => None,
    }
}

/// Whether an object was sent that does not decode. Where it comes by a watch, kube takes the line for a status, of which
/// it then has nothing.
fn undecodable(error: &Error) -> bool {
    match kube_error(error) {
        Some(kube::Error::SerdeError(_)) => true,
        Some(kube::Error::Api(status)) => status.code == 0 && status.status.is_none() && status.message.is_empty(),
        _ => false,
    }
}

/// What went wrong, in one line.
fn words(error: &Error) -> String {
    let (code, message) = match (error, kube_error(error)) {
        (Error::WatchError(status), _) => (status.code, &status.message),
        (_, Some(kube::Error::Api(status))) => (status.code, &status.message),
        // kube's own words around it say only that it is an error.
        (_, Some(kube::Error::Service(error))) => return describe(&**error),
        _ => return describe(error),
    };
    let hint = if code == 401 { "; has the token or the certificate in the kubeconfig expired?" } else { "" };
    format!("the api server answered {code}: {}{hint}", one_line(message))
}

/// The status code of the server's answer; 0 where there was none.
fn status_code(error: &Error) -> u16 {
    match (error, kube_error(error)) {
        (Error::WatchError(status), _) => status.code,
        (_, Some(kube::Error::Api(status))) => status.code,
        _ => 0,
    }
}

fn restart_reason(error: &Error) -> RestartReason {
    match status_code(error) {
        403 => RestartReason::Forbidden,
        410 => RestartReason::Expired,
        _ => RestartReason::Error,
    }
}

/// What is in the list that is being read. Between lists nothing is noted: objects come and go for ever.
#[derive(Default)]
struct Noted<T>(Option<HashSet<T>>);

impl<T: Eq + std::hash::Hash> Noted<T> {
    fn begin(&mut self) {
        self.0 = Some(HashSet::new());
    }

    fn note(&mut self, what: impl FnOnce() -> T) {
        if let Some(noted) = &mut self.0 {
            noted.insert(what());
        }
    }

    fn end(&mut self) -> HashSet<T> {
        self.0.take().unwrap_or_default()
    }
}

struct Pods {
    parser: PodParser,
    listed: Noted<Uid>,
    /// The newest version of a pod in the list.
    newest: Option<u64>,
    profiles: Vec<Istr>,
    metrics: Arc<Metrics>,
    annotation_keys: Vec<Istr>,
    recording: Recording,
}

impl Pods {
    /// Counts what a newer Kubernetes says of a pod that this version does not read.
    fn count_unknown(&self, pod: &api::Pod) {
        for field in pod.spec.unknown.iter().filter_map(|field| self.metrics.plimsoll.unknown_fields.count(field)) {
            let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
            tracing::warn!(field, pod = %format_args!("{namespace}/{name}"), "a pod has a field that this version does not know: it does not count, here and in other pods");
        }
    }
}

/// Parses what was decoded; what was not has that as its fault.
fn parse(parser: &mut PodParser, pod: &Result<api::Pod, Box<slim::Undecoded<api::Pod>>>) -> PodInfo {
    match pod {
        Ok(pod) => parser.parse(pod),
        Err(undecoded) => {
            let mut pod = parser.parse(&undecoded.skeleton);
            pod.faults = Some(Box::new(undecoded.faults.clone()));
            pod
        }
    }
}

/// A pod, with what it was parsed from where that is recorded. `read` says that it was read by itself.
fn tell(
    pod: PodInfo,
    parsed: Result<api::Pod, Box<slim::Undecoded<api::Pod>>>,
    keys: &[Istr],
    recording: &Recording,
    read: bool,
) -> Told {
    let text = if recording.is_on() {
        match parsed {
            Ok(parsed) => pod_text(parsed, None, keys, read),
            Err(undecoded) => {
                let fault = undecoded.faults.iter().next().map(|fault| &*fault.problem);
                pod_text(undecoded.skeleton, fault, keys, read)
            }
        }
    } else {
        None
    };
    Told::new(Event::Pod(Box::new(pod)), text)
}

impl<const TOLERANT: bool> Sink<Slim<api::Pod, TOLERANT>> for Pods {
    /// A pod of ours that has a node got it from us.
    fn can_wait(&self, event: &Event) -> bool {
        matches!(event, Event::Pod(pod) if pod.node_name.is_some() && self.profiles.contains(&pod.scheduler_name))
    }
    fn apply(&mut self, object: Slim<api::Pod, TOLERANT>) -> Option<Told> {
        object.object.iter().for_each(|pod| self.count_unknown(pod));
        let pod = parse(&mut self.parser, &object.object);
        self.listed.note(|| pod.key.uid.clone());
        self.newest = self.newest.max(Some(pod.resource_version));
        Some(tell(pod, object.object, &self.annotation_keys, &self.recording, false))
    }
    fn delete(&mut self, object: Slim<api::Pod, TOLERANT>) -> Option<Told> {
        let meta = object.metadata();
        let resource_version = meta.resource_version.parse().unwrap_or(0);
        Some(Event::PodDeleted { uid: Uid::new(&meta.uid), resource_version }.into())
    }
    fn list_begins(&mut self) {
        self.listed.begin();
        self.newest = None;
    }
    fn list_ends(&mut self) -> Option<Event> {
        Some(Event::PodsListed { present: self.listed.end(), resource_version: self.newest.unwrap_or(u64::MAX) })
    }
    fn ends_undecodable(&self) -> bool {
        !TOLERANT
    }
    fn unseen(&self) -> Unseen {
        Unseen::Stops
    }
}

struct Nodes {
    annotation_keys: Vec<Istr>,
    listed: Noted<Istr>,
    recording: Recording,
}

impl<const TOLERANT: bool> Sink<Slim<api::Node, TOLERANT>> for Nodes {
    fn apply(&mut self, object: Slim<api::Node, TOLERANT>) -> Option<Told> {
        self.listed.note(|| object.metadata().name.clone());
        let node = object.object.unwrap_or_else(|undecoded| {
            // What it can give is not known, so it gives nothing.
            tracing::warn!(node = %undecoded.skeleton.metadata.name, faults = %undecoded.faults, "a node cannot be read; it takes no pods");
            undecoded.skeleton
        });
        let (info, faults) = NodeInfo::parse(&node, &self.annotation_keys);
        if !faults.is_empty() {
            tracing::warn!(node = %info.name, %faults, "a node has fields that cannot be read; they count as nothing");
        }
        let text = if self.recording.is_on() { node_text(node, &self.annotation_keys) } else { None };
        Some(Told::new(Event::Node(Box::new(info)), text))
    }
    fn delete(&mut self, object: Slim<api::Node, TOLERANT>) -> Option<Told> {
        Some(Event::NodeDeleted { name: object.metadata().name.clone() }.into())
    }
    fn list_begins(&mut self) {
        self.listed.begin();
    }
    fn list_ends(&mut self) -> Option<Event> {
        Some(Event::NodesListed { present: self.listed.end() })
    }
    fn ends_undecodable(&self) -> bool {
        !TOLERANT
    }
    fn unseen(&self) -> Unseen {
        Unseen::Stops
    }
}

struct Namespaces {
    listed: Noted<Istr>,
}

impl Namespaces {
    fn name(object: &DynamicObject) -> Istr {
        Istr::new(object.metadata.name.as_deref().unwrap_or_default())
    }
}

impl Sink<DynamicObject> for Namespaces {
    fn apply(&mut self, object: DynamicObject) -> Option<Told> {
        let name = Self::name(&object);
        self.listed.note(|| name.clone());
        let labels: LabelSet = object.metadata.labels.iter().flatten().collect();
        Some(Event::Namespace { name, labels: Some(Arc::new(labels)) }.into())
    }
    fn delete(&mut self, object: DynamicObject) -> Option<Told> {
        Some(Event::Namespace { name: Self::name(&object), labels: None }.into())
    }
    fn list_begins(&mut self) {
        self.listed.begin();
    }
    fn list_ends(&mut self) -> Option<Event> {
        Some(Event::NamespacesListed { present: self.listed.end() })
    }
    fn unseen(&self) -> Unseen {
        Unseen::Hides(None)
    }
}

/// The version of an object; 0 where it has none that is a number, which counts as later than any.
fn version_of(object: &DynamicObject) -> u64 {
    object.metadata.resource_version.as_ref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

struct Objects {
    kind: KindRef,
    listed: Noted<ObjectKey>,
    recording: Recording,
}

impl Objects {
    fn key(object: &DynamicObject) -> ObjectKey {
        let text = |s: &Option<String>| Istr::new(s.as_deref().unwrap_or_default());
        ObjectKey { namespace: text(&object.metadata.namespace), name: text(&object.metadata.name) }
    }
}

impl Sink<DynamicObject> for Objects {
    fn apply(&mut self, object: DynamicObject) -> Option<Told> {
        let (kind, key) = (self.kind, Self::key(&object));
        self.listed.note(|| key.clone());
        let resource_version = version_of(&object);
        let json = serde_json::to_value(&object).map_err(|e| e.to_string());
        let object = json
            .as_ref()
            .map_err(String::clone)
            .and_then(|json| (kind.decode)(json))
            .inspect_err(
                |error| tracing::warn!(?kind, object = ?key, %error, "an object cannot be read; it counts as absent"),
            )
            .ok();
        let json = json.ok().filter(|_| self.recording.is_on());
        let text = json.and_then(|json| object_text(&kind, &key, resource_version, Some(json)));
        Some(Told::new(Event::Object { kind, key, resource_version, object }, text))
    }
    fn delete(&mut self, object: DynamicObject) -> Option<Told> {
        let (kind, key, resource_version) = (self.kind, Self::key(&object), version_of(&object));
        let text = if self.recording.is_on() { object_text(&kind, &key, resource_version, None) } else { None };
        Some(Told::new(Event::Object { kind, key, resource_version, object: None }, text))
    }
    fn list_begins(&mut self) {
        self.listed.begin();
    }
    fn list_ends(&mut self) -> Option<Event> {
        Some(Event::ObjectsListed { kind: self.kind, present: self.listed.end() })
    }
    fn unseen(&self) -> Unseen {
        Unseen::Hides(Some(self.kind))
    }
    /// An older server lacks kinds that are new.
    fn not_served(&mut self) -> Option<Event> {
        self.list_begins();
        self.list_ends()
    }
    fn ends_unserved(&self) -> bool {
        self.kind.any_version
    }
}

/// Parses a pod that was read by itself.
pub(crate) fn parse_pod(json: &[u8], annotation_keys: &[Istr]) -> Option<PodInfo> {
    let object: Slim<api::Pod, true> = serde_json::from_slice(json).ok()?;
    Some(parse(&mut PodParser::new(annotation_keys.to_vec()), &object.object))
}

/// The same, as it is told the engine.
pub(crate) fn read_pod(json: &[u8], annotation_keys: &[Istr], recording: &Recording) -> Option<(PodInfo, Told)> {
    let object: Slim<api::Pod, true> = serde_json::from_slice(json).ok()?;
    let pod = parse(&mut PodParser::new(annotation_keys.to_vec()), &object.object);
    Some((pod.clone(), tell(pod, object.object, annotation_keys, recording, true)))
}

#[cfg(test)]
mod tests;
