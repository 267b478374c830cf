//! The state of the cluster: one store a kind, and what all operations on them share.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicU64},
    time::SystemTime,
};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    clock::{Clock, Ids},
    controllers::Garbage,
    faults::Faults,
    kinds::{Kind, Kinds, Role},
    options::Options,
    recorder::{CallCount, Recorder},
    store::Store,
    tokens::Issued,
};

/// Everything the server knows. Requests, controllers and kubelets work on it alike.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) options: Options,
    pub(crate) kinds: Kinds,
    stores: Vec<Arc<Store>>,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) faults: Faults,
    pub(crate) recorder: Recorder,
    pub(crate) garbage: Garbage,
    /// Tokens of service accounts that were asked for.
    pub(crate) issued: Issued,
    /// CronJobs that were told to run at once, by key.
    pub(crate) fired: tokio::sync::mpsc::Sender<String>,
}

impl Cluster {
    /// A cluster as it is when an API server has just started: four namespaces and the system's priority classes.
    pub(crate) fn new(options: Options, fired: tokio::sync::mpsc::Sender<String>) -> Self {
        let kinds = Kinds::new(options.minor, &options.extra_kinds);
        let version = Arc::new(AtomicU64::new(0));
        let stores = kinds
            .stores()
            .map(|kind| Arc::new(Store::new(kind, version.clone(), options.history_limit, options.event_limit)));
        let stores = stores.collect();
        let start = Timestamp::try_from(options.start_time.unwrap_or_else(SystemTime::now));
        let cluster = Self {
            kinds,
            stores,
            clock: Clock::new(start.unwrap_or(Timestamp::UNIX_EPOCH)),
            ids: Ids::new(options.seed),
            faults: Faults::new(options.seed),
            recorder: Recorder::new(options.recorded_calls),
            garbage: Garbage::default(),
            issued: Issued::default(),
            fired,
            options,
        };
        cluster.load(initial_objects());
        if cluster.options.rbac {
            cluster.load(crate::auth::initial_objects());
        }
        cluster
    }

    pub(crate) fn store(&self, kind: &Kind) -> &Arc<Store> {
        &self.stores[kind.store]
    }

    pub(crate) fn store_of(&self, role: Role) -> &Arc<Store> {
        self.store(self.kinds.role(role))
    }

    pub(crate) fn pods(&self) -> &Arc<Store> {
        self.store_of(Role::Pod)
    }

    pub(crate) fn stores(&self) -> impl Iterator<Item = &Arc<Store>> {
        self.stores.iter()
    }

    /// The calls so far, counted.
    pub(crate) fn call_counts(&self) -> Vec<CallCount> {
        let names: HashMap<usize, &Kind> = self.kinds.iter().map(|kind| (kind.id, kind)).collect();
        let counts = self.recorder.counts().into_iter();
        let named = counts.filter_map(|((verb, id, subresource, code), count)| {
            let kind = names.get(&id)?;
            let (group, resource) = (kind.group.clone(), kind.plural.clone());
            Some(CallCount { verb, group, resource, subresource, code, count })
        });
        named.collect()
    }

    /// Whether a kubelet runs on that node.
    pub(crate) fn has_kubelet(&self, node: &str) -> bool {
        self.options.kubelets && self.store_of(Role::Node).get(node).is_some()
    }
}

fn initial_objects() -> Vec<Value> {
    let namespaces = ["default", "kube-system", "kube-public", "kube-node-lease"]
        .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    let classes =
        [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)].map(|(name, value)| {
            json!({
                "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
                "metadata": {"name": name}, "value": value, "preemptionPolicy": "PreemptLowerPriority",
            })
        });
    namespaces.into_iter().chain(classes).collect()
}
