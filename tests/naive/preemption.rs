//! DefaultPreemption (reference section 11).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::LabelSelector;
use plimsoll_framework::node::NodeInfo;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::verdict::Code;

use super::Delta;
use super::decide::{Question, Rejected};

/// What can be done for a pod that fits nowhere.
#[derive(Debug, PartialEq)]
pub(crate) enum Preemption {
    /// One of these nodes is to be cleared of these pods, by namespace and name.
    Clear(BTreeMap<Istr, Vec<String>>),
    /// Nothing, for this reason.
    Nothing(String),
}

struct Victims {
    pods: Vec<Arc<PodInfo>>,
    violations: usize,
}

/// The answer; at most 100 nodes, so that all of them are tried.
pub(crate) fn preempt(question: &Question<'_>, verdicts: &BTreeMap<Istr, Rejected>) -> Preemption {
    let pod = question.pod;
    if let Some(why) = ineligible(question, verdicts) {
        return Preemption::Nothing(format!("preemption: {why}"));
    }
    let mut candidates: BTreeMap<Istr, Victims> = BTreeMap::new();
    let mut histogram: BTreeMap<String, usize> = BTreeMap::new();
    for (name, node) in &question.cluster.nodes {
        if verdicts[name].code != Code::Unschedulable {
            *histogram.entry("Preemption is not helpful for scheduling".to_owned()).or_default() += 1;
            continue;
        }
        match clear(question, node) {
            Ok(victims) => drop(candidates.insert(name.clone(), victims)),
            Err(reasons) => reasons.into_iter().for_each(|r| *histogram.entry(r).or_default() += 1),
        }
    }
    if candidates.is_empty() {
        let mut parts: Vec<String> = histogram.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
        parts.sort();
        let nodes = question.cluster.nodes.len();
        return Preemption::Nothing(format!("preemption: 0/{nodes} nodes are available: {}.", parts.join(", ")));
    }
    let _ = pod;
    let named = |v: &Victims| {
        let mut names: Vec<String> = v.pods.iter().map(|p| p.key.to_string()).collect();
        names.sort();
        names
    };
    Preemption::Clear(best(candidates).iter().map(|(node, v)| (node.clone(), named(v))).collect())
}

fn ineligible(question: &Question<'_>, verdicts: &BTreeMap<Istr, Rejected>) -> Option<&'static str> {
    let pod = question.pod;
    if pod.spec.never_preempts {
        return Some("not eligible due to preemptionPolicy=Never.");
    }
    let node = question.cluster.nodes.get(pod.nominated_node_name.as_ref()?)?;
    if verdicts[&node.name].code == Code::UnschedulableAndUnresolvable {
        return None;
    }
    let mut there = question.cluster.on(node);
    let leaving = there.any(|p| p.priority() < pod.priority() && p.terminating && p.preempted);
    leaving.then_some("not eligible due to a terminating pod on the nominated node.")
}

/// Greater priority, then earlier start.
fn by_importance(pods: &mut [Arc<PodInfo>]) {
    pods.sort_by_key(|p| (-i64::from(p.priority()), p.start_seconds.unwrap()));
}

fn clear(question: &Question<'_>, node: &NodeInfo) -> Result<Victims, BTreeSet<String>> {
    let lower = question.cluster.on(node).filter(|p| p.priority() < question.pod.priority());
    let mut lower: Vec<Arc<PodInfo>> = lower.cloned().collect();
    if lower.is_empty() {
        return Err(["No preemption victims found for incoming pod".to_owned()].into());
    }
    let away = |pods: &[Arc<PodInfo>]| -> Vec<Delta> {
        pods.iter().map(|pod| Delta { node: node.name.clone(), pod: pod.clone(), sign: -1 }).collect()
    };
    if let Some(rejected) = question.node(&away(&lower), node) {
        return Err(rejected.reasons);
    }
    by_importance(&mut lower);
    let (violating, others) = split(question, &lower);
    let mut gone = lower.clone();
    let (mut victims, mut violations) = (Vec::new(), 0);
    for (pod, violates) in violating.iter().map(|p| (p, true)).chain(others.iter().map(|p| (p, false))) {
        gone.retain(|p| p.key.uid != pod.key.uid);
        if question.node(&away(&gone), node).is_some() {
            gone.push(pod.clone());
            victims.push(pod.clone());
            violations += usize::from(violates);
        }
    }
    by_importance(&mut victims);
    Ok(Victims { pods: victims, violations })
}

fn split(question: &Question<'_>, pods: &[Arc<PodInfo>]) -> (Vec<Arc<PodInfo>>, Vec<Arc<PodInfo>>) {
    let mut left: BTreeMap<_, i64> = question.cluster.budgets.iter().map(|(key, b)| (key, b.allowed)).collect();
    let (mut violating, mut others) = (Vec::new(), Vec::new());
    for pod in pods {
        let mut violates = false;
        for (key, budget) in &question.cluster.budgets {
            let selector: Option<&LabelSelector> = budget.selector.as_ref().filter(|s| !s.is_empty());
            let protects = key.0 == pod.key.namespace
                && !pod.labels.is_empty()
                && selector.is_some_and(|s| s.matches(&pod.labels))
                && !budget.disrupted.iter().any(|name| **name == *pod.key.name);
            if protects {
                let left = left.get_mut(key).unwrap();
                *left -= 1;
                violates |= *left < 0;
            }
        }
        if violates { violating.push(pod.clone()) } else { others.push(pod.clone()) }
    }
    (violating, others)
}

/// Narrows the candidates step by step.
fn best(mut left: BTreeMap<Istr, Victims>) -> BTreeMap<Istr, Victims> {
    let steps: [fn(&Victims) -> i64; 5] = [
        |v| i64::try_from(v.violations).unwrap(),
        |v| v.pods[0].priority().into(),
        |v| v.pods.iter().map(|p| i64::from(p.priority()) + (1 << 31)).sum(),
        |v| i64::try_from(v.pods.len()).unwrap(),
        |v| {
            let highest = v.pods.iter().map(|p| p.priority()).max();
            let top = v.pods.iter().filter(|p| Some(p.priority()) == highest);
            -top.map(|p| p.start_seconds.unwrap()).min().unwrap()
        },
    ];
    for harm in steps {
        let least = left.values().map(harm).min().unwrap();
        left.retain(|_, v| harm(v) == least);
    }
    left
}
