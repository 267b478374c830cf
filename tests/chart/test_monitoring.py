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


def test_a_pod_monitor_reads_the_pods():
    rendered = install(with_image(metrics={"podMonitor": {"enabled": True}}))
    assert not rendered.of_kind("ServiceMonitor")
    spec = rendered.one("PodMonitor")["spec"]
    assert spec == {
        "jobLabel": "app.kubernetes.io/name",
        "namespaceSelector": {"matchNames": ["ops"]},
        "selector": {"matchLabels": {"app.kubernetes.io/name": "plimsoll", "app.kubernetes.io/instance": "first"}},
        "podMetricsEndpoints": [{"port": "metrics", "path": "/metrics", "scheme": "http", "interval": "30s"}],
    }
    labels = rendered.pod()["metadata"]["labels"]
    assert labels.items() >= spec["selector"]["matchLabels"].items() and spec["jobLabel"] in labels
    assert "metrics" in [port["name"] for port in rendered.container()["ports"]]


def test_what_both_monitors_have_alike():
    for values_name, kind, endpoints in [("monitoring", "ServiceMonitor", "endpoints"), ("secured", "PodMonitor", "podMetricsEndpoints")]:

        def row(values_name=values_name, kind=kind, endpoints=endpoints):
            values = ci_values(values_name)["metrics"][kind[0].lower() + kind[1:]]
            doc = install(ci_values(values_name)).one(kind)
            assert doc["metadata"]["namespace"] == "monitoring"
            assert doc["metadata"]["annotations"] == values["annotations"]
            assert doc["metadata"]["labels"].items() >= values["additionalLabels"].items()
            for field in ("jobLabel", "podTargetLabels", "sampleLimit"):
                assert doc["spec"][field] == values[field], field
            endpoint, = doc["spec"][endpoints]
            assert endpoint.items() >= values["endpointAdditionalProperties"].items()
            for field in ("interval", "scrapeTimeout", "honorLabels", "relabelings", "metricRelabelings"):
                assert endpoint[field] == values[field], field

        yield kind, row


def test_the_secured_port_is_read_with_a_token_from_a_secret():
    values = ci_values("secured")
    rendered = install(values)
    endpoint, = rendered.one("PodMonitor")["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["scheme"]) == ("secure", "https")
    assert endpoint["authorization"] == {"type": "Bearer", "credentials": {"name": "prometheus-token", "key": "bearer"}}
    assert endpoint["tlsConfig"] == values["metrics"]["secure"]["tlsConfig"]
    ports = {port["name"]: port for port in rendered.one("Service")["spec"]["ports"]}
    assert (ports["secure"]["port"], ports["secure"]["targetPort"]) == (443, "secure")
    assert "secure" in [port["name"] for port in rendered.container()["ports"]]


def test_relabelings_and_annotations():
    relabeling = {"action": "replace", "sourceLabels": ["a"], "targetLabel": "b"}
    doc = monitor(relabelings=[relabeling], annotations={"a": "b"}, interval="1m30s").one("ServiceMonitor")
    assert doc["metadata"]["annotations"] == {"a": "b"}
    assert doc["spec"]["endpoints"][0]["relabelings"] == [relabeling]
    assert doc["spec"]["endpoints"][0]["interval"] == "1m30s"
