//! Kinds as a CustomResourceDefinition declares them.

use serde_json::Value;

use super::{Column, JsonPath, Kind};
use crate::{json, selector::Field};

/// Why a manifest is no definition of a kind that could be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrdError {
    /// The manifest is of another kind or version.
    #[error("reading a custom resource definition: expected apiextensions.k8s.io/v1, CustomResourceDefinition")]
    OtherKind,
    /// A field is missing or no such text as it should be.
    #[error("reading a custom resource definition: {0} is missing")]
    Missing(&'static str),
    /// `spec.scope` is neither `Namespaced` nor `Cluster`.
    #[error("reading a custom resource definition: scope {0:?} is neither Namespaced nor Cluster")]
    Scope(String),
    /// A path to a field is written in a way that is not known.
    #[error("reading a custom resource definition: cannot read the path {0:?}")]
    Path(String),
    /// No version of the kind is served.
    #[error("reading a custom resource definition: it serves no version")]
    NothingServed,
}

impl Kind {
    /// The kinds that a CustomResourceDefinition's manifest declares: one for each version that it serves, the version
    /// that it stores first. Schemas and conversions are not looked at: versions differ in their name alone.
    ///
    /// # Errors
    ///
    /// When the manifest is no such definition, or lacks what a kind must have.
    pub fn from_crd(manifest: &Value) -> Result<Vec<Self>, CrdError> {
        if json::text(manifest, &["apiVersion"]) != "apiextensions.k8s.io/v1"
            || json::text(manifest, &["kind"]) != "CustomResourceDefinition"
        {
            return Err(CrdError::OtherKind);
        }
        let mut versions: Vec<&Value> = json::items(manifest, &["spec", "versions"]).iter().collect();
        versions.retain(|version| json::flag(version, &["served"]));
        versions.sort_by_key(|version| !json::flag(version, &["storage"]));
        if versions.is_empty() {
            return Err(CrdError::NothingServed);
        }
        versions.into_iter().map(|version| of_version(manifest, version)).collect()
    }
}

fn of_version(manifest: &Value, version: &Value) -> Result<Kind, CrdError> {
    let namespaced = match json::text(manifest, &["spec", "scope"]) {
        "Namespaced" => true,
        "Cluster" => false,
        other => return Err(CrdError::Scope(other.to_owned())),
    };
    let kind = Kind::new(
        required(manifest, &["spec", "group"], "spec.group")?,
        required(version, &["name"], "spec.versions.name")?,
        required(manifest, &["spec", "names", "plural"], "spec.names.plural")?,
        required(manifest, &["spec", "names", "kind"], "spec.names.kind")?,
        namespaced,
    );
    let names = |field| {
        let names = json::items(manifest, &["spec", "names", field]).iter();
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let has = |subresource| json::at(version, &["subresources", subresource]).is_some_and(Value::is_object);
    let columns = json::items(version, &["additionalPrinterColumns"]).iter().map(column);
    let fields = json::items(version, &["selectableFields"]).iter().map(field);
    Ok(Kind {
        short_names: names("shortNames"),
        categories: names("categories"),
        status: has("status"),
        scale: has("scale"),
        columns: columns.collect::<Result<_, _>>()?,
        fields: fields.collect::<Result<_, _>>()?,
        ..kind
    })
}

fn required<'a>(value: &'a Value, path: &[&str], name: &'static str) -> Result<&'a str, CrdError> {
    match json::text(value, path) {
        "" => Err(CrdError::Missing(name)),
        text => Ok(text),
    }
}

fn path_of(value: &Value) -> Result<JsonPath, CrdError> {
    let path = json::text(value, &["jsonPath"]);
    JsonPath::parse(path).ok_or_else(|| CrdError::Path(path.to_owned()))
}

fn column(column: &Value) -> Result<Column, CrdError> {
    Ok(Column {
        name: required(column, &["name"], "additionalPrinterColumns.name")?.to_owned(),
        sort: required(column, &["type"], "additionalPrinterColumns.type")?.to_owned(),
        priority: json::int(column, &["priority"]).unwrap_or(0),
        path: path_of(column)?,
    })
}

fn field(field: &Value) -> Result<Field, CrdError> {
    let path = path_of(field)?;
    let keys = path.keys().ok_or_else(|| CrdError::Path(json::text(field, &["jsonPath"]).to_owned()))?.join(".");
    Ok(Field::new(&keys, &keys))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::CrdError;
    use crate::kinds::Kind;

    fn crd() -> Value {
        let version = |name: &str, served: bool, storage: bool| {
            json!({
                "name": name, "served": served, "storage": storage, "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                "selectableFields": [{"jsonPath": ".spec.color"}],
            })
        };
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "queues.example.com"},
            "spec": {
                "group": "example.com", "scope": "Namespaced",
                "names": {"plural": "queues", "kind": "Queue", "shortNames": ["q"], "categories": ["all"]},
                "versions": [version("v1beta1", true, false), version("v1", true, true), version("v1alpha1", false, false)],
            },
        })
    }

    #[test]
    fn every_served_version_is_a_kind() {
        let kinds = Kind::from_crd(&crd()).unwrap();
        let versions: Vec<&str> = kinds.iter().map(|kind| kind.version.as_str()).collect();
        assert_eq!(versions, ["v1", "v1beta1"], "what is stored comes first");
        let kind = &kinds[0];
        assert_eq!((kind.plural.as_str(), kind.kind.as_str(), kind.namespaced), ("queues", "Queue", true));
        assert_eq!((&kind.short_names[..], kind.status, kind.scale), (&["q".to_owned()][..], true, false));
        assert_eq!((kind.columns.len(), kind.fields.len()), (1, 1));
    }

    #[test]
    fn what_cannot_be_served_is_told() {
        let with = |pointer: &str, value: Value| {
            let mut crd = crd();
            *crd.pointer_mut(pointer).unwrap() = value;
            Kind::from_crd(&crd).unwrap_err()
        };
        assert_eq!(Kind::from_crd(&json!({"kind": "Pod"})).unwrap_err(), CrdError::OtherKind);
        assert_eq!(with("/spec/names/plural", json!(7)), CrdError::Missing("spec.names.plural"));
        assert_eq!(with("/spec/scope", json!("Galaxy")), CrdError::Scope("Galaxy".to_owned()));
        assert_eq!(with("/spec/versions", json!([])), CrdError::NothingServed);
        let path = with("/spec/versions/0/selectableFields/0/jsonPath", json!(".a[0]"));
        assert_eq!(path, CrdError::Path(".a[0]".to_owned()));
    }
}
