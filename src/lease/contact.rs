//! Where the holder of a Lease can be asked, said in the Lease: whoever may read it can find the leader, and know that
//! it is the leader.

use std::sync::Arc;

use serde_json::{Map, Value};

/// The address of the secured port, such as `https://10.0.0.7:10259`.
const ADDRESS: &str = "plimsoll/secure-address";
/// The SHA-256 of the certificate that is served there (of its DER form), in hexadecimal digits.
const CERTIFICATE: &str = "plimsoll/certificate-sha256";

/// Where somebody can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The address of the secured port, such as `https://10.0.0.7:10259`.
    pub address: String,
    /// The SHA-256 of the certificate that is served there (of its DER form), in hexadecimal digits.
    pub certificate_sha256: String,
}

/// Gives what the Lease should say now; certificates change.
pub(super) type Contacts = Arc<dyn Fn() -> Option<Contact> + Send + Sync>;

impl Contact {
    /// What a Lease says, if it says all of it.
    pub(crate) fn of(lease: &Value) -> Option<Self> {
        let annotations = lease.get("metadata")?.get("annotations")?;
        let text = |key: &str| annotations.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Self { address: text(ADDRESS)?, certificate_sha256: text(CERTIFICATE)? })
    }

    /// Has a Lease say this, or nothing; what the holder before said is gone in any case.
    pub(super) fn write(contact: Option<Self>, lease: &mut Value) {
        let Some(Value::Object(metadata)) = lease.get_mut("metadata") else { return };
        if contact.is_none() && !matches!(metadata.get("annotations"), Some(Value::Object(_))) {
            return;
        }
        let annotations = metadata.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
        if !annotations.is_object() {
            *annotations = Value::Object(Map::new());
        }
        let Value::Object(annotations) = annotations else { return };
        annotations.remove(ADDRESS);
        annotations.remove(CERTIFICATE);
        if let Some(Self { address, certificate_sha256 }) = contact {
            annotations.insert(ADDRESS.to_owned(), address.into());
            annotations.insert(CERTIFICATE.to_owned(), certificate_sha256.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lease_says_where_its_holder_is_and_not_where_the_one_before_was() {
        let contact = || Contact { address: "https://10.0.0.7:10259".to_owned(), certificate_sha256: "ab".to_owned() };
        for annotations in [json!(null), json!("odd"), json!({}), json!({"a": "b"})] {
            let mut lease = json!({"metadata": {"name": "l", "annotations": annotations}, "spec": {}});
            let kept = annotations.get("a").cloned();
            Contact::write(Some(contact()), &mut lease);
            assert_eq!(Contact::of(&lease), Some(contact()));
            assert_eq!(lease["metadata"]["annotations"].get("a"), kept.as_ref());
            Contact::write(None, &mut lease);
            assert_eq!(Contact::of(&lease), None);
            assert_eq!(lease["metadata"]["annotations"].get("a"), kept.as_ref());
        }
        let mut bare = json!({"metadata": {"name": "l"}});
        Contact::write(None, &mut bare);
        assert_eq!(bare, json!({"metadata": {"name": "l"}}));
        assert_eq!(Contact::of(&json!([])), None);
    }
}
