//! Further kinds of objects that plugins read, each decoded to what is read of it.

use std::collections::BTreeMap;

use plimsoll_framework::intern::Istr;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub mod devices;
pub mod owners;
pub mod policy;
pub mod storage;

/// `metav1.ObjectMeta`, as far as these kinds need it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    name: Istr,
    #[serde(deserialize_with = "nullable")]
    namespace: Istr,
    #[serde(deserialize_with = "nullable")]
    uid: Istr,
    #[serde(deserialize_with = "nullable")]
    resource_version: Box<str>,
    #[serde(deserialize_with = "nullable")]
    labels: BTreeMap<Istr, Istr>,
    #[serde(deserialize_with = "nullable")]
    annotations: BTreeMap<String, String>,
    deletion_timestamp: Option<Value>,
    #[serde(deserialize_with = "nullable")]
    owner_references: Vec<OwnerReference>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct OwnerReference {
    uid: Istr,
    controller: Option<bool>,
}

impl Meta {
    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str)
    }
}

/// Go writes what is empty as `null` as often as it leaves it out.
fn nullable<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

/// Reads an object into the fields that matter; the error says what is wrong.
fn decode<T: DeserializeOwned>(json: &Value) -> Result<T, String> {
    T::deserialize(json).map_err(|error| error.to_string())
}
