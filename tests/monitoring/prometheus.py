"""A Prometheus of its own, on a free loopback port, with settings that a monitor is turned into as the Prometheus Operator does it."""

import base64
import json
import os
import pathlib
import re
import subprocess
import tempfile
import urllib.parse
import urllib.request

import yaml

from as_configured import free_port, until
from stand_in import environment, path_of, stop


def label(name):
    """A label's name as Prometheus can have it."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


def snake(rule):
    """A relabeling as Prometheus spells it."""
    return {re.sub(r"(?<=[a-z])[A-Z]", lambda letter: f"_{letter[0].lower()}", key): value for key, value in rule.items()}


def relabelings(monitor, endpoint):
    """What becomes of the labels that discovery finds: which targets are kept, and what they are called."""
    spec, service = monitor["spec"], monitor["kind"] == "ServiceMonitor"
    owner = "service" if service else "pod"
    port = "__meta_kubernetes_endpoint_port_name" if service else "__meta_kubernetes_pod_container_port_name"
    rules = [{"action": "keep", "source_labels": [f"__meta_kubernetes_{owner}_label_{label(name)}"], "regex": re.escape(value)}
             for name, value in spec["selector"]["matchLabels"].items()]
    rules += [{"action": "keep", "source_labels": ["__meta_kubernetes_namespace"], "regex": "|".join(spec["namespaceSelector"]["matchNames"])},
              {"action": "keep", "source_labels": [port], "regex": endpoint["port"]}]
    copied = {"namespace": "namespace", "pod": "pod_name", "container": "pod_container_name"} | ({"service": "service_name"} if service else {})
    rules += [{"source_labels": [f"__meta_kubernetes_{source}"], "target_label": target} for target, source in copied.items()]
    if service:
        rules.append({"source_labels": ["__meta_kubernetes_service_name"], "target_label": "job", "replacement": "${1}"})
    else:
        rules.append({"target_label": "job", "replacement": f"{monitor['metadata']['namespace']}/{monitor['metadata']['name']}"})
    for of, names in {"service": spec.get("targetLabels", []), "pod": spec.get("podTargetLabels", [])}.items():
        rules += [{"source_labels": [f"__meta_kubernetes_{of}_label_{label(name)}"], "regex": "(.+)", "target_label": label(name)} for name in names]
    if spec.get("jobLabel"):
        rules.append({"source_labels": [f"__meta_kubernetes_{owner}_label_{label(spec['jobLabel'])}"], "regex": "(.+)", "target_label": "job"})
    rules.append({"target_label": "endpoint", "replacement": endpoint["port"]})
    return rules + [snake(rule) for rule in endpoint.get("relabelings", [])]


class Prometheus:
    """Scrapes what a monitor selects of these targets: maps of labels as discovery finds them, with the address in `__address__`."""

    def __init__(self, stand_in, monitor, targets, groups):
        self.scratch = tempfile.TemporaryDirectory(prefix="plimsoll-prometheus-")
        self.root = pathlib.Path(self.scratch.name)
        self.stand_in, self.namespace = stand_in, monitor["metadata"]["namespace"]
        endpoint, = monitor["spec"].get("endpoints") or monitor["spec"]["podMetricsEndpoints"]
        job = {
            "job_name": monitor["kind"], "scheme": endpoint["scheme"], "metrics_path": endpoint["path"],
            "scrape_interval": endpoint["interval"], "scrape_timeout": endpoint.get("scrapeTimeout", endpoint["interval"]),
            "honor_labels": endpoint.get("honorLabels", False), "relabel_configs": relabelings(monitor, endpoint),
            "metric_relabel_configs": [snake(rule) for rule in endpoint.get("metricRelabelings", [])],
            "static_configs": [{"targets": [target["__address__"]], "labels": {k: v for k, v in target.items() if k != "__address__"}}
                               for target in targets],
        }
        if "authorization" in endpoint:
            job["authorization"] = {"type": endpoint["authorization"]["type"], "credentials": self._secret(endpoint["authorization"]["credentials"])}
        if "tlsConfig" in endpoint:
            job["tls_config"] = self._tls(endpoint["tlsConfig"])
        if "sampleLimit" in monitor["spec"]:
            job["sample_limit"] = monitor["spec"]["sampleLimit"]
        config = {"global": {"evaluation_interval": "1s"}, "rule_files": ["rules.yaml"], "scrape_configs": [job]}
        (self.root / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
        (self.root / "prometheus.yaml").write_text(yaml.safe_dump(config))
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        # It cannot be asked for any free port; somebody else may take the one that was found.
        while not self._start():
            pass

    def _start(self):
        """Whether it has got its port."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [os.environ["PROMETHEUS"], f"--config.file={self.root}/prometheus.yaml", f"--storage.tsdb.path={self.root}/data",
                   f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
        with open(self.root / "log", "wb") as log:
            self.process = subprocess.Popen(command, env=environment(), stdout=log, stderr=log)
        try:
            return until(lambda: f"Prometheus:\n{self.log()}", lambda: self._ready() or self._is_taken()) == "ready"
        except BaseException:
            self.close()
            raise

    def _secret(self, key):
        """The text under a key of a Secret in the monitor's namespace."""
        kept = self.stand_in.get(path_of("v1", "secrets", self.namespace, key["name"]))
        return base64.b64decode(kept["data"][key["key"]]).decode()

    def _tls(self, wanted):
        made = {"insecure_skip_verify": wanted.get("insecureSkipVerify", False)}
        if "serverName" in wanted:
            made["server_name"] = wanted["serverName"]
        if "ca" in wanted:
            (self.root / "ca.pem").write_text(self._secret(wanted["ca"]["secret"]))
            made["ca_file"] = str(self.root / "ca.pem")
        return made

    def log(self):
        return (self.root / "log").read_text()

    def _is_taken(self):
        if self.process.poll() is None:
            return None
        assert "address already in use" in self.log(), f"Prometheus ended with {self.process.returncode}:\n{self.log()}"
        return "taken"

    def _ready(self):
        try:
            # Not somebody else's, who has taken the port.
            return "ready" if self._open(f"{self.url}/-/ready", timeout=10).status == 200 and self.process.poll() is None else None
        except OSError:
            return None

    def api(self, path, **parameters):
        with self._open(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expression):
        """The samples of an instant vector that are numbers, as (labels, value)."""
        data = self.api("query", query=expression)
        assert data["resultType"] == "vector", (expression, data["resultType"])
        found = [(one["metric"], float(one["value"][1])) for one in data["result"]]
        # What divides nothing by nothing shows nothing.
        return [(labels, value) for labels, value in found if value == value]

    def close(self):
        stop(self.process)
        self.scratch.cleanup()
