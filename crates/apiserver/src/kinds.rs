//! The kinds that the server serves: what discovery tells of them and how a request path finds one.

mod crd;
mod json_path;
mod table;

use std::{collections::HashMap, sync::Arc};

pub use crd::CrdError;
pub(crate) use json_path::JsonPath;

use crate::selector::Field;

/// What a kind means to the server beyond being stored: defaults, admission, controllers and selectors depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(clippy::enum_variant_names, reason = "RBAC's kinds are called so")]
pub(crate) enum Role {
    Pod,
    Node,
    Namespace,
    Event,
    /// Events as the core group shows them; the same store as `Event`.
    CoreEvent,
    PriorityClass,
    RuntimeClass,
    Lease,
    Deployment,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
    Job,
    CronJob,
    DaemonSet,
    PodDisruptionBudget,
    StorageClass,
    PersistentVolume,
    PersistentVolumeClaim,
    Service,
    ConfigMap,
    Secret,
    ServiceAccount,
    Role,
    RoleBinding,
    ClusterRole,
    ClusterRoleBinding,
    /// Questions that are answered and not stored.
    Review,
    /// Kinds that are only stored.
    Plain,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// As OpenAPI calls it: `string`, `integer`, `boolean`, `date`.
    pub(crate) sort: String,
    /// 0 for columns that are always shown.
    pub(crate) priority: i64,
    pub(crate) path: JsonPath,
}

/// One served kind.
#[derive(Clone, Debug)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: String,
    /// API version, such as `v1`.
    pub version: String,
    /// Plural resource name as in paths, such as `pods`.
    pub plural: String,
    /// Kind as in objects, such as `Pod`.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Short names for kubectl, such as `po`.
    pub short_names: Vec<String>,
    /// Groups of kinds that it belongs to, such as `all`.
    pub categories: Vec<String>,
    /// Whether it has a `status` subresource, and so keeps status apart from the rest.
    pub status: bool,
    /// Whether it has a `scale` subresource over `spec.replicas`.
    pub scale: bool,
    pub(crate) role: Role,
    /// Whether it is one that Kubernetes itself does not know.
    pub(crate) custom: bool,
    /// What field selectors may name beside name and namespace.
    pub(crate) fields: Arc<[Field]>,
    /// The columns of its tables beside name and age, where the kind declares them itself.
    pub(crate) columns: Arc<[Column]>,
    /// Position in [`Kinds`].
    pub(crate) id: usize,
    /// Position of the kind in whose words its objects are stored: its own, or that of another version.
    stored_as: usize,
    /// Position of the store, which two kinds may share.
    pub(crate) store: usize,
}

impl Kind {
    /// A kind that is only stored and watched, with a `status` subresource.
    #[must_use]
    pub fn new(group: &str, version: &str, plural: &str, kind: &str, namespaced: bool) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            kind: kind.to_owned(),
            namespaced,
            short_names: Vec::new(),
            categories: Vec::new(),
            status: true,
            scale: false,
            role: Role::Plain,
            custom: true,
            fields: Arc::default(),
            columns: Arc::default(),
            id: 0,
            stored_as: 0,
            store: 0,
        }
    }

    /// The same kind, of which field selectors may name these fields too: paths such as `spec.color`.
    #[must_use]
    pub fn selectable(mut self, fields: &[&str]) -> Self {
        let known = self.fields.iter().cloned();
        self.fields = known.chain(fields.iter().map(|path| Field::new(path, path))).collect();
        self
    }

    /// Whether its objects are stored in the words of another kind.
    pub(crate) fn is_view(&self) -> bool {
        self.stored_as != self.id
    }

    /// `apiVersion` as in objects.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The name used in messages: `pods`, `deployments.apps`.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The key of an object in its store, in the order in which lists return them.
    pub(crate) fn key(&self, namespace: &str, name: &str) -> String {
        if self.namespaced { format!("{namespace}/{name}") } else { name.to_owned() }
    }

    /// Verbs that discovery lists.
    pub(crate) fn verbs(&self) -> &'static [&'static str] {
        match self.role {
            Role::Review => &["create"],
            _ => &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        }
    }

    /// Subresources that discovery lists.
    pub(crate) fn subresources(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        if self.status {
            names.push("status");
        }
        if self.scale {
            names.push("scale");
        }
        if self.role == Role::Pod {
            names.extend(["binding", "eviction", "resize", "ephemeralcontainers"]);
        }
        if self.role == Role::ServiceAccount {
            names.push("token");
        }
        names
    }
}

/// All served kinds.
#[derive(Debug)]
pub(crate) struct Kinds {
    all: Vec<Kind>,
    /// By `group/version`, then by plural. The core group's key is `/v1`.
    by_path: HashMap<String, HashMap<String, usize>>,
    by_role: HashMap<Role, usize>,
    stores: usize,
}

impl Kinds {
    /// The kinds that Kubernetes 1.`minor` has, and `extra` ones.
    pub(crate) fn new(minor: u32, extra: &[Kind]) -> Self {
        let mut kinds = Self { all: Vec::new(), by_path: HashMap::new(), by_role: HashMap::new(), stores: 0 };
        for kind in table::built_in(minor).into_iter().chain(extra.iter().cloned()) {
            kinds.add(kind);
        }
        kinds
    }

    fn add(&mut self, mut kind: Kind) {
        kind.id = self.all.len();
        let same =
            |known: &&Kind| known.plural == kind.plural && (known.group == kind.group || kind.role == Role::CoreEvent);
        let known = self.all.iter().find(same).map(|known| (known.id, known.store));
        (kind.stored_as, kind.store) = known.unwrap_or((kind.id, self.stores));
        self.stores = self.stores.max(kind.store + 1);
        if kind.role != Role::Plain && (!kind.is_view() || kind.role == Role::CoreEvent) {
            self.by_role.insert(kind.role, kind.id);
        }
        let group_version = format!("{}/{}", kind.group, kind.version);
        self.by_path.entry(group_version).or_default().insert(kind.plural.clone(), kind.id);
        self.all.push(kind);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.all.iter()
    }

    /// The kinds that own a store each, in the order of the stores.
    pub(crate) fn stores(&self) -> impl Iterator<Item = &Kind> {
        self.all.iter().filter(|kind| !kind.is_view())
    }

    /// The kind in whose words the objects of a kind are stored.
    pub(crate) fn stored<'a>(&'a self, kind: &'a Kind) -> &'a Kind {
        self.all.get(kind.stored_as).unwrap_or(kind)
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Kind> {
        let by_plural = if group.is_empty() && version == "v1" {
            self.by_path.get("/v1")
        } else {
            self.by_path.get(&format!("{group}/{version}"))
        };
        by_plural?.get(plural).map(|id| &self.all[*id])
    }

    pub(crate) fn has_group_version(&self, group: &str, version: &str) -> bool {
        self.by_path.contains_key(&format!("{group}/{version}"))
    }

    /// The kind that an object's `apiVersion` and `kind` name.
    pub(crate) fn of_object(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.all.iter().find(|k| k.group == group && k.version == version && k.kind == kind)
    }

    /// The kind that `pods`, `deployments.apps` or `deployments` names: as kubectl reads it, the first that fits.
    pub(crate) fn named(&self, resource: &str) -> Option<&Kind> {
        let (plural, group) = resource.split_once('.').map_or((resource, None), |(p, g)| (p, Some(g)));
        self.all.iter().find(|k| k.plural == plural && group.is_none_or(|g| g == k.group))
    }

    /// The kind with that role. Roles other than `Plain` are always in the table.
    pub(crate) fn role(&self, role: Role) -> &Kind {
        &self.all[self.by_role.get(&role).copied().unwrap_or_default()]
    }
}
