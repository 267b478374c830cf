//! Jobs: so many pods at a time until so many have succeeded, or too many have failed.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::owned;
use crate::{
    cluster::Cluster,
    json,
    kinds::Role,
    ops::{DeleteOptions, Target},
    stored::Stored,
};

/// The annotation and label that give a pod of an indexed Job its index.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// A Job and its pods as they are now.
struct Progress {
    active: Vec<Arc<Stored>>,
    succeeded: usize,
    failed: usize,
}

/// Does what can be done now, and returns when to look again.
pub(super) fn reconcile(cluster: &Cluster, stored: &Stored) -> Option<Instant> {
    let job = stored.value();
    if json::condition_holds(&job, "Complete") || json::condition_holds(&job, "Failed") {
        return expire(cluster, stored, &job);
    }
    let pods = cluster.pods().owned_by(&stored.uid);
    let count = |phase: &str| pods.iter().filter(|pod| pod.pod_phase() == phase).count();
    let progress = Progress {
        succeeded: count("Succeeded"),
        failed: count("Failed"),
        active: pods.iter().filter(|pod| pod.pod_active()).cloned().collect(),
    };
    let number = |field| json::int(&job, &["spec", field]).and_then(|n| usize::try_from(n).ok());
    let parallelism = number("parallelism").unwrap_or(1);
    let verdict = verdict(&progress, number("completions"), number("backoffLimit").unwrap_or(6));
    let wanted = match verdict {
        Some(_) => 0,
        None if json::flag(&job, &["spec", "suspend"]) => 0,
        None => number("completions").map_or_else(
            // Without a number of completions one success lets the others finish and starts no more.
            || if progress.succeeded > 0 { progress.active.len() } else { parallelism },
            |completions| parallelism.min(completions.saturating_sub(progress.succeeded)),
        ),
    };
    let active = progress.active.len();
    for pod in progress.active.iter().skip(wanted) {
        let _ = cluster.delete(Target::of(cluster.kinds.role(Role::Pod), pod), &DeleteOptions::default());
    }
    let made = if active < wanted { grow(cluster, &job, &pods, wanted - active) } else { 0 };
    report(cluster, stored, &progress, active.min(wanted) + made, verdict);
    None
}

/// Deletes a Job that has been over for as long as it may stay; when that will be.
fn expire(cluster: &Cluster, stored: &Stored, job: &Value) -> Option<Instant> {
    let stay = json::int(job, &["spec", "ttlSecondsAfterFinished"])?;
    let ends = json::items(job, &["status", "conditions"]).iter();
    let mut ends = ends.filter(|condition| matches!(json::text(condition, &["type"]), "Complete" | "Failed"));
    let end: jiff::Timestamp = json::text(ends.next()?, &["lastTransitionTime"]).parse().ok()?;
    let expiry = end.checked_add(jiff::SignedDuration::from_secs(stay)).ok()?;
    // What is negative is over.
    match std::time::Duration::try_from(expiry.duration_since(cluster.clock.now())) {
        // The clock tells whole seconds in objects: a little later is never too early.
        Ok(left) if !left.is_zero() => Some(Instant::now() + left),
        _ => {
            // Already gone is as good.
            let _ = cluster.delete(Target::of(cluster.kinds.role(Role::Job), stored), &DeleteOptions::default());
            None
        }
    }
}

/// The condition that ends the Job, if anything does.
fn verdict(
    progress: &Progress,
    completions: Option<usize>,
    backoff_limit: usize,
) -> Option<(&'static str, &'static str)> {
    if progress.failed > backoff_limit {
        return Some(("Failed", "BackoffLimitExceeded"));
    }
    let complete = match completions {
        Some(completions) => progress.succeeded >= completions,
        None => progress.succeeded > 0 && progress.active.is_empty(),
    };
    complete.then_some(("Complete", "CompletionsReached"))
}

/// Starts pods; how many were started.
fn grow(cluster: &Cluster, job: &Value, pods: &[Arc<Stored>], missing: usize) -> usize {
    let name = json::text(job, &["metadata", "name"]);
    let template = json::at(job, &["spec", "template"]).cloned().unwrap_or_default();
    let indexed = json::text(job, &["spec", "completionMode"]) == "Indexed";
    let mut indexes = if indexed { free_indexes(job, pods) } else { Vec::new() }.into_iter();
    let mut made = 0;
    for _ in 0..missing.min(owned::AT_ONCE) {
        let mut pod = owned::pod_of(job, &template);
        let uid = json::text(job, &["metadata", "uid"]);
        for (label, value) in [
            ("batch.kubernetes.io/job-name", name),
            ("job-name", name),
            ("batch.kubernetes.io/controller-uid", uid),
            ("controller-uid", uid),
        ] {
            json::set(&mut pod, &["metadata", "labels", label], value);
        }
        let mut prefix = format!("{name}-");
        if indexed {
            let Some(index) = indexes.next() else { return made };
            prefix = format!("{name}-{index}-");
            json::set(&mut pod, &["metadata", "labels", INDEX], index.to_string());
            json::set(&mut pod, &["metadata", "annotations", INDEX], index.to_string());
        }
        json::set(&mut pod, &["metadata", "generateName"], prefix);
        match owned::create(cluster, job, cluster.kinds.role(Role::Pod), pod) {
            Ok(_) => made += 1,
            Err(failure) if failure.reason == "AlreadyExists" => {}
            Err(_) => return made,
        }
    }
    made
}

/// The indexes that no pod is working on or has finished.
fn free_indexes(job: &Value, pods: &[Arc<Stored>]) -> Vec<i64> {
    let taken: BTreeSet<i64> = pods
        .iter()
        .filter(|pod| pod.pod_active() || pod.pod_phase() == "Succeeded")
        .filter_map(|pod| pod.labels.iter().find(|(key, _)| key == INDEX)?.1.parse().ok())
        .collect();
    let completions = json::int(job, &["spec", "completions"]).unwrap_or(1);
    (0..completions).filter(|index| !taken.contains(index)).take(owned::AT_ONCE).collect()
}

fn report(
    cluster: &Cluster,
    stored: &Stored,
    progress: &Progress,
    active: usize,
    verdict: Option<(&'static str, &'static str)>,
) {
    let kind = cluster.kinds.role(Role::Job);
    let now = cluster.clock.stamp();
    // A Job that went needs no status.
    let _ = cluster.edit(Target::of(kind, stored), |job| {
        let before = job.get("status").cloned();
        json::set_default(job, &["status", "startTime"], now.as_str());
        for (field, number) in [("active", active), ("succeeded", progress.succeeded), ("failed", progress.failed)] {
            json::set(job, &["status", field], number);
        }
        if let Some((condition, reason)) = verdict {
            if condition == "Complete" {
                json::set_default(job, &["status", "completionTime"], now.as_str());
            }
            let condition = json!({
                "type": condition, "status": "True", "reason": reason, "lastProbeTime": now, "lastTransitionTime": now,
            });
            json::set_condition(job, condition);
        }
        Ok(before.as_ref() != job.get("status"))
    });
}
