"""What `helm --set` and its kin say, and the chart's schema: whether the chart has such values."""

import functools
import json
import pathlib
import re

import yaml

from wrong import Wrong

CHART = pathlib.Path("charts/plimsoll")


def helm_options(arguments):
    """The words of a helm command that are no flags, the maps of values that it gives, and its namespace."""
    words, values, namespace = [], {}, None
    rest = iter(arguments)
    for word in rest:
        flag, _, given = word.partition("=")
        if flag in ("--namespace", "-n"):
            namespace = given or next(rest)
        elif flag in ("--set", "--set-string", "--set-json"):
            for path, value in assignments(given or next(rest), flag):
                put(values, path, value)
        elif flag in ("--values", "-f"):
            merge(values, yaml.safe_load(pathlib.Path(given or next(rest)).read_text()))
        elif flag in ("--timeout", "--version", "--kube-version", "--revision", "--description"):
            given or next(rest)
        elif not word.startswith("-"):
            words.append(word)
    return words, values, namespace


def assignments(text, flag):
    """What `--set` and its kin mean by `a.b=1,c.d={x,y}`, as far as the documentation uses it."""
    if flag == "--set-json":
        path, _, value = text.partition("=")
        yield _path(path), json.loads(value)
        return
    for one in re.findall(r"(?:\\.|\{[^}]*\}|[^,\\])+", text):
        path, equals, value = one.partition("=")
        if not equals:
            raise Wrong(f"--set {text}: {one} has no value")
        yield _path(path), value if flag == "--set-string" else _typed(value.replace("\\,", ","))


def _path(text):
    """The steps of `a.b\\.c[0]`: names and numbers."""
    steps = []
    for name in re.findall(r"(?:\\.|[^.\\])+", text):
        name, *indexes = re.split(r"\[(\d+)\]", name.replace("\\.", "."))
        steps.append(name)
        steps += [int(index) for index in indexes if index]
    return steps


def _typed(value):
    if value.startswith("{"):
        return [_typed(item) for item in value.strip("{}").split(",") if item]
    return {"true": True, "false": False, "null": None}.get(value, int(value) if re.fullmatch(r"-?[1-9]\d*|0", value) else value)


def put(values, path, value):
    for step, following in zip(path, path[1:]):
        empty = [] if isinstance(following, int) else {}
        if isinstance(step, int):
            values += [None] * (step + 1 - len(values))
            values[step] = empty if values[step] is None else values[step]
            values = values[step]
        else:
            values = values.setdefault(step, empty)
    if isinstance(path[-1], int):
        values += [None] * (path[-1] + 1 - len(values))
    values[path[-1]] = value


def merge(into, more):
    for key, value in (more or {}).items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


@functools.cache
def schema():
    return json.loads((CHART / "values.schema.json").read_text())


def check_values(values, node=None, path=""):
    """Whether the chart has these values. Where the schema is an open map anything goes."""
    node = node or schema()
    if node.get("additionalProperties") is not False or not isinstance(values, dict):
        return
    for name, value in values.items():
        where = f"{path}.{name}" if path else name
        if name not in node.get("properties", {}):
            raise Wrong(f"the chart has no value {where}")
        check_values(value, node["properties"][name], where)
