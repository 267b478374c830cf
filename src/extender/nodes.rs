//! Nodes in full, for extenders that do not know them. Watched only where there is one.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt as _, pin_mut};
use hashbrown::HashMap;
use k8s_openapi::ClusterResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use plimsoll_framework::intern::Istr;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::client::describe;

/// Every node, as it goes to extenders.
#[derive(Debug)]
pub(crate) struct Nodes {
    known: Mutex<HashMap<Istr, Arc<RawValue>>>,
    listed: watch::Sender<bool>,
}

/// A node whose JSON is kept.
#[derive(Clone, Debug)]
struct RawNode {
    meta: ObjectMeta,
    json: Arc<RawValue>,
}

impl Nodes {
    pub(super) fn new() -> Self {
        Self { known: Mutex::default(), listed: watch::Sender::new(false) }
    }

    /// Watches until `stop`.
    pub(crate) async fn run(&self, client: Client, stop: CancellationToken) {
        let stream = watcher(Api::<RawNode>::all(client), crate::reflector::config()).default_backoff();
        pin_mut!(stream);
        let mut listing = HashMap::new();
        loop {
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                event = stream.next() => event,
            };
            match event {
                Some(Ok(event)) => self.take(event, &mut listing),
                Some(Err(error)) => {
                    tracing::warn!(error = %describe(&error), "watching nodes for extenders failed; retrying");
                }
                None => return,
            }
        }
    }

    fn take(&self, event: watcher::Event<RawNode>, listing: &mut HashMap<Istr, Arc<RawValue>>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            watcher::Event::Init => listing.clear(),
            watcher::Event::InitApply(node) => drop(listing.insert(node.name(), node.json)),
            watcher::Event::InitDone => {
                *known = std::mem::take(listing);
                self.listed.send_replace(true);
            }
            watcher::Event::Apply(node) => drop(known.insert(node.name(), node.json)),
            watcher::Event::Delete(node) => drop(known.remove(&node.name())),
        }
    }

    /// The nodes of these names that are known, once the first list has been read.
    pub(super) async fn get(&self, names: &[Istr]) -> Vec<(Istr, Arc<RawValue>)> {
        // Fails only when this is dropped, which it is not while it is asked.
        drop(self.listed.subscribe().wait_for(|listed| *listed).await);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().filter_map(|name| Some((name.clone(), Arc::clone(known.get(name)?)))).collect()
    }
}

impl RawNode {
    fn name(&self) -> Istr {
        Istr::new(self.meta.name.as_deref().unwrap_or_default())
    }
}

/// An object as kube-scheduler passes it on: without what its informers drop, and without what typed objects do not
/// carry.
pub(crate) fn trimmed(mut object: Map<String, Value>) -> serde_json::Result<Box<RawValue>> {
    object.remove("apiVersion");
    object.remove("kind");
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("managedFields");
    }
    to_raw_value(&object)
}

impl<'de> Deserialize<'de> for RawNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Map::deserialize(deserializer)?;
        let text = |field: &str| object.get("metadata")?.get(field)?.as_str().map(str::to_owned);
        let meta =
            ObjectMeta { name: text("name"), resource_version: text("resourceVersion"), ..ObjectMeta::default() };
        let json = trimmed(object).map_err(D::Error::custom)?.into();
        Ok(Self { meta, json })
    }
}

impl kube::Resource for RawNode {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Node".into()
    }
    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }
    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }
    fn plural((): &()) -> Cow<'_, str> {
        "nodes".into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}
