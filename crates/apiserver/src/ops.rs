//! What the API does with objects, apart from HTTP: requests, controllers, kubelets and the Rust interface share it.

mod binding;
mod create;
mod delete;
mod eviction;
mod scale;
mod update;

use std::sync::Arc;

pub(crate) use delete::{DeleteOptions, Deleted, FOREGROUND, Propagation};
pub(crate) use update::Part;

use crate::{
    cluster::Cluster,
    failure::Failure,
    kinds::Kind,
    store::{ContinueError, Page, PageRequest},
    stored::Stored,
};

/// One object by name. The namespace is empty where the kind has none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) kind: &'a Kind,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> Target<'a> {
    pub(crate) fn new(kind: &'a Kind, namespace: &'a str, name: &'a str) -> Self {
        Self { kind, namespace, name }
    }

    /// The target that a stored object is.
    pub(crate) fn of(kind: &'a Kind, object: &'a Stored) -> Self {
        Self { kind, namespace: &object.namespace, name: &object.name }
    }

    pub(crate) fn key(&self) -> String {
        self.kind.key(self.namespace, self.name)
    }

    pub(crate) fn not_found(&self) -> Failure {
        Failure::not_found(self.kind, self.name)
    }
}

impl Cluster {
    pub(crate) fn get(&self, target: Target<'_>) -> Result<Arc<Stored>, Failure> {
        self.store(target.kind).get(&target.key()).ok_or_else(|| target.not_found())
    }

    pub(crate) fn list(&self, kind: &Kind, request: &PageRequest) -> Result<Page, Failure> {
        self.store(kind).list(request).map_err(|error| match error {
            ContinueError::Malformed => Failure::bad_request("continue key is not valid"),
            ContinueError::Expired => Failure::expired(
                "The provided continue parameter is too old to display a consistent list result. You must start a new \
                 list without the continue parameter.",
            ),
        })
    }
}
