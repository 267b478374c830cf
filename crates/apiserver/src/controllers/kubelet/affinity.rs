//! Node selectors and required node affinity, as a kubelet checks them once more.

use serde_json::Value;

use crate::json;

/// Whether a pod may be on a node by its node selector and its required node affinity.
pub(in crate::controllers) fn matches(pod: &Value, node: &Value) -> bool {
    let selector = json::at(pod, &["spec", "nodeSelector"]).and_then(Value::as_object);
    let mut wanted = selector.into_iter().flatten();
    if !wanted.all(|(key, value)| label(node, key) == value.as_str()) {
        return false;
    }
    let path = ["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];
    match json::at(pod, &path).filter(|required| required.is_object()) {
        None => true,
        Some(required) => json::items(required, &["nodeSelectorTerms"]).iter().any(|term| term_matches(term, node)),
    }
}

fn label<'a>(node: &'a Value, key: &str) -> Option<&'a str> {
    json::at(node, &["metadata", "labels", key])?.as_str()
}

/// An empty term matches nothing.
fn term_matches(term: &Value, node: &Value) -> bool {
    let expressions = json::items(term, &["matchExpressions"]);
    let fields = json::items(term, &["matchFields"]);
    let name = json::text(node, &["metadata", "name"]);
    (!expressions.is_empty() || !fields.is_empty())
        && expressions.iter().all(|e| holds(e, label(node, json::text(e, &["key"]))))
        && fields.iter().all(|f| json::text(f, &["key"]) == "metadata.name" && holds(f, Some(name)))
}

fn holds(expression: &Value, found: Option<&str>) -> bool {
    let values = json::items(expression, &["values"]);
    let among = |found: &str| values.iter().any(|value| value == found);
    let bound = || values.first()?.as_str()?.parse::<i64>().ok();
    let number = || found?.parse::<i64>().ok();
    match json::text(expression, &["operator"]) {
        "In" => found.is_some_and(among),
        "NotIn" => !found.is_some_and(among),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        "Gt" => number().zip(bound()).is_some_and(|(number, bound)| number > bound),
        "Lt" => number().zip(bound()).is_some_and(|(number, bound)| number < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_testkit::{node, pod};
    use serde_json::{Value, json};

    fn required(terms: Value) -> bool {
        let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": terms,
        }}});
        let node = node("n1").label("cpus", "8").label("disk", "ssd").build();
        super::matches(&pod("a").affinity(affinity).build(), &node)
    }

    #[test]
    fn terms_are_alternatives_and_their_expressions_are_not() {
        let expression =
            |key: &str, operator: &str, values: &[&str]| json!({"key": key, "operator": operator, "values": values});
        for (expressions, want) in [
            (vec![expression("disk", "In", &["ssd", "hdd"])], true),
            (vec![expression("disk", "NotIn", &["ssd"])], false),
            (vec![expression("missing", "NotIn", &["x"])], true),
            (vec![expression("disk", "Exists", &[]), expression("missing", "DoesNotExist", &[])], true),
            (vec![expression("cpus", "Gt", &["7"]), expression("cpus", "Lt", &["8"])], false),
            (vec![expression("disk", "Gt", &["7"])], false),
            (vec![expression("disk", "Like", &["s"])], false),
            (vec![], false),
        ] {
            assert_eq!(required(json!([{"matchExpressions": expressions}])), want, "{expressions:?}");
        }
        assert!(required(json!([{}, {"matchFields": [expression("metadata.name", "In", &["n1"])]}])));
        assert!(!required(json!([])));
    }
}
