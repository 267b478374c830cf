"""Names come from the full name, selectors never change, and releases do not get in each other's way."""

from functools import partial

from chart import CHART, CI_VALUES, OPERATOR, ci_values, install, with_image
from helm_engine import Helm
from stand_in import StandIn

ROLES = {"ClusterRole", "ClusterRoleBinding"}
POLICIES = {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"}


def names_derive(values_name):
    values = ci_values(values_name)
    # Their names are the user's.
    values.pop("extraObjects", None)
    rendered = install(values, release="blue", namespace="ops")
    fullname = rendered.one("Deployment")["metadata"]["name"]
    for doc in rendered.docs:
        name, kind = doc["metadata"]["name"], doc["kind"]
        allowed = {fullname}
        if kind in ROLES:
            allowed = {f"{fullname}:ops", f"{fullname}:ops:metrics-reader"}
        elif kind in POLICIES:
            allowed = {f"{fullname}.ops"}
        elif kind == "ConfigMap":
            allowed |= {f"{fullname}-dashboards"}
        assert name in allowed, f"{kind} is named {name}"
        assert (kind in ROLES | POLICIES) != ("namespace" in doc["metadata"]), kind
    for doc in rendered.hooks:
        assert doc["metadata"]["name"] == f"{fullname}-test" and doc["metadata"]["namespace"] == "ops", doc


def test_every_name_is_the_full_name():
    for name in CI_VALUES:
        yield name, partial(names_derive, name)


def test_full_names():
    rows = [
        ("release and chart", "blue", {}, "blue-plimsoll"),
        ("the release says it already", "plimsoll", {}, "plimsoll"),
        ("overridden chart name", "blue", {"nameOverride": "sched"}, "blue-sched"),
        ("overridden as a whole", "blue", {"fullnameOverride": "sched"}, "sched"),
        ("a name that looks like a number", "blue", {"fullnameOverride": "123"}, "123"),
        ("cut to a label's length", "b" * 53, {"nameOverride": "s" * 30}, "b" * 53 + "-" + "s" * 9),
    ]
    for label, release, values, expected in rows:

        def row(release=release, values=values, expected=expected):
            name = install(with_image(**values), release=release).one("Deployment")["metadata"]["name"]
            assert name == expected, name

        yield label, row


def installed_together(releases):
    """Installs (release, namespace) pairs into one cluster; gives the keys of all objects that this adds."""
    values = ci_values("monitoring") | {key: ci_values("admission")[key] for key in ("config", "admissionPolicy")}
    # Where monitors are kept is the user's choice, and two of one name there would be the user's collision.
    values["metrics"]["serviceMonitor"]["namespace"] = ""
    with StandIn(workloads=False, manifests=[OPERATOR]) as stand_in:
        for _, namespace in releases:
            stand_in.namespace(namespace)
        before = stand_in.objects()
        for release, namespace in releases:
            Helm(stand_in, namespace).install(release, str(CHART), values)
        return stand_in.objects() - before


def test_two_releases_side_by_side():
    for label, releases in {
        "in one namespace": [("blue", "ops"), ("green", "ops")],
        "of one name in two namespaces": [("blue", "ops"), ("blue", "dev")],
    }.items():

        def row(releases=releases):
            one = len(installed_together(releases[:1]))
            assert len(installed_together(releases)) == 2 * one

        yield label, row


def test_selectors_are_only_name_and_instance_and_agree():
    rendered = install(ci_values("monitoring"), release="blue")
    expected = {"app.kubernetes.io/name": "plimsoll", "app.kubernetes.io/instance": "blue"}
    deployment = rendered.one("Deployment")["spec"]
    assert deployment["selector"] == {"matchLabels": expected}
    assert rendered.one("Service")["spec"]["selector"] == expected
    assert rendered.one("PodDisruptionBudget")["spec"]["selector"] == {"matchLabels": expected}
    assert rendered.one("ServiceMonitor")["spec"]["selector"] == {"matchLabels": expected}
    for constraint in deployment["template"]["spec"]["topologySpreadConstraints"]:
        assert constraint["labelSelector"] == {"matchLabels": expected}
    for labels in (deployment["template"]["metadata"]["labels"], rendered.one("Service")["metadata"]["labels"]):
        assert labels.items() >= expected.items()


def test_labels_of_the_user_are_added_and_never_win():
    mine = {"team": "platform", "app.kubernetes.io/name": "hijacked"}
    rendered = install(with_image(commonLabels=mine, podLabels={"app.kubernetes.io/instance": "hijacked"}), release="blue")
    for labels in [doc["metadata"]["labels"] for doc in rendered.docs] + [rendered.pod()["metadata"]["labels"]]:
        assert labels["team"] == "platform"
        assert labels["app.kubernetes.io/name"] == "plimsoll"
        assert labels["app.kubernetes.io/instance"] == "blue"


def test_upgrade_keeps_the_selector_and_uninstall_leaves_nothing():
    with StandIn(workloads=False, manifests=[OPERATOR]) as stand_in:
        for namespace in ("ops", "monitoring"):
            stand_in.namespace(namespace)
        before = stand_in.objects()
        helm = Helm(stand_in, "ops")

        def spec():
            return stand_in.get("/apis/apps/v1/namespaces/ops/deployments/blue-plimsoll")["spec"]

        helm.install("blue", str(CHART), ci_values("default"))
        first = spec()
        # Things are added, changed and taken away, and at the end it is as if it had always been so.
        for values_name in ("monitoring", "extras", "admission", "batch", "default"):
            helm.upgrade("blue", str(CHART), ci_values(values_name))
            assert spec()["selector"] == first["selector"], values_name
            assert values_name == "default" or spec()["template"] != first["template"], values_name
        assert spec() == first
        rendered = {(doc["kind"], doc["metadata"].get("namespace", ""), doc["metadata"]["name"])
                    for doc in install(ci_values("default"), release="blue").docs}
        assert stand_in.objects() - before == rendered
        helm.uninstall("blue")
        left = stand_in.objects() - before
        assert not left, left
