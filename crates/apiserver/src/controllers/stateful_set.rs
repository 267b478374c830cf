//! StatefulSets: numbered pods, one after the other unless told otherwise.

use std::sync::Arc;

use serde_json::{Value, json};

use super::owned;
use crate::{
    cluster::Cluster,
    json,
    kinds::Role,
    ops::{DeleteOptions, Target},
    stored::Stored,
};

/// The label that tells of which template a pod was made.
const REVISION_LABEL: &str = "controller-revision-hash";

pub(super) fn reconcile(cluster: &Cluster, stored: &Stored) {
    let set = stored.value();
    let wanted = json::int(&set, &["spec", "replicas"]).unwrap_or(1);
    let revision = owned::template_hash(json::at(&set, &["spec", "template"]).unwrap_or(&Value::Null));
    let ordered = json::text(&set, &["spec", "podManagementPolicy"]) != "Parallel";
    step(cluster, stored, &set, wanted, &revision, ordered);
    report(cluster, stored, &set, &revision);
}

/// Does what may be done now. With ordered pods that is one thing, and what it causes brings the set back.
fn step(cluster: &Cluster, stored: &Stored, set: &Value, wanted: i64, revision: &str, ordered: bool) {
    let pods = cluster.pods().owned_by(&stored.uid);
    let find = |ordinal: i64| pods.iter().find(|pod| ordinal_of(&stored.name, &pod.name) == Some(ordinal));
    let mut made = 0;
    for ordinal in 0..wanted {
        match find(ordinal) {
            None if made == owned::AT_ONCE => return,
            None => {
                create(cluster, set, ordinal, revision);
                made += 1;
            }
            // It is made anew once it is gone.
            Some(pod) if pod.pod_finished() && !pod.deleting => delete(cluster, pod),
            Some(pod) if pod.ready && !pod.deleting => continue,
            Some(_) => {}
        }
        if ordered {
            return;
        }
    }
    let mut last_first: Vec<&Arc<Stored>> = pods.iter().collect();
    last_first.sort_by_key(|pod| -ordinal_of(&stored.name, &pod.name).unwrap_or_default());
    for pod in last_first {
        let surplus = ordinal_of(&stored.name, &pod.name).is_some_and(|ordinal| ordinal >= wanted);
        let outdated = !pod.labels.iter().any(|(key, value)| key == REVISION_LABEL && value == revision);
        let updates = json::text(set, &["spec", "updateStrategy", "type"]) != "OnDelete";
        if surplus || (outdated && updates) {
            if !pod.deleting {
                delete(cluster, pod);
            }
            if ordered || !surplus {
                return;
            }
        }
    }
}

fn ordinal_of(set: &str, pod: &str) -> Option<i64> {
    pod.strip_prefix(set)?.strip_prefix('-')?.parse().ok()
}

fn create(cluster: &Cluster, set: &Value, ordinal: i64, revision: &str) {
    let name = format!("{}-{ordinal}", json::text(set, &["metadata", "name"]));
    let template = json::at(set, &["spec", "template"]).cloned().unwrap_or_default();
    let mut pod = owned::pod_of(set, &template);
    json::set(&mut pod, &["metadata", "name"], name.as_str());
    for (label, value) in [
        ("statefulset.kubernetes.io/pod-name", name.as_str()),
        ("apps.kubernetes.io/pod-index", &ordinal.to_string()),
        (REVISION_LABEL, revision),
    ] {
        json::set(&mut pod, &["metadata", "labels", label], value);
    }
    json::set(&mut pod, &["spec", "hostname"], name.as_str());
    for claim in json::items(set, &["spec", "volumeClaimTemplates"]) {
        add_claim(cluster, set, &mut pod, claim, &name);
    }
    // A refusal has been told by an Event.
    let _ = owned::create(cluster, set, cluster.kinds.role(Role::Pod), pod);
}

/// Gives a pod its own claim. Claims outlive their pods and sets.
fn add_claim(cluster: &Cluster, set: &Value, pod: &mut Value, template: &Value, pod_name: &str) {
    let volume = json::text(template, &["metadata", "name"]);
    let claim_name = format!("{volume}-{pod_name}");
    let mut claim = template.clone();
    json::set(&mut claim, &["metadata", "name"], claim_name.as_str());
    for field in ["apiVersion", "kind"] {
        json::remove(&mut claim, &[field]);
    }
    let namespace = json::text(set, &["metadata", "namespace"]);
    // It exists already when the pod is made anew.
    let _ = cluster.create(cluster.kinds.role(Role::PersistentVolumeClaim), namespace, claim, false);
    let volumes = json::array_at(pod, &["spec", "volumes"]);
    volumes.retain(|known| json::text(known, &["name"]) != volume);
    volumes.push(json!({"name": volume, "persistentVolumeClaim": {"claimName": claim_name}}));
}

fn delete(cluster: &Cluster, pod: &Stored) {
    // Already gone is as good.
    let _ = cluster.delete(Target::of(cluster.kinds.role(Role::Pod), pod), &DeleteOptions::default());
}

fn report(cluster: &Cluster, stored: &Stored, set: &Value, revision: &str) {
    let pods = cluster.pods().owned_by(&stored.uid);
    let ready = pods.iter().filter(|pod| pod.ready && !pod.deleting).count();
    let current = pods.iter().filter(|pod| pod.labels.iter().any(|(k, v)| k == REVISION_LABEL && v == revision));
    let status = json!({
        "replicas": pods.len(), "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": current.count(),
        "currentRevision": revision, "updateRevision": revision,
        "observedGeneration": json::int(set, &["metadata", "generation"]),
    });
    owned::set_status(cluster, cluster.kinds.role(Role::StatefulSet), stored, &status);
}
