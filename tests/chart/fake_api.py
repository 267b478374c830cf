"""The least of a Kubernetes API server that Helm needs to install, upgrade and uninstall: discovery and a store of objects."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# (group, version) -> {plural: (kind, namespaced)}; whatever the chart may render must be here.
KINDS = {
    ("", "v1"): {
        "configmaps": ("ConfigMap", True),
        "namespaces": ("Namespace", False),
        "resourcequotas": ("ResourceQuota", True),
        "secrets": ("Secret", True),
        "serviceaccounts": ("ServiceAccount", True),
        "services": ("Service", True),
    },
    ("apps", "v1"): {"deployments": ("Deployment", True)},
    ("policy", "v1"): {"poddisruptionbudgets": ("PodDisruptionBudget", True)},
    ("rbac.authorization.k8s.io", "v1"): {
        "clusterrolebindings": ("ClusterRoleBinding", False),
        "clusterroles": ("ClusterRole", False),
        "rolebindings": ("RoleBinding", True),
        "roles": ("Role", True),
    },
    ("monitoring.coreos.com", "v1"): {"servicemonitors": ("ServiceMonitor", True), "prometheusrules": ("PrometheusRule", True)},
}
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
OBJECT_PATH = re.compile(
    r"^/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?$"
)


def group_version(group, version):
    return f"{group}/{version}" if group else version


def discovery(path):
    """The answer to a discovery path, or None for a path that is none."""
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = []
        for group, version in KINDS:
            if group:
                entry = {"groupVersion": group_version(group, version), "version": version}
                groups.append({"name": group, "versions": [entry], "preferredVersion": entry})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    for (group, version), kinds in KINDS.items():
        if path == (f"/apis/{group}/{version}" if group else "/api/v1"):
            return {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": group_version(group, version),
                "resources": [
                    {"name": plural, "singularName": kind.lower(), "namespaced": namespaced, "kind": kind, "verbs": VERBS}
                    for plural, (kind, namespaced) in kinds.items()
                ],
            }
    return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body leave in one piece; in two, the client's delayed acknowledgement costs 40 ms a call.
    wbufsize = -1

    def log_message(self, *_):
        pass

    def answer(self, code, body):
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, code, reason):
        self.answer(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code,
                           "message": f"{self.path}: {reason}"})

    def handle_call(self):
        store, lock = self.server.store, self.server.lock
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0].rstrip("/")
        if path == "/version":
            minor = self.server.minor
            return self.answer(200, {"major": "1", "minor": str(minor), "gitVersion": f"v1.{minor}.0"})
        found = discovery(path)
        if found is not None:
            return self.answer(200, found)
        match = OBJECT_PATH.match(path)
        known = match and KINDS.get((match["group"] or "", match["version"]), {}).get(match["plural"])
        if not known:
            return self.refuse(404, "NotFound")
        kind = {"apiVersion": group_version(match["group"] or "", match["version"]), "kind": known[0]}
        collection = (kind["kind"], match["namespace"])
        with lock:
            if self.command == "POST":
                sent = json.loads(body)
                key = (*collection, sent["metadata"]["name"])
                if key in store:
                    return self.refuse(409, "AlreadyExists")
                store[key] = sent | kind
                return self.answer(201, store[key])
            if match["name"] is None:
                items = [o for k, o in store.items() if k[:2] == collection]
                return self.answer(200, kind | {"kind": kind["kind"] + "List", "metadata": {}, "items": items})
            key = (*collection, match["name"])
            if key not in store:
                return self.refuse(404, "NotFound")
            if self.command == "DELETE":
                return self.answer(200, store.pop(key))
            if self.command == "PUT":
                store[key] = json.loads(body) | kind
            if self.command == "PATCH":
                store[key] = merged(store[key], json.loads(body))
            return self.answer(200, store[key])

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_call


def merged(old, patch):
    """A JSON merge patch. Strategic patches are taken as such too: lists of the chart's objects are replaced whole."""
    if not isinstance(patch, dict) or not isinstance(old, dict):
        return patch
    result = dict(old)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


class FakeApi:
    """A server on a free loopback port. `store` maps (kind, namespace, name) to the object."""

    def __init__(self, minor):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.minor, self.server.store, self.server.lock = minor, {}, threading.Lock()
        # The interval is how long close() waits.
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()

    @property
    def store(self):
        return self.server.store

    def kubeconfig(self):
        port = self.server.server_address[1]
        return (
            "apiVersion: v1\nkind: Config\ncurrent-context: fake\n"
            f"clusters:\n- name: fake\n  cluster:\n    server: http://127.0.0.1:{port}\n"
            "users:\n- name: fake\n  user: {}\n"
            "contexts:\n- name: fake\n  context:\n    cluster: fake\n    user: fake\n"
        )

    def close(self):
        self.server.shutdown()
        self.server.server_close()
