//! The bodies of writes: JSON or YAML, objects or patches.

mod protobuf;
mod strict;

use http::{HeaderMap, header};
use serde_json::Value;

use crate::{failure::Failure, kinds::Kind, patch::PatchType};

/// The body of a request, still to be read.
pub(super) struct BodyOf<'a> {
    pub(super) kind: &'a Kind,
    pub(super) headers: &'a HeaderMap,
    pub(super) bytes: &'a [u8],
    /// Whether a field given twice is an error.
    pub(super) strict: bool,
}

fn unsupported() -> Failure {
    Failure::unsupported_media_type("application/json, application/yaml")
}

impl BodyOf<'_> {
    /// An object.
    pub(super) fn object(&self) -> Result<Value, Failure> {
        match self.media_type() {
            "" | "application/json" => self.json(),
            "application/yaml" => self.yaml(),
            "application/vnd.kubernetes.protobuf" => protobuf::read(self.bytes).ok_or_else(unsupported),
            _ => Err(unsupported()),
        }
    }

    /// The options of a deletion; null when there are none.
    pub(super) fn options(&self) -> Result<Value, Failure> {
        if self.bytes.is_empty() { Ok(Value::Null) } else { self.object() }
    }

    /// A patch.
    pub(super) fn patch(&self) -> Result<(PatchType, Value), Failure> {
        let patch_type = PatchType::of(self.kind, self.media_type())?;
        let undecodable = |why: String| Failure::bad_request(format!("error decoding patch: {why}"));
        let patch = match patch_type {
            // JSON is YAML too, and is what kubectl sends.
            PatchType::Apply => {
                self.json().or_else(|failure| if self.is_json() { Err(failure) } else { self.yaml() })?
            }
            _ if self.strict => self.json()?,
            _ => serde_json::from_slice(self.bytes).map_err(|error| undecodable(error.to_string()))?,
        };
        let fits = if patch_type == PatchType::Json { patch.is_array() } else { patch.is_object() };
        if fits { Ok((patch_type, patch)) } else { Err(undecodable("unexpected type of the patch".to_owned())) }
    }

    fn media_type(&self) -> &str {
        let content_type = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        content_type.map_or("", |text| text.split(';').next().unwrap_or_default().trim())
    }

    /// Whether the body is meant as JSON, whatever the media type allows.
    fn is_json(&self) -> bool {
        matches!(self.bytes.trim_ascii_start(), [b'{' | b'[', ..])
    }

    fn json(&self) -> Result<Value, Failure> {
        if !self.strict {
            return serde_json::from_slice(self.bytes).map_err(|error| self.unrecognized("json parse", &error));
        }
        let (value, twice) = strict::read(self.bytes).map_err(|error| self.unrecognized("json parse", &error))?;
        match twice.as_slice() {
            [] => Ok(value),
            twice => {
                let named: Vec<String> = twice.iter().map(|field| format!("duplicate field \"{field}\"")).collect();
                Err(self.not_strict(&named.join(", ")))
            }
        }
    }

    /// YAML is always read strictly: a key given twice has no meaning in it.
    fn yaml(&self) -> Result<Value, Failure> {
        serde_saphyr::from_slice(self.bytes).map_err(|error| self.unrecognized("yaml", &error))
    }

    fn unrecognized(&self, step: &str, error: &dyn std::fmt::Display) -> Failure {
        let kind = &self.kind.kind;
        Failure::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; {step} error: \
             {error}"
        ))
    }

    fn not_strict(&self, why: &str) -> Failure {
        let Kind { kind, version, .. } = self.kind;
        Failure::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {why}"
        ))
    }
}
