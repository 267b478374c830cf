//! From the tree of a file to typed values, with serde.
//!
//! Serde stops at the first error. A user wants all of them, so decoding is repeated: a value that does not fit is reported
//! and left out in the next pass, as if it were not written. Unknown fields are skipped and reported in the last pass.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de;

use super::deserializer::NodeDeserializer;
use super::error::{Fault, Mark};
use super::hints;
use super::source::{Entry, Node, Value};

/// How many values that do not fit are reported before decoding gives up on a value.
const MAX_FAULTS: usize = 50;

/// What was decoded, and what did not fit.
pub(super) struct Decoded<T> {
    /// `None` when nothing usable remains.
    pub(super) value: Option<T>,
    pub(super) faults: Vec<Fault>,
    /// Whether an element of a list was left out, which shifts the indexes of those behind it.
    pub(super) shifted: bool,
}

/// Decodes `node`, which stands at `path` in its document. Fields named in `ignored` are left out at the top.
pub(super) fn decode<T>(
    node: &Node,
    path: &str,
    ignored: &[&str],
    decode: impl Fn(NodeDeserializer<'_>) -> Result<T, Error>,
) -> Decoded<T> {
    let mut context = Context { path: RefCell::new(path.to_owned()), ..Context::default() };
    if let Value::Mapping(entries) = &node.value {
        let ids = entries.iter().filter(|entry| ignored.contains(&entry.key.as_str())).map(|entry| entry.value.id);
        context.left_out.extend(ids);
    }
    let mut faults: Vec<Fault> = Vec::new();
    loop {
        context.unknown.borrow_mut().clear();
        let result = decode(NodeDeserializer { node, context: &context });
        let error = match result {
            Ok(value) => {
                faults.append(&mut context.unknown.borrow_mut());
                return Decoded { value: Some(value), faults, shifted: context.shifted };
            }
            Err(error) => error,
        };
        let place = error.place.unwrap_or_else(|| Place {
            id: node.id,
            mark: node.mark,
            field: path.to_owned(),
            element: false,
        });
        // A field that was left out for an error of its own is not missing.
        if !faults.iter().any(|fault| fault.field == place.field) {
            faults.push(Fault::new(Some(place.mark), &place.field, &error.message));
        }
        if place.id == node.id || faults.len() >= MAX_FAULTS || !context.left_out.insert(place.id) {
            faults.append(&mut context.unknown.borrow_mut());
            return Decoded { value: None, faults, shifted: context.shifted };
        }
        context.shifted |= place.element;
    }
}

#[derive(Default)]
pub(super) struct Context {
    path: RefCell<String>,
    /// The values that are treated as if they were not written.
    pub(super) left_out: HashSet<usize>,
    unknown: RefCell<Vec<Fault>>,
    shifted: bool,
}

impl Context {
    /// Records a field that is not among the allowed ones.
    pub(super) fn report_unknown(&self, entry: &Entry, allowed: &[&str]) {
        let mut unknown = self.unknown.borrow_mut();
        if unknown.len() >= MAX_FAULTS {
            return;
        }
        let path = self.path.borrow();
        let field = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
        unknown.push(Fault::new(Some(entry.mark), &field, &hints::unknown_field(&entry.key, allowed)));
    }

    /// Runs `work` with `step` added to the path.
    pub(super) fn inside<T>(
        &self,
        step: &str,
        work: impl FnOnce() -> Result<T, Error>,
        place: impl Fn(String) -> Place,
    ) -> Result<T, Error> {
        let outer = self.path.borrow().len();
        {
            let mut path = self.path.borrow_mut();
            if outer > 0 && !step.starts_with('[') {
                path.push('.');
            }
            path.push_str(step);
        }
        let result = work().map_err(|error| error.at(&self.path.borrow(), place));
        self.path.borrow_mut().truncate(outer);
        result
    }
}

/// Where an error is.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: usize,
    pub(super) mark: Mark,
    pub(super) field: String,
    /// Whether it is an element of a list.
    pub(super) element: bool,
}

/// A value that does not fit.
#[derive(Debug)]
pub(super) struct Error {
    message: String,
    /// A field below the value, when that one is missing.
    missing: Option<&'static str>,
    place: Option<Place>,
}

impl Error {
    pub(super) fn new(message: String) -> Self {
        Self { message, missing: None, place: None }
    }

    fn at(mut self, path: &str, place: impl Fn(String) -> Place) -> Self {
        if self.place.is_none() {
            let field = match self.missing {
                Some(missing) => format!("{path}.{missing}"),
                None => path.to_owned(),
            };
            self.place = Some(place(field));
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), ..Self::new("is required".to_owned()) }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let allowed: Vec<&str> = expected.iter().copied().filter(|name| !name.is_empty()).collect();
        Self::new(format!("must be one of {}, not {:?}", allowed.join(", "), hints::clip(variant)))
    }
}
