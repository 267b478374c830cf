//! Creating objects.

use std::sync::Arc;

use serde_json::Value;

use super::Target;
use crate::{
    admission,
    cluster::Cluster,
    events,
    failure::Failure,
    json,
    kinds::{Kind, Role},
    store::Numbered,
    stored::Stored,
};

impl Cluster {
    /// Creates an object in a namespace (empty: the one it names). A `dry_run` does all but store it.
    pub(crate) fn create(
        &self,
        kind: &Kind,
        namespace: &str,
        value: Value,
        dry_run: bool,
    ) -> Result<Arc<Stored>, Failure> {
        let (kind, mut value) = self.canonical(kind, value);
        self.prepare(kind, namespace, &mut value)?;
        if dry_run { Ok(Arc::new(Stored::unsaved(kind, 0, &value))) } else { self.insert(kind, value) }
    }

    /// The kind under which objects of a kind are kept, and the object in its words.
    fn canonical<'a>(&'a self, kind: &'a Kind, value: Value) -> (&'a Kind, Value) {
        let stored = self.kinds.stored(kind);
        (stored, events::stored(kind, stored, value))
    }

    fn insert(&self, kind: &Kind, value: Value) -> Result<Arc<Stored>, Failure> {
        let name = json::text(&value, &["metadata", "name"]).to_owned();
        let key = kind.key(json::text(&value, &["metadata", "namespace"]), &name);
        self.store(kind).insert(key, value).map_err(|_| Failure::already_exists(kind, &name))
    }

    /// Everything between the request's object and the stored one.
    fn prepare(&self, kind: &Kind, namespace: &str, value: &mut Value) -> Result<(), Failure> {
        check_shape(kind, value)?;
        self.place(kind, namespace, value)?;
        self.stamp(kind, value);
        if kind.status && kind.role != Role::Node {
            json::remove(value, &["status"]);
        }
        admission::on_create(self, kind, value)
    }

    /// Settles name and namespace.
    fn place(&self, kind: &Kind, namespace: &str, value: &mut Value) -> Result<(), Failure> {
        let own = json::text(value, &["metadata", "namespace"]);
        if !own.is_empty() && !namespace.is_empty() && own != namespace {
            let message = format!(
                "the namespace of the provided object does not match the namespace sent on the request ({own} != {namespace})"
            );
            return Err(Failure::bad_request(message));
        }
        if kind.namespaced {
            let own = if namespace.is_empty() { own } else { namespace };
            let own = if own.is_empty() { "default" } else { own }.to_owned();
            json::set(value, &["metadata", "namespace"], own);
        } else {
            json::remove(value, &["metadata", "namespace"]);
        }
        self.name(kind, value)?;
        if kind.namespaced {
            self.check_namespace(kind, value)?;
        }
        Ok(())
    }

    fn name(&self, kind: &Kind, value: &mut Value) -> Result<(), Failure> {
        let name = json::text(value, &["metadata", "name"]);
        let prefix = json::text(value, &["metadata", "generateName"]);
        if name.is_empty() {
            if prefix.is_empty() {
                return Err(Failure::invalid(
                    kind,
                    "",
                    "metadata.name",
                    "Required value: name or generateName is required",
                ));
            }
            let kept: String = prefix.chars().take(58).collect();
            json::set(value, &["metadata", "name"], format!("{kept}{}", self.ids.suffix()));
        }
        let name = json::text(value, &["metadata", "name"]);
        let bad = name.len() > 253 || matches!(name, "." | "..") || name.contains(['/', '%', ' ']);
        if bad {
            return Err(Failure::invalid(kind, name, "metadata.name", "Invalid value: not a valid name"));
        }
        Ok(())
    }

    fn check_namespace(&self, kind: &Kind, value: &Value) -> Result<(), Failure> {
        let namespaces = self.kinds.role(Role::Namespace);
        let namespace = json::text(value, &["metadata", "namespace"]);
        let stored = self.get(Target::new(namespaces, "", namespace))?;
        if stored.deleting {
            let name = json::text(value, &["metadata", "name"]);
            let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
            let mut failure = Failure::forbidden(kind, name, &why);
            failure.details["causes"] = serde_json::json!([{"reason": "NamespaceTerminating", "message": why}]);
            return Err(failure);
        }
        Ok(())
    }

    /// The metadata that the server alone sets.
    fn stamp(&self, kind: &Kind, value: &mut Value) {
        json::set(value, &["apiVersion"], kind.api_version());
        json::set(value, &["kind"], kind.kind.as_str());
        json::set(value, &["metadata", "uid"], self.ids.uid());
        json::set(value, &["metadata", "creationTimestamp"], self.clock.stamp());
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink", "generation"] {
            json::remove(value, &["metadata", field]);
        }
        if value.get("spec").is_some() && kind.role != Role::Node {
            json::set(value, &["metadata", "generation"], 1);
        }
    }

    /// Stores many objects at once. What they say of UID, status and creation time is kept, and their namespaces need
    /// not exist. What is not stored, by its position: objects of unknown kinds, without a name, refused by admission, or
    /// existing already.
    pub(crate) fn load(&self, values: Vec<Value>) -> Vec<(usize, Failure)> {
        // Pods come last: their admission reads priority and runtime classes.
        let (pods, others): (Vec<_>, Vec<_>) =
            values.into_iter().enumerate().partition(|(_, v)| json::text(v, &["kind"]) == "Pod");
        let mut failures = Vec::new();
        [others, pods].into_iter().for_each(|values| self.load_in_order(values, &mut failures));
        failures
    }

    fn load_in_order(&self, values: Vec<(usize, Value)>, failures: &mut Vec<(usize, Failure)>) {
        let mut by_kind: Vec<(&Kind, Vec<Numbered>)> = Vec::new();
        for (index, mut value) in values {
            let (kind, key) = match self.prepare_loaded(&mut value) {
                Ok(prepared) => prepared,
                Err(failure) => {
                    failures.push((index, failure));
                    continue;
                }
            };
            match by_kind.iter_mut().find(|(k, _)| k.id == kind.id) {
                Some((_, values)) => values.push((index, key, value)),
                None => by_kind.push((kind, vec![(index, key, value)])),
            }
        }
        for (kind, values) in by_kind {
            let taken = self.store(kind).insert_all(values).into_iter();
            failures.extend(taken.map(|(index, key)| (index, Failure::already_exists(kind, &key))));
        }
    }

    fn prepare_loaded(&self, value: &mut Value) -> Result<(&Kind, String), Failure> {
        let (api_version, name) = (json::text(value, &["apiVersion"]), json::text(value, &["kind"]));
        let kind = self.kinds.of_object(api_version, name).ok_or_else(|| Failure::no_such_kind(api_version, name))?;
        let (kind, canonical) = self.canonical(kind, value.take());
        *value = canonical;
        check_shape(kind, value)?;
        let name = json::text(value, &["metadata", "name"]).to_owned();
        if name.is_empty() {
            return Err(Failure::invalid(kind, "", "metadata.name", "Required value: name is required"));
        }
        if kind.namespaced {
            json::set_default(value, &["metadata", "namespace"], "default");
        }
        json::set_default(value, &["metadata", "uid"], self.ids.uid());
        json::set_default(value, &["metadata", "creationTimestamp"], self.clock.stamp());
        admission::on_create(self, kind, value)?;
        Ok((kind, kind.key(json::text(value, &["metadata", "namespace"]), &name)))
    }
}

/// Refuses what could not be an object of the kind at all. Contents are not validated.
pub(super) fn check_shape(kind: &Kind, value: &Value) -> Result<(), Failure> {
    let wrong = |what: &str| {
        Err(Failure::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: {what}",
            kind.kind, kind.version, kind.kind
        )))
    };
    if !value.is_object() {
        return wrong("it is no JSON object");
    }
    if json::depth(value) > json::MAX_DEPTH {
        return wrong("it is nested too deeply");
    }
    let (api_version, name) = (json::text(value, &["apiVersion"]), json::text(value, &["kind"]));
    if !api_version.is_empty() && api_version != kind.api_version() {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            kind.api_version()
        )));
    }
    if !name.is_empty() && name != kind.kind {
        return Err(Failure::bad_request(format!("{name} is not a {}", kind.kind)));
    }
    for part in ["metadata", "spec", "status"] {
        if value.get(part).is_some_and(|v| !v.is_object() && !v.is_null()) {
            return wrong(&format!("{part} is no JSON object"));
        }
    }
    for (field, good) in [
        ("name", Value::is_string as fn(&Value) -> bool),
        ("namespace", Value::is_string),
        ("generateName", Value::is_string),
        ("uid", Value::is_string),
        ("resourceVersion", Value::is_string),
        ("labels", is_string_map),
        ("annotations", is_string_map),
        ("ownerReferences", Value::is_array),
        ("finalizers", Value::is_array),
    ] {
        if json::at(value, &["metadata", field]).is_some_and(|v| !v.is_null() && !good(v)) {
            return wrong(&format!("metadata.{field} has the wrong type"));
        }
    }
    Ok(())
}

fn is_string_map(value: &Value) -> bool {
    value.as_object().is_some_and(|map| map.values().all(Value::is_string))
}
