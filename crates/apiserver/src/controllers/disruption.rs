//! Disruption budgets: how many of the selected pods may go now.

use serde_json::json;

use super::owned;
use crate::{cluster::Cluster, json, kinds::Role, selector::LabelSelector, store::PageRequest, stored::Stored};

pub(super) fn reconcile(cluster: &Cluster, stored: &Stored) {
    let budget = stored.value();
    let request = PageRequest {
        namespace: Some(stored.namespace.to_string()),
        labels: json::at(&budget, &["spec", "selector"]).map(LabelSelector::from_json).unwrap_or_default(),
        ..PageRequest::default()
    };
    let Ok(page) = cluster.list(cluster.kinds.role(Role::Pod), &request) else { return };
    let count = |wanted: fn(&Stored) -> bool| {
        i64::try_from(page.objects.iter().filter(|pod| wanted(pod)).count()).unwrap_or(i64::MAX)
    };
    let expected = count(Stored::pod_active);
    let healthy = count(|pod| pod.pod_active() && pod.ready);
    let spec = |field| json::at(&budget, &["spec", field]).filter(|value| !value.is_null());
    let desired = match (spec("minAvailable"), spec("maxUnavailable")) {
        (None, Some(most)) => expected.saturating_sub(owned::scaled(Some(most), "0%", expected, true)).max(0),
        (least, _) => owned::scaled(least, "100%", expected, true),
    };
    let status = json!({
        "expectedPods": expected, "currentHealthy": healthy, "desiredHealthy": desired,
        "disruptionsAllowed": if expected > 0 { healthy.saturating_sub(desired).max(0) } else { 0 },
        "observedGeneration": json::int(&budget, &["metadata", "generation"]),
    });
    owned::set_status(cluster, cluster.kinds.role(Role::PodDisruptionBudget), stored, &status);
}
