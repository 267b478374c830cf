//! Deployments: one ReplicaSet a pod template, replaced step by step.

use std::sync::Arc;

use serde_json::{Value, json};

use super::owned;
use crate::{cluster::Cluster, json, kinds::Role, ops::Target, stored::Stored};

/// The label by which the pods of one template are told from those of another.
const HASH_LABEL: &str = "pod-template-hash";

/// A ReplicaSet of the deployment.
struct Set {
    stored: Arc<Stored>,
    replicas: i64,
    available: i64,
}

pub(super) fn reconcile(cluster: &Cluster, stored: &Stored) {
    let deployment = stored.value();
    let template = json::at(&deployment, &["spec", "template"]).cloned().unwrap_or_default();
    let hash = owned::template_hash(&template);
    let (mut current, old): (Vec<Set>, Vec<Set>) =
        sets(cluster, stored).into_iter().partition(|set| has_hash(&set.stored, &hash));
    let wanted = json::int(&deployment, &["spec", "replicas"]).unwrap_or(1).max(0);
    let plan = Plan::new(&deployment, wanted, current.first(), &old);
    match current.pop() {
        Some(set) => resize(cluster, &set, plan.current),
        None if json::flag(&deployment, &["spec", "paused"]) => {}
        None => create_set(cluster, &deployment, template, &hash, plan.current),
    }
    let mut surplus = plan.remove_old;
    for set in &old {
        let removed = surplus.min(set.replicas);
        surplus -= removed;
        resize(cluster, set, set.replicas - removed);
    }
    report(cluster, stored, &deployment, &hash, wanted);
}

fn sets(cluster: &Cluster, deployment: &Stored) -> Vec<Set> {
    let sets = cluster.store_of(Role::ReplicaSet).owned_by(&deployment.uid);
    sets.into_iter()
        .map(|stored| {
            let value = stored.value();
            let number = |path: &[&str]| json::int(&value, path).unwrap_or_default();
            let (replicas, available) = (number(&["spec", "replicas"]), number(&["status", "availableReplicas"]));
            Set { stored, replicas, available }
        })
        .collect()
}

fn has_hash(set: &Stored, hash: &str) -> bool {
    set.labels.iter().any(|(key, value)| key == HASH_LABEL && value == hash)
}

/// The next step of a rollout.
struct Plan {
    /// Replicas of the current template's set.
    current: i64,
    /// How many replicas the older sets lose together.
    remove_old: i64,
}

impl Plan {
    fn new(deployment: &Value, wanted: i64, current: Option<&Set>, old: &[Set]) -> Self {
        let old_replicas = old.iter().fold(0_i64, |sum, set| sum.saturating_add(set.replicas.max(0)));
        if json::text(deployment, &["spec", "strategy", "type"]) == "Recreate" {
            return Self { current: if old_replicas == 0 { wanted } else { 0 }, remove_old: old_replicas };
        }
        let rolling = |field| json::at(deployment, &["spec", "strategy", "rollingUpdate", field]);
        let surge = owned::scaled(rolling("maxSurge"), "25%", wanted, true);
        let unavailable = owned::scaled(rolling("maxUnavailable"), "25%", wanted, false);
        // Without any room the rollout would stand still.
        let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
        let (replicas, available) = current.map_or((0, 0), |set| (set.replicas, set.available));
        let room = wanted.saturating_add(surge).saturating_sub(old_replicas).max(0);
        let grown = replicas.max(room).min(wanted);
        let spare = old_replicas.saturating_add(available).saturating_sub(wanted.saturating_sub(unavailable));
        let remove_old = spare.clamp(0, old_replicas);
        Self { current: grown, remove_old }
    }
}

fn resize(cluster: &Cluster, set: &Set, replicas: i64) {
    if set.replicas == replicas {
        return;
    }
    let kind = cluster.kinds.role(Role::ReplicaSet);
    // A set that went meanwhile brings the deployment back here.
    let _ = cluster.edit(Target::of(kind, &set.stored), |value| {
        json::set(value, &["spec", "replicas"], replicas);
        let generation = json::int(value, &["metadata", "generation"]).unwrap_or_default();
        json::set(value, &["metadata", "generation"], generation.saturating_add(1));
        Ok(true)
    });
}

fn create_set(cluster: &Cluster, deployment: &Value, mut template: Value, hash: &str, replicas: i64) {
    json::set(&mut template, &["metadata", "labels", HASH_LABEL], hash);
    let mut selector = json::at(deployment, &["spec", "selector"]).cloned().unwrap_or_default();
    json::set(&mut selector, &["matchLabels", HASH_LABEL], hash);
    let name = json::text(deployment, &["metadata", "name"]);
    let set = json!({
        "metadata": {
            "name": format!("{name}-{hash}"),
            "labels": json::at(&template, &["metadata", "labels"]),
            "ownerReferences": [owned::owner_reference(deployment)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    });
    // A refusal has been told by an Event.
    let _ = owned::create(cluster, deployment, cluster.kinds.role(Role::ReplicaSet), set);
}

fn report(cluster: &Cluster, stored: &Stored, deployment: &Value, hash: &str, wanted: i64) {
    let (mut total, mut ready, mut updated) = (0, 0, 0);
    for set in cluster.store_of(Role::ReplicaSet).owned_by(&stored.uid) {
        let value = set.value();
        let number = |field| json::int(&value, &["status", field]).unwrap_or_default();
        total += number("replicas");
        ready += number("readyReplicas");
        updated += if has_hash(&set, hash) { number("replicas") } else { 0 };
    }
    let kind = cluster.kinds.role(Role::Deployment);
    let status = json!({
        "replicas": total, "updatedReplicas": updated, "readyReplicas": ready, "availableReplicas": ready,
        "unavailableReplicas": wanted.saturating_sub(ready).max(0),
        "observedGeneration": json::int(deployment, &["metadata", "generation"]),
    });
    owned::set_status(cluster, kind, stored, &status);
    let now = cluster.clock.stamp();
    let (state, reason) =
        if ready >= wanted { ("True", "MinimumReplicasAvailable") } else { ("False", "MinimumReplicasUnavailable") };
    let _ = cluster.edit(Target::of(kind, stored), |value| {
        if json::condition_holds(value, "Available") == (state == "True")
            && !json::items(value, &["status", "conditions"]).is_empty()
        {
            return Ok(false);
        }
        json::set_condition(
            value,
            json!({
                "type": "Available", "status": state, "reason": reason, "lastUpdateTime": now, "lastTransitionTime": now,
            }),
        );
        Ok(true)
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::{Plan, Set};
    use crate::{kinds::Kind, stored::Stored};

    fn set(replicas: i64, available: i64) -> Set {
        let kind = Kind::new("apps", "v1", "replicasets", "ReplicaSet", true);
        Set { stored: Arc::new(Stored::unsaved(&kind, 1, &json!({}))), replicas, available }
    }

    #[test]
    fn a_rollout_stays_between_its_bounds() {
        let deployment = json!({"spec": {"strategy": {"type": "RollingUpdate"}}});
        // Ten wanted: at most 13 in all, at least 8 available.
        for (current, old, want) in [
            (None, set(0, 0), (10, 0)),
            (None, set(10, 10), (3, 2)),
            (Some(set(3, 0)), set(8, 8), (5, 0)),
            (Some(set(5, 5)), set(8, 8), (5, 5)),
            (Some(set(10, 10)), set(3, 3), (10, 3)),
        ] {
            let plan = Plan::new(&deployment, 10, current.as_ref(), &[old]);
            assert_eq!((plan.current, plan.remove_old), want);
        }
    }

    #[test]
    fn recreate_waits_for_the_old_ones() {
        let deployment = json!({"spec": {"strategy": {"type": "Recreate"}}});
        let plan = Plan::new(&deployment, 4, None, &[set(4, 4)]);
        assert_eq!((plan.current, plan.remove_old), (0, 4));
    }
}
