//! The garbage collector: dependents whose owner went, owners that wait for their dependents, namespaces that go.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::Notify;

use crate::{
    cluster::Cluster,
    json,
    kinds::{Kind, Role},
    ops::{DeleteOptions, FOREGROUND, Part, Target},
    stored::Stored,
};

/// Something to be cleared away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Duty {
    /// The dependents of the owner with this UID, which is gone.
    Dependents(String),
    /// The dependents of an object that waits for them, by kind, namespace and name.
    Foreground(usize, String, String),
    /// All that is in a namespace, and then the namespace.
    Namespace(String),
}

/// What waits to be cleared away. Each duty is noted once, so the queue is no larger than the cluster.
#[derive(Debug, Default)]
pub(crate) struct Garbage {
    duties: Mutex<BTreeSet<Duty>>,
    more: Notify,
}

impl Garbage {
    /// Notes what follows from an object's being marked as deleted.
    pub(crate) fn push(&self, kind: &Kind, marked: &Stored) {
        if kind.role == Role::Namespace {
            self.note(Duty::Namespace(marked.name.to_string()));
        } else if kind.role != Role::Pod {
            self.note(Duty::Foreground(kind.id, marked.namespace.to_string(), marked.name.to_string()));
        }
    }

    /// Notes that an owner is gone.
    pub(crate) fn push_owner(&self, uid: &str) {
        self.note(Duty::Dependents(uid.to_owned()));
    }

    fn note(&self, duty: Duty) {
        self.duties.lock().unwrap_or_else(PoisonError::into_inner).insert(duty);
        self.more.notify_one();
    }

    fn take(&self) -> BTreeSet<Duty> {
        std::mem::take(&mut *self.duties.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How soon to look again at what could not be finished: a kubelet or a finalizer holds it.
const RETRY: Duration = Duration::from_millis(50);

/// Clears away for ever.
pub(crate) async fn run(cluster: Arc<Cluster>) {
    loop {
        let mut unfinished = false;
        for duty in cluster.garbage.take() {
            if !perform(&cluster, &duty) {
                unfinished = true;
                cluster.garbage.duties.lock().unwrap_or_else(PoisonError::into_inner).insert(duty);
            }
            // Requests come first.
            tokio::task::yield_now().await;
        }
        if unfinished {
            tokio::time::sleep(RETRY).await;
        } else {
            cluster.garbage.more.notified().await;
        }
    }
}

/// Does what can be done now; whether that was all.
fn perform(cluster: &Cluster, duty: &Duty) -> bool {
    match duty {
        Duty::Dependents(uid) => {
            delete_dependents(cluster, uid);
            true
        }
        Duty::Foreground(kind, namespace, name) => finish_foreground(cluster, *kind, namespace, name),
        Duty::Namespace(name) => finish_namespace(cluster, name),
    }
}

/// Deletes the dependents of an owner, except those that have another owner; how many there were.
fn delete_dependents(cluster: &Cluster, uid: &str) -> usize {
    let mut count = 0;
    for store in cluster.stores() {
        for dependent in store.owned_by(uid) {
            count += 1;
            let target = Target::of(store.kind(), &dependent);
            // A dependent that is gone or changed by now needs nothing, or is seen again through its other owner.
            if dependent.owners.len() > 1 && has_other_owner(cluster, &dependent, uid) {
                let _ = cluster.edit(target, |value| {
                    json::array_at(value, &["metadata", "ownerReferences"])
                        .retain(|owner| json::text(owner, &["uid"]) != uid);
                    Ok(true)
                });
            } else {
                let options = DeleteOptions { uid: Some(dependent.uid.to_string()), ..DeleteOptions::default() };
                let _ = cluster.delete(target, &options);
            }
        }
    }
    count
}

fn has_other_owner(cluster: &Cluster, dependent: &Stored, gone: &str) -> bool {
    let value = dependent.value();
    json::items(&value, &["metadata", "ownerReferences"])
        .iter()
        .filter(|owner| json::text(owner, &["uid"]) != gone)
        .any(|owner| exists(cluster, &dependent.namespace, owner))
}

/// Whether the object that an owner reference names exists.
pub(crate) fn exists(cluster: &Cluster, namespace: &str, owner: &Value) -> bool {
    let kind = cluster.kinds.of_object(json::text(owner, &["apiVersion"]), json::text(owner, &["kind"]));
    let found = kind.and_then(|kind| cluster.store(kind).get(&kind.key(namespace, json::text(owner, &["name"]))));
    found.is_some_and(|found| *found.uid == *json::text(owner, &["uid"]))
}

fn finish_foreground(cluster: &Cluster, kind: usize, namespace: &str, name: &str) -> bool {
    let Some(kind) = cluster.kinds.iter().find(|k| k.id == kind) else { return true };
    let target = Target::new(kind, namespace, name);
    let Ok(owner) = cluster.get(target) else { return true };
    let waits = json::items(&owner.value(), &["metadata", "finalizers"]).iter().any(|f| f == FOREGROUND);
    if !waits {
        return true;
    }
    if delete_dependents(cluster, &owner.uid) > 0 {
        return false;
    }
    let released = cluster.change(target, Part::Main, false, |mut value| {
        json::array_at(&mut value, &["metadata", "finalizers"]).retain(|finalizer| finalizer != FOREGROUND);
        Ok(value)
    });
    released.is_ok()
}

fn finish_namespace(cluster: &Cluster, name: &str) -> bool {
    let mut left = 0;
    for store in cluster.stores().filter(|store| store.kind().namespaced) {
        for object in store.in_namespace(name) {
            left += 1;
            // Whoever deleted it first did the same.
            let _ = cluster.delete(Target::of(store.kind(), &object), &DeleteOptions::default());
        }
    }
    if left > 0 {
        return false;
    }
    let namespaces = cluster.store_of(Role::Namespace);
    let Some(namespace) = namespaces.get(name) else { return true };
    namespaces.remove(&namespace, namespace.value()).is_ok()
}
