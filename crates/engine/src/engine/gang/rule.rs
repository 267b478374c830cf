//! What a group demands, and which pods it has.

use std::collections::BTreeSet;
use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use plimsoll_framework::pod::{GroupKey, NamedBy, PodInfo};

use crate::cache::Standing;
use crate::engine::Engine;
use crate::gang::{self, PodGroup, kinds_of};

/// What a group demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Nothing: each pod goes by itself.
    Each,
    /// The object that would say it is not there.
    Missing,
    /// What is said of it contradicts itself, or cannot be read.
    Invalid(String),
    /// So many pods at least, or none.
    Min(usize),
}

/// The pods of a group, in a fixed order.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Whether there is none at all.
    pub(super) none_left: bool,
    /// Whether any of them is ours to place.
    pub(super) ours: bool,
    /// How many have a node and keep it.
    pub(super) placed: usize,
    /// Those without a node that are ours and could be tried.
    pub(super) ready: Vec<Arc<PodInfo>>,
    /// Who is to place those without a node.
    schedulers: BTreeSet<Istr>,
    /// How many pods the group has, by those without a node that say so by a label.
    sizes: BTreeSet<Option<Istr>>,
    /// The same by those that have one.
    sizes_of_placed: BTreeSet<Option<Istr>>,
}

impl Engine {
    /// The pods of a group. A pod that is being deleted is none any more, nor is one that is held back.
    pub(super) fn members(&self, key: &GroupKey) -> Members {
        let mut members = Members { none_left: true, ..Members::default() };
        for known in self.cache.members(key) {
            members.none_left = false;
            let pod = &known.pod;
            members.ours |= self.by_name.contains_key(&pod.scheduler_name);
            if pod.terminating {
                continue;
            }
            let size = pod.group.as_ref().map(|group| group.size.clone());
            if known.node().is_some() {
                members.placed += 1;
                members.sizes_of_placed.extend(size);
                continue;
            }
            members.schedulers.insert(pod.scheduler_name.clone());
            members.sizes.extend(size);
            if known.standing == Standing::Pending && pod.spec.scheduling_gates.is_empty() {
                members.ready.push(Arc::clone(pod));
            }
        }
        members
    }

    /// The object of a group, if there is one.
    pub(super) fn pod_group(&self, key: &GroupKey) -> Option<PodGroup> {
        let cluster = self.cache.table().view().cluster();
        kinds_of(key.by).into_iter().find_map(|kind| gang::object(cluster, kind, key))
    }

    /// What a group demands, and what is odd about that.
    pub(super) fn rule(&self, key: &GroupKey, group: Option<&PodGroup>, members: &Members) -> (Rule, Option<String>) {
        let (rule, warning) = match (key.by, group) {
            (NamedBy::Size, _) => (rule_by_labels(key, members), None),
            (by, None) => (if self.expects_object(by) { Rule::Missing } else { Rule::Each }, None),
            (_, Some(PodGroup { min_count: None, .. })) => (Rule::Each, self.ambiguity(key)),
            (_, Some(PodGroup { min_count: Some(min), .. })) => match usize::try_from(*min) {
                Ok(min) if min > 0 => (Rule::Min(min), self.ambiguity(key)),
                _ => {
                    let text = format!("{key} asks for {min} pods at least; each of its pods goes by itself");
                    (Rule::Each, Some(text))
                }
            },
        };
        let mut names = members.schedulers.iter();
        match (&rule, names.next(), names.next()) {
            (Rule::Min(_), Some(a), Some(b)) => {
                let text = format!(
                    "all pods in a single pod group should have the same .spec.schedulerName set, got: \"{a}\" and \"{b}\""
                );
                (Rule::Invalid(text), warning)
            }
            _ => (rule, warning),
        }
    }

    /// Whether the server has a kind that a group named like this is of. Where it has none, the name is just a label.
    fn expects_object(&self, by: NamedBy) -> bool {
        let native = kinds_of(NamedBy::Spec);
        kinds_of(by)
            .iter()
            .filter(|kind| by == NamedBy::Spec || !native.contains(kind))
            .any(|kind| self.gangs.served.contains_key(kind))
    }

    /// A name that several objects have is no clear one.
    fn ambiguity(&self, key: &GroupKey) -> Option<String> {
        let cluster = self.cache.table().view().cluster();
        let mut found = gang::kinds()
            .into_iter()
            .filter(|kind| kinds_of(key.by).contains(&kind.id) && gang::object(cluster, kind.id, key).is_some());
        let _ = found.next()?;
        found.next()?;
        let first = kinds_of(key.by).into_iter().find(|kind| gang::object(cluster, *kind, key).is_some())?;
        let group = gang::kinds().into_iter().find(|kind| kind.id == first)?.group;
        Some(format!("there are PodGroups {key} of several API groups; that of {group} counts"))
    }

    /// Upstream's words for a group whose object is not there, and where there is one that is not meant.
    pub(super) fn missing_text(&self, key: &GroupKey) -> String {
        let cluster = self.cache.table().view().cluster();
        let mut elsewhere: Vec<Istr> = kinds_of(key.by)
            .into_iter()
            .flat_map(|kind| cluster.object_keys(kind))
            .filter(|object| object.name == key.name)
            .map(|object| object.namespace)
            .collect();
        elsewhere.sort();
        let text = format!("waiting for pods's pod group \"{}\" to appear in scheduling queue", key.name);
        match elsewhere.first() {
            Some(other) => format!(
                "{text}; the one in namespace \"{other}\" is not meant: a pod's group is in its own, \"{}\"",
                key.namespace
            ),
            None => text,
        }
    }
}

/// What the labels of the pods say, if they say the same.
fn rule_by_labels(key: &GroupKey, members: &Members) -> Rule {
    // Those that have a node could not be told otherwise any more.
    let waiting = &members.sizes;
    let mut different = if waiting.is_empty() { members.sizes_of_placed.iter() } else { waiting.iter() };
    let (first, second) = (different.next(), different.next());
    let word = |size: &Option<Istr>| size.as_ref().map_or_else(|| "none".to_owned(), |size| format!("\"{size}\""));
    match (first, second) {
        (None, _) => Rule::Each,
        (Some(a), Some(b)) => {
            Rule::Invalid(format!("pods of {key} disagree on label plimsoll/gang-size: {} and {}", word(a), word(b)))
        }
        (Some(None), None) => Rule::Invalid(format!("pods of {key} lack label plimsoll/gang-size")),
        (Some(Some(text)), None) => match text.parse::<u32>().ok().and_then(|size| usize::try_from(size).ok()) {
            Some(size) if size > 0 => Rule::Min(size),
            _ => Rule::Invalid(format!("label plimsoll/gang-size of {key} is no number of pods: \"{text}\"")),
        },
    }
}
