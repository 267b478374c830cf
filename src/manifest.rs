//! Kubernetes objects from files, as kubectl reads and writes them: YAML or JSON, several documents in a file, lists.
//!
//! An object is kept as its JSON text, cut out of the file and not copied, until somebody decodes what they want of it.
//! Every object knows its place, and everything that is wrong with the input is told at once: nothing is half-loaded.

mod files;
mod json;
pub(crate) mod kinds;
mod yaml;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use plimsoll_framework::cluster::AnyObject;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::object::{KindRef, ObjectKey};
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

/// More errors than this are not told; they have one cause, most likely.
const MOST_ERRORS: usize = 20;

/// Where an object stands.
#[derive(Clone, Debug)]
pub struct Place {
    file: Arc<str>,
    /// Line in the file, from 1.
    line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One object.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Where it stands.
    pub place: Place,
    /// `apiVersion`.
    pub api_version: Istr,
    /// `kind`.
    pub kind: Istr,
    /// `metadata.namespace`; empty where it says nothing.
    pub namespace: Istr,
    /// `metadata.name`; empty only where `generateName` stands for it.
    pub name: Istr,
    /// Whether it has a UID, and so comes from a cluster.
    pub from_cluster: bool,
    json: Bytes,
}

impl Manifest {
    /// What `T` reads of the object.
    ///
    /// # Errors
    /// When the object is none of that kind, with its place.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, ManifestError> {
        serde_json::from_slice(&self.json).map_err(|error| {
            // The position is one in the object's JSON, of which the reader of the file knows nothing.
            let text = error.to_string();
            let reason = text.split(" at line ").next().unwrap_or_default();
            self.error(&format!("is no {}: {reason}", self.kind))
        })
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version.rsplit_once('/').map_or("", |(group, _)| group)
    }

    /// Whether it is of this kind.
    pub fn is(&self, api_version: &str, kind: &str) -> bool {
        self.kind.as_str() == kind && self.api_version.as_str() == api_version
    }

    /// Where plugins find the object of a kind that they read. One that says nothing of its namespace is in `default`,
    /// unless its kind has none.
    pub fn key(&self, kind: &KindRef) -> ObjectKey {
        let missing = kind.namespaced && self.namespace.is_empty();
        let namespace = if missing { Istr::new("default") } else { self.namespace.clone() };
        ObjectKey { namespace, name: self.name.clone() }
    }

    /// The object as plugins read it: in the namespace where they find it, as the API server would fill it in.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn object(&self, kind: KindRef) -> Result<AnyObject, ManifestError> {
        let mut json = self.decode::<Value>()?;
        let namespace = self.key(&kind).namespace;
        if let Some(meta) = json.get_mut("metadata").and_then(Value::as_object_mut)
            && !namespace.is_empty()
        {
            meta.insert("namespace".to_owned(), namespace.as_str().into());
        }
        (kind.decode)(&json).map_err(|error| self.error(&format!("cannot be read: {error}")))
    }

    /// An error about this object.
    pub fn error(&self, message: &str) -> ManifestError {
        ManifestError { place: Some(self.place.clone()), message: format!("{self} {message}") }
    }
}

/// Kind, namespace and name, as `Pod default/web-1`.
impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(if self.name.is_empty() { "(generated name)" } else { &self.name })
    }
}

/// One thing that is wrong with the input. Printed as `FILE:LINE: MESSAGE`.
#[derive(Clone, Debug)]
pub struct ManifestError {
    place: Option<Place>,
    message: String,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for ManifestError {}

impl ManifestError {
    pub(crate) fn whole(message: String) -> Self {
        Self { place: None, message }
    }

    fn at(file: &Arc<str>, line: usize, message: String) -> Self {
        Self { place: Some(Place { file: Arc::clone(file), line }), message }
    }
}

/// Everything that is wrong with the input, in the order of the input; at least one thing.
#[derive(Clone, Debug, Error)]
#[error("{}", lines(.0))]
pub struct ManifestErrors(pub Vec<ManifestError>);

fn lines(errors: &[ManifestError]) -> String {
    let mut lines: Vec<_> = errors.iter().take(MOST_ERRORS).map(ToString::to_string).collect();
    if errors.len() > MOST_ERRORS {
        lines.push(format!("and {} more", errors.len() - MOST_ERRORS));
    }
    lines.join("\n")
}

impl ManifestErrors {
    /// `Ok` when there are no errors.
    ///
    /// # Errors
    /// These, if there are any.
    pub fn none(errors: Vec<ManifestError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }
}

/// Reads all objects of these files, in their order. `-` is standard input; of a folder all files that end in `.yaml`,
/// `.yml` or `.json` are read, with `recursive` also those of folders in it.
///
/// # Errors
/// When a file cannot be read, is neither YAML nor JSON, holds something that is no Kubernetes object, or when an object
/// comes twice. All of that is told.
pub fn read(names: &[PathBuf], recursive: bool) -> Result<Vec<Manifest>, ManifestErrors> {
    let (mut manifests, mut errors) = (Vec::new(), Vec::new());
    for source in files::sources(names, recursive, &mut errors) {
        match files::load(&source) {
            Ok(text) => parse(&source.name(), text, &mut manifests, &mut errors),
            Err(error) => errors.push(error),
        }
    }
    tell_duplicates(&manifests, &mut errors);
    ManifestErrors::none(errors).map(|()| manifests)
}

/// The object in a piece of JSON text that stands in this line of a file, or the objects of the list that it is.
///
/// # Errors
/// When it is no Kubernetes object.
pub(crate) fn of_text(file: &Arc<str>, line: usize, text: Bytes) -> Result<Vec<Manifest>, ManifestErrors> {
    let (mut manifests, mut errors) = (Vec::new(), Vec::new());
    json::objects(file, &yaml::Document::in_line(text, line), &mut manifests, &mut errors);
    ManifestErrors::none(errors).map(|()| manifests)
}

/// Takes the objects out of the text of a file.
fn parse(name: &str, text: Bytes, manifests: &mut Vec<Manifest>, errors: &mut Vec<ManifestError>) {
    let file: Arc<str> = name.into();
    // Some editors begin a file with a byte order mark.
    let text = if text.starts_with(b"\xef\xbb\xbf") { text.slice(3..) } else { text };
    if let Err(error) = std::str::from_utf8(&text) {
        let before = text.get(..error.valid_up_to()).unwrap_or_default();
        let line = json::line_at(before, before.len());
        return errors.push(ManifestError::at(&file, line, "the file is not text in UTF-8".to_owned()));
    }
    let is_json = text.trim_ascii_start().starts_with(b"{");
    let documents = if is_json { vec![yaml::Document::of_json(text)] } else { yaml::to_json(&file, &text, errors) };
    for document in &documents {
        json::objects(&file, document, manifests, errors);
    }
}

/// An object may come once: of two, nobody knows which one is meant.
fn tell_duplicates(manifests: &[Manifest], errors: &mut Vec<ManifestError>) {
    let default = Istr::new("default");
    let mut first: HashMap<(&str, &Istr, &Istr, &Istr), &Manifest> = HashMap::with_capacity(manifests.len());
    for manifest in manifests.iter().filter(|m| !m.name.is_empty()) {
        let namespace = if manifest.namespace.is_empty() { &default } else { &manifest.namespace };
        let key = (manifest.group(), &manifest.kind, namespace, &manifest.name);
        if let Some(known) = first.get(&key) {
            errors.push(manifest.error(&format!("comes twice; the first is in {}", known.place)));
        } else {
            first.insert(key, manifest);
        }
    }
}

#[cfg(test)]
mod tests;
