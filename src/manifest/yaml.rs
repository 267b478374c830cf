//! YAML, written out as JSON, event by event: no tree is built, so that time and memory grow as the text does.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashSet;
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, StrInput};

use super::ManifestError;
use crate::config::scalar::{self, Scalar};

/// How deep values may be nested.
const MAX_DEPTH: usize = 128;
/// How much longer the JSON may be than the YAML, beyond a megabyte: aliases that are written out again and again make a
/// short text endless.
const MAX_GROWTH: usize = 16;

/// The JSON text of a document.
pub(super) struct Document {
    pub(super) json: Bytes,
    /// Offsets in `json` at which the document and mappings in it begin, and their lines in the file. None when `json` is the file's own text.
    lines: Option<Vec<(usize, usize)>>,
}

impl Document {
    /// A file that is JSON already.
    pub(super) fn of_json(json: Bytes) -> Self {
        Self { json, lines: None }
    }

    /// Text all of which counts as one line of the file.
    pub(super) fn in_line(json: Bytes, line: usize) -> Self {
        Self { json, lines: Some(vec![(0, line)]) }
    }

    /// Whether `json` is the file's own text.
    pub(super) fn is_source(&self) -> bool {
        self.lines.is_none()
    }

    /// The line of what was written out at an offset.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        let lines = self.lines.as_deref().unwrap_or_default();
        let after = lines.partition_point(|(at, _)| *at <= offset);
        lines.get(after.saturating_sub(1)).map_or(1, |(_, line)| *line)
    }
}

/// The documents of a file that say anything. What cannot be read ends the file.
pub(super) fn to_json(file: &Arc<str>, text: &Bytes, errors: &mut Vec<ManifestError>) -> Vec<Document> {
    // Checked by the caller.
    let text = std::str::from_utf8(text).unwrap_or_default();
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let mut writer = Writer {
        parser: Parser::new_from_str_with_options(text, options),
        out: Vec::new(),
        limit: text.len().saturating_mul(MAX_GROWTH).saturating_add(1 << 20),
        lines: Vec::new(),
        anchors: Vec::new(),
        depth: 0,
        line: 1,
        twice: Vec::new(),
    };
    let mut documents = Vec::new();
    let ended = writer.documents(&mut documents);
    let twice = std::mem::take(&mut writer.twice).into_iter();
    errors.extend(twice.map(|(line, key)| ManifestError::at(file, line, format!("field {key:?} is written twice"))));
    if let Err(message) = ended {
        errors.push(ManifestError::at(file, writer.line, message));
    }
    documents
}

struct Writer<'t> {
    parser: Parser<'t, StrInput<'t>>,
    out: Vec<u8>,
    limit: usize,
    lines: Vec<(usize, usize)>,
    /// What anchors stand for, as JSON, by their number.
    anchors: Vec<(usize, Vec<u8>)>,
    depth: usize,
    /// The line of the last event.
    line: usize,
    /// Fields that are written twice in a mapping, with their lines.
    twice: Vec<(usize, String)>,
}

impl<'t> Writer<'t> {
    fn documents(&mut self, documents: &mut Vec<Document>) -> Result<(), String> {
        loop {
            match self.next()? {
                None | Some(Event::StreamEnd) => return Ok(()),
                Some(Event::StreamStart | Event::DocumentStart(..)) => self.anchors.clear(),
                Some(Event::DocumentEnd) => {}
                Some(event) => {
                    self.value(event)?;
                    let (json, lines) = (std::mem::take(&mut self.out), std::mem::take(&mut self.lines));
                    if json != b"null" {
                        documents.push(Document { json: json.into(), lines: Some(lines) });
                    }
                }
            }
        }
    }

    fn next(&mut self) -> Result<Option<Event<'t>>, String> {
        let event = self.parser.next_event().transpose().map_err(|error| {
            self.line = error.marker().line().max(1);
            unreadable(&error)
        })?;
        Ok(event.map(|(event, span)| {
            self.line = span.start.line().max(1);
            event
        }))
    }

    /// The next event, which there must be: the parser closes what it opened or fails.
    fn must_next(&mut self) -> Result<Event<'t>, String> {
        self.next()?.ok_or_else(|| "the text ends in the middle of a value".to_owned())
    }

    fn value(&mut self, event: Event<'t>) -> Result<(), String> {
        let start = self.out.len();
        if start == 0 || matches!(event, Event::MappingStart(..)) {
            self.lines.push((start, self.line));
        }
        let anchor = match event {
            Event::Alias(target) => return self.alias(target),
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref();
                if tag.is_some_and(|tag| !tag.is_yaml_core_schema()) {
                    return Err("tags (words that begin with '!') are not allowed".to_owned());
                }
                let is_text = style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                if is_text {
                    self.text(&text)
                } else {
                    self.scalar(&scalar::resolve(&text))
                }
                anchor
            }
            Event::SequenceStart(_, anchor, _) => {
                self.nested(Self::items)?;
                anchor
            }
            Event::MappingStart(_, anchor, _) => {
                self.nested(Self::entries)?;
                anchor
            }
            _ => return Err("a value is expected here".to_owned()),
        };
        self.check_size(0)?;
        if anchor != 0 {
            let copy = self.out.get(start..).unwrap_or_default().to_vec();
            self.check_size(copy.len())?;
            self.anchors.retain(|(known, _)| *known != anchor);
            self.anchors.push((anchor, copy));
        }
        Ok(())
    }

    fn check_size(&self, more: usize) -> Result<(), String> {
        if self.out.len().saturating_add(more) > self.limit {
            return Err("the file is too large once its aliases are written out".to_owned());
        }
        Ok(())
    }

    fn nested(&mut self, write: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        if self.depth >= MAX_DEPTH {
            return Err(format!("values are nested more than {MAX_DEPTH} deep"));
        }
        self.depth += 1;
        let result = write(self);
        self.depth -= 1;
        result
    }

    fn items(&mut self) -> Result<(), String> {
        self.out.push(b'[');
        let mut first = true;
        loop {
            let event = self.must_next()?;
            if matches!(event, Event::SequenceEnd) {
                self.out.push(b']');
                return Ok(());
            }
            self.comma(&mut first);
            self.value(event)?;
        }
    }

    fn entries(&mut self) -> Result<(), String> {
        self.out.push(b'{');
        let (mut first, mut keys, mut merged) = (true, HashSet::new(), Vec::new());
        loop {
            let (key, plain) = match self.must_next()? {
                Event::MappingEnd => break,
                Event::Scalar(text, style, ..) => (text.into_owned(), style == ScalarStyle::Plain),
                _ => return Err("the name of a field must be text".to_owned()),
            };
            let line = self.line;
            if plain && key == "<<" {
                let event = self.must_next()?;
                merged.push(self.aside(event)?);
                continue;
            }
            self.comma(&mut first);
            self.text(&key);
            self.out.push(b':');
            let event = self.must_next()?;
            self.value(event)?;
            if let Some(twice) = keys.replace(key) {
                self.twice.push((line, twice));
            }
        }
        self.merge(&merged, keys, first)?;
        self.out.push(b'}');
        Ok(())
    }

    /// A value as JSON that is not written out.
    fn aside(&mut self, event: Event<'t>) -> Result<Vec<u8>, String> {
        let start = self.out.len();
        self.value(event)?;
        // The lines of what is taken away go with it.
        self.lines.retain(|(at, _)| *at < start);
        Ok(self.out.split_off(start))
    }

    /// YAML's `<<: *anchor`: fields of other mappings, where they are not written here.
    fn merge(&mut self, merged: &[Vec<u8>], mut keys: HashSet<String>, mut first: bool) -> Result<(), String> {
        for json in merged {
            let sources = match serde_json::from_slice(json) {
                Ok(serde_json::Value::Array(sources)) => sources,
                Ok(source) => vec![source],
                Err(error) => return Err(format!("'<<': {error}")),
            };
            for source in sources {
                let serde_json::Value::Object(fields) = source else {
                    return Err("'<<' takes a mapping or a list of mappings".to_owned());
                };
                for (key, value) in fields {
                    if keys.contains(&key) {
                        continue;
                    }
                    self.comma(&mut first);
                    self.text(&key);
                    self.out.push(b':');
                    self.out.extend_from_slice(value.to_string().as_bytes());
                    self.check_size(0)?;
                    keys.insert(key);
                }
            }
        }
        Ok(())
    }

    fn alias(&mut self, target: usize) -> Result<(), String> {
        let Some((_, json)) = self.anchors.iter().find(|(anchor, _)| *anchor == target) else {
            return Err("an alias refers to the value that it stands in".to_owned());
        };
        if self.out.len().saturating_add(json.len()) > self.limit {
            return self.check_size(json.len());
        }
        self.out.extend_from_slice(json);
        Ok(())
    }

    fn comma(&mut self, first: &mut bool) {
        if !std::mem::take(first) {
            self.out.push(b',');
        }
    }

    fn text(&mut self, text: &str) {
        // Text is always written to memory.
        let _ = serde_json::to_writer(&mut self.out, text);
    }

    fn scalar(&mut self, scalar: &Scalar) {
        let json = match scalar {
            Scalar::Null => "null".to_owned(),
            Scalar::Bool(value) => value.to_string(),
            Scalar::Integer(number) => number.to_string(),
            // Written as JSON writes it: 1.0 stays a number with a point.
            Scalar::Float(number) => serde_json::Value::from(*number).to_string(),
            Scalar::Text(text) => return self.text(text),
        };
        self.out.extend_from_slice(json.as_bytes());
    }
}

fn unreadable(error: &ScanError) -> String {
    format!("not readable as YAML: {}", error.info())
}
