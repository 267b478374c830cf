//! Field selectors: which fields each kind offers, and matching against the values kept beside each stored object.

use serde_json::Value;

use crate::failure::Failure;

/// A selectable field: its name in selectors and its path in the object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    name: Box<str>,
    path: Box<[Box<str>]>,
    /// What it reads as when the object does not have it.
    absent: &'static str,
}

impl Field {
    pub(crate) fn new(name: &str, path: &str) -> Self {
        let absent = match name {
            "spec.hostNetwork" | "spec.unschedulable" => "false",
            "status.replicas" | "status.successful" => "0",
            _ => "",
        };
        Self { name: name.into(), path: path.split('.').map(Box::from).collect(), absent }
    }
}

/// Names and paths; those that are equal are written once.
type Row = (&'static str, &'static str);

/// Their order is known to [`crate::stored::Stored`].
const POD: &[Row] = &[
    ("spec.nodeName", ""),
    ("spec.schedulerName", ""),
    ("status.phase", ""),
    ("status.nominatedNodeName", ""),
    ("spec.restartPolicy", ""),
    ("spec.serviceAccountName", ""),
    ("spec.hostNetwork", ""),
    ("status.podIP", ""),
    ("spec.host", "spec.nodeName"),
];

const EVENT: &[Row] = &[
    ("regarding.kind", ""),
    ("regarding.namespace", ""),
    ("regarding.name", ""),
    ("regarding.uid", ""),
    ("regarding.apiVersion", ""),
    ("regarding.resourceVersion", ""),
    ("regarding.fieldPath", ""),
    ("reason", ""),
    ("type", ""),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource.component"),
];

/// The fields of a built-in kind beyond `metadata.name` and `metadata.namespace`.
pub(crate) fn built_in(group: &str, plural: &str) -> Vec<Field> {
    let rows: &[Row] = match (group, plural) {
        ("", "pods") => POD,
        (_, "events") => EVENT,
        ("", "nodes") => &[("spec.unschedulable", "")],
        ("", "namespaces") => &[("status.phase", ""), ("name", "metadata.name")],
        ("", "secrets") => &[("type", "")],
        ("", "services") => &[("spec.clusterIP", ""), ("spec.type", "")],
        ("", "persistentvolumes") => &[("name", "metadata.name")],
        ("", "replicationcontrollers") | ("apps", "replicasets") => &[("status.replicas", "")],
        ("batch", "jobs") => &[("status.successful", "status.succeeded")],
        ("certificates.k8s.io", _) => &[("spec.signerName", "")],
        ("resource.k8s.io", "resourceslices") => &[("spec.nodeName", ""), ("spec.driver", "")],
        _ => &[],
    };
    rows.iter().map(|(name, path)| Field::new(name, if path.is_empty() { name } else { path })).collect()
}

/// The values of the selectable fields of an object, in the order of its kind.
pub(crate) fn extract(fields: &[Field], object: &Value) -> Box<[Box<str>]> {
    let at = |field: &Field| field.path.iter().try_fold(object, |value, key| value.get(&**key));
    fields.iter().map(|field| written(at(field), field.absent)).collect()
}

/// A field as selectors write it.
fn written(value: Option<&Value>, absent: &str) -> Box<str> {
    match value {
        Some(Value::String(text)) => text.as_str().into(),
        Some(Value::Bool(flag)) => flag.to_string().into(),
        Some(Value::Number(number)) => number.to_string().into(),
        _ => absent.into(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Subject {
    Name,
    Namespace,
    Field(usize),
}

#[derive(Clone, Debug, PartialEq)]
struct Term {
    subject: Subject,
    value: String,
    equal: bool,
}

/// All terms must hold; none selects everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FieldSelector {
    terms: Vec<Term>,
}

impl FieldSelector {
    /// Reads `a=b,c==d,e!=f` for objects with these fields. One that there is not is an error, as upstream.
    pub(crate) fn parse(fields: &[Field], text: &str) -> Result<Self, Failure> {
        let terms = split_escaped(text).filter(|t| !t.is_empty()).map(|t| term(fields, text, &t));
        Ok(Self { terms: terms.collect::<Result<_, _>>()? })
    }

    /// The one name that it selects, if it asks for a name.
    pub(crate) fn only_name(&self) -> Option<&str> {
        let named = self.terms.iter().find(|term| term.subject == Subject::Name && term.equal);
        named.map(|term| term.value.as_str())
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    pub(crate) fn matches(&self, namespace: &str, name: &str, fields: &[Box<str>]) -> bool {
        self.terms.iter().all(|term| {
            let found = match term.subject {
                Subject::Name => name,
                Subject::Namespace => namespace,
                Subject::Field(index) => fields.get(index).map_or("", |f| f),
            };
            (found == term.value) == term.equal
        })
    }
}

fn term(fields: &[Field], text: &str, part: &str) -> Result<Term, Failure> {
    let (field, value, equal) = if let Some((field, value)) = part.split_once("!=") {
        (field, value, false)
    } else if let Some((field, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        (field, value, true)
    } else {
        return Err(Failure::bad_request(format!("invalid field selector {text:?}: can't understand {part:?}")));
    };
    let subject =
        subject(fields, field).ok_or_else(|| Failure::bad_request(format!("field label not supported: {field}")))?;
    Ok(Term { subject, value: value.to_owned(), equal })
}

fn subject(fields: &[Field], field: &str) -> Option<Subject> {
    match field {
        "metadata.name" => return Some(Subject::Name),
        "metadata.namespace" => return Some(Subject::Namespace),
        _ => {}
    }
    // The core group calls the object of an event `involvedObject` and its reporter `reportingComponent` or `source`.
    let alias = field.strip_prefix("involvedObject.").map(|rest| format!("regarding.{rest}"));
    let field = match field {
        "reportingController" => "reportingComponent",
        other => alias.as_deref().unwrap_or(other),
    };
    fields.iter().position(|known| *known.name == *field).map(Subject::Field)
}

/// Splits at commas that no backslash escapes, and removes the backslashes.
fn split_escaped(text: &str) -> impl Iterator<Item = String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, parts.last_mut()) {
            (',', _) => parts.push(String::new()),
            ('\\', Some(part)) => part.extend(chars.next()),
            (c, Some(part)) => part.push(c),
            (_, None) => {}
        }
    }
    parts.into_iter()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{FieldSelector, built_in, extract};

    #[test]
    fn pods_are_selected_by_node_phase_and_scheduler() {
        let fields_of_pods = built_in("", "pods");
        let pod = json!({"spec": {"nodeName": "n1", "schedulerName": "plimsoll"}, "status": {"phase": "Running"}});
        let fields = extract(&fields_of_pods, &pod);
        for (text, want) in [
            ("", true),
            ("spec.nodeName=n1", true),
            ("spec.nodeName!=", true),
            ("spec.nodeName=", false),
            ("status.phase!=Succeeded,status.phase!=Failed", true),
            ("status.phase==Failed", false),
            ("spec.schedulerName=plimsoll,metadata.name=a", true),
            ("metadata.namespace!=default", false),
            ("spec.hostNetwork=false", true),
        ] {
            assert_eq!(
                FieldSelector::parse(&fields_of_pods, text).unwrap().matches("default", "a", &fields),
                want,
                "{text}"
            );
        }
    }

    #[test]
    fn unknown_fields_and_rubbish_are_refused() {
        let fields_of_pods = built_in("", "pods");
        for text in ["spec.color=red", "spec.nodeName", "spec.nodeName>1"] {
            assert_eq!(FieldSelector::parse(&fields_of_pods, text).unwrap_err().code, 400, "{text}");
        }
        assert!(FieldSelector::parse(&[], "spec.nodeName=x").is_err());
    }

    #[test]
    fn absent_numbers_are_zero() {
        let known = built_in("batch", "jobs");
        for (job, text, want) in [
            (json!({}), "status.successful=0", true),
            (json!({"status": {"succeeded": 0}}), "status.successful!=0", false),
            (json!({"status": {"succeeded": 2}}), "status.successful=2", true),
        ] {
            let got = FieldSelector::parse(&known, text).unwrap().matches("", "", &extract(&known, &job));
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn events_answer_to_the_names_of_both_groups() {
        let event = json!({"regarding": {"name": "web-1", "kind": "Pod"}, "reason": "Scheduled"});
        let known = built_in("", "events");
        let fields = extract(&known, &event);
        for text in ["involvedObject.name=web-1,reason=Scheduled", "regarding.kind=Pod"] {
            assert!(FieldSelector::parse(&known, text).unwrap().matches("default", "x", &fields), "{text}");
        }
    }
}
