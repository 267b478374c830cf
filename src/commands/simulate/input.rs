//! What is simulated: nodes and pods, from files and made of what is in files.

use std::collections::BTreeMap;
use std::sync::Arc;

use plimsoll_apiserver::{Offline, Settled};
use plimsoll_engine::event::Event;
use plimsoll_engine::profile::Profile;
use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::KindRef;
use plimsoll_framework::pod::{PodInfo, PodParser};
use serde::Deserialize;
use serde_json::Value;

use super::Args;
use crate::config::Config;
use crate::manifest::{self, Manifest, ManifestError, ManifestErrors};

/// Nodes and pods, parsed.
pub(super) struct Input {
    pub(super) nodes: Vec<NodeInfo>,
    /// Unfinished pods, those that wait for a node in the order in which they came.
    pub(super) pods: Vec<PodInfo>,
    /// Namespaces, and objects of the kinds that plugins read.
    pub(super) others: Vec<Event>,
    /// How many pods have run to their end.
    pub(super) finished: usize,
    /// Objects that nothing is made of, by kind.
    pub(super) unused: BTreeMap<String, usize>,
}

/// An Event of a controller that could not make a pod.
#[derive(Deserialize)]
struct Complaint {
    reason: String,
    note: String,
    regarding: Regarding,
}

#[derive(Deserialize)]
struct Regarding {
    kind: String,
    namespace: String,
    name: String,
}

/// Kinds that the admission of pods reads: they come first.
const READ_BY_ADMISSION: [&str; 3] = ["Namespace", "PriorityClass", "RuntimeClass"];
/// Kinds of which controllers make pods.
const WORKLOADS: [&str; 7] =
    ["Deployment", "ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet", "Job", "CronJob"];

/// Reads the files, and of objects what the plugins of these profiles read. All that is wrong is told at once.
pub(super) fn read(args: &Args, config: &Config, profiles: &[Profile]) -> Result<Input, ManifestErrors> {
    let read = profiles.iter().flat_map(|profile| profile.kinds.iter().copied());
    let kinds: Vec<KindRef> = read.chain(plimsoll_engine::gang::kinds()).collect();
    let keys: Vec<Istr> = profiles.iter().flat_map(|profile| profile.annotation_keys.iter().cloned()).collect();
    let manifests = manifest::read(&args.filename, args.recursive)?;
    let mut loader = Loader {
        offline: Offline::new(args.seed),
        // A DaemonSet makes its pods for the nodes that there are, so its controller has to see them.
        nodes_are_watched: manifests.iter().any(|m| m.kind.as_str() == "DaemonSet" && !m.from_cluster),
        kinds: &kinds,
        nodes: Vec::new(),
        pods: Vec::new(),
        others: Vec::new(),
        unused: BTreeMap::new(),
        errors: Vec::new(),
    };
    let (first, rest): (Vec<_>, Vec<_>) = manifests.iter().partition(|m| READ_BY_ADMISSION.contains(&m.kind.as_str()));
    first.into_iter().chain(rest).for_each(|manifest| loader.take(manifest));
    let Loader { offline, mut nodes, mut pods, others, unused, mut errors, .. } = loader;
    let settled = offline.settle();
    errors.extend(complaints(&settled));
    // Of what was made of workloads nobody has read more than the names yet.
    let made = (settled.list_as::<api::Node>("nodes"), settled.list_as::<api::Pod>("pods"));
    match made {
        (Ok(more_nodes), Ok(more_pods)) => {
            nodes.extend(more_nodes);
            pods.extend(more_pods);
        }
        (Err(failure), _) | (_, Err(failure)) => errors.push(ManifestError::whole(failure.message)),
    }
    ManifestErrors::none(errors)?;
    Ok(Input { others, unused, ..parse(&nodes, pods, &keys, &args.scheduler_name, config) })
}

struct Loader<'k> {
    offline: Offline,
    kinds: &'k [KindRef],
    nodes_are_watched: bool,
    nodes: Vec<api::Node>,
    pods: Vec<api::Pod>,
    others: Vec<Event>,
    unused: BTreeMap<String, usize>,
    errors: Vec<ManifestError>,
}

impl Loader<'_> {
    fn take(&mut self, manifest: &Manifest) {
        let (kind, core) = (manifest.kind.as_str(), manifest.api_version.as_str() == "v1");
        let read = self.told(manifest);
        let result = match kind {
            // What a cluster has admitted is complete. Its controllers have made the pods that they make.
            "Node" if core && manifest.from_cluster && !self.nodes_are_watched => {
                manifest.decode().map(|node| self.nodes.push(node))
            }
            "Pod" if core && manifest.from_cluster => manifest.decode().map(|pod| self.pods.push(pod)),
            // Read once before, so that what is wrong is told with its place.
            "Node" if core => manifest.decode::<api::Node>().and_then(|_| self.create(manifest)),
            "Pod" if core => manifest.decode::<api::Pod>().and_then(|_| self.create(manifest)),
            _ if READ_BY_ADMISSION.contains(&kind) => self.create(manifest),
            _ if WORKLOADS.contains(&kind) && !manifest.from_cluster => self.create(manifest),
            _ if read => Ok(()),
            _ => {
                *self.unused.entry(kind.to_owned()).or_default() += 1;
                Ok(())
            }
        };
        self.errors.extend(result.err());
    }

    /// Whether plugins read the object; then it is kept for them.
    fn told(&mut self, manifest: &Manifest) -> bool {
        if manifest.is("v1", "Namespace") {
            match manifest.decode::<api::Namespace>() {
                Ok(namespace) => {
                    let labels = Some(Arc::new(LabelSet::from(&namespace.metadata.labels)));
                    self.others.push(Event::Namespace { name: manifest.name.clone(), labels });
                }
                Err(error) => self.errors.push(error),
            }
            return true;
        }
        let is_of = |k: &&KindRef| k.kind == manifest.kind.as_str() && k.group == manifest.group();
        let Some(kind) = self.kinds.iter().find(is_of).copied() else { return false };
        match manifest.object(kind) {
            Ok(object) => {
                self.others.push(Event::Object {
                    kind,
                    key: manifest.key(&kind),
                    resource_version: 0,
                    object: Some(object),
                });
            }
            Err(error) => self.errors.push(error),
        }
        true
    }

    fn create(&self, manifest: &Manifest) -> Result<(), ManifestError> {
        if !self.offline.knows(&manifest.api_version, &manifest.kind) {
            let text =
                format!("has apiVersion {:?}, in which no {} is known", manifest.api_version.as_str(), manifest.kind);
            return Err(manifest.error(&text));
        }
        match self.offline.create(manifest.decode::<Value>()?) {
            Ok(()) => Ok(()),
            // Every cluster has some from the beginning. Those of the input come once, which has been checked.
            Err(failure) if failure.reason == "AlreadyExists" => Ok(()),
            Err(failure) => Err(manifest.error(&format!("is refused: {}", failure.message))),
        }
    }
}

/// Pods that could not be made, each told once.
fn complaints(settled: &Settled) -> Vec<ManifestError> {
    let events: Vec<Complaint> = settled.list_as("events.events.k8s.io").unwrap_or_default();
    let mut texts: Vec<String> = events
        .into_iter()
        .filter(|event| event.reason == "FailedCreate")
        .map(|event| {
            let Regarding { kind, namespace, name } = event.regarding;
            format!("{kind} {namespace}/{name}: {}", event.note)
        })
        .collect();
    texts.dedup();
    texts.into_iter().map(ManifestError::whole).collect()
}

fn parse(
    nodes: &[api::Node],
    mut pods: Vec<api::Pod>,
    annotation_keys: &[Istr],
    only: &[String],
    config: &Config,
) -> Input {
    // Those without a node in the order in which they were created, as far as the input tells; others stay as they came.
    pods.sort_by(|a, b| a.metadata.creation_timestamp.cmp(&b.metadata.creation_timestamp));
    let profiles: Vec<Istr> = config.profiles.iter().map(|p| p.scheduler_name.as_str().into()).collect();
    let mut parser = PodParser::new(annotation_keys.to_vec());
    let mut finished = 0;
    let pods = pods.iter_mut().filter_map(|pod| {
        if pod.spec.node_name.is_empty() {
            // What somebody said of it before is not what is said of it here.
            pod.status.conditions.clear();
            adopt(pod, only, &profiles);
        }
        let pod = parser.parse(pod);
        finished += usize::from(pod.finished);
        (!pod.finished).then_some(pod)
    });
    let pods = pods.collect();
    let nodes = nodes.iter().map(|node| NodeInfo::parse(node, annotation_keys).0).collect();
    Input { nodes, pods, others: Vec::new(), finished, unused: BTreeMap::new() }
}

/// Gives a pod that is to be placed to a profile: its own, or the first. One that is not has none.
fn adopt(pod: &mut api::Pod, only: &[String], profiles: &[Istr]) {
    let name = &mut pod.spec.scheduler_name;
    let wanted = only.is_empty() || only.iter().any(|wanted| wanted == name.as_str());
    if !wanted {
        *name = Istr::new("");
    } else if !profiles.contains(name)
        && let Some(first) = profiles.first()
    {
        *name = first.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_that_plugins_read_are_kept() {
        let meta = r#"{"metadata":{"name":"x","annotations":{"example.com/rack":"r7","other":"y"}}}"#;
        let (node, pod) = (serde_json::from_str(meta).unwrap(), serde_json::from_str(meta).unwrap());
        let input = parse(&[node], vec![pod], &["example.com/rack".into()], &[], &Config::default());
        for annotations in [&input.nodes[0].annotations, &input.pods[0].annotations] {
            assert_eq!(**annotations, [("example.com/rack".into(), "r7".into())]);
        }
    }
}
