//! Label selectors: the grammar of the `labelSelector` parameter and the JSON form inside objects.

use serde_json::Value;

use crate::{failure::Failure, json};

/// One requirement on one label.
#[derive(Clone, Debug, PartialEq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    DoesNotExist(String),
    Gt(String, i64),
    Lt(String, i64),
}

/// All requirements must hold; none selects everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl LabelSelector {
    /// Reads `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let requirements = split_outside_parentheses(text)
            .into_iter()
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| requirement(part).ok_or_else(|| bad(text, part)))
            .collect::<Result<_, _>>()?;
        Ok(Self { requirements, nothing: false })
    }

    /// Reads the JSON form: `matchLabels` and `matchExpressions`. Null selects nothing, an empty object everything.
    pub(crate) fn from_json(selector: &Value) -> Self {
        if !selector.is_object() {
            return Self { requirements: Vec::new(), nothing: true };
        }
        let mut requirements = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            requirements.push(Requirement::In(key.clone(), vec![value.as_str().unwrap_or_default().to_owned()]));
        }
        for expression in json::items(selector, &["matchExpressions"]) {
            let key = json::text(expression, &["key"]).to_owned();
            let values = json::items(expression, &["values"]).iter().filter_map(Value::as_str).map(str::to_owned);
            requirements.push(match json::text(expression, &["operator"]) {
                "In" => Requirement::In(key, values.collect()),
                "NotIn" => Requirement::NotIn(key, values.collect()),
                "Exists" => Requirement::Exists(key),
                "DoesNotExist" => Requirement::DoesNotExist(key),
                // An operator that nobody knows selects nothing, so that no budget or owner claims pods by accident.
                _ => return Self { requirements: Vec::new(), nothing: true },
            });
        }
        Self { requirements, nothing: false }
    }

    /// Whether it selects everything.
    pub(crate) fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    pub(crate) fn matches(&self, labels: &[(String, String)]) -> bool {
        let get = |key: &str| labels.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        let number = |key: &str| get(key)?.parse::<i64>().ok();
        !self.nothing
            && self.requirements.iter().all(|requirement| match requirement {
                Requirement::In(key, values) => get(key).is_some_and(|v| values.iter().any(|w| w == v)),
                Requirement::NotIn(key, values) => get(key).is_none_or(|v| values.iter().all(|w| w != v)),
                Requirement::Exists(key) => get(key).is_some(),
                Requirement::DoesNotExist(key) => get(key).is_none(),
                Requirement::Gt(key, bound) => number(key).is_some_and(|n| n > *bound),
                Requirement::Lt(key, bound) => number(key).is_some_and(|n| n < *bound),
            })
    }
}

fn bad(text: &str, part: &str) -> Failure {
    Failure::bad_request(format!("unable to parse requirement: cannot read {part:?} in label selector {text:?}"))
}

fn requirement(part: &str) -> Option<Requirement> {
    if let Some(key) = part.strip_prefix('!') {
        return Some(Requirement::DoesNotExist(key_of(key)?));
    }
    if let Some((head, list)) = part.split_once('(') {
        let values = list.strip_suffix(')')?.split(',').map(|v| v.trim().to_owned()).collect();
        let (key, operator) = head.trim().rsplit_once(char::is_whitespace)?;
        return match operator {
            "in" => Some(Requirement::In(key_of(key)?, values)),
            "notin" => Some(Requirement::NotIn(key_of(key)?, values)),
            _ => None,
        };
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Some(Requirement::NotIn(key_of(key)?, vec![value_of(value)?]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some(Requirement::In(key_of(key)?, vec![value_of(value)?]));
    }
    if let Some((key, value)) = part.split_once('>') {
        return Some(Requirement::Gt(key_of(key)?, value.trim().parse().ok()?));
    }
    if let Some((key, value)) = part.split_once('<') {
        return Some(Requirement::Lt(key_of(key)?, value.trim().parse().ok()?));
    }
    Some(Requirement::Exists(key_of(part)?))
}

fn key_of(text: &str) -> Option<String> {
    let key = text.trim();
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    (!key.is_empty() && key.chars().all(good)).then(|| key.to_owned())
}

fn value_of(text: &str) -> Option<String> {
    let value = text.trim();
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    value.chars().all(good).then(|| value.to_owned())
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth <= 0
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::LabelSelector;

    fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_grammar_selects_as_documented() {
        let set = labels(&[("app", "web"), ("n", "5"), ("example.com/x", "")]);
        for (text, want) in [
            ("", true),
            ("app=web", true),
            ("app==web,n", true),
            ("app!=web", false),
            ("missing!=web", true),
            ("app in (db, web)", true),
            ("app notin (db,web)", false),
            ("app notin (db),n in (5)", true),
            ("!app", false),
            ("!missing", true),
            ("n>4", true),
            ("n>5", false),
            ("n<6", true),
            ("app>1", false),
            ("example.com/x=", true),
        ] {
            assert_eq!(LabelSelector::parse(text).unwrap().matches(&set), want, "{text}");
        }
    }

    #[test]
    fn rubbish_is_refused() {
        for text in ["a b", "=x", "a in b", "a in (b", "a foo (b)", "n>x", "a=b=c", "!"] {
            assert_eq!(LabelSelector::parse(text).unwrap_err().code, 400, "{text}");
        }
    }

    #[test]
    fn the_json_form_distinguishes_nothing_from_everything() {
        let set = labels(&[("app", "web")]);
        assert!(!LabelSelector::from_json(&json!(null)).matches(&set));
        assert!(LabelSelector::from_json(&json!({})).is_everything());
        let both = json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "app", "operator": "Exists"}]});
        assert!(LabelSelector::from_json(&both).matches(&set));
        let odd = json!({"matchExpressions": [{"key": "app", "operator": "Like"}]});
        assert!(!LabelSelector::from_json(&odd).matches(&set));
    }
}
