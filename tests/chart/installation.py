"""A release in a cluster that asks for permissions, and what is looked at there."""

import contextlib

from as_configured import until
from chart import CHART, OPERATOR, Rendered
from helm_engine import Helm
from stand_in import StandIn

PODS = "/api/v1/namespaces/default/pods"


@contextlib.contextmanager
def installed(values, release="first", namespace="ops", **options):
    """A cluster that asks for permissions, with one release; gives both, and what was rendered."""
    options = {"nodes": 6, "rbac": True, "manifests": [OPERATOR]} | options
    with StandIn(**options) as stand_in:
        for name in ("ops", "dev", "monitoring"):
            stand_in.namespace(name)
        helm = Helm(stand_in, namespace)
        yield stand_in, helm, Rendered(helm.install(release, str(CHART), values))


def deployment(rendered):
    return rendered.one("Deployment")["metadata"]["name"]


def node_of(stand_in, name, namespace="default"):
    return stand_in.get(f"/api/v1/namespaces/{namespace}/pods/{name}")["spec"].get("nodeName")


def placed(stand_in, scheduler, names):
    """The nodes of pods, waited for."""
    def all_placed():
        nodes = [node_of(stand_in, name) for name in names]
        return nodes if all(nodes) else None
    return until(lambda: f"nodes for {names}:\n{scheduler.log()}", all_placed)


def samples(scheduler, prefix):
    """name{labels}: value of the metrics that begin so."""
    lines = (line.rpartition(" ") for line in scheduler.metrics().splitlines() if line.startswith(prefix))
    return {name: float(value) for name, _, value in lines}


def missing(scheduler):
    return [name for name, value in samples(scheduler, "plimsoll_missing_permissions").items() if value]
