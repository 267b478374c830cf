//! A configuration file as a tree that knows where each value stands.
//!
//! YAML (and with it JSON) is read event by event into [`Node`]s. Decoding, validation and the checks of what is supported
//! all point into this one tree, so every error names its line, also those found long after parsing.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::error::{Fault, Mark};
use super::scalar::{self, Scalar};

/// How deep values may be nested.
const MAX_DEPTH: usize = 64;
/// How many values a file may hold once its aliases are written out.
const MAX_VALUES: usize = 100_000;
/// How many bytes of text a file may hold once its aliases are written out.
const MAX_TEXT_BYTES: usize = 8 << 20;
/// The longest field name. Paths in messages are made of names, so they are bounded by it.
const MAX_NAME_BYTES: usize = 512;

/// A value, and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    /// Unique in the tree, also among the copies that aliases make.
    pub(super) id: usize,
    pub(super) mark: Mark,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A field of a mapping.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) mark: Mark,
    pub(super) value: Node,
}

impl Node {
    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::Scalar(Scalar::Null))
    }

    /// The field `key`, if this is a mapping that has it.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Mapping(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The text of the field `key`, if it has one.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match &self.entry(key)?.value.value {
            Value::Scalar(Scalar::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The value at a path such as `profiles[1].plugins`.
    pub(super) fn get(&self, path: &str) -> Option<&Self> {
        let (found, _, complete) = self.walk(path);
        complete.then_some(found)
    }

    /// Where a path stands: at the value when that is a scalar, at the field's name otherwise, and at the nearest value
    /// around it when the path is not written in the file.
    pub(super) fn locate(&self, path: &str) -> Mark {
        self.walk(path).1
    }

    fn walk(&self, path: &str) -> (&Self, Mark, bool) {
        let (mut node, mut mark) = (self, self.mark);
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match &node.value {
                Value::Mapping(_) => node.entry(step).map(|entry| (&entry.value, entry.position())),
                Value::Sequence(items) => step
                    .strip_suffix(']')
                    .and_then(|index| index.parse::<usize>().ok())
                    .and_then(|index| items.get(index))
                    .map(|item| (item, item.mark)),
                Value::Scalar(_) => None,
            };
            let Some(found) = next else { return (node, mark, false) };
            (node, mark) = found;
        }
        (node, mark, true)
    }

    fn size(&self) -> Size {
        let mut size = Size { values: 1, text_bytes: 0, depth: 0 };
        match &self.value {
            Value::Scalar(Scalar::Text(text)) => size.text_bytes = text.len(),
            Value::Scalar(_) => {}
            Value::Sequence(items) => items.iter().for_each(|item| size.add(item.size())),
            Value::Mapping(entries) => {
                for entry in entries {
                    size.text_bytes += entry.key.len();
                    size.add(entry.value.size());
                }
            }
        }
        size
    }
}

/// How much a value holds, itself included.
struct Size {
    values: usize,
    text_bytes: usize,
    depth: usize,
}

impl Size {
    fn add(&mut self, child: Self) {
        self.values += child.values;
        self.text_bytes += child.text_bytes;
        self.depth = self.depth.max(child.depth + 1);
    }
}

impl Entry {
    /// Where an error of this field points: at the value of `a: 1`, at the name of `a: {...}`.
    pub(super) fn position(&self) -> Mark {
        match self.value.value {
            Value::Scalar(Scalar::Null) | Value::Sequence(_) | Value::Mapping(_) => self.mark,
            Value::Scalar(_) => self.value.mark,
        }
    }
}

/// Reads all documents of a file that say anything. Fields that are written twice are reported in `faults`; the first counts.
///
/// # Errors
/// What cannot be read at all: broken YAML and texts beyond the bounds.
pub(super) fn read(text: &str, faults: &mut Vec<Fault>) -> Result<Vec<Node>, Fault> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let parser = Parser::new_from_str_with_options(text, options);
    let mut reader =
        Reader { parser, anchors: HashMap::new(), next_id: 0, text_bytes: 0, path: String::new(), depth: 0, faults };
    reader.documents()
}

struct Reader<'t, 'f> {
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    next_id: usize,
    text_bytes: usize,
    path: String,
    depth: usize,
    faults: &'f mut Vec<Fault>,
}

impl<'t> Reader<'t, '_> {
    fn documents(&mut self) -> Result<Vec<Node>, Fault> {
        let mut documents = Vec::new();
        loop {
            match self.next()? {
                None | Some((Event::StreamEnd, _)) => return Ok(documents),
                Some((Event::StreamStart | Event::DocumentEnd, _)) => {}
                Some((Event::DocumentStart(..), _)) => self.anchors.clear(),
                Some((event, span)) => {
                    let node = self.node(event, span)?;
                    if !node.is_null() {
                        documents.push(node);
                    }
                }
            }
        }
    }

    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, Fault> {
        self.parser.next_event().transpose().map_err(|error| unreadable(&error))
    }

    /// The next event, which there must be: the parser closes what it opened or fails.
    fn must_next(&mut self) -> Result<(Event<'t>, Span), Fault> {
        self.next()?.ok_or_else(|| Fault::new(None, "", "the text ends in the middle of a value"))
    }

    fn node(&mut self, event: Event<'t>, span: Span) -> Result<Node, Fault> {
        let mark = Mark::from(span);
        if self.depth >= MAX_DEPTH {
            return Err(self.too_deep(mark));
        }
        let id = self.new_id(mark)?;
        let (anchor, value) = match event {
            Event::Alias(target) => return self.alias(target, mark),
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref();
                let is_text = style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                if tag.is_some_and(|tag| !tag.is_yaml_core_schema()) {
                    return Err(self.fault(mark, "tags (words that begin with '!') are not allowed"));
                }
                self.count_text(text.len(), mark)?;
                let value = if is_text { Scalar::Text(text.into_owned()) } else { scalar::resolve(&text) };
                (anchor, Value::Scalar(value))
            }
            Event::SequenceStart(_, anchor, _) => (anchor, Value::Sequence(self.nested(Self::items)?)),
            Event::MappingStart(_, anchor, _) => (anchor, Value::Mapping(self.nested(Self::entries)?)),
            _ => return Err(self.fault(mark, "a value is expected here")),
        };
        let node = Node { id, mark, value };
        if anchor != 0 {
            let copy = self.copy(&node, mark)?;
            self.anchors.insert(anchor, copy);
        }
        Ok(node)
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn items(&mut self) -> Result<Vec<Node>, Fault> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.must_next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(items);
            }
            let outer = self.path.len();
            self.path.push_str(&format!("[{}]", items.len()));
            items.push(self.node(event, span)?);
            self.path.truncate(outer);
        }
    }

    fn entries(&mut self) -> Result<Vec<Entry>, Fault> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged = Vec::new();
        let mut lines: HashMap<String, usize> = HashMap::new();
        loop {
            let (event, span) = self.must_next()?;
            let mark = Mark::from(span);
            let (key, plain) = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, ..) => (text.into_owned(), style == ScalarStyle::Plain),
                _ => return Err(self.fault(mark, "the name of a field must be text")),
            };
            if key.len() > MAX_NAME_BYTES {
                return Err(self.fault(mark, &format!("a field name is longer than {MAX_NAME_BYTES} bytes")));
            }
            self.count_text(key.len(), mark)?;
            let outer = self.path.len();
            if outer > 0 {
                self.path.push('.');
            }
            self.path.push_str(&key);
            let (event, span) = self.must_next()?;
            let value = self.node(event, span)?;
            if plain && key == "<<" {
                merged.push(value);
            } else if let Some(line) = lines.get(&key) {
                self.faults.push(Fault::new(
                    Some(mark),
                    &self.path,
                    &format!("field {key:?} is written twice; the first is in line {line}"),
                ));
            } else {
                lines.insert(key.clone(), mark.line);
                entries.push(Entry { key, mark, value });
            }
            self.path.truncate(outer);
        }
        self.merge(&mut entries, merged)?;
        Ok(entries)
    }

    /// YAML's `<<: *anchor`: fields of other mappings, where they are not written here.
    fn merge(&mut self, entries: &mut Vec<Entry>, merged: Vec<Node>) -> Result<(), Fault> {
        for node in merged {
            let mark = node.mark;
            let sources = match node.value {
                Value::Sequence(items) => items,
                value => vec![Node { id: node.id, mark, value }],
            };
            for source in sources {
                let Value::Mapping(more) = source.value else {
                    return Err(self.fault(mark, "'<<' takes a mapping or a list of mappings"));
                };
                for entry in more {
                    if !entries.iter().any(|known| known.key == entry.key) {
                        entries.push(entry);
                    }
                }
            }
        }
        Ok(())
    }

    fn alias(&mut self, target: usize, mark: Mark) -> Result<Node, Fault> {
        let Some(node) = self.anchors.remove(&target) else {
            return Err(self.fault(mark, "an alias refers to the value that it stands in"));
        };
        let copy = self.copy(&node, mark);
        self.anchors.insert(target, node);
        copy
    }

    /// A copy with identities of its own. Its size is counted before it is made.
    fn copy(&mut self, node: &Node, mark: Mark) -> Result<Node, Fault> {
        let size = node.size();
        self.count_text(size.text_bytes, mark)?;
        if self.next_id.saturating_add(size.values) > MAX_VALUES {
            return Err(self.too_many(mark));
        }
        if self.depth + size.depth > MAX_DEPTH {
            return Err(self.too_deep(mark));
        }
        Ok(self.renumbered(node))
    }

    fn renumbered(&mut self, node: &Node) -> Node {
        self.next_id += 1;
        let id = self.next_id;
        let value = match &node.value {
            Value::Scalar(scalar) => Value::Scalar(scalar.clone()),
            Value::Sequence(items) => Value::Sequence(items.iter().map(|item| self.renumbered(item)).collect()),
            Value::Mapping(entries) => Value::Mapping(
                entries
                    .iter()
                    .map(|entry| Entry {
                        key: entry.key.clone(),
                        mark: entry.mark,
                        value: self.renumbered(&entry.value),
                    })
                    .collect(),
            ),
        };
        Node { id, mark: node.mark, value }
    }

    fn new_id(&mut self, mark: Mark) -> Result<usize, Fault> {
        self.next_id += 1;
        if self.next_id > MAX_VALUES { Err(self.too_many(mark)) } else { Ok(self.next_id) }
    }

    fn count_text(&mut self, bytes: usize, mark: Mark) -> Result<(), Fault> {
        self.text_bytes = self.text_bytes.saturating_add(bytes);
        if self.text_bytes > MAX_TEXT_BYTES { Err(self.too_many(mark)) } else { Ok(()) }
    }

    fn too_many(&self, mark: Mark) -> Fault {
        self.fault(mark, "the file is too large once its aliases are written out")
    }

    fn too_deep(&self, mark: Mark) -> Fault {
        self.fault(mark, &format!("values are nested more than {MAX_DEPTH} deep"))
    }

    fn fault(&self, mark: Mark, message: &str) -> Fault {
        Fault::new(Some(mark), &self.path, message)
    }
}

fn unreadable(error: &ScanError) -> Fault {
    let marker = error.marker();
    let mark = Mark { line: marker.line(), column: marker.col() + 1 };
    Fault::new(Some(mark), "", &format!("not readable as YAML: {}", error.info()))
}

impl From<Span> for Mark {
    fn from(span: Span) -> Self {
        Self { line: span.start.line(), column: span.start.col() + 1 }
    }
}
