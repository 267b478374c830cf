//! Taints and tolerations (reference section 4.3).

use crate::api;
use crate::intern::Istr;

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TaintEffect {
    /// New pods are kept away.
    NoSchedule,
    /// New pods are kept away where another node will do.
    PreferNoSchedule,
    /// New pods are kept away, running ones are evicted.
    NoExecute,
    /// A word this version does not know: it repels nobody, and no toleration names it.
    Unknown,
}

impl TaintEffect {
    fn parse(text: &str) -> Self {
        match text {
            "NoSchedule" => Self::NoSchedule,
            "PreferNoSchedule" => Self::PreferNoSchedule,
            "NoExecute" => Self::NoExecute,
            _ => Self::Unknown,
        }
    }

    /// Whether a node with such a taint is closed to pods that do not tolerate it.
    pub fn is_hard(self) -> bool {
        matches!(self, Self::NoSchedule | Self::NoExecute)
    }
}

/// A taint of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Taint {
    /// The taint's key.
    pub key: Istr,
    /// Its value; empty when it has none.
    pub value: Istr,
    /// What it does.
    pub effect: TaintEffect,
}

impl Taint {
    /// A taint of these parts.
    pub fn new(key: &str, value: &str, effect: TaintEffect) -> Self {
        Self { key: key.into(), value: value.into(), effect }
    }
}

impl From<&api::Taint> for Taint {
    fn from(taint: &api::Taint) -> Self {
        Self { key: taint.key.clone(), value: taint.value.clone(), effect: TaintEffect::parse(&taint.effect) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Operator {
    Equal,
    Exists,
    /// `Lt`, `Gt` (alpha, off) and words nobody knows: such a toleration tolerates nothing.
    Never,
}

/// A toleration of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Toleration {
    key: Option<Istr>,
    operator: Operator,
    value: Istr,
    effect: Option<TaintEffect>,
}

impl Toleration {
    /// Whether a pod with this toleration may be where `taint` is. An empty key stands for every key, an empty effect
    /// for every effect; with an empty key and `Equal`, only the values are compared.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.effect.is_none_or(|e| e == taint.effect)
            && self.key.as_ref().is_none_or(|k| *k == taint.key)
            && match self.operator {
                Operator::Equal => self.value == taint.value,
                Operator::Exists => true,
                Operator::Never => false,
            }
    }

    /// Whether it speaks of `PreferNoSchedule` taints at all.
    pub fn concerns_preference(&self) -> bool {
        self.effect.is_none_or(|e| e == TaintEffect::PreferNoSchedule)
    }
}

impl From<&api::Toleration> for Toleration {
    fn from(t: &api::Toleration) -> Self {
        let some = |s: &Istr| (!s.is_empty()).then(|| s.clone());
        Self {
            key: some(&t.key),
            operator: match &*t.operator {
                "" | "Equal" => Operator::Equal,
                "Exists" => Operator::Exists,
                _ => Operator::Never,
            },
            value: t.value.clone(),
            effect: some(&t.effect).map(|e| TaintEffect::parse(&e)),
        }
    }
}

/// Whether some of `tolerations` tolerates `taint`.
pub fn tolerated(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|t| t.tolerates(taint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toleration(json: &str) -> Toleration {
        Toleration::from(&serde_json::from_str::<api::Toleration>(json).unwrap())
    }

    #[test]
    fn tolerates_by_key_value_effect_and_operator() {
        let taint = Taint::new("gpu", "yes", TaintEffect::NoSchedule);
        let rows = [
            (r#"{"key":"gpu","operator":"Equal","value":"yes","effect":"NoSchedule"}"#, true),
            (r#"{"key":"gpu","value":"yes"}"#, true),
            (r#"{"key":"gpu","value":"no"}"#, false),
            (r#"{"key":"gpu","operator":"Exists"}"#, true),
            (r#"{"operator":"Exists"}"#, true),
            (r#"{"value":"yes"}"#, true),
            (r#"{"value":"no"}"#, false),
            (r#"{"key":"gpu","operator":"Exists","effect":"NoExecute"}"#, false),
            (r#"{"key":"cpu","operator":"Exists"}"#, false),
            (r#"{"key":"gpu","operator":"Gt","value":"1"}"#, false),
            (r#"{"key":"gpu","operator":"Foo"}"#, false),
        ];
        for (json, expect) in rows {
            assert_eq!(toleration(json).tolerates(&taint), expect, "{json}");
        }
    }
}
