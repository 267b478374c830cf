//! The objects in JSON text, lists taken apart.

use std::borrow::Cow;
use std::sync::Arc;

use plimsoll_framework::intern::Istr;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::yaml::Document;
use super::{Manifest, ManifestError, Place};

/// Lists in lists deeper than this are no work of kubectl.
const MAX_LISTS: usize = 4;

/// What is read of every object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow, default)]
    api_version: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    metadata: Option<Meta<'a>>,
    #[serde(borrow, default)]
    items: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    generate_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    uid: Option<Cow<'a, str>>,
}

/// Takes the objects out of a document, which may be several JSON texts in a row.
pub(super) fn objects(
    file: &Arc<str>,
    document: &Document,
    manifests: &mut Vec<Manifest>,
    errors: &mut Vec<ManifestError>,
) {
    let mut reader = Reader { file, document, line: (0, 1), manifests, errors };
    let texts = serde_json::Deserializer::from_slice(&document.json).into_iter::<&RawValue>();
    for text in texts {
        match text {
            Ok(text) => reader.object(text, None, 0),
            Err(error) => {
                let message = format!("not readable as JSON: {error}");
                let line = if document.is_source() { error.line() } else { document.line_of(0) };
                return reader.errors.push(ManifestError::at(file, line, message));
            }
        }
    }
}

struct Reader<'a> {
    file: &'a Arc<str>,
    document: &'a Document,
    /// An offset up to which lines have been counted, and its line.
    line: (usize, usize),
    manifests: &'a mut Vec<Manifest>,
    errors: &'a mut Vec<ManifestError>,
}

impl Reader<'_> {
    /// An object, or the objects of a list. `list` is the list that it stands in: its items may leave out what they are.
    fn object(&mut self, text: &RawValue, list: Option<(&str, &str)>, depth: usize) {
        let bytes = self.document.json.slice_ref(text.get().as_bytes());
        let line = self.line_of(bytes.as_ptr().addr() - self.document.json.as_ptr().addr());
        // A list of values would be read as the fields in their order.
        let head = text.get().starts_with('{').then(|| serde_json::from_str::<Head<'_>>(text.get()));
        let head = match head {
            Some(Ok(head)) => head,
            _ => return self.fault(line, "no Kubernetes object: apiVersion, kind, metadata with a name"),
        };
        let (version, kind) = (head.api_version.as_deref(), head.kind.as_deref());
        let nameless = head.metadata.as_ref().is_none_or(|meta| meta.name.is_none() && meta.generate_name.is_none());
        if let (Some(version), Some(kind)) = (version, kind)
            && let Some(of) = kind.strip_suffix("List").filter(|_| nameless)
        {
            // A plain List says nothing of its items; a PodList says what they are.
            let of = (!of.is_empty()).then_some((version, of));
            // Go writes a list of nothing as null.
            return head.items.into_iter().for_each(|items| self.list(items, of, depth, line));
        }
        let version = version.or_else(|| list.map(|(version, _)| version)).filter(|v| !v.is_empty());
        let kind = kind.or_else(|| list.map(|(_, kind)| kind)).filter(|k| !k.is_empty());
        let (Some(version), Some(kind)) = (version, kind) else {
            return self.fault(line, "no Kubernetes object: it has no apiVersion or no kind");
        };
        let meta = head.metadata.unwrap_or_default();
        let name = meta.name.as_deref().unwrap_or_default();
        if name.is_empty() && meta.generate_name.is_none_or(|prefix| prefix.is_empty()) {
            return self.fault(line, &format!("{kind} has no metadata.name"));
        }
        self.manifests.push(Manifest {
            place: Place { file: Arc::clone(self.file), line },
            api_version: Istr::new(version),
            kind: Istr::new(kind),
            namespace: Istr::new(meta.namespace.as_deref().unwrap_or_default()),
            name: Istr::new(name),
            from_cluster: meta.uid.is_some_and(|uid| !uid.is_empty()),
            json: bytes,
        });
    }

    fn list(&mut self, items: &RawValue, of: Option<(&str, &str)>, depth: usize, line: usize) {
        if depth >= MAX_LISTS {
            return self.fault(line, "lists are nested too deeply");
        }
        match serde_json::from_str::<Option<Vec<&RawValue>>>(items.get()) {
            Ok(items) => items.into_iter().flatten().for_each(|item| self.object(item, of, depth + 1)),
            Err(_) => self.fault(line, "the items of a list are no list"),
        }
    }

    fn fault(&mut self, line: usize, message: &str) {
        self.errors.push(ManifestError::at(self.file, line, message.to_owned()));
    }

    /// The line of an offset. Offsets mostly grow, so that each line is counted once.
    fn line_of(&mut self, offset: usize) -> usize {
        if !self.document.is_source() {
            return self.document.line_of(offset);
        }
        let (from, line) = if offset >= self.line.0 { self.line } else { (0, 1) };
        let between = self.document.json.get(from..offset).unwrap_or_default();
        self.line = (offset, line + newlines(between));
        self.line.1
    }
}

/// The line of an offset, from 1.
pub(super) fn line_at(text: &[u8], offset: usize) -> usize {
    1 + newlines(text.get(..offset).unwrap_or(text))
}

fn newlines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}
