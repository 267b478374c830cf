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

impl Cluster {
    /// Deletes a pod unless a budget forbids it now, which is answered with 429.
    pub(crate) fn evict(&self, namespace: &str, name: &str, options: &DeleteOptions) -> Result<(), Failure> {
        let target = Target::new(self.kinds.role(Role::Pod), namespace, name);
        let pod = self.get(target)?;
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
            [budget] => self.spend(Target::of(budgets, budget), dry_run),
        }
    }

    fn spend(&self, target: Target<'_>, dry_run: bool) -> Result<(), Failure> {
        self.edit(target, |budget| {
            let allowed = json::int(budget, &["status", "disruptionsAllowed"]).unwrap_or_default();
            if allowed <= 0 {
                return Err(over_budget(target.kind, target.name, budget));
            }
            json::set(budget, &["status", "disruptionsAllowed"], allowed - 1);
            Ok(!dry_run)
        })?;
        Ok(())
    }
}

fn over_budget(kind: &Kind, name: &str, budget: &Value) -> Failure {
    let number = |field| json::int(budget, &["status", field]).unwrap_or_default();
    let why = format!(
        "The disruption budget {name} needs {} healthy pods and has {} currently",
        number("desiredHealthy"),
        number("currentHealthy")
    );
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let mut failure = Failure::new(429, "TooManyRequests", message);
    failure.details = json!({"kind": kind.plural, "causes": [{"reason": "DisruptionBudget", "message": why}]});
    failure
}
