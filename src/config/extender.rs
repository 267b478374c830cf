//! `extenders[]`, as it is written in a file, and its secrets.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use plimsoll_plugins::args::GoDuration;

/// A webhook that takes part in decisions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Extender {
    /// Address of the webhook.
    pub url_prefix: String,
    /// Path of its filter call, if it has one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter_verb: String,
    /// Path of its preemption call, if it has one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub preempt_verb: String,
    /// Path of its scoring call, if it has one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prioritize_verb: String,
    /// Weight of its scores; 1 or more where it scores.
    pub weight: i64,
    /// Path of its binding call, if it binds.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bind_verb: String,
    /// Whether TLS is used.
    #[serde(rename = "enableHTTPS")]
    pub enable_https: bool,
    /// How TLS is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsConfig>,
    /// Longest wait for an answer.
    pub http_timeout: GoDuration,
    /// Whether it knows the nodes itself and wants names only.
    pub node_cache_capable: bool,
    /// Resources that it manages; with any, only pods that ask for one are sent to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub managed_resources: Vec<ManagedResource>,
    /// Whether scheduling goes on without it when it fails.
    pub ignorable: bool,
}

/// A resource that an extender manages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ManagedResource {
    /// Name of the resource.
    pub name: String,
    /// Whether NodeResourcesFit leaves it out.
    pub ignored_by_scheduler: bool,
}

/// TLS towards an extender.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TlsConfig {
    /// Whether the server's certificate is not checked.
    pub insecure: bool,
    /// Name that the certificate must carry, if not the address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server_name: String,
    /// Path of the client certificate.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert_file: String,
    /// Path of its key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key_file: String,
    /// Path of the certificates that are trusted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_file: String,
    /// The client certificate itself.
    #[serde(skip_serializing_if = "SecretData::is_empty")]
    pub cert_data: SecretData,
    /// Its key itself.
    #[serde(skip_serializing_if = "SecretData::is_empty")]
    pub key_data: SecretData,
    /// The trusted certificates themselves.
    #[serde(skip_serializing_if = "SecretData::is_empty")]
    pub ca_data: SecretData,
}

/// Bytes that are read, used and never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretData(Vec<u8>);

impl SecretData {
    const SHOWN: &'static str = "<redacted>";

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::SHOWN)
    }
}

impl Serialize for SecretData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::SHOWN)
    }
}

impl<'de> Deserialize<'de> for SecretData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // The text is a secret: an error must not quote it.
        let quoted = serde_json::Value::String(text);
        k8s_openapi::ByteString::deserialize(quoted)
            .map(|bytes| Self(bytes.0))
            .map_err(|_| serde::de::Error::custom("must be base64"))
    }
}
