"""Every file of examples/ does what it says, on the stand-in API server and with the scheduler as a process."""

import collections
import pathlib

import yaml

from cluster import Cluster
from data import GROUPS, check_fields
from wrong import Wrong

EXAMPLES = pathlib.Path("examples")
ROOM = {"cpu": "4", "memory": "16Gi", "pods": "110"}


def node(name, **labels):
    labels = {key.replace("__", "/"): value for key, value in labels.items()}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name} | labels},
            "status": {"capacity": ROOM, "allocatable": ROOM, "conditions": [{"type": "Ready", "status": "True"}]}}


def nodes(number, zones=1):
    return [node(f"n{n}", **{"topology.kubernetes.io__zone": f"zone-{n % zones}"}) for n in range(number)]


class Stage:
    """A cluster with a scheduler, and where the pods of an example went."""

    def __init__(self, objects, config=None, arguments=()):
        self.cluster = Cluster(manifests=["tests/docs/kinds.yaml"], arguments=arguments)
        for one in objects:
            self.cluster.apply(one)
        self.cluster.run(config)

    def apply(self, name):
        self.cluster.apply_file(EXAMPLES / name)

    def placed(self, app, number):
        """The nodes of an example's pods, once that many have one."""
        def found():
            pods = self.cluster.pods(f"app={app}")
            given = [pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")]
            return given if len(given) == number else None

        return collections.Counter(self.cluster.until(f"{number} pods of {app} have nodes", found))


def expect(holds, what, got):
    if not holds:
        raise Wrong(f"{what}, but {got}")


def nginx(stage):
    stage.apply("nginx.yaml")
    on = stage.placed("nginx", 3)
    expect(len(on) == 3, "the three pods are on three nodes", on)


def cronjob(stage):
    stage.apply("cronjob.yaml")
    stage.placed("report", 1)


def gang(stage):
    # Room for three of the four: nobody gets a node. Then a node comes.
    stage.cluster.apply(small_node("a", "600m"))
    stage.apply("gang.yaml")
    refused(stage, "training", 4, "pod group is unschedulable")
    stage.cluster.apply(small_node("b", "200m"))
    on = stage.placed("training", 4)
    expect(on == {"a": 3, "b": 1}, "all four have a place", on)


def gang_podgroup(stage):
    stage.cluster.apply(small_node("a", "400m"))
    stage.apply("gang-podgroup.yaml")
    refused(stage, "mpi", 3, "pod group is unschedulable")
    stage.cluster.apply(small_node("b", "400m"))
    on = stage.placed("mpi", 3)
    expect(set(on) == {"a", "b"}, "all three have a place", on)


def small_node(name, cpu):
    one = node(name)
    for key in ("capacity", "allocatable"):
        one["status"][key] = ROOM | {"cpu": cpu}
    return one


def refused(stage, app, number, message):
    """All pods say the same, and none has a node."""
    def said():
        pods = stage.cluster.pods(f"app={app}")
        return len(pods) == number and all(
            any(message in condition.get("message", "") for condition in pod["status"].get("conditions", [])) for pod in pods)

    stage.cluster.until(f"all pods of {app} say {message!r}", said)
    on = [pod["spec"].get("nodeName") for pod in stage.cluster.pods(f"app={app}")]
    expect(not any(on), "none has a node", on)


def spread(stage):
    stage.apply("spread.yaml")
    on = stage.placed("spread", 6)
    expect(set(on.values()) == {1}, "each of six nodes in three zones has one", on)


def priority(stage):
    stage.apply("priority.yaml")
    stage.placed("background", 8)
    stage.apply("priority-urgent.yaml")
    stage.placed("urgent", 2)
    stage.cluster.until("both sides are told", lambda: {"Preempted", "Preempting"} <= {
        event["reason"] for event in stage.cluster.list("/api/v1/namespaces/default/events")})


def plugins(stage):
    stage.apply("nginx.yaml")
    on = stage.placed("nginx", 3)
    expect(set(on) == {"plain"}, "only the node without a tier takes them", on)


def demo_cluster(stage):
    stage.apply("nginx-and-cronjobs.yaml")
    on = stage.placed("web-nginx", 3)
    expect(set(on) <= {"kind-worker", "kind-worker2"}, "the workers take nginx", on)


# Which files, on which nodes, with which options, and what has to come of it.
TABLE = [
    ("nginx.yaml", nodes(3), {}, nginx),
    ("cronjob.yaml", nodes(1), {"arguments": ["--cron-speedup", "600"]}, cronjob),
    ("gang.yaml", [], {}, gang),
    ("gang-podgroup.yaml", [], {}, gang_podgroup),
    ("spread.yaml", nodes(6, zones=3), {}, spread),
    ("priority.yaml priority-urgent.yaml", nodes(2), {}, priority),
    ("plugins.yaml", [node("plain"), node("control", tier="control"), node("cron", tier="cronjob")],
     {"config": EXAMPLES / "plugins.yaml"}, plugins),
    ("nginx-and-cronjobs.yaml", [], {}, demo_cluster),
]


def test_examples():
    """A file or two each."""
    for names, objects, options, play in TABLE:
        def check(names=names, objects=objects, options=options, play=play):
            stage = None
            try:
                stage = Stage(objects, **options)
                play(stage)
            finally:
                if stage:
                    stage.cluster.close()

        yield f"examples/{names}", check


def test_examples_have_no_field_that_is_misspelt():
    for path in sorted(EXAMPLES.glob("*.yaml")):
        def check(path=path):
            for doc in yaml.safe_load_all(path.read_text()):
                if doc["kind"] not in GROUPS:
                    check_fields(doc)

        yield path.name, check


def test_every_example_is_tried_and_listed():
    files = {path.name for path in EXAMPLES.glob("*.yaml")}
    tried = {name for names, *_ in TABLE for name in names.split()}
    expect(files == tried, f"tests/docs/examples.py tries {sorted(tried)}", f"there are {sorted(files)}")
    readme = (EXAMPLES / "README.md").read_text()
    missing = [name for name in files if f"({name})" not in readme]
    expect(not missing, "examples/README.md lists every example", f"not {missing}")
