//! Refusals, as the API reports them: a `Status` object with code, reason and details.

use serde_json::{Value, json};

use crate::kinds::Kind;

/// Why a request was refused. [`Failure::to_status`] is the `Status` object that a client receives.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason in Kubernetes' words, such as `NotFound`.
    pub reason: &'static str,
    /// Text for people, worded as the real API server words it.
    pub message: String,
    /// `status.details`: name, group, kind, causes and the like. Null when there is nothing to add.
    pub details: Value,
}

impl Failure {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    pub(crate) fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", kind.qualified())).about(kind, name)
    }

    pub(crate) fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn no_such_kind(api_version: &str, kind: &str) -> Self {
        Self::new(404, "NotFound", format!("no kind {kind:?} in {api_version:?} is served"))
    }

    pub(crate) fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", kind.qualified())).about(kind, name)
    }

    /// A conflict on `resource`, which may name a subresource such as `pods/binding`.
    pub(crate) fn conflict(kind: &Kind, resource: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Self::new(409, "Conflict", message).about(kind, name)
    }

    pub(crate) fn modified(kind: &Kind, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(kind, &kind.qualified(), name, why)
    }

    pub(crate) fn precondition(kind: &Kind, name: &str, field: &str, wanted: &str, found: &str) -> Self {
        let why = format!("Precondition failed: {field} in precondition: {wanted}, {field} in object meta: {found}");
        Self::conflict(kind, &kind.qualified(), name, &why)
    }

    pub(crate) fn invalid(kind: &Kind, name: &str, field: &str, why: &str) -> Self {
        let message = format!("{}.{} \"{name}\" is invalid: {field}: {why}", kind.kind, kind.group);
        let message = if kind.group.is_empty() {
            format!("{} \"{name}\" is invalid: {field}: {why}", kind.kind)
        } else {
            message
        };
        let mut failure = Self::new(422, "Invalid", message).about(kind, name);
        failure.details["kind"] = kind.kind.as_str().into();
        failure.details["causes"] = json!([{"reason": "FieldValueInvalid", "message": why, "field": field}]);
        failure
    }

    /// A wrong parameter of a request, reported as the fault of the options object that it belongs to.
    pub(crate) fn invalid_option(options: &str, field: &str, why: &str) -> Self {
        let message = format!("{options}.meta.k8s.io \"\" is invalid: {field}: {why}");
        let mut failure = Self::new(422, "Invalid", message);
        let cause = json!({"reason": "FieldValueInvalid", "message": why, "field": field});
        failure.details = json!({"group": "meta.k8s.io", "kind": options, "causes": [cause]});
        failure
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        let name_shown = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
        Self::new(403, "Forbidden", format!("{}{name_shown} is forbidden: {why}", kind.qualified())).about(kind, name)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn wrong_method() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    pub(crate) fn unsupported_media_type(supported: &str) -> Self {
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {supported}");
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn not_acceptable() -> Self {
        Self::new(406, "NotAcceptable", "only the following media types are accepted: application/json")
    }

    pub(crate) fn too_large(limit_bytes: usize) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit_bytes}"))
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message)
    }

    fn about(mut self, kind: &Kind, name: &str) -> Self {
        self.details = json!({"name": name, "kind": kind.plural});
        if !kind.group.is_empty() {
            self.details["group"] = kind.group.as_str().into();
        }
        self
    }

    /// The `Status` object sent to the client.
    #[must_use]
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }

    /// Seconds after which the client may try again, where the answer says so.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        self.details.get("retryAfterSeconds")?.as_u64()
    }
}
