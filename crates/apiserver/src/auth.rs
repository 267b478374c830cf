//! Who asks, and what they may: bearer tokens of known users, and the RBAC objects in the store.

use serde_json::Value;

use crate::{cluster::Cluster, json, kinds::Role};

/// Members of this group may do everything.
const MASTERS: &str = "system:masters";

/// A user as the server knows one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The name that bindings and refusals use, such as `alice` or `system:serviceaccount:team:bot`.
    pub name: String,
    /// The groups it is in, beside the one that everybody with a name is in.
    pub groups: Vec<String>,
}

impl User {
    /// A service account, with the groups of all service accounts and of those in its namespace.
    #[must_use]
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")],
        }
    }

    /// A user who may do everything.
    #[must_use]
    pub fn administrator(name: &str) -> Self {
        Self { name: name.to_owned(), groups: vec![MASTERS.to_owned()] }
    }

    /// Whoever says nothing of themselves.
    pub(crate) fn anonymous() -> Self {
        Self { name: "system:anonymous".to_owned(), groups: vec!["system:unauthenticated".to_owned()] }
    }

    pub(crate) fn may_do_everything(&self) -> bool {
        self.is_in(MASTERS)
    }

    fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    fn is_subject(&self, subject: &Value, namespace: &str) -> bool {
        let name = json::text(subject, &["name"]);
        match json::text(subject, &["kind"]) {
            "User" => name == self.name,
            "Group" => self.is_in(name),
            "ServiceAccount" => {
                let own = match json::text(subject, &["namespace"]) {
                    "" => namespace,
                    own => own,
                };
                self.name == format!("system:serviceaccount:{own}:{name}")
            }
            _ => false,
        }
    }
}

/// What somebody wants to do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    /// Empty when a path is asked for that is no resource.
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// The path, where there is no resource.
    pub(crate) path: &'a str,
}

impl Wish<'_> {
    /// The resource with its subresource.
    pub(crate) fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    /// Why it is refused, in the real server's words.
    pub(crate) fn refusal(&self, user: &User) -> String {
        if self.resource.is_empty() {
            return format!("User \"{}\" cannot {} path \"{}\"", user.name, self.verb, self.path);
        }
        let place = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{}\"", self.namespace)
        };
        format!(
            "User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
            user.name,
            self.verb,
            self.full_resource(),
            self.group
        )
    }

    /// Whether a rule of a role grants it.
    fn is_granted_by(&self, rule: &Value) -> bool {
        let has = |field, wanted: &str| json::items(rule, &[field]).iter().any(|item| item == "*" || item == wanted);
        if !has("verbs", self.verb) {
            return false;
        }
        if self.resource.is_empty() {
            let paths = json::items(rule, &["nonResourceURLs"]).iter().filter_map(Value::as_str);
            return paths.into_iter().any(|path| match path.strip_suffix('*') {
                Some(prefix) => self.path.starts_with(prefix),
                None => self.path == path,
            });
        }
        let every = format!("*/{}", self.subresource);
        let resource = self.full_resource();
        let resources = json::items(rule, &["resources"]);
        let covers = resources
            .iter()
            .any(|item| item == "*" || *item == *resource || (!self.subresource.is_empty() && *item == *every));
        let names = json::items(rule, &["resourceNames"]);
        covers && has("apiGroups", self.group) && (names.is_empty() || names.iter().any(|name| name == self.name))
    }
}

impl Cluster {
    /// The user that a bearer token stands for.
    pub(crate) fn holder(&self, token: &str) -> Option<User> {
        let mut user = self.options.tokens.get(token).cloned().or_else(|| self.issued.holder(self, token))?;
        user.groups.push("system:authenticated".to_owned());
        Some(user)
    }

    /// Whether a user may do what they want to. Everybody may do everything where RBAC is off.
    pub(crate) fn allows(&self, user: &User, wish: &Wish<'_>) -> bool {
        !self.options.rbac
            || user.may_do_everything()
            || self.rules(user, wish.namespace).iter().any(|rule| wish.is_granted_by(rule))
    }

    /// The rules of all roles that are bound to a user, in the cluster and in a namespace.
    pub(crate) fn rules(&self, user: &User, namespace: &str) -> Vec<Value> {
        let mut bindings: Vec<Value> = Vec::new();
        let (all, _) = self.store_of(Role::ClusterRoleBinding).all();
        bindings.extend(all.iter().map(|binding| binding.value()));
        if !namespace.is_empty() {
            let local = self.store_of(Role::RoleBinding).in_namespace(namespace);
            bindings.extend(local.iter().map(|binding| binding.value()));
        }
        let bound = bindings.iter().filter(|binding| {
            json::items(binding, &["subjects"]).iter().any(|subject| user.is_subject(subject, namespace))
        });
        bound.flat_map(|binding| self.role_rules(binding)).collect()
    }

    fn role_rules(&self, binding: &Value) -> Vec<Value> {
        let name = json::text(binding, &["roleRef", "name"]);
        let role = match json::text(binding, &["roleRef", "kind"]) {
            "ClusterRole" => self.store_of(Role::ClusterRole).get(name),
            "Role" => {
                let namespace = json::text(binding, &["metadata", "namespace"]);
                self.store_of(Role::Role).get(&format!("{namespace}/{name}"))
            }
            _ => None,
        };
        role.map(|role| json::items(&role.value(), &["rules"]).to_vec()).unwrap_or_default()
    }
}

/// The roles without which no client finds its way, as every cluster has them.
pub(crate) fn initial_objects() -> Vec<Value> {
    let role = |name: &str, rule: Value| {
        serde_json::json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
            "rules": [rule],
        })
    };
    let binding = |name: &str, groups: &[&str]| {
        let subjects: Vec<Value> = groups
            .iter()
            .map(|group| serde_json::json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}))
            .collect();
        serde_json::json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": subjects,
        })
    };
    let paths = |paths: &[&str]| serde_json::json!({"verbs": ["get"], "nonResourceURLs": paths});
    let health = ["/healthz", "/livez", "/readyz", "/version", "/version/"];
    let discovery = [&health[..], &["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"]].concat();
    let own = serde_json::json!({
        "verbs": ["create"], "apiGroups": ["authorization.k8s.io", "authentication.k8s.io"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"],
    });
    let everything =
        serde_json::json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "nonResourceURLs": ["*"]});
    vec![
        role("cluster-admin", everything),
        binding("cluster-admin", &[MASTERS]),
        role("system:discovery", paths(&discovery)),
        binding("system:discovery", &["system:authenticated"]),
        role("system:public-info-viewer", paths(&health)),
        binding("system:public-info-viewer", &["system:authenticated", "system:unauthenticated"]),
        role("system:basic-user", own),
        binding("system:basic-user", &["system:authenticated"]),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{User, Wish};

    #[test]
    fn rules_grant_what_they_name() {
        let wish = |verb, resource, subresource, name| Wish { verb, resource, subresource, name, ..Wish::default() };
        let rule = |resources: serde_json::Value, names: serde_json::Value| json!({"verbs": ["get", "create"], "apiGroups": [""], "resources": resources, "resourceNames": names});
        for (rule, wish, want) in [
            (rule(json!(["pods"]), json!([])), wish("get", "pods", "", "a"), true),
            (rule(json!(["pods"]), json!([])), wish("list", "pods", "", ""), false),
            (rule(json!(["pods"]), json!([])), wish("create", "pods", "binding", "a"), false),
            (rule(json!(["pods/binding"]), json!([])), wish("create", "pods", "binding", "a"), true),
            (rule(json!(["*/binding"]), json!([])), wish("create", "pods", "binding", "a"), true),
            (rule(json!(["*"]), json!([])), wish("create", "pods", "binding", "a"), true),
            (rule(json!(["pods"]), json!(["a"])), wish("get", "pods", "", "a"), true),
            (rule(json!(["pods"]), json!(["a"])), wish("get", "pods", "", "b"), false),
            (rule(json!(["pods"]), json!(["a"])), wish("create", "pods", "", ""), false),
            (rule(json!(["pods"]), json!([])), Wish { group: "apps", ..wish("get", "pods", "", "a") }, false),
            (
                json!({"verbs": ["*"], "nonResourceURLs": ["/api/*"]}),
                Wish { verb: "get", path: "/api/v1", ..Wish::default() },
                true,
            ),
            (
                json!({"verbs": ["*"], "nonResourceURLs": ["/api"]}),
                Wish { verb: "get", path: "/api/v1", ..Wish::default() },
                false,
            ),
        ] {
            assert_eq!(wish.is_granted_by(&rule), want, "{rule} {wish:?}");
        }
    }

    #[test]
    fn subjects_are_users_groups_and_service_accounts() {
        let bot = User::service_account("team", "bot");
        assert!(bot.is_subject(&json!({"kind": "ServiceAccount", "namespace": "team", "name": "bot"}), ""));
        assert!(bot.is_subject(&json!({"kind": "ServiceAccount", "name": "bot"}), "team"));
        assert!(bot.is_subject(&json!({"kind": "Group", "name": "system:serviceaccounts:team"}), ""));
        assert!(bot.is_subject(&json!({"kind": "User", "name": "system:serviceaccount:team:bot"}), ""));
        assert!(!bot.is_subject(&json!({"kind": "ServiceAccount", "namespace": "other", "name": "bot"}), "team"));
    }
}
