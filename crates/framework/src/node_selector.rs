//! Node selectors and node affinity (reference section 4.4).

use crate::api;
use crate::intern::Istr;
use crate::labels::{LabelSelector, LabelSet, Operator, Requirement, SelectorError};

/// One term: all of its requirements must be met. A term without any selects nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeSelectorTerm {
    expressions: Box<[Requirement]>,
    /// On `metadata.name`, the only field there is.
    names: Box<[Operator]>,
}

impl NodeSelectorTerm {
    /// Whether a node of this name and these labels is selected.
    pub fn matches(&self, name: &Istr, labels: &LabelSet) -> bool {
        (!self.expressions.is_empty() || !self.names.is_empty())
            && self.expressions.iter().all(|r| r.matches(labels))
            && self.names.iter().all(|operator| match operator {
                Operator::In(names) => names.contains(name),
                Operator::NotIn(names) => !names.contains(name),
                _ => false,
            })
    }

    /// What the term says of one value of one label; `None` when it rules the value out.
    fn names_value(&self, key: &Istr, value: &Istr) -> Option<bool> {
        names_value(&self.expressions, key, value)
    }

    /// Whether it has no requirement at all.
    pub fn is_empty(&self) -> bool {
        self.expressions.is_empty() && self.names.is_empty()
    }

    /// The node names that the term's `metadata.name In` requirements leave; `None` when it has no such requirement.
    fn names(&self) -> Option<Vec<Istr>> {
        let mut left: Option<Vec<Istr>> = None;
        for operator in &self.names {
            if let Operator::In(names) = operator {
                left = Some(match left {
                    None => names.to_vec(),
                    Some(left) => left.into_iter().filter(|n| names.contains(n)).collect(),
                });
            }
        }
        left
    }

    fn compile(term: &api::NodeSelectorTerm) -> Result<Self, SelectorError> {
        let expressions =
            term.match_expressions.iter().map(|r| Requirement::compile(r, true)).collect::<Result<_, _>>()?;
        let names = term.match_fields.iter().map(field).collect::<Result<_, _>>()?;
        Ok(Self { expressions, names })
    }
}

/// Whether some of the requirements names this value of the label, as `In` does; `None` when one of them rules it out.
fn names_value(requirements: &[Requirement], key: &Istr, value: &Istr) -> Option<bool> {
    let mut named = false;
    for requirement in requirements.iter().filter(|r| r.key == *key) {
        if !requirement.matches_value(Some(value)) {
            return None;
        }
        named |= matches!(requirement.operator, Operator::In(_));
    }
    Some(named)
}

/// Fields know `In` and `NotIn` with one value, on `metadata.name`.
fn field(r: &api::Requirement) -> Result<Operator, SelectorError> {
    let fault = |operator: String, allowed| SelectorError::Operator { key: r.key.to_string(), operator, allowed };
    if &*r.key != "metadata.name" {
        return Err(fault(
            r.operator.to_string(),
            "those of metadata.name, the only field of a node that can be selected by",
        ));
    }
    match Requirement::compile(r, false)?.operator {
        operator @ (Operator::In(_) | Operator::NotIn(_)) if r.values.len() == 1 => Ok(operator),
        Operator::In(_) | Operator::NotIn(_) => Err(SelectorError::Values {
            key: r.key.to_string(),
            operator: r.operator.to_string(),
            takes: "exactly one value",
            count: r.values.len(),
        }),
        _ => Err(fault(r.operator.to_string(), "In, NotIn")),
    }
}

/// Required node affinity: one of the terms must be met. Without terms it selects nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeSelector {
    terms: Box<[NodeSelectorTerm]>,
}

impl NodeSelector {
    /// Whether a node of this name and these labels is selected.
    pub fn matches(&self, name: &Istr, labels: &LabelSet) -> bool {
        self.terms.iter().any(|t| t.matches(name, labels))
    }

    /// The only nodes that can be selected, where every term names its nodes; `None` when some term does not.
    /// The list is sorted and may be empty: then the terms contradict themselves.
    pub fn names(&self) -> Option<Vec<Istr>> {
        if self.terms.is_empty() {
            return None;
        }
        let mut all = Vec::new();
        for term in &self.terms {
            all.extend(term.names()?);
        }
        all.sort();
        all.dedup();
        Some(all)
    }

    /// Compiles a selector as written.
    pub fn compile(s: &api::NodeSelector) -> Result<Self, SelectorError> {
        Ok(Self { terms: s.node_selector_terms.iter().map(NodeSelectorTerm::compile).collect::<Result<_, _>>()? })
    }
}

/// A term with the weight it adds to a node's score.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PreferredTerm {
    /// 1 to 100.
    pub weight: i32,
    /// What is preferred.
    pub term: NodeSelectorTerm,
}

/// What a pod asks of the node itself: `nodeSelector` and node affinity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct NodeAffinity {
    /// `nodeSelector`; `None` when the pod has none (an empty map is `Some`).
    pub node_selector: Option<LabelSelector>,
    /// Required terms, of which one must be met.
    pub required: Option<NodeSelector>,
    /// Preferred terms; those of weight 0 or without requirements are left out, as they never count.
    pub preferred: Box<[PreferredTerm]>,
    /// Whether the pod listed preferred terms at all, be they of any use or not.
    pub has_preferred: bool,
}

impl NodeAffinity {
    /// Whether the pod may be on a node of this name and these labels.
    pub fn matches(&self, name: &Istr, labels: &LabelSet) -> bool {
        self.node_selector.as_ref().is_none_or(|s| s.matches(labels))
            && self.required.as_ref().is_none_or(|r| r.matches(name, labels))
    }

    /// Whether the pod asks by name for nodes with this value of a label: `nodeSelector`, or a term of the required
    /// affinity, lists the value, and neither rules it out. `Exists` and `NotIn` name nothing.
    pub fn selects(&self, key: &Istr, value: &Istr) -> bool {
        let selector = self.node_selector.as_ref().map_or(&[][..], LabelSelector::requirements);
        let Some(named) = names_value(selector, key, value) else { return false };
        match &self.required {
            None => named,
            Some(required) => {
                required.terms.iter().any(|t| t.names_value(key, value).is_some_and(|by_term| named || by_term))
            }
        }
    }

    /// Compiles what a pod (or `addedAffinity`) says.
    pub fn compile(
        node_selector: Option<&std::collections::BTreeMap<Istr, Istr>>,
        affinity: Option<&api::NodeAffinity>,
    ) -> Result<Self, SelectorError> {
        let node_selector = node_selector.map(|map| {
            LabelSelector::from_requirements(
                map.iter().map(|(k, v)| Requirement { key: k.clone(), operator: Operator::In([v.clone()].into()) }),
            )
        });
        let required = affinity.and_then(|a| a.required.as_ref()).map(NodeSelector::compile).transpose()?;
        let listed = affinity.and_then(|a| a.preferred.as_ref());
        let mut preferred = Vec::new();
        for written in listed.into_iter().flatten() {
            let term = NodeSelectorTerm::compile(&written.preference)?;
            if written.weight != 0 && !term.is_empty() {
                preferred.push(PreferredTerm { weight: written.weight, term });
            }
        }
        Ok(Self { node_selector, required, preferred: preferred.into(), has_preferred: listed.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(json: &str) -> Result<NodeAffinity, SelectorError> {
        NodeAffinity::compile(None, Some(&serde_json::from_str(json).unwrap()))
    }
    fn required(terms: &str) -> String {
        format!(r#"{{"requiredDuringSchedulingIgnoredDuringExecution":{{"nodeSelectorTerms":{terms}}}}}"#)
    }

    #[test]
    fn terms_are_alternatives_of_conjunctions() {
        let (name, labels) = (Istr::new("n1"), [("cpu", "8"), ("disk", "ssd")].into_iter().collect::<LabelSet>());
        let rows = [
            ("[]", false),
            ("[{}]", false),
            (r#"[{"matchExpressions":[{"key":"cpu","operator":"Gt","values":["7"]}]}]"#, true),
            (r#"[{"matchExpressions":[{"key":"cpu","operator":"Lt","values":["8"]}]}]"#, false),
            (r#"[{"matchExpressions":[{"key":"disk","operator":"Gt","values":["7"]}]}]"#, false),
            (r#"[{},{"matchExpressions":[{"key":"disk","operator":"Exists"}]}]"#, true),
            (r#"[{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}]"#, true),
            (r#"[{"matchFields":[{"key":"metadata.name","operator":"NotIn","values":["n1"]}]}]"#, false),
            (
                r#"[{"matchExpressions":[{"key":"disk","operator":"In","values":["hdd"]}],
                    "matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}]"#,
                false,
            ),
        ];
        for (terms, expect) in rows {
            assert_eq!(compile(&required(terms)).unwrap().matches(&name, &labels), expect, "{terms}");
        }
    }

    #[test]
    fn names_narrow_only_where_every_term_names_nodes() {
        let by_name =
            |n: &str| format!(r#"{{"matchFields":[{{"key":"metadata.name","operator":"In","values":["{n}"]}}]}}"#);
        let names = |terms: &str| compile(&required(terms)).unwrap().required.unwrap().names();
        assert_eq!(names(&format!("[{},{}]", by_name("b"), by_name("a"))), Some(vec!["a".into(), "b".into()]));
        assert_eq!(names(&format!("[{},{{}}]", by_name("b"))), None);
        let both = r#"[{"matchFields":[{"key":"metadata.name","operator":"In","values":["a"]},
                                       {"key":"metadata.name","operator":"In","values":["b"]}]}]"#;
        assert_eq!(names(both), Some(vec![]));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let rows = [
            (
                r#"[{"matchExpressions":[{"key":"cpu","operator":"Gt","values":["many"]}]}]"#,
                r#"value "many" of key "cpu" is not an integer, which Gt compares"#,
            ),
            (
                r#"[{"matchFields":[{"key":"metadata.name","operator":"In","values":["a","b"]}]}]"#,
                r#"operator In of key "metadata.name" takes exactly one value, not 2"#,
            ),
        ];
        for (terms, expect) in rows {
            assert_eq!(compile(&required(terms)).unwrap_err().to_string(), expect, "{terms}");
        }
    }
}
