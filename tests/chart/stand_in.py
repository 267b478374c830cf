"""The stand-in API server (`plimsoll apiserver`) as a process, for Helm and for whatever is to run against what it installs."""

import base64
import functools
import json
import os
import pathlib
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request

import yaml

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
# Nothing of the machine's own cluster, should it have one, is to reach what is started here.
FOREIGN = ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "POD_IP", "RUST_LOG")


class CallFailed(Exception):
    """The server's refusal: its code, and its Status or whatever else it said."""

    def __init__(self, code, body):
        message = body.get("message", body) if isinstance(body, dict) else body
        super().__init__(f"{code}: {message}")
        self.code, self.body = code, body


def binary():
    """The program under test: $PLIMSOLL, or what was built last."""
    named = os.environ.get("PLIMSOLL")
    if named:
        return str(pathlib.Path(named).resolve())
    built = [REPOSITORY / "target" / profile / "plimsoll" for profile in ("release", "debug")]
    built = [path for path in built if path.exists()]
    assert built, "there is no target/*/plimsoll: build it, or name one with PLIMSOLL"
    return str(max(built, key=lambda path: path.stat().st_mtime))


def environment(**added):
    """The environment of a process of the program: no cluster's, and no proxy's."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN and not name.lower().endswith("_proxy")}
    return kept | added


def stop(process):
    """Ends a process and waits until it is gone; gives its exit code."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def path_of(group_version, plural, namespace=None, name=None):
    """`/api/v1/namespaces/NS/pods/NAME` and the like."""
    parts = ["/api" if "/" not in group_version else "/apis", group_version]
    parts += ["namespaces", namespace] if namespace else []
    return "/".join(parts + [plural] + ([name] if name else []))


class StandIn:
    """A server of its own, on a free loopback port, until `close`.

    `workloads` lets it run what Deployments and Jobs ask for and the pods on its nodes. `rbac` lets it refuse what no role allows,
    over HTTPS; `kubeconfig()` is then an administrator's. `manifests` are files that it begins with, such as custom resource definitions.
    """

    def __init__(self, minor=36, nodes=0, workloads=True, rbac=False, manifests=(), arguments=()):
        self.minor, self.rbac = minor, rbac
        self.scratch = tempfile.TemporaryDirectory(prefix="plimsoll-stand-in-")
        file = pathlib.Path(self.scratch.name) / "kubeconfig"
        self.log_file = pathlib.Path(self.scratch.name) / "log"
        command = [binary(), "apiserver", "--listen", "127.0.0.1:0", "--minor", str(minor), "--nodes", str(nodes),
                   "--write-kubeconfig", str(file), *arguments]
        command += [] if workloads else ["--no-controllers", "--no-kubelets"]
        command += ["--rbac", "--tls"] if rbac else []
        for manifest in manifests:
            command += ["--filename", str(manifest)]
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=log)
        # The first line is written when it serves; without it the process has ended.
        greeting = self.process.stdout.readline().decode()
        if " on http" not in greeting:
            self.close()
            raise AssertionError(f"{command} did not start: {greeting}{self.last_words}")
        self.url = greeting.split(" on ")[-1].strip()
        self._kubeconfig = file.read_text()
        # Loopback is never asked of a proxy.
        handlers = [urllib.request.ProxyHandler({})]
        if self.url.startswith("https:"):
            handlers.append(urllib.request.HTTPSHandler(context=self._tls()))
        self._open = urllib.request.build_opener(*handlers).open

    def _tls(self):
        """As the kubeconfig says: whom to trust, and who we are."""
        config = yaml.safe_load(self._kubeconfig)
        decode = lambda text: base64.b64decode(text).decode()
        context = ssl.create_default_context(cadata=decode(config["clusters"][0]["cluster"]["certificate-authority-data"]))
        user, file = config["users"][0]["user"], pathlib.Path(self.scratch.name) / "client.pem"
        file.write_text(decode(user["client-certificate-data"]) + decode(user["client-key-data"]))
        context.load_cert_chain(file)
        return context

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        stop(self.process)
        self.process.stdout.close()
        self.last_words = self.log_file.read_text() if self.log_file.exists() else ""
        self.scratch.cleanup()

    def kubeconfig(self):
        """The administrator's, as text."""
        return self._kubeconfig

    def kubeconfig_of(self, namespace, account):
        """The same for a service account, with a token as a pod of it would have one."""
        token = self.token(namespace, account)
        head, _, rest = self._kubeconfig.partition("  user: ")
        return f"{head}  user: {{token: {json.dumps(token)}}}\n{rest.partition(chr(10))[2]}"

    def token(self, namespace, account):
        """A token of a service account, as `kubectl create token` asks for one."""
        path = path_of("v1", "serviceaccounts", namespace, account) + "/token"
        return self.call("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})["status"]["token"]

    def call(self, method, path, body=None):
        """One request; raises CallFailed for every answer that is no success."""
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("Content-Type", "application/merge-patch+json" if method == "PATCH" else "application/json")
        try:
            with self._open(request, data=None if body is None else json.dumps(body).encode(), timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                refusal = json.loads(text)
            except ValueError:
                refusal = text.decode(errors="replace")
            raise CallFailed(error.code, refusal) from None
        return json.loads(text) if text.startswith((b"{", b"[")) else text.decode()

    def get(self, path):
        """The object at a path; None where there is none."""
        try:
            return self.call("GET", path)
        except CallFailed as failure:
            if failure.code == 404:
                return None
            raise

    def list(self, path):
        """The objects of a collection."""
        return self.call("GET", path)["items"]

    def create(self, plural, document):
        """Creates a document of that resource; gives what is stored."""
        metadata = document["metadata"]
        return self.call("POST", path_of(document["apiVersion"], plural, metadata.get("namespace")), document)

    def namespace(self, name, labels=None):
        """Makes sure that a namespace is there."""
        document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}}
        if self.get(path_of("v1", "namespaces", name=name)) is None:
            self.create("namespaces", document)

    def pod(self, name, scheduler_name, namespace="default", **spec):
        """Creates a small pod for that scheduler."""
        container = {"name": "c", "image": "registry.example.com/app", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}
        document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
                    "spec": {"schedulerName": scheduler_name, "containers": [container]} | spec}
        return self.create("pods", document)

    @functools.cached_property
    def resources(self):
        """(groupVersion, plural, kind) of everything that can be listed, one version of a resource."""
        versions = ["v1"]
        for group in self.call("GET", "/apis")["groups"]:
            versions += [version["groupVersion"] for version in group["versions"]]
        found = {}
        for version in versions:
            listing = self.call("GET", path_of(version, "")[:-1])
            for resource in listing["resources"]:
                group = version.rpartition("/")[0]
                if "/" not in resource["name"] and "list" in resource["verbs"]:
                    found.setdefault((group, resource["name"]), (version, resource["name"], resource["kind"]))
        return list(found.values())

    def objects(self):
        """(kind, namespace or "", name) of everything that is stored, but for Events."""
        keys = set()
        for version, plural, kind in self.resources:
            if kind != "Event":
                metadata = (item["metadata"] for item in self.list(path_of(version, plural)))
                keys |= {(kind, one.get("namespace", ""), one["name"]) for one in metadata}
        return keys
