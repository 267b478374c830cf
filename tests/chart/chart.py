"""What the tests share: values to install with, and what came out of an installation."""

import atexit
import functools
import json
import pathlib

import yaml

from helm_engine import Helm
from stand_in import REPOSITORY, StandIn

CHART = pathlib.Path("charts/plimsoll")
CI_VALUES = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}
IMAGE = {"image": {"repository": "registry.example.com/plimsoll"}}
# The oldest and the newest minor that the chart is for, and the one whose scheduler is the measure.
OLDEST_MINOR, MEASURE_MINOR, NEWEST_MINOR = 31, 36, 37
MINORS = (OLDEST_MINOR, MEASURE_MINOR, NEWEST_MINOR)
# The kinds of the Prometheus Operator.
OPERATOR = REPOSITORY / "tests/chart/monitoring-crds.yaml"
# From here on a cluster serves what gives pods to a scheduler by the label of their namespace.
POLICY_MINOR = 32


def with_image(**values):
    return IMAGE | values


def ci_values(name):
    return yaml.safe_load(CI_VALUES[name].read_text())


def documents(text):
    return [doc for doc in yaml.safe_load_all(text) if doc]


class Rendered:
    """The documents, hooks and notes of one installation."""

    def __init__(self, answer):
        self.docs = documents(answer["manifest"])
        self.hooks = [doc for hook in answer.get("hooks") or [] for doc in documents(hook["manifest"])]
        self.notes = answer["info"]["notes"]

    def of_kind(self, kind):
        return [doc for doc in self.docs if doc["kind"] == kind]

    def one(self, kind):
        found = self.of_kind(kind)
        assert len(found) == 1, f"{len(found)} documents of kind {kind}, expected one"
        return found[0]

    def hook(self, kind):
        found = [doc for doc in self.hooks if doc["kind"] == kind]
        assert len(found) == 1, f"{len(found)} hooks of kind {kind}, expected one"
        return found[0]

    def pod(self):
        """The Deployment's pod template."""
        return self.one("Deployment")["spec"]["template"]

    def container(self):
        containers = self.pod()["spec"]["containers"]
        assert len(containers) == 1, containers
        return containers[0]

    def config_file(self):
        """The two documents of the configuration file."""
        file, = (doc["data"]["config.yaml"] for doc in self.of_kind("ConfigMap") if "config.yaml" in doc["data"])
        return list(yaml.safe_load_all(file))


@functools.lru_cache
def cluster(minor=NEWEST_MINOR, operator=True):
    """A cluster that only keeps objects; one of a kind, for all tests that leave it as they find it."""
    stand_in = StandIn(minor, workloads=False, manifests=[OPERATOR] if operator else [])
    atexit.register(stand_in.close)
    for namespace in ("ops", "dev", "monitoring", "leases"):
        stand_in.namespace(namespace)
    return stand_in


def install(values, release="first", namespace="ops", minor=NEWEST_MINOR, operator=True, chart=CHART):
    """Installs into a cluster, and takes all of it away again; raises helm_engine.Refused with Helm's message."""
    return _install(json.dumps(values), release, namespace, minor, operator, str(chart))


# Many tests look at the same few installations.
@functools.lru_cache
def _install(values, release, namespace, minor, operator, chart):
    stand_in = cluster(minor, operator)
    before = stand_in.objects()
    helm = Helm(stand_in, namespace)
    try:
        rendered = Rendered(helm.install(release, chart, json.loads(values)))
        expected = {(doc["kind"], doc["metadata"].get("namespace", ""), doc["metadata"]["name"]) for doc in rendered.docs}
        assert stand_in.objects() - before == expected, "what is installed is not what was rendered"
        helm.uninstall(release)
    finally:
        left = stand_in.objects() - before
        assert not left, f"left behind: {left}"
    return rendered
