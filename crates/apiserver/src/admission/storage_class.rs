//! The class of claims that name none.

use serde_json::Value;

use crate::{cluster::Cluster, json, kinds::Role};

const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// Gives a claim the default class; the newest where several claim to be. An empty name means no class, on purpose.
pub(super) fn admit(cluster: &Cluster, claim: &mut Value) {
    if json::at(claim, &["spec", "storageClassName"]).is_some_and(|class| !class.is_null()) {
        return;
    }
    let (classes, _) = cluster.store_of(Role::StorageClass).all();
    let is_default = |class: &Value| json::text(class, &["metadata", "annotations", DEFAULT]) == "true";
    let defaults = classes.iter().filter(|class| is_default(&class.value()));
    if let Some(class) = defaults.max_by_key(|class| class.version) {
        json::set(claim, &["spec", "storageClassName"], &*class.name);
    }
}
