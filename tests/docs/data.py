"""Blocks that are data: they parse, and what they configure is accepted."""

import json
import subprocess

import kubernetes_validate
import yaml

from stand_in import binary
from values import check_values, merge
from wrong import Wrong

KUBERNETES = "1.36"
GROUPS = {"KubeSchedulerConfiguration": "kubescheduler.config.k8s.io/v1", "PlimsollConfiguration": "config.plimsoll/v1alpha1"}


class Loader(yaml.SafeLoader):
    """YAML in which a repeated key is an error, as it is to Kubernetes."""

    def construct_mapping(self, node, deep=False):
        names = [key.value for key, _ in node.value]
        twice = {name for name in names if names.count(name) > 1 and name != "<<"}
        if twice:
            raise Wrong(f"the key {twice.pop()} is there twice")
        return super().construct_mapping(node, deep)


def documents(block):
    try:
        return [doc for doc in yaml.load_all(block.text, Loader) if doc is not None]
    except yaml.YAMLError as error:
        raise Wrong(f"no YAML: {error}") from error


def check_json(block):
    try:
        json.loads(block.text)
    except ValueError as error:
        raise Wrong(f"no JSON: {error}") from error


def check_fields(doc):
    """A manifest has no field that its kind does not have. Of kinds that are not Kubernetes' own nothing is known."""
    for one in doc.get("items", [doc]) if doc.get("kind") == "List" else [doc]:
        try:
            kubernetes_validate.validate(one, KUBERNETES, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            continue
        except kubernetes_validate.ValidationError as error:
            raise Wrong(f"{one.get('kind')}: {error.message} at {'.'.join(map(str, error.path))}") from error


class Data:
    """Knows the configuration's fields, and the server that manifests are given to."""

    def __init__(self, cluster):
        self.cluster = cluster
        shown = self._run(["check-config", "-", "-o", "json"], yaml.dump({"apiVersion": GROUPS["KubeSchedulerConfiguration"],
                                                                        "kind": "KubeSchedulerConfiguration"}))
        resolved = json.loads(shown.stdout)
        # Parts of a configuration are shown without their head. These names tell which document one is a part of.
        self.heads = {kind: set(resolved[kind[0].lower() + kind[1:]]) - {"apiVersion", "kind"} for kind in GROUPS}
        self.heads["KubeSchedulerConfiguration"] |= {"extenders"}

    def _run(self, arguments, text):
        return subprocess.run([binary(), *arguments], input=text, capture_output=True, text=True, timeout=300)

    def check(self, block):
        docs = documents(block)
        if block.mark("values") is not None:
            for doc in docs:
                self.check_chart(doc)
            return
        kinds = [doc.get("kind") if isinstance(doc, dict) else None for doc in docs]
        if any(kind in GROUPS for kind in kinds):
            self.check_config(block.text)
        elif any(kinds):
            for doc in docs:
                check_fields(doc)
                self.cluster().apply(doc)
        else:
            for doc in docs:
                self.check_part(doc)

    def check_chart(self, values):
        check_values(values)
        head = {}
        for key, kind in (("config", "KubeSchedulerConfiguration"), ("plimsollConfig", "PlimsollConfiguration")):
            if key in values:
                head = {"apiVersion": GROUPS[kind], "kind": kind}
                merge(head, values[key])
                self.check_config(yaml.dump(head))

    def check_part(self, doc):
        """A part of one of the two documents is completed. Of anything else nothing can be said but that it parses."""
        if not isinstance(doc, dict):
            return
        for kind, names in self.heads.items():
            if set(doc) <= names:
                self.check_config(yaml.dump({"apiVersion": GROUPS[kind], "kind": kind} | doc))

    def check_config(self, text):
        done = self._run(["check-config", "-"], text)
        if done.returncode != 0:
            raise Wrong(f"plimsoll check-config: {done.stderr.strip() or done.stdout.strip()}")
