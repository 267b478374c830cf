//! Further kinds of objects that a plugin wants to know: declared by type, decoded by the plugin, delivered as one
//! generic event.

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::assume::AssumedObjects;
use crate::cluster::{AnyObject, ClusterInfo, ObjectMap};
use crate::intern::Istr;

/// A kind of object besides pods, nodes and namespaces. The shell watches it and hands every object to `decode`; what
/// comes out is kept for as long as the object exists and can be read through [`Objects`].
pub trait ObjectKind: Send + Sync + 'static {
    /// The API group; empty for the core group.
    const GROUP: &'static str;
    /// The version, such as `v1`.
    const VERSION: &'static str;
    /// Whether any version that the server has will do: those of a kind whose fields stay while its version goes on.
    const ANY_VERSION: bool = false;
    /// The plural name, such as `podgroups`.
    const PLURAL: &'static str;
    /// The name of the kind, such as `PodGroup`.
    const KIND: &'static str;
    /// Whether its objects live in namespaces. Those of files that name none are then in `default`.
    const NAMESPACED: bool = true;
    /// What a plugin reads of an object.
    type Object: Send + Sync + 'static;
    /// Reads an object. The error is reported with the object's name; the object then counts as absent.
    fn decode(json: &serde_json::Value) -> Result<Self::Object, String>;
}

/// Tells kinds apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KindId(TypeId);

impl KindId {
    /// The id of a kind.
    pub fn of<K: ObjectKind>() -> Self {
        Self(TypeId::of::<K>())
    }
}

/// A kind as the shell needs it: where to watch, and how to decode what comes.
#[derive(Clone, Copy)]
pub struct KindRef {
    /// Which kind.
    pub id: KindId,
    /// [`ObjectKind::GROUP`].
    pub group: &'static str,
    /// [`ObjectKind::VERSION`].
    pub version: &'static str,
    /// [`ObjectKind::ANY_VERSION`].
    pub any_version: bool,
    /// [`ObjectKind::PLURAL`].
    pub plural: &'static str,
    /// [`ObjectKind::KIND`].
    pub kind: &'static str,
    /// [`ObjectKind::NAMESPACED`].
    pub namespaced: bool,
    /// [`ObjectKind::decode`], typed away.
    pub decode: fn(&serde_json::Value) -> Result<AnyObject, String>,
}

impl KindRef {
    /// The reference to a kind.
    pub fn of<K: ObjectKind>() -> Self {
        Self {
            id: KindId::of::<K>(),
            group: K::GROUP,
            version: K::VERSION,
            any_version: K::ANY_VERSION,
            plural: K::PLURAL,
            kind: K::KIND,
            namespaced: K::NAMESPACED,
            decode: |json| K::decode(json).map(|object| Arc::new(object) as AnyObject),
        }
    }

    /// As cluster events name the kind: by the names that kube-scheduler has for the kinds it knows, and otherwise as
    /// `plural.version.group`.
    pub fn event_name(&self) -> Istr {
        match (self.group, self.kind) {
            ("", "PersistentVolume" | "PersistentVolumeClaim") => Istr::new(self.kind),
            (
                "storage.k8s.io",
                "CSINode" | "CSIDriver" | "VolumeAttachment" | "CSIStorageCapacity" | "StorageClass",
            )
            | ("resource.k8s.io", "ResourceClaim" | "ResourceSlice" | "DeviceClass") => {
                Istr::from(format!("{}/{}", self.group, self.kind))
            }
            _ => Istr::from(format!("{}.{}.{}", self.plural, self.version, self.group)),
        }
    }
}

impl fmt::Debug for KindRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.event_name())
    }
}

/// Where an object is found; the namespace is empty for kinds that have none.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ObjectKey {
    /// Its namespace.
    pub namespace: Istr,
    /// Its name.
    pub name: Istr,
}

/// The objects of one kind as they were when a plugin was prepared. Cheap to keep in a state.
pub struct Objects<K: ObjectKind> {
    map: Option<Arc<ObjectMap>>,
    assumed: Arc<AssumedObjects>,
    kind: PhantomData<fn() -> K>,
}

impl<K: ObjectKind> Clone for Objects<K> {
    fn clone(&self) -> Self {
        Self { map: self.map.clone(), assumed: Arc::clone(&self.assumed), kind: PhantomData }
    }
}

/// Whether it is the same version of the same objects.
impl<K: ObjectKind> PartialEq for Objects<K> {
    fn eq(&self, other: &Self) -> bool {
        match (&self.map, &other.map) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl<K: ObjectKind> fmt::Debug for Objects<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.len(), K::PLURAL)
    }
}

impl<K: ObjectKind> Objects<K> {
    pub(crate) fn new(cluster: &ClusterInfo) -> Self {
        let map = cluster.objects.get(&KindId::of::<K>()).cloned();
        Self { map, assumed: Arc::clone(&cluster.assumed), kind: PhantomData }
    }

    /// The object of this name, if it exists and could be decoded. The namespace of kinds that have none is empty. Where
    /// a plugin's Reserve has assumed how it will be, it is that.
    pub fn get(&self, namespace: &Istr, name: &Istr) -> Option<&K::Object> {
        self.map.as_ref()?.get(namespace, name)?.downcast_ref()
    }

    /// The object of this name as the API server has it, whatever is assumed of it.
    pub fn written(&self, namespace: &Istr, name: &Istr) -> Option<&K::Object> {
        match self.assumption(namespace, name) {
            Some(written) => written.downcast_ref(),
            None => self.get(namespace, name),
        }
    }

    /// Whether the object is read as some plugin's Reserve has assumed it, and the API server has not told of a newer
    /// version since.
    pub fn is_assumed(&self, namespace: &Istr, name: &Istr) -> bool {
        self.assumption(namespace, name).is_some()
    }

    fn assumption(&self, namespace: &Istr, name: &Istr) -> Option<&AnyObject> {
        if self.assumed.is_empty() {
            return None;
        }
        let key = ObjectKey { namespace: namespace.clone(), name: name.clone() };
        self.assumed.written(KindId::of::<K>(), &key)
    }

    /// The objects of a namespace with their names, in no promised order.
    pub fn in_namespace(&self, namespace: &Istr) -> impl Iterator<Item = (&Istr, &K::Object)> {
        let all = self.map.iter().flat_map(|map| map.in_namespace(namespace));
        all.filter_map(|(name, object)| Some((name, object.downcast_ref()?)))
    }

    /// Every object with its namespace and name, in no promised order.
    pub fn iter(&self) -> impl Iterator<Item = (&Istr, &Istr, &K::Object)> {
        let all = self.map.iter().flat_map(|map| map.iter());
        all.filter_map(|(namespace, name, object)| Some((namespace, name, object.downcast_ref()?)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.map.as_ref().map_or(0, |map| map.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
