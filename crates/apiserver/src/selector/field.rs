//! Field selectors: which fields each kind offers, and matching against the values kept beside each stored object.

use serde_json::Value;

use crate::{failure::Failure, json, kinds::Role};

/// A selectable field: its label in selectors and its path in the object.
type Field = (&'static str, &'static [&'static str]);

const POD: &[Field] = &[
    ("spec.nodeName", &["spec", "nodeName"]),
    ("spec.schedulerName", &["spec", "schedulerName"]),
    ("status.phase", &["status", "phase"]),
    ("status.nominatedNodeName", &["status", "nominatedNodeName"]),
    ("spec.restartPolicy", &["spec", "restartPolicy"]),
    ("spec.serviceAccountName", &["spec", "serviceAccountName"]),
    ("spec.hostNetwork", &["spec", "hostNetwork"]),
    ("status.podIP", &["status", "podIP"]),
];

const EVENT: &[Field] = &[
    ("regarding.kind", &["regarding", "kind"]),
    ("regarding.namespace", &["regarding", "namespace"]),
    ("regarding.name", &["regarding", "name"]),
    ("regarding.uid", &["regarding", "uid"]),
    ("regarding.apiVersion", &["regarding", "apiVersion"]),
    ("regarding.resourceVersion", &["regarding", "resourceVersion"]),
    ("regarding.fieldPath", &["regarding", "fieldPath"]),
    ("reason", &["reason"]),
    ("type", &["type"]),
    ("reportingComponent", &["reportingController"]),
    ("source", &["deprecatedSource", "component"]),
];

/// The fields of a kind beyond `metadata.name` and `metadata.namespace`.
fn fields_of(role: Role) -> &'static [Field] {
    match role {
        Role::Pod => POD,
        Role::Event | Role::CoreEvent => EVENT,
        Role::Node => &[("spec.unschedulable", &["spec", "unschedulable"])],
        Role::Namespace => &[("status.phase", &["status", "phase"])],
        Role::Secret => &[("type", &["type"])],
        Role::Job => &[("status.successful", &["status", "succeeded"])],
        _ => &[],
    }
}

/// The values of the selectable fields of an object, in the order of the kind's table.
pub(crate) fn extract(role: Role, object: &Value) -> Box<[Box<str>]> {
    fields_of(role).iter().map(|(_, path)| written(json::at(object, path))).collect()
}

/// A field as the API writes it in selectors: what is absent is empty, and false where it is a flag.
fn written(value: Option<&Value>) -> Box<str> {
    match value {
        Some(Value::String(text)) => text.as_str().into(),
        Some(Value::Bool(true)) => "true".into(),
        Some(Value::Number(number)) => number.to_string().into(),
        _ => "".into(),
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
    /// Reads `a=b,c==d,e!=f` for objects of a role. A field that the kind does not offer is an error, as upstream.
    pub(crate) fn parse(role: Role, text: &str) -> Result<Self, Failure> {
        let terms = split_escaped(text).filter(|t| !t.is_empty()).map(|t| term(role, text, &t));
        Ok(Self { terms: terms.collect::<Result<_, _>>()? })
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

fn term(role: Role, text: &str, part: &str) -> Result<Term, Failure> {
    let (field, value, equal) = if let Some((field, value)) = part.split_once("!=") {
        (field, value, false)
    } else if let Some((field, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        (field, value, true)
    } else {
        return Err(Failure::bad_request(format!("invalid field selector {text:?}: can't understand {part:?}")));
    };
    let flag = matches!(field, "spec.hostNetwork" | "spec.unschedulable");
    let subject =
        subject(role, field).ok_or_else(|| Failure::bad_request(format!("field label not supported: {field}")))?;
    // Absent flags are stored empty but read as false.
    let value = if flag && value == "false" { String::new() } else { value.to_owned() };
    Ok(Term { subject, value, equal })
}

fn subject(role: Role, field: &str) -> Option<Subject> {
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
    fields_of(role).iter().position(|(label, _)| *label == field).map(Subject::Field)
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

    use super::{FieldSelector, extract};
    use crate::kinds::Role;

    #[test]
    fn pods_are_selected_by_node_phase_and_scheduler() {
        let pod = json!({"spec": {"nodeName": "n1", "schedulerName": "plimsoll"}, "status": {"phase": "Running"}});
        let fields = extract(Role::Pod, &pod);
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
            assert_eq!(FieldSelector::parse(Role::Pod, text).unwrap().matches("default", "a", &fields), want, "{text}");
        }
    }

    #[test]
    fn unknown_fields_and_rubbish_are_refused() {
        for text in ["spec.color=red", "spec.nodeName", "spec.nodeName>1"] {
            assert_eq!(FieldSelector::parse(Role::Pod, text).unwrap_err().code, 400, "{text}");
        }
        assert!(FieldSelector::parse(Role::Plain, "spec.nodeName=x").is_err());
    }

    #[test]
    fn events_answer_to_the_names_of_both_groups() {
        let event = json!({"regarding": {"name": "web-1", "kind": "Pod"}, "reason": "Scheduled"});
        let fields = extract(Role::Event, &event);
        for text in ["involvedObject.name=web-1,reason=Scheduled", "regarding.kind=Pod"] {
            assert!(FieldSelector::parse(Role::CoreEvent, text).unwrap().matches("default", "x", &fields), "{text}");
        }
    }
}
