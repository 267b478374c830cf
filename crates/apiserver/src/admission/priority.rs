//! Priority of pods, resolved from their PriorityClass.

use serde_json::Value;

use crate::{cluster::Cluster, failure::Failure, json, kinds::Role};

/// Sets `spec.priority`, `spec.preemptionPolicy` and the name of the class that gave them. Without a class the global
/// default applies; without that the priority is what the pod says, or 0. The class's value always wins, as upstream,
/// where a pod that contradicts it is refused.
pub(super) fn admit(cluster: &Cluster, pod: &mut Value) -> Result<(), Failure> {
    let classes = cluster.store_of(Role::PriorityClass);
    let name = json::text(pod, &["spec", "priorityClassName"]).to_owned();
    let class = if name.is_empty() {
        global_default(cluster)
    } else {
        let class = classes.get(&name).ok_or_else(|| {
            let why = format!("no PriorityClass with name {name} was found");
            Failure::forbidden(cluster.kinds.role(Role::Pod), json::text(pod, &["metadata", "name"]), &why)
        })?;
        Some(class.value())
    };
    let Some(class) = class else {
        json::set_default(pod, &["spec", "priority"], 0);
        json::set_default(pod, &["spec", "preemptionPolicy"], "PreemptLowerPriority");
        return Ok(());
    };
    json::set(pod, &["spec", "priorityClassName"], json::text(&class, &["metadata", "name"]));
    json::set(pod, &["spec", "priority"], json::int(&class, &["value"]).unwrap_or_default());
    json::set_default(pod, &["spec", "preemptionPolicy"], json::text(&class, &["preemptionPolicy"]));
    Ok(())
}

/// The class that applies to pods that name none; the lowest where several claim to.
fn global_default(cluster: &Cluster) -> Option<Value> {
    let (classes, _) = cluster.store_of(Role::PriorityClass).all();
    let defaults = classes.iter().map(|class| class.value()).filter(|class| json::flag(class, &["globalDefault"]));
    defaults.min_by_key(|class| json::int(class, &["value"]))
}
