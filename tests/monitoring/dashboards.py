"""The chart's dashboards, and their queries with the variables filled in."""

import json

from chart import install, with_image

# As long as it takes for some scrapes a second apart.
VARIABLES = {"$job": "plimsoll", "$namespace": "ops", "$instance": ".*", "$__rate_interval": "20s"}


def config_map(**values):
    found = install(with_image(dashboards={"enabled": True} | values)).of_kind("ConfigMap")
    return next(doc for doc in found if doc["metadata"]["name"].endswith("-dashboards"))


def dashboards():
    return {name: json.loads(text) for name, text in config_map()["data"].items()}


def panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def filled(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def queries():
    """(where it is, query) of every panel."""
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield f"{name}: {panel['title']} {target['refId']}", filled(target["expr"])
