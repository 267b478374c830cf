//! The part of JSONPath that definitions of custom resources use: names, indexes, `[*]`, and filters by equality.

use serde_json::Value;

/// A path such as `.status.conditions[?(@.type=="Ready")].status`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
    All,
    /// Items in which the field has that value.
    Where(String, String),
}

impl JsonPath {
    /// Reads a path; none when it is none, or uses more than is known here.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim().trim_start_matches('$');
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix('[') {
                Some(inner) => bracket(inner)?,
                None => key(rest.strip_prefix('.')?)?,
            };
            steps.push(step);
            rest = after;
        }
        Some(Self { steps })
    }

    /// The keys, when the path consists of nothing else.
    pub(crate) fn keys(&self) -> Option<Vec<&str>> {
        self.steps.iter().map(|step| if let Step::Key(key) = step { Some(key.as_str()) } else { None }).collect()
    }

    /// All values at the path.
    pub(crate) fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        self.steps.iter().fold(vec![value], |found, step| found.into_iter().flat_map(|value| step.of(value)).collect())
    }
}

impl Step {
    fn of<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let items = value.as_array().map_or(&[][..], Vec::as_slice);
        match self {
            Self::Key(key) => value.get(key).into_iter().collect(),
            Self::Index(index) => items.get(*index).into_iter().collect(),
            Self::All => match value.as_object() {
                Some(map) => map.values().collect(),
                None => items.iter().collect(),
            },
            Self::Where(field, wanted) => items.iter().filter(|item| is(item.get(field), wanted)).collect(),
        }
    }
}

fn is(value: Option<&Value>, wanted: &str) -> bool {
    match value {
        Some(Value::String(text)) => text == wanted,
        Some(Value::Bool(flag)) => wanted == if *flag { "true" } else { "false" },
        Some(Value::Number(number)) => wanted.parse::<serde_json::Number>().is_ok_and(|wanted| wanted == *number),
        _ => false,
    }
}

/// A name up to the next `.` or `[` that no backslash escapes.
fn key(text: &str) -> Option<(Step, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        match c {
            '.' | '[' => {
                end = at;
                break;
            }
            '\\' => name.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => name.push(c),
        }
    }
    (!name.is_empty()).then(|| (Step::Key(name), &text[end..]))
}

/// What stands in brackets, the opening one being read.
fn bracket(text: &str) -> Option<(Step, &str)> {
    if let Some(filter) = text.strip_prefix("?(@.") {
        let (filter, after) = filter.split_once(")]")?;
        let (field, value) = filter.split_once("==")?;
        let value = value.trim().trim_matches(['"', '\'']);
        return Some((Step::Where(field.trim().to_owned(), value.to_owned()), after));
    }
    for quote in ['\'', '"'] {
        if let Some(name) = text.strip_prefix(quote) {
            let (name, after) = name.split_once(quote)?;
            return Some((Step::Key(name.to_owned()), after.strip_prefix(']')?));
        }
    }
    let (inner, after) = text.split_once(']')?;
    let step = if inner == "*" { Step::All } else { Step::Index(inner.parse().ok()?) };
    Some((step, after))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::JsonPath;

    #[test]
    fn paths_find_what_they_name() {
        let object = json!({
            "spec": {"a.b": 1, "list": [{"n": "x", "v": 1}, {"n": "y", "v": 2}]}, "metadata": {"labels": {"k/l": "z"}},
        });
        for (path, want) in [
            (".spec.list[0].v", json!([1])),
            (".spec.list[*].v", json!([1, 2])),
            (".spec.list[?(@.n==\"y\")].v", json!([2])),
            (".spec.list[?(@.v == 1)].n", json!(["x"])),
            (".spec.a\\.b", json!([1])),
            ("$.metadata.labels['k/l']", json!(["z"])),
            (".nope.nope", json!([])),
            (".spec.list.v", json!([])),
        ] {
            assert_eq!(json!(JsonPath::parse(path).unwrap().find(&object)), want, "{path}");
        }
        for path in ["spec", ".", ".a[", ".a[x]", ".a[?(@.b>1)]", "..a"] {
            assert_eq!(JsonPath::parse(path), None, "{path}");
        }
        assert_eq!(JsonPath::parse(".spec.color").unwrap().keys(), Some(vec!["spec", "color"]));
        assert_eq!(JsonPath::parse(".spec[0]").unwrap().keys(), None);
    }
}
