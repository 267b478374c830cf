//! Which pods belong together with a pod, as far as Services and controllers tell (reference section 5.1.1).

use std::collections::BTreeMap;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::{LabelSelector, Operator, Requirement};
use plimsoll_framework::read::{ClusterOf, ObjectsOf, TemplatePod};

use crate::kinds::owners::{ReplicaSet, ReplicationController, Service, StatefulSet};

/// The objects that tell.
pub(super) type Owners =
    (ObjectsOf<Service>, ObjectsOf<ReplicationController>, ObjectsOf<ReplicaSet>, ObjectsOf<StatefulSet>);

/// The selector of the pods that belong together with this one; `None` when nothing tells.
pub(super) fn default_selector(pod: TemplatePod<'_>, owners: &ClusterOf<'_, Owners>) -> Option<LabelSelector> {
    let (services, controllers, replica_sets, stateful_sets) = owners;
    let namespace = pod.namespace;
    let mut labels: BTreeMap<Istr, Istr> = BTreeMap::new();
    // What selects the pod agrees on the values, so the order of the Services does not matter.
    for (_, service) in services.in_namespace(namespace) {
        if let Some(selector) = service.as_ref().filter(|s| s.iter().all(|(k, v)| pod.labels.get(k) == Some(v))) {
            labels.extend(selector.clone());
        }
    }
    let mut further: &[Requirement] = &[];
    if let Some(owner) = pod.owner {
        match (&*owner.api_version, &*owner.kind) {
            ("v1", "ReplicationController") => {
                let selector = controllers.get(namespace, &owner.name).into_iter().flatten().flatten();
                labels.extend(selector.map(|(k, v)| (k.clone(), v.clone())));
            }
            ("apps/v1", "ReplicaSet") => further = requirements(replica_sets.get(namespace, &owner.name)),
            ("apps/v1", "StatefulSet") => further = requirements(stateful_sets.get(namespace, &owner.name)),
            _ => {}
        }
    }
    let equal = |(key, value)| Requirement { key, operator: Operator::In([value].into()) };
    let selector = LabelSelector::from_requirements(labels.into_iter().map(equal).chain(further.iter().cloned()));
    (!selector.is_empty()).then_some(selector)
}

fn requirements(selector: Option<&Option<LabelSelector>>) -> &[Requirement] {
    selector.and_then(Option::as_ref).map_or(&[], LabelSelector::requirements)
}
