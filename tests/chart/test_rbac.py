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


def writing(*resources):
    """What is granted with budgets as they are by default, but for what these need that is no reading."""
    without = {}
    for (group, resource), verbs in CLUSTER.items():
        if resource == "pods/eviction":
            continue
        verbs = verbs - {"patch", "delete"} if resource in resources else verbs
        without |= {(group, resource, None): verbs} if verbs else {}
    return without


def test_exactly_the_expected_table():
    rendered = install(with_image())
    cluster_role, role = rendered.one("ClusterRole"), rendered.one("Role")
    assert granted(cluster_role) == writing()
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
    expected = {key: verbs for key, verbs in writing().items() if key[:2] not in SECURED}
    assert granted(rendered.one("ClusterRole")) == expected


def test_strict_budgets_ask_for_eviction_and_do_not_delete():
    values = with_image(plimsollConfig={"preemption": {"podDisruptionBudgets": "Strict"}})
    expected = writing("pods") | {("", "pods/eviction", None): {"create"}}
    assert granted(install(values).one("ClusterRole")) == expected


def test_what_can_be_left_out_and_added():
    expected = writing("pods", "persistentvolumes", "persistentvolumeclaims")
    assert granted(install(ci_values("extras")).one("ClusterRole")) == expected | {
        ("example.com", "widgets", None): {"list", "watch"},
    }


def test_in_shadow_nothing_is_written():
    for label, values in {"mode": {"plimsollConfig": {"mode": "Shadow"}}, "preset": {"preset": "shadow"}}.items():

        def row(values=values):
            rendered = install(with_image(**values))
            assert not rendered.of_kind("Role") and not rendered.of_kind("RoleBinding"), "no lease is held"
            table = granted(rendered.one("ClusterRole"))
            # Questions to the API server that are asked by creating something; nothing is kept of them.
            assert {key[:2]: verbs for key, verbs in table.items() if not verbs <= {"get", "list", "watch"}} == SECURED
            reads = {key: verbs & {"get", "list", "watch"} for key, verbs in writing().items()}
            assert {key: verbs for key, verbs in table.items() if key[:2] not in SECURED} == {k: v for k, v in reads.items() if v}

        yield label, row
    yield "without the secured port", shadow_without_secured_port


def shadow_without_secured_port():
    table = granted(install(ci_values("shadow")).one("ClusterRole"))
    assert set().union(*table.values()) == {"get", "list", "watch"}


def test_reading_secured_metrics_is_a_role_of_its_own():
    rendered = install(ci_values("secured"))
    name = "first-sched:ops:metrics-reader"
    role, = [doc for doc in rendered.of_kind("ClusterRole") if doc["metadata"]["name"] == name]
    assert role["rules"] == [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]
    binding, = [doc for doc in rendered.of_kind("ClusterRoleBinding") if doc["metadata"]["name"] == name]
    assert binding["roleRef"]["name"] == name
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "prometheus", "namespace": "monitoring"}]


def test_the_test_may_do_with_pods_what_it_does():
    rendered = install(with_image())
    role, account = rendered.hook("Role"), rendered.hook("ServiceAccount")["metadata"]["name"]
    assert granted(role) == {("", "pods", None): {"create", "delete", "get"}}
    assert_bound(rendered.hook("RoleBinding"), role, account)
    assert rendered.hook("Pod")["spec"]["serviceAccountName"] == account


def test_the_lease_is_made_with_the_release_where_it_is_its_own():
    rendered = install(with_image())
    assert "spec" not in rendered.one("Lease"), "it is the pods' to write"
    for label, values in {
        "another name": {"config": {"leaderElection": {"resourceName": "shared"}}},
        "another namespace": {"config": {"leaderElection": {"resourceNamespace": "leases"}}},
        "no election": {"replicaCount": 1, "config": {"leaderElection": {"leaderElect": False}}},
        "shadow": {"preset": "shadow"},
    }.items():

        def row(values=values):
            assert not install(with_image(**values)).of_kind("Lease")

        yield label, row


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
