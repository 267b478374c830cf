"""Permissions: exactly what the scheduler asks for, and nothing beside it."""

import roles_file
from chart import ci_values, install, with_image

# What the secured port needs, and nothing else does.
SECURED = {
    ("authentication.k8s.io", "tokenreviews"): {"create"},
    ("authorization.k8s.io", "subjectaccessreviews"): {"create"},
}
# (group, resource): verbs. A permission is added here only together with the code that uses it.
CLUSTER = {
    ("", "nodes"): {"list", "watch"},
    ("", "namespaces"): {"list", "watch"},
    ("", "pods"): {"get", "list", "watch", "delete"},
    ("", "pods/eviction"): {"create"},
    ("", "pods/binding"): {"create"},
    ("", "pods/status"): {"patch"},
    ("events.k8s.io", "events"): {"create", "patch"},
    ("", "persistentvolumeclaims"): {"list", "watch", "patch"},
    ("", "persistentvolumes"): {"list", "watch", "patch"},
    ("", "replicationcontrollers"): {"list", "watch"},
    ("", "services"): {"list", "watch"},
    ("storage.k8s.io", "csidrivers"): {"list", "watch"},
    ("storage.k8s.io", "csinodes"): {"list", "watch"},
    ("storage.k8s.io", "csistoragecapacities"): {"list", "watch"},
    ("storage.k8s.io", "storageclasses"): {"list", "watch"},
    ("storage.k8s.io", "volumeattachments"): {"list", "watch"},
    ("resource.k8s.io", "deviceclasses"): {"list", "watch"},
    ("apps", "replicasets"): {"list", "watch"},
    ("apps", "statefulsets"): {"list", "watch"},
    ("policy", "poddisruptionbudgets"): {"list", "watch"},
    ("scheduling.k8s.io", "podgroups"): {"list", "watch"},
    ("scheduling.x-k8s.io", "podgroups"): {"list", "watch"},
    ("scheduling.sigs.k8s.io", "podgroups"): {"list", "watch"},
    ("scheduling.k8s.io", "podgroups/status"): {"patch"},
    **SECURED,
}
# (group, resource, name or None): verbs, in the lease's namespace.
LEASE = {
    ("coordination.k8s.io", "leases", None): {"create"},
    ("coordination.k8s.io", "leases", "first-plimsoll"): {"get", "watch", "update"},
}


def granted(role):
    """(group, resource, name or None): verbs."""
    table = {}
    for rule in role["rules"]:
        assert set(rule) <= {"apiGroups", "resources", "verbs", "resourceNames"}, rule
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", [None]):
                    assert "*" not in (group, resource, name, *rule["verbs"]), rule
                    table.setdefault((group, resource, name), set()).update(rule["verbs"])
    return table


def assert_bound(binding, role, account):
    assert binding["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io", "kind": role["kind"], "name": role["metadata"]["name"],
    }
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "ops"}]
    assert binding["metadata"].get("namespace") == role["metadata"].get("namespace")


def test_exactly_the_expected_table():
    rendered = install(with_image())
    cluster_role, role = rendered.one("ClusterRole"), rendered.one("Role")
    assert granted(cluster_role) == {(*key, None): verbs for key, verbs in CLUSTER.items()}
    assert granted(role) == LEASE
    assert role["metadata"]["namespace"] == "ops"
    account = rendered.one("ServiceAccount")["metadata"]["name"]
    assert rendered.pod()["spec"]["serviceAccountName"] == account
    assert_bound(rendered.one("ClusterRoleBinding"), cluster_role, account)
    assert_bound(rendered.one("RoleBinding"), role, account)


def test_more_profiles_and_monitoring_need_no_more():
    one, many = install(with_image()), install(ci_values("monitoring"))
    for kind in ("ClusterRole", "Role"):
        assert granted(one.one(kind)) == granted(many.one(kind))


def test_without_the_secured_port_nobody_is_asked_about():
    rendered = install(with_image(secureServing={"enabled": False}))
    expected = {(*key, None): verbs for key, verbs in CLUSTER.items() if key not in SECURED}
    assert granted(rendered.one("ClusterRole")) == expected


def test_the_role_follows_the_lease():
    election = {"resourceName": "shared", "resourceNamespace": "leases"}
    rendered = install(with_image(config={"leaderElection": election}))
    assert rendered.config_file()[0]["leaderElection"] == election | {"leaderElect": True}
    role = rendered.one("Role")
    assert role["metadata"]["namespace"] == "leases"
    assert ("coordination.k8s.io", "leases", "shared") in granted(role)
    assert_bound(rendered.one("RoleBinding"), role, "first-plimsoll")


def test_no_election_needs_no_lease():
    rendered = install(with_image(replicaCount=1, config={"leaderElection": {"leaderElect": False}}))
    assert not rendered.of_kind("Role") and not rendered.of_kind("RoleBinding")
    assert rendered.of_kind("ClusterRole")


def test_accounts_and_roles_can_come_from_elsewhere():
    rendered = install(ci_values("single"))
    for kind in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"):
        assert not rendered.of_kind(kind), kind
    assert rendered.pod()["spec"]["serviceAccountName"] == "provided"


def test_the_program_is_tested_with_these_roles():
    assert roles_file.FILE.read_text() == roles_file.text(), "out of date: tests/chart/run.sh --write-roles"
