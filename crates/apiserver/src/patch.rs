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

impl PatchType {
    /// The sort that a media type names. Custom resources have no strategic merge patch: nobody knows their lists.
    pub(crate) fn of(kind: &Kind, media_type: &str) -> Result<Self, Failure> {
        match media_type {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if !kind.custom => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ if kind.custom => Err(Failure::unsupported_media_type(
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            )),
            _ => Err(Failure::unsupported_media_type(
                "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, \
                 application/apply-patch+yaml",
            )),
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
