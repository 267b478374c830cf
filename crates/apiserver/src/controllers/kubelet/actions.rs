//! What kubelets do with pods when its time has come: start them, end them, let them go.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{Action, Kubelets, TURN, status};
use crate::{
    json,
    kinds::Role,
    ops::{DeleteOptions, Target},
    stored::Stored,
};

/// How long a pod runs until it ends, in seconds. For pods that do not restart.
const RUN_SECONDS: &str = "plimsoll/run-seconds";
/// How it ends: anything but 0 is a failure.
const EXIT_CODE: &str = "plimsoll/exit-code";

/// How soon a volume is tried again at the soonest.
const MOUNT_RETRY: Duration = Duration::from_millis(20);

impl Kubelets {
    pub(super) fn at(&mut self, delay: Duration, action: Action, pod: &Stored) {
        self.sequence += 1;
        let key = self.cluster.kinds.role(Role::Pod).key(&pod.namespace, &pod.name);
        self.timers.insert((Instant::now() + delay, self.sequence), (action, key, pod.uid.clone()));
    }

    /// Does some of what is due; whether anything was.
    pub(super) fn act(&mut self) -> bool {
        let now = Instant::now();
        for turn in 0..TURN {
            match self.timers.first_entry() {
                Some(entry) if entry.key().0 <= now => {
                    let (action, key, uid) = entry.remove();
                    let pod = self.cluster.pods().get(&key).filter(|pod| pod.uid == uid);
                    if let Some(pod) = pod {
                        self.perform(action, &pod);
                    }
                }
                _ => return turn > 0,
            }
        }
        true
    }

    fn perform(&mut self, action: Action, pod: &Stored) {
        let now = self.cluster.clock.stamp();
        match action {
            Action::Stop => self.remove(pod),
            // On its way out, or ended by someone else.
            _ if !pod.pod_active() => {}
            Action::Refuse(reason, message) => self.edit_pod(pod, |pod| status::refuse(pod, &reason, &message, &now)),
            // Volumes that cannot be mounted yet are tried again and again.
            Action::Start if !self.claims_are_bound(pod) => {
                let again = self.cluster.options.pod_start_delay.max(MOUNT_RETRY);
                self.at(again, Action::Start, pod);
            }
            Action::Start => {
                self.started += 1;
                let address = self.started;
                self.edit_pod(pod, |pod| status::run(pod, &now, address));
                self.plan_finish(pod, &pod.value());
            }
            Action::Finish => {
                let value = pod.value();
                let code = json::text(&value, &["metadata", "annotations", EXIT_CODE]);
                let code: i64 = code.parse().unwrap_or(0);
                if code != 0 && json::text(&value, &["spec", "restartPolicy"]) == "OnFailure" {
                    self.edit_pod(pod, status::restart);
                    self.plan_finish(pod, &value);
                } else {
                    self.edit_pod(pod, |pod| status::finish(pod, &now, code));
                }
            }
        }
    }

    /// Whether the pod's claims are bound, where somebody binds them at all.
    fn claims_are_bound(&self, pod: &Stored) -> bool {
        let options = &self.cluster.options;
        if !options.controllers || !options.volumes {
            return true;
        }
        let value = pod.value();
        let claims = self.cluster.kinds.role(Role::PersistentVolumeClaim);
        json::items(&value, &["spec", "volumes"]).iter().all(|volume| {
            let name = match json::text(volume, &["persistentVolumeClaim", "claimName"]) {
                "" if volume.get("ephemeral").is_some() => format!("{}-{}", pod.name, json::text(volume, &["name"])),
                "" => return true,
                name => name.to_owned(),
            };
            let claim = self.cluster.store(claims).get(&claims.key(&pod.namespace, &name));
            claim.is_some_and(|claim| json::text(&claim.value(), &["status", "phase"]) == "Bound")
        })
    }

    pub(super) fn plan_finish(&mut self, pod: &Stored, value: &Value) {
        if json::text(value, &["spec", "restartPolicy"]) == "Always" {
            return;
        }
        let seconds = json::text(value, &["metadata", "annotations", RUN_SECONDS]).parse::<f64>();
        let asked = seconds.ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        // More than a year is for ever, and would overflow the timer.
        let asked = asked.map(|asked| asked.min(Duration::from_secs(31_536_000)));
        self.at(asked.unwrap_or(self.cluster.options.job_duration), Action::Finish, pod);
    }

    pub(super) fn stop_delay(&self, pod: &Stored) -> Duration {
        let grace = json::int(&pod.value(), &["metadata", "deletionGracePeriodSeconds"]).unwrap_or_default();
        let grace = Duration::from_secs(u64::try_from(grace).unwrap_or_default());
        self.cluster.options.pod_stop_delay.min(grace)
    }

    pub(super) fn remove(&self, pod: &Stored) {
        let options =
            DeleteOptions { grace_seconds: Some(0), uid: Some(pod.uid.to_string()), ..DeleteOptions::default() };
        // Already gone is as good.
        let _ = self.cluster.delete(Target::of(self.cluster.kinds.role(Role::Pod), pod), &options);
    }

    /// Changes a pod, unless it went or was replaced by another of its name.
    pub(super) fn edit_pod(&self, pod: &Stored, mut change: impl FnMut(&mut Value)) {
        let _ = self.cluster.edit(Target::of(self.cluster.kinds.role(Role::Pod), pod), |value| {
            let same = json::text(value, &["metadata", "uid"]) == &*pod.uid;
            if same {
                change(value);
            }
            Ok(same)
        });
    }
}
