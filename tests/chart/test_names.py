"""Names come from the full name, selectors never change, and releases do not get in each other's way."""

from functools import partial

from chart import CHART, CI_VALUES, NEWEST_MINOR, ci_values, install, with_image
from fake_api import FakeApi
from helm_engine import Helm

CLUSTER_SCOPED = {"ClusterRole", "ClusterRoleBinding"}


def names_derive(values_name):
    rendered = install(ci_values(values_name), release="blue", namespace="ops")
    fullname = rendered.one("Deployment")["metadata"]["name"]
    for doc in rendered.docs:
        name = doc["metadata"]["name"]
        expected = f"{fullname}:ops" if doc["kind"] in CLUSTER_SCOPED else fullname
        # A second object of a kind has an addition.
        assert name in (expected, f"{expected}-dashboards"), f"{doc['kind']} is named {name}"
        assert doc["kind"] in CLUSTER_SCOPED or doc["metadata"]["namespace"], doc["kind"]


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
    """Installs (release, namespace) pairs into one cluster; answers the keys of all objects that are there."""
    api = FakeApi(NEWEST_MINOR)
    values = ci_values("monitoring")
    # Where monitors are kept is the user's choice, and two of one name there would be the user's collision.
    values["metrics"]["serviceMonitor"]["namespace"] = ""
    for release, namespace in releases:
        Helm(api, namespace).install(release, str(CHART), values)
    keys = list(api.store)
    api.close()
    return keys


def test_two_releases_side_by_side():
    one = len(installed_together([("blue", "ops")]))
    for label, releases in {
        "in one namespace": [("blue", "ops"), ("green", "ops")],
        "of one name in two namespaces": [("blue", "ops"), ("blue", "dev")],
    }.items():

        def row(releases=releases):
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
    api = FakeApi(NEWEST_MINOR)
    helm = Helm(api, "ops")
    deployment = ("Deployment", "ops", "blue-plimsoll")

    helm.install("blue", str(CHART), ci_values("default"))
    before = api.store[deployment]["spec"]
    helm.upgrade("blue", str(CHART), ci_values("monitoring"))
    after = api.store[deployment]["spec"]
    assert before["selector"] == after["selector"]
    assert before["template"] != after["template"]

    helm.uninstall("blue")
    assert not api.store, list(api.store)
    api.close()
