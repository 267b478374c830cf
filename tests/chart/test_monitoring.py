"""The Service and the ServiceMonitor find each other and the pods' port."""

from chart import ci_values, install, with_image


def monitor(**values):
    return install(with_image(metrics={"serviceMonitor": {"enabled": True} | values}))


def test_off_by_default():
    assert not install(with_image()).of_kind("ServiceMonitor")


def test_default_shape():
    rendered = monitor()
    doc = rendered.one("ServiceMonitor")
    assert doc["apiVersion"] == "monitoring.coreos.com/v1"
    assert doc["metadata"]["namespace"] == "ops"
    selector = {"app.kubernetes.io/name": "plimsoll", "app.kubernetes.io/instance": "first"}
    # The whole spec: what is not here is not there, file credentials least of all.
    assert doc["spec"] == {
        "jobLabel": "app.kubernetes.io/name",
        "namespaceSelector": {"matchNames": ["ops"]},
        "selector": {"matchLabels": selector},
        "endpoints": [{"port": "metrics", "path": "/metrics", "scheme": "http", "interval": "30s"}],
    }


def test_it_finds_the_service_and_the_service_the_port():
    rendered = monitor()
    service, spec = rendered.one("Service"), rendered.one("ServiceMonitor")["spec"]
    labels = service["metadata"]["labels"]
    assert labels.items() >= spec["selector"]["matchLabels"].items()
    assert spec["jobLabel"] in labels
    assert service["metadata"]["namespace"] in spec["namespaceSelector"]["matchNames"]
    port, = service["spec"]["ports"]
    assert (port["name"], port["port"], port["targetPort"]) == ("metrics", 10251, "metrics")
    assert port["name"] == spec["endpoints"][0]["port"]
    assert port["targetPort"] in [p["name"] for p in rendered.container()["ports"]]
    assert rendered.pod()["metadata"]["labels"].items() >= service["spec"]["selector"].items()


def test_what_users_add():
    values = ci_values("monitoring")["metrics"]["serviceMonitor"]
    rendered = install(ci_values("monitoring"))
    doc = rendered.one("ServiceMonitor")
    assert doc["metadata"]["namespace"] == values["namespace"]
    assert doc["metadata"]["labels"]["release"] == "prometheus"
    endpoint, = doc["spec"]["endpoints"]
    assert endpoint["scrapeTimeout"] == "10s"
    assert endpoint["metricRelabelings"] == values["metricRelabelings"]
    assert rendered.one("Service")["spec"]["ports"][0]["port"] == 9090


def test_relabelings_and_annotations():
    relabeling = {"action": "replace", "sourceLabels": ["a"], "targetLabel": "b"}
    doc = monitor(relabelings=[relabeling], annotations={"a": "b"}, interval="1m30s").one("ServiceMonitor")
    assert doc["metadata"]["annotations"] == {"a": "b"}
    assert doc["spec"]["endpoints"][0]["relabelings"] == [relabeling]
    assert doc["spec"]["endpoints"][0]["interval"] == "1m30s"
