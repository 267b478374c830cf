//! Inter-pod affinity terms and topology spread constraints, compiled (reference sections 5.1.1 and 5.2.1).

use super::Faults;
use crate::api;
use crate::intern::Istr;
use crate::labels::LabelSelector;

/// A term of pod affinity or anti-affinity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodAffinityTerm {
    /// Which pods; `None` selects no pod.
    pub selector: Option<LabelSelector>,
    /// In these namespaces, sorted: the pod's own where the term names none and has no namespace selector.
    pub namespaces: Box<[Istr]>,
    /// And in the namespaces selected by this.
    pub namespace_selector: Option<LabelSelector>,
    /// The label of nodes that makes a domain.
    pub topology_key: Istr,
}

/// A term with the weight it adds to a score.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WeightedPodAffinityTerm {
    /// 1 to 100.
    pub weight: i32,
    /// The term.
    pub term: PodAffinityTerm,
}

/// Everything a pod says of the pods it wants near or far.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct PodAffinity {
    /// Must be near, all of them.
    pub required: Box<[PodAffinityTerm]>,
    /// Should be near.
    pub preferred: Box<[WeightedPodAffinityTerm]>,
    /// Must be far.
    pub anti_required: Box<[PodAffinityTerm]>,
    /// Should be far.
    pub anti_preferred: Box<[WeightedPodAffinityTerm]>,
}

impl PodAffinity {
    /// Whether the pod says nothing of others.
    pub fn is_empty(&self) -> bool {
        self.required.is_empty()
            && self.preferred.is_empty()
            && self.anti_required.is_empty()
            && self.anti_preferred.is_empty()
    }
}

pub(super) fn pod_affinity(affinity: Option<&api::Affinity>, namespace: &Istr, faults: &mut Faults) -> PodAffinity {
    let mut side = |side: Option<&api::PodAffinity>, name: &str| {
        let Some(side) = side else { return (Box::default(), Box::default()) };
        let required = side.required.iter().enumerate().map(|(i, t)| {
            term(
                t,
                namespace,
                || format!("spec.affinity.{name}.requiredDuringSchedulingIgnoredDuringExecution[{i}]"),
                faults,
            )
        });
        let required: Box<[_]> = required.collect();
        let preferred = side.preferred.iter().enumerate().map(|(i, t)| WeightedPodAffinityTerm {
            weight: t.weight,
            term: term(
                &t.pod_affinity_term,
                namespace,
                || format!("spec.affinity.{name}.preferredDuringSchedulingIgnoredDuringExecution[{i}].podAffinityTerm"),
                faults,
            ),
        });
        (required, preferred.collect())
    };
    let (required, preferred) = side(affinity.and_then(|a| a.pod_affinity.as_ref()), "podAffinity");
    let (anti_required, anti_preferred) = side(affinity.and_then(|a| a.pod_anti_affinity.as_ref()), "podAntiAffinity");
    PodAffinity { required, preferred, anti_required, anti_preferred }
}

fn term(t: &api::PodAffinityTerm, namespace: &Istr, path: impl Fn() -> String, faults: &mut Faults) -> PodAffinityTerm {
    let namespace_selector =
        t.namespace_selector.as_ref().map(|s| selector(s, || format!("{}.namespaceSelector", path()), faults));
    let mut namespaces = t.namespaces.clone();
    if namespaces.is_empty() && namespace_selector.is_none() {
        namespaces.push(namespace.clone());
    }
    namespaces.sort();
    namespaces.dedup();
    PodAffinityTerm {
        selector: t.label_selector.as_ref().map(|s| selector(s, || format!("{}.labelSelector", path()), faults)),
        namespaces: namespaces.into(),
        namespace_selector,
        topology_key: t.topology_key.clone(),
    }
}

/// Compiles a selector; one that cannot be read makes the pod invalid, and stands for "everything" until then.
fn selector(s: &api::LabelSelector, path: impl Fn() -> String, faults: &mut Faults) -> LabelSelector {
    LabelSelector::compile(s).unwrap_or_else(|e| {
        faults.note(path(), e);
        LabelSelector::default()
    })
}

/// A topology spread constraint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpreadConstraint {
    /// How uneven the domains may be, at least 1.
    pub max_skew: i32,
    /// The label of nodes that makes a domain.
    pub topology_key: Istr,
    /// `DoNotSchedule`: a rule; otherwise a wish (`ScheduleAnyway`).
    pub hard: bool,
    /// Which pods of the namespace are counted; `None` counts none.
    pub selector: Option<LabelSelector>,
    /// The number of domains below which the least count is taken as 0.
    pub min_domains: i32,
    /// Whether only nodes that the pod's node affinity selects are counted (`Honor`, the default).
    pub honor_node_affinity: bool,
    /// Whether only nodes whose taints the pod tolerates are counted (`Ignore` is the default).
    pub honor_node_taints: bool,
    /// Labels of the pod whose values join the selector.
    pub match_label_keys: Box<[Istr]>,
}

pub(super) fn spread_constraints(
    list: &[api::TopologySpreadConstraint],
    faults: &mut Faults,
) -> Box<[SpreadConstraint]> {
    list.iter()
        .enumerate()
        .map(|(i, c)| {
            let path = |field: &str| format!("spec.topologySpreadConstraints[{i}].{field}");
            if !matches!(&*c.when_unsatisfiable, "DoNotSchedule" | "ScheduleAnyway") {
                let word = &c.when_unsatisfiable;
                faults.note(path("whenUnsatisfiable"), format!("{word:?} is not one of DoNotSchedule, ScheduleAnyway"));
            }
            SpreadConstraint {
                max_skew: c.max_skew,
                topology_key: c.topology_key.clone(),
                hard: &*c.when_unsatisfiable == "DoNotSchedule",
                selector: c.label_selector.as_ref().map(|s| selector(s, || path("labelSelector"), faults)),
                min_domains: c.min_domains.unwrap_or(1),
                honor_node_affinity: &*c.node_affinity_policy != "Ignore",
                honor_node_taints: &*c.node_taints_policy == "Honor",
                match_label_keys: c.match_label_keys.clone().into(),
            }
        })
        .collect()
}
