"""The pods: admitted at the level "restricted", spread, probed, and scheduled by another scheduler than themselves."""

from functools import partial

import yaml

from chart import CHART, CI_VALUES, ci_values, install, with_image


RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def restricted(values_name):
    rendered = install(ci_values(values_name))
    for spec in [rendered.pod()["spec"]] + [hook["spec"] for hook in rendered.hooks if hook["kind"] == "Pod"]:
        restricted_pod(spec)


def restricted_pod(spec):
    container, = spec["containers"]
    for field in ("hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"):
        assert field not in spec, field
    assert all(set(volume) <= {"name", "configMap", "secret", "emptyDir", "projected"} for volume in spec.get("volumes", []))
    assert all("hostPort" not in port for port in container.get("ports", []))
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"].get("runAsUser") != 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"].items() >= RESTRICTED.items(), container["securityContext"]


def test_restricted():
    for name in CI_VALUES:
        yield name, partial(restricted, name)


def test_user_is_numeric_and_not_root_and_can_be_left_to_the_platform():
    context = install(with_image()).pod()["spec"]["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (65532, 65532)
    assert "runAsUser" not in install(ci_values("single")).pod()["spec"]["securityContext"]


def test_the_token_is_mounted_by_the_pod_alone():
    rendered = install(with_image())
    assert rendered.one("ServiceAccount")["automountServiceAccountToken"] is False
    assert rendered.pod()["spec"]["automountServiceAccountToken"] is True


def test_own_pods_are_never_scheduled_by_themselves():
    for name in CI_VALUES:

        def row(name=name):
            rendered = install(ci_values(name))
            assert rendered.pod()["spec"]["schedulerName"] == "default-scheduler"
            # The test, too, has to run where ours does not.
            assert all(hook["spec"]["schedulerName"] == "default-scheduler" for hook in rendered.hooks if hook["kind"] == "Pod")

        yield name, row


def test_probes_are_on_the_plain_port():
    container = install(with_image()).container()
    assert container["ports"] == [
        {"name": "metrics", "containerPort": 10251, "protocol": "TCP"},
        {"name": "secure", "containerPort": 10259, "protocol": "TCP"},
    ]
    assert container["startupProbe"] == {
        "httpGet": {"path": "/livez", "port": "metrics"}, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 30,
    }
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "metrics"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}


def test_the_secured_port_can_be_turned_off_and_given_a_certificate():
    off = install(with_image(secureServing={"enabled": False})).container()
    assert [port["name"] for port in off["ports"]] == ["metrics"]
    assert off["args"][-1] == "--secure-port=0"
    rendered = install(with_image(secureServing={"tlsSecretName": "plimsoll-tls"}))
    container = rendered.container()
    assert container["args"][-2:] == [
        "--tls-cert-file=/etc/plimsoll-tls/tls.crt", "--tls-private-key-file=/etc/plimsoll-tls/tls.key",
    ]
    assert {"name": "tls", "mountPath": "/etc/plimsoll-tls", "readOnly": True} in container["volumeMounts"]
    assert {"name": "tls", "secret": {"secretName": "plimsoll-tls"}} in rendered.pod()["spec"]["volumes"]
    both = install(with_image(secureServing={"enabled": False, "tlsSecretName": "plimsoll-tls"}))
    assert [volume["name"] for volume in both.pod()["spec"]["volumes"]] == ["config"]


def test_image_forms():
    digest = "sha256:" + "0" * 64
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    rows = {
        "the chart's version": ({}, f"r/p:{version}"),
        "a tag": ({"tag": "v2"}, "r/p:v2"),
        "a digest": ({"digest": digest}, f"r/p:{version}@{digest}"),
        "both": ({"tag": "v2", "digest": digest}, f"r/p:v2@{digest}"),
    }
    for label, (image, expected) in rows.items():

        def row(image=image, expected=expected):
            assert install({"image": {"repository": "r/p"} | image}).container()["image"] == expected

        yield label, row


def test_spread_is_soft_and_can_be_replaced():
    default = install(with_image()).pod()["spec"]["topologySpreadConstraints"]
    assert [(constraint["topologyKey"], constraint["whenUnsatisfiable"]) for constraint in default] == [
        ("topology.kubernetes.io/zone", "ScheduleAnyway"), ("kubernetes.io/hostname", "ScheduleAnyway"),
    ]
    mine = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"a": "b"}}}
    assert install(with_image(topologySpreadConstraints=[mine])).pod()["spec"]["topologySpreadConstraints"] == [mine]
    assert "topologySpreadConstraints" not in install(with_image(topologySpreadConstraints=[])).pod()["spec"]


def test_budget_only_with_more_than_one_replica():
    for replicas, expected in {0: 0, 1: 0, 2: 1, 3: 1}.items():

        def row(replicas=replicas, expected=expected):
            budgets = install(with_image(replicaCount=replicas)).of_kind("PodDisruptionBudget")
            assert len(budgets) == expected
            for budget in budgets:
                assert budget["spec"]["maxUnavailable"] == 1
                assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"

        yield f"{replicas} replicas", row


def test_quota_admits_the_priority_class():
    rendered = install(with_image(resourceQuota={"enabled": True}))
    expression = rendered.one("ResourceQuota")["spec"]["scopeSelector"]["matchExpressions"][0]
    assert expression["values"] == [rendered.pod()["spec"]["priorityClassName"]]
    assert not install(with_image()).of_kind("ResourceQuota")


def test_what_is_added():
    values = ci_values("extras")
    rendered = install(values)
    container = rendered.container()
    assert [variable["name"] for variable in container["env"]] == ["POD_IP", "GREETING"]
    assert container["volumeMounts"][-1] == values["extraVolumeMounts"][0]
    assert rendered.pod()["spec"]["volumes"][-1] == values["extraVolumes"][0]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe].items() >= values[probe].items(), container[probe]
    secured_off = install(values | {"secureServing": {"enabled": False}}).container()
    assert [variable["name"] for variable in secured_off["env"]] == ["GREETING"]


def test_extra_objects_are_maps_or_templates():
    kept = {doc["metadata"]["name"]: doc["data"] for doc in install(ci_values("extras")).of_kind("ConfigMap")}
    assert kept["as-it-is"] == {"braces": "{{ kept }}"}
    assert kept["first-plimsoll-extra"] == {"names": '["plimsoll"]'}
