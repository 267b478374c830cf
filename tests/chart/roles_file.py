"""The roles that the program's own tests give the scheduler: those that the chart renders.

`tests/chart/run.sh --write-roles` writes them; a test fails when they are out of date. The whole end-to-end suite runs with
them against a server that enforces them, so what the scheduler asks for beyond them is refused there.
"""

import copy
import json
import pathlib

from chart import install, with_image

FILE = pathlib.Path("tests/e2e/roles.json")
KINDS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


def text():
    def rendered(**values):
        docs = install(with_image(**values), release="plimsoll", namespace="kube-system")
        return copy.deepcopy([docs.one(kind) for kind in KINDS])

    docs = rendered()
    # Of the suite's schedulers some keep budgets strictly, and evict where the others delete.
    strict = rendered(plimsollConfig={"preemption": {"podDisruptionBudgets": "Strict"}})
    docs[0]["rules"] += [rule for rule in strict[0]["rules"] if rule not in docs[0]["rules"]]
    for doc in docs:
        # They change with every version, and say nothing of what is permitted.
        del doc["metadata"]["labels"]
    return json.dumps(docs, indent=1) + "\n"


def write():
    FILE.write_text(text())
