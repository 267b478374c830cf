"""What the tests share: values to install with, and what came out of an installation."""

import functools
import json
import pathlib

import yaml

from fake_api import FakeApi
from helm_engine import Helm

CHART = pathlib.Path("charts/plimsoll")
CI_VALUES = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}
IMAGE = {"image": {"repository": "registry.example.com/plimsoll"}}
# The oldest and the newest minor that the chart is for; the schemas of both are at hand.
OLDEST_MINOR, NEWEST_MINOR = 31, 37


def with_image(**values):
    return IMAGE | values


def ci_values(name):
    return yaml.safe_load(CI_VALUES[name].read_text())


class Rendered:
    """The documents and notes of one installation."""

    def __init__(self, answer):
        self.docs = [doc for doc in yaml.safe_load_all(answer["manifest"]) if doc]
        self.notes = answer["info"]["notes"]

    def of_kind(self, kind):
        return [doc for doc in self.docs if doc["kind"] == kind]

    def one(self, kind):
        found = self.of_kind(kind)
        assert len(found) == 1, f"{len(found)} documents of kind {kind}, expected one"
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
        return list(yaml.safe_load_all(self.one("ConfigMap")["data"]["config.yaml"]))


def install(values, release="first", namespace="ops", minor=NEWEST_MINOR):
    """Installs into a fresh cluster; raises helm_engine.Refused with Helm's message."""
    return _install(json.dumps(values), release, namespace, minor)


# Many tests look at the same few installations.
@functools.lru_cache
def _install(values, release, namespace, minor):
    api = FakeApi(minor)
    try:
        return Rendered(Helm(api, namespace).install(release, str(CHART), json.loads(values)))
    finally:
        api.close()
