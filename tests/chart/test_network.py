"""The NetworkPolicy lets in and out what the scheduler needs, and nothing else unless it is asked for."""

from chart import ci_values, install, with_image


def policy(**values):
    return install(with_image(networkPolicy={"enabled": True} | values)).one("NetworkPolicy")["spec"]


def ports(rule):
    return {(port["port"], port["protocol"]) for port in rule["ports"]}


def test_off_by_default():
    assert not install(with_image()).of_kind("NetworkPolicy")


def test_default_shape():
    spec = policy()
    rendered = install(with_image())
    assert spec["podSelector"]["matchLabels"] == rendered.one("Deployment")["spec"]["selector"]["matchLabels"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    ingress, = spec["ingress"]
    served = {(port["containerPort"], port["protocol"]) for port in rendered.container()["ports"]}
    assert ports(ingress) == served and "from" not in ingress
    dns, api = spec["egress"]
    assert (ports(dns), ports(api)) == ({(53, "UDP"), (53, "TCP")}, {(443, "TCP"), (6443, "TCP")})
    assert "to" not in dns and "to" not in api


def test_without_the_secured_port_it_stays_closed():
    rendered = install(with_image(networkPolicy={"enabled": True}, secureServing={"enabled": False}))
    assert ports(rendered.one("NetworkPolicy")["spec"]["ingress"][0]) == {(10251, "TCP")}


def test_narrowed():
    values = ci_values("secured")["networkPolicy"]
    rendered = install(ci_values("secured"))
    spec = rendered.one("NetworkPolicy")["spec"]
    peers = spec["ingress"][0]["from"]
    assert peers[0] == values["ingressFrom"][0]
    # The test reads the metrics, too.
    assert rendered.hook("Pod")["metadata"]["labels"].items() >= peers[1]["podSelector"]["matchLabels"].items()
    assert spec["ingress"][1:] == values["extraIngress"] and spec["egress"][2:] == values["extraEgress"]
    assert spec["egress"][1]["to"] == [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    assert ports(spec["egress"][1]) == {(6443, "TCP")}


def test_the_pods_of_the_test_are_not_those_of_the_scheduler():
    rendered = install(with_image())
    selector = rendered.one("Service")["spec"]["selector"]
    assert not rendered.hook("Pod")["metadata"]["labels"].items() >= selector.items()
