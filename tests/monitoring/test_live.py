"""A real Prometheus, set up from the rendered monitor, scrapes the schedulers that the chart configures: rules and dashboards find
what they ask for, and no alert's condition holds that nobody has provoked."""

import base64
import pathlib
from functools import partial

from as_configured import until
from dashboards import queries
from rig import NAMESPACE, PODS, Rig
from rules import NAME, alerts, promtool, rules

CERTIFICATES = pathlib.Path("tests/certs")
# The name in that certificate.
SERVER_NAME = "extender.example"


def every_replica_is_scraped(rig, scheme):
    rig.start()
    up = until("both replicas", lambda: len(rig.prometheus.query("up == 1")) == 2 and rig.prometheus.query("up"))
    assert len(up) == 2, f"targets of others are scraped, too: {up}"
    found = {labels["pod"]: labels for labels, _ in up}
    assert set(found) == set(PODS)
    for labels in found.values():
        assert (labels["job"], labels["namespace"], labels["container"]) == ("plimsoll", NAMESPACE, "plimsoll"), labels
        assert labels["endpoint"] == ("secure" if scheme == "https" else "metrics"), labels
        assert labels.get("service") == ("first-plimsoll" if rig.monitor_kind == "ServiceMonitor" else None), labels
    schemes = {target["scrapeUrl"].split(":")[0] for target in rig.prometheus.api("targets", state="active")["activeTargets"]}
    assert schemes == {scheme}
    selector = f"up{{{rules()[0]['expr'].split('{')[1].split('}')[0]}}}"
    assert len(rig.prometheus.query(selector)) == 2, selector


def a_workload(rig):
    """Pods that are placed, that fit nowhere, that are gated, and one that has others go for it."""
    rig.start()
    node = rig.stand_in.list("/api/v1/nodes")[0]["metadata"]["name"]
    selector = {"nodeSelector": {"kubernetes.io/hostname": node}}
    rig.pod("low", cpu="5", **selector, priority=0)
    rig.pod("large", cpu="64")
    rig.pod("picky", nodeSelector={"no-such": "label"})
    rig.pod("gated", schedulingGates=[{"name": "example.com/wait"}])
    until("the pod of low priority", lambda: rig.stand_in.get("/api/v1/namespaces/default/pods/low")["spec"].get("nodeName"))
    rig.pod("high", cpu="5", **selector, priority=1000)
    rig.wait_for_data({"placed": 'scheduler_schedule_attempts_total{result="scheduled"}', "turned away": "scheduler_unschedulable_pods > 0",
                       "gated": 'scheduler_pending_pods{queue="gated"} > 0', "evicted": 'plimsoll_evictions_total{result="going"}',
                       "standing by": "leader_election_master_status == 0", "leading": "leader_election_master_status == 1"})


def metrics_are_well_formed(rig):
    rig.start()
    for replica in rig.replicas:
        code, said = promtool("check", "metrics", text=replica.metrics())
        # No exceptions: it has nothing against kube-scheduler's own names either.
        assert code == 0 and not said.strip(), said


def rules_are_evaluated(rig):
    rig.start()
    want = {rule.get("alert") or rule["record"] for group in rig.groups for rule in group["rules"]}

    def evaluated():
        found = [rule for group in rig.prometheus.api("rules")["groups"] for rule in group["rules"]]
        broken = [(rule["name"], rule["lastError"]) for rule in found if rule.get("lastError")]
        assert not broken, broken
        return {rule["name"] for rule in found if rule["health"] == "ok"} == want
    until("all rules to be evaluated", evaluated)


def recording_rules_have_data(rig):
    rig.start()
    recorded = {}
    for rule in rules(rig.groups):
        if "record" in rule:
            quantile = rule["labels"].get("quantile")
            recorded[f"{rule['record']} {quantile}"] = f'{rule["record"]}{{quantile="{quantile}"}}' if quantile else rule["record"]
    assert len(recorded) == 13
    rig.wait_for_data(recorded)


def nothing_is_wrong(rig):
    rig.start()

    def quiet():
        return [name for name, rule in alerts(rig.groups).items() if rig.holds(rule)]
    # The replicas may be a moment apart.
    until(lambda: f"no alert: {quiet()}", lambda: not quiet())
    assert not rig.prometheus.query('ALERTS{alertstate="firing"}')


def faults(rig):
    """What can be brought about goes wrong; the alerts of it hold, and no others."""
    rig.start()
    rig.pod("claims", resourceClaims=[{"name": "gpu", "resourceClaimName": "gpu"}])
    rig.pod("newer", tolerations=[{"key": "a", "operator": "Exists", "fooBar": True}])
    node = rig.stand_in.list("/api/v1/nodes")[1]["metadata"]["name"]
    for at in range(12):
        rig.pod(f"refused-{at}", cpu="64", nodeName=node)
    (rig.replicas[1].folder("config") / "config.yaml").write_text("profiles: []\nno such field: 1\n")
    wanted = {"PlimsollPodsHeldBack", "PlimsollUnknownFields", "PlimsollConfigReloadFailed", "PlimsollKubeletRefusals"}
    held = lambda: {name for name, rule in alerts(rig.groups).items() if rig.holds(rule)}
    until(lambda: f"{wanted}, it is {held()}", lambda: held() == wanted)
    firing = {"PlimsollUnknownFields": {"field": "spec.tolerations.fooBar"}, "PlimsollKubeletRefusals": {"reason": "OutOfcpu"}}

    def fired():
        found = {one["labels"]["alertname"]: one for one in rig.prometheus.api("alerts")["alerts"] if one["state"] == "firing"}
        return set(found) == set(firing) and found
    found = until(lambda: rig.prometheus.api("alerts"), fired)
    for name, labels in firing.items():
        assert found[name]["labels"].items() >= (labels | {"release": NAME, "namespace": NAMESPACE}).items(), found[name]
        description = found[name]["annotations"]["description"]
        assert NAME in description and all(value in description for value in labels.values()) and "<no value>" not in description, description


def dashboards_have_data(rig):
    rig.start()
    asked = dict(queries())
    assert len(asked) > 60, "the queries were not found"
    rig.wait_for_data(asked)


def nobody_is_left(rig):
    rig.start()
    rig.replicas[0].stop()
    names = alerts(rig.groups)
    until("an unreachable replica", lambda: [one["pod"] for one in rig.holds(names["PlimsollReplicaUnreachable"])] == [PODS[0]])
    assert rig.holds(names["PlimsollReplicasMissing"]) and not rig.holds(names["PlimsollDown"])
    rig.replicas[1].stop()
    until("an outage", lambda: rig.holds(names["PlimsollDown"]))
    assert not rig.holds(names["PlimsollNoLeader"]), "nobody is there to say that nobody leads"


def test_service_monitor():
    rig = Rig("ServiceMonitor", {"metrics": {"serviceMonitor": {"enabled": True, "interval": "1s"}}})
    try:
        yield "every replica is scraped", partial(every_replica_is_scraped, rig, "http")
        for step in (a_workload, metrics_are_well_formed, rules_are_evaluated, recording_rules_have_data, nothing_is_wrong, faults,
                     dashboards_have_data, nobody_is_left):
            yield step.__name__.replace("_", " "), partial(step, rig)
    finally:
        rig.close()


def secrets(stand_in):
    """What the values of the second variant refer to: a certificate for the secured port, its authority, a token."""
    encoded = lambda text: base64.b64encode(text.encode()).decode()
    stand_in.create("serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "prometheus", "namespace": "monitoring"}})
    data = {name: (CERTIFICATES / file).read_text() for name, file in {"tls.crt": "cert.pem", "tls.key": "key.pem", "ca.crt": "ca.pem"}.items()}
    for name, namespace, text in [("plimsoll-tls", NAMESPACE, data), ("plimsoll-ca", "monitoring", {"ca.crt": data["ca.crt"]}),
                                  ("plimsoll-token", "monitoring", {"token": stand_in.token("monitoring", "prometheus")})]:
        stand_in.create("secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace},
                                    "data": {key: encoded(value) for key, value in text.items()}})


def nobody_else_is_let_in(rig):
    rig.start()
    assert rig.replicas[0].secure_status("/metrics") == 403, "somebody without a token may read the metrics"
    assert rig.replicas[0].secure_status("/metrics", "no-such-token") == 401


def relabelings_are_taken(rig):
    rig.start()
    assert rig.prometheus.query('rest_client_requests_total{host=""}') and not rig.prometheus.query('rest_client_requests_total{host!=""}')
    assert rig.prometheus.query('up{app_kubernetes_io_instance="first"}')


def test_pod_monitor_of_the_secured_port():
    values = {
        "secureServing": {"tlsSecretName": "plimsoll-tls"},
        "metrics": {
            "podMonitor": {"enabled": True, "namespace": "monitoring", "interval": "1s", "podTargetLabels": ["app.kubernetes.io/instance"],
                           "metricRelabelings": [{"action": "labeldrop", "regex": "host"}]},
            "secure": {"enabled": True, "authorization": {"credentials": {"name": "plimsoll-token"}},
                       "tlsConfig": {"ca": {"secret": {"name": "plimsoll-ca", "key": "ca.crt"}}, "serverName": SERVER_NAME},
                       "readers": [{"name": "prometheus", "namespace": "monitoring"}]},
        },
    }
    rig = Rig("PodMonitor", values, secrets)
    try:
        yield "every replica is scraped", partial(every_replica_is_scraped, rig, "https")
        for step in (a_workload, recording_rules_have_data, nothing_is_wrong, relabelings_are_taken, nobody_else_is_let_in):
            yield step.__name__.replace("_", " "), partial(step, rig)
    finally:
        rig.close()
