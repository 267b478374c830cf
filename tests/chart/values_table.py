"""The table of values in the chart's README, made from values.yaml and values.schema.json.

`tests/chart/run.sh --write-readme` writes it; a test fails when it is out of date.
"""

import json

import yaml

from chart import CHART

README = CHART / "README.md"
BEGIN, END = "<!-- values: begin -->\n", "<!-- values: end -->\n"


def rows(schema, values, path=""):
    for name, node in schema["properties"].items():
        where = f"{path}.{name}" if path else name
        # Accepted, but not the chart's own.
        if name not in values:
            continue
        # The two configuration maps are described where their kinds are.
        if node.get("additionalProperties") is False:
            yield from rows(node, values[name], where)
        else:
            default = json.dumps(values[name], ensure_ascii=False)
            yield f"| `{where}` | `{default}` | {node['description']} |\n"


def table():
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    return "| Value | Default | Meaning |\n|---|---|---|\n" + "".join(rows(schema, values))


def split():
    head, rest = README.read_text().split(BEGIN)
    current, tail = rest.split(END)
    return head, current, tail


def write():
    head, _, tail = split()
    README.write_text(head + BEGIN + table() + END + tail)
