"""Two replicas as the chart configures them, on a stand-in cluster with a small workload, and a Prometheus that scrapes them."""

import json

from as_configured import Scheduler, until
from chart import CHART, OPERATOR, Rendered, with_image
from helm_engine import Helm
from prometheus import Prometheus, label
from stand_in import CallFailed, StandIn

RELEASE, NAMESPACE, NAME = "first", "ops", "first-plimsoll"
PODS = [f"{NAME}-7d9f-aaaaa", f"{NAME}-7d9f-bbbbb"]
SCHEDULER = "plimsoll"
# That a slow machine places pods slowly is no matter here.
RULES = {"prometheusRule": {"enabled": True, "thresholds": {"latencySeconds": 81.92}}}


def pod_labels(labels):
    return {f"__meta_kubernetes_pod_label_{label(name)}": value for name, value in labels.items()}


class Rig:
    """Starts at first use, so that nothing runs for tests that are not wanted."""

    def __init__(self, monitor, values, prepare=None):
        self.monitor_kind, self.values, self.prepare = monitor, with_image(**RULES, **values), prepare
        self.started, self.stand_in, self.replicas, self.prometheus = False, None, [], None
        self.made = 0

    def start(self):
        if self.started:
            assert self.prometheus, "it could not be started, see the first failure"
            return
        self.started = True
        arguments = ("--node-cpu", "8", "--node-memory", "32Gi")
        self.stand_in = StandIn(nodes=3, rbac=True, manifests=[OPERATOR], arguments=arguments)
        for namespace in (NAMESPACE, "monitoring", "default"):
            self.stand_in.namespace(namespace)
        if self.prepare:
            self.prepare(self.stand_in)
        self.rendered = Rendered(Helm(self.stand_in, NAMESPACE).install(RELEASE, str(CHART), self.values))
        self.groups = self.rendered.one("PrometheusRule")["spec"]["groups"]
        # One after the other, so that it is known which of them leads.
        for _ in PODS:
            self.replicas.append(Scheduler(self.stand_in, NAMESPACE, NAME))
        self.prometheus = Prometheus(self.stand_in, self.rendered.one(self.monitor_kind), self.targets(), self.groups)

    def targets(self):
        """What discovery would find: each port of each pod, or of the Service before them; and what belongs to others."""
        service, pod, container = self.rendered.one("Service"), self.rendered.pod(), self.rendered.container()
        ports = {port["name"]: port["name"] for port in container["ports"]}
        if self.monitor_kind == "ServiceMonitor":
            ports = {port["name"]: port["targetPort"] for port in service["spec"]["ports"]}
        found = []
        for name, replica in zip(PODS, self.replicas):
            for port, target in ports.items():
                number = {"metrics": replica.port, "secure": replica.secure_port}[target]
                ours = {
                    "__address__": f"127.0.0.1:{number}", "__meta_kubernetes_namespace": NAMESPACE, "__meta_kubernetes_pod_name": name,
                    "__meta_kubernetes_pod_container_name": container["name"], "__meta_kubernetes_service_name": service["metadata"]["name"],
                    "__meta_kubernetes_pod_container_port_name": port, "__meta_kubernetes_endpoint_port_name": port,
                } | pod_labels(pod["metadata"]["labels"])
                ours |= {f"__meta_kubernetes_service_label_{label(key)}": value for key, value in service["metadata"]["labels"].items()}
                other = {key: "second" if key.endswith("app_kubernetes_io_instance") else value for key, value in ours.items()}
                found += [ours, other, ours | {"__meta_kubernetes_namespace": "elsewhere"}]
        return found

    def churn(self):
        """One pod comes, and an older one goes, so that there is always something to do."""
        self.made += 1
        self.stand_in.pod(f"p{self.made}", SCHEDULER)
        if self.made > 20:
            self.delete(f"p{self.made - 20}")

    def delete(self, name):
        try:
            self.stand_in.call("DELETE", f"/api/v1/namespaces/default/pods/{name}?gracePeriodSeconds=0")
        except CallFailed as failure:
            assert failure.code == 404, failure

    def pod(self, name, cpu=None, memory=None, **spec):
        """A pod that asks for so much."""
        requests = {key: value for key, value in {"cpu": cpu, "memory": memory}.items() if value}
        container = {"name": "c", "image": "registry.example.com/app", "resources": {"requests": requests}}
        self.stand_in.pod(name, SCHEDULER, containers=[container], **spec)

    def wait_for_data(self, queries, patience=120):
        """Waits until every query has given something, while pods come and go; names those that have not."""
        open_ones = dict(queries)

        def asked():
            self.churn()
            for where, expression in list(open_ones.items()):
                if self.prometheus.query(expression):
                    del open_ones[where]
            return not open_ones
        until(lambda: "data of " + json.dumps(open_ones, indent=2), asked, patience)

    def holds(self, rule):
        """The labels for which an alert's condition holds now, whatever time it has to hold for."""
        return [labels for labels, _ in self.prometheus.query(rule["expr"])]

    def close(self):
        for one in [self.prometheus, *self.replicas, self.stand_in]:
            if one is not None:
                one.stop() if isinstance(one, Scheduler) else one.close()
