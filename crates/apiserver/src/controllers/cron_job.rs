//! CronJobs: a Job whenever the schedule says so.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{owned, schedule::Schedule};
use crate::{
    clock,
    cluster::Cluster,
    json,
    kinds::Role,
    ops::{DeleteOptions, Target},
    stored::Stored,
};

/// When each CronJob last ran, or was first seen, in the time of its schedule.
#[derive(Debug, Default)]
pub(super) struct CronJobs {
    last: HashMap<Box<str>, Timestamp>,
}

impl CronJobs {
    pub(super) fn forget(&mut self, uid: &str) {
        self.last.remove(uid);
    }

    /// Starts what is due and returns when to look again.
    pub(super) fn reconcile(&mut self, cluster: &Cluster, stored: &Stored) -> Option<Instant> {
        let cron_job = stored.value();
        clean_up(cluster, stored, &cron_job);
        report_active(cluster, stored);
        let schedule = Schedule::parse(json::text(&cron_job, &["spec", "schedule"]))?;
        if json::flag(&cron_job, &["spec", "suspend"]) {
            self.forget(&stored.uid);
            return None;
        }
        let speedup = cluster.options.cron_speedup.max(1);
        let now = cluster.clock.now_at_speed(speedup);
        let last = self.last.entry(stored.uid.clone()).or_insert(now);
        let mut next = schedule.next_after(*last)?;
        if next <= now {
            // Of several missed times only this one counts, as upstream.
            *last = now;
            run(cluster, stored, &cron_job, next, &schedule);
            next = schedule.next_after(now)?;
        }
        let wait = std::time::Duration::try_from(next.duration_since(now)).ok()?;
        Some(Instant::now() + wait / speedup)
    }
}

/// Runs a CronJob now, whatever its schedule says.
pub(super) fn fire(cluster: &Cluster, key: &str) {
    if let Some(stored) = cluster.store_of(Role::CronJob).get(key) {
        let cron_job = stored.value();
        let name = format!("{}-manual-{}", stored.name, cluster.ids.suffix());
        create_job(cluster, &cron_job, &name, &json!({"cronjob.kubernetes.io/instantiate": "manual"}));
    }
}

/// Runs a CronJob now, unless it is suspended.
pub(crate) fn run_once(cluster: &Cluster, stored: &Stored) {
    let cron_job = stored.value();
    if !json::flag(&cron_job, &["spec", "suspend"]) {
        let minute = cluster.clock.now().as_second() / 60;
        create_job(cluster, &cron_job, &format!("{}-{minute}", stored.name), &json!({}));
    }
}

fn run(cluster: &Cluster, stored: &Stored, cron_job: &Value, at: Timestamp, schedule: &Schedule) {
    let running = jobs(cluster, stored, |job| !finished(job));
    match json::text(cron_job, &["spec", "concurrencyPolicy"]) {
        "Forbid" if !running.is_empty() => return,
        "Replace" => running.iter().for_each(|job| delete(cluster, job)),
        _ => {}
    }
    // Named by its minute, so that no minute runs twice; intervals may be shorter than a minute.
    let number = if matches!(schedule, Schedule::Every(_)) { at.as_second() } else { at.as_second() / 60 };
    let annotations = json!({"batch.kubernetes.io/cronjob-scheduled-timestamp": clock::stamp(at)});
    create_job(cluster, cron_job, &format!("{}-{number}", stored.name), &annotations);
    let status = json!({"lastScheduleTime": clock::stamp(at)});
    owned::set_status(cluster, cluster.kinds.role(Role::CronJob), stored, &status);
}

fn create_job(cluster: &Cluster, cron_job: &Value, name: &str, annotations: &Value) {
    let template = json::at(cron_job, &["spec", "jobTemplate"]).cloned().unwrap_or_default();
    let mut job = json!({
        "metadata": template.get("metadata").filter(|m| m.is_object()).cloned().unwrap_or_else(|| json!({})),
        "spec": template.get("spec").cloned().unwrap_or_default(),
    });
    json::set(&mut job, &["metadata", "name"], name);
    json::set(&mut job, &["metadata", "ownerReferences"], vec![owned::owner_reference(cron_job)]);
    for (key, value) in annotations.as_object().into_iter().flatten() {
        json::set(&mut job, &["metadata", "annotations", key], value.clone());
    }
    // A refusal has been told by an Event.
    let _ = owned::create(cluster, cron_job, cluster.kinds.role(Role::Job), job);
}

fn finished(job: &Value) -> bool {
    json::condition_holds(job, "Complete") || json::condition_holds(job, "Failed")
}

fn jobs(cluster: &Cluster, cron_job: &Stored, wanted: impl Fn(&Value) -> bool) -> Vec<Arc<Stored>> {
    let jobs = cluster.store_of(Role::Job).owned_by(&cron_job.uid);
    jobs.into_iter().filter(|job| wanted(&job.value())).collect()
}

fn delete(cluster: &Cluster, job: &Stored) {
    // Already gone is as good.
    let _ = cluster.delete(Target::of(cluster.kinds.role(Role::Job), job), &DeleteOptions::default());
}

/// Deletes finished Jobs beyond the history that is to be kept, the oldest first.
fn clean_up(cluster: &Cluster, stored: &Stored, cron_job: &Value) {
    let limits = [("Complete", "successfulJobsHistoryLimit", 3), ("Failed", "failedJobsHistoryLimit", 1)];
    for (condition, limit, default) in limits {
        let keep = json::int(cron_job, &["spec", limit]).unwrap_or(default);
        let mut ended = jobs(cluster, stored, |job| json::condition_holds(job, condition));
        ended.sort_by_key(|job| Reverse(job.version));
        ended.iter().skip(usize::try_from(keep).unwrap_or_default()).for_each(|job| delete(cluster, job));
    }
}

fn report_active(cluster: &Cluster, stored: &Stored) {
    let running = jobs(cluster, stored, |job| !finished(job));
    let active: Vec<Value> = running
        .iter()
        .map(|job| {
            json!({
                "apiVersion": "batch/v1", "kind": "Job", "name": &*job.name, "namespace": &*job.namespace,
                "uid": &*job.uid,
            })
        })
        .collect();
    owned::set_status(cluster, cluster.kinds.role(Role::CronJob), stored, &json!({"active": active}));
}
