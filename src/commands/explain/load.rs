//! Objects decoded into what scheduling reads of them, on several threads where there are many.

use std::any::Any;
use std::num::NonZero;
use std::sync::Arc;

use plimsoll_engine::profile::Profile;
use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSet;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::object::{KindId, KindRef, ObjectKey};
use plimsoll_framework::pod::{PodInfo, PodParser};
use plimsoll_framework::table::Table;

use crate::manifest::{Manifest, ManifestError, ManifestErrors, kinds};

/// Fewer objects than this are not worth a thread.
const WORTH_A_THREAD: usize = 2_000;

/// What scheduling reads of an object.
pub(super) enum Decoded {
    Node(Box<NodeInfo>),
    Pod(Box<PodInfo>),
    Namespace(Istr, LabelSet),
    Object(KindId, ObjectKey, Arc<dyn Any + Send + Sync>),
    /// Nothing at all.
    Nothing,
}

/// What one thread made of its part.
#[derive(Default)]
struct Part {
    decoded: Vec<Decoded>,
    errors: Vec<ManifestError>,
    warnings: Vec<String>,
}

/// The cluster that these objects show, read with the eyes of a profile, and what is worth saying of them.
///
/// # Errors
/// When an object cannot be read, or is of a kind that Kubernetes does not know. All of that is told.
pub(super) fn world(manifests: &[&Manifest], profile: &Profile) -> Result<(Table, Vec<String>), ManifestErrors> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let size = manifests.len().div_ceil(threads).max(WORTH_A_THREAD);
    let parts: Vec<Part> = if manifests.len() <= WORTH_A_THREAD {
        vec![part(manifests, profile)]
    } else {
        std::thread::scope(|scope| {
            let chunks = manifests.chunks(size).map(|chunk| scope.spawn(move || part(chunk, profile)));
            let running: Vec<_> = chunks.collect();
            running.into_iter().map(|thread| thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p))).collect()
        })
    };
    let (mut world, mut errors, mut warnings) = (Table::default(), Vec::new(), Vec::new());
    for part in parts {
        part.decoded.into_iter().for_each(|object| take(&mut world, object));
        errors.extend(part.errors);
        warnings.extend(part.warnings);
    }
    ManifestErrors::none(errors).map(|()| (world, warnings))
}

/// Puts an object where it counts.
fn take(world: &mut Table, object: Decoded) {
    match object {
        Decoded::Node(node) => {
            world.set_node(Arc::new(*node));
        }
        // It has run to its end and takes up nothing.
        Decoded::Pod(pod) if pod.finished => {}
        Decoded::Pod(pod) => match (pod.node_name.clone(), pod.nominated_node_name.clone()) {
            (Some(node), _) => {
                world.add_pod(&node, Arc::new(*pod));
            }
            (None, Some(node)) => world.nominations_mut().set(node, Arc::new(*pod)),
            (None, None) => {}
        },
        Decoded::Namespace(name, labels) => world.set_namespace(name, Some(Arc::new(labels))),
        Decoded::Object(kind, key, object) => {
            world.cluster_mut().set_object(kind, key, Some(object));
        }
        Decoded::Nothing => {}
    }
}

fn part(manifests: &[&Manifest], profile: &Profile) -> Part {
    let mut decoder = Decoder::new(profile);
    let mut part = Part::default();
    for manifest in manifests {
        match decoder.decode(manifest, &mut part.warnings) {
            Ok(Decoded::Nothing) => {}
            Ok(object) => part.decoded.push(object),
            Err(error) => part.errors.push(error),
        }
    }
    part
}

/// Decodes objects; keeps what pods share.
pub(super) struct Decoder<'p> {
    profile: &'p Profile,
    pods: PodParser,
}

impl<'p> Decoder<'p> {
    pub(super) fn new(profile: &'p Profile) -> Self {
        Self { profile, pods: PodParser::new(profile.annotation_keys.clone()) }
    }

    fn decode(&mut self, manifest: &Manifest, warnings: &mut Vec<String>) -> Result<Decoded, ManifestError> {
        match (manifest.api_version.as_str(), manifest.kind.as_str()) {
            ("v1", "Pod") => {
                let pod = self.pod(manifest)?;
                if let Some(faults) = &pod.faults {
                    warnings.push(manifest.error(&format!("has what cannot be read: {faults}")).to_string());
                }
                Ok(Decoded::Pod(Box::new(pod)))
            }
            ("v1", "Node") => {
                let (node, faults) = NodeInfo::parse(&manifest.decode()?, &self.profile.annotation_keys);
                if !faults.is_empty() {
                    let text = format!("has what cannot be read and counts as nothing: {faults}");
                    warnings.push(manifest.error(&text).to_string());
                }
                Ok(Decoded::Node(Box::new(node)))
            }
            ("v1", "Namespace") => {
                let namespace: api::Namespace = manifest.decode()?;
                Ok(Decoded::Namespace(namespace.metadata.name, LabelSet::from(&namespace.metadata.labels)))
            }
            _ => self.further(manifest),
        }
    }

    /// A pod. Where a hand-written one says nothing of its namespace or identity it gets what sets it apart.
    pub(super) fn pod(&mut self, manifest: &Manifest) -> Result<PodInfo, ManifestError> {
        let mut pod: api::Pod = manifest.decode()?;
        complete(&mut pod);
        Ok(self.pods.parse(&pod))
    }

    /// An object of another kind, if some plugin reads it.
    fn further(&self, manifest: &Manifest) -> Result<Decoded, ManifestError> {
        let Some(kind) = self.profile.kinds.iter().find(|kind| is_of(manifest, kind)) else {
            return kinds::check(manifest).map(|()| Decoded::Nothing);
        };
        Ok(Decoded::Object(kind.id, manifest.key(kind), manifest.object(*kind)?))
    }
}

/// What the API server gives to every pod, where a hand-written one lacks it.
pub(super) fn complete(pod: &mut api::Pod) {
    let meta = &mut pod.metadata;
    if meta.namespace.is_empty() {
        meta.namespace = Istr::new("default");
    }
    if meta.uid.is_empty() {
        meta.uid = Istr::from(format!("{}/{}", meta.namespace, meta.name));
    }
}

/// Whether an object is of a kind, whatever the version.
fn is_of(manifest: &Manifest, kind: &KindRef) -> bool {
    manifest.kind.as_str() == kind.kind && manifest.group() == kind.group
}
