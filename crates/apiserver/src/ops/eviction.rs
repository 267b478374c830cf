//! Evicting pods within their disruption budgets.

use serde_json::{Value, json};

use super::{DeleteOptions, Target};
use crate::{
    cluster::Cluster,
    failure::Failure,
    json,
    kinds::{Kind, Role},
    selector::LabelSelector,
    store::PageRequest,
    stored::Stored,
};

/// More evictions than that are not let through before the controller has seen them, as upstream.
const MOST_UNCONFIRMED: usize = 2000;

impl Cluster {
    /// Deletes a pod unless a budget forbids it now, which is answered with 429.
    pub(crate) fn evict(&self, namespace: &str, name: &str, options: &DeleteOptions) -> Result<(), Failure> {
        let target = Target::new(self.kinds.role(Role::Pod), namespace, name);
        let pod = self.get(target)?;
        // A pod that is no other pod than the one meant costs nobody's budget.
        options.check_preconditions(target, &pod)?;
        let disrupts = !pod.pod_finished() && pod.pod_phase() != "Pending" && !pod.deleting;
        if disrupts {
            self.spend_budget(&pod, options.dry_run)?;
        }
        self.delete(target, options)?;
        Ok(())
    }

    fn spend_budget(&self, pod: &Stored, dry_run: bool) -> Result<(), Failure> {
        let budgets = self.kinds.role(Role::PodDisruptionBudget);
        let request = PageRequest { namespace: Some(pod.namespace.to_string()), ..PageRequest::default() };
        let mut matching = self.list(budgets, &request)?.objects;
        matching.retain(|budget| {
            let selector = json::at(&budget.value(), &["spec", "selector"]).map(LabelSelector::from_json);
            selector.is_some_and(|selector| selector.matches(&pod.labels))
        });
        match matching.as_slice() {
            [] => Ok(()),
            [_, _, ..] => Err(Failure::internal(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            )),
            [budget] => self.spend(Target::of(budgets, budget), pod, dry_run),
        }
    }

    fn spend(&self, target: Target<'_>, pod: &Stored, dry_run: bool) -> Result<(), Failure> {
        let now = self.clock.stamp();
        self.edit(target, |budget| {
            if !pod.ready && spares_unhealthy(budget) {
                return Ok(false);
            }
            let allowed = check(target.kind, target.name, budget)?;
            json::set(budget, &["status", "disruptionsAllowed"], allowed - 1);
            json::set(budget, &["status", "disruptedPods", &pod.name], now.as_str());
            Ok(!dry_run)
        })?;
        Ok(())
    }
}

fn number(budget: &Value, field: &str) -> i64 {
    json::int(budget, &["status", field]).unwrap_or_default()
}

/// Whether a pod that is not ready may go without the budget's leave: it does not count as healthy anyway.
fn spares_unhealthy(budget: &Value) -> bool {
    let (healthy, desired) = (number(budget, "currentHealthy"), number(budget, "desiredHealthy"));
    match json::text(budget, &["spec", "unhealthyPodEvictionPolicy"]) {
        "AlwaysAllow" => true,
        _ => desired > 0 && healthy >= desired,
    }
}

/// How many disruptions the budget allows, at least one.
fn check(kind: &Kind, name: &str, budget: &Value) -> Result<i64, Failure> {
    let generation = json::int(budget, &["metadata", "generation"]).unwrap_or_default();
    if number(budget, "observedGeneration") < generation {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        return Err(over_budget(kind, &why, Some(10)));
    }
    let unconfirmed = json::at(budget, &["status", "disruptedPods"]).and_then(Value::as_object);
    if unconfirmed.is_some_and(|pods| pods.len() > MOST_UNCONFIRMED) {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(Failure::forbidden(kind, name, why));
    }
    let allowed = number(budget, "disruptionsAllowed");
    if allowed <= 0 {
        let (desired, healthy) = (number(budget, "desiredHealthy"), number(budget, "currentHealthy"));
        let why = format!("The disruption budget {name} needs {desired} healthy pods and has {healthy} currently");
        return Err(over_budget(kind, &why, None));
    }
    Ok(allowed)
}

/// Only a budget that will soon be known is worth asking again at once.
fn over_budget(kind: &Kind, why: &str, retry_after_seconds: Option<u64>) -> Failure {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let mut failure = Failure::new(429, "TooManyRequests", message);
    failure.details = json!({"kind": kind.plural, "causes": [{"reason": "DisruptionBudget", "message": why}]});
    if let Some(seconds) = retry_after_seconds {
        failure.details["retryAfterSeconds"] = seconds.into();
    }
    failure
}
