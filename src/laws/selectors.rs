//! Selectors, compiled, against reading them as they are written.

use std::collections::BTreeMap;

use plimsoll_framework::api;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::labels::{LabelSelector, LabelSet};
use plimsoll_framework::node_selector::NodeAffinity;
use serde::Deserialize;

type Labels = BTreeMap<Istr, Istr>;

/// A node or a pod, and what may select it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Case {
    name: Istr,
    labels: Labels,
    selector: api::LabelSelector,
    node_selector: Option<Labels>,
    affinity: api::NodeAffinity,
}

pub(super) fn selectors(data: &[u8]) {
    let Ok(case) = serde_json::from_slice::<Case>(data) else { return };
    let labels = LabelSet::from(&case.labels);
    let compiled = LabelSelector::compile(&case.selector).map(|selector| selector.matches(&labels));
    assert_eq!(compiled.ok(), selected(&case.selector, &case.labels));
    let compiled = NodeAffinity::compile(case.node_selector.as_ref(), Some(&case.affinity));
    let expect = all([
        Some(case.node_selector.iter().flatten().all(|(key, value)| case.labels.get(key) == Some(value))),
        required(&case),
        readable(&case),
    ]);
    assert_eq!(compiled.as_ref().ok().map(|affinity| affinity.matches(&case.name, &labels)), expect);
    let Ok(affinity) = compiled else { return };
    // The nodes by name are those that can be selected.
    if let Some(names) = affinity.required.as_ref().and_then(|required| required.names())
        && affinity.matches(&case.name, &labels)
    {
        assert!(names.contains(&case.name));
    }
    for (key, value) in &case.labels {
        if affinity.selects(key, value) {
            let named = |r: &api::Requirement| r.key == *key && &*r.operator == "In" && r.values.contains(value);
            let terms = case.affinity.required.iter().flat_map(|required| &required.node_selector_terms);
            let by_term = terms.flat_map(|term| &term.match_expressions).any(named);
            assert!(by_term || case.node_selector.as_ref().is_some_and(|s| s.get(key) == Some(value)));
        }
    }
}

/// Whether all hold; `None` where one cannot be read.
fn all(answers: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    answers.into_iter().try_fold(true, |sum, answer| Some(answer? && sum))
}

fn selected(selector: &api::LabelSelector, labels: &Labels) -> Option<bool> {
    let by_labels = selector.match_labels.iter().map(|(key, value)| Some(labels.get(key) == Some(value)));
    all(by_labels.chain(selector.match_expressions.iter().map(|r| meets(r, labels.get(&r.key), false))))
}

fn meets(r: &api::Requirement, value: Option<&Istr>, numeric: bool) -> Option<bool> {
    let is_one = value.is_some_and(|value| r.values.contains(value));
    let number = |text: &Istr| text.parse::<i64>().ok();
    match (&*r.operator, r.values.as_slice()) {
        ("In", [_, ..]) => Some(is_one),
        ("NotIn", [_, ..]) => Some(!is_one),
        ("Exists", []) => Some(value.is_some()),
        ("DoesNotExist", []) => Some(value.is_none()),
        ("Gt", [than]) if numeric => number(than).map(|than| value.and_then(number).is_some_and(|v| v > than)),
        ("Lt", [than]) if numeric => number(than).map(|than| value.and_then(number).is_some_and(|v| v < than)),
        _ => None,
    }
}

fn term(term: &api::NodeSelectorTerm, case: &Case) -> Option<bool> {
    let field = |r: &api::Requirement| match (&*r.key, &*r.operator, r.values.as_slice()) {
        ("metadata.name", "In", [name]) => Some(*name == case.name),
        ("metadata.name", "NotIn", [name]) => Some(*name != case.name),
        _ => None,
    };
    let expressions = term.match_expressions.iter().map(|r| meets(r, case.labels.get(&r.key), true));
    let any = !term.match_expressions.is_empty() || !term.match_fields.is_empty();
    all(expressions.chain(term.match_fields.iter().map(field)).chain([Some(any)]))
}

/// Whether some required term is met; `None` where one cannot be read.
fn required(case: &Case) -> Option<bool> {
    let Some(required) = &case.affinity.required else { return Some(true) };
    let terms = required.node_selector_terms.iter().map(|t| term(t, case));
    terms.collect::<Option<Vec<bool>>>().map(|terms| terms.contains(&true))
}

/// Whether the preferred terms can be read.
fn readable(case: &Case) -> Option<bool> {
    let preferred = case.affinity.preferred.iter().flatten().map(|p| term(&p.preference, case));
    preferred.collect::<Option<Vec<bool>>>().map(|_| true)
}
