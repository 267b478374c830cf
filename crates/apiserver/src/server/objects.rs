//! Direct access to the objects, without HTTP, for tests and demos. The rules are those of the API.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Server;
use crate::{
    failure::Failure,
    json,
    kinds::Kind,
    ops::{DeleteOptions, Part, Target},
    store::PageRequest,
};

impl Server {
    /// Creates an object as a POST would, in the namespace that it names or `default`.
    ///
    /// # Errors
    ///
    /// As the API: unknown kind, missing namespace, name taken, refused by admission.
    pub fn create(&self, object: impl Into<Value>) -> Result<Value, Failure> {
        let object = object.into();
        let kind = self.kind_of(&object)?;
        Ok(self.web.cluster.create(kind, "", object, false)?.value())
    }

    /// The object of that name. `resource` is a plural such as `pods` or `deployments.apps`; `namespace` is ignored
    /// where the kind has none.
    ///
    /// # Errors
    ///
    /// When there is no such resource or object.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Result<Value, Failure> {
        let kind = self.kind(resource)?;
        Ok(self.web.cluster.get(Target::new(kind, namespace, name))?.value())
    }

    /// All objects of a resource, in one namespace or in all, in order of their keys.
    ///
    /// # Errors
    ///
    /// When there is no such resource.
    pub fn list(&self, resource: &str, namespace: Option<&str>) -> Result<Vec<Value>, Failure> {
        let kind = self.kind(resource)?;
        let request = PageRequest { namespace: namespace.map(str::to_owned), ..PageRequest::default() };
        Ok(self.web.cluster.list(kind, &request)?.objects.iter().map(|object| object.value()).collect())
    }

    /// All objects of a resource, as [`Server::list`], decoded into what the caller reads of them.
    ///
    /// # Errors
    ///
    /// When there is no such resource, or an object does not decode.
    pub fn list_as<T: DeserializeOwned>(&self, resource: &str, namespace: Option<&str>) -> Result<Vec<T>, Failure> {
        let kind = self.kind(resource)?;
        let request = PageRequest { namespace: namespace.map(str::to_owned), ..PageRequest::default() };
        let page = self.web.cluster.list(kind, &request)?;
        page.objects.iter().map(|object| object.decode(kind)).collect()
    }

    /// Replaces an object as a PUT would: its status stays.
    ///
    /// # Errors
    ///
    /// As the API: no such object, a resource version that is not the newest, a change that is not allowed.
    pub fn update(&self, object: impl Into<Value>) -> Result<Value, Failure> {
        self.update_part(object.into(), Part::Main)
    }

    /// Replaces an object's status as a PUT of the subresource would.
    ///
    /// # Errors
    ///
    /// As [`Server::update`].
    pub fn update_status(&self, object: impl Into<Value>) -> Result<Value, Failure> {
        self.update_part(object.into(), Part::Status)
    }

    fn update_part(&self, object: Value, part: Part) -> Result<Value, Failure> {
        let kind = self.kind_of(&object)?;
        let (namespace, name) = (text_of(&object, "namespace"), text_of(&object, "name"));
        let namespace = if namespace.is_empty() { "default".to_owned() } else { namespace };
        let target = Target::new(kind, &namespace, &name);
        Ok(self.web.cluster.update(target, part, object, false)?.value())
    }

    /// Changes an object in place, past all rules: tests make states with it that no client could.
    ///
    /// # Errors
    ///
    /// When there is no such resource or object.
    pub fn edit(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        mut change: impl FnMut(&mut Value),
    ) -> Result<Value, Failure> {
        let target = Target::new(self.kind(resource)?, namespace, name);
        let stored = self.web.cluster.edit(target, |value| {
            change(value);
            Ok(true)
        })?;
        Ok(stored.value())
    }

    /// Deletes an object as a DELETE without options would.
    ///
    /// # Errors
    ///
    /// When there is no such resource or object.
    pub fn delete(&self, resource: &str, namespace: &str, name: &str) -> Result<(), Failure> {
        let target = Target::new(self.kind(resource)?, namespace, name);
        self.web.cluster.delete(target, &DeleteOptions::default())?;
        Ok(())
    }

    /// Binds a pod to a node.
    ///
    /// # Errors
    ///
    /// As the API: no such pod, or a pod that is bound, gated or being deleted.
    pub fn bind(&self, namespace: &str, name: &str, node: &str) -> Result<(), Failure> {
        let binding = json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": node}});
        self.web.cluster.bind(namespace, name, &binding)
    }

    /// Stores many objects at once, quickly: UIDs, creation times and statuses are kept where they are given, and
    /// namespaces need not exist. Objects of unknown kinds, without a name, refused by admission or existing already are
    /// skipped; returns how many were stored.
    pub fn load(&self, objects: Vec<Value>) -> usize {
        let all = objects.len();
        all - self.try_load(objects).len()
    }

    /// As [`Server::load`]; returns what was not stored, by its position, and why.
    pub fn try_load(&self, objects: Vec<Value>) -> Vec<(usize, Failure)> {
        self.web.cluster.load(objects)
    }

    pub(super) fn kind(&self, resource: &str) -> Result<&Kind, Failure> {
        self.web.cluster.kinds.named(resource).ok_or_else(Failure::no_such_path)
    }

    fn kind_of(&self, object: &Value) -> Result<&Kind, Failure> {
        let (api_version, kind) = (json::text(object, &["apiVersion"]), json::text(object, &["kind"]));
        let found = self.web.cluster.kinds.of_object(api_version, kind);
        found.ok_or_else(|| Failure::no_such_kind(api_version, kind))
    }
}

fn text_of(object: &Value, field: &str) -> String {
    json::text(object, &["metadata", field]).to_owned()
}
