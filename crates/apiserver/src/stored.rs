//! One version of one object, as it is kept: its JSON, written once, and the few values by which it is found.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    failure::Failure,
    json,
    kinds::Kind,
    selector::{FieldSelector, LabelSelector, extract},
};

/// An immutable version of an object. The JSON is the truth; a change parses it, edits it and writes it again. Parsing
/// costs about what a deep copy of a `Value` costs, and the JSON takes a tenth of its memory.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) uid: Box<str>,
    pub(crate) version: u64,
    pub(crate) labels: Vec<(String, String)>,
    fields: Box<[Box<str>]>,
    /// UIDs of the owners.
    pub(crate) owners: Box<[Box<str>]>,
    /// Whether the object carries a deletion timestamp.
    pub(crate) deleting: bool,
    /// Whether its condition `Ready` holds.
    pub(crate) ready: bool,
    pub(crate) json: Bytes,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    Added,
    Modified,
    Deleted,
}

impl Happened {
    /// The start of the watch event's line. `type` stands before `object`, as the real server writes it: decoders that
    /// dispatch on the type need not buffer the object then.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Added => r#"{"type":"ADDED","object":"#,
            Self::Modified => r#"{"type":"MODIFIED","object":"#,
            Self::Deleted => r#"{"type":"DELETED","object":"#,
        }
    }
}

/// The end of a watch event's line.
pub(crate) const SUFFIX: &str = "}\n";

/// A change of one object, with the line that tells all its watchers.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) happened: Happened,
    /// The object after the change; at a deletion its last content with the version of the deletion.
    pub(crate) object: Arc<Stored>,
    /// The object before the change.
    pub(crate) previous: Option<Arc<Stored>>,
    pub(crate) line: Bytes,
}

impl Change {
    /// Seals an object under a new version: writes its watch line once, of which the object's JSON is a part.
    pub(crate) fn seal(
        kind: &Kind,
        version: u64,
        happened: Happened,
        mut value: Value,
        previous: Option<Arc<Stored>>,
    ) -> Self {
        json::set(&mut value, &["metadata", "resourceVersion"], version.to_string());
        let mut line = Vec::with_capacity(previous.as_ref().map_or(1024, |p| p.json.len() + 256));
        line.extend_from_slice(happened.prefix().as_bytes());
        serde_json::to_writer(&mut line, &value).expect("a Value is always written to memory");
        line.extend_from_slice(SUFFIX.as_bytes());
        let line = Bytes::from(line);
        let json = line.slice(happened.prefix().len()..line.len() - SUFFIX.len());
        Self { happened, object: Arc::new(Stored::new(kind, version, &value, json)), previous, line }
    }
}

impl Stored {
    fn new(kind: &Kind, version: u64, value: &Value, json: Bytes) -> Self {
        let meta = |field| json::text(value, &["metadata", field]).into();
        let labels = json::at(value, &["metadata", "labels"]).and_then(Value::as_object);
        let owners = json::items(value, &["metadata", "ownerReferences"]);
        Self {
            namespace: meta("namespace"),
            name: meta("name"),
            uid: meta("uid"),
            version,
            labels: labels
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            fields: extract(&kind.fields, value),
            owners: owners.iter().map(|owner| json::text(owner, &["uid"]).into()).collect(),
            deleting: !json::text(value, &["metadata", "deletionTimestamp"]).is_empty(),
            ready: json::condition_holds(value, "Ready"),
            json,
        }
    }

    /// The outcome of a change that is only tried out.
    pub(crate) fn unsaved(kind: &Kind, version: u64, value: &Value) -> Self {
        Self::new(kind, version, value, Bytes::from(value.to_string()))
    }

    /// The object as a tree, to be read or changed.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.json).expect("stored JSON was written by this server")
    }

    /// The object as far as `T` reads it.
    pub(crate) fn decode<T: DeserializeOwned>(&self, kind: &Kind) -> Result<T, Failure> {
        serde_json::from_slice(&self.json)
            .map_err(|error| Failure::internal(format!("decoding {} {}: {error}", kind.plural, self.name)))
    }

    pub(crate) fn matches(&self, namespace: Option<&str>, labels: &LabelSelector, fields: &FieldSelector) -> bool {
        namespace.is_none_or(|n| n == &*self.namespace)
            && labels.matches(&self.labels)
            && fields.matches(&self.namespace, &self.name, &self.fields)
    }

    /// The value of a pod's selectable field, by its place in the table of fields.
    fn field(&self, index: usize) -> &str {
        self.fields.get(index).map_or("", |field| field)
    }

    /// `spec.nodeName` of a pod.
    pub(crate) fn pod_node(&self) -> &str {
        self.field(0)
    }

    /// `status.phase` of a pod.
    pub(crate) fn pod_phase(&self) -> &str {
        self.field(2)
    }

    /// Whether a pod counts for its controller: it has not ended and is not about to go.
    pub(crate) fn pod_active(&self) -> bool {
        !self.deleting && !self.pod_finished()
    }

    /// Whether a pod has run to its end.
    pub(crate) fn pod_finished(&self) -> bool {
        matches!(self.pod_phase(), "Succeeded" | "Failed")
    }
}
