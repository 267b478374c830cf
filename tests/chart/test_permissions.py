"""What becomes of the scheduler without one of the rules that the chart grants: whoever does not need it is placed all the same, and
the log names verb and resource."""

import re
from functools import partial

from as_configured import Scheduler, until
from chart import install, with_image
from installation import deployment, installed, node_of, placed
from stand_in import path_of

ROLES = "/apis/rbac.authorization.k8s.io/v1"
# Without these there is nothing to decide on, or nothing may come of it.
NEEDED_BY_ALL = {"nodes", "pods", "pods/binding", "leases"}
IMAGE = "registry.example.com/app"


def container(cpu):
    return [{"name": "c", "image": IMAGE, "resources": {"requests": {"cpu": cpu}}}]


def claim_a_volume(stand_in, _):
    """A pod whose claim waits for its first consumer."""
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-0"]}]}
    common = {"storageClassName": "local", "accessModes": ["ReadWriteOnce"]}
    stand_in.create("storageclasses", {
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "local"},
        "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"})
    stand_in.create("persistentvolumes", {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk"}, "spec": common | {
            "capacity": {"storage": "1Gi"}, "local": {"path": "/data"}, "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}})
    stand_in.call("PATCH", "/api/v1/persistentvolumes/disk/status", {"status": {"phase": "Available"}})
    stand_in.create("persistentvolumeclaims", {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "default"},
        "spec": common | {"resources": {"requests": {"storage": "1Gi"}}}})
    stand_in.pod("claims", "plimsoll", volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}])


def ask_for_too_much(stand_in, _):
    stand_in.pod("huge", "plimsoll", containers=container("1000"))


def need_the_place_of_another(stand_in, _):
    for name, value in {"low": 0, "high": 1000}.items():
        stand_in.create("priorityclasses", {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
                                            "metadata": {"name": name}, "value": value})
    # Each takes the most of the only node.
    stand_in.pod("low", "plimsoll", priorityClassName="low", containers=container("20"))
    until("the first to be placed", lambda: node_of(stand_in, "low"))
    stand_in.pod("high", "plimsoll", priorityClassName="high", containers=container("20"))


def be_a_group(stand_in, _):
    stand_in.create("podgroups", {
        "apiVersion": "scheduling.k8s.io/v1alpha2", "kind": "PodGroup", "metadata": {"name": "g", "namespace": "default"},
        "spec": {"schedulingPolicy": {"gang": {"minCount": 1}}}})
    stand_in.pod("one", "plimsoll", schedulingGroup={"podGroupName": "g"})


def ask_the_secured_port(stand_in, scheduler):
    assert scheduler.secure_status("/metrics", stand_in.token("ops", "default")) in (403, 500, 503)


def nothing(*_):
    pass


# What makes the scheduler do what a rule is for, by the first resource of the rule and whether it is about reading. Lists, watches,
# events and the lease need no cause.
CAUSES = {
    "pods": need_the_place_of_another,
    "pods/eviction": need_the_place_of_another,
    "pods/status": ask_for_too_much,
    "persistentvolumeclaims": claim_a_volume,
    "podgroups/status": be_a_group,
    "tokenreviews": ask_the_secured_port,
    "subjectaccessreviews": ask_the_secured_port,
}
READS = {"get", "list", "watch"}


def without(values, kind, namespace, index):
    with installed(values, nodes=1, minor=36) as (stand_in, _, rendered):
        stand_in.create("serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount",
                                            "metadata": {"name": "default", "namespace": "ops"}})
        role = rendered.one(kind)
        rule = role["rules"].pop(index)
        path = path_of(role["apiVersion"], f"{kind.lower()}s", namespace, role["metadata"]["name"])
        stand_in.call("PATCH", path, {"rules": role["rules"]})
        if rule["verbs"] == ["create"] and rule["resources"] == ["leases"]:
            # The chart has made it: it is missed only where it is gone.
            stand_in.call("DELETE", "/apis/coordination.k8s.io/v1/namespaces/ops/leases/first-plimsoll")
        reads = set(rule["verbs"]) <= READS
        needed = set(rule["resources"]) & NEEDED_BY_ALL and (reads or "pods" not in rule["resources"])
        with Scheduler(stand_in, "ops", deployment(rendered), ready=False) as scheduler:
            stand_in.pod("plain", "plimsoll")
            if not needed:
                placed(stand_in, scheduler, ["plain"])
                scheduler.wait_until_ready()
                (nothing if reads else CAUSES.get(rule["resources"][0], nothing))(stand_in, scheduler)
            verbs, resources = "|".join(rule["verbs"]), "|".join(map(re.escape, rule["resources"]))
            named = re.compile(rf"(not permitted to ({verbs}) ({resources})\b)|(missing permission.* ({verbs}) .*({resources})\b)"
                               rf"|(cannot ({verbs}) resource \"({resources})\")")
            said = until(lambda: f"{named.pattern} in:\n{scheduler.log()}", lambda: [line for line in scheduler.log().splitlines() if named.search(line)])
            assert any("ERROR" in line for line in said), said
            if needed:
                assert not node_of(stand_in, "plain")


def test_without_one_rule():
    for label, values in {"": with_image(), "strict budgets, ": with_image(plimsollConfig={"preemption": {"podDisruptionBudgets": "Strict"}})}.items():
        rendered = install(values)
        for kind, namespace in (("ClusterRole", None), ("Role", "ops")):
            for index, rule in enumerate(rendered.one(kind)["rules"]):
                if label and "pods/eviction" not in rule["resources"]:
                    continue
                name = f"{label}{' '.join(rule['verbs'])} {' '.join(rule['resources'])}"
                yield name, partial(without, values, kind, namespace, index)
