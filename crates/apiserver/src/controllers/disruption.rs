//! Disruption budgets: how many of the selected pods may go now.

use std::{collections::BTreeSet, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::owned;
use crate::{
    cluster::Cluster, json, kinds::Role, ops::Target, selector::LabelSelector, store::PageRequest, stored::Stored,
};

/// An eviction that has not made its pod go within that time is forgotten: something else held it back.
const EVICTION_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);

pub(super) fn reconcile(cluster: &Cluster, stored: &Stored) {
    let budget = stored.value();
    let request = PageRequest {
        namespace: Some(stored.namespace.to_string()),
        labels: json::at(&budget, &["spec", "selector"]).map(LabelSelector::from_json).unwrap_or_default(),
        ..PageRequest::default()
    };
    let Ok(page) = cluster.list(cluster.kinds.role(Role::Pod), &request) else { return };
    let now = cluster.clock.now();
    // Looked at again when an eviction has just been noted: the status is computed from what is stored then.
    let _ = cluster.edit(Target::of(cluster.kinds.role(Role::PodDisruptionBudget), stored), |budget| {
        let before = budget.get("status").cloned();
        count(cluster, budget, &page.objects, now);
        Ok(before.as_ref() != budget.get("status"))
    });
}

/// Writes the status of a budget that selects these pods.
fn count(cluster: &Cluster, budget: &mut Value, pods: &[Arc<Stored>], now: Timestamp) {
    let disrupted = unconfirmed(budget, pods, now);
    let healthy = pods.iter().filter(|pod| pod.pod_active() && pod.ready && !disrupted.contains_key(&*pod.name));
    let healthy = i64::try_from(healthy.count()).unwrap_or(i64::MAX);
    let (expected, desired) = wanted(cluster, budget, pods);
    let allowed = if expected > 0 { healthy.saturating_sub(desired).max(0) } else { 0 };
    let generation = json::int(budget, &["metadata", "generation"]);
    for (field, value) in [
        ("expectedPods", json!(expected)),
        ("currentHealthy", json!(healthy)),
        ("desiredHealthy", json!(desired)),
        ("disruptionsAllowed", json!(allowed)),
        ("observedGeneration", json!(generation)),
    ] {
        json::set(budget, &["status", field], value);
    }
    if disrupted.is_empty() {
        json::remove(budget, &["status", "disruptedPods"]);
    } else {
        json::set(budget, &["status", "disruptedPods"], disrupted);
    }
    let (status, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let condition = json!({
        "type": "DisruptionAllowed", "status": status, "reason": reason, "message": "",
        "lastTransitionTime": crate::clock::stamp(now), "observedGeneration": generation,
    });
    json::set_condition(budget, condition);
}

/// The evictions whose pods have not begun to go yet.
fn unconfirmed(budget: &Value, pods: &[Arc<Stored>], now: Timestamp) -> Map<String, Value> {
    let going = |name: &str| pods.iter().any(|pod| &*pod.name == name && pod.pod_active());
    let recent = |time: &Value| {
        let time = time.as_str().and_then(|time| time.parse::<Timestamp>().ok());
        time.is_some_and(|time| now.duration_since(time) < EVICTION_TIMEOUT)
    };
    let noted = json::at(budget, &["status", "disruptedPods"]).and_then(Value::as_object);
    let kept = noted.into_iter().flatten().filter(|(name, time)| going(name) && recent(time));
    kept.map(|(name, time)| (name.clone(), time.clone())).collect()
}

/// How many pods there should be, and how many of them must be healthy.
fn wanted(cluster: &Cluster, budget: &Value, pods: &[Arc<Stored>]) -> (i64, i64) {
    let spec = |field| json::at(budget, &["spec", field]).filter(|value| !value.is_null());
    match (spec("minAvailable"), spec("maxUnavailable")) {
        (Some(least), _) if least.is_number() => {
            let active = pods.iter().filter(|pod| pod.pod_active()).count();
            (i64::try_from(active).unwrap_or(i64::MAX), least.as_i64().unwrap_or_default())
        }
        (None, Some(most)) => {
            let expected = expected(cluster, pods);
            (expected, expected.saturating_sub(owned::scaled(Some(most), "0%", expected, true)).max(0))
        }
        (least, _) => {
            let expected = expected(cluster, pods);
            (expected, owned::scaled(least, "100%", expected, true))
        }
    }
}

/// The replicas that the pods' controllers want together. Pods without a controller have no number that they should
/// be, and are counted as they are.
fn expected(cluster: &Cluster, pods: &[Arc<Stored>]) -> i64 {
    let (mut seen, mut sum) = (BTreeSet::new(), 0_i64);
    for pod in pods.iter().filter(|pod| pod.pod_active()) {
        let scale = pod.owners.first().map(|_| pod.value()).and_then(|pod| controller(cluster, &pod));
        match scale {
            Some((uid, replicas)) if seen.insert(uid.clone()) => sum = sum.saturating_add(replicas),
            Some(_) => {}
            None => sum = sum.saturating_add(1),
        }
    }
    sum
}

/// UID and replicas of the outermost scalable controller of an object.
fn controller(cluster: &Cluster, object: &Value) -> Option<(String, i64)> {
    let owners = json::items(object, &["metadata", "ownerReferences"]);
    let owner = owners.iter().find(|owner| json::flag(owner, &["controller"]))?;
    let kind = cluster.kinds.of_object(json::text(owner, &["apiVersion"]), json::text(owner, &["kind"]))?;
    let namespace = json::text(object, &["metadata", "namespace"]);
    let found = cluster.store(kind).get(&kind.key(namespace, json::text(owner, &["name"])))?;
    let value = found.value();
    let own = json::int(&value, &["spec", "replicas"]).map(|replicas| (found.uid.to_string(), replicas));
    // A ReplicaSet's number changes in the course of a rollout; its Deployment's does not.
    if kind.role == Role::ReplicaSet { controller(cluster, &value).or(own) } else { own }
}
