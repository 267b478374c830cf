//! Reads YAML (and with it JSON) event by event into the tree of [`Node`]s, within bounds.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::error::{Fault, Mark};
use super::scalar::{self, Scalar};
use super::source::{Entry, Node, Value};

/// How deep values may be nested.
const MAX_DEPTH: usize = 64;
/// How many values a file may hold once its aliases are written out.
const MAX_VALUES: usize = 20_000;
/// How many bytes of text a file may hold once its aliases are written out.
const MAX_TEXT_BYTES: usize = 8 << 20;
/// The longest field name. Paths in messages are made of names, so they are bounded by it.
const MAX_NAME_BYTES: usize = 512;

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
    let mut reader = Reader {
        text,
        parser,
        anchors: HashMap::new(),
        next_id: 0,
        text_bytes: 0,
        path: String::new(),
        depth: 0,
        faults,
    };
    reader.documents()
}

struct Reader<'t, 'f> {
    text: &'t str,
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
        self.parser.next_event().transpose().map_err(|error| unreadable(&error, self.text))
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

fn unreadable(error: &ScanError, text: &str) -> Fault {
    let marker = error.marker();
    let reason = error.info();
    let mut mark = Mark { line: marker.line(), column: marker.col() + 1 };
    if !reason.contains("tab") {
        return Fault::new(Some(mark), "", &format!("not readable as YAML: {reason}"));
    }
    // The parser points at the value before; the tab is on that line or the next one.
    let indented = text.lines().enumerate().skip(mark.line.saturating_sub(1)).find_map(|(index, line)| {
        let indent = line.split(|c: char| !c.is_whitespace()).next()?;
        indent
            .contains('\t')
            .then(|| Mark { line: index + 1, column: indent.chars().take_while(|c| *c != '\t').count() + 1 })
    });
    mark = indented.unwrap_or(mark);
    Fault::new(Some(mark), "", "not readable as YAML: a tab is used for indentation; use spaces")
}

impl From<Span> for Mark {
    fn from(span: Span) -> Self {
        Self { line: span.start.line(), column: span.start.col() + 1 }
    }
}
