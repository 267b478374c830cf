//! Deleting objects: preconditions, grace periods, finalizers, and what becomes of dependents.

use std::sync::Arc;

use serde_json::Value;

use super::Target;
use crate::{
    clock,
    cluster::Cluster,
    failure::Failure,
    json,
    kinds::{Kind, Role},
    stored::Stored,
};

/// What becomes of the objects that name the deleted one as their owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They are deleted afterwards.
    #[default]
    Background,
    /// They are deleted first; the object waits for that.
    Foreground,
    /// They are let go.
    Orphan,
}

/// The options of a deletion.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) grace_seconds: Option<i64>,
    pub(crate) uid: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) propagation: Propagation,
    pub(crate) dry_run: bool,
}

/// How a deletion ended.
#[derive(Clone, Debug)]
pub(crate) enum Deleted {
    /// The object is gone; this was its last content.
    Gone(Arc<Stored>),
    /// The object is marked and goes when its kubelet, finalizers or dependents let it.
    Marked(Arc<Stored>),
}

/// The finalizer that makes an object wait for its dependents.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";

impl Cluster {
    pub(crate) fn delete(&self, target: Target<'_>, options: &DeleteOptions) -> Result<Deleted, Failure> {
        loop {
            let old = self.get(target)?;
            options.check_preconditions(target, &old)?;
            if options.dry_run {
                return Ok(Deleted::Gone(old));
            }
            if options.propagation == Propagation::Orphan {
                self.release_dependents(&old.uid);
            }
            let value = old.value();
            if let Some(done) = self.delete_version(target.kind, options, &old, value) {
                return Ok(done);
            }
        }
    }

    /// Deletes exactly that version, or nothing when it is not the newest.
    fn delete_version(
        &self,
        kind: &Kind,
        options: &DeleteOptions,
        old: &Arc<Stored>,
        mut value: Value,
    ) -> Option<Deleted> {
        let grace_seconds = self.grace_seconds(kind, old, &value, options.grace_seconds);
        if options.propagation == Propagation::Foreground && self.has_dependents(&old.uid) {
            let finalizers = json::array_at(&mut value, &["metadata", "finalizers"]);
            if !finalizers.iter().any(|f| f == FOREGROUND) {
                finalizers.push(FOREGROUND.into());
            }
        }
        let kept = !json::items(&value, &["metadata", "finalizers"]).is_empty();
        if grace_seconds == 0 && !kept && kind.role != Role::Namespace {
            let gone = self.store(kind).remove(old, value).ok()?;
            self.collect_dependents(kind, &gone.uid);
            return Some(Deleted::Gone(gone));
        }
        let sooner = json::int(&value, &["metadata", "deletionGracePeriodSeconds"]).is_none_or(|s| s > grace_seconds);
        let marked = if old.deleting && !sooner {
            old.clone()
        } else {
            self.mark(kind, &mut value, grace_seconds);
            self.store(kind).replace(old, value).ok()?
        };
        self.garbage.push(kind, &marked);
        Some(Deleted::Marked(marked))
    }

    fn mark(&self, kind: &Kind, value: &mut Value, grace_seconds: i64) {
        let now = self.clock.now();
        let at = now.checked_add(jiff::SignedDuration::from_secs(grace_seconds)).unwrap_or(now);
        json::set(value, &["metadata", "deletionTimestamp"], clock::stamp(at));
        json::set(value, &["metadata", "deletionGracePeriodSeconds"], grace_seconds);
        if kind.role == Role::Namespace {
            json::set(value, &["status", "phase"], "Terminating");
        }
    }

    /// How long the object has until it goes: only a pod that a kubelet may be running has any time.
    fn grace_seconds(&self, kind: &Kind, old: &Stored, pod: &Value, asked: Option<i64>) -> i64 {
        if kind.role != Role::Pod || old.pod_finished() || !self.has_kubelet(old.pod_node()) {
            return 0;
        }
        let own = json::int(pod, &["spec", "terminationGracePeriodSeconds"]).unwrap_or(30);
        // A negative one means at once, but not without the kubelet.
        match asked.unwrap_or(own) {
            grace if grace < 0 => 1,
            grace => grace,
        }
    }

    fn has_dependents(&self, uid: &str) -> bool {
        self.stores().any(|store| !store.owned_by(uid).is_empty())
    }

    /// Hands the dependents of an object that went to the garbage collector.
    pub(crate) fn collect_dependents(&self, kind: &Kind, uid: &str) {
        if !matches!(kind.role, Role::Event | Role::Lease) && self.has_dependents(uid) {
            self.garbage.push_owner(uid);
        }
    }

    /// Removes an owner from all its dependents.
    fn release_dependents(&self, uid: &str) {
        for store in self.stores() {
            for dependent in store.owned_by(uid) {
                // Whoever deleted the dependent meanwhile has done more than was wanted.
                let _ = self.edit(Target::of(store.kind(), &dependent), |value| {
                    json::array_at(value, &["metadata", "ownerReferences"])
                        .retain(|owner| json::text(owner, &["uid"]) != uid);
                    Ok(true)
                });
            }
        }
    }
}

impl DeleteOptions {
    /// Refuses an object that is not the one meant.
    pub(super) fn check_preconditions(&self, target: Target<'_>, old: &Stored) -> Result<(), Failure> {
        let wrong = |field, wanted: &str, found: &str| {
            Err(Failure::precondition(target.kind, target.name, field, wanted, found))
        };
        match (&self.uid, &self.version) {
            (Some(uid), _) if **uid != *old.uid => wrong("UID", uid, &old.uid),
            (_, Some(version)) if *version != old.version.to_string() => {
                wrong("ResourceVersion", version, &old.version.to_string())
            }
            _ => Ok(()),
        }
    }
}
