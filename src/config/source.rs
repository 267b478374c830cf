//! A configuration file as a tree that knows where each value stands.
//!
//! Decoding, validation and the checks of what is supported all point into this one tree, so every error names its line, also
//! those found long after parsing.

use super::error::Mark;
use super::scalar::Scalar;

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

    /// How much the value holds.
    pub(super) fn size(&self) -> Size {
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
pub(super) struct Size {
    pub(super) values: usize,
    pub(super) text_bytes: usize,
    /// Levels below the value.
    pub(super) depth: usize,
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
