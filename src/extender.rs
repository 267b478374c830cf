//! Extenders, both ways (reference section 9.8): asking them, and being one.
//!
//! What the engine asks is taken through the extenders in their order. The pod is read from the API server for each
//! question: that is one small call among larger ones, it is never out of date, and nothing has to be kept of
//! all the pods that are pending. Nodes in full are watched once more, as text, and only where an extender needs them.

mod client;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod laws;
mod nodes;
mod preempt;
pub(crate) mod serve;
mod tls;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures::future::join_all;
use hashbrown::{HashMap, HashSet};
use http::{Method, StatusCode};
use kube::Client;
use plimsoll_engine::effect::BindRequest;
use plimsoll_engine::extender::{Answer, Ask, Extenders as Interest, NodeAnswer};
use plimsoll_framework::cluster_event::EventResource;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::verdict::Code;
use serde_json::value::RawValue;

use crate::client::{RawRequest, describe, send};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::write::pod_path;
use client::{HttpExtender, Shared, Verb, body};
use nodes::Nodes;
use wire::{Args, BindArgs, BindingResult, Empty, FilterResult, HostPriority, NodeList, Reasons};

pub(crate) use client::address_problem;

/// How long reading a pod may take, and how often it is tried.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TRIES: u32 = 3;
/// A score of an extender is 0 to 10, one of a plugin 0 to 100.
const SCALE: i64 = 10;

/// The extenders of a configuration.
pub struct Extenders {
    /// Those that cannot be done without first.
    list: Vec<Shared>,
    nodes: Option<Nodes>,
    client: Client,
}

/// What came of asking an extender to bind a pod.
pub(crate) enum Bound {
    /// No extender binds this pod, or one that may be ignored could not.
    NotHere,
    /// It says that the pod is bound.
    Done,
    /// It could not; whether the pod is bound all the same is not known.
    Failed(String),
}

impl Extenders {
    /// The extenders of a configuration; `None` where it has none. Pods are read through `client`.
    ///
    /// # Errors
    /// When an extender's address or TLS settings cannot be used.
    pub fn new(config: &Config, client: Client, metrics: &Metrics) -> anyhow::Result<Option<Self>> {
        if config.extenders.is_empty() {
            return Ok(None);
        }
        let list = list(config, metrics)?;
        let asks = |e: &Shared| e.has(Verb::Filter) || e.has(Verb::Prioritize);
        let nodes = list.iter().any(|e| asks(e) && !e.node_cache_capable).then(Nodes::new);
        Ok(Some(Self { list, nodes, client }))
    }

    /// What the engine has to know of them.
    pub fn interest(&self) -> Interest {
        interest(&self.list)
    }

    /// The same of those of a configuration, where none of them is going to be asked.
    #[cfg(feature = "tools")]
    pub(crate) fn interest_of(config: &Config) -> anyhow::Result<Option<Interest>> {
        if config.extenders.is_empty() {
            return Ok(None);
        }
        Ok(Some(interest(&list(config, &Metrics::new()?)?)))
    }

    /// The nodes in full, to be watched, where some extender needs them.
    pub(crate) fn nodes(&self) -> Option<&Nodes> {
        self.nodes.as_ref()
    }

    fn interested<'a>(&'a self, verb: Verb, pod: &'a PodInfo) -> impl Iterator<Item = &'a HttpExtender> {
        self.list.iter().map(|e| &**e).filter(move |e| e.has(verb) && e.is_interested(pod))
    }

    /// Whether an extender that is asked about the pod wants nodes in full.
    fn wants_nodes(&self, pod: &PodInfo) -> bool {
        let mut asked = self.interested(Verb::Filter, pod).chain(self.interested(Verb::Prioritize, pod));
        asked.any(|e| !e.node_cache_capable)
    }

    /// Asks all that have a say in where the pod goes.
    ///
    /// # Errors
    /// When one that cannot be done without could not say.
    pub async fn ask(&self, ask: &Ask) -> Result<Answer, String> {
        let pod = self.there(&ask.pod).await?;
        let mut left = ask.nodes.clone();
        let mut full = HashMap::new();
        if let Some(nodes) = self.nodes.as_ref().filter(|_| self.wants_nodes(&ask.pod)) {
            full.extend(nodes.get(&left).await);
            // What cannot be shown is not asked about: the engine asks again where that matters.
            left.retain(|node| full.contains_key(node));
        }
        let mut question = Question { pod, full, left, said: HashMap::new() };
        for extender in self.interested(Verb::Filter, &ask.pod) {
            if question.left.is_empty() {
                break;
            }
            match question.filter(extender).await {
                Ok(()) => {}
                Err(error) if extender.ignorable => {
                    tracing::warn!(pod = %ask.pod.key, extender = extender.name, %error, "skipping an extender that may be ignored");
                }
                Err(error) => return Err(error),
            }
        }
        let nominated = ask.nominated.as_ref().is_some_and(|node| question.left.contains(node));
        let mut scores: HashMap<Istr, i64> = HashMap::new();
        if question.left.len() > 1 && !nominated {
            let all = self.interested(Verb::Prioritize, &ask.pod);
            for (extender, given) in join_all(all.map(|e| question.prioritize(e))).await {
                match given {
                    Ok(given) => add_scores(&mut scores, extender.weight, given),
                    Err(error) => {
                        tracing::warn!(pod = %ask.pod.key, extender = extender.name, %error, "going on without the scores of an extender");
                    }
                }
            }
        }
        let passed = question.left.into_iter().map(|node| {
            let score = scores.get(&node).copied().unwrap_or(0);
            (node, NodeAnswer::Passed(score))
        });
        Ok(question.said.into_iter().chain(passed).collect())
    }

    /// Whether an extender is to bind this pod.
    pub(crate) fn binds(&self, pod: &PodInfo) -> bool {
        self.interested(Verb::Bind, pod).next().is_some()
    }

    /// Has the first extender that binds this pod bind it.
    pub(crate) async fn bind(&self, request: &BindRequest) -> Bound {
        let key = &request.pod.key;
        let args = BindArgs {
            pod_name: &key.name,
            pod_namespace: &key.namespace,
            pod_uid: key.uid.as_str(),
            node: &request.node,
        };
        for extender in self.interested(Verb::Bind, &request.pod) {
            let result = match body(&args) {
                Ok(body) => extender.call::<BindingResult>(Verb::Bind, body).await,
                Err(error) => Err(error),
            };
            let result = result.and_then(|result| match result.error.filter(|error| !error.is_empty()) {
                Some(error) => Err(error),
                None => Ok(()),
            });
            match result {
                Ok(()) => return Bound::Done,
                Err(error) if extender.ignorable => {
                    tracing::warn!(pod = %key, extender = extender.name, %error, "skipping an extender that may be ignored");
                }
                Err(error) => return Bound::Failed(error),
            }
        }
        Bound::NotHere
    }

    /// The pod as the API server has it.
    async fn there(&self, pod: &PodInfo) -> Result<Box<RawValue>, String> {
        self.read_pod(pod).await?.ok_or_else(|| format!("pod {} is not there any more", pod.key))
    }

    /// The same; `None` where there is no such pod, or another one under its name.
    async fn read_pod(&self, pod: &PodInfo) -> Result<Option<Box<RawValue>>, String> {
        let key = &pod.key;
        let path = pod_path(key, "");
        let mut trouble = String::new();
        for attempt in 0..READ_TRIES {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
            }
            let request = RawRequest {
                method: Method::GET,
                path: &path,
                content_type: "",
                body: Bytes::new(),
                timeout: READ_TIMEOUT,
            };
            match send(&self.client, request).await {
                Ok(answer) if answer.status == StatusCode::NOT_FOUND => return Ok(None),
                Ok(answer) if answer.status.is_success() => {
                    let object: serde_json::Map<String, serde_json::Value> =
                        serde_json::from_slice(&answer.body).map_err(|e| format!("reading pod {key}: {e}"))?;
                    if object.get("metadata").and_then(|m| m.get("uid")).and_then(|u| u.as_str())
                        != Some(key.uid.as_str())
                    {
                        return Ok(None);
                    }
                    return nodes::trimmed(object).map(Some).map_err(|e| format!("reading pod {key}: {e}"));
                }
                Ok(answer) => trouble = format!("code {}", answer.status.as_u16()),
                Err(error) => trouble = describe(&error),
            }
        }
        Err(format!("reading pod {key} for extenders: {trouble}"))
    }
}

/// The extenders of a configuration, those first that cannot be done without.
fn list(config: &Config, metrics: &Metrics) -> anyhow::Result<Vec<Shared>> {
    crate::client::install_crypto_provider();
    let make = |(index, extender)| {
        let made = HttpExtender::new(extender, metrics);
        made.map(Arc::new).with_context(|| format!("extenders[{index}]"))
    };
    let mut list: Vec<Shared> = config.extenders.iter().enumerate().map(make).collect::<Result<_, _>>()?;
    list.sort_by_key(|extender| extender.ignorable);
    Ok(list)
}

fn interest(list: &[Shared]) -> Interest {
    let those = |asks: fn(&Shared) -> bool| list.iter().filter(|e| asks(e)).cloned().collect();
    let list: Vec<Shared> = those(|e| e.has(Verb::Filter) || e.has(Verb::Prioritize));
    let preempting: Vec<Shared> = those(|e| e.has(Verb::Preempt));
    let wakes = [
        "PersistentVolume",
        "PersistentVolumeClaim",
        "storage.k8s.io/CSINode",
        "storage.k8s.io/CSIDriver",
        "storage.k8s.io/CSIStorageCapacity",
        "storage.k8s.io/StorageClass",
        "resource.k8s.io/ResourceClaim",
        "resource.k8s.io/DeviceClass",
    ];
    let wakes = wakes.into_iter().map(|kind| EventResource::Other(kind.into()));
    Interest {
        interested: Arc::new(move |pod| list.iter().any(|e| e.is_interested(pod))),
        preempts: Arc::new(move |pod| preempting.iter().any(|e| e.is_interested(pod))),
        wakes: [EventResource::Pod, EventResource::Node].into_iter().chain(wakes).collect(),
    }
}

/// Adds one extender's scores, weighted.
fn add_scores(scores: &mut HashMap<Istr, i64>, weight: i64, given: Vec<HostPriority>) {
    for HostPriority { host, score } in given {
        let score = score.unwrap_or(0).saturating_mul(weight).saturating_mul(SCALE);
        let sum = scores.entry(Istr::new(&host.unwrap_or_default())).or_default();
        *sum = sum.saturating_add(score);
    }
}

/// A question on its way from extender to extender.
struct Question {
    pod: Box<RawValue>,
    /// The nodes in full, where an extender needs them.
    full: HashMap<Istr, Arc<RawValue>>,
    /// The nodes that are left, in the order in which they came.
    left: Vec<Istr>,
    /// What was said of the others.
    said: HashMap<Istr, NodeAnswer>,
}

impl Question {
    /// The call's body, with names or with nodes, as the extender wants it.
    fn body(&self, extender: &HttpExtender) -> Result<Bytes, String> {
        let args = if extender.node_cache_capable {
            let names = self.left.iter().map(|name| &**name).collect();
            Args { pod: &self.pod, nodes: None, node_names: Some(names) }
        } else {
            let items = self.left.iter().filter_map(|name| Some(&**self.full.get(name)?)).collect();
            Args { pod: &self.pod, nodes: Some(NodeList { metadata: Empty {}, items }), node_names: None }
        };
        body(&args)
    }

    /// Leaves the nodes that an extender lets pass.
    async fn filter(&mut self, extender: &HttpExtender) -> Result<(), String> {
        let result: FilterResult = extender.call(Verb::Filter, self.body(extender)?).await?;
        if let Some(error) = result.error.filter(|error| !error.is_empty()) {
            return Err(error);
        }
        let passed: HashSet<Istr> = match (result.node_names, result.nodes) {
            (Some(names), _) if extender.node_cache_capable => names.iter().map(|name| Istr::new(name)).collect(),
            (_, Some(nodes)) => nodes.names().map(|name| Istr::new(&name)).collect(),
            _ => HashSet::new(),
        };
        let (left, turned_away): (Vec<Istr>, Vec<Istr>) = self.left.iter().cloned().partition(|n| passed.contains(n));
        if left.len() < passed.len()
            && let Some(unknown) = passed.iter().filter(|name| !left.contains(name)).min()
        {
            return Err(format!(
                "extender {:?} claims a filtered node {:?} which is not found in the input node list",
                extender.name, &**unknown
            ));
        }
        let reason = |reasons: &Option<Reasons>, node: &Istr| {
            reasons.as_ref().and_then(|all| all.get(&**node)).map(|reason| reason.clone().unwrap_or_default())
        };
        self.left = left;
        for node in turned_away {
            let unresolvable = reason(&result.failed_and_unresolvable_nodes, &node);
            let said = match (unresolvable, reason(&result.failed_nodes, &node)) {
                (Some(reason), _) => NodeAnswer::Failed { code: Code::UnschedulableAndUnresolvable, reason },
                (None, Some(reason)) => NodeAnswer::Failed { code: Code::Unschedulable, reason },
                (None, None) => NodeAnswer::LeftOut,
            };
            self.said.insert(node, said);
        }
        Ok(())
    }

    async fn prioritize<'e>(
        &self,
        extender: &'e HttpExtender,
    ) -> (&'e HttpExtender, Result<Vec<HostPriority>, String>) {
        let given = match self.body(extender) {
            Ok(body) => extender.call::<Option<Vec<HostPriority>>>(Verb::Prioritize, body).await,
            Err(error) => Err(error),
        };
        (extender, given.map(Option::unwrap_or_default))
    }
}
