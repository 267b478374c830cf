//! The patch formats: JSON patch, merge patch, strategic merge patch. Apply is treated as a strategic merge without
//! field ownership.

mod json_patch;
mod merge;
mod strategic;

use serde_json::Value;

use crate::{failure::Failure, kinds::Kind};

/// How the body of a PATCH is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

/// The media types accepted, as error messages list them.
pub(crate) const MEDIA_TYPES: &str = "application/json-patch+json, application/merge-patch+json, \
                                      application/strategic-merge-patch+json, application/apply-patch+yaml";

impl PatchType {
    pub(crate) fn of(media_type: &str) -> Option<Self> {
        match media_type {
            "application/json-patch+json" => Some(Self::Json),
            "application/merge-patch+json" => Some(Self::Merge),
            "application/strategic-merge-patch+json" => Some(Self::Strategic),
            "application/apply-patch+yaml" | "application/apply-patch+json" => Some(Self::Apply),
            _ => None,
        }
    }
}

/// The object after the patch.
pub(crate) fn apply(kind: &Kind, patch_type: PatchType, mut object: Value, patch: &Value) -> Result<Value, Failure> {
    match patch_type {
        PatchType::Json => json_patch::apply(&mut object, patch)?,
        PatchType::Merge => merge::apply(&mut object, patch),
        PatchType::Strategic | PatchType::Apply => strategic::apply(kind.role, &mut object, patch)?,
    }
    Ok(object)
}
