//! What is known of the cluster beside single nodes: images, resource names, namespaces, further objects, nominations.

use std::any::Any;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::assume::{AssumedObjects, Assumption};
use crate::intern::Istr;
use crate::labels::LabelSet;
use crate::node::NodeInfo;
use crate::object::{KindId, ObjectKey, ObjectKind, Objects};
use crate::pod::{PodInfo, Uid};

/// An image somewhere in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageState {
    /// Its size as the first node told it.
    pub size_bytes: i64,
    /// How many nodes have it.
    pub nodes: usize,
}

/// The part of a view that belongs to no node.
#[derive(Clone, Debug, Default)]
pub struct ClusterInfo {
    pub(crate) node_count: usize,
    pub(crate) images: Arc<HashMap<Istr, ImageState>>,
    /// The scalar resources that some node has or had, by their number.
    pub(crate) resource_columns: Arc<Vec<Istr>>,
    pub(crate) namespaces: Arc<HashMap<Istr, Arc<LabelSet>>>,
    pub(crate) objects: HashMap<KindId, Arc<ObjectMap>>,
    pub(crate) assumed: Arc<AssumedObjects>,
    pub(crate) claim_uses: Arc<ClaimCounts>,
}

/// How many volumes of pods on nodes are each claim: by namespace and name, without zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClaimCounts(HashMap<Istr, Arc<HashMap<Istr, usize>>>);

impl ClaimCounts {
    pub(crate) fn get(&self, namespace: &Istr, name: &Istr) -> usize {
        self.0.get(namespace).and_then(|names| names.get(name)).copied().unwrap_or(0)
    }

    fn change(&mut self, namespace: &Istr, name: &Istr, more: bool) {
        let names = Arc::make_mut(self.0.entry(namespace.clone()).or_default());
        let count = names.entry(name.clone()).or_default();
        *count = if more { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            names.remove(name);
        }
        if names.is_empty() {
            self.0.remove(namespace);
        }
    }
}

/// A decoded object of a further kind.
pub type AnyObject = Arc<dyn Any + Send + Sync>;

/// The objects of one kind, by namespace and name.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObjectMap {
    namespaces: HashMap<Istr, Arc<HashMap<Istr, AnyObject>>>,
    len: usize,
}

impl ObjectMap {
    pub(crate) fn get(&self, namespace: &Istr, name: &Istr) -> Option<&AnyObject> {
        self.namespaces.get(namespace)?.get(name)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn in_namespace(&self, namespace: &Istr) -> impl Iterator<Item = (&Istr, &AnyObject)> {
        self.namespaces.get(namespace).into_iter().flat_map(|names| names.iter())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Istr, &Istr, &AnyObject)> {
        self.namespaces.iter().flat_map(|(namespace, names)| names.iter().map(move |(name, o)| (namespace, name, o)))
    }

    fn set(&mut self, key: ObjectKey, object: Option<AnyObject>) -> Option<AnyObject> {
        let added = object.is_some();
        let names = Arc::make_mut(self.namespaces.entry(key.namespace.clone()).or_default());
        let old = match object {
            Some(object) => names.insert(key.name, object),
            None => names.remove(&key.name),
        };
        if names.is_empty() {
            self.namespaces.remove(&key.namespace);
        }
        self.len = self.len + usize::from(added) - usize::from(old.is_some());
        old
    }
}

impl ClusterInfo {
    /// The labels of a namespace, if its object is known.
    pub fn namespace_labels(&self, name: &Istr) -> Option<&Arc<LabelSet>> {
        self.namespaces.get(name)
    }

    /// The names of the namespaces that are known, in no promised order.
    pub fn namespaces(&self) -> impl Iterator<Item = &Istr> {
        self.namespaces.keys()
    }

    /// An image by its normalised name.
    pub fn image(&self, name: &Istr) -> Option<ImageState> {
        self.images.get(name).copied()
    }

    /// Sets or forgets a namespace's labels. Only for the table, which has counters to see to.
    pub(crate) fn set_namespace(&mut self, name: Istr, labels: Option<Arc<LabelSet>>) {
        let namespaces = Arc::make_mut(&mut self.namespaces);
        match labels {
            Some(labels) => namespaces.insert(name, labels),
            None => namespaces.remove(&name),
        };
    }

    /// Sets or (with `None`) forgets an object of a kind that some plugin declared, as the API server has it now; what
    /// was assumed of an older version is void. Gives what was known, or assumed, before.
    pub fn set_object(&mut self, kind: KindId, key: ObjectKey, object: Option<AnyObject>) -> Option<AnyObject> {
        if !self.assumed.is_empty() {
            Arc::make_mut(&mut self.assumed).forget(kind, &key);
        }
        Arc::make_mut(self.objects.entry(kind).or_default()).set(key, object)
    }

    /// From now on an object is read as it will be, on top of what the API server has told. Gives it as it was read
    /// before; `None` where there is none, and then nothing is assumed.
    pub fn assume_object(&mut self, uid: &Uid, assumption: Assumption) -> Option<AnyObject> {
        let Assumption { kind, key, object } = assumption;
        let map = self.objects.get_mut(&kind.id)?;
        let now = map.get(&key.namespace, &key.name).cloned()?;
        Arc::make_mut(map).set(key.clone(), Some(Arc::clone(&object)));
        Arc::make_mut(&mut self.assumed).add(kind.id, key, uid.clone(), Arc::clone(&now), object);
        Some(now)
    }

    /// Takes back what was assumed of an object for a pod. Gives the object as it was read and as it is read now, where
    /// that makes a difference.
    pub fn withdraw_object(&mut self, uid: &Uid, kind: KindId, key: &ObjectKey) -> Option<(AnyObject, AnyObject)> {
        if self.assumed.is_empty() {
            return None;
        }
        let now = Arc::make_mut(&mut self.assumed).remove(kind, key, uid)?;
        let map = Arc::make_mut(self.objects.get_mut(&kind)?);
        let before = map.set(key.clone(), Some(Arc::clone(&now)))?;
        (!Arc::ptr_eq(&before, &now)).then_some((before, now))
    }

    /// Knows the objects that `other` knows, and no others.
    pub(crate) fn take_objects(&mut self, other: &Self) {
        self.objects.clone_from(&other.objects);
    }

    /// Every object of a kind, in no promised order.
    pub fn object_keys(&self, kind: KindId) -> impl Iterator<Item = ObjectKey> {
        let all = self.objects.get(&kind).into_iter().flat_map(|map| map.iter());
        all.map(|(namespace, name, _)| ObjectKey { namespace: namespace.clone(), name: name.clone() })
    }

    /// How often pods on nodes use a claim: once for each volume that names it.
    pub fn claim_uses(&self, namespace: &Istr, name: &Istr) -> usize {
        self.claim_uses.get(namespace, name)
    }

    /// Counts the claims of a pod on a node in, or out again.
    pub(crate) fn count_claims(&mut self, pod: &PodInfo, more: bool) {
        let claims = Arc::make_mut(&mut self.claim_uses);
        pod.claims().for_each(|name| claims.change(&pod.key.namespace, name, more));
    }

    /// The objects of a kind, as a plugin reads them.
    pub fn objects<K: ObjectKind>(&self) -> Objects<K> {
        Objects::new(self)
    }

    /// Counts a node in, out, or anew. Gives whether a resource name was seen for the first time.
    pub(crate) fn replace_node(&mut self, old: Option<&NodeInfo>, new: Option<&NodeInfo>) -> bool {
        self.node_count = self.node_count + usize::from(new.is_some()) - usize::from(old.is_some());
        if old.map(|n| &n.images) != new.map(|n| &n.images) {
            self.replace_images(old, new);
        }
        let mut fresh = false;
        for (name, _) in new.iter().flat_map(|n| &n.allocatable.scalars) {
            if !self.resource_columns.contains(name) {
                Arc::make_mut(&mut self.resource_columns).push(name.clone());
                fresh = true;
            }
        }
        fresh
    }

    fn replace_images(&mut self, old: Option<&NodeInfo>, new: Option<&NodeInfo>) {
        let images = Arc::make_mut(&mut self.images);
        // In before out: an image that stays on its only node keeps the size it was first seen with.
        for image in new.iter().flat_map(|n| &n.images) {
            let fresh = ImageState { size_bytes: image.size_bytes, nodes: 0 };
            images.entry(image.name.clone()).or_insert(fresh).nodes += 1;
        }
        for image in old.iter().flat_map(|n| &n.images) {
            if let Some(state) = images.get_mut(&image.name) {
                state.nodes = state.nodes.saturating_sub(1);
                if state.nodes == 0 {
                    images.remove(&image.name);
                }
            }
        }
    }
}

/// The pods that nodes are being cleared for: they count on their node for every pod of no higher priority.
#[derive(Clone, Debug, Default)]
pub struct Nominations {
    by_node: HashMap<Istr, Vec<Arc<PodInfo>>>,
    nodes: HashMap<Uid, Istr>,
}

impl Nominations {
    /// Nominates a pod for a node, instead of any node it was nominated for before.
    pub fn set(&mut self, node: Istr, pod: Arc<PodInfo>) {
        self.remove(&pod.key.uid);
        self.nodes.insert(pod.key.uid.clone(), node.clone());
        self.by_node.entry(node).or_default().push(pod);
    }

    /// Takes a pod's nomination back; gives the node it was for.
    pub fn remove(&mut self, uid: &Uid) -> Option<Istr> {
        let node = self.nodes.remove(uid)?;
        if let Some(pods) = self.by_node.get_mut(&node) {
            pods.retain(|p| p.key.uid != *uid);
            if pods.is_empty() {
                self.by_node.remove(&node);
            }
        }
        Some(node)
    }

    /// The node a pod is nominated for.
    pub fn node_of(&self, uid: &Uid) -> Option<&Istr> {
        self.nodes.get(uid)
    }

    /// The pods nominated for a node.
    pub fn pods(&self, node: &Istr) -> &[Arc<PodInfo>] {
        self.by_node.get(node).map_or(&[], |pods| pods)
    }

    /// The other pods nominated for a node that are as important as this one: they count for it as if they were there.
    pub fn counting_for<'a>(&'a self, pod: &'a PodInfo, node: &Istr) -> impl Iterator<Item = &'a Arc<PodInfo>> {
        self.pods(node).iter().filter(|p| p.key.uid != pod.key.uid && p.priority() >= pod.priority())
    }

    /// Every node that some pod is nominated for.
    pub fn nodes(&self) -> impl Iterator<Item = &Istr> {
        self.by_node.keys()
    }

    /// Whether no pod is nominated.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}
