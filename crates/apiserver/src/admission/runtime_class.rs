//! What a pod takes over from its RuntimeClass: overhead, node selector and tolerations.

use serde_json::Value;

use crate::{cluster::Cluster, failure::Failure, json, kinds::Role};

pub(super) fn admit(cluster: &Cluster, pod: &mut Value) -> Result<(), Failure> {
    let name = json::text(pod, &["spec", "runtimeClassName"]).to_owned();
    if name.is_empty() {
        return Ok(());
    }
    let class = cluster.store_of(Role::RuntimeClass).get(&name).ok_or_else(|| {
        let why = format!("pod rejected: RuntimeClass \"{name}\" not found");
        Failure::forbidden(cluster.kinds.role(Role::Pod), json::text(pod, &["metadata", "name"]), &why)
    })?;
    let class = class.value();
    if let Some(overhead) = json::at(&class, &["overhead", "podFixed"]) {
        json::set(pod, &["spec", "overhead"], overhead.clone());
    }
    let selector = json::at(&class, &["scheduling", "nodeSelector"]).and_then(Value::as_object);
    for (key, value) in selector.into_iter().flatten() {
        json::set(pod, &["spec", "nodeSelector", key], value.clone());
    }
    for toleration in json::items(&class, &["scheduling", "tolerations"]) {
        let tolerations = json::array_at(pod, &["spec", "tolerations"]);
        if !tolerations.contains(toleration) {
            tolerations.push(toleration.clone());
        }
    }
    Ok(())
}
