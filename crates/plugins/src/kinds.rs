//! Further kinds of objects that plugins read, each decoded to what is read of it.

pub mod owners;
pub mod policy;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads an object into the fields that matter. Go writes an empty field as `null` as often as it leaves it out, so the
/// fields are optional.
fn decode<T: DeserializeOwned>(json: &Value) -> Result<T, String> {
    T::deserialize(json).map_err(|error| error.to_string())
}
