"""docs/security.md tells of every permission that the chart grants, and of no other."""

import pathlib

from chart import install, with_image
from wrong import Wrong


def test_the_table_of_permissions_is_the_charts():
    granted = set()
    for preemption in ({}, {"podDisruptionBudgets": "Strict"}):
        rendered = install(with_image(plimsollConfig={"preemption": preemption}, tests={"enabled": False}))
        for kind in ("ClusterRole", "Role"):
            for rule in rendered.one(kind)["rules"]:
                granted |= {(verb, resource) for verb in rule["verbs"] for resource in rule["resources"]}
    told = set()
    for line in pathlib.Path("docs/security.md").read_text().split("| It may |")[1].split("\n\n")[0].splitlines()[2:]:
        _, verbs, resources, *_ = line.split("|")
        told |= {(verb.strip(), resource.strip()) for verb in verbs.split(",") for resource in resources.split(",")}
    if granted != told:
        raise Wrong(f"not told: {sorted(granted - told)}; told and not granted: {sorted(told - granted)}")
