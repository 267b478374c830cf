//! Objects of further kinds as they will be: what Reserve assumes on top of what the API server has told.
//!
//! Whoever reads objects reads the assumed ones. An assumption ends when a newer version of its object comes from the API
//! server, or when the pod it was made for gives it back.

use hashbrown::HashMap;

use crate::cluster::AnyObject;
use crate::object::{KindId, KindRef, ObjectKey, ObjectKind};
use crate::pod::Uid;

/// An object as it will be once what a pod needs is written.
#[derive(Clone)]
pub struct Assumption {
    /// Its kind.
    pub kind: KindRef,
    /// Which object.
    pub key: ObjectKey,
    /// As it will be, decoded.
    pub object: AnyObject,
}

impl Assumption {
    /// The object of this name will be like this.
    pub fn of<K: ObjectKind>(key: ObjectKey, object: K::Object) -> Self {
        Self { kind: KindRef::of::<K>(), key, object: std::sync::Arc::new(object) }
    }

    /// The object as it will be, where it is of this kind.
    pub fn object<K: ObjectKind>(&self) -> Option<&K::Object> {
        self.object.downcast_ref().filter(|_| self.kind.id == KindId::of::<K>())
    }
}

impl std::fmt::Debug for Assumption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}/{}", self.kind, self.key.namespace, self.key.name)
    }
}

/// What is assumed of one object.
#[derive(Clone)]
struct Assumed {
    /// As the API server has it.
    written: AnyObject,
    /// For whom it is assumed to be how, the latest last. Never empty.
    by: Vec<(Uid, AnyObject)>,
}

/// Every object of which something is assumed: few, and for moments.
#[derive(Clone, Default)]
pub(crate) struct AssumedObjects(HashMap<(KindId, ObjectKey), Assumed>);

impl std::fmt::Debug for AssumedObjects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} assumed", self.0.len())
    }
}

impl AssumedObjects {
    /// The object as the API server has it, where something else is assumed.
    pub(crate) fn written(&self, kind: KindId, key: &ObjectKey) -> Option<&AnyObject> {
        self.0.get(&(kind, key.clone())).map(|assumed| &assumed.written)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes what is assumed for a pod, on top of what others assume. `now` is the object as it is read now.
    pub(crate) fn add(&mut self, kind: KindId, key: ObjectKey, uid: Uid, now: AnyObject, object: AnyObject) {
        let assumed = self.0.entry((kind, key)).or_insert_with(|| Assumed { written: now, by: Vec::new() });
        assumed.by.retain(|(by, _)| *by != uid);
        assumed.by.push((uid, object));
    }

    /// Takes back what is assumed for a pod. Gives the object as it is to be read now, if something was.
    pub(crate) fn remove(&mut self, kind: KindId, key: &ObjectKey, uid: &Uid) -> Option<AnyObject> {
        let at = (kind, key.clone());
        let assumed = self.0.get_mut(&at)?;
        let before = assumed.by.len();
        assumed.by.retain(|(by, _)| by != uid);
        if assumed.by.len() == before {
            return None;
        }
        match assumed.by.last() {
            Some((_, top)) => Some(AnyObject::clone(top)),
            None => self.0.remove(&at).map(|assumed| assumed.written),
        }
    }

    /// A newer version has come: what was assumed of an older one is void.
    pub(crate) fn forget(&mut self, kind: KindId, key: &ObjectKey) {
        self.0.remove(&(kind, key.clone()));
    }
}
