"""Processes of the program: the stand-in API server with what the documentation needs of it, and schedulers. They end with the test."""

import pathlib
import re
import subprocess
import tempfile
import time

import yaml

from stand_in import CallFailed, StandIn, binary, environment, path_of, stop
from wrong import Wrong

# Only what keeps a test that hangs from hanging for ever.
LONG = 300


class Process:
    """A process whose log is waited for."""

    def __init__(self, words, log, cwd=None, env=None):
        self.words, self.log = [binary(), *map(str, words)], pathlib.Path(log)
        with self.log.open("w") as file:
            self.process = subprocess.Popen(self.words, stdout=file, stderr=subprocess.STDOUT, cwd=cwd, env=env or environment(),
                                            stdin=subprocess.DEVNULL)

    def said(self, pattern):
        end = time.monotonic() + LONG
        while True:
            # Asked before the log is read: what a process says before it ends is then in it.
            ended = self.process.poll() is not None
            if re.search(pattern, self.log.read_text()):
                return
            if ended or time.monotonic() > end:
                raise Wrong(f"{' '.join(self.words)} does not say {pattern!r}:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.05)

    def end(self):
        stop(self.process)


class Cluster(StandIn):
    """A stand-in API server that takes manifests as they are written, and schedulers on it."""

    def __init__(self, nodes=0, manifests=(), arguments=()):
        super().__init__(nodes=nodes, manifests=manifests, arguments=arguments)
        self.folder = tempfile.TemporaryDirectory(prefix="plimsoll-docs-")
        self.path = pathlib.Path(self.folder.name) / "kubeconfig"
        self.path.write_text(self.kubeconfig())
        self.schedulers = []

    def run(self, config=None, http="127.0.0.1:0", secure=0):
        """A scheduler that leads; its lease is the one of a release `plimsoll` in the namespace of that name."""
        self.namespace("plimsoll")
        scheduler = Process(["run", "--kubeconfig", self.path, "--http-address", http, "--bind-address", "127.0.0.1",
                             "--secure-port", secure, "--leader-elect-resource-namespace", "plimsoll",
                             *(["--config", config] if config else [])], f"{self.folder.name}/scheduler-{len(self.schedulers)}.log")
        self.schedulers.append(scheduler)
        scheduler.said(": leading lease=")
        return scheduler

    def close(self):
        for scheduler in getattr(self, "schedulers", []):
            scheduler.end()
        super().close()
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def apply(self, doc):
        """Creates an object, or each of a List; its namespace too, where there is none."""
        if doc.get("kind") == "List":
            for item in doc["items"]:
                self.apply(item)
            return
        if "apiVersion" not in doc or "kind" not in doc:
            raise Wrong("a manifest without apiVersion or kind")
        plural, namespaced = self._resource(doc["apiVersion"], doc["kind"])
        metadata = doc.setdefault("metadata", {})
        if namespaced:
            self.namespace(metadata.setdefault("namespace", "default"))
        path = path_of(doc["apiVersion"], plural, metadata.get("namespace"))
        try:
            if "name" in metadata and self.get(f"{path}/{metadata['name']}"):
                # Pages may show one object in two states.
                self.call("DELETE", f"{path}/{metadata['name']}", {"gracePeriodSeconds": 0})
            self.call("POST", f"{path}?fieldValidation=Strict", doc)
        except CallFailed as failure:
            raise Wrong(f"the API server refuses {doc['kind']} {metadata.get('name')}: {failure}") from failure

    def apply_file(self, path):
        for doc in yaml.safe_load_all(pathlib.Path(path).read_text()):
            if doc:
                self.apply(doc)

    def _resource(self, version, kind):
        served = self.get(path_of(version, "")[:-1])
        for resource in served["resources"] if served else []:
            if resource["kind"] == kind and "/" not in resource["name"]:
                return resource["name"], resource["namespaced"]
        raise Wrong(f"{version} has no kind {kind}")

    def pods(self, selector="", namespace="default"):
        return self.list(path_of("v1", "pods", namespace) + f"?labelSelector={selector}")

    def until(self, what, condition):
        """Waits until the condition gives something true, and gives it."""
        end = time.monotonic() + LONG
        while not (answer := condition()):
            if time.monotonic() > end:
                logs = "\n".join(scheduler.log.read_text()[-1500:] for scheduler in self.schedulers)
                raise Wrong(f"it never comes to it that {what}; {logs}")
            time.sleep(0.05)
        return answer
