//! Slim objects for kube's watcher, which wants a `kube::Resource`.

use std::borrow::Cow;
use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::Faults;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A kind that is watched slim.
pub(super) trait Kind: DeserializeOwned + Clone + Debug + Send + Sync + 'static {
    const KIND: &'static str;
    const PLURAL: &'static str;
    /// What an object is called that cannot be read.
    const FAULTY: &'static str;
    type Scope;
    fn metadata(&self) -> &api::ObjectMeta;
    /// What is left of an object that does not decode: enough to know which it is, and whose.
    fn skeleton(json: &str) -> Option<Self>;
}

/// The parts of an object by which it is recognised.
#[derive(Deserialize)]
struct Skeleton {
    metadata: SkeletonMeta,
    #[serde(default)]
    spec: SkeletonSpec,
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SkeletonMeta {
    name: Istr,
    #[serde(default)]
    namespace: Istr,
    #[serde(default)]
    uid: Istr,
    #[serde(default)]
    resource_version: Box<str>,
}
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SkeletonSpec {
    scheduler_name: Istr,
    node_name: Istr,
}

impl Skeleton {
    fn metadata(self) -> api::ObjectMeta {
        let SkeletonMeta { name, namespace, uid, resource_version } = self.metadata;
        api::ObjectMeta { name, namespace, uid, resource_version, ..api::ObjectMeta::default() }
    }
}

impl Kind for api::Pod {
    const KIND: &'static str = "Pod";
    const PLURAL: &'static str = "pods";
    const FAULTY: &'static str = "pod";
    type Scope = NamespaceResourceScope;
    fn metadata(&self) -> &api::ObjectMeta {
        &self.metadata
    }
    fn skeleton(json: &str) -> Option<Self> {
        let skeleton: Skeleton = serde_json::from_str(json).ok()?;
        let SkeletonSpec { scheduler_name, node_name } = &skeleton.spec;
        let spec = api::PodSpec {
            scheduler_name: scheduler_name.clone(),
            node_name: node_name.clone(),
            ..api::PodSpec::default()
        };
        Some(Self { spec, metadata: skeleton.metadata(), ..Self::default() })
    }
}

impl Kind for api::Node {
    const KIND: &'static str = "Node";
    const PLURAL: &'static str = "nodes";
    const FAULTY: &'static str = "node";
    type Scope = ClusterResourceScope;
    fn metadata(&self) -> &api::ObjectMeta {
        &self.metadata
    }
    fn skeleton(json: &str) -> Option<Self> {
        let skeleton: Skeleton = serde_json::from_str(json).ok()?;
        Some(Self { metadata: skeleton.metadata(), ..Self::default() })
    }
}

/// An object that does not decode.
#[derive(Clone, Debug)]
pub(super) struct Undecoded<T> {
    pub(super) skeleton: T,
    pub(super) faults: Faults,
}

/// A decoded object. With `TOLERANT`, one that does not decode is not an error but a value.
#[derive(Clone, Debug)]
pub(super) struct Slim<T, const TOLERANT: bool> {
    /// What kube's watcher looks at: the resource version, by which it goes on after an interruption.
    meta: ObjectMeta,
    pub(super) object: Result<T, Box<Undecoded<T>>>,
}

impl<T: Kind, const TOLERANT: bool> Slim<T, TOLERANT> {
    pub(super) fn metadata(&self) -> &api::ObjectMeta {
        match &self.object {
            Ok(object) => object.metadata(),
            Err(undecoded) => undecoded.skeleton.metadata(),
        }
    }
}

impl<'de, T: Kind, const TOLERANT: bool> Deserialize<'de> for Slim<T, TOLERANT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = if TOLERANT {
            let raw = <&RawValue>::deserialize(deserializer)?;
            match serde_json::from_str::<T>(raw.get()) {
                Ok(object) => Ok(object),
                Err(error) => match T::skeleton(raw.get()) {
                    Some(skeleton) => Err(Box::new(Undecoded { skeleton, faults: Faults::one(T::FAULTY, error) })),
                    // It cannot even be said which object this is.
                    None => return Err(D::Error::custom(error)),
                },
            }
        } else {
            Ok(T::deserialize(deserializer)?)
        };
        let mut slim = Self { meta: ObjectMeta::default(), object };
        let metadata = slim.metadata();
        let (name, version) = (metadata.name.to_string(), metadata.resource_version.to_string());
        slim.meta.name = Some(name);
        slim.meta.resource_version = Some(version).filter(|v| !v.is_empty());
        Ok(slim)
    }
}

impl<T: Kind, const TOLERANT: bool> kube::Resource for Slim<T, TOLERANT> {
    type DynamicType = ();
    type Scope = T::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        T::KIND.into()
    }
    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }
    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }
    fn plural((): &()) -> Cow<'_, str> {
        T::PLURAL.into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}
