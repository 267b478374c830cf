"""Runs the program as a pod of the chart would run it: the arguments, files and variables that the manifests give it.

Only what a kubelet and a cluster would add is put in place of theirs: the files of the volumes are in a folder of their own, the
account's token comes with a kubeconfig, and ports are free ones of this machine.
"""

import base64
import pathlib
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from stand_in import binary, environment, path_of, stop

# Only what has gone wrong waits that long.
PATIENCE = 60
FIELDS = {"status.podIP": lambda pod: "127.0.0.1", "metadata.name": lambda pod: "pod-0", "metadata.namespace": lambda pod: pod.namespace}


def until(what, condition, patience=PATIENCE):
    """Waits until a condition gives something; gives that."""
    end = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"waited in vain for {what() if callable(what) else what}"
        time.sleep(0.02)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class PodProcess:
    """The one container of a pod, as a process. `spec` is the pod's, `flags` are added to the arguments, and `names` are texts in them
    with what stands in place of them here, such as the address of a Service."""

    def __init__(self, stand_in, namespace, spec, flags=(), names=None):
        self.namespace = namespace
        self.scratch = tempfile.TemporaryDirectory(prefix="plimsoll-pod-")
        root = pathlib.Path(self.scratch.name)
        container, = spec["containers"]
        mounts = self._mounts(stand_in, spec, container, root)
        kubeconfig = root / "kubeconfig"
        account = spec.get("serviceAccountName", "default")
        kubeconfig.write_text(stand_in.kubeconfig_of(namespace, account) if stand_in.rbac else stand_in.kubeconfig())
        given = [self._moved(argument, mounts | (names or {})) for argument in container.get("command", [])[1:] + container.get("args", [])]
        self.command = [binary(), *given, "--kubeconfig", str(kubeconfig), *flags]
        variables = {one["name"]: self._moved(self._value(one), mounts) for one in container.get("env", [])}
        self.log_file, self.out_file = root / "log", root / "out"
        with open(self.log_file, "wb") as log, open(self.out_file, "wb") as out:
            self.process = subprocess.Popen(self.command, env=environment(**variables), stdout=out, stderr=log, cwd=root)

    def _mounts(self, stand_in, spec, container, root):
        """Writes the files of every volume that is mounted; gives the folder of each mountPath."""
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        mounts = {}
        for mount in container.get("volumeMounts", []):
            volume = volumes[mount["name"]]
            folder = root / mount["name"]
            folder.mkdir()
            if "configMap" in volume:
                kept = stand_in.get(path_of("v1", "configmaps", self.namespace, volume["configMap"]["name"]))
                files = {name: text.encode() for name, text in kept["data"].items()}
            elif "secret" in volume:
                kept = stand_in.get(path_of("v1", "secrets", self.namespace, volume["secret"]["secretName"]))
                files = {name: base64.b64decode(data) for name, data in kept["data"].items()}
            else:
                assert "emptyDir" in volume, f"there is nothing here to put in place of {volume}"
                files = {}
            for name, data in files.items():
                (folder / name).write_bytes(data)
            mounts[mount["mountPath"]] = str(folder)
        return mounts

    def _value(self, variable):
        if "valueFrom" not in variable:
            return variable.get("value", "")
        return FIELDS[variable["valueFrom"]["fieldRef"]["fieldPath"]](self)

    @staticmethod
    def _moved(text, mounts):
        # The longest first: one may be the beginning of another.
        for path in sorted(mounts, key=len, reverse=True):
            text = text.replace(path, mounts[path])
        return text

    def folder(self, volume):
        """Where the files of a volume are."""
        return pathlib.Path(self.scratch.name) / volume

    def log(self):
        return self.log_file.read_text()

    def line(self, text):
        """Waits for a line of the log that holds this text; gives it."""
        find = lambda: next((line for line in self.log().splitlines() if text in line), None)
        return until(lambda: f"{text!r} in:\n{self.log()}", find)

    def ended(self):
        """Waits for its end; gives exit code, standard output and log."""
        until(lambda: f"the end of {self.command}:\n{self.log()}", lambda: self.process.poll() is not None)
        return self.process.returncode, self.out_file.read_text(), self.log()

    def stop(self):
        """Ends it as a kubelet does; gives the exit code."""
        try:
            return stop(self.process)
        finally:
            self.scratch.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Scheduler(PodProcess):
    """A replica of an installed Deployment, waited for until it is ready (unless told otherwise)."""

    def __init__(self, stand_in, namespace, deployment, ready=True):
        kept = stand_in.get(path_of("apps/v1", "deployments", namespace, deployment))
        assert kept, f"there is no Deployment {namespace}/{deployment}"
        spec = kept["spec"]["template"]["spec"]
        container, = spec["containers"]
        self.port, self.secure_port = free_port(), free_port()
        flags = [f"--http-address=127.0.0.1:{self.port}"]
        if "--secure-port=0" in container["args"]:
            self.secure_port = None
        else:
            flags += [f"--secure-port={self.secure_port}", "--bind-address=127.0.0.1"]
        super().__init__(stand_in, namespace, spec, flags)
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        if ready:
            self.wait_until_ready(container["readinessProbe"]["httpGet"]["path"])

    def wait_until_ready(self, path="/readyz"):
        def ready():
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.log()}"
            return self.status(path) == 200
        try:
            until(lambda: f"{path}:\n{self.log()}", ready)
        except BaseException:
            self.stop()
            raise

    def status(self, path):
        """The code that a path of the plain port answers with; None where nobody answers."""
        try:
            with self._open(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except (urllib.error.URLError, OSError):
            return None

    def metrics(self):
        """The metrics of the plain port, as text."""
        with self._open(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            return answer.read().decode()

    def secure_url(self):
        return f"https://127.0.0.1:{self.secure_port}"

    def secure_status(self, path, token=None):
        """The code that a path of the secured port answers with, its certificate unseen."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        request = urllib.request.Request(self.secure_url() + path)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        try:
            with opener.open(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
