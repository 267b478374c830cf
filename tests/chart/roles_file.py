"""The roles that the program's own tests give the scheduler: those that the chart renders.

`tests/chart/run.sh --write-roles` writes them; a test fails when they are out of date. The whole end-to-end suite runs with
them against a server that enforces them, so what the scheduler asks for beyond them is refused there.
"""

import json
import pathlib

from chart import install, with_image

FILE = pathlib.Path("tests/e2e/roles.json")
KINDS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


def text():
    rendered = install(with_image(), release="plimsoll", namespace="kube-system")
    docs = [rendered.one(kind) for kind in KINDS]
    for doc in docs:
        # They change with every version, and say nothing of what is permitted.
        del doc["metadata"]["labels"]
    return json.dumps(docs, indent=1) + "\n"


def write():
    FILE.write_text(text())
