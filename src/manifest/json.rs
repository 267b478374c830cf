//! The objects in JSON text, lists taken apart.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZero;
use std::sync::Arc;

use bytes::Bytes;
use plimsoll_framework::intern::Istr;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::yaml::Document;
use super::{Manifest, ManifestError, Place};

/// Lists in lists deeper than this are no work of kubectl.
const MAX_LISTS: usize = 4;

/// Of a list shorter than this, the items are not worth a thread.
const WORTH_A_THREAD: usize = 2_000;

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
    items: Option<Items<'a>>,
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

/// The items of a list, cut out and not looked at. Reading them together with the list's head costs one pass over the
/// text, wherever in the list they stand.
enum Items<'a> {
    Of(Vec<&'a RawValue>),
    NoList,
}

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Cut;
        impl<'de> Visitor<'de> for Cut {
            type Value = Items<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Items<'de>, A::Error> {
                let mut cut = Vec::new();
                while let Some(item) = items.next_element()? {
                    cut.push(item);
                }
                Ok(Items::Of(cut))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Items<'de>, A::Error> {
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Items::NoList)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Items<'de>, E> {
                Ok(Items::NoList)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Items<'de>, E> {
                Ok(Items::NoList)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Items<'de>, E> {
                Ok(Items::NoList)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Items<'de>, E> {
                Ok(Items::NoList)
            }
            fn visit_str<E>(self, _: &str) -> Result<Items<'de>, E> {
                Ok(Items::NoList)
            }
        }
        deserializer.deserialize_any(Cut)
    }
}

/// Takes the objects out of a document, which may be several JSON texts in a row.
pub(super) fn objects(
    file: &Arc<str>,
    document: &Document,
    manifests: &mut Vec<Manifest>,
    errors: &mut Vec<ManifestError>,
) {
    let mut reader = Reader::new(file, document);
    reader.texts();
    manifests.append(&mut reader.manifests);
    errors.append(&mut reader.errors);
}

struct Reader<'a> {
    file: &'a Arc<str>,
    document: &'a Document,
    /// An offset up to which lines have been counted, and its line.
    line: (usize, usize),
    manifests: Vec<Manifest>,
    errors: Vec<ManifestError>,
}

impl<'a> Reader<'a> {
    fn new(file: &'a Arc<str>, document: &'a Document) -> Self {
        Self { file, document, line: (0, 1), manifests: Vec::new(), errors: Vec::new() }
    }

    /// All texts of the document.
    fn texts(&mut self) {
        let all = std::str::from_utf8(&self.document.json).unwrap_or_default();
        let mut rest = all.trim_ascii_start();
        while !rest.is_empty() {
            let at = all.len() - rest.len();
            let length = match self.text(rest, at) {
                Ok(length) => length,
                Err(error) => {
                    let line = self.line_of(at);
                    let line = if self.document.is_source() { line + error.line().saturating_sub(1) } else { line };
                    return self.fault(line, &format!("not readable as JSON: {}", reason(&error)));
                }
            };
            rest = rest.get(length..).unwrap_or_default().trim_ascii_start();
        }
    }

    /// The text that `rest` begins with; gives its length.
    fn text(&mut self, rest: &'a str, at: usize) -> Result<usize, serde_json::Error> {
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Head<'_>>();
        // A list of values would be read as the fields in their order.
        if rest.starts_with('{')
            && let Some(Ok(head)) = stream.next()
        {
            let length = stream.byte_offset();
            let line = self.line_of(at);
            self.read(head, self.document.json.slice(at..at + length), line, None, 0);
            return Ok(length);
        }
        // It is none of Kubernetes' objects, or no JSON at all.
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        match stream.next() {
            Some(Ok(text)) => self.object(text, None, 0),
            Some(Err(error)) => return Err(error),
            None => {}
        }
        Ok(stream.byte_offset())
    }

    /// An object, or the objects of a list. `list` is the list that it stands in: its items may leave out what they are.
    fn object(&mut self, text: &RawValue, list: Option<(&str, &str)>, depth: usize) {
        let bytes = self.document.json.slice_ref(text.get().as_bytes());
        let line = self.line_of(bytes.as_ptr().addr() - self.document.json.as_ptr().addr());
        // A list of values would be read as the fields in their order.
        let head = text.get().starts_with('{').then(|| serde_json::from_str::<Head<'_>>(text.get()));
        match head {
            Some(Ok(head)) => self.read(head, bytes, line, list, depth),
            _ => self.fault(line, "no Kubernetes object: apiVersion, kind, metadata with a name"),
        }
    }

    /// What the head of an object or a list says.
    fn read(&mut self, head: Head<'_>, bytes: Bytes, line: usize, list: Option<(&str, &str)>, depth: usize) {
        let (version, kind) = (head.api_version.as_deref(), head.kind.as_deref());
        let nameless = head.metadata.as_ref().is_none_or(|meta| meta.name.is_none() && meta.generate_name.is_none());
        if let (Some(version), Some(kind)) = (version, kind)
            && let Some(of) = kind.strip_suffix("List").filter(|_| nameless)
        {
            // A plain List says nothing of its items; a PodList says what they are.
            let of = (!of.is_empty()).then_some((version, of));
            // Go writes a list of nothing as null.
            return head.items.into_iter().for_each(|items| self.list(&items, of, depth, line));
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

    fn list(&mut self, items: &Items<'_>, of: Option<(&str, &str)>, depth: usize, line: usize) {
        let Items::Of(items) = items else { return self.fault(line, "the items of a list are no list") };
        if depth >= MAX_LISTS {
            return self.fault(line, "lists are nested too deeply");
        }
        if items.len() <= WORTH_A_THREAD {
            return items.iter().for_each(|item| self.object(item, of, depth + 1));
        }
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let (file, document) = (self.file, self.document);
        let part = |items: &[&RawValue]| {
            let mut reader = Reader::new(file, document);
            items.iter().for_each(|item| reader.object(item, of, depth + 1));
            (reader.manifests, reader.errors)
        };
        let parts: Vec<_> = std::thread::scope(|scope| {
            let size = items.len().div_ceil(threads).max(WORTH_A_THREAD);
            let running: Vec<_> = items.chunks(size).map(|chunk| scope.spawn(move || part(chunk))).collect();
            running.into_iter().map(|thread| thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p))).collect()
        });
        for (manifests, errors) in parts {
            self.manifests.extend(manifests);
            self.errors.extend(errors);
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

/// What an error says, without the position, which is one in a part of the file.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}
