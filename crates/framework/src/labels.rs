//! Label sets and label selectors, compiled to interned strings.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api;
use crate::intern::Istr;

/// The labels of an object: sorted by key, immutable, shared by all objects that carry the same ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct LabelSet {
    pairs: Box<[(Istr, Istr)]>,
}

impl LabelSet {
    /// The value of `key`, if the object carries it.
    pub fn get(&self, key: &Istr) -> Option<&Istr> {
        // Objects carry a handful of labels and keys compare by address: a walk beats a search.
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// All labels in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Istr, &Istr)> {
        self.pairs.iter().map(|(k, v)| (k, v))
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }
}

impl From<&BTreeMap<Istr, Istr>> for LabelSet {
    fn from(map: &BTreeMap<Istr, Istr>) -> Self {
        Self { pairs: map.iter().map(|(k, v)| (k.clone(), v.clone())).collect() }
    }
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for LabelSet {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let map = pairs.into_iter().map(|(k, v)| (Istr::new(k.as_ref()), Istr::new(v.as_ref()))).collect();
        Self::from(&map)
    }
}

/// What one requirement asks of the value of its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The label is there and its value is one of these.
    In(Box<[Istr]>),
    /// The label is missing, or its value is none of these.
    NotIn(Box<[Istr]>),
    /// The label is there.
    Exists,
    /// The label is missing.
    DoesNotExist,
    /// The label is there, is an integer, and is greater. Node selectors only.
    Gt(i64),
    /// The label is there, is an integer, and is less. Node selectors only.
    Lt(i64),
}

/// One requirement of a selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// The label's key.
    pub key: Istr,
    /// What is asked of it.
    pub operator: Operator,
}

/// Why a requirement cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// An operator that does not exist here.
    #[error("operator {operator:?} of key {key:?} is not one of {allowed}")]
    Operator {
        /// The requirement's key.
        key: String,
        /// The operator as written.
        operator: String,
        /// The operators that exist here.
        allowed: &'static str,
    },
    /// A number of values that the operator does not take.
    #[error("operator {operator} of key {key:?} takes {takes}, not {count}")]
    Values {
        /// The requirement's key.
        key: String,
        /// The operator.
        operator: String,
        /// What it takes, in words.
        takes: &'static str,
        /// How many there were.
        count: usize,
    },
    /// `Gt` and `Lt` compare integers.
    #[error("value {value:?} of key {key:?} is not an integer, which {operator} compares")]
    NotAnInteger {
        /// The requirement's key.
        key: String,
        /// The operator.
        operator: String,
        /// The value as written.
        value: String,
    },
}

impl Requirement {
    /// Whether a label with this value (`None`: no such label) meets the requirement.
    pub fn matches_value(&self, value: Option<&Istr>) -> bool {
        let integer = || value.and_then(|v| v.parse::<i64>().ok());
        match &self.operator {
            Operator::In(values) => value.is_some_and(|v| values.contains(v)),
            Operator::NotIn(values) => value.is_none_or(|v| !values.contains(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt(than) => integer().is_some_and(|v| v > *than),
            Operator::Lt(than) => integer().is_some_and(|v| v < *than),
        }
    }

    /// Whether an object with these labels meets the requirement.
    pub fn matches(&self, labels: &LabelSet) -> bool {
        self.matches_value(labels.get(&self.key))
    }

    /// Compiles a requirement; `numeric` allows `Gt` and `Lt`, which only node selectors have.
    pub(crate) fn compile(r: &api::Requirement, numeric: bool) -> Result<Self, SelectorError> {
        let values = || r.values.iter().cloned().collect::<Box<[Istr]>>();
        let fault = |takes| SelectorError::Values {
            key: r.key.to_string(),
            operator: r.operator.to_string(),
            takes,
            count: r.values.len(),
        };
        let operator = match (&*r.operator, r.values.len()) {
            ("In" | "NotIn", 0) => return Err(fault("at least one value")),
            ("In", _) => Operator::In(values()),
            ("NotIn", _) => Operator::NotIn(values()),
            ("Exists", 0) => Operator::Exists,
            ("DoesNotExist", 0) => Operator::DoesNotExist,
            ("Exists" | "DoesNotExist", _) => return Err(fault("no value")),
            (operator @ ("Gt" | "Lt"), 1) if numeric => {
                let value = &r.values[0];
                let number = value.parse::<i64>().map_err(|_| SelectorError::NotAnInteger {
                    key: r.key.to_string(),
                    operator: operator.to_owned(),
                    value: value.to_string(),
                })?;
                if operator == "Gt" { Operator::Gt(number) } else { Operator::Lt(number) }
            }
            ("Gt" | "Lt", _) if numeric => return Err(fault("exactly one value")),
            _ => {
                return Err(SelectorError::Operator {
                    key: r.key.to_string(),
                    operator: r.operator.to_string(),
                    allowed: if numeric {
                        "In, NotIn, Exists, DoesNotExist, Gt, Lt"
                    } else {
                        "In, NotIn, Exists, DoesNotExist"
                    },
                });
            }
        };
        Ok(Self { key: r.key.clone(), operator })
    }
}

/// A `LabelSelector`: all requirements must be met. Without requirements it selects everything; a selector that is
/// absent from an object selects nothing and is written as `Option::None`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct LabelSelector {
    requirements: Box<[Requirement]>,
}

impl LabelSelector {
    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &LabelSet) -> bool {
        self.requirements.iter().all(|r| r.matches(labels))
    }

    /// Whether it has no requirement.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The requirements, `matchLabels` first, in the order of their keys.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// A selector of these requirements.
    pub fn from_requirements(requirements: impl IntoIterator<Item = Requirement>) -> Self {
        Self { requirements: requirements.into_iter().collect() }
    }

    /// Compiles a selector as written.
    pub fn compile(s: &api::LabelSelector) -> Result<Self, SelectorError> {
        let labels = s
            .match_labels
            .iter()
            .map(|(k, v)| Ok(Requirement { key: k.clone(), operator: Operator::In([v.clone()].into()) }));
        let expressions = s.match_expressions.iter().map(|r| Requirement::compile(r, false));
        Ok(Self { requirements: labels.chain(expressions).collect::<Result<_, _>>()? })
    }
}

/// Gives the one shared copy of equal values: label sets and pod specs repeat far more often than they differ.
#[derive(Debug)]
pub struct Shared<T> {
    table: hashbrown::HashSet<Arc<T>>,
    sweep_at: usize,
}

impl<T: std::hash::Hash + Eq> Default for Shared<T> {
    fn default() -> Self {
        Self { table: hashbrown::HashSet::new(), sweep_at: 1_024 }
    }
}

impl<T: std::hash::Hash + Eq> Shared<T> {
    /// The shared copy of `value`. Copies that nobody else holds are dropped when their number has doubled.
    pub fn share(&mut self, value: T) -> Arc<T> {
        if let Some(found) = self.table.get(&value) {
            return Arc::clone(found);
        }
        if self.table.len() >= self.sweep_at {
            self.table.retain(|v| Arc::strong_count(v) > 1);
            self.sweep_at = (self.table.len() * 2).max(1_024);
        }
        let made = Arc::new(value);
        self.table.insert(Arc::clone(&made));
        made
    }

    /// How many different values are held.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(json: &str) -> Result<LabelSelector, SelectorError> {
        LabelSelector::compile(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_selector_selects() {
        let labels: LabelSet = [("app", "web"), ("tier", "front")].into_iter().collect();
        let rows = [
            (r#"{}"#, true),
            (r#"{"matchLabels":{"app":"web"}}"#, true),
            (r#"{"matchLabels":{"app":"web","tier":"back"}}"#, false),
            (r#"{"matchExpressions":[{"key":"app","operator":"In","values":["db","web"]}]}"#, true),
            (r#"{"matchExpressions":[{"key":"app","operator":"NotIn","values":["web"]}]}"#, false),
            (r#"{"matchExpressions":[{"key":"zone","operator":"NotIn","values":["a"]}]}"#, true),
            (r#"{"matchExpressions":[{"key":"zone","operator":"Exists"}]}"#, false),
            (r#"{"matchExpressions":[{"key":"zone","operator":"DoesNotExist"}]}"#, true),
        ];
        for (json, expect) in rows {
            assert_eq!(selector(json).unwrap().matches(&labels), expect, "{json}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let rows = [
            (
                r#"{"matchExpressions":[{"key":"a","operator":"Foo"}]}"#,
                r#"operator "Foo" of key "a" is not one of In, NotIn, Exists, DoesNotExist"#,
            ),
            (
                r#"{"matchExpressions":[{"key":"a","operator":"Gt","values":["1"]}]}"#,
                r#"operator "Gt" of key "a" is not one of In, NotIn, Exists, DoesNotExist"#,
            ),
            (
                r#"{"matchExpressions":[{"key":"a","operator":"In"}]}"#,
                r#"operator In of key "a" takes at least one value, not 0"#,
            ),
            (
                r#"{"matchExpressions":[{"key":"a","operator":"Exists","values":["x"]}]}"#,
                r#"operator Exists of key "a" takes no value, not 1"#,
            ),
        ];
        for (json, expect) in rows {
            assert_eq!(selector(json).unwrap_err().to_string(), expect, "{json}");
        }
    }

    #[test]
    fn equal_values_are_shared_and_let_go() {
        let mut shared = Shared::<LabelSet>::default();
        let set = |i: usize| [("job", format!("j-{i}"))].into_iter().collect::<LabelSet>();
        let kept = shared.share(set(0));
        assert!(Arc::ptr_eq(&kept, &shared.share(set(0))));
        for i in 1..100_000 {
            shared.share(set(i));
        }
        assert!(shared.len() <= 2_048, "{} label sets are held", shared.len());
        assert!(Arc::ptr_eq(&kept, &shared.share(set(0))));
    }
}
